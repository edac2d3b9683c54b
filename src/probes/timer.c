/* SPDX-License-Identifier: MIT */
#include "probes/timer.h"

/* Eight children to a node: a third of the depth of a binary heap, and the children lie side by side in memory. */
#define CHILDREN 8

/* Without the four bytes of padding that would stand behind `slot`: there may be a million. */
struct timer {
    struct instant deadline;
    uint32_t slot;
} __attribute__((packed, aligned(4)));

static struct timer *
at(const struct timers *timers, uint32_t place)
{
    return chunks_at(&timers->heap, place);
}

static void
put(struct timers *timers, uint32_t place, struct timer timer)
{
    *at(timers, place) = timer;
    *(uint32_t *)chunks_at(&timers->places, timer.slot) = place;
}

static uint32_t
place_of(const struct timers *timers, uint32_t slot)
{
    return *(const uint32_t *)chunks_at(&timers->places, slot);
}

/* Puts a timer at PLACE, which is free, or as much nearer to the root as its deadline asks for. */
static void
rise(struct timers *timers, uint32_t place, struct timer timer)
{
    while (place > 0) {
        uint32_t parent = (place - 1) / CHILDREN;
        if (at(timers, parent)->deadline.ns <= timer.deadline.ns)
            break;
        put(timers, place, *at(timers, parent));
        place = parent;
    }
    put(timers, place, timer);
}

static uint32_t
earliest_child(const struct timers *timers, uint32_t place)
{
    uint32_t first = place * CHILDREN + 1;
    uint32_t earliest = first;
    for (uint32_t child = first + 1; child < first + CHILDREN && child < timers->count; child++)
        if (at(timers, child)->deadline.ns < at(timers, earliest)->deadline.ns)
            earliest = child;
    return earliest;
}

/* Puts a timer at PLACE, which is free, or as much farther from the root as its deadline asks for. */
static void
sink(struct timers *timers, uint32_t place, struct timer timer)
{
    while (place * CHILDREN + 1 < timers->count) {
        uint32_t child = earliest_child(timers, place);
        if (timer.deadline.ns <= at(timers, child)->deadline.ns)
            break;
        put(timers, place, *at(timers, child));
        place = child;
    }
    put(timers, place, timer);
}

void
timers_init(struct timers *timers)
{
    chunks_init(&timers->heap, sizeof(struct timer));
    chunks_init(&timers->places, sizeof(uint32_t));
    timers->count = 0;
}

void
timers_free(struct timers *timers)
{
    chunks_free(&timers->heap);
    chunks_free(&timers->places);
}

bool
timers_reach(struct timers *timers, uint32_t slot)
{
    return chunks_reach(&timers->heap, slot) && chunks_reach(&timers->places, slot);
}

void
timers_set(struct timers *timers, uint32_t slot, struct instant deadline)
{
    rise(timers, timers->count++, (struct timer){ deadline, slot });
}

void
timers_end(struct timers *timers, uint32_t slot)
{
    uint32_t place = place_of(timers, slot);
    struct timer last = *at(timers, --timers->count);
    if (place == timers->count)
        return;
    if (place > 0 && last.deadline.ns < at(timers, (place - 1) / CHILDREN)->deadline.ns)
        rise(timers, place, last);
    else
        sink(timers, place, last);
}

bool
timers_next(const struct timers *timers, uint32_t *slot, struct instant *deadline)
{
    if (timers->count == 0)
        return false;
    *slot = at(timers, 0)->slot;
    *deadline = at(timers, 0)->deadline;
    return true;
}

struct instant
timers_get(const struct timers *timers, uint32_t slot)
{
    return at(timers, place_of(timers, slot))->deadline;
}

uint32_t
timers_nth(const struct timers *timers, uint32_t place)
{
    return at(timers, place)->slot;
}
