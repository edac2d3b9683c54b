# SPDX-License-Identifier: MIT
"""Packets: a decoder for what a capture saw, and builders for what a played network sends.

Addresses are text, everything else bytes and integers. Protocols are named: icmp (both families), udp, tcp, sctp; any
other is its number.
"""

import dataclasses
import socket
import struct
import typing

ICMP, TCP, UDP, ICMP6, SCTP = 1, 6, 17, 58, 132
NAMES = {ICMP: "icmp", ICMP6: "icmp", TCP: "tcp", UDP: "udp", SCTP: "sctp"}
NUMBERS = {"icmp": ICMP, "icmp6": ICMP6, "tcp": TCP, "udp": UDP, "sctp": SCTP}

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ECE, CWR, AE = 64, 128, 256  # the last is in the byte of the data offset
MSS, WINDOW_SCALE, SACK_PERMITTED, TIMESTAMPS = 2, 3, 4, 8

# Extension headers of IPv6 that the decoder steps over; 44 is the fragment header.
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60

# ICMP requests by name, and their replies: family -> (type, type)
ICMP_REQUESTS = {"echo": {4: (8, 0), 6: (128, 129)}, "timestamp": {4: (13, 14)}, "extended-echo": {4: (42, 43), 6: (160, 161)}}

ERRORS4 = {3, 4, 5, 11, 12}
ERRORS6 = {1, 2, 3, 4}


@dataclasses.dataclass(repr=False)
class Packet:
    """One IP packet. What does not apply to it, or was cut off, is None."""

    family: int
    src: str = ""
    dst: str = ""
    ttl: int = 0
    tos: int = 0
    df: bool = False
    mf: bool = False
    fragment_offset: int = 0  # in bytes
    ip_id: typing.Optional[int] = None  # IPv6: of the fragment header
    flow_label: int = 0
    total_length: int = 0  # as the header says, IPv6 header included
    header_length: int = 0  # with options or extension headers
    ip_options: bytes = b""
    protocol: typing.Union[str, int, None] = None
    payload: bytes = b""  # after the transport header (icmp: after its 8 bytes; a later fragment: all of it)
    sport: typing.Optional[int] = None
    dport: typing.Optional[int] = None
    flags: typing.Optional[int] = None
    seq: typing.Optional[int] = None  # tcp sequence, icmp sequence
    ack: typing.Optional[int] = None
    window: typing.Optional[int] = None
    options: dict = dataclasses.field(default_factory=dict)  # tcp: kind -> data
    icmp_type: typing.Optional[int] = None
    icmp_code: typing.Optional[int] = None
    icmp_id: typing.Optional[int] = None
    icmp_rest: typing.Optional[int] = None  # the second four bytes, as one number
    quote: typing.Optional["Packet"] = None  # what an icmp error quotes
    vtag: typing.Optional[int] = None
    chunk: typing.Optional[int] = None  # sctp: type of the first chunk
    init_tag: typing.Optional[int] = None
    checksum: typing.Optional[int] = None  # of the transport
    checksum_ok: typing.Optional[bool] = None  # None: can't be told (a fragment, a quote)
    raw: bytes = b""
    time: float = 0.0  # of the capture, seconds since the epoch
    time_ns: int = 0
    direction: str = ""  # of the capture: in or out

    def __repr__(self):
        """Only what is there, and of bytes the first."""
        shown = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in ("raw", "time_ns") or value in (None, "", b"", {}, False):
                continue
            if isinstance(value, bytes) and len(value) > 16:
                value = f"{value[:16].hex()}... ({len(value)} bytes)"
            shown.append(f"{field.name}={value}")
        return f"<{' '.join(shown)}>"

    @property
    def transport(self):
        return self.raw[self.header_length:self.total_length]

    @property
    def is_fragment(self):
        return self.mf or self.fragment_offset != 0

    @property
    def is_error(self):
        return self.protocol == "icmp" and self.icmp_type in (ERRORS4 if self.family == 4 else ERRORS6)

    @property
    def icmp_request(self):
        """The name of the ICMP request that this is; None: it is none."""
        return next((name for name, types in ICMP_REQUESTS.items() if self.protocol == "icmp" and self.family in types
                     and self.icmp_type == types[self.family][0]), None)

    @property
    def is_echo_request(self):
        return self.protocol == "icmp" and self.icmp_type == (8 if self.family == 4 else 128)

    @property
    def is_echo_reply(self):
        return self.protocol == "icmp" and self.icmp_type == (0 if self.family == 4 else 129)


