/* SPDX-License-Identifier: MIT */
/*
 * Requests of clients that a limit of this process holds. They wait in the order in which they were read, before anything is
 * decided about them, so that none is lost for the limit: the timeout of each runs from when it leaves, or is refused by the
 * host for now. What is no probe goes past them.
 */
#include <errno.h>

#include "probes/inside.h"
#include "probes/probe.h"

#define RELEASE_AT_ONCE 32     /* probes, before others have their turn */
#define BYTES_MAX (1024 * 1024) /* of their lines: then no more is read until some have left */

bool
limiter_holds(const struct prober *prober, const struct clock *clock)
{
    return prober->limits.any &&
           (prober->held.count > 0 ||
            !limits_allow(&prober->limits, probes_count(prober->probes), clock->now.instant));
}

bool
limiter_add(struct prober *prober, const struct clock *clock, const struct request *request, const char *line,
            size_t length)
{
    return prober->held.bytes < BYTES_MAX &&
           waiting_add(&prober->held, line, length, request, 0, EAGAIN, clock->now.instant);
}

/* Those that the host refuses for now wait with the others of that kind: while there is room, or they would be lost. */
static bool
has_room(const struct prober *prober)
{
    return prober->waiting.count < WAITING_MAX;
}

void
limiter_release(struct prober *prober, const struct clock *clock)
{
    struct instant now = clock->now.instant;
    struct waiting *held = &prober->held;
    for (int released = 0; released < RELEASE_AT_ONCE && held->count > 0 && has_room(prober) &&
                           limits_allow(&prober->limits, probes_count(prober->probes), now); released++) {
        const struct request *request = &held->first->request;
        uint32_t lane = 0, detail;
        int error = prober_try(prober, clock, request, &lane, &detail);
        if (error == EAGAIN) {
            waiting_move(held, &prober->waiting, lane, (int)detail, now);
        } else {
            prober_say_refused(prober, request, REASON_NONE, NULL, error, detail);
            waiting_done(held, &held->first, error == 0, now);
        }
    }
}

bool
limiter_next(const struct prober *prober, struct instant *when)
{
    return prober->held.count > 0 && has_room(prober) &&
           limits_next(&prober->limits, probes_count(prober->probes), when);
}
