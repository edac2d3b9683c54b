# SPDX-License-Identifier: MIT
"""make soak: a long run at 20,000 probes a second, in namespaces of its own, with two more daemons beside it, one of
them without privileges.

Single requests, and sweeps beside them. All protocols and families, targets that answer, answer twice, are silent or
unreachable, and a router that ends probes; random timeouts, sizes and additions; and places that are at fault at random
(faults.py). Each request must be answered once, by what its target and the faults of its place do, and in its time; a
sweep must account for each of its probes; memory and descriptors must be the same at the first minute and at the end; mtr
beside it (walks.py) must never end by itself. Prints figures; exit status 1 when one of them is wrong.
"""

import argparse
import array
import collections
import contextlib
import dataclasses
import itertools
import os
import pathlib
import random
import re
import select
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from lab import transports  # noqa: E402
from lab.daemon import Daemon, built_binary, default_binary  # noqa: E402
from lab.net import CommandError, Namespace, join, why_no_namespaces  # noqa: E402

import sweeps  # noqa: E402
from faults import Conductor, Hosts, make_faults  # noqa: E402
from walks import Walkers  # noqa: E402

FAMILIES = 4, 6
KINDS_OF_REQUESTS = 8191  # a prime: they do not fall into step with anything
SETTLED = 60  # seconds; then memory and descriptors are looked at for the first time
OPENED = {transports.RAW: 8, transports.PLAIN: 600}  # descriptors that it opens until then, as it uses more ports
PAUSE = 0.5  # seconds
LOOK = 0.01  # seconds: how often to look at how long the daemons have waited for a processor
WAITS = 1000  # of these looks are kept
SPELLS = 5  # of late replies are told
PAUSES = 8  # at the most
PAUSE_EVERY = 3.75  # seconds
LONGEST_TIMEOUT = 2.0
BESIDE = 40  # those beside it have so manieth of its rate
PATIENCE = 30  # seconds for the last replies
PIPE = 1 << 16  # bytes that it holds
AT_ONCE = 0.005  # seconds' worth of requests at the most: that this program stood still is no burst of its daemons' client
CATCH_UP = 1.1  # times the rate, afterwards
AT_FAULT = 12  # requests for places of faults, to 100 others: no more may wait in a daemon at a time than it sets aside
REST = 2.5  # seconds without faults before the daemons are looked at: longer than any timeout that faults make pass
WRITTEN = 1 << 18  # requests of which it is known when they were written: more than are ever in flight
CATCHING_UP = 2.0  # seconds after a pause, in which nothing is late
MINUTE = 60
FELT = 20  # seconds of a fault, in which some request must have met it for the whole of its time
WRONG = 20  # replies that are told


def network(net):
    return {4: f"10.52.{net}.", 6: f"fd52:{net}::"}


def place(net, host):
    return {4: f"{network(net)[4]}{host}", 6: f"{network(net)[6]}{host:x}"}


CLIENT, ROUTER, ROUTER_FAR = place(1, 1), place(1, 254), place(2, 254)
ANSWERS, TWICE, SILENT, UNREACHABLE = (place(2, host) for host in (2, 3, 4, 5))
LENGTH = {4: "/24", 6: "/64"}

# (target, what more to ask for, the reply, how often of a hundred)
HABITS = [
    (ANSWERS, "", "reply", 40),
    (TWICE, "", "reply", 15),
    (SILENT, "", "no-reply", 20),
    (UNREACHABLE, "", "no-route-host", 10),
    (ANSWERS, " ttl 1", "ttl-expired", 15),
]

# To a sweep: where it goes, and how many answers each of its probes is due.
SWEPT = [(ANSWERS, 1), (TWICE, 1), (SILENT, 0), (UNREACHABLE, 1)]

TARGET_RULES = f"""
table inet habits {{ chain input {{ type filter hook input priority 0;
    ip daddr {SILENT[4]} drop
    ip6 daddr {SILENT[6]} drop
    ip daddr {UNREACHABLE[4]} reject with icmp type host-unreachable
    ip6 daddr {UNREACHABLE[6]} reject with icmpv6 type addr-unreachable
}}
}}
table ip twice {{ chain output {{ type filter hook output priority 0;
    ip saddr {TWICE[4]} dup to {ROUTER_FAR[4]} device west
}}
}}
table ip6 twice {{ chain output {{ type filter hook output priority 0;
    ip6 saddr {TWICE[6]} dup to {ROUTER_FAR[6]} device west
}}
}}
"""


