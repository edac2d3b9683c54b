#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fleet.py TARGET HOST...: the round trip and the number of hops to a target, from each HOST, by probe-remote."""

import asyncio
import os
import shlex
import sys

import mtrpacket


async def measure(mtr, target):
    replies = await asyncio.gather(*(mtr.probe(target, ttl=ttl, timeout=2) for ttl in range(1, 31)))
    for ttl, reply in enumerate(replies, 1):
        if reply.success:
            return f"{reply.time_ms} ms, {ttl} hops"
    return "no answer"


async def vantage_point(host, target):
    os.environ["MTR_PACKET"] = f"exec probe-remote {shlex.quote(host)}"  # read before open() waits for anything
    try:
        async with mtrpacket.MtrPacket() as mtr:
            return await measure(mtr, target)
    except mtrpacket.ProcessError:
        return "could not be reached"


async def fleet(target, hosts):
    results = await asyncio.gather(*(vantage_point(host, target) for host in hosts))
    for host, result in zip(hosts, results):
        print(f"{host}\t{result}")
    return all("ms" in result for result in results)


if __name__ == "__main__":
    sys.exit(not asyncio.run(fleet(sys.argv[1], sys.argv[2:])))
