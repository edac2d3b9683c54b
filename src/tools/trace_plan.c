/* SPDX-License-Identifier: MIT */
#include "tools/trace_plan.h"

#define AT_ONCE 5                 /* probes to one place in its first second */
#define SPELL NS_PER_S            /* a second later what is silent is asked again */
#define PACE (1100 * NS_PER_MS)   /* one error a second is what the thriftiest host sends */
#define PATIENCE_LEAST NS_PER_S
#define PATIENCE_TRIPS 3          /* times the longest round trip, where others have answered */
#define NEAR_END 3                /* hops before the scouts' end from which on flows that hinder themselves go singly */
#define TRIES_MAX 3               /* where errors are rationed; else 2 */

struct step {
    struct path *path;
    struct instant now;
    void (*send)(void *owner, const struct question *question);
    void *owner;
    int nearest; /* hop where the target is; last + 1 when it is not known */
    int64_t due;
};

static void
call_again(struct step *step, int64_t when)
{
    if (when > step->now.ns && when < step->due)
        step->due = when;
}

/* ---- sending */

/* The nearest hop at which the target is seen: from there on all hops are one place. */
static int
nearest_end(const struct path *path)
{
    int nearest = path->last + 1;
    for (int flow = path->serial ? SCOUT : 0; flow < path->flow_count; flow++) {
        int end = path_flow(path, flow)->end;
        if (end && end < nearest)
            nearest = end;
    }
    return nearest;
}

/* True when a place may get one more now. */
static bool
has_room(struct step *step, int ttl)
{
    int from = ttl < step->nearest ? ttl : step->nearest, to = ttl < step->nearest ? ttl : step->path->last, sent = 0;
    int64_t first = NEVER;
    for (int at = from; at <= to; at++) {
        const struct hop *hop = path_hop(step->path, at);
        sent += hop->early;
        if (hop->early && hop->first_sent.ns < first)
            first = hop->first_sent.ns;
    }
    if (sent < AT_ONCE || step->now.ns - first >= SPELL)
        return true;
    call_again(step, first + SPELL);
    return false;
}

static void
ask(struct step *step, int ttl, int flow, int query)
{
    struct hop *hop = path_hop(step->path, ttl);
    struct cell *cell = path_cell(step->path, ttl, flow, query);
    if (!hop->asked)
        hop->first_sent = step->now;
    if (step->now.ns - hop->first_sent.ns < SPELL)
        hop->early++;
    hop->asked++;
    cell->state = CELL_ASKED;
    cell->sent = step->now;
    cell->tries++;
    cell->open++;
    step->send(step->owner, &(struct question){ ttl, flow, query });
}

/* ---- silence */

/* True where an answer shows that what is silent here has been waited for long enough. */
static bool
others_answered(const struct path *path, int ttl)
{
    return path_hop(path, ttl)->answered || ttl < path->front;
}

static int64_t
patience(const struct path *path, int ttl)
{
    int64_t trips = PATIENCE_TRIPS * path->slowest;
    if (trips < PATIENCE_LEAST)
        trips = PATIENCE_LEAST;
    return others_answered(path, ttl) && trips < path->timeout ? trips : path->timeout;
}

/* Some were answered, many not: it rations its errors. */
static bool
is_rationed(const struct hop *hop)
{
    return hop->answered && 4 * hop->answered < 3 * hop->asked;
}

/*
 * Whether a silent one may be asked once more. At a place that never answered one is asked in place of all; in the tail,
 * behind all that answered, the later queries are such questions.
 */
static bool
may_retry(struct step *step, int ttl, const struct cell *cell)
{
    const struct path *path = step->path;
    struct hop *hop = path_hop(path, ttl);
    if (!path->answers || cell->tries >= (is_rationed(hop) ? TRIES_MAX : TRIES_MAX - 1))
        return false;
    if (!hop->answered)
        return !hop->retries && (ttl < path->front || path->queries == 1);
    return true;
}

