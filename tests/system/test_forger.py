# SPDX-License-Identifier: MIT
"""A forger beside the daemon: it knows our address, the targets, the protocols and how this program works, but does not
see the probes. What it must guess, and so the chance that one forgery is believed by the probe to the target it names:

    protocol   answer                          bits to guess                                           chance
    icmp       echo reply                      identifier 16 (12 drawn, 4 count), sequence 16            2^-32
               the same, without a pattern     the nonce in the payload, too                             2^-96
               error, our address in the quote the same; without a pattern the nonce's checksum, too     2^-32
               error, another address in it    sequence 16, and identifier 16 or IP id 16                2^-31
    tcp        SYN-ACK, RST                    port 12, sequence number 32                               2^-44
               error                           sequence number 32 (and our port 12, but beyond a NAT)    2^-32
    sctp       INIT-ACK, ABORT                 port 12, initiate tag 32                                  2^-44
               error that quotes 20 bytes      initiate tag 32 (and the port, as for tcp)                2^-32
               error that quotes 8 bytes       port 12; IPv4, as beyond a NAT: IP id 16                  2^-12
    udp        datagram                        port 12, target's port ~7                                 2^-12 / ports
               error, our address in the quote the same; without a pattern the nonce's checksum, 16      2^-12 / ports
               error, another address in it    target's port ~8, and port 12 (IPv4: or IP id 16)         2^-12 / ports

Our ports are among the 4096 above net.ipv4.ip_local_port_range: the 12 bits. The target's port of udp is one
of the hundred from 33434 on. The nonce is 64 bits, which an echo reply must
bring back; with a pattern nothing in the payload is unknown. HOPLINE_FORGERIES=1000000 is the full number for each
test.
"""

import math
import os
import random
import struct
import time

import pytest

from lab import forge, wire
from lab.daemon import Daemon
from lab.expect import NO_REPLY, answered, by_token, gather, said, send
from lab.net import Namespace
from lab.path import SHORT, Tun, target_address
from test_path import FAMILIES, probe

FORGERIES = int(os.environ.get("HOPLINE_FORGERIES", "100000"))
PROBES = 100  # silent ones of each family, each to a target of its own
PORTS = range(61440, 65536)
UDP_FIRST, UDP_PORTS = 33434, 100
HONEST = 5000
IN_TURN = 2000  # forgeries between two honest answers, which show that all before were read
LONG = 20  # bytes of an sctp quote that shows the initiate tag
FORMS = "direct", "own", "translated"

# Right answers that are lost by chance. Beyond a NAT of IPv6 a quote without a number of the probe's own counts for the
# only probe to its target and port, and two probes in 65,536 / PROBES pass for one another's company (src/probe.c): of the
# 33 here one in ten thousand runs loses more than these.
UNLUCKY = 2

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(scope="module")
def tun():
    with Namespace("forgery") as namespace, Tun(namespace) as device:
        yield device


@pytest.fixture
def prey(tun, binary):
    tun.drain()
    with Daemon(tun.namespace, binary=binary) as running:
        yield running


def adjusted(checksum, old, new):
    """The checksum when one of its 16-bit words becomes another (RFC 1624)."""
    total = (~checksum & 0xffff) + (~old & 0xffff) + new
    total = (total & 0xffff) + (total >> 16)
    return ~((total & 0xffff) + (total >> 16)) & 0xffff


