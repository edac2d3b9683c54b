# SPDX-License-Identifier: MIT
"""The daemon under test, as a client sees it."""

import collections
import dataclasses
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import time

from . import transports

ROOT = pathlib.Path(__file__).resolve().parents[3]
FIRST_TOKEN = 900_000_000  # of requests that ask() numbers itself


def built_binary():
    return os.environ.get("MTR_PACKET") or str(ROOT / "build" / "mtr-packet")


def default_binary():
    """What starts the daemon under test, as the transport under test wants it."""
    return transports.program or built_binary()


@dataclasses.dataclass
class Reply:
    """One reply line."""

    token: int
    kind: str
    args: dict
    line: str
    time: float = 0.0  # when it was read, monotonic

    @classmethod
    def parse(cls, line, when=0.0):
        words = line.split(" ")
        if len(words) < 2 or len(words) % 2 or "" in words or not re.fullmatch(r"-?\d+", words[0]):
            raise AssertionError(f"not a reply line: {line!r}")
        return cls(int(words[0]), words[1], dict(zip(words[2::2], words[3::2])), line, when)

    def __str__(self):
        return self.line

    @property
    def address(self):
        return self.args.get("ip-4") or self.args.get("ip-6")

    @property
    def rtt(self):
        """Microseconds."""
        return int(self.args["round-trip-time"])


