# SPDX-License-Identifier: MIT
"""A name server inside a namespace, and the resolv.conf that names it for all that runs there.

As a program: nameserver.py ADDRESS DELAY NAME=VALUE... answers A, AAAA, PTR and TXT questions from these, a VALUE of several
with commas between them; what it does not know has no such name. DELAY is seconds, or "silent".
"""

import contextlib
import heapq
import ipaddress
import pathlib
import select
import shutil
import socket
import struct
import sys
import time

ADDRESS = "127.0.0.53"
NETNS_ETC = pathlib.Path("/etc/netns")
A, PTR, TXT, AAAA = 1, 12, 16, 28


@contextlib.contextmanager
def nameserver(namespace, names=None, delay=0.0):
    """Names (of {name: value}) are found by all that is started inside NAMESPACE; with delay="silent" nothing ever is."""
    etc = NETNS_ETC / namespace.name  # ip netns exec mounts what is in it over /etc
    etc.mkdir(parents=True)
    try:
        (etc / "resolv.conf").write_text(f"nameserver {ADDRESS}\n", encoding="ascii")
        (etc / "hosts").write_text("127.0.0.1 localhost\n", encoding="ascii")
        server = namespace.popen("/usr/bin/python3", __file__, ADDRESS, delay,
                                 *(f"{name}={value}" for name, value in (names or {}).items()), stdout=-1)
        server.stdout.readline()  # it listens
        try:
            yield
        finally:
            server.kill()
            server.wait()
            server.stdout.close()
    finally:
        shutil.rmtree(etc)
        with contextlib.suppress(OSError):
            NETNS_ETC.rmdir()


def encode_name(name):
    return b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.rstrip(".").split(".")) + b"\0"


def records(names, question, kind):
    """The record data that answers: of PTR questions by the address that the name stands for."""
    for value in filter(None, names.get(question, "").split(",")):
        if kind == TXT:
            yield bytes([len(value)]) + value.encode("ascii")
        elif kind == PTR:
            yield encode_name(value)
        elif kind in (A, AAAA):
            address = ipaddress.ip_address(value)
            if (kind == A) == (address.version == 4):
                yield address.packed


def answer(names, query):
    number, _, _, _, _, _ = struct.unpack_from("!6H", query)
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1").lower())
        at += 1 + query[at]
    question = ".".join(labels)
    kind, = struct.unpack_from("!H", query, at + 1)
    found = list(records(names, question, kind))
    head = struct.pack("!6H", number, 0x8580 | (0 if question in names else 3), 1, len(found), 0, 0)
    return head + query[12:at + 5] + b"".join(
        struct.pack("!HHHIH", 0xc00c, kind, 1, 60, len(data)) + data for data in found)


def main(address, delay, *pairs):
    names = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        with contextlib.suppress(ValueError):
            name = ipaddress.ip_address(name).reverse_pointer
        names[name.lower()] = value
    later = []  # (when, whom, what)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        server.bind((address, 53))
        print("listening", flush=True)
        while True:
            wait = max(0, later[0][0] - time.monotonic()) if later else None
            if select.select([server], [], [], wait)[0]:
                query, whom = server.recvfrom(4096)
                if delay != "silent":
                    heapq.heappush(later, (time.monotonic() + float(delay), whom, answer(names, query)))
            while later and later[0][0] <= time.monotonic():
                _, whom, what = heapq.heappop(later)
                server.sendto(what, whom)


if __name__ == "__main__":
    main(*sys.argv[1:])
