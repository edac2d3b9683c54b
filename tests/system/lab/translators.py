# SPDX-License-Identifier: MIT
"""Networks whose answers are translated, rebuilt or wrapped on their way, most of them by the real programs.

Each has a client, where tools run, whatever translates, and behind that a played path (lab/path.py), whose routers
quote as routers do: whole probes, eight bytes, with labels and without.
"""

import contextlib
import ipaddress
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest

from . import net, wire
from .path import LONG, OURS, SHORT, WHOLE, Hop, Path, hop_address, target

CLIENT, GATE = {4: "10.50.0.1", 6: "fd50::1"}, {4: "10.50.0.2", 6: "fd50::2"}
OUTSIDE = {4: "10.50.0.77", 6: "fd50::77"}  # whom Open vSwitch makes of the client, and
BEYOND = {4: "10.99.255.7", 6: "fd99::ffff:7"}  # whom other NATs do
TARGET, BEHIND = target(0), target(1)  # BEHIND: whom destination NAT makes of TARGET
ASKED = target(2, udp="datagram", tcp="closed")
PREFIX64, POOL = "2001:db8:64::", "192.168.200.0/24"  # of the NAT64: its IPv4 world, and whom it makes of its clients
WORD = {4: "ip", 6: "ip6"}  # of nft
CLAMPED = 1400  # the MSS behind a router that clamps it

LABEL = "16,0,1,1"
STACK = wire.extension(wire.mpls((16, 0, 1, 1)))
LABELLED = {4, 5}  # those of the played path that have it


def routers(**habits):
    """Those of the played path; habits: what they all have."""
    kinds = [{"quote": WHOLE}, {"quote": SHORT}, {"quote": LONG}, {"quote": SHORT, "extension": STACK},
             {"quote": WHOLE, "extension": STACK, "form": "old"}]
    return [Hop(hop_address(number), **{**kind, **habits}) for number, kind in enumerate(kinds, 1)]


PLAYED = len(routers())


class Network:
    """client: the namespace; targets: addresses by family; hops: by family whom to name, from the first ttl to the
    target, None for those whom nobody can; in_step: one hop is to be asked after the other."""

    def __init__(self, label):
        self._label, self._stack = label, contextlib.ExitStack()
        self.client, self.targets, self.hops, self.in_step = None, {}, {}, False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()

    def namespace(self, label, forwards=False):
        namespace = self._stack.enter_context(net.Namespace(f"{self._label}-{label}"))
        if forwards:
            namespace.sysctl("net.ipv4.ip_forward", 1)
            namespace.sysctl("net.ipv6.conf.all.forwarding", 1)
        return namespace

    def host_and_gate(self, host="client", gate="gate", families=(4, 6)):
        """Two namespaces on one wire: a host, and the router that it has for a gate."""
        near, far = self.namespace(host), self.namespace(gate, forwards=True)
        net.join(near, "eth0", far, "lan", *([f"{end[family]}/{24 if family == 4 else 64}" for family in families]
                                             for end in (CLIENT, GATE)))
        near.ip(*(f"-{family} route add default via {GATE[family]}" for family in families))
        return near, far

    def play(self, namespace, first, **habits):
        """The played path from here on; first: by family whom probes meet before it."""
        self._stack.enter_context(Path(namespace, routers(**habits), (TARGET, BEHIND, ASKED)))
        for family, named in first.items():
            self.targets[family] = TARGET.address[family]
            played = [hop_address(number)[family] for number in range(1, PLAYED + 1)]
            self.hops[family] = [*named, *played, TARGET.address[family]]

    def directory(self):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="hopline-test-"))
        self._stack.callback(shutil.rmtree, directory, ignore_errors=True)
        return directory


def start(namespace, *argv, **how):
    """A program that runs until its namespace is closed."""
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    return namespace.popen(*argv, **quiet, **how)


def needs(program, package):
    if not shutil.which(program, path="/usr/sbin:/sbin:" + os.environ.get("PATH", "")):
        pytest.skip(f"no {program} here: install the Debian package {package}")


def wait_for(what, done, timeout=5):
    end = time.monotonic() + timeout
    while not done():
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        time.sleep(0.02)


# ---------------------------------------------------------------- tayga

