/* SPDX-License-Identifier: MIT */
/*
 * A hash index over slots (small numbers that name the elements of some array). It keeps the hash of each slot and
 * chains slots of the same bucket in both directions, so adding and removing take constant time even when thousands of
 * slots share one key. It grows by linear hashing: one bucket is split at a time, so no addition ever waits for a
 * rehash of all.
 */
#ifndef HOPLINE_INDEX_H
#define HOPLINE_INDEX_H

#include "probes/chunks.h"

#define INDEX_NONE UINT32_MAX

struct index {
    struct chunks links;   /* struct index_link, by slot */
    struct chunks buckets; /* the first slot of each + 1, or 0 */
    uint32_t bucket_count;
    uint32_t slot_count;
};

void index_init(struct index *index);
void index_free(struct index *index);

/* Makes room for SLOT, once before it is first added; false when there is no memory. */
MUST_USE bool index_reach(struct index *index, uint32_t slot);

/* Adds a slot that is not in the index. It will be the first found under its hash. */
void index_add(struct index *index, uint32_t slot, uint32_t hash);

/* Removes a slot that is in the index. */
void index_remove(struct index *index, uint32_t slot);

/* The slots that were added under HASH, newest first, then INDEX_NONE. Equal hashes need not mean equal keys. */
uint32_t index_first(const struct index *index, uint32_t hash);
uint32_t index_next(const struct index *index, uint32_t slot);

#endif
