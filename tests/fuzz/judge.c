/* SPDX-License-Identifier: MIT */
/* The rules of match.h again, from the bare bytes: packets are compared as they went out, checksums computed anew. */
#include <string.h>

#include "judge.h"
#include "packets/protocol.h"
#include "support.h"

/*
 * What follows the IP header at BYTES, which was found good, and its extension headers; *NEXT says what it is. *TARGET:
 * where the packet is going in the end.
 */
static const uint8_t *
behind_ip(const uint8_t *bytes, enum family_id family, uint8_t *next, const uint8_t **target)
{
    *next = family == IPV4 ? bytes[9] : bytes[6];
    *target = family == IPV4 ? bytes + 16 : bytes + 24;
    if (family == IPV4)
        return bytes + (bytes[0] & 15) * 4;
    bytes += 40;
    while (*next == IPPROTO_HOPOPTS || *next == IPPROTO_ROUTING || *next == IPPROTO_DSTOPTS ||
           *next == IPPROTO_FRAGMENT || *next == IPPROTO_AH) {
        size_t length = *next == IPPROTO_FRAGMENT ? 8 : *next == IPPROTO_AH ? bytes[1] * 4u + 8 : bytes[1] * 8u + 8;
        size_t segments = bytes[4] + 1u;
        if (*next == IPPROTO_ROUTING && bytes[2] == 4 && bytes[3] > 0 && bytes[3] <= segments &&
            8 + 16 * segments <= length)
            *target = bytes + 8;
        *next = bytes[0];
        bytes += length;
    }
    return bytes;
}

/* Where the transport's header begins behind the IP header at BYTES; NULL: another protocol. */
static const uint8_t *
transport_in(const uint8_t *bytes, enum family_id family, uint8_t number)
{
    uint8_t next;
    const uint8_t *target;
    bytes = behind_ip(bytes, family, &next, &target);
    return next == number ? bytes : NULL;
}

/* The probe's own IP header in what an error quotes: behind those of tunnels. */
static const uint8_t *
probe_in(const uint8_t *quote, enum family_id family)
{
    for (;;) {
        uint8_t next;
        const uint8_t *target, *inner = behind_ip(quote, family, &next, &target);
        if (next != IPPROTO_IPIP && next != IPPROTO_IPV6 && next != IPPROTO_GRE)
            return quote;
        if (next == IPPROTO_GRE) {
            next = u16_at(inner + 2) == 0x0800 ? IPPROTO_IPIP : IPPROTO_IPV6;
            inner += 4 + 4 * (size_t)((inner[0] >> 7) + (inner[0] >> 5 & 1) + (inner[0] >> 4 & 1));
        }
        family = next == IPPROTO_IPIP ? IPV4 : IPV6;
        quote = inner;
    }
}

/* What a part of an answer says of a probe. */
enum sign { SILENT, AGREES, DIFFERS };

/*
 * Of the payload that came back, COUNT bytes that no other probe has, at OFFSET. The zeros by which a router fills up a
 * short quote say nothing; LEAST right bytes at the end of one are enough.
 */
static enum sign
compare_payload(const struct sent *out, const struct answer *answer, size_t offset, size_t count, size_t least)
{
    const uint8_t *ours = out->packet + families[out->probe.family].header_size + 8 + offset;
    if (!answer->has_payload || answer->payload.left < offset)
        return SILENT;
    size_t there = answer->payload.left - offset < count ? answer->payload.left - offset : count, same = 0;
    if (there < count && !answer->is_error)
        return SILENT;
    while (same < there && answer->payload.at[offset + same] == ours[same])
        same++;
    if (same == there)
        return there >= least ? AGREES : SILENT;
    for (size_t i = same; i < there; i++)
        if (!answer->is_error || answer->payload.at[offset + i] != 0)
            return DIFFERS;
    return SILENT;
}

static enum sign
compare_nonce(const struct sent *out, const struct answer *answer)
{
    size_t offset = out->probe.identity.balanced ? BALANCE_SIZE : 0;
    return out->probe.identity.nonce ? compare_payload(out, answer, offset, NONCE_SIZE, 4) : SILENT;
}

