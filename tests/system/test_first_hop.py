# SPDX-License-Identifier: MIT
"""mtr, probe-trace, traceroute(8) and the kernel's own sockets name the same first hop, on hosts with several ways."""

import itertools
import platform
import re
import shutil
import tempfile

import pytest

from lab import cc, first_hop, net, transports
from lab.daemon import Daemon, built_binary
from lab.first_hop import NETWORK, PROGRAMS, PROTOCOLS, Probe, own, router

pytestmark = pytest.mark.skipif(net.why_no_namespaces() is not None, reason=str(net.why_no_namespaces()))
# Since Linux 6.15 IPv4 takes the next hop that the source belongs to; before, connected sockets may go unanswered.
SOURCE_CHOOSES = tuple(map(int, re.findall(r"\d+", platform.release())[:2])) >= (6, 15)
WITH_NO_SOURCE = [one for one in PROGRAMS if one not in ("mtr-as-usual", "mtr-its-own")]
ROUTERS = {family: [{router(family, uplink)} for uplink in (0, 1)] for family in (4, 6)}
every_family = pytest.mark.parametrize("family", (4, 6))


@pytest.fixture(scope="module", name="directory")
def fixture_directory():
    for program, package in (("mtr", "mtr-tiny"), ("traceroute", "traceroute")):
        if not shutil.which(program):
            pytest.skip(f"no {program} here: install the Debian package {package}")
    with tempfile.TemporaryDirectory(prefix="hopline-test-") as directory:
        yield first_hop.prepare(directory, built_binary())


@pytest.fixture(scope="module", name="routed")
def fixture_routed(directory):
    del directory
    with first_hop.Routed("hop") as routed:
        yield routed


@pytest.fixture(autouse=True)
def fixture_bare(routed):
    """No rules but the kernel's, no routes but the links', each time."""
    yield
    for family in (4, 6):
        lines = ["rule flush", "rule add pref 32766 lookup main", "route flush exact default", "route flush table 101"]
        routed.host.run("ip", f"-{family}", "-force", "-batch", "-", input="\n".join(lines) + "\n", check=False,
                        capture_output=True)
        routed.host.sysctl(f"net.ipv{family}.fib_multipath_hash_policy", 0)


def of_all(family, **more):
    return [Probe(family, protocol, **more) for protocol in PROTOCOLS]


def differences(found, expected, leave_out=lambda program, probe: False):
    """expected: of a probe, the uplink or None."""
    wrong = []
    for probe, hops in found.items():
        uplink = expected(probe)
        hop = None if uplink is None else router(probe.family, uplink)
        wrong += [f"{probe}: {name} {said}, not {hop}" for name, said in hops.items()
                  if said != hop and not leave_out(name, probe)]
    return "\n".join(wrong)


# name: rule, probes, which of them are for the rule
RULES = {
    "udp": ("ipproto udp", {}, lambda probe: probe.protocol == "udp"),
    "icmp": ("ipproto {icmp}", {}, lambda probe: probe.protocol == "icmp"),
    "dport": ("dport 53", {"port": 53}, lambda probe: probe.protocol != "icmp"),
    "sport": ("sport 4100-4120", {"sport": 4100}, lambda probe: probe.protocol != "icmp"),
    "tcp-dport": ("ipproto tcp dport 440-450", {"port": 443}, lambda probe: probe.protocol == "tcp"),
    "tos": ("tos 0x10", {"tos": 0x10}, lambda probe: True),
    "fwmark": ("fwmark 7", {"mark": 7}, lambda probe: True),
    "oif": ("oif up1", {"device": "up1"}, lambda probe: True),
    "uidrange": ("uidrange 65534-65534", {}, lambda probe: True),
}


def lead_by_rule(routed, family, rule):
    """The rule's traffic by the second uplink, to which the main table knows no way, all other by the first."""
    for line in (f"route add default via {router(family, 0)}", f"route add default via {router(family, 1)} table 101",
                 f"rule add pref 500 {rule} lookup 101"):
        routed.host.ip(f"-{family} {line}")