def tayga(network, namespace, ifname, lines, *routes):
    """A tayga whose device has this name, and the routes into it."""
    needs("tayga", "tayga")
    config = network.directory() / "tayga.conf"
    config.write_text("\n".join([f"tun-device {ifname}", *lines, ""]), encoding="ascii")
    namespace.run("tayga", "--config", config, "--mktun")
    namespace.ip(f"link set {ifname} up", *(f"-{6 if ':' in route else 4} route add {route} dev {ifname}"
                                            for route in routes))
    start(namespace, "tayga", "--config", config, "--nodetach")
    wait_for(f"tayga reads {ifname}", lambda: "LOWER_UP" in namespace.run("ip", "link", "show", ifname).stdout)


def through_nat64(address):
    """An IPv4 address as the NAT64's clients see it."""
    return str(ipaddress.ip_address(PREFIX64) + int(ipaddress.ip_address(address)))


def nat64_gate(network):
    """A network that has IPv6 only, and the NAT64 in its router; the path behind it is IPv4's."""
    network.client, gate = network.host_and_gate(families=[6])
    tayga(network, gate, "nat64", [f"prefix {PREFIX64}/96", "ipv4-addr 192.168.200.1", "ipv6-addr fd64::1",
                                   f"dynamic-pool {POOL}"], f"{PREFIX64}/96", POOL)
    network.play(gate, {4: [OURS[4]]})
    return gate


def nat64(network):
    """A client that has IPv6 only."""
    nat64_gate(network)
    network.targets = {6: through_nat64(TARGET.address[4])}
    network.hops = {6: [GATE[6], "fd64::1", *map(through_nat64, network.hops[4])]}


def clat(network):
    """464XLAT: the client's own tayga translates to that of the network. Routers between have no address in IPv4."""
    gate = nat64_gate(network)
    network.client.sysctl("net.ipv4.ip_forward", 1)
    network.client.sysctl("net.ipv6.conf.all.forwarding", 1)
    tayga(network, network.client, "clat", [f"prefix {PREFIX64}/96", "ipv4-addr 192.0.0.2", "ipv6-addr fd64::2",
                                            "map 192.0.0.1 fd50::c"], "fd50::c")
    network.client.ip("addr add 192.0.0.1/32 dev clat", "route add default dev clat mtu 1260 src 192.0.0.1")
    gate.ip(f"-6 route add fd50::c via {CLIENT[6]}")
    network.hops[4] = ["192.0.0.2", None, None, None, *network.hops[4]]


def siit(network):
    """A client of IPv4, and a path of IPv6 whose routers all have addresses in IPv4 for it (RFC 7757)."""
    network.client, gate = network.host_and_gate(families=[4])
    tayga(network, gate, "siit", ["ipv4-addr 192.168.200.1", "ipv6-addr fd64::1", "map 10.50.0.0/24 fd46::/120",
                                  "map 192.168.201.0/24 fd99::/120", f"map 192.168.202.1 {TARGET.address[6]}"],
          "192.168.201.0/24", "192.168.202.1", "fd46::/120")
    network.play(gate, {6: []})
    network.targets = {4: "192.168.202.1"}
    network.hops = {4: [GATE[4], "192.168.200.1", None, *(f"192.168.201.{n}" for n in range(1, PLAYED + 1)),
                        "192.168.202.1"]}


# ---------------------------------------------------------------- containers

def container(network):
    """A namespace without links, as a container's, and a host whose program is to carry its packets; the host.

    These programs have one socket for all packets of a source port, whose errors they take for those of the packet sent
    last, and one connection for all equal SYNs.
    """
    network.in_step = True
    network.client = network.namespace("client")
    host, gate = network.host_and_gate("host")
    network.play(gate, {4: [GATE[4]], 6: [GATE[6]]})
    return host


def pasta(network):
    needs("pasta", "passt")
    host = container(network)
    start(host, "pasta", "--config-net", "--foreground", "--quiet", "--runas", 0, "--no-netns-quit",
          "--netns", f"{net.NETNS_DIR}/{network.client.name}")
    for family, address in network.targets.items():
        wait_for(f"pasta carries IPv{family}", lambda: network.client.run(
            "ping", "-c", 1, "-W", 0.2, address, check=False).returncode == 0)  # pylint: disable=cell-var-from-loop


