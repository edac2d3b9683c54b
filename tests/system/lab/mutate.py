# SPDX-License-Identifier: MIT
"""Every way to break an answer: cut at every byte, lies in every length field, wrong checksums, headers without end.

Each is a (name, function of the probe that makes the IP packet, whether it may still be believed) row, like those of
lab/forge.py. What may be believed still holds all that proves whose it is; then the reply must be right.
"""

import functools
import struct

from . import forge, wire
from .path import WHOLE

LIES16 = 0, 1, 7, 65535
LIES8 = 0, 1, 255
LABELS = wire.extension(wire.mpls((16, 0, 1, 1)), wire.extension_object(3, 1, b"\0\0\0\1"))
PAD = b"\1\4\0\0\0\0"  # the options of an extension header of 8 bytes


def _error(probe, **how):
    return forge.time_exceeded(probe, quote=WHOLE, **how)


# The answers that are broken: name -> function of the probe.
ANSWERS = {
    "direct answer": forge.direct,
    "short error": forge.time_exceeded,
    "whole error": _error,
    "error with labels": functools.partial(_error, extension=LABELS),
    "error with labels, old form": functools.partial(_error, extension=LABELS, form="old"),
}


def _mended(packet, at, data):
    """The packet with other bytes at one place, and every checksum right but those that can't be."""
    decoded = wire.decode(packet)
    raw = packet[:at] + data + packet[at + len(data):]
    start = decoded.header_length
    if decoded.protocol == "icmp" and at >= start:
        body = raw[start:start + 2] + b"\0\0" + raw[start + 4:]
        pseudo = wire.pseudo_header(decoded.src, decoded.dst, wire.ICMP6, len(body)) if decoded.family == 6 else b""
        raw = raw[:start + 2] + struct.pack("!H", wire.checksum(pseudo + body)) + raw[start + 4:]
    return forge.patched(raw, 0, raw[:1]) if raw[0] >> 4 == 4 else raw


def _set(build, place, data, probe):
    """A build with these bytes at place(packet); None: the packet has no such place."""
    packet = build(probe)
    return _mended(packet, place(packet), data)


def _transport(offset):
    return lambda packet: wire.decode(packet).header_length + offset


def _quoted(offset):
    return lambda packet: wire.decode(packet).header_length + 8 + offset


def _quoted_transport(offset):
    def place(packet):
        decoded = wire.decode(packet)
        return decoded.header_length + 8 + decoded.quote.header_length + offset
    return place


def _extension(offset):
    def place(packet):
        return packet.index(LABELS) + offset
    return place


def _fields(protocol, family):
    """(name of the answer, name of the field, its place, the lies)"""
    length = 2 if family == 4 else 4
    words16, words8 = [struct.pack("!H", lie) for lie in LIES16], [bytes([lie]) for lie in LIES8]
    nibbles = [bytes([family << 4 | lie]) for lie in (0, 3, 4, 15)]
    rows = []
    for name in ANSWERS:
        rows.append((name, "length in the IP header", lambda packet: length, words16))
        if family == 4:
            rows.append((name, "IHL", lambda packet: 0, nibbles))
    for name in list(ANSWERS)[1:]:
        rows += [(name, "quoted length in the IP header", _quoted(length), words16),
                 (name, "RFC 4884 length", _transport(5 if family == 4 else 4), words8)]
        if family == 4:
            rows.append((name, "quoted IHL", _quoted(0), nibbles))
        if protocol == "udp":
            rows.append((name, "quoted udp length", _quoted_transport(4), words16))
    for name in list(ANSWERS)[3:]:
        rows += [(name, "length of the first object", _extension(4), words16),
                 (name, "length of the second object", _extension(12), words16)]
    if protocol == "udp":
        rows.append(("direct answer", "udp length", _transport(4), words16))
    if protocol == "tcp":
        rows.append(("direct answer", "data offset", _transport(12), [bytes([lie << 4]) for lie in (0, 1, 4, 15)]))
    if protocol == "sctp":
        rows.append(("direct answer", "chunk length", _transport(14), words16))
    return rows


