# SPDX-License-Identifier: MIT
"""What a Linux router tells of the interface that a probe came in by (RFC 5837), which it can since 6.19."""

import ipaddress
import os
import socket
import sys

from lab import net
from lab.daemon import Daemon
from uml import inside

MODULES = ()
NAME, MTU = "fifteen-letters", 1400  # the longest name that Linux has
MASKS = {"net.ipv4.icmp_errors_extension_mask": 1, "net.ipv6.icmp.errors_extension_mask": 1}
CLOSED = {4: "203.0.113.0/24", 6: "2001:db8:fffe::/64"}  # whom the router says unreachable to
TO = {"expired": inside.TARGET, "unreachable": {4: "203.0.113.1", 6: "2001:db8:fffe::1"}}
KINDS = "ttl-expired", "no-route-host", "no-route-network"

GROUPS = {"told": [row for end in TO for row in [*inside.rows([f"interface-{end}"]),
                                                 *inside.rows([f"interface-{end}"], ("sctp",), ("raw",))]],
          "untold": inside.rows(["interface-off"], ("icmp", "udp"))}


def ask(daemon, row, target):
    """The interface, in an answer of any of KINDS."""
    reply = daemon.ask(f"send-probe ip-{row.family} {target} protocol {row.protocol} ttl 1 detail 1 timeout 3")
    return reply.args.get("interface", "none") if reply.kind in KINDS else reply.line


def main(group):
    with net.Namespace("host") as host, net.Namespace("router") as router:
        net.join(host, "eth0", router, NAME, *([inside.own(4) + "/24", inside.own(6) + "/64"],
                                               [inside.other(4) + "/24", inside.other(6) + "/64"]), mtu=MTU)
        host.ip(*(f"-{family} route add default via {inside.other(family)}" for family in (4, 6)))
        router.ip(*(f"-{family} route add unreachable {CLOSED[family]}" for family in (4, 6)),
                  *(f"-{family} route add {inside.NETWORK[family]} via {inside.own(family)}" for family in (4, 6)))
        for name, value in {"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1,
                            **(MASKS if group == "told" else {})}.items():
            router.sysctl(name, value)
        with router.enter():
            index = socket.if_nametoindex(NAME)
        for row in GROUPS[group]:
            with Daemon(host, binary=os.environ["DAEMON"], wrapper=inside.WHO[row.transport]) as daemon:
                seen = ask(daemon, row, TO.get(row.situation.split("-")[1], inside.TARGET)[row.family])
            address = ipaddress.ip_address(inside.other(row.family))
            told = f"incoming,index={index},name={NAME},address={address},mtu={MTU}"
            inside.tell(row, seen, told if group == "told" else "none")


if __name__ == "__main__":
    main(sys.argv[1])
