# SPDX-License-Identifier: MIT
"""A program in a kernel of its own, which has the host's files read-only and at the same paths.

/run and TMPDIR are its own. Its network is empty, and nothing of it reaches the host's. Which kernel: lab/uml.py,
lab/emulated.py.
"""

import contextlib
import dataclasses
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import tempfile

from . import cc

MARK = "hopline-guest-status"

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
exec </dev/null >/dev/{console} 2>&1
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


class Kernel:
    """What there is to know of a kernel that is to be run."""

    modules = None  # the folder of its modules, by version
    console = None  # the device that is the script's console
    boot = None  # seconds that a boot and its end may take, on a busy machine too

    def start(self, directory, init):
        """The command that boots it with this init, its files in a directory, and what is added to the environment."""
        raise NotImplementedError


@dataclasses.dataclass
class Result:
    """What became of a script: status None when it did not end in time."""

    status: int
    output: str
    console: str  # the kernel's messages

    def __str__(self):
        return f"status {self.status}\n{self.output}\n--- console ---\n{self.console[-2000:]}"


def run(kernel, command, modules=(), timeout=20, environ=()):
    """Runs a command in a kernel, with DAEMON in its environment.

    modules: what it needs loaded besides IPv6 and veth. timeout: seconds for the command itself.
    """
    with _directory() as directory:
        daemon = shutil.copy(cc.built_binary(), directory / "mtr-packet")
        os.chmod(daemon, 0o755)
        shutil.copy(pathlib.Path(cc.built_binary()).parent / "probe-trace", directory)
        return _boot(kernel, directory, command, modules, timeout, {"DAEMON": daemon, **dict(environ)})


def boots(kernel):
    """What becomes of a command that does nothing."""
    with _directory() as directory:
        return _boot(kernel, directory, ["true"], (), 5, {})


@contextlib.contextmanager
def _directory():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="hopline-guest-"))
    try:
        directory.chmod(0o755)  # some run as nobody
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _boot(kernel, directory, command, modules, timeout, environ):
    init = directory / "init"
    words = [f"{name}={shlex.quote(str(value))}" for name, value in environ.items()]
    init.write_text(INIT.format(environ=" ".join(words), modules=shlex.quote(str(kernel.modules)),
                                console=kernel.console, names=shlex.join(["ipv6", "veth", *modules]),
                                directory=shlex.quote(os.getcwd()), command=shlex.join(map(str, command)), mark=MARK),
                    encoding="utf-8")
    init.chmod(0o755)
    argv, environ = kernel.start(directory, init)
    process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True, env={**os.environ, **environ})
    try:
        output, console = process.communicate(timeout=kernel.boot + timeout)
    except subprocess.TimeoutExpired:
        _kill(process)
        output, console = process.communicate()
    finally:
        _kill(process)
    return _result(output.decode(errors="replace"), console.decode(errors="replace"))


def _kill(process):
    """The kernel, and of user-mode Linux every program in it, are processes of one session here."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _result(output, console):
    before, mark, after = output.rpartition(MARK + " ")
    if not mark:
        return Result(None, output, console)
    return Result(int(after.split()[0]), before, console)
