# SPDX-License-Identifier: MIT
"""What the tools cost beside the programs that people know: all processes of a command together, by a cgroup."""

import contextlib
import os
import pathlib
import re
import subprocess
import time

from lab.net import Namespace
from lab.nameserver import nameserver
from lab.pair import ANSWERS
from lab.path import Path, hops, target, target_address

from stage import BUILD, Failure

SWEPT_NET = "10.53.0.0/16"
SWEPT = 65_536
SPARSE = 256  # of which one answers, where few do
NAMES = 10_000
NAME_DELAY = 0.02  # seconds until the name server answers
TRACES = 256
ROUTERS = 12  # and the target is the thirteenth hop
PINGS = 50  # in a run, since one is short


class Account:
    """A cgroup of the running system, of version 1 or 2, in which commands are started and their processor time is counted."""

    def __init__(self):
        old = pathlib.Path("/sys/fs/cgroup/cpuacct")
        self._old = old.is_dir()
        self._group = (old if self._old else pathlib.Path("/sys/fs/cgroup")) / f"hopline-bench-{os.getpid()}"

    def __enter__(self):
        try:
            self._group.mkdir()
        except OSError as error:
            raise Failure(f"no cgroup: {error.strerror}") from None
        return self

    def __exit__(self, *_):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            with contextlib.suppress(OSError):  # EBUSY: a daemon is about to end
                self._group.rmdir()
                return
            time.sleep(0.01)

    def join(self):
        """In the child, before it becomes the command: no other program than that is counted."""
        (self._group / "cgroup.procs").write_text("0", encoding="ascii")

    def seconds(self):
        """Once all of it has ended, so nothing is left to be counted."""
        end = time.monotonic() + 5
        while time.monotonic() < end and (self._group / "cgroup.procs").read_text():
            time.sleep(0.005)
        if self._old:
            return int((self._group / "cpuacct.usage").read_text()) / 1e9
        return int(re.search(r"usage_usec (\d+)", (self._group / "cpu.stat").read_text())[1]) / 1e6


