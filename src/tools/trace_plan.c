/* SPDX-License-Identifier: MIT */
#include "tools/trace_plan.h"

#include <string.h>

#define AT_ONCE 5                 /* probes to one place in its first second */
#define SPELL NS_PER_S            /* a second later what is silent is asked again */
#define PACE (1100 * NS_PER_MS)   /* one error a second is what the thriftiest host sends */
#define PATIENCE_LEAST NS_PER_S
#define PATIENCE_BEHIND (2 * NS_PER_S) /* behind the hops that would tell of a host that is down */
#define TAIL_STEP (300 * NS_PER_MS)    /* where nobody answers, at least, from five hops to the next five */
#define PATIENCE_TRIPS 3          /* times the longest round trip, where others have answered */
#define NEAR_END 3                /* hops before the scouts' end from which on flows that hinder themselves go singly */
#define TRIES_MAX 3               /* where errors are rationed; else 2, */
#define TRIES_MAX_SHARED 6        /* or this where other paths get a share of them */

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

/* ---- places that other paths share */

/* The last router that is known before a hop, or the family. */
static const char *
router_before(const struct path *path, int ttl)
{
    while (--ttl >= path->first) {
        const struct reply *answer = path_answer(path, ttl, path->serial ? SCOUT : 0);
        if (answer && answer->from)
            return answer->from;
    }
    return strchr(path->address, ':') ? "6" : "4";
}

/* While nothing was asked of a hop, the router before it may become known: then it is another place. */
static struct place *
shared_place(const struct step *step, int ttl)
{
    struct path *path = step->path;
    struct hop *hop = path_hop(path, ttl < step->nearest ? ttl : step->nearest);
    if (path->places && (!hop->place || !hop->asked))
        hop->place = places_at(path->places, router_before(path, ttl), ttl < step->nearest ? ttl : step->nearest);
    return hop->place;
}

