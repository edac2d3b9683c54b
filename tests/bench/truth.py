# SPDX-License-Identifier: MIT
"""Round trips as they were on the wire, from the kernel's timestamps of a capture."""

from lab import wire


def round_trips(packets):
    """Nanoseconds from each probe to its answer, in the order of departure."""
    departed, trips = {}, {}
    for packet in packets:
        if packet.direction == "out":
            key = _of_probe(packet)
            if key:
                departed[key] = packet.time_ns
        else:
            key = _of_answer(packet)
            if key in departed:
                start = departed.pop(key)
                trips[start, key] = packet.time_ns - start
    return [trips[when] for when in sorted(trips)]


def _of_probe(packet):
    """What tells a probe from others in flight; None for other packets."""
    if packet.is_echo_request:
        return "icmp", packet.icmp_id, packet.seq
    if packet.protocol == "udp":
        return "udp", packet.sport, packet.dport
    if packet.protocol == "tcp" and packet.flags & wire.SYN:
        return "tcp", packet.sport, packet.dport, packet.seq
    return None


def _of_answer(packet):
    """The same of the probe that a packet answers."""
    if packet.is_echo_reply:
        return "icmp", packet.icmp_id, packet.seq
    if packet.is_error and packet.quote:
        return _of_probe(packet.quote)
    if packet.protocol == "tcp":
        return "tcp", packet.dport, packet.sport, (packet.ack - 1) & 0xffffffff
    return None
