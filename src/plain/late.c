/* SPDX-License-Identifier: MIT */
#include "plain/late.h"

#include <stdlib.h>
#include <string.h>

/* So long after a probe that was not answered, its answer may still come. */
#define LATE_MAX 3000 /* ms */

#define PLACES_BITS 18 /* 1 MiB, as far as it is used: at 80,000 probes a second six of ten places are awaited */

struct late {
    uint32_t left[1 << PLACES_BITS]; /* ms, and odd; 0: never */
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
place_of(uint16_t near, uint16_t far, const struct address *target)
{
    uint64_t half[2];
    memcpy(half, target->bytes, sizeof half);
    uint64_t hash = mix(mix(mix(0, (uint64_t)near << 16 | far), half[0]), half[1]);
    return mix(hash, 0) >> (64 - PLACES_BITS);
}

static uint32_t
ms_of(struct instant now)
{
    return (uint32_t)(now.ns / NS_PER_MS) | 1;
}

void
late_sent(struct late *late, uint16_t near, uint16_t far, const struct address *target, struct instant now)
{
    late->left[place_of(near, far, target)] = ms_of(now);
}

void
late_heard(struct late *late, uint16_t near, uint16_t far, const struct address *target)
{
    late->left[place_of(near, far, target)] = 0;
}

bool
late_awaits(const struct late *late, uint16_t near, uint16_t far, const struct address *target, struct instant now)
{
    uint32_t left = late->left[place_of(near, far, target)];
    return left && ms_of(now) - left < LATE_MAX;
}
