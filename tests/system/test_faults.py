# SPDX-License-Identifier: MIT
"""Faults of the host: nothing left, odd clients, standstill. Then every request was answered once, and the daemon lives."""

import collections
import contextlib
import itertools
import os
import pty
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

import pytest

from lab import cc
from lab.daemon import Daemon, target as to
from lab.expect import by_token, send
from lab.fault import FAMILIES, everything, exchange, kinds, only, recovered, tried
from lab.net import Namespace
from lab.pair import ANSWERS, SILENT
from lab.path import Path, target, target_address

PROTOCOLS = "icmp", "udp", "tcp", "sctp"
KILOBYTE, MEGABYTE = 1 << 10, 1 << 20

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture
def daemon(binary, both):
    with tried(both.client) as running:
        yield running


# ---------------------------------------------------------------- nothing left

@contextlib.contextmanager
def after(both, limit):
    """A daemon that is started by a shell under this limit."""
    with Daemon(both.client, wrapper=("sh", "-c", f'{limit} && exec "$0" "$@"')) as running:
        yield running


def serves_or_ends(daemon, served):
    """Either it does not start: status 1 and one line on stderr; or it does all that it says it supports."""
    with contextlib.suppress(BrokenPipeError):
        send(daemon, [f"check-support feature {name}" for name in (*PROTOCOLS, "ip-4", "ip-6")])
        send(daemon, everything(ANSWERS), 10)
    code, stderr = daemon.finish()
    if code != 0:
        assert code in (1, 127) and stderr.count("\n") == 1, f"exit status {code}, stderr: {stderr!r}"
        assert daemon.replies == []
        return
    assert stderr == ""
    replies = by_token(daemon.replies)
    assert len(replies) == 14, f"{len(replies)} replies to 14 requests"
    support = {name: replies[token].args["support"] == "ok"
               for token, name in enumerate((*PROTOCOLS, "ip-4", "ip-6"), 1)}
    for token, (family, protocol) in enumerate(itertools.product(FAMILIES, PROTOCOLS), 10):
        allowed = {"reply", "probes-exhausted"} if support[protocol] and support[f"ip-{family}"] else \
            {"invalid-argument"}
        if support[protocol] and protocol != "icmp":
            allowed.add("invalid-argument")  # it may be the other family's
        assert replies[token].kind in allowed, f"{support}, but: {replies[token]}"
    served.append(all(reply.kind == "reply" for token, reply in replies.items() if token >= 10))


def test_few_descriptors_at_start(both):
    """No descriptors left at start: it says so and ends, or serves what it has sockets for."""
    served = []
    for number in range(4, 26):
        with after(both, f"ulimit -n {number}") as daemon:
            serves_or_ends(daemon, served)
    assert served and served[-1], "with 25 descriptors everything is served"


def test_descriptors_run_out(both):
    """No descriptor left for this probe: probes-exhausted; the next one is served when others have ended."""
    with after(both, "ulimit -n 24") as daemon:
        recovered(daemon)
        requests = [f"send-probe {to(SILENT[family])} protocol udp local-port {port} timeout 1"
                    for port in range(20000, 20100) for family in FAMILIES]
        for _ in range(2):
            replies = exchange(daemon, requests)
            assert set(kinds(replies)) == {"no-reply", "probes-exhausted"}, kinds(replies)
            recovered(daemon)
        assert daemon.finish() == (0, "")


def test_little_memory_at_start(both):
    """RLIMIT_AS at start: it says so and ends, or serves."""
    served = []
    for size in (*range(2000, 12000, 500), 20000, 40000):
        with after(both, f"ulimit -v {size}") as daemon:
            serves_or_ends(daemon, served)
    assert served and served[-1], "with 40 MB of addresses everything is served"


