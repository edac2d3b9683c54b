# SPDX-License-Identifier: MIT
"""The first hop as the daemon, its tools, mtr and traceroute(8) name it, on hosts with VRFs, IPsec, tunnels, bonding.

A row is a program's; the routers are known. Since programs start slowly here, the tools have few rows.
"""

import ctypes
import os
import pathlib
import socket
import struct
import sys

from uml import inside, ipsec, links, sockets, tunnels

from lab import first_hop

PROGRAMS = "raw", "plain", "traceroute"
SIZES = 1300, 1400, 1500
SECURED = {4: "icmp", 6: "udp"}  # what IPsec is for


def rows(situation, protocols=("icmp", "udp", "tcp"), families=(4, 6), tools=()):
    situations = [f"hop-{situation}"]
    return [*inside.rows(situations, protocols, PROGRAMS, families), *inside.rows(situations, ["udp"], tools, families)]


def of_interface(accept):
    """Of an interface of the VRF; not traceroute -I and -T over IPv6, whose raw sockets, bound to it, hear nothing."""
    return [row for row in rows(f"up0-accept-{accept}")
            if (row.transport, row.family) != ("traceroute", 6) or row.protocol == "udp"]


# Up to 0.95 mtr makes of a device no more than a source.
GROUPS = {
    "vrf": [*rows("exec", tools=["mtr", "probe-trace"]), *rows("cgroup"),
            *rows("red-accept-0", tools=["probe-trace"]), *of_interface(0), *rows("red-accept-1"), *of_interface(1)],
    "around": [*rows("bond", tools=["mtr"]), *rows("ipip", families=[4], tools=["mtr"]),
               *rows("gre", families=[6], tools=["probe-trace"]),
               *(row for name in ("transport-1400", *(f"tunnel-{size}" for size in SIZES))
                 for family, protocol in SECURED.items() for row in rows(name, [protocol], [family]))],
}
MODULES = ("vrf", "bonding", "bridge", "ip_gre", "ip6_gre", "ipip", "ip6_tunnel", *ipsec.MODULES)
EXEC = "ip", "vrf", "exec", "red"
PATIENCE = 2 * inside.TIMEOUT  # seconds: all are asked at once, and this machine within a machine may stand still meanwhile
CGROUP = pathlib.Path("/run/cgroup2/bound")
IN_CGROUP = "sh", "-c", f'echo $$ >{CGROUP}/cgroup.procs; exec "$@"', "sh"


class Hosts(inside.Host):
    """The far sides are routers, and have no target."""

    def __init__(self, uplinks=1):
        super().__init__(uplinks, targets=False)
        for i, far in enumerate(self.far):
            far.sysctl("net.ipv4.ip_forward", 1)
            far.sysctl("net.ipv6.conf.all.forwarding", 1)
            self.lead_on(i)

    def lead_on(self, uplink=0):
        """To where does not matter, since nothing gets so far."""
        self.far[uplink].ip(*(f"-{family} route replace {inside.NETWORK[family]} via {inside.own(family, uplink)}"
                              for family in (4, 6)))


def compare(hosts, directory, situation, hop, wrapper=(), **more):
    """Has each program of a situation's rows name the first hop. hop: of a family, which it is."""
    of_program = {}
    for row in situation:
        probe = first_hop.Probe(row.family, row.protocol, port=sockets.PORTS.get(row.protocol, 0), **more)
        of_program.setdefault(row.transport, {})[row] = probe
    for program, probes in of_program.items():
        if program in inside.WHO:
            found = ask_daemon(hosts.daemon(program, *wrapper), probes)
        else:
            found = first_hop.ask(hosts.host, list(probes.values()), directory, wrapper=wrapper, programs=[program])
            found = {row: found[probe][program] for row, probe in probes.items()}
        for row, seen in found.items():
            inside.tell(row, str(seen), str(hop(row.family)))


def ask_daemon(daemon, probes):
    for number, probe in enumerate(probes.values(), 1):
        words = [f"port {probe.port}"] * bool(probe.port) + [f"local-device {probe.device}"] * bool(probe.device)
        words += [f"size {probe.size}"] * bool(probe.size)
        daemon.send(f"{number} send-probe ip-{probe.family} {probe.target} protocol {probe.protocol} ttl 1 "
                    f"timeout {PATIENCE} {' '.join(words)}")
    replies = sorted(daemon.collect(len(probes)), key=lambda reply: reply.token)
    hops = [reply.address or (None if reply.kind == "no-reply" else reply.line) for reply in replies]
    return dict(zip(probes, hops))


