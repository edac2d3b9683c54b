# SPDX-License-Identifier: MIT
"""Sixteen daemons on one network, each process 1 of a pid namespace of its own: containers on their host's network."""

import random

import pytest

from lab import twelve
from lab.daemon import Daemon
from lab.expect import NO_REPLY, Case, answered, compare, gather, send
from lab.net import Namespace
from lab.path import Hop, Path, hop_address, target

DAEMONS = 16
PROBES = 2  # of a daemon for each way to ask
SILENT_HOP = 6
FAMILIES = 4, 6
PORT = 53
OWN_PID_NAMESPACE = "unshare", "--pid", "--fork", "--kill-child"

ROUTERS = [Hop(hop_address(number), silent=number == SILENT_HOP) for number in range(1, twelve.COUNT)]
ANSWERING = [target(0), target(1, udp="datagram", tcp="closed", sctp="closed")]
SILENT = [target(2, silent=True), target(3, silent=True)]

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(scope="module")
def path():
    with Namespace("neighbours") as namespace, Path(namespace, ROUTERS, ANSWERING + SILENT) as played:
        yield played


def ways():
    """(family, target, ttl, what the reply must be): half of the probes are answered by nobody. Targets that answer
    are also asked through the router that does not, so that a wrong owner has an answer to take."""
    for family in FAMILIES:
        for one in ANSWERING:
            address = one.address[family]
            yield family, address, 64, answered("reply", address)
            yield family, address, 9, answered("ttl-expired", hop_address(9)[family])
            yield family, address, SILENT_HOP, NO_REPLY
        for one in SILENT:
            yield family, one.address[family], 64, NO_REPLY
        yield family, SILENT[0].address[family], 2, answered("ttl-expired", hop_address(2)[family])


def questions(arguments, seed):
    """One daemon's probes, in an order of its own."""
    cases = [Case(f"IPv{family}, ttl {ttl}",
                  f"send-probe ip-{family} {address} ttl {ttl} timeout 2 {arguments}{pattern}", expected)
             for family, address, ttl, expected in ways() for pattern in ("", " bit-pattern 7") for _ in range(PROBES)]
    random.Random(seed).shuffle(cases)
    return cases


@pytest.mark.parametrize("arguments", ["protocol icmp", "protocol udp", f"protocol udp port {PORT}", "protocol tcp",
                                       "protocol sctp"])
def test_neighbours(path, binary, arguments):
    """Several daemons on one host, or in containers on one host network, never take each other's answers: not one
    wrong reply, and each answer finds its own probe."""
    daemons = [Daemon(path.namespace, binary=binary, wrapper=OWN_PID_NAMESPACE) for _ in range(DAEMONS)]
    try:
        for daemon in daemons:
            assert daemon.ask("check-support feature send-probe").args == {"support": "ok"}
        asked = [questions(arguments, seed) for seed in range(DAEMONS)]
        for start in range(0, len(asked[0]), 8):  # by turns, so that all are in flight together
            for daemon, cases in zip(daemons, asked):
                send(daemon, [case.request for case in cases[start:start + 8]], start + 1)
        for daemon, cases in zip(daemons, asked):
            replies, note = gather(daemon, len(cases))
            compare(cases, replies, note=note)
            assert daemon.finish() == (0, "")
    finally:
        for daemon in daemons:
            daemon.kill()