# ---------------------------------------------------------------- decoding

def decode(raw, quoted=False):
    """The packet in these bytes, or None when they hold no IP header. A quote may be cut short anywhere."""
    raw = bytes(raw)
    version = raw[0] >> 4 if raw else 0
    if version == 4 and len(raw) >= 20:
        packet, number = _decode4(raw)
    elif version == 6 and len(raw) >= 40:
        packet, number = _decode6(raw)
    else:
        return None
    packet.raw = raw
    packet.protocol = NAMES.get(number, number)
    body = raw[packet.header_length:packet.total_length]
    if packet.fragment_offset:
        packet.payload = body
        return packet
    reader = {"icmp": _decode_icmp, "udp": _decode_udp, "tcp": _decode_tcp, "sctp": _decode_sctp}.get(packet.protocol)
    if reader:
        reader(packet, body)
    else:
        packet.payload = body
    whole = not packet.mf and len(raw) >= packet.total_length
    if whole and not quoted and packet.checksum is not None:
        packet.checksum_ok = _checksum_ok(packet, number, body)
    return packet


def _decode4(raw):
    tos, total, ip_id, frag, ttl, number = struct.unpack_from("!xBHHHBB", raw)
    header = (raw[0] & 15) * 4
    return Packet(4, socket.inet_ntop(socket.AF_INET, raw[12:16]), socket.inet_ntop(socket.AF_INET, raw[16:20]),
                  ttl=ttl, tos=tos, df=bool(frag & 0x4000), mf=bool(frag & 0x2000), fragment_offset=(frag & 0x1fff) * 8,
                  ip_id=ip_id, total_length=total, header_length=header, ip_options=raw[20:header]), number


def _decode6(raw):
    first, length, number, hops = struct.unpack_from("!IHBB", raw)
    packet = Packet(6, socket.inet_ntop(socket.AF_INET6, raw[8:24]), socket.inet_ntop(socket.AF_INET6, raw[24:40]),
                    ttl=hops, tos=first >> 20 & 255, flow_label=first & 0xfffff, total_length=40 + length)
    at = 40
    while number in (HOP_BY_HOP, ROUTING, DESTINATION, FRAGMENT) and at + 8 <= len(raw):
        if number == FRAGMENT:
            frag, packet.ip_id = struct.unpack_from("!HI", raw, at + 2)
            packet.fragment_offset, packet.mf = frag & 0xfff8, bool(frag & 1)
            size = 8
        else:
            size = raw[at + 1] * 8 + 8
        number, at = raw[at], at + size
        if packet.fragment_offset:
            break
    packet.header_length = at
    packet.ip_options = raw[40:at]
    return packet, number


def _decode_icmp(packet, body):
    if len(body) < 8:
        return
    packet.icmp_type, packet.icmp_code, packet.checksum, packet.icmp_rest = struct.unpack_from("!BBHI", body)
    packet.payload = body[8:]
    if packet.is_error:
        packet.quote = decode(body[8:], quoted=True)
    elif any(packet.icmp_type in types.get(packet.family, ()) for types in ICMP_REQUESTS.values()):
        packet.icmp_id, packet.seq = packet.icmp_rest >> 16, packet.icmp_rest & 0xffff


def _decode_udp(packet, body):
    if len(body) < 8:
        return
    packet.sport, packet.dport, _, packet.checksum = struct.unpack_from("!HHHH", body)
    packet.payload = body[8:]


def _decode_tcp(packet, body):
    if len(body) >= 4:
        packet.sport, packet.dport = struct.unpack_from("!HH", body)
    if len(body) >= 8:
        packet.seq, = struct.unpack_from("!I", body, 4)
    if len(body) < 20:
        return
    packet.ack, offset, packet.flags, packet.window, packet.checksum = struct.unpack_from("!IBBHH", body, 8)
    header = (offset >> 4) * 4
    packet.flags |= (offset & 1) << 8
    packet.payload = body[header:]
    options = body[20:header]
    while options and options[0]:
        if options[0] == 1:
            options = options[1:]
            continue
        if len(options) < 2 or not 2 <= options[1] <= len(options):
            break
        packet.options[options[0]] = options[2:options[1]]
        options = options[options[1]:]


