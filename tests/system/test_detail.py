# SPDX-License-Identifier: MIT
"""detail 1: every fact of an answer that is known, and nothing where it isn't."""

import re

import pytest

from lab import alter, wire
from lab.capture import Capture
from lab.daemon import Daemon
from lab.net import Namespace
from lab.pair import ANSWERS, CLIENT, SILENT
from lab.path import SHORT, WHOLE, Path, hop_address, hops, target, target_address
from lab.transports import able

PROTOCOLS = "icmp", "udp", "tcp", "sctp"
FAMILIES = 4, 6
TARGET = target_address(0)
REPLY_MAX = 4096

pytestmark = pytest.mark.usefixtures("root")
every_family = pytest.mark.parametrize("family", FAMILIES)
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


@pytest.fixture(scope="module")
def path():
    with Namespace("detail") as namespace, Path(namespace) as played:
        yield played


@pytest.fixture
def hopping(path, binary):
    """A daemon at the near end of `path`."""
    with Daemon(path.namespace, binary=binary) as running:
        yield running
        assert running.finish() == (0, "")


def pairs(reply):
    """All NAME VALUE pairs, as name -> list of values."""
    words, found = reply.line.split(" ")[2:], {}
    for name, value in zip(words[::2], words[1::2]):
        found.setdefault(name, []).append(value)
    return found


def one(found, name):
    assert len(found.get(name, [])) == 1, f"{name} is not there once: {found}"
    return found[name][0]


def nanoseconds(text):
    assert re.fullmatch(r"\d+\.\d{9}", text), text
    return int(text.replace(".", ""))


def ask(daemon, family, protocol, words="", address=TARGET):
    return daemon.ask(f"send-probe ip-{family} {address[family]} protocol {protocol} timeout 2 detail 1 {words}")


@every_family
@every_protocol
def test_against_a_capture(pair, daemon, protocol, family):
    """local-ip, local-port, reply-ttl, reply-tos, reply-size, reply-id, sent and received agree with what was on the wire."""
    for turn in range(2):  # the first waits for the neighbour's address
        with Capture(pair.client, "wire", f"ip{family}") as capture:
            found = pairs(ask(daemon, family, protocol, "", ANSWERS))
            seen = [packet for packet in capture.packets() if ANSWERS[family] in (packet.src, packet.dst)
                    and not (packet.protocol == "icmp" and packet.icmp_type in range(130, 144) and family == 6)]
    probe, answer = seen[0], next(packet for packet in seen if packet.direction == "in")
    assert one(found, f"local-ip-{family}") == CLIENT[family] == probe.src
    assert found.get("local-port") == (None if protocol == "icmp" else [str(probe.sport)])
    quoted = answer.quote is not None
    if able(f"detail::header of {protocol}"):
        assert one(found, "reply-ttl") == str(answer.ttl) and one(found, "reply-tos") == str(answer.tos)
    if protocol == "icmp" or able("detail::size"):
        assert one(found, "reply-size") == str(answer.total_length)
    if able("detail::reply-id"):
        assert found.get("reply-id") == ([str(answer.ip_id)] if family == 4 else None)
    sent, received = nanoseconds(one(found, "sent")), nanoseconds(one(found, "received"))
    near = 100_000 if able(f"detail::header of {protocol}") else 1_000_000
    assert abs(sent - probe.time_ns) < 500_000 and abs(received - answer.time_ns) < near
    assert received - sent == int(one(found, "round-trip-ns"))
    assert abs(int(one(found, "round-trip-ns")) - 1000 * int(one(found, "round-trip-time"))) <= 500
    told = quoted and able("detail::quoted")
    assert ("quoted-ttl" in found, "quoted-tos" in found) == (told, told)
    if quoted or protocol == "icmp":
        assert (one(found, "icmp-type"), one(found, "icmp-code")) == (str(answer.icmp_type), str(answer.icmp_code))
    else:
        assert "icmp-type" not in found and "icmp-code" not in found
    assert ("tcp-flags" in found) == (protocol == "tcp" and not quoted)
    for name in ("nat", "interface", "extension", "mpls"):
        assert name not in found


