/*
 * Time. Deadlines and round trips run on CLOCK_MONOTONIC, as a type of its own so that no wall-clock number can be
 * mixed in; the kernel stamps packets by the wall clock (CLOCK_REALTIME), and this is where the two meet.
 */
#ifndef HOPLINE_CLOCK_H
#define HOPLINE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* Nanoseconds of CLOCK_MONOTONIC. */
struct instant {
    int64_t ns;
};

/* Nanoseconds since the epoch, of CLOCK_REALTIME. */
struct wall {
    int64_t ns;
};

static inline struct instant
instant_after(struct instant start, int64_t ns)
{
    return (struct instant){ start.ns + ns };
}

/* Nanoseconds from START to END. */
static inline int64_t
instant_since(struct instant end, struct instant start)
{
    return end.ns - start.ns;
}

/* The instant now. */
struct instant clock_now(void);

/* One simultaneous reading of both clocks. */
struct clock_reading {
    struct instant instant;
    struct wall wall;
};

struct clock_reading clock_read(void);

/* How the wall clock stands to the monotonic clock, and how it stood a reading ago. */
struct clock {
    struct clock_reading now;
    struct clock_reading before;
    int64_t offset;        /* wall - monotonic, ns */
    int64_t offset_before; /* the same before the newest reading */
};

/* Takes a new reading, once in each turn of the loop, before the packets of that turn are looked at. */
void clock_update(struct clock *clock, struct clock_reading reading);

/*
 * The instant at which the kernel stamped a packet, never later than the newest reading. A wall clock that was stepped
 * since the last reading is seen through: of the two offsets the one counts that puts the packet between the readings.
 */
struct instant clock_of_stamp(const struct clock *clock, struct wall stamp);

#endif
