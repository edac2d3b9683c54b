# SPDX-License-Identifier: MIT
"""Floods: of requests, under which what is in flight is served in time; and of answers, under which requests go on.
The bounds are wide, since a machine may be busy with other things; without turns they would be missed by seconds."""

import tempfile
import time

import pytest

from lab import forge
from lab.daemon import Daemon, target as to
from lab.expect import by_token, send
from lab.flood import flood
from lab.net import Namespace
from lab.pair import ANSWERS, SILENT
from lab.path import Tun, target_address
from test_path import FAMILIES, every_family, probe

SECONDS = 3
LATE = 1.0  # seconds after which a reply is too late
CHUNK, CHUNKS = 2000, 450  # silent requests before each that is answered; in all not more than may be in flight
FLOOD, HONEST = 1_000_000, 5000  # first tokens

pytestmark = pytest.mark.usefixtures("root")


@every_family
def test_requests(binary, pair, family):
    """A flood of requests, from a file that is always ready: deadlines of probes in flight are kept, and answers reach
    the client, while it goes on."""
    timeouts = [0.1 + 0.02 * number for number in range(100)]
    silent = f"{FLOOD} send-probe {to(SILENT[family])} timeout 60\n" * CHUNK
    with tempfile.TemporaryFile() as file:
        file.writelines(f"{number} send-probe {to(SILENT[family])} timeout {timeout:.2f}\n".encode()
                        for number, timeout in enumerate(timeouts))
        file.writelines(f"{silent}{HONEST + number} send-probe {to(ANSWERS[family])} timeout 60\n".encode()
                        for number in range(CHUNKS))
        file.seek(0)
        start = time.monotonic()
        with Daemon(pair.client, binary=binary, stdin=file) as daemon:
            replies = by_token(daemon.collect(len(timeouts) + CHUNKS, 60))
    late = [replies[number].time - start - timeout for number, timeout in enumerate(timeouts)]
    assert all(replies[number].kind == "no-reply" for number in range(len(timeouts)))
    assert 0 < min(late) and max(late) < LATE, f"deadlines were missed by up to {max(late):.2f} s"
    answers = [replies[HONEST + number] for number in range(CHUNKS)]
    assert all(reply.kind == "reply" for reply in answers)
    gaps = [after.time - before for before, after in zip([start, *(reply.time for reply in answers)], answers)]
    assert max(gaps) < LATE, f"for {max(gaps):.2f} s there was no answer"


def over(tun, daemon):
    """Answers to probes that are over, which pass the sockets' filters and are nobody's."""
    rows = [(family, protocol, target_address(number)[family]) for family in FAMILIES
            for number, protocol in enumerate(("icmp", "udp", "tcp", "sctp") * 5)]
    send(daemon, [probe(family, address, protocol, timeout=0.1) for family, protocol, address in rows])
    seen = tun.probes([address for _, _, address in rows])
    daemon.collect(len(rows))
    echoes = [forge.direct(seen[address]) for _, protocol, address in rows if protocol == "icmp"]
    return echoes + [forge.time_exceeded(packet) for packet in seen.values()]


def test_answers(binary):
    """A flood of echo replies and ICMP errors that are nobody's: requests are read, probes leave, those that are
    answered say so, and those that are not end in time."""
    count, timeout = 60, 0.5
    with Namespace("floods") as namespace, Tun(namespace) as tun, Daemon(namespace, binary=binary) as daemon:
        unrelated = over(tun, daemon)
        used = daemon.cpu()
        sent = {}
        with flood(tun.fd, unrelated):
            for number in range(count):
                family = FAMILIES[number % 2]
                address, silent = (target_address(place + number)[family] for place in (HONEST, 2 * HONEST))
                daemon.send(f"{HONEST + number} {probe(family, address, timeout=5)}",
                            f"{FLOOD + number} {probe(family, silent, timeout=timeout)}")
                sent[number] = time.monotonic()
                tun.inject(forge.direct(tun.probes([address])[address]))
                time.sleep(SECONDS / count)
            replies = by_token(daemon.collect(2 * count, 10))
        used = daemon.cpu() - used
        assert daemon.finish() == (0, "")
    assert used > 0.1 * SECONDS, f"it worked for {used:.2f} s only: that was no flood"
    late = [replies[FLOOD + number].time - sent[number] - timeout for number in sent]
    assert all(replies[FLOOD + number].kind == "no-reply" for number in sent)
    assert -0.05 < min(late) and max(late) < LATE, f"deadlines were missed by up to {max(late):.2f} s"
    served = [replies[HONEST + number] for number in sent if replies[HONEST + number].kind == "reply"]
    assert len(served) > count * 0.9, f"{len(served)} of {count} answers were seen"
    waited = [reply.time - sent[reply.token - HONEST] for reply in served]
    assert max(waited) < LATE, f"answers came up to {max(waited):.2f} s late"
