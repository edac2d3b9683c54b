# SPDX-License-Identifier: MIT
"""probe-trace through routers that send few errors, as Linux does: none of its stars are of its own making."""

import re
import time

import pytest

from lab import chain
from lab.capture import Capture
from lab.chain import Chain
from lab.fake_daemon import TARGET as FAR
from lab.fake_daemon import fake_daemon
from lab.tools import run

pytestmark = pytest.mark.usefixtures("root")
every_family = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module")
def limited():
    """Five Linux routers with their default limits, each with all that it may say saved up."""
    with Chain("limits", 5) as made:
        yield made


@pytest.fixture
def rested(limited):
    time.sleep(7)
    return limited


@every_family
@pytest.mark.parametrize("protocol", ["icmp", "udp"])
def test_loss_is_not_made(rested, protocol, family):
    """No star, at once, and no place got more than five probes."""
    began = time.monotonic()
    far = chain.address(5, family)
    with Capture(rested.client, "fore", "out") as capture:
        said = run(rested.client, "probe-trace", "-n", "-p", protocol, far)
        took = time.monotonic() - began
        probes = [packet for packet in capture.packets() if packet.dst == far]
    assert said.status == 0 and "*" not in said.out and len(said.lines) == 6 and took < 0.9
    places = [min(packet.ttl, 5) for packet in probes]
    assert max(places.count(ttl) for ttl in range(1, 6)) <= 5


@pytest.mark.parametrize("protocol", ["icmp", "udp"])
def test_flows_at_limits(rested, protocol):
    """All of 16 flows are answered by routers, and a target, that send six errors at once and then one a second."""
    said = run(rested.client, "probe-trace", "-n", "--json", "--flows", 16, "-p", protocol, rested.target)
    rows = said.of_type("hop")
    assert said.status == 0 and len(rows) == 16 * 5
    assert all(one["from"] == chain.address(one["hop"]) for one in rows)


@pytest.fixture
def crowd(rested):
    """As many addresses of the target as a router lets nobody ask for at once."""
    block = {4: [f"10.61.0.{number}" for number in range(1, 17)], 6: [f"fd61::{number:x}" for number in range(1, 17)]}
    rested.nodes[5].ip("route add local 10.61.0.0/24 dev lo", "-6 route add local fd61::/64 dev lo")
    yield block
    rested.nodes[5].ip("route del local 10.61.0.0/24 dev lo", "-6 route del local fd61::/64 dev lo")


@every_family
def test_many_hosts_behind_one_limited_router(rested, crowd, family):
    """They take turns at each router, which says once a second that it is there: no star, no more than one answer each."""
    began = time.monotonic()
    said = run(rested.client, "probe-trace", "-n", *crowd[family], timeout=60)
    assert said.status == 0 and "*" not in said.out and time.monotonic() - began < 45
    for ttl in range(1, 5):
        lines = [line for line in said.lines if line.startswith(f"  {ttl}  ")]
        assert len(lines) == 16 and all(chain.address(ttl, family) in line for line in lines)
        assert sum(line.endswith("  limited") for line in lines) > 7
    assert all(line.count(" ms") == 3 for line in said.lines if line.startswith("  5  "))


def test_many_addresses_of_one_limited_host(rested, crowd):
    """By udp the target's answers are errors, of which it sends six, and then one a second, whichever address was asked."""
    began = time.monotonic()
    said = run(rested.client, "probe-trace", "-n", "-p", "udp", *crowd[4], timeout=90)
    assert said.status == 0 and "*" not in said.out and time.monotonic() - began < 60
    ends = [line for line in said.lines if line.startswith("  5  ")]
    assert len(ends) == 16 and all("10.61.0." in line for line in ends) and sum("limited" in line for line in ends) > 7


def test_all_queries_at_a_limited_router(rested, crowd):
    """With -q each of them is asked until it is answered."""
    rows = run(rested.client, "probe-trace", "-n", "--json", "-q2", "-m1", *crowd[4][:8], timeout=60).of_type("hop")
    assert [one.get("from") for one in rows] == 16 * [chain.address(1)] and rows[-1]["limited"]


def test_sizes_at_limits(rested, crowd):
    """A router that has said all that it may say for now does not let larger packets vanish."""
    for hosts in crowd[4][:1], crowd[4][:2]:
        run(rested.client, "probe-trace", "-n", "-q6", rested.target)
        said = run(rested.client, "probe-trace", "-n", "--mtu", *hosts, timeout=60)
        hops_told = [line for line in said.lines if " ms" in line]
        assert "*" not in said.out and len(hops_told) == 5 * len(hosts)
        assert all(line.replace("  limited", "").endswith("  mtu 1500") for line in hops_told)