def test_tcp_flags(path, hopping):
    """`tcp-flags` (as syn-ack or rst)."""
    for how, flags in ("open", "syn-ack"), ("closed", "rst"):
        path.play([], [target(tcp=how)])
        for family in FAMILIES:
            assert pairs(ask(hopping, family, "tcp"))["tcp-flags"] == [flags]


@every_family
@every_protocol
def test_size_with_headers(path, hopping, protocol, family):
    """`reply-size` has the options of IPv4 and the extension headers of IPv6 in it, which sockets take off."""
    options = wire.HOP_BY_HOP, b"\0\x1e\4" + bytes(4)
    chain = options, (wire.DESTINATION, b"\2" + options[1][1:] + b"\x1e\x0e" + bytes(14)), (wire.ROUTING, b"\2\xfd\0" + bytes(20))
    sizes = []
    for rules in {}, {"headers": chain[:1], "options": b"\1" * 8}, {"headers": chain, "options": b"\1" * 40}:
        path.play(hops(1, **rules), [target(**rules)])
        asked = [ask(hopping, family, protocol, words) for words in ("ttl 1", "ttl 2")]
        assert [reply.kind for reply in asked] == ["ttl-expired", "reply"]
        sizes.append([reply.args.get("reply-size") for reply in asked])
    added = (0, 8, 40) if family == 4 else (0, 8, 56)
    for place, known in enumerate((able("detail::size"), protocol == "icmp" or able("detail::size"))):
        told = [int(pair[place]) for pair in sizes if known]
        assert told == [told[0] + more for more in added] if known else not any(pair[place] for pair in sizes)


@every_family
def test_no_reply(daemon, family):
    """Of a probe without an answer its own side is known."""
    found = pairs(ask(daemon, family, "udp", "timeout 0.05", SILENT))
    assert set(found) == {f"local-ip-{family}", "local-port", "sent"}


@every_family
@every_protocol
def test_invisible_unless_asked_for(path, hopping, protocol, family):
    """Each is absent from every reply unless its argument was in the request."""
    extension = wire.extension(wire.interface_object(0, index=3), wire.extension_object(9, 9, b"x"))
    path.play(hops(1, extension=extension, quoted_tos=3), [target(0)])
    for words in ("ttl 1", "ttl 2", "ttl 1 detail 0"):
        reply = hopping.ask(f"send-probe ip-{family} {TARGET[family]} protocol {protocol} {words}")
        assert set(pairs(reply)) == {f"ip-{family}", "round-trip-time"}


@every_family
@every_protocol
def test_what_the_router_saw(path, hopping, protocol, family):
    """`quoted-ttl`, and a `quoted-tos` that shows a bleached ECN and a remarked DSCP."""
    for sent, seen in (0x2e << 2 | 2, None), (0x2e << 2 | 2, 0x2e << 2), (0x2e << 2 | 1, 8 << 2 | 1), (0, 3):
        path.play(hops(1, quoted_tos=seen), [])
        found = pairs(ask(hopping, family, protocol, f"ttl 1 tos {sent}"))
        assert one(found, "quoted-tos") == str(sent if seen is None else seen)
        assert one(found, "quoted-ttl") == "1" and "nat" not in found
        assert one(found, "icmp-type") == {4: "11", 6: "3"}[family] and one(found, "icmp-code") == "0"


NATS = {
    "address": {"src": {4: "192.0.2.77", 6: "2001:db8::77"}},
    "address and port": {"src": {4: "192.0.2.77", 6: "2001:db8::77"}, "sport": 7777},
    "address, port and checksum": {"src": {4: "192.0.2.77", 6: "2001:db8::77"}, "sport": 7777, "checksum": 0x1234},
}