/* Of the two bytes that make a checksum what it is to be; these are all that differs between the probes of a flow. */
static enum sign
compare_balance(const struct sent *out, const struct answer *answer)
{
    size_t given = out->request.payload.length / 2;
    const uint8_t *ours = out->packet + families[out->probe.family].header_size + 8 + given;
    bool any = out->probe.identity.balanced && u16_at(ours) != 0 && !protocols[out->probe.protocol]->numbered;
    return any ? compare_payload(out, answer, given, BALANCE_SIZE, BALANCE_SIZE) : SILENT;
}

/* A quoted packet: its IP header, what follows that, and where in these the fields are that NATs rewrite. */
struct quoted {
    const struct answer *answer;
    const uint8_t *header, *transport;
    const uint8_t *target;        /* of routed packets it stands in the routing header */
    size_t address_size, source; /* in the IP header */
    size_t near, far, checksum;          /* in the transport's */
};

static struct quoted
find_quoted(const struct sent *out, const uint8_t *quote, const struct answer *answer)
{
    static const size_t checksums[] = {
        [PROTOCOL_ICMP] = 2, [PROTOCOL_UDP] = 6, [PROTOCOL_TCP] = 16, [PROTOCOL_SCTP] = 8,
    };
    enum family_id family = out->request.family;
    uint8_t next;
    const uint8_t *target;
    behind_ip(quote, family, &next, &target);
    bool echo = out->request.protocol == PROTOCOL_ICMP;
    return (struct quoted){
        .answer = answer,
        .header = quote,
        .transport = transport_in(quote, family, protocols[out->request.protocol]->number[family]),
        .address_size = families[family].address_size,
        .source = family == IPV4 ? 12 : 8,
        .target = target,
        .near = echo ? 4 : 0,
        .far = echo ? 6 : 2,
        .checksum = checksums[out->request.protocol],
    };
}

/* In either order of bytes, as routers quote it. */
static bool
has_df(const uint8_t *header)
{
    return (header[6] & 0x40) || (header[6] == 0 && header[7] == 0x40);
}

/*
 * The IPv4 identification, unless it is that of a packet that can't be fragmented and has none, or another in a header that
 * may be, and ours may not: then somebody else has written it.
 */
static enum sign
compare_ip_id(const struct sent *out, const struct quoted *quoted)
{
    if (out->request.family == IPV6 || (u16_at(quoted->header + 4) == 0 && has_df(quoted->header)))
        return SILENT;
    if (memcmp(quoted->header + 4, out->packet + 4, 2) == 0)
        return AGREES;
    return has_df(out->packet) && !has_df(quoted->header) ? SILENT : DIFFERS;
}

/* The whole packet as it went out, but for the addresses and ports, which are those of the quote: its checksum, anew. */
static uint16_t
translated_checksum(const struct sent *out, const struct quoted *quoted)
{
    uint8_t bytes[sizeof out->packet];
    enum family_id family = out->request.family;
    size_t header = families[family].header_size, length = out->length - header;
    uint32_t sum = 0;
    memcpy(bytes, out->packet + header, length);
    memcpy(bytes + quoted->near, quoted->transport + quoted->near, 2);
    memcpy(bytes + quoted->far, quoted->transport + quoted->far, 2);
    if (family == IPV6 || out->request.protocol != PROTOCOL_ICMP) {
        const uint8_t rest[] = { (uint8_t)(length >> 8), (uint8_t)length, 0,
                                 protocols[out->request.protocol]->number[family] };
        sum = plain_sum(0, quoted->header + quoted->source, quoted->address_size);
        sum = plain_sum(plain_sum(sum, quoted->target, quoted->address_size), rest, sizeof rest);
    }
    mend_checksum(sum, bytes, length, quoted->checksum);
    return u16_at(bytes + quoted->checksum);
}

/* SCTP's is a CRC, of which we have two bytes: it covers no addresses, and what it becomes with other ports is not known. */
static enum sign
compare_checksum(const struct sent *out, const struct quoted *quoted)
{
    const uint8_t *ours = out->packet + families[out->request.family].header_size;
    const uint8_t *seen = quoted->transport;
    bool short_or_padded = out->request.protocol == PROTOCOL_TCP || out->request.protocol == PROTOCOL_SCTP;
    if (short_or_padded && !quoted->answer->has_checksum)
        return SILENT;
    if (out->request.protocol == PROTOCOL_UDP && out->request.family == IPV4 && u16_at(seen + quoted->checksum) == 0)
        return SILENT;
    if (out->request.protocol == PROTOCOL_SCTP)
        return memcmp(ours, seen, 4) != 0       ? SILENT
               : memcmp(ours + 8, seen + 8, 2) ? DIFFERS
                                                : AGREES;
    uint16_t expected = translated_checksum(out, quoted);
    return u16_at(seen + quoted->checksum) % 0xffff == expected % 0xffff ? AGREES : DIFFERS;
}

