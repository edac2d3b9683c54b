# SPDX-License-Identifier: MIT
"""Clients that read slowly, or never, or are gone."""

import contextlib
import fcntl
import os
import resource
import signal
import subprocess
import time

import pytest

from lab import cc
from lab.daemon import Daemon, converse, target as to
from lab.pair import ANSWERS, SILENT

F_SETPIPE_SZ = 1031
MEGABYTE = 1024  # in kB, as /proc/PID/status counts


def probes(count, words, first=1):
    """So many requests with tokens of their own, as bytes."""
    return "".join(f"{token} send-probe {words}\n" for token in range(first, first + count)).encode()


def check_all(replies, count, kind):
    """Each of `count` tokens answered once, and with this kind."""
    others = [reply.line for reply in replies if reply.kind != kind]
    assert others == [], f"{len(others)} of {count} are no {kind}: {others[:5]}"
    assert sorted(reply.token for reply in replies) == list(range(1, count + 1))


@pytest.mark.parametrize("family", [4, 6])
def test_slow_reader(daemon, family):
    """60,000 answered probes and a client that reads nothing for three seconds: no answer is lost (the peer: 491)."""
    count = 60_000
    daemon.ask("check-support feature icmp")
    daemon.pause()
    writer = daemon.write_later(probes(count, to(ANSWERS[family])))
    time.sleep(3)
    daemon.resume()
    check_all(daemon.collect(count, timeout=30), count, "reply")
    writer.join()
    assert daemon.finish() == (0, "")


def test_reader_that_stops_and_goes(daemon):
    """"all goes on when the client reads again": a client that reads now and then, with several kinds of probes."""
    rows = [(ANSWERS[4], "icmp"), (ANSWERS[6], "udp"), (ANSWERS[4], "tcp"), (ANSWERS[6], "icmp")]
    count = 2500
    for number, (address, protocol) in enumerate(rows):
        daemon.write_later(probes(count, f"{to(address)} protocol {protocol}", 1 + number * count)).join(0.3)
        for _ in range(3):
            daemon.pause()
            time.sleep(0.1)
            daemon.resume()
            time.sleep(0.02)
        got = daemon.collect(count, timeout=20)
        assert [reply.line for reply in got if reply.kind != "reply"] == []
    check_all(daemon.replies, count * len(rows), "reply")


@pytest.mark.parametrize("family", [4, 6])
def test_reply_in_a_flood(binary, pair, tmp_path, family):
    """A reply is not kept until all requests that are at hand have been taken, each of them 45 fragments here."""
    path = tmp_path / "requests"
    path.write_bytes(f"1 send-probe {to(ANSWERS[family])}\n".encode() + probes(1000, f"{to(SILENT[family])} size 64000", 2) +
                     b"200000 check-support feature icmp\n")
    with open(path, "rb") as file, Daemon(pair.client, stdin=file) as daemon:
        first, last = daemon.collect(2, timeout=20)
    assert [(reply.token, reply.kind) for reply in (first, last)] == [(1, "reply"), (200_000, "feature-support")]
    assert last.time - first.time > 0.02, f"it came only {last.time - first.time:.3f} s before all had been taken"


@pytest.mark.parametrize("line", [f"1 send-probe {to(ANSWERS[4])}\n", f"1 send-probe {to(SILENT[6])} timeout 1\n",
                                  "1 check-support feature icmp\n", "x\n"],
                         ids=["answered", "silent", "check-support", "bad"])