def _decode_sctp(packet, body):
    if len(body) < 8:
        return
    packet.sport, packet.dport, packet.vtag = struct.unpack_from("!HHI", body)
    if len(body) < 12:
        return
    packet.checksum, = struct.unpack_from("<I", body, 8)
    packet.payload = body[12:]
    if packet.payload:
        packet.chunk = packet.payload[0]
        if packet.chunk in (1, 2) and len(packet.payload) >= 8:
            packet.init_tag, = struct.unpack_from("!I", packet.payload, 4)


def _checksum_ok(packet, number, body):
    if number == SCTP:
        return crc32c(body[:8] + bytes(4) + body[12:]) == packet.checksum
    if number == UDP and packet.checksum == 0:
        return packet.family == 4
    pseudo = b"" if number == ICMP else pseudo_header(packet.src, packet.dst, number, len(body))
    return checksum(pseudo + body) == 0


def extensions(error):
    """The RFC 4884 extension bytes of an icmp error, header included, as the length field says; b"" without."""
    body = error.transport
    length = body[5] * 4 if error.family == 4 else body[4] * 8
    return body[8 + length:] if length else b""


def reassemble(packets):
    """The payload after the IP header that these fragments make, or None while any is missing."""
    parts = sorted(packets, key=lambda packet: packet.fragment_offset)
    data = b""
    for part in parts:
        if part.fragment_offset != len(data):
            return None
        data += part.transport
    return None if not parts or parts[-1].mf else data


# ---------------------------------------------------------------- checksums

def checksum(data):
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def pseudo_header(src, dst, number, length):
    if ":" in dst:
        return address(src) + address(dst) + struct.pack("!IxxxB", length, number)
    return address(src) + address(dst) + struct.pack("!xBH", number, length)


def _crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
        table.append(value)
    return table


_CRC32C = _crc32c_table()


def crc32c(data):
    """CRC32c (Castagnoli); sctp carries it least significant byte first."""
    value = 0xffffffff
    for byte in data:
        value = value >> 8 ^ _CRC32C[(value ^ byte) & 255]
    return value ^ 0xffffffff


# ---------------------------------------------------------------- building

