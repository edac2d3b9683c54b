/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "packets/checksum.h"
#include "packets/icmp.h"
#include "packets/protocol.h"
#include "probes/match.h"
#include "suites.h"
#include "support.h"

#define NONCE UINT64_C(0x1122334455667788)

static const struct instant departure = { 1000 * NS_PER_MS };
static const struct instant deadline = { 5000 * NS_PER_MS };
static const char *const us[] = { "192.0.2.1", "2001:db8::1" };
static const char *const targets[] = { "198.51.100.7", "2001:db8:7::7" };
static const char *const routers[] = { "203.0.113.9", "2001:db8:9::9" };
static const char *const nats[] = { "203.0.113.200", "2001:db8:9::200" };
static const char *const strangers[] = { "198.51.100.8", "2001:db8:7::8" };

/* ---- probes and their answers, through the real builder and decoder ---- */

/* What a probe sent, and the bytes that it went as. */
struct sent {
    struct request request;
    struct probe probe;
    uint8_t packet[256];
    size_t length;
};

static struct sent
send_probe_to(enum family_id family, const char *target, enum protocol_id protocol, struct identity identity,
              bool pattern)
{
    struct sent sent = {
        .request = {
            .family = family,
            .protocol = protocol,
            .target = address_of(family, target),
            .ttl = 3,
            .size = 100,
            .pattern_given = pattern,
        },
    };
    identity.source = address_of(family, us[family]);
    if (identity.balanced)
        identity.checksum = identity.ip_id;
    uint64_t varied = NONCE + identity.near * 65536u + identity.far + identity.ip_id;
    packet_offer_nonce(&sent.request, &identity, varied * UINT64_C(0x9e3779b97f4a7c15));
    sent.length = packet_build(&sent.request, &identity, sent.packet, sizeof sent.packet);
    sent.probe = (struct probe){
        .identity = identity,
        .target = sent.request.target,
        .departed = departure,
        .payload_size = (uint16_t)packet_payload_size(&sent.request),
        .family = (uint8_t)family,
        .protocol = (uint8_t)protocol,
        .group = address_is_group(family, &sent.request.target),
    };
    return sent;
}

static struct sent
send_probe(enum family_id family, enum protocol_id protocol, struct identity identity, bool pattern)
{
    return send_probe_to(family, targets[family], protocol, identity, pattern);
}

static struct identity
identity_of(enum protocol_id protocol)
{
    bool echo = protocol == PROTOCOL_ICMP;
    return (struct identity){
        .near = 0xf012,
        .far = echo ? 0x0102 : 443,
        .number = echo || protocol == PROTOCOL_UDP ? 0 : 0x89abcdef,
        .ip_id = 0x4321,
    };
}

static struct probe *
put_in_flight(struct probes *probes, const struct sent *sent)
{
    ck_assert(probes_reserve(probes));
    return probes_add(probes, &sent->probe, deadline);
}

static struct answer
decode(enum family_id family, uint8_t number, const uint8_t *bytes, size_t length, const char *from)
{
    static struct blob blob; /* views of the answer point into it */
    blob_free(&blob);
    blob = blob_copy(bytes, length);
    struct datagram datagram = {
        .family = family,
        .number = number,
        .bytes = blob_reader(&blob),
        .arrived = instant_after(departure, 20 * NS_PER_MS),
    };
    if (family == IPV6) {
        datagram.from = address_of(family, from);
        datagram.to = address_of(family, us[family]);
    }
    struct answer answer;
    ck_assert(packet_decode(&datagram, &answer));
    return answer;
}

/* An IPv4 header, where the receiving socket hands one over. */
static void
start_packet(struct writer *writer, enum family_id family, uint8_t number, size_t length, const char *from)
{
    struct address source = address_of(family, from), target = address_of(family, us[family]);
    if (family == IPV6)
        return;
    write_u16(writer, 0x4500);
    write_u16(writer, (uint16_t)(length + 20));
    write_u32(writer, 0);
    write_u8(writer, 50);
    write_u8(writer, number);
    write_u16(writer, 0);
    write_address(writer, family, &source);
    write_address(writer, family, &target);
}

/* Puts the checksum at OFFSET behind the IP header, as the sender would have. */
static void
finish_checksum(struct writer *writer, enum family_id family, uint8_t number, const char *from, size_t offset)
{
    struct address source = address_of(family, from), target = address_of(family, us[family]);
    size_t start = family == IPV4 ? 20 : 0, length = writer->used - start;
    uint32_t sum = 0;
    if (number != IPPROTO_ICMP)
        sum = plain_pseudo_sum(family, source.bytes, target.bytes, number, length);
    write_u16_at(writer, start + offset, 0);
    write_u16_at(writer, start + offset, (uint16_t)~plain_sum(sum, writer->start + start, length));
}

static struct answer
finish_icmp(struct writer *writer, enum family_id family, const char *from)
{
    finish_checksum(writer, family, families[family].icmp_protocol, from, 2);
    return decode(family, families[family].icmp_protocol, writer->start, writer->used, from);
}

/* Somebody's time exceeded that quotes COUNT bytes behind the IP header. */
static struct answer
quote_from(const struct sent *sent, size_t count, const char *from)
{
    uint8_t bytes[512];
    struct writer writer = { .start = bytes, .size = sizeof bytes };
    enum family_id family = sent->request.family;
    size_t quoted = families[family].header_size + count;
    start_packet(&writer, family, families[family].icmp_protocol, 8 + quoted, from);
    write_u8(&writer, family == IPV4 ? 11 : 3);
    write_fill(&writer, 0, 7);
    write_bytes(&writer, sent->packet, quoted);
    return finish_icmp(&writer, family, from);
}

static struct answer
quote(const struct sent *sent, size_t count)
{
    return quote_from(sent, count, routers[sent->request.family]);
}

/* Somebody's echo reply with the first COUNT bytes of the payload. */
static struct answer
echo_from(const struct sent *sent, size_t count, const char *from)
{
    uint8_t bytes[512];
    struct writer writer = { .start = bytes, .size = sizeof bytes };
    enum family_id family = sent->request.family;
    size_t header = families[family].header_size;
    start_packet(&writer, family, families[family].icmp_protocol, 8 + count, from);
    write_u8(&writer, icmp_kinds[ICMP_REQUEST_ECHO].reply[family]);
    write_fill(&writer, 0, 3);
    write_bytes(&writer, sent->packet + header + 4, 4 + count);
    return finish_icmp(&writer, family, from);
}

static struct answer
echo(const struct sent *sent, size_t count)
{
    return echo_from(sent, count, targets[sent->request.family]);
}

/* SYN-ACK, INIT-ACK or datagram. */
static struct answer
direct_from(const struct sent *sent, const char *from)
{
    uint8_t bytes[128];
    struct writer writer = { .start = bytes, .size = sizeof bytes };
    enum family_id family = sent->request.family;
    const struct identity *identity = &sent->probe.identity;
    uint8_t number = protocols[sent->request.protocol]->number[family];
    start_packet(&writer, family, number, sent->request.protocol == PROTOCOL_SCTP ? 32 : 20, from);
    write_u16(&writer, identity->far);
    write_u16(&writer, identity->near);
    if (sent->request.protocol == PROTOCOL_TCP) {
        write_u32(&writer, 99);
        write_u32(&writer, identity->number + 1);
        write_u32(&writer, 0x50120000);
        write_u32(&writer, 0);
        finish_checksum(&writer, family, number, from, 16);
    } else if (sent->request.protocol == PROTOCOL_SCTP) {
        write_u32(&writer, identity->number);
        write_u32(&writer, 0);
        write_u32(&writer, 0x02000014);
        write_fill(&writer, 0, 16);
    } else {
        write_u32(&writer, 20u << 16);
        write_fill(&writer, 0x55, 12);
        finish_checksum(&writer, family, number, from, 6);
    }
    return decode(family, number, bytes, writer.used, from);
}

static struct answer
direct(const struct sent *sent)
{
    return direct_from(sent, targets[sent->request.family]);
}

/* The kinds of answers that each probe may get. */
enum kind { DIRECT, QUOTE_OF_8, QUOTE_OF_ALL, KINDS };

static struct answer
direct_answer_from(const struct sent *sent, const char *from)
{
    return sent->request.protocol == PROTOCOL_ICMP ? echo_from(sent, sent->probe.payload_size, from)
                                                   : direct_from(sent, from);
}

static struct answer
answer_of(const struct sent *sent, enum kind kind)
{
    if (kind == QUOTE_OF_8)
        return quote(sent, 8);
    if (kind == QUOTE_OF_ALL)
        return quote(sent, sent->length - families[sent->request.family].header_size);
    return direct_answer_from(sent, targets[sent->request.family]);
}

/* All combinations of family and protocol, and of these and kind of answer, by one number. */
#define PAIRS ((int)FAMILIES * (int)PROTOCOLS)
#define COMBINATIONS (PAIRS * (int)KINDS)

struct combination {
    enum family_id family;
    enum protocol_id protocol;
    enum kind kind;
};

static struct combination
combination_number(int i)
{
    return (struct combination){ (enum family_id)(i % FAMILIES), (enum protocol_id)(i / FAMILIES % PROTOCOLS),
                                 (enum kind)(i / FAMILIES / PROTOCOLS) };
}

/* ---- found ---- */

START_TEST(the_right_answer)
{
    struct combination is = combination_number(_i);
    for (int pattern = 0; pattern < 2; pattern++) {
        struct probes *probes = probes_new(1);
        struct sent sent = send_probe(is.family, is.protocol, identity_of(is.protocol), pattern);
        struct answer answer = answer_of(&sent, is.kind);
        ck_assert_ptr_null(match_find(probes, &answer));
        struct probe *probe = put_in_flight(probes, &sent);
        ck_assert_ptr_eq(match_find(probes, &answer), probe);
        ck_assert_ptr_eq(match_find(probes, &answer), probe); /* looking changes nothing */
        probes_remove(probes, probe);
        ck_assert_ptr_null(match_find(probes, &answer)); /* late */
        probes_free(probes);
    }
}
END_TEST

/* Whatever number of bytes a router quotes, among hundreds of probes that differ in little. */
START_TEST(quotes_of_every_length)
{
    struct combination is = combination_number(_i);
    struct probes *probes = probes_new(2);
    static struct sent sent[300];
    struct probe *in_flight[300];
    for (uint32_t i = 0; i < COUNT(sent); i++) {
        struct identity identity = identity_of(is.protocol);
        identity.near = (uint16_t)(identity.near + i % 20);
        identity.far = (uint16_t)(identity.far + i / 20);
        identity.number += identity.number ? i : 0;
        identity.ip_id = (uint16_t)(identity.ip_id + i);
        sent[i] = send_probe(is.family, is.protocol, identity, i % 2);
        in_flight[i] = put_in_flight(probes, &sent[i]);
    }
    for (uint32_t i = 0; i < COUNT(sent); i += 7) {
        for (size_t count = 8; count <= sent[i].length - families[is.family].header_size; count++) {
            struct answer answer = quote(&sent[i], count);
            ck_assert_msg(match_find(probes, &answer) == in_flight[i], "probe %u, %zu bytes quoted", i, count);
        }
        struct answer answer = answer_of(&sent[i], DIRECT);
        ck_assert_ptr_eq(match_find(probes, &answer), in_flight[i]);
    }
    probes_free(probes);
}
END_TEST

