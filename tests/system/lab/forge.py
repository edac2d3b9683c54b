# SPDX-License-Identifier: MIT
"""Answers made by hand to one probe: true ones, and those that must not be believed.

Each forgery is a (name, function of the probe that makes the IP packet) pair. The lists depend only on the protocol and
the family of the probes that they answer.
"""

import functools
import struct

from . import wire
from .path import SHORT, TIME_EXCEEDED, WHOLE, hop_address, target_address

ROUTER = hop_address(1)
STRANGER = target_address(9999)  # an address that no probe goes to
OUTSIDE = {4: "198.51.100.7", 6: "2001:db8::7"}  # our address as seen beyond a NAT
CHECKSUM_AT = {"icmp": 2, "udp": 6, "tcp": 16}


# ---------------------------------------------------------------- true answers

def packet(probe, body, sender=None, protocol=None, **header):
    """The message as an IP packet to the prober."""
    return wire.ip(sender or probe.dst, probe.src, protocol or probe.protocol, body, **header)


def time_exceeded(probe, quoted=None, quote=SHORT, **how):
    """A router's answer; quoted: other bytes than the probe's."""
    router = ROUTER[probe.family]
    quoted = probe.raw if quoted is None else quoted
    body = wire.icmp_error(router, probe.src, *TIME_EXCEEDED[probe.family], quoted,
                           quote=probe.header_length + quote, **how)
    return packet(probe, body, router, "icmp")


def direct(probe):
    """What the target itself answers."""
    return packet(probe, message(probe))


def message(probe, sender=None, sport=None, dport=None, delta=0, payload=None, flags=wire.SYN | wire.ACK, chunk=2):
    """The target's answer after the IP header, or one with something else in it: delta is added to the number that
    proves whose it is; for icmp sport and dport stand for identifier and sequence."""
    there, here = sender or probe.dst, probe.src
    if probe.icmp_request == "timestamp":
        return wire.timestamp_reply(there, here, probe.icmp_id, probe.seq, struct.unpack("!III", probe.payload[:12]))
    if probe.icmp_request == "extended-echo":
        return wire.extended_reply(there, here, probe.icmp_id, probe.seq, 0, 7)
    if probe.protocol == "icmp":
        ident = probe.icmp_id + delta if sport is None else sport
        seq = probe.seq if dport is None else dport
        return wire.echo(there, here, ident & 0xffff, seq & 0xffff, probe.payload if payload is None else payload, True)
    sport = probe.dport if sport is None else sport
    dport = probe.sport if dport is None else dport
    if probe.protocol == "udp":
        return wire.udp(there, here, sport, dport, payload or b"answer")
    if probe.protocol == "tcp":
        return wire.tcp(there, here, sport, dport, flags, seq=7, ack=probe.seq + 1 + delta)
    tag = (probe.init_tag + delta) & 0xffffffff
    if chunk == 2:
        return wire.sctp_init_ack(sport, dport, tag)
    return wire.sctp(sport, dport, tag, wire.sctp_chunk(chunk))


# ---------------------------------------------------------------- changed quotes

def patched(raw, at, data):
    """These bytes with others at one place; the checksum of an IPv4 header is put right."""
    raw = raw[:at] + data + raw[at + len(data):]
    if raw[0] >> 4 != 4:
        return raw
    end = max(20, (raw[0] & 15) * 4)
    header = raw[:10] + b"\0\0" + raw[12:end]
    return raw[:10] + struct.pack("!H", wire.checksum(header)) + raw[12:]


def changed(probe, at, data):
    """The probe's bytes with others at one place of its transport header."""
    return patched(probe.raw, probe.header_length + at, data)


def flipped(probe, at, size):
    """The probe's bytes with one place of its transport header inverted."""
    at += probe.header_length
    return patched(probe.raw, at, bytes(byte ^ 0xff for byte in probe.raw[at:at + size]))


