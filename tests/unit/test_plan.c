/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lines/request.h"
#include "packets/protocol.h"
#include "probes/plan.h"
#include "suites.h"

/* The plan of a request as a client writes it, with this seed. */
static int
try_plan(const char *words, uint64_t seed, struct plan *plan)
{
    static char line[40000];
    struct request request;
    struct complaint complaint;
    int length = snprintf(line, sizeof line, "1 sweep %s", words);
    ck_assert_msg(request_parse(line, (size_t)length, true, &request, &complaint) == LINE_REQUEST, "%s", words);
    return plan_make(plan, &request, seed);
}

static struct plan
plan_of(const char *words, uint64_t seed)
{
    struct plan plan;
    ck_assert_int_eq(try_plan(words, seed, &plan), 0);
    return plan;
}

static void
check_address(const struct plan *plan, uint64_t number, const char *text)
{
    struct combination combination;
    struct address wanted;
    plan_combination(plan, number, &combination);
    ck_assert(address_parse(plan->ranges.family, text, strlen(text), &wanted));
    ck_assert_msg(address_same(&combination.target, &wanted), "%" PRIu64 " is not %s", number, text);
}

START_TEST(names_targets_in_order)
{
    static const struct {
        const char *words;
        uint64_t targets;
        const char *first, *last;
    } cases[] = {
        { "ip-4 192.0.2.9", 1, "192.0.2.9", "192.0.2.9" },
        { "ip-4 192.0.2.9/24", 256, "192.0.2.0", "192.0.2.255" },
        { "ip-4 192.0.2.9/31,192.0.2.3-192.0.2.5,192.0.2.1", 6, "192.0.2.1", "192.0.2.9" },
        { "ip-4 10.0.0.5,10.0.0.0/29,10.0.0.7-10.0.0.9", 10, "10.0.0.0", "10.0.0.9" },
        { "ip-4 10.0.0.0/8", 1 << 24, "10.0.0.0", "10.255.255.255" },
        { "ip-4 0.0.0.0/0", UINT64_C(1) << 32, "0.0.0.0", "255.255.255.255" },
        { "ip-4 255.255.255.255,255.255.255.254/31", 2, "255.255.255.254", "255.255.255.255" },
        { "ip-4 10.0.0.0/29 exclude 10.0.0.0,10.0.0.7", 6, "10.0.0.1", "10.0.0.6" },
        { "ip-4 10.0.0.0/29 exclude 10.0.0.2-10.0.0.3,10.0.0.3/32", 6, "10.0.0.0", "10.0.0.7" },
        { "ip-4 10.0.0.0/30,10.0.1.0/30 exclude 10.0.0.2-10.0.1.1", 4, "10.0.0.0", "10.0.1.3" },
        { "ip-4 10.0.0.0/29 exclude 9.0.0.0/8,11.0.0.0/8", 8, "10.0.0.0", "10.0.0.7" },
        { "ip-6 2001:db8::/120", 256, "2001:db8::", "2001:db8::ff" },
        { "ip-6 2001:db8::ffff:ffff:ffff:ffff-2001:db8:0:1::1", 3, "2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::1" },
        { "ip-6 ::/88", UINT64_C(1) << 40, "::", "::ff:ffff:ffff" },
        { "ip-6 ::/0 exclude 8000::/1,::8-7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 8, "::", "::7" },
        { "ip-6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0/124 exclude ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 15,
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe" },
    };
    struct plan plan = plan_of(cases[_i].words, 0);
    ck_assert_uint_eq(plan.targets, cases[_i].targets);
    ck_assert_uint_eq(plan.total, cases[_i].targets);
    check_address(&plan, 0, cases[_i].first);
    check_address(&plan, plan.total - 1, cases[_i].last);
    plan_free(&plan);
}
END_TEST

START_TEST(combines_all_values)
{
    struct plan plan = plan_of("ip-4 10.0.0.0/31 protocol udp ttl 3-5 port 53-54 flow 7-10 order sequential", 0);
    bool seen[2][3][2][4] = { { { { false } } } };
    ck_assert_uint_eq(plan.total, 2 * 3 * 2 * 4);
    for (uint64_t position = 0; position < plan.total; position++) {
        struct combination one;
        ck_assert_uint_eq(plan_at(&plan, position), position);
        plan_combination(&plan, position, &one);
        ck_assert(one.ttl >= 3 && one.ttl <= 5 && one.port >= 53 && one.port <= 54 && one.flow >= 7 && one.flow <= 10);
        bool *place = &seen[one.target.bytes[3]][one.ttl - 3][one.port - 53][one.flow - 7];
        ck_assert(!*place);
        *place = true;
    }
    plan_free(&plan);
}
END_TEST

START_TEST(refuses_what_can_not_be)
{
    static const struct {
        const char *words;
        int error;
    } cases[] = {
        { "ip-4 0.0.0.0/0 flow 0-255", 0 },
        { "ip-4 0.0.0.0/0 flow 0-256", E2BIG },
        { "ip-4 0.0.0.0/0 ttl 1-255 flow 0-1", E2BIG },
        { "ip-6 ::/88", 0 },
        { "ip-6 ::/88,1::", E2BIG },
        { "ip-6 ::/0", E2BIG },
        { "ip-6 ::/87 exclude ::/88", 0 },
        { "ip-4 10.0.0.0/24 from 256", 0 },
        { "ip-4 10.0.0.0/24 from 257", ERANGE },
        { "ip-4 10.0.0.0/24 exclude 10.0.0.0/24 from 1", ERANGE },
        { "ip-4 10.0.0.0/24 exclude 10.0.0.0/8", 0 },
    };
    struct plan plan;
    ck_assert_msg(try_plan(cases[_i].words, 1, &plan) == cases[_i].error, "%s", cases[_i].words);
    if (!cases[_i].error)
        plan_free(&plan);
}
END_TEST

static uint64_t
draw(uint64_t *state, uint64_t limit)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*state >> 33) % limit;
}