def test_rounds_at_limits(rested):
    """A limited router is none that loses."""
    said = run(rested.client, "probe-trace", "-n", "--json", "--mtr", 20, "-i0.2", rested.target)
    rows = said.of_type("hop")
    assert len(rows) == 5 and [one.get("limited", False) for one in rows] == [True] * 4 + [False]
    assert all(one["loss_percent"] > 30 for one in rows[:4]) and rows[4]["loss_percent"] == 0


def test_host_that_is_down(rested):
    """Its router tells so after three seconds: within the time that is waited for unless told otherwise."""
    said = run(rested.client, "probe-trace", "-n", "-q1", "10.60.5.77")
    assert re.fullmatch(r"  5  10\.60\.4\.2  3\d{3}(\.\d+)? ms !H", said.lines[5]) and said.status == 1


def test_target_behind_an_unreachable(rested):
    """A router's unreachable (of Linux's ip6tnl, say, for what has expired within) is no end where the target answers."""
    rested.nodes[2].nft("table ip x {\n chain p {\n type filter hook prerouting priority 0;\n"
                        f" ip ttl 1 ip daddr {rested.target} reject with icmp type host-unreachable\n }}\n}}\n")
    try:
        said = run(rested.client, "probe-trace", "-n", "-q1", rested.target)
        assert said.status == 0 and len(said.lines) == 6 and said.lines[2].endswith(" ms !H")
        said = run(rested.client, "probe-trace", "-n", "--json", "--mtr", 3, "-i1", rested.target)
        assert said.status == 0 and [one["hop"] for one in said.of_type("hop")] == [1, 2, 3, 4, 5]
        assert said.of_type("hop")[4]["received"] == 3
    finally:
        rested.nodes[2].nft("delete table ip x")


@pytest.mark.parametrize("silent, limited", [("ttl == 2", True), ("ttl > 1", False)], ids=["alone", "and all behind it"])
def test_limited_for_one_path(silent, limited):
    """What a router does not answer, while hops behind it do, is its limit; else it is loss."""
    network = f"None if {silent} and count > 2 else reply(ttl if ttl < 4 else 0)"
    said = run(None, "probe-trace", "-n", "-q6", "-m4", "-W0.3", FAR, env=fake_daemon(network))
    assert [line.endswith("* * *  limited") for line in said.lines[1:]] == [False, limited, False, False]
    assert said.lines[2].count(" ms") == 3


NOTING = """import sys, time
log = open(sys.argv[1], "w", buffering=1, encoding="ascii")
for line in sys.stdin:
    token, command, *rest = line.split()
    if command == "check-support":
        print(token, "feature-support support ok", flush=True)
    else:
        log.write(f"{time.monotonic()} {rest[1]}\\n")
        print(token, f"reply ip-4 {rest[1]} round-trip-time 1000", flush=True)
"""


def test_rounds_of_many_hosts_are_spread(tmp_path):
    """Over the interval, so that the routers that they share are not asked by all of them at once."""
    log, noting = tmp_path / "log", tmp_path / "noting"
    noting.write_text(NOTING, encoding="ascii")
    run(None, "probe-trace", "-n", "--mtr", 2, "-i1", "-m1", *(f"192.0.2.{host}" for host in range(10)),
        env={"MTR_PACKET": f"/usr/bin/python3 -u {noting} {log}"})
    asked = [line.split() for line in log.read_text(encoding="ascii").splitlines()]
    assert [target for _, target in asked] == 2 * [f"192.0.2.{host}" for host in range(10)]
    times = [float(time) for time, _ in asked]
    assert 1.85 < times[-1] - times[0] < 2.4 and max(b - a for a, b in zip(times, times[4:])) < 0.7


def test_silence_is_asked_again():
    """What was lost of a burst is asked once more before a star is shown; what is silent for good is one."""
    network = 'None if ttl == 3 and count == 0 or ttl == 4 else reply(ttl if ttl < 6 else 0)'
    began = time.monotonic()
    said = run(None, "probe-trace", "-n", "-q1", FAR, env=fake_daemon(network))
    assert said.lines[3] == "  3  192.0.2.3  1 ms" and said.lines[4] == "  4  *" and said.status == 0
    assert time.monotonic() - began < 3.5  # not the four seconds of an answer that nobody expects