/* A router that quotes little and pads with zeros, to make room for extensions (RFC 4884, section 5.1). */
START_TEST(quotes_padded_with_zeros)
{
    struct combination is = combination_number(_i);
    for (int balanced = 0; balanced < (is.protocol == PROTOCOL_UDP ? 2 : 1); balanced++) {
        struct probes *probes = probes_new(2);
        struct identity identity = identity_of(is.protocol);
        identity.balanced = balanced;
        struct sent sent = send_probe(is.family, is.protocol, identity, false);
        struct probe *probe = put_in_flight(probes, &sent);
        size_t header = families[is.family].header_size;
        for (size_t count = 8; count <= sent.length - header; count += 4) {
            struct sent padded = sent;
            memset(padded.packet + header + count, 0, sent.length - header - count);
            struct answer answer = answer_of(&padded, QUOTE_OF_ALL);
            ck_assert_msg(match_find(probes, &answer) == probe, "IPv%u %s, %zu bytes quoted",
                          version_of(is.family), protocols[is.protocol]->name, count);
            ck_assert(!match_is_translated(probe, &answer)); /* zeros are not a checksum that was rewritten */
            if (!answer.has_payload || count < 24)
                continue;
            padded.packet[header + 8 + packet_nonce_offset(&identity)] ^= 1; /* no padding: another's nonce */
            answer = answer_of(&padded, QUOTE_OF_ALL);
            ck_assert_ptr_null(match_find(probes, &answer));
        }
        probes_free(probes);
    }
}
END_TEST

/*
 * Behind SCTP's ports stands a checksum, which depends on the initiate tag. A right one makes up for an identification
 * that a router rewrote, a wrong one does not: a forger would add any, to be spared the guess at the identification.
 */
START_TEST(checksum_in_place_of_the_identification)
{
    struct probes *probes = probes_new(2);
    struct sent sent = send_probe(IPV4, PROTOCOL_SCTP, identity_of(PROTOCOL_SCTP), false);
    struct probe *probe = put_in_flight(probes, &sent);
    struct answer answer = quote(&sent, 12);
    answer.ip_id ^= 1;
    ck_assert_ptr_eq(match_find(probes, &answer), probe);
    answer.checksum ^= 1;
    ck_assert_ptr_null(match_find(probes, &answer));
    answer.ip_id ^= 1;
    ck_assert_ptr_eq(match_find(probes, &answer), probe);
    probes_free(probes);
}
END_TEST

/* ---- one wrong field at a time ---- */

static enum family_id
other_family(const struct answer *answer)
{
    return answer->family == IPV4 ? IPV6 : IPV4;
}

static void
wrong_family(struct answer *answer)
{
    answer->family = other_family(answer);
}

static void
wrong_protocol(struct answer *answer)
{
    answer->protocol = (enum protocol_id)((answer->protocol + 1) % PROTOCOLS);
}

static void
wrong_near(struct answer *answer)
{
    answer->near ^= 0x0100;
}

static void
wrong_far(struct answer *answer)
{
    answer->far ^= 0x0100;
}

static void
wrong_number(struct answer *answer)
{
    answer->number ^= 1;
}

static void
wrong_checksum(struct answer *answer)
{
    answer->checksum ^= 0x0100;
}

static void
wrong_ip_id(struct answer *answer)
{
    answer->ip_id ^= 1;
}

static void
wrong_target(struct answer *answer)
{
    answer->target = address_of(answer->family, strangers[answer->family]);
}

static void
wrong_receiver(struct answer *answer)
{
    answer->to = address_of(answer->family, strangers[answer->family]);
    if (!answer->is_error)
        answer->source = answer->to;
}

/* Gives the answer a payload of its own, to be changed. */
static uint8_t *
copy_payload(struct answer *answer)
{
    static uint8_t payload[256];
    memset(payload, 0, sizeof payload);
    if (answer->payload.left)
        memcpy(payload, answer->payload.at, answer->payload.left);
    answer->payload.at = payload;
    return payload;
}

static void
wrong_nonce(struct answer *answer)
{
    copy_payload(answer)[7] ^= 1;
}

static void
wrong_target_behind_nat(struct answer *answer)
{
    wrong_target(answer);
    answer->source = address_of(answer->family, nats[answer->family]);
}

static void
too_early(struct answer *answer)
{
    answer->arrived = instant_after(departure, -NS_PER_MS);
}

static void
hardly_too_early(struct answer *answer)
{
    answer->arrived = instant_after(departure, -5 * NS_PER_US);
}

/* The clocks were read so far apart that it may have come later than it seems. */
static void
too_early_by_wide_clocks(struct answer *answer)
{
    answer->arrived = instant_after(departure, -NS_PER_MS);
    answer->doubt = NS_PER_MS;
}

static void
too_early_for_wide_clocks(struct answer *answer)
{
    answer->arrived = instant_after(departure, -2 * NS_PER_MS);
    answer->doubt = NS_PER_MS;
}

static void
payload_too_long(struct answer *answer)
{
    copy_payload(answer);
    answer->payload.left++;
}

static void
nothing_wrong(struct answer *answer)
{
    (void)answer;
}

/* In which answers a wrong field must be noticed: in all, in none, or as the answer is. */
enum noticed {
    ALWAYS,
    NEVER,
    IF_DIRECT,
    IF_NUMBER,
    IF_NONCE,
    IF_UNPROVEN, /* neither number nor nonce: these prove a probe whatever a NAT may have left translated */
    IF_BINDING_CHECKSUM,
    IF_ECHO_REPLY,
    IF_PORTS_ALONE,
};

static const struct {
    const char *name;
    void (*spoil)(struct answer *answer);
    enum noticed noticed;
} wrongs[] = {
    { "nothing", nothing_wrong, NEVER },
    { "family", wrong_family, ALWAYS },
    { "protocol", wrong_protocol, ALWAYS },
    { "near", wrong_near, ALWAYS },
    { "far", wrong_far, ALWAYS },
    { "number", wrong_number, IF_NUMBER },
    { "checksum", wrong_checksum, IF_BINDING_CHECKSUM },
    { "IP identification", wrong_ip_id, IF_PORTS_ALONE }, /* some routers rewrite it */
    { "target", wrong_target, IF_UNPROVEN },
    { "target, behind a NAT", wrong_target_behind_nat, IF_UNPROVEN },
    { "receiver", wrong_receiver, IF_DIRECT }, /* whom an error reached is not the probe's */
    { "nonce", wrong_nonce, IF_NONCE },
    { "arrival before departure", too_early, ALWAYS },
    { "arrival before departure by a tremble of clocks", hardly_too_early, NEVER },
    { "arrival before departure by what clocks were read apart", too_early_by_wide_clocks, NEVER },
    { "arrival before departure by more than that", too_early_for_wide_clocks, ALWAYS },
    { "payload longer than sent", payload_too_long, IF_ECHO_REPLY },
};

/* Identifier, sequence number, identification and checksum prove an echo request, which in IPv4 covers no addresses. */
static bool
is_echo_behind_a_nat(const struct combination *is, const struct answer *answer)
{
    return answer->is_error && is->protocol == PROTOCOL_ICMP && is->family == IPV4;
}

/* Whether what is wrong can be seen in this answer at all. */
static bool
must_notice(enum noticed noticed, const struct combination *is, const struct answer *answer)
{
    bool has_nonce = answer->has_payload && answer->payload.left >= 8;
    switch (noticed) {
    case ALWAYS:
        return true;
    case IF_DIRECT:
        return !answer->is_error;
    case IF_NUMBER:
        return answer->has_number;
    case IF_NONCE:
        return has_nonce;
    case IF_UNPROVEN:
        return !answer->has_number && !(answer->is_error && has_nonce) && !is_echo_behind_a_nat(is, answer);
    case IF_BINDING_CHECKSUM: /* of a quoted echo request translators recompute it */
        return answer->has_checksum && (answer->is_error ? is->protocol == PROTOCOL_UDP && !has_nonce
                                                         : is->protocol == PROTOCOL_ICMP);
    case IF_PORTS_ALONE: /* eight bytes of SCTP */
        return answer->is_error && answer->has_ip_id && !answer->has_number && !answer->has_checksum;
    case IF_ECHO_REPLY:
        return is->kind == DIRECT && is->protocol == PROTOCOL_ICMP;
    default:
        return false;
    }
}

START_TEST(one_field_wrong)
{
    struct combination is = combination_number(_i);
    struct probes *probes = probes_new(3);
    struct sent sent = send_probe(is.family, is.protocol, identity_of(is.protocol), false);
    struct probe *probe = put_in_flight(probes, &sent);
    for (size_t i = 0; i < COUNT(wrongs); i++) {
        struct answer answer = answer_of(&sent, is.kind);
        bool has_nonce = answer.has_payload && answer.payload.left >= 8;
        bool notice = must_notice(wrongs[i].noticed, &is, &answer);
        if (wrongs[i].spoil == wrong_nonce && !has_nonce)
            continue;
        if (!answer.is_error && (wrongs[i].spoil == wrong_target || wrongs[i].spoil == wrong_target_behind_nat))
            continue; /* its target is its sender: see below */
        wrongs[i].spoil(&answer);
        struct probe *expected = notice ? NULL : probe;
        ck_assert_msg(match_find(probes, &answer) == expected, "IPv%u %s, kind of answer %d: wrong %s was %s",
                      version_of(is.family), protocols[is.protocol]->name, (int)is.kind, wrongs[i].name,
                      notice ? "not noticed" : "refused");
    }
    probes_free(probes);
}
END_TEST

/* ---- who answers ---- */

START_TEST(another_sender)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++) {
            for (int pattern = 0; pattern < 2; pattern++) {
                struct probes *probes = probes_new(4);
                struct sent sent = send_probe(family, protocol, identity_of(protocol), pattern);
                struct probe *probe = put_in_flight(probes, &sent);
                struct answer answer = direct_answer_from(&sent, strangers[family]);
                /* by its checksum, or by its tag: from another address of the target, or one of several that share its */
                bool proven = protocol == PROTOCOL_ICMP || protocol == PROTOCOL_SCTP;
                ck_assert_ptr_eq(match_find(probes, &answer), proven ? probe : NULL);
                answer = quote_from(&sent, 8, strangers[family]);
                ck_assert_ptr_eq(match_find(probes, &answer), probe); /* any router may send an error */
                probes_free(probes);
            }
        }
    }
}
END_TEST

