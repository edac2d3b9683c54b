/* SPDX-License-Identifier: MIT */
#include "tools/trace_rounds.h"

#include <err.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SILENCES_LEAST 2       /* runs of silent rounds from which on a rate shows */
#define RUN_LONGEST 3          /* times as long as the mean run: what is longer was a failure */
#define EXCESS_LEAST 4.1       /* the best of many hops behind is good by chance, too: so more than the usual three */

static void *
need(void *memory)
{
    if (!memory)
        err(2, NULL);
    return memory;
}

void
tally_begin(struct tally *tally, int first, int last)
{
    *tally = (struct tally){ .first = first, .last = last };
    tally->hops = need(calloc((size_t)(last - first + 1), sizeof *tally->hops));
}

void
tally_free(struct tally *tally)
{
    for (int i = 0; tally->hops && i <= tally->last - tally->first; i++) {
        struct round_hop *hop = &tally->hops[i];
        for (int who = 0; who < hop->responder_count; who++)
            statistics_free(&hop->responders[who].times);
        free(hop->responders);
        free(hop->asked);
        free(hop->answered);
        free(hop->settled);
    }
    free(tally->hops);
    free(tally->ends);
    free(tally->held);
    free(tally->changes);
}

struct round_hop *
tally_hop(const struct tally *tally, int ttl)
{
    return &tally->hops[ttl - tally->first];
}

/* ---- bits of rounds */

static void
grow_bits(struct round_hop *hop, int64_t round)
{
    if (round / 8 < hop->bytes)
        return;
    int64_t bytes = 2 * (round / 8) + 16;
    hop->asked = need(realloc(hop->asked, (size_t)bytes));
    hop->answered = need(realloc(hop->answered, (size_t)bytes));
    hop->settled = need(realloc(hop->settled, (size_t)bytes));
    memset(hop->asked + hop->bytes, 0, (size_t)(bytes - hop->bytes));
    memset(hop->answered + hop->bytes, 0, (size_t)(bytes - hop->bytes));
    memset(hop->settled + hop->bytes, 0, (size_t)(bytes - hop->bytes));
    hop->bytes = bytes;
}

static bool
has_bit(const struct round_hop *hop, const uint8_t *bits, int64_t round)
{
    return round / 8 < hop->bytes && bits[round / 8] >> round % 8 & 1;
}

static void
set_bit(uint8_t *bits, int64_t round)
{
    bits[round / 8] |= (uint8_t)(1 << round % 8);
}

/* ---- what comes */

void
tally_sent(struct tally *tally, int ttl, int64_t round)
{
    struct round_hop *hop = tally_hop(tally, ttl);
    grow_bits(hop, round);
    set_bit(hop->asked, round);
    hop->sent++;
    hop->open++;
}

/* From 1. */
static int
responder_of(struct round_hop *hop, const char *from, const char *mark)
{
    for (int i = 0; i < hop->responder_count; i++)
        if (strcmp(hop->responders[i].address, from) == 0 && strcmp(hop->responders[i].mark, mark) == 0)
            return i + 1;
    size_t size = (size_t)(hop->responder_count + 1) * sizeof *hop->responders;
    hop->responders = need(realloc(hop->responders, size));
    struct responder *fresh = &hop->responders[hop->responder_count];
    *fresh = (struct responder){ .received = 0 };
    snprintf(fresh->address, sizeof fresh->address, "%s", from);
    snprintf(fresh->mark, sizeof fresh->mark, "%s", mark);
    return ++hop->responder_count;
}

static void
note_change(struct tally *tally, int ttl, int64_t round, int before, int now, int64_t at)
{
    for (int i = 0; i < tally->change_count; i++)
        if (tally->changes[i].ttl == ttl && tally->changes[i].before == before && tally->changes[i].now == now)
            return;
    tally->changes = need(realloc(tally->changes, (size_t)(tally->change_count + 1) * sizeof *tally->changes));
    tally->changes[tally->change_count++] = (struct change){ ttl, before, now, round, at };
}

