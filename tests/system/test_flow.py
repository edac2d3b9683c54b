# SPDX-License-Identifier: MIT
"""Flows: probes that take one way of a load-balanced path, and still are told apart."""

import collections

import pytest

from lab.capture import Capture
from lab.daemon import Daemon
from lab.net import Namespace
from lab.path import WAYS, Hop, Path, hop_address, hops, target, target_address, way_address
from lab.transports import able, served

FAMILIES = 4, 6
TARGET = target_address(0)
PORT = 4444

# What routers are known to look at, by protocol; of IPv6 the flow label may count as well, or alone.
FIVE_TUPLE = "src", "dst", "protocol", "sport", "dport"
HASHES = {
    "udp": [FIVE_TUPLE, FIVE_TUPLE + ("tos",), ("sport",), ("sport", "dport")],
    "tcp": [FIVE_TUPLE, FIVE_TUPLE + ("tos",), ("sport",), ("sport", "dport")],
    "icmp": [("src", "dst", "icmp_type", "icmp_code", "checksum"), ("icmp_type", "icmp_code", "checksum", "icmp_id"),
             ("icmp_id",), ("checksum",)],
}
LABELS = [("flow_label",), ("src", "dst", "flow_label")]
ROWS = [(protocol, family, fields) for protocol, all_fields in HASHES.items() for family in FAMILIES
        for fields in all_fields + (LABELS + [all_fields[0] + ("flow_label",)] if family == 6 else [])]

pytestmark = pytest.mark.usefixtures("root")
every_family = pytest.mark.parametrize("family", FAMILIES)
every_protocol = pytest.mark.parametrize("protocol", HASHES)


@pytest.fixture(scope="module")
def path():
    with Namespace("flows") as namespace, Path(namespace) as played:
        yield played


@pytest.fixture
def daemon(path, binary):
    with Daemon(path.namespace, binary=binary) as running:
        yield running
        assert running.finish() == (0, "")


def probe(family, protocol, **arguments):
    arguments.setdefault("timeout", 3)
    words = [f"send-probe ip-{family} {TARGET[family]} protocol {protocol}"]
    return " ".join(words + [f"{name.replace('_', '-')} {value}" for name, value in arguments.items()])


def ask_all(daemon, requests, timeout=10):
    daemon.send(*(f"{token} {request}" for token, request in enumerate(requests)))
    replies = {reply.token: reply for reply in daemon.collect(len(requests), timeout)}
    return [replies[token] for token in range(len(requests))]


@pytest.mark.parametrize("protocol, family, fields", ROWS, ids=lambda value: "+".join(value) if isinstance(value, tuple)
                         else str(value))
def test_ways(path, daemon, protocol, family, fields):
    """flow: one path of a load-balanced route; another N may take another. Eight ways, by each of the hashes."""
    path.play([Hop(hop_address(1), ways=fields)], [])
    same = ask_all(daemon, [probe(family, protocol, ttl=1, flow=77)] * 64)
    found = collections.Counter(str(reply.address) for reply in same)
    assert len(found) == 1 and same[0].kind == "ttl-expired", f"one flow takes {found}"
    # By chance alone 128 flows miss a way once in three million runs.
    other = ask_all(daemon, [probe(family, protocol, ttl=1, flow=number) for number in range(128)])
    found = {reply.address for reply in other}
    assert found == {way_address(way)[family] for way in range(WAYS)}, f"128 flows find {len(found)} ways"
    again = ask_all(daemon, [probe(family, protocol, ttl=1, flow=number) for number in range(128)])
    assert [reply.address for reply in again] == [reply.address for reply in other], "a flow has left its way"


GIVEN = {
    "port": {"port": 53},
    "local-port": {"local_port": PORT},
    "both ports": {"port": 53, "local_port": PORT},
    "payload": {"payload": "00ff10"},
    "an even payload": {"payload": "00ff10aa"},
    "bit-pattern": {"bit_pattern": -3},
    "size": {"size": 1200},
    "the least size": {"size": 30},
    "tos": {"tos": 0x2e},
    "all": {"port": 53, "local_port": PORT, "payload": "00ff10", "bit_pattern": 7, "size": 99, "tos": 9},
}


@every_family
@every_protocol
@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_constant_fields(path, daemon, protocol, family, given):
    """The fields that routers hash on, on the wire, with `port`, `local-port`, `payload`, `bit-pattern` and `size`."""
    given = {name: value for name, value in given.items() if protocol != "tcp" or name != "payload"}
    if "size" in given and given["size"] == 30:
        given["size"] += 20 * (family == 6)
    path.play(hops(3), [])
    with Capture(path.namespace, path.ifname, f"out ip{family} {protocol}") as capture:
        replies = ask_all(daemon, [probe(family, protocol, ttl=1 + n % 3, flow=9, **given) for n in range(30)])
        sent = capture.packets(30)
    for n, reply in enumerate(replies):
        assert (reply.kind, reply.address) == ("ttl-expired", hop_address(1 + n % 3)[family]), reply.line
    sent = [packet for packet in sent if packet.icmp_type not in (133, 135, 136)]
    assert len(sent) == 30 and all(packet.checksum_ok for packet in sent), sent
    names = {"icmp": ("icmp_type", "icmp_code", "icmp_id", "checksum"), "udp": ("sport", "dport", "total_length"),
             "tcp": ("sport", "dport")}[protocol] + ("src", "dst", "tos", "flow_label")
    constant = {tuple(getattr(packet, name) for name in names) for packet in sent}
    assert len(constant) == 1, f"{names} should be the same of each probe: {constant}"
    told_apart = {"icmp": "seq", "udp": "checksum", "tcp": "seq"}[protocol]
    assert len({getattr(packet, told_apart) for packet in sent}) == 30
    if protocol != "icmp":
        assert sent[0].dport == given.get("port", sent[0].dport) and sent[0].sport == given.get("local_port", sent[0].sport)
    if "payload" in given:
        assert all(packet.payload.startswith(bytes.fromhex(given["payload"])) for packet in sent)


