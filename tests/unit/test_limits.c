/* SPDX-License-Identifier: MIT */
#include "probes/limits.h"

#include <stdlib.h>

#include "suites.h"
#include "support.h"

static const uint32_t rates[] = { 1, 3, 7, 10, 99, 1000, 1001, 30000, 999999, LIMIT_RATE_MAX };

/* How many leave by then, when it is asked again and again as fast as can be from BEGIN on, each time after STEP. */
static uint64_t
leave_until(struct limits *limits, struct instant begin, int64_t ns, int64_t step)
{
    uint64_t left = 0;
    for (int64_t at = 0; at < ns; at += step) {
        struct instant now = instant_after(begin, at);
        for (; limits_allow(limits, 0, now); left++)
            limits_note(limits, now);
    }
    return left;
}

/* Over two seconds: as many as are allowed, within 1%, and at no time more than a tenth of a second's beyond them. */
START_TEST(keeps_its_rate)
{
    uint32_t rate = rates[_i], burst = rate < 20 ? 1 : rate / 10;
    struct limits limits = limits_of(rate, 0);
    struct instant begin = { 77 * NS_PER_S };
    uint64_t first = leave_until(&limits, begin, NS_PER_MS, NS_PER_MS);
    ck_assert_uint_eq(first, burst);
    uint64_t left = first + leave_until(&limits, instant_after(begin, NS_PER_MS), 2 * NS_PER_S, 700 * NS_PER_US);
    ck_assert_uint_le(left, 2 * (uint64_t)rate + burst + rate / 1000 + 1);
    ck_assert_uint_ge(left + 1, (uint64_t)(2 * rate) * 99 / 100);
}
END_TEST

/* A pause is made up for by no more than that. */
START_TEST(makes_up_for_nothing)
{
    uint32_t rate = rates[_i], burst = rate < 20 ? 1 : rate / 10;
    struct limits limits = limits_of(rate, 0);
    leave_until(&limits, (struct instant){ NS_PER_S }, NS_PER_MS, NS_PER_MS);
    ck_assert_uint_eq(leave_until(&limits, (struct instant){ 1000 * NS_PER_S }, NS_PER_MS, NS_PER_MS), burst);
}
END_TEST

/* The next may leave when it is said to, and no nanosecond before. */
START_TEST(tells_the_next)
{
    struct limits limits = limits_of(rates[_i], 0);
    struct instant now = { NS_PER_S }, when;
    for (int i = 0; i < 1000; i++) {
        if (!limits_next(&limits, 0, &when))
            ck_abort_msg("no limit of those in flight");
        now = when.ns > now.ns ? when : now;
        if (!limits_allow(&limits, 0, now) || limits_allow(&limits, 0, instant_after(when, -1)))
            ck_abort_msg("at another time than was said");
        limits_note(&limits, now);
    }
}
END_TEST

START_TEST(in_flight)
{
    struct limits limits = limits_of(0, 3);
    struct instant now = { NS_PER_S }, when;
    for (int i = 0; i < 1000; i++)
        limits_note(&limits, now);
    ck_assert(limits.any && limits_allow(&limits, 2, now) && !limits_allow(&limits, 3, now));
    ck_assert(limits_next(&limits, 2, &when) && when.ns <= now.ns);
    ck_assert(!limits_next(&limits, 3, &when));
}
END_TEST

START_TEST(none)
{
    struct limits limits = limits_of(0, 0);
    ck_assert(!limits.any && limits_allow(&limits, UINT32_MAX - 1, (struct instant){ 0 }));
}
END_TEST

Suite *
limits_suite(void)
{
    Suite *suite = suite_create("limits");
    TCase *tests = tcase_create("limits");
    tcase_add_loop_test(tests, keeps_its_rate, 0, COUNT(rates));
    tcase_add_loop_test(tests, makes_up_for_nothing, 0, COUNT(rates));
    tcase_add_loop_test(tests, tells_the_next, 0, COUNT(rates));
    tcase_add_test(tests, in_flight);
    tcase_add_test(tests, none);
    suite_add_tcase(suite, tests);
    return suite;
}