def bind_new_sockets(index):
    """By a program of the kernel's, to the interface of this index, for whoever is in CGROUP."""
    libc = ctypes.CDLL(None, use_errno=True)

    def bpf(command, attributes):
        made = libc.syscall(321, command, ctypes.create_string_buffer(attributes, 128), 128)
        assert made >= 0, os.strerror(ctypes.get_errno())
        return made

    code = ctypes.create_string_buffer(struct.pack("=BBhiBBhiBBhiBBhi", 0xb7, 3, 0, index, 0x63, 0x31, 0, 0,
                                                   0xb7, 0, 0, 1, 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"MIT")
    program = bpf(5, struct.pack("=IIQQ", 9, 4, ctypes.addressof(code), ctypes.addressof(licence)))
    CGROUP.mkdir()
    group = os.open(CGROUP, os.O_RDONLY)
    bpf(8, struct.pack("=III", group, program, 2))
    os.close(group)


def vrf(directory, situations):
    with Hosts(2) as hosts:
        for family in (4, 6):
            for uplink, metric in ((0, 10), (1, 20)):
                hosts.host.ip(f"-{family} route add {inside.NETWORK[family]} via {inside.other(family, uplink)} "
                              f"dev up{uplink} metric {metric}")
        with hosts.host.enter():
            bind_new_sockets(socket.if_nametoindex("up1"))
        compare(hosts, directory, situations["cgroup"], lambda family: router(family, 1), IN_CGROUP)
        hosts.host.ip("link add red type vrf table 10", "link set red up", "link set up0 master red",
                      f"-6 addr replace {inside.own(6)}/64 dev up0 nodad")
        hosts.host.ip(*(f"-{family} route replace {inside.NETWORK[family]} via {inside.other(family)} dev up0 table 10"
                        for family in (4, 6)))
        compare(hosts, directory, situations["exec"], router, EXEC)
        for accept in (0, 1):
            hosts.forget()  # the daemon looks at this when it starts
            hosts.host.sysctl("net.ipv4.raw_l3mdev_accept", accept)
            for device in ("red", "up0"):
                compare(hosts, directory, situations[f"{device}-accept-{accept}"], router, device=device)


def around(directory, situations):
    with Hosts() as hosts:
        hosts.route()
        secure(hosts, directory, situations)
        for kind, family in (("ipip", 4), ("gre", 6)):
            tunnels.open_tunnel(hosts, kind, family)
            compare(hosts, directory, situations[kind], tunnels.OTHER.get)
            for namespace in (hosts.host, *hosts.far):
                namespace.ip("link del tun")
        links.bond(hosts, [])
        hosts.lead_on()
        compare(hosts, directory, situations["bond"], router)


def secure(hosts, directory, situations):
    """In transport mode the router gets packets that it can't read, and its quotes of them tell nobody anything."""
    for mode, sizes in (("tunnel", SIZES), ("transport", [1400])):
        for family, protocol in SECURED.items():
            ipsec.encrypt(hosts, mode, family, protocol)
            # What comes out of a tunnel is led on by a policy only.
            near, far = inside.own(family), inside.other(family)
            hosts.far[0].ip(f"-{family} xfrm policy add src {near} dst {inside.NETWORK[family]} dir fwd "
                            f"tmpl src {near} dst {far} proto esp reqid 1 mode {mode}")
        for size in sizes:
            compare(hosts, directory, situations[f"{mode}-{size}"],
                    router if mode == "tunnel" else lambda family: None, size=size)
        ipsec.clear(hosts)


def router(family, uplink=0):
    return inside.other(family, uplink).replace(":0:", "::").replace(":::", "::")


def main(group):
    situations = {}
    for row in GROUPS[group]:
        situations.setdefault(row.situation.removeprefix("hop-"), []).append(row)
    directory = pathlib.Path(os.environ["TMPDIR"]) / "first-hop"
    directory.mkdir()
    {"vrf": vrf, "around": around}[group](first_hop.prepare(directory, os.environ["DAEMON"]), situations)


if __name__ == "__main__":
    main(sys.argv[1])
