# SPDX-License-Identifier: MIT
"""A forger beside the daemon: it knows our address, the targets, the protocols and how this program works, but does not
see the probes. What it must guess, and so the chance that one forgery is believed by the probe to the target it names,
or, where it says "any", by each that there is of this protocol and family:

    protocol   answer                          what must be right                                       chance
    icmp       echo reply, from anywhere       identifier 16 (12 drawn, 4 count), sequence 16           2^-32, any
               the same, without a pattern     the nonce in the payload, too                            2^-96, any
               error, our address in the quote identifier and sequence; the checksum does not count     2^-32
               error, another address in it    sequence; and IPv4: IP id 16; else identifier 16,        2^-32
                                               or without a pattern the nonce's checksum 16             2^-31
               error, another target, too      sequence, identifier and IPv4's IP id                    2^-48, any
                                               without a pattern the checksum, and one of those         2^-48 to -47, any
    timestamp  reply                           identifier 16, sequence 16, and the time, which is known        2^-32
               errors                          as of icmp, with a pattern                               2^-32, -48
    extended   reply                           identifier 16, sequence 8                                2^-24
    echo       errors                          as of icmp, with a pattern, but for the sequence         2^-24, -40
    tcp        SYN-ACK, RST                    port 12, sequence number 32                              2^-44
               error, our address in the quote the same                                                 2^-44
               error, another address in it    sequence number 32                                       2^-32
               error, another target, too      sequence number 32, and port 12 or IPv4's IP id 16       2^-44, any
    sctp       INIT-ACK, ABORT, from anywhere  port 12, initiate tag 32                                 2^-44, any
               errors that quote 20 bytes      as for tcp, with the initiate tag
               error that quotes 8 bytes       port 12; and IPv4: IP id 16, or 0 with DF                2^-12, IPv4 too
               the same, another address in it port 12; IPv4: IP id 16, or 0 with DF and port           2^-12
               error, another target, too      (what it quotes proves nothing)                          0
    udp        datagram                        port 12, target's port ~7                                2^-12 / ports
               error, our address in the quote the same; without a pattern the nonce's checksum 16      2^-12 or -28 / ports
               the same, rebuilt, of IPv4      the same; without a pattern the nonce in it, or IP id    2^-12 or -28 / ports
               error, another address in it    target's port; IPv4: IP id 16                            2^-16 / ports
               the same, rebuilt, or IPv6      target's port and port 12, or the nonce's checksum       2^-12 / ports
               error, another target, too      IPv4: port and IP id                                     2^-28, any
                                               without a pattern checksum 16, and IPv4: IP id 16;       2^-32, any
                                               else, or IPv6: port and the target's                     2^-28 / ports, any

Rebuilt: IP id 0 with DF, and of udp checksum 0, see forge.rebuilt(); of 16 bytes quoted 8 are a nonce's, which must be right
then (2^-64). Our ports are among the 4096 above net.ipv4.ip_local_port_range: the 12 bits. The target's port of udp is one
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
NONCE = 8  # bytes, at the beginning of a payload
LONG = 20  # bytes of an sctp quote that shows the initiate tag
FORMS = "direct", "elsewhere", "own", "rebuilt", "translated", "rebuilt and translated", "target"
DIRECT = FORMS[:2]

# ICMP requests that are no echo: the families that have them, what is asked, and the chance of a guessed sequence number
KINDS = {
    "timestamp": ((4,), {"icmp_request": "timestamp"}, 2 ** -16),
    "extended-echo": (FAMILIES, {"icmp_request": "extended-echo", "interface_index": 7}, 2 ** -8),
}

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
        self.inner = self.ip_id = self.nonce = None
        protocol = seen.protocol
        self.has_nonce = protocol == "icmp" and not pattern  # which an echo reply returns
        if form in DIRECT:
            sender = forge.STRANGER[seen.family] if form == "elsewhere" else seen.dst
            raw = forge.packet(seen, forge.message(seen, sender=sender, payload=bytes(len(seen.payload)) or None), sender)
            start, places = wire.decode(raw).header_length, self.DIRECT[protocol]
            if protocol == "sctp":  # its CRC may be left out, and never needs to be made right
                raw = raw[:start + 8] + bytes(4) + raw[start + 12:]
            outer = self.CHECKSUM[protocol]
        else:
            quoted = quoted_in(seen, form)
            raw = forge.time_exceeded(seen, quoted, quote)
            message = wire.decode(raw).header_length
            start, places, outer = message + 8 + seen.header_length, self.QUOTED[protocol], 2 + message
            no_checksum = "rebuilt" in form and protocol == "udp"
            if pattern and self.CHECKSUM[protocol] and not no_checksum:  # of what he knows, he makes all checksums right
                self.inner = start + self.CHECKSUM[protocol]
            if seen.family == 4 and "rebuilt" not in form:
                self.ip_id = message + 8 + 4
            outer -= start
        near, far, number = (None if place is None else start + place for place in places)
        if number is not None and number + 4 > len(raw):
            number = None
        self.raw, self.places = bytearray(raw), (near, far, number)
        self.outer = None if outer is None else start + outer
        # A nonce can't be known, and so neither the checksum that it goes into.
        nonce = form not in DIRECT and not pattern and protocol in ("icmp", "udp")
        self.unknown = start + self.CHECKSUM[protocol] if nonce and not no_checksum else None
        if nonce and quote >= 8 + NONCE:
            self.nonce = start + 8

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

    def fill(self, near, far, number, ip_id, checksum, nonce):
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
        if self.nonce is not None:
            for place in range(0, NONCE, 2):
                self._put(self.nonce + place, nonce >> 8 * (NONCE - 2 - place) & 0xffff, inner=False)
        return self.raw


def quoted_in(seen, form):
    """What an error of this form quotes, if it is the probe's."""
    target = forge.STRANGER[seen.family] if form == "target" else None
    quoted = forge.translated(seen, source="translated" in form or form == "target", target=target)
    return forge.rebuilt(quoted) if "rebuilt" in form else quoted


