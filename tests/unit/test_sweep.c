/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lines/request.h"
#include "probes/sweep.h"
#include "suites.h"
#include "support.h"

static struct sweeps sweeps;

static struct instant
at_us(int64_t us)
{
    return (struct instant){ NS_PER_S + us * NS_PER_US };
}

static void
set_up(void)
{
    sweeps = (struct sweeps){ .count = 0 };
}

static void
tear_down(void)
{
    sweeps_free(&sweeps);
}

static int
try_begin(const char *line)
{
    struct request request;
    struct complaint complaint;
    char *copy = strdup(line); /* what is needed of the line is copied, so it may go */
    ck_assert_int_eq(request_parse(copy, strlen(copy), true, &request, &complaint), LINE_REQUEST);
    int error = sweeps_add(&sweeps, &request, copy, strlen(copy), 1, at_us(0));
    free(copy);
    return error;
}

/* The sweep of the line; there is no other. */
static struct sweep *
begin(const char *line)
{
    ck_assert_int_eq(try_begin(line), 0);
    return sweeps.running[0];
}

/* Sends what is due by then; returns how many those are. */
static unsigned
send_until(struct instant now, struct part parts[])
{
    unsigned sent = 0;
    for (struct sweep *sweep; (sweep = sweeps_due(&sweeps, now)); sent++) {
        struct request *request = sweep_next(sweep);
        if (!request) /* an assertion that holds would be a write to a pipe each time */
            ck_abort_msg("no memory");
        if (parts)
            parts[sent] = request->part;
        sweep_began(sweep, now);
        sweep_sent(sweep);
    }
    return sent;
}

/* ---- rate ---- */

static const unsigned rates[] = { 1, 7, 1000, 1001, 30000, 300000, 7000001, 10000000 };

/* "Kept within 1% over a second", however often it is looked at. */
START_TEST(keeps_its_rate)
{
    char line[100];
    unsigned rate = rates[_i], sent = 0, parts = rate > 300000 ? 20 : 1; /* of a second: that is enough of so many */
    snprintf(line, sizeof line, "1 sweep ip-4 0.0.0.0/0 rate %u", rate);
    begin(line);
    for (int64_t us = 0; us <= 1000000 / parts; us += 700)
        sent += send_until(at_us(us), NULL);
    unsigned due = rate / parts, most = due / 100;
    ck_assert_msg(sent >= due - most - (parts > 1 ? rate / 1429 : 0) && sent <= due + most + 1, "%u at %u", sent, rate);
}
END_TEST

/* A standstill is not made up for. */
START_TEST(makes_nothing_up)
{
    char line[100];
    unsigned rate = rates[_i];
    snprintf(line, sizeof line, "1 sweep ip-4 0.0.0.0/0 rate %u", rate);
    begin(line);
    send_until(at_us(0), NULL);
    ck_assert_uint_le(send_until(at_us(5000000), NULL), rate / 100 + 2);
    ck_assert_uint_le(send_until(at_us(5090000), NULL), rate / 10 + 2);
}
END_TEST

/* It is not woken more often than each millisecond, and where nothing is due, not at all. */
START_TEST(wakes_when_it_has_to)
{
    struct instant when;
    ck_assert(!sweeps_next_wake(&sweeps, &when));
    struct sweep *sweep = begin("1 sweep ip-4 192.0.2.0/30 rate 100000");
    ck_assert_uint_eq(send_until(at_us(0), NULL), 1);
    ck_assert(sweeps_next_wake(&sweeps, &when));
    ck_assert_int_eq(when.ns, at_us(1010).ns);
    sweep_hold(sweep, at_us(7000));
    ck_assert_ptr_null(sweeps_due(&sweeps, at_us(6999)));
    ck_assert(sweeps_next_wake(&sweeps, &when));
    ck_assert_int_eq(when.ns, at_us(7000).ns);
    ck_assert_uint_eq(send_until(at_us(7000), NULL), 3);
    ck_assert(!sweeps_next_wake(&sweeps, &when));
}
END_TEST

