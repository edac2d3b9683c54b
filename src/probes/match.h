/* SPDX-License-Identifier: MIT */
/*
 * Answer to probe. A wrong match is worse than a lost probe: an answer is accepted only if everything that it returns
 * of a probe agrees, and no other probe in flight fits as well.
 */
#ifndef HOPLINE_MATCH_H
#define HOPLINE_MATCH_H

#include "probes/probe.h"

/* The probe that this answer is proven to belong to, or NULL. */
struct probe *match_find(const struct probes *probes, const struct answer *answer);

/* True when what the answer quotes of its probe was rewritten on the way: addresses, port, identifier or checksum. */
bool match_is_translated(const struct probe *probe, const struct answer *answer);

#endif
