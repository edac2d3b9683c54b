/* SPDX-License-Identifier: MIT */
#include "probes/sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * For so long a probe may be late and is made up for: more were a burst. Where several are due within GRAIN they are sent
 * together, since to wake for each costs more than to send it.
 */
#define LATE_MAX (10 * NS_PER_MS)
#define GRAIN NS_PER_MS

#define AGAIN_AT_FIRST 64

/* Those that are to be sent again, in the order in which they expired: a ring that grows with what is in flight. */
struct again {
    struct part *parts;
    uint32_t size, start, count; /* size: a power of two */
};

/* The targets that have replied, where one may do so more than once: an open hash of target + 1, at most half full. */
struct repliers {
    uint64_t *places;
    uint64_t size, count;
};

struct sweep {
    struct request request;
    struct plan plan;
    struct sweeps *all;
    uint32_t place;          /* in its `running` */
    uint64_t position;       /* the next, in the permutation */
    uint64_t number;         /* what sweep_next() gave last, which was at: */
    uint64_t number_at;
    bool stopped;
    struct again again;
    struct repliers repliers;
    struct sweep_tally tally; /* without what follows from the others */

    struct instant began;
    struct instant due;      /* of the next probe */
    uint32_t due_rest;       /* of a nanosecond, in parts of which the rate has one */
    struct instant held;     /* until then nothing is sent */
    int64_t turn;            /* the sum of its intervals so far: who is behind by them goes first */
    struct instant progress; /* when to tell it next */
    char line[];
};

/* ---- beginning and ending ---- */

static void
sweep_free(struct sweep *sweep)
{
    plan_free(&sweep->plan);
    free(sweep->again.parts);
    free(sweep->repliers.places);
    free(sweep);
}

void
sweeps_free(struct sweeps *sweeps)
{
    for (uint32_t place = 0; place < SWEEPS_MAX; place++)
        if (sweeps->running[place])
            sweep_free(sweeps->running[place]);
}

/* The same words, in the copy of the line. */
static void
move_word(struct word *word, const char *from, const char *to)
{
    if (word->length)
        word->at = to + (word->at - from);
}

/* Of the whole line only those words are needed again that go with each probe. */
static struct sweep *
sweep_new(const struct request *request, const char *line, size_t length)
{
    struct sweep *sweep = malloc(sizeof *sweep + length);
    if (!sweep)
        return NULL;
    *sweep = (struct sweep){ .request = *request, .number_at = UINT64_MAX };
    memcpy(sweep->line, line, length);
    move_word(&sweep->request.scope, line, sweep->line);
    move_word(&sweep->request.local_scope, line, sweep->line);
    move_word(&sweep->request.interface.name, line, sweep->line);
    move_word(&sweep->request.payload, line, sweep->line);
    return sweep;
}

int
sweeps_add(struct sweeps *sweeps, const struct request *request, const char *line, size_t length, uint64_t seed,
           struct instant now)
{
    uint32_t place = 0;
    while (place < SWEEPS_MAX && sweeps->running[place])
        place++;
    if (place == SWEEPS_MAX)
        return ENOSPC;
    struct sweep *sweep = sweep_new(request, line, length);
    if (!sweep)
        return ENOMEM;
    int error = plan_make(&sweep->plan, request, request->sweep.seed_given ? request->sweep.seed : seed);
    if (error) {
        free(sweep);
        return error;
    }
    sweep->all = sweeps;
    sweep->place = place;
    sweep->request.part.sweep = (place + 1) & 0x7f;
    sweep->request.yields = true;
    sweep->position = sweep->plan.start;
    sweep->began = sweep->due = sweep->held = now;
    sweep->progress = instant_after(now, request->sweep.progress * NS_PER_US);
    sweeps->running[place] = sweep;
    sweeps->count++;
    return 0;
}

uint32_t
sweeps_stop(struct sweeps *sweeps, int32_t token)
{
    uint32_t stopped = 0;
    for (uint32_t place = 0; place < SWEEPS_MAX; place++) {
        struct sweep *sweep = sweeps->running[place];
        if (!sweep || sweep->request.token != token)
            continue;
        sweep->stopped = true;
        stopped++;
    }
    return stopped;
}

void
sweeps_end(struct sweeps *sweeps, struct sweep *sweep)
{
    sweeps->running[sweep->place] = NULL;
    sweeps->count--;
    sweep_free(sweep);
}

struct sweep *
sweeps_of(const struct sweeps *sweeps, struct part part)
{
    return part.sweep ? sweeps->running[part.sweep - 1] : NULL;
}

