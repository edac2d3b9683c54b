/* SPDX-License-Identifier: MIT */
#include "tools/service.h"

#include <stdio.h>
#include <string.h>

#include "packets/family.h"

#define HEX "0123456789abcdef"
#define UDP_HEADER_SIZE 8

static void
write_text(struct writer *to, const char *text)
{
    write_bytes(to, text, strlen(text));
}

/* True when both have so many bytes yet, and they are the same. */
static bool
next_are_equal(struct reader *one, struct reader *other, size_t count)
{
    struct reader first, second;
    return read_view(one, count, &first) && read_view(other, count, &second) && memcmp(first.at, second.at, count) == 0;
}

/* ---- dns: RFC 1035, section 4; EDNS of RFC 6891, and padding of RFC 7830, whose bytes a server does not look at */

#define DNS_RECURSION 0x0100
#define DNS_IS_RESPONSE 0x8000
#define DNS_OPCODE 0x7800
#define DNS_NS 2
#define DNS_IN 1
#define DNS_OPT 41
#define DNS_PADDING 12
#define DNS_SIZE 512 /* of the answer, at most */
#define DNS_HEADER_SIZE 12
#define DNS_QUESTION_SIZE 5 /* root, type, class */

/* The name servers of the root: every resolver knows them. */
static void
write_dns(struct writer *to, const uint8_t random[SERVICE_RANDOM])
{
    static const uint16_t counts[] = { 1, 0, 0, 1 }; /* one question, and one record beside */
    write_bytes(to, random, 2);
    write_u16(to, DNS_RECURSION);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        write_u16(to, counts[i]);
    write_u8(to, 0);
    write_u16(to, DNS_NS);
    write_u16(to, DNS_IN);
    write_u8(to, 0);
    write_u16(to, DNS_OPT);
    write_u16(to, DNS_SIZE);
    write_u32(to, 0);
    write_u16(to, 8);
    write_u16(to, DNS_PADDING);
    write_u16(to, 4);
    write_u32(to, 0);
}

/* A server that does not understand may leave the question out. */
static bool
judge_dns(struct reader answer, struct reader asked)
{
    uint16_t flags, questions;
    if (!next_are_equal(&answer, &asked, 2) || !read_u16(&answer, &flags) || !read_u16(&answer, &questions) ||
        !read_skip(&answer, 6) || !read_skip(&asked, DNS_HEADER_SIZE - 2))
        return false;
    if (!(flags & DNS_IS_RESPONSE) || flags & DNS_OPCODE || questions > 1)
        return false;
    return !questions || next_are_equal(&answer, &asked, DNS_QUESTION_SIZE);
}

/* ---- ntp: RFC 5905, section 7.3; nothing is told but a transmit timestamp by chance, as clients do that mind privacy */

#define NTP_CLIENT 0x23 /* version 4, mode 3 */
#define NTP_MODE 7
#define NTP_SERVER 4
#define NTP_STAMP_SIZE 8
#define NTP_ORIGIN 24 /* offset of what the server has read in */
#define NTP_TRANSMIT 40
#define NTP_SIZE 48

static void
write_ntp(struct writer *to, const uint8_t random[SERVICE_RANDOM])
{
    write_u8(to, NTP_CLIENT);
    write_fill(to, 0, NTP_TRANSMIT - 1);
    write_bytes(to, random, NTP_STAMP_SIZE);
}

static bool
judge_ntp(struct reader answer, struct reader asked)
{
    uint8_t mode;
    struct reader rest = answer;
    return read_skip(&rest, NTP_SIZE) && read_u8(&answer, &mode) && (mode & NTP_MODE) == NTP_SERVER &&
           read_skip(&answer, NTP_ORIGIN - 1) && read_skip(&asked, NTP_TRANSMIT) &&
           next_are_equal(&answer, &asked, NTP_STAMP_SIZE - SERVICE_TAIL);
}

/* ---- quic: RFC 8999, sections 5.1 and 6; RFC 9000, sections 6, 14.1 and 15 */

