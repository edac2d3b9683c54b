/* SPDX-License-Identifier: MIT */
#include "tools/trace_places.h"

#include <err.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 5                    /* probes before the first answer */
#define SILENT_AFTER (300 * NS_PER_MS) /* who has not answered any by then is not spared */
#define LOOK_AGAIN (5 * NS_PER_MS)
#define EPOCH (250 * NS_PER_MS)
#define EPOCHS 4                     /* after these, a second at most, what is not answered is lost */
#define PACE (1100 * NS_PER_MS)      /* one error a second is what the thriftiest host sends */
#define PACE_MOST (5 * NS_PER_MS)
#define ENOUGH 4                     /* answers at a pace, before the next one is tried, */
#define ENOUGH_AFTER_LOSS 32         /* where one was too fast: by then what was saved up meanwhile is spent */
#define DRY (5 * NS_PER_S)           /* without an answer, at least */
#define DRY_LEAST 3                  /* probes: who says nothing to these does not ration, he is silent */
#define RESPONDERS 8                 /* that are remembered */

struct place {
    struct place *next;              /* of the same hash */
    struct places *places;
    struct place *same;              /* the one that this has turned out to be; NULL: it counts itself */
    int ttl;
    char *name;                      /* the router before it; or, with a ttl below 0, one that answered at it */

    int window, flying[EPOCHS];      /* asked in each of the last epochs and not answered */
    int64_t epoch;                   /* the last one */
    struct instant first_asked, last_asked;
    int answered, lost, repeats;
    int missed;                      /* not answered by who has answered others */
    uint32_t responders[RESPONDERS]; /* hashes */
    int responder_count;

    bool rationed, dry;
    struct instant rationed_at, free_at; /* free_at: when the next one may be asked */
    int64_t interval;
    struct instant changed;          /* the interval */
    int at_pace, enough;             /* answers since then, and before it is changed again */
    struct instant silent_since;
    int asked_since;
};

struct places {
    struct place **table;
    size_t size, count;              /* size: a power of two */
};

static void *
need(void *memory)
{
    if (!memory)
        err(2, NULL);
    return memory;
}

/* ---- the table */

/* FNV-1a. */
static uint32_t
hash_of(const char *text, int number)
{
    uint32_t hash = 2166136261U ^ (uint32_t)number;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619U;
    return hash;
}

struct places *
places_new(void)
{
    struct places *places = need(calloc(1, sizeof *places));
    places->size = 64;
    places->table = need(calloc(places->size, sizeof(struct place *)));
    return places;
}

void
places_free(struct places *places)
{
    if (!places)
        return;
    for (size_t i = 0; i < places->size; i++)
        for (struct place *place = places->table[i], *next; place; place = next) {
            next = place->next;
            free(place->name);
            free(place);
        }
    free(places->table);
    free(places);
}

static struct place **
slot_of(const struct places *places, const char *name, int ttl)
{
    return &places->table[hash_of(name, ttl) & (places->size - 1)];
}

static void
grow(struct places *places)
{
    struct places larger = { need(calloc(2 * places->size, sizeof(struct place *))), 2 * places->size, places->count };
    for (size_t i = 0; i < places->size; i++)
        for (struct place *place = places->table[i], *next; place; place = next) {
            struct place **slot = slot_of(&larger, place->name, place->ttl);
            next = place->next;
            place->next = *slot;
            *slot = place;
        }
    free(places->table);
    *places = larger;
}

struct place *
places_at(struct places *places, const char *before, int ttl)
{
    for (struct place *place = *slot_of(places, before, ttl); place; place = place->next)
        if (place->ttl == ttl && strcmp(place->name, before) == 0)
            return place;
    if (places->count++ == places->size)
        grow(places);
    struct place *place = need(malloc(sizeof *place)), **slot = slot_of(places, before, ttl);
    *place = (struct place){ .next = *slot, .places = places, .ttl = ttl, .name = need(strdup(before)),
                             .window = AT_ONCE, .enough = ENOUGH };
    *slot = place;
    return place;
}

static struct place *
itself(struct place *place)
{
    while (place->same)
        place = place->same;
    return place;
}

/* Both are one from now on, what is known of the pace with it. */
static struct place *
join(struct place *one, struct place *other)
{
    if (one == other)
        return one;
    if (other->rationed > one->rationed || (other->rationed == one->rationed && other->answered > one->answered))
        return join(other, one);
    other->same = one;
    one->answered += other->answered;
    one->lost += other->lost;
    one->repeats += other->repeats;
    one->missed += other->missed;
    one->window += other->window;
    return one;
}

/* ---- silence */

static void
set_interval(struct place *place, int64_t interval, struct instant now)
{
    place->interval = interval > PACE ? PACE : interval < PACE_MOST ? PACE_MOST : interval;
    place->at_pace = 0;
    place->changed = now;
    place->free_at = instant_after(place->last_asked, place->interval);
}

