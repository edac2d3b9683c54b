# SPDX-License-Identifier: MIT
"""Faults of the probing host that pass: what each is, on and off, and which replies are due to requests for its place.

Each has addresses of its own, and no request for another place may feel it. Most have an interface of their own.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import random
import tempfile
import threading
import time

from lab import cc
from lab.net import CommandError, Namespace, join
from lab.path import Path, target, target_address

FAMILIES = 4, 6
LENGTH = {4: 24, 6: 64}
NEVER = float("inf")


@dataclasses.dataclass
class Hosts:
    """client - router - target, and what the faults need: see soak.py. `far` are prefixes of the target's, behind the
    router; `near` those of the client's, towards it."""

    client: Namespace
    router: Namespace
    target: Namespace
    near: dict
    far: dict
    environment: dict  # of the daemons
    stack: contextlib.ExitStack  # what goes with the run


def link_address(hosts, side, ifname):
    """The hardware address of an interface."""
    return json.loads(getattr(hosts, side).run("ip", "-j", "link", "show", ifname).stdout)[0]["address"]


def addresses(where):
    return [f"{where[family]}/{LENGTH[family]}" for family in FAMILIES]


def permanent(address, mac, ifname):
    return f"neigh replace {address} lladdr {mac} dev {ifname} nud permanent"


class Fault:
    """On its own it is a link between client and target that is never at fault: `where` is its far end."""

    during = "no-reply",  # kinds of replies while it is on
    local = None  # the source to ask for

    def __init__(self, hosts, number):
        self.hosts, self.number = hosts, number
        self.name = type(self).__name__.lower()
        self.ifname = "to-" + self.name
        self.ours, self.where = self.place(1), self.place(2)
        self.prepare()

    def place(self, host):
        return {4: f"10.53.{self.number}.{host}", 6: f"fd53:{self.number}::{host:x}"}

    def prepare(self):
        """A link, on which neighbours know each other: who they are is not what these faults are about."""
        client, target_side = self.hosts.client, self.hosts.target
        join(client, self.ifname, target_side, self.ifname, addresses(self.ours), addresses(self.where))
        self.introduce()

    def introduce(self):
        for side, other, where in (("client", "target", self.where), ("target", "client", self.ours)):
            mac = link_address(self.hosts, other, self.ifname)
            getattr(self.hosts, side).ip(*(f"-{family} {permanent(where[family], mac, self.ifname)}"
                                           for family in FAMILIES))

    def on(self):
        raise NotImplementedError

    def off(self):
        raise NotImplementedError

    def words(self, family):
        """What a request says of the place."""
        source = f" local-ip-{family} {self.local[family]}" if self.local else ""
        return f"ip-{family} {self.where[family]}{source}"

    def options(self, family):
        """The same for mtr."""
        return [*(["-a", self.local[family]] if self.local else []), self.where[family]]


class Far(Fault):
    """One more address of the target, by the way that all others take."""

    def prepare(self):
        self.where = {4: f"{self.hosts.far[4]}{100 + self.number}", 6: f"{self.hosts.far[6]}{100 + self.number:x}"}
        self.hosts.target.ip(*(f"-{family} addr add {self.where[family]}/{LENGTH[family]} dev west"
                               f"{' nodad' if family == 6 else ''}" for family in FAMILIES))


class Policy(Fault):
    """An egress policy of the interface that drops everything: ENOBUFS."""

    def on(self):
        self.hosts.client.nft(f"table netdev policy_fault {{ chain egress {{\n"
                              f"type filter hook egress device {self.ifname} priority 0; policy drop;\n}}\n}}")

    def off(self):
        self.hosts.client.nft("delete table netdev policy_fault")


class Shaper(Fault):
    """A shaper without tokens: ENOBUFS. It is not taken away, for then the kernel would drop in silence for a while."""

    def prepare(self):
        super().prepare()
        self.off()

    def on(self):
        self.shape("rate 8bit burst 1 limit 1")

    def off(self):
        self.shape("rate 10gbit burst 10mb limit 10mb")

    def shape(self, words):
        self.hosts.client.run("tc", "qdisc", "replace", "dev", self.ifname, "root", "handle", "1:", "tbf",
                              *words.split())


