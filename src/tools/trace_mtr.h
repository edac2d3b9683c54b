/* SPDX-License-Identifier: MIT */
/* Rounds: each hop at an interval, and what that says of loss, of limits, of routes that change, of balancing. */
#ifndef HOPLINE_TOOLS_TRACE_MTR_H
#define HOPLINE_TOOLS_TRACE_MTR_H

#include "tools/trace.h"
#include "tools/trace_rounds.h"

/* The way of one flow, as far as the rounds know it. Where it ends is found anew when it has changed. */
struct round_way {
    int end;       /* where the target answers; 0: not known */
    int front;     /* the last hop that said that there is more behind it */
    int blocked;   /* the first hop that an unreachable answers for, this round; 0: none */
    int sent_to;   /* the last hop that is asked in this round */
    int64_t round;
    int64_t reached; /* the last round that the target answered */
    enum verdict verdict; /* on an unreachable */
    bool beyond;          /* the target answers in spite of it */
};

struct rounds {
    struct tally tally;
    int64_t round;         /* the last that began */
    int flow_count;
    struct round_way ways[ROUND_FLOWS];
    struct instant due;    /* when the next one begins */
    struct instant last_sent;
    int64_t open;
    int64_t slowest;       /* ns */
    bool reached;
};

struct rounds *rounds_new(struct traced *host);
void rounds_free(struct rounds *rounds);

/* Begins a round when it is time for one. */
void rounds_step(struct traced *host);

void rounds_heard(struct traced *host, const struct probe *probe, const struct reply *reply);

/* trace_report.c: prints the report when all rounds have ended; true: it did. */
bool rounds_show(struct traced *host);

/* Nothing more is waited for; true when the target answered at least once. */
bool rounds_end(struct traced *host);

/* trace_report.c: on a terminal the tables are drawn anew twice a second. */
void rounds_open_screen(struct trace *trace);
void rounds_close_screen(struct trace *trace); /* the table stays, as it is then */

#endif
