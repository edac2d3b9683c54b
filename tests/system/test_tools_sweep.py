# SPDX-License-Identifier: MIT
"""probe-sweep: blocks and lists of targets, retries, and 65,536 addresses in one run."""

import contextlib
import ipaddress
import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest

from lab.net import Namespace, join
from lab.path import Path, target, target_address
from lab.tools import command, every_awk, every_shell, run, start

pytestmark = pytest.mark.usefixtures("root")

BLOCK = ipaddress.ip_network("10.60.0.0/16")
ANSWERING = ipaddress.ip_network("10.60.64.0/18")


@pytest.fixture(scope="module")
def path():
    with Namespace("sweep") as namespace, Path(namespace) as played:
        yield played


@pytest.fixture(scope="module")
def crowd():
    """A host behind which a quarter of BLOCK answers, and the rest is silent."""
    with Namespace("sweeper") as near, Namespace("crowd") as far:
        join(near, "wire", far, "wire", a_addrs=["10.50.0.1/24"], b_addrs=["10.50.0.2/24"])
        near.ip(f"route add {BLOCK} via 10.50.0.2")
        far.ip(f"route add local {ANSWERING} dev lo", f"route add blackhole {BLOCK}")
        yield near


# ---------------------------------------------------------------- which addresses

@every_awk
@pytest.mark.parametrize("block", ["192.0.2.77/32", "192.0.2.77/29", "255.255.255.255/30", "10.0.255.0/23", "0.0.0.0/31",
                                   "2001:db8::/122", "2001:DB8:0:0:1::ffff/124", "::/127", "1:2:3:4:5:6:7:8/126",
                                   "fe80::1:0:0:0/126", "1:0:0:2::ffff:ffff/127", "1::fffe:ffff/114"])
def test_blocks(block, awk):
    """Every address of the block, in order, as RFC 5952 writes it."""
    said = run(None, "probe-sweep", "--list", block, awk=awk)
    assert said.lines == [str(address) for address in ipaddress.ip_network(block, strict=False)]


@every_awk
@pytest.mark.parametrize("block", ["10.0.0.0/33", "10.0.0.0/11", "10.0.0/24", "10.0.0.256/30", "::/100", "1::2::3/127",
                                   ":::/128", "12345::/128", "1:2:3/128", "host/24", "10.0.0.0/"])
def test_no_blocks(block, awk):
    said = run(None, "probe-sweep", "--list", block, "192.0.2.1", awk=awk, quiet=False)
    assert (said.status, said.out) == (1, "192.0.2.1\n")
    assert said.err.startswith(f"probe-sweep: {block}: not a block of addresses")


@every_shell
@every_awk
def test_list_on_standard_input(shell, awk):
    """Comments, several on a line, and the same address twice."""
    said = run(None, "probe-sweep", "--list", shell=shell, awk=awk,
               stdin="192.0.2.1 192.0.2.2\n# nobody 192.0.2.3\n\n192.0.2.0/31 # two\n  ::1\n")
    assert said.lines == ["192.0.2.1", "192.0.2.2", "192.0.2.0", "::1"]


@every_awk
def test_lookup_errors(path, awk):
    """Told, and the rest goes on; or with an option, among the silent."""
    path.play([], [target()])
    there = target_address(0)[4]
    said = run(path.namespace, "probe-sweep", "nosuch.invalid", there, awk=awk, quiet=False)
    assert (said.status, said.err) == (1, "probe-sweep: nosuch.invalid: no address found\n")
    assert said.lines[0].startswith(f"{there} ") and said.lines[1] == "nosuch.invalid no address"
    said = run(path.namespace, "probe-sweep", "nosuch.invalid", there, "--ignore-lookup-errors", "--json", awk=awk)
    assert said.status == 0
    assert said.of_type("silent") == [{"type": "silent", "target": "nosuch.invalid", "kind": "no-address"}]


@every_awk
def test_words_that_are_no_targets(path, awk):
    """Told as errors of their own, without their control characters, and the rest goes on."""
    path.play([], [target()])
    there = target_address(0)[4]
    said = run(path.namespace, "probe-sweep", "--json", "-W0.1", "-r0", awk=awk, quiet=False,
               stdin=f'a\033[2J: b"c:1 -rf $(id) 1.2 10.99.1.256 {there}\n')
    assert said.status == 1 and [one["address"] for one in said.of_type("answer")] == [there]
    assert [one["target"] for one in said.of_type("silent")] == ["a?[2J:", 'b"c:1', "-rf", "$(id)", "1.2", "10.99.1.256"]
    assert len(said.err.splitlines()) == 6 and "\033" not in said.err