def connect(client, router, target):
    """Client - router - target, with the habits above."""
    def with_length(*places):
        return [where[family] + LENGTH[family] for where in places for family in FAMILIES]

    join(client, "east", router, "west", with_length(CLIENT), with_length(ROUTER))
    join(router, "east", target, "west", with_length(ROUTER_FAR), with_length(ANSWERS, TWICE, SILENT, UNREACHABLE))
    for family in FAMILIES:
        client.ip(f"-{family} route add default via {ROUTER[family]}")
        target.ip(f"-{family} route add default via {ROUTER_FAR[family]}")
    router.sysctl("net.ipv4.ip_forward", 1)
    router.sysctl("net.ipv6.conf.all.forwarding", 1)
    target.nft(TARGET_RULES)


def introduce(client):
    """Waits until these hosts have found each other: the first packets between two may take a second, or be lost."""
    with Daemon(client) as daemon:
        for where, more, kind, _ in HABITS:
            for family in FAMILIES:
                request = f"send-probe ip-{family} {where[family]}{more} timeout 1"
                if not any(daemon.ask(request).kind == kind for _ in range(PATIENCE)):
                    raise SystemExit(f"soak: {request} is never answered by {kind}")


def additions(chance, family, protocol, size, can):
    """Arguments of the protocol's second part that change nothing in what the target does."""
    words = [f" detail {chance.randrange(2)}", f" broadcast {chance.randrange(2)}"]
    if size <= 1500:
        words.append(" dont-fragment 1")
    if can.flows(protocol) and size >= 64:
        words.append(f" flow {chance.randrange(1000)}")
    if protocol in ("icmp", "udp") and size >= 64:
        words.append(" payload 00ff10")
    if family == 6:
        words.append(f" flow-label {chance.randrange(1 << 20)}")
    return "".join(word for word in words if chance.random() < 0.3)


@dataclasses.dataclass(frozen=True)
class Transport:
    """What a transport can do: see lab/transports.py, which tells why not."""

    name: str

    @property
    def protocols(self):
        return transports.PROTOCOLS[self.name]

    def flows(self, protocol):
        return protocol == "icmp" if self.name == transports.PLAIN else protocol != "sctp"

    def answers(self, where, protocol):
        """How many answers to a probe it is told."""
        return 2 if where is TWICE and not (self.name == transports.PLAIN and protocol == "tcp") else 1


@dataclasses.dataclass(frozen=True)
class Kind:
    """A request without its token, and what is due to it."""

    request: bytes
    kind: bytes
    timeout: float
    count: bytes = b""  # where `collected` is due
    played: object = None  # the fault that its place may have


def make_request(chance, can):
    where, more, kind, _ = chance.choices(HABITS, [habit[3] for habit in HABITS])[0]
    family, protocol = chance.choice(FAMILIES), chance.choice(can.protocols)
    timeout = round(chance.uniform(0.01, LONGEST_TIMEOUT), 3) if kind == "no-reply" else chance.choice((5, 7.5, 10))
    # A filter can't reject what comes in fragments of IPv6.
    size = chance.choice((28, 64, 64, 64, 200, 1000, *(() if kind == "no-route-host" else (1500, 3000))))
    if chance.random() < 0.3:
        more += f" port {chance.choice((80, 443, 5000))}"
    if chance.random() < 0.3:
        more += additions(chance, family, protocol, size, can)
    count = 0 if kind == "no-reply" else can.answers(where, protocol)
    if chance.random() < 0.05:
        kind, more, timeout = "collected", more + " collect 1", round(chance.uniform(0.5, 1), 3)
    request = f" send-probe ip-{family} {where[family]} protocol {protocol} timeout {timeout} size {size}{more}\n"
    return Kind(request.encode(), kind.encode(), timeout, b"count %d" % count)


