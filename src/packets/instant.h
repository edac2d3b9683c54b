/* SPDX-License-Identifier: MIT */
/*
 * Time as values. The two clocks have a type each, so that no wall-clock number can be mixed into deadlines and round
 * trips.
 */
#ifndef HOPLINE_INSTANT_H
#define HOPLINE_INSTANT_H

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

#define MS_PER_DAY 86400000

/* Milliseconds since midnight UT, as ICMP timestamps count (RFC 792); the clock was never before 1970. */
static inline uint32_t
wall_ms_of_day(struct wall time)
{
    return (uint32_t)(time.ns / NS_PER_MS % MS_PER_DAY);
}

#endif
