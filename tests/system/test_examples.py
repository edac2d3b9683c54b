# SPDX-License-Identifier: MIT
"""scripts/examples, in Python over the package mtrpacket; fleet.py is in test_tools_fleet.py."""

import os
import re

import pytest

from lab import twelve, venv
from lab.net import Namespace
from lab.path import OURS, OURS_TOO, Path, target
from lab.tools import SCRIPTS

EXAMPLES = SCRIPTS / "examples"
SILENT = target(4, silent=True)
TARGET = twelve.TARGET.address[4]

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(scope="module")
def run(binary):
    """Runs one at the near end of the twelve-hop path: (status, its lines)."""
    venv.needs_mtrpacket()
    with Namespace("examples") as namespace, \
            Path(namespace, twelve.ROUTERS, [twelve.TARGET, SILENT, *map(target, range(1, 4))]):
        def run(name, *words):
            result = namespace.run(venv.PYTHON, EXAMPLES / name, *words, env={**os.environ, "MTR_PACKET": str(binary)},
                                   check=False, timeout=30)
            assert result.stderr == "" or name in ("sweep.py", "network.py"), result.stderr
            return result.returncode, [re.sub(r"\b\d+\.\d+ ms", "TIME", line) for line in result.stdout.splitlines()]
        yield run


def test_ping(run):
    """Two answers and their sum; a silent host is status 1."""
    status, lines = run("ping.py", TARGET, 2)
    assert status == 0
    assert lines[:3] == [f"from {TARGET}: seq=1 time=TIME", f"from {TARGET}: seq=2 time=TIME", "2 sent, 2 received, 0% lost"]
    assert run("ping.py", SILENT.address[4], 1) == \
        (1, [f"{SILENT.address[4]}: seq=1 no-reply", "1 sent, 0 received, 100% lost"])


def test_sweep(run):
    """Of a network of six, those that answer."""
    status, lines = run("sweep.py", "10.99.1.0/29")  # targets 0 to 5 have the addresses from .1 up
    assert status == 0
    assert sorted(lines) == [f"{target(number).address[4]} TIME" for number in range(4)]


def test_network(run):
    """The same by one line, and the routers on the way."""
    status, lines = run("network.py", "10.99.1.0/29", "timeout", 1, "ttl", "12-13")
    assert status == 0
    wanted = [(target(number).address[4], ttl) for number in range(4) for ttl in (12, 13)]
    assert sorted(lines) == sorted(f"{address} reply {address} TIME" for address, _ in wanted)
    status, lines = run("network.py", TARGET, "timeout", 1, "ttl", "1-11")
    assert status == 1, "no target replied"
    assert sorted(lines) == sorted(f"{TARGET} ttl-expired {twelve.address(ttl, 4)} TIME" for ttl in range(1, 12))
    for words in (["report", "all"], ["progress", 0.1]):  # lines that are no answer are not its end
        status, lines = run("network.py", f"{SILENT.address[4]},10.99.1.0/29", "timeout", 0.5, "rate", 20, *words)
        assert status == 0 and len(lines) == 4, lines


def test_trace(run):
    """All twelve hops, with their labels."""
    status, lines = run("trace.py", TARGET)
    assert status == 0
    assert [line.split()[:2] for line in lines] == \
        [[str(number), twelve.address(number, 4)] for number in range(1, twelve.COUNT + 1)]
    assert all(line.count("TIME") == 3 for line in lines)
    assert [line.count("MPLS") for line in lines] == [len(twelve.LABELS.get(number, ())) for number in range(1, 13)]


def test_pairs(run):
    """Both local addresses of a family with the target, and none that works with a silent one."""
    for family in (4, 6):
        to = twelve.TARGET.address[family]
        status, lines = run("pairs.py", to)
        assert (status, sorted(lines)) == (0, [f"{own} {to} TIME" for own in (OURS[family], OURS_TOO[family])])
    status, lines = run("pairs.py", SILENT.address[4], 80)
    assert (status, [line.split()[-1] for line in lines]) == (1, ["no-reply"] * 2)


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_short_enough_to_read(name):
    """Under 40 lines each, the licence's aside."""
    lines = (EXAMPLES / name).read_text().splitlines()
    assert len([line for line in lines if "SPDX" not in line]) < 40


@pytest.mark.parametrize("may_play", [True, False])
def test_demo(binary, tmp_path, may_play):
    """What `make run` shows ends with a trace: over a path that it plays, or to this host where it can't."""
    (tmp_path / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    path = os.environ["PATH"] if may_play else f"{tmp_path}:{os.environ['PATH']}"
    with Namespace("demo") as namespace:
        said = namespace.run(SCRIPTS / "demo", binary, env={**os.environ, "PATH": path}, timeout=60)
    last = said.stdout.rsplit("What to try next", 1)[1]
    last = re.sub(r"(\d+(\.\d+)?) ms", "TIME", last).splitlines()
    hops = ["192.0.2.3", "192.0.2.5", "192.0.2.7", "203.0.113.80"] if may_play else ["127.0.0.1"]
    assert [line for line in last if "TIME" in line] == [f"  {n}  {hop}  TIME  TIME  TIME" for n, hop in enumerate(hops, 1)]
    assert said.stderr == ""
