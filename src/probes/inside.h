/* SPDX-License-Identifier: MIT */
/* What the two halves of the prober share: requests of clients (prober.c), and those of sweeps (sweeper.c). */
#ifndef HOPLINE_INSIDE_H
#define HOPLINE_INSIDE_H

#include "host/random.h"
#include "lines/reply.h"
#include "probes/limits.h"
#include "probes/prober.h"
#include "probes/sweep.h"
#include "probes/waiting.h"

#define SCOPE_SIZE IFNAMSIZ /* bytes: an interface's name or number, and its end */

struct prober {
    struct transport *transport;
    struct output *output;
    struct probes *probes;
    struct prober_options options;
    struct waiting waiting; /* requests of clients, */
    struct waiting aside;   /* and of sweeps, which those go ahead of; */
    struct waiting held;    /* requests of clients that a limit keeps from being tried, see limiter.c */
    struct limits limits;
    struct sweeps sweeps;
    struct random random;   /* of their seeds */
    uint64_t serial;        /* of the last request, */
    struct instant asked;   /* and when it came */
};

/* ---- prober.c ---- */

void prober_say(struct prober *prober, const struct reply *reply);

/* Says that a request is refused for an argument of this name. */
void prober_complain(struct prober *prober, int32_t token, enum reason reason, const char *argument);

/* Says what became of a request that is not in flight: REASON, or else ERROR of this host, with DETAIL as of send(). */
void prober_say_refused(struct prober *prober, const struct request *request, enum reason reason, const char *argument,
                        int error, uint32_t detail);

/*
 * Sends a probe. 0, EAGAIN, or what the local host refused with; DETAIL: as of send() in transport.h. DEADLINE is that of a
 * request that has waited, or NULL: its timeout from its departure on.
 */
int prober_launch(struct prober *prober, const struct clock *clock, const struct request *request,
                  const struct instant *deadline, uint32_t *detail);

/*
 * The same of a client's request that has not been tried before: it goes behind what waits in its lane. EAGAIN: to be set
 * aside in *LANE, or abandoned; DETAIL is the reason.
 */
int prober_try(struct prober *prober, const struct clock *clock, const struct request *request, uint32_t *lane,
               uint32_t *detail);

/* ---- limiter.c ---- */

/* Requests of clients are held by a limit until others have left or ended. True when this is such a time. */
bool limiter_holds(const struct prober *prober, const struct clock *clock);

/* Holds a request that was read from LINE. False: no room. */
bool limiter_add(struct prober *prober, const struct clock *clock, const struct request *request, const char *line,
                 size_t length);

/* Lets those go that may, as many as do not keep others waiting. */
void limiter_release(struct prober *prober, const struct clock *clock);

/* When to call it again; false: when a probe has ended, or none is held. */
bool limiter_next(const struct prober *prober, struct instant *when);

/* ---- sweeper.c ---- */

/* The commands. */
void sweeper_begin(struct prober *prober, const struct clock *clock, const struct request *request, const char *line,
                   size_t length);
void sweeper_stop(struct prober *prober, const struct request *request);

/* Where a sweep has several of what its probes are, which one this is. SCOPE is its target's, or NULL. */
struct reply_place sweeper_place(const struct prober *prober, struct part part, const char *scope);

/* What became of a probe of a sweep in flight. True when an end without an answer is to be told. */
void sweeper_answered(struct prober *prober, struct part part, enum reply_kind kind);
bool sweeper_expired(struct prober *prober, struct part part);

/* Whether it is a probe of a sweep of which no more may leave. */
bool sweeper_has_stopped(const struct prober *prober, struct part part);

/* The same of one that was set aside: it left; its time was over; this host refuses it. */
void sweeper_sent(struct prober *prober, struct part part);
void sweeper_never_sent(struct prober *prober, const struct waiting_request *one);
void sweeper_refused(struct prober *prober, const struct request *request, int error, uint32_t detail);

#endif