def make_request_at_fault(chance, can, played, family, protocol):
    timeout = round(chance.uniform(0.5, LONGEST_TIMEOUT), 3)
    size = chance.choice((28, 64, 200, 1000))
    more = additions(chance, family, protocol, size, can) if chance.random() < 0.3 else ""
    request = f" send-probe {played.fault.words(family)} protocol {protocol} timeout {timeout} size {size}{more}\n"
    return Kind(request.encode(), b"reply", timeout, played=played)


def make_requests(chance, can, faults):
    """The first are one of each kind to each place of a fault."""
    to_faults = list(itertools.product(faults, FAMILIES, can.protocols))
    share = AT_FAULT / (100 + AT_FAULT)
    requests = [make_request_at_fault(chance, can, *one) for one in to_faults]
    while len(requests) < KINDS_OF_REQUESTS:
        requests.append(make_request_at_fault(chance, can, *chance.choice(to_faults))
                        if to_faults and chance.random() < share else make_request(chance, can))
    return requests


def stolen():
    """Seconds that a host of this virtual machine has taken from each processor (proc_stat(5)); without one, none."""
    with open("/proc/stat", encoding="ascii") as file:
        rows = [line.split() for line in file if re.match(r"cpu\d", line)]
    return [int(row[8]) / os.sysconf("SC_CLK_TCK") for row in rows]


def most_between(before, after):
    return max(second - first for first, second in zip(before, after))


