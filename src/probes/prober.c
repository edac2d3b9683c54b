/* SPDX-License-Identifier: MIT */
#include "probes/prober.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines/word.h"
#include "packets/icmp.h"
#include "packets/protocol.h"
#include "probes/inside.h"
#include "probes/match.h"
#include "probes/support.h"

#define NUMBER_SIZE 12       /* bytes of an uint32_t as text */
#define RECEIVE_ROUNDS 16    /* batches of answers before others have their turn */
#define EXPIRE_AT_ONCE 4096  /* probes, likewise */
#define SWEEP_LATE NS_PER_MS /* that the probes of a sweep may expire */
#define RETRY_LOOKS 16       /* requests that waited, before the clock is looked at, */
#define RETRY_MAX (10 * NS_PER_MS) /* and others have their turn before the rest is tried */

/*
 * Bytes of replies that may wait for a client that does not read. Other probes have a line each, but to a probe with
 * `collect` anyone on its path could send answers for ever: beyond this its answers are neither told nor counted.
 */
#define UNREAD_MAX (16u << 20)

struct prober *
prober_new(struct transport *transport, struct output *output, struct prober_options options)
{
    struct prober *prober = calloc(1, sizeof *prober);
    if (!prober)
        return NULL;
    *prober = (struct prober){ .transport = transport, .output = output, .options = options };
    prober->probes = probes_new(random_u64(&prober->random));
    waiting_init(&prober->waiting);
    waiting_init(&prober->aside);
    waiting_init(&prober->held);
    prober->limits = limits_of(options.limit_rate, options.limit_in_flight);
    if (prober->probes)
        return prober;
    free(prober);
    return NULL;
}

void
prober_free(struct prober *prober)
{
    if (!prober)
        return;
    probes_free(prober->probes);
    waiting_free(&prober->waiting);
    waiting_free(&prober->aside);
    waiting_free(&prober->held);
    sweeps_free(&prober->sweeps);
    free(prober);
}

void
prober_say(struct prober *prober, const struct reply *reply)
{
    char line[REPLY_MAX];
    output_line(prober->output, line, reply_write(reply, prober->options.old_words, line));
}

/* ---- check-support ---- */

/* The limit of this name, as a number in TEXT; NULL: it is no name of a limit, or there is none. */
static const char *
find_limit(const struct prober *prober, struct word feature, char text[NUMBER_SIZE])
{
    uint32_t limit = word_is(feature, "limit-rate")        ? prober->options.limit_rate
                     : word_is(feature, "limit-in-flight") ? prober->options.limit_in_flight
                                                           : 0;
    snprintf(text, NUMBER_SIZE, "%" PRIu32, limit);
    return limit ? text : NULL;
}

static void
check_support(struct prober *prober, const struct request *request)
{
    char text[NUMBER_SIZE];
    const char *limit = find_limit(prober, request->feature, text);
    const char *support = limit ? limit : support_has(prober->transport, request->feature) ? "ok" : "no";
    if (word_is(request->feature, "version"))
        support = HOPLINE_VERSION;
    prober_say(prober, &(struct reply){ .token = request->token, .kind = REPLY_FEATURE_SUPPORT, .support = support });
}

/* ---- send-probe ---- */

static void
complain(struct prober *prober, const struct complaint *complaint)
{
    static const enum reply_kind kinds[] = {
        [COMPLAINT_PARSE] = REPLY_PARSE_ERROR,
        [COMPLAINT_UNKNOWN_COMMAND] = REPLY_UNKNOWN_COMMAND,
        [COMPLAINT_INVALID_ARGUMENT] = REPLY_INVALID_ARGUMENT,
    };
    prober_say(prober, &(struct reply){
                    .token = complaint->token,
                    .kind = kinds[complaint->kind],
                    .reason = complaint->reason,
                    .argument = complaint->argument,
                });
}

void
prober_complain(struct prober *prober, int32_t token, enum reason reason, const char *argument)
{
    struct word name = { argument, strlen(argument) };
    complain(prober, &(struct complaint){ token, COMPLAINT_INVALID_ARGUMENT, reason, name });
}

static struct probe
model_of(const struct request *request)
{
    uint32_t number;
    struct word scope = request->scope.length ? request->scope : request->local_scope;
    bool is_scoped = scope.length > 0;
    bool is_number = is_scoped && word_is_number(scope, &number);
    return (struct probe){
        .target = request->target,
        .token = request->token,
        .payload_size = (uint16_t)packet_payload_size(request),
        .family = (uint8_t)request->family,
        .protocol = (uint8_t)request->protocol,
        .group = address_is_group(request->family, &request->target),
        .collect = request->collect,
        .detail = request->detail,
        .scope_named = is_scoped && !is_number,
        .scope_numbered = is_number,
        .part = request->part,
    };
}

