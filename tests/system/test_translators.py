# SPDX-License-Identifier: MIT
"""Behind translators and in containers (lab/translators.py): whom mtr's own program and traceroute(8) name, we name.

A network is asked once, by all programs at once: the daemon by both its transports, mtr-packet of Debian's mtr, and
traceroute. Each test is one row: a network, a family, a protocol, with a flow or without, a transport.
"""

import functools
import re

import pytest

from lab import asking, translators
from lab.asking import TIMEOUT, Row, name, others
from lab.daemon import Daemon, built_binary
from lab.translators import ASKED, LABEL, LABELLED, NETWORKS, PLAYED
from lab.transports import PLAIN, RAW

pytestmark = pytest.mark.usefixtures("root")

EVERY = set(range(1, 12))

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


def results(network_name):
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
    with translators.network(network_name) as network:
        return asking.ask(network, [row for row in ROWS if row.network == network_name])


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
    named = results(row.network).named[row]
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
