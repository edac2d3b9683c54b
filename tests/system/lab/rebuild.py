# SPDX-License-Identifier: MIT
"""Quotes as translators make them anew: functions of the router (what it quotes, and with which extension), of the
packet that it got and the length of its IP header, which give the quote with all that is behind it. A Hop names one.
"""

import struct
import zlib

from . import wire


def pasta(hop, quoted, header):
    """pasta of 2026 knows the two ends of a udp flow, and what the kernel's error queue has of the payload, eight bytes
    of it over IPv4. Lengths and, over IPv6, the checksum are those of what is left; it has no extensions."""
    packet = wire.decode(quoted)
    assert packet.protocol == "udp", "it makes none of other protocols"
    left = _as_quoted(hop, quoted, header)[header + 8:][:8 if packet.family == 4 else None]
    message = wire.udp(packet.src, packet.dst, packet.sport, packet.dport, left)
    if packet.family == 6:
        return wire.ip6(packet.src, packet.dst, "udp", message, ttl=255, flow_label=1)
    return wire.ip4(packet.src, packet.dst, "udp", message[:6] + b"\0\0" + left, ttl=255, df=True)


def jool(hop, quoted, header):
    """Jool translates the ICMP checksum of a quote with the quoted length in IPv6's pseudo header: greater by what was
    cut, less by what was padded. Over IPv4, beyond two of its kind, it is the other way around, the identification is one
    that it has drawn, and there is no DF (RFC 7915, section 5.1). The labels that a router of IPv4 has at byte 128 are at 148 over IPv6."""
    packet, whole = wire.decode(quoted), len(quoted)
    quoted = bytearray(_as_quoted(hop, quoted, header))
    if hop.extension:
        quoted = quoted.ljust({4: 128, 6: 148}[packet.family], b"\0")
    cut = whole - len(quoted)
    if packet.family == 4:
        quoted[4:8], quoted[10:12] = struct.pack("!HH", zlib.crc32(quoted) & 0xffff, 0), b"\0\0"
        quoted[10:12] = struct.pack("!H", wire.checksum(bytes(quoted[:header])))
    if packet.protocol == "icmp":
        number = packet.checksum + (cut if packet.family == 6 else -cut)
        quoted[header + 2:header + 4] = struct.pack("!H", number % 0xffff)
    return bytes(quoted) + hop.extension


def _as_quoted(hop, quoted, header):
    return quoted if hop.quote is None else quoted[:header + hop.quote]
