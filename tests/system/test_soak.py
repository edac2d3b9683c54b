# SPDX-License-Identifier: MIT
"""The soak run, shortened: see tests/soak."""

import os
import subprocess
import sys

import pytest

from lab.daemon import ROOT

SECONDS = 15
GROWTH = 5  # per cent: so early, memory has not settled as it has after a minute


@pytest.mark.usefixtures("root")
def test_soak(binary):
    """20,000 probes a second of every kind, a second daemon beside it: none lost, none twice, all as they are due."""
    result = subprocess.run([sys.executable, ROOT / "tests" / "soak" / "soak.py", "--time", str(SECONDS),
                             "--growth", str(GROWTH)], check=False, capture_output=True, text=True, timeout=120,
                            env=os.environ | {"MTR_PACKET": binary})
    print(result.stdout)
    assert result.returncode == 0, result.stdout + result.stderr
