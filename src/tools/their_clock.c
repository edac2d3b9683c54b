/* SPDX-License-Identifier: MIT */
#include "tools/their_clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "packets/instant.h"

#define DAY ((double)MS_PER_DAY)
#define RESOLUTION 1.0 /* ms: what its times are cut to */
#define DRIFT_LEAST 3  /* answers */

/* ---- one answer */

/* "1764374400.123456789" as ms since midnight UT. */
static bool
read_time(const char *text, double *ms)
{
    const char *digits = "0123456789";
    size_t whole = text ? strspn(text, digits) : 0;
    if (!whole || whole > 11 || text[whole] != '.' || strspn(text + whole + 1, digits) != 9 || text[whole + 10])
        return false;
    int64_t seconds = strtoll(text, NULL, 10), ns = strtoll(text + whole + 1, NULL, 10);
    *ms = (double)(seconds % (MS_PER_DAY / 1000)) * 1000 + (double)ns / (double)NS_PER_MS;
    return true;
}

/* A difference of two times of day, of which either may be behind midnight. */
static double
wrap(double ms)
{
    return ms - DAY * floor(ms / DAY + 0.5);
}

enum clock_word
their_clock_hear(const struct reply *reply, struct clock_sample *sample)
{
    double sent, received;
    int64_t receive = reply_number(reply, FIELD_RECEIVE), transmit = reply_number(reply, FIELD_TRANSMIT);
    if (receive < 0 || transmit < 0 || !read_time(reply->value[FIELD_SENT], &sent) ||
        !read_time(reply->value[FIELD_RECEIVED], &received))
        return CLOCK_SILENT;
    if (receive >= MS_PER_DAY || transmit >= MS_PER_DAY)
        return CLOCK_ODD;
    /* What is cut to whole ms was half of one more, in the mean. */
    *sample = (struct clock_sample){
        .at = sent,
        .trip = (double)reply->round_trip_us / 1000,
        .there = wrap((double)receive + RESOLUTION / 2 - sent),
        .back = wrap(received - (double)transmit - RESOLUTION / 2),
    };
    return CLOCK_TOLD;
}

/* Half a day ahead is half a day behind, so the mean of both is taken from one side. */
double
their_clock_offset(const struct clock_sample *sample)
{
    return wrap(sample->there - wrap(sample->there + sample->back) / 2);
}

bool
their_clock_add(struct their_clock *clock, const struct clock_sample *sample)
{
    if (clock->count == CLOCK_SAMPLES_MAX)
        return true;
    if (clock->count == clock->room) {
        size_t room = 2 * clock->room + 16;
        struct clock_sample *samples = realloc(clock->samples, room * sizeof *samples);
        if (!samples)
            return false;
        clock->samples = samples;
        clock->room = room;
    }
    clock->samples[clock->count++] = *sample;
    return true;
}

void
their_clock_free(struct their_clock *clock)
{
    free(clock->samples);
}

/* ---- all of them */

/* The line through the offsets of the quickest answers. */
struct line {
    double first_offset; /* of the first: what the others are drawn against, so that half a day off does no harm */
    double at, offset, slope, spread, span;
    size_t count;
};

static double
least_trip(const struct their_clock *clock)
{
    double least = clock->samples[0].trip;
    for (size_t i = 1; i < clock->count; i++)
        least = fmin(least, clock->samples[i].trip);
    return least;
}

/* Those that are no longer than the clock's own resolution allows to see. */
static bool
is_quick(const struct clock_sample *sample, double least)
{
    return sample->trip <= least + RESOLUTION;
}

/* A run may go through midnight more than once, so time goes on from the answer before. */
static double
time_of(const struct their_clock *clock, size_t i, double before)
{
    double step = clock->samples[i].at - fmod(before, DAY);
    return before + (step < -DAY / 2 ? step + DAY : step > DAY / 2 ? step - DAY : step);
}

static double
offset_of(const struct line *line, const struct clock_sample *sample)
{
    return wrap(their_clock_offset(sample) - line->first_offset);
}

static void
find_means(const struct their_clock *clock, double least, struct line *line)
{
    double now = clock->samples[0].at, first = -1, last = 0;
    for (size_t i = 0; i < clock->count; i++) {
        now = time_of(clock, i, now);
        if (!is_quick(&clock->samples[i], least))
            continue;
        first = first < 0 ? now : first;
        last = now;
        line->at += now;
        line->offset += offset_of(line, &clock->samples[i]);
        line->count++;
    }
    line->at /= (double)line->count;
    line->offset /= (double)line->count;
    line->span = last - first;
}

static void
find_slope(const struct their_clock *clock, double least, struct line *line)
{
    double now = clock->samples[0].at, squares = 0, products = 0, rest = 0;
    for (int turn = 0; turn < 2; turn++) {
        now = clock->samples[0].at;
        for (size_t i = 0; i < clock->count; i++) {
            now = time_of(clock, i, now);
            double x = now - line->at, y = offset_of(line, &clock->samples[i]) - line->offset;
            if (!is_quick(&clock->samples[i], least))
                continue;
            if (turn == 0) {
                squares += x * x;
                products += x * y;
            } else {
                rest += (y - line->slope * x) * (y - line->slope * x);
            }
        }
        line->slope = squares > 0 ? products / squares : 0;
    }
    line->spread = squares > 0 && line->count > 2 ? sqrt(rest / (double)(line->count - 2) / squares) : 0;
}

bool
their_clock_sum_up(const struct their_clock *clock, struct clock_sum *sum)
{
    *sum = (struct clock_sum){ 0 };
    /* Numbers that are none of a time of day look like one now and then. */
    if (!clock->count || clock->odd > (int64_t)clock->count)
        return false;
    struct line line = { .first_offset = their_clock_offset(&clock->samples[0]) };
    double now = clock->samples[0].at, ppm = 1e6;
    sum->least = least_trip(clock);
    find_means(clock, sum->least, &line);
    find_slope(clock, sum->least, &line);
    sum->has_drift = line.count >= DRIFT_LEAST && line.span > 0;
    sum->drift = line.slope * ppm;
    sum->drift_error = line.span > 0 ? fmax(2 * line.spread, RESOLUTION / line.span) * ppm : 0;
    double slope = sum->has_drift && fabs(sum->drift) > sum->drift_error ? line.slope : 0;
    for (size_t i = 0; i < clock->count; i++) {
        const struct clock_sample *sample = &clock->samples[i];
        now = time_of(clock, i, now);
        double offset = line.offset + slope * (now - line.at);
        sum->there += wrap(sample->there - line.first_offset - offset) / (double)clock->count;
        sum->back += wrap(sample->back + line.first_offset + offset) / (double)clock->count;
        sum->offset = wrap(line.first_offset + offset);
    }
    sum->offset_error = sum->least / 2 + RESOLUTION / 2;
    return true;
}