def address(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def ip4(src, dst, protocol, payload, ttl=64, tos=0, ip_id=0, df=False, mf=False, fragment_offset=0, options=b""):
    """An IPv4 packet; options are padded to words."""
    options += bytes(-len(options) % 4)
    length = 20 + len(options)
    header = struct.pack("!BBHHHBBH", 0x40 | length // 4, tos, length + len(payload), ip_id,
                         df << 14 | mf << 13 | fragment_offset // 8, ttl, NUMBERS.get(protocol, protocol), 0)
    header += address(src) + address(dst) + options
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def ip6(src, dst, protocol, payload, ttl=64, tos=0, flow_label=0, headers=()):
    """An IPv6 packet; headers are (number, bytes after the next-header byte) pairs, in order."""
    number = ICMP6 if protocol in ("icmp", ICMP) else NUMBERS.get(protocol, protocol)
    chain = b""
    for kind, rest in reversed(list(headers)):
        chain = bytes([number]) + rest + chain
        number = kind
    return struct.pack("!IHBB", 6 << 28 | tos << 20 | flow_label, len(chain) + len(payload), number, ttl) \
        + address(src) + address(dst) + chain + payload


def ip(src, dst, protocol, payload, **kw):
    """ip4() or ip6(), by the addresses."""
    return (ip6 if ":" in dst else ip4)(src, dst, protocol, payload, **kw)


def icmp(src, dst, icmp_type, code=0, rest=0, payload=b""):
    """An icmp message with its checksum; `rest` is the second four bytes, a number or bytes."""
    if isinstance(rest, int):
        rest = struct.pack("!I", rest)
    message = struct.pack("!BBH", icmp_type, code, 0) + rest + payload
    pseudo = pseudo_header(src, dst, ICMP6, len(message)) if ":" in dst else b""
    return message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]


def echo(src, dst, ident, seq, payload=b"", reply=False):
    """An echo request or reply message."""
    icmp_type = (129 if reply else 128) if ":" in dst else (0 if reply else 8)
    return icmp(src, dst, icmp_type, 0, ident << 16 | seq, payload)


def timestamp_reply(src, dst, ident, seq, times):
    return icmp(src, dst, 14, 0, ident << 16 | seq, struct.pack("!III", *times))


def extended_reply(src, dst, ident, seq, code, state):
    """Of the sequence field's 16 bits the upper eight are the number, and the lower ones the state."""
    return icmp(src, dst, 161 if ":" in dst else 43, code, ident << 16 | (seq & 0xff00) | state)


def udp(src, dst, sport, dport, payload=b""):
    message = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    value = checksum(pseudo_header(src, dst, UDP, len(message)) + message) or 0xffff
    return message[:6] + struct.pack("!H", value) + message[8:]


def tcp(src, dst, sport, dport, flags, seq=0, ack=0, window=65535, options=b"", payload=b""):
    options += bytes(-len(options) % 4)
    message = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xffffffff, ack & 0xffffffff,
                          (20 + len(options)) // 4 << 4 | flags >> 8, flags & 255, window, 0, 0) + options + payload
    value = checksum(pseudo_header(src, dst, TCP, len(message)) + message)
    return message[:16] + struct.pack("!H", value) + message[18:]


def sctp(sport, dport, vtag, chunks):
    """An sctp packet with its CRC32c."""
    message = struct.pack("!HHI", sport, dport, vtag) + bytes(4) + chunks
    return message[:8] + struct.pack("<I", crc32c(message)) + message[12:]


def sctp_chunk(kind, value=b"", flags=0):
    return struct.pack("!BBH", kind, flags, 4 + len(value)) + value + bytes(-len(value) % 4)


def sctp_init_ack(sport, dport, vtag, init_tag=1):
    cookie = struct.pack("!HH", 7, 8) + b"hop!"
    return sctp(sport, dport, vtag, sctp_chunk(2, struct.pack("!IIHHI", init_tag, 65535, 1, 1, 1) + cookie))


def sctp_abort(sport, dport, vtag):
    return sctp(sport, dport, vtag, sctp_chunk(6))


def icmp_error(src, dst, icmp_type, code, quoted, quote=None, extension=b"", form="length", mtu=0, length=None,
               old_at=128):
    """An icmp error message (without the IP header) that quotes a packet.

    quote: how many bytes of the packet it quotes; None for as many as a host does (v4 548, v6 1232 in total; 128 with
    an extension). extension: bytes from extension(). form: "length" writes the RFC 4884 length field, "old" leaves it
    0 and pads the quote to exactly 128 bytes, or to old_at. mtu: the value of packet too big. length: a lie for the
    length field.
    """
    six = ":" in dst
    if quote is None:
        quote = 128 if extension else 1224 if six else 520
    body = quoted[:quote]
    words = 0
    if extension:
        unit = 8 if six else 4
        body = body[:old_at] + bytes(old_at - len(body[:old_at])) if form == "old" else \
            body + bytes(max(128 - len(body), -len(body) % unit))
        words = len(body) // unit if form == "length" else 0
    if length is not None:
        words = length
    rest = (words << 24 | mtu) if six and words else mtu if six else words << 16 | mtu
    return icmp(src, dst, icmp_type, code, rest, body + extension)


def extension(*objects, version=2, value=None):
    """An RFC 4884 extension structure of objects from extension_object(); value: a lie for its checksum."""
    data = struct.pack("!BBH", version << 4, 0, 0) + b"".join(objects)
    if value is None:
        value = checksum(data)
    return data[:2] + struct.pack("!H", value) + data[4:]


def extension_object(class_number, c_type, data, length=None):
    return struct.pack("!HBB", 4 + len(data) if length is None else length, class_number, c_type) + data


def interface_object(role, index=None, address_text=None, name=None, mtu=None):
    """An RFC 5837 object; role 0 to 3, name in bytes."""
    c_type, data = role << 6, b""
    if index is not None:
        c_type, data = c_type | 8, data + struct.pack("!I", index)
    if address_text is not None:
        c_type, data = c_type | 4, data + struct.pack("!HH", 2 if ":" in address_text else 1, 0) + address(address_text)
    if name is not None:
        text = bytes([len(name) + 1]) + name
        c_type, data = c_type | 2, data + text + bytes(-len(text) % 4)
    if mtu is not None:
        c_type, data = c_type | 1, data + struct.pack("!I", mtu)
    return extension_object(2, c_type, data)


def node_object(address_text=None, name=None):
    """A node identification object, class 5 (draft-ietf-intarea-extended-icmp-nodeid); name in bytes."""
    kind = interface_object(0, address_text=address_text, name=name)
    return kind[:2] + bytes([5]) + kind[3:]


def mpls(*labels):
    """An RFC 4950 object; each label is (label, traffic class, bottom of stack, ttl)."""
    return extension_object(1, 1, b"".join(struct.pack("!I", label << 12 | tc << 9 | bottom << 8 | ttl)
                                           for label, tc, bottom, ttl in labels))