/* Not what lies behind many: those who answered are few. */
static bool
is_one(const struct place *place)
{
    return 2 * (place->answered - place->repeats) <= place->answered + 1;
}

static void
ration(struct place *place, struct instant now)
{
    place->rationed = true;
    place->rationed_at = place->silent_since = now;
    place->asked_since = 0;
    set_interval(place, PACE, now);
}

/* One in five, or more. */
static bool
is_share(int lost, int answered)
{
    return lost >= 2 && 5 * lost >= lost + answered;
}

/* What was asked in an EPOCH is lost. At a pace that has been left since, that is known. */
static void
note_loss(struct place *place, int lost, int64_t epoch, struct instant now)
{
    place->lost += lost;
    if (place->rationed) {
        if ((epoch + 1) * EPOCH <= place->changed.ns)
            return;
        place->enough = ENOUGH_AFTER_LOSS;
        set_interval(place, 2 * place->interval, now);
    } else if (place->answered && is_one(place) && is_share(place->lost, place->answered)) {
        ration(place, now);
    }
}

static void
pass_time(struct place *place, struct instant now)
{
    int64_t epoch = now.ns / EPOCH;
    for (int i = 0; i < EPOCHS && place->epoch < epoch; i++) {
        int *flying = &place->flying[++place->epoch % EPOCHS], lost = *flying;
        *flying = 0;
        if (lost)
            note_loss(place, lost, place->epoch - EPOCHS, now);
    }
    place->epoch = epoch;
    place->dry |= place->rationed && place->asked_since >= DRY_LEAST && instant_since(now, place->silent_since) >= DRY;
}

bool
place_is_rationed(const struct place *place)
{
    while (place && place->same)
        place = place->same;
    return place && place->rationed && !place->dry;
}

bool
place_rations(struct place *place, struct instant now)
{
    if (!place)
        return false;
    place = itself(place);
    pass_time(place, now);
    return place_is_rationed(place);
}

/* ---- questions and answers */

bool
place_admits(struct place *place, struct instant now, struct instant *again)
{
    int flying = 0;
    place = itself(place);
    if (place_rations(place, now)) {
        *again = place->free_at;
        return now.ns >= place->free_at.ns;
    }
    for (int i = 0; i < EPOCHS; i++)
        flying += place->flying[i];
    if (flying < place->window || place->dry ||
        (!place->answered && instant_since(now, place->first_asked) >= SILENT_AFTER))
        return true;
    int64_t idle = instant_since(now, place->last_asked) / 2;
    *again = instant_after(now, idle > LOOK_AGAIN ? idle : LOOK_AGAIN);
    return false;
}

void
place_asked(struct place *place, struct instant now)
{
    place = itself(place);
    pass_time(place, now);
    if (!place->first_asked.ns)
        place->first_asked = now;
    place->last_asked = now;
    place->flying[place->epoch % EPOCHS]++;
    place->asked_since++;
    place->free_at = instant_after(now, place->interval);
}

void
place_missed(struct place *place, struct instant now)
{
    place = itself(place);
    place->missed++;
    if (!place->rationed && is_share(place->missed, place->answered))
        ration(place, now);
}

/*
 * Others than the first few are strangers: there are many at such a place. Who answers at two places shows that they
 * are one.
 */
static struct place *
meet(struct place *place, const char *from)
{
    uint32_t hash = hash_of(from, 0);
    for (int i = 0; i < place->responder_count; i++)
        if (place->responders[i] == hash) {
            place->repeats++;
            return place;
        }
    if (place->responder_count == RESPONDERS)
        return place;
    place->responders[place->responder_count++] = hash;
    struct place *who = places_at(place->places, from, -place->ttl);
    if (who->same)
        return join(place, itself(who));
    who->same = place;
    return place;
}

/* The next pace is tried when all that was lost at this one would be known. */
static void
go_faster(struct place *place, struct instant asked)
{
    if (++place->at_pace >= place->enough && instant_since(asked, place->changed) >= EPOCHS * EPOCH)
        set_interval(place, place->interval / 2, asked);
}

void
place_heard(struct place *place, struct instant asked, const char *from)
{
    place = itself(place);
    int *flying = &place->flying[asked.ns / EPOCH % EPOCHS];
    if (place->epoch - asked.ns / EPOCH >= EPOCHS)
        place->lost -= place->lost > 0;
    else if (*flying)
        --*flying;
    place->answered++;
    place->window++;
    place = meet(place, from);
    if (!place->rationed || asked.ns < place->rationed_at.ns)
        return;
    place->silent_since = asked;
    place->asked_since = 0;
    place->dry = false;
    if (asked.ns > place->changed.ns)
        go_faster(place, asked);
}
