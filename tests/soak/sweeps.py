# SPDX-License-Identifier: MIT
"""Sweeps beside the single requests of the soak run: one after the other, some of them stopped, and what each must say.

They go to the places whose habits the single requests know, so that each combination is due one answer or none.
"""

import dataclasses

FIRST = 1 << 30  # their tokens are from here up
EVERY = 0.7  # seconds from one to the next
RATE = 400  # probes a second of each
VALUES = 40  # ports, ttls or flows with each target
LAST = 6  # seconds before the end in which none begins
STOPPED = 0.3  # so many of them are


@dataclasses.dataclass
class Sweep:
    request: bytes
    combinations: int
    answered: int  # so many are due, unless it is stopped
    stop_at: float  # seconds after the start of the run; infinity: never
    lines: int = 0


class Sweeps:
    """Those of one daemon."""

    def __init__(self, chance, can, habits):
        self.chance, self.can, self.habits = chance, can, habits
        self.next, self.token = EVERY, FIRST
        self.under_way, self.done, self.answers, self.missed, self.wrong = {}, 0, 0, 0, []

    def write(self, elapsed, seconds, write):
        """What is due by now, by WRITE, which says whether it could."""
        for token, sweep in self.under_way.items():
            if elapsed > sweep.stop_at and write(b"%d stop token %d\n" % (FIRST - 1, token)):
                sweep.stop_at = float("inf")
        if self.next <= elapsed < seconds - LAST:
            sweep = self.make(elapsed)
            if write(b"%d%b" % (self.token, sweep.request)):
                self.under_way[self.token] = sweep
                self.token += 1
                self.next = elapsed + EVERY * self.chance.uniform(0.5, 1.5)

    def make(self, elapsed):
        chance = self.chance
        family, protocol = chance.choice((4, 6)), chance.choice(self.can.protocols)
        ranges = ["port 5000-%d" % (5000 + VALUES - 1)] if protocol != "icmp" else ["ttl 65-%d" % (65 + VALUES - 1)]
        if self.can.flows(protocol):
            ranges.append("flow 0-%d" % (VALUES - 1))
        targets = ",".join(where[family] for where, _ in self.habits)
        words = (f" sweep ip-{family} {targets} protocol {protocol} {chance.choice(ranges)} rate {RATE} timeout 1"
                 f" retries {chance.choice((0, 0, 1))} order {chance.choice(('random', 'sequential'))}\n")
        answered = VALUES * sum(answers for _, answers in self.habits)
        stop = elapsed + chance.uniform(0.05, 0.4) if chance.random() < STOPPED else float("inf")
        return Sweep(words.encode(), VALUES * len(self.habits), answered, stop)

    def receive(self, token, kind, line):
        """A reply with a token of theirs."""
        if token == FIRST - 1 and kind == b"stopped":
            return
        sweep = self.under_way.get(token)
        if not sweep:
            self.say(line, "to no sweep")
        elif kind != b"swept":
            sweep.lines += 1
            if kind not in (b"reply", b"no-route-host"):
                self.say(line, sweep.request.decode().strip())
        else:
            del self.under_way[token]
            self.judge(sweep, line)

    def judge(self, sweep, line):
        words = line.split()
        said = {name.decode(): float(value) for name, value in zip(words[2::2], words[3::2])}
        begun = said["answered"] + said["silent"] + said["refused"]
        stopped = b" next " in line and said["next"] < sweep.combinations
        self.done += 1
        self.answers += sweep.lines
        if not stopped:
            self.missed += max(0, sweep.answered - sweep.lines)
        if said["answered"] != sweep.lines or said["refused"] or sweep.lines > sweep.answered or \
                begun != (said["next"] if stopped else sweep.combinations):
            self.say(line, f"{sweep.lines} answers to {sweep.request.decode().strip()}")

    def say(self, line, why):
        if len(self.wrong) < 5:
            self.wrong.append(f"{line.decode()}: {why}")
