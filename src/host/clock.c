/* SPDX-License-Identifier: MIT */
#include "host/clock.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

/*
 * Both clocks are slewed alike (adjtime(3)), so their difference changes only when the wall clock is stepped. Steps that
 * are smaller, in ns, are as well left alone.
 */
#define STEP_NOTICED (5 * NS_PER_US)

#define CLOSE (10 * NS_PER_US) /* a reading by which round trips are true enough */

static int64_t
read_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

struct instant
clock_now(void)
{
    return (struct instant){ read_ns(CLOCK_MONOTONIC) };
}

/*
 * The kernel takes up a wait that a stop has interrupted: ppoll() with the time that was left when the stop came, poll()
 * until the end that it had at first. So a long wait is poll()'s; but that may end later than it should by a two-hundredth
 * of it, 100 ms at most, so the last of it is ppoll()'s, and what a stop can add is no more than this.
 */
#define LONG_WAIT (20 * NS_PER_MS)
#define LATE_BY_ONE_IN 200
#define LATE_BY_MOST 100 /* ms */

static int
poll_briefly(struct pollfd *fds, size_t count, int64_t left)
{
    struct timespec timeout = { 0, 0 };
    if (left > 0)
        timeout = (struct timespec){ .tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S) };
    return ppoll(fds, count, &timeout, NULL);
}

/* A stop that lasts beyond the end leaves a look at what has come meanwhile. */
int
clock_poll(struct pollfd *fds, size_t count, const struct instant *until)
{
    if (!until)
        return ppoll(fds, count, NULL, NULL);
    int64_t left = instant_since(*until, clock_now());
    if (left >= LONG_WAIT) {
        int64_t ms = left / NS_PER_MS < INT_MAX ? left / NS_PER_MS : INT_MAX;
        int64_t early = ms / LATE_BY_ONE_IN < LATE_BY_MOST ? ms / LATE_BY_ONE_IN + 1 : LATE_BY_MOST;
        int ready = poll(fds, count, (int)(ms - early));
        if (ready != 0)
            return ready;
        left = instant_since(*until, clock_now());
    }
    return poll_briefly(fds, count, left);
}

/*
 * The process may be interrupted between two calls: of a few tries the one counts whose calls lie close. They may lie far
 * apart in all of them, on a busy machine whose clocks are read by system calls.
 */
static struct clock_reading
read_both(int tries, int64_t enough)
{
    struct clock_reading best = { 0 };
    int64_t narrowest = INT64_MAX;
    for (int tried = 0; tried < tries && narrowest > enough; tried++) {
        int64_t start = read_ns(CLOCK_MONOTONIC);
        int64_t wall = read_ns(CLOCK_REALTIME);
        int64_t end = read_ns(CLOCK_MONOTONIC);
        if (end - start < narrowest) {
            narrowest = end - start;
            best = (struct clock_reading){ { start + narrowest / 2 }, { wall }, narrowest };
        }
    }
    return best;
}

struct clock_reading
clock_read(void)
{
    return read_both(4, NS_PER_US);
}

bool
clock_update(struct clock *clock, struct clock_reading reading)
{
    int64_t offset = reading.wall.ns - reading.instant.ns;
    bool first = clock->now.instant.ns == 0;
    bool stepped = !first && llabs(offset - clock->offset) > STEP_NOTICED + (reading.width + clock->width) / 2;
    if (stepped) {
        clock->stepped = true;
        clock->offset_before = clock->offset;
        clock->step_after = clock->now.instant;
        clock->step_by = reading.instant;
    }
    if (first || stepped || reading.width < clock->width) {
        clock->offset = offset;
        clock->width = reading.width;
    }
    clock->now = reading;
    return first || stepped;
}

void
clock_refresh(struct clock *clock)
{
    if (clock_update(clock, clock_read()) && clock->width > CLOSE)
        clock_update(clock, read_both(32, CLOSE));
}

struct clock
clock_renew(const struct clock *clock)
{
    struct clock renewed = *clock;
    clock_refresh(&renewed);
    return renewed;
}

void
clock_settle(struct clock *clock, struct instant until)
{
    if (clock->stepped && instant_since(until, clock->step_by) > 0)
        clock->stepped = false;
}

/*
 * A stamp that fits both offsets, of a packet that came while the process stood still, and the clock was stepped within
 * that: with nothing known of when it was, it is the more likely before the step the earlier both instants are.
 */
static bool
came_rather_before(const struct clock *clock, struct instant by_before, struct instant by_now)
{
    return by_before.ns >= clock->step_after.ns && by_now.ns <= clock->step_by.ns &&
           by_before.ns - clock->step_after.ns < clock->step_by.ns - by_now.ns;
}

int64_t
clock_doubt(const struct clock *clock)
{
    return clock->width / 2;
}

struct instant
clock_of_stamp(const struct clock *clock, struct wall stamp)
{
    struct instant by_now = { stamp.ns - clock->offset };
    struct instant by_before = { stamp.ns - clock->offset_before };
    bool in_the_future = by_now.ns > clock->now.instant.ns;
    if (clock->stepped && by_before.ns <= clock->step_by.ns &&
        (in_the_future || by_now.ns < clock->step_after.ns || came_rather_before(clock, by_before, by_now)))
        return by_before;
    return in_the_future ? clock->now.instant : by_now;
}

bool
clock_correct_departure(const struct clock *clock, struct wall stamp, struct instant *departed)
{
    struct instant stamped = { stamp.ns - clock->offset };
    int64_t doubt = clock_doubt(clock);
    if (instant_since(stamped, *departed) < -doubt || instant_since(clock_now(), stamped) < -doubt)
        return false;
    *departed = stamped;
    return true;
}
