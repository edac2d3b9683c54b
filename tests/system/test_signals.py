# SPDX-License-Identifier: MIT
"""How the daemon ends by a signal, and what must not keep it from that."""

import contextlib
import os
import pty
import signal
import socket
import subprocess
import threading
import time

import pytest

from lab import cc, transports
from lab.daemon import Daemon, target as to
from lab.pair import ANSWERS, SILENT

ENDING = "TERM", "INT", "HUP"
every_ending = pytest.mark.parametrize("name", ENDING)


def number(name):
    return getattr(signal, f"SIG{name}")


def in_flight(daemon):
    """One probe answered, its reply read, and many of which nothing comes."""
    daemon.send(f"1 send-probe {to(ANSWERS[4])}", *[f"2 send-probe {to(SILENT[4])}"] * 100)
    assert [reply.kind for reply in daemon.collect(1)] == ["reply"]


@every_ending
def test_ends_by_it(daemon, name):
    """"the process ends by that signal, as a shell expects": at once, with probes in flight, without a word."""
    in_flight(daemon)
    start = time.monotonic()
    os.kill(daemon.pid, number(name))
    assert daemon.wait(5) == (-number(name), "")
    assert time.monotonic() - start < 0.5
    assert len(daemon.replies) == 1


@every_ending
def test_ignored(binary, pair, name):
    """"one that was ignored when it started stays ignored"; the others end it all the same."""
    other = ENDING[ENDING.index(name) - 1]
    with Daemon(pair.client, wrapper=("env", f"--ignore-signal={name}")) as daemon:
        in_flight(daemon)
        os.kill(daemon.pid, number(name))
        assert daemon.ask("check-support feature icmp").args == {"support": "ok"}
        os.kill(daemon.pid, number(name))
        os.kill(daemon.pid, number(other))
        assert daemon.wait(5) == (-number(other), "")


@pytest.mark.parametrize("starter", ["nohup", "background"])
def test_ignored_by_those_who_do(binary, pair, starter):
    """nohup(1), and a shell for what runs in its background: SIGHUP, or SIGINT, that comes to them all."""
    wrapper, name = {"nohup": (("nohup",), "HUP"),
                     "background": (("sh", "-c", 'exec 3<&0; "$0" <&3 & trap "" INT; wait'), "INT")}[starter]
    with Daemon(pair.client, wrapper=wrapper, start_new_session=True) as daemon:
        assert daemon.ask("check-support feature icmp").args == {"support": "ok"}
        os.killpg(daemon.pid, number(name))
        assert daemon.ask(f"send-probe {to(ANSWERS[4])}").kind == "reply"
        assert daemon.finish()[0] == 0


def test_blocked(binary, pair):
    """One that was blocked when it started ends it."""
    with Daemon(pair.client, wrapper=("env", "--block-signal=TERM")) as daemon:
        in_flight(daemon)
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.wait(5) == (-signal.SIGTERM, "")


def test_loop_of_a_shell(binary, pair):
    """Ctrl-C ends a loop over it: bash goes on with its script unless what it waits for was ended by SIGINT."""
    loop = f'while :; do echo "1 send-probe {to(SILENT[4])}" | "$0"; done'
    process = pair.client.popen("bash", "-c", loop, binary, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        time.sleep(0.7)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(3) == -signal.SIGINT
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_process_1(binary, pair):
    """Process 1 of a container is not ended by such signals of its own: its exit status says which it was."""
    with Daemon(pair.client, wrapper=("unshare", "--pid", "--fork", "--kill-child")) as daemon:
        in_flight(daemon)
        with open(f"/proc/{daemon.pid}/task/{daemon.pid}/children", encoding="ascii") as file:
            child = int(file.read())
        os.kill(child, signal.SIGTERM)
        assert daemon.wait(5) == (128 + signal.SIGTERM, "")


def test_before_it_listens(binary, pair):
    """With --verbose it says what it can't do before it reads a request: who does not read that can end it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    with Daemon(pair.client, args=["--verbose"], stderr=writer) as daemon:
        os.close(writer)
        daemon.send("1 check-support feature icmp")
        time.sleep(0.5)
        start = time.monotonic()
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.process.wait(5) == -signal.SIGTERM
        assert time.monotonic() - start < 0.5
    os.close(reader)


# ---------------------------------------------------------------- a standard input that somebody else empties first

@contextlib.contextmanager
def ends(kind):
    """(what the daemon reads, what the test writes to): descriptors."""
    if kind == "pipe":
        theirs, ours = os.pipe()
    elif kind == "socket":
        theirs, ours = (end.detach() for end in socket.socketpair())
    else:
        ours, theirs = pty.openpty()
    try:
        yield theirs, ours
    finally:
        os.close(theirs)
        os.close(ours)


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
def test_stolen_input(binary, pair, transport, kind):
    """poll(2) says that there is a request, and then there is none: deadlines and signals are kept."""
    if cc.sanitized():
        pytest.skip("the sanitizers want to be loaded first")
    if cc.is_musl() and transport == transports.PLAIN:
        pytest.skip("the programs that start the daemon there have another C library than it")
    wrapper = "env", f"LD_PRELOAD={cc.preload('thief.c')}"
    with ends(kind) as (theirs, ours), Daemon(pair.client, wrapper=wrapper, stdin=theirs) as daemon:
        os.write(ours, f"1 send-probe {to(SILENT[4])} timeout 1\n".encode())
        time.sleep(0.5)
        os.write(ours, b"2 check-support feature icmp\n")
        assert [reply.line for reply in daemon.collect(1, timeout=1)] == ["1 no-reply"]
        assert os.get_blocking(theirs), "others may share it"
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.wait(1) == (-signal.SIGTERM, "")


def test_two_readers_of_one_pipe(binary, pair):
    """Whoever is faster has the request: each is answered once, in time, and both can be ended."""
    reader, writer = os.pipe()
    with Daemon(pair.client, stdin=reader) as one, Daemon(pair.client, stdin=reader) as other:
        time.sleep(0.5)
        for token in range(1, 41):
            os.write(writer, f"{token} send-probe {to(SILENT[4])} timeout 0.3\n".encode())
            time.sleep(0.01)
        time.sleep(0.5)
        replies = one.replies + other.replies
        assert sorted(reply.line for reply in replies) == sorted(f"{token} no-reply" for token in range(1, 41))
        for daemon in (one, other):
            os.kill(daemon.pid, signal.SIGTERM)
            assert daemon.wait(1) == (-signal.SIGTERM, "")
    os.close(reader)
    os.close(writer)


def test_writer_of_a_fifo_is_gone(binary, pair, tmp_path):
    """A FIFO whose writer has come and gone by the time it is read ends all the same."""
    path = tmp_path / "requests"
    os.mkfifo(path)

    def write():
        with open(path, "wb") as fifo:
            fifo.write(f"1 send-probe {to(ANSWERS[4])}\n".encode())

    writer = threading.Thread(target=write)
    writer.start()
    with open(path, "rb") as fifo:
        writer.join()
        with Daemon(pair.client, stdin=fifo) as daemon:
            assert daemon.wait(5) == (0, "")
            assert [reply.kind for reply in daemon.replies] == ["reply"]
