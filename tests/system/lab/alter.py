# SPDX-License-Identifier: MIT
"""What makers of ICMP errors, and boxes before them, do to the packet that is quoted: functions of its bytes and of the
length of its IP header, which give both back. A Hop names one of them."""


def flags_swapped(raw, header):
    """IPv4: flags and fragment offset in the order of the router's own bytes."""
    return (raw[:6] + raw[7:8] + raw[6:7] + raw[8:], header) if raw[0] >> 4 == 4 else (raw, header)
