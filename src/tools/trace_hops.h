/* SPDX-License-Identifier: MIT */
/* What is known of the way to one host: what was asked at each hop, for each flow, and what came of it. Pure. */
#ifndef HOPLINE_TOOLS_TRACE_HOPS_H
#define HOPLINE_TOOLS_TRACE_HOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packets/instant.h"
#include "tools/reply.h"
#include "tools/trace_places.h"

#define SCOUT (-1)      /* the flow of probes that belong to none, which go ahead of those that hinder each other */
#define FLOWS_MAX 1000
#define LAST_WORD (200 * NS_PER_MS) /* that the daemon has behind the timeout, to say why a probe has not left */

enum cell_state {
    CELL_IDLE,     /* never asked */
    CELL_ASKED,
    CELL_ANSWERED, /* by anybody */
    CELL_SILENT,   /* not answered, and no longer waited for */
    CELL_SPARED,   /* left out, or its silence is: its place rations errors to many paths, and one answer has to do */
};

/* One question: a hop, a flow, a number of the query. It may be asked more than once. */
struct cell {
    struct reply *answer; /* the first one */
    struct instant sent;  /* when it was asked the last time */
    uint16_t refusal;     /* the errno with which this host has kept it back all the time; 0: it has left */
    uint8_t state;        /* enum cell_state */
    uint8_t tries;
    uint8_t missed;       /* tries until the last that was not answered in a second */
    uint8_t open;         /* times that it was asked and the daemon has told nothing yet */
    bool wanted;          /* by whoever chooses cells by himself (trace_mda.h) */
};

/* The way of one flow. */
struct flow {
    struct cell *cells; /* hop by hop, the queries of each side by side */
    int front;          /* the furthest hop that answered; the one before the first */
    int end;            /* the hop where it ends; 0: not known */
    bool reached;       /* it was the target that answered there, not somebody in its place */
};

/* All probes of one ttl. */
struct hop {
    struct instant first_sent, next_retry, retried;
    int early;    /* probes of its first second */
    int asked, answered;
    int retries;
    bool rationed; /* errors are sent at a low rate there */
    struct place *place; /* where paths share places, once it was asked */
    int64_t mtu;  /* 0: not known */
    bool measured; /* that is as much as there is to know */
    bool vanish;  /* larger packets, or the answers to them, go without a word */
    bool vanish_either; /* which of both is not known */
};

/* Whether the target answers beyond an unreachable. */
enum verdict { NOT_ASKED, ASK, ASKED, FINAL };

struct path {
    int first, last, queries, flow_count;
    bool serial;          /* of one flow, at most one probe may be at the target: ask it so */
    struct flow scouts;   /* used when it is serial */
    struct flow *flows;
    struct hop *hops;     /* of `first` and on */
    int ahead;            /* hops that a flow is asked ahead of the last that answered */
    bool gathers;         /* answers of the target to probes that could have gone further are further queries of it */
    int64_t timeout;      /* ns */
    bool chosen;          /* only cells that are wanted are asked */
    struct places *places; /* that it shares with other paths; NULL: none */
    int rank;             /* among these: the first is served first */
    bool spares;          /* at shared places that ration their errors one answer has to do */
    struct instant begun; /* with asking */
    bool short_of_flows;  /* more were wanted than there may be */

    const char *address;  /* of the target */
    int answers, front;   /* of all flows */
    int64_t slowest;      /* ns: the longest round trip so far */
    enum verdict verdict; /* on an unreachable */
    struct instant verdict_asked;
    bool beyond;          /* the target does answer behind it */
};

/* Makes room; PATH has `first`, `last`, `queries`, `flow_count` and what follows from the options. */
void path_begin(struct path *path);
void path_free(struct path *path);

/* Adds flows up to COUNT. */
void path_grow(struct path *path, int count);

struct flow *path_flow(const struct path *path, int flow);
struct hop *path_hop(const struct path *path, int ttl);

/* QUERY is from 0. */
struct cell *path_cell(const struct path *path, int ttl, int flow, int query);

/* The first answer at a hop of a flow, NULL when there is none. */
const struct reply *path_answer(const struct path *path, int ttl, int flow);

/*
 * A reply to one of its questions, ttl-expired or whatever: where the flow ends follows from it. Somebody's unreachable
 * is an end until the target answers beyond it.
 */
void path_heard(struct path *path, int ttl, int flow, int query, const struct reply *reply);

/* Nobody answered it, and it is no longer waited for. */
void path_give_up(struct path *path, int ttl, int flow, int query);

/* The target, or somebody, answered the question whether an unreachable is the end; NULL: nobody did. */
void path_judge(struct path *path, const struct reply *reply);

/* The errno with which this host has kept back all of what was asked of a hop; 0: there is none. */
int path_refusal(const struct path *path, int ttl);

/* True where silence tells nothing, since the place rations its errors to many paths, or a router to this one. */
bool path_hop_is_limited(const struct path *path, int ttl);

/* True when nothing more will come to this hop. */
bool path_hop_is_known(const struct path *path, int ttl);

/* The last hop of a flow, or of all of them: where it ends, or the furthest that answered; first - 1 for none. */
int path_length(const struct path *path, int flow);

/* Where all flows have ended; `last` as long as one of them has not. */
int path_end(const struct path *path);

/* True when the target answered the first flow. */
bool path_is_reached(const struct path *path);

#endif
