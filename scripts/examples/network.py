#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""network.py TARGETS [NAME VALUE]...: one line sweeps a network, such as 192.0.2.0/24 ttl 1-9; Ctrl-C stops it.

The package mtrpacket takes one reply for each request, and a sweep has many, so this speaks to the daemon itself.
"""

import asyncio
import os
import shlex
import signal
import sys

DAEMON = shlex.split(os.environ.get("MTR_PACKET", "mtr-packet"))
SWEEP, STOP = 1, 2  # tokens


async def sweep(targets, arguments):
    daemon = await asyncio.create_subprocess_exec(*DAEMON, stdin=asyncio.subprocess.PIPE,
                                                  stdout=asyncio.subprocess.PIPE, start_new_session=True)
    def send(line):
        daemon.stdin.write(line.encode() + b"\n")
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, send, f"{STOP} stop token {SWEEP}")
    send(f"{SWEEP} sweep ip-{6 if ':' in targets else 4} {targets} {' '.join(arguments)}")
    found = 0
    async for line in daemon.stdout:
        token, kind, *words = line.decode().split()
        values = dict(zip(words[::2], words[1::2]))
        if int(token) == SWEEP and "round-trip-time" not in values:  # no answer, how far it is, or its end
            print(kind, *words, file=sys.stderr)
            if kind not in ("sweeping", "no-reply") and not values.keys() & {"target", "probe-ttl", "probe-port"}:
                return found > 0
        elif int(token) == SWEEP:
            found += kind == "reply"
            print(values.get("target", targets), kind, values.get("ip-4") or values["ip-6"],
                  int(values["round-trip-time"]) / 1000, "ms", flush=True)


if __name__ == "__main__":
    sys.exit(not asyncio.run(sweep(sys.argv[1], sys.argv[2:])))