/* To a group anyone of it answers. */
static const char *const groups[] = { "224.0.0.1", "ff02::1" };

START_TEST(group_targets)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        for (enum protocol_id protocol = 0; protocol <= PROTOCOL_UDP; protocol++) {
            struct probes *probes = probes_new(5);
            struct sent sent = send_probe_to(family, groups[family], protocol, identity_of(protocol), true);
            ck_assert(sent.probe.group);
            struct probe *probe = put_in_flight(probes, &sent);
            const char *const members[] = { targets[family], strangers[family], routers[family] };
            for (size_t i = 0; i < COUNT(members); i++) {
                struct answer answer = direct_answer_from(&sent, members[i]);
                ck_assert_ptr_eq(match_find(probes, &answer), probe);
                wrong_near(&answer);
                ck_assert_ptr_null(match_find(probes, &answer));
            }
            probes_free(probes);
        }
    }
}
END_TEST

/* A datagram that may answer a probe to its sender, or one to the sender's group, is nobody's. */
START_TEST(a_datagram_for_one_and_a_group)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct probes *probes = probes_new(5);
        struct sent to_all = send_probe_to(family, groups[family], PROTOCOL_UDP, identity_of(PROTOCOL_UDP), false);
        struct sent to_one = send_probe(family, PROTOCOL_UDP, identity_of(PROTOCOL_UDP), false);
        struct answer answer = direct(&to_one);
        struct probe *all = put_in_flight(probes, &to_all);
        ck_assert_ptr_eq(match_find(probes, &answer), all);
        struct probe *one = put_in_flight(probes, &to_one);
        ck_assert_ptr_null(match_find(probes, &answer));
        probes_remove(probes, all);
        ck_assert_ptr_eq(match_find(probes, &answer), one);
        probes_free(probes);
    }
}
END_TEST

/* A member's echo reply proves every byte of the payload too, though in ICMPv6 its checksum covers its own address. */
START_TEST(group_echo_reply_with_another_payload)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct probes *probes = probes_new(5);
        struct sent sent = send_probe_to(family, groups[family], PROTOCOL_ICMP, identity_of(PROTOCOL_ICMP), true);
        struct probe *probe = put_in_flight(probes, &sent);
        struct answer answer = direct_answer_from(&sent, strangers[family]);
        ck_assert_ptr_eq(match_find(probes, &answer), probe);
        wrong_checksum(&answer);
        ck_assert_ptr_null(match_find(probes, &answer));
        for (size_t at = families[family].header_size + 8; at < sent.length; at++) {
            sent.packet[at] ^= 0x40;
            answer = direct_answer_from(&sent, strangers[family]);
            ck_assert_ptr_null(match_find(probes, &answer));
            sent.packet[at] ^= 0x40;
        }
        probes_free(probes);
    }
}
END_TEST

/* ---- echo replies that were cut short ---- */

/* Where a nonce was sent, one without it is a forger's; where there was none, the target's address must do. */
START_TEST(short_echo_replies)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct probes *probes = probes_new(6);
        struct sent sent = send_probe(family, PROTOCOL_ICMP, identity_of(PROTOCOL_ICMP), false);
        struct probe *probe = put_in_flight(probes, &sent);
        for (size_t count = 0; count <= sent.probe.payload_size; count++) {
            struct probe *expected = count >= 8 ? probe : NULL;
            struct answer answer = echo(&sent, count);
            ck_assert_ptr_eq(match_find(probes, &answer), expected);
            answer = echo_from(&sent, count, strangers[family]);
            ck_assert_ptr_eq(match_find(probes, &answer), expected);
            answer = echo(&sent, count);
            if (count < 8)
                continue;
            wrong_nonce(&answer);
            ck_assert_ptr_null(match_find(probes, &answer));
        }
        probes_free(probes);

        probes = probes_new(6);
        sent = send_probe(family, PROTOCOL_ICMP, identity_of(PROTOCOL_ICMP), true);
        probe = put_in_flight(probes, &sent);
        for (size_t count = 0; count <= sent.probe.payload_size; count++) {
            struct probe *expected = probe;
            struct answer answer = echo(&sent, count);
            ck_assert_ptr_eq(match_find(probes, &answer), expected);
            answer = echo_from(&sent, count, strangers[family]);
            expected = count == sent.probe.payload_size ? probe : NULL;
            ck_assert_ptr_eq(match_find(probes, &answer), expected);
        }
        probes_free(probes);
    }
}
END_TEST

/* Of a whole echo reply every byte counts: its checksum is the request's. */
START_TEST(echo_reply_with_another_payload)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct probes *probes = probes_new(7);
        struct sent sent = send_probe(family, PROTOCOL_ICMP, identity_of(PROTOCOL_ICMP), true);
        put_in_flight(probes, &sent);
        for (size_t at = families[family].header_size + 8; at < sent.length; at++) {
            sent.packet[at] ^= 0x40;
            struct answer answer = echo(&sent, sent.probe.payload_size);
            ck_assert_ptr_null(match_find(probes, &answer));
            sent.packet[at] ^= 0x40;
        }
        probes_free(probes);
    }
}
END_TEST

/* A checksum that is all zeros or all ones is the same number. */
START_TEST(two_zeros)
{
    for (enum protocol_id protocol = 0; protocol <= PROTOCOL_UDP; protocol++) {
        struct probes *probes = probes_new(8);
        struct sent sent = send_probe(IPV4, protocol, identity_of(protocol), true);
        struct answer answer = quote(&sent, 8);
        sent.probe.identity.checksum = 0;
        answer.checksum = 0xffff;
        struct probe *probe = put_in_flight(probes, &sent);
        ck_assert_ptr_eq(match_find(probes, &answer), probe);
        probes_free(probes);
    }
}
END_TEST

/* ---- NAT ---- */

/* The quoted source is another's: then ports and checksum may be too, if the rest proves one probe. */
static void
translate(struct answer *answer)
{
    answer->source = address_of(answer->family, nats[answer->family]);
    answer->near ^= 0x0f00;
    answer->checksum ^= 0x1234;
}

START_TEST(translated_quotes)
{
    struct combination is = combination_number(_i);
    if (is.kind == DIRECT)
        return;
    struct probes *probes = probes_new(9);
    struct sent sent = send_probe(is.family, is.protocol, identity_of(is.protocol), false);
    struct probe *probe = put_in_flight(probes, &sent);
    struct answer answer = answer_of(&sent, is.kind);
    translate(&answer);
    struct probe *found = match_find(probes, &answer);
    /* nothing proves it: 8 bytes without a number of ours in IPv6, or SCTP's, which are looked up by their tag */
    bool proven = answer.has_number || (is.family == IPV4 && is.protocol != PROTOCOL_SCTP);
    ck_assert(found == NULL || found == probe);
    if (proven)
        ck_assert_ptr_eq(found, probe);

    /* another target without number or nonce and identification, or our own address with another port: never */
    bool has_nonce = answer.has_payload && answer.payload.left >= 8;
    struct probe *expected = is.family == IPV4 && (answer.has_number || has_nonce) ? probe : NULL;
    wrong_target(&answer);
    ck_assert_ptr_eq(match_find(probes, &answer), expected);
    answer = answer_of(&sent, is.kind);
    translate(&answer);
    wrong_far(&answer);
    ck_assert_ptr_null(match_find(probes, &answer));
    answer = answer_of(&sent, is.kind);
    translate(&answer);
    answer.source = sent.probe.identity.source;
    ck_assert_ptr_null(match_find(probes, &answer));
    probes_free(probes);
}
END_TEST

/* A NAT that kept the port. */
START_TEST(translated_address_only)
{
    struct combination is = combination_number(_i);
    if (is.kind == DIRECT)
        return;
    struct probes *probes = probes_new(10);
    struct sent sent = send_probe(is.family, is.protocol, identity_of(is.protocol), false);
    struct probe *probe = put_in_flight(probes, &sent);
    struct answer answer = answer_of(&sent, is.kind);
    translate(&answer);
    answer.near = sent.probe.identity.near;
    ck_assert_ptr_eq(match_find(probes, &answer), probe);
    probes_free(probes);
}
END_TEST

/*
 * The NAT's port is by chance that of another probe of ours to the same port. The IP identification says the one, the
 * port the other: neither is proven.
 */
START_TEST(translated_to_the_port_of_another)
{
    struct probes *probes = probes_new(11);
    struct identity one = identity_of(PROTOCOL_UDP), other = one;
    other.near++;
    other.ip_id++;
    struct sent sent_one = send_probe(IPV4, PROTOCOL_UDP, one, true);
    struct sent sent_other = send_probe(IPV4, PROTOCOL_UDP, other, true);
    put_in_flight(probes, &sent_one);
    struct probe *wrong = put_in_flight(probes, &sent_other);
    struct answer answer = quote(&sent_one, 8);
    translate(&answer);
    answer.near = other.near;
    ck_assert_ptr_ne(match_find(probes, &answer), wrong);
    probes_free(probes);
}
END_TEST

/*
 * The NAT's router rewrote the IP identification too, and by chance it is that of another probe, which has no nonce. The
 * nonce in the quote says whose it is; a quote without one is nobody's.
 */
START_TEST(translated_to_the_identification_of_another)
{
    for (enum protocol_id protocol = 0; protocol <= PROTOCOL_UDP; protocol++) {
        for (int own_port = 0; own_port < 2; own_port++) {
            struct probes *probes = probes_new(11);
            struct identity one = identity_of(protocol), other = one;
            other.near++;
            other.ip_id++;
            struct sent sent_one = send_probe(IPV4, protocol, one, false);
            struct sent sent_other = send_probe(IPV4, protocol, other, true);
            struct probe *right = put_in_flight(probes, &sent_one);
            struct probe *wrong = put_in_flight(probes, &sent_other);
            for (enum kind kind = QUOTE_OF_8; kind < KINDS; kind++) {
                struct answer answer = answer_of(&sent_one, kind);
                translate(&answer);
                answer.near = own_port ? one.near : answer.near;
                answer.ip_id = other.ip_id;
                struct probe *expected = kind == QUOTE_OF_ALL ? right : NULL;
                ck_assert_ptr_eq(match_find(probes, &answer), expected);
            }
            probes_remove(probes, right);
            struct answer answer = quote(&sent_other, 8);
            translate(&answer);
            ck_assert_ptr_eq(match_find(probes, &answer), wrong); /* now it can be nobody else's */
            probes_free(probes);
        }
    }
}
END_TEST