def slirp4netns(network):
    needs("slirp4netns", "slirp4netns")
    host = container(network)
    for name in ("accept_ra", "router_solicitations"):
        network.client.sysctl(f"net.ipv6.conf.default.{name}", 1)
    start(host, "slirp4netns", "--configure", "--enable-ipv6", "--netns-type=path",
          f"{net.NETNS_DIR}/{network.client.name}", "tap0")
    wait_for("slirp4netns has announced itself", lambda: network.client.run(
        "ip", "-6", "route", "show", "default").stdout)
    for family, gate in (4, "10.0.2.2"), (6, "fe80::2"):
        network.hops[family].insert(0, gate)


# ---------------------------------------------------------------- Open vSwitch

def ovs(network):
    """Open vSwitch in user space, which bridges the client to its router and translates its addresses: no hop."""
    needs("ovs-vswitchd", "openvswitch-switch")
    network.client, switch = network.namespace("client"), network.namespace("switch")
    gate = network.namespace("gate", forwards=True)
    net.join(network.client, "eth0", switch, "port1", [f"{CLIENT[4]}/24", f"{CLIENT[6]}/64"])
    net.join(switch, "port2", gate, "lan", (), [f"{GATE[4]}/24", f"{GATE[6]}/64"])
    ours = network.client.run("cat", "/sys/class/net/eth0/address").stdout.strip()
    for family in (4, 6):
        network.client.ip(f"-{family} route add default via {GATE[family]}")
        gate.ip(f"neigh add {OUTSIDE[family]} lladdr {ours} dev lan")
    open_switch(switch, network.directory())
    network.play(gate, {4: [GATE[4]], 6: [GATE[6]]})


def open_switch(namespace, directory):
    """Its daemons, with all of their files in a directory, and a bridge of port1, port2 with source NAT."""
    env = {**os.environ, **{f"OVS_{name}DIR": str(directory) for name in ("RUN", "DB", "LOG")}}
    database, socket = directory / "conf.db", directory / "db.sock"
    namespace.run("ovsdb-tool", "create", database, "/usr/share/openvswitch/vswitch.ovsschema", env=env)
    start(namespace, "ovsdb-server", f"--remote=punix:{socket}", database, env=env)
    wait_for("ovsdb-server listens", socket.exists)
    start(namespace, "ovs-vswitchd", f"unix:{socket}", env=env)
    ports = " ".join(f"-- add-port br0 port{n} -- set interface port{n} ofport_request={n}" for n in (1, 2)).split()
    namespace.run("ovs-vsctl", f"--db=unix:{socket}", "--timeout=5", "add-br", "br0", "--", "set", "bridge", "br0",
                  "datapath_type=netdev", *ports, env=env)
    flows = [f"table=1,in_port={n},actions=output:{3 - n}" for n in (1, 2)] + ["priority=9,arp,actions=normal"]
    flows += [f"priority=9,icmp6,icmp_type={kind},actions=normal" for kind in (135, 136)]
    for family, kind in (4, "ip"), (6, "ipv6"):
        flows += [f"in_port=1,{kind},actions=ct(commit,zone=1,nat(src={OUTSIDE[family]}),table=1)",
                  f"in_port=2,{kind},actions=ct(zone=1,nat,table=1)"]
    namespace.run("ovs-ofctl", "add-flows", "br0", "-", input="\n".join([*flows, ""]), env=env)


# ---------------------------------------------------------------- a router with nftables

def behind_router(network, *chains):
    """Linux's own translation; chains: their text, of a table of family inet."""
    network.client, gate = network.host_and_gate()
    network.play(gate, {4: [GATE[4]], 6: [GATE[6]]})
    gate.nft("table inet t {\n" + "".join(f"chain c{n} {{\n{text}\n}}\n" for n, text in enumerate(chains)) + "}\n")


def stateless(network, out, back):
    """Rules that rewrite packets to the path and from it, one by one, and do not look into what errors quote."""
    ways = ("postrouting priority 300", "oifname", out), ("prerouting priority -300", "iifname", back)
    behind_router(network, *(f"type filter hook {hook}\n" + "\n".join(f"{device} tun0 {rule}" for rule in rules)
                             for hook, device, rules in ways))


