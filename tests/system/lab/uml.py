# SPDX-License-Identifier: MIT
"""A second kernel, with the modules that the host's may lack: Debian's user-mode Linux, an ordinary process.

It has the host's files as its own, read-only and at the same paths (lab/guest.py).
"""

import functools
import os
import shutil
import sys

import pytest

from . import cc, guest

LINUX = "linux.uml"
MEMORY = "256M"


class UserMode(guest.Kernel):
    """At rest a boot takes two or three seconds."""

    modules, console, boot = "/usr/lib/uml/modules", "tty1", 20

    def start(self, directory, init):
        return [LINUX, f"mem={MEMORY}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}",
                "quiet", f"uml_dir={directory}", "umid=uml", "con=null", "con0=null,fd:2", "con1=null,fd:1"], {
                    "LD_PRELOAD": str(cc.preload("wide_registers.c"))}


def run(script, *args, modules=(), timeout=20, environ=()):
    """Runs a script (Python by its name's end, else shell) in such a kernel; the rest as guest.run() has it."""
    needs()
    interpreter = sys.executable if str(script).endswith(".py") else "/bin/sh"
    return guest.run(UserMode(), [interpreter, os.path.abspath(script), *args], modules, timeout, environ)


@functools.lru_cache(maxsize=None)
def why_not():
    """None when such a kernel runs here, else the reason."""
    if not shutil.which(LINUX) or not os.path.isdir(UserMode.modules):
        return "needs linux.uml, package user-mode-linux"
    if not shutil.which("modprobe", path="/usr/sbin:/sbin:" + os.environ.get("PATH", "")):
        return "needs modprobe, package kmod"
    if cc.sanitized():
        return "the sanitizers want more memory than user-mode Linux has"
    result = guest.boots(UserMode())
    if result.status != 0:
        return f"user-mode Linux does not boot here: {(result.output + result.console).strip()[-300:]}"
    return None


def needs():
    """Skips the calling test, saying why, where no such kernel runs."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
