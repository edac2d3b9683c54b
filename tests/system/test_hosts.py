# SPDX-License-Identifier: MIT
"""Three hosts in a row: client - router - target, with the kernels' own routing and answers.

Each kind of place on such a network is asked of by every protocol in both families, all at the same time, so the
answers also have to be told apart.
"""

import contextlib
import dataclasses
import itertools
import socket
import time

import pytest

from lab import transports, wire
from lab.daemon import Daemon, target as to
from lab.datagrams import answering, hearing
from lab.net import Namespace, join

PROTOCOLS = "icmp", "udp", "tcp", "sctp"
FAMILIES = 4, 6
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
OPEN, ECHO = 80, 7
SETTLE = 0.05  # between a change of the routes and the next request


def place(net, host=1):
    """The address of a host on one of the lab's networks, by family."""
    return {4: f"10.51.{net}.{host}", 6: f"fd51:{net}::{host:x}"}


def network(net):
    return {4: f"10.51.{net}.0/24", 6: f"fd51:{net}::/64"}


EVERYWHERE = {4: "10.51.0.0/16", 6: "fd51::/16"}
CLIENT = place(1, 1)
ROUTER, ROUTER_EAST = place(1, 254), place(2, 254)
TARGET = place(2, 2)
SILENT = place(2, 3)  # an address of the target, which drops what it gets there
THIS_HOST, LOOPBACK = {4: "0.0.0.0", 6: "::"}, {4: "127.0.0.1", 6: "::1"}
BLACKHOLE, UNREACHABLE, PROHIBITED, NOWHERE = place(66), place(67), place(68), place(69)
NARROW = network(71)  # behind a route so small that a SYN of 60 bytes with DF is too big; IPv6 knows none under 1280
NARROW_MTU = {4: 50, 6: 1280}

# What the router rejects, and with what: a host of network 70 for each.
REJECTS = {
    "net-unreachable": (4, "icmp", 1, "no-route-network"),
    "host-unreachable": (4, "icmp", 2, "no-route-host"),
    "prot-unreachable": (4, "icmp", 3, "no-route-host"),
    "port-unreachable": (4, "icmp", 4, "no-route-host"),
    "net-prohibited": (4, "icmp", 5, "no-route-host"),
    "host-prohibited": (4, "icmp", 6, "no-route-host"),
    "admin-prohibited": (4, "icmp", 7, "no-route-host"),
    "no-route": (6, "icmpv6", 1, "no-route-network"),
    "admin-prohibited6": (6, "icmpv6", 2, "no-route-host"),
    "addr-unreachable": (6, "icmpv6", 3, "no-route-host"),
    "port-unreachable6": (6, "icmpv6", 4, "no-route-host"),
    "policy-fail": (6, "icmpv6", 5, "no-route-host"),
    "reject-route": (6, "icmpv6", 6, "no-route-host"),
}

ROUTER_RULES = "table inet rejects { chain forward { type filter hook forward priority 0;\n%s\n}\n}" % "\n".join(
    f"{'ip' if family == 4 else 'ip6'} daddr {place(70, host)[family]} reject with {kind} type {name.rstrip('6')}"
    for name, (family, kind, host, _) in REJECTS.items())

TARGET_RULES = f"""table inet silent {{ chain input {{ type filter hook input priority 0;
ip daddr {SILENT[4]} drop
ip6 daddr {SILENT[6]} drop
}}
}}"""


@dataclasses.dataclass
class Case:
    """A request and the reply that the contract says."""

    name: str
    family: int
    request: str
    kind: str
    sender: str = ""  # "" for a reply without address

    def __str__(self):
        return self.name


def everywhere():
    """Every protocol in each family to each kind of place."""
    places = [
        ("answers", TARGET, "", "reply", TARGET),
        ("ttl-1", TARGET, " ttl 1", "ttl-expired", ROUTER),
        ("ttl-2", TARGET, " ttl 2", "reply", TARGET),
        ("router", ROUTER, " ttl 1", "reply", ROUTER),
        ("blackhole", BLACKHOLE, " timeout 1", "no-reply", None),
        ("dropped", SILENT, " timeout 1", "no-reply", None),
    ]
    for (name, where, more, kind, sender), family, protocol in itertools.product(places, FAMILIES, PROTOCOLS):
        yield Case(f"{name}-{protocol}-{family}", family, f"send-probe {to(where[family])} protocol {protocol}{more}",
                   kind, sender[family] if sender else "")


