# SPDX-License-Identifier: MIT
"""A path that narrows on its way, and probes that are not to be fragmented."""

import contextlib
import re

import pytest

from lab.capture import Capture
from lab.daemon import ROOT, Daemon
from lab.net import Namespace, join
from lab.path import Path, target, target_address
from lab.transports import served

PROTOCOLS = "icmp", "udp"
FAMILIES = 4, 6
MTUS = 9000, 1500, 1400, 1280  # of the links from the client to the target

pytestmark = pytest.mark.usefixtures("root")
every_family = pytest.mark.parametrize("family", FAMILIES)
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


def place(net, host):
    return {4: f"10.52.{net + 1}.{host}", 6: f"fd52:{net + 1}::{host:x}"}


def router(number):
    """The near address of the router that has so many before it."""
    return place(number, 2)


TARGET = place(len(MTUS) - 1, 2)
TOO = place(len(MTUS) - 1, 3), place(len(MTUS) - 1, 4)  # the target, by other addresses


class Narrowing:
    """client - r0 - r1 - r2 - target."""

    def __init__(self, stack):
        self.hosts = [stack.enter_context(Namespace(f"narrow{number}")) for number in range(len(MTUS) + 1)]
        self.client = self.hosts[0]
        for number, mtu in enumerate(MTUS):
            near, far = self.hosts[number], self.hosts[number + 1]
            last = number == len(MTUS) - 1
            join(near, "out", far, "in", mtu=mtu,
                 a_addrs=[place(number, 1)[4] + "/24", place(number, 1)[6] + "/64"],
                 b_addrs=[address + (f"/{24 if family == 4 else 64}") for place_ in ([router(number), *TOO] if last else
                          [router(number)]) for family, address in place_.items()])
        for number, host in enumerate(self.hosts):
            host.sysctl("net.ipv4.ip_forward", 1)
            host.sysctl("net.ipv6.conf.all.forwarding", 1)
            routes = []
            for family in FAMILIES:
                for net in range(len(MTUS)):
                    to = place(net, 0)[family] + {4: "/24", 6: "/64"}[family]
                    if net > number:
                        routes.append(f"-{family} route add {to} via {place(number, 2)[family]}")
                    elif net < number - 1:
                        routes.append(f"-{family} route add {to} via {place(number - 1, 1)[family]}")
            host.ip(*sorted(routes))

    def forget(self):
        """The client's kernel forgets what it has learned of the path."""
        self.client.ip("-4 route flush cache", "-6 route flush cache")


@pytest.fixture(scope="module")
def net(root):
    with contextlib.ExitStack() as stack:
        yield Narrowing(stack)


@pytest.fixture
def daemon(binary, net):
    net.forget()
    with Daemon(net.client, binary=binary) as running:
        yield running
        assert running.finish() == (0, "")


def ask(daemon, family, words, target=TARGET):
    return daemon.ask(f"send-probe ip-{family} {target[family]} timeout 3 {words}")


@every_family
@every_protocol
def test_each_router_and_its_mtu(daemon, protocol, family):
    """packet-too-big: with `dont-fragment 1` the reply names router and MTU at each, down to the target."""
    size, seen = 9000, []
    for _ in range(10):
        reply = ask(daemon, family, f"protocol {protocol} dont-fragment 1 size {size}")
        if reply.kind == "reply":
            break
        assert reply.kind == "packet-too-big" and list(reply.args) == [f"ip-{family}", "round-trip-time", "mtu"], reply.line
        size = int(reply.args["mtu"])
        seen.append((reply.address, size))
    assert seen == [(router(number)[family], mtu) for number, mtu in enumerate(MTUS[1:])]
    assert (reply.kind, reply.address) == ("reply", TARGET[family])


@every_family
@every_protocol
def test_the_kernels_cache_does_not_answer(net, daemon, protocol, family):
    """The kernel's path MTU cache does not answer in the router's place, and other targets are not affected."""
    for teacher in "icmp", protocol, protocol:  # of udp over IPv6 the kernel learns only where a socket of its own has it
        reply = ask(daemon, family, f"protocol {teacher} dont-fragment 1 size 2000")
        assert (reply.kind, reply.address, reply.args["mtu"]) == ("packet-too-big", router(0)[family], "1500")
    learned = net.client.run("ip", f"-{family}", "route", "get", TARGET[family]).stdout
    assert "mtu 1500" in learned, f"this test proves nothing where the kernel has learned nothing: {learned}"
    for size, mtu in (1500, 1400), (1400, 1280):
        reply = ask(daemon, family, f"protocol {protocol} dont-fragment 1 size {size}")
        assert (reply.address, reply.args["mtu"]) == (router(MTUS.index(mtu) - 1)[family], str(mtu))
    reply = ask(daemon, family, f"protocol {protocol} dont-fragment 1 size 9000", TOO[0])
    assert (reply.kind, reply.address, reply.args["mtu"]) == ("packet-too-big", router(0)[family], "1500")
    learned = net.client.run("ip", f"-{family}", "route", "get", TOO[1][family]).stdout
    assert "mtu" not in learned
    for target in TARGET, *TOO:  # and what fits the smallest link always does
        assert ask(daemon, family, f"protocol {protocol} dont-fragment 1 size 1280", target).kind == "reply"


