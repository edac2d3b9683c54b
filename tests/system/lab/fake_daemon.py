# SPDX-License-Identifier: MIT
"""A daemon whose network is a function: for paths that are hard to make of real routers.

As a program: fake_daemon.py EXPRESSION DELAY, a Python expression of ttl, flow, count (probes to that ttl before), size,
protocol and tos: the reply behind the token, or None for silence; and after how many seconds it is there. All features are
there.
"""

import contextlib
import heapq
import os
import select
import shlex
import sys
import time

TARGET = "192.0.2.99"


def reply(ttl):
    """A router's answer, or with 0 the target's."""
    return f"ttl-expired ip-4 192.0.2.{ttl} round-trip-time 1000" if ttl else f"reply ip-4 {TARGET} round-trip-time 1000"


def fake_daemon(expression, delay=0.001):
    """The environment of a tool that is to use it."""
    return {"MTR_PACKET": shlex.join(["/usr/bin/python3", os.path.abspath(__file__), expression, str(delay)])}


def main(expression, delay):
    network = compile(expression, "network", "eval")
    counts, later, buffer = {}, [], b""
    while True:
        wait = max(0, later[0][0] - time.monotonic()) if later else None
        if select.select([0], [], [], wait)[0]:
            got = os.read(0, 65536)
            if not got:
                return
            *lines, buffer = (buffer + got).split(b"\n")
            for line in lines:
                answer_line(line.decode().split(), network, counts, later, delay)
        while later and later[0][0] <= time.monotonic():
            os.write(1, heapq.heappop(later)[1])


def answer_line(words, network, counts, later, delay):
    token, command, rest = words[0], words[1], dict(zip(words[2::2], words[3::2]))
    if command == "check-support":
        os.write(1, f"{token} feature-support support ok\n".encode())
        return
    ttl = int(rest.get("ttl", 255))
    count = counts[ttl] = counts.get(ttl, -1) + 1
    known = {"ttl": ttl, "flow": int(rest.get("flow", 0)), "count": count, "size": int(rest.get("size", 64)),
             "protocol": rest["protocol"], "tos": int(rest.get("tos", 0)), "reply": reply}
    said = eval(network, known)  # pylint: disable=eval-used
    when = time.monotonic() + (delay if said else float(rest["timeout"]))
    heapq.heappush(later, (when, f"{token} {said or 'no-reply'}\n".encode()))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # the tool has ended, with probes under way
        main(sys.argv[1], float(sys.argv[2]))