/* Some targets, some of them left out, of all sizes from none to some thousands of combinations. */
static void
write_random(uint64_t *state, char *words, size_t size)
{
    unsigned length = (unsigned)draw(state, 12), low = (unsigned)draw(state, 200);
    int used = snprintf(words, size, "ip-4 10.0.%u.0/%u,10.0.%u.%u-10.0.4.%u protocol udp order %s ttl %u-%u",
                        (unsigned)draw(state, 4), 32 - length, (unsigned)draw(state, 4), low, (unsigned)draw(state, 256),
                        draw(state, 4) ? "random" : "sequential", 1 + low % 4, (unsigned)(4 + draw(state, 3)));
    if (draw(state, 2))
        snprintf(words + used, size - (size_t)used, " port 80-%u exclude 10.0.0.%u,10.0.1.0/%u",
                 (unsigned)(80 + draw(state, 3)), (unsigned)draw(state, 256), (unsigned)(24 + draw(state, 9)));
}

/* "Shards of one seed are disjoint and together everything", and none goes on from where another one stopped. */
START_TEST(shards_are_everything_once)
{
    uint64_t state = 17;
    for (int round = 0; round < 500; round++) {
        char words[300], with_shard[400];
        write_random(&state, words, sizeof words);
        uint64_t seed = state, shards = 1 + draw(&state, 9), sum = 0;
        struct plan all = plan_of(words, seed);
        uint8_t *seen = calloc(all.total + 1, 1);
        for (uint64_t shard = 1; shard <= shards; shard++) {
            snprintf(with_shard, sizeof with_shard, "%s shard %u/%u", words, (unsigned)shard, (unsigned)shards);
            struct plan plan = plan_of(with_shard, seed);
            sum += plan.end - plan.start;
            for (uint64_t position = plan.start; position < plan.end; position++) {
                uint64_t number = plan_at(&plan, position);
                if (number >= plan.total || seen[number]++) /* each assertion that holds is a write to a pipe */
                    ck_abort_msg("%s: %" PRIu64, with_shard, number);
            }
            plan_free(&plan);
        }
        ck_assert_uint_eq(sum, all.total);
        plan_free(&all);
        free(seen);
    }
}
END_TEST

