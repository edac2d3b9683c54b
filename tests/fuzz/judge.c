/* SPDX-License-Identifier: MIT */
/* The same judgement as match.c's, from the bare bytes. */
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

static bool
same_checksum(const uint8_t *a, const uint8_t *b)
{
    return u16_at(a) % 0xffff == u16_at(b) % 0xffff;
}

/* Of the payload that came back: WEAK when it says nothing. */
static enum verdict
judge_payload(const struct sent *out, const struct answer *answer)
{
    size_t at = packet_nonce_offset(&out->probe.identity);
    size_t headers = families[out->probe.family].header_size + 8;
    const uint8_t *nonce = out->packet + headers + at;
    if (!out->probe.identity.nonce || !answer->has_payload || answer->payload.left < at + NONCE_SIZE)
        return WEAK;
    size_t same = 0;
    while (same < NONCE_SIZE && answer->payload.at[at + same] == nonce[same])
        same++;
    for (size_t i = same; i < NONCE_SIZE; i++)
        if (!answer->is_error || answer->payload.at[at + i] != 0)
            return WRONG;
    return same == NONCE_SIZE ? PROOF : WEAK;
}

/* What no NAT and no router rewrites: QUOTE, an IP header, is to the probe's target and port, with nothing wrong in it. */
static bool
goes_the_same_way(const struct sent *out, const uint8_t *quote, const struct answer *answer)
{
    enum family_id family = out->request.family;
    size_t size = families[family].address_size;
    uint8_t next;
    const uint8_t *target;
    behind_ip(quote, family, &next, &target);
    const uint8_t *ours = out->packet + families[family].header_size;
    const uint8_t *seen = transport_in(quote, family, protocols[out->request.protocol]->number[family]);
    bool echo = out->request.protocol == PROTOCOL_ICMP;
    size_t far = echo ? 6 : 2;
    return seen && memcmp(target, out->request.target.bytes, size) == 0 && judge_payload(out, answer) != WRONG &&
           memcmp(seen + far, ours + far, 2) == 0 && (!echo || seen[0] == ours[0]);
}

/* QUOTE is the IP header that an error quotes. */
static enum verdict
judge_quote(const struct sent *out, const uint8_t *quote, const struct answer *answer)
{
    enum family_id family = out->request.family;
    size_t size = families[family].address_size, addresses = family == IPV4 ? 12 : 8;
    const uint8_t *ours = out->packet + families[family].header_size;
    const uint8_t *seen = transport_in(quote, family, protocols[out->request.protocol]->number[family]);
    bool echo = out->request.protocol == PROTOCOL_ICMP, udp = out->request.protocol == PROTOCOL_UDP;
    size_t near = echo ? 4 : 0;
    if (!goes_the_same_way(out, quote, answer))
        return WRONG;
    bool translated = memcmp(quote + addresses, out->packet + addresses, size) != 0;
    bool same_near = memcmp(seen + near, ours + near, 2) == 0;
    bool same_id = family == IPV4 && memcmp(quote + 4, out->packet + 4, 2) == 0;
    if (out->request.protocol == PROTOCOL_TCP)
        return memcmp(seen + 4, ours + 4, 4) == 0 && (translated || same_near) ? PROOF : WRONG;
    if (!translated && (!same_near || ((echo || udp) && !same_checksum(seen + (echo ? 2 : 6), ours + (echo ? 2 : 6)))))
        return WRONG;
    if (answer->has_number)
        return memcmp(seen + 16, ours + 16, 4) == 0 ? PROOF : WRONG;
    if (judge_payload(out, answer) == PROOF)
        return PROOF;
    if (translated)
        return (family == IPV4 ? same_id : same_near) ? WEAK : WRONG;
    return same_id || out->probe.identity.balanced ? LIKELY : WEAK;
}

/* BYTES begin with the transport's header. */
static enum verdict
judge_direct(const struct sent *out, const uint8_t *bytes, const struct answer *answer)
{
    const uint8_t *ours = out->packet + families[out->request.family].header_size;
    enum verdict payload = judge_payload(out, answer);
    bool from_target = address_same(&answer->from, &out->request.target) || out->probe.group;
    if (!address_same(&answer->to, &out->probe.identity.source) || payload == WRONG)
        return WRONG;
    if (out->request.protocol == PROTOCOL_ICMP)
        return memcmp(bytes + 4, ours + 4, 4) == 0 && (from_target || payload == PROOF) ? PROOF : WRONG;
    if (memcmp(bytes, ours + 2, 2) != 0 || memcmp(bytes + 2, ours, 2) != 0 || !from_target)
        return WRONG;
    if (out->request.protocol == PROTOCOL_TCP)
        return u16_at(bytes + 8) * 65536u + u16_at(bytes + 10) == out->probe.identity.number + 1 ? PROOF : WRONG;
    if (out->request.protocol == PROTOCOL_SCTP)
        return memcmp(bytes + 4, ours + 16, 4) == 0 ? PROOF : WRONG;
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

bool
judge_may_be_of(const struct sent *other, const struct sent *out, const struct datagram *datagram,
                const struct answer *answer)
{
    enum family_id family = out->request.family;
    const uint8_t *quote = probe_in(behind_header(datagram) + 8, family);
    if (other->request.family != family || other->request.protocol != answer->protocol ||
        !goes_the_same_way(other, quote, answer))
        return false;
    /* Port and identification say the same: not both are by chance those of another, unless it has the port anyway. */
    size_t near = families[family].header_size + (out->request.protocol == PROTOCOL_ICMP ? 4 : 0);
    bool same_near = answer->near == u16_at(out->packet + near);
    bool others_too = memcmp(other->packet + near, out->packet + near, 2) == 0;
    return family == IPV6 || !same_near || others_too;
}
