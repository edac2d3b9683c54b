# SPDX-License-Identifier: MIT
"""A path of routers with targets at its end, played in user space behind a TUN device.

What the path does is plain data: a list of Hop, one for each ttl from 1 up, and Targets, which answer a probe whose
ttl is greater than the list is long. A child process (lab/player.py) reads the probes from the device and answers them,
some ten thousand a second. Who wants to answer a probe by hand uses a Tun alone: probes() and inject().
"""

import dataclasses
import fcntl
import multiprocessing.connection
import os
import pathlib
import select
import signal
import struct
import subprocess
import sys
import time
import typing

from . import wire

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
QUEUE = 32_767  # packets that may wait for their reader: the most that Linux 7 allows
SYSTEM = pathlib.Path(__file__).resolve().parents[1]

OURS = {4: "10.99.255.1", 6: "fd99::ffff:1"}
OURS_TOO = {4: "10.99.255.2", 6: "fd99::ffff:2"}  # a second address of the probing host
PREFIX = {4: 16, 6: 64}

# How much of the probe an ICMP error quotes, in bytes after its IP header. As many as a host quotes: None.
SHORT, LONG, WHOLE = 8, None, 1 << 16

TIME_EXCEEDED = {4: (11, 0), 6: (3, 0)}
WAYS = 8  # of a load-balanced hop


def hop_address(number):
    """The addresses of the router at ttl `number`, by family."""
    return {4: f"10.99.0.{number}", 6: f"fd99::{number:x}"}


def way_address(way):
    """The addresses of one of the routers that share a load-balanced hop."""
    return hop_address(200 + way)


def target_address(number):
    """The addresses of a target, by family; there is room for thousands."""
    return {4: f"10.99.{1 + number // 250}.{1 + number % 250}", 6: f"fd99::1:{number:x}"}


@dataclasses.dataclass(frozen=True)
class Hop:
    """A router: it ends the probes whose ttl is its number."""

    address: dict  # family -> address that it answers from
    silent: bool = False
    delay: float = 0.0  # seconds
    copies: int = 1  # so many times each answer
    quote: typing.Optional[int] = SHORT
    extension: bytes = b""  # of wire.extension()
    form: str = "length"  # of the extension: with the RFC 4884 length field, or "old"
    length: typing.Optional[int] = None  # a lie for that field
    old_at: int = 128  # where the extension begins in the old form
    options: bytes = b""  # IPv4 options of its answers, padded to words
    headers: tuple = ()  # IPv6 extension headers of its answers: (number, bytes after the next-header byte)
    quoted_options: bytes = b""  # the same in the probe when it came here, so in the quote
    quoted_headers: tuple = ()
    ways: tuple = ()  # names of lab.wire.Packet's fields: a hash of these says which of WAYS routers it is
    quoted_tos: typing.Optional[int] = None  # the probe's, when it came here; None: as it was sent
    loses: int = 0  # every so manieth of its answers
    mtu: int = 0  # of the link behind it, if that is narrow: it says so, or being silent does not
    nat: dict = dataclasses.field(default_factory=dict)  # rewritten in the quote: src (by family), sport, checksum
    alter: str = ""  # what else was done to the quote: a function of lab/alter.py
    rebuilt: str = ""  # who between it and us makes its quotes anew: a function of lab/rebuild.py


@dataclasses.dataclass(frozen=True)
class Clock:
    """That of a target: so many ms ahead of ours when it began (ns since the epoch), and so many parts per million too fast."""

    began: int
    ahead: float = 0
    ppm: float = 0

    def ahead_now(self):
        return self.ahead + (time.time_ns() - self.began) / 1e12 * self.ppm

    def __call__(self):
        ms = int(time.time_ns() / 1e6 + self.ahead_now()) % 86_400_000
        return ms, ms