/* Whatever a NAT and routers rewrite, the nonce names its probe among any number of others. */
START_TEST(translated_but_for_the_nonce)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        for (int balanced = 0; balanced < 2; balanced++) {
            struct probes *probes = probes_new(11);
            static struct sent sent[200];
            struct probe *in_flight[200];
            for (uint32_t i = 0; i < COUNT(sent); i++) {
                struct identity identity = identity_of(PROTOCOL_UDP);
                identity.balanced = balanced;
                identity.ip_id = (uint16_t)(1000 + i);
                sent[i] = send_probe(family, PROTOCOL_UDP, identity, false);
                in_flight[i] = put_in_flight(probes, &sent[i]);
            }
            for (uint32_t i = 0; i < COUNT(sent); i++) {
                struct answer answer = answer_of(&sent[i], QUOTE_OF_ALL);
                translate(&answer);
                answer.ip_id ^= 1;
                ck_assert_ptr_eq(match_find(probes, &answer), in_flight[i]);
                answer.target = address_of(family, strangers[family]);
                ck_assert_ptr_null(match_find(probes, &answer));
            }
            probes_free(probes);
        }
    }
}
END_TEST

/*
 * An error that came to the address which it quotes was not translated. If that is not the probe's own, it is of another
 * address of this host, and about another program's probe, whatever else may agree.
 */
START_TEST(from_another_address_of_ours)
{
    for (int i = 0; i < COMBINATIONS; i++) {
        struct combination is = combination_number(i);
        if (is.kind == DIRECT)
            continue;
        struct probes *probes = probes_new(9);
        struct sent sent = send_probe(is.family, is.protocol, identity_of(is.protocol), true);
        put_in_flight(probes, &sent);
        struct answer answer = answer_of(&sent, is.kind);
        answer.source = answer.to = address_of(is.family, strangers[is.family]);
        ck_assert_ptr_null(match_find(probes, &answer));
        probes_free(probes);
    }
}
END_TEST

/*
 * Nothing but a port or an identification is left: they are believed together, while no other probe has that port, and
 * one alone only of the one probe to this target and port.
 */
START_TEST(translated_with_rivals)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++) {
            if (protocol == PROTOCOL_TCP)
                continue; /* always has its number */
            struct probes *probes = probes_new(11);
            struct identity one = identity_of(protocol), other = one;
            other.near++;
            other.ip_id++;
            other.number += other.number ? 2 : 0;
            struct sent sent_one = send_probe(family, protocol, one, true);
            struct sent sent_other = send_probe(family, protocol, other, true);
            struct probe *first = put_in_flight(probes, &sent_one);
            struct answer answer = quote(&sent_one, 8);
            answer.source = address_of(family, nats[family]);
            ck_assert_ptr_eq(match_find(probes, &answer), first);
            struct probe *rival = put_in_flight(probes, &sent_other);
            struct probe *expected = family == IPV4 ? first : NULL;
            ck_assert_ptr_eq(match_find(probes, &answer), expected);
            probes_remove(probes, rival);
            sent_other.probe.identity.near = one.near;
            rival = put_in_flight(probes, &sent_other);
            /* but the checksum of an echo request in IPv4 has no addresses in it, and is right with the identification */
            expected = family == IPV4 && protocol == PROTOCOL_ICMP ? first : NULL;
            ck_assert_ptr_eq(match_find(probes, &answer), expected);
            probes_remove(probes, rival);
            ck_assert_ptr_eq(match_find(probes, &answer), first);
            probes_free(probes);
        }
    }
}
END_TEST

/* Two probes that a NAT makes look alike: none. */
START_TEST(translated_and_ambiguous)
{
    struct probes *probes = probes_new(12);
    struct identity one = identity_of(PROTOCOL_UDP), other = one;
    other.near++; /* the same IP identification */
    struct sent sent_one = send_probe(IPV4, PROTOCOL_UDP, one, true);
    struct sent sent_other = send_probe(IPV4, PROTOCOL_UDP, other, true);
    put_in_flight(probes, &sent_one);
    put_in_flight(probes, &sent_other);
    struct answer answer = quote(&sent_one, 8);
    translate(&answer);
    ck_assert_ptr_null(match_find(probes, &answer));
    probes_free(probes);
}
END_TEST

/* ---- several probes that an answer may belong to ---- */

/* Two with the same ports: nothing but the ports comes back in a datagram, so neither is believed. */
START_TEST(a_datagram_for_two)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct probes *probes = probes_new(13);
        struct identity one = identity_of(PROTOCOL_UDP), other = one;
        other.ip_id++;
        struct sent sent_one = send_probe(family, PROTOCOL_UDP, one, false);
        struct sent sent_other = send_probe(family, PROTOCOL_UDP, other, false);
        struct probe *first = put_in_flight(probes, &sent_one);
        struct probe *second = put_in_flight(probes, &sent_other);
        struct answer answer = direct(&sent_one);
        ck_assert_ptr_null(match_find(probes, &answer));
        probes_remove(probes, second);
        ck_assert_ptr_eq(match_find(probes, &answer), first);
        probes_free(probes);
    }
}
END_TEST

/*
 * Two whose 8 quoted bytes, target and IP identification are all the same, as after 65,534 others: "no other probe in
 * flight fits as well" (match.h) is not so, and neither is believed.
 */
START_TEST(a_quote_for_two)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        for (int balanced = 0; balanced < 2; balanced++) {
            struct probes *probes = probes_new(14);
            struct identity identity = identity_of(PROTOCOL_UDP);
            identity.balanced = balanced;
            struct sent sent = send_probe(family, PROTOCOL_UDP, identity, true);
            put_in_flight(probes, &sent);
            put_in_flight(probes, &sent);
            struct answer answer = quote(&sent, 8);
            ck_assert_msg(!match_find(probes, &answer), "IPv%u, balanced %d: one of two equal probes was believed",
                          version_of(family), balanced);
            probes_free(probes);
        }
    }
}
END_TEST

/* The nonce tells apart what else is the same, when enough is quoted. */
START_TEST(told_apart_by_nonce)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct probes *probes = probes_new(15);
        struct identity one = identity_of(PROTOCOL_UDP), other = one;
        one.balanced = other.balanced = true;
        struct sent sent_one = send_probe(family, PROTOCOL_UDP, one, false);
        struct probe *first = put_in_flight(probes, &sent_one);
        struct sent sent_other = sent_one;
        sent_other.probe.identity.nonce ^= 0xff;
        put_in_flight(probes, &sent_other);
        struct answer answer = answer_of(&sent_one, QUOTE_OF_ALL);
        ck_assert_ptr_eq(match_find(probes, &answer), first);
        probes_free(probes);
    }
}
END_TEST

/* Thousands of udp probes with both ports fixed: their checksums, which we chose, tell them apart. */
#define SAME_PORTS 2000u

START_TEST(thousands_of_one_port_pair)
{
    enum family_id family = _i % 2 ? IPV6 : IPV4;
    bool pattern = _i / 2;
    struct probes *probes = probes_new(16);
    struct sent *sent = zeroed_memory(SAME_PORTS, sizeof *sent);
    struct probe **in_flight = zeroed_memory(SAME_PORTS, sizeof *in_flight);
    for (uint32_t i = 0; i < SAME_PORTS; i++) {
        struct identity identity = identity_of(PROTOCOL_UDP);
        identity.balanced = true;
        identity.ip_id = (uint16_t)(0xf800 + i + (i >= 0x7ff ? 2 : 0)); /* over the top, without 0xffff and 0 */
        sent[i] = send_probe(family, PROTOCOL_UDP, identity, pattern);
        in_flight[i] = put_in_flight(probes, &sent[i]);
    }
    for (uint32_t i = 0; i < SAME_PORTS; i++) {
        struct answer answer = quote(&sent[i], 8);
        ck_assert_ptr_eq(match_find(probes, &answer), in_flight[i]);
        answer.ip_id ^= 0x5555; /* a router that rewrites it */
        ck_assert_ptr_eq(match_find(probes, &answer), in_flight[i]);
        answer = answer_of(&sent[i], QUOTE_OF_ALL);
        ck_assert_ptr_eq(match_find(probes, &answer), in_flight[i]);
        answer.checksum ^= 0x8000; /* nobody's, but for the nonce */
        struct probe *expected = pattern ? NULL : in_flight[i];
        ck_assert_ptr_eq(match_find(probes, &answer), expected);
    }
    free(sent);
    free(in_flight);
    probes_free(probes);
}
END_TEST

/* As many in IPv4 with checksums that are all the same: the IP identification tells them apart. */
START_TEST(thousands_told_apart_by_ip_id)
{
    bool pattern = _i;
    struct probes *probes = probes_new(16);
    struct sent *sent = zeroed_memory(SAME_PORTS, sizeof *sent);
    struct probe **in_flight = zeroed_memory(SAME_PORTS, sizeof *in_flight);
    for (uint32_t i = 0; i < SAME_PORTS; i++) {
        struct identity identity = identity_of(PROTOCOL_UDP);
        identity.ip_id = (uint16_t)(1000 + i);
        sent[i] = send_probe(IPV4, PROTOCOL_UDP, identity, pattern);
        in_flight[i] = put_in_flight(probes, &sent[i]);
    }
    for (uint32_t i = 0; i < SAME_PORTS; i++) {
        struct answer answer = quote(&sent[i], 8);
        ck_assert_ptr_eq(match_find(probes, &answer), in_flight[i]);
        translate(&answer); /* then routers may have rewritten it, too */
        ck_assert_ptr_null(match_find(probes, &answer));
        answer = answer_of(&sent[i], QUOTE_OF_ALL);
        ck_assert_ptr_eq(match_find(probes, &answer), in_flight[i]);
        answer.ip_id ^= 0x8000; /* anyone's, but for the nonce, and there are too many to look at all */
        struct probe *expected = pattern ? NULL : in_flight[i];
        ck_assert_ptr_eq(match_find(probes, &answer), expected);
        answer = direct(&sent[i]);
        ck_assert_ptr_null(match_find(probes, &answer));
    }
    free(sent);
    free(in_flight);
    probes_free(probes);
}
END_TEST

/* How many may share what an answer is looked up by: SHARERS_MAX in match.c. */
#define SHARERS 64u

