/* SPDX-License-Identifier: MIT */
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "lines/reply.h"
#include "suites.h"
#include "support.h"

/* What was asked for, the answer, and what is said of it. */
static const struct {
    struct asked asked;
    struct answer answer;
    const char *said;
} rows[] = {
    { { .tcp_ecn = true }, { .tcp_flags = 0x012 }, " tcp-ecn none" },
    { { .tcp_ecn = true }, { .tcp_flags = 0x052 }, " tcp-ecn classic" },
    { { .tcp_ecn = true }, { .tcp_flags = 0x092 }, " tcp-ecn not-ect" },
    { { .tcp_ecn = true }, { .tcp_flags = 0x0d2 }, " tcp-ecn ect-1" },
    { { .tcp_ecn = true }, { .tcp_flags = 0x112 }, " tcp-ecn ect-0" },
    { { .tcp_ecn = true }, { .tcp_flags = 0x152 }, " tcp-ecn unknown-5" },
    { { .tcp_ecn = true }, { .tcp_flags = 0x192 }, " tcp-ecn ce" },
    { { .tcp_ecn = true }, { .tcp_flags = 0x1d2 }, " tcp-ecn unknown-7" },
    { { .tcp_ecn = true }, { .tcp_flags = 0xfff }, " tcp-ecn unknown-7" },
    { { .tcp_ecn = true }, { .tcp_flags = 0x1d4 }, "" }, /* a RST */
    { { .icmp_request = true }, { .icmp_request = ICMP_REQUEST_TIMESTAMP, .originate = 1, .receive = UINT32_MAX },
      " originate 1 receive 4294967295 transmit 0" },
    { { .icmp_request = true },
      { .icmp_request = ICMP_REQUEST_TIMESTAMP, .originate = UINT32_MAX, .receive = UINT32_MAX, .transmit = UINT32_MAX },
      " originate 4294967295 receive 4294967295 transmit 4294967295" },
    { { .icmp_request = true }, { .icmp_request = ICMP_REQUEST_EXTENDED, .interface_state = 0x07 },
      " extended-code 0 state 0 active 1 ip-4-active 1 ip-6-active 1" },
    { { .icmp_request = true }, { .icmp_request = ICMP_REQUEST_EXTENDED, .icmp_code = 2 },
      " extended-code 2 state 0 active 0 ip-4-active 0 ip-6-active 0" },
    { { .icmp_request = true }, { .icmp_request = ICMP_REQUEST_EXTENDED, .icmp_code = 255, .interface_state = 0xfc },
      " extended-code 255 state 7 active 1 ip-4-active 0 ip-6-active 0" },
    { { .icmp_request = true }, { .icmp_request = ICMP_REQUEST_EXTENDED, .interface_state = 0x42 },
      " extended-code 0 state 2 active 0 ip-4-active 1 ip-6-active 0" },
    { { .icmp_request = true }, { .icmp_request = ICMP_REQUEST_EXTENDED, .interface_state = 0xb9 },
      " extended-code 0 state 5 active 0 ip-4-active 0 ip-6-active 1" },
    { { .icmp_request = true }, { .icmp_request = ICMP_REQUEST_ECHO }, "" },
    { { .icmp_request = false }, { .icmp_request = ICMP_REQUEST_TIMESTAMP }, "" },
    { { .reply_payload = 4 }, { .content = { (const uint8_t *)"\0\xab" "cdef", 6 } }, " reply-payload 00ab6364" },
    { { .reply_payload = 6 }, { .content = { (const uint8_t *)"\0\xab" "cdef", 6 } }, " reply-payload 00ab63646566" },
    { { .reply_payload = 1024 }, { .content = { (const uint8_t *)"\xff", 1 } }, " reply-payload ff" },
    { { .reply_payload = 1024 }, { .content = { (const uint8_t *)"", 0 } }, "" },
    { { .reply_payload = 0 }, { .content = { (const uint8_t *)"abc", 3 } }, "" },
    { { .tcp_ecn = false }, { .tcp_flags = 0x1d2 }, "" },
};

static void
check(const struct asked *asked, const char *expected)
{
    uint8_t text[ASKED_MAX];
    struct writer line = { .start = text, .size = sizeof text };
    asked_write(asked, &line);
    MUST(!line.overflow);
    ck_assert_msg(line.used == strlen(expected) && memcmp(text, expected, line.used) == 0, "\"%.*s\", not \"%s\"",
                  (int)line.used, (const char *)text, expected);
}

START_TEST(what_was_asked_for)
{
    struct asked asked = rows[_i].asked;
    asked.answer = &rows[_i].answer;
    check(&asked, rows[_i].said);
}
END_TEST

/* As much as there can be has room in a reply, behind the longest of other facts. */
START_TEST(the_longest)
{
    static uint8_t bytes[PACKET_MAX];
    struct answer answer = {
        .protocol = PROTOCOL_ICMP, .known = UINT8_MAX, .icmp_type = 255, .icmp_code = 255, .interface_state = UINT8_MAX,
        .icmp_request = ICMP_REQUEST_EXTENDED, .tcp_flags = 0x1d2, .size = 65535, .id = 65535, .ttl = 255, .tos = 255,
        .content = { bytes, sizeof bytes },
    };
    const struct detail detail = {
        .answer = &answer, .family = IPV6, .local_port = 65535, .local = { { 0xfe, 0xbf, 0xff, [15] = 0xff } },
        .scope = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", .received = { INT64_MAX },
    };
    const struct asked asked = { &answer, true, true, REPLY_PAYLOAD_MAX };
    struct reply reply = {
        .token = INT32_MIN, .kind = REPLY_REPLY, .answered = true, .family = IPV6, .responder = detail.local,
        .round_trip = INT64_MAX, .scope = detail.scope, .detail = &detail,
        .asked = &asked,
    };
    char *line = memory(REPLY_MAX);
    size_t length = reply_write(&reply, false, line);
    MUST(length < REPLY_MAX - 500 && line[length - 1] == '\n');
    line[length - 1] = '\0';
    MUST(strstr(line, " received 9223372036.854775807"));
    const char *payload = strstr(line, " reply-payload ");
    MUST(payload && strspn(payload + 15, "0") == 2 * REPLY_PAYLOAD_MAX);
    free(line);
}
END_TEST

Suite *
asked_suite(void)
{
    Suite *suite = suite_create("asked");
    TCase *tests = tcase_create("asked");
    tcase_add_test(tests, the_longest);
    tcase_add_loop_test(tests, what_was_asked_for, 0, COUNT(rows));
    suite_add_tcase(suite, tests);
    return suite;
}