/* ---- when ---- */

static bool
has_probes(const struct sweep *sweep)
{
    return !sweep->stopped && (sweep->again.count > 0 || sweep->position < sweep->plan.end);
}

static struct instant
later(struct instant one, struct instant other)
{
    return one.ns > other.ns ? one : other;
}

/*
 * Start-time fair queueing (Goyal, Vin and Cheng, 1996): who had nothing to send for a while joins where the others are, and
 * gets nothing for it.
 */
struct sweep *
sweeps_due(struct sweeps *sweeps, struct instant now)
{
    struct sweep *first = NULL;
    uint32_t left = sweeps->count;
    for (uint32_t place = 0; left > 0; place++) {
        struct sweep *sweep = sweeps->running[place];
        left -= sweep != NULL;
        if (!sweep || !has_probes(sweep) || instant_since(now, later(sweep->due, sweep->held)) < 0)
            continue;
        if (sweep->turn < sweeps->turn)
            sweep->turn = sweeps->turn;
        if (!first || sweep->turn < first->turn)
            first = sweep;
    }
    return first;
}

static int64_t
interval_of(const struct sweep *sweep)
{
    return NS_PER_S / sweep->request.sweep.rate;
}

bool
sweeps_next_wake(const struct sweeps *sweeps, struct instant *when)
{
    bool any = false;
    uint32_t left = sweeps->count;
    for (uint32_t place = 0; left > 0; place++) {
        const struct sweep *sweep = sweeps->running[place];
        if (!sweep)
            continue;
        left--;
        struct instant wake = sweep->progress;
        bool timed = sweep->request.sweep.progress > 0;
        if (has_probes(sweep)) {
            int64_t grain = interval_of(sweep) < GRAIN ? GRAIN : 0;
            struct instant next = later(instant_after(sweep->due, grain), sweep->held);
            wake = timed && wake.ns < next.ns ? wake : next;
            timed = true;
        }
        if (sweep_is_over(sweep) || (sweep->stopped && sweep->again.count > 0)) {
            wake = sweep->began; /* which is over: at once */
            timed = true;
        }
        if (timed && (!any || wake.ns < when->ns))
            *when = wake;
        any = any || timed;
    }
    return any;
}

/* A probe was due: so is the next, one interval later, but what is late for longer is not made up for. */
static void
advance(struct sweep *sweep, struct instant now)
{
    uint32_t rate = sweep->request.sweep.rate;
    if (instant_since(now, sweep->due) > LATE_MAX)
        sweep->due = instant_after(now, -LATE_MAX);
    sweep->due.ns += interval_of(sweep);
    sweep->all->turn = sweep->turn;
    sweep->turn += interval_of(sweep);
    sweep->due_rest += (uint32_t)(NS_PER_S % rate);
    if (sweep->due_rest >= rate) {
        sweep->due_rest -= rate;
        sweep->due.ns++;
    }
}

/* ---- which ---- */

static struct part *
again_at(const struct again *again, uint32_t place)
{
    return &again->parts[(again->start + place) & (again->size - 1)];
}

/* Room for COUNT; false when there is no memory. */
static bool
again_reserve(struct again *again, uint64_t count)
{
    uint32_t size = again->size ? again->size : AGAIN_AT_FIRST;
    if (count <= again->size)
        return true;
    while (size < count)
        size *= 2;
    struct part *parts = malloc(size * sizeof *parts);
    if (!parts)
        return false;
    for (uint32_t i = 0; i < again->count; i++)
        parts[i] = *again_at(again, i);
    free(again->parts);
    *again = (struct again){ parts, size, 0, again->count };
    return true;
}

static struct part
again_take(struct again *again)
{
    struct part part = *again_at(again, 0);
    again->start = (again->start + 1) & (again->size - 1);
    again->count--;
    return part;
}

struct request *
sweep_next(struct sweep *sweep)
{
    struct request *request = &sweep->request;
    struct combination combination;
    if (sweep->again.count > 0) {
        struct part part = *again_at(&sweep->again, 0);
        request->part.combination = part.combination;
        request->part.tries = part.tries;
    } else {
        if (request->sweep.retries && !again_reserve(&sweep->again, sweep->tally.in_flight + 1))
            return NULL;
        if (sweep->number_at != sweep->position) {
            sweep->number = plan_at(&sweep->plan, sweep->position);
            sweep->number_at = sweep->position;
        }
        request->part.combination = sweep->number & (COMBINATIONS_MAX - 1);
        request->part.tries = 0;
    }
    plan_combination(&sweep->plan, request->part.combination, &combination);
    request->target = combination.target;
    request->ttl = combination.ttl;
    request->port = combination.port;
    request->flow = combination.flow;
    return request;
}