/* Those without a nonce are looked at among so many; a nonce proves one of any number. */
START_TEST(too_many_sharers)
{
    struct probes *probes = probes_new(19);
    static struct sent sent[2][SHARERS];
    struct probe *in_flight[2][SHARERS];
    for (int pattern = 0; pattern < 2; pattern++) {
        for (uint32_t i = 0; i < SHARERS; i++) {
            struct identity identity = identity_of(PROTOCOL_UDP);
            identity.ip_id = (uint16_t)(1000 + 2 * i + (uint32_t)pattern);
            sent[pattern][i] = send_probe(IPV4, PROTOCOL_UDP, identity, pattern);
            in_flight[pattern][i] = put_in_flight(probes, &sent[pattern][i]);
        }
    }
    struct sent alone = sent[1][0]; /* among the first that are looked at, and with a checksum of its own */
    alone.request.pattern = 1;
    alone.length = packet_build(&alone.request, &alone.probe.identity, alone.packet, sizeof alone.packet);
    struct probe *last = put_in_flight(probes, &alone);
    struct answer answer = quote(&alone, 8);
    answer.ip_id ^= 0x8000;
    ck_assert_ptr_null(match_find(probes, &answer)); /* there may be another with this checksum */
    for (uint32_t i = 0; i < SHARERS; i++) {
        answer = answer_of(&sent[0][i], QUOTE_OF_ALL);
        answer.ip_id ^= 0x8000;
        ck_assert_ptr_eq(match_find(probes, &answer), in_flight[0][i]);
    }
    for (uint32_t i = 0; i < SHARERS; i++)
        probes_remove(probes, in_flight[0][i]);
    probes_remove(probes, in_flight[1][0]);
    answer = quote(&alone, 8);
    answer.ip_id ^= 0x8000;
    ck_assert_ptr_eq(match_find(probes, &answer), last);
    probes_free(probes);
}
END_TEST

/*
 * Having given up among the target's probes, of which one is right, match_find() must not believe one to a group
 * either, that fits no better.
 */
START_TEST(too_many_sharers_and_a_group)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct probes *probes = probes_new(20);
        struct identity identity = identity_of(PROTOCOL_UDP);
        struct sent right = send_probe(family, PROTOCOL_UDP, identity, false);
        struct sent group = send_probe_to(family, groups[family], PROTOCOL_UDP, identity, false);
        put_in_flight(probes, &right);
        struct probe *wrong = put_in_flight(probes, &group);
        for (uint32_t i = 0; i < SHARERS; i++) {
            struct sent other = right; /* from another address of ours */
            other.probe.identity.source = address_of(family, nats[family]);
            put_in_flight(probes, &other);
        }
        struct answer answer = direct(&right);
        ck_assert_ptr_ne(match_find(probes, &answer), wrong);
        probes_free(probes);
    }
}
END_TEST

/* ---- quotes that were rebuilt or translated on the way ---- */

/* The first COUNT bytes behind the IP header, in a quote without identification (DF) and without a checksum. */
static struct answer
rebuilt(const struct sent *sent, size_t count)
{
    struct sent changed = *sent;
    size_t header = families[sent->request.family].header_size;
    if (sent->request.family == IPV4) {
        memset(changed.packet + 4, 0, 4);
        changed.packet[6] = 0x40;
    }
    if (sent->request.protocol == PROTOCOL_UDP)
        memset(changed.packet + header + 6, 0, 2);
    return quote(&changed, count);
}

/* By their ports, if these are one probe's, or by as much as came back of the balance or of a nonce. */
START_TEST(rebuilt_quotes)
{
    for (int i = 0; i < 4; i++) {
        const enum family_id family = IPV4;
        bool balanced = i & 1, pattern = i & 2;
        struct identity one = identity_of(PROTOCOL_UDP), other = one;
        one.balanced = other.balanced = balanced;
        other.ip_id++;
        struct sent sent_one = send_probe(family, PROTOCOL_UDP, one, pattern);
        struct sent sent_other = send_probe(family, PROTOCOL_UDP, other, pattern);
        struct probes *probes = probes_new(25);
        struct probe *first = put_in_flight(probes, &sent_one);
        size_t alone = 8, needed = balanced ? 8 + 2 : pattern ? SIZE_MAX : 8 + 4;
        for (size_t count = 8; count <= 24; count++) {
            struct answer answer = rebuilt(&sent_one, count);
            struct probe *expected = count >= alone ? first : NULL;
            ck_assert_msg(match_find(probes, &answer) == expected, "case %d, %zu bytes, alone", i, count);
            if (count > 8 && count < (balanced ? 8 + 2 : 8 + 4)) /* a byte or two may be the same by chance */
                continue;
            struct probe *second = put_in_flight(probes, &sent_other);
            expected = count >= needed ? first : NULL;
            ck_assert_msg(match_find(probes, &answer) == expected, "case %d, %zu bytes", i, count);
            answer = rebuilt(&sent_other, count);
            expected = count >= needed ? second : NULL;
            ck_assert_ptr_eq(match_find(probes, &answer), expected);
            probes_remove(probes, second);
        }
        probes_free(probes);
    }
}
END_TEST

/* Where the ports are all that a box has left, one with a nonce may have sent it as well, though that is not there. */
START_TEST(rebuilt_with_a_rival)
{
    struct identity one = identity_of(PROTOCOL_UDP), other = one;
    other.ip_id++;
    struct sent sent_one = send_probe(IPV4, PROTOCOL_UDP, one, false);
    struct sent sent_other = send_probe(IPV4, PROTOCOL_UDP, other, true);
    struct probes *probes = probes_new(25);
    struct probe *rival = put_in_flight(probes, &sent_one);
    struct probe *wrong = put_in_flight(probes, &sent_other);
    struct answer answer = rebuilt(&sent_one, 8);
    ck_assert_ptr_null(match_find(probes, &answer));
    probes_remove(probes, rival);
    ck_assert_ptr_eq(match_find(probes, &answer), wrong); /* nothing tells it from this one's */
    probes_free(probes);
}
END_TEST

/* Eight bytes, behind an IP header that has this identification, and no DF unless it was kept. */
static struct answer
redrawn(const struct sent *sent, uint16_t ip_id, bool keep)
{
    struct sent changed = *sent;
    changed.packet[4] = (uint8_t)(ip_id >> 8);
    changed.packet[5] = (uint8_t)ip_id;
    changed.packet[6] = keep ? changed.packet[6] : 0;
    return quote(&changed, 8);
}

/*
 * SIIT draws an identification for what it quotes, and leaves out DF, which SCTP goes with. Then the ports count, unless
 * another probe has them or had them lately; but of a packet that was sent without DF nothing shows that it was done.
 */
START_TEST(identification_drawn_anew)
{
    struct identity one = identity_of(PROTOCOL_SCTP), other = one;
    uint16_t drawn = one.ip_id ^ 0x5555;
    other.number += 2;
    other.ip_id++;
    struct sent sent = send_probe(IPV4, PROTOCOL_SCTP, one, false);
    struct sent sent_other = send_probe(IPV4, PROTOCOL_SCTP, other, false);
    sent.probe.keeps_ports = sent_other.probe.keeps_ports = true;
    struct probes *probes = probes_new(25);
    struct probe *probe = put_in_flight(probes, &sent);
    struct answer without = redrawn(&sent, drawn, false), kept = redrawn(&sent, drawn, true);
    ck_assert_ptr_eq(match_find(probes, &without), probe);
    ck_assert_ptr_null(match_find(probes, &kept));
    without.near++;
    ck_assert_ptr_null(match_find(probes, &without));
    without.near--;
    struct probe *rival = put_in_flight(probes, &sent_other);
    ck_assert_ptr_null(match_find(probes, &without));
    struct answer own = redrawn(&sent, one.ip_id, false); /* by a router that clears DF, and no more */
    ck_assert_ptr_eq(match_find(probes, &own), probe);
    probes_note_silence(probes, rival);
    probes_remove(probes, rival);
    ck_assert_ptr_null(match_find(probes, &without));
    ck_assert_ptr_eq(match_find(probes, &own), probe);
    probes_free(probes);

    sent = send_probe(IPV4, PROTOCOL_UDP, identity_of(PROTOCOL_UDP), false);
    probes = probes_new(25);
    put_in_flight(probes, &sent);
    memset(sent.packet + 26, 0, 2); /* no checksum */
    struct answer never_had_it = redrawn(&sent, drawn, false);
    ck_assert_ptr_null(match_find(probes, &never_had_it));
    probes_free(probes);
}
END_TEST

/* Translators recompute a quoted echo request's checksum by how much was quoted; but it must be one probe's. */
START_TEST(echo_quotes_with_another_checksum)
{
    for (int i = 0; i < 4; i++) {
        enum family_id family = i % 2 ? IPV6 : IPV4;
        bool pattern = i / 2;
        struct probes *probes = probes_new(26);
        struct sent sent = send_probe(family, PROTOCOL_ICMP, identity_of(PROTOCOL_ICMP), pattern);
        struct probe *probe = put_in_flight(probes, &sent);
        for (size_t count = 8; count <= sent.length - families[family].header_size; count++) {
            struct answer answer = quote(&sent, count);
            answer.checksum = (uint16_t)(answer.checksum + 16);
            answer.ip_id ^= 0x0101;
            ck_assert_ptr_eq(match_find(probes, &answer), probe);
            answer.far ^= 1;
            ck_assert_ptr_null(match_find(probes, &answer));
        }
        probes_free(probes);
    }
}
END_TEST

/* As the packet is beyond a NAT: SOURCE and TARGET have these addresses and ports, and the checksum agrees. */
static struct sent
translated_packet(const struct sent *sent, const char *source, uint16_t near, const char *target, uint16_t far)
{
    struct sent changed = *sent;
    struct identity identity = sent->probe.identity;
    struct request request = sent->request;
    enum family_id family = request.family;
    identity.source = address_of(family, source);
    identity.near = near;
    identity.far = far;
    bool balanced = identity.balanced; /* the balance stays what it was, and so the checksum changes */
    size_t header = families[family].header_size;
    request.target = address_of(family, target);
    changed.length = packet_build(&request, &identity, changed.packet, sizeof changed.packet);
    if (!balanced)
        return changed;
    uint8_t number = protocols[request.protocol]->number[family];
    memcpy(changed.packet + header + 8, sent->packet + header + 8, sent->length - header - 8);
    size_t length = sent->length - header;
    memset(changed.packet + header + 6, 0, 2);
    uint32_t sum = plain_pseudo_sum(family, identity.source.bytes, request.target.bytes, number, length);
    uint16_t checksum = (uint16_t)~plain_sum(sum, changed.packet + header, length);
    checksum = checksum ? checksum : 0xffff;
    changed.packet[header + 6] = (uint8_t)(checksum >> 8);
    changed.packet[header + 7] = (uint8_t)checksum;
    return changed;
}

