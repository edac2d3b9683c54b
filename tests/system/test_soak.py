# SPDX-License-Identifier: MIT
"""The soak run, shortened: see tests/soak."""

import os
import subprocess
import sys

import pytest

from lab.daemon import ROOT

SECONDS = 15
GROWTH = 40  # per cent: so early, memory has not settled as it has after a minute
SLACK = "--late", "2000", "--moment", "3", "--lost", "1e-4"  # others use the machine, too; `make soak` is strict


@pytest.mark.usefixtures("root")
def test_soak(binary):
    """20,000 probes a second of every kind, to places at fault, too; two more daemons and mtr beside it: none lost, none
    twice, all as they are due, and mtr goes on."""
    result = subprocess.run([sys.executable, ROOT / "tests" / "soak" / "soak.py", "--time", str(SECONDS), "--growth",
                             str(GROWTH), *SLACK], check=False, capture_output=True, text=True, timeout=120,
                            env=os.environ | {"MTR_PACKET": binary})
    print(result.stdout)
    assert result.returncode == 0, result.stdout + result.stderr