@dataclasses.dataclass(frozen=True)
class Target(Hop):
    """A host at the end of the path. Each protocol may also be "silent", or "error": the ICMP error below."""

    icmp: str = "reply"
    udp: str = "unreachable"  # or datagram
    tcp: str = "open"  # or closed, or accurate: says the SYN's IP ECN as RFC 9768 has it
    sctp: str = "open"  # or closed
    error: tuple = ()  # type, code
    clock: tuple = (1, 2)  # what it says to ICMP timestamp requests: receive, transmit; or what returns both, as a Clock
    interface: tuple = (0, 7)  # to extended echo requests: code, state with flags
    payload: bytes = b"answer"  # of its datagrams
    sender: typing.Optional[dict] = None  # family -> address of the router that sends the error; None: the target


def hops(count, **rules):
    """That many routers, all alike."""
    return [Hop(hop_address(number), **rules) for number in range(1, count + 1)]


def target(number=0, **rules):
    return Target(target_address(number), **rules)


class Tun:
    """A TUN device inside a namespace: the way to every address of the path's prefixes."""

    def __init__(self, namespace, ifname="tun0", mtu=1500):
        self.namespace, self.ifname = namespace, ifname
        with namespace.enter():
            self.fd = _open_device()
            fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", ifname.encode(), IFF_TUN | IFF_NO_PI))
        namespace.ip(f"link set {ifname} mtu {mtu} txqueuelen {QUEUE} addrgenmode none up",
                     *(f"addr add {own[family]}/{PREFIX[family]} dev {ifname}{' nodad' if family == 6 else ''}"
                       for own in (OURS, OURS_TOO) for family in (4, 6)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        os.close(self.fd)

    def probes(self, targets, timeout=5.0):
        """The next probe to each of these targets that leaves through the device, decoded: address -> packet."""
        found, missing, end = {}, set(targets), time.monotonic() + timeout
        while missing:
            left = end - time.monotonic()
            assert left > 0, f"after {timeout} s no probe to {len(missing)} of {len(set(targets))} targets: {missing}"
            if select.select([self.fd], [], [], left)[0]:
                packet = wire.decode(os.read(self.fd, 1 << 16))
                if is_probe(packet) and packet.dst in missing:
                    missing.remove(packet.dst)
                    found[packet.dst] = packet
        return found

    def drain(self):
        """Forgets what waits to be read."""
        try:
            while True:
                os.read(self.fd, 1 << 16)
        except BlockingIOError:
            pass

    def inject(self, *packets):
        """IP packets that come in through the device."""
        for packet in packets:
            os.write(self.fd, packet)


def _open_device():
    try:
        return os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        import pytest  # not at the top: the player needs none
        pytest.skip(f"no TUN devices here: {error}")


class Path(Tun):
    """A Tun whose other end is played by a child process."""

    def __init__(self, namespace, path=(), targets=(), **tun):
        super().__init__(namespace, **tun)
        self._control, theirs = multiprocessing.connection.Pipe()
        with theirs:
            self._player = subprocess.Popen(
                [sys.executable, "-m", "lab.player", str(self.fd), str(theirs.fileno())], cwd=SYSTEM,
                stdin=subprocess.DEVNULL, pass_fds=(self.fd, theirs.fileno()))
        self.play(path, targets)

    def play(self, path, targets):
        """Other rules from now on; answers that were still to come are forgotten."""
        self._control.send((list(path), {address: one for one in targets for address in one.address.values()}))
        self.seen = self._told()

    def count(self):
        """How many probes it has seen since play()."""
        self._control.send(None)
        return self._told()

    def pause(self):
        """From now on nobody reads the device."""
        self._player.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._player.send_signal(signal.SIGCONT)

    def close(self):
        self.go_on()
        self._control.close()
        self._player.wait()
        super().close()

    def _told(self):
        assert self._control.poll(10), "the player of the path does not answer"
        return self._control.recv()


def is_probe(packet):
    """Not what the host says by itself: router solicitations, errors, its RST to a SYN-ACK."""
    if packet is None or packet.fragment_offset:
        return False
    return packet.icmp_request is not None or packet.protocol == "udp" or \
        (packet.protocol == "tcp" and packet.flags is not None and packet.flags & 0x3f == wire.SYN) or (packet.protocol == "sctp" and packet.chunk == 1)
