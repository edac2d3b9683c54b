/* SPDX-License-Identifier: MIT */
/*
 * Which questions about a path are asked now. Pure: it is told the time, and calls whoever sends.
 *
 * Many hosts send one prober six errors at once and then one a second, so whoever asks all of 30 hops at once makes the
 * loss that he reports. So a flow is asked a few hops ahead of the last that answered; no place gets more than five
 * probes in its first second; and what is silent while others answered is asked once more, a second later, before it
 * counts as silent. Where errors are seen to be rationed, it is asked again once a second. Paths that share places
 * (trace_places.h) take turns there; what nobody has answered two minutes later is given up.
 */
#ifndef HOPLINE_TOOLS_TRACE_PLAN_H
#define HOPLINE_TOOLS_TRACE_PLAN_H

#include "tools/trace_hops.h"

#define NEVER INT64_MAX

struct question {
    int ttl, flow, query;
    bool stray; /* without the values of its flow: an answer to the one before would be nobody's */
};

/* Asks what is to be asked, gives up what is not to be waited for. Returns when to call it again, ns; NEVER. */
int64_t plan_step(struct path *path, struct instant now, void (*send)(void *owner, const struct question *question),
                  void *owner);

/* True when nobody has answered the question whether an unreachable is the end, and will not. */
bool plan_verdict_is_overdue(const struct path *path, struct instant now);

/* True when nothing is left to be asked or to be waited for. */
bool plan_is_done(const struct path *path);

#endif
