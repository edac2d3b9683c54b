/* SPDX-License-Identifier: MIT */
#include "plain/late.h"
#include "suites.h"
#include "support.h"

static struct address
target_of(uint32_t number)
{
    return (struct address){ { 10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number } };
}

/* What is the same in all three, until something comes back or its time is over. */
START_TEST(awaited)
{
    struct late *late = late_new();
    struct instant now = clock_now();
    struct address one = target_of(1), other = target_of(2);
    MUST(late != NULL);
    MUST(!late_awaits(late, 40000, 53, &one, now));
    late_sent(late, 40000, 53, &one, now);
    MUST(late_awaits(late, 40000, 53, &one, now));
    MUST(!late_awaits(late, 40001, 53, &one, now));
    MUST(!late_awaits(late, 40000, 54, &one, now));
    MUST(!late_awaits(late, 40000, 53, &other, now));
    MUST(late_awaits(late, 40000, 53, &one, instant_after(now, 2900 * NS_PER_MS)));
    MUST(!late_awaits(late, 40000, 53, &one, instant_after(now, 3100 * NS_PER_MS)));
    late_heard(late, 40000, 53, &one);
    MUST(!late_awaits(late, 40000, 53, &one, now));
    late_free(late);
}
END_TEST

/* However many there are, none is forgotten; and of 20,000 a second few others pass for one of them. */
START_TEST(many)
{
    struct late *late = late_new();
    struct instant now = clock_now();
    uint32_t count = 60000, taken = 0;
    MUST(late != NULL);
    for (uint32_t i = 0; i < count; i++) {
        struct address target = target_of(i);
        late_sent(late, (uint16_t)(40000 + i % 256), 53, &target, now);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct address target = target_of(i);
        MUST(late_awaits(late, (uint16_t)(40000 + i % 256), 53, &target, now));
        taken += late_awaits(late, (uint16_t)(40000 + (i + 1) % 256), 53, &target, now);
    }
    ck_assert_uint_lt(taken, count / 4);
    ck_assert_uint_gt(taken, count / 6);
    late_free(late);
}
END_TEST

/* What comes back to others, be they of the same hash, makes nobody forgotten. */
START_TEST(others_are_heard)
{
    struct late *late = late_new();
    struct instant now = clock_now();
    struct address one = target_of(1);
    MUST(late != NULL);
    late_sent(late, 40000, 53, &one, now);
    for (uint32_t i = 0; i < 2000000; i++) { /* some of them come to its place */
        struct address target = target_of(i + 2);
        late_sent(late, 40000, 53, &target, now);
        late_heard(late, 40000, 53, &target);
    }
    MUST(late_awaits(late, 40000, 53, &one, now));
    for (uint32_t i = 0; i < 1000; i++)
        late_sent(late, 40000, 53, &one, now);
    for (uint32_t i = 0; i < 1000; i++)
        late_heard(late, 40000, 53, &one);
    MUST(late_awaits(late, 40000, 53, &one, now));
    MUST(!late_awaits(late, 40000, 53, &one, instant_after(now, 3100 * NS_PER_MS)));
    late_free(late);
}
END_TEST

/* Where another has left by all three not long before, these do not tell them apart, whatever came back. */
START_TEST(shared)
{
    struct late *late = late_new();
    struct instant now = clock_now();
    struct address one = target_of(1), other = target_of(2);
    MUST(late != NULL);
    MUST(!late_is_shared(late, 40000, 53, &one));
    late_sent(late, 40000, 53, &one, now);
    late_sent(late, 40000, 53, &other, now);
    late_heard(late, 40000, 53, &one);
    MUST(!late_is_shared(late, 40000, 53, &one) && !late_is_shared(late, 40000, 53, &other));
    late_sent(late, 40000, 53, &one, instant_after(now, 29 * NS_PER_S));
    MUST(late_is_shared(late, 40000, 53, &one) && !late_is_shared(late, 40000, 53, &other));
    late_sent(late, 40000, 53, &one, instant_after(now, 60 * NS_PER_S));
    MUST(!late_is_shared(late, 40000, 53, &one));
    late_free(late);
}
END_TEST

Suite *
late_suite(void)
{
    Suite *suite = suite_create("late");
    TCase *tests = tcase_create("late");
    tcase_add_test(tests, awaited);
    tcase_add_test(tests, many);
    tcase_add_test(tests, others_are_heard);
    tcase_add_test(tests, shared);
    suite_add_tcase(suite, tests);
    return suite;
}
