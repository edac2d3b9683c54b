/* SPDX-License-Identifier: MIT */
/* What a target tells of what probe-ping has asked for: its interfaces, its clock, the ECN that reached it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "suites.h"
#include "support.h"
#include "tools/ecn.h"
#include "tools/interface.h"
#include "tools/their_clock.h"

#define DAY_MS 86400000.0
#define DAY_BEGINS 1764374400 /* a midnight, s since the epoch */

static struct reply
reply_of(const char *words)
{
    static char lines[4][400];
    static int next;
    struct reply reply;
    char *line = lines[next++ % 4];
    snprintf(line, sizeof lines[0], "1 %s", words);
    ck_assert(reply_read(line, &reply));
    return reply;
}

/* ---- interfaces */

START_TEST(names_of_interfaces)
{
    static const struct {
        const char *word, *argument;
    } rows[] = {
        { "eth0", " interface-name eth0" },
        { "3", " interface-index 3" },
        { "4294967295", " interface-index 4294967295" },
        { "0", NULL },
        { "000", NULL },
        { "4294967296", NULL },
        { "18446744073709551617", NULL },
        { "3a", " interface-name 3a" },
        { "192.0.2.1", " interface-address 192.0.2.1" },
        { "fe80::1", " interface-address fe80::1" },
        { "fe80::1%eth0", " interface-address fe80::1" },
        { "192.0.2.1%eth0", " interface-name 192.0.2.1%eth0" },
        { "192.0.2", " interface-name 192.0.2" },
        { "ge-0/0/0.100", " interface-name ge-0/0/0.100" },
        { "", NULL },
        { "eth 0", NULL },
        { "eth0\n7 sweep", NULL },
        { "eth\x7f", NULL },
        { "eth\xc3\xa9", NULL },
        { "1234567890123456789012345678901234567890123456789012345678901234", NULL },
    };
    char buffer[100];
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *argument = interface_argument(rows[i].word, buffer, sizeof buffer);
        ck_assert_pstr_eq(argument, rows[i].argument);
    }
}
END_TEST

START_TEST(words_of_interfaces)
{
    static const struct {
        int code, state, active, ip4, ip6;
        const char *words;
    } rows[] = {
        { 0, 0, 1, 1, 1, "eth0 is up, runs IPv4 and IPv6" },
        { 0, 0, 1, 1, 0, "eth0 is up, runs IPv4" },
        { 0, 0, 1, 0, 1, "eth0 is up, runs IPv6" },
        { 0, 0, 0, 0, 0, "eth0 is down" },
        { 0, 0, 0, 1, 0, "eth0 is down, runs IPv4" },
        { 0, 1, 1, 0, 0, "eth0 is up, neighbour incomplete" },
        { 0, 2, 1, 1, 0, "eth0 is up, runs IPv4, neighbour reachable" },
        { 0, 3, 1, 0, 0, "eth0 is up, neighbour stale" },
        { 0, 4, 1, 0, 0, "eth0 is up, neighbour delay" },
        { 0, 5, 1, 0, 0, "eth0 is up, neighbour probe" },
        { 0, 6, 1, 0, 0, "eth0 is up, neighbour failed" },
        { 0, 7, 1, 0, 0, "eth0 is up, neighbour state 7" },
        { 1, 0, 0, 0, 0, "eth0: malformed query" },
        { 2, 0, 0, 0, 0, "eth0: no such interface" },
        { 3, 0, 0, 0, 0, "eth0: no such neighbour" },
        { 4, 0, 0, 0, 0, "eth0: several interfaces are called that" },
        { 5, 0, 1, 1, 1, "eth0: code 5" },
        { 255, 7, 1, 1, 1, "eth0: code 255" },
    };
    char words[400], buffer[200];
    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(words, sizeof words, "reply extended-code %d state %d active %d ip-4-active %d ip-6-active %d", rows[i].code,
                 rows[i].state, rows[i].active, rows[i].ip4, rows[i].ip6);
        struct reply reply = reply_of(words);
        ck_assert_str_eq(interface_words("eth0", &reply, buffer, sizeof buffer), rows[i].words);
        ck_assert_int_eq(interface_is_known(&reply), rows[i].code == 0);
    }
    struct reply reply = reply_of("reply extended-code x");
    ck_assert_str_eq(interface_words("eth0", &reply, buffer, sizeof buffer), "eth0: code -1");
    ck_assert(!interface_is_known(&reply));
}
END_TEST

/* ---- ECN */

