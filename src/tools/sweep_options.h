/* SPDX-License-Identifier: MIT */
/* The command line of probe-sweep. */
#ifndef HOPLINE_TOOLS_SWEEP_OPTIONS_H
#define HOPLINE_TOOLS_SWEEP_OPTIONS_H

#include "tools/options.h"

struct sweep_options {
    struct probing probing;
    int64_t retries;
    int64_t rate;  /* 0: not given */
    int64_t limit; /* 0: none */
    bool quiet, ignore_lookup_errors, list;
    const char *exclude, *resume; /* files, or NULL */
    uint64_t seed;
    bool seed_given;
    uint64_t shard, shards;    /* 1 of 1 when there is none */
    int64_t ttl_low, ttl_high; /* of more than one; -1: probing.ttl is all */

    const char *needs_sweep; /* the first option that only a daemon that has `sweep` can do; NULL: none */

    /* as they were given */
    const char *seed_word, *shard_word, *ttl_word;
};

/* Reads the words, and moves the targets to argv[1] and on; returns how many there are. Ends the program on wrong use. */
size_t sweep_read_options(int argc, char **argv, struct sweep_options *options);

#endif
