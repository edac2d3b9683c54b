# SPDX-License-Identifier: MIT
"""The way out: a probe leaves as a socket of its protocol, ports, mark, TOS and user would, on hosts with several ways."""

import os
import random
import shutil
import tempfile

import pytest

from lab import net, transports, uplinks
from lab.daemon import Daemon, built_binary

SEEDS = int(os.environ.get("WAY_OUT_SEEDS", "200"))
PER_NETWORK = 50  # seeds that one test takes

needs_root = pytest.mark.skipif(net.why_no_namespaces() is not None, reason=str(net.why_no_namespaces()))
pytestmark = needs_root


@pytest.fixture(scope="module", name="hosts")
def fixture_hosts():
    with uplinks.Uplinks("way") as hosts:
        yield hosts


def reset(hosts, family):
    """No rules but the kernel's, and no routes but the links'."""
    lines = ["rule flush", "rule add pref 32766 lookup main", "route flush exact default"]  # flush spares the first rule
    lines += [f"route flush table {table}" for table in (101, 102)]
    hosts.host.run("ip", f"-{family}", "-force", "-batch", "-", input="\n".join(lines) + "\n", check=False, capture_output=True)
    hosts.host.sysctl(f"net.ipv{family}.fib_multipath_hash_policy", 0)
    hosts.clear()


def via(family, hops):
    """What stands behind `default` for next hops, as (uplink, router)."""
    if len(hops) == 1:
        uplink, number = hops[0]
        return f"via {uplinks.router(family, uplink, number)} dev up{uplink}"
    return " ".join(f"nexthop via {uplinks.router(family, uplink, number)} dev up{uplink}" for uplink, number in hops)


def same(got, expected, probe, family, by_ports):
    """What can't be had: see ROUTING in the manual."""
    if isinstance(got, tuple) and isinstance(expected, tuple):
        if family == 4 and probe["protocol"] == "icmp" and by_ports:
            return got[2] == uplinks.own(family, got[0])  # the kernel can't be asked what it takes for an echo request
        if (family == 6 and "mark" in probe) or (family == 4 and transports.current == transports.PLAIN):
            return (got[0], got[2]) == (expected[0], expected[2])  # another router of that uplink may be taken
    return got == expected


def compare(hosts, family, probes, by_ports=False):
    """Sends each probe by a socket, then all by one daemon; the differences, as text."""
    first = 1
    if transports.current == transports.PLAIN:
        probes = [probe for probe in probes if "mark" not in probe]
    expected, asked, wrong = {}, [], []
    for number, probe in enumerate(probes, first):
        address = uplinks.target(family, number)
        error = hosts.send_by_socket(family, address, probe)
        expected[number] = error or hosts.seen(1, 0.1).get((family, address, probe["protocol"]))
        asked.append(f"{number} {uplinks.request_of(family, address, probe)}")
        hosts.clear()
    with Daemon(hosts.host) as daemon:
        daemon.send(*asked)
        replies = {reply.token: reply for reply in daemon.collect(len(asked), 5)}
    seen = hosts.seen()
    for number, probe in enumerate(probes, first):
        address = uplinks.target(family, number)
        got = seen.get((family, address, probe["protocol"]))
        refused_locally = replies[number].kind != "no-reply" and not replies[number].args.get(f"ip-{family}")
        if refused_locally:  # an error with an address is this host's own that the target is no neighbour of it
            got = replies[number].kind
        if not same(got, expected[number], probe, family, by_ports):
            wrong.append(f"{replies[number].line} {probe}: {got}, a socket: {expected[number]}")
    return wrong


PROBES = [
    {"protocol": "icmp"},
    {"protocol": "udp", "port": 33434, "local-port": 4100},
    {"protocol": "udp", "port": 53, "local-port": 4101},
    {"protocol": "tcp", "port": 80, "local-port": 4102},
    {"protocol": "tcp", "port": 443, "local-port": 4103},
    {"protocol": "icmp", "tos": 0x10},
    {"protocol": "udp", "port": 53, "local-port": 4104, "tos": 0x08},
]

RULES = ["ipproto udp", "ipproto tcp", "ipproto icmp", "dport 53", "ipproto tcp dport 440-450", "sport 4100-4102", "tos 0x08",
         "dsfield 0x10", "ipproto udp dport 33434"]


