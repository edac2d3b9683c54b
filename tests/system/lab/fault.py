# SPDX-License-Identifier: MIT
"""What tests of faults share: requests of all kinds, each answered once, and a daemon that is right again afterwards."""

import collections
import contextlib
import time

from lab.daemon import Daemon, target as to
from lab.expect import answered, by_token, said, send
from lab.pair import ANSWERS
from lab.transports import served

FAMILIES = 4, 6
LENGTH = {4: 24, 6: 64}


def protocols():
    """All that the transport under test has."""
    return served(("icmp", "udp", "tcp", "sctp"))


def everything(addresses, more="timeout 1"):
    """A probe of each protocol and family."""
    return [f"send-probe {to(addresses[family])} protocol {protocol} {more}"
            for family in FAMILIES for protocol in protocols()]


def exchange(daemon, requests, timeout=10, meanwhile=lambda: None, first=1):
    """The replies to these, one each and in their order. meanwhile() happens when all are sent."""
    send(daemon, requests, first)
    meanwhile()
    replies = by_token(daemon.collect(len(requests), timeout))
    assert sorted(replies) == list(range(first, first + len(requests)))
    assert daemon.process.poll() is None, f"it ended: {daemon.stderr()}"
    return [replies[token] for token in range(first, first + len(requests))]


def wait_for_sending(daemon):
    """Requests are taken in their order: with this reply, all before it have left."""
    daemon.ask("check-support feature version")


def kinds(replies):
    return dict(collections.Counter(reply.kind for reply in replies))


def only(replies, *allowed):
    wrong = [reply.line for reply in replies if reply.kind not in allowed]
    assert not wrong, f"{len(wrong)} of {len(replies)} are none of {allowed}: {wrong[:5]}"


def recovered(daemon, addresses=ANSWERS, within=5.0):
    """Every protocol is answered rightly; soon, if not at once, since hosts need some time to find each other again."""
    end = time.monotonic() + within
    expected = [answered("reply", addresses[family]) for family in FAMILIES for _ in protocols()]
    while True:
        came = [said(reply) for reply in exchange(daemon, everything(addresses))]
        if came == expected or time.monotonic() > end:
            break
    assert came == expected, f"not right {within} s after the fault"


@contextlib.contextmanager
def tried(namespace):
    """A daemon that has done something already, so that all that it remembers is in place; it does so again at the end."""
    with Daemon(namespace) as running:
        recovered(running)
        yield running
        recovered(running)
        assert running.finish() == (0, "")
