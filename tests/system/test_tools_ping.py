# SPDX-License-Identifier: MIT
"""probe-ping over a played path."""

import os
import re
import signal
import statistics
import time

import pytest

from lab import twelve
from lab.daemon import Daemon
from lab.net import Namespace
from lab.path import Path, hops, target, target_address
from lab.tools import run, start

TARGET, OTHER = target_address(0), target_address(1)

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(scope="module")
def path():
    with Namespace("ping") as namespace, Path(namespace) as played:
        yield played


@pytest.fixture
def additions(path, binary):
    """Skips where the daemon has neither collect nor detail."""
    with Daemon(path.namespace, binary=binary) as daemon:
        for feature in ("collect", "detail"):
            if daemon.ask(f"check-support feature {feature}").args["support"] != "ok":
                pytest.skip(f"the daemon has no {feature}")


def test_loss_and_a_second_host(path):
    """A line each answer, a word for each that is lost, a summary for each host, status 1; a name that has no address
    is told, and the rest goes on."""
    path.play(hops(2), [target(0, loses=3), target(1)])
    said = run(path.namespace, "probe-ping", "-c6", "-i0.05", "-W0.3", TARGET[4], "nosuch.invalid", OTHER[6], quiet=False)
    assert said.status == 1
    assert re.fullmatch("probe-ping: nosuch.invalid: no address found(: .*)?\n", said.err)
    answers = [line for line in said.lines if f"from {TARGET[4]}: seq=" in line and " time=" in line]
    assert [int(re.search("seq=([0-9]+)", line)[1]) for line in answers] == [1, 2, 4, 5]
    for seq in (3, 6):
        assert f"no answer from {TARGET[4]}: seq={seq}" in said.lines
    at = said.lines.index(f"--- {TARGET[4]} ---")
    assert said.lines[at + 1] == "6 sent, 4 received, 33.33% lost"
    assert said.lines[at + 3] == "--- nosuch.invalid ---" and said.lines[at + 4].startswith("no address found")
    assert said.lines[at + 5:at + 7] == [f"--- {OTHER[6]} ---", "6 sent, 6 received, 0% lost"]


def test_json_and_its_sums(path):
    """One object a line; the summary is what the answers make, jitter as icmplib has it."""
    path.play([], [target()])
    said = run(path.namespace, "probe-ping", "--json", "-c5", "-i", "0.02", TARGET[6])
    times = [one["ms"] for one in said.of_type("answer")]
    assert said.status == 0 and len(times) == 5
    assert [(one["seq"], one["kind"], one["from"]) for one in said.of_type("answer")] == [
        (seq, "reply", TARGET[6]) for seq in range(1, 6)]
    total = said.of_type("summary")[0]
    assert (total["sent"], total["received"], total["loss_percent"]) == (5, 5, 0)
    assert (total["min_ms"], total["max_ms"]) == (min(times), max(times))
    assert total["avg_ms"] == pytest.approx(statistics.mean(times), abs=0.001)
    assert total["stddev_ms"] == pytest.approx(statistics.pstdev(times), abs=0.001)
    assert total["jitter_ms"] == pytest.approx(statistics.mean(abs(a - b) for a, b in zip(times, times[1:])), abs=0.001)


def test_duplicates(path, additions):
    path.play([], [target(copies=2)])
    said = run(path.namespace, "probe-ping", "-c3", "-i0.1", TARGET[4])
    assert said.status == 0
    for line, end in zip(said.lines, ("", r" \(duplicate\)")):
        assert re.fullmatch(r"64 bytes from \S+: seq=1 ttl=64 time=\S+ ms" + end, line)
    assert re.search(r"^3 sent, 3 received, 0% lost, [23] duplicate answers$", said.out, re.M)


def test_late(path, additions):
    """Lost by the timeout, and shown all the same."""
    path.play([], [target(delay=0.35)])
    said = run(path.namespace, "probe-ping", "-c4", "-i0.15", "-W0.2", TARGET[4])
    assert said.status == 1
    assert said.lines.index(f"no answer from {TARGET[4]}: seq=1") < \
        said.lines.index(next(line for line in said.lines if "seq=1 " in line and line.endswith("(late)")))
    assert re.search(r"^4 sent, 0 received, 100% lost, [123] late answers?$", said.out, re.M)


def test_a_router_answers(path):
    """The error in words, by whom, with the labels."""
    path.play(twelve.ROUTERS, [twelve.TARGET])
    said = run(path.namespace, "probe-ping", "-c1", "-t7", twelve.TARGET.address[6])
    assert said.status == 1
    assert re.fullmatch(f"from {twelve.address(7, 6)}: seq=1 (ttl=64 )?time=\\S+ ms time to live exceeded mpls "
                        "1048575 class 7 ttl 255, 0 class 0 ttl 0, 299776 class 5 ttl 2", said.lines[0])


@pytest.mark.parametrize("protocol", ["udp", "tcp", "sctp"])
def test_protocols(path, protocol):
    path.play([], [target()])
    assert run(path.namespace, "probe-ping", "-q", "-c2", "-i0.05", "-p", f"{protocol}:443", TARGET[4]).status == 0


@pytest.mark.parametrize("to_all", [True, False])
def test_interrupt(path, to_all):
    """Answers show as they come; Ctrl-C, or a signal to the tool alone, prints the summary."""
    path.play([], [target()])
    began = time.monotonic()
    tool = start(path.namespace, "probe-ping", "-i0.2", TARGET[4])
    lines = [tool.stdout.readline() for _ in range(2)]
    assert all(" time=" in line for line in lines) and time.monotonic() - began < 0.9
    if to_all:
        os.killpg(tool.pid, signal.SIGINT)
    else:
        tool.send_signal(signal.SIGTERM)
    rest, _ = tool.communicate(timeout=5)
    assert tool.returncode == 0
    assert re.search(r"^(\d+) sent, \1 received, 0% lost\nmin/avg/max/stddev ", rest, re.M)


def test_interrupt_with_probes_under_way(path):
    """Of those nobody knows whether they are lost."""
    path.play([], [target(delay=0.5)])
    tool = start(path.namespace, "probe-ping", "-i0.1", TARGET[4])
    tool.stdout.readline()
    os.killpg(tool.pid, signal.SIGINT)
    rest, _ = tool.communicate(timeout=5)
    sent, received, open_ = map(int, re.search(r"^(\d+) sent, (\d+) received, 0% lost, (\d+) under way$", rest, re.M).groups())
    assert tool.returncode == 0 and sent == received + open_


def test_fast(path):
    """An interval of a hundredth of a second, and a flood."""
    path.play([], [target()])
    began = time.monotonic()
    said = run(path.namespace, "probe-ping", "-i0.01", "-c50", "-q", TARGET[4])
    assert "50 sent, 50 received, 0% lost" in said.lines and 0.4 < time.monotonic() - began < 2
    said = run(path.namespace, "probe-ping", "-f", "-c1000", TARGET[4])
    assert said.lines[1].startswith("1000 sent, 1000 received") and len(said.lines) == 3


def test_no_probe_is_wrong_use():
    said = run(None, "probe-ping", "-c0", "127.0.0.1", quiet=False)
    assert (said.status, said.out) == (2, "") and "--count takes a number from 1 to " in said.err


def test_plot(path, tmp_path):
    path.play([], [target(loses=4)])
    drawn = tmp_path / "it's a plot.svg"
    run(path.namespace, "probe-ping", "-c8", "-i0.02", "-W0.2", "-q", "--plot", drawn, TARGET[4])
    text = drawn.read_text()
    assert text.startswith("<?xml") and "lost" in text and text.rstrip().endswith("</svg>")
