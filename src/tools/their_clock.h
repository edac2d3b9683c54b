/* SPDX-License-Identifier: MIT */
/*
 * The other host's clock, by ICMP timestamps (RFC 792): its offset from ours, its drift, and how the round trips divide
 * into there and back. Neither is seen by itself: the quickest round trips are taken to be as long there as back. Pure.
 */
#ifndef HOPLINE_TOOLS_THEIR_CLOCK_H
#define HOPLINE_TOOLS_THEIR_CLOCK_H

#include "tools/reply.h"

#define CLOCK_SAMPLES_MAX 65536

/* Of one answer; all in ms. */
struct clock_sample {
    double at;    /* when, by our clock */
    double trip;  /* the round trip */
    double there, back; /* as the clocks have it, so with the offset in them */
};

/* Starts out as zeros. */
struct their_clock {
    struct clock_sample *samples; /* the first CLOCK_SAMPLES_MAX of them */
    size_t count, room;
    int64_t odd; /* answers whose times are not standard */
};

/* What a reply tells of it: nothing, times that are not standard (RFC 792: the high bit is set), or *SAMPLE. */
enum clock_word { CLOCK_SILENT, CLOCK_ODD, CLOCK_TOLD };
enum clock_word their_clock_hear(const struct reply *reply, struct clock_sample *sample);

/* How far it is ahead by this answer alone; less than 0: behind. */
double their_clock_offset(const struct clock_sample *sample);

/* False without memory. */
MUST_USE bool their_clock_add(struct their_clock *clock, const struct clock_sample *sample);
void their_clock_free(struct their_clock *clock);

struct clock_sum {
    double offset, offset_error; /* ms at the last answer; the error holds for any way there and back */
    bool has_drift;
    double drift, drift_error; /* ppm; more than 0: it is too fast */
    double there, back;        /* ms: of the mean round trip */
    double least;              /* ms: the quickest */
};

/* False when nothing was told, or most of it was odd. */
MUST_USE bool their_clock_sum_up(const struct their_clock *clock, struct clock_sum *sum);

#endif