def with_source(probe, address):
    return patched(probe.raw, 12 if probe.family == 4 else 8, wire.address(address))


def with_target(raw, address):
    return patched(raw, *((16, wire.address(address)) if raw[0] >> 4 == 4 else (24, wire.address(address))))


def with_protocol(probe, number):
    return patched(probe.raw, 9 if probe.family == 4 else 6, bytes([number]))


def with_headers(probe, kind, rest):
    """An IPv6 probe with an extension header before its transport; rest: the bytes after the next-header byte."""
    raw = probe.raw
    return raw[:4] + struct.pack("!HBB", len(raw) - 40 + 1 + len(rest), kind, raw[7]) + raw[8:40] + raw[6:7] + rest \
        + raw[40:]


def translated(probe, port=False, source=True, target=None):
    """The probe as it was beyond a NAT: another source address, port or echo identifier, or target; checksums made
    right."""
    raw = with_source(probe, OUTSIDE[probe.family]) if source else probe.raw
    raw = with_target(raw, target) if target else raw
    head, body = raw[:probe.header_length], raw[probe.header_length:]
    if port:
        at = 4 if probe.protocol == "icmp" else 0
        body = body[:at] + bytes(byte ^ 0x55 for byte in body[at:at + 2]) + body[at + 2:]
    if probe.protocol == "sctp":
        return head + body[:8] + struct.pack("<I", wire.crc32c(body[:8] + bytes(4) + body[12:])) + body[12:]
    at = CHECKSUM_AT[probe.protocol]
    body = body[:at] + b"\0\0" + body[at + 2:]
    number = wire.ICMP6 if probe.protocol == "icmp" else wire.NUMBERS[probe.protocol]
    source = (OUTSIDE[probe.family] if source else probe.src)
    pseudo = b"" if (probe.protocol, probe.family) == ("icmp", 4) else \
        wire.pseudo_header(source, target or probe.dst, number, len(body))
    return head + body[:at] + struct.pack("!H", wire.checksum(pseudo + body)) + body[at + 2:]


def rebuilt(raw):
    """These bytes as a box leaves them that forwards what it gets by sockets: identification 0 with DF, and no udp
    checksum; of IPv6, where udp must have one, that alone is wrong."""
    header = 20 if raw[0] >> 4 == 4 else 40
    if header == 20:
        raw = patched(raw, 4, b"\0\0\x40\0")
    return patched(raw, header + 6, b"\0\0") if raw[9 if header == 20 else 6] == wire.NUMBERS["udp"] else raw


# ---------------------------------------------------------------- answers to other people's probes

BOTH = SHORT, WHOLE


def other_targets(family):
    """(name, function of the probe that gives the quoted bytes, whether our port is another, too)"""
    stranger = STRANGER[family]
    return [("another target", lambda p: with_target(p.raw, stranger), False),
            ("another target beyond a NAT", lambda p: with_target(translated(p), stranger), False),
            ("another target and port beyond a NAT", lambda p: with_target(translated(p, True), stranger), True)]


def proves_target(protocol, family, size, port):
    """Whether a quote is known though a NAT has given the probe another target: by a number, a nonce, or the checksum of
    an echo request, which in IPv4 covers no address; and by our own port (or identifier) or the IP identification."""
    number = {"tcp": True, "sctp": size == WHOLE, "udp": size == WHOLE}.get(protocol, size == WHOLE or family == 4)
    return number and (not port or family == 4)


