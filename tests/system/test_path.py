# SPDX-License-Identifier: MIT
"""The daemon at one end of a path that is played in user space: routers and targets of every habit, and forgers."""

import random
import time

import pytest

from lab import forge, twelve, wire
from lab.daemon import Daemon
from lab.expect import NO_REPLY, Case, answered, by_token, compare, gather, hold, said, send
from lab.net import Namespace

from lab.path import LONG, SHORT, WHOLE, Hop, Path, Tun, hop_address, hops, target, target_address
from lab.transports import PLAIN, able, served

PROTOCOLS = "icmp", "udp", "tcp", "sctp"
FAMILIES = 4, 6
NOP = b"\1"
TARGET = target_address(0)

pytestmark = pytest.mark.usefixtures("root")
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def path():
    with Namespace("path") as namespace, Path(namespace) as played:
        yield played


@pytest.fixture(scope="module")
def tun():
    with Namespace("forger") as namespace, Tun(namespace) as device:
        yield device


@pytest.fixture
def daemon(path, binary):
    """A daemon at the near end of `path`; it must end well after the test."""
    with Daemon(path.namespace, binary=binary) as running:
        yield running
        assert running.finish() == (0, "")


@pytest.fixture
def prey(tun, binary):
    """A daemon at the near end of `tun`, whose probes the test answers itself; it must end well, too."""
    tun.drain()
    with Daemon(tun.namespace, binary=binary) as running:
        yield running
        assert running.finish() == (0, "")


def probe(family, address, protocol="icmp", **arguments):
    """A send-probe request; arguments with _ for -."""
    arguments.setdefault("timeout", 3)  # a lost answer is soon known
    words = [f"send-probe ip-{family} {address} protocol {protocol}"]
    return " ".join(words + [f"{name.replace('_', '-')} {value}" for name, value in arguments.items()])


def expired(hop, family, mpls=None):
    return answered("ttl-expired", hop.address[family], mpls)


# ---------------------------------------------------------------- who answered, with which labels

@every_family
@every_protocol
def test_twelve_hops(path, daemon, protocol, family):
    """Replies to send-probe: ttl-expired with the router's address and `mpls` where the router sent labels (label,
    traffic class, bottom of stack, ttl), reply when the target answered; order: address, round-trip-time, mpls."""
    path.play(twelve.ROUTERS, [twelve.TARGET])
    cases = [Case(f"hop {ttl}", probe(family, TARGET[family], protocol, ttl=ttl),
                  expired(hop, family, twelve.mpls(twelve.LABELS.get(ttl, ()))))
             for ttl, hop in enumerate(twelve.ROUTERS, 1)]
    cases += [Case(f"the target at ttl {ttl}", probe(family, TARGET[family], protocol, ttl=ttl),
                   answered("reply", TARGET[family])) for ttl in (12, 13, 255)]
    hold(daemon, cases)


def _options(units):
    """The body of a hop-by-hop or destination options header with one option that everybody skips."""
    return bytes([units, 0x1e, 4 + 8 * units]) + bytes(4 + 8 * units)


EXTENSION_HEADERS = {
    "hop-by-hop": ((wire.HOP_BY_HOP, _options(0)),),
    "destination options": ((wire.DESTINATION, _options(3)),),
    "routing": ((wire.ROUTING, b"\2\xfd\0" + bytes(20)),),
    "fragment": ((wire.FRAGMENT, b"\0\0\0hop!"),),
    "every": ((wire.HOP_BY_HOP, _options(1)), (wire.DESTINATION, _options(0)), (wire.ROUTING, b"\0\xfd\0" + bytes(4)),
              (wire.FRAGMENT, b"\0\0\0hop!"), (wire.DESTINATION, _options(30))),
}
SEVERAL = twelve.THREE + twelve.TWO
FOUR_AND_MORE = tuple((1000 + n, n % 8, int(n == 19), n) for n in range(20))


def _quote_rows():
    rows = [(f"{size} bytes quoted", {"quote": size}) for size in (*range(SHORT, 45), 128, 129, 300)]
    return rows + [("as much as a host quotes", {"quote": LONG}), ("all quoted", {"quote": WHOLE})]


