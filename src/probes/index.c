/* SPDX-License-Identifier: MIT */
#include "probes/index.h"

#define FIRST_BUCKETS 64u

/* `next` and `prev` are slot + 1, and 0 at the end: so memory that is zero is an empty chain. */
struct index_link {
    uint32_t next;
    uint32_t prev;
    uint32_t hash;
};

static struct index_link *
link_of(const struct index *index, uint32_t slot)
{
    return chunks_at(&index->links, slot);
}

static uint32_t *
bucket_of(const struct index *index, uint32_t hash)
{
    /*
     * Linear hashing: with a count between two powers of two, the upper half exists only in part. What belongs into a
     * bucket that does not exist yet is still in the one of the lower half that will be split.
     */
    uint32_t mask = index->bucket_count;
    mask |= mask >> 1;
    mask |= mask >> 2;
    mask |= mask >> 4;
    mask |= mask >> 8;
    mask |= mask >> 16;
    uint32_t bucket = hash & mask;
    if (bucket >= index->bucket_count)
        bucket &= mask >> 1;
    return chunks_at(&index->buckets, bucket);
}

static void
chain(struct index *index, uint32_t slot)
{
    struct index_link *link = link_of(index, slot);
    uint32_t *bucket = bucket_of(index, link->hash);
    link->prev = 0;
    link->next = *bucket;
    if (*bucket)
        link_of(index, *bucket - 1)->prev = slot + 1;
    *bucket = slot + 1;
}

/* Adds one bucket and moves to it what now belongs there, from the one bucket that it is split from. */
static void
split(struct index *index)
{
    uint32_t fresh = index->bucket_count;
    if (!chunks_reach(&index->buckets, fresh))
        return; /* longer chains, no harm */
    uint32_t top = 1;
    while (top <= fresh / 2)
        top <<= 1;
    uint32_t *old = chunks_at(&index->buckets, fresh - top);
    uint32_t slot = *old;
    *old = 0;
    index->bucket_count++;

    /* Chaining puts each in front: go to the last one and come back, so that the newest stays first. */
    uint32_t last = 0;
    for (; slot; slot = link_of(index, slot - 1)->next)
        last = slot;
    while (last) {
        uint32_t before = link_of(index, last - 1)->prev;
        chain(index, last - 1);
        last = before;
    }
}

void
index_init(struct index *index)
{
    chunks_init(&index->links, sizeof(struct index_link));
    chunks_init(&index->buckets, sizeof(uint32_t));
    index->bucket_count = 0;
    index->slot_count = 0;
}

void
index_free(struct index *index)
{
    chunks_free(&index->links);
    chunks_free(&index->buckets);
}

bool
index_reach(struct index *index, uint32_t slot)
{
    if (index->bucket_count == 0) {
        if (!chunks_reach(&index->buckets, FIRST_BUCKETS - 1))
            return false;
        index->bucket_count = FIRST_BUCKETS;
    }
    return chunks_reach(&index->links, slot);
}

void
index_add(struct index *index, uint32_t slot, uint32_t hash)
{
    if (index->slot_count >= index->bucket_count)
        split(index);
    index->slot_count++;
    link_of(index, slot)->hash = hash;
    chain(index, slot);
}

void
index_remove(struct index *index, uint32_t slot)
{
    struct index_link *link = link_of(index, slot);
    if (link->prev)
        link_of(index, link->prev - 1)->next = link->next;
    else
        *bucket_of(index, link->hash) = link->next;
    if (link->next)
        link_of(index, link->next - 1)->prev = link->prev;
    index->slot_count--;
}

static uint32_t
skip_to(const struct index *index, uint32_t slot_plus_1, uint32_t hash)
{
    while (slot_plus_1) {
        const struct index_link *link = link_of(index, slot_plus_1 - 1);
        if (link->hash == hash)
            return slot_plus_1 - 1;
        slot_plus_1 = link->next;
    }
    return INDEX_NONE;
}

uint32_t
index_first(const struct index *index, uint32_t hash)
{
    return index->bucket_count ? skip_to(index, *bucket_of(index, hash), hash) : INDEX_NONE;
}

uint32_t
index_next(const struct index *index, uint32_t slot)
{
    const struct index_link *link = link_of(index, slot);
    return skip_to(index, link->next, link->hash);
}