def _foreign_quotes(protocol, family):
    """(name, function of the probe that gives the quoted bytes, by which of the sizes of a quote it is shown)"""
    targets = [(name, quoted, tuple(size for size in BOTH if not proves_target(protocol, family, size, port)))
               for name, quoted, port in other_targets(family)]
    quotes = targets + [
        ("another protocol", lambda p: with_protocol(p, 17 if protocol != "udp" else 6), BOTH),
        ("an unknown protocol", lambda p: with_protocol(p, 47), BOTH),
    ]
    if protocol == "icmp":
        quotes += [
            ("another identifier", lambda p: flipped(p, 4, 2), BOTH),
            ("another identifier, right checksum", lambda p: translated(p, True, source=False), BOTH),
            ("another sequence", lambda p: flipped(p, 6, 2), BOTH),
            ("the next sequence", lambda p: changed(p, 6, struct.pack("!H", p.seq + 1 & 0xffff)), BOTH),
            ("an echo reply", lambda p: changed(p, 0, b"\0" if family == 4 else b"\x81"), BOTH),
        ]
    else:
        quotes += [
            ("another source port", lambda p: flipped(p, 0, 2), BOTH),
            ("the next source port", lambda p: changed(p, 0, struct.pack("!H", p.sport + 1 & 0xffff)), BOTH),
            ("another source port, right checksum", lambda p: translated(p, True, source=False), BOTH),
            ("another destination port", lambda p: flipped(p, 2, 2), BOTH),
            ("the next destination port", lambda p: changed(p, 2, struct.pack("!H", p.dport + 1 & 0xffff)), BOTH),
            ("ports exchanged", lambda p: changed(p, 0, struct.pack("!HH", p.dport, p.sport)), BOTH),
        ]
    if protocol in ("icmp", "udp"):
        quotes.append(("another payload", lambda p: flipped(p, 8, len(p.payload)), (WHOLE,)))
    if protocol == "udp":
        quotes.append(("another checksum and IP id", _other_checksum, (SHORT,)))  # a nonce proves it
    if protocol == "tcp":
        quotes += [
            ("another sequence number", lambda p: flipped(p, 4, 4), BOTH),
            ("the next sequence number", lambda p: changed(p, 4, struct.pack("!I", p.seq + 1 & 0xffffffff)), BOTH),
        ]
    if protocol == "sctp":
        quotes += [
            ("a verification tag", lambda p: flipped(p, 4, 4), BOTH),
            ("another initiate tag", lambda p: flipped(p, 16, 4), (WHOLE,)),
        ]
    return quotes


def _other_checksum(probe):
    raw = flipped(probe, 6, 2)
    return patched(raw, 4, bytes(byte ^ 0xff for byte in raw[4:6])) if probe.family == 4 else raw


def _foreign_direct(protocol, family):
    """(name, function of the probe that makes the packet)"""
    def stranger(p):
        return packet(p, message(p, sender=STRANGER[family]), sender=STRANGER[family])

    if protocol == "icmp":
        requests = {4: 8, 6: 128}[family]
        return [
            ("reply with another identifier", lambda p: packet(p, message(p, sport=p.icmp_id ^ 0x5555))),
            ("reply with the next identifier", lambda p: packet(p, message(p, delta=1))),
            ("reply with another sequence", lambda p: packet(p, message(p, dport=p.seq ^ 0x5555))),
            ("reply with the next sequence", lambda p: packet(p, message(p, dport=p.seq + 1))),
            ("reply with another payload",
             lambda p: packet(p, message(p, payload=bytes(byte ^ 0xff for byte in p.payload)))),
            ("a request like ours", lambda p: packet(p, wire.icmp(
                p.dst, p.src, requests, 0, p.icmp_id << 16 | p.seq, p.payload))),
            ("a message of an unknown type", lambda p: packet(p, wire.icmp(
                p.dst, p.src, 200, 0, p.icmp_id << 16 | p.seq, p.payload))),
        ]
    ports = [
        *([("answer from another address", stranger)] if protocol != "sctp" else []),  # of one that has several
        ("answer from another port", lambda p: packet(p, message(p, sport=p.dport ^ 0x5555))),
        ("answer to another port", lambda p: packet(p, message(p, dport=p.sport ^ 0x5555))),
        ("answer to the next port", lambda p: packet(p, message(p, dport=p.sport + 1 & 0xffff))),
        ("answer with ports exchanged", lambda p: packet(p, message(p, sport=p.sport, dport=p.dport))),
    ]
    if protocol == "tcp":
        wrong_flags = {"ACK": wire.ACK, "SYN": wire.SYN, "FIN-ACK": wire.FIN | wire.ACK, "no flag": 0}
        ports += [(f"{what} acknowledging {delta:+d}",
                   lambda p, f=flags, d=delta: packet(p, message(p, flags=f, delta=d)))
                  for what, flags in (("SYN-ACK", wire.SYN | wire.ACK), ("RST", wire.RST | wire.ACK))
                  for delta in (1, -1, 1 << 31)]
        ports += [(f"answer with {name}", lambda p, f=flags: packet(p, message(p, flags=f)))
                  for name, flags in wrong_flags.items()]
        ports.append(("RST that acknowledges nothing", lambda p: packet(p, wire.tcp(
            p.dst, p.src, p.dport, p.sport, wire.RST, seq=p.seq + 1))))
    if protocol == "sctp":
        ports += [(f"{what} with tag {delta:+d}", lambda p, c=chunk, d=delta: packet(p, message(p, chunk=c, delta=d)))
                  for what, chunk in (("INIT-ACK", 2), ("ABORT", 6)) for delta in (1, -1, 1 << 31)]
        ports.append(("INIT-ACK with tag 0", lambda p: packet(p, wire.sctp_init_ack(p.dport, p.sport, 0))))
        ports += [(f"answer with chunk {chunk}", lambda p, c=chunk: packet(p, message(p, chunk=c)))
                  for chunk in (0, 1, 11, 255)]
    return ports


