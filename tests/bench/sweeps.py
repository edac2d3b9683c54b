# SPDX-License-Identifier: MIT
"""Sweeps: one line to the daemon, beside fping, zmap and a loop that only sends."""

import contextlib
import re
import resource
import statistics
import tempfile
import time

from lab.pair import ANSWERS

from stage import Failure, floor, probe

ANSWERING, QUIET = "198.18.0.0/16", "198.32.0.0/12"  # of the target; the second drops what it gets
NETWORK, MILLION = 1 << 16, 1 << 20
QUIET_RATE, QUIET_TIMEOUT = 300_000, 1
HUGE = "ip-4 10.0.0.0/8 ttl 1-32"
BUSY_RATE, SINGLES = 100_000, 2000
SECONDS = 60
FPING_NETWORK = 65_000  # fping 5.1 has 65,535 sequence numbers for all, and each rests for ten seconds
ZMAP_RATE = 60_000  # beyond, it loses answers


@contextlib.contextmanager
def networks(stage):
    """While it lasts, the target has both blocks."""
    table = "table ip sweeps"
    stage.target.nft(f"{table} {{\nchain input {{\ntype filter hook prerouting priority raw\nip daddr {QUIET} drop\n}}\n}}\n")
    stage.target.ip(f"route add local {ANSWERING} dev lo")
    stage.client.ip(*(f"route add {block} via {ANSWERS[4]}" for block in (ANSWERING, QUIET, "10.128.0.0/9")))
    try:
        yield
    finally:
        stage.target.nft(f"delete {table}\n")
        stage.target.ip(f"route del local {ANSWERING} dev lo")
        stage.client.ip(*(f"route del {block} via {ANSWERS[4]}" for block in (ANSWERING, QUIET, "10.128.0.0/9")))


def cpu_of(run):
    """What run() returns, and the seconds of processor time of all processes that it waited for, with their children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return result, sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))


def sweep(stage, program, words, lines=1):
    """One line to the daemon, its replies to a file: the numbers of `swept`."""
    with tempfile.NamedTemporaryFile("w+") as file:
        with stage.daemon(program, stdout=file) as daemon:
            daemon.send(f"1 sweep {words}")
            daemon.close_stdin()
            if daemon.wait(SECONDS)[0] != 0:
                raise Failure("it did not end well")
        file.seek(0)
        *answers, last = file.read().splitlines()
    if " swept " not in last or len(answers) < lines - 1:
        raise Failure(last)
    return {name: float(value) for name, value in re.findall(r"(sent|answered|silent|seconds) (\S+)", last)}


def answered_by_fping(stage, file):
    file.write("\n".join(f"198.18.{n >> 8}.{n & 255}" for n in range(FPING_NETWORK)))
    file.flush()
    _, said = stage.run("sh", "-c", f"fping -q -s -r 0 -i 0 -t 1000 -f {file.name} || :")
    return int(re.search(r"(\d+) ICMP Echo Replies received", said)[1])


def answered_by_zmap(stage, file):
    gateway = stage.target.run("cat", "/sys/class/net/wire/address").stdout.strip()
    stage.run("zmap", "-q", "-M", "icmp_echoscan", "-r", ZMAP_RATE, "-c", "1", "-i", "wire", "-G", gateway, "-b",
              "/dev/null", "-o", file.name, ANSWERING)
    return sum(1 for line in file if line[0].isdigit())


def network(stage, program):
    """65,536 addresses that all answer."""
    with networks(stage), tempfile.NamedTemporaryFile("w+") as file:
        if program == "ours":
            run = lambda: sweep(stage, program, f"ip-4 {ANSWERING} rate 10000000 timeout 1", NETWORK)["answered"]  # noqa: E731
        else:
            run = lambda: (answered_by_fping if program == "fping" else answered_by_zmap)(stage, file)  # noqa: E731
        answered, cpu = cpu_of(run)
    asked = FPING_NETWORK if program == "fping" else NETWORK
    if answered < asked * 0.99:
        raise Failure(f"{answered:.0f} of {asked} answered")
    return {"cpu": cpu, "cpu_us": cpu / asked * 1e6}


def quiet(stage, program):
    """2^20 silent addresses."""
    with networks(stage):
        if program == "floor":
            return floor(stage, MILLION, 0, QUIET.partition("/")[0])
        peak = []
        with stage.daemon(program) as daemon:
            daemon.send(f"1 sweep ip-4 {QUIET} rate {QUIET_RATE} timeout {QUIET_TIMEOUT}")
            while not daemon.replies:
                peak.append(daemon.status("VmRSS"))
                time.sleep(0.05)
            cpu, last = daemon.cpu(), daemon.collect(1)[0]
    tally = {name: float(value) for name, value in last.args.items()}
    if tally["silent"] != MILLION:
        raise Failure(str(last))
    return {"cpu_us": cpu / MILLION * 1e6, "rss": max(peak), "seconds": tally["seconds"],
            "per_second": MILLION / (tally["seconds"] - QUIET_TIMEOUT)}


def huge(stage, program):
    """A /8 by 32 ttls: milliseconds until its first probe has left, and until it is stopped; KiB while it goes."""
    with networks(stage), stage.daemon(program) as daemon:
        daemon.ask("check-support feature sweep")
        began = time.monotonic()
        daemon.send(f"1 sweep {HUGE} rate 100000 timeout 1 progress 0.01 exclude 127.0.0.0/8")
        first = next(line for line in iter(lambda: daemon.collect(1, 5)[0], None) if line.args.get("sent", "0") != "0")
        time.sleep(2)
        resident = daemon.status("VmRSS")
        asked = time.monotonic()
        daemon.send("2 stop token 1")
        while (line := daemon.collect(1)[0]).kind != "stopped":
            pass
    return {"start_ms": (first.time - began) * 1e3, "stop_ms": (line.time - asked) * 1e3, "rss": resident}


def singles(stage, program):
    """Single requests while a sweep runs, or none does (ours-idle): microseconds from request to reply."""
    with networks(stage), stage.daemon("ours") as daemon:
        if program == "ours":
            daemon.send(f"1 sweep ip-4 {QUIET} rate {BUSY_RATE} timeout 1")
        times = []
        for number in range(SINGLES):
            asked = time.monotonic()
            daemon.send(f"{number + 2} {probe(ANSWERS[4])}")
            times.append((daemon.collect(1)[0].time - asked) * 1e6)
            time.sleep(0.0007)
        daemon.kill()
    times.sort()
    return {"median": statistics.median(times), "p99": times[len(times) * 99 // 100]}
