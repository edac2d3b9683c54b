/* SPDX-License-Identifier: MIT */
#include "tools/trace_hops.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

static void *
need(void *memory)
{
    if (!memory)
        err(2, NULL);
    return memory;
}

static int
hop_count(const struct path *path)
{
    return path->last - path->first + 1;
}

static void
begin_flow(const struct path *path, struct flow *flow)
{
    size_t cells = (size_t)hop_count(path) * (size_t)path->queries;
    *flow = (struct flow){ .cells = need(calloc(cells, sizeof *flow->cells)), .front = path->first - 1 };
}

void
path_begin(struct path *path)
{
    int flows = path->flow_count;
    path->hops = need(calloc((size_t)hop_count(path), sizeof *path->hops));
    path->front = path->first - 1;
    path->flow_count = 0;
    path_grow(path, flows);
    if (path->serial)
        begin_flow(path, &path->scouts);
}

void
path_grow(struct path *path, int count)
{
    if (count <= path->flow_count)
        return;
    path->flows = need(realloc(path->flows, (size_t)count * sizeof *path->flows));
    while (path->flow_count < count)
        begin_flow(path, &path->flows[path->flow_count++]);
}

static void
free_flow(const struct path *path, struct flow *flow)
{
    for (int i = 0; flow->cells && i < hop_count(path) * path->queries; i++)
        free(flow->cells[i].answer);
    free(flow->cells);
}

void
path_free(struct path *path)
{
    for (int flow = 0; flow < path->flow_count; flow++)
        free_flow(path, &path->flows[flow]);
    free_flow(path, &path->scouts);
    free(path->flows);
    free(path->hops);
    *path = (struct path){ 0 };
}

struct flow *
path_flow(const struct path *path, int flow)
{
    return flow == SCOUT ? (struct flow *)&path->scouts : &path->flows[flow];
}

struct hop *
path_hop(const struct path *path, int ttl)
{
    return &path->hops[ttl - path->first];
}

struct cell *
path_cell(const struct path *path, int ttl, int flow, int query)
{
    return &path_flow(path, flow)->cells[(ttl - path->first) * path->queries + query];
}

const struct reply *
path_answer(const struct path *path, int ttl, int flow)
{
    for (int query = 0; query < path->queries; query++) {
        const struct reply *answer = path_cell(path, ttl, flow, query)->answer;
        if (answer)
            return answer;
    }
    return NULL;
}

/* ---- what a reply tells of the end */

/* Of somebody who is not the target, and quicker than a router that looks for a neighbour in vain: he may be wrong. */
static bool
is_doubtful(const struct path *path, int ttl, const struct reply *reply)
{
    return reply->from && reply->kind != KIND_TOO_BIG && strcmp(reply->from, path->address) != 0 && ttl < path->last &&
           reply->round_trip_us * NS_PER_US < NS_PER_S;
}

static void
note_end(struct path *path, int ttl, struct flow *flow, const struct reply *reply)
{
    bool reached = reply->kind == KIND_REPLY;
    if (reply->kind == KIND_TTL_EXPIRED || (!reached && path->beyond && reply->from))
        return;
    bool earlier = !flow->end || ttl < flow->end;
    if (reached ? flow->reached && !earlier : flow->reached || !earlier)
        return;
    flow->end = ttl;
    flow->reached = reached;
    if (!reached && is_doubtful(path, ttl, reply) && path->verdict == NOT_ASKED)
        path->verdict = ASK;
}

/*
 * Takes another's answer. Of somebody in the target's place so does one that was silent: he is not asked twice, and
 * what he left out, when all that was sent behind him came back at once, is no loss on the way.
 */
static bool
is_vacant(const struct flow *flow, const struct cell *cell)
{
    return cell->state == CELL_IDLE || (cell->state == CELL_SILENT && !flow->reached);
}

/* Who answered probes that could have gone further: these are round trips to him like those that he is asked for. */
static void
gather(struct path *path, int flow_number)
{
    const struct flow *flow = path_flow(path, flow_number);
    const struct reply *first = flow->end ? path_cell(path, flow->end, flow_number, 0)->answer : NULL;
    int query = 1;
    if (!path->gathers || !first || !first->from)
        return;
    for (int ttl = flow->end + 1; ttl <= path->last && ttl <= flow->end + path->queries + path->ahead; ttl++) {
        struct cell *from = path_cell(path, ttl, flow_number, 0);
        while (query < path->queries && !is_vacant(flow, path_cell(path, flow->end, flow_number, query)))
            query++;
        if (query == path->queries)
            return;
        if (!from->answer || !from->answer->from || from->answer->kind != first->kind ||
            strcmp(from->answer->from, first->from) != 0)
            continue;
        struct cell *to = path_cell(path, flow->end, flow_number, query);
        to->state = CELL_ANSWERED;
        to->answer = from->answer;
        to->answer->value[FIELD_QUOTED_TTL] = NULL; /* which was sent for another hop */
        from->answer = NULL;
        path_hop(path, flow->end)->answered++;
    }
}

void
path_heard(struct path *path, int ttl, int flow_number, int query, const struct reply *reply)
{
    struct cell *cell = path_cell(path, ttl, flow_number, query);
    struct flow *flow = path_flow(path, flow_number);
    if (cell->open)
        cell->open--;
    int64_t refusal = reply_number(reply, FIELD_ERRNO);
    if (reply->kind == KIND_NO_REPLY && refusal <= UINT16_MAX)
        cell->refusal = refusal < 0 ? 0 : (uint16_t)refusal;
    if (reply->kind == KIND_NO_REPLY || cell->state == CELL_ANSWERED)
        return;
    cell->state = CELL_ANSWERED;
    cell->answer = reply_keep(reply);
    path_hop(path, ttl)->answered++;
    if (reply->from && path_hop(path, ttl)->place)
        place_heard(path_hop(path, ttl)->place, cell->sent, reply->from);
    if (reply->from) {
        path->answers++;
        flow->front = ttl > flow->front ? ttl : flow->front;
        path->front = ttl > path->front ? ttl : path->front;
    }
    if (reply->round_trip_us * NS_PER_US > path->slowest)
        path->slowest = reply->round_trip_us * NS_PER_US;
    note_end(path, ttl, flow, reply);
    if (ttl >= flow->end && (flow->reached || (path->verdict != ASK && path->verdict != ASKED)))
        gather(path, flow_number);
}