@every_family
@pytest.mark.parametrize("protocol", ["icmp", "udp", "tcp"])
@pytest.mark.parametrize("rewritten", NATS.values(), ids=NATS)
def test_nat(path, hopping, protocol, family, rewritten):
    """`nat 1`: rewritten quoted addresses, ports or checksum; the probe is still matched, as the rest proves it."""
    path.play(hops(1, nat=rewritten, quote=WHOLE), [])
    reply = ask(hopping, family, protocol, "ttl 1")
    assert reply.kind == "ttl-expired" and one(pairs(reply), "nat") == "1", reply.line
    path.play(hops(1, quote=WHOLE), [])
    assert "nat" not in pairs(ask(hopping, family, protocol, "ttl 1"))


@every_family
def test_nat_of_a_checksum_alone(path, hopping, family):
    """Of tcp, whose checksum middleboxes rewrite when they rewrite options, it alone may be another."""
    path.play(hops(1, nat={"checksum": 0x4321}, quote=WHOLE), [])
    assert one(pairs(ask(hopping, family, "tcp", "ttl 1")), "nat") == "1"


@every_family
def test_a_clamped_mss(path, hopping, family):
    """`quoted-mss`, where it is another than was sent; a checksum that it explains is no NAT's, and one that other
    changes of the SYN explain is none either."""
    path.play(hops(1, alter="mss_clamped", quote=WHOLE), [])
    found = pairs(ask(hopping, family, "tcp", "ttl 1"))
    assert one(found, "quoted-mss") == str(alter.CLAMPED_MSS) and "nat" not in found
    for other, quote in ("ecn_asked_for", WHOLE), ("mss_clamped", 22), ("mss_clamped", 20), ("", WHOLE):
        path.play(hops(1, alter=other, quote=quote), [])
        found = pairs(ask(hopping, family, "tcp", "ttl 1"))
        assert "icmp-type" in found and "quoted-mss" not in found and "nat" not in found, (other, quote)


@every_family
def test_padding_that_a_translator_adjusted(path, hopping, family):
    """Zeros behind a short quote of tcp are padding, also where a translator took two of them for a checksum."""
    path.play(hops(1, alter="padded_and_adjusted", quote=WHOLE), [])
    found = pairs(ask(hopping, family, "tcp", "ttl 1"))
    assert "icmp-type" in found and "quoted-mss" not in found and "nat" not in found


@every_family
@every_protocol
@pytest.mark.parametrize("form", ["length", "old"])
def test_no_nat_in_padding(path, hopping, protocol, family, form):
    """A router that quotes eight bytes and pads them with zeros, for its labels, has seen no checksum of 0."""
    path.play(hops(1, extension=wire.extension(wire.mpls((16, 0, 1, 1))), quote=SHORT, form=form), [])
    found = pairs(ask(hopping, family, protocol, "ttl 1"))
    assert one(found, "mpls") == "16,0,1,1" and "nat" not in found


# As Linux 7.2 sends it with net.ipv4.icmp_errors_extension_mask=1: the name has the length of the longest one.
OF_LINUX = "0028020f000003e9000100000a010002146c616e2d343200000000000000000000000000000005dc"


def interfaces():
    """(object, the value)"""
    made = wire.interface_object
    return [
        (made(0, 7, "192.0.2.9", b"ge-0/0/1", 9000), "incoming,index=7,name=ge-0/0/1,address=192.0.2.9,mtu=9000"),
        (made(1, 7), "sub-ip,index=7"),
        (made(2, name=b"eth0"), "outgoing,name=eth0"),
        (made(3, address_text="2001:db8::5"), "next-hop,address=2001:db8::5"),
        (made(0, mtu=1280), "incoming,mtu=1280"),
        (made(0), "incoming"),
        (made(0, name=b"a b\n%,=\xc3\xa4"), "incoming,name=a%20b%0a%25%2c%3d%c3%a4"),
        (made(0, name=b"x" * 63), "incoming,name=" + "x" * 63),
        (bytes.fromhex(OF_LINUX), "incoming,index=1001,name=lan-42,address=10.1.0.2,mtu=1500"),
    ]


