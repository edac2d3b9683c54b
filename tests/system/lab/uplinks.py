# SPDX-License-Identifier: MIT
"""A host with several uplinks, each with two routers that exist as neighbours only: what is sent is seen by interface and
router, and nothing answers. Probes of the daemon are compared with what the kernel's own sockets do on that host."""

import errno
import select
import socket
import struct
import time

from . import net

UPLINKS = 3
ROUTERS = (2, 3)
ETH_P_ALL = 3
NUMBERS = {"icmp": {4: 1, 6: 58}, "udp": {4: 17, 6: 17}, "tcp": {4: 6, 6: 6}, "sctp": {4: 132, 6: 132}}
IP_BIND_ADDRESS_NO_PORT, SO_BINDTODEVICE = 24, 25

# How the daemon tells an error that a socket gives.
WORDS = {errno.ENETUNREACH: "no-route-network", errno.EINVAL: "no-route-network", errno.EHOSTUNREACH: "no-route-host",
         errno.EACCES: "permission-denied"}


def own(family, uplink):
    return f"10.1.{uplink}.1" if family == 4 else f"2001:db8:{uplink}::1"


def router(family, uplink, number):
    return f"10.1.{uplink}.{number}" if family == 4 else f"2001:db8:{uplink}::{number}"


def target(family, number):
    return f"198.51.100.{number}" if family == 4 else f"2001:db8:ffff::{number:x}"


class Uplinks:
    """`host` has interfaces up0, up1, up2; `far` their other ends."""

    def __init__(self, label):
        self.host, self.far = net.Namespace(label + "-host"), net.Namespace(label + "-far")
        self._captures = []
        for i in range(UPLINKS):
            net.join(self.host, f"up{i}", self.far, f"far{i}", [own(4, i) + "/24", own(6, i) + "/64"])
            for family in (4, 6):
                self.host.ip(*(f"-{family} neigh replace {router(family, i, n)} lladdr 02:00:00:00:{i:02}:{n:02} "
                               f"dev up{i} nud permanent" for n in ROUTERS))
            with self.far.enter():
                capture = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
                capture.setblocking(False)
                capture.bind((f"far{i}", ETH_P_ALL))
                self._captures.append(capture)

    def close(self):
        for capture in self._captures:
            capture.close()
        self.host.close()
        self.far.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def clear(self):
        """Forgets what was sent so far."""
        self.seen()

    def seen(self, wanted=0, timeout=0.0):
        """What was sent to targets: {(family, target, protocol): (uplink, router, source)}; waits for so many."""
        found, end = {}, time.monotonic() + timeout
        while True:
            for uplink, capture in enumerate(self._captures):
                while True:
                    try:
                        frame = capture.recv(1 << 16)
                    except BlockingIOError:
                        break
                    key, source = _read(frame)
                    if key:
                        found[key] = (uplink, frame[5], source)
            left = end - time.monotonic()
            if len(found) >= wanted or left <= 0:
                return found
            select.select(self._captures, [], [], left)

    def send_by_socket(self, family, address, probe):
        """The same as a probe by a socket of its protocol: None, or the word for the error."""
        kind, number = {"udp": (socket.SOCK_DGRAM, 0), "tcp": (socket.SOCK_STREAM, 0),
                        "icmp": (socket.SOCK_DGRAM, NUMBERS["icmp"][family])}[probe["protocol"]]
        domain = socket.AF_INET if family == 4 else socket.AF_INET6
        with self.host.socket(domain, kind, number) as sender:
            sender.setblocking(False)
            if "tos" in probe:
                sender.setsockopt(*((socket.IPPROTO_IP, socket.IP_TOS) if family == 4 else
                                    (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)), probe["tos"])
            if "mark" in probe:
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, probe["mark"])
            if "local-device" in probe:
                sender.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, probe["local-device"].encode())
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            local = probe.get("local", "")
            if local or "local-port" in probe:
                sender.bind((local, probe.get("local-port", 0)))
            try:
                if probe["protocol"] == "icmp":
                    sender.sendto(struct.pack("!BBHHH", 8 if family == 4 else 128, 0, 0, 1, 1), (address, 0))
                else:
                    sender.connect((address, probe["port"]))
                    sender.send(b"probe")
            except BlockingIOError:
                pass
            except OSError as error:
                if error.errno not in WORDS:
                    raise
                return WORDS[error.errno]
        return None


def request_of(family, address, probe):
    """The daemon's line for a probe, without its token."""
    words = [f"send-probe ip-{family} {address} protocol {probe['protocol']} timeout 0.1"]
    words += [f"{name} {probe[name]}" for name in ("port", "local-port", "tos", "mark", "local-device") if name in probe]
    if "local" in probe:
        words.append(f"local-ip-{family} {probe['local']}")
    return " ".join(words)


def _read(frame):
    """((family, target, protocol), source) of a frame to a target."""
    kind, packet = frame[12:14], frame[14:]
    if kind == b"\x08\x00":
        family, number, source, address = 4, packet[9], packet[12:16], packet[16:20]
        domain, prefix = socket.AF_INET, socket.inet_aton(target(4, 0))[:3]
    elif kind == b"\x86\xdd":
        family, number, source, address = 6, packet[6], packet[8:24], packet[24:40]
        domain, prefix = socket.AF_INET6, socket.inet_pton(socket.AF_INET6, target(6, 0))[:12]
    else:
        return None, None
    protocol = [name for name, numbers in NUMBERS.items() if numbers[family] == number]
    if not protocol or not address.startswith(prefix):
        return None, None
    return (family, socket.inet_ntop(domain, address), protocol[0]), socket.inet_ntop(domain, source)
