/* SPDX-License-Identifier: MIT */
/*
 * The sweeps that run: when the next probe of each is due, which one it is, and what became of them all. It neither sends nor
 * says anything: whoever does both asks here, and tells what happened (sweeper.h).
 */
#ifndef HOPLINE_SWEEP_H
#define HOPLINE_SWEEP_H

#include "host/clock.h"
#include "probes/plan.h"

struct sweep;

struct sweeps {
    struct sweep *running[SWEEPS_MAX];
    uint32_t count;
    int64_t turn; /* of the one that sent last: see sweeps_due() */
};

/* The numbers that a client is told. */
struct sweep_tally {
    uint64_t sent;                      /* probes that left, those sent again too */
    uint64_t answered, silent, refused; /* combinations: refused by this host */
    uint64_t in_flight;                 /* combinations that are none of these yet */
    uint64_t left;                      /* and those not begun */
    uint64_t next;                      /* the first of them: a position in the permutation */
    int64_t ns;                         /* since it began */
};

void sweeps_free(struct sweeps *sweeps);

/*
 * Begins what was read from LINE, of LENGTH bytes. SEED is taken where the request has none. 0; ENOSPC: too many at once;
 * ENOMEM; or as of plan_make().
 */
int sweeps_add(struct sweeps *sweeps, const struct request *request, const char *line, size_t length, uint64_t seed,
               struct instant now);

/* No more probes of those with this token will be due. Returns how many there are. */
uint32_t sweeps_stop(struct sweeps *sweeps, int32_t token);

/*
 * The one of those that have a probe to send now whose turn it is; NULL: none has. When less can leave than they ask for,
 * each gets of it by its rate.
 */
struct sweep *sweeps_due(struct sweeps *sweeps, struct instant now);

/* When to look at them again; false: only when something has happened. */
bool sweeps_next_wake(const struct sweeps *sweeps, struct instant *when);

/* The sweep of a probe. */
struct sweep *sweeps_of(const struct sweeps *sweeps, struct part part);

/* Takes it out; all its probes have ended. */
void sweeps_end(struct sweeps *sweeps, struct sweep *sweep);

/*
 * The request for the probe that is due, of sweeps_due(): the same at each call, until it is told what became of it. NULL: no
 * memory to keep in mind that it may have to be sent again.
 */
struct request *sweep_next(struct sweep *sweep);

/* What became of it: it is under way now, whatever then comes of it; or nothing, and it is to be tried again at WHEN. */
void sweep_began(struct sweep *sweep, struct instant now);
void sweep_hold(struct sweep *sweep, struct instant when);

/* One that is under way has left, or is refused by this host. */
void sweep_sent(struct sweep *sweep);
void sweep_refused(struct sweep *sweep);

/* It ended by an answer; IS_REPLY: its target's own. */
void sweep_answered(struct sweep *sweep, struct part part, bool is_reply);

/* It ended without: true when it is to be sent again, so it is not the end of its combination. */
bool sweep_expired(struct sweep *sweep, struct part part);

/* The next of those that were to be sent again, and are not since it was stopped; they are silent. */
bool sweep_take_given_up(struct sweep *sweep, struct part *part);

/* True when it was stopped, or its limit is reached. */
bool sweep_is_stopped(const struct sweep *sweep);

/* True when nothing is left to be done. */
bool sweep_is_over(const struct sweep *sweep);

/* True once each time that progress is to be told. */
bool sweep_progress_is_due(struct sweep *sweep, struct instant now);

/* All of its requests, but for what sweep_next() fills in. */
const struct request *sweep_request(const struct sweep *sweep);

const struct plan *sweep_plan(const struct sweep *sweep);
struct sweep_tally sweep_tally(const struct sweep *sweep, struct instant now);

#endif
