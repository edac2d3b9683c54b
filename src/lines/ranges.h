/* SPDX-License-Identifier: MIT */
/*
 * Sets of addresses of one family, as ranges: a block of any size takes as much memory as one address. What is excluded
 * is taken out of the set, so that what is left is exactly what is probed. Pure. For the daemon's sweeps, and for tools.
 */
#ifndef HOPLINE_RANGES_H
#define HOPLINE_RANGES_H

#include "packets/family.h"

#define ADDRESSES_MAX (UINT64_C(1) << 40) /* what a sweep may have; ranges_count() of more is one more than that */

/* An address as a number. */
struct wide {
    uint64_t high, low;
};

/* All addresses from the first to the last. */
struct range {
    struct wide first, last;
    uint64_t before; /* addresses of those before it, once they are sorted */
};

/* Starts out as zeros and a family. */
struct ranges {
    enum family_id family;
    struct range *all;
    size_t count, room;
};

/* Adds all from the first to the last. False: no memory, and nothing is added. */
MUST_USE bool ranges_add(struct ranges *ranges, const struct address *first, const struct address *last);

/* Sorts them, makes one of those that overlap or touch, and counts. What follows needs it. */
void ranges_sort(struct ranges *ranges);

/* Takes all that are in OUT, which is sorted, out of RANGES, which is and stays so. False: no memory; RANGES is as it was. */
MUST_USE bool ranges_subtract(struct ranges *ranges, const struct ranges *out);

uint64_t ranges_count(const struct ranges *ranges);

/* How many are in those before that range, which may be the one behind the last. */
uint64_t ranges_before(const struct ranges *ranges, size_t range);

bool ranges_hold(const struct ranges *ranges, const struct address *address);

/* The number of an address among all of them, from 0; ADDRESSES_MAX: it is none of them, or of too many. */
uint64_t ranges_find(const struct ranges *ranges, const struct address *address);

/* The address of a number below their count. */
struct address ranges_at(const struct ranges *ranges, uint64_t number);

/*
 * Writes as many as fit, from the FIRST on, into TEXT of SIZE bytes, with commas between them. Returns the number of the
 * one behind the last of these, which is their count when all fit.
 */
size_t ranges_write(const struct ranges *ranges, size_t first, char *text, size_t size);

void ranges_free(struct ranges *ranges);

#endif