def _header_rows(family):
    if family == 4:
        return [(f"IHL {5 + words} {where}, {name} quote", {field: NOP * 4 * words, "quote": size})
                for words in range(1, 11) for name, size in (("short", SHORT), ("whole", WHOLE))
                for where, field in (("of the answer", "options"), ("of the quote", "quoted_options"))]
    return [(f"{what} header {where}, {name} quote", {field: chain, "quote": size})
            for what, chain in EXTENSION_HEADERS.items() for name, size in (("short", SHORT), ("whole", WHOLE))
            for where, field in (("in the answer", "headers"), ("in the quote", "quoted_headers"))]


def _label_rows():
    """(what, the extension, the labels to report)"""
    other, unknown = twelve.OTHER, wire.extension_object(200, 7, b"whatever")
    return [
        ("one label", twelve.stack(twelve.ONE), twelve.ONE),
        ("five labels", twelve.stack(SEVERAL), SEVERAL),
        ("twenty labels", twelve.stack(FOUR_AND_MORE), FOUR_AND_MORE),
        ("three MPLS objects", twelve.stack(twelve.ONE, twelve.THREE, twelve.TWO),
         twelve.ONE + twelve.THREE + twelve.TWO),
        ("an object before", twelve.stack(other, twelve.ONE), twelve.ONE),
        ("an object after", twelve.stack(twelve.ONE, other), twelve.ONE),
        ("objects all between", twelve.stack(unknown, twelve.ONE, other, twelve.TWO, unknown),
         twelve.ONE + twelve.TWO),
        ("other objects only", twelve.stack(other, unknown), ()),
        ("a wrong checksum", wire.extension(wire.mpls(*twelve.ONE), value=0xbad0), ()),
    ]


def feature_rows(family):
    """(what is special about a hop, its rules, its labels)"""
    rows = [(name, rules, ()) for name, rules in _quote_rows() + _header_rows(family)]
    for name, extension, labels in _label_rows():
        for form in ("length", "old"):
            rows += [(f"{name}, {form} form, {quote} quoted",
                      {"extension": extension, "form": form, "quote": quote}, labels) for quote in (SHORT, LONG, WHOLE)]
    no_checksum = wire.extension(wire.mpls(*twelve.ONE), value=0)  # RFC 4884, section 7: none was computed
    rows.append(("no extension checksum", {"extension": no_checksum}, twelve.ONE))
    rows += [(f"old form behind a translator, {quote} quoted",  # which made the quote longer, or shorter
              {"extension": twelve.stack(twelve.ONE), "form": "old", "old_at": {4: 108, 6: 148}[family], "quote": quote},
              twelve.ONE) for quote in (SHORT, WHOLE)]
    if able("labels::length in bytes"):
        rows.append(("length in bytes, no checksum", {"extension": no_checksum, "length": 128, "quote": SHORT}, twelve.ONE))
    rows.append(("labels behind options", {"extension": twelve.stack(twelve.ONE), "options": NOP * 40,
                                           "headers": EXTENSION_HEADERS["every"], "form": "old"}, twelve.ONE))
    return rows


@every_family
@every_protocol
def test_every_kind_of_router(path, daemon, protocol, family):
    """ICMP errors that quote as little as 8 bytes or as much as the whole packet; IPv4 options and IPv6 extension
    headers in quoted and outer packets; MPLS by RFC 4884 and 4950 with the length field and in the old form (extension
    at byte 128, checksum verified), all labels of all MPLS objects, and none where the checksum is wrong."""
    rows = feature_rows(family)
    assert len(rows) < 255
    routers = [Hop(hop_address(number), **rules) for number, (_, rules, _) in enumerate(rows, 1)]
    path.play(routers, [])
    sizes = (64, 100, 400) if protocol in ("icmp", "udp") else (64,)
    hold(daemon, [Case(f"{name}, probe of {size} bytes", probe(family, TARGET[family], protocol, ttl=ttl, size=size),
                       expired(routers[ttl - 1], family, twelve.mpls(labels)))
                  for size in sizes for ttl, (name, _, labels) in enumerate(rows, 1)])


