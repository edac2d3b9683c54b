# SPDX-License-Identifier: MIT
"""What the programs share that run in user-mode Linux: a host with uplinks, its far side, and rows that are compared.

Each program is given the name of a group of its rows, and prints a line of JSON a row: what became of the probe, and of
what a socket or ping(8) sent.
"""

import dataclasses
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lab import net, transports  # pylint: disable=wrong-import-position
from lab.capture import Capture  # pylint: disable=wrong-import-position
from lab.daemon import Daemon  # pylint: disable=wrong-import-position

from uml import sockets  # pylint: disable=wrong-import-position

WHO = {"raw": (), "plain": transports.AS_NOBODY}
TARGET = {4: "198.51.100.1", 6: "2001:db8:ffff::1"}
NETWORK = {4: "198.51.100.0/24", 6: "2001:db8:ffff::/64"}
OUTER = {50: "esp"}
TIMEOUT = 0.5


def own(family, uplink=0):
    return f"10.1.{uplink}.1" if family == 4 else f"2001:db8:{uplink}::1"


def other(family, uplink=0):
    return f"10.1.{uplink}.2" if family == 4 else f"2001:db8:{uplink}::2"


@dataclasses.dataclass(frozen=True)
class Row:
    """A probe in a situation; its name is the test's."""

    situation: str
    family: int
    protocol: str
    transport: str

    def __str__(self):
        return f"{self.situation}-ip{self.family}-{self.protocol}-{self.transport}"


def rows(situations, protocols=("icmp", "udp", "tcp"), who=("raw", "plain"), families=(4, 6)):
    return [Row(situation, family, protocol, transport)
            for situation in situations for family in families for protocol in protocols for transport in who]


class Host:
    """`host` with its uplinks up0, up1; the other ends far0, far1 in a namespace each, both of which have TARGET."""

    def __init__(self, uplinks=1, targets=True):
        self.host = net.Namespace("host")
        self.far = [net.Namespace(f"far{i}") for i in range(uplinks)]
        for i, far in enumerate(self.far):
            net.join(self.host, f"up{i}", far, f"far{i}", [own(4, i) + "/24", own(6, i) + "/64"],
                     [other(4, i) + "/24", other(6, i) + "/64"])
            if targets:
                far.ip(*(f"addr add {TARGET[family]}{'/32' if family == 4 else '/128 nodad'} dev lo" for family in (4, 6)))
        self.captures, self._daemons = {}, {}

    def route(self, how="via {via} dev up0", families=(4, 6)):
        """A route to the target's network; how: with {via}, the other end of up0."""
        self.host.ip(*(f"-{family} route replace {NETWORK[family]} {how.format(via=other(family))}" for family in families))

    def watch(self, *devices):
        """From now on left() tells what goes out of these; the first that sees a packet counts."""
        for device in devices:
            self.captures[device] = Capture(self.host, device, "out")

    def clear(self):
        for capture in self.captures.values():
            capture.clear()

    def left(self, row):
        """Device, source and how the first packet left that was meant for the target, or for a tunnel to it."""
        for device, capture in self.captures.items():
            for packet in capture.packets():
                if packet.family == row.family and packet.dst == TARGET[row.family] and packet.protocol == row.protocol:
                    return f"{device} {packet.src}"
                if packet.protocol in OUTER:
                    return f"{device} {packet.src} {OUTER[packet.protocol]}"
        return "nothing"

    def daemon(self, transport, *wrapper):
        """One that runs until forget()."""
        key = transport, wrapper
        if key not in self._daemons:
            self._daemons[key] = Daemon(self.host, binary=os.environ["DAEMON"], wrapper=[*wrapper, *WHO[transport]])
        return self._daemons[key]

    def forget(self):
        for daemon in self._daemons.values():
            daemon.kill()
        self._daemons.clear()

    def probe(self, row, device="", wrapper=()):
        """How a probe fared and left, in the words of socket()."""
        self.clear()
        return f"{self.ask(row, self.line(row) + (f' local-device {device}' if device else ''), wrapper)}, {self.left(row)}"

    def ask(self, row, line, wrapper=()):
        """What the daemon says to a line without a timeout."""
        try:
            return word(self.daemon(row.transport, *wrapper).ask(f"{line} timeout {TIMEOUT}", TIMEOUT + 1))
        except AssertionError:
            self.forget()
            return "no answer in time"

    def line(self, row):
        """The request, without a token."""
        port = f" port {sockets.PORTS[row.protocol]}" if row.protocol in sockets.PORTS else ""
        return f"send-probe ip-{row.family} {TARGET[row.family]} protocol {row.protocol}{port}"

    def socket(self, row, device="", wrapper=()):
        """The same by a socket of this protocol."""
        self.clear()
        if wrapper:
            done = self.host.run(*wrapper, sys.executable, "-S", "-E", sockets.__file__, row.protocol, TARGET[row.family])
            kind = done.stdout.strip()
        else:
            with self.host.enter():
                kind = sockets.ask(row.protocol, TARGET[row.family], device)
        return f"{kind}, {self.left(row)}"

    def close(self):
        self.forget()
        for capture in self.captures.values():
            capture.close()
        for namespace in (self.host, *self.far):
            namespace.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def word(reply):
    """A reply in the words of sockets.ask(); of packet-too-big no more than its MTU."""
    if reply.kind == "packet-too-big":
        return f"packet-too-big mtu {reply.args.get('mtu')}"
    return {"reply": "yes", "no-reply": "no"}.get(reply.kind, reply.line.split(" ", 1)[1])


def tell(row, seen, expected):
    """A row's result, for the test."""
    print(json.dumps({"row": str(row), "seen": seen, "socket": expected}), flush=True)
