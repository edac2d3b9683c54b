/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "probes/timer.h"
#include "suites.h"
#include "support.h"

#define SLOTS 300u
#define MANY 100000u

static struct timers *
new_timers(uint32_t slots)
{
    struct timers *timers = memory(sizeof *timers);
    timers_init(timers);
    for (uint32_t slot = 0; slot < slots; slot++)
        MUST(timers_reach(timers, slot));
    return timers;
}

static void
delete_timers(struct timers *timers)
{
    timers_free(timers);
    free(timers);
}

static bool
earliest(const bool set[SLOTS], const int64_t deadlines[SLOTS], int64_t *ns)
{
    bool any = false;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        if (set[slot] && (!any || deadlines[slot] < *ns))
            *ns = deadlines[slot];
        any = any || set[slot];
    }
    return any;
}

static uint32_t
count_all(const struct timers *timers, const bool set[SLOTS])
{
    uint32_t count = 0;
    for (uint32_t slot = timers_any(timers); slot != TIMER_NONE; slot = timers_after(timers, slot), count++)
        MUST(slot < SLOTS && set[slot] && count < SLOTS);
    return count;
}

/* Few different deadlines, so that many are equal; some are negative. */
START_TEST(random_against_model)
{
    struct timers *timers = new_timers(SLOTS);
    bool set[SLOTS] = { false };
    int64_t deadlines[SLOTS] = { 0 };
    uint64_t state = 7;
    uint32_t count = 0;
    for (uint32_t round = 0; round < 60000; round++) {
        uint32_t slot = dice(&state) % SLOTS;
        if (set[slot]) {
            MUST(timers_get(timers, slot).ns == deadlines[slot]);
            timers_end(timers, slot);
        } else {
            deadlines[slot] = (int64_t)(dice(&state) % 200) - 50;
            timers_set(timers, slot, (struct instant){ deadlines[slot] });
        }
        set[slot] = !set[slot];
        count += set[slot] ? 1 : UINT32_MAX;
        MUST(count_all(timers, set) == count);
        int64_t ns = 0;
        uint32_t next;
        struct instant deadline;
        bool any = earliest(set, deadlines, &ns);
        MUST(timers_next(timers, &next, &deadline) == any);
        if (any) {
            MUST(deadline.ns == ns);
            MUST(set[next] && deadlines[next] == ns);
        }
    }
    delete_timers(timers);
}
END_TEST

static int
compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

START_TEST(come_out_sorted)
{
    struct timers *timers = new_timers(MANY);
    int64_t *sorted = memory(MANY * sizeof *sorted);
    uint64_t state = 8;
    for (uint32_t slot = 0; slot < MANY; slot++) {
        sorted[slot] = (int64_t)((uint64_t)dice(&state) << 24 ^ dice(&state));
        timers_set(timers, slot, (struct instant){ sorted[slot] });
    }
    qsort(sorted, MANY, sizeof *sorted, compare);
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t slot;
        struct instant deadline;
        MUST(timers_next(timers, &slot, &deadline));
        MUST(deadline.ns == sorted[i]);
        timers_end(timers, slot);
    }
    MUST(timers_any(timers) == TIMER_NONE);
    free(sorted);
    delete_timers(timers);
}
END_TEST

/* As probes are: a few timeouts, of which each makes deadlines that become later and later; most end before, in any order. */
START_TEST(few_timeouts)
{
    static const int64_t timeouts[] = { 1000, 10000, 4000, 60000, 2000, 7000 };
    struct timers *timers = new_timers(SLOTS);
    bool set[SLOTS] = { false };
    int64_t deadlines[SLOTS] = { 0 };
    uint64_t state = 9;
    for (int64_t now = 0; now < 100000; now++) {
        struct instant deadline;
        uint32_t next, slot = dice(&state) % SLOTS;
        while (timers_next(timers, &next, &deadline) && deadline.ns <= now) {
            int64_t ns;
            MUST(earliest(set, deadlines, &ns) && ns == deadline.ns && set[next] && deadlines[next] == ns);
            timers_end(timers, next);
            set[next] = false;
        }
        if (set[slot])
            timers_end(timers, slot);
        set[slot] = true;
        deadlines[slot] = now + timeouts[dice(&state) % COUNT(timeouts)];
        timers_set(timers, slot, (struct instant){ deadlines[slot] });
    }
    delete_timers(timers);
}
END_TEST

START_TEST(equal_deadlines_come_once_each)
{
    struct timers *timers = new_timers(1000);
    bool seen[1000] = { false };
    for (uint32_t slot = 0; slot < 1000; slot++)
        timers_set(timers, slot, (struct instant){ 42 });
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t slot;
        struct instant deadline;
        MUST(timers_next(timers, &slot, &deadline));
        MUST(deadline.ns == 42 && !seen[slot]);
        seen[slot] = true;
        timers_end(timers, slot);
    }
    uint32_t slot;
    struct instant deadline;
    MUST(!timers_next(timers, &slot, &deadline));
    delete_timers(timers);
}
END_TEST

START_TEST(extremes)
{
    static const int64_t deadlines[] = { INT64_MAX, 0, INT64_MIN, -1, INT64_MAX, 1 };
    static const int64_t order[] = { INT64_MIN, -1, 0, 1, INT64_MAX, INT64_MAX };
    struct timers *timers = new_timers(COUNT(deadlines));
    for (uint32_t slot = 0; slot < COUNT(deadlines); slot++)
        timers_set(timers, slot, (struct instant){ deadlines[slot] });
    for (size_t i = 0; i < COUNT(order); i++) {
        uint32_t slot;
        struct instant deadline;
        MUST(timers_next(timers, &slot, &deadline));
        MUST(deadline.ns == order[i]);
        timers_end(timers, slot);
    }
    delete_timers(timers);
}
END_TEST

START_TEST(bounds)
{
    struct timers *timers = new_timers(0);
    MUST(timers_reach(timers, CHUNKS_ELEMENTS - 1));
    MUST(!timers_reach(timers, CHUNKS_ELEMENTS));
    delete_timers(timers);
}
END_TEST

Suite *
timer_suite(void)
{
    Suite *suite = suite_create("timer");
    TCase *tests = tcase_create("timer");
    tcase_add_test(tests, random_against_model);
    tcase_add_test(tests, come_out_sorted);
    tcase_add_test(tests, few_timeouts);
    tcase_add_test(tests, equal_deadlines_come_once_each);
    tcase_add_test(tests, extremes);
    tcase_add_test(tests, bounds);
    suite_add_tcase(suite, tests);
    return suite;
}