START_TEST(goes_on_from_where_it_was_stopped)
{
    struct plan all = plan_of("ip-4 10.0.0.0/20 shard 2/3", 5), rest = plan_of("ip-4 10.0.0.0/20 shard 2/3 from 2000", 5);
    ck_assert_uint_eq(all.start, 1366);
    ck_assert_uint_eq(rest.start, 2000);
    ck_assert_uint_eq(rest.end, all.end);
    ck_assert_uint_eq(plan_at(&rest, 2000), plan_at(&all, 2000));
    plan_free(&rest);
    rest = plan_of("ip-4 10.0.0.0/20 shard 2/3 from 4000", 5);
    ck_assert_uint_eq(rest.start, rest.end);
    plan_free(&rest);
    plan_free(&all);
}
END_TEST

/* "Of any 1000 probes in a row of a /16 no /24 gets more than 16", whatever else is combined. */
START_TEST(neighbours_are_far_apart)
{
    static const char *const words[] = {
        "ip-4 10.0.0.0/16", "ip-4 10.0.0.0/16 ttl 1-2", "ip-4 10.0.0.0/16 ttl 1-3", "ip-4 10.0.0.0/16 ttl 1-7",
        "ip-4 10.0.0.0/16 ttl 1-32", "ip-4 10.0.0.77-10.1.0.76", "ip-4 10.0.0.0/16 exclude 10.0.7.0/26,10.0.99.5",
    };
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct plan plan = plan_of(words[_i], seed);
        static unsigned counts[257];
        static uint16_t last[1000];
        memset(counts, 0, sizeof counts);
        for (uint64_t position = 0; position < plan.total && position < 300000; position++) {
            struct combination one;
            plan_combination(&plan, plan_at(&plan, position), &one);
            if (position >= 1000)
                counts[last[position % 1000]]--;
            last[position % 1000] = (uint16_t)((one.target.bytes[1] & 1) << 8 | one.target.bytes[2]);
            if (++counts[last[position % 1000]] > 16)
                ck_abort_msg("%s, seed %u", words[_i], (unsigned)seed);
        }
        plan_free(&plan);
    }
}
END_TEST

/* What comes first is no pattern: over many seeds each number comes first about as often, and as many follow as precede. */
START_TEST(order_depends_on_the_seed)
{
    unsigned first[16] = { 0 }, upwards = 0;
    for (uint64_t seed = 0; seed < 16000; seed++) {
        struct plan plan = plan_of("ip-4 10.0.0.0/28", seed);
        first[plan_at(&plan, 0)]++;
        upwards += plan_at(&plan, 5) < plan_at(&plan, 6);
        plan_free(&plan);
    }
    for (size_t i = 0; i < 16; i++)
        ck_assert_msg(first[i] > 850 && first[i] < 1150, "%zu comes first %u times", i, first[i]);
    ck_assert(upwards > 7500 && upwards < 8500);
}
END_TEST

/* A sweep that was stopped is gone on with by a later version: the order never changes. */
START_TEST(order_is_for_ever)
{
    static const uint64_t wanted[] = {
        4620005384, 7618345648, 124585704, 140099162, 5723054998, 614652803, 4016045109, 4891437224,
    };
    struct plan plan = plan_of("ip-6 2001:db8::/100 ttl 1-30", 42);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        ck_assert_uint_eq(plan_at(&plan, i * 12345), wanted[i]);
    plan_free(&plan);
}
END_TEST

Suite *
plan_suite(void)
{
    Suite *suite = suite_create("plan");
    TCase *tcase = tcase_create("plan");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, names_targets_in_order, 0, 16);
    tcase_add_test(tcase, combines_all_values);
    tcase_add_loop_test(tcase, refuses_what_can_not_be, 0, 11);
    tcase_add_test(tcase, shards_are_everything_once);
    tcase_add_test(tcase, goes_on_from_where_it_was_stopped);
    tcase_add_loop_test(tcase, neighbours_are_far_apart, 0, 7);
    tcase_add_test(tcase, order_depends_on_the_seed);
    tcase_add_test(tcase, order_is_for_ever);
    suite_add_tcase(suite, tcase);
    return suite;
}
