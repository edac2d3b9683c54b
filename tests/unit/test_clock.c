/* SPDX-License-Identifier: MIT */
#include "host/clock.h"
#include "suites.h"
#include "support.h"

#define EPOCH (INT64_C(1700000000) * NS_PER_S) /* what the wall clock shows when the monotonic one shows 0 */
#define MS NS_PER_MS

static struct clock_reading
reading(int64_t monotonic, int64_t wall)
{
    return (struct clock_reading){ { monotonic }, { wall }, 0 };
}

START_TEST(without_a_step)
{
    struct clock clock = { 0 };
    clock_update(&clock, reading(1000 * MS, EPOCH + 1000 * MS));
    clock_update(&clock, reading(1010 * MS, EPOCH + 1010 * MS));
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 1005 * MS }).ns, 1005 * MS);
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 1010 * MS }).ns, 1010 * MS);
    /* one that waited since before the last reading */
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 900 * MS }).ns, 900 * MS);
    /* never later than now */
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 1011 * MS }).ns, 1010 * MS);
}
END_TEST

START_TEST(the_first_reading_is_enough)
{
    struct clock clock = { 0 };
    clock_update(&clock, reading(1000 * MS, EPOCH + 1000 * MS));
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 999 * MS }).ns, 999 * MS);
}
END_TEST

/* Two readings that differ by the time between two calls are no step: the instants do not tremble. */
START_TEST(a_tremble_is_no_step)
{
    struct clock clock = { 0 };
    clock_update(&clock, reading(1000 * MS, EPOCH + 1000 * MS));
    clock_update(&clock, reading(1010 * MS, EPOCH + 1010 * MS + 900));
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 1005 * MS }).ns, 1005 * MS);
    for (int64_t turn = 2; turn < 1000; turn++) {
        int64_t tremble = turn % 2 ? 900 : -900;
        clock_update(&clock, reading((1000 + turn * 10) * MS, EPOCH + (1000 + turn * 10) * MS + tremble));
    }
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 10985 * MS }).ns, 10985 * MS);
}
END_TEST

/* A reading whose calls lay far apart: what it differs by may be that, and says nothing better than a closer one did. */
START_TEST(a_wide_reading_is_no_step)
{
    struct clock clock = { 0 };
    clock_update(&clock, reading(1000 * MS, EPOCH + 1000 * MS));
    clock_update(&clock, (struct clock_reading){ { 1100 * MS }, { EPOCH + 1100 * MS + 200 * MS }, 1000 });
    clock_update(&clock, (struct clock_reading){ { 1110 * MS }, { EPOCH + 1310 * MS - 20000 }, 50000 });
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 1020 * MS }).ns, 1020 * MS);
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 1305 * MS }).ns, 1105 * MS);
    clock_update(&clock, (struct clock_reading){ { 1120 * MS }, { EPOCH + 1320 * MS - 100000 }, 50000 });
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 1318 * MS - 100000 }).ns, 1118 * MS);
}
END_TEST

/* The first reading was a wide one: the closest of those since then counts. */
START_TEST(the_closest_reading_counts)
{
    struct clock clock = { 0 };
    clock_update(&clock, (struct clock_reading){ { 1000 * MS }, { EPOCH + 1000 * MS + 20000 }, 50000 });
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 990 * MS }).ns, 990 * MS - 20000);
    clock_update(&clock, (struct clock_reading){ { 1010 * MS }, { EPOCH + 1010 * MS + 50 }, 100 });
    clock_update(&clock, (struct clock_reading){ { 1020 * MS }, { EPOCH + 1020 * MS - 9000 }, 30000 });
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 1005 * MS }).ns, 1005 * MS - 50);
}
END_TEST

/* The wall clock jumps at 1050 ms, between the readings at 1000 ms and 1100 ms; and time goes on after that. */
static const int64_t steps[] = {
    3600 * NS_PER_S, -3600 * NS_PER_S, NS_PER_S, -NS_PER_S, 200 * MS, -200 * MS, INT64_C(-1700000000) * NS_PER_S,
};

