# SPDX-License-Identifier: MIT
"""Storms: hundreds of probes at once to targets of every kind, each to be answered as if it were alone."""

import itertools
import random
import time

import pytest

from lab import cc
from lab.daemon import Daemon, target as to
from lab.expect import NO_REPLY, Case, answered, hold
from lab.net import Namespace
from lab.pair import ANSWERS, Pair
from lab.path import LONG, Path, hop_address, hops, target, target_address
from lab.transports import served

DELAY = 0.04  # seconds
FAMILIES = 4, 6
PROTOCOLS = "icmp", "udp", "tcp", "sctp"
ROUTERS = 8
COUNT = 400
ROUTER = hop_address(99)
UNREACHABLE = {4: (3, 1), 6: (1, 3)}

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(scope="module")
def path():
    """Routers that quote little and much, then a target that answers, one that is silent, and one of each family that a
    router rejects."""
    errors = {protocol: "error" for protocol in PROTOCOLS} | {"sender": ROUTER, "quote": LONG}
    with Namespace("storm") as namespace, Path(namespace) as played:
        played.play(hops(ROUTERS - 2) + hops(ROUTERS, quote=LONG)[-2:], [
            target(0), target(1, silent=True),
            *(target(family, **errors, error=UNREACHABLE[family]) for family in FAMILIES)])
        yield played


@pytest.fixture
def daemon(path, binary):
    with Daemon(path.namespace, binary=binary) as running:
        yield running
        assert running.finish() == (0, "")


def storm(protocol, family, more=""):
    """As many probes, a quarter to each kind of place, in an order that is always the same."""
    def ask(number, words=""):
        return f"send-probe ip-{family} {target_address(number)[family]} protocol {protocol} timeout 1{more}{words}"

    ttls = itertools.cycle(range(1, ROUTERS + 1))
    cases = []
    for _ in range(COUNT // 4):
        ttl = next(ttls)
        cases += [
            Case("answers", ask(0), answered("reply", target_address(0)[family])),
            Case(f"expires at hop {ttl}", ask(0, f" ttl {ttl}"), answered("ttl-expired", hop_address(ttl)[family])),
            Case("silent", ask(1), NO_REPLY),
            Case("unreachable", ask(family), answered("no-route-host", ROUTER[family])),
        ]
    random.Random(1).shuffle(cases)
    return cases


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("protocol, more", [("icmp", ""), ("icmp", " bit-pattern 7"), ("udp", ""), ("udp", " port 53"),
                                            ("tcp", ""), ("tcp", " port 443"), ("sctp", "")])
def test_storm(daemon, protocol, more, family):
    """400 probes at once to answering, expiring, silent and unreachable targets: each reply is the right one."""
    hold(daemon, storm(protocol, family, more))


def test_storm_of_all(daemon):
    """The same of all protocols and both families together."""
    cases = [case for protocol in served(PROTOCOLS) for family in FAMILIES for case in storm(protocol, family)]
    random.Random(2).shuffle(cases)
    hold(daemon, cases)


def test_no_time_is_too_short(binary):
    """Answers that come while others are being read, which takes long here: none is said to have come sooner."""
    if cc.sanitized():
        pytest.skip("the sanitizers do not let another library come first")
    slow = "env", f"LD_PRELOAD={cc.preload('slow_receive.c')}"
    with Namespace("delayed") as namespace, Path(namespace, [], [target(0, delay=DELAY)]), \
            Daemon(namespace, binary=binary, wrapper=slow) as running:
        requests = [f"send-probe ip-{family} {target_address(0)[family]} protocol {protocol} timeout 30"
                    for family in FAMILIES for protocol in ("icmp", "udp")]
        for token in range(100):
            running.send(f"{token} {requests[token % len(requests)]}")
            time.sleep(0.002)
        replies = running.collect(100, 20)
        assert running.finish() == (0, "")
    assert {reply.kind for reply in replies} == {"reply"}
    early = sorted(reply.rtt for reply in replies if reply.rtt < DELAY * 1e6)
    assert not early, f"{len(early)} of {len(replies)} in less than {DELAY * 1e6:.0f} us, {early[0]} at the least"


def test_clocks_read_slowly(binary):
    """The two clocks can't be read closely together: no answer is refused for that, and with time to ask the kernel when
    a probe left the round trip is right."""
    if cc.sanitized():
        pytest.skip("the sanitizers do not let another library come first")
    slow = "env", f"LD_PRELOAD={cc.preload('slow_clock.c')}"
    with Pair("slow") as both, Daemon(both.client, binary=binary, wrapper=slow) as running:
        requests = [f"send-probe {to(ANSWERS[family])} protocol {protocol} timeout 3"
                    for family in FAMILIES for protocol in ("icmp", "udp")]
        running.send(*[f"{token} {requests[token % len(requests)]}" for token in range(60)])
        assert {reply.kind for reply in running.collect(60)} == {"reply"}
        for request in requests:
            time.sleep(0.1)
            assert running.ask(request).rtt > 0
        assert running.finish() == (0, "")


def test_standstill_before_a_send(binary):
    """Between a look at the clock and the system call that sends, for longer than the timeout: the answer counts."""
    if cc.sanitized():
        pytest.skip("the sanitizers do not let another library come first")
    slow = "env", f"LD_PRELOAD={cc.preload('slow_send.c')}"
    with Pair("slow") as both, Daemon(both.client, binary=binary, wrapper=slow) as running:
        for family in FAMILIES:
            request = f"send-probe {to(ANSWERS[family])} timeout 0.6"
            running.ask(request)
            running.send(*[f"{token} {request}" for token in range(9)], f"9 {request} size 400")
            assert {reply.kind for reply in running.collect(10)} == {"reply"}
        assert running.finish() == (0, "")
