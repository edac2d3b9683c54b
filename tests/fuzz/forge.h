/* SPDX-License-Identifier: MIT */
/* Answers to a probe, as the decoder would hand them over. */
#ifndef HOPLINE_FUZZ_FORGE_H
#define HOPLINE_FUZZ_FORGE_H

#include "probes/probe.h"

/*
 * A right answer: the target's own, or the error of a router, which may stand behind a NAT; KIND says which. NONCE is
 * the probe's, as in its payload; the answer points to it.
 */
struct answer forge_answer(const struct probe *probe, const uint8_t nonce[NONCE_SIZE], uint8_t kind,
                           struct instant now);

/* Makes it nobody's, by one wrong thing, of which HOW says which; false when that proves nothing in this answer. */
bool forge_spoil(struct answer *answer, uint8_t how);

#endif