@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("rule", RULES)
def test_rules(hosts, family, rule):
    """One rule sends some of the traffic by another uplink, to which the main table knows no way."""
    reset(hosts, family)
    if family == 6:
        rule = rule.replace("ipproto icmp", "ipproto ipv6-icmp")
    for line in (f"route add default {via(family, [(0, 2)])}", f"route add default {via(family, [(1, 3)])} table 101",
                 f"rule add pref 500 {rule} lookup 101"):
        hosts.host.ip(f"-{family} {line}")
    assert not compare(hosts, family, PROBES)


@pytest.mark.parametrize("family", (4, 6))
def test_rules_by_interface_and_mark(hosts, family):
    reset(hosts, family)
    for line in (f"route add default {via(family, [(0, 2)])}", f"route add default {via(family, [(1, 3)])} table 101",
                 f"route add default {via(family, [(2, 2)])} table 102", "rule add pref 500 oif up1 lookup 101",
                 "rule add pref 501 fwmark 7 lookup 102"):
        hosts.host.ip(f"-{family} {line}")
    probes = [{**probe, "local-device": "up1"} for probe in PROBES]
    probes += [{**probe, "mark": 7, **({"local-port": probe["local-port"] + 100} if "local-port" in probe else {})}
               for probe in PROBES]
    assert not compare(hosts, family, probes)


@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("policy", (0, 1))
def test_several_next_hops(hosts, family, policy):
    """Forty targets, three uplinks: each probe leaves by the uplink that a socket takes, with its address."""
    reset(hosts, family)
    hosts.host.ip(f"-{family} route add default {via(family, [(0, 2), (1, 2), (2, 3)])}")
    hosts.host.sysctl(f"net.ipv{family}.fib_multipath_hash_policy", policy)
    probes = []
    for number in range(42):
        probe = dict(PROBES[number % 5])
        if "local-port" in probe:
            probe["local-port"] = 4200 + number
        probes.append(probe)
    assert not compare(hosts, family, probes, policy == 1)


@pytest.mark.parametrize("family", (4, 6))
def test_two_routers_on_one_link(hosts, family):
    """The interface says nothing then: the packet must reach the router that was chosen."""
    reset(hosts, family)
    hosts.host.ip(f"-{family} route add default {via(family, [(0, 2), (0, 3)])}")
    hosts.host.sysctl(f"net.ipv{family}.fib_multipath_hash_policy", 1)
    probes = [{**PROBES[1 + number % 4], "local-port": 4300 + number} for number in range(24)]
    assert not compare(hosts, family, probes)


def test_default_routes_by_source(hosts):
    """RFC 8028: default routes that are found only by a source; each source by its own router."""
    reset(hosts, 6)
    for uplink, router in ((1, 2), (2, 3)):
        hosts.host.ip(f"-6 route add default from {uplinks.own(6, uplink)[:-1]}/64 "
                      f"via {uplinks.router(6, uplink, router)} dev up{uplink}")
    probes = [{**probe, **({"local-port": probe["local-port"] + 200} if "local-port" in probe else {})} for probe in PROBES]
    probes += [{"protocol": protocol, "local": uplinks.own(6, uplink), **({"port": 80} if protocol != "icmp" else {})}
               for protocol in ("icmp", "udp", "tcp") for uplink in (1, 2)]
    assert not compare(hosts, 6, probes)


def test_router_of_the_other_family(hosts):
    """RFC 8950: an IPv4 route by an IPv6 next hop."""
    reset(hosts, 4)
    hosts.host.ip(f"-4 route add default via inet6 {uplinks.router(6, 1, 3)} dev up1")
    assert not compare(hosts, 4, [{**probe, **({"local-port": probe["local-port"] + 300} if "local-port" in probe else {})}
                                  for probe in PROBES])