def guess(chance, protocol):
    """What a forger tries: near, far, number, IP id, checksum, nonce."""
    bits = chance.getrandbits(64)
    if protocol == "icmp" or protocol in KINDS:
        near, far = bits & 0xffff, bits >> 16 & 0xffff
        if protocol == "extended-echo":  # behind the number stands a constant
            far = far & 0xff00 | 1
    else:
        near, far = PORTS[bits % len(PORTS)], UDP_FIRST + (bits >> 16) % UDP_PORTS
    return near, far, bits >> 32, chance.getrandbits(16), chance.getrandbits(16), chance.getrandbits(8 * NONCE)


def truth(seen, form):
    """What a forger would try who saw the probe."""
    near, far = (seen.icmp_id, seen.seq) if seen.protocol == "icmp" else (seen.sport, seen.dport)
    number = seen.init_tag if seen.protocol == "sctp" else seen.seq
    if form in DIRECT and seen.protocol == "tcp":
        number = number + 1 & 0xffffffff
    checksum = seen.checksum if form in DIRECT else wire.decode(quoted_in(seen, form)).checksum
    return near, far, number, seen.ip_id, checksum, int.from_bytes(seen.payload[:NONCE], "big")


def chance_of(protocol, family, form, quote, pattern):
    """That one forgery is believed: the table above, of this number of probes in flight."""
    several = protocol in ("icmp", "sctp")  # may answer from anywhere
    far = KINDS[protocol][2] if protocol in KINDS else {"icmp": 2 ** -16, "udp": 1 / UDP_PORTS}.get(protocol, 1)
    protocol = "icmp" if protocol in KINDS else protocol
    near = 2 ** -16 if protocol == "icmp" else 1 / len(PORTS)
    nonce = not pattern and protocol in ("icmp", "udp")
    word = 2 ** -16  # an IPv4 identification, or a checksum with a nonce in it
    numbered = protocol == "tcp" or (protocol == "sctp" and (form in DIRECT or quote >= LONG))
    number = 2 ** -32 if numbered else 1
    ip_id = word if family == 4 and "rebuilt" not in form else None
    zero_id = word if ip_id and protocol in ("tcp", "sctp") else 0  # with their DF it says nothing
    checksum = word if nonce else 1
    shown = 2 ** (-8 * NONCE) if nonce and form not in DIRECT and quote >= 8 + NONCE else 1

    if form in DIRECT:
        times = 1 if form == "direct" else PROBES if several else 0
        return times * number * near * far * (2 ** (-8 * NONCE) if nonce and protocol == "icmp" else 1)
    if numbered:
        if form == "target":
            return PROBES * number * (near + (ip_id or 0))
        return number * (1 if "translated" in form else near)
    if shown < 1:
        return shown  # at most
    if form == "target":
        if protocol == "sctp" or (pattern and not ip_id):
            return 0
        if protocol == "icmp":
            return PROBES * far * (checksum * (near + (ip_id or 0)) if nonce else near * ip_id)
        return PROBES * (checksum * (near * far + (ip_id or 0)) if nonce else near * ip_id)
    no_checksum = protocol == "sctp" or ("rebuilt" in form and protocol == "udp")
    if "translated" in form:
        known = near + (checksum if nonce and not no_checksum else 0)  # where there is no identification
        return far * (ip_id + zero_id * known if ip_id else known)
    if protocol == "icmp":
        return near * far
    if protocol == "sctp":
        return near * (ip_id + zero_id if ip_id else 1)
    if no_checksum:
        return 0 if nonce or family == 6 else near * far
    return near * far * checksum


