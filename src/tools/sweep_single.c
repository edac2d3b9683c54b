/* SPDX-License-Identifier: MIT */
#include "tools/sweep_single.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "tools/sweep_gate.h"
#include "tools/target.h"

#define NUMBER_BITS 41            /* of a tag, for the number of a combination; the rest is the try */
#define NUMBER_MASK ((UINT64_C(1) << NUMBER_BITS) - 1)

struct single {
    struct events *events;
    struct client *client;
    const struct run_rules *rules;
    const struct run_user *user;
    uint64_t ttls, total, stride;
    uint64_t next; /* how many were begun */
    struct run_tally tally; /* without what follows from the others */
    bool stopped, in_burst;

    struct gate gate; /* tags that are to be asked again stand in it, and those that the daemon did not take */
    struct alarm tick;

    unsigned char *repliers; /* with a limit: a bit for each target that has replied */
    uint64_t replied;
};

/* ---- which */

static uint64_t
common_divisor(uint64_t one, uint64_t other)
{
    while (other) {
        uint64_t rest = one % other;
        one = other;
        other = rest;
    }
    return one;
}

/* A step through all numbers that comes to each, and by which those that follow each other are far apart. */
static uint64_t
stride_of(uint64_t total)
{
    uint64_t stride = (uint64_t)((double)total * 0.6180339887498949) + 1;
    while (common_divisor(stride, total) != 1)
        stride++;
    return stride;
}

/* The step is less than 2^41 and so is the number, so their product has no room in 64 bits. */
static uint64_t
number_at(const struct single *single, uint64_t position)
{
    uint64_t low = position & 0xfffff, high = position >> 20;
    uint64_t sum = high * (single->stride % single->total) % single->total;
    sum = (sum << 20) % single->total;
    return (sum + low * (single->stride % single->total)) % single->total;
}

struct combination {
    enum family_id family;
    struct address target;
    int64_t ttl; /* -1: none is named */
};

static struct combination
combination_of(const struct single *single, uint64_t number)
{
    const struct ranges *targets = single->rules->targets;
    uint64_t target = number / single->ttls, ipv4 = ranges_count(&targets[IPV4]);
    enum family_id family = target < ipv4 ? IPV4 : IPV6;
    return (struct combination){
        .family = family,
        .target = ranges_at(&targets[family], family == IPV4 ? target : target - ipv4),
        .ttl = single->rules->ttl_low < 0 ? -1 : single->rules->ttl_low + (int64_t)(number % single->ttls),
    };
}

/* ---- sending */

static void
send_one(struct single *single, uint64_t tag)
{
    struct combination combination = combination_of(single, tag & NUMBER_MASK);
    struct target target = { .family = combination.family, .first = combination.target };
    char address[64], seconds[SECONDS_MAX], ttl[32] = "";
    if (combination.ttl >= 0)
        snprintf(ttl, sizeof ttl, " ttl %d", (int)combination.ttl);
    gate_pass(&single->gate);
    single->tally.probes++;
    client_ask(single->client, tag, ONE_ANSWER, "send-probe ip-%c %s%s%s timeout %s", combination.family == IPV4 ? '4' : '6',
               target_address(&target, 0, address), single->rules->arguments, ttl,
               client_seconds(single->client, single->rules->timeout, seconds));
}

static void
burst(void *owner)
{
    struct single *single = owner;
    if (single->in_burst) /* the client answered at once */
        return;
    single->in_burst = true;
    gate_renew(&single->gate, clock_now());
    for (uint64_t tag; !single->stopped && gate_take_again(&single->gate, &tag);)
        send_one(single, tag);
    while (!single->stopped && single->next < single->total && gate_has_room(&single->gate))
        send_one(single, number_at(single, single->next++)); /* the client may answer at once */
    if (!single->stopped && (single->gate.again_count || single->next < single->total))
        events_set(single->events, &single->tick, instant_after(single->gate.latest, GATE_TICK));
    single->in_burst = false;
}

