/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "probes/turns.h"
#include "suites.h"
#include "support.h"

/* Each number once, before any comes again; and then all of them once more, in the same order. */
START_TEST(each_in_turn)
{
    struct random random = { .left = 0 };
    for (unsigned bits = 2; bits <= 24; bits += 2) {
        struct turns turns;
        uint32_t all = UINT32_C(1) << bits;
        uint8_t *seen = zeroed_memory(all, 1);
        turns_init(&turns, bits, &random);
        turns.next = 0;
        uint32_t first = turns_next(&turns);
        seen[first] = 1;
        for (uint32_t i = 1; i < all; i++) {
            uint32_t number = turns_next(&turns);
            MUST(number < all && !seen[number]);
            seen[number] = 1;
        }
        MUST(turns_next(&turns) == first);
        free(seen);
    }
}
END_TEST

static int
by_size(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

/* Of 32 bits: none of a million twice, each bit as often 0 as 1, and no step between two that is often the same. */
START_TEST(of_32_bits)
{
    enum { MANY = 1000000, STEPS = 1 << 16 };
    struct random random = { .left = 0 };
    struct turns turns;
    uint32_t *seen = zeroed_memory(MANY, sizeof *seen);
    uint16_t *steps = zeroed_memory(STEPS, sizeof *steps);
    uint32_t ones[32] = { 0 }, last = 0;
    turns_init(&turns, 32, &random);
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t number = turns_next(&turns);
        seen[i] = number;
        steps[(number - last) >> 16]++;
        last = number;
        for (int bit = 0; bit < 32; bit++)
            ones[bit] += number >> bit & 1;
    }
    qsort(seen, MANY, sizeof *seen, by_size);
    for (uint32_t i = 1; i < MANY; i++)
        MUST(seen[i - 1] != seen[i]);
    for (int bit = 0; bit < 32; bit++) /* ten standard deviations */
        MUST(ones[bit] > MANY / 2 - 5000 && ones[bit] < MANY / 2 + 5000);
    for (uint32_t step = 0; step < STEPS; step++) /* 15 are expected */
        MUST(steps[step] < 100);
    free(steps);
    free(seen);
}
END_TEST

/* Two daemons go another way. */
START_TEST(secret)
{
    struct random random = { .left = 0 };
    struct turns one, other;
    uint32_t same = 0;
    turns_init(&one, 32, &random);
    turns_init(&other, 32, &random);
    other.next = one.next;
    for (uint32_t i = 0; i < 100000; i++)
        same += turns_next(&one) == turns_next(&other);
    MUST(same < 3);
}
END_TEST

Suite *
turns_suite(void)
{
    Suite *suite = suite_create("turns");
    TCase *tests = tcase_create("turns");
    tcase_add_test(tests, each_in_turn);
    tcase_add_test(tests, of_32_bits);
    tcase_add_test(tests, secret);
    suite_add_tcase(suite, tests);
    return suite;
}