#define QUIC_LONG 0x80
#define QUIC_INITIAL 0xc0
#define QUIC_RESERVED 0x0a0a0a0a /* a version that nobody has, so all answer with those that they have */
#define QUIC_RANDOM_BITS 0xf0f0f0f0
#define QUIC_ID_SIZE 8
#define QUIC_SIZE 1200 /* of a smaller datagram a server takes no notice */

static void
write_quic(struct writer *to, const uint8_t random[SERVICE_RANDOM])
{
    uint32_t version;
    memcpy(&version, random, sizeof version);
    write_u8(to, QUIC_INITIAL);
    write_u32(to, (version & QUIC_RANDOM_BITS) | QUIC_RESERVED);
    write_u8(to, QUIC_ID_SIZE);
    write_bytes(to, random + 4, QUIC_ID_SIZE);
    write_u8(to, QUIC_ID_SIZE);
    write_bytes(to, random + 4 + QUIC_ID_SIZE, QUIC_ID_SIZE);
    write_fill(to, 0, QUIC_SIZE - to->used);
}

/* Version negotiation: version 0, the two identifiers in turn, then at least one version. */
static bool
judge_quic(struct reader answer, struct reader asked)
{
    uint8_t form;
    uint32_t version;
    struct reader target = { 0 }, source = { 0 };
    if (!read_u8(&answer, &form) || !(form & QUIC_LONG) || !read_u32(&answer, &version) || version != 0 ||
        !read_skip(&asked, 5) || !read_view(&asked, 1 + QUIC_ID_SIZE, &target) ||
        !read_view(&asked, 1 + QUIC_ID_SIZE, &source))
        return false;
    return next_are_equal(&answer, &source, source.left) && next_are_equal(&answer, &target, target.left) &&
           read_u32(&answer, &version);
}

/* ---- stun: RFC 8489, sections 5, 14 and 14.14; the bytes that fill up a value are not looked at */

#define STUN_BINDING 0x0001
#define STUN_SUCCESS 0x0101
#define STUN_ERROR 0x0111
#define STUN_COOKIE 0x2112a442
#define STUN_TRANSACTION_SIZE 12
#define STUN_SOFTWARE 0x8022

static void
write_stun(struct writer *to, const uint8_t random[SERVICE_RANDOM])
{
    static const char software[] = "hopline probes"; /* of such a length that two bytes fill it up */
    write_u16(to, STUN_BINDING);
    write_u16(to, 4 + sizeof software - 1 + SERVICE_TAIL);
    write_u32(to, STUN_COOKIE);
    write_bytes(to, random, STUN_TRANSACTION_SIZE);
    write_u16(to, STUN_SOFTWARE);
    write_u16(to, sizeof software - 1);
    write_text(to, software);
    write_fill(to, 0, SERVICE_TAIL);
}

static bool
judge_stun(struct reader answer, struct reader asked)
{
    uint16_t type, length;
    return read_u16(&answer, &type) && (type == STUN_SUCCESS || type == STUN_ERROR) && read_u16(&answer, &length) &&
           length % 4 == 0 && read_skip(&asked, 4) && next_are_equal(&answer, &asked, 4 + STUN_TRANSACTION_SIZE);
}

/* ---- sip: RFC 3261, sections 11 and 18.3, and rport of RFC 3581: it comes back to the port that asked */

#define SIP_TOKEN_BYTES 8
#define SIP_BRANCH ";branch=z9hG4bK"

/*
 * It goes no further than whoever gets it (Max-Forwards 0), since it is he who is asked. What comes behind a message is
 * passed over.
 */
