# SPDX-License-Identifier: MIT
"""What ordinary programs get where a probe is sent: ping(8), a connected UDP socket, a TCP connect.

As a program: sockets.py PROTOCOL ADDRESS [DEVICE] prints yes or no.
"""

import errno
import socket
import subprocess
import sys

PORTS = {"udp": 9, "tcp": 80}  # nobody listens at either
HEADERS = {"icmp": {4: 28, 6: 48}, "udp": {4: 28, 6: 48}}
DISCOVER = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}
DONT, DO = 0, 2
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
SO_BINDTODEVICE = 25


def family_of(address):
    return 6 if ":" in address else 4


def ask(protocol, address, device="", size=0, fragment=True, wait=1.0):
    """yes: something came back; no: nothing; too-big: the host did not let it out because of its size.

    size: of the whole packet. fragment: whether the host may make fragments. wait: seconds for an answer.
    """
    if protocol == "icmp":
        return _ping(address, device, size, fragment, wait)
    family = family_of(address)
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(FAMILIES[family], kind) as sender:
        sender.settimeout(wait)
        if device:
            sender.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode())
        if size:
            sender.setsockopt(*DISCOVER[family], DONT if fragment else DO)
        try:
            sender.connect((address, PORTS[protocol]))
            if protocol == "udp":
                sender.send(bytes(max(size - HEADERS["udp"][family], 0)))
                sender.recv(1)
        except ConnectionRefusedError:
            return "yes"
        except OSError as error:
            return "too-big" if error.errno == errno.EMSGSIZE else "no"
        return "yes"


def _ping(address, device, size, fragment, wait):
    argv = ["ping", "-n", "-c", "1", "-W", str(wait), *(["-I", device] if device else [])]
    if size:
        argv += ["-s", str(size - HEADERS["icmp"][family_of(address)]), "-M", "dont" if fragment else "do"]
    done = subprocess.run([*argv, address], check=False, capture_output=True, text=True)
    if "too long" in done.stdout + done.stderr:
        return "too-big"
    return "yes" if done.returncode == 0 else "no"


if __name__ == "__main__":
    print(ask(*sys.argv[1:]))
