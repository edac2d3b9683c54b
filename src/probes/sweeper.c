/* SPDX-License-Identifier: MIT */
/* Sweeps: a second source of requests beside the client's lines. What they send goes the same way as those. */
#include <errno.h>
#include <string.h>

#include "probes/inside.h"
#include "probes/probe.h"
#include "probes/support.h"

#define SWEEP_AT_ONCE 32        /* probes, before sockets and lines are looked at; */
#define SWEEP_BESIDE 8          /* while clients send single ones, too, whose round trip is not to wait for these: */
#define SWEEP_ALONE NS_PER_S    /* until none has come for so long */
#define HOLD NS_PER_MS          /* until what can't be sent now is tried again */
#define ROOM (PROBES_MAX / 16)  /* of the table, that is kept for requests of clients */

/* Errors for which only the end of other probes helps: the table, ports or descriptors are all in use. */
static bool
is_full(int error)
{
    return error == ENOSPC || error == ENOMEM || error == EMFILE || error == ENFILE;
}

/* ---- what is told ---- */

struct reply_place
sweeper_place(const struct prober *prober, struct part part, const char *scope)
{
    const struct plan *plan = sweep_plan(sweeps_of(&prober->sweeps, part));
    struct combination combination;
    plan_combination(plan, part.combination, &combination);
    return (struct reply_place){
        .has_target = plan->targets > 1,
        .has_ttl = plan->ttl.high > plan->ttl.low,
        .has_port = plan->port.high > plan->port.low,
        .has_flow = plan->flow.high > plan->flow.low,
        .family = plan->ranges.family,
        .target = combination.target,
        .scope = scope,
        .ttl = combination.ttl,
        .port = combination.port,
        .flow = combination.flow,
    };
}

static bool
tells_all(const struct prober *prober, struct part part)
{
    return sweep_request(sweeps_of(&prober->sweeps, part))->sweep.report_all;
}

/* A line about a probe that is not in flight, in a sweep that tells of all. */
static void
say_of(struct prober *prober, const struct request *request, struct part part, struct reply reply)
{
    char scope[SCOPE_SIZE];
    if (!tells_all(prober, part))
        return;
    memcpy(scope, request->scope.at ? request->scope.at : "", request->scope.length);
    scope[request->scope.length] = '\0';
    struct reply_place place = sweeper_place(prober, part, request->scope.length ? scope : NULL);
    reply.token = request->token;
    reply.place = &place;
    prober_say(prober, &reply);
}

static void
say_tally(struct prober *prober, const struct clock *clock, const struct sweep *sweep, enum reply_kind kind)
{
    const struct sweep_tally tally = sweep_tally(sweep, clock->now.instant);
    prober_say(prober, &(struct reply){
                           .token = sweep_request(sweep)->token,
                           .kind = kind,
                           .tally = &(struct reply_tally){
                               .sent = tally.sent,
                               .answered = tally.answered,
                               .silent = tally.silent,
                               .refused = tally.refused,
                               .in_flight = tally.in_flight,
                               .left = tally.left,
                               .next = tally.next,
                               .ns = tally.ns,
                           },
                       });
}

/* ---- the commands ---- */

void
sweeper_begin(struct prober *prober, const struct clock *clock, const struct request *request, const char *line,
              size_t length)
{
    const char *argument;
    enum reason lack = support_find_lack(prober->transport, request, &argument);
    bool may_not = request->mark && !prober->transport->body->supports_mark(prober->transport);
    int error = may_not ? EPERM : 0;
    if (lack == REASON_NONE && !error)
        error = sweeps_add(&prober->sweeps, request, line, length, random_u64(&prober->random), clock->now.instant);
    if (error == E2BIG || error == ERANGE) {
        lack = REASON_OUT_OF_RANGE;
        argument = error == ERANGE ? "from" : families[request->family].target_name;
    }
    if (lack != REASON_NONE)
        prober_complain(prober, request->token, lack, argument);
    else if (error)
        prober_say(prober, &(struct reply){ .token = request->token, .kind = reply_kind_of_error(error) });
}

void
sweeper_stop(struct prober *prober, const struct request *request)
{
    prober_say(prober, &(struct reply){
                           .token = request->token,
                           .kind = REPLY_STOPPED,
                           .count = sweeps_stop(&prober->sweeps, (int32_t)request->stopped),
                       });
}

/* ---- sending ---- */

/* True when the next probe must not leave before what waits for its interface already. *LANE: the interface's. */
static bool
must_wait(struct prober *prober, const struct clock *clock, const struct request *request, uint32_t *lane)
{
    if (prober->waiting.count + prober->aside.count == 0)
        return false;
    *lane = waiting_lane(prober->transport->body->find_queue(prober->transport, request));
    return waiting_keeps_order(&prober->waiting, *lane, clock->now.instant) ||
           waiting_keeps_order(&prober->aside, *lane, clock->now.instant);
}

