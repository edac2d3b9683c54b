# SPDX-License-Identifier: MIT
"""probe-trace over a played path with silence, loss, MPLS, load balancing and narrow links."""

import csv
import dataclasses
import json
import os
import re
import signal
import subprocess
import time

import pytest

from lab import twelve, venv, wire
from lab.daemon import Daemon, default_binary
from lab.fake_daemon import TARGET as FAR
from lab.fake_daemon import fake_daemon
from lab.nameserver import nameserver
from lab.net import Namespace
from lab.path import Path, hops, target, target_address, way_address
from lab.tools import command, on_terminal, run, stand_still, start

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


def test_rounds_to_an_open_port_of_udp(path):
    """Of a flow several would be there at once, in the first round and so in all."""
    path.play(twelve.ROUTERS, [dataclasses.replace(twelve.TARGET, udp="datagram")])
    said = run(path.namespace, "probe-trace", "-n", "--json", "--mtr", 4, "-i0.2", "-W0.5", "-p", "udp:53", TARGET[4])
    assert said.status == 0
    assert [(hop["hop"], hop["received"]) for hop in said.of_type("hop") if hop.get("from") == TARGET[4]] == [(12, 4)]


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
    last = said.objects[-1]
    assert last == {"type": "path", "time": last["time"], "host": TARGET[family], "address": TARGET[family], "hops": 12,
                    "reached": True}