/* While the one that is asked in place of all is waited for. */
static bool
waits_for_retry(const struct step *step, int ttl)
{
    const struct hop *hop = path_hop(step->path, ttl);
    return !hop->answered && hop->retries && step->now.ns < hop->retried.ns + patience(step->path, ttl);
}

static void
retry(struct step *step, int ttl, int flow, int query)
{
    struct hop *hop = path_hop(step->path, ttl);
    if (step->now.ns < hop->next_retry.ns) {
        call_again(step, hop->next_retry.ns);
        return;
    }
    if (is_rationed(hop) || !hop->answered)
        hop->next_retry = instant_after(step->now, PACE);
    hop->retries++;
    hop->retried = step->now;
    ask(step, ttl, flow, query);
}

/* Asks it again, gives it up, or waits. */
static void
judge_silence(struct step *step, int ttl, int flow, int query)
{
    struct cell *cell = path_cell(step->path, ttl, flow, query);
    int64_t age = instant_since(step->now, cell->sent), enough = patience(step->path, ttl);
    bool again = may_retry(step, ttl, cell);
    if (again && age < SPELL) {
        call_again(step, cell->sent.ns + SPELL);
    } else if (again) {
        retry(step, ttl, flow, query);
    } else if (waits_for_retry(step, ttl) && cell->tries == 1) {
        call_again(step, path_hop(step->path, ttl)->retried.ns + enough);
    } else if (age >= enough || !cell->open) {
        cell->state = CELL_SILENT;
    } else {
        call_again(step, cell->sent.ns + enough);
    }
}

/* ---- what is asked of a flow */

/* Another query: when the first has shown that the target is not nearer, or is silent. */
static bool
may_ask_more(struct step *step, const struct flow *flow, int ttl, const struct cell *first)
{
    if (first->state == CELL_IDLE)
        return false;
    if (flow->end ? ttl <= flow->end : ttl < flow->front || first->state != CELL_ASKED)
        return true;
    if (instant_since(step->now, first->sent) >= SPELL)
        return true;
    call_again(step, first->sent.ns + SPELL);
    return false;
}

/* The hops up to BOUND: those that are wanted, and a few ahead of the last that answered. */
static void
ask_ahead(struct step *step, int number, int bound, int queries)
{
    struct path *path = step->path;
    struct flow *flow = path_flow(path, number);
    bool chosen = path->chosen && number > 0;
    int fresh = 0, most = path->ahead;
    for (int ttl = path->first; ttl <= bound; ttl++) {
        struct cell *first = path_cell(path, ttl, number, 0);
        for (int query = 0; query < queries; query++) {
            struct cell *cell = path_cell(path, ttl, number, query);
            bool wanted = chosen       ? cell->wanted
                          : query      ? may_ask_more(step, flow, ttl, first)
                                       : ttl <= flow->front || fresh < most;
            if (cell->state == CELL_ASKED)
                judge_silence(step, ttl, number, query);
            else if (cell->state == CELL_IDLE && wanted && has_room(step, ttl))
                ask(step, ttl, number, query);
        }
        if (ttl <= flow->front)
            continue;
        bool old = first->state != CELL_IDLE && instant_since(step->now, first->sent) >= SPELL;
        if (old || first->state == CELL_SILENT) {
            most = AT_ONCE;
        } else {
            fresh++;
            if (first->state == CELL_ASKED)
                call_again(step, first->sent.ns + SPELL);
        }
        if (fresh >= most && first->state == CELL_IDLE && !chosen)
            break;
    }
}

/* One at a time, the target's hop first: behind a silent probe an answer may be to that one, and is nobody's. */
static void
ask_singly(struct step *step, int number)
{
    struct path *path = step->path;
    struct flow *flow = path_flow(path, number);
    int target = path->scouts.end, from = target - NEAR_END + 1 > path->first ? target - NEAR_END + 1 : path->first;
    for (int i = from; i <= path->last; i++) {
        int ttl = i <= target ? target - (i - from) : i; /* down, then up from behind the target */
        if (flow->end && ttl > flow->end)
            continue;
        for (int query = 0; query < path->queries; query++) {
            struct cell *cell = path_cell(path, ttl, number, query);
            if (path->chosen && number > 0 && !cell->wanted && cell->state == CELL_IDLE)
                continue;
            if (cell->state == CELL_ASKED)
                judge_silence(step, ttl, number, query);
            else if (cell->state == CELL_IDLE && has_room(step, ttl))
                ask(step, ttl, number, query);
            if (cell->state == CELL_ASKED || cell->state == CELL_IDLE)
                return;
        }
    }
}