@every_protocol
def test_quoted_flags_in_the_order_of_another_host(path, daemon, protocol):
    """DF or MF of a quote that stand where the fragment offset ends: it is no later fragment."""
    path.play(hops(1, alter="flags_swapped", quote=WHOLE), [])
    kinds = [{"dont_fragment": 0}, {"dont_fragment": 1}, {"size": 2000, "dont_fragment": 0}]
    hold(daemon, [Case(str(kind), probe(4, TARGET[4], protocol, ttl=1, **kind), answered("ttl-expired", hop_address(1)[4]))
                  for kind in kinds])


TUNNELS = ("in_ip", "in_ip_of_the_other_family", "in_gre", "in_gre_with_all", "in_two", "by_segments",
           "by_segments_of_which_none_is_left")


@every_family
@every_protocol
def test_quoted_in_a_tunnel(path, daemon, protocol, family):
    """What the probe was put into on its way is read through, down to its own header, two tunnels deep and no deeper; of
    a packet that goes by segments the last is the target. What is inside must be a probe of ours all the same."""
    routers = [Hop(hop_address(number), alter=name, quote=size)
               for number, (name, size) in enumerate(((name, size) for name in TUNNELS for size in (SHORT, WHOLE)), 1)]
    another = {4: "10.99.200.9", 6: "fd99::2:9"}
    foreign = [Hop(hop_address(100), alter="in_three", quote=WHOLE),
               *(Hop(hop_address(100), alter=name, nat={"src": another, "sport": 7777, "checksum": 0x1234}, quote=SHORT)
                 for name in ("in_ip", "in_gre") if protocol in ("icmp", "udp") and family == 6)]
    path.play(routers + foreign, [])
    cases = [Case(f"{one.alter}, {one.quote} bytes", probe(family, TARGET[family], protocol, ttl=ttl),
                  expired(one, family)) for ttl, one in enumerate(routers, 1)]
    cases += [Case(f"{one.alter}, not ours", probe(family, TARGET[family], protocol, ttl=ttl, timeout=1), NO_REPLY)
              for ttl, one in enumerate(foreign, len(routers) + 1)]
    hold(daemon, cases)


@every_family
def test_every_kind_of_target(path, daemon, family):
    """How answers map: echo reply, TCP SYN-ACK or RST, SCTP INIT-ACK or ABORT, a UDP datagram back, port unreachable
    from the target itself: reply. IPv4 options and IPv6 extension headers in the answer change nothing."""
    habits = {
        "plain": {},
        "closed": {"udp": "datagram", "tcp": "closed", "sctp": "closed"},
        "with options": {"options": NOP * 40, "headers": EXTENSION_HEADERS["every"]},
        "closed, with options": {"udp": "datagram", "tcp": "closed", "sctp": "closed", "options": NOP * 4,
                                 "headers": EXTENSION_HEADERS["destination options"]},
    }
    targets = [target(number, **rules) for number, rules in enumerate(habits.values())]
    path.play([], targets)
    hold(daemon, [Case(f"{name}, {protocol}", probe(family, one.address[family], protocol, **more),
                       answered("reply", one.address[family]))
                  for name, one in zip(habits, targets) for protocol in served(PROTOCOLS)
                  for more in ({}, {"port": 53}, {"bit_pattern": 85})])


# ---------------------------------------------------------------- how answers map

def _unreachable_rows():
    """(family, type, code, kind when the target sent it, kind when a router did). A router's may be for each protocol:
    by port unreachable (udp) and protocol unreachable (sctp) hosts answer, and not always by the address that was asked.
    Codes that nobody has defined count as those of their type that routers send."""
    host, network = "no-route-host", "no-route-network"
    rows = [(4, 3, code, kind, kind) for kind, codes in
            ((network, (0, 6, 11)), (host, (1, 5, 7, 8, 9, 10, 12, 13, 14, 15, 99))) for code in codes]
    rows += [(6, 1, 0, network, network)] + [(6, 1, code, host, host) for code in (1, 2, 3, 5, 6, 7, 99)]
    udp, sctp = (dict.fromkeys(PROTOCOLS, host) | {protocol: "reply"} for protocol in ("udp", "sctp"))
    rows += [(4, 3, 3, "reply", udp), (6, 1, 4, "reply", udp), (4, 3, 2, "reply", sctp), (6, 4, 1, "reply", sctp)]
    rows += [(4, 12, code, host, host) for code in (0, 1, 2)] + [(6, 4, code, host, host) for code in (0, 2, 6, 10)]
    rows += [(4, 11, 1, "reply", host), (6, 3, 1, "reply", host)]
    return rows + [(family, kind, code, "ttl-expired", "ttl-expired") for family, kind in ((4, 11), (6, 3))
                   for code in (0, 2)]