@pytest.mark.parametrize("room", [0, 256 * KILOBYTE, MEGABYTE, 4 * MEGABYTE], ids=str)
def test_memory_limit(daemon, room):
    """Memory limit reached (RLIMIT_AS): probes-exhausted for those that have no place, and on it goes."""
    size = daemon.status("VmSize") * KILOBYTE
    unlimited = resource.prlimit(daemon.pid, resource.RLIMIT_AS, (size + room, resource.RLIM_INFINITY))
    count = 40_000
    silent = [f"send-probe {to(SILENT[4 + 2 * (number % 2)])} protocol {PROTOCOLS[number // 2 % 4]} timeout 1"
              for number in range(count)]
    replies = exchange(daemon, silent, timeout=20)
    only(replies, "no-reply", "probes-exhausted")
    assert "no-reply" in kinds(replies), "it had memory for some"
    assert room > MEGABYTE or "probes-exhausted" in kinds(replies), f"it had no memory for all: {kinds(replies)}"
    recovered(daemon, within=0)
    resource.prlimit(daemon.pid, resource.RLIMIT_AS, unlimited)
    only(exchange(daemon, silent, timeout=20), "no-reply")


class FailingMalloc:
    """The orders to failing_malloc.c."""

    def __init__(self, path):
        self.path = path
        self.order()

    def order(self, every=0, alone=0):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb", buffering=0) as file:
            file.write(struct.pack("II", every, alone))

    def environment(self):
        return {"LD_PRELOAD": str(cc.preload("failing_malloc.c")), "FAILING_MALLOC": str(self.path)}


@pytest.fixture
def malloc(tmp_path):
    if cc.sanitized():
        pytest.skip("the sanitizers allocate by themselves")
    return FailingMalloc(tmp_path / "orders")


@contextlib.contextmanager
def preloaded(both, malloc):
    """A daemon whose allocations fail by orders; not what starts it."""
    words = [f"{name}={value}" for name, value in malloc.environment().items()]
    with Daemon(both.client, wrapper=("env", *words)) as running:
        yield running


@pytest.mark.parametrize("every", [1, 2, 7])
def test_allocations_fail(both, malloc, every):
    """Allocation failing at any point: probes-exhausted, and on it goes."""
    with preloaded(both, malloc) as daemon:
        daemon.ask("check-support feature icmp")
        malloc.order(every=every)
        count = 30_000
        silent = [f"send-probe {to(SILENT[4 + 2 * (number % 2)])} protocol {PROTOCOLS[number // 2 % 4]} timeout 1"
                  for number in range(count)]
        only(exchange(daemon, everything(ANSWERS) * 5), "reply", "probes-exhausted")
        replies = exchange(daemon, silent, timeout=20)
        only(replies, "no-reply", "probes-exhausted")
        assert every > 1 or "probes-exhausted" in kinds(replies), kinds(replies)
        malloc.order()
        recovered(daemon)
        only(exchange(daemon, silent, timeout=20), "no-reply")
        assert daemon.finish() == (0, "")


def test_no_memory_for_the_first_reply(both, malloc):
    """Memory ends before anything was ever said: each request is answered all the same."""
    with preloaded(both, malloc) as daemon:
        time.sleep(0.5)
        malloc.order(every=1)
        only(exchange(daemon, [f"send-probe {to(SILENT[4])} timeout 1"] * 1000), "probes-exhausted")
        malloc.order()
        recovered(daemon)
        assert daemon.finish() == (0, "")


@pytest.mark.parametrize("again", [True, False], ids=["for a while", "for good"])
def test_no_memory_for_replies(both, malloc, again):
    """No memory for replies that nobody reads: it can be ended; when there is some again the daemon goes on."""
    with preloaded(both, malloc) as daemon:
        daemon.ask("check-support feature icmp")
        daemon.pause()
        send(daemon, [f"send-probe {to(SILENT[4])} timeout 1"] * 8000)
        malloc.order(every=1)
        time.sleep(2.5)
        if again:
            malloc.order()
        start = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(5) == -signal.SIGTERM
        assert time.monotonic() - start < 0.5


