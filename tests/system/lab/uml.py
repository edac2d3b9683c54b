# SPDX-License-Identifier: MIT
"""A second kernel, with the modules that the host's may lack: Debian's user-mode Linux, an ordinary process.

It has the host's files as its own, read-only and at the same paths; /run and TMPDIR are its own. Its network is empty,
and nothing of it reaches the host's.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

from . import cc

LINUX, MODULES = "linux.uml", "/usr/lib/uml/modules"
MEMORY = "256M"
BOOT = 20  # seconds that a boot and its end may take, on a busy machine too; at rest they are two or three
MARK = "hopline-uml-status"

# The kernel asks for modules by the program in /proc/sys/kernel/modprobe: protocols, ciphers and kinds of links load
# themselves. The script has a console of its own, which is our stdout; the kernel's is our stderr.
INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/run/tmp {environ}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/tmp /run/kmod/lib /run/cgroup2
mount -t cgroup2 cgroup2 /run/cgroup2
ln -s {modules} /run/kmod/lib/modules
printf '#!/bin/sh\\nexec modprobe -d /run/kmod "$@"\\n' >/run/modprobe
chmod 755 /run/modprobe
echo /run/modprobe >/proc/sys/kernel/modprobe
exec </dev/null >/dev/tty1 2>&1
stty -opost <&1
/run/modprobe -a {names}
ip link set lo up
cd {directory}
{command}
echo "{mark} $?"
sync
echo o >/proc/sysrq-trigger
sleep 60
"""


@dataclasses.dataclass
class Result:
    """What became of a script: status None when it did not end in time."""

    status: int
    output: str
    console: str  # the kernel's messages

    def __str__(self):
        return f"status {self.status}\n{self.output}\n--- console ---\n{self.console[-2000:]}"


def run(script, *args, modules=(), timeout=20, environ=()):
    """Runs a script (Python by its name's end, else shell) in a kernel of its own, with DAEMON in its environment.

    modules: what it needs loaded besides IPv6 and veth. timeout: seconds for the script itself.
    """
    needs()
    interpreter = sys.executable if str(script).endswith(".py") else "/bin/sh"
    with _directory() as directory:
        daemon = shutil.copy(cc.built_binary(), directory / "mtr-packet")
        os.chmod(daemon, 0o755)
        return _boot(directory, [interpreter, os.path.abspath(script), *args], modules, timeout,
                     {"DAEMON": daemon, **dict(environ)})


@functools.lru_cache(maxsize=None)
def why_not():
    """None when such a kernel runs here, else the reason."""
    if not shutil.which(LINUX) or not os.path.isdir(MODULES):
        return "needs linux.uml, package user-mode-linux"
    if not shutil.which("modprobe", path="/usr/sbin:/sbin:" + os.environ.get("PATH", "")):
        return "needs modprobe, package kmod"
    if cc.sanitized():
        return "the sanitizers want more memory than user-mode Linux has"
    with _directory() as directory:
        result = _boot(directory, ["true"], (), 5)
    if result.status != 0:
        return f"user-mode Linux does not boot here: {(result.output + result.console).strip()[-300:]}"
    return None


def needs():
    """Skips the calling test, saying why, where no such kernel runs."""
    reason = why_not()
    if reason:
        pytest.skip(reason)


@contextlib.contextmanager
def _directory():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="hopline-uml-"))
    try:
        directory.chmod(0o755)  # some run as nobody
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _boot(directory, command, modules, timeout, environ=None):
    init = directory / "init"
    words = [f"{name}={shlex.quote(str(value))}" for name, value in (environ or {}).items()]
    init.write_text(INIT.format(environ=" ".join(words), modules=MODULES, names=shlex.join(["ipv6", "veth", *modules]),
                                directory=shlex.quote(os.getcwd()), command=shlex.join(map(str, command)), mark=MARK),
                    encoding="utf-8")
    init.chmod(0o755)
    argv = [LINUX, f"mem={MEMORY}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}", "quiet",
            f"uml_dir={directory}", "umid=uml", "con=null", "con0=null,fd:2", "con1=null,fd:1"]
    kernel = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              start_new_session=True, env={**os.environ, "LD_PRELOAD": str(cc.preload("wide_registers.c"))})
    try:
        output, console = kernel.communicate(timeout=BOOT + timeout)
    except subprocess.TimeoutExpired:
        _kill(kernel)
        output, console = kernel.communicate()
    finally:
        _kill(kernel)
    return _result(output.decode(errors="replace"), console.decode(errors="replace"))


def _kill(kernel):
    """The kernel and every program in it are processes of one session here."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(kernel.pid, signal.SIGKILL)
    kernel.wait()


def _result(output, console):
    before, mark, after = output.rpartition(MARK + " ")
    if not mark:
        return Result(None, output, console)
    return Result(int(after.split()[0]), before, console)