/* TCP's sequence number, SCTP's initiate tag. */
static enum sign
compare_number(const struct sent *out, const struct quoted *quoted)
{
    const uint8_t *ours = out->packet + families[out->request.family].header_size;
    size_t at = out->request.protocol == PROTOCOL_TCP ? 4 : 16;
    if (!quoted->answer->has_number)
        return SILENT;
    return memcmp(quoted->transport + at, ours + at, 4) == 0 ? AGREES : DIFFERS;
}

/* All that a quote says. */
struct signs {
    bool same_source, same_target, same_near, same_far;
    enum sign number, nonce, balance, ip_id, checksum;
};

static struct signs
compare_all(const struct sent *out, const struct quoted *quoted)
{
    const uint8_t *ours = out->packet + families[out->request.family].header_size;
    const uint8_t *header = quoted->header, *seen = quoted->transport;
    return (struct signs){
        .same_source = memcmp(header + quoted->source, out->packet + quoted->source, quoted->address_size) == 0,
        .same_target = memcmp(quoted->target, out->request.target.bytes, quoted->address_size) == 0,
        .same_near = memcmp(seen + quoted->near, ours + quoted->near, 2) == 0,
        .same_far = memcmp(seen + quoted->far, ours + quoted->far, 2) == 0,
        .number = compare_number(out, quoted),
        .nonce = compare_nonce(out, quoted->answer),
        .balance = compare_balance(out, quoted->answer),
        .ip_id = compare_ip_id(out, quoted),
        .checksum = compare_checksum(out, quoted),
    };
}

/* What no box rewrites, whatever it translates, and what it rewrites together only. */
static bool
can_be(const struct sent *out, const struct quoted *quoted, const struct signs *signs)
{
    bool echo = out->request.protocol == PROTOCOL_ICMP;
    bool to_its_source = memcmp(quoted->header + quoted->source, quoted->answer->to.bytes, quoted->address_size) == 0;
    if (signs->number == DIFFERS || signs->nonce == DIFFERS || signs->balance == DIFFERS)
        return false;
    if (!signs->same_far && (echo || signs->same_target))
        return false;
    if (echo && quoted->transport[0] != out->packet[families[out->request.family].header_size]) /* another kind of request */
        return false;
    return signs->same_source ? signs->same_near : !to_its_source;
}

/* The identification, or what was chosen by it, is that of no other probe in flight. */
static bool
is_told_apart(const struct sent *out, const struct signs *signs)
{
    return signs->ip_id == AGREES || signs->balance == AGREES ||
           (signs->checksum == AGREES && out->probe.identity.balanced);
}

/* Of a quote whose target was rewritten, so of any probe in flight: a checksum, only with what no other probe has. */
static enum verdict
judge_other_target(const struct sent *out, const struct signs *signs, bool proof)
{
    bool id = signs->ip_id == AGREES, secret = out->probe.identity.nonce || out->probe.identity.balanced;
    if (!signs->same_near && !id)
        return WRONG;
    if (proof)
        return PROOF;
    if (signs->checksum != AGREES)
        return WRONG;
    bool own_ports = signs->same_far && (out->request.protocol == PROTOCOL_ICMP || !out->probe.keeps_ports);
    if (secret)
        return id || (signs->same_near && own_ports) ? LIKELY : WRONG;
    return id && signs->same_near ? LIKELY : WRONG;
}

