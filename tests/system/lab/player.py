# SPDX-License-Identifier: MIT
"""The other end of a Path: reads probes from the TUN device and answers them. Run by lab/path.py."""

import collections
import heapq
import itertools
import multiprocessing.connection
import os
import select
import struct
import sys
import time
import zlib

from . import alter, rebuild, wire
from .path import TIME_EXCEEDED, WAYS, WHOLE, is_probe, way_address

PORT_UNREACHABLE = {4: (3, 3), 6: (1, 4)}
TOO_BIG = {4: (3, 4), 6: (2, 0)}
BATCH = 64


def answer(probe, path, targets):
    """(who answers, the IP packet), or None when nobody does."""
    for hop in path[:probe.ttl - 1]:
        if hop.mtu and probe.total_length > hop.mtu and (probe.df or probe.family == 6):
            return None if hop.silent else (hop, error(hop, hop.address[probe.family], probe, TOO_BIG[probe.family]))
    if probe.ttl <= len(path):
        hop = path[probe.ttl - 1]
        router = way_address(way(probe, hop.ways)) if hop.ways else hop.address
        return None if hop.silent else (hop, error(hop, router[probe.family], probe, TIME_EXCEEDED[probe.family]))
    target = targets.get(probe.dst)
    if target is None or target.silent:
        return None
    how = getattr(target, probe.protocol)
    if how == "silent":
        return None
    if how == "error":
        sender = target.sender[probe.family] if target.sender else probe.dst
        return target, error(target, sender, probe, target.error)
    if how == "unreachable":
        return target, error(target, probe.dst, probe, PORT_UNREACHABLE[probe.family])
    return target, envelope(target, probe.dst, probe, probe.protocol, reply(target, probe, how))


def way(probe, fields):
    """Which way a router that looks at these fields sends a probe."""
    return zlib.crc32(repr([getattr(probe, field) for field in fields]).encode()) % WAYS


# ECN in the IP header of a SYN -> how the SYN-ACK says it (RFC 9768, table 2)
SEEN = {0: wire.CWR, 1: wire.CWR | wire.ECE, 2: wire.AE, 3: wire.AE | wire.CWR}


def reply(target, probe, how):
    """The target's own answer: the message after the IP header."""
    there, here = probe.dst, probe.src
    if probe.icmp_request == "timestamp":
        originate, = struct.unpack_from("!I", probe.payload)
        return wire.timestamp_reply(there, here, probe.icmp_id, probe.seq, (originate, *(target.clock() if callable(target.clock) else target.clock)))
    if probe.icmp_request == "extended-echo":
        return wire.extended_reply(there, here, probe.icmp_id, probe.seq, *target.interface)
    if probe.protocol == "icmp":
        return wire.echo(there, here, probe.icmp_id, probe.seq, probe.payload, reply=True)
    if probe.protocol == "udp":
        return wire.udp(there, here, probe.dport, probe.sport, target.payload)
    if probe.protocol == "tcp":
        flags = wire.ACK | (wire.RST if how == "closed" else wire.SYN)
        if how == "accurate" and probe.flags & (wire.AE | wire.CWR | wire.ECE) == wire.AE | wire.CWR | wire.ECE:
            flags |= SEEN[probe.tos & 3]
        return wire.tcp(there, here, probe.dport, probe.sport, flags, seq=0 if how == "closed" else 0x12345678,
                        ack=probe.seq + 1)
    build = wire.sctp_init_ack if how == "open" else wire.sctp_abort
    return build(probe.dport, probe.sport, probe.init_tag)


def error(hop, sender, probe, kind):
    """An ICMP error about the probe, as this hop words it."""
    quoted, header = as_it_came(hop, probe)
    if hop.alter:
        quoted, header = getattr(alter, hop.alter)(quoted, header)
    how = {"extension": hop.extension, "form": hop.form, "length": hop.length, "old_at": hop.old_at,
           "quote": None if hop.quote is None else header + hop.quote}
    if hop.rebuilt:
        quoted, how = getattr(rebuild, hop.rebuilt)(hop, quoted, header), {"quote": WHOLE}
    mtu = (hop.mtu or 1400) if kind in TOO_BIG.values() else 0
    body = wire.icmp_error(sender, probe.src, *kind, quoted, mtu=mtu, **how)
    return envelope(hop, sender, probe, "icmp", body)


