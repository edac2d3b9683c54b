/* SPDX-License-Identifier: MIT */
#include "probes/plan.h"

#include <errno.h>
#include <stdlib.h>

#include "lines/blocks.h"

#define ROUNDS 4 /* of a Feistel network; an even number, so that its halves come back to their places */

/* An address as a number. */
struct wide {
    uint64_t high, low;
};

/* All addresses from the first to the last. */
struct stretch {
    struct wide first, last;
    uint64_t before; /* how many there are in those before it */
};

/* ---- numbers as wide as addresses ---- */

static struct wide
wide_of(enum family_id family, const struct address *address)
{
    uint64_t words[2];
    memcpy(words, address->bytes, sizeof words);
    if (family == IPV4)
        return (struct wide){ 0, be64toh(words[0]) >> 32 };
    return (struct wide){ be64toh(words[0]), be64toh(words[1]) };
}

static struct address
address_of(enum family_id family, struct wide wide)
{
    struct address address;
    uint64_t words[2] = { htobe64(family == IPV4 ? wide.low << 32 : wide.high), htobe64(family == IPV4 ? 0 : wide.low) };
    memcpy(address.bytes, words, sizeof words);
    return address;
}

static bool
is_less(struct wide one, struct wide other)
{
    return one.high < other.high || (one.high == other.high && one.low < other.low);
}

static struct wide
sum(struct wide wide, uint64_t more)
{
    uint64_t low = wide.low + more;
    return (struct wide){ wide.high + (low < more), low };
}

static struct wide
one_less(struct wide wide)
{
    return (struct wide){ wide.high - (wide.low == 0), wide.low - 1 };
}

static bool
is_last(struct wide wide)
{
    return wide.high == UINT64_MAX && wide.low == UINT64_MAX;
}

/* How many addresses a stretch has; more than COMBINATIONS_MAX are so many and one. */
static uint64_t
length_of(const struct stretch *stretch)
{
    uint64_t high = stretch->last.high - stretch->first.high - (stretch->last.low < stretch->first.low);
    uint64_t low = stretch->last.low - stretch->first.low;
    return high > 0 || low >= COMBINATIONS_MAX ? COMBINATIONS_MAX + 1 : low + 1;
}

/* ---- which addresses ---- */

static size_t
count_blocks(struct word list)
{
    size_t count = list.length > 0;
    for (size_t i = 0; i < list.length; i++)
        count += list.at[i] == ',';
    return count;
}

static void
sink(struct stretch *heap, size_t place, size_t count)
{
    struct stretch stretch = heap[place];
    for (size_t child; (child = 2 * place + 1) < count; place = child) {
        child += child + 1 < count && is_less(heap[child].first, heap[child + 1].first);
        if (!is_less(stretch.first, heap[child].first))
            break;
        heap[place] = heap[child];
    }
    heap[place] = stretch;
}

/* By a heap: qsort(3) may ask for the size of the memory, which the sandbox does not let it. */
static void
sort(struct stretch *stretches, size_t count)
{
    for (size_t place = count / 2; place-- > 0;)
        sink(stretches, place, count);
    while (count > 1) {
        struct stretch greatest = stretches[0];
        stretches[0] = stretches[--count];
        stretches[count] = greatest;
        sink(stretches, 0, count);
    }
}

/* Makes one of those that overlap or touch; returns how many are left. */
static size_t
merge(struct stretch *stretches, size_t count)
{
    size_t merged = 0;
    sort(stretches, count);
    for (size_t i = 0; i < count; i++) {
        struct wide *end = merged > 0 ? &stretches[merged - 1].last : NULL;
        if (!end || (!is_last(*end) && is_less(sum(*end, 1), stretches[i].first)))
            stretches[merged++] = stretches[i];
        else if (is_less(*end, stretches[i].last))
            *end = stretches[i].last;
    }
    return merged;
}

/* The addresses of a list that request_parse() found good. */
static size_t
read_list(struct word list, enum family_id family, struct stretch *stretches)
{
    struct block block;
    size_t count = 0;
    while (list.length > 0 && blocks_next(&list, family, &block) == REASON_NONE)
        stretches[count++] = (struct stretch){ wide_of(family, &block.first), wide_of(family, &block.last), 0 };
    return merge(stretches, count);
}

/* Those of ALL that are in none of OUT, which are sorted both; each of OUT may cut one in two. Returns their number. */
static size_t
subtract(const struct stretch *all, size_t count, const struct stretch *out, size_t out_count, struct stretch *left)
{
    size_t kept = 0, place = 0;
    for (size_t i = 0; i < count; i++) {
        struct stretch rest = all[i];
        bool any = true;
        while (place < out_count && is_less(out[place].last, rest.first))
            place++;
        for (size_t at = place; any && at < out_count && !is_less(rest.last, out[at].first); at++) {
            if (is_less(rest.first, out[at].first))
                left[kept++] = (struct stretch){ rest.first, one_less(out[at].first), 0 };
            any = is_less(out[at].last, rest.last);
            if (any)
                rest.first = sum(out[at].last, 1);
        }
        if (any)
            left[kept++] = rest;
    }
    return kept;
}

/* 0, ENOMEM, or E2BIG. */
static int
find_targets(struct plan *plan, const struct sweep_request *sweep)
{
    size_t most = count_blocks(sweep->targets), most_out = count_blocks(sweep->exclude);
    struct stretch *all = calloc(most + 1, sizeof *all), *out = calloc(most_out + 1, sizeof *out);
    plan->stretches = calloc(most + most_out + 1, sizeof *plan->stretches);
    int error = all && out && plan->stretches ? 0 : ENOMEM;
    if (!error) {
        size_t count = read_list(sweep->targets, plan->family, all);
        size_t out_count = read_list(sweep->exclude, plan->family, out);
        plan->stretch_count = subtract(all, count, out, out_count, plan->stretches);
    }
    for (size_t i = 0; i < plan->stretch_count && !error; i++) {
        plan->stretches[i].before = plan->targets;
        plan->targets += length_of(&plan->stretches[i]);
        if (plan->targets > COMBINATIONS_MAX)
            error = E2BIG;
    }
    free(all);
    free(out);
    return error;
}

static struct wide
nth_target(const struct plan *plan, uint64_t number)
{
    size_t low = 0, high = plan->stretch_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (plan->stretches[middle].before <= number)
            low = middle;
        else
            high = middle;
    }
    return sum(plan->stretches[low].first, number - plan->stretches[low].before);
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
        .family = request->family,
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
    free(plan->stretches);
    plan->stretches = NULL;
}

/* A target's own come one after another: of each flow all ports, and to each of these all ttls. */
void
plan_combination(const struct plan *plan, uint64_t number, struct combination *combination)
{
    combination->target = address_of(plan->family, nth_target(plan, plan_target(plan, number)));
    uint64_t which = number % plan->each, ttls = size_of(plan->ttl), ports = size_of(plan->port);
    combination->ttl = plan->ttl.low + (uint32_t)(which % ttls);
    combination->port = plan->port.low + (uint32_t)(which / ttls % ports);
    combination->flow = plan->flow.low + (uint32_t)(which / ttls / ports);
}
