# SPDX-License-Identifier: MIT
"""probe-trace over a played path with silence, loss, MPLS, load balancing and narrow links."""

import contextlib
import csv
import dataclasses
import json
import os
import re
import signal
import time

import pytest

from lab import twelve
from lab.daemon import Daemon
from lab.nameserver import nameserver
from lab.net import Namespace, join
from lab.path import Path, target, target_address, way_address
from lab.tools import on_terminal, run, start

TARGET = target_address(0)
BALANCED = "src", "dst", "protocol", "sport", "dport", "icmp_id", "flow_label"  # what a router hashes; of icmp, too:
BALANCED_ICMP = (*BALANCED, "checksum")
WAYS = {family: {way_address(way)[family] for way in range(8)} for family in (4, 6)}

pytestmark = pytest.mark.usefixtures("root")
every_family = pytest.mark.parametrize("family", [4, 6])
every_protocol = pytest.mark.parametrize("protocol", ["icmp", "udp", "tcp", "sctp"])


@pytest.fixture(scope="module")
def path():
    with Namespace("trace") as namespace, Path(namespace) as played:
        yield played


@pytest.fixture
def needs(path, binary):
    """Skips where the daemon lacks a feature."""
    def check(feature):
        with Daemon(path.namespace, binary=binary) as daemon:
            if daemon.ask(f"check-support feature {feature}").args["support"] != "ok":
                pytest.skip(f"the daemon has no {feature}")
    return check


def routers(**changed):
    """The twelve hops, some of them (r3=...) with other rules."""
    changed = {int(name[1:]): rules for name, rules in changed.items()}
    return [dataclasses.replace(hop, **changed.get(number, {})) for number, hop in enumerate(twelve.ROUTERS, 1)]


def labels(stack):
    return [dict(zip(("label", "class", "bottom", "ttl"), label)) for label in stack]


@every_family
def test_an_open_port_of_udp(path, family):
    """A datagram returns ports alone: the target of a flow is probed by one at a time."""
    path.play(routers(r11={"silent": True}), [dataclasses.replace(twelve.TARGET, udp="datagram")])
    said = run(path.namespace, "probe-trace", "--json", "-W0.3", "-p", "udp:53", TARGET[family])
    assert said.status == 0 and said.objects[-1]["reached"]
    hops = [one for one in said.of_type("hop") if one["hop"] != 11]
    assert [one["hop"] for one in hops] == [hop for hop in range(1, 13) if hop != 11 for _ in range(3)]
    assert all(one["from"] == (TARGET[family] if one["hop"] == 12 else twelve.address(one["hop"], family)) for one in hops)