UNREACHABLE = _unreachable_rows()
every_row = pytest.mark.parametrize("row", UNREACHABLE, ids=lambda row: f"ip{row[0]}-{row[1]}/{row[2]}")


def senders(row):
    """The same error from the target itself and from a router: (sender, target, address of the sender, kind by protocol)"""
    family, icmp_type, code, *kinds = row
    from_target, from_router = (kind if isinstance(kind, dict) else dict.fromkeys(PROTOCOLS, kind) for kind in kinds)
    rules = {protocol: "error" for protocol in PROTOCOLS} | {"error": (icmp_type, code), "quote": LONG}
    router = hop_address(7)
    return [("the target", target(0, **rules), TARGET[family], from_target),
            ("a router", target(1, **rules, sender=router), router[family], from_router)]


@every_row
def test_mapping(path, daemon, row):
    """How answers map, one row of ICMP type and code: unreachables from the target and from a router, time exceeded,
    parameter problem."""
    family = row[0]
    path.play([], [one for _, one, _, _ in senders(row)])
    hold(daemon, [Case(f"{who}, {protocol}", probe(family, one.address[family], protocol), answered(kind[protocol], address))
                  for who, one, address, kind in senders(row) for protocol in served(PROTOCOLS)])


@every_family
def test_packet_too_big(path, daemon, transport, family):
    """packet-too-big: the reply kind, with the sender, round-trip-time and `mtu N`, for ICMP 3/4 and ICMPv6 2. Without
    privileges not for tcp, where the kernel takes it for its own path MTU discovery."""
    too_big = [protocol for protocol in served(PROTOCOLS) if (transport, protocol) != (PLAIN, "tcp")]
    kind = {4: (3, 4), 6: (2, 0)}[family]
    router = hop_address(7)
    rules = {protocol: "error" for protocol in PROTOCOLS} | {"error": kind, "sender": router}
    path.play([], [target(number, **rules) for number in range(100, 104)])
    hold(daemon, [Case(protocol, probe(family, target_address(100 + number)[family], protocol),
                       answered("packet-too-big", router[family]) + " mtu 1400")
                  for number, protocol in enumerate(too_big)])


@pytest.mark.parametrize("args, env", [(("--replies", "0.95"), {}), ((), {"MTR_PACKET_REPLIES": "0.95"})],
                         ids=["option", "environment"])
def test_words_of_older_clients(path, binary, args, env):
    """With `--replies 0.95`, or MTR_PACKET_REPLIES=0.95, every no-route-* is said as `no-route`; all else stays."""
    rows = [row for row in UNREACHABLE if row[1] in (1, 3) and able(f"mapping::ip{row[0]}-{row[1]}/{row[2]}")]
    targets, cases = [], []
    for number, row in enumerate(rows):
        family, icmp_type, code, _, kind = row
        rules = {"error": (icmp_type, code), "sender": hop_address(7), "icmp": "error", "udp": "error"}
        targets.append(target(number, **rules))
        for protocol in ("icmp", "udp"):
            word = kind[protocol] if isinstance(kind, dict) else kind
            word = "no-route" if word.startswith("no-route") else word
            cases.append(Case(f"{icmp_type}/{code}, {protocol}", probe(family, target_address(number)[family], protocol),
                              answered(word, hop_address(7)[family])))
    path.play([], targets)
    with Daemon(path.namespace, args=args, env=env, binary=binary) as daemon:
        hold(daemon, cases)


# ---------------------------------------------------------------- when, and how often