static struct clock
stepped(int64_t step)
{
    struct clock clock = { 0 };
    clock_update(&clock, reading(900 * MS, EPOCH + 900 * MS));
    clock_update(&clock, reading(1000 * MS, EPOCH + 1000 * MS));
    clock_update(&clock, reading(1100 * MS, EPOCH + 1100 * MS + step));
    return clock;
}

START_TEST(stamped_before_the_step)
{
    struct clock clock = stepped(steps[_i]);
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 1020 * MS }).ns, 1020 * MS);
}
END_TEST

START_TEST(stamped_after_the_step)
{
    struct clock clock = stepped(steps[_i]);
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 1080 * MS + steps[_i] }).ns, 1080 * MS);
}
END_TEST

/*
 * We stood still from 1000 to 3000 ms, and the clock was stepped in the middle, by less: early answers came before it,
 * late ones after.
 */
static const int64_t small_steps[] = { 500 * MS, -500 * MS, 20 * MS, -20 * MS };

START_TEST(step_within_a_standstill)
{
    int64_t step = small_steps[_i];
    struct clock clock = { 0 };
    clock_update(&clock, reading(1000 * MS, EPOCH + 1000 * MS));
    clock_update(&clock, reading(3000 * MS, EPOCH + 3000 * MS + step));
    for (int64_t arrived = 1000; arrived < 1740; arrived += 10)
        ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + arrived * MS }).ns, arrived * MS);
    for (int64_t arrived = 2260; arrived <= 3000; arrived += 10)
        ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + arrived * MS + step }).ns, arrived * MS);
    /* and afterwards, while not all has been read: what came after the standstill */
    clock_update(&clock, reading(3010 * MS, EPOCH + 3010 * MS + step));
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 3005 * MS + step }).ns, 3005 * MS);
}
END_TEST

/* Departure was noted before the step, by the monotonic clock: the round trip is right whatever happened between. */
START_TEST(round_trip_across_the_step)
{
    struct clock clock = stepped(steps[_i]);
    struct instant departed = { 950 * MS };
    clock_update(&clock, reading(1200 * MS, EPOCH + 1200 * MS + steps[_i]));
    struct instant arrived = clock_of_stamp(&clock, (struct wall){ EPOCH + 1150 * MS + steps[_i] });
    ck_assert_int_eq(instant_since(arrived, departed), 200 * MS);
}
END_TEST

START_TEST(step_after_step)
{
    struct clock clock = stepped(NS_PER_S);
    clock_update(&clock, reading(1200 * MS, EPOCH + 1200 * MS - NS_PER_S));
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 1110 * MS + NS_PER_S }).ns, 1110 * MS);
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 1190 * MS - NS_PER_S }).ns, 1190 * MS);
}
END_TEST

/* Packets from before the step that still wait, turns later, until all of them were read. */
START_TEST(waiting_since_before_the_step)
{
    struct clock clock = stepped(steps[_i]);
    for (int64_t now = 1110; now < 1150; now += 10) {
        clock_update(&clock, reading(now * MS, EPOCH + now * MS + steps[_i]));
        clock_settle(&clock, (struct instant){ 1100 * MS });
        ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 400 * MS }).ns, 400 * MS);
        ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 1020 * MS }).ns, 1020 * MS);
        ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 1105 * MS + steps[_i] }).ns, 1105 * MS);
    }
    clock_settle(&clock, (struct instant){ 1101 * MS });
    ck_assert_int_ne(clock_of_stamp(&clock, (struct wall){ EPOCH + 1020 * MS }).ns, 1020 * MS);
    ck_assert_int_eq(clock_of_stamp(&clock, (struct wall){ EPOCH + 1105 * MS + steps[_i] }).ns, 1105 * MS);
}
END_TEST

/* A stamp that fits neither: at least not in the future. */
START_TEST(nonsense_is_never_later_than_now)
{
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct clock clock = stepped(steps[i]);
        struct instant arrived = clock_of_stamp(&clock, (struct wall){ EPOCH + 9000 * NS_PER_S });
        ck_assert_int_le(arrived.ns, 1100 * MS);
    }
}
END_TEST

