# SPDX-License-Identifier: MIT
"""Jool itself: NAT64, SIIT both ways, and both in a row (464XLAT), before the played path of lab/translators.py.

A row of the daemon is right when it names whom there is to name; one of another program, when the daemon names
everybody whom that one names.
"""

import os
import sys

from lab import asking, net, translators
from lab.asking import Row
from lab.path import OURS
from lab.translators import CLIENT, GATE, PLAYED, PREFIX64, TARGET, through_nat64
from lab.transports import PLAIN, RAW
from uml import inside

MODULES = "tun", "sctp", "jool", "jool_siit"
TIMEOUT = 4  # seconds; an emulated processor is slow


# ---------------------------------------------------------------- the networks

def jool(namespace, program, instance, *entries):
    """An instance of Jool in a namespace: words of its `instance add`, then lines of words to change it by."""
    for words in (f"instance add --netfilter {instance}", *entries):
        namespace.run(os.path.join(os.environ["JOOL"], program), *words.split())


def nat64_gate(network, namespace, first):
    """NAT64 in a router, and a path of IPv4 behind it."""
    jool(namespace, "jool", f"--pool6 {PREFIX64}/96", *(f"pool4 add --{kind} {OURS[4]} 1-65535"
                                                        for kind in ("icmp", "udp", "tcp")))
    network.play(namespace, {4: first})


def nat64(network):
    """A client that has IPv6 only."""
    network.client, gate = network.host_and_gate(families=[6])
    nat64_gate(network, gate, [])
    network.targets = {6: through_nat64(TARGET.address[4])}
    network.hops = {6: [GATE[6], *map(through_nat64, network.hops[4])]}


def siit4(network):
    """A client of IPv4, and a path of IPv6 whose routers all have addresses in IPv4 for it (RFC 7757)."""
    network.client, gate = network.host_and_gate(families=[4])
    jool(gate, "jool_siit", "", "eamt add 10.50.0.0/24 fd46::/120", "eamt add 192.168.201.0/24 fd99::/120",
         f"eamt add 192.168.202.1 {TARGET.address[6]}")
    network.play(gate, {6: []})
    network.targets = {4: "192.168.202.1"}
    network.hops = {4: [GATE[4], *(f"192.168.201.{n}" for n in range(1, PLAYED + 1)), "192.168.202.1"]}


def siit6(network):
    """The same the other way round."""
    network.client, gate = network.host_and_gate(families=[6])
    jool(gate, "jool_siit", f"--pool6 {PREFIX64}/96", "eamt add 192.168.200.0/24 fd50::/120")
    network.play(gate, {4: []})
    network.targets = {6: through_nat64(TARGET.address[4])}
    network.hops = {6: [GATE[6], *map(through_nat64, network.hops[4])]}


def clat(network):
    """464XLAT: SIIT in the client's own router, NAT64 in the network's, which has no address in IPv4."""
    network.client, home = network.host_and_gate("client", "home", families=[4])
    gate = network.namespace("gate", forwards=True)
    net.join(home, "wan", gate, "lan", ["fd51::1/64"], ["fd51::2/64"])
    jool(home, "jool_siit", f"--pool6 {PREFIX64}/96", "eamt add 10.50.0.0/24 fd46::/120")
    home.ip("-6 route add default via fd51::2")
    gate.ip("-6 route add fd46::/120 via fd51::1")
    nat64_gate(network, gate, [GATE[4], GATE[4]])


NETWORKS = {"nat64": (nat64, 6), "siit4": (siit4, 4), "siit6": (siit6, 6), "clat": (clat, 4)}


# ---------------------------------------------------------------- the rows

KINDS = [("icmp", None), ("udp", None), ("tcp", None), ("sctp", None), ("icmp", 300), ("udp", 300)]  # protocol, size
COMPARED = "icmp", "udp", "tcp", "sctp"  # mtr-packet's sctp is the kernel's
PROGRAMS = "mtr-packet", "traceroute"


def rows(network, family):
    return [Row(network, family, protocol, flow, transport, size) for protocol, size in KINDS
            for flow in (False, True) for transport in (RAW, PLAIN)
            if not (flow and (protocol == "sctp" or size))
            and not (transport == PLAIN and (protocol == "sctp" or (flow and protocol != "icmp")))]


def row_of_program(row, program):
    return f"{asking.name(row)}-{program}"


ROWS = {network: rows(network, family) for network, (_, family) in NETWORKS.items()}
GROUPS = {network: [*map(asking.name, members),
                    *(row_of_program(row, program) for row in asking.others(members, COMPARED)
                      for program in PROGRAMS if asking.can_ask(program, row))]
          for network, members in ROWS.items()}


def expected(row, hops):
    """ttl -> whom there is to name. Jool drops errors that quote less than 20 bytes of tcp; its NAT64 takes no sctp."""
    named = dict(enumerate(hops, 1))
    if row.protocol == "tcp":
        del named[len(hops) - PLAYED + 1]
    if row.protocol == "sctp" and row.network in ("nat64", "clat"):
        named = {ttl: hop for ttl, hop in named.items() if row.network == "clat" and ttl == 1}
    return named


def list_of(named):
    return ", ".join(f"{ttl} {address}" for ttl, address in sorted(named.items())) or "nobody"


def named_by_daemon(replies):
    return {ttl: reply.address for ttl, reply in replies.items() if reply.kind in ("ttl-expired", "reply")}


def main(group):
    os.environ["MTR_PACKET"] = os.environ["DAEMON"]
    with translators.Network(group) as network:
        NETWORKS[group][0](network)
        found = asking.ask(network, ROWS[group], TIMEOUT, COMPARED)
    for row, replies in found.replies.items():
        print(*(reply.line for _, reply in sorted(replies.items())), sep="\n")
        inside.tell(asking.name(row), list_of(named_by_daemon(replies)), list_of(expected(row, found.hops[row.family])))
    for row in asking.others(ROWS[group], COMPARED):
        for program in PROGRAMS:
            theirs = {ttl: named[program] for ttl, named in found.named[row].items() if program in named}
            ours = {ttl: hop for ttl, hop in named_by_daemon(found.replies[row]).items() if ttl in theirs}
            if asking.can_ask(program, row):
                inside.tell(row_of_program(row, program), list_of(ours), list_of(theirs))


if __name__ == "__main__":
    main(sys.argv[1])
