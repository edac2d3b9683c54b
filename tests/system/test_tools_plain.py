# SPDX-License-Identifier: MIT
"""The probe tools over a daemon that has no privilege: what it serves is right, what it lacks is told."""

import dataclasses
import re

import pytest

from lab import transports, twelve
from lab.daemon import built_binary
from lab.net import Namespace
from lab.path import Path, target, target_address, way_address
from lab.tools import run

TARGET = target_address(0)
BALANCED = "src", "dst", "protocol", "sport", "dport", "icmp_id", "checksum", "flow_label"
WAYS = {family: {way_address(way)[family] for way in range(8)} for family in (4, 6)}
CHANGED = {2: {"ways": BALANCED}, 3: {"silent": True}, 9: {"mtu": 1300}}
ROUTERS = [dataclasses.replace(hop, **CHANGED.get(number, {})) for number, hop in enumerate(twelve.ROUTERS, 1)]

pytestmark = pytest.mark.usefixtures("root", "without_privileges")
every_family = pytest.mark.parametrize("family", [4, 6])
every_protocol = pytest.mark.parametrize("protocol", ["icmp", "udp", "tcp"])


@pytest.fixture(scope="module")
def without_privileges():
    with transports.using(transports.PLAIN, built_binary()):
        yield


@pytest.fixture(scope="module")
def path():
    with Namespace("plain-tools") as namespace, Path(namespace) as played:
        played.play(ROUTERS, [target(), target(1)])
        yield played


def expected(family):
    """hop -> who may answer there."""
    return {ttl: {2: WAYS[family], 3: {None}}.get(ttl, {twelve.address(ttl, family)}) for ttl in range(1, 13)}


@every_family
@every_protocol
def test_trace(path, protocol, family):
    """Of protocols that have no flows here, each probe goes its own way."""
    said = run(path.namespace, "probe-trace", "--json", "-q2", "-W0.25", "-p", protocol, TARGET[family])
    assert said.status == 0 and said.objects[-1]["reached"]
    expects = expected(family)
    assert {one["hop"] for one in said.of_type("hop")} == set(expects)
    for one in said.of_type("hop"):
        assert one.get("from") in expects[one["hop"]] and ("flow" in one) == (protocol == "icmp")


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_no_flows(path, protocol):
    """Several flows are refused at once, and why is said."""
    said = run(path.namespace, "probe-trace", "--flows", 3, "-p", protocol, TARGET[4], quiet=False)
    assert (said.status, said.out) == (2, "")
    assert said.err == f"probe-trace: this daemon has flows of icmp alone, not of {protocol}: it has no privilege " \
                       "(CAP_NET_RAW)\n"


@every_family
def test_flows(path, family):
    said = run(path.namespace, "probe-trace", "--flows", 16, "-q2", "--json", "-W0.25", TARGET[family])
    second = {(one["flow"], one["from"]) for one in said.of_type("hop") if one["hop"] == 2}
    assert said.status == 0 and len(second) == 16 and len({router for _, router in second}) > 2


@every_family
@pytest.mark.parametrize("protocol", ["icmp", "udp"])
def test_mtu(path, protocol, family):
    said = run(path.namespace, "probe-trace", "--mtu", "--json", "-W0.25", "-p", protocol, TARGET[family])
    found = {one["hop"]: one.get("mtu") for one in said.of_type("hop")}
    assert found == {ttl: None if ttl == 3 else 1500 if ttl <= 9 else 1300 for ttl in range(1, 13)}


@every_protocol
def test_rounds_and_graph(path, protocol):
    said = run(path.namespace, "probe-trace", "--mtr", 3, "-i0.05", "-W0.25", "--json", "-p", protocol, TARGET[4])
    assert {one["hop"]: one.get("loss_percent") for one in said.of_type("hop") if one["hop"] != 2} == {
        ttl: 100 if ttl == 3 else 0 for ttl in range(1, 13) if ttl != 2}
    said = run(path.namespace, "probe-trace", "--dot", "-W0.25", "-p", protocol, TARGET[4])
    assert '    "10.99.0.4" -> "10.99.0.5";' in said.lines and said.status == 0


@every_protocol
def test_ping(path, protocol):
    said = run(path.namespace, "probe-ping", "-c3", "-i0.05", "--json", "-p", protocol, TARGET[4], TARGET[6])
    assert said.status == 0 and len(said.of_type("answer")) == 6
    assert all((one["sent"], one["received"], one["loss_percent"]) == (3, 3, 0) for one in said.of_type("summary"))


@every_protocol
def test_sweep(path, protocol):
    said = run(path.namespace, "probe-sweep", "-W0.3", "--json", "-p", protocol, f"{TARGET[4]}/30", TARGET[6])
    assert {one["address"] for one in said.of_type("answer")} == {TARGET[4], target_address(1)[4], TARGET[6]}
    assert {one["address"] for one in said.of_type("silent")} == {"10.99.1.0", "10.99.1.3"}


@every_family
@every_protocol
def test_pairs(path, protocol, family):
    """And no address translation is seen where there is none."""
    said = run(path.namespace, "probe-pairs", "--json", "-W0.3", "-i0.05", "-p", protocol, TARGET[family])
    assert said.status == 0 and len(said.objects) == 2
    word = {"icmp": "answered", "udp": "refused", "tcp": "connected"}[protocol]
    assert all((one["state"], one["received"]) == (word, 3) for one in said.objects)
    status = run(path.namespace, "probe-pairs", "--status", "--json", "-W0.3", "-i0.05", "-p", protocol, TARGET[family])
    assert status.objects[0]["NAT44"] is None and status.objects[0]["NPTv6"] is None


@pytest.mark.parametrize("tool", ["probe-ping", "probe-sweep", "probe-trace", "probe-pairs"])
def test_protocol_that_is_not_served(path, tool):
    """Neither sctp, nor icmp where the administrator keeps it from ordinary users: told once, status 2."""
    said = run(path.namespace, tool, "-p", "sctp", TARGET[4], quiet=False)
    assert (said.status, said.out) == (2, "")
    assert re.fullmatch(rf"{tool}: this daemon does not support sctp here\b.*\n", said.err)
    with Namespace("closed") as closed:
        closed.sysctl("net.ipv4.ping_group_range", "1 0")
        said = run(closed, tool, "-p", "icmp", "127.0.0.1", quiet=False)
    assert (said.status, said.out) == (2, "")
    assert re.fullmatch(rf"{tool}: this daemon does not support icmp here\b.*\n", said.err)