/* QUOTE is the IP header that an error quotes. */
static enum verdict
judge_quote(const struct sent *out, const uint8_t *quote, const struct answer *answer)
{
    const struct quoted quoted = find_quoted(out, quote, answer);
    if (!quoted.transport)
        return WRONG;
    const struct signs signs = compare_all(out, &quoted);
    bool echo = out->request.protocol == PROTOCOL_ICMP, udp = out->request.protocol == PROTOCOL_UDP;
    bool proof = signs.number == AGREES || signs.nonce == AGREES, has_nonce = out->probe.identity.nonce != 0;
    bool secret = has_nonce || out->probe.identity.balanced;
    if (!can_be(out, &quoted, &signs))
        return WRONG;
    if (!signs.same_target)
        return judge_other_target(out, &signs, proof);
    if (proof)
        return PROOF;
    if (!signs.same_source) {
        bool others = !signs.same_near && signs.ip_id == DIFFERS;
        if (signs.checksum == AGREES && is_told_apart(out, &signs) && !others)
            return LIKELY;
        if (signs.ip_id != SILENT)
            return signs.ip_id == AGREES ? WEAK : WRONG;
        return signs.same_near || (secret && signs.checksum == AGREES) ? WEAK : WRONG;
    }
    if (signs.checksum == DIFFERS && (echo || udp))
        return echo ? WEAK : WRONG; /* identifier and sequence number are still right */
    if (is_told_apart(out, &signs))
        return LIKELY;
    if (signs.checksum == AGREES)
        return WEAK;
    return signs.ip_id == SILENT ? WEAK : WRONG; /* some quote eight bytes, without a checksum: the ports are all */
}

/* An echo reply's checksum, if it came from there with all that we sent. */
static bool
is_whole_echo(const struct sent *out, const uint8_t *bytes, const struct answer *answer)
{
    uint8_t reply[sizeof out->packet];
    enum family_id family = out->request.family;
    size_t header = families[family].header_size, length = out->length - header;
    uint32_t sum = 0;
    if (answer->payload.left != length - 8)
        return false;
    memcpy(reply, out->packet + header, length);
    reply[0] = bytes[0];
    if (family == IPV6) {
        const uint8_t rest[] = { (uint8_t)(length >> 8), (uint8_t)length, 0, IPPROTO_ICMPV6 };
        sum = plain_sum(plain_sum(0, answer->from.bytes, 16), answer->to.bytes, 16);
        sum = plain_sum(sum, rest, sizeof rest);
    }
    mend_checksum(sum, reply, length, 2);
    return u16_at(reply + 2) % 0xffff == u16_at(bytes + 2) % 0xffff;
}

/*
 * Identifier and sequence number, and all of the payload, from anywhere; a part of it with the nonce, where there is one,
 * or from the target.
 */
static enum verdict
judge_echo(const struct sent *out, const uint8_t *bytes, const struct answer *answer, bool from_target)
{
    size_t header = families[out->request.family].header_size, sent = out->length - header - 8;
    bool nonce = compare_nonce(out, answer) == AGREES, whole = is_whole_echo(out, bytes, answer);
    if (memcmp(bytes + 4, out->packet + header + 4, 4) != 0 || answer->payload.left > sent)
        return WRONG;
    if ((answer->payload.left == sent && !whole) || (out->probe.identity.nonce && !nonce))
        return WRONG;
    return whole || nonce || from_target ? PROOF : WRONG;
}

/* A reply that returns two numbers, of which an extended echo's second has eight bits; and a time, to a request for that. */
static enum verdict
judge_icmp(const struct sent *out, const uint8_t *bytes, bool from_target)
{
    const uint8_t *ours = out->packet + families[out->request.family].header_size;
    bool timestamp = out->request.icmp_request == ICMP_REQUEST_TIMESTAMP;
    if (!from_target || memcmp(bytes + 4, ours + 4, timestamp ? 4 : 3) != 0)
        return WRONG;
    return timestamp && memcmp(bytes + 8, ours + 8, 4) != 0 ? WRONG : PROOF;
}

/* The types by which each kind of request is answered: RFC 792, RFC 4443, RFC 8335. */
static const uint8_t reply_types[ICMP_REQUESTS][FAMILIES] = { { 0, 129 }, { 14, 0 }, { 43, 161 } };

