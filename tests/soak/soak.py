# SPDX-License-Identifier: MIT
"""make soak: a long run at 20,000 probes a second, in namespaces of its own, with a second daemon beside it.

All protocols and families, targets that answer, answer twice, are silent or unreachable, and a router that ends probes;
random timeouts, sizes and additions. Each request must be answered once, by what its target does; memory and
descriptors must be the same at the first minute and at the end. Prints figures; exit status 1 when one of them is wrong.
"""

import argparse
import collections
import os
import pathlib
import random
import select
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from lab.daemon import Daemon, default_binary  # noqa: E402
from lab.net import CommandError, Namespace, join, why_no_namespaces  # noqa: E402

FAMILIES = 4, 6
PROTOCOLS = "icmp", "udp", "tcp", "sctp"
KINDS_OF_REQUESTS = 8191  # a prime: they do not fall into step with anything
SETTLED = 60  # seconds; then memory and descriptors are looked at for the first time
PORT_BLOCKS = 8  # descriptors that a daemon opens in its first half minute, as it uses more ports; see src/ports.c
PAUSE = 0.5  # seconds
PAUSES = 8  # at the most
PAUSE_EVERY = 3.75  # seconds
LONGEST_TIMEOUT = 2.0
PATIENCE = 10  # seconds for the last replies
SLACK = 1e-5  # of the answers that were due may be lost on the way: hosts drop packets, too


def place(net, host):
    return {4: f"10.52.{net}.{host}", 6: f"fd52:{net}::{host:x}"}


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


def additions(chance, family, protocol, size):
    """Arguments of the protocol's second part that change nothing in what the target does."""
    words = [f" detail {chance.randrange(2)}", f" broadcast {chance.randrange(2)}"]
    if size <= 1500:
        words.append(" dont-fragment 1")
    if protocol != "sctp" and size >= 64:
        words.append(f" flow {chance.randrange(1000)}")
    if protocol in ("icmp", "udp") and size >= 64:
        words.append(" payload 00ff10")
    if family == 6:
        words.append(f" flow-label {chance.randrange(1 << 20)}")
    return "".join(word for word in words if chance.random() < 0.3)


def make_requests(chance):
    """[(request without its token, the reply that is due, answers that `collect` is due)]"""
    requests = []
    for _ in range(KINDS_OF_REQUESTS):
        where, more, kind, _ = chance.choices(HABITS, [habit[3] for habit in HABITS])[0]
        family, protocol = chance.choice(FAMILIES), chance.choice(PROTOCOLS)
        timeout = round(chance.uniform(0.01, LONGEST_TIMEOUT), 3) if kind == "no-reply" else chance.choice((5, 7.5, 10))
        # A filter can't reject what comes in fragments of IPv6.
        size = chance.choice((28, 64, 64, 64, 200, 1000, *(() if kind == "no-route-host" else (1500, 3000))))
        if chance.random() < 0.3:
            more += f" port {chance.choice((80, 443, 5000))}"
        if chance.random() < 0.3:
            more += additions(chance, family, protocol, size)
        count = {"no-reply": 0}.get(kind, 2 if where is TWICE else 1)
        if chance.random() < 0.05:
            kind, more, timeout = "collected", more + " collect 1", round(chance.uniform(0.5, 1), 3)
        request = f" send-probe ip-{family} {where[family]} protocol {protocol} timeout {timeout} size {size}{more}\n"
        requests.append((request.encode(), kind.encode(), b"count %d" % count))
    return requests


class Load:
    """One daemon, its requests and what became of them. Tokens count from 1."""

    def __init__(self, name, namespace, requests, rate, count):
        self.name, self.requests, self.rate, self.count = name, requests, rate, count
        self.process = namespace.popen(default_binary(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, bufsize=0)
        self.to, self.answers = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self.to, False)
        self.sent, self.pending, self.rest = 0, b"", b""
        self.answered = bytearray(count + 1)
        self.total, self.twice, self.missed, self.collected = 0, 0, 0, 0
        self.kinds, self.wrong = collections.Counter(), []
        self.ended = False

    def send(self, elapsed):
        """What is due by now."""
        if not self.pending:
            due = min(self.count, int(elapsed * self.rate), self.sent + 500)
            if due <= self.sent:
                return
            requests, kinds = self.requests, KINDS_OF_REQUESTS
            self.pending = b"".join([b"%d%b" % (token, requests[token % kinds][0])
                                     for token in range(self.sent + 1, due + 1)])
            self.sent = due
        try:
            self.pending = self.pending[os.write(self.to, self.pending):]
        except BlockingIOError:
            pass

    def receive(self):
        data = os.read(self.answers, 1 << 16)
        self.ended = not data
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            words = line.split(b" ", 2)
            token, kind = int(words[0]), words[1]
            if 0 < token <= self.sent and kind != self.due(token)[1] == b"collected" and not self.answered[token]:
                self.collected += 1  # its end tells how many there were
                continue
            self.kinds[kind] += 1
            if not 0 < token <= self.sent or self.answered[token]:
                self.twice += 1
                continue
            self.answered[token] = 1
            self.total += 1
            expected = self.due(token)
            if kind != expected[1] or (kind == b"collected" and words[2] != expected[2]):
                self.judge(line, kind, expected)

    def due(self, token):
        return self.requests[token % KINDS_OF_REQUESTS]

    def judge(self, line, kind, expected):
        if kind == b"no-reply" or (kind == b"collected" and line.split(b" ", 2)[2] < expected[2]):
            self.missed += 1
        elif len(self.wrong) < 20:
            self.wrong.append(f"{line.decode()} to {expected[0].decode().strip()}")

    def state(self):
        """(resident memory in kB, descriptors)"""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            memory = next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
        return memory, len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def complaints(self, growth, opened, before, after):
        """What is wrong in the end. The memory may grow by so many per cent, and so many descriptors may be opened."""
        if self.total != self.sent or self.sent != self.count:
            yield f"{self.sent} of {self.count} requests sent, {self.total} answered"
        if self.twice:
            yield f"{self.twice} replies to nothing that waited for one"
        if self.missed > SLACK * self.count:
            yield f"{self.missed} answers that were due did not come"
        yield from (f"wrong: {line}" for line in self.wrong)
        if abs(after[0] - before[0]) > before[0] * growth / 100:
            yield f"resident memory went from {before[0]} kB to {after[0]} kB"
        if not before[1] <= after[1] <= before[1] + opened:
            yield f"descriptors went from {before[1]} to {after[1]}"


