# SPDX-License-Identifier: MIT
"""Probes that this host itself sends by segments (SRv6), by Linux all along: routers quote another destination than
ours, or another packet around the probe. Tunnels that this host's kernel may lack are played, in test_path.py.

host - router 1 - router 2 - router 3 - target
"""

import contextlib
import subprocess

import pytest

from lab import net
from lab.daemon import Daemon
from lab.transports import able, served

PROTOCOLS = "icmp", "udp", "tcp", "sctp"
NAMES = "host", "router1", "router2", "router3", "target"
TARGET = "fd97:99::1"
SEGMENT, EXIT = "fd97:2::5", "fd97:2::6"  # of router 2: one to go by, one where the tunnel ends

pytestmark = pytest.mark.skipif(net.why_no_namespaces() is not None, reason=str(net.why_no_namespaces()))


def link(number, end):
    """An address on the link between the nodes `number` and `number` + 1; end 1 is the nearer."""
    return f"fd97:1:{number + 1}::{end}"


# By name: the route on the host, and who ends the probes of ttl 1, 2 ...: the number of a node. Where a tunnel ends, nobody
# looks at the ttl of what was in it.
ROUTES = {
    "inline": (f"encap seg6 mode inline segs {SEGMENT}", (1, 2, 3, 4)),
    "tunnel": (f"encap seg6 mode encap segs {EXIT}", (1, 3, 4)),
}


@pytest.fixture(name="nodes")
def fixture_nodes():
    """The five, joined and routed but for the host's way to the target."""
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(net.Namespace(name)) for name in NAMES]
        for number, (near, far) in enumerate(zip(nodes, nodes[1:])):
            net.join(near, f"to{number + 1}", far, f"to{number}", [f"{link(number, 1)}/64"], [f"{link(number, 2)}/64"])
        for number, node in enumerate(nodes):
            node.sysctl("net.ipv6.conf.all.forwarding", 1)
            for name in ["all", *(f"to{other}" for other in (number - 1, number + 1) if 0 <= other < len(nodes))]:
                with contextlib.suppress(OSError):  # a kernel without segment routing: see the test
                    node.sysctl(f"net.ipv6.conf.{name}.seg6_enabled", 1)
            if number > 0:
                node.ip(f"-6 route add default via {link(number - 1, 1)}")
            if 0 < number < 4:
                node.ip(f"-6 route add fd97:99::/64 via {link(number, 2)}")
            if number < 2:
                node.ip(f"-6 route add fd97:2::/64 via {link(number, 2)}")
        nodes[2].ip(f"addr add {SEGMENT}/128 dev lo nodad")
        nodes[4].ip(f"addr add {TARGET}/128 dev lo nodad")
        yield nodes


@pytest.mark.parametrize("name", ROUTES)
def test_every_hop_is_named(nodes, binary, name):
    """In every protocol, with and without `flow`; and nobody is said to have translated anything, where the header of
    the quote is seen."""
    how, who = ROUTES[name]
    try:
        nodes[2].ip(f"-6 route add {EXIT}/128 encap seg6local action End.DT6 table 254 dev to3")
        nodes[0].ip(f"-6 route add fd97:99::/64 {how} via {link(0, 2)}")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no segment routing here: {error.stderr.strip()}")
    expected, requests = {}, []
    for protocol in filter(lambda one: able(f"segments::{one}"), served(PROTOCOLS)):
        for flow in ("", " flow 3") if protocol != "sctp" and able(f"flow 3 of {protocol}") else ("",):
            for ttl, node in enumerate(who, 1):
                expected[len(requests) + 1] = ("reply", TARGET) if node == 4 else ("ttl-expired", link(node - 1, 2))
                requests.append(f"{len(requests) + 1} send-probe ip-6 {TARGET} protocol {protocol} ttl {ttl}{flow} "
                                "detail 1 timeout 3")
    with Daemon(nodes[0], binary=binary) as daemon:
        replies = []
        for request in requests:  # one at a time: two of a flow may not be told apart at the target
            daemon.send(request)
            replies += daemon.collect(1, 5)
    wrong = [f"{requests[reply.token - 1]}: {reply.line}, not {expected[reply.token]}" for reply in replies
             if expected[reply.token] != (reply.kind, reply.args.get("ip-6")) 
             or ("nat" in reply.args and able("detail::quoted"))]
    assert not wrong, "\n".join(wrong)
