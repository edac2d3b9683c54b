/* SPDX-License-Identifier: MIT */
/*
 * The MTU at each hop: the largest packet that comes so far unfragmented. One hop after the other, from what the hop
 * before has proved. A packet too big is told by the router before the narrow link, with the link's MTU; where larger
 * ones vanish without a word, the size is found by halving.
 */
#ifndef HOPLINE_TOOLS_TRACE_MTU_H
#define HOPLINE_TOOLS_TRACE_MTU_H

#include "tools/trace.h"

struct sizes *sizes_new(void);
void sizes_free(struct sizes *sizes);

/* Goes on when the path is known. True when all hops have been measured. */
bool sizes_step(struct traced *host);

void sizes_heard(struct traced *host, const struct probe *probe, const struct reply *reply);

#endif