static bool
scouts_are_back(const struct path *path)
{
    for (int ttl = path->first; !path->scouts.end && ttl <= path->last; ttl++)
        if (path_cell(path, ttl, SCOUT, 0)->state == CELL_IDLE || path_cell(path, ttl, SCOUT, 0)->state == CELL_ASKED)
            return false;
    return true;
}

/* The first flow finds the way, or the scouts do; the others follow them, so that the target is not asked too often. */
static int
bound_of(const struct path *path, int number)
{
    const struct flow *flow = path_flow(path, number), *leader = &path->flows[0];
    if (flow->end)
        return flow->end;
    if (number <= 0 || path->chosen || path->serial || leader->end)
        return path->last;
    for (int ttl = leader->front + 1; ttl <= path->last; ttl++)
        if (path_cell(path, ttl, 0, 0)->state != CELL_SILENT)
            return ttl - 1;
    return path->last;
}

/* All questions of a flow at the hop where the scouts met the target. */
static bool
target_is_settled(const struct path *path, int number)
{
    for (int query = 0; query < path->queries; query++) {
        const struct cell *cell = path_cell(path, path->scouts.end, number, query);
        bool asked = !path->chosen || number == 0 || cell->wanted;
        if (cell->state == CELL_ASKED || (cell->state == CELL_IDLE && asked))
            return false;
    }
    return true;
}

/*
 * What hinders itself at the target is asked there before all else: its answer bears nothing but ports, and is nobody's
 * while other probes of the flow are in flight, or were never answered.
 */
static void
ask_flow(struct step *step, int number)
{
    struct path *path = step->path;
    int bound = bound_of(path, number);
    if (!path->serial || !path->scouts.end) {
        ask_ahead(step, number, bound, path->queries);
        return;
    }
    if (!target_is_settled(path, number)) {
        ask_singly(step, number);
        return;
    }
    int free = path->scouts.end - NEAR_END;
    ask_ahead(step, number, bound < free ? bound : free, path->queries);
    ask_singly(step, number);
}

int64_t
plan_step(struct path *path, struct instant now, void (*send)(void *owner, const struct question *question), void *owner)
{
    struct step step = { path, now, send, owner, nearest_end(path), NEVER };
    if (path->verdict == ASK || path->verdict == ASKED)
        return NEVER; /* whoever asks it has his own alarm */
    if (path->serial)
        ask_ahead(&step, SCOUT, path->scouts.end ? path->scouts.end : path->last, 1);
    if (path->serial && !scouts_are_back(path))
        return step.due;
    for (int flow = 0; flow < path->flow_count; flow++)
        ask_flow(&step, flow);
    return step.due;
}

static bool
is_settled(const struct path *path, int ttl, int flow)
{
    for (int query = 0; query < path->queries; query++) {
        const struct cell *cell = path_cell(path, ttl, flow, query);
        bool asked = !path->chosen || flow == 0 || cell->wanted;
        if (cell->state == CELL_ASKED || (cell->state == CELL_IDLE && asked))
            return false;
    }
    return true;
}

bool
plan_is_done(const struct path *path)
{
    if (path->verdict == ASK || path->verdict == ASKED || (path->serial && !scouts_are_back(path)))
        return false;
    for (int flow = 0; flow < path->flow_count; flow++)
        for (int ttl = path->first; ttl <= (path->flows[flow].end ? path->flows[flow].end : path->last); ttl++)
            if (!is_settled(path, ttl, flow))
                return false;
    return true;
}
