/* SPDX-License-Identifier: MIT */
#include "tools/trace_mtr.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/clock.h"

#define AHEAD 5                 /* hops that are asked behind the last that answered */
#define PATIENCE_LEAST NS_PER_S
#define PATIENCE_TRIPS 3
#define FEW_ROUNDS 8            /* with fewer, all are of one flow; */
#define MANY_ROUNDS 32          /* from here on of ROUND_FLOWS */

struct rounds *
rounds_new(struct traced *host)
{
    const struct trace_options *options = host->trace->options;
    struct rounds *rounds = calloc(1, sizeof *rounds);
    if (!rounds)
        err(2, NULL);
    tally_begin(&rounds->tally, (int)options->first, (int)options->last);
    rounds->tally.has_flows = host->trace->use_flow;
    rounds->flow_count = !host->trace->use_flow || options->rounds < FEW_ROUNDS ? 1
                         : options->rounds < MANY_ROUNDS                       ? ROUND_FLOWS / 2
                                                                               : ROUND_FLOWS;
    /* The rounds of many hosts are spread over the interval, so that the routers that they share are asked evenly. */
    int64_t apart = options->interval / (int64_t)host->trace->count;
    rounds->due = instant_after(events_now(host->trace->events), apart * (int64_t)trace_number(host));
    for (int flow = 0; flow < ROUND_FLOWS; flow++)
        rounds->ways[flow].front = (int)options->first - 1;
    return rounds;
}

void
rounds_free(struct rounds *rounds)
{
    if (!rounds)
        return;
    tally_free(&rounds->tally);
    free(rounds);
}

bool
rounds_end(struct traced *host)
{
    tally_end(&host->rounds->tally, false);
    return host->rounds->reached;
}

/* ---- sending */

static void
send_to(struct traced *host, int flow, int bound)
{
    struct rounds *rounds = host->rounds;
    struct round_way *way = &rounds->ways[flow];
    if (bound > rounds->tally.last)
        bound = rounds->tally.last;
    while (way->sent_to < bound) {
        struct probe probe = { FOR_ROUND, trace_number(host), ++way->sent_to, flow, (int)way->round, false };
        tally_sent(&rounds->tally, probe.ttl, way->round);
        rounds->open++;
        trace_ask(host, &probe, "");
    }
    rounds->last_sent = events_now(host->trace->events);
}

/* Where the target is by the other flows; 0 when that is not known. */
static int
furthest_end(const struct rounds *rounds)
{
    int furthest = 0;
    for (int flow = 0; flow < rounds->flow_count; flow++)
        if (rounds->ways[flow].end > furthest)
            furthest = rounds->ways[flow].end;
    return furthest;
}

/* As far as the target; where that is not known, a few hops behind the last router, or to the first that refused. */
static void
send_round(struct traced *host)
{
    struct rounds *rounds = host->rounds;
    int flow = (int)(rounds->round++ % rounds->flow_count);
    struct round_way *way = &rounds->ways[flow];
    int other = furthest_end(rounds);
    int bound = way->end       ? way->end
                : way->blocked ? way->blocked
                : !way->round && other ? other
                                       : way->front + AHEAD;
    way->round = rounds->round;
    way->blocked = 0;
    way->sent_to = rounds->tally.first - 1;
    send_to(host, flow, bound);
}

/* The time of the next round does not drift. What could not be kept is not made up for. */
static void
begin_round(struct traced *host)
{
    struct rounds *rounds = host->rounds;
    int64_t interval = host->trace->options->interval;
    struct instant now = events_now(host->trace->events);
    rounds->due = instant_after(rounds->due, interval);
    if (rounds->due.ns < now.ns - interval)
        rounds->due = instant_after(now, interval);
    send_round(host);
}

/* Behind an unreachable: a probe that may go all the way tells whether the target answers in spite of it. */
static void
ask_for_verdict(struct traced *host, int flow)
{
    struct probe probe = { FOR_VERDICT, trace_number(host), host->rounds->tally.last, flow, 0, false };
    host->rounds->ways[flow].verdict = ASKED;
    trace_ask(host, &probe, "");
}