def pause(loads):
    """Stops the daemons while answers come, so that all memory that a burst takes is taken before it is looked at: again
    and again, for each place in a batch of answers must have had a large one."""
    for signal_number, seconds in ((signal.SIGSTOP, PAUSE), (signal.SIGCONT, 0)):
        for load in loads:
            os.kill(load.process.pid, signal_number)
        time.sleep(seconds)


def drive(loads, seconds):
    """Sends for so many seconds, and waits for the last replies. The states of the daemons, settled and at the end."""
    poll = select.poll()
    by_descriptor = {load.answers: load for load in loads}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    start, settled, pauses = time.monotonic(), None, 0
    settle = min(SETTLED, seconds / 2)
    while any(load.total < load.count for load in loads):
        elapsed = time.monotonic() - start
        if elapsed > seconds + PATIENCE:
            break
        if pauses < PAUSES and (pauses + 1) * PAUSE_EVERY < elapsed < settle:
            pauses += 1
            pause(loads)
        if not settled and elapsed > settle:
            settled = [load.state() for load in loads]
        for load in loads:
            load.send(elapsed)
        for descriptor, _ in poll.poll(2):
            by_descriptor[descriptor].receive()
            if by_descriptor[descriptor].ended:
                raise SystemExit(f"soak: {by_descriptor[descriptor].name} ended by itself")
    return settled, [load.state() for load in loads]


def finish(load):
    """The daemon's end: what is wrong with it."""
    load.process.stdin.close()
    try:
        code = load.process.wait(5)
    except subprocess.TimeoutExpired:
        return ["it does not end with its input"]
    said = load.process.stderr.read().decode()
    return [f"exit status {code}, stderr: {said}"] if code or said else []


def soak(seconds, rate, growth, seed):
    requests = make_requests(random.Random(seed))
    with Namespace("soak-client") as client, Namespace("soak-router") as router, Namespace("soak-target") as target:
        connect(client, router, target)
        introduce(client)
        loads = [Load("the daemon", client, requests, rate, int(rate * seconds)),
                 Load("the daemon beside it", client, requests, rate / 40, int(rate / 40 * seconds))]
        began = time.monotonic()
        opened = 0 if seconds > 2 * SETTLED else PORT_BLOCKS
        before, after = drive(loads, seconds)
        lasted = time.monotonic() - began
        bad = 0
        for number, load in enumerate(loads):
            wrong = [*load.complaints(growth, opened, before[number], after[number]), *finish(load)]
            bad += len(wrong)
            report(load, lasted, before[number], after[number], wrong)
    return bad


def report(load, lasted, before, after, wrong):
    kinds = ", ".join(f"{count} {kind.decode()}" for kind, count in sorted(load.kinds.items()))
    print(f"{load.name}: {load.sent} requests in {lasted:.1f} s ({load.sent / lasted:.0f} a second)\n"
          f"  replies: {kinds} with {load.collected} lines; lost {load.sent - load.total}, twice {load.twice}, "
          f"no-reply where an answer was due {load.missed}\n"
          f"  resident memory {before[0]} kB, then {after[0]} kB; descriptors {before[1]}, then {after[1]}\n"
          f"  {'; '.join(wrong) or 'all is well'}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--time", type=float, default=600, help="seconds")
    parser.add_argument("--rate", type=float, default=20000, help="probes a second")
    parser.add_argument("--growth", type=float, default=1, help="per cent that the memory may differ by")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    reason = why_no_namespaces()
    if reason:
        print(f"soak: {reason}", file=sys.stderr)
        return 1
    print(f"soak: {options.time:g} s, seed {options.seed}", flush=True)
    try:
        return 1 if soak(options.time, options.rate, options.growth, options.seed) else 0
    except CommandError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