#define ASKED (1u << FEATURE_TCP_ECN | 1u << FEATURE_ICMP_REQUEST | 1u << FEATURE_REPLY_PAYLOAD)

/* What a request wants to know, and few do. */
static void
note_asked(const struct request *request, const struct clock *clock, struct probe *model)
{
    model->tcp_ecn = request_has(request, FEATURE_TCP_ECN);
    model->icmp_request = request->icmp_request & 3;
    model->reply_payload = (uint16_t)request->reply_payload;
    if (icmp_kinds[request->icmp_request].stamped)
        model->identity.number = wall_ms_of_day((struct wall){ clock_now().ns + clock->offset });
}

/*
 * Between the clock's reading and the system call that sends, and within that, we may stand still. Where the two readings
 * around it lie apart, nobody knows on which side the packet left. Its timeout then counts from the later one, so that no
 * answer comes too late for that; its round trip from the earlier one, so that none is ever said to be shorter than it was.
 */
#define SENDING_USUAL (100 * NS_PER_US)

static struct instant
timeout_begins(const struct prober *prober, const struct probe *model)
{
    struct instant sent = prober->transport->sent;
    return instant_since(sent, model->departed) > SENDING_USUAL ? sent : model->departed;
}

int
prober_launch(struct prober *prober, const struct clock *clock, const struct request *request,
              const struct instant *deadline, uint32_t *detail)
{
    struct probe model = model_of(request);
    if (request->given & ASKED)
        note_asked(request, clock, &model);
    if (request->mark && !prober->transport->body->supports_mark(prober->transport))
        return EPERM;
    if (!probes_reserve(prober->probes))
        return ENOSPC;
    int error = prober->transport->body->send(prober->transport, request, prober->probes, clock, &model, detail);
    if (error)
        return error;
    probes_add(prober->probes, &model,
               deadline ? *deadline : instant_after(timeout_begins(prober, &model), request->timeout * NS_PER_US));
    if (prober->limits.any)
        limits_note(&prober->limits, clock->now.instant);
    return 0;
}

int
prober_try(struct prober *prober, const struct clock *clock, const struct request *request, uint32_t *lane,
           uint32_t *detail)
{
    const struct waiting *waiting = &prober->waiting;
    bool others_wait = waiting->count > 0;
    int error = EAGAIN;
    *detail = EAGAIN;
    if (others_wait)
        *lane = waiting_lane(prober->transport->body->find_queue(prober->transport, request));
    if (!others_wait || !waiting_keeps_order(waiting, *lane, clock->now.instant))
        error = prober_launch(prober, clock, request, NULL, detail);
    if (error == EAGAIN && !others_wait)
        *lane = waiting_lane(prober->transport->body->find_queue(prober->transport, request));
    return error;
}

void
prober_say_refused(struct prober *prober, const struct request *request, enum reason lack, const char *argument, int error,
                   uint32_t detail)
{
    if (error == EOVERFLOW) {
        lack = REASON_NO_ROOM_FOR_IDENTITY;
        argument = "flow";
    } else if (error == EPROTONOSUPPORT && request_has(request, FEATURE_TCP_ECN)) {
        lack = REASON_PROTOCOL_NOT_SUPPORTED;
        argument = "tcp-ecn";
    }
    if (lack != REASON_NONE)
        prober_complain(prober, request->token, lack, argument);
    else if (error)
        prober_say(prober, &(struct reply){
                        .token = request->token,
                        .kind = reply_kind_of_error(error),
                        .error = error,
                        .mtu = error == EMSGSIZE ? detail : 0,
                    });
}

/* What was never sent is a lost packet. */
static void
say_never_sent(struct prober *prober, const struct waiting_request *one)
{
    const struct request *request = &one->request;
    if (request->part.sweep) {
        sweeper_never_sent(prober, one);
        return;
    }
    prober_say(prober, &(struct reply){
                    .token = request->token,
                    .kind = request->collect ? REPLY_COLLECTED : REPLY_NO_REPLY,
                    .error = request->detail ? one->reason : 0,
                });
}

