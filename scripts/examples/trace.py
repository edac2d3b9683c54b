#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""trace.py HOST: the path to a host, three probes to each hop, all hops at once."""

import asyncio
import sys

import mtrpacket

HOPS, PROBES = 30, 3


def show(ttl, replies):
    words = []
    for reply in replies:
        if reply.responder and reply.responder not in words:
            words.append(reply.responder)
        words.append("*" if reply.time_ms is None else f"{reply.time_ms} ms")
        if reply.result not in ("reply", "ttl-expired", "no-reply"):
            words.append(f"!{reply.result}")
    labels = {f"[MPLS {label.label} class {label.traffic_class} ttl {label.ttl}]": 0 for r in replies for label in r.mpls}
    print(f"{ttl:2} ", "  ".join([*words, *labels]))


async def trace(host):
    async with mtrpacket.MtrPacket() as mtr:
        replies = await asyncio.gather(
            *(mtr.probe(host, ttl=ttl, timeout=2) for ttl in range(1, HOPS + 1) for _ in range(PROBES)))
    for ttl in range(1, HOPS + 1):
        of_hop = replies[(ttl - 1) * PROBES:ttl * PROBES]
        show(ttl, of_hop)
        if any(reply.result not in ("ttl-expired", "no-reply") for reply in of_hop):
            return any(reply.success for reply in of_hop)
    return False


if __name__ == "__main__":
    sys.exit(not asyncio.run(trace(sys.argv[1])))