def test_never_read(daemon, line):
    """"no request is read beyond what can be answered": its memory is bounded, it lives, it does not spin."""
    daemon.ask("check-support feature icmp")
    before = daemon.status("VmRSS")
    daemon.pause()
    writer = daemon.write_later(line.encode() * (8_000_000 // len(line)))
    time.sleep(2.5)
    sizes, cpu = [daemon.status("VmRSS")], daemon.cpu()
    time.sleep(1)
    sizes.append(daemon.status("VmRSS"))
    if SILENT[6] not in line:  # these may all be in flight before there is an answer that is not taken
        assert writer.is_alive(), "it read eight megabytes of requests for a client that takes no answer"
    assert daemon.process.poll() is None
    assert sizes[1] - before < 64 * MEGABYTE, f"it grew from {before} kB to {sizes} kB"
    assert sizes[1] - sizes[0] < 4 * MEGABYTE, f"it still grows: {sizes} kB"
    assert daemon.cpu() - cpu < 0.3, f"it used {daemon.cpu() - cpu:.2f} s of a second with nothing to do"


@pytest.mark.parametrize("in_flight", ["", f"1 send-probe {to(SILENT[4])}", f"1 send-probe {to(ANSWERS[4])}"],
                         ids=["idle", "in flight", "answered"])
def test_closed_output(binary, pair, in_flight):
    """"Output closed (POLLERR): exit at once, status 0, without noise", while its input is still open."""
    reader, writer = os.pipe()
    with Daemon(pair.client, stdout=writer) as daemon:
        os.close(writer)
        daemon.send("7 check-support feature icmp")
        assert os.read(reader, 100) == b"7 feature-support support ok\n"
        if in_flight and ANSWERS[4] not in in_flight:
            daemon.send(in_flight)
            time.sleep(0.1)
        start = time.monotonic()
        os.close(reader)
        if ANSWERS[4] in in_flight:
            with contextlib.suppress(BrokenPipeError):
                daemon.send(in_flight)
        assert daemon.wait(5) == (0, "")
        assert time.monotonic() - start < 1


def test_output_closed_from_the_start(binary, pair):
    """A program whose output nobody can take ends at once, and without noise."""
    with Daemon(pair.client, wrapper=["sh", "-c", 'exec "$0" >&-'], stdout=subprocess.DEVNULL) as daemon:
        daemon.send("1 check-support feature icmp")
        status, stderr = daemon.finish(5)
    assert status in (0, 1) and (status == 1 or stderr == "")


@pytest.mark.parametrize("stdin", ["closed", "null"])
def test_no_input(binary, pair, stdin):
    """No input at all is the end of input: exit status 0 without a word."""
    wrapper = ["sh", "-c", 'exec "$0" <&-'] if stdin == "closed" else []
    with Daemon(pair.client, wrapper=wrapper, stdin=subprocess.DEVNULL) as daemon:
        assert daemon.wait(5) == (0, "")
        assert daemon.replies == []


def test_nothing_to_stand_for_what_is_closed(binary):
    """Where even /dev/null can't be opened in the place of a closed descriptor, a socket would get that: so it ends."""
    if cc.sanitized():
        pytest.skip("the sanitizers need descriptors")

    def close():
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, 1))  # for what loads the program
        os.close(0)
        os.close(1)

    ended = subprocess.run([binary], check=False, stderr=subprocess.PIPE, text=True, preexec_fn=close, timeout=10)
    assert ended.returncode == 1
    assert ended.stderr.startswith("mtr-packet: can't open /dev/null: "), ended.stderr


def test_input_and_output_are_files(binary, pair, tmp_path):
    """A shell pipe is not the only way: requests from a file, replies to one."""
    requests, replies = tmp_path / "requests", tmp_path / "replies"
    requests.write_bytes(probes(1000, to(ANSWERS[4])) + probes(1, to(ANSWERS[6]), 1001).rstrip())
    with open(requests, "rb") as stdin, open(replies, "wb") as stdout, \
            Daemon(pair.client, stdin=stdin, stdout=stdout) as daemon:
        assert daemon.wait(10) == (0, "")
    lines = replies.read_text(encoding="ascii").splitlines()
    assert sorted(int(line.split()[0]) for line in lines) == list(range(1, 1002))
    assert all(" reply ip-" in line for line in lines)


def test_sigterm_in_flight(daemon):
    """"what was answered is written as far as it can be": at once, with probes in flight."""
    daemon.send(f"1 send-probe {to(ANSWERS[4])}", *[f"2 send-probe {to(SILENT[4])}"] * 100, "3 nonsense")
    got = {reply.line.split(" ip-4")[0] for reply in daemon.collect(2)}
    assert got == {"1 reply", "3 unknown-command"}
    start = time.monotonic()
    os.kill(daemon.pid, signal.SIGTERM)
    status, stderr = daemon.wait(5)
    assert time.monotonic() - start < 0.5
    assert (status, stderr) == (-signal.SIGTERM, "")
    assert len(daemon.replies) == 2, daemon.replies


def test_sigterm_busy(daemon):
    """The same in the middle of much work: whole lines, none twice, all of them right."""
    daemon.write_later(probes(200_000, to(ANSWERS[4])))
    daemon.collect(5000, timeout=10)
    os.kill(daemon.pid, signal.SIGTERM)
    status, stderr = daemon.wait(5)
    assert (status, stderr) == (-signal.SIGTERM, "")
    assert [reply.line for reply in daemon.replies if reply.kind != "reply"] == []
    assert len({reply.token for reply in daemon.replies}) == len(daemon.replies)


def test_sigterm_unread(daemon):
    """"as far as it can be without blocking": a client that reads nothing does not keep it alive."""
    fcntl.fcntl(daemon.process.stdout, F_SETPIPE_SZ, 4096)
    daemon.pause()
    daemon.write_later(b"1 check-support feature icmp\n" * 100_000)
    time.sleep(0.5)
    start = time.monotonic()
    os.kill(daemon.pid, signal.SIGTERM)
    assert daemon.process.wait(5) == -signal.SIGTERM
    assert time.monotonic() - start < 0.5
    daemon.resume()
    assert daemon.wait()[1] == ""


def test_as_fast_as_the_pipe(binary, pair):
    """300,000 requests as fast as they are taken, end of input behind them: every one is answered."""
    count = 300_000
    lines = converse(pair.client, probes(count, to(ANSWERS[4])), timeout=60)
    others = [line for line in lines if " reply ip-4 " not in line]
    assert others == [], f"{len(others)} of {count} are no reply: {others[:5]}"
    assert sorted(int(line.split(" ", 1)[0]) for line in lines) == list(range(1, count + 1))