@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("protocol", ("icmp", "udp", "tcp"))
def test_policy_for_one_protocol(hosts, family, protocol):
    """A policy of IPsec that blocks one protocol: it is seen by a probe as by a socket of that protocol."""
    reset(hosts, family)
    hosts.host.ip(f"-{family} route add default {via(family, [(0, 2)])}")
    number = {"icmp": "icmp" if family == 4 else "ipv6-icmp"}.get(protocol, protocol)
    source, target = ("0.0.0.0/0", "198.51.100.0/24") if family == 4 else ("::/0", "2001:db8:ffff::/64")
    hosts.host.run("ip", "xfrm", "policy", "add", "src", source, "dst", target, "proto", number, "dir", "out",
                   "action", "block")
    try:
        with Daemon(hosts.host) as daemon:
            for number, kind in enumerate(("icmp", "udp", "tcp"), 1):
                address = uplinks.target(family, number)
                hosts.clear()
                daemon.ask(f"send-probe ip-{family} {address} protocol {kind} timeout 0.1")
                left = (family, address, kind) in hosts.seen()
                assert left == (kind != protocol), kind
    finally:
        hosts.host.run("ip", "xfrm", "policy", "flush")


@pytest.mark.parametrize("family", (4, 6))
def test_rules_by_user(hosts, family):
    """Of a set-uid program they go by the user who starts it."""
    reset(hosts, family)
    for line in (f"route add default {via(family, [(0, 2)])}", f"route add default {via(family, [(1, 3)])} table 101",
                 "rule add pref 500 uidrange 65534-65534 lookup 101"):
        hosts.host.ip(f"-{family} {line}")
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        program = shutil.copy(built_binary(), directory)
        os.chmod(program, 0o6755)
        wrapper = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        with Daemon(hosts.host, binary=program, wrapper=wrapper) as daemon:
            for number, protocol in enumerate(("icmp", "udp", "tcp"), 1):
                hosts.clear()
                address = uplinks.target(family, number)
                daemon.ask(f"send-probe ip-{family} {address} protocol {protocol} timeout 0.1")
                got = hosts.seen(1, 1.0).get((family, address, protocol))
                assert got == (1, 3, uplinks.own(family, 1)), protocol


def random_lines(rng, family):
    """Routes and rules: each table knows some way, or none; a source has its own uplink's table."""

    def some_way():
        hops = rng.sample([(uplink, number) for uplink in range(uplinks.UPLINKS) for number in uplinks.ROUTERS],
                          rng.choice((1, 1, 1, 2, 3)))
        return via(family, hops)

    lines = [f"route add default {some_way()}"] if rng.random() < 0.9 else []
    for table in (101, 102):
        if rng.random() < 0.85:
            lines.append(f"route add default table {table} {some_way()}")
        elif rng.random() < 0.5:
            lines.append(f"route add {rng.choice(('unreachable', 'prohibit', 'blackhole'))} default table {table}")
    icmp = "icmp" if family == 4 else "ipv6-icmp"
    matches = ["ipproto udp", "ipproto tcp", f"ipproto {icmp}", "dport 53", "dport 80-500", "sport 4400-4403", "tos 0x08",
               f"to {'198.51.100.0/29' if family == 4 else '2001:db8:ffff::/125'}", "ipproto udp sport 4400-4410", "fwmark 7"]
    for priority, match in enumerate(rng.sample(matches, rng.randrange(4)), 1000):
        lines.append(f"rule add pref {priority} {match} lookup {rng.choice((101, 102))}")
    return lines


def random_probes(rng, family):
    del family
    probes = []
    for number in range(10):
        probe = dict(rng.choice(PROBES[:5]))
        if "local-port" in probe:
            probe["local-port"] = 4400 + number
        if rng.random() < 0.3:
            probe["tos"] = rng.choice((0x08, 0xB8, 0x10, 3))
        if rng.random() < 0.2:
            probe["mark"] = 7
        if rng.random() < 0.2:
            probe["local-device"] = f"up{rng.randrange(uplinks.UPLINKS)}"
        probes.append(probe)
    return probes


@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("start", range(0, SEEDS // 2, PER_NETWORK))
def test_random_tables(hosts, family, start):
    """Random tables, rules and next hops: device, router and source of each probe are those of a socket alike."""
    wrong = []
    for seed in range(start, start + PER_NETWORK):
        rng = random.Random(seed * 10 + family)
        reset(hosts, family)
        lines = random_lines(rng, family)
        hosts.host.ip(*(f"-{family} {line}" for line in lines))
        policy = rng.choice((0, 1))
        hosts.host.sysctl(f"net.ipv{family}.fib_multipath_hash_policy", policy)
        different = compare(hosts, family, random_probes(rng, family), policy == 1)
        if different:
            wrong.append(f"seed {seed}: {lines}: {different}")
    assert not wrong, "\n".join(wrong)
