# SPDX-License-Identifier: MIT
"""Servers that answer what they receive as a test wants it."""

import contextlib
import socket
import threading


@contextlib.contextmanager
def hearing(sock, hear):
    """Calls hear(data, sender) in a thread for everything that the socket receives, while this lasts."""
    stop = threading.Event()

    def serve():
        sock.settimeout(0.05)
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                hear(*sock.recvfrom(1 << 16))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def answering(namespace, end, port, answer):
    """A UDP server there that answers each datagram with what this makes of it."""
    family = socket.AF_INET6 if ":" in end else socket.AF_INET
    with namespace.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((end, port))
        with hearing(sock, lambda asked, who: sock.sendto(answer(asked), who)):
            yield
