/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "host/random.h"
#include "suites.h"
#include "support.h"

START_TEST(below_its_limit_and_everywhere)
{
    struct random random = { .left = 0 };
    uint32_t seen[10] = { 0 };
    for (size_t i = 0; i < 5000; i++) {
        uint32_t number = random_below(&random, COUNT(seen));
        ck_assert_uint_lt(number, COUNT(seen));
        seen[number]++;
        ck_assert_uint_eq(random_below(&random, 1), 0);
    }
    for (size_t i = 0; i < COUNT(seen); i++)
        ck_assert_msg(seen[i] > 300 && seen[i] < 700, "%zu came %u times of 5000", i, seen[i]);
}
END_TEST

/* Two of them, and one after its pool was used up, have nothing in common. */
START_TEST(never_the_same_again)
{
    struct random a = { .left = 0 }, b = { .left = 0 };
    uint64_t seen[600];
    for (size_t i = 0; i < COUNT(seen); i++) {
        (void)random_u16(&a);
        (void)random_u32(&b);
        seen[i] = random_u64(i % 2 ? &a : &b);
        for (size_t j = 0; j < i; j++)
            ck_assert(seen[i] != seen[j]);
    }
}
END_TEST

Suite *
random_suite(void)
{
    Suite *suite = suite_create("random");
    TCase *tests = tcase_create("random");
    tcase_add_test(tests, below_its_limit_and_everywhere);
    tcase_add_test(tests, never_the_same_again);
    suite_add_tcase(suite, tests);
    return suite;
}
