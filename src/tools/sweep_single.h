/* SPDX-License-Identifier: MIT */
/*
 * A sweep by single requests, of a daemon that has none of its own: the same rules, the same things told, and an order of
 * this module's own. Like that it keeps nothing of who is probed but of those that are in flight.
 */
#ifndef HOPLINE_TOOLS_SWEEP_SINGLE_H
#define HOPLINE_TOOLS_SWEEP_SINGLE_H

#include "tools/sweep_run.h"

struct single;

/* Never NULL: ends the program without memory. No seed, shard or place to begin from counts. */
struct single *single_new(struct events *events, struct client *client, const struct run_rules *rules,
                          const struct run_user *user);
void single_free(struct single *single);

void single_begin(struct single *single);

/* A reply to what was asked of the client. */
void single_take(struct single *single, uint64_t tag, const struct reply *reply);

/* No more probes. */
void single_stop(struct single *single);

struct run_tally single_tally(const struct single *single);

#endif