class Daemon:
    """A running daemon with pipes to and from it.

    Keywords for subprocess.Popen are handed on. With a stdout of the caller's own there is no reader; with a stdin of
    the caller's own send() can't be used.
    """

    def __init__(self, namespace=None, args=(), env=None, binary=None, wrapper=(), **popen_kw):
        environ = {name: value for name, value in os.environ.items() if name != "MTR_PACKET_REPLIES"}
        environ.update(env or {})
        self._stderr = tempfile.TemporaryFile()
        popen_kw = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._stderr, "bufsize": 0,
                    "env": environ, **popen_kw}
        argv = [*map(str, wrapper), binary or default_binary(), *map(str, args)]
        self.process = namespace.popen(*argv, **popen_kw) if namespace else subprocess.Popen(argv, **popen_kw)
        self.pid = self.process.pid
        self.replies = []  # every reply so far
        self._waiting = collections.deque()  # those that neither ask() nor collect() has handed out
        self._cond = threading.Condition()
        self._eof = self.process.stdout is None
        self._paused = threading.Event()
        self._paused.set()
        self._token = FIRST_TOKEN
        self._reader = None
        self._writers = []
        if self.process.stdout:
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    # ---- to the daemon

    def write(self, data):
        """Bytes as they are, all of them; blocks while the daemon does not read."""
        view = memoryview(data)
        while view:
            view = view[self.process.stdin.write(view):]

    def write_later(self, data):
        """The same in a thread, which is returned."""
        thread = threading.Thread(target=self._write_quietly, args=(data,), daemon=True)
        thread.start()
        self._writers.append(thread)
        return thread

    def send(self, *lines):
        self.write("".join(line + "\n" for line in lines).encode())

    def ask(self, line, timeout=5):
        """Sends one request and returns its reply; a line that begins with a command gets a token."""
        first = line.split(None, 1)[0]
        if re.fullmatch(r"-?\d+", first):
            token = int(first)
        else:
            self._token += 1
            token, line = self._token, f"{self._token} {line}"
        self.send(line)
        reply = self._take(lambda reply: reply.token == token, timeout)
        assert reply is not None, f"no reply within {timeout} s to: {line}{self._state()}"
        return reply

    def close_stdin(self):
        for writer in self._writers:  # one that is about to write would write into what gets this descriptor's number next
            writer.join(5)
        if self.process.stdin and not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass

    # ---- from the daemon

    def collect(self, n, timeout=5):
        """The next n replies in their order of arrival; fails when fewer come in time."""
        end = time.monotonic() + timeout
        with self._cond:
            while len(self._waiting) < n and not self._eof and (left := end - time.monotonic()) > 0:
                self._cond.wait(left)
            if len(self._waiting) < n:
                got = [reply.line for reply in self._waiting]
                raise AssertionError(f"{len(got)} replies within {timeout} s, expected {n}; the last of them: "
                                     f"{got[-5:]}{self._state()}")
            return [self._waiting.popleft() for _ in range(n)]

    def pause(self):
        """The reader stops reading the daemon's output (what it is reading at the moment is still taken)."""
        self._paused.clear()

    def resume(self):
        self._paused.set()

    def finish(self, timeout=10):
        """Closes its input and waits for its end: (exit status, what it wrote to stderr)."""
        self.close_stdin()
        return self.wait(timeout)

    def wait(self, timeout=10):
        """Waits for its end without closing its input."""
        end = time.monotonic() + timeout
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s, {len(self.replies)} replies so far") from None
        if self._reader:
            self._reader.join(max(1, end - time.monotonic()))
        return status, self.stderr()

    def stderr(self):
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="backslashreplace")

    def ended(self):
        """Whether its output has ended."""
        with self._cond:
            return self._eof

    def kill(self):
        """Ends it at once, if it still runs."""
        self._paused.set()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.close_stdin()
        if self._reader:
            self._reader.join(5)
        if self.process.stdout:
            self.process.stdout.close()

    # ---- its state

    def status(self, name):
        """A line of /proc/PID/status, as an integer (kB for sizes)."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1])
        raise KeyError(name)

    def cpu(self):
        """Seconds of processor time it has used."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # ---- inside

    def _take(self, wanted, timeout):
        end = time.monotonic() + timeout
        with self._cond:
            while True:
                for index, reply in enumerate(self._waiting):
                    if wanted(reply):
                        del self._waiting[index]
                        return reply
                left = end - time.monotonic()
                if left <= 0 or self._eof:
                    return None
                self._cond.wait(left)

    def _read(self):
        rest = b""
        while True:
            self._paused.wait()
            data = self.process.stdout.read(1 << 16)
            now = time.monotonic()
            *lines, rest = (rest + data).split(b"\n")
            if not data and rest:
                lines.append(rest + b" <the line has no end>")
            self._got([_parse(line, now) for line in lines], not data)
            if not data:
                return

    def _got(self, replies, eof):
        with self._cond:
            self.replies += replies
            self._waiting += replies
            self._eof = eof
            self._cond.notify_all()

    def _write_quietly(self, data):
        try:
            self.write(data)
        except (OSError, ValueError):
            pass

    def _state(self):
        status, stderr = self.process.poll(), self.stderr()
        return (f"; it exited with {status}" if status is not None else "") + (f"; stderr: {stderr}" if stderr else "")


def _parse(line, now):
    """A line that is none becomes a reply that no test expects, so that the reader goes on."""
    try:
        return Reply.parse(line.decode("ascii"), now)
    except (AssertionError, UnicodeDecodeError):
        return Reply(-1, "<malformed>", {}, line.decode("ascii", "backslashreplace"), now)


def target(address):
    """The words that name a target: ip-4 or ip-6, and the address."""
    return f"ip-{6 if ':' in address else 4} {address}"


def converse(namespace, data, args=(), timeout=60, binary=None):
    """Hands these bytes to a new daemon and closes its input: the lines that it wrote.

    Fails unless it ends by itself with status 0, without a word on stderr, and its last line is whole.
    """
    process = namespace.popen(binary or default_binary(), *args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(data, timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {timeout} s; it wrote {out[-300:]!r} and {err!r}") from None
    assert (process.returncode, err) == (0, b""), f"expected status 0 and no stderr; it wrote {out[-300:]!r}"
    assert not out or out.endswith(b"\n"), f"the last line is not whole: {out[-300:]!r}"
    return out.decode("ascii").split("\n")[:-1]