/* True when it is this path's turn. */
static bool
is_admitted(struct step *step, int ttl)
{
    struct instant again;
    struct place *place = shared_place(step, ttl);
    if (!place || place_admits(place, step->now, &again))
        return true;
    call_again(step, again.ns + step->path->rank * NS_PER_US);
    return false;
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

/* The hop that stands for a place. */
static struct hop *
place_of(const struct step *step, int ttl)
{
    return path_hop(step->path, ttl < step->nearest ? ttl : step->nearest);
}

/* One at a time where errors are rationed. True when it is its time. */
static bool
takes_turn(struct step *step, struct hop *place)
{
    if (step->now.ns < place->next_retry.ns) {
        call_again(step, place->next_retry.ns);
        return false;
    }
    place->next_retry = instant_after(step->now, PACE);
    return true;
}

/* True when a place may get one more now. */
static bool
has_room(struct step *step, int ttl)
{
    int from = ttl < step->nearest ? ttl : step->nearest, to = ttl < step->nearest ? ttl : step->path->last, sent = 0;
    int64_t first = NEVER;
    if (!is_admitted(step, ttl))
        return false;
    if (place_of(step, ttl)->rationed)
        return takes_turn(step, place_of(step, ttl));
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
    if (!hop->place)
        hop->place = shared_place(step, ttl);
    if (hop->place)
        place_asked(hop->place, step->now);
    if (!hop->asked)
        hop->first_sent = step->now;
    if (step->now.ns - hop->first_sent.ns < SPELL)
        hop->early++;
    hop->asked++;
    cell->state = CELL_ASKED;
    cell->sent = step->now;
    cell->tries++;
    cell->open++;
    call_again(step, step->now.ns + SPELL); /* to see that it is silent */
    bool stray = step->path->serial && cell->tries > 1 && ttl >= step->nearest;
    step->send(step->owner, &(struct question){ ttl, flow, query, stray });
}

/* ---- silence */

/* True where an answer shows that what is silent here has been waited for long enough. */
static bool
others_answered(const struct path *path, int ttl)
{
    return path_hop(path, ttl)->answered || ttl < path->front;
}

/*
 * The whole timeout is for the hops next to the last that answered: their router may need three seconds to tell that
 * the target is down.
 */
static int64_t
patience(const struct path *path, int ttl, int query)
{
    int64_t trips = PATIENCE_TRIPS * path->slowest, least = PATIENCE_LEAST;
    if (!path->answers || (!others_answered(path, ttl) && ttl <= path->front + path->ahead && !query))
        return path->timeout;
    if (!others_answered(path, ttl))
        least = PATIENCE_BEHIND;
    trips = trips < least ? least : trips;
    return trips < path->timeout ? trips : path->timeout;
}

/* How long the next hops wait for these. */
static int64_t
tail_step(const struct path *path)
{
    int64_t trips = 2 * path->slowest;
    if (!path->answers || trips > SPELL)
        return SPELL;
    return trips < TAIL_STEP ? TAIL_STEP : trips;
}

/*
 * Some were answered and one in five, or more, was not, a second after the first time of asking: the place rations its
 * errors. What is lost on the way is less.
 */
static bool
is_rationed(const struct step *step, int ttl)
{
    const struct path *path = step->path;
    struct hop *hop = path_hop(path, ttl);
    int lost = 0;
    for (int flow = 0; flow < path->flow_count && !hop->rationed && hop->answered; flow++)
        for (int query = 0; query < path->queries; query++) {
            const struct cell *cell = path_cell(path, ttl, flow, query);
            lost += cell->state == CELL_SILENT ||
                    (cell->state == CELL_ASKED && (cell->tries > 1 || instant_since(step->now, cell->sent) >= SPELL));
        }
    hop->rationed |= lost >= 2 && 5 * lost >= lost + hop->answered;
    return hop->rationed;
}

/*
 * Where many paths share a place that rations its errors: one answer to a flow has to do unless -q was given, the first
 * query is to bring it, and turns are not waited for without end. True when nothing is to be done about this cell.
 */
static bool
is_left_out(struct step *step, int ttl, int flow, int query)
{
    struct path *path = step->path;
    struct cell *cell = path_cell(path, ttl, flow, query);
    if (!place_rations(shared_place(step, ttl), step->now))
        return false;
    if (cell->state == CELL_ASKED && instant_since(step->now, cell->sent) < SPELL) {
        call_again(step, cell->sent.ns + SPELL);
        return true;
    }
    if (instant_since(step->now, path->begun) >= TURNS_MOST)
        cell->state = CELL_SILENT;
    else if (path->spares &&
             (path_answer(path, ttl, flow) || (query && path_cell(path, ttl, flow, 0)->state == CELL_SILENT)))
        cell->state = CELL_SPARED;
    return cell->state == CELL_SILENT || cell->state == CELL_SPARED || (path->spares && query);
}

/*
 * Whether a silent one may be asked once more. At a place that never answered one is asked in place of all; in the
 * tail, behind all that answered, the later queries are such questions.
 */
static bool
may_retry(struct step *step, int ttl, const struct flow *flow, const struct cell *cell)
{
    const struct path *path = step->path;
    struct hop *hop = path_hop(path, ttl);
    if (flow->end == ttl && !flow->reached)
        return false; /* one unreachable says it */
    if (place_is_rationed(hop->place))
        return cell->tries < TRIES_MAX_SHARED;
    if (!path->answers || cell->tries >= (is_rationed(step, ttl) ? TRIES_MAX : TRIES_MAX - 1))
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
    return !hop->answered && hop->retries && step->now.ns < hop->retried.ns + patience(step->path, ttl, 0);
}

static void
retry(struct step *step, int ttl, int flow, int query)
{
    struct hop *hop = path_hop(step->path, ttl), *place = place_of(step, ttl);
    if (!is_admitted(step, ttl))
        return;
    if ((hop->rationed || place->rationed || !hop->answered) && !takes_turn(step, place))
        return;
    hop->retries++;
    hop->retried = step->now;
    ask(step, ttl, flow, query);
}

/* Its place may be another than was thought when it was asked: the router before it may have become known. */
static void
note_silence(struct step *step, int ttl, struct cell *cell)
{
    struct hop *hop = path_hop(step->path, ttl);
    hop->place = NULL;
    hop->place = shared_place(step, ttl);
    if (hop->place && hop->answered && cell->missed < cell->tries)
        place_missed(hop->place, step->now);
    cell->missed = cell->tries;
}

/*
 * While a router before it has yet to say, in its turn, that it is there: then this hop's place will be known for what it
 * is, perhaps one where silence tells nothing. Not for what is asked only when this is settled, or never.
 */
static bool
waits_for_place(const struct step *step, int ttl, int flow)
{
    const struct path *path = step->path;
    for (int before = path->first; before < ttl; before++) {
        enum cell_state state = (enum cell_state)path_cell(path, before, flow, 0)->state;
        bool open = state == CELL_ASKED || (state == CELL_IDLE && !path->serial && !path->chosen);
        if (open && place_is_rationed(path_hop(path, before)->place))
            return true;
    }
    return false;
}

/* Asks it again, gives it up, or waits. */
static void
judge_silence(struct step *step, int ttl, int flow, int query)
{
    struct cell *cell = path_cell(step->path, ttl, flow, query);
    int64_t age = instant_since(step->now, cell->sent), enough = patience(step->path, ttl, query);
    int64_t last_word = enough < step->path->timeout ? 0 : LAST_WORD;
    if (age >= SPELL)
        note_silence(step, ttl, cell);
    if (is_left_out(step, ttl, flow, query))
        return;
    bool again = may_retry(step, ttl, path_flow(step->path, flow), cell);
    if (again && age < SPELL) {
        call_again(step, cell->sent.ns + SPELL);
    } else if (again) {
        retry(step, ttl, flow, query);
    } else if (waits_for_retry(step, ttl) && cell->tries == 1) {
        call_again(step, path_hop(step->path, ttl)->retried.ns + enough);
    } else if (waits_for_place(step, ttl, flow)) {
        call_again(step, step->now.ns + SPELL);
    } else if (age >= enough + last_word || !cell->open) {
        path_give_up(step->path, ttl, flow, query);
    } else {
        call_again(step, cell->sent.ns + enough + last_word);
    }
}

/* ---- what is asked of a flow */

/* Answers of the target to what was asked of hops behind it may still come. */
static bool
gathers_more(struct step *step, const struct flow *flow)
{
    struct path *path = step->path;
    for (int ttl = flow->end + 1; path->gathers && flow->reached && ttl <= path->last; ttl++) {
        const struct cell *cell = &flow->cells[(ttl - path->first) * path->queries];
        if (cell->state == CELL_IDLE)
            return false;
        if (cell->state == CELL_ASKED && instant_since(step->now, cell->sent) < tail_step(path)) {
            call_again(step, cell->sent.ns + tail_step(path));
            return true;
        }
    }
    return false;
}

/* Another query: when the first has shown that the target is not nearer, or is silent. */
static bool
may_ask_more(struct step *step, const struct flow *flow, int ttl, const struct cell *first)
{
    if (first->state == CELL_IDLE || (ttl == flow->end && gathers_more(step, flow)))
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
            else if (cell->state == CELL_IDLE && wanted && !is_left_out(step, ttl, number, query) &&
                     has_room(step, ttl))
                ask(step, ttl, number, query);
        }
        if (ttl <= flow->front)
            continue;
        bool old = first->state != CELL_IDLE && instant_since(step->now, first->sent) >= tail_step(path);
        if (old || first->state == CELL_SILENT) {
            most = AT_ONCE;
        } else {
            fresh++;
            if (first->state == CELL_ASKED)
                call_again(step, first->sent.ns + tail_step(path));
        }
        if (fresh >= most && first->state == CELL_IDLE && !chosen)
            break;
        /* It may be the target's: then what is asked of the next hops is taken from what it answers to other paths. */
        bool open = first->state == CELL_IDLE || first->state == CELL_ASKED;
        if (open && !chosen && place_is_rationed(path_hop(path, ttl)->place))
            break;
    }
}