@every_family
def test_the_local_host_refuses(net, daemon, family):
    """For a local refusal `mtu` alone; nothing leaves."""
    with Capture(net.client, "out", "out udp") as capture:
        reply = ask(daemon, family, "protocol udp dont-fragment 1 size 9001")
        assert reply.line.split(" ", 1)[1] == "packet-too-big mtu 9000"
        assert ask(daemon, family, "protocol udp size 9001 ttl 1").kind in ("ttl-expired", "no-reply")
        assert all(packet.is_fragment for packet in capture.packets())


@every_family
@every_protocol
def test_many_sizes_at_once(daemon, protocol, family):
    """What this host refuses is not taken for a probe that left, though the answers to others come in between."""
    expected = {9001: (None, "9000"), 9000: (router(0)[family], "1500"), 1500: (router(1)[family], "1400"),
                1280: (TARGET[family], None), 65000: (None, "9000"), 1281: (router(2)[family], "1280")}
    sizes = [size for _ in range(60) for size in expected]
    daemon.send(*(f"{token} send-probe ip-{family} {TARGET[family]} timeout 3 protocol {protocol} dont-fragment 1 size {size}"
                  for token, size in enumerate(sizes)))
    for reply in daemon.collect(len(sizes)):
        assert (reply.address, reply.args.get("mtu")) == expected[sizes[reply.token]], (reply.line, sizes[reply.token])


@every_family
@every_protocol
def test_fragments(net, daemon, protocol, family):
    """dont-fragment 0 fragments at the device's MTU, and DF is clear; absent, at the route's; 1 sets DF."""
    for size in MTUS:  # the kernel learns 1280
        ask(daemon, family, f"dont-fragment 1 size {size}")

    def sent(words):
        with Capture(net.client, "out", f"out ip{family}") as capture:
            ask(daemon, family, f"protocol {protocol} timeout 0.05 {words}")
            return [packet for packet in capture.packets() if packet.dst == TARGET[family]]
    for words, sizes in ("dont-fragment 0 size 8000", [8000]), ("dont-fragment 1 size 8000", [8000]):
        packets = sent(words)
        assert [packet.total_length for packet in packets] == sizes
        assert packets[0].df == (family == 4 and words.startswith("dont-fragment 1")) and not packets[0].mf
    for words, limit in ("dont-fragment 0 size 12000", 9000), ("size 8000", 1280):
        packets = sent(words)
        assert len(packets) > 1 and all(packet.total_length <= limit and not packet.df for packet in packets), packets
        assert max(packet.total_length for packet in packets) > limit - 8


@every_family
def test_df_of_each_protocol(net, daemon, family):
    """IPv4 DF: clear for icmp and udp, set for tcp, as before, unless asked otherwise; nothing sticks."""
    if family == 6:
        rows = [("tcp dont-fragment 0", False), ("icmp dont-fragment 1", False)]
    else:
        rows = [("icmp", False), ("icmp dont-fragment 1", True), ("icmp", False), ("udp dont-fragment 1", True),
                ("udp", False), ("tcp", True), ("tcp dont-fragment 0", False), ("tcp", True),
                ("tcp dont-fragment 1", True), ("sctp dont-fragment 0", False)]
    for words, df in rows:
        protocol = words.split()[0]
        if not served([protocol]):
            continue
        with Capture(net.client, "out", f"out ip{family} {protocol}") as capture:
            ask(daemon, family, f"ttl 1 protocol {words}")
            packet = [one for one in capture.packets(1) if one.dst == TARGET[family]][0]
        assert packet.df == df, f"{words}: {packet}"


def run_the_example(namespace, binary, directory, address):
    """Tracing a path's MTU down to the target by shell pipe, as mtr-packet(8) has it: the lines that it prints."""
    page = (ROOT / "man" / "mtr-packet.8").read_text(encoding="utf-8")
    example = re.search(r"\.Ss The MTU of a path.*?\.Bd -literal[^\n]*\n(.*?)\n\.Ed", page, re.S)[1].replace("\\-", "-")
    script = example.replace("192.0.2.7", address)
    assert script != example
    (directory / "mtr-packet").symlink_to(binary)
    said = namespace.run("env", f"PATH={directory}:/usr/bin:/bin", "timeout", 10, "sh", "-c", script).stdout
    return [re.sub(r"round-trip-time \d+", "round-trip-time T", line) for line in said.splitlines()]


def test_the_example_of_the_manual(net, binary, tmp_path):
    assert run_the_example(net.client, binary, tmp_path, TARGET[4]) == [
        f"1500: 1 packet-too-big ip-4 {router(1)[4]} round-trip-time T mtu 1400",
        f"1400: 1 packet-too-big ip-4 {router(2)[4]} round-trip-time T mtu 1280",
        f"1280: 1 reply ip-4 {TARGET[4]} round-trip-time T"]


def test_the_example_ends(binary, tmp_path):
    """A router that always says the same, also of what fits, does not keep it going for ever."""
    with Namespace("lying") as namespace, Path(namespace, [], [target(0, icmp="error", error=(3, 4))]):
        lines = run_the_example(namespace, binary, tmp_path, target_address(0)[4])
    assert [line.split(":")[0] for line in lines] == ["1500", "1400"] and lines[1].endswith(" mtu 1400")
