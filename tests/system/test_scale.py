# SPDX-License-Identifier: MIT
"""Many probes in flight at once."""

import collections
import time

import pytest

from lab.daemon import Daemon, target as to
from lab.delay import delayed
from lab.net import CommandError
from lab.pair import ANSWERS, SILENT, Pair

FEW_FILES = ["sh", "-c", 'ulimit -n 64 && exec "$0" "$@"']
FAMILY = {4: 2, 6: 10}


def requests(count, words):
    return "".join(f"{token} send-probe {words}\n" for token in range(count)).encode()


def kinds(replies):
    """How many of each kind, and one of each to look at."""
    return dict(collections.Counter(reply.kind for reply in replies)), {reply.kind: reply.line for reply in replies}


def ask_all(daemon, count, words, timeout):
    """The replies to so many probes, which were all in flight before the first was over."""
    start = time.monotonic()
    daemon.write(requests(count, words))
    taken = time.monotonic()
    assert daemon.replies == [], f"the first reply came while requests were still read: {daemon.replies[0]}"
    replies = daemon.collect(count, timeout)
    assert min(reply.time for reply in replies) > taken
    assert sorted(reply.token for reply in replies) == list(range(count)), "each is answered once"
    return replies, start


@pytest.mark.parametrize("family", [4, 6])
def test_tcp_with_few_descriptors(binary, pair, family):
    """"20,000 in flight with 64 descriptors": 54 of 20000 by the peer. A few that are answered are among them."""
    count, seconds = 20_000, 5
    with Daemon(pair.client, wrapper=FEW_FILES) as daemon:
        replies, start = ask_all(daemon, count, f"{to(SILENT[family])} protocol tcp timeout {seconds}", seconds + 10)
        assert kinds(replies)[0] == {"no-reply": count}, kinds(replies)
        assert min(reply.time for reply in replies) >= start + seconds
        assert daemon.ask(f"send-probe {to(ANSWERS[family])} protocol tcp").kind == "reply"


@pytest.mark.parametrize("family", [4, 6])
def test_answered_tcp_with_few_descriptors(binary, pair, family):
    """The same with a target that answers them all."""
    count = 20_000
    with Daemon(pair.client, wrapper=FEW_FILES) as daemon:
        writer = daemon.write_later(requests(count, f"{to(ANSWERS[family])} protocol tcp"))
        replies = daemon.collect(count, 30)
        writer.join()
    assert kinds(replies)[0] == {"reply": count}, kinds(replies)
    assert sorted(reply.token for reply in replies) == list(range(count))


@pytest.fixture(scope="module")
def far(root):
    """A target 100 ms away."""
    with Pair("far", link=delayed, delay=0.1) as both:
        yield both


@pytest.mark.parametrize("family", [4, 6])
def test_tcp_far_away(binary, far, family):
    """"2000 at once to one open port of one target 100 ms away all answered"."""
    count = 2000
    with far.target.socket(FAMILY[family], 1) as listener, Daemon(far.client) as daemon:
        listener.bind((ANSWERS[family], 80))
        listener.listen(65535)
        daemon.write(requests(count, f"{to(ANSWERS[family])} protocol tcp port 80"))
        replies = daemon.collect(count, 20)
    assert kinds(replies)[0] == {"reply": count}, kinds(replies)
    assert sorted(reply.token for reply in replies) == list(range(count))
    times = sorted(reply.rtt for reply in replies)
    assert times[0] >= 200_000, f"there and back takes 200 ms, not {times[0]} us"
    assert times[count // 2] < 1_000_000


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("protocol", ["icmp", "udp", "tcp", "sctp"])
def test_late_answers(binary, far, family, protocol):
    """An answer after the timeout finds nobody: no second reply, and no other probe takes it for its own."""
    count, words = 500, f"{to(ANSWERS[family])} protocol {protocol}"
    with Daemon(far.client) as daemon:
        daemon.ask(f"send-probe {words}")
        daemon.send(*(f"{token} send-probe {words} timeout 0" for token in range(count)))
        early = daemon.collect(count)
        daemon.send(*(f"{token} send-probe {words}" for token in range(count)))
        later = daemon.collect(count)
        assert daemon.finish() == (0, "")
        assert len(daemon.replies) == 1 + 2 * count
    for replies, kind in (early, "no-reply"), (later, "reply"):
        assert kinds(replies)[0] == {kind: count}, kinds(replies)
        assert sorted(reply.token for reply in replies) == list(range(count))
    fastest = min(later, key=lambda reply: reply.rtt)
    assert fastest.rtt >= 200_000, f"an answer to another probe: {fastest}"


@pytest.mark.parametrize("family", [4, 6])
def test_many_silent(binary, pair, family):
    """100,000 silent probes in flight (the peer: 10240 at most): each is no-reply, once."""
    count, seconds = 100_000, 5
    with Daemon(pair.client) as daemon:
        replies, start = ask_all(daemon, count, f"{to(SILENT[family])} timeout {seconds}", seconds + 10)
        assert kinds(replies)[0] == {"no-reply": count}, kinds(replies)
        assert min(reply.time for reply in replies) >= start + seconds
        assert daemon.ask(f"send-probe {to(ANSWERS[family])}").kind == "reply"


@pytest.fixture(scope="module")
def narrow(root):
    """A wire of 10 Mbit/s whose queue holds a few packets."""
    with Pair("narrow") as both:
        try:
            both.client.run("tc", "qdisc", "add", "dev", "wire", "root", "tbf",
                            "rate", "10mbit", "burst", "2000", "limit", "3000")
        except CommandError as error:
            pytest.skip(f"this kernel has no tbf: {error}")
        yield both


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("protocol", ["icmp", "udp", "tcp", "sctp"])
def test_full_queue(binary, narrow, family, protocol):
    """A full queue passes by itself, so it is waited for: no error, no lost probe (design.md, ENOBUFS)."""
    count = 2000
    with Daemon(narrow.client) as daemon:
        daemon.ask(f"send-probe {to(ANSWERS[family])}")
        daemon.write_later(requests(count, f"{to(ANSWERS[family])} protocol {protocol}"))
        replies = daemon.collect(count, 20)
    assert kinds(replies)[0] == {"reply": count}, kinds(replies)