class Template:
    """An answer to one probe in which the places of what must be guessed are known. Its numbers are overwritten."""

    # protocol -> offsets of near, far and number in what it quotes, and in its own answer; None: not there
    QUOTED = {"icmp": (4, 6, None), "udp": (0, 2, None), "tcp": (0, None, 4), "sctp": (0, None, 16)}
    DIRECT = {"icmp": (4, 6, None), "udp": (2, 0, None), "tcp": (2, None, 8), "sctp": (2, None, 4)}
    CHECKSUM = {"icmp": 2, "udp": 6, "tcp": 16, "sctp": None}

    def __init__(self, seen, form, quote, pattern):
        self.inner = self.ip_id = None
        protocol = seen.protocol
        self.has_nonce = protocol == "icmp" and not pattern  # which an echo reply returns
        if form == "direct":
            raw = forge.packet(seen, forge.message(seen, payload=bytes(len(seen.payload)) or None))
            start, places = wire.decode(raw).header_length, self.DIRECT[protocol]
            if protocol == "sctp":  # its CRC may be left out, and never needs to be made right
                raw = raw[:start + 8] + bytes(4) + raw[start + 12:]
            outer = self.CHECKSUM[protocol]
        else:
            quoted = seen.raw if form == "own" else forge.with_source(seen, forge.OUTSIDE[seen.family])
            if pattern:  # of what the forger knows, he makes all checksums right
                quoted = forge.translated(seen, source=form == "translated")
            raw = forge.time_exceeded(seen, quoted, quote)
            message = wire.decode(raw).header_length
            start, places, outer = message + 8 + seen.header_length, self.QUOTED[protocol], 2 + message
            if pattern and self.CHECKSUM[protocol]:
                self.inner = start + self.CHECKSUM[protocol]
            if seen.family == 4:
                self.ip_id = message + 8 + 4
            outer -= start
        near, far, number = (None if place is None else start + place for place in places)
        if number is not None and number + 4 > len(raw):
            number = None
        self.raw, self.places = bytearray(raw), (near, far, number)
        self.outer = None if outer is None else start + outer
        # A nonce can't be known, and so neither the checksum that it goes into.
        nonce = form != "direct" and not pattern and protocol in ("icmp", "udp")
        self.unknown = start + self.CHECKSUM[protocol] if nonce else None

    def _put(self, at, value, inner=True):
        old, = struct.unpack_from("!H", self.raw, at)
        struct.pack_into("!H", self.raw, at, value)
        for place in (self.inner if inner else None, self.outer):
            if place is not None:
                before, = struct.unpack_from("!H", self.raw, place)
                after = adjusted(before, old, value)
                struct.pack_into("!H", self.raw, place, after)
                if place == self.inner:  # it is itself among what the outer one covers
                    total, = struct.unpack_from("!H", self.raw, self.outer)
                    struct.pack_into("!H", self.raw, self.outer, adjusted(total, before, after))

    def fill(self, near, far, number, ip_id, checksum):
        at_near, at_far, at_number = self.places
        self._put(at_near, near)
        if at_far is not None:
            self._put(at_far, far)
        if at_number is not None:
            self._put(at_number, number >> 16)
            self._put(at_number + 2, number & 0xffff)
        if self.ip_id is not None:
            self._put(self.ip_id, ip_id, inner=False)
        if self.unknown is not None:
            self._put(self.unknown, checksum, inner=False)
        return self.raw


def guess(chance, protocol):
    """What a forger tries: near, far, number, IP id, checksum."""
    bits = chance.getrandbits(64)
    if protocol == "icmp":
        near, far = bits & 0xffff, bits >> 16 & 0xffff
    else:
        near, far = PORTS[bits % len(PORTS)], UDP_FIRST + (bits >> 16) % UDP_PORTS
    return near, far, bits >> 32, chance.getrandbits(16), chance.getrandbits(16)


def truth(seen, form):
    """What a forger would try who saw the probe."""
    near, far = (seen.icmp_id, seen.seq) if seen.protocol == "icmp" else (seen.sport, seen.dport)
    number = seen.init_tag if seen.protocol == "sctp" else seen.seq
    if form == "direct" and seen.protocol == "tcp":
        number = number + 1 & 0xffffffff
    return near, far, number, seen.ip_id, seen.checksum


def chance_of(protocol, family, form, quote, pattern):
    """That one forgery is believed: the table above."""
    ip_id = 2 ** -16 if family == 4 and form == "translated" else 0
    if protocol == "icmp":
        return 2 ** -16 * (2 ** -16 + ip_id)
    if protocol == "tcp" or (protocol == "sctp" and (form == "direct" or quote >= LONG)):
        return 2 ** -32
    checksum = 2 ** -16 if protocol == "udp" and form == "own" and not pattern else 1
    return (1 / len(PORTS) * checksum + ip_id) / (UDP_PORTS if protocol == "udp" else 1)


