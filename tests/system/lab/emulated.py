# SPDX-License-Identifier: MIT
"""A kernel of Debian for amd64 in qemu, which needs no KVM: its files from scripts/kernel, the host's by 9p."""

import lzma
import os
import pathlib
import shutil
import subprocess

from . import cc, guest

MEMORY = "1G"
ROOT_MODULES = "virtio_pci", "9pnet_virtio", "9p"  # without which it has no root
PATH = "/usr/sbin:/sbin:" + os.environ.get("PATH", "")


class Emulated(guest.Kernel):
    """folder: of vmlinuz and lib/modules. The first serial port is the kernel's console, the second the script's."""

    console, boot = "ttyS1", 180  # a boot takes 10 to 17 seconds

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        self.modules = self.folder / "lib/modules"
        self.version, = os.listdir(self.modules)

    def start(self, directory, init):
        pack(self.root_modules(), directory / "first")
        share = "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"
        return ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", MEMORY, "-nodefaults",
                "-display", "none", "-no-reboot", "-serial", "file:/dev/stderr", "-serial", "file:/dev/stdout",
                "-virtfs", share, "-kernel", self.folder / "vmlinuz", "-initrd", directory / "first",
                "-append", f"console=ttyS0 quiet panic=-1 -- {init}"], {}

    def lacks(self, names):
        """Those of the modules that it has not."""
        return [name for name in names if self._modprobe(name) is None]

    def root_modules(self):
        """The files of the modules that stand before the root, each after those that it needs."""
        files = []
        for name in ROOT_MODULES:
            for line in (self._modprobe(name) or "").splitlines():
                words = line.split()
                if words[0] == "insmod" and words[1] not in files:
                    files.append(words[1])
        return files

    def _modprobe(self, name):
        done = subprocess.run([shutil.which("modprobe", path=PATH), "-d", self.folder, "-S", self.version,
                               "--show-depends", name], check=False, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else None


def pack(modules, target):
    """An initramfs: guest_init.c, and the modules that it loads, by number."""
    folder = target.with_name("first.d")
    for name in ("dev", "modules", "root"):
        (folder / name).mkdir(parents=True)
    shutil.copy(cc.program("guest_init.c", "-static"), folder / "init")
    for number, module in enumerate(modules):
        # The program hands them over as they are, and Linux 5.10 could not unpack any.
        with (lzma.open if module.endswith(".xz") else open)(module, "rb") as file:
            (folder / f"modules/{number:02}").write_bytes(file.read())
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    with open(target, "wb") as file:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], input="\n".join(names).encode(), stdout=file,
                       cwd=folder, check=True)
