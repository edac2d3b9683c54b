/* SPDX-License-Identifier: MIT */
/* Sums of round trips. All times are us. */
#ifndef HOPLINE_TOOLS_STATISTICS_H
#define HOPLINE_TOOLS_STATISTICS_H

#include <stdint.h>

/* Starts out as zeros. */
struct statistics {
    int64_t count, least, most, last;
    double mean, squares; /* of the differences from the mean: Welford's way, which loses no digits */
    double steps;         /* sum of the differences between one and the next */
    uint32_t *samples;    /* the first SAMPLES_MAX of them; beyond, the histogram */
    uint32_t sample_room;
    uint32_t *histogram;
};

void statistics_add(struct statistics *of, int64_t us);
void statistics_free(struct statistics *of);

/* The standard deviation of what there was (not of a sample), as ping's mdev. */
double statistics_deviation(const struct statistics *of);

/* As icmplib has it: the mean difference between one round trip and the next. */
double statistics_jitter(const struct statistics *of);

/*
 * The smallest round trip that so many percent of all do not exceed (nearest rank): exact for up to 65,536 round trips,
 * beyond that too great by 0.8% at most. -1 when there is none.
 */
int64_t statistics_percentile(const struct statistics *of, int percent);

/* How many of them took US or less; beyond 65,536 round trips by the same steps of 0.8%. */
int64_t statistics_within(const struct statistics *of, int64_t us);

#endif
