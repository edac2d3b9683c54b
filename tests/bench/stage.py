# SPDX-License-Identifier: MIT
"""Where runs are made: two namespaces on one wire, and programs that are given limited time there."""

import contextlib
import os
import pathlib
import re
import resource
import signal
import subprocess
import time

from lab import transports
from lab.daemon import ROOT, Daemon
from lab.pair import ANSWERS, Pair

BUILD = ROOT / os.environ.get("BUILD", "build")
TOOLS = BUILD / "bench"
PROGRAMS = {"ours": str(BUILD / "mtr-packet"), "peer": "/usr/bin/mtr-packet"}
PLAIN = "ours-plain"  # as nobody, without privileges; a program while there is a stage
SECONDS = 60  # for one command

# fping's targets: many addresses of the target behind its first, so that one neighbour entry serves them all.
MANY = 500
MANY_NETS = {4: "10.51.0.0/16", 6: "fd51::/64"}
MANY_ADDRESSES = {4: [f"10.51.{n // 250}.{n % 250 + 1}" for n in range(MANY)],
                  6: [f"fd51::{n + 1:x}" for n in range(MANY)]}

FAR = "far"  # the device whose other end is the reflector
FAR_ADDRESSES = {4: "10.52.0.1/24", 6: "fd52::1/64"}
FAR_TARGETS = {4: "10.52.0.2", 6: "fd52::2"}
FAR_QUEUE = 32_767  # packets, the most that Linux 7 allows; it is a failure if the path itself loses one


class Failure(Exception):
    """Why a run is no figure."""


class Stage:
    """A client and a target on one wire. Close it, or use it as a context manager."""

    def __init__(self):
        self._plain = contextlib.ExitStack()
        self._plain.enter_context(transports.using(transports.PLAIN, PROGRAMS["ours"]))
        PROGRAMS[PLAIN] = transports.program
        self._pair = Pair("bench")
        self.client, self.target = self._pair.client, self._pair.target
        for family, addresses in MANY_ADDRESSES.items():
            length, nodad = (32, "") if family == 4 else (128, " nodad")
            self.target.ip(*(f"addr add {address}/{length} dev lo{nodad}" for address in addresses))
            self.client.ip(f"-{family} route add {MANY_NETS[family]} via {ANSWERS[family]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._pair.close()
        self._plain.close()

    def run(self, *argv, seconds=SECONDS):
        """What a command of the client wrote: (output, errors). One that fails or hangs is a Failure."""
        return self.run_together([argv], seconds)[0]

    def run_together(self, commands, seconds=SECONDS):
        """The same for several at once."""
        end = time.monotonic() + seconds
        processes = []
        try:
            for argv in commands:
                processes.append(self.client.popen(
                    *argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                    start_new_session=True))
            return [self._outcome(process, max(0.1, end - time.monotonic())) for process in processes]
        finally:
            for process in processes:
                end_group(process)

    @staticmethod
    def _outcome(process, seconds):
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failure("it did not end in time") from None
        if process.returncode != 0:
            raise Failure((err.strip().splitlines() or [f"exit status {process.returncode}"])[-1])
        return out, err

    def daemon(self, program, *arguments, **popen):
        """A daemon to talk to."""
        return Daemon(self.client, binary=PROGRAMS[program], args=arguments, **popen)


def end_group(process):
    """Kills a process that still runs, with all that it has started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        pipe.close()


def probe(address, **arguments):
    """The text of a request, without its token."""
    words = " ".join(f"{name} {value}" for name, value in arguments.items())
    return f"send-probe ip-{6 if ':' in address else 4} {address} {words}".strip()


def flags(options):
    """Keyword arguments as options of a command; True is one without a value."""
    return [word for name, value in options.items()
            for word in ([f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)]))]


def values_of(text):
    """NAME=VALUE pairs, as driver, floor and chatter print them, and what follows from them."""
    values = {name: float(value) for name, value in re.findall(r"(\w+)=(\S+)", text)}
    if "cpu" in values:
        values["cpu_us"] = values["cpu"] / values["count"] * 1e6
        values["per_second"] = values["count"] / values["wall"]
    if "busy" in values:
        values["busy_us"] = values["busy"] / values["count"] * 1e6
    return values


def driver_command(program, requests, arguments=(), **options):
    """How the driver is called; requests: one, or several that take turns."""
    if not os.access(PROGRAMS[program], os.X_OK):
        raise Failure("it is not installed")
    several = [requests] if isinstance(requests, str) else requests
    return [TOOLS / "driver", *flags(options), *(word for text in several for word in ("--request", text)), "--",
            PROGRAMS[program], *arguments]


def drive(stage, program, requests, **options):
    """Values of one run of the driver."""
    return values_of(stage.run(*driver_command(program, requests, **options))[0])


def floor(stage, count, window, address):
    return values_of(stage.run(TOOLS / "floor", count, window, address)[0])


def chatter(stage, protocol, count):
    return values_of(stage.run("taskset", "-c", cores()[-1], TOOLS / "chatter", protocol, count)[0])


# As fast as it goes: no pause between packets, and a pause of 1 ms (its least) between two to one of 500 targets.
FPING = ["fping", "-q", "-s", "-r", "0", "-i", "0", "-p", "1", "-t", "1000"]


def fping(stage, family, each):
    """EACH probes to each of its targets."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _, said = stage.run(*FPING, "-c", each, *MANY_ADDRESSES[family])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    sent, answered = (int(re.search(rf"(\d+) {what}", said)[1])
                      for what in ("ICMP Echos sent", "ICMP Echo Replies received"))
    if not sent == answered == each * MANY:
        raise Failure(f"{answered} of {sent} answered")
    wall = float(re.search(r"([\d.]+) sec \(elapsed", said)[1])
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return values_of(f"count={sent} wall={wall} cpu={user + system} user={user} system={system}")


@contextlib.contextmanager
def far_path(stage, milliseconds):
    """While it lasts, FAR_TARGETS answer from far away; a packet lost on the way is a Failure."""
    process = stage.client.popen(TOOLS / "reflector", FAR, milliseconds, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        if process.stdout.readline() != "ready\n":
            raise Failure(process.stderr.read().strip())
        stage.client.ip(*(f"addr add {address} dev {FAR}{' nodad' if ':' in address else ''}"
                          for address in FAR_ADDRESSES.values()), f"link set {FAR} txqueuelen {FAR_QUEUE} up")
        yield
        dropped = stage.client.run("cat", f"/sys/class/net/{FAR}/statistics/tx_dropped").stdout
        out, _ = process.communicate(timeout=10)
        path = values_of(out)
        if int(dropped) or path["taken"] != path["answered"]:
            raise Failure("the path itself lost packets")
    finally:
        end_group(process)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def cores():
    """Those that this process may use, one of each physical core first."""
    first, more = {}, []
    for core in sorted(os.sched_getaffinity(0)):
        path = pathlib.Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
        siblings = path.read_text(encoding="ascii") if path.exists() else core
        if first.setdefault(siblings, core) != core:
            more.append(core)
    return [*first.values(), *more]
