# SPDX-License-Identifier: MIT
"""The lab itself: what the builders make, the decoder reads."""

import pytest

from lab import wire

ENDS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}


@pytest.mark.parametrize("family", [4, 6])
def test_packets(family):
    """Every builder's packet decodes to what was asked for, with a right checksum."""
    ends = ENDS[family]
    messages = {
        "icmp": (wire.echo(*ends, 7, 9, b"abc"), dict(icmp_id=7, seq=9, payload=b"abc")),
        "udp": (wire.udp(*ends, 1, 2, b"abc"), dict(sport=1, dport=2, payload=b"abc")),
        "tcp": (wire.tcp(*ends, 1, 2, wire.SYN, seq=5, options=b"\2\4\5\xb4"),
                dict(flags=2, seq=5, options={2: b"\5\xb4"})),
        "sctp": (wire.sctp_init_ack(1, 2, 3, 4), dict(vtag=3, chunk=2, init_tag=4)),
    }
    for protocol, (message, fields) in messages.items():
        packet = wire.decode(wire.ip(*ends, protocol, message, ttl=3, tos=8))
        assert (packet.protocol, packet.src, packet.dst, packet.ttl, packet.tos) == (protocol, *ends, 3, 8)
        assert {name: getattr(packet, name) for name in fields} == fields
        assert packet.checksum_ok and packet.transport == message


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("form", ["length", "old"])
def test_errors(family, form):
    """An icmp error with an extension: the quote is padded to 128 bytes, the length field counts words."""
    client, router = ENDS[family]
    quoted = wire.ip(client, router, "udp", wire.udp(client, router, 1, 2, bytes(200)))
    extension = wire.extension(wire.mpls((16, 5, 1, 7)))
    for quote in (0, 28, 128, 150):
        message = wire.icmp_error(router, client, {4: 11, 6: 3}[family], 0, quoted, quote, extension, form)
        error = wire.decode(wire.ip(router, client, "icmp", message))
        assert error.is_error and error.checksum_ok
        if form == "old":
            assert message[8 + 128:] == extension and wire.extensions(error) == b""
        else:
            assert wire.extensions(error) == extension
    assert error.quote.dport == 2
    assert wire.checksum(extension) == 0


def test_known_vectors():
    """RFC 1071's example, CRC32c's check value."""
    assert wire.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220d
    assert wire.crc32c(b"123456789") == 0xe3069283


def test_reassembly():
    """Fragments in any order; nothing while one is missing."""
    parts = [wire.decode(wire.ip4(*ENDS[4], "udp", bytes([n]) * 16, mf=n < 2, fragment_offset=n * 16))
             for n in range(3)]
    assert wire.reassemble(parts[::-1]) == b"\0" * 16 + b"\1" * 16 + b"\2" * 16
    assert wire.reassemble(parts[1:]) is None and wire.reassemble(parts[:2]) is None
