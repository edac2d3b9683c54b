# SPDX-License-Identifier: MIT
"""Whom the daemon, mtr's own program and traceroute(8) name on one of lab/translators.py's networks.

All of them ask at once: the daemon by both its transports, mtr-packet of Debian's mtr, and traceroute. What the daemon
is asked for is a row: a network, a family, a protocol, with a flow or without, a transport, and a size or none.
"""

import collections
import contextlib
import math
import re
import shutil
import subprocess

from . import transports
from .daemon import Daemon, built_binary
from .transports import PLAIN, RAW

TIMEOUT = 0.8  # seconds; answers come in milliseconds
STEP = 0.4  # the same, where one hop is asked after the other
SPARE = 5  # seconds until what the daemon says is here on a busy machine
PORTS = {"tcp": " port 443"}
MTR_PACKET = "/usr/bin/mtr-packet"
TRACEROUTE = {"icmp": ["-I"], "udp": [], "tcp": ["-T", "-p", 443]}

Row = collections.namedtuple("Row", "network family protocol flow transport size", defaults=[None])
# hops: by family whom to name; replies: by row and ttl; named: by row of others(), ttl, and program
Results = collections.namedtuple("Results", "hops replies named")


def name(row):
    return "-".join([row.network, f"ip{row.family}", row.protocol, *(["flow"] if row.flow else []),
                     *([f"size{row.size}"] if row.size else []), row.transport])


def others(rows, protocols=tuple(TRACEROUTE)):
    """The rows that mtr-packet, for one, can be asked for; its sctp only where the kernel has that."""
    return [row for row in rows if row.protocol in protocols and not row.flow and row.transport == RAW]


def can_ask(program, row):
    return program != "traceroute" or row.protocol in TRACEROUTE


def ask(network, rows, timeout=TIMEOUT, protocols=tuple(TRACEROUTE)):
    """What becomes of the rows on this network of theirs; timeout: seconds for an answer, where all hops are asked at
    once, and of mtr-packet, which takes no fraction, whole ones. protocols: what the other programs are asked by."""
    compared = others(rows, protocols)
    with contextlib.ExitStack() as stack:
        stack.enter_context(transports.using(PLAIN, built_binary()))
        programs = {RAW: built_binary(), PLAIN: transports.program}
        ours = [Asked(network, [row for row in rows if row.transport == transport], program,
                      STEP if network.in_step else timeout, " detail 1") for transport, program in programs.items()]
        theirs = [Asked(network, compared, MTR_PACKET, math.ceil(timeout))] if shutil.which(MTR_PACKET) else []
        for one in ours + theirs:
            stack.callback(one.close)
        routes = {row: traceroute(network, row, timeout) for row in compared if can_ask("traceroute", row)} \
            if shutil.which("traceroute") else {}
        ttls = range(1, max(map(len, network.hops.values())) + 1)
        for some in [[ttl] for ttl in ttls] if network.in_step else [ttls]:
            for one in ours + theirs:
                one.send(some)
            for one in ours:
                one.collect()
        for one in theirs:
            one.collect()
        replies = {row: replies for one in ours for row, replies in one.replies.items()}
        return Results(network.hops, replies, named_by_others(theirs, routes))


class Asked:
    """A program with requests for rows: those of some ttls at a time. Gathers row -> ttl -> reply."""

    def __init__(self, network, rows, binary, timeout, more=""):
        self._network, self._rows, self._timeout, self._more = network, rows, timeout, more
        self._sent, self._collected = [], 0
        self._daemon = Daemon(network.client, binary=binary)
        self.close = self._daemon.kill
        self.replies = {row: {} for row in rows}

    def send(self, ttls):
        for ttl in ttls:
            for row in self._rows:
                if ttl <= len(self._network.hops[row.family]):
                    self._sent.append((row, ttl))
                    self._daemon.send(f"{len(self._sent)} {line(self._network, row, ttl, self._timeout)}{self._more}")

    def collect(self):
        for reply in self._daemon.collect(len(self._sent) - self._collected, self._timeout + SPARE):
            row, ttl = self._sent[reply.token - 1]
            self.replies[row][ttl] = reply
        self._collected = len(self._sent)


def line(network, row, ttl, timeout):
    words = f"{' flow 7' if row.flow else ''}{f' size {row.size}' if row.size else ''}{PORTS.get(row.protocol, '')}"
    return (f"send-probe ip-{row.family} {network.targets[row.family]} protocol {row.protocol} ttl {ttl} "
            f"timeout {timeout}{words}")


def traceroute(network, row, timeout):
    """Starts one."""
    pace = ["-N", 1, "-w", STEP] if network.in_step else ["-N", 32, "-w", timeout]
    words = ["traceroute", f"-{row.family}", "-n", "-q", 1, "-m", len(network.hops[row.family]), *pace,
             *TRACEROUTE[row.protocol], network.targets[row.family], *([row.size] if row.size else [])]
    return network.client.popen(*words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                text=True)


def named_by_traceroute(process):
    output, _ = process.communicate(timeout=20)
    return {int(ttl): address for ttl, address in re.findall(r"^ *(\d+)  ([0-9a-f.:]+)", output, re.M)}


def named_by_others(asked, routes):
    named = collections.defaultdict(lambda: collections.defaultdict(dict))
    for row, replies in ((row, replies) for one in asked for row, replies in one.replies.items()):
        for ttl, reply in replies.items():
            if reply.kind in ("reply", "ttl-expired"):
                named[row][ttl]["mtr-packet"] = reply.address
    for row, process in routes.items():
        for ttl, address in named_by_traceroute(process).items():
            named[row][ttl]["traceroute"] = address
    return named
