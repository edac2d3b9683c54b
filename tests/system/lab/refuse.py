# SPDX-License-Identifier: MIT
"""Runs a program for which the kernel refuses some sockets: refuse.py FAMILY:TYPE:PROTOCOL[,...] program [argument]...

A * stands for any number. What is refused fails with EAFNOSUPPORT, or EPROTONOSUPPORT when a protocol was named: as on
a host whose kernel has no IPv6, or a container that allows one protocol and not another. By seccomp, which needs root.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

SOCKET_CALL = {"x86_64": 41, "aarch64": 198, "riscv64": 198, "ppc64le": 326, "s390x": 359}
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
LOAD, EQUAL, AND, RETURN = 0x20, 0x15, 0x54, 0x06  # of classic BPF
ALLOW, ERROR = 0x7fff0000, 0x00050000
LOW = 0 if sys.byteorder == "little" else 4  # the low half of a 64-bit argument
TYPE_MASK = 0xf  # without SOCK_CLOEXEC and SOCK_NONBLOCK


def instruction(code, value, true=0, false=0):
    return struct.pack("HBBI", code, true, false, value)


def rule(words):
    """Instructions that refuse these sockets, and fall through for any other."""
    code = errno.EAFNOSUPPORT if words[2] == "*" else errno.EPROTONOSUPPORT
    wanted = [(index, int(word)) for index, word in enumerate(words) if word != "*"]
    steps = []
    for index, value in wanted:
        steps.append((instruction(LOAD, 16 + 8 * index + LOW), None))
        if index == 1:
            steps.append((instruction(AND, TYPE_MASK), None))
        steps.append((None, value))
    size = len(steps) + 1
    done = [step or instruction(EQUAL, value, 0, size - at - 1) for at, (step, value) in enumerate(steps)]
    return b"".join(done) + instruction(RETURN, ERROR | code)


def install(rules):
    call = SOCKET_CALL[platform.machine()]
    body = b"".join(rule(text.split(":")) for text in rules.split(","))
    program = instruction(LOAD, 0) + instruction(EQUAL, call, 1, 0) + instruction(RETURN, ALLOW) + body + \
        instruction(RETURN, ALLOW)
    buffer = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(header), 0, 0) != 0:
        sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    install(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