@every_family
def test_interfaces(path, hopping, family):
    """`interface` (RFC 5837: name, address, MTU), several of them, and what is hostile in a name."""
    for data, value in interfaces():
        path.play(hops(1, extension=wire.extension(data)), [])
        assert pairs(ask(hopping, family, "udp", "ttl 1"))["interface"] == [value]
    path.play(hops(1, extension=wire.extension(*(data for data, _ in interfaces()), wire.mpls((16, 0, 1, 1)))), [])
    found = pairs(ask(hopping, family, "icmp", "ttl 1"))
    assert found["interface"] == [value for _, value in interfaces()] and found["mpls"] == ["16,0,1,1"]


@every_family
def test_nodes(path, hopping, family):
    """`node`, what a router without an address of its own calls itself: address, name, or both."""
    made = wire.node_object
    nodes = [(made("192.0.2.9"), "address=192.0.2.9"), (made(name=b"edge-1,%"), "name=edge-1%2c%25"),
             (made("2001:db8::5", b"core"), "address=2001:db8::5,name=core")]
    path.play(hops(1, extension=wire.extension(*(data for data, _ in nodes), wire.mpls((16, 0, 1, 1)))), [])
    found = pairs(ask(hopping, family, "icmp", "ttl 1"))
    assert found["node"] == [value for _, value in nodes] and found["mpls"] == ["16,0,1,1"]


@every_family
def test_other_extensions(path, hopping, family):
    """`extension CLASS/TYPE/HEX` for each object of any other kind, in order; a malformed interface is one too, and a
    stack without a whole label."""
    objects = [(1, 1, b""), (1, 1, b"\0\1\xfe")]
    objects += [(3, 1, b"\0\1\xfe"), (200, 7, b""), (2, 0x08, b"\0\0"), (1, 2, b"\xab"), (2, 2, b"\x40x")]
    extension = wire.extension(*(wire.extension_object(*one) for one in objects))
    path.play(hops(1, extension=extension, form="old"), [])
    found = pairs(ask(hopping, family, "tcp", "ttl 1"))
    assert found["extension"] == [f"{number}/{kind}/{data.hex()}" for number, kind, data in objects]


@every_family
def test_labels_of_an_unreachable(path, hopping, family):
    """With detail the labels of every kind of answer are said."""
    error = {4: (3, 13), 6: (1, 1)}[family]
    path.play([], [target(udp="error", error=error, sender=hop_address(9), quote=SHORT,
                          extension=wire.extension(wire.mpls((99, 1, 1, 9))))])
    reply = ask(hopping, family, "udp")
    found = pairs(reply)
    assert reply.kind == "no-route-host" and found["mpls"] == ["99,1,1,9"]
    assert (one(found, "icmp-type"), one(found, "icmp-code")) == tuple(map(str, error))


@every_family
def test_more_than_a_line_holds(path, hopping, family):
    """Hostile extensions: a whole line in one write, bounded; what does not fit is left out, and nothing else."""
    many = [wire.extension_object(5, 5, bytes([n]) * 20) for n in range(50)]
    labels = wire.mpls(*[(1048575, 7, 1, 255)] * 300)
    huge = wire.extension_object(6, 6, bytes(1200))
    for objects in ([*many], [labels], [labels, *many], [huge, huge, *many[:3]], [wire.interface_object(0, name=b"\n" * 63)] * 15):
        path.play(hops(1, extension=wire.extension(*objects), quote=SHORT), [])
        reply = ask(hopping, family, "udp", "ttl 1")
        found = pairs(reply)
        assert len(reply.line) < REPLY_MAX and len(reply.line) > REPLY_MAX // 3, len(reply.line)
        known = [name for name, part in (("reply-size", "size"), ("quoted-tos", "quoted")) if able(f"detail::{part}")]
        for name in ("received", "sent", "round-trip-ns", f"local-ip-{family}", *known):
            one(found, name)