@every_family
def test_silence(path, daemon, family):
    """no-reply: the timeout passed; it carries nothing. Deadlines are kept; timeout 0 answers at once."""
    path.play(hops(1, silent=True), [target(0, icmp="silent", udp="silent", tcp="silent", sctp="silent")])
    requests = [probe(family, TARGET[family], protocol, ttl=ttl, timeout=timeout)
                for protocol in served(PROTOCOLS) for ttl in (1, 9) for timeout in (0, 1, 2)]
    begin = time.monotonic()
    replies = hold(daemon, [Case("silence", request, NO_REPLY) for request in requests])
    late = [f"{request}: after {reply.time - begin:.3f} s" for reply in replies
            for request in [requests[reply.token - 1]]
            if not 0 <= reply.time - begin - int(request.split()[-1]) < 0.3]
    assert not late, "no-reply at the wrong time:\n" + "\n".join(late)


@every_family
@every_protocol
def test_round_trip_time(path, daemon, protocol, family):
    """round-trip-time: whole microseconds between departure and arrival, as the path delays them."""
    delays = (0.0, 0.002, 0.020, 0.060)
    path.play([Hop(hop_address(n), delay=delay) for n, delay in enumerate(delays, 1)], [target(0, delay=0.1)])
    delays += (0.1,)
    rounds = []
    for _ in range(3):
        send(daemon, [probe(family, TARGET[family], protocol, ttl=ttl) for ttl in range(1, len(delays) + 1)])
        rounds.append(by_token(daemon.collect(len(delays))))
    for ttl, delay in enumerate(delays, 1):
        times = [replies[ttl].rtt / 1e6 for replies in rounds]
        assert min(times) >= delay - 0.0001, f"answered after {delay} s, said to be {times} s"
        assert min(times) <= delay + 0.005, f"answered after {delay} s, the shortest of {times} s is too long"


@every_family
def test_duplicates(path, daemon, family):
    """One request, one reply: also when the answer comes five times, at once or late."""
    path.play(hops(3, copies=5), [target(0, copies=5), target(1, copies=5, delay=0.05, tcp="closed", sctp="closed",
                                                              udp="datagram")])
    cases = [Case(f"hop {ttl}", probe(family, TARGET[family], protocol, ttl=ttl),
                  answered("ttl-expired", hop_address(ttl)[family])) for protocol in served(PROTOCOLS) for ttl in (1, 2, 3)]
    cases += [Case("target", probe(family, target_address(number)[family], protocol),
                   answered("reply", target_address(number)[family]))
              for protocol in served(PROTOCOLS) for number in (0, 1)]
    hold(daemon, cases)
    hold(daemon, cases)
    assert daemon.finish() == (0, "")
    assert len(daemon.replies) == 2 * len(cases), f"more replies than requests: {daemon.replies}"


@every_family
def test_two_thousand_connections_at_once(path, daemon, family):
    """tcp: 2000 probes at once to one open port of one target 100 ms away are all answered, none twice, and at the
    right time."""
    path.play([], [target(0, delay=0.1)])
    address = TARGET[family]
    replies = hold(daemon, [Case("SYN", probe(family, address, "tcp", port=443), answered("reply", address))] * 2000)
    times = sorted(reply.rtt for reply in replies)
    assert times[0] >= 100_000, f"answered after 100 ms, said to be {times[0]} us"
    assert path.count() == 2000, f"{path.count()} SYNs left for 2000 probes"


@every_family
def test_thousands_behind_a_nat(path, daemon, family):
    """4000 in flight, each to a target of its own. Beyond a NAT a short quote keeps no more of a probe than its port, or over
    IPv4 its identification, which are believed of the one probe to that target and port: none is lost."""
    nat = {"src": {4: "10.99.255.77", 6: "fd99::ffff:77"}} | ({"sport": 1234} if family == 4 else {})
    path.play(hops(1, delay=4, nat=nat), [])
    hop = answered("ttl-expired", hop_address(1)[family])
    replies = hold(daemon, [Case("udp", probe(family, target_address(number)[family], "udp", port=33434, ttl=1, timeout=12), hop)
                            for number in range(4000)], 20)
    first, last = min(reply.time for reply in replies), max(reply.time - reply.rtt / 1e6 for reply in replies)
    assert last < first, "not all were in flight at once"