def test_as_people_see_it(path):
    """Silent hops and lost probes are stars."""
    path.play(routers(r3={"silent": True}, r6={"loses": 2}), [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "-W0.3", TARGET[4])
    shape = [re.sub(r"\d[\d.]* ms", "T ms", line) for line in said.lines]
    ordinary = [f"{ttl:3}  {twelve.address(ttl, 4)}  T ms  T ms  T ms" for ttl in range(13)]
    assert shape[:4] == [f"path to {TARGET[4]}, 30 hops at most, icmp", ordinary[1], ordinary[2], "  3  * * *"]
    assert shape[4] == "  4  10.99.0.4  T ms [mpls 16 class 0 ttl 1]  T ms  T ms"
    assert shape[6] == "  6  10.99.0.6  T ms *  T ms"
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
    for args in ([], ["--mtr", 1]):
        assert run(path.namespace, "probe-trace", "-n", "-m1", *args, TARGET[4]).lines[0].endswith(", 1 hop at most, icmp")


def test_no_route(path):
    said = run(path.namespace, "probe-trace", "-q1", "-n", "2001:db8::1")
    assert re.fullmatch(r"  1  \(this host: .* unreachable\)", said.lines[1])
    assert len(said.lines) == 2 and said.status == 1


def test_names(path):
    """Of /etc/hosts and DNS, unless -n."""
    def lines(*args):
        return run(path.namespace, "probe-trace", "-q1", *args).lines

    assert lines("127.0.0.1")[1].startswith("  1  localhost (127.0.0.1)  ")
    assert lines("-n", "127.0.0.1")[1].startswith("  1  127.0.0.1  ")
    assert lines("-4", "localhost")[0].startswith("path to localhost (127.0.0.1)")


# ---------------------------------------------------------------- flows

@every_family
@pytest.mark.parametrize("protocol", ["icmp", "udp", "tcp"])
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
    found = {int(line.split()[0]): line.rsplit("  mtu ", 1)[1] for line in said.lines if "  mtu " in line}
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
    found, end = said.objects[:-1], said.objects[-1]
    assert [one["hop"] for one in found] == list(range(1, 13)) and said.status == 0
    assert (end["type"], end["hops"], end["reached"]) == ("path", 12, True)
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


def test_rounds_and_a_standstill(path):
    """What was answered while the tool and its daemon were stopped is not lost, though it was the last round."""
    path.play([], [target(delay=0.5)])
    tool = start(path.namespace, "probe-trace", "-n", "--mtr", 5, "-i0.1", "-W1", "--json", TARGET[4])
    time.sleep(0.8)
    stand_still(tool)
    hop = json.loads(tool.communicate(timeout=5)[0].splitlines()[0])
    assert (hop["sent"], hop["received"], hop["loss_percent"]) == (5, 5, 0)


def test_rounds_on_a_terminal(path):
    """Drawn anew in its place, within 80 columns."""
    path.play(twelve.ROUTERS, [twelve.TARGET])
    out = on_terminal(path.namespace, "probe-trace", "-n", "--mtr", 8, "-i0.2", TARGET[4])
    assert out.count("\033[14A") >= 2
    last = [re.sub("\033\\[[KJ]", "", line).rstrip("\r") for line in out.split("\033[14A")[-1].split("\n")]
    assert len(last) == 15 and all(len(line) <= 80 for line in last)
    assert re.match(r" 12 10\.99\.1\.1 +0\.0 +8 +8 +\d", last[13])


def test_addresses_on_a_terminal(path):
    """They are whole where a table can be; what is cut shows that it is."""
    long = "2001:db8:1111:2222:3333:4444:5555:6666"
    path.play([dataclasses.replace(hop, address={**hop.address, 6: long}) for hop in hops(2)], [target()])
    out = on_terminal(path.namespace, "probe-trace", "-n", "--mtr", 3, "-i0.1", TARGET[6])
    assert f"  1 {long}  " in out
    out = on_terminal(path.namespace, "probe-trace", "-n", "--mtr", 3, "-i0.1", TARGET[6], columns=60)
    assert long[:20] not in out and "2001:db8:1111:22... " in out


# ---------------------------------------------------------------- several hosts

def test_several_hosts(path):
    """One after the other, in the order given, one that has no name among them."""
    other = target_address(1)
    path.play(twelve.ROUTERS, [twelve.TARGET, target(1)])
    said = run(path.namespace, "probe-trace", "-q1", other[6], "nosuch.invalid", TARGET[4], quiet=False)
    heads = [line for line in said.lines if line.startswith("path to ")]
    assert said.status == 1 and said.err.startswith("probe-trace: nosuch.invalid: no address found")
    assert [head.split()[2].strip(",:") for head in heads] == [other[6], "nosuch.invalid", TARGET[4]]
    said = run(path.namespace, "probe-trace", "--json", "-q1", other[6], "nosuch.invalid", TARGET[4], quiet=False)
    ends = {one["host"]: one for one in said.of_type("path")}
    assert ends["nosuch.invalid"]["error"].startswith("no address found") and not ends["nosuch.invalid"]["reached"]
    assert all(ends[host]["reached"] and ends[host]["hops"] == 12 for host in (other[6], TARGET[4]))
    assert all(one["host"] == one["address"] and one["time"] > 1e9 for one in said.of_type("hop"))


def test_many_hosts(path):
    """A few hundred by one command and one daemon."""
    addresses = [target_address(number)[4] for number in range(300)]
    path.play(hops(12), [target(number) for number in range(300)])
    said = run(path.namespace, "probe-trace", "-n", "-q1", *addresses)
    assert said.status == 0 and len(said.lines) == 300 * 14 + 299
    assert [line.split()[2].strip(",") for line in said.lines if line.startswith("path")] == addresses


# ---------------------------------------------------------------- words behind a hop

INTERFACE = wire.extension_object(2, 0x0f, b"\0\0\0\3" + b"\0\1\0\0\n\0\0\1" + b"\x08eth0\0\0\0" + b"\0\0\5\xdc")
NODE_OR_OTHER = wire.extension_object(9, 1, b"\1\2\3\4")


@pytest.mark.parametrize("tos, changed, word", [
    (0xb8, 0, "dscp 46->0"), (0xba, 0xb8, "ecn bleached"), (2, 3, "ecn congested"), (2, 1, "ecn mangled"),
    (0xb9, 0x2a, "ecn mangled, dscp 46->10")])
def test_changed_tos(path, needs, tos, changed, word):
    """Told of the first hop that saw it, and only there."""
    needs("detail")
    path.play([dataclasses.replace(hop, quoted_tos=changed if n > 4 else None) for n, hop in enumerate(hops(8), 1)], [target()])
    for family in (4, 6):
        said = run(path.namespace, "probe-trace", "-n", "-q2", "-Q", tos, TARGET[family])
        assert [line for line in said.lines if line.endswith(" ms  " + word)] == [said.lines[5]]
        assert all(line.endswith(" ms") for line in said.lines[1:5] + said.lines[6:])


def test_nat_interface_and_others(path, needs):
    needs("detail")
    rules = {3: {"extension": wire.extension(INTERFACE), "quote": None}, 4: {"extension": wire.extension(NODE_OR_OTHER)},
             6: {"nat": {"src": target_address(9)}}, 7: {"nat": {"src": target_address(9)}}}
    path.play([dataclasses.replace(hop, **rules.get(n, {})) for n, hop in enumerate(hops(8), 1)], [target()])
    said = run(path.namespace, "probe-trace", "-n", "-q1", TARGET[4])
    assert said.lines[3].endswith(" ms  in eth0 10.0.0.1")
    assert said.lines[4].endswith(" ms  extension 9/1/01020304")
    assert said.lines[6].endswith(" ms  nat") and said.lines[7].endswith(" ms")
    rows = {one["hop"]: one for one in run(path.namespace, "probe-trace", "-n", "-q1", "--json", TARGET[4]).of_type("hop")}
    assert rows[3]["notes"] == "in eth0 10.0.0.1" and rows[6]["nat"] and "nat" not in rows[5]
    wide = run(path.namespace, "probe-trace", "-n", "-q1", "--wide", TARGET[4])
    assert wide.lines[1].split()[:3] == ["hop", "host", "ms"] and "eth0 10.0.0.1" in wide.lines[4] and " nat " in wide.lines[7]


def test_several_interfaces():
    """As a router tells of them that says by which a probe came and by which it would have left."""
    came, leaves = "incoming,index=3,name=eth0", "outgoing,index=4,name=eth1"
    env = fake_daemon(f'reply(ttl) + " interface {came}" + (" interface {leaves}" if ttl == 2 else "")')
    said = run(None, "probe-trace", "-n", "-q1", "-m2", FAR, env=env)
    assert said.lines[1].endswith("  in eth0") and said.lines[2].endswith("  in eth0, out eth1")
    one, two = run(None, "probe-trace", "-n", "-q1", "-m2", "--json", FAR, env=env).of_type("hop")
    assert (one["interface"], one.get("interfaces")) == (came, None)
    assert (two["interface"], two["interfaces"]) == (leaves, [came, leaves])


def test_way_back():
    """Longer than the way there: said where that begins."""
    with_ttl = 'reply(ttl if ttl < 6 else 0) + f" reply-ttl {64 - (ttl - 1 if ttl < 4 else ttl + 2)}"'
    said = run(None, "probe-trace", "-n", "-q1", FAR, env=fake_daemon(with_ttl))
    assert [bool(re.search("back", line)) for line in said.lines[1:]] == [False] * 3 + [True] + [False] * 2
    assert said.lines[4].endswith("  back 7 hops")


def test_from_another_address():
    said = run(None, "probe-trace", "-n", "-q1", "192.0.2.50", env=fake_daemon("reply(ttl if ttl < 3 else 0)"))
    assert said.lines[3] == f"  3  {FAR}  1 ms  from another address" and said.status == 0


# ---------------------------------------------------------------- flows

def test_flows_of_different_length(path):
    """Each flow to its own end, no hop of it silent that was not asked."""
    network = "reply(0 if ttl >= 3 + flow % 3 else 10 * (flow % 3) + ttl)"
    said = run(None, "probe-trace", "-n", "--json", "--flows", 6, FAR, env=fake_daemon(network))
    rows = said.of_type("hop")
    assert said.status == 0 and all(one["kind"] != "no-reply" for one in rows)
    for flow in range(6):
        assert [one["hop"] for one in rows if one["flow"] == flow] == list(range(1, 4 + flow % 3))
    drawn = run(None, "probe-trace", "-n", "--dot", "--flows", 6, FAR, env=fake_daemon(network))
    edges = re.findall(r'^    "(.*)" -> "(.*)";$', drawn.out, re.M)
    assert {("192.0.2.2", FAR), ("192.0.2.13", FAR), ("192.0.2.24", FAR)} <= set(edges) and "*" not in drawn.out


def test_graph_of_a_shared_address():
    """192.0.0.8 of several routers is a node for each."""
    network = 'reply(0) if ttl > 4 else "ttl-expired ip-4 192.0.0.8 round-trip-time 1000"'
    said = run(None, "probe-trace", "-n", "--dot", FAR, env=fake_daemon(network))
    edges = re.findall(r'^    "(.*)" -> "(.*)";$', said.out, re.M)
    nodes = ["here", *(f"192.0.0.8 (hop {ttl})" for ttl in range(1, 5)), FAR]
    assert edges == list(zip(nodes, nodes[1:]))


def test_graph_of_a_target_that_is_down():
    """The router that says so is no second one behind itself."""
    network = 'reply(ttl) if ttl < 4 else "no-route-host ip-4 192.0.2.3 round-trip-time 1000"'
    said = run(None, "probe-trace", "-n", "--dot", FAR, env=fake_daemon(network))
    nodes = ["here", *(f"192.0.2.{ttl}" for ttl in range(1, 4))]
    assert re.findall(r'^    "(.*)" -> "(.*)";$', said.out, re.M) == list(zip(nodes, nodes[1:]))


@pytest.mark.parametrize("ways, flows", [(1, 6), (2, 11), (4, 21)])
def test_flows_until_none_is_missed(ways, flows):
    """As many flows behind a router as the stopping rule asks for: 6 for one next hop, 11 for two, 21 for four."""
    network = f"reply(0 if ttl > 3 else 20 + flow * 7 % 13 % {ways} if ttl == 2 else ttl)"
    said = run(None, "probe-trace", "-n", "--json", "--mda", FAR, env=fake_daemon(network))
    rows = said.of_type("hop")
    assert said.status == 0 and len({one["from"] for one in rows if one["hop"] == 2}) == ways
    assert len([one for one in rows if one["hop"] == 2]) >= flows and said.of_type("path")[0]["flows"] < 3 * flows


def test_mda_behind_a_silent_router():
    """One of three routers says nothing: what is behind it is found all the same, and the search ends."""
    network = "reply(0) if ttl > 4 else None if ttl == 2 and flow % 3 == 1 else reply(10 * ttl + flow % 3)"
    said = run(None, "probe-trace", "-n", "--json", "--mda", "-W0.3", FAR, env=fake_daemon(network))
    assert {one.get("from") for one in said.of_type("hop") if one["hop"] == 2} == {None, "192.0.2.20", "192.0.2.22"}
    assert not [one for one in said.of_type("hop") if one.get("limited")]
    assert {one.get("from") for one in said.of_type("hop") if one["hop"] == 3} == {f"192.0.2.{n}" for n in (30, 31, 32)}


def test_mda_over_a_balanced_path(path, needs):
    needs("flow")
    path.play(routers(r2={"ways": BALANCED_ICMP}), [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "-n", "--mda", TARGET[4])
    assert said.status == 0 and said.lines[-1].endswith(" flows: no next hop is missed, with 95% certainty")
    assert said.lines[-2] == "hops that differ between flows: 2"
    assert all(f" {way} " in said.out for way in WAYS[4])


# ---------------------------------------------------------------- MTU

def test_mtu_of_the_way_back():
    """Echo replies vanish behind a translator: udp tells that the requests do not; where it can't, that is said."""
    network = ('"packet-too-big mtu 1480" if size > 1480 else None if {} else reply(ttl if ttl < 4 else 0)')
    by_udp = network.format('ttl >= 4 and size > 1260 and protocol == "icmp"')
    said = run(None, "probe-trace", "-n", "--mtu", "-W0.5", FAR, env=fake_daemon(by_udp))
    assert [line.rsplit("  ", 1)[1] for line in said.lines[1:]] == ["mtu 1480"] * 4
    silent = network.format('ttl >= 4 and (size > 1260 or protocol == "udp")')
    said = run(None, "probe-trace", "-n", "--mtu", "-W0.3", FAR, env=fake_daemon(silent))
    assert said.lines[4].endswith("  mtu 1260 (larger ones, or the answers to them, vanish without a word)")


# ---------------------------------------------------------------- rounds

def test_rounds_that_recover():
    """A passing unreachable, and a path that grows by a hop, end no later round."""
    network = '"no-route-host ip-4 192.0.2.2 round-trip-time 9" if ttl > 2 and 4 <= count < 7 else reply(ttl if ttl < 4 else 0)'
    said = run(None, "probe-trace", "-n", "--json", "--mtr", 14, "-i0.05", FAR, env=fake_daemon(network))
    last = [one for one in said.of_type("hop") if one["hop"] == 4 and one["from"] == FAR][0]
    assert last["sent"] == 14 and 10 <= last["received"] <= 11
    network = "reply(ttl if ttl < (4 if count < 5 else 5) else 0)"
    said = run(None, "probe-trace", "-n", "--json", "--mtr", 14, "-i0.05", FAR, env=fake_daemon(network))
    last = [one for one in said.of_type("hop") if one["hop"] == 5][0]
    assert last["from"] == FAR and last["received"] >= 7


@pytest.mark.parametrize("protocol", ["icmp", "tcp"])
def test_rounds_of_long_round_trips(protocol):
    """Where they take longer than the interval, each answer is to a round before the last: the way is found all the same."""
    network = fake_daemon("reply(ttl if ttl < 9 else 0)", delay=0.3)
    said = run(None, "probe-trace", "-n", "--json", "--mtr", 20, "-i0.05", "-p", protocol, FAR, env=network)
    last = [one for one in said.of_type("hop") if one.get("from") == FAR]
    assert [one["hop"] for one in last] == [9] and last[0]["sent"] == last[0]["received"] >= 12 and said.status == 0


def test_path_that_grows_while_answers_are_under_way():
    """Those from before tell nothing, those from later do, though both are to rounds before the last."""
    network = fake_daemon("reply(ttl if ttl < (4 if count < (10 if ttl < 5 else 4) else 8) else 0)", delay=0.2)
    said = run(None, "probe-trace", "-n", "--json", "--mtr", 30, "-i0.05", "-p", "tcp", FAR, env=network)
    last = [one for one in said.of_type("hop") if one.get("from") == FAR and one["hop"] == 8]
    assert last and last[0]["received"] >= 10 and said.objects[-1]["hops"] == 8


@pytest.mark.parametrize("routers_there", [3, 0])
def test_rounds_to_a_silent_target(routers_there):
    """That nobody answers behind the last router is told, as without rounds, in each form."""
    network = fake_daemon(f"reply(ttl) if ttl <= {routers_there} else None")
    words = "probe-trace", "-n", "-W0.2", "--mtr", 2, "-i0.05", FAR
    said = run(None, *words, env=network)
    assert said.lines[-1] == f"  {routers_there + 1} * and so on to {routers_there + 5}" and said.status == 1
    assert len(said.lines) == 3 + routers_there
    said = run(None, *words, "--json", env=network)
    silent, end = said.objects[-2:]
    assert (silent["hop"], silent["loss_percent"], silent["sent"], silent["received"]) == (routers_there + 1, 100, 2, 0)
    assert (end["type"], end["hops"], end["reached"]) == ("path", routers_there, False) and "from" not in silent
    rows = list(csv.DictReader(run(None, *words, "--csv", env=network).lines))
    assert [row["loss_percent"] for row in rows] == ["0.0"] * routers_there + ["100.0"]


@pytest.mark.parametrize("reply, words", [
    ("permission-denied", "(this host: permission denied)"), ("no-reply errno 1", "(not let out by this host: errno 1)")])
def test_rounds_that_do_not_leave_this_host(reply, words):
    """It is told that they were not lost on the way, nor does a trace call hops silent that were not asked."""
    network = fake_daemon(f"'{reply}'")
    said = run(None, "probe-trace", "-n", "-W0.3", "--mtr", 2, "-i0.05", FAR, env=network)
    assert said.lines[-1].endswith(f" {words}") and said.status == 1
    one = run(None, "probe-trace", "-n", "-W0.3", "--mtr", 2, "-i0.05", "--json", FAR, env=network).of_type("hop")[0]
    assert (one["mark"], one["loss_percent"], one["received"]) == (words, 100, 0)
    row = next(csv.DictReader(run(None, "probe-trace", "-n", "-W0.3", "--mtr", 2, "-i0.05", "--csv", FAR, env=network).lines))
    assert row["mark"] == words
    assert words in run(None, "probe-trace", "-n", "-W0.3", FAR, env=network).lines[1]


def test_why_a_probe_has_not_left(path):
    """The daemon says it at the end of its time, and is heard."""
    path.namespace.run("nft", "add table inet deaf; add chain inet deaf out { type filter hook output priority 0; };"
                       f" add rule inet deaf out ip daddr {TARGET[4]} drop")
    try:
        words = "probe-trace", "-n", "-q1", "-m2", "-W0.3", "-p", "udp", TARGET[4]
        assert run(path.namespace, *words).lines[1] == "  1  * and so on to 2 (not let out by this host: errno 1)"
        assert [one.get("errno") for one in run(path.namespace, *words, "--json").of_type("hop")] == [1, 1]
    finally:
        path.namespace.run("nft", "delete table inet deaf")


def test_hops_of_an_interrupted_trace(path):
    """As many as there are objects of."""
    path.play(hops(3), [dataclasses.replace(target(), icmp="silent")])
    tool = start(path.namespace, "probe-trace", "-n", "--json", TARGET[4])
    time.sleep(0.7)
    os.killpg(tool.pid, signal.SIGINT)
    objects = [json.loads(line) for line in tool.communicate(timeout=5)[0].splitlines()]
    assert max(one["hop"] for one in objects[:-1]) == 3 and tool.returncode == 1
    assert (objects[-1]["type"], objects[-1]["hops"], objects[-1]["reached"]) == ("path", 3, False)


def interrupted(path, *words):
    """What a trace writes that is interrupted after 0.7 s, while the target, and a router, may still answer."""
    path.play(routers(r3={"delay": 3.0}), [dataclasses.replace(twelve.TARGET, icmp="silent", udp="silent")])
    tool = start(path.namespace, "probe-trace", "-n", *words, TARGET[4])
    time.sleep(0.7)
    os.killpg(tool.pid, signal.SIGINT)
    return tool.communicate(timeout=5)[0].splitlines()


def test_answers_that_are_under_way(path):
    """Nobody is called silent who may yet answer."""
    lines = interrupted(path)
    assert lines[3] == "  3  not known yet" and lines[4].startswith("  4  10.99.0.4 ") and "*" not in "".join(lines)
    lines = interrupted(path, "--flows", 3)
    assert lines[3] == "  3  not known yet" and "*" not in "".join(lines) and "no hop differs" not in lines[-1]
    assert [line.split()[1] for line in interrupted(path, "--wide")[4:6]] == ["not", "10.99.0.4"]
    rows = [json.loads(line) for line in interrupted(path, "--json")]
    assert {row.get("hop") for row in rows} == {None, *range(1, 12)} - {3} and "no-reply" not in {row.get("kind") for row in rows}
    assert {row["hop"] for row in csv.DictReader(interrupted(path, "--csv"))} == {str(hop) for hop in range(1, 12)} - {"3"}
    result = json.loads(interrupted(path, "--json=atlas")[0])["result"]
    assert [hop["hop"] for hop in result] == [1, 2, *range(4, 12)] and '"x"' not in json.dumps(result)
    assert '    "* 3 behind 10.99.0.2" [label="?", style=dashed];' in interrupted(path, "--dot")


def test_scouts_of_an_interrupted_trace(path):
    """Where they have not all come back yet, what they have found is all that is known, of no flow."""
    lines = interrupted(path, "-p", "udp:53")
    assert lines[3] == "  3  not known yet" and lines[2].startswith("  2  10.99.0.2 ") and len(lines) == 12
    rows = [json.loads(line) for line in interrupted(path, "-p", "udp:53", "--json")]
    assert [row["hop"] for row in rows[:-1]] == [1, 2, *range(4, 12)] and not [row for row in rows if "flow" in row]


def test_time_of_a_name_without_address():
    """In Atlas' form, too, it is that of the question."""
    began = int(time.time())
    one = json.loads(run(None, "probe-trace", "--json=atlas", "nosuch.invalid", quiet=False).lines[0])
    assert began <= one["timestamp"] <= one["endtime"]


def test_silence_that_is_not_known_yet(path):
    """Who may yet answer is not said to be silent."""
    path.play(hops(3), [dataclasses.replace(target(), icmp="silent")])
    tool = start(path.namespace, "probe-trace", "-n", "--mtr", 100, "-i0.1", TARGET[4])
    assert tool.stdout.readline().startswith("path to")
    time.sleep(0.5)
    os.killpg(tool.pid, signal.SIGINT)
    rest, _ = tool.communicate(timeout=5)
    assert rest.splitlines()[-1].startswith(f"  3 {twelve.address(3, 4)} ") and tool.returncode == 1


def test_loss_of_nothing(path):
    """Where no probe was answered or had its time, it is not 0."""
    path.play(hops(1, silent=True) + hops(2)[1:], [target()])
    tool = start(path.namespace, "probe-trace", "-n", "--json", "--mtr", 100, "-i0.1", TARGET[4])
    time.sleep(0.7)
    os.killpg(tool.pid, signal.SIGINT)
    rows = {row["hop"]: row for row in map(json.loads, tool.communicate(timeout=5)[0].splitlines()) if row["type"] == "hop"}
    assert (rows[1]["sent"], rows[1]["loss_percent"]) == (0, None)
    assert rows[2]["sent"] > 0 and rows[2]["loss_percent"] == 0


def test_rounds_to_a_refused_target():
    """Who refuses is the end: nobody is silent there."""
    network = fake_daemon('"no-route-host ip-4 192.0.2.3 round-trip-time 9" if ttl > 2 else reply(ttl)')
    said = run(None, "probe-trace", "-n", "-W0.2", "--mtr", 2, "-i0.05", FAR, env=network)
    assert said.lines[-1].startswith("  3 192.0.2.3 ") and said.lines[-1].endswith(" !H") and said.status == 1


def test_route_that_changes():
    """Told with the round and the time."""
    network = "reply(0 if ttl > 3 else 30 if ttl == 2 and count >= 20 else ttl)"
    said = run(None, "probe-trace", "-n", "--mtr", 40, "-i0.02", FAR, env=fake_daemon(network))
    told = [line for line in said.lines if line.startswith("hop 2 changed at ")]
    assert len(told) == 1
    assert re.fullmatch(r"hop 2 changed at \d\d:\d\d:\d\d, round 2\d: 192\.0\.2\.30, before 192\.0\.2\.2", told[0])
    one = run(None, "probe-trace", "-n", "--json", "--mtr", 40, "-i0.02", FAR, env=fake_daemon(network)).of_type("change")[0]
    assert (one["hop"], one["from"], one["before"]) == (2, "192.0.2.30", "192.0.2.2") and one["at"] <= one["time"]


@pytest.mark.parametrize("before, after", [(5, 8), (8, 5)], ids=["grows", "shrinks"])
def test_path_that_changes_its_length(before, after):
    """The target was at no hop beyond that where it answers first."""
    rounds = "(10 if ttl < 6 else 1)" if after > before else "10"  # the hops behind are asked in the first round alone
    network = f"reply(ttl if ttl < ({before} if count < {rounds} else {after}) else 0)"
    said = run(None, "probe-trace", "-n", "--json", "--mtr", 40, "-i0.02", FAR, env=fake_daemon(network))
    assert {one["hop"] for one in said.of_type("hop") if one["from"] == FAR} == {5, after}
    assert {one["hop"] for one in said.of_type("change")} == {5}


def test_unreachables_in_front_of_the_target():
    """They are no sign that it is elsewhere: it is asked no further than where it was."""
    network = '"no-route-host ip-4 192.0.2.3 round-trip-time 9" if ttl > 3 and count % 3 == 2 else reply(ttl if ttl < 6 else 0)'
    said = run(None, "probe-trace", "-n", "--json", "--mtr", 40, "-i0.02", FAR, env=fake_daemon(network))
    assert {one["hop"] for one in said.of_type("hop") if one["from"] == FAR} == {6} and said.objects[-1]["hops"] == 6


@pytest.mark.parametrize("way, word", [("flow % 2", "per flow"), ("count % 2", "per packet"), ("0", None)])
def test_balancing(way, word):
    network = f"reply(0 if ttl > 3 else 30 + ({way}) if ttl == 2 else ttl)"
    if word == "per packet":
        network = network.replace("count % 2", "count * count // 3 % 2")
    said = run(None, "probe-trace", "-n", "--json", "--mtr", 40, "-i0.01", FAR, env=fake_daemon(network))
    rows = [one for one in said.of_type("hop") if one["hop"] == 2]
    assert rows[0].get("balanced") == word and len(rows) == (2 if word else 1)
    assert not [one for one in said.of_type("change") if word == "per packet"]


@pytest.mark.parametrize("protocol", ["tcp", "udp:53"])
def test_balancing_of_probes_without_flows(protocol):
    """Which of the two it is can't be told where each probe may go its own way."""
    network = "reply(0 if ttl > 3 else 30 + count * count // 3 % 2 if ttl == 2 else ttl)"
    said = run(None, "probe-trace", "-n", "--json", "--mtr", 40, "-i0.01", "-p", protocol, FAR, env=fake_daemon(network))
    assert [one.get("balanced") for one in said.of_type("hop") if one["hop"] == 2] == ["per packet or flow", None]
    assert not said.of_type("change")


def test_percentiles(path):
    path.play(hops(2), [target()])
    one = run(path.namespace, "probe-trace", "--json", "--mtr", 20, "-i0.02", TARGET[4]).of_type("hop")[2]
    assert one["best_ms"] <= one["p50_ms"] <= one["p95_ms"] <= one["p99_ms"] <= one["worst_ms"] and one["jitter_ms"] >= 0
    said = run(path.namespace, "probe-trace", "--mtr", 3, "-i0.02", TARGET[4])
    assert said.lines[1].split() == ["hop", "host", "loss%", "sent", "recv", "last", "avg", "best", "worst", "stddev", "jitter",
                                     "p50", "p95", "p99"]


# ---------------------------------------------------------------- names, systems, formats

def test_systems_and_names(path):
    """--as: by DNS, only then, behind the name."""
    path.play(hops(2), [target()])
    router = twelve.address(2, 4)
    names = {"2.0.99.10.origin.asn.cymru.com": "64500 | 10.99.0.0/16 | DE | ripencc | 2005-04-13", router: "r2.example"}
    with nameserver(path.namespace, names):
        said = run(path.namespace, "probe-trace", "-q1", "--as", TARGET[4])
        assert said.lines[2].startswith(f"  2  r2.example ({router}) [AS64500 DE]  ")
        assert "AS" not in run(path.namespace, "probe-trace", "-q1", TARGET[4]).out
        one = run(path.namespace, "probe-trace", "-q1", "--as", "--json", TARGET[4]).of_type("hop")[1]
        assert (one["asn"], one["country"], one["name"]) == (64500, "DE", "r2.example")


def test_dead_resolver(path):
    """Addresses two seconds behind at most, without names; Ctrl-C at once, with what is known."""
    path.play(twelve.ROUTERS, [twelve.TARGET])
    with nameserver(path.namespace, delay="silent"):
        began = time.monotonic()
        said = run(path.namespace, "probe-trace", "-q1", TARGET[4])
        assert said.status == 0 and len(said.lines) == 13 and time.monotonic() - began < 3
        tool = start(path.namespace, "probe-trace", "-q1", TARGET[4])
        time.sleep(0.5)
        began = time.monotonic()
        tool.send_signal(signal.SIGINT)
        out, _ = tool.communicate(timeout=5)
        assert time.monotonic() - began < 0.5 and len(out.splitlines()) == 13


def test_comma_separated(path):
    path.play(routers(r3={"silent": True}), [twelve.TARGET])
    rows = list(csv.DictReader(run(path.namespace, "probe-trace", "--csv", "-q2", "-W0.3", TARGET[4]).lines))
    assert len(rows) == 24 and rows[0]["from"] == twelve.address(1, 4) and float(rows[0]["ms"]) > 0
    assert {row["kind"] for row in rows if row["hop"] == "3"} == {"no-reply"} and rows[6]["mpls"] == "16,0,1,1"
    rows = list(csv.DictReader(run(path.namespace, "probe-trace", "--csv", "--mtr", 3, "-i0.05", TARGET[4], timeout=20).lines))
    assert len(rows) == 12 and rows[11]["received"] == "3"


STANDINS = """
import json, sys, unittest.mock
for name in ("cryptography", "cryptography.x509", "cryptography.x509.oid", "cryptography.hazmat.backends",
             "cryptography.hazmat.primitives", "dateutil.relativedelta"):
    sys.modules[name] = unittest.mock.MagicMock()  # which the package needs for other kinds of results
from ripe.atlas.sagan import TracerouteResult
"""
READ = STANDINS + """
r = TracerouteResult(sys.stdin.read(), on_error=TracerouteResult.ACTION_IGNORE, on_malformation=TracerouteResult.ACTION_FAIL)
print(json.dumps([r.af, r.protocol, r.destination_address, r.total_hops, r.is_success, r.destination_ip_responded, r.ip_path,
                  [p.rtt for p in r.hops[0].packets], r.hops[3].packets[0].icmp_header.objects, r.source_address]))
"""


@every_family
def test_atlas(path, family):
    """Read by RIPE Atlas' own parser."""
    if not os.access(venv.PYTHON, os.X_OK) or \
            subprocess.run([venv.PYTHON, "-c", STANDINS], capture_output=True, check=False).returncode != 0:
        pytest.skip("no package ripe.atlas.sagan: `make check` gets it when PyPI can be reached")
    path.play(twelve.ROUTERS, [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "--json=atlas", TARGET[family])
    assert len(said.lines) == 1 and said.status == 0
    read = subprocess.run([venv.PYTHON, "-c", READ], input=said.out, text=True, capture_output=True, check=True).stdout
    af, protocol, address, count, success, responded, ways, times, objects, source = json.loads(read)
    assert (af, protocol, address, count, success, responded) == (family, "ICMP", TARGET[family], 12, True, True)
    assert all(set(way) == {twelve.address(ttl, family)} for ttl, way in enumerate(ways, 1)) and len(times) == 3
    assert objects[0]["mpls"] == [{"exp": 0, "label": 16, "s": 1, "ttl": 1}] and source
    packets = json.loads(said.out)["result"][10]["result"]
    assert sum(packet.get("dup", False) for packet in packets) == 3  # the eleventh answers everything twice


def test_size_in_the_form_of_atlas():
    """That of a SYN, or of what a service is asked with, is not that of -s."""
    network = fake_daemon("reply(ttl if ttl < 3 else 0)")
    for words, size in ([], 64), (["-s100"], 100), (["-p", "tcp"], None), (["--service", "dns"], None):
        said = run(None, "probe-trace", "-n", "--json=atlas", *words, FAR, env=network)
        assert json.loads(said.out).get("size") == size


# ---------------------------------------------------------------- use

@pytest.mark.parametrize("args", [
    ["--json", "--dot"], ["--csv", "--json"], ["--mtr", "3", "--mda"], ["--mtr", "3", "-q", "5"], ["-i", "2"], ["--mtr", "3", "--flows", "2"], ["--mtr", "2", "--mtu"],
    ["--json=atlas", "--mda"], ["--json=atlas", "-p", "sctp"], ["--json=yaml"], ["--wide", "--json"], ["-f", "5", "-m", "3"],
    ["--mtr", "0"]])
def test_combinations_that_cannot_be(args):
    said = run(None, "probe-trace", *args, "127.0.0.1", quiet=False)
    assert (said.status, said.out) == (2, "") and said.err.count("\n") == 1


@pytest.mark.parametrize("letter, hint", [
    ("-T", "-p tcp"), ("-U", "-p udp"), ("-w", "-W"), ("-A", "--as"), ("-N", "at once"),
    ("-I", "icmp is the default"), ("-p53", "-p tcp:53"), ("-s192.0.2.1", "-I ADDRESS"), ("-ieth0", "-I INTERFACE"),
    ("--tcp", "-p tcp:PORT"), ("--max-hops=9", "-m"), ("-c", "--mtr ROUNDS"), ("--report", "--mtr ROUNDS"),
    ("-j", "--json"), ("-V", "--version")])
def test_letters_of_traceroute_and_mtr(letter, hint):
    """What they have otherwise is told, also where a letter of ours is given their value."""
    said = run(None, "probe-trace", letter, "127.0.0.1", quiet=False)
    assert said.status == 2 and hint in said.err and said.err.count("\n") == 1


def test_size_behind_the_host():
    """As traceroute has it."""
    said = run(None, "probe-trace", "-m1", "127.0.0.1", "60", quiet=False)
    assert "probe-trace: 60: not an address; a size is given as -s 60" in said.err


def test_daemon_without_flows(path):
    """Ours without privileges and ping sockets: no more is said to be left out than is. Its SYNs are told apart."""
    env = {"MTR_PACKET": f"sed -u 's/feature flow$/feature none/' | {default_binary()}"}
    said = run(path.namespace, "probe-trace", "-n", "-q1", "-m1", "-p", "tcp:80", TARGET[4], env=env, quiet=False)
    assert said.err.count("\n") == 1 and said.err.endswith(" tells less: no flows, so paths may be mixed\n")


def test_own_daemon_of_mtr(path):
    """With less, which is said once."""
    if not os.access("/usr/bin/mtr-packet", os.X_OK):
        pytest.skip("no mtr-packet of mtr here (Debian package mtr-tiny)")
    path.play(hops(4), [target(), target(1)])
    said = run(path.namespace, "probe-trace", "-n", "-W1", TARGET[4], target_address(1)[4],
               env={"MTR_PACKET": "/usr/bin/mtr-packet"}, quiet=False)
    assert said.status == 0 and len(said.lines) == 13 and said.err.count("\n") == 1 and "tells less" in said.err
    assert "*" not in said.out


@pytest.mark.parametrize("locale", ["C", "de_DE.UTF-8"])
def test_locale(path, locale):
    path.play(hops(2), [target()])
    said = run(path.namespace, "probe-trace", "-W0.5", "--mtr", 2, "-i0.5", TARGET[4], env={"LC_ALL": locale})
    assert said.status == 0 and re.search(r" 0\.0 +2 +2 +\d+\.\d{3} ", said.lines[4])


@pytest.mark.parametrize("args", [[], ["--flows", "8"], ["--mda"], ["--mtu"], ["--mtr", "3", "-i0.1"], ["--json=atlas"], ["--dot"]])
def test_under_valgrind(path, args):
    """No access that is none, nothing leaked."""
    if subprocess.run(["which", "valgrind"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no valgrind (Debian package valgrind)")
    path.play(routers(r3={"silent": True}, r9={"mtu": 1300}), [twelve.TARGET, target(1)])
    argv, env = command("probe-trace", "-W0.3", *args, TARGET[4], target_address(1)[6])
    done = path.namespace.run("valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--child-silent-after-fork=yes", *argv,
                              env=env, check=False)
    assert done.returncode == 0, done.stderr