def measured(namespace, commands, statuses=(0,), stdin="", seconds=120):
    """Values of all these commands, one after the other, and what the last one wrote."""
    environment = {name: value for name, value in os.environ.items() if name != "MTR_PACKET"}
    with Account() as account, namespace.enter():
        began = time.monotonic()
        for argv in commands:
            done = subprocess.run([str(word) for word in argv], check=False, timeout=seconds, input=stdin, text=True,
                                  capture_output=True, env=environment, preexec_fn=account.join)
            if done.returncode not in statuses:
                raise Failure((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
        wall = time.monotonic() - began
        return {"wall": wall, "cpu": account.seconds(), "count": len(commands)}, done


# One after the other from a shell, as a user would, so that what a fork of this process costs is not counted.
AGAIN = 'n=$1; shift; while test $((n -= 1)) -ge 0; do "$@" >/dev/null || exit; done'


def ping(stage, program):
    argv = {"ours": [BUILD / "probe-ping"], "ping": ["ping"]}[program]
    values, _ = measured(stage.client, [["sh", "-c", AGAIN, "again", PINGS, *argv, "-n", "-c1", ANSWERS[4]]])
    return values | {"cpu_ms": values["cpu"] / PINGS * 1e3}


@contextlib.contextmanager
def swept(stage):
    """A whole block that answers, behind one neighbour."""
    stage.target.ip(f"route add local {SWEPT_NET} dev lo")
    stage.client.ip(f"route add {SWEPT_NET} via {ANSWERS[4]}")
    try:
        yield
    finally:
        stage.client.ip(f"route del {SWEPT_NET}")
        stage.target.ip(f"route del local {SWEPT_NET} dev lo")


def sweep(stage, program):
    argv = {"ours": [BUILD / "probe-sweep", "-q", "-R", "1000000", SWEPT_NET],
            "fping": ["fping", "-q", "-a", "-r", "0", "-i", "0", "-t", "2000", "-g", SWEPT_NET]}[program]
    with swept(stage):
        values, done = measured(stage.client, [argv], statuses=(0, 1))
    answered = sum(line.startswith("10.53.") for line in done.stdout.splitlines())
    if answered < SWEPT - 2:  # fping leaves the network's and the broadcast address out
        raise Failure(f"{answered} of {SWEPT} answered")
    return values


@contextlib.contextmanager
def sparse(stage):
    """The same block, of which the target takes one address in SPARSE, and drops what is for the others."""
    with swept(stage):
        stage.target.nft(f"""table ip sparse {{
            chain input {{
                type filter hook prerouting priority raw
                ip daddr {SWEPT_NET} ip daddr & 0.0.0.{SPARSE - 1} != 0.0.0.7 drop
            }}
        }}""")
        try:
            yield
        finally:
            stage.target.nft("delete table ip sparse\n")


def sparse_sweep(stage, program):
    """Without retries, a second for each."""
    argv = {"ours": [BUILD / "probe-sweep", "-q", "-r", "0", "-W", "1", "-R", "1000000", SWEPT_NET],
            "fping": ["fping", "-q", "-a", "-r", "0", "-i", "0", "-t", "1000", "-g", SWEPT_NET]}[program]
    with sparse(stage):
        values, done = measured(stage.client, [argv], statuses=(0, 1))
    answered = sum(line.startswith("10.53.") for line in done.stdout.splitlines())
    if answered != SWEPT // SPARSE:
        raise Failure(f"{answered} of {SWEPT // SPARSE} answered")
    return values


def names(_, program):
    """Names of which each has an address that answers: a block of loopback's."""
    table = {f"host{n}.example": f"127.1.{n // 250}.{n % 250 + 1}" for n in range(NAMES)}
    with Namespace("bench-names") as namespace, nameserver(namespace, table, NAME_DELAY):
        argv = {"ours": [BUILD / "probe-sweep", "-q"], "nmap": ["nmap", "-sn", "-n", "-T5", "-iL", "-"]}[program]
        # By ip, which has the resolv.conf of the namespace seen. nmap looks its names up one by one.
        values, done = measured(namespace, [["ip", "netns", "exec", namespace.name, *argv]], stdin="\n".join(table), seconds=400)
    up = re.search(r"(\d+) hosts up" if program == "nmap" else r"(\d+) answered", done.stdout)
    if not up or int(up[1]) != NAMES:
        raise Failure(f"{up[1] if up else 'none'} of {NAMES} answered")
    return values


def traces(_, program):
    """One command for all targets, each behind twelve routers."""
    addresses = [target_address(number)[4] for number in range(TRACES)]
    with Namespace("bench-traces") as namespace, Path(namespace) as path:
        path.play(hops(ROUTERS), [target(number) for number in range(TRACES)])
        argv = {"ours": [BUILD / "probe-trace", "-n", "-q1", *addresses],
                "scamper": ["scamper", "-O", "text", "-p", "10000", "-c", "trace -P icmp-paris -q 1 -g 5", "-i", *addresses],
                }[program]
        values, done = measured(namespace, [argv])
    reached = sum(address in done.stdout for address in addresses)
    if reached != TRACES:
        raise Failure(f"{reached} of {TRACES} targets were reached")
    return values


def resident(stage, _):
    """The most memory that the tool takes while it pings one host: KiB."""
    process = stage.client.popen(BUILD / "probe-ping", "-n", "-c3", "-i0.2", ANSWERS[4], stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(2):
            process.stdout.readline()
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    finally:
        process.communicate(timeout=5)
    return {"resident": int(re.search(r"VmHWM:\s*(\d+)", status)[1])}


TOOL_RUNS = {
    "tool-ping": (11, ("ours", "ping"), ping),
    "tool-sweep": (12, ("ours", "fping"), sweep),
    "tool-sparse": (12, ("ours", "fping"), sparse_sweep),
    "tool-names": (13, ("ours", "nmap"), names),
    "tool-traces": (10, ("ours", "scamper"), traces),
    "tool-resident": (11, ("ours",), resident),
}
