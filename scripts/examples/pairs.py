#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pairs.py HOST [PORT]: every local address with every address of HOST, those that work first, the fastest first."""

import asyncio
import json
import socket
import statistics
import subprocess
import sys

import mtrpacket


def sources():
    for interface in json.loads(subprocess.check_output(["ip", "-json", "address"])):
        for address in interface["addr_info"]:
            if address["scope"] == "global":
                yield address["local"]


async def pairs(host, port):
    there = dict.fromkeys(info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    both = [(here, to) for here in sources() for to in there if (":" in here) == (":" in to)]
    async with mtrpacket.MtrPacket() as mtr:
        replies = await asyncio.gather(*(
            mtr.probe(to, protocol="tcp", port=port, local_ip=here, timeout=2) for here, to in both for _ in range(3)))
    rows = []
    for number, pair in enumerate(both):
        of_pair = replies[3 * number:3 * number + 3]
        times = [reply.time_ms for reply in of_pair if reply.success]
        rows.append((statistics.median(times) if times else float("inf"), *pair, of_pair[0].result))
    for row in sorted(rows):
        print(*row[1:3], f"{row[0]:.3f} ms" if row[0] < float("inf") else row[3])
    return rows and min(rows)[0] < float("inf")


if __name__ == "__main__":
    sys.exit(not asyncio.run(pairs(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 443)))