/* False: it can be neither sent nor set aside just now. */
static bool
send_probe(struct prober *prober, const struct clock *clock, struct request *request, const char *line, size_t length)
{
    uint32_t detail = 0, lane = 0;
    const char *argument;
    enum reason lack = support_find_lack(prober->transport, request, &argument);
    request->serial = ++prober->serial;
    prober->asked = clock->now.instant;
    if (lack == REASON_NONE && limiter_holds(prober, clock))
        return limiter_add(prober, clock, request, line, length);
    int error = lack == REASON_NONE ? prober_try(prober, clock, request, &lane, &detail) : 0;
    if (error != EAGAIN) {
        prober_say_refused(prober, request, lack, argument, error, detail);
        return true;
    }
    if (waiting_add(&prober->waiting, line, length, request, lane, (int)detail, clock->now.instant))
        return true;
    prober->transport->body->abandon(prober->transport, request);
    return false;
}

/* Of what waits for the same interface requests of clients go first. */
static bool
may_try(const struct prober *prober, const struct clock *clock, struct waiting *waiting,
        const struct waiting_request *one)
{
    if (prober->limits.any && !limits_allow(&prober->limits, probes_count(prober->probes), clock->now.instant))
        return false;
    return waiting_may_try(waiting, one) && (waiting == &prober->waiting ||
                                             !waiting_keeps_order(&prober->waiting, one->lane, clock->now.instant));
}

/* What became of a request that has waited: 0: it left. */
static void
end_waiting(struct prober *prober, const struct request *request, int error, uint32_t detail)
{
    if (!request->part.sweep)
        prober_say_refused(prober, request, REASON_NONE, NULL, error, detail);
    else if (error)
        sweeper_refused(prober, request, error, detail);
    else
        sweeper_sent(prober, request->part);
}

/* True when it is done: it left, was refused for good, its time is over, or its sweep is stopped. */
static bool
retry(struct prober *prober, const struct clock *clock, struct waiting *waiting, struct waiting_request *one, bool *sent)
{
    uint32_t detail;
    *sent = false;
    if (waiting_is_over(waiting, one, clock->now.instant) || sweeper_has_stopped(prober, one->request.part)) {
        prober->transport->body->abandon(prober->transport, &one->request);
        say_never_sent(prober, one);
        return true;
    }
    if (!may_try(prober, clock, waiting, one))
        return false;
    int error = prober_launch(prober, clock, &one->request, one->request.yields ? NULL : &one->deadline, &detail);
    if (error == EAGAIN) {
        waiting_refused(waiting, one, (int)detail, clock->now.instant);
        return false;
    }
    *sent = error == 0;
    end_waiting(prober, &one->request, error, detail);
    return true;
}

static void
retry_all(struct prober *prober, const struct clock *clock, struct waiting *waiting)
{
    struct instant now = clock->now.instant, enough = instant_after(clock_now(), RETRY_MAX);
    if (waiting->count == 0 || instant_since(now, waiting->next) < 0)
        return;
    waiting_begin(waiting, now);
    struct waiting_request **place = &waiting->first;
    for (uint32_t looked = 1; *place && (looked % RETRY_LOOKS || instant_since(clock_now(), enough) < 0); looked++) {
        bool sent;
        if (retry(prober, clock, waiting, *place, &sent))
            waiting_done(waiting, place, sent, now);
        else
            place = &(*place)->next;
    }
    waiting_finish(waiting, !*place, now);
}

void
prober_retry(struct prober *prober, const struct clock *clock)
{
    retry_all(prober, clock, &prober->waiting);
    limiter_release(prober, clock);
    retry_all(prober, clock, &prober->aside);
}

bool
prober_take_line(struct prober *prober, const struct clock *clock, const char *line, size_t length)
{
    struct request request;
    struct complaint complaint;
    switch (request_parse(line, length, prober->options.strict, &request, &complaint)) {
    case LINE_EMPTY:
        return true;
    case LINE_COMPLAINT:
        complain(prober, &complaint);
        return true;
    case LINE_REQUEST:
        break;
    }
    switch (request.command) {
    case COMMAND_SEND_PROBE:
        return send_probe(prober, clock, &request, line, length);
    case COMMAND_CHECK_SUPPORT:
        check_support(prober, &request);
        break;
    case COMMAND_SWEEP:
        sweeper_begin(prober, clock, &request, line, length);
        break;
    case COMMAND_STOP:
        sweeper_stop(prober, &request);
        break;
    }
    return true;
}

void
prober_refuse_line(struct prober *prober)
{
    prober_say(prober, &(struct reply){ .token = 0, .kind = REPLY_BUFFER_OVERFLOW });
}

