# SPDX-License-Identifier: MIT
"""Behind translators and in containers (lab/translators.py): whom mtr's own program and traceroute(8) name, we name.

A network is asked once, by all programs at once: the daemon by both its transports, mtr-packet of Debian's mtr, and
traceroute. Each test is one row: a network, a family, a protocol, with a flow or without, a transport.
"""

import collections
import contextlib
import functools
import re
import shutil
import subprocess

import pytest

from lab import transports, translators
from lab.daemon import Daemon, built_binary
from lab.translators import ASKED, LABEL, LABELLED, NETWORKS, PLAYED
from lab.transports import PLAIN, RAW

pytestmark = pytest.mark.usefixtures("root")

TIMEOUT = 0.8  # seconds; answers come in milliseconds
STEP = 0.4  # the same, where one hop is asked after the other
WHOLE_SECOND = 1  # the peer takes no fraction
PORTS = {"tcp": " port 443"}
MTR_PACKET = "/usr/bin/mtr-packet"
TRACEROUTE = {"icmp": ["-I"], "udp": [], "tcp": ["-T", "-p", 443]}
EVERY = set(range(1, 12))

Row = collections.namedtuple("Row", "network family protocol flow transport")


def name(row):
    return "-".join([row.network, f"ip{row.family}", row.protocol, *(["flow"] if row.flow else []), row.transport])


FAMILIES = {"nat64": (6,), "clat": (4,), "siit": (4,), "srv6-inline": (6,), "srv6-encap": (6,)}
PROTOCOLS = "icmp", "udp", "tcp", "sctp"
ROWS = [Row(network, family, protocol, flow, transport) for network in NETWORKS
        for family in FAMILIES.get(network, (4, 6)) for protocol in PROTOCOLS for flow in (False, True)
        for transport in (RAW, PLAIN)
        if not (flow and protocol == "sctp") and (network != "pasta-2026" or protocol == "udp")
        and not (transport == PLAIN and (protocol == "sctp" or (flow and protocol != "icmp")))]

OWN_ENDS = "the kernel finds a socket by the quote's ends: of icmp the identifier, of udp the port, of tcp all"
PORTS_ALONE = "what is left are the ports, which several probes may share"
# (pattern of a row's name, ttls, why nobody is named there, by whatever program)
SILENT = [
    (r"^(nat64|siit)-.*-tcp", {5}, "tayga drops an error that quotes less than 20 bytes of tcp"),
    (r"^clat-.*-tcp", {7}, "tayga drops an error that quotes less than 20 bytes of tcp"),
    (r"^ovs-ip6-tcp", {3}, "Open vSwitch drops the same, over IPv6"),
    (r"^pasta-ip.-udp", EVERY, "pasta of Debian 12 has no errors"),
    (r"^(pasta|slirp4netns)-ip.-sctp", EVERY, "they carry icmp, udp and tcp"),
    (r"^slirp4netns-ip6-icmp", EVERY, "it carries no echo request over IPv6"),
    (r"^(source|port)-nat-ip6-sctp", {3, 5}, PORTS_ALONE),
    (r"^(port-nat-ip4|target-nat-ip.)-sctp", {3, 5}, PORTS_ALONE),
    (r"^(source|target)-nat-ip.-tcp-plain", {2, 3, 4, 5, 6}, OWN_ENDS),
    (r"^port-nat-ip.-(icmp|tcp).*plain", {2, 3, 4, 5, 6}, OWN_ENDS),
    (r"^port-nat-ip.-udp-plain", {2, 3, 4, 5, 6, 7}, OWN_ENDS),
    (r"^target-nat-ip.-udp-plain", {3, 5, 7}, PORTS_ALONE),
    (r"^srv6-inline-ip6-tcp-plain", {1}, OWN_ENDS),
    (r"^srv6-encap-.*plain", {1}, OWN_ENDS),
    (r"^pasta-2026-ip.-udp-flow", {2, 4}, PORTS_ALONE),
    (r"^target-nat-ip6-udp-flow-raw", {3, 5, 7}, "a translated checksum may be a neighbouring flow's, and IPv6 has no "
                                                 "identification beside it"),
]

# (pattern of a row's name, what is wanting)
NOT_YET = []


def params(wanted=lambda row: True, not_yet=()):
    """A case for each row that is wanted; not_yet: those that are wrong today."""
    def marks(row):
        return [pytest.mark.xfail(strict=False, reason=reason) for pattern, reason in not_yet
                if re.search(pattern, name(row))]

    return pytest.mark.parametrize("row", [pytest.param(row, id=name(row), marks=marks(row)) for row in ROWS
                                           if wanted(row)])