static void
count_answer(struct tally *tally, int ttl, int64_t round, int flow, const char *from, const char *mark, int64_t us,
             int64_t at)
{
    struct round_hop *hop = tally_hop(tally, ttl);
    int who = responder_of(hop, from, mark);
    struct responder *responder = &hop->responders[who - 1];
    struct met *met = &hop->flows[flow % ROUND_FLOWS];
    responder->received++;
    statistics_add(&responder->times, us);
    hop->got++;
    grow_bits(hop, round);
    set_bit(hop->answered, round);
    if (*mark)
        return; /* whose place in the path it is, is not told */
    if (met->last && met->last != who) {
        met->changes++;
        met->returns += met->before == who;
        met->before = met->last;
        note_change(tally, ttl, round, met->last, who, at);
    }
    met->last = who;
}

/* ---- the end of each round */

static void
settle(struct round_hop *hop, int64_t round)
{
    grow_bits(hop, round);
    set_bit(hop->settled, round);
}

/* The first hop at which the target answered in ROUND; 0: none. */
static uint8_t *
end_of(struct tally *tally, int64_t round)
{
    if (round >= tally->ends_size) {
        int64_t size = 2 * round + 16;
        tally->ends = need(realloc(tally->ends, (size_t)size));
        memset(tally->ends + tally->ends_size, 0, (size_t)(size - tally->ends_size));
        tally->ends_size = size;
    }
    return &tally->ends[round];
}

static void
take_back(struct tally *tally, int ttl, int64_t round)
{
    struct round_hop *hop = tally_hop(tally, ttl);
    hop->sent--;
    hop->open--;
    hop->asked[round / 8] &= (uint8_t)~(1 << round % 8);
}

static bool
was_there_before(const struct tally *tally, const struct held *held)
{
    const struct round_hop *hop = tally_hop(tally, held->ttl);
    int last = hop->flows[held->flow % ROUND_FLOWS].last;
    return last && strcmp(hop->responders[last - 1].address, held->from) == 0;
}

/* A hop before is not settled, behind the last where somebody else is. Where the target was is not waited for that. */
static bool
may_be_nearer(const struct tally *tally, const struct held *held)
{
    for (int ttl = held->ttl - 1; ttl >= tally->first && !was_there_before(tally, held); ttl--) {
        const struct round_hop *hop = tally_hop(tally, ttl);
        if (has_bit(hop, hop->answered, held->round))
            return false;
        if (has_bit(hop, hop->asked, held->round) && !has_bit(hop, hop->settled, held->round))
            return true;
    }
    return false;
}

/* Counts what was kept back of ROUND, or of any with 0, when it no longer has to be. */
static void
release(struct tally *tally, int64_t round)
{
    for (int i = tally->held_count - 1; i >= 0; i--) {
        struct held held = tally->held[i];
        if (round && (held.round != round || may_be_nearer(tally, &held)))
            continue;
        tally->held[i] = tally->held[--tally->held_count];
        tally_hop(tally, held.ttl)->open--;
        count_answer(tally, held.ttl, held.round, held.flow, held.from, "", held.us, held.at);
    }
}

/* Of what is kept back of ROUND there is one. */
static void
forget_held(struct tally *tally, int64_t round)
{
    for (int i = 0; i < tally->held_count; i++)
        if (tally->held[i].round == round) {
            take_back(tally, tally->held[i].ttl, round);
            tally->held[i] = tally->held[--tally->held_count];
            return;
        }
}

void
tally_reached(struct tally *tally, int ttl, int64_t round, int flow, const char *from, int64_t us, int64_t at)
{
    uint8_t *end = end_of(tally, round);
    settle(tally_hop(tally, ttl), round);
    if (*end && *end < ttl) {
        take_back(tally, ttl, round);
        return;
    }
    forget_held(tally, round);
    *end = (uint8_t)ttl;
    tally->held = need(realloc(tally->held, (size_t)(tally->held_count + 1) * sizeof *tally->held));
    struct held *held = &tally->held[tally->held_count++];
    *held = (struct held){ .ttl = ttl, .flow = flow, .round = round, .us = us, .at = at };
    snprintf(held->from, sizeof held->from, "%s", from);
    release(tally, round);
}

void
tally_heard(struct tally *tally, int ttl, int64_t round, int flow, const char *from, const char *mark, int64_t us,
            int64_t at)
{
    struct round_hop *hop = tally_hop(tally, ttl);
    settle(hop, round);
    hop->open--;
    count_answer(tally, ttl, round, flow, from, mark, us, at);
    release(tally, round);
}

