/* SPDX-License-Identifier: MIT */
#include "tools/statistics.h"

#include <err.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define SAMPLES_MAX 65536
#define STEPS 128 /* of the histogram, from one power of two to the next: less than 0.8% each */
#define BUCKETS ((32 - 7) * STEPS + STEPS)

/* Numbers below 256 have a bucket each; from there on the highest eight bits count. */
static unsigned
bucket_of(uint32_t us)
{
    int shift = 0;
    while (us >> shift >= 2 * STEPS)
        shift++;
    return (unsigned)shift * STEPS + (us >> shift);
}

/* The greatest number of a bucket. */
static int64_t
top_of(unsigned bucket)
{
    if (bucket < 2 * STEPS)
        return bucket;
    unsigned shift = bucket / STEPS - 1;
    return ((int64_t)(bucket - shift * STEPS + 1) << shift) - 1;
}

static void *
need(void *memory)
{
    if (!memory)
        err(2, NULL);
    return memory;
}

static void
keep(struct statistics *of, uint32_t us)
{
    if (of->histogram) {
        of->histogram[bucket_of(us)]++;
        return;
    }
    if (of->count == of->sample_room) {
        if (of->sample_room == SAMPLES_MAX) {
            of->histogram = need(calloc(BUCKETS, sizeof *of->histogram));
            for (uint32_t i = 0; i < SAMPLES_MAX; i++)
                of->histogram[bucket_of(of->samples[i])]++;
            of->histogram[bucket_of(us)]++;
            free(of->samples);
            of->samples = NULL;
            return;
        }
        of->sample_room = of->sample_room ? 2 * of->sample_room : 16;
        of->samples = need(realloc(of->samples, of->sample_room * sizeof *of->samples));
    }
    of->samples[of->count] = us;
}

void
statistics_add(struct statistics *of, int64_t us)
{
    if (us < 0)
        return;
    if (us > UINT32_MAX)
        us = UINT32_MAX;
    keep(of, (uint32_t)us);
    if (of->count)
        of->steps += (double)llabs(us - of->last);
    if (!of->count || us < of->least)
        of->least = us;
    if (us > of->most)
        of->most = us;
    of->last = us;
    of->count++;
    double from_mean = (double)us - of->mean;
    of->mean += from_mean / (double)of->count;
    of->squares += from_mean * ((double)us - of->mean);
}

void
statistics_free(struct statistics *of)
{
    free(of->samples);
    free(of->histogram);
    *of = (struct statistics){ 0 };
}

double
statistics_deviation(const struct statistics *of)
{
    return of->count ? sqrt(of->squares / (double)of->count) : 0;
}

double
statistics_jitter(const struct statistics *of)
{
    return of->count > 1 ? of->steps / (double)(of->count - 1) : 0;
}

static int
ascending(const void *a, const void *b)
{
    uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
    return (one > other) - (one < other);
}

static int64_t
exact_percentile(const struct statistics *of, int64_t rank)
{
    size_t count = (size_t)of->count;
    uint32_t *sorted = need(malloc(count * sizeof *sorted));
    for (size_t i = 0; i < count; i++)
        sorted[i] = of->samples[i];
    qsort(sorted, count, sizeof *sorted, ascending);
    int64_t us = sorted[rank - 1];
    free(sorted);
    return us;
}

int64_t
statistics_percentile(const struct statistics *of, int percent)
{
    if (!of->count)
        return -1;
    int64_t rank = (of->count * percent + 99) / 100;
    if (rank < 1)
        rank = 1;
    if (!of->histogram)
        return exact_percentile(of, rank);
    unsigned bucket = 0;
    for (int64_t below = 0; (below += of->histogram[bucket]) < rank;)
        bucket++;
    return top_of(bucket) < of->most ? top_of(bucket) : of->most;
}

int64_t
statistics_within(const struct statistics *of, int64_t us)
{
    int64_t within = 0;
    for (int64_t i = 0; !of->histogram && i < of->count; i++)
        within += of->samples[i] <= us;
    for (unsigned i = 0; of->histogram && i < BUCKETS && top_of(i) <= us; i++)
        within += of->histogram[i];
    return within;
}
