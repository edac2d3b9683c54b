/* SPDX-License-Identifier: MIT */
/*
 * Datagrams of every family and outer protocol: to an answer, to the probe that it belongs to, to the reply. What is
 * believed is checked again on the bare bytes, with nothing of decode.c and match.c.
 * Input: options, who sent it and what boxes on the way make of the quote, then the datagram. The probes are those that
 * the seeds answer, and others that are easily taken for these.
 */
#include <stdlib.h>
#include <string.h>

#include "judge.h"
#include "lines/reply.h"
#include "packets/icmp.h"
#include "packets/protocol.h"
#include "probes/match.h"
#include "support.h"

enum {
    OPTION_IPV6 = 1,
    OPTION_MEND = 8,
    OPTION_MEND_EXTENSIONS = 16,
    OPTION_OLD_WORDS = 32,
    OPTION_EARLY = 64,
    OPTION_LATE = 128
};
enum { BOX_DRAWS = 8, BOX_REBUILDS = 16, BOX_SOURCE = 32, BOX_PORT = 64, BOX_TARGET = 128, SENDERS = 7 };

/*
 * The probes of each family and protocol. Who has the ports of another is told apart by what is balanced (a flow's echo
 * requests: by their sequence numbers), or not at all: such packets are equal but for the IPv4 identification.
 */
static const struct variant {
    uint8_t ports_of;
    bool pattern, keeps_ports, balanced, group, ended;
    uint8_t kind; /* of icmp: enum icmp_request; of tcp: enum tcp_ecn */
} variants[] = {
    { 0 },                                                                          /* as the seeds have it */
    { 1, .pattern = true },
    { 0, .keeps_ports = true, .balanced = true },
    { 0, .keeps_ports = true, .balanced = true },
    { 4, .pattern = true, .group = true },
    { 5, .keeps_ports = true, .pattern = true },                                    /* equal to one that ended */
    { 5, .keeps_ports = true, .pattern = true, .ended = true },
    { 7, .keeps_ports = true, .pattern = true },                                    /* equal packets in flight */
    { 7, .keeps_ports = true, .pattern = true },
    { 9, .keeps_ports = true, .pattern = true, .balanced = true },                  /* a flow, without a nonce */
    { 9, .keeps_ports = true, .pattern = true, .balanced = true },
    { 9, .keeps_ports = true, .pattern = true, .balanced = true, .ended = true },
    { 12, .keeps_ports = true, .balanced = true },                                  /* one of a flow that ended but for it */
    { 12, .keeps_ports = true, .balanced = true, .ended = true },
    { 14, .kind = 1 },
    { 15, .kind = 2 },
};
#define VARIANTS COUNT(variants)

static struct sent sent[(size_t)FAMILIES * PROTOCOLS * VARIANTS];
static struct probes *probes;
static const struct instant departure = { 1000 * NS_PER_MS };

static const struct address us[] = { { { 192, 0, 2, 1 } }, { { 0x20, 1, 0xd, 0xb8, [15] = 1 } } };
static const struct address targets[] = { { { 198, 51, 100, 7 } }, { { 0x20, 1, 0xd, 0xb8, 0, 7, [15] = 7 } } };
static const struct address routers[] = { { { 203, 0, 113, 9 } }, { { 0x20, 1, 0xd, 0xb8, 0, 9, [15] = 9 } } };
static const struct address groups[] = { { { 224, 0, 0, 1 } }, { { 0xff, 2, [15] = 1 } } };

/* As the seeds have it. */
static void
ask_for_more(struct request *request, struct identity *identity, uint8_t kind)
{
    bool timestamp = kind == ICMP_REQUEST_TIMESTAMP && request->family == IPV4;
    request->icmp_request = timestamp ? ICMP_REQUEST_TIMESTAMP : ICMP_REQUEST_EXTENDED;
    request->interface = (struct probed_interface){ .by = PROBED_BY_NAME, .name = { "ge-0/0/1.7", 10 } };
    request->size = (uint32_t)(protocol_headers_size(request->family, PROTOCOL_ICMP) +
                               icmp_kinds[request->icmp_request].size(request));
    identity->number = timestamp ? 5 : 0;
    identity->far = timestamp ? 0x0102 : kind == ICMP_REQUEST_EXTENDED ? 0x4201 : 0x4301;
}