@every_family
@pytest.mark.parametrize("name", RULES)
def test_rule(routed, directory, name, family):
    rule, more, meant = RULES[name]
    rule = rule.format(icmp="icmp" if family == 4 else "ipv6-icmp")
    lead_by_rule(routed, family, rule)
    # Of the others: mtr names the source that a UDP socket without options has; its own program shows a rule no
    # protocol, port, mark or TOS; traceroute -T sends by a raw socket, which shows no port.
    programs = WITH_NO_SOURCE if name != "uidrange" or family == 4 else [one for one in WITH_NO_SOURCE if one != "mtr"]
    found = first_hop.ask(routed.host, of_all(family, **more), directory, as_user=name == "uidrange", programs=programs)
    wrong = differences(found, lambda probe: 1 if meant(probe) else 0,
                        lambda program, probe: program == "traceroute" and probe.protocol == "tcp" and "port" in rule)
    assert not wrong, wrong


@every_family
def test_source_that_mtr_names(routed, directory, family):
    """mtr as it is usually called: its probes fare as those of sockets that are bound to the source it names, which
    is what a UDP socket without options has. Is that of another uplink, nobody answers; -a 0.0.0.0 or :: helps."""
    lead_by_rule(routed, family, "ipproto udp")
    found = first_hop.ask(routed.host, of_all(family), directory, programs=["mtr-as-usual"])
    bound = first_hop.ask(routed.host, of_all(family, source=own(family, 1)), directory, programs=["socket"])
    assert [hops["mtr-as-usual"] for hops in found.values()] == [hops["socket"] for hops in bound.values()]


def add_two_next_hops(routed, family):
    hops = " ".join(f"nexthop via {router(family, uplink)}" for uplink in (0, 1))
    routed.host.ip(f"-{family} route add default {hops}")


@every_family
@pytest.mark.parametrize("policy", (0, 1))
def test_two_next_hops(routed, directory, family, policy):
    """By addresses alone (IPv4) all take the same one; IPv6 looks at the protocol, too, and traceroute and mtr's own
    program let it choose once for the source, and again for the packet, which is then perhaps not answered. With ports,
    which differ, each takes some hop; that it is answered tells that its source is of that uplink."""
    add_two_next_hops(routed, family)
    routed.host.sysctl(f"net.ipv{family}.fib_multipath_hash_policy", policy)
    probes = [Probe(family, protocol, number=number) for number in (1, 2) for protocol in PROTOCOLS]
    found = first_hop.ask(routed.host, probes, directory, programs=PROGRAMS if family == 4 else WITH_NO_SOURCE)
    some = {router(family, uplink) for uplink in (0, 1)}
    wrong = []
    for probe, hops in found.items():
        for name, hop in hops.items():
            allowed = {hops["socket"]} & some if policy == 0 else some
            if (family == 4 and not SOURCE_CHOOSES) or (family == 6 and name == "traceroute" and
                                                        (policy == 1 or probe.protocol != "udp")):
                allowed = {None, *allowed}
            if name == "mtr-its-own":  # a yardstick, which loses some
                allowed = {None, *allowed}
            if (family, name, probe.protocol) == (6, "probe-trace-plain", "icmp") and policy == 0:
                allowed = some  # it gives its probes a flow, and so a flow label
            if hop not in allowed:
                wrong.append(f"{probe}: {name} {hop}, not of {allowed}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("who, asked", [
    ("raw", "icmp flow 1"), ("raw", "udp flow-label 5"), ("plain", "tcp flow-label 5"),
    ("plain", "icmp flow 1"), ("plain", "icmp flow-label 5"), ("plain", "udp flow-label 5")])
def test_flow_labels(routed, directory, who, asked):
    """IPv6 chooses next hops by the flow label, too: whichever it is, the answer is heard."""
    add_two_next_hops(routed, 6)
    wrapper = transports.AS_NOBODY if who == "plain" else ()
    with Daemon(routed.host, binary=str(directory / "mtr-packet"), wrapper=wrapper) as daemon:
        targets = [Probe(6, "icmp", number=number).target for number in range(1, 17)]
        daemon.send(*(f"1 send-probe ip-6 {target} protocol {asked} ttl 1 timeout 0.3" for target in targets))
        replies = daemon.collect(16)
    assert not (silent := [reply.line for reply in replies if reply.kind != "ttl-expired"]), silent


