/* SPDX-License-Identifier: MIT */
/*
 * A sweep by the daemon's own command: one request for a whole network, of which the answers alone are heard. What is too
 * much for one line of the daemon is asked for in several parts, one after the other, so the memory that it takes here has
 * nothing to do with how many are probed. Of a daemon that has no such command each probe is asked for by itself.
 */
#ifndef HOPLINE_TOOLS_SWEEP_RUN_H
#define HOPLINE_TOOLS_SWEEP_RUN_H

#include "tools/client.h"
#include "lines/ranges.h"

/* Where a sweep is: a part, and a position in the daemon's order of that part. */
struct run_place {
    uint64_t part, next;
};

/* Some of the targets, each with this ttl, or without (0). */
struct run_set {
    unsigned ttl;
    struct ranges ranges; /* sorted */
};

struct run_rules {
    const struct ranges *targets; /* by family, sorted */
    const char *arguments;        /* of send-probe, target, ttl and timeout apart */
    uint64_t seed, shard, shards; /* shard: from 1; this line is for a daemon that can sweep */
    int64_t ttl_low, ttl_high;    /* -1: none is named */
    int64_t rate, retries, timeout;
    uint64_t limit;               /* 0: none */
    bool report_all;              /* of the silent, too */
    struct run_place from;
    const struct run_set *again; /* to be probed once more, whatever `shard` and `from` are */
    size_t again_count;
};

struct run_user {
    /* What became of a probe: an answer, or with report_all `no-reply` or a refusal. TTL is 0 where one alone is named. */
    void (*heard)(void *owner, enum family_id family, const struct address *target, unsigned ttl,
                  const struct reply *reply);
    /* With report_all: it will have no more of its probes, and has not had all. */
    void (*given_up)(void *owner, enum family_id family, const struct address *target, unsigned ttl);
    /* All is swept, or the limit is reached, or the daemon refuses (which was said on standard error). */
    void (*ended)(void *owner);
    void *owner;
};

/* Combinations of addresses and ttls, as the daemon counts them. */
struct run_tally {
    uint64_t probes;                    /* sent */
    uint64_t answered, silent, refused; /* refused: by this host */
    uint64_t in_flight, left;
};

struct run;

/* Never NULL: ends the program without memory. CLIENT's tags are this module's. RULES must outlive it. */
struct run *run_new(struct events *events, struct client *client, const struct run_rules *rules, struct run_user user);
void run_free(struct run *run);

/* Begins; more than the daemon takes (ADDRESSES_MAX combinations) it must not be. */
void run_begin(struct run *run);

/* A reply to what was asked of the client. */
void run_take(struct run *run, uint64_t tag, const struct reply *reply, bool last);

/* The limit is reached: who is silent from now on may have been given up, and is not told of any more. */
void run_cut(struct run *run);

/*
 * No more probes. Waits a moment, until the daemon has said how far it came; with TO_THE_END until all that is under way has
 * had its time, or another signal comes.
 */
void run_stop(struct run *run, bool to_the_end);

struct run_tally run_tally(const struct run *run);

/* True when all of it is swept, and when the daemon would not. */
bool run_is_done(const struct run *run);
bool run_is_refused(const struct run *run);

/* The time that is left, as it seems: ns. */
int64_t run_left(const struct run *run);

/* Nothing more comes of it. */
void run_died(struct run *run);

/*
 * From where a later sweep must go on so that nobody is left out: where this one is, where all that was under way has come to
 * its end, and who was GIVEN_UP is kept; else a place before which surely all have. False: this is not known.
 */
bool run_place(const struct run *run, bool given_up, struct run_place *place);

#endif
