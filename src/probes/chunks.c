/* SPDX-License-Identifier: MIT */
#include "probes/chunks.h"

#include <stdlib.h>

void
chunks_init(struct chunks *chunks, size_t element_size)
{
    *chunks = (struct chunks){ .element_size = element_size };
}

void
chunks_free(struct chunks *chunks)
{
    for (size_t i = 0; i < CHUNKS_MAX; i++)
        free(chunks->chunk[i]);
}

bool
chunks_reach(struct chunks *chunks, uint32_t index)
{
    if (index >= CHUNKS_ELEMENTS)
        return false;
    void **chunk = &chunks->chunk[index >> CHUNK_BITS];
    if (!*chunk)
        *chunk = calloc(CHUNK_ELEMENTS, chunks->element_size);
    return *chunk != NULL;
}