@every_family
def test_late_answers(path, daemon, family):
    """Identity: a number freed by an expired probe is reused as late as possible, so a late answer finds nobody."""
    path.play(hops(1, delay=1.4), [target(0, delay=1.4), target(1, delay=1.4, tcp="closed", udp="datagram")])
    requests = [probe(family, target_address(number)[family], protocol, ttl=ttl, timeout=1, **more)
                for protocol in served(PROTOCOLS) for number in (0, 1) for ttl in (1, 9) for more in ({}, {"bit_pattern": 0})]
    cases = [Case("too late", request, NO_REPLY) for request in requests * 25]
    hold(daemon, cases)
    hold(daemon, cases)  # the late answers to the first come while these are in flight
    path.play([], [target(0)])
    hold(daemon, [Case(protocol, probe(family, TARGET[family], protocol), answered("reply", TARGET[family]))
                  for protocol in served(PROTOCOLS)])


# ---------------------------------------------------------------- what must not be believed

MARK = 5000  # number of the first target of honest probes


def both_families(forgeries, protocol):
    """(family, what, function that forges) for every forgery of a list by protocol and family."""
    return [(family, f"{name}, IPv{family}", build)
            for family in FAMILIES for name, build in forgeries(protocol, family) if able(f"forgery::{protocol}, {name}")]


def hold_against(tun, daemon, protocol, forgeries, accepted=lambda family, what: NO_REPLY):
    """One probe for each forgery, answered by it alone. Then honest answers to later probes: when they have come, the
    forgeries were read and found nobody (or what accepted() allows)."""
    targets = [target_address(number)[family] for number, (family, _, _) in enumerate(forgeries)]
    send(daemon, [probe(family, address, protocol, timeout=2)
                  for (family, _, _), address in zip(forgeries, targets)])
    probes = tun.probes(targets)
    tun.inject(*(build(probes[address]) for (_, _, build), address in zip(forgeries, targets)))
    replies, note = honest_answers(tun, daemon, protocol, len(forgeries))
    silent = [reply.time for reply in replies if reply.kind == NO_REPLY]
    last = max(reply.time for reply in replies if reply.token >= MARK)
    assert not silent or last < min(silent), "this machine is too slow: probes were over when the forgeries came"
    compare([Case(what, protocol, accepted(family, what)) for family, what, _ in forgeries],
            [reply for reply in replies if reply.token < MARK], note=note)


def honest_answers(tun, daemon, protocol, others):
    """Two more probes for each family, answered by the target and by a router, and all replies until now."""
    honest = [(family, build, expected) for family in FAMILIES for build, expected in (
        (forge.direct, answered("reply", target_address(MARK)[family])),
        (forge.time_exceeded, answered("ttl-expired", forge.ROUTER[family])))]
    for token, (family, build, _) in enumerate(honest, MARK):
        address = target_address(MARK)[family]
        daemon.send(f"{token} {probe(family, address, protocol)}")
        tun.inject(build(tun.probes([address])[address]))
    replies, note = gather(daemon, others + len(honest))
    compare([Case("an honest answer afterwards", f"{protocol}, IPv{family}", expected)
             for family, _, expected in honest], [reply for reply in replies if reply.token >= MARK], MARK, note)
    return replies, note


@every_protocol
def test_answers_to_other_probes(tun, prey, protocol):
    """Identity: an answer is accepted only if everything that it returns of the probe agrees: protocol, target, ports,
    ICMP id and sequence, TCP sequence number, SCTP initiate tag, UDP checksum or IP id, payload."""
    hold_against(tun, prey, protocol, both_families(forge.foreign, protocol))


@every_protocol
def test_malformed_answers(tun, prey, protocol):
    """Malformed answers (cut at every length, lying lengths, IHL 3, later fragments, bad ICMP checksums) are nobody's,
    break nothing, and a good probe still works afterwards."""
    hold_against(tun, prey, protocol, both_families(forge.malformed, protocol))