def rejected():
    """Every protocol to each kind of rejection by a filter in the router. That which a host without a listener gives is
    an answer, whoever sends it."""
    by_hosts = {("port-unreachable", "udp"), ("port-unreachable6", "udp"), ("prot-unreachable", "sctp")}
    for (name, (family, _, host, kind)), protocol in itertools.product(REJECTS.items(), PROTOCOLS):
        kind = "reply" if (name, protocol) in by_hosts else kind
        yield Case(f"{name}-{protocol}", family,
                   f"send-probe {to(place(70, host)[family])} protocol {protocol}", kind, ROUTER[family])


def unrouted():
    """Places that the router's routes refuse (by a limit of the kernel, five at once and one a second in IPv4)."""
    rows = [
        ("prohibit-route", PROHIBITED, 4, "icmp", "no-route-host"),
        ("unreachable-route", UNREACHABLE, 4, "udp", "no-route-host"),
        ("no-route", NOWHERE, 4, "icmp", "no-route-network"),
        ("no-route", NOWHERE, 4, "tcp", "no-route-network"),
        *(("prohibit-route", PROHIBITED, 6, protocol, "no-route-host") for protocol in PROTOCOLS),
        *(("unreachable-route", UNREACHABLE, 6, protocol, "no-route-network") for protocol in PROTOCOLS),  # 1/0
        *(("no-route", NOWHERE, 6, protocol, "no-route-network") for protocol in PROTOCOLS),
    ]
    for name, where, family, protocol, kind in rows:
        yield Case(f"{name}-{protocol}-{family}", family,
                   f"send-probe {to(where[family])} protocol {protocol}", kind, ROUTER[family])


def ports():
    """Open and closed ports of the target."""
    rows = [("tcp-open", "tcp port %d" % OPEN), ("tcp-closed", "tcp port 81"), ("udp-echo", "udp port %d" % ECHO),
            ("udp-closed", "udp port 81"), ("sctp-port", "sctp port 5000")]
    for (name, words), family in itertools.product(rows, FAMILIES):
        yield Case(f"{name}-{family}", family, f"send-probe {to(TARGET[family])} protocol {words}",
                   "reply", TARGET[family])


def here():
    """This host, by the addresses that stand for it. Of sctp nothing is said where a raw socket listens for it, as ours."""
    for family, protocol in itertools.product(FAMILIES, ("icmp", "udp", "tcp")):
        yield Case(f"this-host-{protocol}-{family}", family, f"send-probe {to(THIS_HOST[family])} protocol {protocol} timeout 1",
                   "reply", LOOPBACK[family])


CASES = [*everywhere(), *rejected(), *unrouted(), *ports(), *here()]


@dataclasses.dataclass
class Hosts:
    client: Namespace
    router: Namespace
    target: Namespace


@pytest.fixture(scope="module")
def hosts(root, transport):  # other ones for each transport, since their kernels remember what the first was told
    """The three hosts. The target listens on tcp port 80 and echoes on udp port 7."""
    with Namespace("hosts-client") as client, Namespace("hosts-router") as router, \
            Namespace("hosts-target") as target, \
            contextlib.ExitStack() as stack:
        join(client, "east", router, "west", with_length(CLIENT), with_length(ROUTER))
        join(router, "east", target, "west", with_length(ROUTER_EAST), with_length(TARGET, SILENT))
        for family in FAMILIES:
            client.ip(f"-{family} route add {EVERYWHERE[family]} via {ROUTER[family]}")
            target.ip(f"-{family} route add {EVERYWHERE[family]} via {ROUTER_EAST[family]}")
            router.ip(*(f"-{family} route add {what}" for what in (
                f"{network(70)[family]} via {TARGET[family]}",
                f"{NARROW[family]} via {TARGET[family]} mtu {NARROW_MTU[family]}",
                f"blackhole {BLACKHOLE[family]}",
                f"unreachable {UNREACHABLE[family]}",
                f"prohibit {PROHIBITED[family]}")))
        router.sysctl("net.ipv4.ip_forward", 1)
        router.sysctl("net.ipv6.conf.all.forwarding", 1)
        router.nft(ROUTER_RULES)
        target.nft(TARGET_RULES)
        for family in FAMILIES:
            stack.enter_context(listening(target, family))
            stack.enter_context(answering(target, TARGET[family], ECHO, lambda asked: asked))
        yield Hosts(client, router, target)


