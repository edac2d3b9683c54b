# SPDX-License-Identifier: MIT
"""A desk and vantage points around it: each a namespace with an sshd of its own, behind it a path to the same target.

The path from vantage point N has N routers before the target, so what came back tells where it was probed from. The
desk has no path. `desk.run()` with `environment()` runs a program there, for which ssh knows lab1, lab2 ... by name.
"""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

from .daemon import default_binary
from .net import Namespace, join
from .path import Path, hops, target
from .tools import SCRIPTS

TARGET = target(0)
SSHD = "/usr/sbin/sshd"
PORT = 22
NOWHERE = "nowhere"  # ssh knows it, but nobody listens there

SSHD_CONFIG = """
Port {port}
HostKey {directory}/host
AuthorizedKeysFile {directory}/user.pub
PermitRootLogin yes
StrictModes no
UsePAM no
PidFile none
SetEnv PATH={path} MTR_PACKET={binary}
"""

SSH_CONFIG = """
Host *
    User root
    IdentityFile {directory}/user
    IdentitiesOnly yes
    StrictHostKeyChecking no
    UserKnownHostsFile {directory}/known
    LogLevel ERROR
Host nowhere
    HostName 127.0.0.1
"""


def why_not():
    """None where ssh and sshd are, else what is missing."""
    for program, package in ((SSHD, "openssh-server"), ("ssh", "openssh-client"), ("ssh-keygen", "openssh-client")):
        if not shutil.which(program):
            return f"no {program}: install the Debian package {package}"
    return None


class Fleet:
    """Use it as a context manager."""

    def __init__(self, count):
        self.names = [f"lab{number}" for number in range(1, count + 1)]
        self._stack = contextlib.ExitStack()
        try:
            self.directory = pathlib.Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="hopline-fleet-")))
            self.path = f"{SCRIPTS}:{pathlib.Path(default_binary()).parent}:{os.environ['PATH']}"
            self._make_keys()
            self.desk = self._stack.enter_context(Namespace("desk"))
            self.labs = [self._start(number, name) for number, name in enumerate(self.names, 1)]
            self.desk.ip("route add default via 10.70.1.2")  # mtr wants one before it starts
            for lab, address in zip(self.labs, map(_address, range(1, count + 1))):
                self._wait_for(lab, address)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()

    def environment(self, **more):
        """For programs at the desk."""
        return {**os.environ, "PATH": self.path, "PROBE_SSH": f"ssh -F {self.directory}/ssh_config",
                "PARALLEL_HOME": str(self.directory), **more}

    def _make_keys(self):
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.directory / name], check=True)
        self._write("sshd_config", SSHD_CONFIG.format(port=PORT, directory=self.directory, path=self.path,
                                                      binary=default_binary()))
        hosts = "".join(f"Host {name}\n    HostName {_address(number)}\n" for number, name in enumerate(self.names, 1))
        self._write("ssh_config", SSH_CONFIG.format(directory=self.directory) + hosts)

    def _write(self, name, text):
        (self.directory / name).write_text(text, encoding="ascii")

    def _start(self, number, name):
        lab = self._stack.enter_context(Namespace(name))
        join(self.desk, name, lab, "desk", [f"10.70.{number}.1/24"], [f"{_address(number)}/24"])
        self._stack.enter_context(Path(lab, hops(number), [TARGET]))
        # ip netns exec gives it mounts of its own: its /run/sshd is none of the host's business.
        lab.popen("sh", "-c", f"mount -t tmpfs none /run && mkdir /run/sshd && exec {SSHD} -D -e -f {self.directory}/sshd_config",
                  stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return lab

    def _wait_for(self, lab, address, timeout=10):
        end = time.monotonic() + timeout
        while True:
            with lab.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
                if sock.connect_ex((address, PORT)) == 0:
                    return
            assert time.monotonic() < end, f"no sshd in {lab} after {timeout} s"
            time.sleep(0.02)


def _address(number):
    return f"10.70.{number}.2"


@contextlib.contextmanager
def fleet(count=3):
    """The fleet, or a skip that says what is missing."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with Fleet(count) as made:
        yield made