/* One query of one hop at a time. True when all of it is settled. */
static bool
ask_hop_singly(struct step *step, int ttl, int number)
{
    struct path *path = step->path;
    for (int query = 0; query < path->queries; query++) {
        struct cell *cell = path_cell(path, ttl, number, query);
        if (path->chosen && number > 0 && !cell->wanted && cell->state == CELL_IDLE)
            continue;
        if (cell->state == CELL_ASKED)
            judge_silence(step, ttl, number, query);
        else if (cell->state == CELL_IDLE && !is_left_out(step, ttl, number, query) && has_room(step, ttl))
            ask(step, ttl, number, query);
        if (cell->state == CELL_ASKED || cell->state == CELL_IDLE)
            return false;
    }
    return true;
}

/*
 * The hops near the end: those before the target, nearest to it first, then those behind where the flow has not ended.
 */
static void
ask_singly(struct step *step, int number)
{
    struct path *path = step->path;
    const struct flow *flow = path_flow(path, number);
    int target = path->scouts.end;
    for (int ttl = target - 1; ttl > target - NEAR_END && ttl >= path->first; ttl--)
        if (!(flow->end && ttl > flow->end) && !ask_hop_singly(step, ttl, number))
            return;
    for (int ttl = target + 1; ttl <= (flow->end ? flow->end : path->last); ttl++)
        if (!ask_hop_singly(step, ttl, number))
            return;
}

