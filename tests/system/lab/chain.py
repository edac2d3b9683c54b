# SPDX-License-Identifier: MIT
"""Real Linux routers in a row, with the limits to ICMP errors that Linux has by default."""

import contextlib

from .net import Namespace, join

LIMITS = {
    "net.ipv4.icmp_ratelimit": 1000,
    "net.ipv4.icmp_ratemask": 6168,
    "net.ipv4.icmp_msgs_per_sec": 1000,
    "net.ipv4.icmp_msgs_burst": 50,
    "net.ipv6.icmp.ratelimit": 1000,
}


def address(number, family=4):
    """Of router `number` (from 1; the target is the last), on its side towards us."""
    return {4: f"10.60.{number}.2", 6: f"fd60:0:0:{number:x}::2"}[family]


class Chain:
    """`client`, then `count` hops, the last of which is the target: `nodes[0]` is the client."""

    def __init__(self, label, count):
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self.nodes = [stack.enter_context(Namespace(f"{label}-{number}")) for number in range(count + 1)]
            for number in range(1, count + 1):
                self._link(number)
            for number, node in enumerate(self.nodes):
                self._route(number, node, count)
            self._stack = stack.pop_all()
        self.client, self.target = self.nodes[0], address(count)

    def _link(self, number):
        here = {4: f"10.60.{number}.1/24", 6: f"fd60:0:0:{number:x}::1/64"}
        join(self.nodes[number - 1], "fore", self.nodes[number], "rear", a_addrs=here.values(),
             b_addrs=[f"{address(number, 4)}/24", f"{address(number, 6)}/64"])

    def _route(self, number, node, count):
        for name, value in (LIMITS if number else {}).items():
            node.sysctl(name, value)
        node.sysctl("net.ipv4.ip_forward", 1)
        node.sysctl("net.ipv6.conf.all.forwarding", 1)
        if number < count:  # all that is further
            node.ip(f"route add default via {address(number + 1, 4)}", f"-6 route add default via {address(number + 1, 6)}")
        for nearer in range(1, number):
            node.ip(f"route add 10.60.{nearer}.0/24 via 10.60.{number}.1",
                    f"-6 route add fd60:0:0:{nearer:x}::/64 via fd60:0:0:{number:x}::1")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()