/* Thousands of udp probes of one flow behind a source NAT: the checksum that it must have given tells them apart. */
START_TEST(flow_behind_a_nat)
{
    enum family_id family = _i % 2 ? IPV6 : IPV4;
    bool own_port = _i / 2;
    struct probes *probes = probes_new(27);
    static struct sent sent[1500]; /* more than are looked at one by one */
    struct probe *in_flight[1500];
    uint32_t count = own_port || family == IPV4 ? COUNT(sent) : 500;
    for (uint32_t i = 0; i < count; i++) {
        struct identity identity = identity_of(PROTOCOL_UDP);
        identity.balanced = true;
        identity.ip_id = (uint16_t)(1000 + i);
        sent[i] = send_probe(family, PROTOCOL_UDP, identity, true);
        in_flight[i] = put_in_flight(probes, &sent[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint16_t near = own_port ? sent[i].probe.identity.near : 1234;
        struct sent beyond = translated_packet(&sent[i], nats[family], near, targets[family], 443);
        struct answer answer = quote(&beyond, 8);
        ck_assert_ptr_eq(match_find(probes, &answer), in_flight[i]);
        ck_assert(match_is_translated(in_flight[i], &answer));
        answer.checksum ^= 0x8000;
        ck_assert_ptr_null(match_find(probes, &answer));
    }
    probes_free(probes);
}
END_TEST

/*
 * Of thousands, each to a target of its own, none is taken for one of several to that target and port, though nothing is
 * left of it but the port, the identification in IPv4, or the checksum that its nonce is in. As many again to one target
 * are company: none is believed.
 */
#define TRANSLATED 8000u

static struct sent
send_translated(enum family_id family, enum protocol_id protocol, uint32_t i, bool shared, bool pattern)
{
    struct address target = address_of(family, targets[family]);
    for (size_t at = shared ? 3 : 0; at < 3; at++)
        target.bytes[1 + at] = (uint8_t)(i >> at * 8);
    struct identity identity = identity_of(protocol);
    identity.near = (uint16_t)(identity.near - (shared ? 1 + i : 0));
    if (protocol == PROTOCOL_ICMP && !shared)
        identity.far = (uint16_t)i; /* each sequence number is that of one */
    identity.ip_id = (uint16_t)(1 + i);
    return send_probe_to(family, address_text(family, &target), protocol, identity, pattern);
}

static struct probe *
find_translated(const struct probes *probes, const struct sent *sent, bool own_port, bool own_checksum)
{
    enum family_id family = sent->request.family;
    const struct identity *identity = &sent->probe.identity;
    const char *target = address_text(family, &sent->request.target);
    uint16_t near = own_port ? identity->near : 1234;
    struct sent beyond = translated_packet(sent, nats[family], near, target, identity->far);
    struct answer answer = quote(&beyond, 8);
    answer.checksum ^= own_checksum ? 0 : 0x1234;
    return match_find(probes, &answer);
}

START_TEST(thousands_behind_a_nat)
{
    struct combination is = combination_number(_i % PAIRS);
    uint32_t count = _i / PAIRS % 2 ? TRANSLATED : 2000, lost = 0;
    bool own_port = _i / PAIRS / 2;
    if (is.protocol == PROTOCOL_TCP || (is.family == IPV4 && own_port) ||
        (is.family == IPV6 && is.protocol == PROTOCOL_SCTP && !own_port))
        return; /* always has its number; identification and port prove it; nothing is left of it */
    struct probes *probes = probes_new(1 + (uint64_t)_i);
    struct sent *sent = zeroed_memory(count, sizeof *sent);
    struct probe **in_flight = zeroed_memory(count, sizeof *in_flight);
    for (uint32_t i = 0; i < count; i++) {
        sent[i] = send_translated(is.family, is.protocol, i, false, own_port);
        in_flight[i] = put_in_flight(probes, &sent[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        bool by_checksum = is.family == IPV6 && !own_port; /* with IPv4's identification it would prove more */
        struct probe *found = find_translated(probes, &sent[i], own_port, by_checksum);
        MUST(!found || found == in_flight[i]);
        lost += !found;
        if (by_checksum)
            MUST(!find_translated(probes, &sent[i], own_port, false)); /* another program's */
    }
    for (uint32_t i = 0; i < count; i++) {
        struct sent other = send_translated(is.family, is.protocol, i, true, own_port);
        put_in_flight(probes, &other);
        if (i > 0)
            MUST(!find_translated(probes, &other, own_port, is.family == IPV6));
    }
    ck_assert_msg(lost == 0, "IPv%u %s: %u of %u are lost", version_of(is.family), protocols[is.protocol]->name, lost,
                  count);
    free(sent);
    free(in_flight);
    probes_free(probes);
}
END_TEST

/* A NAT that gave the probe another target, and another port. Without a proof that is nobody's. */
START_TEST(another_target_behind_a_nat)
{
    for (int i = 0; i < PAIRS; i++) {
        struct combination is = combination_number(i);
        struct probes *probes = probes_new(28);
        struct sent sent = send_probe(is.family, is.protocol, identity_of(is.protocol), true);
        struct identity identity = sent.probe.identity;
        struct probe *probe = put_in_flight(probes, &sent);
        bool is_echo = is.protocol == PROTOCOL_ICMP;
        uint16_t far = is_echo ? identity.far : 8443;
        struct sent beyond = translated_packet(&sent, us[is.family], identity.near, strangers[is.family], far);
        struct answer answer = quote(&beyond, is.protocol == PROTOCOL_SCTP ? 20 : 8);
        bool proven = answer.has_number || is.family == IPV4;
        struct probe *expected = proven ? probe : NULL;
        ck_assert_msg(match_find(probes, &answer) == expected, "combination %d", i);
        if (expected)
            ck_assert(match_is_translated(probe, &answer));
        answer.checksum ^= 1;
        expected = answer.has_number ? probe : NULL;
        ck_assert_ptr_eq(match_find(probes, &answer), expected);
        answer.number ^= 1;
        ck_assert_ptr_null(match_find(probes, &answer));
        probes_free(probes);
    }
}
END_TEST

/* SCTP's checksum is a CRC: it covers no addresses, so a NAT that keeps the ports leaves it as it was. */
START_TEST(sctp_checksum_behind_a_nat)
{
    struct probes *probes = probes_new(28);
    struct sent sent = send_probe(IPV4, PROTOCOL_SCTP, identity_of(PROTOCOL_SCTP), false);
    struct probe *probe = put_in_flight(probes, &sent);
    struct answer answer = quote(&sent, 12);
    uint16_t adjusted = answer.checksum;
    for (size_t i = 0; i < 4; i += 2) {
        struct address old = answer.target, new = address_of(IPV4, strangers[IPV4]);
        adjusted = checksum_adjust(adjusted, (uint16_t)(old.bytes[i] << 8 | old.bytes[i + 1]),
                                   (uint16_t)(new.bytes[i] << 8 | new.bytes[i + 1]));
    }
    wrong_target(&answer);
    ck_assert_ptr_eq(match_find(probes, &answer), probe); /* by port, identification and checksum */
    answer.checksum = adjusted;
    ck_assert_ptr_null(match_find(probes, &answer));
    probes_free(probes);
}
END_TEST

/* One byte of the balance at the end of a quote proves nothing, but disproves. */
START_TEST(half_of_a_balance)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct identity identity = identity_of(PROTOCOL_UDP);
        identity.balanced = true;
        struct probes *probes = probes_new(28);
        struct sent sent = send_probe(family, PROTOCOL_UDP, identity, true);
        struct probe *probe = put_in_flight(probes, &sent);
        uint8_t *half = &sent.packet[families[family].header_size + 8];
        struct answer answer = quote(&sent, 9);
        answer.source = address_of(family, nats[family]);
        answer.checksum ^= 0x0100;
        ck_assert_ptr_eq(match_find(probes, &answer), probe);
        *half ^= 0x55;
        answer = quote(&sent, 9);
        answer.source = address_of(family, nats[family]);
        answer.checksum ^= 0x0100;
        ck_assert_ptr_null(match_find(probes, &answer));
        probes_free(probes);
    }
}
END_TEST

/* Ports and targets of neighbours differ by as much as their balanced checksums do, so translation makes these equal. */
START_TEST(neighbours_behind_a_nat)
{
    for (int i = 0; i < 4; i++) {
        enum family_id family = i % 2 ? IPV6 : IPV4;
        bool target = i / 2;
        struct identity one = identity_of(PROTOCOL_UDP), other = one;
        one.balanced = other.balanced = true;
        one.ip_id++;
        other.near += !target;
        struct sent late = send_probe(family, PROTOCOL_UDP, one, true);
        struct sent sent = send_probe_to(family, target ? strangers[family] : targets[family], PROTOCOL_UDP, other, true);
        late.probe.keeps_ports = sent.probe.keeps_ports = true;
        struct probes *probes = probes_new(29);
        struct probe *first = put_in_flight(probes, &late);
        struct probe *wrong = put_in_flight(probes, &sent);
        probes_note_silence(probes, first);
        probes_remove(probes, first);
        const char *there = target ? nats[family] : targets[family];
        struct sent beyond = translated_packet(&late, nats[family], one.near, there, 443);
        struct sent alike = translated_packet(&sent, nats[family], one.near, there, 443);
        ck_assert_mem_eq(beyond.packet + families[family].header_size, alike.packet + families[family].header_size, 8);
        for (size_t count = 8; count <= 12; count += 4) {
            struct answer answer = quote(&beyond, count);
            ck_assert_ptr_null(match_find(probes, &answer));
        }
        beyond = translated_packet(&sent, nats[family], other.near, targets[family], 443);
        struct answer answer = quote(&beyond, 8);
        if (!target)
            ck_assert_ptr_eq(match_find(probes, &answer), wrong); /* which is right here */
        probes_free(probes);
    }
}
END_TEST

/* Of equal packets a late quote of the first, which ended in silence, is not believed to be of the second for a minute. */
START_TEST(late_quotes_of_equal_packets)
{
    for (int i = 0; i < 4; i++) {
        enum family_id family = i % 2 ? IPV6 : IPV4;
        bool answered = i / 2;
        struct identity one = identity_of(PROTOCOL_UDP), other = one;
        other.ip_id++;
        struct sent sent_one = send_probe(family, PROTOCOL_UDP, one, true);
        struct sent sent_other = send_probe(family, PROTOCOL_UDP, other, true);
        sent_one.probe.keeps_ports = sent_other.probe.keeps_ports = true;
        struct probes *probes = probes_new(29);
        struct probe *first = put_in_flight(probes, &sent_one);
        if (!answered)
            probes_note_silence(probes, first);
        probes_remove(probes, first);
        struct probe *second = put_in_flight(probes, &sent_other);
        struct answer late = quote(&sent_one, 8);
        struct probe *expected = answered ? second : NULL;
        ck_assert_ptr_eq(match_find(probes, &late), expected);
        late = direct(&sent_one);
        ck_assert_ptr_eq(match_find(probes, &late), expected);
        struct answer right = quote(&sent_other, 8);
        expected = answered || family == IPV4 ? second : NULL; /* by its identification */
        ck_assert_ptr_eq(match_find(probes, &right), expected);
        late.arrived = instant_after(departure, 61 * NS_PER_S);
        ck_assert_ptr_eq(match_find(probes, &late), second);
        probes_free(probes);
    }
}
END_TEST

/*
 * Thousands of such memories do not displace one another, though their ports and targets count up. But for some hundreds of
 * places that two have in common, no other port is taken for one of them.
 */
START_TEST(many_late_quotes)
{
    enum { PORTS = 20000, OTHERS = 2000 };
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct probes *probes = probes_new(30);
        struct sent sent = send_probe(family, PROTOCOL_UDP, identity_of(PROTOCOL_UDP), true);
        sent.probe.keeps_ports = true;
        uint32_t wrong = 0;
        for (uint16_t port = 1; port <= PORTS; port++) {
            sent.probe.identity.near = port;
            probes_note_silence(probes, &sent.probe);
        }
        for (uint16_t port = 1; port <= PORTS + OTHERS; port++) {
            sent.probe.identity.near = port;
            bool ended = probes_ended_lately(probes, &sent.probe, false, departure);
            MUST(port > PORTS || ended);
            wrong += port > PORTS && ended;
        }
        ck_assert_uint_lt(wrong, OTHERS / 10);
        probes_free(probes);
    }
}
END_TEST

/* ---- from this host to itself ---- */

static struct identity
swap_ports(struct identity identity)
{
    uint16_t near = identity.near;
    identity.near = identity.far;
    identity.far = near;
    return identity;
}

/* Two probes to ourselves, the one's ports the other's reversed: the one's datagram looks like the other's answer. */
START_TEST(own_datagram)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct probes *probes = probes_new(21);
        struct identity identity = identity_of(PROTOCOL_UDP);
        struct sent there = send_probe_to(family, us[family], PROTOCOL_UDP, identity, false);
        struct sent back = send_probe_to(family, us[family], PROTOCOL_UDP, swap_ports(identity), false);
        struct answer datagram = direct_from(&back, us[family]); /* what `there` is on its way */
        struct probe *other = put_in_flight(probes, &back);
        ck_assert_ptr_eq(match_find(probes, &datagram), other); /* a stranger's on this host, so far */
        struct probe *own = put_in_flight(probes, &there);
        ck_assert_ptr_null(match_find(probes, &datagram));
        struct answer error = quote_from(&there, 8, us[family]); /* but errors from ourselves count */
        ck_assert_ptr_eq(match_find(probes, &error), own);
        error = quote_from(&back, 8, us[family]);
        ck_assert_ptr_eq(match_find(probes, &error), other);
        probes_remove(probes, own);
        ck_assert_ptr_eq(match_find(probes, &datagram), other);
        probes_free(probes);
    }
}
END_TEST