def _lies(protocol, family):
    return [(f"{answer}, {field} {data.hex()}", functools.partial(_set, ANSWERS[answer], place, data), True)
            for answer, field, place, lies in _fields(protocol, family) for data in lies]


def _cut(build, missing, honest, probe):
    """An answer without its last bytes, whose IP header knows it or does not."""
    packet = build(probe)
    cut = packet[:max(1, len(packet) - missing)]
    length, header = (2, 0) if probe.family == 4 else (4, 40)
    if not honest or len(cut) < wire.decode(packet).header_length + 4:
        return cut
    cut = cut[:length] + struct.pack("!H", len(cut) - header) + cut[length + 2:]
    return _mended(cut, len(cut), b"")


def _cuts(protocol, family):
    """Cut everywhere: by size from the end, since what an answer holds depends on the probe."""
    longest = {"direct answer": 100, "short error": 90}
    return [(f"{answer} without its last {missing} bytes{'' if honest else ', which the IP header promises'}",
             functools.partial(_cut, build, missing, honest), honest)
            for answer, build in ANSWERS.items() for missing in range(1, longest.get(answer, 230))
            for honest in (True, False)]


def _wrong_checksum(build, offset, probe):
    packet = build(probe)
    at = wire.decode(packet).header_length + offset
    return packet[:at] + bytes([packet[at] ^ 0x5a]) + packet[at + 1:]


def _checksums(protocol, family):
    rows = [(f"{answer}, wrong ICMP checksum", functools.partial(_wrong_checksum, build, 2), False)
            for answer, build in ANSWERS.items() if answer != "direct answer"]
    offset = {"icmp": 2, "udp": 6, "tcp": 16, "sctp": 8}[protocol]
    rows.append((f"direct answer, wrong {protocol} checksum",
                 functools.partial(_wrong_checksum, forge.direct, offset), False))
    return rows


def _chain(count, last=None):
    """So many extension headers; without a last one they end in another that is not there."""
    return ((wire.DESTINATION, b"\0" + PAD),) * count + ((last,) if last else ())


def _headers(protocol, family):
    """Headers that go on and on, in the answer and in the quote."""
    if family == 4:
        return []

    def outer(count, lie, probe):
        packet = wire.decode(forge.time_exceeded(probe))
        raw = wire.ip6(packet.src, packet.dst, "icmp", packet.transport, headers=_chain(count))
        return raw[:41 + 8 * (count - 1)] + bytes([lie]) + raw[42 + 8 * (count - 1):] if lie else raw

    def inner(count, lie, probe):
        quoted = wire.decode(wire.ip6(probe.src, probe.dst, probe.protocol, probe.transport, headers=_chain(count))).raw
        at = 40 + 8 * (count - 1) + 1
        quoted = quoted[:at] + bytes([lie]) + quoted[at + 1:]
        return forge.time_exceeded(probe, quoted, quote=WHOLE)

    def endless(count, probe):
        quoted = probe.raw[:6] + bytes([wire.DESTINATION]) + probe.raw[7:40] + \
            (bytes([wire.DESTINATION, 0]) + PAD) * count
        return forge.time_exceeded(probe, quoted, quote=WHOLE)

    rows = [(f"{count} extension headers {where}, the last of length {lie}", functools.partial(build, count, lie),
             lie == 0)
            for where, build in (("in the answer", outer), ("in the quote", inner))
            for count in (1, 2, 50, 140) for lie in (0, 1, 100, 255)]
    rows += [(f"{count} extension headers in the quote and no end", functools.partial(endless, count), False)
             for count in (1, 2, 50, 140)]
    return rows


def believable(protocol, family):
    """Broken, but perhaps not where it matters: believed rightly, or not at all."""
    return [(name, build) for name, build, may in _all(protocol, family) if may]


def unbelievable(protocol, family):
    """Broken where it matters, or an answer to another probe: never to be believed."""
    return [(name, build) for name, build, may in _all(protocol, family) if not may] + \
        forge.malformed(protocol, family) + forge.foreign(protocol, family)


def _all(protocol, family):
    return [row for rows in (_lies, _cuts, _checksums, _headers) for row in rows(protocol, family)]
