/* SPDX-License-Identifier: MIT */
/* Rounds: each hop at an interval, and what that says of loss, of limits, of routes that change, of balancing. */
#ifndef HOPLINE_TOOLS_TRACE_MTR_H
#define HOPLINE_TOOLS_TRACE_MTR_H

#include "tools/trace.h"

struct rounds *rounds_new(struct traced *host);
void rounds_free(struct rounds *rounds);

/* Begins a round when it is time for one. */
void rounds_step(struct traced *host);

void rounds_heard(struct traced *host, const struct probe *probe, const struct reply *reply);

/* Prints the report when all rounds have ended; true: it did. */
bool rounds_show(struct traced *host);

/* True when the target answered at least once. */
bool rounds_reached(const struct traced *host);

/* On a terminal: the tables are drawn anew twice a second. */
void rounds_open_screen(struct trace *trace);

#endif