/* "Several sweeps share the line by their rates." */
START_TEST(shares_by_rates)
{
    unsigned sent[3] = { 0 };
    ck_assert_int_eq(try_begin("1 sweep ip-4 10.0.0.0/8 rate 1000000"), 0);
    ck_assert_int_eq(try_begin("2 sweep ip-4 10.0.0.0/8 rate 3000000"), 0);
    for (int64_t us = 0; us < 100000; us += 1000) { /* no more than 40 each millisecond can leave */
        struct sweep *sweep;
        for (int room = 40; room > 0 && (sweep = sweeps_due(&sweeps, at_us(us))); room--) {
            sent[sweep_next(sweep)->token]++;
            sweep_began(sweep, at_us(us));
        }
    }
    ck_assert_msg(sent[1] > 900 && sent[1] < 1100, "%u and %u", sent[1], sent[2]);
}
END_TEST

/* Also where so little can leave that all are always late. */
START_TEST(shares_little_by_rates)
{
    unsigned sent[4] = { 0 };
    ck_assert_int_eq(try_begin("1 sweep ip-4 10.0.0.0/8 rate 100"), 0);
    ck_assert_int_eq(try_begin("2 sweep ip-4 10.0.0.0/8 rate 10000"), 0);
    for (int64_t us = 0; us < 20000000; us += 5000) { /* one at a time */
        if (us == 10000000) /* who comes later makes nothing up */
            ck_assert_int_eq(try_begin("3 sweep ip-4 10.0.0.0/8 rate 5000"), 0);
        struct sweep *sweep = sweeps_due(&sweeps, at_us(us));
        ck_assert_ptr_nonnull(sweep);
        for (struct sweep *other; (other = sweeps_due(&sweeps, at_us(us + 1)));) /* who is held has not had its turn */
            sweep_hold(other, at_us(us + 2));
        sent[sweep_next(sweep)->token]++;
        sweep_began(sweep, at_us(us));
    }
    ck_assert_msg(sent[1] > 30 && sent[1] < 38, "%u", sent[1]); /* of 2000 the 101st part, then the 151st */
    ck_assert_msg(sent[3] > 640 && sent[3] < 690, "%u", sent[3]);
}
END_TEST

START_TEST(no_more_than_there_is_room_for)
{
    for (int i = 0; i < SWEEPS_MAX; i++)
        ck_assert_int_eq(try_begin("1 sweep ip-4 192.0.2.1"), 0);
    ck_assert_int_eq(try_begin("1 sweep ip-4 192.0.2.1"), ENOSPC);
    sweeps_end(&sweeps, sweeps.running[9]);
    ck_assert_int_eq(try_begin("1 sweep ip-6 ::/0"), E2BIG);
    ck_assert_int_eq(try_begin("1 sweep ip-4 192.0.2.1"), 0);
    ck_assert_uint_eq(sweeps_stop(&sweeps, 1), SWEEPS_MAX);
    ck_assert_uint_eq(sweeps_stop(&sweeps, 2), 0);
}
END_TEST

/* ---- what becomes of them ---- */

static void
check_tally(const struct sweep *sweep, uint64_t sent, uint64_t answered, uint64_t silent, uint64_t refused,
            uint64_t in_flight, uint64_t left)
{
    struct sweep_tally tally = sweep_tally(sweep, at_us(0));
    ck_assert_uint_eq(tally.sent, sent);
    ck_assert_uint_eq(tally.answered, answered);
    ck_assert_uint_eq(tally.silent, silent);
    ck_assert_uint_eq(tally.refused, refused);
    ck_assert_uint_eq(tally.in_flight, in_flight);
    ck_assert_uint_eq(tally.left, left);
}

START_TEST(counts_each_once)
{
    struct part parts[8];
    struct sweep *sweep = begin("1 sweep ip-4 192.0.2.0/29 rate 1000000");
    ck_assert_uint_eq(send_until(at_us(3), parts), 4);
    check_tally(sweep, 4, 0, 0, 0, 4, 4);
    sweep_answered(sweep, parts[2], true);
    sweep_refused(sweep);
    ck_assert(!sweep_expired(sweep, parts[0]));
    check_tally(sweep, 4, 1, 1, 1, 1, 4);
    ck_assert_uint_eq(send_until(at_us(100), parts + 4), 4);
    for (int i = 3; i < 8; i++) {
        ck_assert(!sweep_is_over(sweep));
        sweep_answered(sweep, parts[i], false);
    }
    ck_assert(sweep_is_over(sweep));
    check_tally(sweep, 8, 6, 1, 1, 0, 0);
}
END_TEST

