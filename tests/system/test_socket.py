# SPDX-License-Identifier: MIT
"""One socket for many clients, each of whom has a daemon of their own, as hopline.socket and hopline@.service have it."""

import contextlib
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from lab.daemon import ROOT, Daemon, default_binary, target
from lab.pair import ANSWERS, SILENT

CONNECT = ROOT / "scripts" / "hopline-connect"
CLIENTS, PROBES = 20, 60
RATE, IN_FLIGHT = 300, 100
ANY = {4: "0.0.0.0", 6: "::"}
VICTIM = "198.18.7.7"  # whom the hostile client floods; the target drops what is for it
COUNTER = f"""
table ip hostile {{
    counter flood {{ }}
    chain output {{
        type filter hook output priority 0;
        ip daddr {VICTIM} counter name flood
    }}
}}
"""

pytestmark = pytest.mark.skipif(not shutil.which("systemd-socket-activate"),
                                reason="no systemd-socket-activate (Debian package systemd)")


class Server:
    """A socket in the client's namespace that is served as systemd serves one with Accept=yes."""

    def __init__(self, namespace, folder):
        self.path = f"{folder}/socket"
        self._process = namespace.popen(
            "systemd-socket-activate", "--accept", "--inetd", "--listen", self.path, default_binary(), "--no-mark",
            f"--limit-rate={RATE}", f"--limit-in-flight={IN_FLIGHT}", stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 5
        while not os.path.exists(self.path):
            assert time.monotonic() < end and self._process.poll() is None, "no socket"
            time.sleep(0.01)
        os.chmod(self.path, 0o666)

    def close(self):
        self._process.terminate()
        self._process.wait()
        for pid in self.daemons():
            os.kill(pid, signal.SIGKILL)

    def daemons(self):
        """Those that it has started and that still run."""
        running, pid = [], self._process.pid
        with contextlib.suppress(OSError):
            for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
                with contextlib.suppress(OSError):  # it has just ended
                    state = pathlib.Path(f"/proc/{child}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1]
                    running += [int(child)] if state[0] != "Z" else []
        return running

    def wait_for_daemons(self, count, timeout=5):
        end = time.monotonic() + timeout
        while len(self.daemons()) != count and time.monotonic() < end:
            time.sleep(0.02)
        assert len(self.daemons()) == count

    def client(self, **popen):
        """One that believes to start the daemon."""
        return Daemon(binary=str(CONNECT), args=[self.path], **popen)

    def connect(self):
        """One that has nothing but the socket."""
        one = socket.socket(socket.AF_UNIX)
        one.connect(self.path)
        return one


@pytest.fixture(name="server")
def fixture_server(binary, pair):
    with tempfile.TemporaryDirectory(prefix="hopline-test-") as folder:
        pathlib.Path(folder).chmod(0o755)
        server = Server(pair.client, folder)
        yield server
        server.close()


@pytest.fixture(name="flooded")
def fixture_flooded(pair):
    """How many packets have left for the victim so far."""
    def count():
        said = pair.client.run("nft", "-j", "list", "counter", "ip", "hostile", "flood", capture_output=True)
        return json.loads(said.stdout)["nftables"][-1]["counter"]["packets"]

    pair.client.ip(f"route add {VICTIM}/32 via {ANSWERS[4]}")
    pair.client.nft(COUNTER)
    yield count
    pair.client.run("nft", "delete", "table", "ip", "hostile")
    pair.client.ip(f"route del {VICTIM}/32")


@pytest.fixture(name="by", params=["socat", "nc.openbsd"])
def fixture_by(request, tmp_path):
    """An environment with no other program to connect with."""
    program = shutil.which(request.param)
    if not program:
        pytest.skip(f"no {request.param} (Debian packages socat, netcat-openbsd)")
    (tmp_path / request.param).symlink_to(program)
    return {"PATH": str(tmp_path)}


def test_conversation(server, by):
    """As with a daemon of one's own: the last requests are answered behind the end of input, and then it ends."""
    with server.client(env=by) as daemon:
        assert daemon.ask("check-support feature mark").args["support"] == "no"
        assert daemon.ask(f"send-probe {target(ANSWERS[6])} protocol udp port 9").kind == "reply"
        daemon.send(f"7 send-probe ip-4 {SILENT[4]} timeout 1", f"8 send-probe ip-4 {ANSWERS[4]}")
        status, said = daemon.finish()
        assert (status, said) == (0, "")
        assert [reply.token for reply in daemon.replies[-2:]] == [8, 7]
    server.wait_for_daemons(0)


def test_daemon_ends(server, by):
    """Who has a connection without a daemon learns of it at once."""
    with server.client(env=by) as daemon:
        daemon.send(f"1 send-probe ip-4 {SILENT[4]} timeout 100")
        assert daemon.ask("check-support feature icmp").args["support"] == "ok"
        os.kill(server.daemons()[0], signal.SIGTERM)
        end = time.monotonic() + 2
        while not daemon.ended() and time.monotonic() < end:
            time.sleep(0.01)
        assert daemon.ended()


def test_client_ends(server, by):
    """The daemon of a client that is gone waits for nothing."""
    with server.client(env=by) as daemon:
        daemon.send(f"1 send-probe ip-4 {SILENT[4]} timeout 100")
        assert daemon.ask("check-support feature icmp").args["support"] == "ok"
        assert len(server.daemons()) == 1
    server.wait_for_daemons(0)


@pytest.mark.parametrize("argument, said", [
    ("/nowhere/socket", "no socket"), ("/dev/null", "no socket"), ("", "not the path"), ("a,b", "not the path"),
    ("--nonsense", "no option")])
def test_no_socket(argument, said):
    done = subprocess.run([CONNECT, argument], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr


@pytest.mark.parametrize("where, family", itertools.product(["on the host", "in a container"], [4, 6]))
def test_mtr(server, pair, where, family):
    """mtr starts it without arguments. In another network it must not name a source of its own, which the daemon's has not."""
    if not shutil.which("mtr"):
        pytest.skip("no mtr (Debian package mtr-tiny)")
    words = ["mtr", f"-{family}", "-n", "-j", "-c", "1", "-G", "0.3", ANSWERS[family]]
    words = ["ip", "netns", "exec", pair.client.name, *words] if where == "on the host" else [*words, "-a", ANY[family]]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False,
                          env={**os.environ, "MTR_PACKET": str(CONNECT), "HOPLINE_SOCKET": server.path})
    assert done.returncode == 0, done.stderr
    hubs = json.loads(done.stdout)["report"]["hubs"]
    assert [hub["host"] for hub in hubs] == [ANSWERS[family]] and hubs[0]["Loss%"] == 0


# ---------------------------------------------------------------- strangers share the line

def requests():
    """Of an honest client: those that are answered, and some that are not; each client has the same tokens."""
    for token in range(PROBES):
        family, protocol = 4 + token % 2 * 2, ("icmp", "udp port 9", "tcp port 9")[token % 3]
        where = (SILENT if token % 10 == 9 else ANSWERS)[family]
        yield f"{token} send-probe {target(where)} protocol {protocol} timeout 1"


class Hostile:
    """Connections that flood, send what is no request, stop in the middle of a line, or do nothing; none reads."""

    def __init__(self, server):
        self._over = threading.Event()
        self._sockets = [server.connect() for _ in range(9)]
        for one in self._sockets:
            one.settimeout(0.1)
        flood, sweeps, noise, lines, *idle = self._sockets
        self._threads = [threading.Thread(target=self._press, args=args, daemon=True) for args in (
            (flood, lambda: f"1 send-probe ip-4 {VICTIM} timeout 0\n".encode() * 100),
            (sweeps, lambda: f"1 sweep ip-4 {VICTIM} port 1-60000 protocol udp rate 10000000 timeout 0.01\n".encode()),
            (noise, lambda: random.randbytes(4096)),
            (lines, lambda: b"1 send-probe ip-4 192.0.2.1 payload " + b"00" * 40000 + b"\n"))]
        idle[0].sendall(b"1 send-probe ip-4")
        for thread in self._threads:
            thread.start()

    def close(self):
        self._over.set()
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def _press(self, one, make):
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                one.sendall(make())


def test_twenty_clients_and_a_hostile_one(server, flooded):
    """Each has their own replies, all of them; what the hostile one sends keeps to the limits of its connections."""
    hostile = Hostile(server)
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.callback(hostile.close)
        clients = [stack.enter_context(server.client()) for _ in range(CLIENTS)]
        for one in clients:
            one.send(*requests())
        for one in clients:
            replies = {reply.token: reply for reply in one.collect(PROBES, 20)}
            assert len(replies) == PROBES
            for token, reply in replies.items():
                assert reply.kind == ("no-reply" if token % 10 == 9 else "reply"), reply
                assert token % 10 == 9 or reply.address == ANSWERS[4 + token % 2 * 2]
        assert len(server.daemons()) >= CLIENTS + 9
        sent, took = flooded(), time.monotonic() - begin
    assert 0 < sent <= 2 * RATE * (took + 0.1) + 2, "two connections flood"
    server.wait_for_daemons(0)
