/* SPDX-License-Identifier: MIT */
/*
 * Lists of targets as a sweep names them: addresses, blocks (198.18.0.0/15) and ranges (192.0.2.1-192.0.2.99), with commas.
 * Pure: memory in, values out. A list is read as often as it is needed, so that nobody has to keep it in another form.
 */
#ifndef HOPLINE_BLOCKS_H
#define HOPLINE_BLOCKS_H

#include "lines/request.h"

/* All addresses from the first to the last. */
struct block {
    struct address first, last;
    struct word scope; /* that was named behind it: fe80::/64%eth0; length 0: none */
};

/*
 * Takes the next block off LIST, which is not empty. What is no block of this family is REASON_BAD_VALUE; a prefix that is
 * too long, or a range that ends before it begins, REASON_OUT_OF_RANGE.
 */
enum reason blocks_next(struct word *list, enum family_id family, struct block *block);

#endif