def as_it_came(hop, probe):
    """The probe as it was when the hop got it, with a ttl of 1, and the length of its IP header."""
    raw, header = rewritten(hop, probe), probe.header_length
    if probe.family == 4:
        options = hop.quoted_options + bytes(-len(hop.quoted_options) % 4)
        first = struct.pack("!BBH", raw[0] + len(options) // 4, raw[1], len(raw) + len(options))
        first += raw[4:8] + b"\1" + raw[9:10]
        rest = raw[12:20] + options
        return first + struct.pack("!H", wire.checksum(first + rest)) + rest + raw[header:], header + len(options)
    number, chain = raw[6], b""
    for kind, rest in reversed(hop.quoted_headers):
        number, chain = kind, bytes([number]) + rest + chain
    first = raw[:4] + struct.pack("!HBB", len(raw) - 40 + len(chain), number, 1)
    return first + raw[8:40] + chain + raw[40:], header + len(chain)


def rewritten(hop, probe):
    """The probe with what this hop says was changed before it came here."""
    raw, header = bytearray(probe.raw), probe.header_length
    if hop.quoted_tos is not None and probe.family == 4:
        raw[1] = hop.quoted_tos
    elif hop.quoted_tos is not None:
        raw[:2] = struct.pack("!H", 6 << 12 | hop.quoted_tos << 4 | raw[1] & 15)
    if "src" in hop.nat:
        at, source = 12 if probe.family == 4 else 8, wire.address(hop.nat["src"][probe.family])
        raw[at:at + len(source)] = source
    if "sport" in hop.nat:  # of icmp: the identifier
        at = header + (4 if probe.protocol == "icmp" else 0)
        raw[at:at + 2] = struct.pack("!H", hop.nat["sport"])
    if "checksum" in hop.nat:
        at = header + {"icmp": 2, "udp": 6, "tcp": 16}[probe.protocol]
        raw[at:at + 2] = struct.pack("!H", hop.nat["checksum"])
    return bytes(raw)


def envelope(hop, sender, probe, protocol, body):
    """The answer as an IP packet, with what this hop adds to the IP header."""
    if probe.family == 4:
        return wire.ip4(sender, probe.src, protocol, body, options=hop.options)
    return wire.ip6(sender, probe.src, protocol, body, headers=hop.headers)


class Player:
    def __init__(self, tun, control):
        self.tun, self.control = tun, control
        self.path, self.targets = [], {}
        self.seen = 0
        self.answers = collections.Counter()
        self.waiting, self.order = [], itertools.count()

    def run(self):
        """Until the other end of the control pipe is closed."""
        while True:
            wait = max(0, self.waiting[0][0] - time.monotonic()) if self.waiting else None
            ready, _, _ = select.select([self.tun, self.control], [], [], wait)
            if self.control in ready and not self.obey():
                return
            if self.tun in ready:
                self.read()
            while self.waiting and self.waiting[0][0] <= time.monotonic():
                os.write(self.tun, heapq.heappop(self.waiting)[2])

    def obey(self):
        try:
            order = self.control.recv()
            if order:
                self.path, self.targets = order
                self.waiting.clear()
                self.drain()
                self.seen = 0
                self.answers.clear()
            self.control.send(self.seen)
        except (EOFError, ConnectionError):
            return False
        return True

    def read(self):
        for _ in range(BATCH):
            try:
                raw = os.read(self.tun, 1 << 16)
            except BlockingIOError:
                return
            self.play(wire.decode(raw), time.monotonic())

    def drain(self):
        """Forgets what was sent under the rules before."""
        try:
            while True:
                os.read(self.tun, 1 << 16)
        except BlockingIOError:
            pass

    def play(self, probe, now):
        if not is_probe(probe):
            return
        self.seen += 1
        found = answer(probe, self.path, self.targets)
        if found is None:
            return
        hop, packet = found
        if hop.loses:
            self.answers[hop.address[4]] += 1
            if self.answers[hop.address[4]] % hop.loses == 0:
                return
        for _ in range(hop.copies):
            if hop.delay:
                heapq.heappush(self.waiting, (now + hop.delay, next(self.order), packet))
            else:
                os.write(self.tun, packet)


if __name__ == "__main__":
    Player(int(sys.argv[1]), multiprocessing.connection.Connection(int(sys.argv[2]))).run()
