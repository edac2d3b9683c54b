/* SPDX-License-Identifier: MIT */
#include "probes/limits.h"

#define BURST_PARTS 10 /* of a second: what may leave at once */

struct limits
limits_of(uint32_t rate, uint32_t in_flight)
{
    uint32_t burst = rate / BURST_PARTS > 1 ? rate / BURST_PARTS : 1;
    int64_t interval = rate ? (NS_PER_S + rate - 1) / rate : 0; /* upwards, so that it is never exceeded */
    return (struct limits){
        .any = rate || in_flight,
        .in_flight = in_flight ? in_flight : UINT32_MAX,
        .interval = interval,
        .early = (burst - 1) * interval,
    };
}

static struct instant
first_time(const struct limits *limits)
{
    return instant_after(limits->due, -limits->early);
}

bool
limits_allow(const struct limits *limits, uint32_t in_flight, struct instant now)
{
    return in_flight < limits->in_flight && instant_since(now, first_time(limits)) >= 0;
}

void
limits_note(struct limits *limits, struct instant now)
{
    limits->due = instant_after(limits->due.ns > now.ns ? limits->due : now, limits->interval);
}

bool
limits_next(const struct limits *limits, uint32_t in_flight, struct instant *when)
{
    *when = first_time(limits);
    return in_flight < limits->in_flight;
}
