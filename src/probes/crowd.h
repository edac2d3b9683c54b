/* SPDX-License-Identifier: MIT */
/*
 * Crowds: the elements of an array by a hash of which 16 bits count. For what is added and removed with each probe and
 * hardly ever asked for: neither compares, splits or looks at more than neighbours in the chain, and an element takes
 * 8 bytes, half of what it does in an index (index.h). Who asks pays for it: elements of other hashes stand among those
 * that are wanted, one for each 65,536 that there are.
 */
#ifndef HOPLINE_CROWD_H
#define HOPLINE_CROWD_H

#include "probes/chunks.h"

#define CROWD_END UINT32_MAX

/* In each element: so memory that it is in was touched already. */
struct crowd_link {
    uint32_t next; /* slot + 1, or 0 at the end */
    uint32_t back; /* the slot before it, or the place whose first it is: so removing one needs no hash */
};

struct crowds {
    const struct chunks *elements; /* a slot is an index into it */
    size_t offset;                 /* of the link in an element */
    uint32_t *places;              /* by hash: the first slot there + 1, or 0; 256 KiB */
};

/* False when there is no memory; crowds_free() may be called then, too. */
MUST_USE bool crowds_init(struct crowds *crowds, const struct chunks *elements, size_t offset);
void crowds_free(struct crowds *crowds);

/* Adds an element that is not there. */
void crowds_add(struct crowds *crowds, uint32_t slot, uint32_t hash);

/* Removes an element that is there. */
void crowds_remove(struct crowds *crowds, uint32_t slot);

/* All that were added under HASH, newest first, and some of other hashes, then CROWD_END. */
uint32_t crowds_first(const struct crowds *crowds, uint32_t hash);
uint32_t crowds_next(const struct crowds *crowds, uint32_t slot);

#endif
