# SPDX-License-Identifier: MIT
"""Writes packets to a device as fast as it takes them, until it is ended: python -m lab.flood FD PACKETS

PACKETS is a file: two bytes of length before each. What the kernel refuses is left out.
"""

import contextlib
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile

SYSTEM = pathlib.Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def flood(fd, packets):
    """A child process that does so meanwhile."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets))
        file.flush()
        process = subprocess.Popen([sys.executable, "-m", "lab.flood", str(fd), file.name], cwd=SYSTEM,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=(fd,))
        try:
            process.stdout.read(1)  # it has begun
            yield process
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def _split(data):
    while data:
        size = 2 + int.from_bytes(data[:2], "big")
        yield data[2:size]
        data = data[size:]


def _main(fd, path):
    packets = list(_split(pathlib.Path(path).read_bytes()))
    os.write(1, b"x")
    for packet in itertools.cycle(packets):
        with contextlib.suppress(OSError):
            os.write(fd, packet)


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2])