void
tally_silent(struct tally *tally, int ttl, int64_t round)
{
    const uint8_t *end = end_of(tally, round);
    settle(tally_hop(tally, ttl), round);
    if (*end && *end < ttl)
        take_back(tally, ttl, round);
    else
        tally_hop(tally, ttl)->open--;
    release(tally, round);
}

void
tally_end(struct tally *tally, bool lost)
{
    release(tally, 0);
    for (int ttl = tally->first; lost && ttl <= tally->last; ttl++)
        tally_hop(tally, ttl)->open = 0;
}

/* ---- what follows */

double
tally_loss(const struct round_hop *hop)
{
    int64_t done = hop->sent - hop->open;
    return done > 0 && hop->got < done ? 100 * (double)(done - hop->got) / (double)done : 0;
}

static bool
answered_behind(const struct tally *tally, int ttl, int64_t round)
{
    for (int behind = ttl + 1; behind <= tally->last; behind++)
        if (has_bit(tally_hop(tally, behind), tally_hop(tally, behind)->answered, round))
            return true;
    return false;
}

/*
 * How certain it is that HOP loses more than BEHIND, in standard deviations of what chance makes of equal loss. The arc
 * sine of its root spreads alike whatever the share is; the fractions are those of Anscombe, for small counts.
 */
static double
excess(const struct round_hop *hop, const struct round_hop *behind)
{
    double done = (double)(hop->sent - hop->open), done_behind = (double)(behind->sent - behind->open);
    double lost = done - (double)hop->got, lost_behind = done_behind - (double)behind->got;
    double angle = 2 * asin(sqrt((lost + 0.375) / (done + 0.75)));
    double angle_behind = 2 * asin(sqrt((lost_behind + 0.375) / (done_behind + 0.75)));
    return (angle - angle_behind) / sqrt(1 / (done + 0.5) + 1 / (done_behind + 0.5));
}

/* The hop behind that lost least tells what the way itself loses. */
static bool
loses_more_than_the_way(const struct tally *tally, int ttl)
{
    const struct round_hop *hop = tally_hop(tally, ttl);
    for (int behind = ttl + 1; behind <= tally->last; behind++) {
        const struct round_hop *other = tally_hop(tally, behind);
        if (other->got && 2 * tally_loss(other) <= tally_loss(hop) && excess(hop, other) > EXCESS_LEAST)
            return true;
    }
    return false;
}

bool
tally_is_limited(const struct tally *tally, int ttl, int64_t rounds)
{
    const struct round_hop *hop = tally_hop(tally, ttl);
    int64_t silent = 0, behind = 0, runs = 0, run = 0, longest = 0;
    if (!hop->got || tally_loss(hop) < 10 || !loses_more_than_the_way(tally, ttl))
        return false;
    for (int64_t round = 1; round <= rounds; round++) {
        if (!has_bit(hop, hop->asked, round))
            continue;
        bool answered = has_bit(hop, hop->answered, round);
        run = answered ? 0 : run + 1;
        runs += run == 1;
        longest = run > longest ? run : longest;
        silent += !answered;
        behind += !answered && answered_behind(tally, ttl, round);
    }
    return runs >= SILENCES_LEAST && longest * runs <= RUN_LONGEST * silent && 5 * behind >= 4 * silent;
}

enum balance
tally_balance(const struct tally *tally, int ttl)
{
    const struct round_hop *hop = tally_hop(tally, ttl);
    int changes = 0, returns = 0, first = 0;
    bool differ = false;
    for (int flow = 0; flow < ROUND_FLOWS; flow++) {
        const struct met *met = &hop->flows[flow];
        changes += met->changes;
        returns += met->returns;
        first = first ? first : met->last;
        differ |= met->last && met->last != first;
    }
    if (returns >= 2 || (changes >= 3 && differ))
        return tally->has_flows ? BALANCE_PACKETS : BALANCE_EITHER;
    return differ && !changes ? BALANCE_FLOWS : BALANCE_NONE;
}

int
tally_length(const struct tally *tally)
{
    int ttl = tally->last;
    while (ttl >= tally->first && !tally_hop(tally, ttl)->responder_count)
        ttl--;
    return ttl;
}