/* Takes what sweep_next() gave off where it stood. */
static void
take(struct sweep *sweep)
{
    if (sweep->again.count > 0) {
        again_take(&sweep->again);
        return;
    }
    sweep->position++;
    sweep->tally.in_flight++;
}

void
sweep_began(struct sweep *sweep, struct instant now)
{
    take(sweep);
    advance(sweep, now);
}

void
sweep_hold(struct sweep *sweep, struct instant when)
{
    sweep->held = when;
}

/* ---- what became of them ---- */

void
sweep_sent(struct sweep *sweep)
{
    sweep->tally.sent++;
}

void
sweep_refused(struct sweep *sweep)
{
    sweep->tally.in_flight--;
    sweep->tally.refused++;
}

static uint64_t *
find_replier(const struct repliers *repliers, uint64_t target)
{
    uint64_t at = target * UINT64_C(0x9e3779b97f4a7c15) >> 20;
    uint64_t *place = &repliers->places[at & (repliers->size - 1)];
    while (*place && *place != target + 1)
        place = &repliers->places[++at & (repliers->size - 1)];
    return place;
}

/* False when there is no memory: then nothing is lost but that a target may count twice. */
static bool
grow_repliers(struct repliers *repliers)
{
    struct repliers grown = { .size = repliers->size ? repliers->size * 2 : AGAIN_AT_FIRST, .count = repliers->count };
    grown.places = calloc(grown.size, sizeof *grown.places);
    if (!grown.places)
        return false;
    for (uint64_t i = 0; i < repliers->size; i++)
        if (repliers->places[i])
            *find_replier(&grown, repliers->places[i] - 1) = repliers->places[i];
    free(repliers->places);
    *repliers = grown;
    return true;
}

static void
note_reply(struct sweep *sweep, uint64_t target)
{
    struct repliers *repliers = &sweep->repliers;
    bool several = sweep->plan.each > 1; /* else no target comes twice */
    if (several && (repliers->count * 2 < repliers->size || grow_repliers(repliers))) {
        uint64_t *place = find_replier(repliers, target);
        if (*place)
            return;
        *place = target + 1;
    }
    if (++repliers->count >= sweep->request.sweep.limit)
        sweep->stopped = true;
}

void
sweep_answered(struct sweep *sweep, struct part part, bool is_reply)
{
    sweep->tally.in_flight--;
    sweep->tally.answered++;
    if (is_reply && sweep->request.sweep.limit && !sweep->stopped)
        note_reply(sweep, plan_target(&sweep->plan, part.combination));
}

static void
note_silent(struct sweep *sweep)
{
    sweep->tally.in_flight--;
    sweep->tally.silent++;
}

bool
sweep_expired(struct sweep *sweep, struct part part)
{
    bool again = !sweep->stopped && part.tries < sweep->request.sweep.retries;
    if (again) {
        part.tries = (part.tries + 1u) & 31;
        *again_at(&sweep->again, sweep->again.count++) = part;
    } else {
        note_silent(sweep);
    }
    return again;
}

bool
sweep_take_given_up(struct sweep *sweep, struct part *part)
{
    if (!sweep->stopped || sweep->again.count == 0)
        return false;
    *part = again_take(&sweep->again);
    note_silent(sweep);
    return true;
}

bool
sweep_is_stopped(const struct sweep *sweep)
{
    return sweep->stopped;
}

bool
sweep_is_over(const struct sweep *sweep)
{
    return sweep->tally.in_flight == 0 && (sweep->stopped || sweep->position >= sweep->plan.end);
}

/* ---- what is told ---- */

bool
sweep_progress_is_due(struct sweep *sweep, struct instant now)
{
    int64_t pause = sweep->request.sweep.progress * NS_PER_US;
    if (!pause || instant_since(now, sweep->progress) < 0)
        return false;
    sweep->progress = instant_after(now, pause);
    return true;
}

const struct request *
sweep_request(const struct sweep *sweep)
{
    return &sweep->request;
}

const struct plan *
sweep_plan(const struct sweep *sweep)
{
    return &sweep->plan;
}

struct sweep_tally
sweep_tally(const struct sweep *sweep, struct instant now)
{
    struct sweep_tally tally = sweep->tally;
    tally.left = sweep->plan.end - sweep->position;
    tally.next = sweep->position;
    tally.ns = instant_since(now, sweep->began);
    return tally;
}
