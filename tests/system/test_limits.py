# SPDX-License-Identifier: MIT
"""Limits that are set when the daemon is started: requests beyond them wait, and none is lost; and --no-mark."""

import subprocess
import time

import pytest

from lab.daemon import Daemon, converse
from lab.pair import ANSWERS, SILENT

PROTOCOLS = "icmp", "udp port 9", "tcp port 9"


def times(daemon, count, timeout=10):
    """When the replies came, from the first on."""
    replies = daemon.collect(count, timeout)
    assert {reply.kind for reply in replies} == {"reply"}, replies
    assert sorted(reply.token for reply in replies) == list(range(count))
    return [reply.time - replies[0].time for reply in replies]


def test_rate(binary, pair):
    """A tenth of a second's at once, then no more than the rate, over all protocols and families."""
    with Daemon(pair.client, args=["--limit-rate", "200"]) as daemon:
        daemon.send(*(f"{token} send-probe ip-{4 + token % 2 * 2} {ANSWERS[4 + token % 2 * 2]} "
                      f"protocol {PROTOCOLS[token % 3]} timeout 5" for token in range(140)))
        assert daemon.ask("check-support feature limit-rate").args["support"] == "200"
        came = times(daemon, 140)
    assert 0.55 <= came[-1] < 1.5, "120 beyond the first 20 take 0.6 s"
    for index in range(len(came) - 60):
        assert came[index + 60] - came[index] > 0.15, "60 take 0.3 s, but for 20 of them"


def test_in_flight(binary, pair):
    """Silent ones one after the other, and no probe expires before its time."""
    with Daemon(pair.client, args=["--limit-in-flight=3"]) as daemon:
        begin = time.monotonic()
        daemon.send(*(f"{token} send-probe ip-4 {SILENT[4]} timeout 0.2" for token in range(9)))
        for number, reply in enumerate(daemon.collect(9)):
            assert reply.kind == "no-reply"
            assert 0.2 * (number // 3 + 1) <= reply.time - begin < 0.2 * (number // 3 + 1) + 0.15


def test_timeouts_run_from_departure(binary, pair):
    """What waits for longer than its timeout leaves all the same, and is answered."""
    with Daemon(pair.client, args=["--limit-rate", "5"]) as daemon:
        daemon.send(*(f"{token} send-probe ip-4 {ANSWERS[4]} timeout 0.1" for token in range(4)))
        assert times(daemon, 4)[-1] > 0.5


@pytest.mark.parametrize("limit, least", [("--limit-rate=200", 0.45), ("--limit-in-flight=20", 0.9)])
def test_sweeps(binary, pair, limit, least):
    """Sweeps are bound, too: 100 to come after the first 20, or five times as many as may be in flight for 0.2 s."""
    with Daemon(pair.client, args=[limit]) as daemon:
        begin = time.monotonic()
        daemon.send(f"1 sweep ip-4 {SILENT[4]} ttl 1-120 rate 100000 timeout 0.2")
        daemon.send(f"2 send-probe ip-4 {ANSWERS[4]}")
        single, swept = daemon.collect(2, 10)
    assert (single.kind, swept.kind, swept.args["silent"]) == ("reply", "swept", "120")
    assert least <= swept.time - begin < least + 1.5
    assert single.time - begin < 0.4, "a single request goes before a sweep"


def test_end_of_input(binary, pair):
    """All that was read is answered, however long that takes."""
    said = converse(pair.client, "".join(f"{token} send-probe ip-4 {ANSWERS[4]}\n" for token in range(30)).encode(),
                    ["--limit-rate", "50"])
    assert sorted(int(line.split()[0]) for line in said) == list(range(30))
    assert all(" reply " in line for line in said)


def test_more_than_is_held(binary, pair):
    """Beyond what is held nothing more is read, until some have left; then all are answered."""
    lines = [f"{token} send-probe ip-4 {ANSWERS[4]} timeout 5 payload {'00' * 1000}" for token in range(2500)]
    with Daemon(pair.client, args=["--limit-rate", "3000"]) as daemon:
        writer = daemon.write_later("".join(line + "\n" for line in lines).encode())
        times(daemon, len(lines), 20)
        writer.join()
        assert daemon.status("VmHWM") < 40_000, "kB: of these 5 MB no more than one is held"


def test_no_mark(binary, pair, transport):
    """Even root's: nothing is left of it."""
    with Daemon(pair.client, args=["--no-mark", "--verbose"]) as daemon:
        assert daemon.ask("check-support feature mark").args["support"] == "no"
        assert daemon.ask(f"send-probe ip-4 {ANSWERS[4]} mark 7").kind == "permission-denied"
        assert daemon.ask(f"send-probe ip-4 {ANSWERS[4]}").kind == "reply"
        with open(f"/proc/{daemon.pid}/status", encoding="ascii") as status:
            assert "CapPrm:\t0000000000000000" in status.read()
        assert "no mark: --no-mark" in daemon.stderr()


@pytest.mark.parametrize("args", [["--limit-rate", "0"], ["--limit-rate", "10000001"], ["--limit-rate", "-1"],
                                  ["--limit-rate", "1x"], ["--limit-rate="], ["--limit-rate"],
                                  ["--limit-in-flight", "1048577"], ["--limit-in-flight", " 1"],
                                  ["--limit-in-flight", "18446744073709551617"], ["--no-mark=1"]], ids=str)
def test_wrong(binary, args):
    done = subprocess.run([binary, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
