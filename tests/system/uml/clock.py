# SPDX-License-Identifier: MIT
"""A host whose wall clock is stepped while the daemon stands still, as stopped: answers come before the step or after."""

import os
import signal
import sys
import time

from lab import forge
from lab.daemon import Daemon
from lab.net import Namespace
from lab.path import Tun, target_address
from uml import inside

STANDSTILL = 2.0  # seconds, the clock is stepped in the middle
EXACT = 0.008     # the smallest step is wider

# name -> (seconds by which the clock is stepped, when the answer comes)
STEPS = {
    "back": (-0.5, 0.1),
    "a-little-back": (-0.02, 0.1),
    "ahead": (0.5, 0.1),
    "a-little-ahead": (0.02, 0.1),
    "back-before-the-answer": (-0.5, 1.5),
    "ahead-before-the-answer": (0.5, 1.5),
}
GROUPS = {"steps": inside.rows(STEPS, protocols=("icmp",), families=(4,))}
MODULES = ("tun",)


def step_clock(seconds):
    time.clock_settime_ns(time.CLOCK_REALTIME, time.clock_gettime_ns(time.CLOCK_REALTIME) + int(seconds * 1e9))


def act(begin, when, what):
    """Does it when so many seconds have passed since then; from when to when it did, which a busy machine keeps apart."""
    time.sleep(max(0, begin + when - time.monotonic()))
    start = time.monotonic()
    what()
    return start - begin, time.monotonic() - begin


def round_trip(daemon, tun, row):
    """By how much what the daemon says lies beside what can have been: the probe left between the request and when it was
    seen."""
    step, delay = STEPS[row.situation]
    address = target_address(0)[row.family]
    begin = time.monotonic()
    daemon.send(f"1 send-probe ip-{row.family} {address} timeout 5")
    answer = forge.direct(tun.probes([address])[address])
    left_by = time.monotonic() - begin
    os.kill(daemon.pid, signal.SIGSTOP)
    acts = [(delay, lambda: tun.inject(answer)), (STANDSTILL / 2, lambda: step_clock(step))]
    passed = [act(begin, *one) for one in sorted(acts, key=lambda one: one[0])]
    act(begin, STANDSTILL, lambda: os.kill(daemon.pid, signal.SIGCONT))
    reply = daemon.collect(1)[0]
    step_clock(-step)
    arrived_after, arrived_by = passed[delay > STANDSTILL / 2]
    seconds = reply.rtt / 1e6
    return max(0, seconds - arrived_by) + min(0, seconds - (arrived_after - left_by))


def main(group):
    with Namespace("host") as host, Tun(host) as tun:
        for row in GROUPS[group]:
            with Daemon(host, binary=os.environ["DAEMON"], wrapper=inside.WHO[row.transport]) as daemon:
                daemon.ask("check-support feature icmp")
                off = round_trip(daemon, tun, row)
            inside.tell(row, "right" if abs(off) < EXACT else f"{off * 1000:+.0f} ms", "right")


if __name__ == "__main__":
    main(sys.argv[1])
