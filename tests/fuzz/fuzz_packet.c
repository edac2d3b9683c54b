/* SPDX-License-Identifier: MIT */
/*
 * Datagrams of every family and outer protocol: to an answer, to the probe that it belongs to, to the reply. What is
 * believed is checked again on the bare bytes, with nothing of decode.c and match.c.
 * Input: options, who sent it, then the datagram. The probes are those that the seeds answer.
 */
#include <stdlib.h>
#include <string.h>

#include "judge.h"
#include "lines/reply.h"
#include "packets/protocol.h"
#include "probes/match.h"
#include "support.h"

#define VARIANTS 5 /* of the probes of a family and protocol */

enum { OPTION_IPV6 = 1, OPTION_MEND = 8, OPTION_MEND_EXTENSIONS = 16, OPTION_OLD_WORDS = 32, OPTION_EARLY = 64 };

static struct sent sent[(size_t)FAMILIES * PROTOCOLS * VARIANTS];
static struct probes *probes;
static const struct instant departure = { 1000 * NS_PER_MS };

static const struct address us[] = { { { 192, 0, 2, 1 } }, { { 0x20, 1, 0xd, 0xb8, [15] = 1 } } };
static const struct address targets[] = { { { 198, 51, 100, 7 } }, { { 0x20, 1, 0xd, 0xb8, 0, 7, [15] = 7 } } };
static const struct address routers[] = { { { 203, 0, 113, 9 } }, { { 0x20, 1, 0xd, 0xb8, 0, 9, [15] = 9 } } };
static const struct address groups[] = { { { 224, 0, 0, 1 } }, { { 0xff, 2, [15] = 1 } } };

/*
 * Variants: 0 as the seeds have it, 1 without a nonce, 2 and 3 (udp) with the ports of 0 but balanced, 4 to a group.
 */
static void
send_probe(size_t slot)
{
    struct sent *out = &sent[slot];
    size_t variant = slot % VARIANTS;
    struct request *request = &out->request;
    enum protocol_id protocol = (enum protocol_id)(slot / VARIANTS % PROTOCOLS);
    bool echo = protocol == PROTOCOL_ICMP, udp = protocol == PROTOCOL_UDP;
    bool same_ports = udp && (variant == 2 || variant == 3);
    *request = (struct request){ .family = (enum family_id)(slot / VARIANTS / PROTOCOLS), .protocol = protocol };
    request->target = variant == 4 ? groups[request->family] : targets[request->family];
    request->size = 64;
    request->ttl = 1;
    request->pattern_given = variant == 1 || variant == 4;
    struct identity identity = {
        .source = us[request->family],
        .near = echo ? 0xabc5 : (uint16_t)(0xf012 + (same_ports ? 0 : variant)),
        .far = echo ? (uint16_t)(0x0102 + variant) : udp ? 0x829a : 80,
        .number = echo || udp ? 0 : 0x89abcdef + 2 * (uint32_t)variant,
        .ip_id = (uint16_t)(0x7788 + variant), /* the end of the nonce */
        .balanced = same_ports,
        .checksum = (uint16_t)(0x4321 + variant),
    };
    packet_offer_nonce(request, &identity, UINT64_C(0x1122334455667788) + variant);
    MUST(packet_build(request, &identity, out->packet, sizeof out->packet) > 0);
    out->probe = (struct probe){
        .identity = identity,
        .target = request->target,
        .departed = departure,
        .payload_size = (uint16_t)packet_payload_size(request),
        .family = (uint8_t)request->family,
        .protocol = (uint8_t)request->protocol,
        .group = variant == 4,
    };
    MUST(probes_reserve(probes) && probes_add(probes, &out->probe, departure)->slot == slot);
}

static void
send_probes(void)
{
    probes = probes_new(1);
    for (size_t slot = 0; slot < COUNT(sent); slot++)
        send_probe(slot);
}

/* What is believed must be right, and of no other probe as right, nor by chance what another's was rewritten to. */
static void
check_belief(const struct probe *probe, const struct datagram *datagram, const struct answer *answer)
{
    const struct sent *out = &sent[probe->slot];
    enum verdict verdict = judge(out, datagram, answer);
    bool weak = answer->is_error && !address_same(&answer->source, &us[answer->family]) && verdict != PROOF;
    MUST(verdict != WRONG && instant_since(answer->arrived, departure) > -NS_PER_MS);
    for (size_t slot = 0; slot < COUNT(sent); slot++) {
        const struct sent *other = &sent[slot];
        MUST(other == out || judge(other, datagram, answer) < verdict);
        MUST(other == out || !weak || !judge_may_be_of(other, out, datagram, answer));
    }
}

