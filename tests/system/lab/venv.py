# SPDX-License-Identifier: MIT
"""The Python of build/venv, which has the package mtrpacket."""

import os
import subprocess

import pytest

from .daemon import ROOT

PYTHON = os.environ.get("HOPLINE_VENV_PYTHON") or str(ROOT / "build" / "venv" / "bin" / "python")


def needs_mtrpacket():
    """Skips the calling test, saying why, where the package is missing."""
    if not os.access(PYTHON, os.X_OK):
        pytest.skip(f"no {PYTHON}: `make check` makes it when PyPI can be reached")
    if subprocess.run([PYTHON, "-c", "import mtrpacket"], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{PYTHON} can't import mtrpacket: PyPI could not be reached when `make check` made it")
