# SPDX-License-Identifier: MIT
"""What is run: one table of scenarios, each for the targets of the issue that its figures serve."""

import contextlib
import dataclasses
import functools
import math
import re
import signal
import statistics
import subprocess
import tempfile
import time
import typing

from lab.capture import Capture
from lab.pair import ANSWERS, SILENT

import sweeps
import truth
from stage import (FAR_TARGETS, MANY_ADDRESSES, PLAIN, Failure, chatter, cores, drive, driver_command, end_group, far_path,
                   floor, fping, probe, values_of)
from tools import TOOL_RUNS

FAMILIES = 4, 6
PROTOCOLS = "icmp", "udp", "tcp"
IN_FLIGHT = 500


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One way to measure. run(stage, program) returns values by name, or raises."""

    name: str
    targets: typing.FrozenSet[int]
    programs: typing.Tuple[str, ...]
    run: typing.Callable
    turns: int = 1  # of each program in a round
    rounds: float = math.inf  # at most so many, for those that take long


# ---- 1, 2: a closed loop

# fping's is by target; it has 65,536 sequence numbers for all.
CLOSED_COUNTS = {"ours": 200_000, PLAIN: 200_000, "peer": 60_000, "floor": 200_000, "fping": 120}


def closed_loop(stage, program, protocol, family, target):
    count = CLOSED_COUNTS[program]
    if program == "floor":
        return floor(stage, count, IN_FLIGHT, target)
    if program == "fping":
        return fping(stage, family, count)
    return drive(stage, program, probe(target, protocol=protocol), count=count, window=IN_FLIGHT)


def closed_name(protocol, family):
    return f"closed-{protocol}-{family}"


def routed_name(family):
    """To a target behind a gateway, as most are. To a neighbour, a packet with a header of its own costs the kernel a
    route entry (FLOWI_FLAG_KNOWN_NH)."""
    return f"routed-icmp-{family}"


def closed_scenarios():
    for protocol in PROTOCOLS:
        programs = ("ours", PLAIN, "peer", *(("floor", "fping") if protocol == "icmp" else ()))
        for family in FAMILIES:
            yield Scenario(closed_name(protocol, family), frozenset({1, 2}), programs,
                           functools.partial(closed_loop, protocol=protocol, family=family, target=ANSWERS[family]))
    for family in FAMILIES:
        yield Scenario(routed_name(family), frozenset({1, 2}), ("ours", "peer", "floor"),
                       functools.partial(closed_loop, protocol="icmp", family=family,
                                         target=MANY_ADDRESSES[family][0]))


# ---- 3: reported round trips against the wire

LOADS = 1_000, 3_000, 10_000, 30_000, 100_000
FLAT_OUT = 20_000  # probes
BURST = 10_000


def trips(stage, program, protocol="icmp", **options):
    """Reported and true round trips; one at a time, also the error of each. Microseconds."""
    with Capture(stage.client, "wire") as capture, tempfile.NamedTemporaryFile("r") as file:
        values = drive(stage, program, probe(ANSWERS[4], protocol=protocol), times=file.name, **options)
        wire = [trip / 1e3 for trip in truth.round_trips(capture.packets())]
        reported = [int(line.split()[2]) for line in file]
    if len(wire) != len(reported):
        raise Failure(f"the capture has {len(wire)} of {len(reported)} round trips")
    values["wire_median"] = statistics.median(wire)
    if options["window"] == 1:
        errors = sorted(abs(said - true) for said, true in zip(reported, wire))
        values["error_median"] = statistics.median(errors)
        values["error_p99"] = errors[len(errors) - 1 - len(errors) // 100]
        values["bias_median"] = statistics.median(said - true for said, true in zip(reported, wire))
    return values


def trip_scenarios():
    def scenario(name, rounds=math.inf, programs=("ours", "peer"), **keywords):
        return Scenario(name, frozenset({3}), programs, functools.partial(trips, **keywords), rounds=rounds)

    everyone = "ours", PLAIN, "peer"
    yield scenario("rest-icmp", programs=everyone, count=600, window=1, rate=300)
    for protocol in "udp", "tcp":
        yield scenario(f"rest-{protocol}", programs=everyone, protocol=protocol, count=300, window=1, rate=300)
    yield scenario("flat-out", count=FLAT_OUT, window=IN_FLIGHT)
    yield scenario("burst", count=BURST, window=BURST, one_write=True)
    for load in LOADS:
        yield scenario(f"load-{load}", rounds=3, count=min(FLAT_OUT, load // 2), window=IN_FLIGHT, rate=load)


# ---- 4, 5: many in flight

MILLION = 1_000_000
SILENT_COUNTS = 1, 10, 100, 1_000, 10_000, 100_000, MILLION  # in flight
PEER_MAX = 10_240
WINDOW = 100
THOUSAND_TIMEOUT = 0.005  # seconds; a thousand in flight are then at most 200,000 probes/s
MILLION_TIMEOUT = 12  # longer than a million requests take to leave, also at the pace below
PACE = 100_000  # probes/s, so that a request leaves when it is written and its deadline can be told from outside


def in_flight(stage, program, count):
    """Answered probes while so many are in flight: up to 100 of them answered, the others silent."""
    window = min(count, WINDOW)
    return drive(stage, program, probe(ANSWERS[4]), count=20_000 if window == 1 else 50_000, window=window,
                 one_core=True, ballast=count - window, ballast_request=probe(SILENT[4], timeout=30),
                 drop_ballast=True)


def thousand_silent(stage, program):
    """A million silent probes, a thousand at a time."""
    return drive(stage, program, probe(SILENT[4], timeout=THOUSAND_TIMEOUT), count=MILLION, window=1000,
                 expect="no-reply")


def million_silent(stage, program):
    """A million silent probes at once; before they expire, others are answered one at a time."""
    values = drive(stage, program, probe(ANSWERS[4]), count=20_000, window=1, one_core=True, ballast=MILLION - 1,
                   ballast_request=probe(SILENT[4], timeout=MILLION_TIMEOUT))
    return values | {"silent_us": (values["cpu"] - values["busy"]) / (MILLION - 1) * 1e6}


def deadlines(stage, program, count, timeout):
    """Milliseconds from the timeout of silent probes to the no-reply."""
    values = drive(stage, program, probe(SILENT[4], timeout=timeout), count=count, window=count, rate=PACE,
                   expect="no-reply", small_pipe=True)
    return values | {f"late_{what}": values[f"answer_{what}"] / 1e3 - timeout * 1e3
                     for what in ("min", "median", "p99")}


def resident(stage, program):
    """Memory once it serves."""
    with stage.daemon(program) as daemon:
        reply = daemon.ask("check-support feature send-probe")
        if reply.args.get("support") != "ok":
            raise Failure(f"it does not serve: {reply}")
        return {"resident_kib": daemon.status("VmRSS")}


def many_scenarios():
    four, five = frozenset({4}), frozenset({5})
    for count in SILENT_COUNTS:
        yield Scenario(f"in-flight-{count}", four, ("ours", "peer") if count < PEER_MAX else ("ours",),
                       functools.partial(in_flight, count=count), rounds=2 if count == MILLION else math.inf)
    yield Scenario("silent-1000", four, ("ours",), thousand_silent, rounds=3)
    yield Scenario("silent-1000000", four, ("ours",), million_silent, rounds=3)
    yield Scenario("resident", four, ("ours", "peer"), resident)
    for in_flight_at_once, count, timeout in (1000, 200_000, 1000 / PACE), (MILLION, MILLION, MILLION_TIMEOUT):
        yield Scenario(f"deadlines-{in_flight_at_once}", five, ("ours",),
                       functools.partial(deadlines, count=count, timeout=timeout), rounds=2)


# ---- 6: nothing is lost

ALL_AT_ONCE = 300_000
FAR_DELAY = 100  # milliseconds
FAR_RATE, FAR_COUNT = 50_000, 150_000


def flood(stage, program, protocol, family):
    """As fast as the pipe takes them."""
    return lossless(stage, program, probe(ANSWERS[family], protocol=protocol, timeout=2), count=ALL_AT_ONCE,
                    window=ALL_AT_ONCE)


def far_away(stage, program):
    with far_path(stage, FAR_DELAY):
        values = lossless(stage, program, probe(FAR_TARGETS[4], timeout=2), count=FAR_COUNT, window=FAR_COUNT,
                          rate=FAR_RATE)
    return values | {"per_second": FAR_COUNT / (values["wall"] - FAR_DELAY / 1e3)}  # the last answer's way is no load


def lossless(stage, program, request, **options):
    """Counts the answers lost, and those that ours says were lost in its receive buffers."""
    arguments = ["--verbose"] if program == "ours" else []
    out, said = stage.run(*driver_command(program, request, arguments, others=True, **options))
    overflow = re.findall(r"(\d+) packets lost", said)
    return values_of(out) | {"overflow": float(overflow[-1] if overflow else 0)}


def loss_scenarios():
    kinds = [(protocol, 4) for protocol in PROTOCOLS] + [("icmp", 6)]
    for protocol, family in kinds:
        yield Scenario(f"flood-{protocol}-{family}", frozenset({6}), ("ours", "peer"),
                       functools.partial(flood, protocol=protocol, family=family), rounds=2)
    yield Scenario("far-away", frozenset({6}), ("ours",), far_away, rounds=3)


# ---- 7: idle

REST = 0.5  # seconds after the last probe, until a daemon is idle
IDLE_SECONDS = 3
DEADLINES, DEADLINE_TIMEOUT = 1000, 2
MESSAGES = 100_000
NEIGHBOURS = 10


def idle(stage, program):
    """An idle daemon: how often it wakes, and the system calls that strace sees."""
    with used_daemon(stage, program) as daemon:
        time.sleep(REST)
        before = daemon.status("voluntary_ctxt_switches")
        time.sleep(IDLE_SECONDS)
        wakes = daemon.status("voluntary_ctxt_switches") - before
        return {"wakes": wakes, "calls": traced_calls(daemon.pid)}


@contextlib.contextmanager
def used_daemon(stage, program):
    """A daemon that has sent a probe of each protocol; soon it rests."""
    with stage.daemon(program) as daemon:
        for protocol in PROTOCOLS:
            reply = daemon.ask(probe(ANSWERS[4], protocol=protocol))
            if reply.kind != "reply":
                raise Failure(f"{protocol}: {reply}")
        yield daemon


def traced_calls(pid):
    """System calls of a process, one that was already under way included. There is one, or it is not idle."""
    with tempfile.NamedTemporaryFile("r") as log:
        process = subprocess.Popen(["strace", "-q", "-o", log.name, "-p", str(pid)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        try:
            time.sleep(IDLE_SECONDS)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=5)
        finally:
            end_group(process)
        calls = [line for line in log if re.match(r"\w+\(", line)]
    if not calls:
        raise Failure(f"strace saw nothing: {said.strip()}")
    return len(calls)


def wakes(stage, program):
    """Wakes while a thousand probes wait, and while each of them ends at a time of its own."""
    with stage.daemon(program) as daemon:
        for _ in range(DEADLINES):
            daemon.send(f"1 {probe(SILENT[4], timeout=DEADLINE_TIMEOUT)}")
            time.sleep(0.0005)
        time.sleep(0.1)
        sent = daemon.status("voluntary_ctxt_switches")
        time.sleep(0.5)
        waited = daemon.status("voluntary_ctxt_switches")
        if daemon.replies:
            raise Failure("the first probe was over before the last was sent")
        replies = daemon.collect(DEADLINES, DEADLINE_TIMEOUT + 5)
        ended = daemon.status("voluntary_ctxt_switches")
    if {reply.kind for reply in replies} != {"no-reply"}:
        raise Failure("a silent probe was answered")
    return {"wakes_waiting": waited - sent, "wakes_per_deadline": (ended - waited) / DEADLINES}


def neighbours(stage, program):
    """What other traffic costs beside no daemon, or ten idle ones."""
    with contextlib.ExitStack() as stack:
        if program == f"ours-{NEIGHBOURS}":
            for _ in range(NEIGHBOURS):
                stack.enter_context(used_daemon(stage, "ours"))
        time.sleep(REST)
        costs = {protocol: chatter(stage, protocol, MESSAGES) for protocol in ("tcp", "udp")}
        costs["icmp"] = floor(stage, MESSAGES, IN_FLIGHT, "127.0.0.1")
    return {f"{protocol}_us": values["cpu_us"] for protocol, values in costs.items()}


def idle_scenarios():
    target = frozenset({7})
    yield Scenario("idle", target, ("ours", "peer"), idle, rounds=1)
    yield Scenario("wakes", target, ("ours",), wakes, rounds=2)
    yield Scenario("neighbours", target, ("none", f"ours-{NEIGHBOURS}"), neighbours, turns=2)


# ---- 8, 9: start, and several daemons

def start(stage, program):
    return drive(stage, program, probe(ANSWERS[4]), count=1)


def alone_and_many(program):
    """"ours-10" is ten of ours."""
    name, number = program.split("-")
    return name, int(number)


def on_own_cores(stage, program):
    """Daemons with a core each, which each shares with its driver; together, what they send."""
    name, number = alone_and_many(program)
    if len(cores()) < number:
        raise Failure(f"needs {number} cores")
    return together(stage, [["taskset", "-c", core, *busy_driver(name, 200_000)] for core in cores()[:number]])


def crowd(stage, program):
    """Daemons that share all cores."""
    name, number = alone_and_many(program)
    return together(stage, [busy_driver(name, 300_000 // number)] * number)


def busy_driver(name, count):
    return driver_command(name, probe(ANSWERS[4]), count=count, window=IN_FLIGHT)


def together(stage, commands):
    runs = [values_of(out) for out, _ in stage.run_together(commands)]
    count = sum(values["count"] for values in runs)
    return {"count": count, "per_second": sum(values["per_second"] for values in runs),
            "cpu_us": sum(values["cpu"] for values in runs) / count * 1e6}


def daemon_scenarios():
    yield Scenario("start", frozenset({8}), ("ours", "peer"), start, turns=10)
    yield Scenario("own-cores", frozenset({9}), ("ours-1", "ours-2"), on_own_cores)
    yield Scenario("crowd", frozenset({9}), ("ours-1", f"ours-{NEIGHBOURS}"), crowd)


# ---- 10 to 13: the tools

def tool_scenarios():
    for name, (number, programs, run) in TOOL_RUNS.items():
        rounds = 1 if "nmap" in programs else math.inf  # it takes three minutes and a half, each time
        yield Scenario(name, frozenset({number}), programs, run, rounds=rounds)


# ---- 14 to 17: sweeps

def sweep_scenarios():
    yield Scenario("sweep-network", frozenset({14}), ("ours", "fping", "zmap"), sweeps.network)
    yield Scenario("sweep-quiet", frozenset({15}), ("ours", "floor"), sweeps.quiet)
    yield Scenario("sweep-huge", frozenset({16}), ("ours",), sweeps.huge)
    yield Scenario("sweep-singles", frozenset({17}), ("ours", "ours-idle"), sweeps.singles)


SCENARIOS = [*closed_scenarios(), *trip_scenarios(), *many_scenarios(), *loss_scenarios(), *idle_scenarios(),
             *daemon_scenarios(), *tool_scenarios(), *sweep_scenarios()]