def silent(row):
    """The ttls at which nobody can be named; but ports alone are enough for a probe whose answer came before the next left."""
    told_by = {ttl: reply.address for ttl, reply in results(row.network).replies[row].items()}
    hops = dict(enumerate(results(row.network).hops[row.family], 1))
    return {ttl for pattern, ttls, reason in SILENT if re.search(pattern, name(row)) for ttl in ttls
            if reason != PORTS_ALONE or told_by.get(ttl) != hops.get(ttl)}


# ---------------------------------------------------------------- asking

def line(network, row, ttl, timeout):
    return (f"send-probe ip-{row.family} {network.targets[row.family]} protocol {row.protocol} ttl {ttl} "
            f"timeout {timeout}{' flow 7' if row.flow else ''}{PORTS.get(row.protocol, '')}")


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
        for reply in self._daemon.collect(len(self._sent) - self._collected):
            row, ttl = self._sent[reply.token - 1]
            self.replies[row][ttl] = reply
        self._collected = len(self._sent)


def traceroute(network, family, protocol):
    """Starts one."""
    pace = ["-N", 1, "-w", STEP] if network.in_step else ["-N", 32, "-w", TIMEOUT]
    words = ["traceroute", f"-{family}", "-n", "-q", 1, "-m", len(network.hops[family]), *pace, *TRACEROUTE[protocol]]
    return network.client.popen(*words, network.targets[family], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)


def named_by_traceroute(process):
    output, _ = process.communicate(timeout=20)
    return {int(ttl): address for ttl, address in re.findall(r"^ *(\d+)  ([0-9a-f.:]+)", output, re.M)}


def others(rows):
    """The rows that mtr-packet and traceroute can be asked for."""
    return [row for row in rows if row.protocol != "sctp" and not row.flow and row.transport == RAW]


Results = collections.namedtuple("Results", "hops replies named")


def results(network_name):
    """hops: by family whom to name; replies: by row and ttl; named: by (family, protocol), ttl, and program."""
    found, why_not = once(network_name)
    if why_not:
        raise why_not
    return found


@functools.lru_cache(maxsize=None)
def once(network_name):
    """(results, None), or (None, why there are none), so that no row tries again."""
    try:
        return ask(network_name), None
    except (Exception, pytest.skip.Exception) as error:  # pylint: disable=broad-exception-caught
        return None, error


def ask(network_name):
    rows = [row for row in ROWS if row.network == network_name]
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(translators.network(network_name))
        stack.enter_context(transports.using(PLAIN, built_binary()))
        programs = {RAW: built_binary(), PLAIN: transports.program}
        ours = [Asked(network, [row for row in rows if row.transport == transport], program,
                      STEP if network.in_step else TIMEOUT, " detail 1") for transport, program in programs.items()]
        theirs = [Asked(network, others(rows), MTR_PACKET, WHOLE_SECOND)] if shutil.which(MTR_PACKET) else []
        for one in ours + theirs:
            stack.callback(one.close)
        routes = {(row.family, row.protocol): traceroute(network, row.family, row.protocol) for row in others(rows)} \
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


def named_by_others(asked, routes):
    named = collections.defaultdict(lambda: collections.defaultdict(dict))
    for row, replies in ((row, replies) for one in asked for row, replies in one.replies.items()):
        for ttl, reply in replies.items():
            if reply.kind in ("reply", "ttl-expired"):
                named[row.family, row.protocol][ttl]["mtr-packet"] = reply.address
    for key, process in routes.items():
        for ttl, address in named_by_traceroute(process).items():
            named[key][ttl]["traceroute"] = address
    return named


# ---------------------------------------------------------------- what they say

def answers_itself(row):
    """Whether it is the container's own network that answers, in the target's place, and whatever the ttl is."""
    return row.network in ("pasta", "slirp4netns") and row.protocol in ("icmp", "tcp")


def expected(row):
    """ttl -> who is to be named, None for nobody."""
    hops, nobody = results(row.network).hops[row.family], silent(row)
    return {ttl: None if ttl in nobody else hops[-1] if answers_itself(row) else hop for ttl, hop in enumerate(hops, 1)}


@params(not_yet=NOT_YET)
def test_hops(row):
    """Every hop is named, by its own address, and the target last; the probes of a row are in flight at once."""
    hops = expected(row)

    def reply(ttl, address):
        kind = "reply" if ttl == len(hops) or answers_itself(row) else "ttl-expired"
        return (kind, address) if address else ("no-reply", None)

    said = {ttl: (reply.kind, reply.address) for ttl, reply in sorted(results(row.network).replies[row].items())}
    assert said == {ttl: reply(ttl, address) for ttl, address in hops.items()}


