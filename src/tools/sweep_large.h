/* SPDX-License-Identifier: MIT */
/* A sweep of many addresses, by the daemon's own command: what is told of it, and the file by which it goes on. */
#ifndef HOPLINE_TOOLS_SWEEP_LARGE_H
#define HOPLINE_TOOLS_SWEEP_LARGE_H

#include "lines/ranges.h"
#include "tools/client.h"
#include "tools/sweep_list.h"
#include "tools/sweep_options.h"
#include "tools/sweep_report.h"

#define LARGE 1024 /* addresses: more are swept in one request, */
#define LARGE_RATE 1000 /* and not too fast */

struct large;

struct large_place {
    struct events *events;
    struct client *client;
    struct list *list; /* of those that were named, complete, and of words that are no target */
    const struct sweep_options *options;
    const struct report_rules *says;
    const struct ranges *targets; /* by family, sorted, without those that are excluded */
    struct instant start;         /* from when on the time is told */
};

/* Never NULL: ends the program without memory, and when it is asked for what can't be. */
struct large *large_new(const struct large_place *place);
void large_free(struct large *large);

/* A reply to what was asked of the client. */
void large_heard(struct large *large, uint64_t tag, const struct reply *reply, bool last);

/* All of it, until its end or a signal. 1: a target has answered; 0: none has; -1: the daemon refuses. */
int large_sweep(struct large *large);

/* The daemon has ended. */
void large_died(struct large *large);

/* The rate that was given, or if that is 0 the one for a sweep of so many probes. */
int64_t large_rate(int64_t given, uint64_t all);

/*
 * Says so, where that is LARGE_RATE without having been given: for a sweep of ALL probes, of which this program sends MINE:
 * other parts may be under way elsewhere at the same time, or were sent before. Those that are sent again come on top.
 */
void large_say_rate(const struct sweep_options *options, uint64_t all, uint64_t mine);

#endif
