/* SPDX-License-Identifier: MIT */
#include "plain/late.h"

#include <stdlib.h>
#include <string.h>

/* So long after a probe that was not answered, its answer may still come. */
#define LATE_MAX 3000 /* ms */

/* What left so long before another with the same three is not taken for it, whatever came back. As sockets rest. */
#define SHARED_FOR 30000 /* ms */

#define PLACES_BITS 18 /* 1 MiB, as far as it is used: at 80,000 probes a second six of ten places are awaited */

#define TIME_BITS 23 /* of milliseconds, so they come round after more than two hours */

#define COUNT_BITS 7

/* How many there are, when the last of them left, and whether that was soon after another. */
struct place {
    uint32_t time : TIME_BITS;
    uint32_t count : COUNT_BITS;
    uint32_t shared : 1;
    uint32_t used : 1; /* any has left, ever */
};

#define COUNT_MAX ((1u << COUNT_BITS) - 1) /* so many are not told from more: they are over by their time alone */

struct late {
    struct place places[1 << PLACES_BITS];
};

struct late *
late_new(void)
{
    return calloc(1, sizeof(struct late));
}

void
late_free(struct late *late)
{
    free(late);
}

/* Mixes one more word into a hash, the upper bits of which are the best. */
static uint64_t
mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static size_t
number_of(uint16_t near, uint16_t far, const struct address *target)
{
    uint64_t half[2];
    memcpy(half, target->bytes, sizeof half);
    uint64_t hash = mix(mix(mix(0, (uint64_t)near << 16 | far), half[0]), half[1]);
    return mix(hash, 0) >> (64 - PLACES_BITS);
}

static uint32_t
time_of(struct instant now)
{
    return (uint32_t)(now.ns / NS_PER_MS) & ((1u << TIME_BITS) - 1);
}

static uint32_t
age_of(const struct place *place, uint32_t time)
{
    return (time - place->time) & ((1u << TIME_BITS) - 1);
}

static bool
is_awaited(const struct place *place, uint32_t time)
{
    return place->count > 0 && age_of(place, time) < LATE_MAX;
}

void
late_sent(struct late *late, uint16_t near, uint16_t far, const struct address *target, struct instant now)
{
    struct place *place = &late->places[number_of(near, far, target)];
    uint32_t count = is_awaited(place, time_of(now)) ? place->count : 0;
    place->shared = place->used && age_of(place, time_of(now)) < SHARED_FOR;
    place->used = true;
    place->count = (count < COUNT_MAX ? count + 1 : COUNT_MAX) & COUNT_MAX;
    place->time = time_of(now) & ((1u << TIME_BITS) - 1);
}

void
late_heard(struct late *late, uint16_t near, uint16_t far, const struct address *target)
{
    struct place *place = &late->places[number_of(near, far, target)];
    if (place->count > 0 && place->count < COUNT_MAX)
        place->count = (place->count - 1u) & COUNT_MAX;
}

bool
late_awaits(const struct late *late, uint16_t near, uint16_t far, const struct address *target, struct instant now)
{
    return is_awaited(&late->places[number_of(near, far, target)], time_of(now));
}

bool
late_is_shared(const struct late *late, uint16_t near, uint16_t far, const struct address *target)
{
    return late->places[number_of(near, far, target)].shared;
}