static void
send_probe(size_t place)
{
    struct sent *out = &sent[place];
    size_t number = place % VARIANTS;
    const struct variant *variant = &variants[number];
    struct request *request = &out->request;
    enum protocol_id protocol = (enum protocol_id)(place / VARIANTS % PROTOCOLS);
    bool echo = protocol == PROTOCOL_ICMP, udp = protocol == PROTOCOL_UDP;
    *request = (struct request){ .family = (enum family_id)(place / VARIANTS / PROTOCOLS), .protocol = protocol };
    request->target = variant->group ? groups[request->family] : targets[request->family];
    request->size = 64;
    request->ttl = 1;
    request->pattern_given = variant->pattern;
    if (protocol == PROTOCOL_TCP)
        request->tcp_ecn = variant->kind;
    struct identity identity = {
        .source = us[request->family],
        .near = (uint16_t)(echo ? 0xabc5 : 0xf012 + variant->ports_of),
        .far = (uint16_t)(echo ? 0x0102 + number : udp ? 0x829a : 80),
        .number = echo || udp ? 0 : 0x89abcdef + 2 * (uint32_t)number,
        .ip_id = (uint16_t)(0x7788 + number), /* the end of the nonce */
        .balanced = variant->balanced && (echo || udp),
        .checksum = (uint16_t)(0x4321 + (echo ? variant->ports_of : number)),
    };
    if (echo && variant->kind)
        ask_for_more(request, &identity, variant->kind);
    packet_offer_nonce(request, &identity, UINT64_C(0x1122334455667788) + number * UINT64_C(0x1000100010000));
    out->length = packet_build(request, &identity, out->packet, sizeof out->packet);
    MUST(out->length > 0);
    out->ended = variant->ended;
    out->probe = (struct probe){
        .identity = identity,
        .target = request->target,
        .departed = departure,
        .token = (int32_t)place,
        .keeps_ports = variant->keeps_ports,
        .payload_size = (uint16_t)packet_payload_size(request),
        .family = (uint8_t)request->family,
        .protocol = (uint8_t)request->protocol,
        .icmp_request = request->icmp_request & 3,
        .group = variant->group,
    };
    MUST(probes_reserve(probes));
    struct probe *probe = probes_add(probes, &out->probe, departure);
    if (!variant->ended)
        return;
    probes_note_silence(probes, probe);
    probes_remove(probes, probe);
}

static void
send_probes(void)
{
    probes = probes_new(1);
    for (size_t place = 0; place < COUNT(sent); place++)
        send_probe(place);
}

/*
 * What is believed must be right, and of no other probe in flight as right. Where it is no proof, no other may have sent
 * what it answers.
 */
static void
check_belief(const struct probe *probe, const struct datagram *datagram, const struct answer *answer, bool late)
{
    const struct sent *out = &sent[probe->token];
    enum verdict verdict = judge(out, datagram, answer);
    MUST(!out->ended && verdict != WRONG && instant_since(answer->arrived, departure) > -NS_PER_MS);
    for (size_t place = 0; place < COUNT(sent); place++) {
        const struct sent *other = &sent[place];
        if (other == out || (other->ended && late))
            continue;
        MUST(other->ended || judge(other, datagram, answer) < verdict);
        MUST(!judge_is_dubious(other, out, verdict, datagram, answer));
    }
}

/* ---- the datagram ---- */

/* Two bytes of a packet that become another's, and the checksum that covers them, if it is there and COVERED. */
static void
translate(uint8_t *bytes, uint16_t to, uint8_t *checksum, bool covered)
{
    uint32_t sum = (uint16_t)~u16_at(bytes) + (uint32_t)to;
    bytes[0] = (uint8_t)(to >> 8);
    bytes[1] = (uint8_t)to;
    if (!covered || !checksum)
        return;
    sum += (uint16_t)~u16_at(checksum);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~((sum & 0xffff) + (sum >> 16));
    checksum[0] = (uint8_t)(sum >> 8);
    checksum[1] = (uint8_t)sum;
}

