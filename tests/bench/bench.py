#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""make bench: ours, the peer, fping and the floor, side by side in one run.

usage: bench.py [--rounds N] [--only TARGET,...]

Prints a table with a row for each target of the issue, and writes it to tests/bench/results/ with every single run,
the machine and three plots; with --only, which is no whole result, to BUILD/bench/results/. The exit status is 1 when
a run of ours failed.
"""

import argparse
import datetime
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from lab import net  # noqa: E402

import plots  # noqa: E402
import targets  # noqa: E402
from runs import Results, Run  # noqa: E402
from scenarios import SCENARIOS  # noqa: E402
from stage import PROGRAMS, ROOT, TOOLS, Failure, Stage  # noqa: E402

ROUNDS = 5
ALL_TARGETS = range(1, 18)


def main():
    arguments = read_arguments()
    why = net.why_no_namespaces()
    if why:
        sys.exit(f"bench: {why}")
    for number in signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, lambda *_: sys.exit("bench: ended by a signal"))
    net.sweep()
    machine = describe_machine()
    scenarios = [scenario for scenario in SCENARIOS if scenario.targets & arguments.only]
    with Stage() as stage:
        results = Results(run_all(stage, scenarios, arguments.rounds))
    whole = arguments.only == set(ALL_TARGETS)
    directory = ROOT / "tests" / "bench" / "results" if whole else TOOLS / "results"
    write(results, machine, directory)
    return 1 if any(program.startswith("ours") for _, program, _, _ in results.failures()) else 0


def read_arguments():
    parser = argparse.ArgumentParser(description="Measures the targets side by side with the peer.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", type=lambda text: {int(word) for word in re.split("[ ,]+", text)},
                        default=set(ALL_TARGETS), metavar="TARGET,...")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or not arguments.only <= set(ALL_TARGETS):
        parser.error("targets are 1 to 17, rounds 1 and up")
    return arguments


# ---- the runs

def run_all(stage, scenarios, rounds):
    """Every scenario in each round, its programs in turn, and in each round another one first."""
    runs = []
    for number in range(1, rounds + 1):
        began = time.monotonic()
        for scenario in scenarios:
            if number <= scenario.rounds:
                runs += run_scenario(stage, scenario, number)
        say(f"round {number} of {rounds}: {time.monotonic() - began:.0f} s")
    return runs


def run_scenario(stage, scenario, number):
    first = number % len(scenario.programs)
    programs = scenario.programs[first:] + scenario.programs[:first]
    return [attempt(stage, scenario, program, number, turn)
            for turn in range(1, scenario.turns + 1) for program in programs]


def attempt(stage, scenario, program, number, turn):
    """One run. Whatever goes wrong in it is its result."""
    run = Run(scenario.name, program, number, turn, {})
    try:
        run.values = scenario.run(stage, program)
    except Exception as error:  # pylint: disable=broad-except
        run.error = explain(error)
        say(f"{scenario.name}, {program}, round {number}: failed: {run.error}")
    return run


def explain(error):
    text = str(error) if isinstance(error, Failure) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:200].replace(f"{ROOT}/", "")


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- what is written

def write(results, machine, directory):
    directory.mkdir(parents=True, exist_ok=True)
    text = targets.table(results)
    with open(directory / "runs.csv", "w", encoding="utf-8", newline="") as file:
        results.write_csv(file)
    (directory / "table.txt").write_text(text, encoding="utf-8")
    (directory / "machine.txt").write_text(machine, encoding="utf-8")
    print(text + "\n" + machine, end="")
    try:
        plots.draw(results, directory)
    except (OSError, subprocess.SubprocessError) as error:
        say(f"bench: no plots: {error}")
    print(f"\nEvery run is in {os.path.relpath(directory, ROOT)}/runs.csv")


def describe_machine():
    facts = {
        "date": datetime.date.today().isoformat(),
        "cpu": first_match("/proc/cpuinfo", r"model name\s*:\s*(.+)") or platform.machine(),
        "cores": f"{len(os.sched_getaffinity(0))}, {threads_per_core()} a physical core",
        "memory": f"{int(first_match('/proc/meminfo', 'MemTotal: *([0-9]+)') or 0) // 1024} MiB",
        "kernel": platform.release(),
        "load before": f"{os.getloadavg()[0]:.2f}",
        **{name: version(program) for name, program in (("hopline", "ours"), ("mtr-packet of mtr", "peer"))},
        "fping": first_line(["fping", "--version"]).rpartition(" ")[2],
    }
    return "".join(f"{name + ':':20}{value}\n" for name, value in facts.items())


def first_match(path, pattern):
    try:
        match = re.search(pattern, pathlib.Path(path).read_text(encoding="utf-8"))
    except OSError:
        return ""
    return match[1].strip() if match else ""


def threads_per_core():
    siblings = first_match("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "(.+)") or "0"
    threads = sum(int(last or first) - int(first) + 1 for first, last in re.findall(r"(\d+)(?:-(\d+))?", siblings))
    return "1 thread" if threads == 1 else f"{threads} threads"


def version(program):
    return first_line([PROGRAMS[program]], "1 check-support feature version\n").rpartition(" ")[2]


def first_line(argv, text=""):
    try:
        out = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        out = ""
    return (out.splitlines() or ["not found"])[0]


if __name__ == "__main__":
    sys.exit(main())
