/* SPDX-License-Identifier: MIT */
/*
 * How many probes may leave, where who starts the process has set limits: a second, and before others have ended. It counts
 * time alone; who sends asks here first, and tells what left.
 */
#ifndef HOPLINE_LIMITS_H
#define HOPLINE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "packets/instant.h"

#define LIMIT_RATE_MAX 10000000 /* probes a second */

struct limits {
    bool any;            /* there is a limit */
    uint32_t in_flight;  /* at most */
    int64_t interval;    /* ns between probes; 0: no limit of their rate */
    int64_t early;       /* ns by which they may be early, so that a tenth of a second's may leave at once after a pause */
    struct instant due;  /* of the next, if none were early */
};

/* RATE: probes a second, up to LIMIT_RATE_MAX. 0 of either: no limit. */
struct limits limits_of(uint32_t rate, uint32_t in_flight);

/* True when one more may leave now, with so many IN_FLIGHT. */
bool limits_allow(const struct limits *limits, uint32_t in_flight, struct instant now);

/* One left. */
void limits_note(struct limits *limits, struct instant now);

/* When the next may leave, which may be over already. False: not before one has ended. */
bool limits_next(const struct limits *limits, uint32_t in_flight, struct instant *when);

#endif