@pytest.mark.parametrize("uplinks", [(0,), (1,), (0, 1)], ids=str)
def test_default_routes_by_source(routed, directory, uplinks):
    """RFC 8028: IPv6 default routes that only a source finds. Without the one for the first uplink, whose address
    sockets prefer, there is no way out for anybody who names no source."""
    for uplink in uplinks:
        network = own(6, uplink).removesuffix("1") + "/64"
        routed.host.ip(f"-6 route add default from {network} via {router(6, uplink)} dev up{uplink}")
    probes = of_all(6) + [one for uplink in uplinks for one in of_all(6, source=own(6, uplink))]
    found = first_hop.ask(routed.host, probes, directory)
    by_source = {own(6, uplink): uplink for uplink in uplinks}
    by_source[""] = 0 if 0 in uplinks else None
    assert not (wrong := differences(found, lambda probe: by_source[probe.source])), wrong


def test_router_of_the_other_family(routed, directory):
    """RFC 8950: an IPv4 route by an IPv6 next hop."""
    routed.host.ip(f"-4 route add default via inet6 {router(6, 1)} dev up1")
    assert not (wrong := differences(first_hop.ask(routed.host, of_all(4), directory), lambda probe: 1)), wrong


@every_family
@pytest.mark.parametrize("blocked", PROTOCOLS)
def test_policy_for_one_protocol(routed, directory, family, blocked):
    """A policy of IPsec that blocks one protocol: nobody names a hop for that, all do for the others."""
    routed.host.ip(f"-{family} route add default via {router(family, 0)}")
    number = "ipv6-icmp" if (family, blocked) == (6, "icmp") else blocked
    routed.host.run("ip", f"-{family}", "xfrm", "policy", "add", "dst", NETWORK[family], "proto", number, "dir", "out",
                    "action", "block")
    try:
        # Without -a mtr connects a UDP socket first, and so ends itself where that is blocked.
        found = first_hop.ask(routed.host, of_all(family), directory, programs=WITH_NO_SOURCE)
    finally:
        routed.host.run("ip", "xfrm", "policy", "flush")
    assert not (wrong := differences(found, lambda probe: None if probe.protocol == blocked else 0)), wrong


@pytest.mark.parametrize("mode, family, protocol", [
    *(("netlink", family, protocol) for family, protocol in itertools.product((4, 6), PROTOCOLS)), ("limits", 6, "tcp")])
def test_confined(routed, directory, mode, family, protocol):
    """Where netlink is refused, or no limit can be raised: two next hops, which are chosen from by the addresses."""
    if not cc.has_seccomp() or cc.sanitized():
        pytest.skip("the launcher needs libseccomp, and the sanitizers make calls of their own")
    confine = (cc.program("confine.c", "-lseccomp"), mode)
    add_two_next_hops(routed, family)
    probes = [Probe(family, protocol, number=number) for number in range(1, 9)]  # each host chooses in its own way
    found = first_hop.ask(routed.host, probes, directory, confine=confine,
                          programs=("mtr", "mtr-plain", "probe-trace", "socket"))
    wrong = [f"{probe}: {hops}" for probe, hops in found.items() if set(hops.values()) not in ROUTERS[family]]
    assert not wrong, "\n".join(wrong)


@every_family
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_confined_rule(routed, directory, family, protocol):
    """Where netlink is refused, and a rule has a protocol's packets by another uplink: they leave as from there."""
    if not cc.has_seccomp() or cc.sanitized():
        pytest.skip("the launcher needs libseccomp, and the sanitizers make calls of their own")
    lead_by_rule(routed, family, "ipproto " + {"icmp": "icmp" if family == 4 else "ipv6-icmp"}.get(protocol, protocol))
    found = first_hop.ask(routed.host, [Probe(family, one) for one in PROTOCOLS], directory,
                          confine=(cc.program("confine.c", "-lseccomp"), "netlink"), programs=("mtr", "probe-trace", "socket"))
    assert not (wrong := differences(found, lambda probe: int(probe.protocol == protocol))), wrong