CASES = [
    ("icmp", SHORT, False), ("icmp", SHORT, True), ("icmp", SHORT + NONCE, False), ("udp", SHORT, False),
    ("udp", SHORT, True), ("udp", SHORT + NONCE, False), ("udp", SHORT + NONCE, True), ("tcp", SHORT, False),
    ("sctp", LONG, False), ("sctp", SHORT, False), *((kind, SHORT, True) for kind in KINDS),
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
                         ids=[f"{protocol}, {quote} bytes quoted{', pattern' if pattern and protocol not in KINDS else ''}"
                              for protocol, quote, pattern in CASES])
def test_forgeries(tun, prey, protocol, quote, pattern):
    """So many forged answers to silent probes: believed are no more than the bits that must be guessed allow."""
    chance = random.Random()
    more = {"bit_pattern": 0} if pattern else {}
    families, asked, _ = KINDS.get(protocol, (FAMILIES, {}, 0))
    more |= asked
    addresses = [target_address(number)[family] for family in families for number in range(PROBES)]
    send(prey, [probe(6 if ":" in address else 4, address, "icmp" if asked else protocol, timeout=10 + FORGERIES // 10_000, **more)
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
    hits = {address: 0 for address in addresses}  # how many would be believed, if a probe did not end with the first
    for address, form, _ in templates:
        hits[address] += FORGERIES / len(templates) * chance_of(protocol, 6 if ":" in address else 4, form, quote, pattern)
    expected = sum(1 - math.exp(-number) for number in hits.values())
    print(f"{protocol}: {FORGERIES} forgeries, {len(replies)} believed, expected {expected:.2g}")
    assert len(replies) <= at_most(expected), \
        f"{len(replies)} of {FORGERIES} forgeries were believed, expected {expected:.3g}: {replies[:5]}"
    believe_who_saw(tun, prey, templates, seen, {addresses[reply.token - 1] for reply in replies},
                    lambda address, form: chance_of(protocol, 6 if ":" in address else 4, form, quote, pattern) > 0)


def believe_who_saw(tun, daemon, templates, seen, over, believable):
    """The same forger with the right numbers is believed: so nothing else was wrong with his packets."""
    daemon.collect(len(daemon.replies))  # those that were looked at already
    expected = {}
    for place, (address, form, template) in enumerate(templates):
        token, turn = place // len(FORMS) + 1, place // len(FORMS) % len(FORMS)
        unknown = form in DIRECT and template.has_nonce
        if address in over or unknown or form != FORMS[turn] or not believable(address, form):
            continue
        os.write(tun.fd, template.fill(*truth(seen[address], form)))
        sender = forge.STRANGER[seen[address].family] if form == "elsewhere" else address
        expected[token] = answered("reply", sender) if form in DIRECT else \
            answered("ttl-expired", forge.ROUTER[seen[address].family])
    replies, note = gather(daemon, len(expected))
    came = {token: " ".join(said(reply).split(" ")[:5]) for token, reply in by_token(replies).items() if reply.kind != NO_REPLY}
    wrong = {token: kind for token, kind in came.items() if kind != expected.get(token)}
    lost = expected.keys() - came.keys()
    assert not wrong and not lost, \
        f"wrong: {wrong}; not believed, though right: {[expected[token] for token in lost]}{note}"
