/* SPDX-License-Identifier: MIT */
/*
 * A growing array of equal elements that never moves: it grows by chunks, so growth costs the same at any size, needs
 * no second copy, and leaves what there is as it was when memory is short. It never shrinks. New elements are zero.
 */
#ifndef HOPLINE_CHUNKS_H
#define HOPLINE_CHUNKS_H

#include "packets/bytes.h"

#define CHUNK_BITS 12
#define CHUNK_ELEMENTS (1u << CHUNK_BITS)
#define CHUNKS_MAX 256
#define CHUNKS_ELEMENTS (CHUNKS_MAX * CHUNK_ELEMENTS) /* 1,048,576: the most that an array holds */

struct chunks {
    size_t element_size;
    void *chunk[CHUNKS_MAX];
};

void chunks_init(struct chunks *chunks, size_t element_size);
void chunks_free(struct chunks *chunks);

/* Makes element INDEX usable; false when it is out of bounds or there is no memory. */
MUST_USE bool chunks_reach(struct chunks *chunks, uint32_t index);

/* An element that was reached before. */
static inline void *
chunks_at(const struct chunks *chunks, uint32_t index)
{
    char *chunk = chunks->chunk[index >> CHUNK_BITS];
    return chunk + chunks->element_size * (index & (CHUNK_ELEMENTS - 1));
}

#endif
