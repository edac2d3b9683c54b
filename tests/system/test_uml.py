# SPDX-License-Identifier: MIT
"""Hosts that few kernels can play: VRFs, IPsec, tunnels, bonding, the kernel's own SCTP, full neighbour tables.

Each group of rows runs in one user-mode Linux (lab/uml.py), by a program of tests/system/uml. A row is right when the
probe fares, and leaves, as what a socket of its protocol, or ping(8), sends there.
"""

import functools
import json
import pathlib
import re
import shutil

import pytest

from lab import uml
from uml import clock, ecn, first_hop, ipsec, links, tunnels, vrf

SYSTEM = pathlib.Path(__file__).resolve().parent

# (pattern of a row's name, what is wanting)
NOT_YET = [
    (r"hop-up0-accept-.-ip4-tcp-plain", "the kernel hands errors to no IPv4 TCP socket that an interface of a VRF binds"),
    (r"-(udp9-ip.-udp|tcp80-ip.-tcp)-raw", "the raw send has no ports for a policy to see"),
]


def rows(module, pattern):
    """One case for each row of a module whose name matches."""
    return pytest.mark.parametrize("module, group, row", [
        pytest.param(module, group, str(row), id=str(row), marks=marks(str(row)))
        for group, members in module.GROUPS.items() for row in members if re.match(pattern, str(row))])


def marks(name):
    return [pytest.mark.xfail(strict=False, reason=reason) for pattern, reason in NOT_YET if re.search(pattern, name)]


@functools.lru_cache(maxsize=None)
def results(module, group):
    """What the group's program says: (row -> (seen, socket), all that it wrote)."""
    ran = uml.run(module.__file__, group, modules=module.MODULES, environ=(("PYTHONPATH", str(SYSTEM)),))
    lines = [json.loads(line) for line in ran.output.splitlines() if line.startswith("{")]
    return {line["row"]: (line["seen"], line["socket"]) for line in lines}, str(ran)


def check(module, group, row):
    uml.needs()
    known, output = results(module, group)
    assert row in known, f"no result; the program:\n{output}"
    seen, expected = known[row]
    assert seen == expected


@rows(vrf, "exec")
def test_process_in_a_vrf(module, group, row):
    """ip vrf exec."""
    check(module, group, row)


@rows(vrf, "(red|up0)")
def test_local_device_of_a_vrf(module, group, row):
    """The VRF itself, or one of its interfaces; with net.ipv4.raw_l3mdev_accept 0 and 1."""
    check(module, group, row)


@rows(ipsec, "")
def test_ipsec_of_one_protocol(module, group, row):
    """transport-udp9-ip4-tcp-raw: udp to port 9 has to be encrypted, a tcp probe is sent."""
    check(module, group, row)


@rows(tunnels, r"(?!.*fragment)")
def test_tunnel(module, group, row):
    check(module, group, row)


@rows(tunnels, r".*fragment")
def test_size_in_a_tunnel(module, group, row):
    """Probes as large as the device allows: in fragments that fit, or packet-too-big with what fits."""
    check(module, group, row)


@rows(links, "bond")
def test_bonding(module, group, row):
    check(module, group, row)


@rows(links, "sctp")
def test_sctp_of_the_kernel(module, group, row):
    check(module, group, row)


@rows(links, "neighbours")
def test_neighbour_table(module, group, row):
    """Full, no new neighbour can be asked for: a lost packet; and when there is room again it is answered."""
    check(module, group, row)


@rows(ecn, "serves-[012]")
def test_ecn(module, group, row):
    """What a server of each net.ipv4.tcp_ecn says to SYNs; the accurate ones are for make kernels."""
    check(module, group, row)


@rows(first_hop, "")
def test_first_hop(module, group, row):
    """What mtr, probe-trace and traceroute(8) name there, and the daemon without them."""
    for program in ("mtr", "traceroute"):
        if row.endswith(f"-{program}") and not shutil.which(program):
            pytest.skip(f"no {program} here")
    check(module, group, row)


@rows(clock, "")
def test_step_of_the_clock(module, group, row):
    """Round trips are right though the wall clock is stepped while the daemon stands still for longer than that."""
    check(module, group, row)
