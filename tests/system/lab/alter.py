# SPDX-License-Identifier: MIT
"""What makers of ICMP errors, and boxes before them, do to the packet that is quoted: functions of its bytes and of the
length of its IP header, which give both back. A Hop names one of them."""

import struct

from . import wire

CLAMPED_MSS = 1000


def _adjusted(value, before, after):
    """A checksum after bytes of even length have become others (RFC 1624)."""
    return wire.checksum(struct.pack("!H", ~value & 0xffff) + bytes(~byte & 0xff for byte in before) + after)


def _with_tcp(raw, header, at, data):
    """Other bytes at an even place of the tcp header, and the checksum as whoever changes them makes it."""
    at, place = header + at, header + 16
    value = _adjusted(int.from_bytes(raw[place:place + 2], "big"), raw[at:at + len(data)], data)
    raw = raw[:at] + data + raw[at + len(data):]
    return raw[:place] + struct.pack("!H", value) + raw[place + 2:], header


def mss_clamped(raw, header):
    """A SYN whose MSS was made smaller before it came here, as before a tunnel."""
    return _with_tcp(raw, header, 22, struct.pack("!H", CLAMPED_MSS))


def ecn_asked_for(raw, header):
    """A SYN whose flags were changed."""
    return _with_tcp(raw, header, 12, bytes([raw[header + 12], raw[header + 13] | 0xc0]))


def padded_and_adjusted(raw, header):
    """Eight bytes behind the IP header, then zeros, in which a translator has adjusted what it took for a checksum."""
    rest = bytearray(len(raw) - header - 8)
    rest[16 - 8:16 - 6] = b"\x12\x34"
    return raw[:header + 8] + bytes(rest), header


def flags_swapped(raw, header):
    """IPv4: flags and fragment offset in the order of the router's own bytes."""
    return (raw[:6] + raw[7:8] + raw[6:7] + raw[8:], header) if raw[0] >> 4 == 4 else (raw, header)


# ---------------------------------------------------------------- tunnels and segments

TUNNEL_ENDS = {4: ("10.99.255.1", "10.98.0.9"), 6: ("fd99::ffff:1", "fd98::9")}
SEGMENTS = "fd98::a", "fd98::b"
GRE_TYPE = {4: 0x0800, 6: 0x86dd}
IP_IN_IP = {4: 4, 6: 41}


def _tunnelled(raw, header, number, between=b"", outer=None):
    """The packet behind an IP header of this protocol number, and the length of all headers before the transport."""
    around = wire.ip(*TUNNEL_ENDS[outer or raw[0] >> 4], number, between + raw, ttl=1)
    return around, len(around) - len(raw) + header


def in_ip(raw, header):
    return _tunnelled(raw, header, IP_IN_IP[raw[0] >> 4])


def in_ip_of_the_other_family(raw, header):
    """Two tunnels, the outer one of the probe's family again."""
    family = raw[0] >> 4
    middle = _tunnelled(raw, header, IP_IN_IP[family], outer=10 - family)
    return _tunnelled(*middle, IP_IN_IP[10 - family], outer=family)


def in_gre(raw, header):
    return _tunnelled(raw, header, 47, struct.pack("!HH", 0, GRE_TYPE[raw[0] >> 4]))


def in_gre_with_all(raw, header):
    """With a checksum, a key and a sequence number."""
    return _tunnelled(raw, header, 47, struct.pack("!HHIII", 0xb000, GRE_TYPE[raw[0] >> 4], 0x12340000, 77, 5))


def in_two(raw, header):
    return in_ip(*in_gre(raw, header))


def in_three(raw, header):
    return in_ip(*in_two(raw, header))


def _by_segments(raw, header, left):
    """IPv6: as it goes by two segments, of which so many are left."""
    if raw[0] >> 4 == 4:
        return raw, header
    route = [raw[24:40], *(wire.address(segment) for segment in SEGMENTS)]
    chain = struct.pack("!BBBBBBH", raw[6], 2 * len(route), 4, left, len(route) - 1, 0, 0) + b"".join(route)
    first = raw[:4] + struct.pack("!HBB", len(raw) - 40 + len(chain), wire.ROUTING, 1)
    return first + raw[8:24] + route[left] + chain + raw[40:], header + len(chain)


def by_segments(raw, header):
    return _by_segments(raw, header, 2)


def by_segments_of_which_none_is_left(raw, header):
    return _by_segments(raw, header, 0)