CASES = [
    ("icmp", SHORT, False), ("icmp", SHORT, True), ("udp", SHORT, False), ("udp", SHORT, True), ("tcp", SHORT, False),
    ("sctp", LONG, False), ("sctp", SHORT, False),
]


def at_most(expected):
    """How many believed are no surprise (one time in a million); below 0.01 expected: none."""
    return 0 if expected < 0.01 else expected + 5 * math.sqrt(expected) + 5


def be_honest(tun, daemon, number):
    """A probe that its target answers: so that all before was read."""
    family = FAMILIES[number % 2]
    address = target_address(HONEST + number)[family]
    daemon.send(f"{HONEST + number} {probe(family, address)}")
    tun.inject(forge.direct(tun.probes([address], 20)[address]))
    end = time.monotonic() + 20
    while not any(reply.token == HONEST + number for reply in daemon.replies[-50:]) and time.monotonic() < end:
        time.sleep(0.0005)


@pytest.mark.parametrize("protocol, quote, pattern", CASES,
                         ids=[f"{protocol}, {quote} bytes quoted{', pattern' if pattern else ''}"
                              for protocol, quote, pattern in CASES])
def test_forgeries(tun, prey, protocol, quote, pattern):
    """So many forged answers to silent probes: believed are no more than the bits that must be guessed allow."""
    chance = random.Random()
    more = {"bit_pattern": 0} if pattern else {}
    addresses = [target_address(number)[family] for family in FAMILIES for number in range(PROBES)]
    send(prey, [probe(6 if ":" in address else 4, address, protocol, timeout=10 + FORGERIES // 10_000, **more)
                for address in addresses])
    seen = tun.probes(addresses)
    templates = [(address, form, Template(seen[address], form, quote, pattern))
                 for address in addresses for form in FORMS]
    for number in range(FORGERIES):
        template = templates[chance.randrange(len(templates))][2]
        os.write(tun.fd, template.fill(*guess(chance, protocol)))
        if number % IN_TURN == IN_TURN - 1:
            be_honest(tun, prey, number // IN_TURN)
    be_honest(tun, prey, FORGERIES // IN_TURN)
    replies = [reply for reply in prey.replies if reply.token < HONEST]
    assert all(reply.kind != "no-reply" for reply in replies), "this machine is too slow: probes were over already"
    expected = sum(FORGERIES / len(templates) * chance_of(protocol, 6 if ":" in address else 4, form, quote, pattern)
                   for address, form, _ in templates)
    print(f"{protocol}: {FORGERIES} forgeries, {len(replies)} believed, expected at most {expected:.2g}")
    assert len(replies) <= at_most(expected), \
        f"{len(replies)} of {FORGERIES} forgeries were believed, expected {expected:.3g}: {replies[:5]}"
    believe_who_saw(tun, prey, templates, seen, {addresses[reply.token - 1] for reply in replies})


def believe_who_saw(tun, daemon, templates, seen, over):
    """The same forger with the right numbers is believed: so nothing else was wrong with his packets."""
    daemon.collect(len(daemon.replies))  # those that were looked at already
    expected, by_luck = {}, set()
    for place, (address, form, template) in enumerate(templates):
        token, turn = place // len(FORMS) + 1, place // len(FORMS) % len(FORMS)
        unknown = form == "direct" and template.has_nonce
        if address in over or unknown or form != FORMS[turn]:
            continue
        os.write(tun.fd, template.fill(*truth(seen[address], form)))
        expected[token] = answered("reply", address) if form == "direct" else \
            answered("ttl-expired", forge.ROUTER[seen[address].family])
        if form == "translated" and seen[address].family == 6:
            by_luck.add(token)
    replies, note = gather(daemon, len(expected))
    came = {token: said(reply) for token, reply in by_token(replies).items() if reply.kind != NO_REPLY}
    wrong = {token: kind for token, kind in came.items() if kind != expected.get(token)}
    lost = expected.keys() - came.keys()
    assert not wrong and lost <= by_luck and len(lost) <= UNLUCKY, \
        f"wrong: {wrong}; not believed, though right: {[expected[token] for token in lost]}{note}"
