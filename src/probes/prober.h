/* SPDX-License-Identifier: MIT */
/*
 * What happens to a line: request, probe, and in the end one reply. The loop calls in here with what it has read, and
 * with the time; nothing here waits.
 */
#ifndef HOPLINE_PROBER_H
#define HOPLINE_PROBER_H

#include "lines/output.h"
#include "transport.h"

struct prober;

struct prober_options {
    bool strict;
    bool old_words; /* replies as mtr 0.95 knows them */

    /* Of single probes and those of sweeps, beyond which requests wait; 0: no limit. */
    uint32_t limit_rate;      /* probes a second, at most LIMIT_RATE_MAX (limits.h) */
    uint32_t limit_in_flight; /* probes */
};

/* Does not take ownership of TRANSPORT and OUTPUT. NULL: no memory. */
struct prober *prober_new(struct transport *transport, struct output *output, struct prober_options options);
void prober_free(struct prober *prober);

/*
 * Does what a line of LENGTH bytes asks for, or sets it aside until it can be done. False: not even that is possible just
 * now, give the same line again in a millisecond; nothing has been said yet.
 */
bool prober_take_line(struct prober *prober, const struct clock *clock, const char *line, size_t length);

/* Says that a line was too long. */
void prober_refuse_line(struct prober *prober);

/* Receives answers and replies to them: what has come, or as much as does not keep others waiting. */
void prober_receive(struct prober *prober, const struct clock *clock);

/* Ends the probes whose deadline has passed and whose answer has not arrived. */
void prober_expire(struct prober *prober, const struct clock *clock);

/* Tries what could not be sent when it was read, once a millisecond; says what was never sent when its time is over. */
void prober_retry(struct prober *prober, const struct clock *clock);

/*
 * Sends what is due of sweeps, as much as does not keep others waiting, and says what is to be said of them. Not to be called
 * while nobody reads what was said before: so a sweep waits for its reader. Then, and only then, *WHEN is to be heeded by
 * which it is to be called again; false: not before something has happened.
 */
void prober_sweep(struct prober *prober, const struct clock *clock);
bool prober_next_sweep(const struct prober *prober, struct instant *when);

/* True, and *WHEN, while a probe is in flight or waits to be sent: the first deadline, or the next try. */
bool prober_next_deadline(const struct prober *prober, struct instant *when);

/* Requests that are not answered yet, and probes of sweeps. */
uint32_t prober_in_flight(const struct prober *prober);

#endif
