/* SPDX-License-Identifier: MIT */
/*
 * All numbers of so many bits, in a secret order: none comes again before all others have had their turn, and those that
 * have come do not tell the next.
 */
#ifndef HOPLINE_TURNS_H
#define HOPLINE_TURNS_H

#include "host/random.h"

#define TURNS_ROUNDS 6

struct turns {
    uint32_t keys[TURNS_ROUNDS];
    uint32_t next;
    unsigned bits;
};

/* BITS: even, and at most 32. */
void turns_init(struct turns *turns, unsigned bits, struct random *random);
uint32_t turns_next(struct turns *turns);

#endif