class Unplugged(Fault):
    """The link's other end is down, as a tunnel's that is gone: no carrier, and the kernel drops in silence."""

    def prepare(self):
        super().prepare()
        self.keep()

    def keep(self):
        for namespace in (self.hosts.client, self.hosts.target):
            namespace.sysctl(f"net.ipv6.conf.{self.ifname}.keep_addr_on_down", 1)

    def on(self):
        self.hosts.target.ip(f"link set {self.ifname} down")

    def off(self):
        self.hosts.target.ip(f"link set {self.ifname} up")
        self.introduce()


class Down(Unplugged):
    """The interface itself is down, and its routes are gone; the router knows no way for what comes to it instead."""

    during = "no-reply", "network-down", "no-route-network", "no-route-host"

    def on(self):
        self.hosts.client.ip(f"link set {self.ifname} down")

    def off(self):
        self.hosts.client.ip(f"link set {self.ifname} up")
        self.introduce()


class Unread(Fault):
    """A TUN device that nobody reads: a tunnel's program that stands still."""

    def prepare(self):
        try:
            self.path = self.hosts.stack.enter_context(Path(self.hosts.client, [], [target()], ifname=self.ifname))
        except BaseException as error:  # pytest's way to say that there are none is no Exception
            raise CommandError(1, "open /dev/net/tun", "", str(error)) from None
        self.hosts.client.ip(f"link set {self.ifname} txqueuelen 16")
        self.hosts.client.run("tc", "qdisc", "replace", "dev", self.ifname, "root", "noqueue")
        self.where = target_address(0)

    def on(self):
        self.path.pause()

    def off(self):
        self.path.go_on()


class Filter(Far):
    """An output filter that drops: EPERM."""

    what = "drop"

    def on(self):
        rules = "\n".join(f"{word} daddr {self.where[family]} {self.what}" for family, word in ((4, "ip"), (6, "ip6")))
        self.hosts.client.nft(f"table inet {self.name}_fault {{ {self.others()}\n"
                              f"chain output {{ type filter hook output priority 0;\n{rules}\n}}\n}}")

    def others(self):
        """What else stands in the table."""
        return ""

    def off(self):
        self.hosts.client.nft(f"delete table inet {self.name}_fault")


class Connections(Filter):
    """No room for more connections than these: EPERM, as of a full table, whose size is the whole host's."""

    what = "ct state new ct count over 3 drop"
    during = "no-reply", "reply"

    def others(self):
        """Nothing else is tracked."""
        return "\n".join(f"chain {name} {{ type filter hook {hook} priority raw;\n"
                         f"ip {end} != {self.where[4]} notrack\nip6 {end} != {self.where[6]} notrack\n}}"
                         for name, hook, end in (("asked", "output", "daddr"), ("answered", "prerouting", "saddr")))


class Address(Far):
    """A source address that is gone. The router keeps the client in mind: a kernel may need some time to listen again
    to who looks for an address that has come back. It is deprecated, so that nobody has it who does not ask for it."""

    during = "network-down",

    def prepare(self):
        super().prepare()
        self.local = {4: f"{self.hosts.near[4]}{100 + self.number}", 6: f"{self.hosts.near[6]}{100 + self.number:x}"}
        mac = link_address(self.hosts, "client", "east")
        self.hosts.router.ip(*(f"-{family} {permanent(self.local[family], mac, 'west')}" for family in FAMILIES))
        self.off()

    def on(self):
        self.change("del")

    def off(self):
        self.change("add")

    def change(self, verb):
        self.hosts.client.ip(*(f"-{family} addr {verb} {self.local[family]}/{LENGTH[family]} dev east"
                               f"{' nodad preferred_lft 0' if family == 6 and verb == 'add' else ''}"
                               for family in FAMILIES))


class Security(Far):
    """A policy of IPsec without a state for it."""

    def on(self):
        self.change("update")

    def off(self):
        self.change("delete")
        self.hosts.client.run("ip", "xfrm", "state", "flush")

    def change(self, verb):
        for family in FAMILIES:
            full = {4: 32, 6: 128}[family]
            template = ["tmpl", "src", self.hosts.near[family] + "1", "dst", self.where[family], "proto", "esp", "mode",
                        "tunnel"] if verb == "update" else []
            self.hosts.client.run("ip", "xfrm", "policy", verb, "src", {4: "0.0.0.0/0", 6: "::/0"}[family],
                                  "dst", f"{self.where[family]}/{full}", "dir", "out", *template)