class Load:
    """One daemon, its requests and what became of them. Tokens count from 1."""

    def __init__(self, name, transport, process, requests, swept, rate, seconds, allowed):
        self.name, self.transport, self.process = name, transport, process
        self.allowed = allowed  # seconds after its timeout in which a reply is not late
        self.requests, self.rate, self.count = requests, rate, int(rate * seconds)
        self.sweeps, self.seconds = swept, seconds
        self.to, self.answers = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(self.to, False)
        self.looked = self.may_send = 0.0  # until when it was looked, and how many requests it may write at once
        self.sent, self.handed, self.pending, self.rest = 0, 0, b"", b""
        self.asked, self.written = (array.array("d", bytes(8 * WRITTEN)) for _ in range(2))  # between these it was written
        self.empty = self.excused = 0.0  # when there was nothing to read, and until when nothing is late
        self.began = time.monotonic()
        self.latest, self.latest_one = 0.0, ""  # seconds after a timeout
        self.late, self.spells = 0, []  # replies that were; when, how late the first, of that it waited (seconds)
        self.stolen = stolen()
        self.waits = collections.deque([(0.0, 0.0, self.stolen)], WAITS)  # when, how long it had waited, what was stolen
        self.answered = bytearray(self.count + 1)
        self.total, self.twice, self.missed, self.collected = 0, 0, 0, 0
        self.kinds, self.faults, self.wrong = collections.Counter(), collections.Counter(), []
        self.ended = False
        self.before = self.after = None  # its states, settled and at the end
        self.memory = []  # kB, each minute

    def send(self, elapsed):
        """What is due by now."""
        if not self.pending:
            self.sweeps.write(elapsed, self.seconds, self.write_whole)
            self.may_send = min(self.may_send + (elapsed - self.looked) * self.rate * CATCH_UP, self.rate * AT_ONCE + 1)
            self.looked = elapsed
            due = min(self.count, int(elapsed * self.rate))
            if time.monotonic() > self.excused:  # what a pause has kept back comes at once
                due = min(due, self.sent + int(self.may_send))
            if due <= self.sent:
                return
            self.may_send = max(0, self.may_send - (due - self.sent))
            requests, kinds = self.requests, KINDS_OF_REQUESTS
            self.pending = b"".join([b"%d%b" % (token, requests[(token - 1) % kinds].request)
                                     for token in range(self.sent + 1, due + 1)])
            self.sent = due
        before = time.monotonic()
        try:
            size = os.write(self.to, self.pending)
        except BlockingIOError:
            return
        after, lines = time.monotonic(), self.pending.count(b"\n", 0, size)
        self.pending = self.pending[size:]
        for token in range(self.handed + 1, self.handed + lines + 1):
            self.asked[token % WRITTEN] = before
            self.written[token % WRITTEN] = after
        self.handed += lines

    def write_whole(self, line):
        """Or not at all: a pipe takes a short line at once."""
        try:
            return os.write(self.to, line) == len(line)
        except BlockingIOError:
            return False

    def receive(self):
        before = time.monotonic()
        data = os.read(self.answers, PIPE)
        now = time.monotonic()
        self.ended = not data
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            words = line.split(b" ", 2)
            token, kind = int(words[0]), words[1]
            if token >= sweeps.FIRST - 1:
                self.sweeps.receive(token, kind, line)
                continue
            if 0 < token <= self.sent and kind != self.due(token).kind == b"collected" and not self.answered[token]:
                self.collected += 1  # its end tells how many there were
                continue
            self.kinds[kind] += 1
            if not 0 < token <= self.sent or self.answered[token]:
                self.twice += 1
                continue
            self.answered[token] = 1
            self.total += 1
            expected, written = self.due(token), self.written[token % WRITTEN]
            late = self.empty - max(written, self.excused) - expected.timeout
            if late > self.allowed:
                late = self.note_late(written, now, late)
            if late > self.latest:
                self.latest, self.latest_one = late, f"{line.decode()} at {now - self.began:.1f} s"
            if expected.played:
                self.faults[expected.played] += kind != expected.kind
                if not expected.played.allows(kind.decode(), "reply", self.asked[token % WRITTEN], now):
                    self.judge(line, kind, expected)
            elif kind != expected.kind or (kind == b"collected" and words[2] != expected.count):
                self.judge(line, kind, expected)
        if len(data) < PIPE:
            self.empty = before

    def note_late(self, written, now, late):
        """Late by so much at NOW: how much of it is the daemon's own, that is, without what it waited for a processor, and
        what a host of this machine took from the processors meanwhile. It may have waited before it read the request, whose
        time it counts from then, or before it answered."""
        self.look_at_waits(now)
        waited = self.waited_between(written, written + late) + self.waited_between(now - late, now)
        self.late += 1
        if not self.spells or now - self.began > self.spells[-1][0] + 1:
            self.spells.append((now - self.began, late, waited))
        return late - min(late, waited)

    def waited_between(self, first, last):
        """Seconds for a processor, from the look before to the look after. Which of them it was on is not known: so what was
        stolen counts of the one of which it was most."""
        _, waited_before, stolen_before = next((look for look in reversed(self.waits) if look[0] <= first), self.waits[0])
        _, waited_after, stolen_after = next((look for look in self.waits if look[0] >= last), self.waits[-1])
        return waited_after - waited_before + most_between(stolen_before, stolen_after)

    def look_at_waits(self, now):
        with open(f"/proc/{self.process.pid}/schedstat", encoding="ascii") as file:
            self.waits.append((now, int(file.read().split()[1]) / 1e9, stolen()))

    def due(self, token):
        return self.requests[(token - 1) % KINDS_OF_REQUESTS]

    def judge(self, line, kind, expected):
        if kind == b"no-reply" or (kind == b"collected" and line.split(b" ", 2)[2] < expected.count):
            self.missed += 1
        elif len(self.wrong) < WRONG:
            self.wrong.append(f"{line.decode()} to {expected.request.decode().strip()}")

    def state(self):
        """(resident memory in kB, descriptors, seconds that it has waited for a processor)"""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            memory = next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
        self.look_at_waits(time.monotonic())
        return memory, len(os.listdir(f"/proc/{self.process.pid}/fd")), self.waits[-1][1]

    def complaints(self, options):
        """What is wrong in the end."""
        before, after = self.before, self.after
        if self.total != self.sent or self.sent != self.count:
            yield f"{self.sent} of {self.count} requests sent, {self.total} answered"
        if self.twice:
            yield f"{self.twice} replies to nothing that waited for one"
        if self.sweeps.under_way:
            yield f"{len(self.sweeps.under_way)} sweeps never ended"
        if self.missed + self.sweeps.missed > options.lost * self.count:
            yield f"{self.missed} answers that were due did not come, and {self.sweeps.missed} of sweeps"
        yield from (f"wrong: {line}" for line in self.sweeps.wrong)
        if self.latest > options.late / 1000:
            yield (f"{self.latest_one}: {self.latest * 1000:.0f} ms after its timeout, without what it waited for a "
                   f"processor and what was stolen; {self.late} were late")
        yield from (f"wrong: {line}" for line in self.wrong)
        if after[0] - before[0] > before[0] * options.growth / 100:
            yield f"resident memory went from {before[0]} kB to {after[0]} kB"
        if after[1] > before[1] + (0 if options.time > 2 * SETTLED else OPENED[self.transport]):
            yield f"descriptors went from {before[1]} to {after[1]}"


