# SPDX-License-Identifier: MIT
"""What a probe asks for beside the usual: ECN of tcp, ICMP timestamps and extended echoes, and the answer's payload."""

import contextlib
import itertools
import socket
import time

import pytest

from lab.daemon import Daemon
from lab.datagrams import answering
from lab.net import Namespace, join
from lab.pair import ANSWERS, CLIENT, SILENT
from lab.path import WHOLE, Path, hop_address, hops, target, target_address
from lab.transports import PLAIN, RAW, able

FAMILIES = 4, 6
PORT = 80
DAY = 86_400_000
REFUSED = "invalid-argument reason protocol-not-supported argument"
TARGET = target_address(0)
NEAR, ROUTER = {4: "10.53.1.1", 6: "fd53:1::1"}, {4: "10.53.1.254", 6: "fd53:1::fe"}

pytestmark = pytest.mark.usefixtures("root")
every_family = pytest.mark.parametrize("family", FAMILIES)

ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
CODEPOINTS = {0: "not-ect", 1: "ect-1", 2: "ect-0", 3: "ce"}
SYN_FLAGS = "tcp flags & (syn|ack) == syn"  # of the client's

# What a router may do to the IP header of what it forwards, and to the TCP header of a SYN: nft rules for its forward chain.
BLEACHES = "ip ecn set not-ect; ip6 ecn set not-ect"
MARKS = "ip ecn set ce; ip6 ecn set ce"
CLEARS_ALL = f"{SYN_FLAGS} tcp reserved set 0; {SYN_FLAGS} tcp flags set syn"
CLEARS_CWR = f"{SYN_FLAGS} tcp flags set syn|ecn"
CLEARS_AE = f"{SYN_FLAGS} tcp reserved set 0"


@pytest.fixture(scope="module")
def row():
    """A client, a router that forwards by the kernel, and what is played behind that."""
    with Namespace("kinds") as client, Namespace("kinds-router") as router:
        join(client, "wire", router, "wire", a_addrs=[NEAR[4] + "/24", NEAR[6] + "/64"],
             b_addrs=[ROUTER[4] + "/24", ROUTER[6] + "/64"])
        for family in FAMILIES:
            client.ip(f"-{family} route add {ANYWHERE[family]} via {ROUTER[family]}")
        router.sysctl("net.ipv4.ip_forward", 1)
        router.sysctl("net.ipv6.conf.all.forwarding", 1)
        with Path(router) as path:
            path.client, path.router = client, router
            yield path


@contextlib.contextmanager
def rules(namespace, text):
    """These rules for what it forwards, while this lasts."""
    chain = "type filter hook forward priority -150;"
    namespace.nft("table inet kinds {\nchain forward {\n%s\n%s\n}\n}" % (chain, text.replace(";", "\n")))
    try:
        yield
    finally:
        namespace.nft("delete table inet kinds")


@pytest.fixture
def along(row, binary):
    """A daemon on the row's client."""
    with Daemon(row.client, binary=binary) as running:
        yield running
        assert running.finish() == (0, "")


@pytest.fixture
def server(pair):
    """A port of the pair's target that is open, in both families."""
    with contextlib.ExitStack() as stack:
        for family in FAMILIES:
            sock = stack.enter_context(pair.target.socket(socket.AF_INET6 if family == 6 else socket.AF_INET))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((ANSWERS[family], PORT))
            sock.listen(512)
        yield


@contextlib.contextmanager
def setting(namespace, name, value, usual):
    namespace.sysctl(name, value)
    try:
        yield
    finally:
        namespace.sysctl(name, usual)


def request(family, address, words):
    return f"send-probe ip-{family} {address[family]} timeout 2 {words}"


def supports(daemon, feature):
    return daemon.ask(f"check-support feature {feature}").args["support"]


# ---------------------------------------------------------------- tcp-ecn

@every_family
@pytest.mark.parametrize("serves", [0, 1, 2])
def test_linux_says_classic(pair, server, binary, transport, serves, family):
    """`tcp-ecn WORD` of a Linux server, by its net.ipv4.tcp_ecn: before Linux 7 it knows RFC 3168 alone. Without privileges
    the SYN is what the client's own setting makes it, and another is protocol-not-supported."""
    own = {0: "off", 1: "classic", 2: "off"}
    for asks, word in itertools.product([0, 1, 2], ["off", "classic", "accurate"]):
        with setting(pair.target, "net.ipv4.tcp_ecn", serves, 2), setting(pair.client, "net.ipv4.tcp_ecn", asks, 2), \
                Daemon(pair.client, binary=binary) as daemon:
            assert supports(daemon, "tcp-ecn") == ("ok" if transport == RAW or asks == 1 else "no")
            reply = daemon.ask(request(family, ANSWERS, f"protocol tcp tcp-ecn {word}"))
            if transport == PLAIN and word != own[asks]:
                assert reply.line.endswith(f"{REFUSED} tcp-ecn")
                continue
            said = "none" if word == "off" or serves == 0 else "classic"
            assert (reply.kind, reply.args.get("tcp-ecn")) == ("reply", said), (serves, asks, word, reply.line)
            assert "tcp-ecn" not in daemon.ask(request(family, ANSWERS, "protocol tcp")).args


