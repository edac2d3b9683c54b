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
