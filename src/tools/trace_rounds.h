/* SPDX-License-Identifier: MIT */
/* What the rounds of one host have shown, and what follows from it. Pure. */
#ifndef HOPLINE_TOOLS_TRACE_ROUNDS_H
#define HOPLINE_TOOLS_TRACE_ROUNDS_H

#include "tools/names.h"
#include "tools/statistics.h"

#define ROUND_FLOWS 8 /* that take turns */
#define REFUSAL_MAX 100

/* Somebody who answered at a hop. */
struct responder {
    char address[ADDRESS_TEXT_MAX];
    char mark[24];            /* of an unreachable; "" of a router or the target */
    struct statistics times;
    int64_t received;
};

/* What one flow met at a hop. */
struct met {
    int last;     /* responder, from 1; 0: nobody yet */
    int before;   /* who was there before that */
    int changes, returns; /* returns: to the one before, as balancing by packet has it */
};

struct round_hop {
    struct responder *responders;
    int responder_count;
    int64_t sent, open, got; /* got: answered by whomever, also by an unreachable */
    struct met flows[ROUND_FLOWS];
    uint8_t *asked, *answered, *settled; /* a bit for each round; settled: answered, or no longer waited for */
    int64_t bytes;           /* of each of these */
    char refusal[REFUSAL_MAX]; /* why this host did not let one out; "": it has let out all */
};

/* A hop where another router answers than before. */
struct change {
    int ttl, before, now; /* responders, from 1 */
    int64_t round, at;    /* at: ns since the epoch */
};

/* An answer of the target that is kept back: it may yet answer at a hop before. */
struct held {
    char from[ADDRESS_TEXT_MAX];
    int ttl, flow;
    int64_t round, us, at;
};

enum balance { BALANCE_NONE, BALANCE_PACKETS, BALANCE_FLOWS, BALANCE_EITHER };

struct tally {
    int first, last;
    bool has_flows;          /* the probes of a flow are alike to routers; else each may go its own way */
    struct round_hop *hops;
    struct change *changes;
    int change_count;
    uint8_t *ends;           /* of each round: the first hop at which the target answered; 0: none */
    int64_t ends_size;
    struct held *held;
    int held_count;
};

void tally_begin(struct tally *tally, int first, int last);
void tally_free(struct tally *tally);
struct round_hop *tally_hop(const struct tally *tally, int ttl);

void tally_sent(struct tally *tally, int ttl, int64_t round);

/*
 * One of these for each that was sent. FROM, a router, answered; MARK: that of an unreachable, or "". AT: ns since the
 * epoch.
 */
void tally_heard(struct tally *tally, int ttl, int64_t round, int flow, const char *from, const char *mark, int64_t us,
                 int64_t at);

/*
 * The target answered. That is no news of a hop when it answers at one before in the same round, so the answer counts
 * when that is known; and a probe that went beyond the target has not been sent.
 */
void tally_reached(struct tally *tally, int ttl, int64_t round, int flow, const char *from, int64_t us, int64_t at);

/* Nobody answered. */
void tally_silent(struct tally *tally, int ttl, int64_t round);

/* What is not answered yet no longer will be: with LOST, it is lost; else it is not spoken of. */
void tally_end(struct tally *tally, bool lost);

/* Percent of what is no longer waited for. What an unreachable answers is not lost: its sender got the probe. */
double tally_loss(const struct round_hop *hop);

/*
 * True where a router rations its answers: it is silent now and again, not once and for long, in rounds in which hops
 * behind it answered, and one of these has lost much less, and less than by chance.
 */
bool tally_is_limited(const struct tally *tally, int ttl, int64_t rounds);

/*
 * Several routers take turns at a hop: from packet to packet of one flow, or each flow has its own. Which of the two it
 * is can't be told by probes without flows.
 */
enum balance tally_balance(const struct tally *tally, int ttl);

/* The last hop at which anybody answered; first - 1: none. */
int tally_length(const struct tally *tally);

#endif