def with_length(*places):
    return [address + ("/64" if family == 6 else "/24") for where in places for family, address in where.items()]


def listening(namespace, family):
    sock = namespace.socket(FAMILY[family], socket.SOCK_STREAM)
    sock.bind((TARGET[family], OPEN))
    sock.listen(100)
    return sock


@pytest.fixture(scope="module")
def answers(binary, hosts):
    """The reply to each case, by name: all of them asked at once of one daemon."""
    with Daemon(hosts.client) as daemon:
        daemon.send(*(f"{number} {case.request}" for number, case in enumerate(CASES)))
        daemon.close_stdin()
        daemon.wait(15)
        replies = {}
        for reply in daemon.replies:
            replies.setdefault(reply.token, []).append(reply)
        return {case.name: replies.get(number, []) for number, case in enumerate(CASES)}


@pytest.fixture
def daemon(binary, hosts):
    with Daemon(hosts.client) as running:
        yield running


@pytest.mark.parametrize("case", CASES, ids=str)
def test_answer(answers, case):
    """"Replies to send-probe" and "How answers map": kind, who sent it, nothing else, one reply a request."""
    got = [reply.line.split(" ", 1)[1] for reply in answers[case.name]]
    assert len(got) == 1, f"{case.request}\nexpected one reply, {case.kind}, and got {got}"
    reply = answers[case.name][0]
    names = [f"ip-{case.family}", "round-trip-time"] if case.sender else []
    expected = (case.kind, case.sender, names)
    assert (reply.kind, reply.address or "", list(reply.args)) == expected, \
        f"{case.request}\nexpected {expected}, got: {reply}"
    if case.sender:
        assert 0 <= reply.rtt < 1_000_000, f"a round trip within this machine: {reply}"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("chunk", [wire.sctp_init_ack, wire.sctp_abort], ids=["init-ack", "abort"])
def test_sctp_answers(daemon, hosts, family, chunk):
    """"SCTP INIT-ACK or ABORT ...: reply", from a target whose sctp is played on a raw socket."""
    try:
        sock = hosts.target.socket(FAMILY[family], socket.SOCK_RAW, wire.SCTP)
    except OSError as error:
        pytest.skip(f"no raw sctp socket: {error}")

    sock.bind((TARGET[family], 0))

    def answer(data, sender):
        init = wire.decode(data if family == 4 else wire.ip6(sender[0], TARGET[6], "sctp", data))
        if init.chunk == 1:
            sock.sendto(chunk(init.dport, init.sport, init.init_tag), (sender[0], 0))

    with sock, hearing(sock, answer):
        reply = daemon.ask(f"send-probe {to(TARGET[family])} protocol sctp port 5001")
    assert (reply.kind, reply.address) == ("reply", TARGET[family]), f"got: {reply}"