static bool
scouts_are_back(const struct path *path)
{
    for (int ttl = path->first; !path->scouts.end && ttl <= path->last; ttl++)
        if (path_cell(path, ttl, SCOUT, 0)->state == CELL_IDLE || path_cell(path, ttl, SCOUT, 0)->state == CELL_ASKED)
            return false;
    return true;
}

/* Where others have ended a flow stops until it is clear that its way is longer. */
static int
next_stop(const struct path *path, int number)
{
    int stop = path->last;
    for (int other = path->serial ? SCOUT : 0; other < path->flow_count; other++) {
        int end = path_flow(path, other)->end;
        if (end && end > path_flow(path, number)->front && end < stop &&
            path_cell(path, end, number, 0)->state != CELL_SILENT)
            stop = end;
    }
    return stop;
}

/* The first flow finds the way, or the scouts do; the others follow them, so that the target is not asked too often. */
static int
bound_of(const struct path *path, int number)
{
    const struct flow *flow = path_flow(path, number), *leader = &path->flows[0];
    if (flow->end)
        return flow->end;
    if (number <= 0 || path->chosen || path->serial || leader->end)
        return number == SCOUT ? path->last : next_stop(path, number);
    for (int ttl = leader->front + 1; ttl <= path->last; ttl++)
        if (path_cell(path, ttl, 0, 0)->state != CELL_SILENT)
            return ttl - 1;
    return path->last;
}

/*
 * Where probes of one flow hinder each other at the target, that comes first, and before any other of the flow: while
 * one of these may still be answered, the target's answer, which is of ports alone, may be to that one.
 */
static void
ask_flow(struct step *step, int number)
{
    struct path *path = step->path;
    int bound = bound_of(path, number), target = path->scouts.end;
    if (!path->serial || !target) {
        ask_ahead(step, number, bound, path->queries);
        return;
    }
    if (!ask_hop_singly(step, target, number))
        return;
    int free = target - NEAR_END;
    ask_ahead(step, number, bound < free ? bound : free, path->queries);
    ask_singly(step, number);
}

bool
plan_verdict_is_overdue(const struct path *path, struct instant now)
{
    return path->verdict == ASKED && now.ns >= path->verdict_asked.ns + patience(path, path->first, 0);
}

int64_t
plan_step(struct path *path, struct instant now, void (*send)(void *owner, const struct question *question),
          void *owner)
{
    struct step step = { path, now, send, owner, nearest_end(path), NEVER };
    if (!path->begun.ns)
        path->begun = now;
    if (path->verdict == ASK || path->verdict == ASKED)
        return path->verdict_asked.ns + patience(path, path->first, 0);
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