/* Of a probe that is not taken now: it waits, so that those by other interfaces go on. False: no more room for it. */
static bool
set_aside(struct prober *prober, const struct clock *clock, const struct request *request, int reason)
{
    uint32_t lane = waiting_lane(prober->transport->body->find_queue(prober->transport, request));
    if (waiting_add(&prober->aside, NULL, 0, request, lane, reason, clock->now.instant))
        return true;
    prober->transport->body->abandon(prober->transport, request);
    return false;
}

/* When to try again what is not taken now: in a moment, or when a limit may be over. */
static struct instant
next_try(const struct prober *prober, struct instant now)
{
    struct instant again = instant_after(now, HOLD), allowed;
    bool known = prober->limits.any && limits_next(&prober->limits, probes_count(prober->probes), &allowed);
    return known && allowed.ns > again.ns ? allowed : again;
}

/* Sends the probe of a sweep that is due, or holds the sweep for a moment. */
static void
send_next(struct prober *prober, const struct clock *clock, struct sweep *sweep)
{
    struct instant now = clock->now.instant, again = next_try(prober, now);
    uint32_t detail = 0, lane, in_flight = probes_count(prober->probes);
    bool may = in_flight < PROBES_MAX - ROOM && !limiter_holds(prober, clock);
    struct request *request = may ? sweep_next(sweep) : NULL;
    if (!request || must_wait(prober, clock, request, &lane)) {
        sweep_hold(sweep, again);
        return;
    }
    request->serial = ++prober->serial;
    int error = prober_launch(prober, clock, request, NULL, &detail);
    if (!error) {
        sweep_began(sweep, now);
        sweep_sent(sweep);
    } else if (error == EAGAIN ? set_aside(prober, clock, request, (int)detail) : false) {
        sweep_began(sweep, now);
    } else if (error == EAGAIN || (is_full(error) && in_flight > 0)) {
        sweep_hold(sweep, again);
    } else {
        sweep_began(sweep, now);
        sweeper_refused(prober, request, error, detail);
    }
}

/* What is left of a sweep beside its probes. */
static void
attend(struct prober *prober, const struct clock *clock, struct sweep *sweep)
{
    struct part part;
    while (sweep_take_given_up(sweep, &part))
        say_of(prober, sweep_request(sweep), part, (struct reply){ .kind = REPLY_NO_REPLY });
    if (sweep_is_over(sweep)) {
        say_tally(prober, clock, sweep, REPLY_SWEPT);
        sweeps_end(&prober->sweeps, sweep);
    } else if (sweep_progress_is_due(sweep, clock->now.instant)) {
        say_tally(prober, clock, sweep, REPLY_SWEEPING);
    }
}

void
prober_sweep(struct prober *prober, const struct clock *clock)
{
    struct sweep *sweep;
    for (uint32_t place = 0; place < SWEEPS_MAX && prober->sweeps.count > 0; place++)
        if (prober->sweeps.running[place])
            attend(prober, clock, prober->sweeps.running[place]);
    bool alone = instant_since(clock->now.instant, prober->asked) > SWEEP_ALONE;
    int most = alone ? SWEEP_AT_ONCE : SWEEP_BESIDE;
    for (int sent = 0; sent < most && (sweep = sweeps_due(&prober->sweeps, clock->now.instant)); sent++)
        send_next(prober, clock, sweep);
}

bool
prober_next_sweep(const struct prober *prober, struct instant *when)
{
    return sweeps_next_wake(&prober->sweeps, when);
}

/* ---- what became of a probe ---- */

void
sweeper_answered(struct prober *prober, struct part part, enum reply_kind kind)
{
    sweep_answered(sweeps_of(&prober->sweeps, part), part, kind == REPLY_REPLY);
}

bool
sweeper_expired(struct prober *prober, struct part part)
{
    return !sweep_expired(sweeps_of(&prober->sweeps, part), part) && tells_all(prober, part);
}

bool
sweeper_has_stopped(const struct prober *prober, struct part part)
{
    const struct sweep *sweep = sweeps_of(&prober->sweeps, part);
    return sweep && sweep_is_stopped(sweep);
}

void
sweeper_sent(struct prober *prober, struct part part)
{
    sweep_sent(sweeps_of(&prober->sweeps, part));
}

void
sweeper_never_sent(struct prober *prober, const struct waiting_request *one)
{
    const struct request *request = &one->request;
    if (sweeper_expired(prober, request->part))
        say_of(prober, request, request->part,
               (struct reply){ .kind = REPLY_NO_REPLY, .error = request->detail ? one->reason : 0 });
}

void
sweeper_refused(struct prober *prober, const struct request *request, int error, uint32_t detail)
{
    sweep_refused(sweeps_of(&prober->sweeps, request->part));
    say_of(prober, request, request->part, (struct reply){
                                               .kind = reply_kind_of_error(error),
                                               .error = error,
                                               .mtu = error == EMSGSIZE ? detail : 0,
                                           });
}