@every_family
def test_a_closed_port_says_nothing(pair, daemon, family):
    """A RST has no ECN to tell of; nor has an address that is silent."""
    reply = daemon.ask(request(family, ANSWERS, "protocol tcp port 81 tcp-ecn off"))
    assert reply.kind == "reply" and "tcp-ecn" not in reply.args
    reply = daemon.ask(request(family, SILENT, "protocol tcp tcp-ecn off timeout 0.1"))
    assert reply.line.endswith(" no-reply")


@every_family
def test_a_route_that_asks_for_ecn(pair, server, daemon, transport, family):
    """A route's `features ecn` makes the kernel ask for it: no probe passes for one that does not."""
    pair.client.ip(f"-{family} route add {ANSWERS[family]} dev wire features ecn")
    try:
        reply = daemon.ask(request(family, ANSWERS, "protocol tcp tcp-ecn off"))
        if transport == PLAIN:
            assert reply.line.endswith(f"{REFUSED} tcp-ecn")
        else:
            assert reply.args["tcp-ecn"] == "none"
    finally:
        pair.client.ip(f"-{family} route del {ANSWERS[family]} dev wire")


@every_family
def test_accurate_ecn(row, along, family):
    """An accurate target says which codepoint the SYN came with: as sent, bleached, or marked on the way."""
    row.play(hops(1), [target(0, tcp="accurate")])
    for rule, seen in (("", CODEPOINTS), (BLEACHES, dict.fromkeys(CODEPOINTS, "not-ect")),
                       (MARKS, dict.fromkeys(CODEPOINTS, "ce"))):
        with rules(row.router, rule):
            for tos, word in seen.items():
                reply = along.ask(request(family, TARGET, f"protocol tcp tcp-ecn accurate tos {tos}"))
                assert (reply.kind, reply.args.get("tcp-ecn")) == ("reply", word), (rule, tos, reply.line)
            for asked in ("classic", "off"):
                reply = along.ask(request(family, TARGET, f"protocol tcp tcp-ecn {asked}"))
                assert (reply.kind, reply.args.get("tcp-ecn")) == ("reply", "none")


@every_family
def test_a_router_that_clears_bits_of_tcp(row, along, family):
    """Bits that a router clears are missed by the target; and a later router's quote of that SYN is known, and no NAT's."""
    row.play(hops(2), [target(0, tcp="accurate")])
    with rules(row.router, CLEARS_AE):
        assert along.ask(request(family, TARGET, "protocol tcp tcp-ecn accurate tos 2")).args["tcp-ecn"] == "none"
    for rule, asked in itertools.product(("", CLEARS_ALL, CLEARS_AE, CLEARS_CWR), ("accurate", "classic", "off")):
        row.play(hops(2, quote=WHOLE), [])
        with rules(row.router, rule):
            reply = along.ask(request(family, TARGET, f"protocol tcp tcp-ecn {asked} ttl 2 detail 1"))
        assert reply.kind == "ttl-expired" and reply.address == hop_address(1)[family], (rule, asked, reply.line)
        assert "nat" not in reply.args and "tcp-ecn" not in reply.args, (rule, asked, reply.line)


# ---------------------------------------------------------------- icmp-request timestamp

def milliseconds():
    return time.time_ns() // 1_000_000 % DAY


def test_the_clock_of_linux(pair, daemon, transport):
    """`originate`, `receive` and `transmit` in milliseconds since midnight UT; of this host all three agree."""
    if transport == PLAIN:
        assert daemon.ask(request(4, ANSWERS, "icmp-request timestamp")).line.endswith(f"{REFUSED} icmp-request")
        return
    assert supports(daemon, "icmp-request") == "ok"
    before = milliseconds()
    reply = daemon.ask(request(4, ANSWERS, "icmp-request timestamp size 1000 detail 1"))
    times = [int(reply.args[name]) for name in ("originate", "receive", "transmit")]
    assert all((at - before) % DAY < 2000 for at in times) and (times[1] - times[0]) % DAY < 1000, reply.line
    assert (reply.kind, reply.args["icmp-type"], reply.args["reply-size"]) == ("reply", "14", "40")
    reply = daemon.ask(request(6, ANSWERS, "icmp-request timestamp"))
    assert reply.line.endswith("invalid-argument reason wrong-family argument icmp-request")
    reply = daemon.ask(request(4, SILENT, "icmp-request timestamp timeout 0.1"))
    assert reply.line.endswith(" no-reply")