/* What is quoted at BYTES, as boxes on the way leave it. They adjust checksums as RFC 1624 has it. */
static void
rewrite_quote(uint8_t *bytes, size_t length, enum family_id family, uint8_t boxes)
{
    size_t header = families[family].header_size;
    if (length < header + 8)
        return;
    uint8_t number = bytes[family == IPV4 ? 9 : 6], *transport = bytes + header;
    bool echo = number == families[family].icmp_protocol, udp = number == IPPROTO_UDP;
    size_t offset = echo ? 2 : udp ? 6 : number == IPPROTO_TCP ? 16 : length;
    uint8_t *checksum = header + offset + 2 <= length ? transport + offset : NULL;
    bool covers = !echo || family == IPV6;
    if (boxes & BOX_SOURCE)
        translate(bytes + (family == IPV4 ? 12 : 8), 0xcb00, checksum, covers);
    if (boxes & BOX_TARGET)
        translate(bytes + (family == IPV4 ? 18 : 38), 0x1234, checksum, covers);
    if (boxes & BOX_PORT)
        translate(transport + (echo ? 4 : 0), 0xbeef, checksum, true);
    if (boxes & BOX_TARGET && boxes & BOX_PORT && !echo)
        translate(transport + 2, 0x20fb, checksum, true);
    if ((boxes & BOX_DRAWS) && family == IPV4)
        memcpy(bytes + 4, (const uint8_t[]){ 0x51, 0xd3, 0, 0 }, 4);
    if (!(boxes & BOX_REBUILDS) || family == IPV6)
        return;
    memcpy(bytes + 4, (const uint8_t[]){ 0, 0, 0x40, 0 }, 4);
    if (udp)
        memset(checksum, 0, 2);
}

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
check_answer(const struct datagram *datagram, const struct answer *answer, uint8_t options)
{
    bool old_words = options & OPTION_OLD_WORDS;
    char line[REPLY_MAX];
    struct reader whole = datagram->bytes;
    MUST(!answer->has_payload || is_inside(answer->payload, whole.at, whole.left));
    MUST(!answer->content.left || (!answer->is_error && is_inside(answer->content, whole.at, whole.left)));
    MUST(!answer->extensions.left || is_inside(answer->extensions, whole.at, whole.left));
    const struct probe *probe = match_find(probes, answer);
    if (probe)
        check_belief(probe, datagram, answer, options & OPTION_LATE);
    if (probe && judge_quotes_all(&sent[probe->token], datagram, answer))
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
    const struct asked asked = { answer, true, true, REPLY_PAYLOAD_MAX };
    if (!answer->is_error)
        reply.asked = &asked;
    check_reply(line, reply_write(&reply, old_words, line));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct answer answer;
    struct reader input = { data, size };
    if (!probes)
        send_probes();
    uint8_t options = take_u8(&input), boxes = take_u8(&input), from = boxes & SENDERS;
    enum family_id family = options & OPTION_IPV6 ? IPV6 : IPV4;
    uint8_t *bytes = copy_bytes(input.at, input.left);
    struct datagram datagram = {
        .family = family,
        .number = protocols[options >> 1 & 3]->number[family],
        .bytes = { bytes, input.left },
        .arrived = instant_after(departure, options & OPTION_EARLY ? -NS_PER_MS : options & OPTION_LATE ? 61 * NS_PER_S
                                                                                                      : NS_PER_MS),
    };
    if (family == IPV6) {
        datagram.from = from == 0 ? targets[IPV6] : from == 1 ? routers[IPV6] : us[IPV6];
        datagram.to = us[IPV6];
    }
    size_t quote = family == IPV4 && input.left ? (bytes[0] & 15) * 4u + 8 : 8;
    if (quote < input.left)
        rewrite_quote(bytes + quote, input.left - quote, family, boxes);
    if (options & OPTION_MEND)
        mend(&datagram, bytes, options);
    if (packet_decode(&datagram, &answer))
        check_answer(&datagram, &answer, options);
    free(bytes);
    return 0;
}