/* BYTES begin with the transport's header. An SCTP host may answer from another of its addresses. */
static enum verdict
judge_direct(const struct sent *out, const uint8_t *bytes, const struct answer *answer)
{
    const uint8_t *ours = out->packet + families[out->request.family].header_size;
    bool from_target = address_same(&answer->from, &out->request.target) || out->probe.group;
    if (!address_same(&answer->to, &out->probe.identity.source))
        return WRONG;
    if (out->request.protocol == PROTOCOL_ICMP && bytes[0] != reply_types[out->request.icmp_request][out->request.family])
        return WRONG;
    if (out->request.icmp_request != ICMP_REQUEST_ECHO)
        return judge_icmp(out, bytes, from_target);
    if (out->request.protocol == PROTOCOL_ICMP)
        return judge_echo(out, bytes, answer, from_target);
    if (memcmp(bytes, ours + 2, 2) != 0 || memcmp(bytes + 2, ours, 2) != 0)
        return WRONG;
    if (out->request.protocol == PROTOCOL_SCTP)
        return memcmp(bytes + 4, ours + 16, 4) == 0 ? PROOF : WRONG;
    if (!from_target)
        return WRONG;
    if (out->request.protocol == PROTOCOL_TCP)
        return u16_at(bytes + 8) * 65536u + u16_at(bytes + 10) == out->probe.identity.number + 1 ? PROOF : WRONG;
    return WEAK;
}

/* Of IPv6 the socket gives no header. */
static const uint8_t *
behind_header(const struct datagram *datagram)
{
    const uint8_t *bytes = datagram->bytes.at;
    return datagram->family == IPV4 ? bytes + (bytes[0] & 15) * 4 : bytes;
}

enum verdict
judge(const struct sent *out, const struct datagram *datagram, const struct answer *answer)
{
    const uint8_t *bytes = behind_header(datagram);
    if (out->request.family != answer->family || out->request.protocol != answer->protocol)
        return WRONG;
    return answer->is_error ? judge_quote(out, probe_in(bytes + 8, answer->family), answer) : judge_direct(out, bytes, answer);
}

bool
judge_quotes_all(const struct sent *out, const struct datagram *datagram, const struct answer *answer)
{
    enum family_id family = out->request.family;
    if (!answer->is_error || answer->protocol == PROTOCOL_SCTP)
        return false;
    const uint8_t *end = datagram->bytes.at + datagram->bytes.left;
    const uint8_t *quote = probe_in(behind_header(datagram) + 8, family);
    size_t addresses = family == IPV4 ? 12 : 8, header = families[family].header_size;
    size_t length = header + 8 + out->probe.payload_size;
    if (answer->protocol == PROTOCOL_TCP)
        length = header + 40;
    return (size_t)(end - quote) >= length && quote[0] == out->packet[0] &&
           transport_in(quote, family, protocols[answer->protocol]->number[family]) == quote + header &&
           memcmp(quote + addresses, out->packet + addresses, length - addresses) == 0;
}

static bool
has_its_ports(const struct sent *other, const struct sent *out, bool near)
{
    const uint8_t *one = out->packet + families[out->request.family].header_size;
    const uint8_t *two = other->packet + families[out->request.family].header_size;
    bool icmp = out->request.protocol == PROTOCOL_ICMP;
    size_t far = icmp ? 6 : 2, ours = icmp ? 4 : 0;
    if (icmp && one[0] != two[0]) /* nobody makes one type of request another */
        return false;
    return other->request.family == out->request.family && other->request.protocol == out->request.protocol &&
           address_same(&other->request.target, &out->request.target) && memcmp(one + far, two + far, 2) == 0 &&
           (!near || memcmp(one + ours, two + ours, 2) == 0);
}

bool
judge_is_dubious(const struct sent *other, const struct sent *out, enum verdict verdict,
                 const struct datagram *datagram, const struct answer *answer)
{
    if (verdict == PROOF)
        return false;
    if (!answer->is_error)
        return other->ended && has_its_ports(other, out, true);
    const struct quoted quoted = find_quoted(out, probe_in(behind_header(datagram) + 8, answer->family), answer);
    const struct signs signs = compare_all(out, &quoted);
    /* Of a flow the checksums count up, as the ports of flows do: one may have become that of a neighbour's. */
    bool other_port_too = !signs.same_near && signs.ip_id != AGREES;
    if (other->ended)
        return (verdict == WEAK || other_port_too) && has_its_ports(other, out, !other_port_too);
    if (verdict != WEAK)
        return false;
    if (signs.same_source) /* ports alone */
        return signs.checksum == SILENT && has_its_ports(other, out, true);
    /* Port and identification say the same: not both are by chance those of another, unless it has the port anyway. */
    return has_its_ports(other, out, signs.same_near && signs.ip_id == AGREES);
}