def rewrite(end, was, becomes):
    """Rules for one of the addresses, in both families."""
    return [f"{WORD[f]} {end} {was[f]} {WORD[f]} {end} set {becomes[f]}" for f in (4, 6)]


def rewrite_ports(end, message):
    """Rules for a port, and for the identifier of echo requests or replies."""
    return [f"{protocol} {end} set {protocol} {end} xor 0x100" for protocol in ("udp", "tcp", "sctp")] + \
        [f"{protocol} type {message} {protocol} id set {protocol} id xor 0x100" for protocol in ("icmp", "icmpv6")]


def masquerade(network):
    """As most home routers do: quotes are translated back."""
    behind_router(network, "type nat hook postrouting priority 100\noifname tun0 masquerade")


def source_nat(network):
    stateless(network, rewrite("saddr", CLIENT, BEYOND), rewrite("daddr", BEYOND, CLIENT))


def port_nat(network):
    stateless(network, rewrite("saddr", CLIENT, BEYOND) + rewrite_ports("sport", "echo-request"),
              rewrite("daddr", BEYOND, CLIENT) + rewrite_ports("dport", "echo-reply"))


def target_nat(network):
    there, here = BEHIND.address, TARGET.address
    stateless(network, rewrite("daddr", here, there), rewrite("saddr", there, here))


def target_nat_tracked(network):
    """Linux gives every error the target's address, even its own, so all hops have that."""
    behind_router(network, "type nat hook prerouting priority -100\n" + "\n".join(
        f"iifname lan {WORD[f]} daddr {TARGET.address[f]} dnat {WORD[f]} to {BEHIND.address[f]}" for f in (4, 6)))
    network.hops = {f: [TARGET.address[f]] * (PLAYED + 2) for f in (4, 6)}


def clamping(network):
    """As every router with PPPoE does."""
    behind_router(network, f"type filter hook forward priority 0\ntcp flags syn tcp option maxseg size set {CLAMPED}")


# ---------------------------------------------------------------- segment routing over IPv6

def segment_routing(network, mode, action, more=()):
    """The client itself puts a segment into its packets, or these into others; it ends at the second router."""
    network.client, first = network.host_and_gate(families=[6])
    second = network.namespace("second", forwards=True)
    net.join(first, "wan", second, "eth0", ["fd51::1/64"], ["fd51::2/64"])
    network.play(second, {6: [GATE[6], *more]})
    for interface in "all", "eth0", "tun0":
        second.sysctl(f"net.ipv6.conf.{interface}.seg6_enabled", 1)
    first.ip("-6 route add fc00::/16 via fd51::2", "-6 route add fd99::/64 via fd51::2")
    try:
        second.ip("-6 route add default via fd51::1", f"-6 route add fc00::1 encap seg6local action {action} dev tun0")
        network.client.ip(f"-6 route add fd99::/64 encap seg6 mode {mode} segs fc00::1 via {GATE[6]} dev eth0")
    except net.CommandError as error:
        pytest.skip(f"no segment routing here: {error}")


def srv6_inline(network):
    segment_routing(network, "inline", "End", ["fd51::2"])


def srv6_encap(network):
    segment_routing(network, "encap", "End.DT6 table main")


# ---------------------------------------------------------------- translators that Debian 12 has not, played

def replayed(network, **habits):
    network.client = network.namespace("client")
    network.play(network.client, {4: [], 6: []}, **habits)


def jool(network):
    """The NAT64 of mobile networks, as a client of IPv6 sees it; two translators in a row, as one of IPv4 does."""
    replayed(network, rebuilt="jool", form="old")


def pasta_2026(network):
    """It lets the ttl of udp out and tells errors; else it is as Debian 12's."""
    replayed(network, rebuilt="pasta")


NETWORKS = {function.__name__.replace("_", "-"): function for function in (
    nat64, clat, siit, pasta, slirp4netns, ovs, masquerade, source_nat, port_nat, target_nat, target_nat_tracked,
    clamping, srv6_inline, srv6_encap, jool, pasta_2026)}


@contextlib.contextmanager
def network(name):
    """One of NETWORKS, while this lasts."""
    with Network(name) as made:
        NETWORKS[name](made)
        yield made