@params(lambda row: row in others([row]))
def test_others_name_no_more(row):
    """Nobody that mtr's program or traceroute names is left out above."""
    translators.needs("mtr-packet", "mtr-tiny")
    translators.needs("traceroute", "traceroute")
    hops = expected(row)
    named = results(row.network).named[row.family, row.protocol]
    assert named.keys() <= {ttl for ttl, hop in hops.items() if hop}, named


def told(row, word):
    """ttl -> what the answers have of this, where they have it."""
    replies = results(row.network).replies[row]
    return {ttl: reply.args[word] for ttl, reply in sorted(replies.items()) if word in reply.args}


# Linux's NAT makes the CRC of quoted sctp anew, over all that stands behind it.
NO_CRC = ("masquerade", "target-nat-tracked")
BEHIND = set(range(2, PLAYED + 2))  # the hops of the played path behind a gate
# (pattern of a row's name, ttls whose quotes are those of another packet)
TRANSLATED = [
    (r"^(source|port|target)-nat-ip.-(?!udp)", BEHIND),
    (r"^(source|port|target)-nat-ip.-udp", BEHIND | {PLAYED + 2}),
    (r"^ovs-ip6-tcp", {1, 2, 4, 6}),  # it puts the addresses right, and not the checksum
    (r"^jool-ip.-icmp", {2, 4, 5}),  # where the router quotes another length than it got
]


@params(lambda row: row.transport == RAW and row.network != "pasta-2026" and not (
    row.protocol == "sctp" and row.network in NO_CRC))
def test_nat(row):
    """`nat 1` where addresses, ports, or a checksum with all that it covers came back otherwise: not where a router has
    clamped the MSS, not of zeros behind a short quote, and not where the quote was translated back."""
    ttls = set().union(*(ttls for pattern, ttls in TRANSLATED if re.search(pattern, name(row)))) - silent(row)
    assert set(told(row, "nat")) == ttls


@params(lambda row: row.network == "clamping" and row.protocol == "tcp" and row.transport == RAW)
def test_clamped_mss(row):
    """Told where the quote has it."""
    assert told(row, "quoted-mss") == {ttl: str(translators.CLAMPED) for ttl in (2, 4, 6)}


# tayga cuts quotes to the packet's own length; the others make quotes of their own.
NO_LABELS = ("nat64", "clat", "siit", "pasta", "slirp4netns", "pasta-2026")


@params(lambda row: row.network not in NO_LABELS and row.transport == RAW)
def test_labels(row):
    """They are told by the two routers that have them, in whatever form a translator leaves them."""
    first = len(results(row.network).hops[row.family]) - PLAYED  # the ttl of the played path's first router
    ttls = {first + number - 1 for number in LABELLED} - silent(row)
    assert told(row, "mpls") == dict.fromkeys(sorted(ttls), LABEL)


# ---------------------------------------------------------------- what the manual advises

@pytest.mark.parametrize("network_name, request_", [
    ("slirp4netns", "protocol udp port 53"),
    ("slirp4netns", "protocol tcp port 81"),
    ("pasta", "protocol udp port 53"),
    ("pasta", "protocol tcp port 81"),
])
def test_ports_beyond_a_container(network_name, request_):
    """An open port of udp and a closed one of tcp answer, over both families."""
    with translators.network(network_name) as network, Daemon(network.client, binary=built_binary()) as daemon:
        for family, address in ASKED.address.items():
            assert daemon.ask(f"send-probe ip-{family} {address} timeout {TIMEOUT} {request_}").kind == "reply"


def test_slirp4netns_at_once():
    """With a source port each, which `port` brings about, probes may be in flight together."""
    with translators.network("slirp4netns") as network, Daemon(network.client, binary=built_binary()) as daemon:
        for family, hops in network.hops.items():
            for ttl in range(1, len(hops) + 1):
                daemon.send(f"{ttl} send-probe ip-{family} {network.targets[family]} protocol udp port 33434 ttl {ttl} "
                            f"timeout {TIMEOUT}")
            named = {reply.token: reply.address for reply in daemon.collect(len(hops))}
            assert named == dict(enumerate(hops, 1))


def test_size_of_echo_replies():
    """Behind 464XLAT those of more than 1260 bytes are lost, and udp is not."""
    with translators.network("clat") as network, Daemon(network.client, binary=built_binary()) as daemon:
        sizes = [(protocol, size) for protocol in ("icmp", "udp") for size in (1260, 1261, 1480)]
        for token, (protocol, size) in enumerate(sizes):
            daemon.send(f"{token} send-probe ip-4 {network.targets[4]} protocol {protocol} size {size} "
                        f"timeout {TIMEOUT}")
        answered = {sizes[reply.token] for reply in daemon.collect(len(sizes)) if reply.kind == "reply"}
        assert answered == set(sizes) - {("icmp", 1261), ("icmp", 1480)}