/* Each combination is tried as often as it was asked for, before others that are new, and no rate is exceeded by that. */
START_TEST(probes_again)
{
    enum { TARGETS = 256, RETRIES = 3 };
    static struct part parts[TARGETS * 2];
    unsigned tries[TARGETS] = { 0 };
    struct sweep *sweep = begin("1 sweep ip-4 192.0.2.0/24 rate 100000 retries 3");
    for (int64_t us = 0; !sweep_is_over(sweep); us += 1000) {
        unsigned count = send_until(at_us(us), parts);
        ck_assert_uint_le(count, 101);
        for (unsigned i = 0; i < count; i++) {
            ck_assert_uint_eq(parts[i].tries, tries[parts[i].combination]);
            ck_assert_int_eq(sweep_expired(sweep, parts[i]), tries[parts[i].combination]++ < RETRIES);
        }
    }
    check_tally(sweep, TARGETS * (1 + RETRIES), 0, TARGETS, 0, 0, 0);
}
END_TEST

START_TEST(stops)
{
    struct part parts[8], part;
    struct sweep *sweep = begin("1 sweep ip-4 192.0.2.0/29 rate 1000000 retries 1");
    ck_assert_uint_eq(send_until(at_us(2), parts), 3);
    ck_assert(sweep_expired(sweep, parts[0]));
    ck_assert(!sweep_take_given_up(sweep, &part));
    ck_assert_uint_eq(sweeps_stop(&sweeps, 1), 1);
    ck_assert_ptr_null(sweeps_due(&sweeps, at_us(1000)));
    ck_assert(sweep_take_given_up(sweep, &part) && part.combination == parts[0].combination);
    ck_assert(!sweep_take_given_up(sweep, &part));
    ck_assert(!sweep_expired(sweep, parts[1]));
    ck_assert(!sweep_is_over(sweep));
    sweep_answered(sweep, parts[2], true);
    ck_assert(sweep_is_over(sweep));
    check_tally(sweep, 3, 1, 2, 0, 0, 5);
    ck_assert_uint_eq(sweep_tally(sweep, at_us(0)).next, 3);
}
END_TEST

/* "End after so many different targets have given reply": one target's ttls count once. */
START_TEST(ends_at_its_limit)
{
    enum { TARGETS = 4096, TTLS = 3 };
    bool seen[TARGETS] = { false };
    unsigned different = 0;
    struct part part;
    struct sweep *sweep = begin("1 sweep ip-4 10.0.0.0/20 ttl 1-3 rate 1000000 limit 1000");
    for (int64_t us = 0; sweeps_due(&sweeps, at_us(us)); us++) {
        ck_assert_uint_eq(send_until(at_us(us), &part), 1);
        bool *target = &seen[part.combination / TTLS];
        different += !*target;
        *target = true;
        sweep_answered(sweep, part, true);
        ck_assert_int_eq(sweep_is_over(sweep), different == 1000);
    }
    ck_assert_uint_eq(different, 1000);
}
END_TEST

START_TEST(tells_progress)
{
    struct instant when;
    struct sweep *sweep = begin("1 sweep ip-4 192.0.2.1 progress 0.5");
    send_until(at_us(0), NULL);
    ck_assert(sweeps_next_wake(&sweeps, &when) && when.ns == at_us(500000).ns);
    ck_assert(!sweep_progress_is_due(sweep, at_us(499999)));
    ck_assert(sweep_progress_is_due(sweep, at_us(600000)) && !sweep_progress_is_due(sweep, at_us(600001)));
    ck_assert(sweeps_next_wake(&sweeps, &when) && when.ns == at_us(1100000).ns);
}
END_TEST

Suite *
sweep_suite(void)
{
    Suite *suite = suite_create("sweep");
    TCase *tests = tcase_create("sweep");
    tcase_set_timeout(tests, 30);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, keeps_its_rate, 0, COUNT(rates));
    tcase_add_loop_test(tests, makes_nothing_up, 0, COUNT(rates));
    tcase_add_test(tests, wakes_when_it_has_to);
    tcase_add_test(tests, shares_by_rates);
    tcase_add_test(tests, shares_little_by_rates);
    tcase_add_test(tests, no_more_than_there_is_room_for);
    tcase_add_test(tests, counts_each_once);
    tcase_add_test(tests, probes_again);
    tcase_add_test(tests, stops);
    tcase_add_test(tests, ends_at_its_limit);
    tcase_add_test(tests, tells_progress);
    suite_add_tcase(suite, tests);
    return suite;
}