/* ---- what becomes of them */

static void
ask_again(struct single *single, uint64_t tag)
{
    gate_put_again(&single->gate, tag);
    if (!single->tick.place)
        events_set(single->events, &single->tick, events_now(single->events));
}

/* What the daemon refused has not left. False: it takes none at all. */
static bool
give_back(struct single *single, uint64_t tag)
{
    bool given = gate_give_back(&single->gate, tag, client_open(single->client));
    single->tally.probes -= given;
    if (given && !single->tick.place)
        events_set(single->events, &single->tick, events_now(single->events));
    return given;
}

/* True when that is enough. */
static bool
note_reply(struct single *single, uint64_t number)
{
    uint64_t target = number / single->ttls;
    if (!single->repliers || single->repliers[target / 8] >> target % 8 & 1)
        return false;
    single->repliers[target / 8] |= (unsigned char)(1 << target % 8);
    return ++single->replied >= single->rules->limit;
}

static void
tell(struct single *single, uint64_t number, const struct reply *reply)
{
    struct combination combination = combination_of(single, number);
    single->user->heard(single->user->owner, combination.family, &combination.target,
                        combination.ttl < 0 ? 0 : (unsigned)combination.ttl, reply);
}

static void
end_if_over(struct single *single)
{
    if (single->stopped || (single->next == single->total && !single->gate.again_count && !client_open(single->client)))
        single->user->ended(single->user->owner);
}

void
single_take(struct single *single, uint64_t tag, const struct reply *reply)
{
    uint64_t number = tag & NUMBER_MASK;
    bool is_silent = reply->kind == KIND_NO_REPLY, more = (int64_t)(tag >> NUMBER_BITS) < single->rules->retries;
    if (is_silent && more && !single->stopped) {
        ask_again(single, tag + NUMBER_MASK + 1);
    } else if (strcmp(reply->word, "probes-exhausted") != 0 || !give_back(single, tag)) {
        bool is_refused = !reply->from && !is_silent;
        single->tally.answered += reply->from != NULL;
        single->tally.silent += is_silent;
        single->tally.refused += is_refused;
        single->tally.probes -= is_refused; /* it never left */
        if (reply->from || single->rules->report_all)
            tell(single, number, reply);
        if (reply->kind == KIND_REPLY && note_reply(single, number))
            single->stopped = true;
    }
    if (gate_widens(&single->gate))
        burst(single);
    end_if_over(single);
}

struct run_tally
single_tally(const struct single *single)
{
    struct run_tally tally = single->tally;
    tally.left = single->total - single->next;
    tally.in_flight = single->next - tally.answered - tally.silent - tally.refused;
    return tally;
}

/* ---- beginning and ending */

struct single *
single_new(struct events *events, struct client *client, const struct run_rules *rules, const struct run_user *user)
{
    struct single *single = calloc(1, sizeof *single);
    if (!single)
        err(2, NULL);
    uint64_t targets = ranges_count(&rules->targets[IPV4]) + ranges_count(&rules->targets[IPV6]);
    *single = (struct single){ .events = events, .client = client, .rules = rules, .user = user,
                               .gate = gate_of(client, &rules->rate) };
    single->ttls = (uint64_t)(rules->ttl_high - rules->ttl_low) + 1;
    single->total = targets * single->ttls;
    single->stride = single->total ? stride_of(single->total) : 1;
    single->tick = (struct alarm){ .rings = burst, .owner = single };
    if (rules->limit && !(single->repliers = calloc(targets / 8 + 1, 1)))
        err(2, NULL);
    return single;
}

void
single_free(struct single *single)
{
    if (!single)
        return;
    events_unset(single->events, &single->tick);
    gate_free(&single->gate);
    free(single->repliers);
    free(single);
}

void
single_begin(struct single *single)
{
    gate_open(&single->gate, clock_now());
    burst(single);
    end_if_over(single);
}

void
single_stop(struct single *single)
{
    single->stopped = true;
    events_unset(single->events, &single->tick);
}