@pytest.mark.parametrize("clock", [(1, 2), (86_399_999, 3), (0x80000005, 0xffffffff), (0, 0)],
                         ids=["usual", "midnight", "not standard", "always 0"])
def test_clocks_of_every_habit(row, along, clock):
    """What the target says, as it came: across midnight, and with the high bit of times that are not standard."""
    row.play(hops(2), [target(0, clock=clock)])
    reply = along.ask(request(4, TARGET, "icmp-request timestamp"))
    assert (reply.kind, reply.address) == ("reply", TARGET[4])
    assert (int(reply.args["receive"]), int(reply.args["transmit"])) == clock
    for ttl, router in (1, ROUTER), (2, hop_address(1)), (3, hop_address(2)):
        reply = along.ask(request(4, TARGET, f"icmp-request timestamp ttl {ttl}"))
        assert (reply.kind, reply.address) == ("ttl-expired", router[4]) if ttl < 3 else reply.address == router[4]
        assert "originate" not in reply.args


# ---------------------------------------------------------------- icmp-request extended-echo

@pytest.fixture
def probed(pair):
    """The target tells of its interfaces, one of which is down; wire's index is in the result."""
    pair.target.ip("link add idle type veth peer name bare", "addr add 10.54.0.1/24 dev idle")
    with setting(pair.target, "net.ipv4.icmp_echo_enable_probe", 1, 0), pair.target.enter():
        yield socket.if_nametoindex("wire")
    pair.target.ip("link del idle")


def interface(reply):
    names = "extended-code", "state", "active", "ip-4-active", "ip-6-active"
    return tuple(int(reply.args[name]) for name in names)


@every_family
def test_interfaces_of_linux(pair, probed, daemon, family):
    """By name, index and address of either family: which are there, up, and have addresses."""
    assert supports(daemon, "icmp-request") == "ok"
    rows = [
        ("name wire", (0, 0, 1, 1, 1)),
        (f"index {probed}", (0, 0, 1, 1, 1)),
        (f"address {ANSWERS[4]}", (0, 0, 1, 1, 1)),
        (f"address {ANSWERS[6]}", (0, 0, 1, 1, 1)),
        ("name idle", (0, 0, 0, 1, 0)),
        ("name bare", (0, 0, 0, 0, 0)),
        ("name nosuch", (2, 0, 0, 0, 0)),
        ("index 9999", (2, 0, 0, 0, 0)),
        ("address 192.0.2.99", (2, 0, 0, 0, 0)),
        ("name thirteen-long", (1, 0, 0, 0, 0)),  # filled up to 16 bytes, which Linux finds too long
    ]
    for name, expected in rows:
        reply = daemon.ask(request(family, ANSWERS, f"icmp-request extended-echo interface-{name} size 9 detail 1"))
        assert (reply.kind, reply.address) == ("reply", ANSWERS[family]) and interface(reply) == expected, (name, reply.line)
        assert reply.args["icmp-type"] == {4: "43", 6: "161"}[family] and reply.args["icmp-code"] == str(expected[0])
    reply = daemon.ask(request(family, ANSWERS, "icmp-request extended-echo interface-name wire "
                                                f"local-ip-{family} {CLIENT[family]}"))
    assert interface(reply) == (0, 0, 1, 1, 1)
    reply = daemon.ask(request(family, ANSWERS, "icmp-request extended-echo"))
    assert reply.line.endswith("invalid-argument reason bad-value argument icmp-request")


@every_family
def test_a_host_that_does_not_tell(pair, daemon, family):
    """As Linux by default."""
    reply = daemon.ask(request(family, ANSWERS, "icmp-request extended-echo interface-name wire timeout 0.2"))
    assert reply.line.endswith(" no-reply")


@every_family
def test_interfaces_of_every_state(row, along, family):
    """Every code and state, and each flag; routers on the way are named as with any probe."""
    for code, state in [(code, 0) for code in range(5)] + [(0, state << 5 | state) for state in range(8)] + [(255, 255)]:
        row.play(hops(1), [target(0, interface=(code, state))])
        reply = along.ask(request(family, TARGET, "icmp-request extended-echo interface-index 7"))
        assert reply.kind == "reply"
        assert interface(reply) == (code, state >> 5, state >> 2 & 1, state >> 1 & 1, state & 1), reply.line