/* Both ports the same: the probe's own datagram looks like its own answer. */
START_TEST(own_datagram_to_its_own_port)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct probes *probes = probes_new(22);
        struct identity identity = identity_of(PROTOCOL_UDP);
        identity.near = identity.far;
        struct sent sent = send_probe_to(family, us[family], PROTOCOL_UDP, identity, false);
        struct probe *probe = put_in_flight(probes, &sent);
        struct answer answer = direct_from(&sent, us[family]);
        ck_assert_ptr_null(match_find(probes, &answer));
        answer = quote_from(&sent, 8, us[family]);
        ck_assert_ptr_eq(match_find(probes, &answer), probe);
        probes_free(probes);
    }
}
END_TEST

/* The same between two addresses of this host. */
START_TEST(own_datagram_to_another_address)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct probes *probes = probes_new(23);
        struct identity identity = identity_of(PROTOCOL_UDP);
        struct sent there = send_probe_to(family, us[family], PROTOCOL_UDP, identity, false);
        there.probe.identity.source = address_of(family, strangers[family]); /* one more of ours */
        struct sent back = send_probe_to(family, strangers[family], PROTOCOL_UDP, swap_ports(identity), false);
        struct answer datagram = direct_from(&back, strangers[family]); /* what `there` is on its way */
        struct probe *other = put_in_flight(probes, &back);
        ck_assert_ptr_eq(match_find(probes, &datagram), other);
        put_in_flight(probes, &there);
        ck_assert_ptr_null(match_find(probes, &datagram));
        probes_free(probes);
    }
}
END_TEST

/* Another host's datagram is an answer, whatever we send to ourselves. */
START_TEST(not_our_own_datagram)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct probes *probes = probes_new(23);
        struct identity identity = identity_of(PROTOCOL_UDP);
        struct sent sent = send_probe(family, PROTOCOL_UDP, identity, false);
        struct sent reversed = send_probe_to(family, us[family], PROTOCOL_UDP, swap_ports(identity), false);
        struct sent same_ports = send_probe(family, PROTOCOL_UDP, swap_ports(identity), false);
        put_in_flight(probes, &reversed);
        put_in_flight(probes, &same_ports);
        struct probe *probe = put_in_flight(probes, &sent);
        struct answer answer = direct(&sent);
        ck_assert_ptr_eq(match_find(probes, &answer), probe);
        probes_free(probes);
    }
}
END_TEST

/* What our own host answers to echo requests, SYNs and INITs is no datagram of ours, whatever the numbers. */
START_TEST(own_answers)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++) {
            if (protocol == PROTOCOL_UDP)
                continue;
            struct probes *probes = probes_new(24);
            struct identity identity = identity_of(protocol);
            struct sent there = send_probe_to(family, us[family], protocol, identity, true);
            struct sent back = send_probe_to(family, us[family], protocol, swap_ports(identity), true);
            struct probe *one = put_in_flight(probes, &there);
            struct probe *other = put_in_flight(probes, &back);
            struct answer answer = direct_answer_from(&there, us[family]);
            ck_assert_ptr_eq(match_find(probes, &answer), one);
            answer = direct_answer_from(&back, us[family]);
            ck_assert_ptr_eq(match_find(probes, &answer), other);
            probes_free(probes);
        }
    }
}
END_TEST

/* Answers to somebody else's probes, with numbers near to ours, find nobody. */
START_TEST(guesses)
{
    struct combination is = combination_number(_i);
    struct probes *probes = probes_new(17);
    for (uint32_t i = 0; i < 200; i++) {
        struct identity identity = identity_of(is.protocol);
        identity.near = (uint16_t)(identity.near + i);
        identity.number += identity.number ? i * 77777 : 0;
        identity.ip_id = (uint16_t)(identity.ip_id + i);
        struct sent sent = send_probe(is.family, is.protocol, identity, false);
        put_in_flight(probes, &sent);
    }
    uint64_t state = 18;
    for (uint32_t i = 0; i < 2000; i++) {
        struct identity identity = identity_of(is.protocol);
        /* the ports are right: all else is a guess */
        identity.near = (uint16_t)(identity.near + dice(&state) % 200);
        identity.number = identity.number ? dice(&state) : 0;
        struct sent sent = send_probe(is.family, is.protocol, identity, true);
        sent.request.pattern = dice(&state);
        identity = sent.probe.identity;
        sent.length = packet_build(&sent.request, &identity, sent.packet, sizeof sent.packet);
        sent.probe.identity.checksum = identity.checksum;
        struct answer answer = answer_of(&sent, is.kind);
        if (is.protocol == PROTOCOL_UDP && is.kind == DIRECT)
            continue; /* ports are all that a datagram can be judged by */
        if (is.protocol == PROTOCOL_SCTP && is.kind == QUOTE_OF_8)
            continue; /* likewise */
        if (is.protocol == PROTOCOL_ICMP && is.kind != DIRECT)
            continue; /* identifier and sequence number are all that translators leave */
        ck_assert_ptr_null(match_find(probes, &answer));
    }
    probes_free(probes);
}
END_TEST

/* ---- ICMP requests that are no echo ---- */

static struct sent
send_icmp_request(enum family_id family, const char *target, enum icmp_request kind, uint16_t far, uint32_t number)
{
    struct sent sent = {
        .request = {
            .family = family,
            .protocol = PROTOCOL_ICMP,
            .icmp_request = kind,
            .target = address_of(family, target),
            .ttl = 3,
        },
    };
    size_t headers = protocol_headers_size(family, PROTOCOL_ICMP);
    sent.request.size = (uint32_t)(headers + (icmp_kinds[kind].size ? icmp_kinds[kind].size(&sent.request) : 0));
    struct identity identity = { .near = 0xf012, .far = far, .number = number, .ip_id = 0x4321 };
    identity.source = address_of(family, us[family]);
    sent.length = packet_build(&sent.request, &identity, sent.packet, sizeof sent.packet);
    sent.probe = (struct probe){
        .identity = identity,
        .target = sent.request.target,
        .departed = departure,
        .payload_size = (uint16_t)packet_payload_size(&sent.request),
        .family = (uint8_t)family,
        .protocol = PROTOCOL_ICMP,
        .icmp_request = kind & 3,
        .group = address_is_group(family, &sent.request.target),
    };
    return sent;
}

/* What the target says to it, as that of another kind, too. */
static struct answer
icmp_reply(const struct sent *sent, enum icmp_request kind, const char *from)
{
    uint8_t bytes[128];
    struct writer writer = { .start = bytes, .size = sizeof bytes };
    enum family_id family = sent->request.family;
    size_t header = families[family].header_size;
    start_packet(&writer, family, families[family].icmp_protocol, 20, from);
    write_u8(&writer, icmp_kinds[kind].reply[family]);
    write_fill(&writer, 0, 3);
    write_bytes(&writer, sent->packet + header + 4, 16);
    return finish_icmp(&writer, family, from);
}

/* Identifier, sequence number, the time and the sender must be right; and the kind of request. */
START_TEST(timestamps)
{
    struct probes *probes = probes_new(1);
    struct sent sent = send_icmp_request(IPV4, targets[IPV4], ICMP_REQUEST_TIMESTAMP, 0x0102, 40000000);
    struct sent echo_to = send_icmp_request(IPV4, targets[IPV4], ICMP_REQUEST_ECHO, 0x0103, 0);
    struct probe *probe = put_in_flight(probes, &sent), *echo = put_in_flight(probes, &echo_to);
    struct answer answer = icmp_reply(&sent, ICMP_REQUEST_TIMESTAMP, targets[IPV4]), right = answer;
    ck_assert_ptr_eq(match_find(probes, &answer), probe);
    answer = icmp_reply(&sent, ICMP_REQUEST_TIMESTAMP, strangers[IPV4]);
    ck_assert_ptr_null(match_find(probes, &answer));
    answer = icmp_reply(&sent, ICMP_REQUEST_ECHO, targets[IPV4]);
    ck_assert_ptr_null(match_find(probes, &answer));
    answer = icmp_reply(&echo_to, ICMP_REQUEST_TIMESTAMP, targets[IPV4]);
    ck_assert_ptr_null(match_find(probes, &answer));
    for (int field = 0; field < 4; field++) {
        answer = right;
        answer.near ^= field == 0;
        answer.far ^= field == 1;
        answer.originate ^= field == 2;
        answer.to.bytes[3] ^= field == 3;
        ck_assert_ptr_null(match_find(probes, &answer));
    }
    answer = echo_from(&echo_to, 0, targets[IPV4]);
    ck_assert_ptr_eq(match_find(probes, &answer), echo);
    probes_free(probes);
}
END_TEST