static void
write_sip(struct writer *to, const uint8_t random[SERVICE_RANDOM])
{
    char token[2 * SIP_TOKEN_BYTES + 1] = "";
    for (size_t i = 0; i < SIP_TOKEN_BYTES; i++) {
        token[2 * i] = HEX[random[i] >> 4];
        token[2 * i + 1] = HEX[random[i] & 15];
    }
    const char *const parts[] = {
        "OPTIONS sip:probe.invalid SIP/2.0\r\n"
        "Via: SIP/2.0/UDP probe.invalid" SIP_BRANCH, token, ";rport\r\n"
        "Max-Forwards: 0\r\n"
        "From: <sip:hopline@probe.invalid>;tag=", token, "\r\n"
        "To: <sip:probe.invalid>\r\n"
        "Call-ID: ", token, "@probe.invalid\r\n"
        "CSeq: 1 OPTIONS\r\n"
        "Contact: <sip:hopline@probe.invalid>\r\n"
        "Accept: application/sdp\r\n"
        "Content-Length: 0\r\n"
        "\r\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        write_text(to, parts[i]);
}

/* A status line, and behind it the branch that was sent. */
static bool
judge_sip(struct reader answer, struct reader asked)
{
    static const char begins[] = "SIP/2.0 ";
    struct reader start, status;
    uint8_t blank;
    if (!read_view(&answer, sizeof begins - 1, &start) || memcmp(start.at, begins, start.left) != 0 ||
        !read_view(&answer, 3, &status) || !read_u8(&answer, &blank) || blank != ' ')
        return false;
    if (status.at[0] < '1' || status.at[0] > '6' || !is_digit((char)status.at[1]) || !is_digit((char)status.at[2]))
        return false;
    const uint8_t *branch = memmem(asked.at, asked.left, SIP_BRANCH, sizeof SIP_BRANCH - 1);
    size_t length = sizeof SIP_BRANCH - 1 + 2 * SIP_TOKEN_BYTES;
    return branch && (size_t)(asked.at + asked.left - branch) >= length && memmem(answer.at, answer.left, branch, length);
}

/* ---- snmp: RFC 3416, section 3, and RFC 1901, in the encoding of X.690; what comes behind a message is passed over */

#define BER_INTEGER 0x02
#define BER_STRING 0x04
#define BER_SEQUENCE 0x30
#define SNMP_RESPONSE 0xa2
#define SNMP_ID_AT 15 /* offset of the identifier's tag */
#define SNMP_ID_SIZE 4

/* sysDescr.0, by community public; of version 2c, which is what agents speak if any. */
static void
write_snmp(struct writer *to, const uint8_t random[SERVICE_RANDOM])
{
    static const uint8_t before[] = {
        0x30, 41, 0x02, 1, 1, 0x04, 6, 'p', 'u', 'b', 'l', 'i', 'c', 0xa0, 28, /* get, */
        0x02, SNMP_ID_SIZE,                                                     /* its identifier, */
    };
    static const uint8_t behind[] = {
        0x02, 1, 0, 0x02, 1, 0,                                                        /* no error, */
        0x30, 14, 0x30, 12, 0x06, 8, 0x2b, 6, 1, 2, 1, 1, 1, 0, 0x05, 0,               /* 1.3.6.1.2.1.1.1.0 */
    };
    write_bytes(to, before, sizeof before);
    write_u8(to, (random[0] & 0x3f) | 0x40); /* positive, and as short as it can be, which X.690 demands */
    write_bytes(to, random + 1, SNMP_ID_SIZE - 1);
    write_bytes(to, behind, sizeof behind);
}

/* Takes a tag and its length, which may be in the long form. */
static bool
read_ber(struct reader *from, uint8_t tag, size_t *length)
{
    uint8_t is, first, next;
    if (!read_u8(from, &is) || is != tag || !read_u8(from, &first))
        return false;
    *length = first;
    if (first < 0x80)
        return true;
    if (first == 0x80 || first > 0x84)
        return false;
    for (*length = 0; first > 0x80; first--) {
        if (!read_u8(from, &next))
            return false;
        *length = *length << 8 | next;
    }
    return true;
}

static bool
judge_snmp(struct reader answer, struct reader asked)
{
    size_t length;
    uint8_t version;
    if (!read_ber(&answer, BER_SEQUENCE, &length) || !read_ber(&answer, BER_INTEGER, &length) || length != 1 ||
        !read_u8(&answer, &version) || version > 1 || !read_ber(&answer, BER_STRING, &length) ||
        !read_skip(&answer, length) || !read_ber(&answer, SNMP_RESPONSE, &length))
        return false;
    return read_skip(&asked, SNMP_ID_AT) && next_are_equal(&answer, &asked, 2 + SNMP_ID_SIZE);
}

/* ---- dtls: RFC 6347, section 4, and RFC 5246, section 7.4.1.2; an extension that is nobody's (RFC 8701) at the end */

#define DTLS_1_0 0xfeff /* of the first record; any later server knows it */
#define DTLS_1_2 0xfefd
#define DTLS_MAJOR 0xfe
#define DTLS_HANDSHAKE 22
#define DTLS_ALERT 21
#define DTLS_CLIENT_HELLO 1
#define DTLS_SERVER_HELLO 2
#define DTLS_VERIFY_REQUEST 3
#define DTLS_RANDOM_SIZE 32
#define DTLS_MESSAGE_HEADER_SIZE 12

static const uint16_t dtls_suites[] = {
    0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc0ae, 0x009c, 0x002f, 0x00a8, 0xc0a8, 0x00ff,
};

static const uint8_t dtls_extensions[] = {
    0, 10, 0, 8, 0, 6, 0, 0x1d, 0, 0x17, 0, 0x18,                                  /* groups */
    0, 11, 0, 2, 1, 0,                                                              /* points are not compressed */
    0, 13, 0, 16, 0, 14, 4, 3, 5, 3, 6, 3, 8, 4, 4, 1, 5, 1, 2, 1,                 /* signatures */
    0, 23, 0, 0,                                                                    /* extended master secret */
    0x0a, 0x0a, 0, SERVICE_TAIL, 0, 0,
};

static void
write_u24(struct writer *to, size_t value)
{
    write_u8(to, (uint8_t)(value >> 16));
    write_u16(to, (uint16_t)value);
}

static void
write_dtls(struct writer *to, const uint8_t random[SERVICE_RANDOM])
{
    size_t body = 2 + DTLS_RANDOM_SIZE + 1 + 1 + 2 + sizeof dtls_suites + 2 + 2 + sizeof dtls_extensions;
    write_u8(to, DTLS_HANDSHAKE);
    write_u16(to, DTLS_1_0);
    write_u64(to, 0); /* epoch and number */
    write_u16(to, (uint16_t)(DTLS_MESSAGE_HEADER_SIZE + body));
    write_u8(to, DTLS_CLIENT_HELLO);
    write_u24(to, body);
    write_u16(to, 0);  /* the first message, */
    write_u24(to, 0);  /* from its start */
    write_u24(to, body); /* to its end */
    write_u16(to, DTLS_1_2);
    write_bytes(to, random, DTLS_RANDOM_SIZE);
    write_u16(to, 0); /* neither session nor cookie */
    write_u16(to, sizeof dtls_suites);
    for (size_t i = 0; i < sizeof dtls_suites / sizeof *dtls_suites; i++)
        write_u16(to, dtls_suites[i]);
    write_u16(to, 0x0100); /* no compression */
    write_u16(to, sizeof dtls_extensions);
    write_bytes(to, dtls_extensions, sizeof dtls_extensions);
}

/* A message of a server's first flight, or an alert, which is refusal but DTLS all the same. */
static bool
judge_dtls(struct reader answer, struct reader asked)
{
    uint8_t type, major, minor, first;
    uint16_t epoch, length;
    (void)asked;
    if (!read_u8(&answer, &type) || !read_u8(&answer, &major) || major != DTLS_MAJOR || !read_u8(&answer, &minor) ||
        !read_u16(&answer, &epoch) || epoch != 0 || !read_skip(&answer, 6) || !read_u16(&answer, &length) ||
        answer.left < 1 || !read_u8(&answer, &first))
        return false;
    if (type == DTLS_ALERT)
        return length == 2 && (first == 1 || first == 2) && answer.left >= 1;
    return type == DTLS_HANDSHAKE && length >= DTLS_MESSAGE_HEADER_SIZE && answer.left >= DTLS_MESSAGE_HEADER_SIZE - 1 &&
           (first == DTLS_SERVER_HELLO || first == DTLS_VERIFY_REQUEST);
}

/* ---- all of them */

static const struct service services[] = {
    { "dns", 53, 32, true, write_dns, judge_dns },
    { "ntp", 123, NTP_SIZE, true, write_ntp, judge_ntp },
    { "quic", 443, 32, true, write_quic, judge_quic },
    { "stun", 3478, 20, true, write_stun, judge_stun },
    { "sip", 5060, 1024, false, write_sip, judge_sip },
    { "snmp", 161, 128, false, write_snmp, judge_snmp },
    { "dtls", 4433, 32, true, write_dtls, judge_dtls },
};

bool
service_ask(struct service_question *question, const char *name, const uint8_t random[SERVICE_RANDOM])
{
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        if (strcmp(services[i].name, name) != 0)
            continue;
        struct writer to = { .start = question->bytes, .size = sizeof question->bytes };
        services[i].write(&to, random);
        question->service = &services[i];
        question->length = to.used;
        return true;
    }
    return false;
}

