#include "clock.h"

#include <stdlib.h>
#include <time.h>

/*
 * Both clocks are slewed alike, so their difference moves only by steps. Two readings of it differ by the time between
 * the two calls; below this many nanoseconds that is taken for the cause.
 */
#define STEP_NOTICED (5 * NS_PER_US)

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

struct clock_reading
clock_read(void)
{
    /* The process may be interrupted between two calls: of a few tries the one counts whose calls lie close. */
    struct clock_reading best = { 0 };
    int64_t narrowest = INT64_MAX;
    for (int tries = 0; tries < 4 && narrowest > NS_PER_US; tries++) {
        int64_t start = read_ns(CLOCK_MONOTONIC);
        int64_t wall = read_ns(CLOCK_REALTIME);
        int64_t end = read_ns(CLOCK_MONOTONIC);
        if (end - start < narrowest) {
            narrowest = end - start;
            best = (struct clock_reading){ { start + (end - start) / 2 }, { wall } };
        }
    }
    return best;
}

void
clock_update(struct clock *clock, struct clock_reading reading)
{
    int64_t offset = reading.wall.ns - reading.instant.ns;
    bool first = clock->now.instant.ns == 0;
    clock->before = first ? reading : clock->now;
    clock->now = reading;
    clock->offset_before = first ? offset : clock->offset;
    if (first || llabs(offset - clock->offset) > STEP_NOTICED)
        clock->offset = offset;
}

struct instant
clock_of_stamp(const struct clock *clock, struct wall stamp)
{
    struct instant by_now = { stamp.ns - clock->offset };
    struct instant by_before = { stamp.ns - clock->offset_before };
    bool stepped = clock->offset != clock->offset_before;
    bool outside = by_now.ns < clock->before.instant.ns || by_now.ns > clock->now.instant.ns;
    if (stepped && outside && by_before.ns >= clock->before.instant.ns && by_before.ns <= clock->now.instant.ns)
        return by_before;
    return by_now.ns > clock->now.instant.ns ? clock->now.instant : by_now;
}