void
path_give_up(struct path *path, int ttl, int flow_number, int query)
{
    const struct flow *flow = path_flow(path, flow_number);
    path_cell(path, ttl, flow_number, query)->state = CELL_SILENT;
    if (flow->end == ttl && !flow->reached)
        gather(path, flow_number);
}

static void
go_beyond(struct flow *flow)
{
    if (!flow->reached)
        flow->end = 0;
}

void
path_judge(struct path *path, const struct reply *reply)
{
    path->verdict = FINAL;
    path->beyond = reply && reply->kind == KIND_REPLY;
    for (int flow = 0; flow < path->flow_count && !path->beyond; flow++)
        gather(path, flow);
    if (!path->beyond)
        return;
    go_beyond(&path->scouts);
    for (int flow = 0; flow < path->flow_count; flow++)
        go_beyond(&path->flows[flow]);
}

/* ---- what is known */

static bool
is_settled(const struct cell *cell)
{
    return cell->state == CELL_ANSWERED || cell->state == CELL_SILENT || cell->state == CELL_SPARED;
}

/* True where the flows meet more than one router. */
static bool
has_several_routers(const struct path *path, int ttl)
{
    const char *first = NULL;
    for (int flow = 0; flow < path->flow_count; flow++) {
        const struct reply *answer = path_answer(path, ttl, flow);
        if (!answer || !answer->from)
            continue;
        if (first && strcmp(first, answer->from) != 0)
            return true;
        first = answer->from;
    }
    return false;
}

/*
 * Percent of what was asked of a hop that nobody answered, or -1 where nothing was. Beside several routers a flow without
 * an answer has perhaps one of its own, who answers nobody.
 */
static int
silence_at(const struct path *path, int ttl, int *silent)
{
    int answered = *silent = 0;
    bool several = has_several_routers(path, ttl);
    for (int flow = 0; flow < path->flow_count; flow++)
        for (int query = 0; query < path->queries && (!several || path_answer(path, ttl, flow)); query++) {
            const struct cell *cell = path_cell(path, ttl, flow, query);
            answered += cell->answer != NULL;
            *silent += cell->state == CELL_SILENT;
        }
    return answered ? 100 * *silent / (answered + *silent) : -1;
}

/* One that rations its errors to this path alone: what it did not answer, others behind it did. */
static bool
is_limited_itself(const struct path *path, int ttl)
{
    int silent, behind, silence = path_hop(path, ttl)->rationed ? silence_at(path, ttl, &silent) : 0;
    for (int other = ttl + 1; silence > 0 && silent > 1 && other <= path->last; other++) {
        int less = silence_at(path, other, &behind);
        if (less >= 0 && 2 * less <= silence)
            return true;
    }
    return false;
}

/* Then it is not he who rations his answers at this place, but who tells of others there that they are down. */
static bool
target_answered_all(const struct path *path, int ttl)
{
    bool any = false;
    for (int flow = 0; flow < path->flow_count; flow++)
        for (int query = 0; query < path->queries; query++) {
            const struct cell *cell = path_cell(path, ttl, flow, query);
            if (cell->state == CELL_IDLE)
                continue;
            if (!cell->answer || cell->answer->kind != KIND_REPLY)
                return false;
            any = true;
        }
    return any;
}

bool
path_hop_is_limited(const struct path *path, int ttl)
{
    return (place_is_rationed(path_hop(path, ttl)->place) && !target_answered_all(path, ttl)) ||
           is_limited_itself(path, ttl);
}

int
path_refusal(const struct path *path, int ttl)
{
    int refusal = 0;
    for (int flow = 0; flow < path->flow_count; flow++)
        for (int query = 0; query < path->queries; query++) {
            const struct cell *cell = path_cell(path, ttl, flow, query);
            if (cell->state == CELL_IDLE || cell->state == CELL_SPARED)
                continue;
            if (!cell->refusal)
                return 0;
            refusal = cell->refusal;
        }
    return refusal;
}

bool
path_hop_is_known(const struct path *path, int ttl)
{
    if (path->verdict == ASK || path->verdict == ASKED)
        return false;
    for (int flow = 0; flow < path->flow_count; flow++) {
        if (path->flows[flow].end && ttl > path->flows[flow].end)
            continue;
        for (int query = 0; query < path->queries; query++)
            if (!is_settled(path_cell(path, ttl, flow, query)))
                return false;
    }
    return true;
}

int
path_length(const struct path *path, int flow)
{
    return path->flows[flow].end ? path->flows[flow].end : path->flows[flow].front;
}

int
path_end(const struct path *path)
{
    int furthest = path->first - 1;
    for (int flow = 0; flow < path->flow_count; flow++) {
        int end = path->flows[flow].end;
        if (!end && path->chosen && flow > 0)
            end = path->flows[flow].front; /* it was not asked to go all the way */
        if (!end)
            return path->last;
        if (end > furthest)
            furthest = end;
    }
    return furthest;
}

bool
path_is_reached(const struct path *path)
{
    return path->flow_count && path->flows[0].reached;
}