def pause(loads):
    """Stops the daemons while answers come, so that all memory that a burst takes is taken before it is looked at: again
    and again, for each place in a batch of answers must have had a large one."""
    for signal_number, seconds in ((signal.SIGSTOP, PAUSE), (signal.SIGCONT, 0)):
        for load in loads:
            os.kill(load.process.pid, signal_number)
        time.sleep(seconds)
    for load in loads:
        load.excused = time.monotonic() + CATCHING_UP


def settles_after(seconds):
    return min(SETTLED, seconds / 2)


def drive(loads, seconds):
    """Sends for so many seconds, and waits for the last replies. Looks at the daemons once settled, and at the end."""
    poll = select.poll()
    by_descriptor = {load.answers: load for load in loads}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    start, settled, pauses = time.monotonic(), False, 0
    settle = settles_after(seconds)
    while any(load.total < load.count or load.sweeps.under_way for load in loads):
        elapsed = time.monotonic() - start
        if elapsed > seconds + PATIENCE:
            break
        if pauses < PAUSES and (pauses + 1) * PAUSE_EVERY < elapsed < settle:
            pauses += 1
            pause(loads)
        if elapsed > MINUTE * (len(loads[0].memory) + 1):
            for load in loads:
                load.memory.append(load.state()[0])
        if not settled and elapsed > settle:
            settled = True
            for load in loads:
                load.before = load.state()
        for load in loads:
            load.send(elapsed)
            if start + elapsed > load.waits[-1][0] + LOOK:
                load.look_at_waits(start + elapsed)
        looked = time.monotonic()
        ready = dict(poll.poll(2))
        for load in loads:
            if load.answers not in ready:
                load.empty = looked
                continue
            load.receive()
            if load.ended:
                raise SystemExit(f"soak: {load.name} ended by itself")
    for load in loads:
        load.after = load.state()


def finish(load):
    """The daemon's end: what is wrong with it."""
    load.process.stdin.close()
    try:
        code = load.process.wait(5)
    except subprocess.TimeoutExpired:
        return ["it does not end with its input"]
    said = load.process.stderr.read().decode()
    return [f"exit status {code}, stderr: {said}"] if code or said else []


def start(namespace, program, environment):
    return namespace.popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                           env=os.environ | environment)


def make_loads(client, programs, faults, environment, options):
    """The daemon that is soaked, one beside it, and one of the other transport."""
    rows = [("the daemon", options.transport, options.rate)]
    rows += [("one beside it", transport, options.rate / BESIDE) for transport in programs]
    return [Load(f"{name} ({transport})", transport, start(client, programs[transport], environment),
                 make_requests(random.Random(options.seed), Transport(transport), faults),
                 sweeps.Sweeps(random.Random(options.seed), Transport(transport), SWEPT), rate, options.time,
                 options.late / 1000)
            for name, transport, rate in rows]


def spread(namespace):
    """What comes in by its interfaces is worked on by all processors in turn, not by the one whose program sent it: else
    the daemon's sends would be all of the network's work. A kernel without that does without."""
    mask = f"{(1 << os.cpu_count()) - 1:x}"
    namespace.run("sh", "-c", f"for file in /sys/class/net/*/queues/rx-*/rps_cpus; do echo {mask} > $file; done",
                  check=False)


