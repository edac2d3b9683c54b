/* SPDX-License-Identifier: MIT */
#include "probes/plan.h"

#include <errno.h>
#include <stdlib.h>

#include "lines/blocks.h"

#define ROUNDS 4 /* of a Feistel network; an even number, so that its halves come back to their places */

/* ---- which addresses ---- */

/* The addresses of a list that request_parse() found good. False: no memory. */
static bool
read_list(struct word list, struct ranges *ranges)
{
    struct block block;
    bool room = true;
    while (room && list.length > 0 && blocks_next(&list, ranges->family, &block) == REASON_NONE)
        room = ranges_add(ranges, &block.first, &block.last);
    ranges_sort(ranges);
    return room;
}

/* 0, ENOMEM, or E2BIG. */
static int
find_targets(struct plan *plan, const struct sweep_request *sweep)
{
    struct ranges out = { .family = plan->ranges.family };
    bool room = read_list(sweep->targets, &plan->ranges) && read_list(sweep->exclude, &out) &&
                ranges_subtract(&plan->ranges, &out);
    ranges_free(&out);
    plan->targets = ranges_count(&plan->ranges);
    return !room ? ENOMEM : plan->targets > COMBINATIONS_MAX ? E2BIG : 0;
}

/* ---- in which order ---- */

/* Spreads every bit of a word over all: the last steps of SplitMix64 (Steele, Lea and Flood, 2014). */
static uint64_t
mix(uint64_t word)
{
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

static unsigned
bits_of(uint64_t size)
{
    return size > 1 ? 64 - (unsigned)__builtin_clzll(size - 1) : 0;
}

/* A permutation of the numbers of BITS bits. */
static uint64_t
feistel(uint64_t key, unsigned bits, uint64_t number)
{
    unsigned low_bits = bits / 2, high_bits = bits - low_bits;
    uint64_t low = number & ((UINT64_C(1) << low_bits) - 1), high = number >> low_bits;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t other = high ^ (mix(key + (low << 8 | round)) & ((UINT64_C(1) << high_bits) - 1));
        unsigned bits_before = high_bits;
        high = low;
        high_bits = low_bits;
        low = other;
        low_bits = bits_before;
    }
    return high << low_bits | low;
}

/* A permutation of the numbers below SIZE. */
static uint64_t
permute(uint64_t key, uint64_t size, uint64_t number)
{
    unsigned bits = bits_of(size);
    do
        number = feistel(key, bits, number);
    while (number >= size);
    return number;
}

/* As many as keep strata and turns alike in number: then neither is so few that its order could be told. */
static void
cut_into_strata(struct plan *plan)
{
    plan->strata = 1;
    while (plan->strata < STRATA_MAX && plan->strata * plan->strata < plan->total)
        plan->strata++;
    plan->height = (plan->total + plan->strata - 1) / plan->strata;
}

uint64_t
plan_at(const struct plan *plan, uint64_t position)
{
    if (plan->sequential)
        return position;
    do {
        uint64_t turn = position / plan->strata, place = position % plan->strata;
        uint64_t stratum = permute(mix(plan->seed + 2 * turn), plan->strata, place);
        position = stratum * plan->height + permute(mix(plan->seed + 2 * stratum + 1), plan->height, turn);
    } while (position >= plan->total); /* of the last strata, which may be short */
    return position;
}

/* ---- the plan ---- */

static uint64_t
size_of(struct span span)
{
    return (uint64_t)span.high - span.low + 1;
}

static uint64_t
least(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

/* The positions at which a shard begins: in parts as equal as can be. */
static uint64_t
start_of(const struct plan *plan, uint64_t shard, uint64_t shards)
{
    return plan->total / shards * shard + least(plan->total % shards, shard);
}

int
plan_make(struct plan *plan, const struct request *request, uint64_t seed)
{
    const struct sweep_request *sweep = &request->sweep;
    *plan = (struct plan){
        .ranges = { .family = request->family },
        .ttl = sweep->ttl,
        .port = sweep->port,
        .flow = sweep->flow,
        .each = size_of(sweep->ttl) * size_of(sweep->port) * size_of(sweep->flow),
        .seed = mix(seed),
        .sequential = sweep->sequential,
    };
    int error = find_targets(plan, sweep);
    if (!error && plan->targets > COMBINATIONS_MAX / plan->each)
        error = E2BIG;
    plan->total = plan->targets * plan->each;
    if (!error && sweep->from > plan->total)
        error = ERANGE;
    if (error) {
        plan_free(plan);
        return error;
    }
    cut_into_strata(plan);
    plan->start = start_of(plan, sweep->shard - 1, sweep->shards);
    plan->end = start_of(plan, sweep->shard, sweep->shards);
    plan->start = least(plan->start > sweep->from ? plan->start : sweep->from, plan->end);
    return 0;
}

void
plan_free(struct plan *plan)
{
    ranges_free(&plan->ranges);
}

/* A target's own come one after another: of each flow all ports, and to each of these all ttls. */
void
plan_combination(const struct plan *plan, uint64_t number, struct combination *combination)
{
    combination->target = ranges_at(&plan->ranges, plan_target(plan, number));
    uint64_t which = number % plan->each, ttls = size_of(plan->ttl), ports = size_of(plan->port);
    combination->ttl = plan->ttl.low + (uint32_t)(which % ttls);
    combination->port = plan->port.low + (uint32_t)(which / ttls % ports);
    combination->flow = plan->flow.low + (uint32_t)(which / ttls / ports);
}
