/* SPDX-License-Identifier: MIT */
/*
 * The probes of a sweep that had not all of their time when it was ended. They are spread over all places of its order, so
 * when it goes on from behind them they are sent once more, each by its address.
 */
#ifndef HOPLINE_TOOLS_SWEEP_UNFINISHED_H
#define HOPLINE_TOOLS_SWEEP_UNFINISHED_H

#include <stdio.h>

#include "tools/sweep_run.h"

struct unfinished_probe {
    struct address address;
    uint8_t family, ttl; /* ttl: 0 where a sweep has one */
    bool ended;
};

/* Starts out as zeros. Ends the program without memory. */
struct unfinished {
    struct unfinished_probe *all;
    size_t count, room;
    size_t known; /* so many at the start, in order, from an earlier run */
    bool is_full; /* there were more than can be kept */
};

void unfinished_free(struct unfinished *unfinished);

void unfinished_add(struct unfinished *unfinished, enum family_id family, const struct address *address, unsigned ttl);

/* It had its time, or its answer: of those from an earlier run. */
void unfinished_end(struct unfinished *unfinished, enum family_id family, const struct address *address, unsigned ttl);

/* As lines of a text. What is read is in addition to what is there. False: can't be written; or is no such line. */
bool unfinished_write(const struct unfinished *unfinished, FILE *file);
bool unfinished_read(struct unfinished *unfinished, const char *line);

/* All that were read, as what run_new() takes: *COUNT sets, to be freed by unfinished_free_sets(). */
struct run_set *unfinished_sets(struct unfinished *unfinished, size_t *count);
void unfinished_free_sets(struct run_set *sets, size_t count);

#endif
