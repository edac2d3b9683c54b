#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ping.py HOST [COUNT]: echo requests a second apart, a line for each, and their sum."""

import asyncio
import statistics
import sys

import mtrpacket


async def ping(host, count):
    times = []
    async with mtrpacket.MtrPacket() as mtr:
        for sequence in range(1, count + 1):
            reply = await mtr.probe(host, timeout=1)
            if reply.success:
                times.append(reply.time_ms)
                print(f"from {reply.responder}: seq={sequence} time={reply.time_ms} ms")
                await asyncio.sleep(max(0, 1 - reply.time_ms / 1000) if sequence < count else 0)
            else:
                print(f"{reply.responder or host}: seq={sequence} {reply.result}")
    print(f"{count} sent, {len(times)} received, {100 * (count - len(times)) / count:.3g}% lost")
    if times:
        print(f"min/avg/max/stddev {min(times):.3f}/{statistics.fmean(times):.3f}/{max(times):.3f}/"
              f"{statistics.pstdev(times):.3f} ms")
    return bool(times)


if __name__ == "__main__":
    sys.exit(not asyncio.run(ping(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 4)))