def test_one_allocation_fails(both, malloc):
    """The first, the second, the third... alone fails: at the start it says so and ends, later it serves on."""
    served = []
    for number in range(1, 60):
        malloc.order(alone=number)
        with preloaded(both, malloc) as daemon:
            serves_or_ends(daemon, served)
    assert served and served[-1]


# ---------------------------------------------------------------- clients of all kinds

def open_end(kind, directory, is_input):
    """(what the daemon gets, what the test keeps): descriptors."""
    if kind == "pipe":
        reader, writer = os.pipe()
        return (reader, writer) if is_input else (writer, reader)
    if kind == "socket":
        theirs, ours = socket.socketpair()
        return theirs.detach(), ours.detach()
    if kind == "terminal":
        ours, theirs = pty.openpty()
        modes = termios.tcgetattr(theirs)
        modes[1] &= ~termios.OPOST
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, modes)
        return theirs, ours
    path = directory / ("input" if is_input else "output")
    path.write_bytes(b"")
    return os.open(path, os.O_RDONLY if is_input else os.O_WRONLY), os.open(path, os.O_RDWR)


def end_of_input(kind, fd):
    if kind == "terminal":
        os.write(fd, b"\x04")
    elif kind == "socket":
        with socket.socket(fileno=os.dup(fd)) as sock:
            sock.shutdown(socket.SHUT_WR)
    elif kind == "pipe":
        os.close(fd)


def read_all(fd):
    data = b""
    with contextlib.suppress(OSError):  # a terminal whose other side is closed: EIO
        while piece := os.read(fd, 1 << 16):
            data += piece
    return data


KINDS = "pipe", "file", "socket", "terminal"


