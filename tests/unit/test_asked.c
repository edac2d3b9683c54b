/* SPDX-License-Identifier: MIT */
#include <netinet/tcp.h>
#include <string.h>

#include "lines/asked.h"
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
    check(&asked, ""); /* nothing has come */
    asked.answer = &rows[_i].answer;
    check(&asked, rows[_i].said);
}
END_TEST

Suite *
asked_suite(void)
{
    Suite *suite = suite_create("asked");
    TCase *tests = tcase_create("asked");
    tcase_add_loop_test(tests, what_was_asked_for, 0, COUNT(rows));
    suite_add_tcase(suite, tests);
    return suite;
}