@pytest.mark.parametrize("words, family, host", [  # a host each, since the kernel remembers the MTU
    pytest.param("protocol tcp", 4, 1, id="tcp-4"),
    pytest.param("protocol icmp size 1500", 6, 1, id="icmp-6"),
    pytest.param("protocol udp size 1500", 6, 2, id="udp-6"),
])
def test_packet_too_big(daemon, words, family, host):
    """"packet-too-big, with the sender, round-trip-time and mtu N, for ICMP 3/4, ICMPv6 2"."""
    reply = daemon.ask(f"send-probe {to(place(71, host)[family])} {words}")
    got = reply.kind, reply.address, reply.args.get("mtu"), list(reply.args)
    expected = "packet-too-big", ROUTER[family], str(NARROW_MTU[family]), [f"ip-{family}", "round-trip-time", "mtu"]
    assert got == expected, f"expected {expected}, got: {reply}"
    assert reply.rtt < 1_000_000


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("words, expected", [
    ("ip-4 10.99.0.1", "no-route-network"),
    ("ip-6 fd99::1", "no-route-network"),
    ("ip-4 10.98.0.1", "no-route-host"),
    ("ip-6 fd98::1", "no-route-host"),
    (f"{to(TARGET[4])} local-device nosuch", "network-down reason no-such-device"),
    (f"{to(TARGET[6])} local-device nosuch", "network-down reason no-such-device"),
    (f"{to(TARGET[4])} local-ip-4 10.99.0.2", "address-not-available"),
    (f"{to(TARGET[6])} local-ip-6 fd99::2", "address-not-available"),
    (f"{to(TARGET[4])} local-address 10.99.0.2", "address-not-available"),
    (f"{to(place(97)[4])}", "permission-denied"),
    (f"{to(place(97)[6])}", "permission-denied"),
    ("ip-4 10.51.1.255", "permission-denied"),
])
def test_local_refusal(daemon, refusals, words, expected, protocol):
    """"the local host has no route (bare)"; "the local host refused to send"."""
    reply = daemon.ask(f"send-probe {words} protocol {protocol}")
    assert reply.line.split(" ", 1)[1] == expected


@pytest.fixture(scope="module")
def refusals(hosts):
    """What the client itself refuses: a route of type unreachable, an output filter."""
    hosts.client.ip("route add unreachable 10.98.0.0/16", "-6 route add unreachable fd98::/16")
    hosts.client.nft(f"""table inet refusals {{ chain output {{ type filter hook output priority 0;
        ip daddr {place(97)[4]} drop
        ip6 daddr {place(97)[6]} drop
    }}
}}""")


@pytest.mark.parametrize("family", FAMILIES)
def test_local_port_in_use(daemon, hosts, family, transport):
    """A udp local-port that another socket holds: raw sockets need no bind, but for a payload; sockets of the kernel do
    ("address-in-use (EADDRINUSE)"). It works again when that is gone."""
    request = f"send-probe {to(TARGET[family])} protocol udp port 81 local-port "
    with hosts.client.socket(FAMILY[family], socket.SOCK_DGRAM) as sock:
        sock.bind((CLIENT[family], 0))
        request += str(sock.getsockname()[1])
        assert daemon.ask(request).kind == {transports.RAW: "reply", transports.PLAIN: "address-in-use"}[transport]
        assert daemon.ask(f"{request} payload c0ffee").line.split(" ", 1)[1] == "address-in-use"
    assert daemon.ask(f"{request} payload c0ffee").kind == daemon.ask(request).kind == "reply"


@pytest.mark.parametrize("how", [dict(args=["--replies", "0.95"]), dict(env={"MTR_PACKET_REPLIES": "0.95"})],
                         ids=["option", "environment"])
def test_replies_of_095(binary, hosts, how):
    """"with --replies 0.95, or the environment variable MTR_PACKET_REPLIES=0.95 every no-route-* is no-route"."""
    with Daemon(hosts.client, **how) as daemon:
        for family, _, host, _ in REJECTS.values():
            reply = daemon.ask(f"send-probe {to(place(70, host)[family])}")
            assert (reply.kind, reply.address) == ("no-route", ROUTER[family])
        assert daemon.ask("send-probe ip-4 10.99.0.1").line.split(" ", 1)[1] == "no-route"


def test_routes_come_and_go(daemon, hosts):
    """No route, bare, as long as the local host has none; what the network says when there is one again."""
    (family, _, host, kind), where = REJECTS["net-unreachable"], "unreachable 10.51.70.0/24"
    request = f"send-probe {to(place(70, host)[family])}"
    for _ in range(3):
        hosts.client.ip(f"route add {where}")
        time.sleep(SETTLE)
        assert daemon.ask(request).line.split(" ", 1)[1] == "no-route-host"
        hosts.client.ip(f"route del {where}")
        time.sleep(SETTLE)
        reply = daemon.ask(request)
        assert (reply.kind, reply.address) == (kind, ROUTER[family])