@every_family
@every_protocol
def test_two_thousand_of_one_flow(path, daemon, protocol, family):
    """2000 probes of one flow in flight at once are matched without a mistake."""
    count, far = 2000, 10
    path.play(hops(far, delay=0.3), [])
    replies = ask_all(daemon, [probe(family, protocol, ttl=1 + n % far, flow=5, timeout=8) for n in range(count)], 20)
    wrong = [reply.line for n, reply in enumerate(replies)
             if (reply.kind, reply.address) != ("ttl-expired", hop_address(1 + n % far)[family])]
    assert not wrong, f"{len(wrong)} of {count}: {wrong[:5]}"


@every_family
def test_answers_of_the_target(path, daemon, family):
    """icmp and tcp answers carry what varies; a port unreachable quotes it."""
    path.play([], [target(0)])
    for protocol in HASHES:
        for reply in ask_all(daemon, [probe(family, protocol, flow=6, **({"port": 80} if protocol == "udp" else {}))] * 50):
            assert (reply.kind, reply.address) == ("reply", TARGET[family]), reply.line


NO_ROOM = "invalid-argument reason no-room-for-identity argument flow"


@pytest.mark.parametrize("family, words, expected", [
    (4, "size 28", NO_ROOM), (4, "size 29", NO_ROOM), (4, "size 30", None), (6, "size 49", NO_ROOM),
    (6, "size 50", None), (4, "size 40 payload " + "11" * 12, NO_ROOM), (4, "size 40 payload " + "11" * 11, NO_ROOM),
    (4, "size 40 payload " + "11" * 10, None),
    (4, "payload " + "11" * 36, NO_ROOM),
    (6, "protocol udp size 48", NO_ROOM), (6, "protocol udp size 49", NO_ROOM), (6, "protocol udp size 50", None),
    (6, "protocol udp size 60 payload " + "11" * 12, NO_ROOM),
    (4, "protocol udp size 28", None), (4, "protocol udp size 40 payload " + "11" * 12, None),  # by the IP id
    (6, "protocol tcp size 20", None),
    (4, "protocol sctp", "invalid-argument reason protocol-not-supported argument flow"),
])
def test_room(path, daemon, family, words, expected):
    """invalid-argument reason no-room-for-identity where no bits are left."""
    path.play(hops(2), [])
    replies = ask_all(daemon, [f"send-probe ip-{family} {TARGET[family]} flow 3 timeout 2 ttl {1 + n % 2} {words}"
                               for n in range(20)])
    for n, reply in enumerate(replies):
        if expected:
            assert reply.line.split(" ", 1)[1] == expected
        else:
            assert (reply.kind, reply.address) == ("ttl-expired", hop_address(1 + n % 2)[family]), reply.line


def test_ordinary_probes_have_other_ports(path, daemon):
    """Flows have source ports of their own, and keep them."""
    path.play(hops(1), [])
    with Capture(path.namespace, path.ifname, "out udp") as capture:
        ask_all(daemon, [probe(4, "udp", ttl=1, **({"flow": n % 512, "port": 9} if n % 2 else {"port": 9}))
                         for n in range(2048)])
        ports = [packet.sport for packet in capture.packets(2048)]
    flows, others = set(ports[1::2]), set(ports[::2])
    assert not flows & others and len(flows) == 256 and len({port // 512 for port in flows}) == 1


@pytest.mark.parametrize("label", [0, 1, 0x12345, 0xfffff])
def test_flow_label(path, daemon, label):
    """flow-label N: the IPv6 flow label, also in place of the flow's own; without either it is 0."""
    path.play(hops(1), [])
    rows = [(f"flow-label {label}", label), (f"flow 3 flow-label {label}", label), ("tos 0", 0)]
    for protocol in served(("icmp", "udp", "tcp", "sctp")):
        for words, expected in rows:
            if "flow 3" in words and (protocol == "sctp" or not able(f"flow 3 of {protocol}")):
                continue
            with Capture(path.namespace, path.ifname, f"out ip6 {protocol}") as capture:
                reply = daemon.ask(f"send-probe ip-6 {TARGET[6]} protocol {protocol} ttl 1 {words}")
                packet, = [one for one in capture.packets(1) if one.dst == TARGET[6]]
            assert reply.kind == "ttl-expired" and packet.flow_label == expected
    assert daemon.ask("send-probe ip-4 10.0.0.1 flow-label 1").line.endswith(
        "invalid-argument reason wrong-family argument flow-label")