def foreign(protocol, family):
    """Well-formed answers to probes that are not this one."""
    errors = [(f"time exceeded, {'whole' if size == WHOLE else 'short'} quote of {name}",
               lambda p, q=quoted, s=size: time_exceeded(p, q(p), s))
              for name, quoted, sizes in _foreign_quotes(protocol, family) for size in sizes]
    return errors + _foreign_direct(protocol, family)


# ---------------------------------------------------------------- malformed answers

# An answer of the target without these many bytes proves nothing. Of icmp: the nonce is among them.
LEAST = {"icmp": 16, "udp": 8, "tcp": 20, "sctp": 16}


def _cut(probe, whole, size):
    """An IP packet whose message ends after so many bytes, every length and checksum made right."""
    decoded = wire.decode(whole)
    body = decoded.transport[:size]
    if decoded.protocol == "icmp" and size >= 4:
        body = body[:2] + b"\0\0" + body[4:]
        pseudo = wire.pseudo_header(decoded.src, decoded.dst, wire.ICMP6, size) if probe.family == 6 else b""
        body = body[:2] + struct.pack("!H", wire.checksum(pseudo + body)) + body[4:]
    return packet(probe, body, decoded.src, decoded.protocol)


def _bad_checksum(whole):
    at = wire.decode(whole).header_length + 2
    return whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1:]


def _overlong(whole):
    """The IP header promises more than there is."""
    decoded = wire.decode(whole)
    at = 2 if decoded.family == 4 else 4
    return patched(whole, at, struct.pack("!H", struct.unpack_from("!H", whole, at)[0] + 40))


def _bad_quotes(family):
    """(name, function of the probe that gives the quoted bytes): an IP header that can't be followed"""
    if family == 4:
        first = {f"IHL {ihl}": 0x40 | ihl for ihl in (0, 3, 4, 15)}
        first |= {"version 0": 0x05, "version 6": 0x65, "version 15": 0xf5}
        return [(name, lambda p, b=byte: patched(p.raw, 0, bytes([b]))) for name, byte in first.items()] + [
            ("a later fragment", lambda p: patched(p.raw, 6, b"\0\1")),
            ("the last fragment", lambda p: patched(p.raw, 6, b"\x1f\xff")),
        ]
    return [
        ("version 0", lambda p: patched(p.raw, 0, b"\0")),
        ("version 4", lambda p: b"\x45" + p.raw[1:]),
        ("a later fragment", lambda p: with_headers(p, wire.FRAGMENT, struct.pack("!BHI", 0, 8, 1))),
        ("an extension header that ends nowhere",
         lambda p: with_headers(p, wire.DESTINATION, b"\xff\1\4\0\0\0\0")),
        ("extension headers to the end", lambda p: p.raw[:6] + bytes([wire.DESTINATION]) + p.raw[7:40] + (
            bytes([wire.DESTINATION]) + b"\0\1\4\0\0\0\0") * 12),
        ("no next header", lambda p: p.raw[:6] + bytes([59]) + p.raw[7:]),
    ]