START_TEST(words_of_ecn)
{
    static const struct {
        unsigned codepoint;
        const char *word, *words;
    } rows[] = {
        { 0, "not-ect", "not-ect came as not-ect" },
        { 2, "ect-0", "ect-0 came as ect-0" },
        { 2, "not-ect", "ect-0 came as not-ect: bleached" },
        { 1, "ce", "ect-1 came as ce: congested" },
        { 0, "ce", "not-ect came as ce: mangled" },
        { 1, "ect-0", "ect-1 came as ect-0: mangled" },
        { 3, "ect-1", "ce came as ect-1: mangled" },
        { 2, "none", "ect-0 sent: the target does no ECN" },
        { 0, "classic", "not-ect sent: the target does ECN by RFC 3168, which does not tell how it came" },
        { 0, "unknown-5", "not-ect sent: unknown-5" },
        { 3, NULL, "ce sent: a closed port does not tell how it came" },
    };
    char buffer[200];
    for (size_t i = 0; i < COUNT(rows); i++)
        ck_assert_str_eq(ecn_words(rows[i].codepoint, rows[i].word, buffer, sizeof buffer), rows[i].words);
    for (unsigned codepoint = 0; codepoint < ECN_CODEPOINTS; codepoint++)
        ck_assert_int_eq(ecn_of_name(ecn_name(codepoint)), (int)codepoint);
    ck_assert_int_eq(ecn_of_name("ect"), -1);
}
END_TEST

/* ---- the clock */

/* A target whose clock is OFFSET ms ahead at SECOND of a day, there and back in so many ms. */
static struct reply
timed(double second, double offset, double there, double back)
{
    char words[300];
    int64_t sent = (int64_t)llround(second * 1e9), received = sent + llround((there + back) * 1e6);
    double at = fmod(second * 1000 + offset + there + DAY_MS, DAY_MS);
    snprintf(words, sizeof words,
             "reply ip-4 192.0.2.1 round-trip-time %lld originate %lld receive %lld transmit %lld sent %lld.%09lld "
             "received %lld.%09lld",
             llround((there + back) * 1000), (long long)(sent / 1000000 % 86400000), (long long)at, (long long)at,
             (long long)(DAY_BEGINS + sent / 1000000000), (long long)(sent % 1000000000),
             (long long)(DAY_BEGINS + received / 1000000000), (long long)(received % 1000000000));
    return reply_of(words);
}

/* ANSWERS of them, an INTERVAL s apart, of which every third was quick; the others are held up, on the way there or back. */
static struct clock_sum
sum_of(int count, double begin, double interval, double offset, double ppm, double slow_there, double slow_back)
{
    struct their_clock clock = { 0 };
    struct clock_sample sample;
    struct clock_sum sum;
    for (int i = 0; i < count; i++) {
        double later = i * interval, held = i % 3 ? 1 : 0;
        struct reply reply = timed(begin + later, offset + ppm / 1000 * later, 2 + held * slow_there, 2 + held * slow_back);
        ck_assert_int_eq(their_clock_hear(&reply, &sample), CLOCK_TOLD);
        ck_assert(their_clock_add(&clock, &sample));
    }
    ck_assert(their_clock_sum_up(&clock, &sum));
    their_clock_free(&clock);
    return sum;
}

static void
must_be_near(double value, double expected, double by)
{
    ck_assert_msg(fabs(value - expected) <= by, "%f is not within %f of %f", value, by, expected);
}

/* Ahead and behind, by half a day, and through midnight. */
START_TEST(offsets_of_clocks)
{
    static const double begins[] = { 40000, 86390, 0.25 };
    static const double offsets[] = { 0, 3.25, -1500, 3600000, -42000000, 43199000, -43199000, 43200000 };
    for (size_t i = 0; i < COUNT(begins); i++)
        for (size_t j = 0; j < COUNT(offsets); j++) {
            struct clock_sum sum = sum_of(30, begins[i], 1.037, offsets[j], 0, 30, 0);
            double error = fabs(sum.offset - offsets[j]);
            must_be_near(fmin(error, DAY_MS - error), 0, sum.offset_error);
            must_be_near(sum.offset_error, 2.5, 0.01);
            ck_assert(sum.has_drift);
            must_be_near(sum.drift, 0, sum.drift_error);
            must_be_near(sum.there, 22, 0.6);
            must_be_near(sum.back, 2, 0.6);
            must_be_near(sum.least, 4, 0.001);
        }
}
END_TEST