def soak(options):
    """The number of things that are wrong."""
    with Namespace("soak-client") as client, Namespace("soak-router") as router, Namespace("soak-target") as target, \
            contextlib.ExitStack() as stack:
        connect(client, router, target)
        introduce(client)
        for side in (client, router, target):
            spread(side)
        hosts = Hosts(client, router, target, network(1), network(2), {}, stack)
        faults = make_faults(hosts, options.moment) if options.faults else []
        stack.enter_context(transports.using(transports.PLAIN, built_binary()))
        programs = {transports.RAW: built_binary(), transports.PLAIN: default_binary()}
        loads = make_loads(client, programs, faults, hosts.environment, options)
        settle = settles_after(options.time)
        walkers = Walkers(client, programs.values(), faults, hosts.environment, options.seed)
        rests = [(settle - REST, settle), (options.time - REST, float("inf"))]
        conductor = Conductor(faults, walkers, options.seed, rests)
        began = time.monotonic()
        conductor.start()
        drive(loads, options.time)
        lasted = time.monotonic() - began
        conductor.stop()
        walkers.stop()
        felt = sum((load.faults for load in loads), collections.Counter())
        wrong = [*walkers.wrong, *([conductor.error] if conductor.error else []),
                 *(f"nobody felt {played.fault.name}" for played in faults if played.lasted() > FELT and not felt[played])]
        played = ", ".join(f"{one.fault.name} {len(one.periods)} ({felt[one]})" for one in faults)
        print(f"faults, how often, and replies of theirs: {played}\nmtr beside it: {walkers.done} times\n"
              f"  {'; '.join(wrong) or 'all is well'}", flush=True)
        return len(wrong) + sum(judge(load, lasted, options) for load in loads)


def tell_spell(spell):
    after, late, waited = spell
    return f", at {after:.1f} s by {late * 1000:.0f} ms of which it waited {waited * 1000:.0f}"


def judge(load, lasted, options):
    """Prints what became of it; the number of things that are wrong."""
    wrong = [*load.complaints(options), *finish(load)]
    kinds = ", ".join(f"{count} {kind.decode()}" for kind, count in sorted(load.kinds.items()))
    before, after = load.before, load.after
    print(f"{load.name}: {load.sent} requests in {lasted:.1f} s ({load.sent / lasted:.0f} a second)\n"
          f"  replies: {kinds} with {load.collected} lines; by faults {sum(load.faults.values())}; lost {load.sent - load.total}, "
          f"twice {load.twice}, no-reply where an answer was due {load.missed}\n"
          f"  sweeps: {load.sweeps.done} with {load.sweeps.answers} answers; missed {load.sweeps.missed}\n"
          f"  latest {load.latest * 1000:.0f} ms after its timeout; waited {after[2]:.1f} s for a processor, "
          f"{most_between(load.stolen, load.waits[-1][2]):.1f} s were stolen; late {load.late}"
          f"{''.join(map(tell_spell, load.spells[:SPELLS]))}\n"
          f"  resident memory {before[0]} kB, then {after[0]} kB (each minute: {' '.join(map(str, load.memory))}); "
          f"descriptors {before[1]}, then {after[1]}\n"
          f"  {'; '.join(wrong) or 'all is well'}", flush=True)
    return len(wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--time", type=float, default=600, help="seconds")
    parser.add_argument("--rate", type=float, default=20000, help="probes a second")
    parser.add_argument("--growth", type=float, default=1, help="per cent that the memory may grow by")
    parser.add_argument("--late", type=float, default=50,
                        help="milliseconds that a reply may come after its timeout, without those in which the daemon "
                        "waited for a processor, or the host of this machine took it")
    parser.add_argument("--lost", type=float, default=1e-5,
                        help="of the answers that are due may be lost on the way: hosts drop packets, too")
    parser.add_argument("--moment", type=float, default=1, help="seconds behind a fault in which replies to it may come")
    parser.add_argument("--transport", choices=(transports.RAW, transports.PLAIN), default=transports.RAW,
                        help="of the daemon that has the rate")
    parser.add_argument("--faults", type=int, choices=(0, 1), default=1, help="whether places are at fault")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    reason = why_no_namespaces()
    if reason:
        print(f"soak: {reason}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left behind
    print(f"soak: {options.time:g} s, seed {options.seed}", flush=True)
    try:
        return 1 if soak(options) else 0
    except CommandError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