static size_t
put_payload(const struct service_question *question, size_t length, char buffer[SERVICE_ARGUMENTS_MAX])
{
    size_t used = (size_t)sprintf(buffer, " reply-payload %u payload ", question->service->looks_at);
    for (size_t i = 0; i < length; i++)
        used += (size_t)sprintf(buffer + used, "%02x", question->bytes[i]);
    return used;
}

const char *
service_arguments(const struct service_question *question, char buffer[SERVICE_ARGUMENTS_MAX])
{
    *buffer = 0;
    if (question->service)
        put_payload(question, question->length, buffer);
    return buffer;
}

const char *
service_flow_arguments(const struct service_question *question, char buffer[SERVICE_ARGUMENTS_MAX])
{
    *buffer = 0;
    if (!question->service)
        return buffer;
    size_t given = question->length - (question->service->loose_end ? SERVICE_TAIL : 0);
    size_t used = put_payload(question, given, buffer);
    sprintf(buffer + used, " size %zu", families[IPV6].header_size + UDP_HEADER_SIZE + given + SERVICE_TAIL);
    return buffer;
}

bool
service_judges(const struct service_question *question, struct reader answer)
{
    struct reader asked = { question->bytes, question->length };
    return question->service->judge(answer, asked);
}

/* What the daemon tells of the payload, as bytes; false when it is no hex. */
static bool
read_hex(const char *hex, struct writer *to)
{
    for (; hex[0] && hex[1]; hex += 2) {
        int high = hex_value(hex[0]), low = hex_value(hex[1]);
        if (high < 0 || low < 0)
            return false;
        write_u8(to, (uint8_t)(high << 4 | low));
    }
    return !*hex && !to->overflow;
}

