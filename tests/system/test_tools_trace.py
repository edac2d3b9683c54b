# SPDX-License-Identifier: MIT
"""probe-trace over a played path with silence, loss, MPLS, load balancing and narrow links."""

import dataclasses
import os
import re
import signal
import time

import pytest

from lab import twelve
from lab.daemon import Daemon
from lab.net import Namespace
from lab.path import Path, target, target_address, way_address
from lab.tools import every_awk, every_shell, run, start

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
@every_awk
def test_an_open_port_of_udp(path, family, awk):
    """A datagram returns ports alone: the target of a flow is probed by one at a time."""
    path.play(routers(r11={"silent": True}), [dataclasses.replace(twelve.TARGET, udp="datagram")])
    said = run(path.namespace, "probe-trace", "--json", "-W0.3", "-p", "udp:53", TARGET[family], awk=awk)
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
    assert said.objects[-1] == {"type": "path", "host": TARGET[family], "address": TARGET[family], "hops": 12,
                                "reached": True}


@every_shell
@every_awk
def test_as_people_see_it(path, shell, awk):
    """Silent hops and lost probes are stars."""
    path.play(routers(r3={"silent": True}, r6={"loses": 2}), [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "-W0.3", TARGET[4], shell=shell, awk=awk)
    shape = [re.sub(r"\d[\d.]* ms", "T ms", line) for line in said.lines]
    ordinary = [f"{ttl:3}  {twelve.address(ttl, 4)}  T ms  T ms  T ms" for ttl in range(13)]
    assert shape[:4] == [f"path to {TARGET[4]}, 30 hops at most, icmp", ordinary[1], ordinary[2], "  3  * * *"]
    assert shape[4] == "  4  10.99.0.4  T ms [mpls 16 class 0 ttl 1]  T ms  T ms"
    assert shape[6] == "  6  10.99.0.6  T ms *  T ms"
    assert shape[9:] == ordinary[9:] and said.status == 0


@every_awk
def test_silent_target(path, awk):
    """The end is a line about the rest, and status 1."""
    path.play(routers(r11={"silent": True}), [dataclasses.replace(twelve.TARGET, silent=True)])
    said = run(path.namespace, "probe-trace", "-W0.3", "-q1", TARGET[6], awk=awk)
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


@every_awk
def test_names(path, awk):
    """Looked up by getent, unless -n."""
    def lines(*args):
        return run(path.namespace, "probe-trace", "-q1", *args, awk=awk).lines

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


@every_awk
def test_graph(path, needs, awk):
    """Every flow's way from here to the target, in the form that Graphviz reads; a silent hop is dashed."""
    needs("flow")
    path.play(routers(r2={"ways": BALANCED_ICMP}, r3={"silent": True}), [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "--dot", "--flows", 8, "-W0.3", TARGET[4], awk=awk)
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
@every_awk
def test_mtu(path, needs, family, awk):
    """Two narrow links, told by their routers; hops that are silent have none."""
    needs("dont-fragment")
    path.play(routers(r4={"mtu": 1400, "extension": b""}, r6={"silent": True}, r9={"mtu": 1300}), [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "--mtu", "-W0.4", TARGET[family], awk=awk)
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

@every_awk
def test_rounds(path, awk):
    """Loss and the rest of each hop, and none behind the target."""
    path.play(routers(r3={"silent": True}, r6={"loses": 4}), [twelve.TARGET])
    said = run(path.namespace, "probe-trace", "--mtr", 8, "-i0.05", "-W0.3", "--json", TARGET[4], awk=awk)
    found = said.objects
    assert [one["hop"] for one in found] == list(range(1, 13)) and said.status == 0
    assert [one["loss_percent"] for one in found] == [{3: 100, 6: 25}.get(ttl, 0) for ttl in range(1, 13)]
    assert all(one["sent"] == 8 for one in found)
    assert all(one["best_ms"] <= one["avg_ms"] <= one["worst_ms"] for one in found if "from" in one)


@every_shell
def test_rounds_interrupted(path, shell):
    path.play(twelve.ROUTERS, [twelve.TARGET])
    tool = start(path.namespace, "probe-trace", "--mtr", 1000, "-i0.1", TARGET[4], shell=shell)
    assert tool.stdout.readline().startswith("path to")
    time.sleep(0.5)
    os.killpg(tool.pid, signal.SIGINT)
    rest, _ = tool.communicate(timeout=5)
    assert rest.startswith("hop host") and len(rest.splitlines()) == 13 and tool.returncode == 0