/* ---- answers ---- */

/*
 * The error by which a host without a listener answers the probe's protocol is an answer, whoever sends it: routers and
 * hosts with several addresses send it from another than the one that was probed. To any other protocol it is the
 * target's only when the target itself sent it; else a firewall did.
 */
static enum reply_kind
kind_of_answer(const struct answer *answer, const struct probe *probe)
{
    static const enum reply_kind kinds[] = {
        [MEANS_NOTHING] = REPLY_REPLY,
        [MEANS_TTL_EXPIRED] = REPLY_TTL_EXPIRED,
        [MEANS_NO_ROUTE_HOST] = REPLY_NO_ROUTE_HOST,
        [MEANS_NO_ROUTE_NETWORK] = REPLY_NO_ROUTE_NETWORK,
        [MEANS_NO_PORT] = REPLY_NO_ROUTE_HOST,
        [MEANS_NO_PROTOCOL] = REPLY_NO_ROUTE_HOST,
        [MEANS_NOT_REASSEMBLED] = REPLY_NO_ROUTE_HOST,
        [MEANS_TOO_BIG] = REPLY_PACKET_TOO_BIG,
    };
    bool refused = answer->meaning == protocols[probe->protocol]->refusal;
    bool by_whom_it_reached = answer->meaning == MEANS_NO_PORT || answer->meaning == MEANS_NO_PROTOCOL ||
                              answer->meaning == MEANS_NOT_REASSEMBLED;
    if (!answer->is_error || refused || (by_whom_it_reached && address_same(&answer->from, &probe->target)))
        return REPLY_REPLY;
    return kinds[answer->meaning];
}

static void
finish(struct prober *prober, struct probe *probe)
{
    prober->transport->body->release(prober->transport, probe);
    if (probe->keeps_ports) {
        waiting_port_freed(&prober->waiting);
        waiting_port_freed(&prober->aside);
    }
    probes_remove(prober->probes, probe);
}

static bool
has_scope(const struct probe *probe)
{
    return probe->scope_named || probe->scope_numbered;
}

/* The scope of addresses on the probe's link, in the form in which the request had one. */
static const char *
scope_of(const struct prober *prober, const struct probe *probe, char text[SCOPE_SIZE])
{
    bool found = probe->scope_named &&
                 prober->transport->body->find_device_name(prober->transport, probe->scope, text);
    if (!found) /* asked for by number, or the interface is gone; a renamed one is found by its new name */
        snprintf(text, SCOPE_SIZE, "%" PRIu32, probe->scope);
    return text;
}

static struct detail
detail_of(const struct probe *probe, const struct clock *clock, const char *scope)
{
    bool has_port = protocols[probe->protocol]->ports != PORTS_ECHO;
    return (struct detail){
        .family = (enum family_id)probe->family,
        .local = probe->identity.source,
        .local_port = has_port ? probe->identity.near : 0,
        .scope = scope,
        .sent = { probe->departed.ns + clock->offset },
    };
}

static bool
asks(const struct probe *probe)
{
    return probe->tcp_ecn || probe->icmp_request || probe->reply_payload;
}

/* Returns the kind. */
static enum reply_kind
say_answer(struct prober *prober, const struct clock *clock, const struct probe *probe, const struct answer *answer)
{
    char text[SCOPE_SIZE];
    int64_t round_trip = instant_since(answer->arrived, probe->departed);
    struct reply reply = {
        .token = probe->token,
        .kind = kind_of_answer(answer, probe),
        .answered = true,
        .family = answer->family,
        .responder = answer->from,
        .round_trip = round_trip > 0 ? (round_trip + NS_PER_US / 2) / NS_PER_US : 0,
        .scope = has_scope(probe) ? scope_of(prober, probe, text) : NULL,
        .mtu = answer->mtu,
    };
    if (reply.kind == REPLY_TTL_EXPIRED || probe->detail)
        reply.extensions = answer->extensions;
    struct reply_place place;
    if (probe->part.sweep) {
        place = sweeper_place(prober, probe->part, reply.scope);
        reply.place = &place;
    }
    const struct asked asked = { answer, probe->tcp_ecn, probe->icmp_request != 0, probe->reply_payload };
    if (asks(probe) && !answer->is_error)
        reply.asked = &asked;
    struct detail detail;
    if (probe->detail) {
        detail = detail_of(probe, clock, reply.scope);
        detail.answer = answer;
        detail.translated = match_is_translated(probe, answer);
        detail.received.ns = detail.sent.ns + (round_trip > 0 ? round_trip : 0);
        reply.detail = &detail;
    }
    prober_say(prober, &reply);
    return reply.kind;
}

