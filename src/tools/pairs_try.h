/* SPDX-License-Identifier: MIT */
/* Pairs of a source here and an address there, what came of their probes, and how that is told. */
#ifndef HOPLINE_TOOLS_PAIRS_TRY_H
#define HOPLINE_TOOLS_PAIRS_TRY_H

#include "tools/pairs_here.h"
#include "tools/reply.h"

/* How far a pair works: the better, the smaller. */
enum rank {
    RANK_CONNECTED = 1, /* the port is open */
    RANK_ANSWERED,
    RANK_REFUSED, /* by the host: nobody listens there */
    RANK_FAILED,
    RANK_SILENT,
    RANK_NOT_KNOWN = 9, /* nothing came yet, nor is its time over */
};

#define STATE_MAX 160

struct pair {
    const struct place *source;
    struct place to;
    enum rank rank;
    char state[STATE_MAX]; /* in words */
    bool untaken;          /* the daemon takes no address with a scope: so nothing is known of it */
    int64_t sent, received;
    int64_t *times; /* us, of each that was received; sorted by pair_median() */
    int64_t room;
    uint8_t rewritten[2]; /* hops (bits, from 1) that quote our probes otherwise than they left, by each of two
                             protocols */
};

struct pairs {
    struct pair *all;
    size_t count, room;
};

/* Ends the program without memory. */
struct pair *pairs_add(struct pairs *pairs, const struct place *source, const struct place *to);
void pairs_free(struct pairs *pairs);

/* A probe of it leaves. */
void pair_sent(struct pair *pair);

/* An answer to one of its probes, or that there was none. The best that came of a pair is its state. */
void pair_judge(struct pair *pair, const struct reply *reply);

/* Median of the round trips, us; -1: there is none. */
double pair_median(struct pair *pair);

/* A table of all, the best first, or an object for each. HOST as it was given. */
void pairs_show(struct pairs *pairs, const char *host, bool json);

/* What kinds of address there are and work, gateways, translation: in the words of getapr's status(). */
void pairs_show_status(struct pairs *pairs, const struct here *here, const char *host, bool json);

#endif
