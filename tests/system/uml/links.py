# SPDX-License-Identifier: MIT
"""A bonding device as uplink, the kernel's own SCTP, and neighbour tables without room."""

import socket
import sys
import time

from uml import inside

LISTENS, CLOSED = 5000, 5001
PLACES = {"local": inside.own, "remote": inside.other, "behind": inside.TARGET.get}  # behind: no interface's address
GROUPS = {
    "bond": inside.rows(["bond", "bond-failed-over"]),
    "sctp": inside.rows([f"sctp-{place}-{port}" for place in PLACES for port in ("open", "closed")], ("sctp",), ("raw",)),
    "neighbours": inside.rows(["neighbours-full", "neighbours-room"]),
}
MODULES = ("bonding", "bridge", "sctp")
ROOM = 16  # entries of a neighbour table


def bond(hosts, rows):
    far = hosts.far[0]
    net = inside.net
    for i in (0, 1):
        net.join(hosts.host, f"slave{i}", far, f"port{i}")
    far.ip("link add lan0 type bridge", "link set lan0 up", *(f"link set port{i} master lan0" for i in (0, 1)),
           "addr flush dev far0", f"addr add {inside.other(4)}/24 dev lan0", f"addr add {inside.other(6)}/64 dev lan0 nodad")
    hosts.host.ip("addr flush dev up0", "link add bond0 type bond mode active-backup miimon 50",
                  *(line for i in (0, 1) for line in (f"link set slave{i} down", f"link set slave{i} master bond0")),
                  "link set bond0 up", f"addr add {inside.own(4)}/24 dev bond0",
                  f"addr add {inside.own(6)}/64 dev bond0 nodad")
    hosts.route("via {via} dev bond0")
    hosts.watch("bond0")
    failed = False
    for row in sorted(rows, key=lambda row: row.situation):
        if row.situation == "bond-failed-over" and not failed:
            hosts.host.ip("link set slave0 down")
            failed = True
            end = time.monotonic() + 5
            while hosts.socket(row).startswith("no") and time.monotonic() < end:
                pass  # until the other one is active
        expected = hosts.socket(row)
        inside.tell(row, hosts.probe(row), expected)


def sctp(hosts, rows):
    """Whoever listens and whoever does not: it was reached."""
    hosts.route()
    listeners = [namespace.socket(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
                 for namespace in (hosts.host, hosts.far[0])]
    for listener in listeners:
        listener.bind(("::", LISTENS))
        listener.listen()
    for row in rows:
        _, place, port = row.situation.split("-")
        address = PLACES[place](row.family)
        number = LISTENS if port == "open" else CLOSED
        inside.tell(row, hosts.ask(row, f"send-probe ip-{row.family} {address} protocol sctp port {number}"), "yes")


def neighbours(hosts, rows):
    """The table is the kernel's only one; what can't be asked for now may be in a second: it is a lost packet."""
    thresholds = {f"/proc/sys/net/ipv{family}/neigh/default/gc_thresh{i}": None for family in (4, 6) for i in (1, 2, 3)}
    for path in thresholds:
        with open(path, encoding="ascii") as file:
            thresholds[path] = file.read()
    number = 20
    for row in sorted(rows, key=lambda row: row.situation):
        full = row.situation == "neighbours-full"
        for path, value in thresholds.items():
            set_to(path, ROOM if full else value)
        if full:
            # Entries younger than five seconds stay.
            lines = [f"neigh replace {neighbour(row.family, 100 + i)} lladdr 02:00:00:00:00:01 dev up0 nud reachable\n"
                     for i in range(2 * ROOM)]
            hosts.host.run("ip", f"-{row.family}", "-force", "-batch", "-", input="".join(lines), check=False,
                           capture_output=True)
        number += 1
        address = neighbour(row.family, number)
        hosts.far[0].ip(f"addr add {address}/{24 if row.family == 4 else '64 nodad'} dev far0")
        port = "" if row.protocol == "icmp" else " port 9"
        said = hosts.ask(row, f"send-probe ip-{row.family} {address} protocol {row.protocol}{port}")
        inside.tell(row, said, "no" if full else "yes")


def neighbour(family, number):
    return f"10.1.0.{number}" if family == 4 else f"2001:db8::{number:x}"


def set_to(path, value):
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{value}\n")


def main(group):
    with inside.Host() as hosts:
        {"bond": bond, "sctp": sctp, "neighbours": neighbours}[group](hosts, GROUPS[group])


if __name__ == "__main__":
    main(sys.argv[1])
