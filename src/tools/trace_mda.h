/* SPDX-License-Identifier: MIT */
/*
 * Flows until no next hop is missed: the multipath detection of Paris traceroute (Veitch, Augustin, Teixeira, Friedman,
 * "Failure control in multipath route tracing", 2009). Behind each router that a flow met, so many flows are asked for
 * the next hop that another one, as likely as those that are known, would be missed with a chance of less than 5%.
 * Pure.
 */
#ifndef HOPLINE_TOOLS_TRACE_MDA_H
#define HOPLINE_TOOLS_TRACE_MDA_H

#include "tools/trace_hops.h"

/* Flows that are to be asked behind a router with KNOWN next hops: 6, 11, 16, 21, 27... */
int mda_enough(int known);

/*
 * Says which questions are wanted, by what is known now; adds flows where these are not enough. True when there are
 * some that were not wanted before.
 */
bool mda_choose(struct path *path);

#endif