void
rounds_step(struct traced *host)
{
    struct rounds *rounds = host->rounds;
    const struct trace_options *options = host->trace->options;
    struct instant now = events_now(host->trace->events);
    int64_t patience = PATIENCE_TRIPS * rounds->slowest;
    if (rounds->round < options->rounds && now.ns >= rounds->due.ns)
        begin_round(host);
    for (int flow = 0; flow < rounds->flow_count; flow++)
        if (rounds->ways[flow].verdict == ASK)
            ask_for_verdict(host, flow);
    if (rounds->round < options->rounds) {
        trace_step_at(host, rounds->due.ns);
        return;
    }
    if (patience < PATIENCE_LEAST)
        patience = PATIENCE_LEAST;
    if (!rounds->reached || patience >= options->probing.timeout)
        patience = options->probing.timeout + LAST_WORD;
    if (!rounds->open || now.ns >= rounds->last_sent.ns + patience) {
        tally_end(&rounds->tally, true);
        trace_done(host);
    } else {
        trace_step_at(host, rounds->last_sent.ns + patience);
    }
}

/* ---- hearing */

/*
 * There is more behind this hop. Where the target was here, the way has become longer, unless this is of a round before.
 * It may be of one before the last: so it always is where a round trip takes longer than the interval.
 */
static void
found_router(struct traced *host, const struct probe *probe)
{
    struct round_way *way = &host->rounds->ways[probe->flow];
    if (way->end && probe->ttl >= way->end) {
        if (probe->number < way->reached)
            return;
        way->end = 0;
    }
    if (probe->ttl > way->front)
        way->front = probe->ttl;
    if (!way->end)
        send_to(host, probe->flow, probe->ttl + AHEAD);
}

static void
found_target(struct rounds *rounds, const struct probe *probe)
{
    struct round_way *way = &rounds->ways[probe->flow];
    rounds->reached = true;
    if (probe->number > way->reached)
        way->reached = probe->number;
    if (!way->end || probe->ttl < way->end)
        way->end = probe->ttl;
    way->front = way->front < way->end ? way->front : way->end - 1;
}

static void
found_refusal(struct traced *host, const struct probe *probe, const struct reply *reply)
{
    struct round_way *way = &host->rounds->ways[probe->flow];
    if (way->beyond && reply->from) {
        if (!way->end) /* that somebody refuses in front of the target is no sign that it is elsewhere now */
            found_router(host, probe);
        return;
    }
    if (!way->blocked || probe->ttl < way->blocked)
        way->blocked = probe->ttl;
    if (reply->from && !way->end && way->verdict == NOT_ASKED)
        way->verdict = ASK;
}

static void
heard_verdict(struct traced *host, const struct probe *probe, const struct reply *reply)
{
    struct round_way *way = &host->rounds->ways[probe->flow];
    way->verdict = FINAL;
    way->beyond = reply->kind == KIND_REPLY;
    if (way->beyond && !way->end)
        send_to(host, probe->flow, way->sent_to + AHEAD);
}

/* That it was this host, and no loss on the way, is told of the hop. */
static void
note_own_refusal(struct rounds *rounds, const struct probe *probe, const struct reply *reply)
{
    char words[300];
    if (!reply->from && !reply_is_silence(reply))
        snprintf(tally_hop(&rounds->tally, probe->ttl)->refusal, REFUSAL_MAX, "(%s%.80s)",
                 reply->kind == KIND_NO_REPLY ? "" : "this host: ", reply_error(reply, words, sizeof words));
}

void
rounds_heard(struct traced *host, const struct probe *probe, const struct reply *reply)
{
    struct rounds *rounds = host->rounds;
    char mark[300], short_mark[24] = "";
    const char *name, *system;
    if (probe->purpose == FOR_VERDICT) {
        heard_verdict(host, probe, reply);
        return;
    }
    rounds->open--;
    note_own_refusal(rounds, probe, reply);
    if (!reply->from)
        tally_silent(&rounds->tally, probe->ttl, probe->number);
    if (reply->kind == KIND_NO_REPLY)
        return;
    bool router = reply->kind == KIND_TTL_EXPIRED, target = reply->kind == KIND_REPLY;
    if (router)
        found_router(host, probe);
    else if (target)
        found_target(rounds, probe);
    else
        found_refusal(host, probe, reply);
    if (reply->round_trip_us * NS_PER_US > rounds->slowest)
        rounds->slowest = reply->round_trip_us * NS_PER_US;
    if (!reply->from)
        return;
    trace_facts(host->trace, reply->from, &name, &system);
    if (!router && !target)
        snprintf(short_mark, sizeof short_mark, "%.23s", reply_mark(reply, mark, sizeof mark));
    int64_t at = clock_read().wall.ns;
    if (target)
        tally_reached(&rounds->tally, probe->ttl, probe->number, probe->flow, reply->from, reply->round_trip_us, at);
    else
        tally_heard(&rounds->tally, probe->ttl, probe->number, probe->flow, reply->from, short_mark,
                    reply->round_trip_us, at);
}
