/* SPDX-License-Identifier: MIT */
#include "probes/crowd.h"

#include <stdlib.h>

#define PLACES (1u << 16)

#define IS_PLACE (1u << 31) /* in `back`: beyond all slots */

static struct crowd_link *
link_of(const struct crowds *crowds, uint32_t slot)
{
    char *element = chunks_at(crowds->elements, slot);
    return (void *)(element + crowds->offset);
}

bool
crowds_init(struct crowds *crowds, const struct chunks *elements, size_t offset)
{
    *crowds = (struct crowds){ elements, offset, calloc(PLACES, sizeof *crowds->places) };
    return crowds->places != NULL;
}

void
crowds_free(struct crowds *crowds)
{
    free(crowds->places);
}

void
crowds_add(struct crowds *crowds, uint32_t slot, uint32_t hash)
{
    uint32_t place = hash % PLACES;
    uint32_t *first = &crowds->places[place];
    *link_of(crowds, slot) = (struct crowd_link){ .next = *first, .back = IS_PLACE | place };
    if (*first)
        link_of(crowds, *first - 1)->back = slot;
    *first = slot + 1;
}

void
crowds_remove(struct crowds *crowds, uint32_t slot)
{
    struct crowd_link gone = *link_of(crowds, slot);
    if (gone.back & IS_PLACE)
        crowds->places[gone.back & ~IS_PLACE] = gone.next;
    else
        link_of(crowds, gone.back)->next = gone.next;
    if (gone.next)
        link_of(crowds, gone.next - 1)->back = gone.back;
}

uint32_t
crowds_first(const struct crowds *crowds, uint32_t hash)
{
    return crowds->places[hash % PLACES] - 1; /* of none: CROWD_END */
}

uint32_t
crowds_next(const struct crowds *crowds, uint32_t slot)
{
    return link_of(crowds, slot)->next - 1;
}
