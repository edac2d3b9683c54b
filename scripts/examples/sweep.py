#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""sweep.py TARGET...: hosts and networks such as 192.0.2.0/24, all at once; those that answer, as they do."""

import asyncio
import ipaddress
import sys

import mtrpacket

AT_ONCE, TRIES = 1000, 2


def addresses(targets):
    for target in targets:
        if "/" in target:
            yield from map(str, ipaddress.ip_network(target, strict=False).hosts())
        else:
            yield target


async def sweep(targets):
    async with mtrpacket.MtrPacket() as mtr:
        async def probe(host):
            async with room:
                for _ in range(TRIES):
                    reply = await mtr.probe(host, timeout=1)
                    if reply.success:
                        print(host, reply.time_ms, "ms", flush=True)
                        return True
            return False

        room = asyncio.Semaphore(AT_ONCE)
        found = await asyncio.gather(*map(probe, addresses(targets)))
    print(f"{sum(found)} of {len(found)} answered", file=sys.stderr)
    return any(found)


if __name__ == "__main__":
    sys.exit(not asyncio.run(sweep(sys.argv[1:])))
