# SPDX-License-Identifier: MIT
"""The probe tools, run against the daemon under test; those that are scripts, under a shell and an awk."""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import pty
import shutil
import signal
import struct
import subprocess
import termios
import time

import pytest

try:
    import jsonschema
except ImportError:  # Debian package python3-jsonschema
    jsonschema = None

from .daemon import ROOT, built_binary, default_binary

SCRIPTS = ROOT / "scripts"
SHELLS = "dash", "busybox sh"
AWKS = "mawk", "gawk", "busybox awk"

every_shell = pytest.mark.parametrize("shell", SHELLS)

VALIDATOR = jsonschema and jsonschema.Draft202012Validator(json.loads((ROOT / "man" / "probe-json.schema.json").read_text()))


def command(tool, *args, shell=SHELLS[0], awk=AWKS[0]):
    """(argv, environment) of a tool, which is a program beside the daemon, or a script; skips where the shell or the awk is
    missing."""
    env = {name: value for name, value in os.environ.items() if name != "MTR_PACKET_REPLIES"}
    env.update(MTR_PACKET=default_binary())
    program = pathlib.Path(built_binary()).parent / tool
    if program.exists():
        return [str(program), *map(str, args)], env
    for words in (shell, awk):
        if not shutil.which(words.split()[0]):
            pytest.skip(f"no {words.split()[0]} here")
    env.update(AWK=awk)
    return [*shell.split(), str(SCRIPTS / tool), *map(str, args)], env


@dataclasses.dataclass
class Result:
    status: int
    out: str
    err: str

    @property
    def lines(self):
        return self.out.splitlines()

    @property
    def objects(self):
        """The lines of --json, each of which keeps to the schema."""
        objects = [json.loads(line) for line in self.lines]
        for one in objects:
            for fault in VALIDATOR.iter_errors(one) if VALIDATOR else ():
                raise AssertionError(f"against the schema: {fault.message}: {one}")
        return objects

    def of_type(self, kind):
        return [one for one in self.objects if one["type"] == kind]


def run(namespace, tool, *args, shell=SHELLS[0], awk=AWKS[0], stdin="", timeout=30, env=None, quiet=True):
    """Runs a tool to its end; with quiet, what it writes to stderr is a failure."""
    argv, environ = command(tool, *args, shell=shell, awk=awk)
    prefix = ["ip", "netns", "exec", namespace.name] if namespace else []
    done = subprocess.run(prefix + argv, env={**environ, **(env or {})}, input=stdin, capture_output=True, text=True,
                          timeout=timeout, check=False)
    assert not quiet or done.stderr == "", done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


def start(namespace, tool, *args, shell=SHELLS[0], awk=AWKS[0], **popen):
    """Starts a tool with a pipe from its stdout, in a process group of its own."""
    argv, environ = command(tool, *args, shell=shell, awk=awk)
    return namespace.popen(*argv, env=environ, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                           start_new_session=True, **popen)


def stand_still(tool, seconds=1.5):
    """As Ctrl-Z and fg would: the tool and its daemon are stopped for a while; the tool is the first to go on."""
    os.killpg(tool.pid, signal.SIGSTOP)
    time.sleep(seconds)
    tool.send_signal(signal.SIGCONT)
    time.sleep(0.03)
    os.killpg(tool.pid, signal.SIGCONT)


def on_terminal(namespace, tool, *args, columns=80, rows=24, timeout=30, env=None):
    """What a tool writes on a terminal of that size, until it ends."""
    argv, environ = command(tool, *args)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
    process = namespace.popen(*argv, env={**environ, **(env or {}), "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written, end = b"", time.monotonic() + timeout
    with contextlib.suppress(OSError):  # EIO: nobody has its other end any more
        while time.monotonic() < end and (part := os.read(ours, 65536)):
            written += part
    os.close(ours)
    process.wait(timeout=5)
    return written.decode()