@every_family
def test_routers_before_an_interface(row, along, family):
    """They are named as with any probe; but routers that run Linux take the type for an error of IPv4 and are silent."""
    row.play(hops(2), [target(0)])
    for ttl, router in (1, None if family == 4 else ROUTER), (2, hop_address(1)), (3, hop_address(2)):
        words = f"icmp-request extended-echo interface-name eth0 timeout 0.5 ttl {ttl}"
        reply = along.ask(request(family, TARGET, "").replace(" timeout 2", "") + words)
        if router:
            assert (reply.kind, reply.address) == ("ttl-expired", router[family]) and "state" not in reply.args
        else:
            assert reply.kind == "no-reply"


@every_family
def test_no_more_than_few(pair, probed, daemon, family):
    """To one target 256 wait for an answer, or the next would be easier to guess; thousands follow each other."""
    line = request(family, SILENT, "icmp-request extended-echo interface-name wire timeout 1.5")
    daemon.send(*(f"{token} {line}" for token in range(300)))
    kinds = [reply.kind for reply in daemon.collect(300)]
    assert kinds.count("no-reply") == 256 and kinds.count("probes-exhausted") == 44
    for turn in range(20):
        line = request(family, ANSWERS, "icmp-request extended-echo interface-name wire")
        daemon.send(*(f"{turn * 250 + token} {line}" for token in range(250)))
        assert {(reply.kind, interface(reply)) for reply in daemon.collect(250)} == {("reply", (0, 0, 1, 1, 1))}


# ---------------------------------------------------------------- reply-payload

@every_family
def test_payload_of_a_datagram(pair, daemon, family):
    """Up to N first bytes of the answer, in hex; nothing where it has none, or was not asked."""
    assert supports(daemon, "reply-payload") == "ok"
    payload = bytes(range(256)) * 5
    with answering(pair.target, ANSWERS[family], 7, lambda asked: payload):
        for count in (1, 8, 1000, 1024):
            reply = daemon.ask(request(family, ANSWERS, f"protocol udp port 7 reply-payload {count} detail {count % 2}"))
            assert reply.args["reply-payload"] == payload[:count].hex() and len(reply.line) < 4096
        assert "reply-payload" not in daemon.ask(request(family, ANSWERS, "protocol udp port 7")).args
    with answering(pair.target, ANSWERS[family], 7, lambda asked: b""):
        reply = daemon.ask(request(family, ANSWERS, "protocol udp port 7 reply-payload 9"))
        assert reply.kind == "reply" and "reply-payload" not in reply.args
    reply = daemon.ask(request(family, ANSWERS, "protocol udp port 9 reply-payload 9"))  # closed
    assert reply.kind == "reply" and "reply-payload" not in reply.args


@every_family
def test_payload_of_an_echo(pair, daemon, family):
    reply = daemon.ask(request(family, ANSWERS, "payload c0ffee bit-pattern 85 size 60 reply-payload 5"))
    assert reply.args["reply-payload"] == "c0ffee5555"
    reply = daemon.ask(request(family, ANSWERS, "bit-pattern 7 size 60 reply-payload 1024"))
    assert reply.args["reply-payload"] == "07" * (60 - {4: 28, 6: 48}[family])
    for words in ("protocol tcp reply-payload 5", "protocol sctp reply-payload 5"):
        if able(words):
            assert daemon.ask(request(family, ANSWERS, words)).line.endswith(f"{REFUSED} reply-payload")


@every_family
def test_payloads_of_many(row, along, family):
    """With `collect` each answer has its own."""
    row.play(hops(1), [target(0, payload=b"\0\xff!", copies=3)])
    along.send("7 " + request(family, TARGET, "protocol udp port 53 reply-payload 4 collect 1 timeout 0.5")
               .replace("udp", "icmp payload 00ff21 size 51"))
    replies = along.collect(4)
    assert [reply.args.get("reply-payload", "")[:6] for reply in replies[:3]] == ["00ff21"] * 3
    assert replies[3].args == {"count": "3"}


@every_family
def test_a_short_payload(pair, daemon, family):
    """A packet has 64 bytes at least: what a short payload leaves is filled up."""
    headers = {4: 28, 6: 48}[family]
    with pair.target.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((ANSWERS[family], 8))
        sock.settimeout(2)
        for payload, size in ((b"\1\2", 64 - headers), (b"\1" * 40, 40), (b"\1" * 100, 100)):
            daemon.send("7 " + request(family, ANSWERS, f"protocol udp port 8 payload {payload.hex()} timeout 0"))
            daemon.collect(1)
            got = sock.recv(2048)
            assert len(got) == size and got == payload + bytes(size - len(payload))