enum service_verdict
service_hear(const struct service_question *question, const struct reply *reply)
{
    uint8_t bytes[SERVICE_MAX];
    struct writer to = { .start = bytes, .size = sizeof bytes };
    const char *hex = reply->value[FIELD_REPLY_PAYLOAD];
    if (!question->service || reply->kind != KIND_REPLY)
        return SERVICE_UNASKED;
    if (reply->value[FIELD_ICMP_TYPE])
        return SERVICE_CLOSED;
    bool judged = hex && read_hex(hex, &to) && service_judges(question, (struct reader){ bytes, to.used });
    return judged ? SERVICE_ANSWERS : SERVICE_OTHER;
}

bool
service_is_met(const struct service_question *question, const struct reply *reply)
{
    return reply->kind == KIND_REPLY && (!question->service || service_hear(question, reply) == SERVICE_ANSWERS);
}

const char *
service_words(const struct service_question *question, enum service_verdict verdict, char *buffer, size_t size)
{
    static const char *const words[SERVICE_VERDICTS][2] = {
        [SERVICE_UNASKED] = { "", NULL },
        [SERVICE_ANSWERS] = { "", " answers" },
        [SERVICE_OTHER] = { "not an answer of ", "" },
        [SERVICE_CLOSED] = { "no ", ": port unreachable" },
    };
    *buffer = 0;
    if (words[verdict][1])
        snprintf(buffer, size, "%s%s%s", words[verdict][0], question->service->name, words[verdict][1]);
    return buffer;
}
