# SPDX-License-Identifier: MIT
"""A link with a delay, for kernels without netem: two TUN devices and a thread that carries packets between them."""

import collections
import fcntl
import os
import select
import struct
import threading
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000
QUEUE = 32_767  # packets: the most that Linux 7 allows
BATCH = 100


def delayed(a, ifname_a, b, ifname_b, a_addrs=(), b_addrs=(), delay=0.1):
    """Like net.join(), but every packet takes `delay` seconds. close() what it returns."""
    ends = []
    for namespace, ifname, addresses in ((a, ifname_a, a_addrs), (b, ifname_b, b_addrs)):
        with namespace.enter():
            end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", ifname.encode(), IFF_TUN | IFF_NO_PI))
        namespace.ip(*(f"addr add {address} dev {ifname}{' nodad' if ':' in address else ''}"
                       for address in addresses), f"link set {ifname} txqueuelen {QUEUE} up")
        ends.append(end)
    return _Link(ends, delay)


class _Link:
    def __init__(self, ends, delay):
        self._ends, self._delay = ends, delay
        self._stop, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def close(self):
        os.write(self._wake, b"x")
        self._thread.join()
        for fd in (*self._ends, self._stop, self._wake):
            os.close(fd)

    def _carry(self):
        other = dict(zip(self._ends, reversed(self._ends)))
        under_way = collections.deque()
        while True:
            wait = max(0, under_way[0][0] - time.monotonic()) if under_way else None
            ready, _, _ = select.select([*self._ends, self._stop], [], [], wait)
            if self._stop in ready:
                return
            for end in ready:
                self._take(end, other[end], under_way)
            while under_way and under_way[0][0] <= time.monotonic():
                _, end, packet = under_way.popleft()
                os.write(end, packet)

    def _take(self, end, to, under_way):
        try:
            for _ in range(BATCH):
                under_way.append((time.monotonic() + self._delay, to, os.read(end, 1 << 16)))
        except BlockingIOError:
            pass
