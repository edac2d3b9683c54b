/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/random.h"
#include "lines/ranges.h"
#include "suites.h"
#include "support.h"
#include "tools/target.h"

#define RUNS 3000
#define UNIVERSE 64 /* addresses, of which one bit each says whether they are in a set */

/* Where the universe lies: at either end of all addresses, and where a carry crosses bytes and halves. */
static const struct {
    enum family_id family;
    const char *first;
} universes[] = {
    { IPV4, "0.0.0.0" },
    { IPV4, "255.255.255.192" },
    { IPV4, "10.255.255.224" },
    { IPV6, "::" },
    { IPV6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffc0" },
    { IPV6, "2001:db8:0:0:ffff:ffff:ffff:ffe0" },
};

static struct address
address_at(size_t universe, unsigned number)
{
    struct address address;
    enum family_id family = universes[universe].family;
    const char *text = universes[universe].first;
    ck_assert(address_parse(family, text, strlen(text), &address));
    for (size_t i = families[family].address_size; i-- > 0 && number; number >>= 8) {
        number += address.bytes[i];
        address.bytes[i] = (uint8_t)number;
    }
    return address;
}

static unsigned
count_bits(uint64_t bits)
{
    unsigned count = 0;
    for (; bits; bits &= bits - 1)
        count++;
    return count;
}

/* A set of random ranges of the universe, and its bits. */
static struct ranges
random_ranges(struct random *random, size_t universe, uint64_t *bits)
{
    struct ranges ranges = { .family = universes[universe].family };
    *bits = 0;
    for (uint32_t left = random_below(random, 8); left > 0; left--) {
        unsigned first = random_below(random, UNIVERSE);
        unsigned last = first + random_below(random, random_below(random, 2) ? 3 : UNIVERSE - first);
        last = last < UNIVERSE ? last : UNIVERSE - 1;
        struct address ends[2] = { address_at(universe, first), address_at(universe, last) };
        ck_assert(ranges_add(&ranges, &ends[0], &ends[1]));
        for (unsigned i = first; i <= last; i++)
            *bits |= UINT64_C(1) << i;
    }
    ranges_sort(&ranges);
    return ranges;
}

/* Whatever may be asked of it agrees with the bits. */
static void
check(const struct ranges *ranges, size_t universe, uint64_t bits)
{
    uint64_t number = 0, runs = bits & ~(bits << 1); /* the first of each run */
    ck_assert_uint_eq(ranges_count(ranges), count_bits(bits));
    ck_assert_uint_eq(ranges->count, count_bits(runs));
    for (unsigned i = 0; i < UNIVERSE; i++) {
        struct address address = address_at(universe, i), found;
        bool is_in = bits >> i & 1;
        if (ranges_hold(ranges, &address) != is_in || ranges_find(ranges, &address) != (is_in ? number : ADDRESSES_MAX))
            ck_abort_msg("%u of %s in %" PRIx64, i, universes[universe].first, bits);
        if (!is_in)
            continue;
        found = ranges_at(ranges, number++);
        ck_assert(address_same(&found, &address));
    }
}

START_TEST(sets_are_as_their_addresses)
{
    struct random random = { .left = 0 };
    for (int run = 0; run < RUNS; run++) {
        size_t universe = random_below(&random, sizeof universes / sizeof *universes);
        uint64_t bits, out_bits;
        struct ranges ranges = random_ranges(&random, universe, &bits), out = random_ranges(&random, universe, &out_bits);
        check(&ranges, universe, bits);
        ck_assert(ranges_subtract(&ranges, &out));
        check(&ranges, universe, bits & ~out_bits);
        ranges_free(&ranges);
        ranges_free(&out);
    }
}
END_TEST

/* What is written is read as the same, in however many pieces it comes. */
START_TEST(texts_are_the_set)
{
    struct random random = { .left = 0 };
    for (int run = 0; run < RUNS; run++) {
        size_t universe = random_below(&random, sizeof universes / sizeof *universes);
        uint64_t bits;
        struct ranges ranges = random_ranges(&random, universe, &bits), again = { .family = ranges.family };
        char text[200];
        for (size_t next = 0, end; next < ranges.count; next = end) {
            end = ranges_write(&ranges, next, text, sizeof text);
            ck_assert(end > next);
            ck_assert_uint_lt(strlen(text), sizeof text);
            for (char *rest, *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
                struct target target = target_read_text(word);
                ck_assert_msg(target.kind == TARGET_ADDRESS || target.kind == TARGET_BLOCK, "%s", word);
                ck_assert(ranges_add(&again, &target.first, &target.last));
            }
        }
        ranges_sort(&again);
        check(&again, universe, bits);
        ranges_free(&ranges);
        ranges_free(&again);
    }
}
END_TEST

/* Sets of more than ADDRESSES_MAX are known as such, and what is in them is known. */
START_TEST(large_sets)
{
    static const struct { const char *block, *inside; } blocks[] = {
        { "::/0", "2001:db8::1" }, { "2001:db8::/32", "2001:db8:ffff::" }, { "2001:db8::/80", "2001:db8::ffff:0:1" },
    };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        struct target block = target_read_text(blocks[i].block), inside = target_read_text(blocks[i].inside);
        struct ranges ranges = { .family = IPV6 }, out = { .family = IPV6 };
        ck_assert(ranges_add(&ranges, &block.first, &block.last));
        ranges_sort(&ranges);
        ck_assert_int_eq(block.count, BLOCK_MAX + 1);
        ck_assert_uint_eq(ranges_count(&ranges), ADDRESSES_MAX + 1);
        ck_assert(ranges_hold(&ranges, &inside.first));
        ck_assert(ranges_add(&out, &inside.first, &inside.first));
        ranges_sort(&out);
        ck_assert(ranges_subtract(&ranges, &out));
        ck_assert_uint_eq(ranges.count, 2);
        ck_assert(!ranges_hold(&ranges, &inside.first));
        ranges_free(&ranges);
        ranges_free(&out);
    }
    struct target eight = target_read_text("10.0.0.0/8");
    struct ranges ranges = { .family = IPV4 };
    ck_assert(ranges_add(&ranges, &eight.first, &eight.last));
    ranges_sort(&ranges);
    ck_assert_uint_eq(ranges_count(&ranges), 1 << 24);
    ranges_free(&ranges);
}
END_TEST

Suite *
ranges_suite(void)
{
    Suite *suite = suite_create("ranges");
    TCase *tcase = tcase_create("ranges");
    tcase_add_test(tcase, sets_are_as_their_addresses);
    tcase_add_test(tcase, texts_are_the_set);
    tcase_add_test(tcase, large_sets);
    suite_add_tcase(suite, tcase);
    return suite;
}