@every_awk
def test_names_of_one_address(path, awk, tmp_path):
    """It is probed once, and listed with all of its names."""
    (tmp_path / "getent").write_text("#!/bin/sh\necho 10.99.1.1 STREAM\n", encoding="ascii")
    (tmp_path / "getent").chmod(0o755)
    path.play([], [target()])
    said = run(path.namespace, "probe-sweep", "one.example", "other.example", "one.example", awk=awk,
               env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert said.lines[0].startswith("one.example other.example (10.99.1.1) ") and path.count() == 1
    assert said.lines[1].startswith("1 targets: 1 answered, 0 silent; 1 probes ")


# ---------------------------------------------------------------- who answers

@every_shell
@every_awk
def test_retries(path, shell, awk):
    """Again only to those silent; a late answer to an early try counts; an unreachable is told."""
    lossy, slow, plain = target(0, loses=2), target(1, delay=0.3), target(2)
    gone = target(3, icmp="error", error=(3, 1))
    dead = target(4, silent=True)
    path.play([], [lossy, slow, plain, gone, dead])
    run(path.namespace, "probe-sweep", lossy.address[4], awk=awk)  # its next answer is lost
    before = path.count()
    said = run(path.namespace, "probe-sweep", "--json", "-W0.6", "-r2", f"{lossy.address[4]}/29", shell=shell, awk=awk)
    answers = {one["address"]: one for one in said.of_type("answer")}
    assert set(answers) == {one.address[4] for one in (lossy, slow, plain)}
    assert [answers[one.address[4]]["try"] for one in (lossy, slow, plain)] == [2, 1, 1]
    assert 300 <= answers[slow.address[4]]["ms"] < 390
    silent = {one["address"]: one.get("kind") for one in said.of_type("silent")}
    assert silent[gone.address[4]] == "no-route-host" and silent[dead.address[4]] is None
    total = said.of_type("summary")[0]
    # Once to the plain one, twice to the lossy and to the slow one, thrice to the five others of the block.
    assert path.count() - before == total["probes"] == 1 + 2 * 2 + 3 * 5
    assert 0.55 < float(total["seconds"]) < 1.5


@every_awk
def test_ports(path, awk):
    path.play([], [target(0, tcp="open"), target(1, tcp="closed"), target(2, tcp="silent")])
    first = target_address(0)[4]
    said = run(path.namespace, "probe-sweep", "-q", "-p", "tcp:22", "-W0.3", f"{first}/30", awk=awk)
    assert said.status == 0
    assert {line.split()[0] for line in said.lines[:-1]} <= {target_address(0)[4], target_address(1)[4]}


def test_nobody(path):
    path.play([], [])
    said = run(path.namespace, "probe-sweep", "-W0.1", "-r0", target_address(0)[6])
    assert said.status == 1
    assert said.lines[0] == f"{target_address(0)[6]} silent"
    assert re.fullmatch(r"1 targets: 0 answered, 1 silent; 1 probes in \S+ s", said.lines[1])


@every_awk
def test_nothing_to_probe(path, awk):
    said = run(path.namespace, "probe-sweep", awk=awk, stdin="# nobody\n")
    assert (said.status, said.out) == (1, "0 targets: 0 answered, 0 silent; 0 probes in 0.0 s\n")


@every_awk
def test_interrupt(path, awk):
    """Those that were not probed yet are not called silent."""
    path.play([], [target()])
    first = target_address(0)[4]
    for more in [], ["--json"]:
        tool = start(path.namespace, "probe-sweep", "-R20", "-r0", "-W5", *more, first, f"{first}/24", awk=awk)
        lines = [tool.stdout.readline()]
        assert first in lines[0]
        os.killpg(tool.pid, signal.SIGINT)
        lines += tool.communicate(timeout=5)[0].splitlines()
        assert tool.returncode == 0 and len(lines) == 257
        if more:
            kinds = [json.loads(line).get("kind") for line in lines[1:-1]]
            total = json.loads(lines[-1])
            assert kinds == [None] * total["silent"] + ["not-probed"] * total["not_probed"]
        else:
            told = re.match(r"256 targets: 1 answered, (\d+) silent, (\d+) not probed; ", lines[-1])
            assert sum(line.endswith(" not probed") for line in lines[:-1]) == int(told[2]) == 255 - int(told[1]) > 200


# ---------------------------------------------------------------- at size

@every_awk
def test_sixteen_bits(crowd, awk):
    """65,536 addresses in one run at 20,000 a second and more, every answering one listed."""
    began = time.monotonic()
    said = run(crowd, "probe-sweep", BLOCK, "-R40000", "-r0", "-W1", awk=awk)
    took = time.monotonic() - began
    answers = [line.split()[0] for line in said.lines if line.endswith(" ms")]
    assert len(answers) == len(set(answers)) and set(answers) == {str(address) for address in ANSWERING}
    assert sum(line.endswith(" silent") for line in said.lines) == BLOCK.num_addresses - ANSWERING.num_addresses
    assert took < 1 + BLOCK.num_addresses / 20_000, f"{took} s"


def test_rate(path):
    """No faster than told."""
    path.play([], [])
    began = time.monotonic()
    run(path.namespace, "probe-sweep", f"{target_address(0)[4]}/25", "-R200", "-r0", "-W0.1")
    assert 0.55 < time.monotonic() - began < 1.5


def all_of(terminal):
    """What was written to a terminal that nobody has open any more; one read gives a part of it."""
    text = b""
    with contextlib.suppress(OSError):  # EIO: that was all
        while more := os.read(terminal, 1 << 16):
            text += more
    return text


def test_progress(path):
    """A bar on a terminal, with rate and time left, that is gone at the end; none elsewhere (the other tests)."""
    path.play([], [])
    argv, env = command("probe-sweep", f"{target_address(0)[4]}/28", "-W1", "-q")
    ours, theirs = pty.openpty()
    tool = path.namespace.popen(*argv, env=env, stderr=theirs, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    tool.communicate(timeout=10)
    os.close(theirs)
    shown = all_of(ours).decode()
    os.close(ours)
    assert re.search(r"\[#+\.+\] +\d+%  \d+/s  0 answered  \d s left", shown)
    assert shown.endswith("\r\033[K")
