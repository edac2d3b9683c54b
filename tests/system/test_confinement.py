# SPDX-License-Identifier: MIT
"""The AppArmor profile and the systemd unit: what they allow is what the daemon does. tests/confinement/compare.py holds them
against all system tests; here it does so against a few."""

import re
import shutil
import subprocess
import sys

import pytest

from lab import cc
from lab.daemon import ROOT, built_binary

PACKAGING = ROOT / "scripts" / "packaging"
TESTS = ("test_limits.py::test_no_mark", "test_limits.py::test_sweeps", "test_lines.py::test_information",
         "test_socket.py::test_conversation")


@pytest.fixture(name="units")
def fixture_units(tmp_path):
    """A folder with the units, for the daemon that is tested."""
    service = (PACKAGING / "systemd" / "hopline@.service.in").read_text(encoding="ascii")
    (tmp_path / "hopline@.service").write_text(service.replace("@DAEMON@", built_binary()), encoding="ascii")
    shutil.copy(PACKAGING / "systemd" / "hopline.socket", tmp_path)
    return tmp_path


def analyze(*words):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze (Debian package systemd)")
    return subprocess.run(["systemd-analyze", *map(str, words)], capture_output=True, text=True, check=False)


def test_units(units):
    """systemd understands every line."""
    done = analyze("verify", "--man=no", units / "hopline@.service", units / "hopline.socket")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_exposure(units):
    """By systemd's own measure, from 0 to 10, no more than 1.5."""
    done = analyze("security", "--offline=true", "--threshold=15", "--no-pager", units / "hopline@.service")
    assert done.returncode == 0, done.stdout


def test_identity():
    """The user that exists while it runs has another name than the group that may connect: systemd takes no user whose
    group exists already, and without User= the name would be that of the unit."""
    service = (PACKAGING / "systemd" / "hopline@.service.in").read_text(encoding="ascii")
    group = re.search(r"^SocketGroup=(.*)$", (PACKAGING / "systemd" / "hopline.socket").read_text(encoding="ascii"), re.M)[1]
    user = re.search(r"^User=(.*)$", service, re.M)[1]
    assert user not in (group, "hopline")
    assert re.search(rf"^g {group} ", (PACKAGING / "systemd" / "hopline.conf").read_text(encoding="ascii"), re.M)


def test_profile():
    parser = shutil.which("apparmor_parser", path="/usr/sbin:/sbin:/usr/bin")
    if not parser:
        pytest.skip("no apparmor_parser (Debian package apparmor)")
    done = subprocess.run([parser, "--skip-kernel-load", "--skip-cache", PACKAGING / "apparmor" / "hopline"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["mtr-packet", "hop-mtr-packet", "mtr-packet-1.0"])
def test_profile_allows_the_program_by_its_installed_name(name):
    """The unit starts what --program-prefix and --program-suffix have made of it, which the profile must let be mapped."""
    rules = re.findall(r"^  (/\S+) mr,$", (PACKAGING / "apparmor" / "hopline").read_text(encoding="ascii"), re.M)
    patterns = [re.escape(rule).replace(r"\*\*", ".*").replace(r"\*", "[^/]*") for rule in rules]
    for folder in "/usr/local/bin", "/usr/libexec/hopline":
        assert any(re.fullmatch(pattern, f"{folder}/{name}") for pattern in patterns)


def test_profile_and_unit_allow_what_is_done(root):
    if not shutil.which("strace") or cc.sanitized():
        pytest.skip("needs strace, and no sanitizers, which make calls of their own")
    done = subprocess.run([sys.executable, ROOT / "tests" / "confinement" / "compare.py",
                           *(f"tests/system/{test}" for test in TESTS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    calls, passed = re.search(r"(\d+) system calls.* (\d+) passed", done.stdout).groups()
    assert int(calls) > 40 and int(passed) >= len(TESTS), done.stdout