static void
take_answer(struct prober *prober, const struct clock *clock, struct answer *answer)
{
    struct probe *probe = match_find(prober->probes, answer);
    if (!probe)
        return;
    /*
     * An answer that came after the deadline is none, even if the deadline was not looked at yet. One of which that is not
     * known counts: its socket was last looked at before the deadline, or the probe would have ended then.
     */
    struct instant deadline = probes_deadline(prober->probes, probe);
    if (answer->unstamped && instant_since(answer->arrived, deadline) > 0)
        answer->arrived = deadline;
    if (instant_since(answer->arrived, deadline) > 0)
        return;
    if (probe->collect && output_waiting(prober->output) > UNREAD_MAX)
        return;
    enum reply_kind kind = say_answer(prober, clock, probe, answer);
    if (probe->part.sweep)
        sweeper_answered(prober, probe->part, kind);
    if (probe->collect)
        probe->collected++;
    else
        finish(prober, probe);
}

void
prober_receive(struct prober *prober, const struct clock *clock)
{
    struct answer answers[TRANSPORT_BATCH];
    size_t count;
    for (int round = 0; round < RECEIVE_ROUNDS; round++) {
        if (!prober->transport->body->receive(prober->transport, clock, answers, &count))
            return;
        for (size_t i = 0; i < count; i++) {
            answers[i].doubt = clock_doubt(clock);
            take_answer(prober, clock, &answers[i]);
        }
    }
}

static void
say_expired(struct prober *prober, const struct clock *clock, const struct probe *probe)
{
    char text[SCOPE_SIZE];
    const char *scope = has_scope(probe) ? scope_of(prober, probe, text) : NULL;
    struct detail detail;
    struct reply_place place;
    struct reply reply = { .token = probe->token, .kind = REPLY_NO_REPLY };
    if (probe->part.sweep) {
        place = sweeper_place(prober, probe->part, scope);
        reply.place = &place;
    }
    if (probe->collect) {
        reply.kind = REPLY_COLLECTED;
        reply.count = probe->collected;
    } else if (probe->detail) {
        detail = detail_of(probe, clock, scope);
        reply.detail = &detail;
    }
    prober_say(prober, &reply);
}

/*
 * When to look for those that expire. A sweep's may be so much late, and a few others with them: to wake for each of
 * thousands a second costs more than all else about them.
 */
static bool
next_to_expire(const struct prober *prober, struct instant *when)
{
    const struct probe *probe = probes_next_to_expire(prober->probes, when);
    if (probe && probe->part.sweep)
        *when = instant_after(*when, SWEEP_LATE);
    return probe != NULL;
}

/*
 * Answers count by their arrival, so those that wait in a socket come first: what expires is what was due before the
 * last of them that we have seen.
 */
void
prober_expire(struct prober *prober, const struct clock *clock)
{
    struct instant deadline;
    const struct transport_body *body = prober->transport->body;
    if (!next_to_expire(prober, &deadline) || instant_since(clock->now.instant, deadline) < 0)
        return;
    body->expect_all(prober->transport);
    prober_receive(prober, clock);

    struct instant until = body->received_until(prober->transport, clock);
    for (int expired = 0; expired < EXPIRE_AT_ONCE; expired++) {
        struct probe *probe = probes_next_to_expire(prober->probes, &deadline);
        if (!probe || instant_since(until, deadline) < 0)
            return;
        if (!probe->part.sweep || sweeper_expired(prober, probe->part))
            say_expired(prober, clock, probe);
        if (!probe->collected)
            probes_note_silence(prober->probes, probe);
        finish(prober, probe);
    }
}

static void
sooner(struct instant *when, bool *set, struct instant other)
{
    if (!*set || other.ns < when->ns)
        *when = other;
    *set = true;
}

bool
prober_next_deadline(const struct prober *prober, struct instant *when)
{
    struct instant other;
    bool set = next_to_expire(prober, when);
    if (limiter_next(prober, &other))
        sooner(when, &set, other);
    if (prober->waiting.count > 0)
        sooner(when, &set, prober->waiting.next);
    if (prober->aside.count > 0)
        sooner(when, &set, prober->aside.next);
    return set;
}

uint32_t
prober_in_flight(const struct prober *prober)
{
    return probes_count(prober->probes) + prober->waiting.count + prober->aside.count + prober->held.count +
           prober->sweeps.count;
}
