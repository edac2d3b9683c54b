/* SPDX-License-Identifier: MIT */
/*
 * The places that the paths of one command share: whoever traces many hosts asks the first routers once for each of
 * them. What the answers to all paths tell of a place decides when it is asked next: five probes at first, then as many
 * more as were answered; where it is seen to ration its errors, one after the other, as fast as it answers. Pure.
 */
#ifndef HOPLINE_TOOLS_TRACE_PLACES_H
#define HOPLINE_TOOLS_TRACE_PLACES_H

#include <stdbool.h>

#include "packets/instant.h"

#define TURNS_MOST (120 * NS_PER_S) /* for which a path may wait for its turns */

struct places;
struct place;

/* Never NULL: ends the program without memory. */
struct places *places_new(void);
void places_free(struct places *places);

/*
 * The place at TTL of paths that came by BEFORE, the address of the last router that is known there, or the family
 * where none is. It stays where it is until places_free(), and becomes one with others where the same router answers.
 */
struct place *places_at(struct places *places, const char *before, int ttl);

/* True when it may be asked now; else *AGAIN is when to look again. */
bool place_admits(struct place *place, struct instant now, struct instant *again);

/* It is asked now. */
void place_asked(struct place *place, struct instant now);

/* FROM answered what was asked of it at ASKED. */
void place_heard(struct place *place, struct instant asked, const char *from);

/*
 * Who answers there, as one path knows, did not answer again. It is how one host of many addresses, each a stranger, is told
 * from many hosts, some of them silent.
 */
void place_missed(struct place *place, struct instant now);

/* True where errors are rationed, so that silence tells nothing. Of NULL: false. */
bool place_rations(struct place *place, struct instant now);

/* The same, as it was known when it was last asked about. */
bool place_is_rationed(const struct place *place);

#endif