@pytest.mark.parametrize("output", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_input_and_output(binary, pair, tmp_path, source, output):
    """Stdin and stdout a pipe, a file, a socket, a terminal: each request is answered once, then status 0."""
    requests = everything(ANSWERS) + everything(SILENT, "timeout 0.2") + ["check-support feature icmp", "nonsense"] * 20
    text = "".join(f"{token} {request}\n" for token, request in enumerate(requests, 1)).encode()
    theirs_in, ours_in = open_end(source, tmp_path, True)
    theirs_out, ours_out = open_end(output, tmp_path, False)
    if source == "file":
        os.write(ours_in, text)
    process = pair.client.popen(binary, stdin=theirs_in, stdout=theirs_out, stderr=subprocess.PIPE)
    try:
        os.close(theirs_in)
        os.close(theirs_out)
        if source != "file":
            os.write(ours_in, text)
        end_of_input(source, ours_in)
        data = read_all(ours_out) if output != "file" else b""
        assert process.wait(10) == 0
        assert process.stderr.read() == b""
        data += read_all(ours_out) if output == "file" else b""
    finally:
        process.kill()
        process.wait()
    lines = data.decode("ascii").split("\n")
    assert lines.pop() == "", "the last line is whole"
    tokens = sorted(int(line.split(" ")[0]) for line in lines)
    assert tokens == list(range(1, len(requests) + 1)), lines
    found = collections.Counter(line.split(" ")[1] for line in lines)
    assert found == {"reply": 8, "no-reply": 8, "feature-support": 20, "unknown-command": 20}, found
    for fd in {ours_in, ours_out}:
        with contextlib.suppress(OSError):
            os.close(fd)


def test_output_to_who_sits_at_a_terminal(binary, pair, tmp_path):
    """Stdout is a terminal's other side, as who plays the terminal has it: replies come out of that terminal."""
    theirs, ours = open_end("terminal", tmp_path, False)
    with Daemon(pair.client, binary=binary, stdout=ours) as daemon:
        daemon.send("7 check-support feature icmp")
        assert select.select([theirs], [], [], 5)[0], "nothing came out of the terminal"
        assert os.read(theirs, 100).startswith(b"7 feature-support support ok")
        assert daemon.finish() == (0, "")
    os.close(theirs)
    os.close(ours)


def test_output_file_may_not_grow(binary, pair, tmp_path):
    """A file that has reached RLIMIT_FSIZE: exit status 1, and a word, as for a full disk."""
    with open(tmp_path / "replies", "wb") as stdout, \
            Daemon(pair.client, wrapper=("sh", "-c", 'ulimit -f 1 && exec "$0" "$@"'), stdout=stdout) as daemon:
        daemon.send(*(f"{token} check-support feature icmp" for token in range(200)))
        code, stderr = daemon.finish()
    assert code == 1 and re.fullmatch(r"mtr-packet: can't write replies: [^\n]+\n", stderr), (code, stderr)


CLIENT_PROGRAM = """
import subprocess, sys, time
daemon = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
daemon.stdin.write(sys.argv[2].encode() * 100 + b"7 check-support feature icmp\\n")
daemon.stdin.flush()
assert daemon.stdout.readline() == b"7 feature-support support ok\\n"
print(daemon.pid, flush=True)
time.sleep(60)
"""


def is_over(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_client_killed(binary, pair):
    """A client killed: its daemon goes, too, with probes in flight that would last."""
    request = f"1 send-probe {to(SILENT[4])} timeout 50\n"
    client = pair.client.popen(sys.executable, "-c", CLIENT_PROGRAM, binary, request, stdout=subprocess.PIPE)
    pid = int(client.stdout.readline())
    assert not is_over(pid)
    client.kill()
    client.wait()
    end = time.monotonic() + 2
    while not is_over(pid) and time.monotonic() < end:
        time.sleep(0.01)
    over = is_over(pid)
    if not over:
        os.kill(pid, signal.SIGKILL)  # it is ours: its client was
    assert over, "the daemon outlives its client"
    client.stdout.close()


# ---------------------------------------------------------------- time

def test_stopped_before_a_deadline(pair, binary):
    """SIGSTOP and SIGCONT with nothing to do but to wait: the standstill does not come on top of the timeout."""
    with Daemon(pair.client, binary=binary) as daemon:
        daemon.ask("check-support feature icmp")
        start = time.monotonic()
        daemon.send(f"1 send-probe {to(SILENT[4])} timeout 2")
        time.sleep(0.3)
        os.kill(daemon.pid, signal.SIGSTOP)
        time.sleep(1.4)
        os.kill(daemon.pid, signal.SIGCONT)
        [reply] = daemon.collect(1)
        assert reply.kind == "no-reply" and 2 <= reply.time - start < 2.7


def test_stopped(binary):
    """SIGSTOP for longer than the timeouts, then SIGCONT: answers that came in time count, with the time at which they
    came; those that came too late do not."""
    delays = {"in time": 0.4, "too late": 1.3}
    targets = {name: number for number, name in enumerate(delays)}
    silent = target_address(9)
    with Namespace("stopped") as namespace, \
            Path(namespace, [], [target(targets[name], delay=delay) for name, delay in delays.items()]) as path, \
            Daemon(namespace, binary=binary) as daemon:
        groups = [(name, everything(target_address(targets[name])) * 25) for name in delays]
        groups.append(("silent", everything(silent) * 25))
        requests = [request for _, group in groups for request in group]

        def stop():
            end = time.monotonic() + 5
            while path.count() < len(requests) - len(groups[-1][1]) and time.monotonic() < end:
                time.sleep(0.01)
            os.kill(daemon.pid, signal.SIGSTOP)
            time.sleep(2)
            assert daemon.replies == [], "it was stopped too late"
            os.kill(daemon.pid, signal.SIGCONT)

        for _ in range(2):
            daemon.replies.clear()
            path.play([], [target(targets[name], delay=delay) for name, delay in delays.items()])
            replies = exchange(daemon, requests, meanwhile=stop)
            size = len(groups[0][1])
            only(replies[:size], "reply")
            only(replies[size:], "no-reply")
            times = [reply.rtt / 1e6 for reply in replies[:size]]
            assert 0.4 <= min(times) and max(times) < 0.5, f"answered after 0.4 s, said: {min(times)} to {max(times)}"
        assert daemon.finish() == (0, "")