/* ---- the datagram ---- */

/* BYTES begin with the ICMP header. */
static void
mend_extensions(uint8_t *bytes, size_t length, enum family_id family)
{
    if (length < 8)
        return;
    size_t quoted = bytes[families[family].quote_length_offset] * families[family].quote_unit;
    size_t at = 8 + (quoted ? quoted : 128);
    if (at < length)
        mend_checksum(0, bytes + at, length - at, 2);
}

/* BYTES begin with the transport's header; SUM is the addresses'. */
static void
mend_transport(uint8_t *bytes, size_t length, uint8_t number, uint32_t sum)
{
    sum = plain_sum(sum, (uint8_t[]){ 0, number }, 2);
    if (number == IPPROTO_ICMP)
        mend_checksum(0, bytes, length, 2);
    if (number == IPPROTO_TCP)
        mend_checksum(plain_sum(sum, (uint8_t[]){ (uint8_t)(length >> 8), (uint8_t)length }, 2), bytes, length, 16);
    if (number == IPPROTO_UDP && length >= 8 && u16_at(bytes + 4) <= length)
        mend_checksum(plain_sum(sum, bytes + 4, 2), bytes, u16_at(bytes + 4), 6);
}

/* Makes checksums right again, as a hostile router can. */
static void
mend(const struct datagram *datagram, uint8_t *bytes, uint8_t options)
{
    size_t length = datagram->bytes.left, header = 0;
    uint8_t number = datagram->number;
    uint32_t sum = plain_sum(plain_sum(0, datagram->from.bytes, 16), datagram->to.bytes, 16);
    if (datagram->family == IPV4) {
        header = length ? (bytes[0] & 15) * 4u : 0;
        if (header < 20 || length < header || u16_at(bytes + 2) < header || u16_at(bytes + 2) > length)
            return;
        length = u16_at(bytes + 2);
        number = bytes[9];
        sum = plain_sum(0, bytes + 12, 8);
    }
    if (number == families[datagram->family].icmp_protocol && (options & OPTION_MEND_EXTENSIONS))
        mend_extensions(bytes + header, length - header, datagram->family);
    mend_transport(bytes + header, length - header, number, sum);
}

static void
check_answer(const struct datagram *datagram, const struct answer *answer, bool old_words)
{
    char line[REPLY_MAX];
    struct reader whole = datagram->bytes;
    MUST(!answer->has_payload || is_inside(answer->payload, whole.at, whole.left));
    MUST(!answer->extensions.left || is_inside(answer->extensions, whole.at, whole.left));
    const struct probe *probe = match_find(probes, answer);
    if (probe)
        check_belief(probe, datagram, answer);
    if (probe && judge_quotes_all(&sent[probe->slot], datagram, answer))
        MUST(!match_is_translated(probe, answer) && (!answer->quoted_mss || answer->quoted_mss == answer->sent_mss));
    struct detail detail = {
        .answer = answer,
        .family = answer->family,
        .local = answer->to,
        .local_port = answer->near,
        .scope = "wire",
        .translated = probe && match_is_translated(probe, answer),
        .sent = { answer->arrived.ns - 1 },
        .received = { answer->arrived.ns },
    };
    struct reply reply = {
        .kind = answer->is_error ? REPLY_NO_ROUTE_HOST : REPLY_REPLY,
        .answered = true,
        .family = answer->family,
        .responder = answer->from,
        .extensions = answer->extensions,
        .mtu = answer->mtu,
    };
    check_reply(line, reply_write(&reply, old_words, line));
    reply.scope = detail.scope;
    reply.detail = &detail;
    check_reply(line, reply_write(&reply, old_words, line));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct answer answer;
    struct reader input = { data, size };
    if (!probes)
        send_probes();
    uint8_t options = take_u8(&input), from = take_u8(&input);
    enum family_id family = options & OPTION_IPV6 ? IPV6 : IPV4;
    uint8_t *bytes = copy_bytes(input.at, input.left);
    struct datagram datagram = {
        .family = family,
        .number = protocols[options >> 1 & 3]->number[family],
        .bytes = { bytes, input.left },
        .arrived = instant_after(departure, options & OPTION_EARLY ? -NS_PER_MS : NS_PER_MS),
    };
    if (family == IPV6) {
        datagram.from = from == 0 ? targets[IPV6] : from == 1 ? routers[IPV6] : us[IPV6];
        datagram.to = us[IPV6];
    }
    if (options & OPTION_MEND)
        mend(&datagram, bytes, options);
    if (packet_decode(&datagram, &answer))
        check_answer(&datagram, &answer, options & OPTION_OLD_WORDS);
    free(bytes);
    return 0;
}