START_TEST(drifts_of_clocks)
{
    static const double drifts[] = { 500, -500, 20000, -20, 0 };
    for (size_t i = 0; i < COUNT(drifts); i++) {
        struct clock_sum sum = sum_of(200, 86300, 1.013, 5000, drifts[i], 0, 25);
        must_be_near(sum.drift, drifts[i], sum.drift_error);
        must_be_near(sum.drift_error, 5, 15);
        must_be_near(sum.offset, 5000 + drifts[i] / 1000 * 199 * 1.013, sum.offset_error);
        must_be_near(sum.there, 2, 0.6);
        must_be_near(sum.back, 2 + 25 * 2 / 3.0, 0.6);
    }
    ck_assert(!sum_of(2, 5, 1, 0, 0, 0, 0).has_drift);
    ck_assert(!sum_of(9, 5, 0, 0, 0, 0, 0).has_drift);
}
END_TEST

/* Replies that tell no time, or times that are not standard. */
START_TEST(odd_times)
{
#define FROM "reply ip-4 192.0.2.1 round-trip-time 5 "
#define OURS "sent 1764374400.000000001 received 1764374400.000005001 "
    static const struct {
        const char *words;
        enum clock_word expected;
    } rows[] = {
        { FROM OURS "originate 0 receive 1 transmit 86399999", CLOCK_TOLD },
        { FROM OURS "originate 0 receive 2147483653 transmit 2147483653", CLOCK_ODD },
        { FROM OURS "originate 0 receive 5 transmit 4294967295", CLOCK_ODD },
        { FROM OURS "originate 0 receive 86400000 transmit 5", CLOCK_ODD },
        { FROM OURS "originate 0 receive 5", CLOCK_SILENT },
        { FROM OURS "originate 0 receive x transmit 5", CLOCK_SILENT },
        { FROM "originate 0 receive 5 transmit 5", CLOCK_SILENT },
        { FROM "sent 1764374400 received 1764374400.000005001 receive 5 transmit 5", CLOCK_SILENT },
        { FROM "sent 1764374400.5 received 1764374400.000005001 receive 5 transmit 5", CLOCK_SILENT },
        { FROM "sent .000000001 received 1764374400.000005001 receive 5 transmit 5", CLOCK_SILENT },
        { FROM "sent 1764374400.00000000x received 1764374400.000005001 receive 5 transmit 5", CLOCK_SILENT },
        { FROM "sent 1764374400.0000000011 received 1764374400.000005001 receive 5 transmit 5", CLOCK_SILENT },
        { FROM "sent 999999999999.000000001 received 1764374400.000005001 receive 5 transmit 5", CLOCK_SILENT },
        { FROM "sent -764374400.000000001 received 1764374400.000005001 receive 5 transmit 5", CLOCK_SILENT },
    };
    struct clock_sample sample;
    struct clock_sum sum;
    struct their_clock none = { 0 };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct reply reply = reply_of(rows[i].words);
        ck_assert_msg(their_clock_hear(&reply, &sample) == rows[i].expected, "%s", rows[i].words);
    }
    ck_assert(!their_clock_sum_up(&none, &sum));
}
END_TEST

START_TEST(errors_by_which_a_target_answers)
{
    static const struct {
        const char *reply, *words; /* NULL: it is none */
    } rows[] = {
        { "reply ip-4 192.0.2.1 icmp-type 3 icmp-code 2", "protocol unreachable" },
        { "reply ip-4 192.0.2.1 icmp-type 3 icmp-code 3", "port unreachable" },
        { "reply ip-6 2001:db8::1 icmp-type 1 icmp-code 4", "port unreachable" },
        { "reply ip-6 2001:db8::1 icmp-type 3 icmp-code 3", NULL },
        { "reply ip-4 192.0.2.1 icmp-type 0 icmp-code 0", NULL },
        { "reply ip-6 2001:db8::1 icmp-type 129 icmp-code 0", NULL },
        { "reply ip-4 192.0.2.1 icmp-type 3", NULL },
        { "reply ip-4 192.0.2.1 tcp-flags rst", NULL },
        { "no-route-host ip-4 192.0.2.1 icmp-type 3 icmp-code 3", NULL },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct reply reply = reply_of(rows[i].reply);
        ck_assert_int_eq(reply_is_refusal(&reply), rows[i].words != NULL);
        if (rows[i].words)
            ck_assert_str_eq(reply_refusal(&reply), rows[i].words);
    }
}
END_TEST

Suite *
told_suite(void)
{
    Suite *suite = suite_create("told");
    TCase *tests = tcase_create("told");
    tcase_add_test(tests, names_of_interfaces);
    tcase_add_test(tests, words_of_interfaces);
    tcase_add_test(tests, words_of_ecn);
    tcase_add_test(tests, offsets_of_clocks);
    tcase_add_test(tests, drifts_of_clocks);
    tcase_add_test(tests, odd_times);
    tcase_add_test(tests, errors_by_which_a_target_answers);
    suite_add_tcase(suite, tests);
    return suite;
}