class Neighbours(Far):
    """No room for another neighbour: ENOBUFS, in IPv6 EINVAL. The table is one for the whole host, so it is played
    before the system call. What is not played: a connection's SYN is lost in the kernel then."""

    during = "no-reply", "reply"

    def prepare(self):
        super().prepare()
        if cc.sanitized():
            raise CommandError(1, "LD_PRELOAD", "", "not with the sanitizers")
        directory = pathlib.Path(self.hosts.stack.enter_context(tempfile.TemporaryDirectory(prefix="hopline-test-")))
        directory.chmod(0o755)
        self.order = directory / "full"
        self.off()
        self.order.chmod(0o644)
        self.hosts.environment.update(
            LD_PRELOAD=str(cc.preload("../soak/full_table.c")), FULL_TABLE=str(self.order),
            FULL_TABLE_4=self.where[4], FULL_TABLE_6=self.where[6])

    def on(self):
        self.write(1)

    def off(self):
        self.write(0)

    def write(self, full):
        with open(self.order, "r+b" if os.path.exists(self.order) else "wb", buffering=0) as file:
            file.write(bytes([full]))


FAULTS = Policy, Shaper, Unplugged, Down, Unread, Filter, Connections, Address, Security, Neighbours


def make_faults(hosts, moment):
    """Those that can be made here; of the others, why not."""
    made = []
    for number, kind in enumerate(FAULTS, 1):
        try:
            made.append(Played(kind(hosts, number), moment))
        except CommandError as error:
            print(f"soak: this kernel can't play {kind.__name__.lower()}: {error}", flush=True)
    return made


@dataclasses.dataclass
class Period:
    """When a fault was played: it is on for certain from `on` to `ending`, and off before `begun` and after `off`."""

    begun: float
    on: float = NEVER
    ending: float = NEVER
    off: float = NEVER


class Played:
    """A fault, and when it was on."""

    def __init__(self, fault, moment):
        self.fault, self.periods = fault, []
        self.moment = moment  # seconds behind it, in which replies to it may still come
        self.next = 0.0  # when it is to change
        self.keep_off = 0.0

    def lasted(self):
        """Seconds that it was on."""
        return sum(period.ending - period.on for period in self.periods)

    def is_on(self):
        return bool(self.periods) and self.periods[-1].ending == NEVER

    def turn_on(self):
        period = Period(time.monotonic())
        self.periods.append(period)
        self.fault.on()
        period.on = time.monotonic()

    def turn_off(self):
        period = self.periods[-1]
        period.ending = time.monotonic()
        self.fault.off()
        period.off = time.monotonic()

    def is_calm(self, now):
        """It is off, and the moment behind is over."""
        return not self.periods or self.periods[-1].off + self.moment < now

    def allows(self, kind, ordinary, written, seen):
        """Whether a reply of this kind was due to a request that was written then and answered then."""
        for period in reversed(self.periods):
            if period.off + self.moment < written:
                break
            if period.begun > seen:
                continue
            if period.on <= written and seen <= period.ending:
                return kind in self.fault.during
            return kind == ordinary or kind in self.fault.during
        return kind == ordinary


class Conductor(threading.Thread):
    """Turns faults on and off at random; each for itself. It rests while the daemons are looked at."""

    TICK = 0.01
    ON, OFF = (0.3, 6.0), (1.5, 6.0)  # seconds
    FIRST = 2.0  # likewise: by then each daemon has sent something to each place, so that what is gone has been there

    def __init__(self, faults, clients, seed, rests):
        super().__init__(daemon=True)
        self.faults, self.clients, self.rests = faults, clients, rests
        self.chance = random.Random(seed)
        self.error = None
        self.started = time.monotonic()
        self._end = threading.Event()

    def run(self):
        try:
            now = time.monotonic()
            for played in self.faults:
                played.next = now + self.FIRST + self.chance.uniform(*self.ON)
            while not self._end.wait(self.TICK):
                self.step(time.monotonic())
            for played in self.faults:
                if played.is_on():
                    played.turn_off()
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.error = f"the faults ended: {error!r}"

    def step(self, now):
        resting = any(first <= now - self.started < last for first, last in self.rests)
        for played in self.faults:
            if played.is_on():
                if resting or now >= played.next:
                    played.turn_off()
                    played.next = now + self.chance.uniform(*self.OFF)
            elif not resting and now >= max(played.next, played.keep_off):
                played.turn_on()
                played.next = now + self.chance.uniform(*self.ON)
        self.clients.step(now, resting)

    def stop(self):
        self._end.set()
        self.join()