def malformed(protocol, family):
    """Answers that are broken so that nothing in them can be believed."""
    header = {4: 20, 6: 40}[family]
    errors = [(f"time exceeded cut after {size} bytes",
               lambda p, s=size: _cut(p, time_exceeded(p, quote=WHOLE), s)) for size in range(8 + header + SHORT)]
    answers = [(f"answer cut after {size} bytes", lambda p, s=size: _cut(p, direct(p), s))
               for size in range(LEAST[protocol])]
    quotes = [(f"time exceeded, quote with {name}", lambda p, q=quoted: time_exceeded(p, q(p), WHOLE))
              for name, quoted in _bad_quotes(family)]
    others = [
        ("time exceeded with a bad checksum", lambda p: _bad_checksum(time_exceeded(p))),
        ("time exceeded, whole quote, with a bad checksum", lambda p: _bad_checksum(time_exceeded(p, quote=WHOLE))),
        ("time exceeded that promises more bytes", lambda p: _overlong(time_exceeded(p))),
        ("answer that promises more bytes", lambda p: _overlong(direct(p))),
    ]
    if protocol == "icmp":
        others.append(("answer with a bad checksum", lambda p: _bad_checksum(direct(p))))
    if family == 4:
        others += [
            ("answer with IHL 3", lambda p: patched(direct(p), 0, b"\x43")),
            ("answer with IHL 15", lambda p: patched(direct(p), 0, b"\x4f")),
            ("time exceeded with IHL 3", lambda p: patched(time_exceeded(p), 0, b"\x43")),
        ]
    return errors + answers + quotes + others


def bad_extensions(_protocol, _family):
    """Time exceeded whose quote is right and whose extension is not: to be believed or not, but without labels that
    are not there."""
    label = wire.mpls((16, 0, 1, 1))
    bad = {
        "wrong checksum": wire.extension(label, value=0x1234),
        "version 0": wire.extension(label, version=0),
        "version 15": wire.extension(label, version=15),
        "object of length 0": wire.extension(wire.extension_object(1, 1, label[4:], length=0)),
        "object of length 3": wire.extension(wire.extension_object(1, 1, label[4:], length=3)),
        "object longer than the packet": wire.extension(wire.extension_object(1, 1, label[4:], length=400)),
        "object of length 65535": wire.extension(wire.extension_object(1, 1, label[4:], length=65535)),
        "object with no label": wire.extension(wire.extension_object(1, 1, b"")),
        "object with half a label": wire.extension(wire.extension_object(1, 1, b"\0\1")),
        "object of another class": wire.extension(wire.extension_object(2, 1, label[4:])),
        "object of another type": wire.extension(wire.extension_object(1, 2, label[4:])),
        "three bytes": wire.extension(label)[:3],
        "header alone": wire.extension(),
    }
    good = wire.extension(label)
    rows = [(f"{name}, {form} form", functools.partial(time_exceeded, quote=WHOLE, extension=data, form=form))
            for name, data in bad.items() for form in ("length", "old")]
    return rows + [(f"a length field of {length}",  # the quote and the labels are right
                    functools.partial(time_exceeded, quote=WHOLE, extension=good, length=length))
                   for length in (1, 8, 15, 17, 255)]