@every_family
@every_protocol
def test_every_hop(path, protocol, family):
    """Each router with its labels, and no hop behind the target."""
    path.play(twelve.ROUTERS, [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "--json", "-q2", "-p", protocol, TARGET[family])
    assert said.status == 0
    found = [(one["hop"], one["from"], one["kind"], one.get("mpls", [])) for one in said.of_type("hop")]
    assert found == [(ttl, twelve.address(ttl, family), "reply" if ttl == 12 else "ttl-expired",
                      labels(twelve.LABELS.get(ttl, ()))) for ttl in range(1, 13) for _ in range(2)]
    last = {name: value for name, value in said.objects[-1].items() if name != "time"}
    assert last == {"type": "path", "host": TARGET[family], "address": TARGET[family], "hops": 12, "reached": True}


def test_as_people_see_it(path):
    """Silent hops are stars. A probe that is lost is sent again before it is a star."""
    path.play(routers(r3={"silent": True}, r6={"loses": 2}), [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "-W0.3", TARGET[4])
    shape = [re.sub(r"\d[\d.]* ms", "T ms", line) for line in said.lines]
    ordinary = [f"{ttl:3}  {twelve.address(ttl, 4)}  T ms  T ms  T ms" for ttl in range(13)]
    assert shape[:4] == [f"path to {TARGET[4]}, 30 hops at most, icmp", ordinary[1], ordinary[2], "  3  * * *"]
    assert shape[4] == "  4  10.99.0.4  T ms [mpls 16 class 0 ttl 1]  T ms  T ms"
    assert shape[6] == "  6  10.99.0.6  T ms  T ms  T ms"
    assert shape[9:] == ordinary[9:] and said.status == 0


def test_silent_target(path):
    """The end is a line about the rest, and status 1."""
    path.play(routers(r11={"silent": True}), [dataclasses.replace(twelve.TARGET, silent=True)])
    said = run(path.namespace, "probe-trace", "-W0.3", "-q1", TARGET[6])
    assert said.lines[-2].startswith(f" 10  {twelve.address(10, 6)}")
    assert said.lines[-1] == " 11  * and so on to 30" and said.status == 1


@pytest.mark.parametrize("family, error, mark", [
    (4, (3, 1), "!H"), (4, (3, 0), "!N"), (4, (3, 13), "!X"), (4, (3, 2), "!P"), (4, (3, 3), "!R"), (6, (1, 0), "!N"),
    (6, (1, 1), "!X"), (6, (1, 3), "!H"), (6, (1, 4), "!R")])
def test_marks(path, needs, family, error, mark):
    """A router that answers in the target's place ends the path."""
    needs("detail")
    last = twelve.ROUTERS[10]
    path.play(twelve.ROUTERS, [target(0, icmp="error", error=error, sender=last.address)])
    said = run(path.namespace, "probe-trace", "-q1", TARGET[family])
    assert re.fullmatch(rf" 12  {last.address[family]}  \S+ ms {mark}", said.lines[-1]) and said.status == 1


def test_hops_asked_for(path):
    path.play(twelve.ROUTERS, [twelve.TARGET])
    for args in (["-f4", "-m6"], ["-t5"]):
        said = run(path.namespace, "probe-trace", "--json", "-q1", *args, TARGET[4])
        assert [one["hop"] for one in said.of_type("hop")] == ([4, 5, 6] if len(args) == 2 else [5])
        assert said.status == 1


def test_no_route(path):
    said = run(path.namespace, "probe-trace", "-q1", "-n", "2001:db8::1")
    assert re.fullmatch(r"  1  \(this host: .* unreachable\)", said.lines[1])
    assert len(said.lines) == 2 and said.status == 1


def test_names(path):
    """Looked up by getent, unless -n."""
    def lines(*args):
        return run(path.namespace, "probe-trace", "-q1", *args).lines

    assert lines("127.0.0.1")[1].startswith("  1  localhost (127.0.0.1)  ")
    assert lines("-n", "127.0.0.1")[1].startswith("  1  127.0.0.1  ")
    assert lines("-4", "localhost")[0].startswith("path to localhost (127.0.0.1)")


@pytest.mark.parametrize("protocol, family", [("icmp", 4), ("udp", 6), ("tcp", 4)])
def test_flows(path, needs, protocol, family):
    """Each flow meets one router at the balanced hops, several flows several; the hops that differ are named."""
    needs("flow")
    ways = BALANCED_ICMP if protocol == "icmp" else BALANCED
    path.play(routers(r2={"ways": ways}, r6={"loses": 5}), [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "--flows", 16, "-q2", "--json", "-W0.5", "-p", protocol, TARGET[family])
    second = [(one["flow"], one["from"]) for one in said.of_type("hop") if one["hop"] == 2]
    assert len(second) == 32 and len(set(second)) == 16
    assert len({router for _, router in second}) > 2 and {router for _, router in second} <= WAYS[family]
    said = run(path.namespace, "probe-trace", "--flows", 16, "-q2", "-W0.5", "-p", protocol, TARGET[family])
    assert said.lines[-1] == "hops that differ between flows: 2" and said.status == 0
    listed = [int(flow) for line in said.lines[1:] if any(way in line for way in WAYS[family])
              for flow in re.search(r"\(flows?((?: \d+)+)\)", line)[1].split()]
    assert sorted(listed) == list(range(16))


def test_graph(path, needs):
    """Every flow's way from here to the target, in the form that Graphviz reads; a silent hop is dashed."""
    needs("flow")
    path.play(routers(r2={"ways": BALANCED_ICMP}, r3={"silent": True}), [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "--dot", "--flows", 8, "-W0.3", TARGET[4])
    assert said.lines[0] == "digraph path {" and said.lines[-1] == "}"
    edges = re.findall(r'^    "(.*)" -> "(.*)";$', said.out, re.M)
    balanced = {there for here, there in edges if here == "10.99.0.1"}
    assert ("here", "10.99.0.1") in edges and len(balanced) > 1 and balanced <= WAYS[4]
    for router in balanced:
        assert (router, f"* 3 behind {router}") in edges and (f"* 3 behind {router}", "10.99.0.4") in edges
        assert f'    "* 3 behind {router}" [label="*", style=dashed];' in said.lines
    assert len(edges) == len(set(edges)) and f'    "{TARGET[4]}" [label="{TARGET[4]}", style=bold];' in said.lines


# ---------------------------------------------------------------- MTU

@every_family
def test_mtu(path, needs, family):
    """Two narrow links, told by their routers; hops that are silent have none."""
    needs("dont-fragment")
    path.play(routers(r4={"mtu": 1400, "extension": b""}, r6={"silent": True}, r9={"mtu": 1300}), [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "--mtu", "-W0.4", TARGET[family])
    found = {int(line.split()[0]): line.rsplit("  mtu ", 1)[1].split()[0] for line in said.lines if "  mtu " in line}
    assert found == {ttl: "1500" if ttl <= 4 else "1400" if ttl <= 9 else "1300" for ttl in range(1, 13) if ttl != 6}


def test_black_hole(path, needs):
    """Larger packets vanish without a word: the size is found all the same."""
    needs("dont-fragment")
    path.play(routers(r9={"mtu": 1343, "silent": True}), [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "--mtu", "-W0.15", "-f8", TARGET[4])
    assert "  mtu 1500" in said.lines[1]
    assert all(line.endswith("  mtu 1343 (larger ones vanish without a word)") for line in said.lines[3:])


# ---------------------------------------------------------------- rounds

def test_rounds(path):
    """Loss and the rest of each hop, and none behind the target."""
    path.play(routers(r3={"silent": True}, r6={"loses": 4}), [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "--mtr", 8, "-i0.05", "-W0.3", "--json", TARGET[4])
    found = said.objects
    assert [one["hop"] for one in found] == list(range(1, 13)) and said.status == 0
    assert [one["loss_percent"] for one in found] == [{3: 100, 6: 25}.get(ttl, 0) for ttl in range(1, 13)]
    assert all(one["sent"] == 8 for one in found)
    assert all(one["best_ms"] <= one["avg_ms"] <= one["worst_ms"] for one in found if "from" in one)


def test_rounds_interrupted(path):
    path.play(twelve.ROUTERS, [twelve.TARGET])
    tool = start(path.namespace, "probe-trace", "--mtr", 1000, "-i0.1", TARGET[4])
    assert tool.stdout.readline().startswith("path to")
    time.sleep(0.5)
    os.killpg(tool.pid, signal.SIGINT)
    rest, _ = tool.communicate(timeout=5)
    assert rest.startswith("hop host") and len(rest.splitlines()) == 13 and tool.returncode == 0


def test_rounds_as_people_see_them(path):
    """A report with percentiles; a router that rations its answers is no loss, one that loses is."""
    path.play(routers(r4={"loses": 2}, r12={}), [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "-n", "--mtr", 20, "-i0.05", "-W0.3", TARGET[4])
    assert said.lines[1].split() == ["hop", "host", "loss%", "sent", "got", "last", "avg", "best", "worst", "stddev", "jitter",
                                     "p50", "p95", "p99"]
    fourth = said.lines[5].split()
    assert fourth[:5] == ["4", twelve.address(4, 4), "50.0", "20", "10"] and fourth[-1] == "limited"
    assert said.lines[13].split()[:3] == ["12", TARGET[4], "0.0"] and "limited" not in said.lines[13]


def test_rounds_on_a_terminal(path):
    """A table that is drawn anew within 80 columns; at the end the report takes its place."""
    path.play(twelve.ROUTERS, [twelve.TARGET])
    out = on_terminal(path.namespace, "probe-trace", "-n", "--mtr", 14, "-i0.1", "-W0.3", TARGET[4], rows=40)
    drawings = re.split("\033\\[\\d+A", out)
    assert len(drawings) > 2
    table = [re.sub("\033\\[[KJ]", "", line).strip("\r") for line in drawings[1].split("\n")]
    assert table[0].startswith(f"path to {TARGET[4]}, round ") and all(len(line) <= 80 for line in table)
    assert "p99" in drawings[-1] and "p99" not in drawings[1]


@pytest.mark.parametrize("form", [["--csv"], ["--wide"], ["--json=atlas"], ["--dot"], ["--mtr", "2", "--csv", "-i0.1"]])
def test_other_forms(path, form):
    """Each writes the whole path."""
    path.play(twelve.ROUTERS, [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "-n", "-q1", "-W0.5", *form, TARGET[4])
    assert said.status == 0 and all(twelve.address(ttl, 4) in said.out for ttl in range(1, 13))
    if form == ["--json=atlas"]:
        result = json.loads(said.out)
        assert [hop["hop"] for hop in result["result"]] == list(range(1, 13)) and result["dst_addr"] == TARGET[4]
    if "--csv" in form:
        assert len(set(map(len, csv.reader(said.lines)))) == 1


def test_many_hosts(path):
    """By one daemon, in the order in which they were named; a name without an address is told."""
    path.play(twelve.ROUTERS, [target(number) for number in range(40)])
    names = [target_address(number)[4 + 2 * (number % 2)] for number in range(40)]
    said = run(path.namespace, "probe-trace", "-n", "-q1", "-W1", *names, "nosuch.invalid", quiet=False)
    assert re.findall(r"^path to (\S+?)[,:] ", said.out, re.M) == [*names, "nosuch.invalid"]
    assert said.status == 1 and said.err.count("\n") == 1 and len(said.lines) == 40 * 13 + 40 + 1


@pytest.mark.parametrize("args", [["--json", "--dot"], ["--mtr", "3", "--mtu"], ["--mda", "--flows", "3"], ["-f9", "-m3"],
                                  ["--json=xml"], ["--csv", "--wide"], ["--mtu", "-p", "tcp"], ["--mda", "-p", "sctp"]])
def test_combinations_that_cannot_be(args):
    said = run(None, "probe-trace", *args, "127.0.0.1", quiet=False)
    assert said.status == 2 and said.out == "" and said.err.count("\n") == 1


def test_mda(path, needs):
    """Flows are added until no next hop is missed: all eight ways of a balanced hop are found."""
    needs("flow")
    path.play(routers(r2={"ways": BALANCED_ICMP}), [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "--mda", "--json", "-W0.5", TARGET[4])
    found = {one["from"] for one in said.of_type("hop") if one["hop"] == 2 and "from" in one}
    assert said.status == 0 and len(found) >= 7 and found <= WAYS[4]


# ---------------------------------------------------------------- real routers

class Line:
    """Client, two routers, target: Linux with its default limits on ICMP errors."""

    def __init__(self, stack):
        self.client, *rest = [stack.enter_context(Namespace(f"line-{name}")) for name in ("client", "one", "two", "target")]
        self.one, self.two, self.target = rest
        hosts = [self.client, *rest]
        for number, (near, far) in enumerate(zip(hosts, rest), 1):
            join(near, "east", far, "west", [f"10.71.{number}.1/24"], [f"10.71.{number}.2/24"])
            far.ip(f"route add default via 10.71.{number}.1")
        self.client.ip("route add default via 10.71.1.2")
        self.one.ip("route add 10.71.3.0/24 via 10.71.2.2")
        for host in rest:
            host.sysctl("net.ipv4.ip_forward", 1)
            host.sysctl("net.ipv4.icmp_ratelimit", 1000)
            host.sysctl("net.ipv4.icmp_ratemask", 6168)


@pytest.fixture(scope="module")
def line():
    with contextlib.ExitStack() as stack:
        yield Line(stack)


def test_no_loss_of_our_own_making(line):
    """A Linux host gives one prober six errors at once, then one a second: a trace spends no more than it is given."""
    said = run(line.client, "probe-trace", "-n", "-p", "udp", "10.71.3.2")
    assert said.status == 0 and "*" not in said.out and said.lines[-1].startswith("  3  10.71.3.2 ")


def test_host_that_is_down(line):
    """Told by its router after three tries of ARP, which is within the time that is waited."""
    said = run(line.client, "probe-trace", "-n", "-q1", "10.71.3.77")
    assert said.status == 1 and "!H" in said.out and "10.71.2.2" in said.lines[-1] and "and so on" not in said.out


def test_rounds_follow_the_path(line):
    """A route that is away for a while, and its unreachables, end no later round."""
    tool = start(line.client, "probe-trace", "-n", "--mtr", 14, "-i0.3", "-W0.25", "--json", "10.71.3.2")
    time.sleep(1.2)
    line.one.ip("route replace unreachable 10.71.3.0/24")
    time.sleep(0.6)
    line.one.ip("route del unreachable 10.71.3.0/24")
    line.one.ip("route replace 10.71.3.0/24 via 10.71.2.2")
    out, _ = tool.communicate(timeout=20)
    third = next(one for one in map(json.loads, out.splitlines()) if one.get("from") == "10.71.3.2")
    assert tool.returncode == 0 and third["hop"] == 3 and third["sent"] >= 12 and third["loss_percent"] <= 45


def test_dead_resolver(path):
    """Hops come first, names 2 s behind at most; Ctrl-C is heard at once, and then what is known is shown."""
    path.play(twelve.ROUTERS, [twelve.TARGET])
    with nameserver(path.namespace, delay="silent"):
        began = time.monotonic()
        said = run(path.namespace, "probe-trace", "-q1", TARGET[4])
        assert said.status == 0 and len(said.lines) == 13 and time.monotonic() - began < 2.8
        tool = start(path.namespace, "probe-trace", "-q1", TARGET[4])
        time.sleep(0.7)
        began = time.monotonic()
        tool.send_signal(signal.SIGINT)
        rest, _ = tool.communicate(timeout=5)
        assert time.monotonic() - began < 0.5 and len(rest.splitlines()) == 13
