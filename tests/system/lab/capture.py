# SPDX-License-Identifier: MIT
"""What was on the wire: a packet socket on one interface of a namespace."""

import select
import socket
import struct
import time

from . import wire

ETH_P_ALL = 3
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
PACKET_OUTGOING = 4
BUFFER = 256 << 20

_WORDS = {
    "in": lambda p: p.direction == "in",
    "out": lambda p: p.direction == "out",
    "ip4": lambda p: p.family == 4,
    "ip6": lambda p: p.family == 6,
    "echo": lambda p: p.is_echo_request or p.is_echo_reply,
    "request": lambda p: p.is_echo_request,
    "error": lambda p: p.is_error,
    "icmp": lambda p: p.protocol == "icmp",
    "udp": lambda p: p.protocol == "udp",
    "tcp": lambda p: p.protocol == "tcp",
    "sctp": lambda p: p.protocol == "sctp",
}


class Capture:
    """Every IP packet on an interface from now on, with the kernel's timestamps.

    filter: words that all must hold: in, out, ip4, ip6, icmp, echo, request, error, udp, tcp, sctp. The kernel keeps
    the packets until they are asked for; a packet lost on the way is an error, never a shorter list.
    """

    def __init__(self, namespace, ifname, filter=""):
        self._tests = [_WORDS[word] for word in filter.split()]
        self._packets = []
        with namespace.enter():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self._socket.setblocking(False)
            self._socket.bind((ifname, ETH_P_ALL))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._socket.close()

    def packets(self, count=0, timeout=2.0):
        """All packets so far; with a count: waits until there are so many, or the timeout is over.

        What was sent before an answer to it was read needs no waiting: the kernel shows it here first.
        """
        end = time.monotonic() + timeout
        self._drain()
        while len(self._packets) < count and (left := end - time.monotonic()) > 0:
            select.select([self._socket], [], [], left)
            self._drain()
        return list(self._packets)

    def clear(self):
        """Forgets what came so far."""
        self._drain()
        self._packets.clear()

    def _drain(self):
        while True:
            try:
                self._keep(*self._socket.recvmsg(1 << 17, 256))
            except BlockingIOError:
                break
        _, drops = struct.unpack("II", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        assert drops == 0, f"the capture itself lost {drops} packets"

    def _keep(self, data, ancillary, _flags, sender):
        packet = wire.decode(data)
        if packet is None:
            return
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", value)
                packet.time_ns = seconds * 10**9 + nanoseconds
                packet.time = packet.time_ns / 1e9
        packet.direction = "out" if sender[2] == PACKET_OUTGOING else "in"
        if all(test(packet) for test in self._tests):
            self._packets.append(packet)
