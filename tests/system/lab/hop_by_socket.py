# SPDX-License-Identifier: MIT
"""The first hop of what the kernel's own sockets send. As a program, with a probe's fields in JSON: prints the hop."""

import dataclasses
import errno
import json
import socket
import struct
import sys
import time

TARGETS = {4: "198.51.100.{}", 6: "2001:db8:ffff::{}"}
DOMAIN = {4: socket.AF_INET, 6: socket.AF_INET6}
RECVERR = {4: (socket.IPPROTO_IP, 11), 6: (socket.IPPROTO_IPV6, 25)}
HOPS = {4: (socket.IPPROTO_IP, socket.IP_TTL), 6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)}
TOS = {4: (socket.IPPROTO_IP, socket.IP_TOS), 6: (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)}
WAIT = 0.3  # seconds for an answer


@dataclasses.dataclass(frozen=True)
class Probe:
    """What is asked of each program; port: of the target, for udp and tcp."""

    family: int
    protocol: str
    port: int = 0
    sport: int = 0
    tos: int = 0
    mark: int = 0
    device: str = ""
    source: str = ""
    size: int = 0
    number: int = 1  # of the target

    @property
    def target(self):
        return TARGETS[self.family].format(self.number)

    @property
    def to_port(self):
        return {"icmp": 0, "udp": self.port or 33434, "tcp": self.port or 80}[self.protocol]

    def __str__(self):
        more = [f"{field.name} {getattr(self, field.name)}" for field in dataclasses.fields(self)[2:]
                if getattr(self, field.name) != field.default]
        return " ".join([f"IPv{self.family} {self.protocol}", *more])


def ask(probe):
    """Who answers what an ordinary socket sends, or None."""
    kind, number = {"udp": (socket.SOCK_DGRAM, 0), "tcp": (socket.SOCK_STREAM, 0),
                    "icmp": (socket.SOCK_DGRAM, 1 if probe.family == 4 else 58)}[probe.protocol]
    with socket.socket(DOMAIN[probe.family], kind, number) as sender:
        sender.setblocking(False)
        sender.setsockopt(*RECVERR[probe.family], 1)
        sender.setsockopt(*HOPS[probe.family], 1)
        if probe.tos:
            sender.setsockopt(*TOS[probe.family], probe.tos)
        if probe.mark:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, probe.mark)
        if probe.device:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, probe.device.encode())
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            if probe.source or probe.sport:
                sender.bind((probe.source, 0 if probe.protocol == "icmp" else probe.sport))
            _send(sender, probe)
        except OSError as error:
            if error.errno not in (errno.EINPROGRESS, errno.EHOSTUNREACH):
                return None
        return _offender(sender, probe.family)


def _send(sender, probe):
    overhead = 28 if probe.family == 4 else 48
    data = bytes(max(probe.size - overhead, 0)) or b"probe"
    if probe.protocol == "icmp":
        sender.sendto(struct.pack("!BBHHH", 8 if probe.family == 4 else 128, 0, 0, 1, 1) + data, (probe.target, 0))
    else:
        sender.connect((probe.target, probe.to_port))
        if probe.protocol == "udp":
            sender.send(data)


def _offender(sender, family):
    """The sender of the first error that is no host's own."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        try:
            _, controls, _, _ = sender.recvmsg(2048, 1024, socket.MSG_ERRQUEUE)
        except BlockingIOError:
            time.sleep(0.002)
            continue
        for _, _, data in controls:
            if data[4] in (2, 3):  # ee_origin: ICMP, ICMPv6; behind it stands who sent it
                start, size = (20, 4) if family == 4 else (24, 16)
                return socket.inet_ntop(DOMAIN[family], data[start:start + size])
    return None


if __name__ == "__main__":
    print(ask(Probe(**json.loads(sys.argv[1]))) or "")