START_TEST(real_clocks)
{
    struct instant before = clock_now();
    struct clock_reading now = clock_read();
    struct instant after = clock_now();
    ck_assert_int_le(before.ns, now.instant.ns);
    ck_assert_int_le(now.instant.ns, after.ns);
    ck_assert_int_gt(now.wall.ns, EPOCH);
    struct clock clock = { 0 };
    clock_update(&clock, now);
    struct clock renewed = clock_renew(&clock);
    ck_assert_int_ge(renewed.now.instant.ns, after.ns);
    ck_assert(clock.now.instant.ns == now.instant.ns && !renewed.stepped);
    ck_assert_int_eq(instant_since(instant_after(before, 5), before), 5);
}
END_TEST

/* The stamp of a departure may seem earlier than the clock before it, by half of what the clocks were read apart. */
START_TEST(departure_by_wide_clocks)
{
    struct clock clock = { 0 };
    struct instant now = clock_now();
    clock_update(&clock, (struct clock_reading){ now, { now.ns + EPOCH }, MS });
    struct instant departed = now;
    ck_assert(clock_correct_departure(&clock, (struct wall){ now.ns + EPOCH - MS / 2 }, &departed));
    ck_assert_int_eq(instant_since(departed, now), -MS / 2);
    departed = now;
    ck_assert(!clock_correct_departure(&clock, (struct wall){ now.ns + EPOCH - MS }, &departed));
    ck_assert(!clock_correct_departure(&clock, (struct wall){ clock_now().ns + EPOCH + 1000 * MS }, &departed));
    ck_assert_int_eq(departed.ns, now.ns);
}
END_TEST

START_TEST(first_reading_and_first_after_a_step)
{
    struct clock clock = { 0 };
    ck_assert(clock_update(&clock, reading(1000 * MS, EPOCH + 1000 * MS)));
    ck_assert(!clock_update(&clock, reading(1010 * MS, EPOCH + 1010 * MS)));
    ck_assert(clock_update(&clock, reading(1020 * MS, EPOCH + 1030 * MS)));
    ck_assert(!clock_update(&clock, reading(1030 * MS, EPOCH + 1040 * MS)));
}
END_TEST

/* As ICMP timestamps count: from midnight UT on, when it begins again. */
START_TEST(milliseconds_of_the_day)
{
    static const struct {
        int64_t ns;
        uint32_t ms;
    } rows[] = {
        { 0, 0 },
        { 999999, 0 },
        { NS_PER_MS, 1 },
        { 86400 * NS_PER_S - 1, 86399999 },
        { 86400 * NS_PER_S, 0 },
        { 1700006399 * NS_PER_S + 999999999, 86399999 }, /* 2023-11-14 */
        { 1700006400 * NS_PER_S, 0 },
        { INT64_MAX, 85636854 },
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        ck_assert_uint_eq(wall_ms_of_day((struct wall){ rows[i].ns }), rows[i].ms);
}
END_TEST

Suite *
clock_suite(void)
{
    Suite *suite = suite_create("clock");
    TCase *tests = tcase_create("clock");
    tcase_add_test(tests, without_a_step);
    tcase_add_test(tests, the_first_reading_is_enough);
    tcase_add_test(tests, a_tremble_is_no_step);
    tcase_add_test(tests, a_wide_reading_is_no_step);
    tcase_add_test(tests, the_closest_reading_counts);
    tcase_add_loop_test(tests, stamped_before_the_step, 0, COUNT(steps));
    tcase_add_loop_test(tests, stamped_after_the_step, 0, COUNT(steps));
    tcase_add_loop_test(tests, step_within_a_standstill, 0, COUNT(small_steps));
    tcase_add_loop_test(tests, round_trip_across_the_step, 0, COUNT(steps));
    tcase_add_loop_test(tests, waiting_since_before_the_step, 0, COUNT(steps));
    tcase_add_test(tests, step_after_step);
    tcase_add_test(tests, nonsense_is_never_later_than_now);
    tcase_add_test(tests, real_clocks);
    tcase_add_test(tests, departure_by_wide_clocks);
    tcase_add_test(tests, first_reading_and_first_after_a_step);
    tcase_add_test(tests, milliseconds_of_the_day);
    suite_add_tcase(suite, tests);
    return suite;
}
