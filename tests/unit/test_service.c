/* SPDX-License-Identifier: MIT */
/* What a service is asked, byte for byte, and which answers are its own, whole and cut at every length. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"
#include "support.h"
#include "tools/service.h"

/* Chance is 80, 81, 82 and so on. */
static struct service_question
ask(const char *name)
{
    struct service_question question = { 0 };
    uint8_t random[SERVICE_RANDOM];
    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)(0x80 + i);
    ck_assert(service_ask(&question, name, random));
    return question;
}

static char *
text_of_hex(const uint8_t *bytes, size_t length)
{
    char *text = memory(2 * length + 1);
    *text = 0;
    for (size_t i = 0; i < length; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
    return text;
}

#define TOKEN "8081828384858687"

/* The datagram; of sip as text. */
static const struct {
    const char *name;
    uint16_t port;
    const char *hex, *text;
} asked[] = {
    { "dns", 53, "8081 0100 0001 0000 0000 0001 | 00 0002 0001 | 00 0029 0200 00000000 0008 000c 0004 00000000", NULL },
    { "ntp", 123, "23 00*39 8081828384858687", NULL },
    { "quic", 443, "c0 8a8a8a8a 08 8485868788898a8b 08 8c8d8e8f90919293 00*1177", NULL },
    { "stun", 3478, "0001 0014 2112a442 808182838485868788898a8b 8022 000e 686f706c696e65 20 70726f626573 0000", NULL },
    { "sip", 5060, NULL,
      "OPTIONS sip:probe.invalid SIP/2.0\r\nVia: SIP/2.0/UDP probe.invalid;branch=z9hG4bK" TOKEN ";rport\r\n"
      "Max-Forwards: 0\r\nFrom: <sip:hopline@probe.invalid>;tag=" TOKEN "\r\nTo: <sip:probe.invalid>\r\n"
      "Call-ID: " TOKEN "@probe.invalid\r\nCSeq: 1 OPTIONS\r\nContact: <sip:hopline@probe.invalid>\r\n"
      "Accept: application/sdp\r\nContent-Length: 0\r\n\r\n" },
    { "snmp", 161,
      "30 29 | 02 01 01 | 04 06 7075626c6963 | a0 1c | 02 04 40818283 | 02 01 00 | 02 01 00 |"
      "30 0e 30 0c 06 08 2b06010201010100 05 00", NULL },
    { "dtls", 4433,
      "16 feff 0000 000000000000 007e | 01 000072 0000 000000 000072 | fefd"
      "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f 00 00 | 0018"
      "c02b c02f c02c c030 cca9 cca8 c0ae 009c 002f 00a8 c0a8 00ff | 01 00 | 0030"
      "000a 0008 0006 001d 0017 0018 | 000b 0002 01 00 | 000d 0010 000e 0403 0503 0603 0804 0401 0501 0201 | 0017 0000 |"
      "0a0a 0002 0000", NULL },
};

/* The hex of a table, without what helps the eye. */
static struct blob
blob_of(const char *hex, const char *text)
{
    char plain[4000];
    size_t used = 0;
    if (text)
        return blob_copy(text, strlen(text));
    for (; *hex && used + 1 < sizeof plain; hex++)
        if (*hex != '|')
            plain[used++] = *hex;
    plain[used] = 0;
    return blob_of_hex(plain);
}

START_TEST(test_datagrams)
{
    char arguments[SERVICE_ARGUMENTS_MAX], expected[SERVICE_ARGUMENTS_MAX];
    struct blob datagram = blob_of(asked[_i].hex, asked[_i].text);
    struct service_question question = ask(asked[_i].name);
    assert_bytes(asked[_i].name, question.bytes, question.length, datagram.bytes, datagram.length);
    ck_assert_uint_eq(question.service->port, asked[_i].port);
    ck_assert_uint_ge(question.length, SERVICE_LEAST); /* else the daemon would fill it up */
    ck_assert_ptr_nonnull(strstr(SERVICE_NAMES, asked[_i].name));
    ck_assert_ptr_nonnull(strstr(SERVICE_CHOICE, asked[_i].name));

    char *hex = text_of_hex(question.bytes, question.length);
    snprintf(expected, sizeof expected, " reply-payload %u payload %s", question.service->looks_at, hex);
    ck_assert_str_eq(service_arguments(&question, arguments), expected);

    size_t given = question.length - (question.service->loose_end ? SERVICE_TAIL : 0);
    snprintf(expected, sizeof expected, " reply-payload %u payload %.*s size %zu", question.service->looks_at,
             (int)(2 * given), hex, 48 + given + SERVICE_TAIL);
    ck_assert_str_eq(service_flow_arguments(&question, arguments), expected);
    free(hex);
    blob_free(&datagram);
}
END_TEST

START_TEST(test_no_service)
{
    static const char *const names[] = { "", "DNS", "dns ", "http", "dn" };
    static const uint8_t random[SERVICE_RANDOM];
    char arguments[SERVICE_ARGUMENTS_MAX];
    struct service_question none = { 0 };
    for (size_t i = 0; i < COUNT(names); i++)
        ck_assert(!service_ask(&none, names[i], random));
    ck_assert_str_eq(service_arguments(&none, arguments), "");
    ck_assert_str_eq(service_flow_arguments(&none, arguments), "");
    ck_assert_str_eq(service_words(&none, SERVICE_UNASKED, arguments, sizeof arguments), "");
}
END_TEST

/* Answers: how many bytes of one suffice; 0: none do, it is another's. */
static const struct {
    const char *name, *hex, *text;
    size_t enough;
} answers[] = {
    /* NOERROR, with a record behind; REFUSED; FORMERR without the question */
    { "dns", "8081 8180 0001 0001 0000 0000 00 0002 0001 00 0002 0001 00000000 0001 00", NULL, 17 },
    { "dns", "8081 8105 0001 0000 0000 0000 00 0002 0001", NULL, 17 },
    { "dns", "8081 8101 0000 0000 0000 0000", NULL, 12 },
    { "dns", "8082 8180 0001 0001 0000 0000 00 0002 0001", NULL, 0 }, /* to another's question, */
    { "dns", "8081 0100 0001 0000 0000 0000 00 0002 0001", NULL, 0 }, /* a question, */
    { "dns", "8081 a180 0001 0000 0000 0000 00 0002 0001", NULL, 0 }, /* of another opcode, */
    { "dns", "8081 8180 0002 0000 0000 0000 00 0002 0001", NULL, 0 }, /* of two questions, */
    { "dns", "8081 8180 0001 0000 0000 0000 00 0006 0001", NULL, 0 }, /* about something else */

    /* a time; a kiss of death, with another version */
    { "ntp", "24 02 00 e8 00*20 8081828384858687 00*16", NULL, 48 },
    { "ntp", "dc 00 00 00 00*20 8081828384850000 00*16 00000000", NULL, 48 }, /* two of its bytes may be a flow's */
    { "ntp", "23 02 00 e8 00*20 8081828384858687 00*16", NULL, 0 },
    { "ntp", "24 02 00 e8 00*20 0081828384858687 00*16", NULL, 0 },
    { "ntp", "24 02 00 e8 00*20 8081828384868687 00*16", NULL, 0 },

    { "quic", "80 00000000 08 8c8d8e8f90919293 08 8485868788898a8b 00000001 6b3343cf", NULL, 27 },
    { "quic", "ff 00000000 08 8c8d8e8f90919293 08 8485868788898a8b 00000001", NULL, 27 },
    { "quic", "40 00000000 08 8c8d8e8f90919293 08 8485868788898a8b 00000001", NULL, 0 },
    { "quic", "80 00000001 08 8c8d8e8f90919293 08 8485868788898a8b 00000001", NULL, 0 },
    { "quic", "80 00000000 08 8485868788898a8b 08 8c8d8e8f90919293 00000001", NULL, 0 }, /* the request, sent back */
    { "quic", "80 00000000 07 8c8d8e8f909192 08 8485868788898a8b 00000001 00000001", NULL, 0 },

    { "stun", "0101 000c 2112a442 808182838485868788898a8b 0020 0008 0001 a147 e112a643", NULL, 20 },
    { "stun", "0111 0000 2112a442 808182838485868788898a8b", NULL, 20 },
    { "stun", "0001 0000 2112a442 808182838485868788898a8b", NULL, 0 },
    { "stun", "0101 0002 2112a442 808182838485868788898a8b 0000", NULL, 0 },
    { "stun", "0101 0000 2112a443 808182838485868788898a8b", NULL, 0 },
    { "stun", "0101 0000 2112a442 808182838485868788898a8c", NULL, 0 },

    { "sip", NULL, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK" TOKEN ";rport=5\r\n\r\n", 65 },
    { "sip", NULL, "SIP/2.0 483 ;branch=z9hG4bK" TOKEN, 43 },
    { "sip", NULL, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK8081828384858688\r\n\r\n", 0 },
    { "sip", NULL, "SIP/2.0 700 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK" TOKEN "\r\n\r\n", 0 },
    { "sip", NULL, "SIP/2.0 2000K\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK" TOKEN "\r\n\r\n", 0 },
    { "sip", NULL, "OPTIONS sip:probe.invalid SIP/2.0\r\nVia: ;branch=z9hG4bK" TOKEN "\r\n\r\n", 0 },
    { "sip", NULL, "HTTP/1.1 400 Bad Request\r\n;branch=z9hG4bK" TOKEN, 0 },

    { "snmp", "302e 020101 0406 7075626c6963 a221 020440818283 020100 020100 3013 3011 0608 2b06010201010100 0405 4c696e7578",
      NULL, 21 },
    { "snmp", "3082002e 020100 0406 7075626c6963 a28121 020440818283", NULL, 24 }, /* lengths in the long form */
    { "snmp", "3029 020101 0406 7075626c6963 a01c 020440818283 020100 020100", NULL, 0 }, /* a get, */
    { "snmp", "302e 020101 0406 7075626c6963 a221 020440818284 020100 020100", NULL, 0 }, /* of another number, */
    { "snmp", "302e 020103 0406 7075626c6963 a221 020440818283 020100 020100", NULL, 0 }, /* version 3, */
    { "snmp", "302e 020101 047f 7075626c6963 a221 020440818283 020100 020100", NULL, 0 }, /* a string beyond the end, */
    { "snmp", "302e 020101 0480 7075626c6963 a221 020440818283 020100 020100", NULL, 0 }, /* lengths that are none */
    { "snmp", "302e 020101 0484ffffffff 7075626c6963 a221 020440818283", NULL, 0 },
    { "snmp", "302e 020101 04880000000000000006 7075626c6963 a221 020440818283", NULL, 0 },

    /* HelloVerifyRequest, ServerHello, alerts */
    { "dtls", "16 feff 0000 000000000000 0023 03 000017 0000 000000 000017 feff 14 00*20", NULL, 25 },
    { "dtls", "16 fefd 0000 000000000000 0050 02 000044 0000 000000 000044 fefd", NULL, 25 },
    { "dtls", "15 fefd 0000 000000000000 0002 02 28", NULL, 15 },
    { "dtls", "15 fefd 0000 000000000000 0002 03 28", NULL, 0 },
    { "dtls", "15 fefd 0000 000000000000 0003 02 28 00", NULL, 0 },
    { "dtls", "16 0303 0000 000000000000 0023 03 000017 0000 000000 000017 feff 14 00*20", NULL, 0 }, /* TLS */
    { "dtls", "16 feff 0001 000000000000 0023 03 000017 0000 000000 000017 feff 14 00*20", NULL, 0 },
    { "dtls", "16 feff 0000 000000000000 0085 01 000079 0000 000000 000079 fefd 00*20", NULL, 0 }, /* the request */
    { "dtls", "17 fefd 0000 000000000000 0023 03 000017 0000 000000 000017 feff 14 00*20", NULL, 0 },
};

/* From its first bytes that suffice on, an answer is one; what is shorter is none, and nothing beyond it is read. */
START_TEST(test_answers)
{
    struct service_question question = ask(answers[_i].name);
    struct blob whole = blob_of(answers[_i].hex, answers[_i].text);
    ck_assert_uint_le(answers[_i].enough, question.service->looks_at);
    for (size_t length = 0; length <= whole.length; length++) {
        struct blob cut = blob_copy(whole.bytes, length);
        bool expected = answers[_i].enough && length >= answers[_i].enough;
        ck_assert_msg(service_judges(&question, blob_reader(&cut)) == expected, "%s, row %d, cut to %zu bytes",
                      answers[_i].name, _i, length);
        blob_free(&cut);
    }
    blob_free(&whole);
}
END_TEST

/* An answer of one service is none of another; nor is a question, sent back. */
START_TEST(test_others)
{
    for (size_t i = 0; i < COUNT(asked); i++) {
        struct service_question question = ask(asked[i].name);
        for (size_t j = 0; j < COUNT(answers); j++) {
            struct blob answer = blob_of(answers[j].hex, answers[j].text);
            if (strcmp(asked[i].name, answers[j].name) != 0)
                ck_assert(!service_judges(&question, blob_reader(&answer)));
            blob_free(&answer);
        }
        for (size_t j = 0; j < COUNT(asked); j++) {
            struct service_question other = ask(asked[j].name);
            ck_assert(!service_judges(&question, (struct reader){ other.bytes, other.length }));
        }
    }
}
END_TEST

/* What the daemon tells becomes a verdict, and words. */
START_TEST(test_replies)
{
    static const struct {
        const char *words;
        enum service_verdict verdict;
        const char *says;
    } rows[] = {
        { "reply ip-4 192.0.2.1 round-trip-time 5 reply-payload 808181010000000000000000", SERVICE_ANSWERS, "dns answers" },
        { "reply ip-4 192.0.2.1 round-trip-time 5 reply-payload 8081810100000000000000", SERVICE_OTHER, "not an answer of dns" },
        { "reply ip-4 192.0.2.1 round-trip-time 5 reply-payload 80818101000000000000000", SERVICE_OTHER, "not an answer of dns" },
        { "reply ip-4 192.0.2.1 round-trip-time 5 reply-payload 8081810100000000000000zz", SERVICE_OTHER,
          "not an answer of dns" },
        { "reply ip-4 192.0.2.1 round-trip-time 5", SERVICE_OTHER, "not an answer of dns" },
        { "reply ip-4 192.0.2.1 round-trip-time 5 icmp-type 3 icmp-code 3", SERVICE_CLOSED, "no dns: port unreachable" },
        { "ttl-expired ip-4 192.0.2.1 round-trip-time 5", SERVICE_UNASKED, "" },
        { "no-reply", SERVICE_UNASKED, "" },
    };
    struct service_question question = ask("dns"), none = { 0 };
    char line[4000], words[100];
    struct reply reply;
    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(line, sizeof line, "1 %s", rows[i].words);
        ck_assert(reply_read(line, &reply));
        enum service_verdict verdict = service_hear(&question, &reply);
        ck_assert_int_eq(verdict, rows[i].verdict);
        ck_assert_str_eq(service_words(&question, verdict, words, sizeof words), rows[i].says);
        ck_assert_int_eq(service_is_met(&question, &reply), rows[i].verdict == SERVICE_ANSWERS);
        ck_assert_int_eq(service_hear(&none, &reply), SERVICE_UNASKED);
        ck_assert_int_eq(service_is_met(&none, &reply), reply.kind == KIND_REPLY);
    }
    /* More than any service looks at. */
    int used = sprintf(line, "1 reply ip-4 192.0.2.1 reply-payload ");
    memset(line + used, '0', 2 * SERVICE_MAX + 2);
    line[used + 2 * SERVICE_MAX + 2] = 0;
    ck_assert(reply_read(line, &reply));
    ck_assert_int_eq(service_hear(&question, &reply), SERVICE_OTHER);
}
END_TEST

Suite *
service_suite(void)
{
    Suite *suite = suite_create("service");
    TCase *tests = tcase_create("service");
    tcase_add_loop_test(tests, test_datagrams, 0, (int)COUNT(asked));
    tcase_add_test(tests, test_no_service);
    tcase_add_loop_test(tests, test_answers, 0, (int)COUNT(answers));
    tcase_add_test(tests, test_others);
    tcase_add_test(tests, test_replies);
    suite_add_tcase(suite, tests);
    return suite;
}