/* Identifier, eight bits of sequence number and the sender must be right; the rest says what it says. */
START_TEST(extended_echoes)
{
    enum family_id family = _i % 2 ? IPV6 : IPV4;
    struct probes *probes = probes_new(1);
    struct sent sent = send_icmp_request(family, targets[family], ICMP_REQUEST_EXTENDED, 0x4201, 0);
    struct sent next = send_icmp_request(family, targets[family], ICMP_REQUEST_EXTENDED, 0x4301, 0);
    struct probe *probe = put_in_flight(probes, &sent), *other = put_in_flight(probes, &next);
    for (unsigned rest = 0; rest < 256; rest++) {
        sent.packet[families[family].header_size + 7] = (uint8_t)rest;
        struct answer answer = icmp_reply(&sent, ICMP_REQUEST_EXTENDED, targets[family]);
        ck_assert_ptr_eq(match_find(probes, &answer), probe);
        MUST(answer.interface_state == rest);
    }
    struct answer right = icmp_reply(&sent, ICMP_REQUEST_EXTENDED, targets[family]), answer = right;
    for (int field = 0; field < 4; field++) {
        answer = right;
        answer.near ^= field == 0;
        answer.far ^= field == 1 ? 0x8000 : 0;
        answer.from.bytes[2] ^= field == 2;
        answer.to.bytes[3] ^= field == 3;
        ck_assert_ptr_null(match_find(probes, &answer));
    }
    answer = icmp_reply(&sent, ICMP_REQUEST_ECHO, targets[family]);
    ck_assert_ptr_null(match_find(probes, &answer));
    for (size_t count = 8; count <= next.length - families[family].header_size; count++) {
        answer = quote(&next, count);
        ck_assert_ptr_eq(match_find(probes, &answer), other);
        MUST(!match_is_translated(other, &answer));
    }
    probes_free(probes);
}
END_TEST

/* However much of it a router quotes; not where it is another's, or of another kind. */
START_TEST(quoted_timestamps)
{
    struct probes *probes = probes_new(1);
    struct sent sent = send_icmp_request(IPV4, targets[IPV4], ICMP_REQUEST_TIMESTAMP, 0x0102, 40000000);
    struct probe *probe = put_in_flight(probes, &sent);
    for (size_t count = 8; count <= sent.length - 20; count++) {
        struct answer answer = quote(&sent, count);
        ck_assert_ptr_eq(match_find(probes, &answer), probe);
        MUST(!match_is_translated(probe, &answer));
    }
    for (size_t at = 0; at < 8; at++) {
        struct sent other = sent;
        other.packet[20 + at] ^= at < 4 ? 5 : 0x10; /* no type that is a request's becomes another */
        struct answer answer = { .is_error = true };
        if (at >= 2)
            answer = quote(&other, 8);
        MUST(at < 2 || match_find(probes, &answer) == (at < 4 ? probe : NULL)); /* translators rewrite its checksum */
    }
    struct sent other = sent;
    other.packet[20] = icmp_kinds[ICMP_REQUEST_ECHO].request[IPV4];
    struct answer answer = quote(&other, 20);
    ck_assert_ptr_null(match_find(probes, &answer));
    probes_free(probes);
}
END_TEST

/* A group's members answer with their own addresses. */
START_TEST(timestamps_of_a_group)
{
    struct probes *probes = probes_new(1);
    struct sent sent = send_icmp_request(IPV4, "224.0.0.1", ICMP_REQUEST_TIMESTAMP, 0x0102, 40000000);
    struct probe *probe = put_in_flight(probes, &sent);
    struct answer answer = icmp_reply(&sent, ICMP_REQUEST_TIMESTAMP, strangers[IPV4]);
    ck_assert_ptr_eq(match_find(probes, &answer), probe);
    probes_free(probes);
}
END_TEST

/* ---- tcp ---- */

/*
 * A SYN with ECN bits, and what routers may make of these before another quotes it: it is known all the same, and not taken
 * for translated; and no more is believed of it than of any SYN.
 */
START_TEST(ecn_bits_on_the_way)
{
    static const struct {
        uint16_t kept; /* of length and flags; the checksum is put right */
    } routers_do[] = { { 0xffff }, { 0xfe3f }, { 0xfeff }, { 0xff7f }, { 0xffbf } };
    enum family_id family = _i % 2 ? IPV6 : IPV4;
    for (enum tcp_ecn ecn = 0; ecn < TCP_ECNS; ecn++) {
        struct probes *probes = probes_new(1);
        struct sent sent = send_probe(family, PROTOCOL_TCP, identity_of(PROTOCOL_TCP), false);
        uint8_t *flags = sent.packet + families[family].header_size + 12;
        uint16_t plain = sent.probe.identity.checksum;
        sent.request.tcp_ecn = ecn;
        packet_build(&sent.request, &sent.probe.identity, sent.packet, sizeof sent.packet);
        MUST(sent.probe.identity.checksum == plain);
        struct probe *probe = put_in_flight(probes, &sent);
        for (size_t i = 0; i < COUNT(routers_do); i++) {
            uint16_t was = (uint16_t)(flags[0] << 8 | flags[1]), is = was & routers_do[i].kept;
            uint16_t checksum = checksum_adjust((uint16_t)(flags[4] << 8 | flags[5]), was, is);
            memcpy(flags, (const uint8_t[]){ (uint8_t)(is >> 8), (uint8_t)is }, 2);
            memcpy(flags + 4, (const uint8_t[]){ (uint8_t)(checksum >> 8), (uint8_t)checksum }, 2);
            struct answer answer = quote(&sent, sent.length - families[family].header_size);
            ck_assert_ptr_eq(match_find(probes, &answer), probe);
            MUST(answer.has_checksum && checksum_same(answer.checksum, plain) && !match_is_translated(probe, &answer));
            flags[5] ^= 1;
            answer = quote(&sent, sent.length - families[family].header_size);
            MUST(match_is_translated(probe, &answer));
            flags[5] ^= 1;
            packet_build(&sent.request, &sent.probe.identity, sent.packet, sizeof sent.packet);
        }
        probes_free(probes);
    }
}
END_TEST

/* What a quote shows that was rewritten on its way. */
START_TEST(translated)
{
    struct combination is = combination_number(_i);
    struct sent sent = send_probe(is.family, is.protocol, identity_of(is.protocol), false);
    struct answer right = answer_of(&sent, QUOTE_OF_ALL);
    ck_assert(!match_is_translated(&sent.probe, &right));
    struct answer short_one = quote(&sent, 8);
    ck_assert(!match_is_translated(&sent.probe, &short_one));
    for (int field = 0; field < 5; field++) {
        struct answer wrong = right;
        wrong.source.bytes[0] ^= field == 0;
        wrong.target.bytes[0] ^= field == 1;
        wrong.near ^= field == 2;
        wrong.far ^= field == 3;
        wrong.checksum ^= field == 4;
        ck_assert(match_is_translated(&sent.probe, &wrong));
        wrong.is_error = false;
        ck_assert(!match_is_translated(&sent.probe, &wrong));
    }
    right.has_checksum = false;
    right.checksum ^= 1;
    ck_assert(!match_is_translated(&sent.probe, &right));
}
END_TEST

Suite *
match_suite(void)
{
    Suite *suite = suite_create("match");
    TCase *tests = tcase_create("match");
    tcase_add_loop_test(tests, the_right_answer, 0, COMBINATIONS);
    tcase_add_loop_test(tests, quotes_of_every_length, 0, PAIRS);
    tcase_add_loop_test(tests, quotes_padded_with_zeros, 0, PAIRS);
    tcase_add_test(tests, timestamps);
    tcase_add_loop_test(tests, extended_echoes, 0, FAMILIES);
    tcase_add_test(tests, quoted_timestamps);
    tcase_add_test(tests, timestamps_of_a_group);
    tcase_add_loop_test(tests, ecn_bits_on_the_way, 0, FAMILIES);
    tcase_add_loop_test(tests, translated, 0, PAIRS);
    tcase_add_loop_test(tests, one_field_wrong, 0, COMBINATIONS);
    tcase_add_test(tests, another_sender);
    tcase_add_test(tests, group_targets);
    tcase_add_test(tests, group_echo_reply_with_another_payload);
    tcase_add_test(tests, checksum_in_place_of_the_identification);
    tcase_add_test(tests, short_echo_replies);
    tcase_add_test(tests, echo_reply_with_another_payload);
    tcase_add_test(tests, two_zeros);
    tcase_add_loop_test(tests, translated_quotes, 0, COMBINATIONS);
    tcase_add_loop_test(tests, translated_address_only, 0, COMBINATIONS);
    tcase_add_test(tests, translated_to_the_port_of_another);
    tcase_add_test(tests, translated_to_the_identification_of_another);
    tcase_add_test(tests, translated_but_for_the_nonce);
    tcase_add_test(tests, translated_with_rivals);
    tcase_add_test(tests, translated_and_ambiguous);
    tcase_add_test(tests, a_datagram_for_two);
    tcase_add_test(tests, a_quote_for_two);
    tcase_add_test(tests, told_apart_by_nonce);
    tcase_add_loop_test(tests, thousands_of_one_port_pair, 0, 4);
    tcase_add_loop_test(tests, thousands_told_apart_by_ip_id, 0, 2);
    tcase_add_test(tests, too_many_sharers);
    tcase_add_test(tests, too_many_sharers_and_a_group);
    tcase_add_test(tests, rebuilt_quotes);
    tcase_add_test(tests, rebuilt_with_a_rival);
    tcase_add_test(tests, identification_drawn_anew);
    tcase_add_test(tests, echo_quotes_with_another_checksum);
    tcase_add_loop_test(tests, flow_behind_a_nat, 0, 4);
    tcase_add_loop_test(tests, thousands_behind_a_nat, 0, 4 * PAIRS);
    tcase_add_test(tests, another_target_behind_a_nat);
    tcase_add_test(tests, sctp_checksum_behind_a_nat);
    tcase_add_test(tests, neighbours_behind_a_nat);
    tcase_add_test(tests, half_of_a_balance);
    tcase_add_test(tests, late_quotes_of_equal_packets);
    tcase_add_test(tests, many_late_quotes);
    tcase_add_test(tests, own_datagram);
    tcase_add_test(tests, from_another_address_of_ours);
    tcase_add_test(tests, a_datagram_for_one_and_a_group);
    tcase_add_test(tests, own_datagram_to_another_address);
    tcase_add_test(tests, own_datagram_to_its_own_port);
    tcase_add_test(tests, not_our_own_datagram);
    tcase_add_test(tests, own_answers);
    tcase_add_loop_test(tests, guesses, 0, COMBINATIONS);
    suite_add_tcase(suite, tests);
    return suite;
}