@every_protocol
def test_malformed_extensions(tun, prey, protocol):
    """MPLS labels are reported only from an extension that is sound: version, checksum, lengths, class and type."""
    def accepted(family, what):
        plain = answered("ttl-expired", forge.ROUTER[family])
        return {NO_REPLY, plain} | ({f"{plain} mpls 16,0,1,1"} if what.startswith("a length field") else set())

    hold_against(tun, prey, protocol, both_families(forge.bad_extensions, protocol), accepted)


def proven(protocol, family, size, more):
    """Whether a quote whose source port (or ICMP id) was rewritten still names one probe and no other."""
    if protocol == "tcp":
        return True  # by its sequence number
    if protocol == "sctp":
        return size == WHOLE  # by its initiate tag
    return family == 4 or (size == WHOLE and not more)  # by the IP id and what the ports leave, or by the payload


@every_family
@every_protocol
def test_translated_quotes(tun, prey, protocol, family):
    """Identity, the exception: a quoted source address that is not ours may come with another source port (or ICMP id)
    and checksum, when what is left proves exactly one probe in flight."""
    address = TARGET[family]
    for more in ({}, {"bit_pattern": 0}):
        for port, size in ((False, SHORT), (False, WHOLE), (True, SHORT), (True, WHOLE)):
            if port and not proven(protocol, family, size, more):
                continue
            send(prey, [probe(family, address, protocol, timeout=1, **more)])
            one = tun.probes([address])[address]
            tun.inject(forge.time_exceeded(one, forge.translated(one, port), size))
            reply, = prey.collect(1)
            assert said(reply) == answered("ttl-expired", forge.ROUTER[family]), \
                f"{size} bytes quoted with another source address{' and port' if port else ''}, {more}: {reply}"


@every_family
@every_protocol
def test_translated_targets(tun, prey, protocol, family):
    """The same of a quote whose target was translated, if it proves the probe all the same."""
    address = TARGET[family]
    for name, quoted, port in forge.other_targets(family):
        for size in SHORT, WHOLE:
            if not forge.proves_target(protocol, family, size, port):
                continue
            send(prey, [probe(family, address, protocol, timeout=1)])
            one = tun.probes([address])[address]
            tun.inject(forge.time_exceeded(one, quoted(one), size))
            reply, = prey.collect(1)
            assert said(reply) == answered("ttl-expired", forge.ROUTER[family]), f"{size} bytes quoted with {name}: {reply}"


def guesses(count, pid, targets, ours, pattern):
    """Echo replies by those who have not seen the requests: likely numbers first, then any."""
    chance = random.Random(1)
    idents = [pid & 0xffff, (pid + 1) & 0xffff, 1, 0, 0xffff, 33434]
    likely = [(ident, start + n) for ident in idents for start in (0, 1000, 33000, 33434) for n in range(200)]
    any_other = [(chance.randrange(1 << 16), chance.randrange(1 << 16)) for _ in range(count - len(likely))]
    payloads = [bytes([pattern]) * size for size in (36, 16)]
    for number, (ident, seq) in enumerate(likely + any_other):
        source = targets[seq % len(targets)]
        yield wire.ip(source, ours, "icmp", wire.echo(source, ours, ident, seq, payloads[number % 2], reply=True))


@pytest.mark.parametrize("more", [{}, {"bit_pattern": 0}], ids=["nonce", "pattern"])
@every_family
def test_guessed_echo_replies(tun, prey, family, more):
    """Ten thousand guessed echo replies to 200 silent probes: none believed, whatever the payload holds."""
    targets = [target_address(number)[family] for number in range(200)]
    send(prey, [probe(family, one, timeout=2, **more) for one in targets])
    ours = tun.probes(targets)[targets[0]].src
    tun.inject(*guesses(10_000, prey.pid, targets, ours, more.get("bit_pattern", 0)))
    honest = target_address(MARK)[family]
    send(prey, [probe(family, honest)], MARK)
    tun.inject(forge.direct(tun.probes([honest])[honest]))
    replies, note = gather(prey, 201)
    assert replies and replies[0].token == MARK, f"the honest answer should come first, but: {replies[:1]}{note}"
    compare([Case("silent", "", NO_REPLY)] * 200, replies[1:], note=note)
