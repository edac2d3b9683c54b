/* SPDX-License-Identifier: MIT */
/*
 * Which probe of a sweep comes when. All combinations of targets, ttls, ports and flows have numbers from 0; a permutation of
 * these, which takes no memory, is the order in which they are probed. Pure: no clock, no randomness but the seed.
 *
 * The permutation is a keyed bijection in two steps. The numbers are cut into strata of equal length, up to STRATA_MAX of
 * them, and each turn through the strata takes one number of each, in an order of its own: so neighbours in number, which are
 * neighbours in address, are never close in time, whatever the seed. Which number it is of a stratum is a permutation of that
 * stratum's own. Each permutation is a Feistel network, whose halves need not be equal, and what it leads beyond the end goes
 * through it once more (cycle walking: Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002).
 */
#ifndef HOPLINE_PLAN_H
#define HOPLINE_PLAN_H

#include "lines/ranges.h"
#include "packets/request.h"

#define COMBINATIONS_MAX ADDRESSES_MAX
#define STRATA_MAX 1024

struct combination {
    struct address target;
    uint32_t ttl, port, flow;
};

struct plan {
    struct ranges ranges;    /* of targets */
    uint64_t targets;        /* in these */
    struct span ttl, port, flow;
    uint64_t each;           /* combinations of one target, */
    uint64_t total;          /* and of all */
    uint64_t strata, height; /* how many, and numbers in each; not all in the last */
    uint64_t seed;
    bool sequential;
    uint64_t start, end;     /* positions in the permutation, of this shard from `from` on */
};

/*
 * SEED is the permutation's. 0, ENOMEM, or what the request asks for can't be: E2BIG: more than COMBINATIONS_MAX; ERANGE: it
 * is to begin beyond the end. Else it is to be freed.
 */
int plan_make(struct plan *plan, const struct request *request, uint64_t seed);
void plan_free(struct plan *plan);

/* The number of the combination at a position, from 0 to `total` - 1. */
uint64_t plan_at(const struct plan *plan, uint64_t position);

/* The combination of this number. */
void plan_combination(const struct plan *plan, uint64_t number, struct combination *combination);

/* The target of the combination of this number, as a number below `targets`. */
static inline uint64_t
plan_target(const struct plan *plan, uint64_t number)
{
    return number / plan->each;
}

#endif
