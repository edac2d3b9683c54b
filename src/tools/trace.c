/* SPDX-License-Identifier: MIT */
/* probe-trace: the paths to hosts. */
#include "tools/trace.h"

#include <err.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "tools/text.h"
#include "tools/trace_mda.h"
#include "tools/trace_mtr.h"
#include "tools/trace_mtu.h"
#include "tools/trace_plan.h"
#include "tools/trace_show.h"

#define AT_ONCE 512             /* hosts that are traced at the same time */
#define AHEAD 5                 /* hops, so that the target gets no more than five in a second, */
#define AHEAD_LEAST 3           /* where more is asked of it than that */
#define MANY 16                 /* hosts, that keep the line busy with fewer ahead */
#define AHEAD_OF_MANY 2
#define ROOM_FOR_FLOW 60        /* bytes of the packet that a flow needs at least, in either family */
#define LATE 2                  /* times the timeout: until then an answer is seen to be late */

/* ---- showing, in the order of the command line where people read it */

static bool
show(struct traced *host)
{
    switch (host->trace->options->format) {
    case FORMAT_TEXT: return host->rounds ? rounds_show(host) : text_show(host);
    case FORMAT_JSON: return host->rounds ? rounds_show(host) : json_show(host);
    case FORMAT_CSV: return host->rounds ? rounds_show(host) : csv_show(host);
    case FORMAT_ATLAS: return atlas_show(host);
    case FORMAT_DOT: return dot_show(host);
    }
    return true;
}

static bool
show_one(struct traced *host)
{
    if (host->stage == STAGE_SHOWN)
        return true;
    if (host->stage < STAGE_TRACING || !show(host))
        return false;
    host->stage = STAGE_SHOWN;
    if (host->trace->options->format != FORMAT_DOT)
        path_free(&host->path);
    return true;
}

static void
show_more(struct trace *trace, struct traced *host)
{
    if (trace->options->format != FORMAT_TEXT)
        show_one(host);
    while (trace->turn < trace->count && show_one(&trace->hosts[trace->turn]))
        trace->turn++;
    if (trace->turn == trace->count)
        events_end(trace->events);
}

static void
show_all(void *owner)
{
    struct trace *trace = owner;
    for (size_t i = 0; i < trace->begun; i++)
        if (trace->hosts[i].stage != STAGE_SHOWN && (trace->options->format != FORMAT_TEXT || i == trace->turn))
            show_more(trace, &trace->hosts[i]);
}

/* ---- a host's steps */

static void begin_more(struct trace *trace);

static void
finish(struct traced *host)
{
    host->stage = STAGE_TRACED;
    host->ended = clock_read().wall.ns;
    host->reached = host->rounds ? rounds_end(host) : path_is_reached(&host->path);
}

void
trace_done(struct traced *host)
{
    struct trace *trace = host->trace;
    if (host->stage >= STAGE_TRACED)
        return;
    finish(host);
    events_unset(trace->events, &host->alarm);
    trace->under_way--;
    show_more(trace, host);
    begin_more(trace);
}

static void
ask_hop(void *owner, const struct question *question)
{
    struct traced *host = owner;
    struct probe probe = { FOR_HOP, trace_number(host), question->ttl, question->flow, question->query,
                           question->stray };
    trace_ask(host, &probe, "");
}

/* Is somebody's unreachable the end? A probe that may go all the way tells. */
static void
ask_for_verdict(struct traced *host)
{
    struct path *path = &host->path;
    struct probe probe = { FOR_VERDICT, trace_number(host), path->last, path->serial ? SCOUT : 0, 0, false };
    path->verdict = ASKED;
    path->verdict_asked = events_now(host->trace->events);
    trace_ask(host, &probe, "");
}

static void
step(void *owner)
{
    struct traced *host = owner;
    struct trace *trace = host->trace;
    if (host->rounds) {
        rounds_step(host);
        show_more(trace, host);
        return;
    }
    if (plan_verdict_is_overdue(&host->path, events_now(trace->events)))
        path_judge(&host->path, NULL);
    if (host->path.verdict == ASK)
        ask_for_verdict(host);
    if (trace->options->mda)
        mda_choose(&host->path);
    int64_t due = plan_step(&host->path, events_now(trace->events), ask_hop, host);
    if (trace->options->mda && mda_choose(&host->path)) { /* some were given up just now */
        trace_step_at(host, events_now(trace->events).ns);
    } else if (!plan_is_done(&host->path)) {
        trace_step_at(host, due);
    } else if (!trace->options->mtu || sizes_step(host)) {
        trace_done(host);
        return;
    }
    show_more(trace, host);
}

static void
keep_extra(struct traced *host, int ttl, const struct reply *reply, bool late)
{
    if (!reply->from)
        return;
    struct extra *extras = realloc(host->extras, (host->extra_count + 1) * sizeof *extras);
    if (!extras)
        err(2, NULL);
    host->extras = extras;
    extras[host->extra_count++] = (struct extra){ reply_keep(reply), ttl, late };
}

static void
heard_hop(struct traced *host, const struct probe *probe, const struct reply *reply)
{
    const struct cell *cell = path_cell(&host->path, probe->ttl, probe->flow, probe->number);
    bool late = reply->round_trip_us * NS_PER_US > host->trace->options->probing.timeout;
    if (host->trace->options->format == FORMAT_ATLAS && reply->from && (cell->answer || late)) {
        keep_extra(host, probe->ttl, reply, late);
        return;
    }
    if (reply->from) {
        const char *name, *system;
        trace_facts(host->trace, reply->from, &name, &system);
    }
    path_heard(&host->path, probe->ttl, probe->flow, probe->number, reply);
}

static void flows_told(struct trace *trace, bool served);

static void
heard(void *owner, uint64_t tag, const struct reply *reply, bool last)
{
    struct trace *trace = owner;
    struct probe probe = trace_probe_of(tag);
    struct traced *host = &trace->hosts[probe.host];
    struct reply silence = *reply;
    (void)last;
    if (probe.purpose == FOR_FLOWS) {
        const char *reason = reply->value[FIELD_REASON];
        flows_told(trace, !reason || strcmp(reason, "protocol-not-supported") != 0);
        return;
    }
    if (host->stage != STAGE_TRACING || trace->refused)
        return;
    if (client_refused(trace->client, reply, FEATURE_TCP_ECN, "ecn")) {
        trace->refused = true;
        events_end(trace->events);
        return;
    }
    if (reply->kind == KIND_COLLECTED)
        silence.kind = KIND_NO_REPLY;
    switch (probe.purpose) {
    case FOR_HOP: heard_hop(host, &probe, &silence); break;
    case FOR_VERDICT:
        if (host->rounds)
            rounds_heard(host, &probe, reply);
        else
            path_judge(&host->path, reply);
        break;
    case FOR_SIZE:
    case FOR_SIZE_BY_UDP: sizes_heard(host, &probe, reply); break;
    case FOR_ROUND: rounds_heard(host, &probe, reply); break;
    case FOR_FLOWS: break;
    }
    trace_step_at(host, events_now(trace->events).ns);
}

static void
died(void *owner)
{
    struct trace *trace = owner;
    trace->died = true;
    if (trace->screen)
        screen_clear(trace->screen);
    events_end(trace->events);
}

/* ---- hosts */

static struct path
path_of(const struct traced *host)
{
    const struct trace *trace = host->trace;
    const struct trace_options *options = trace->options;
    bool serial = strcmp(options->probing.protocol, "tcp") == 0 ||
                  (strcmp(options->probing.protocol, "udp") == 0 && options->probing.port);
    bool alone = options->flows == 1 && !options->mda && !(serial && trace->use_flow);
    return (struct path){
        .first = (int)options->first,
        .last = (int)options->last,
        .queries = (int)options->queries,
        .flow_count = (int)options->flows,
        .serial = serial && trace->use_flow,
        .ahead = trace->count > MANY ? AHEAD_OF_MANY : alone ? AHEAD : AHEAD_LEAST,
        .gathers = alone,
        .timeout = options->probing.timeout,
        .chosen = options->mda,
        .places = trace->places,
        .rank = (int)trace_number(host),
        .spares = options->spares,
        .address = host->address,
    };
}

static void
begin_tracing(struct traced *host)
{
    struct trace *trace = host->trace;
    const struct trace_options *options = trace->options;
    char seconds[SECONDS_MAX], asked[SERVICE_ARGUMENTS_MAX];
    bool six = strchr(host->address, ':') != NULL;
    int64_t timeout = options->probing.timeout * (options->format == FORMAT_ATLAS ? LATE : 1);
    if (asprintf(&host->request, "send-probe ip-%c %s%s%s timeout %s", six ? '6' : '4', host->address, trace->arguments,
                 six && trace->use_flow ? service_flow_arguments(&options->probing.question, asked)
                                        : service_arguments(&options->probing.question, asked),
                 client_seconds(trace->client, timeout, seconds)) < 0)
        err(2, NULL);
    host->stage = STAGE_TRACING;
    host->path = path_of(host);
    host->begun = clock_read().wall.ns;
    host->shown = host->path.first - 1;
    path_begin(&host->path);
    if (options->mtr)
        host->rounds = rounds_new(host);
    if (options->mtu)
        host->sizes = sizes_new();
    trace_step_at(host, events_now(trace->events).ns + host->path.rank); /* the first host first */
}

static void
found(void *owner, uint64_t tag, char (*addresses)[ADDRESS_TEXT_MAX], size_t count, const char *why)
{
    struct trace *trace = owner;
    struct traced *host = &trace->hosts[tag];
    char clean[300];
    if (count) {
        snprintf(host->address, sizeof host->address, "%s", addresses[0]);
        begin_tracing(host);
        return;
    }
    snprintf(host->why, sizeof host->why, "%s", why);
    if (trace->screen)
        screen_clear(trace->screen);
    warnx("%s: %s", text_printable(host->host, clean, sizeof clean), host->why);
    trace_done(host);
}

static void
begin_host(struct traced *host)
{
    struct trace *trace = host->trace;
    host->stage = STAGE_NAMING;
    host->begun = clock_read().wall.ns; /* and again when it has an address */
    host->alarm = (struct alarm){ .rings = step, .owner = host };
    host_find(trace->names, host->host, trace->options->probing.family, found, trace, trace_number(host));
}

static void
begin_more(struct trace *trace)
{
    while (trace->begun < trace->count && trace->under_way < AT_ONCE) {
        trace->under_way++;
        begin_host(&trace->hosts[trace->begun++]);
    }
}

/* ---- what the daemon can do */

static bool
is_icmp(const struct trace *trace)
{
    return strcmp(trace->options->probing.protocol, "icmp") == 0;
}

static void
flows_told(struct trace *trace, bool served)
{
    const struct trace_options *options = trace->options;
    trace->use_flow = served;
    if (!served && (options->flows > 1 || options->mda)) {
        warnx("this daemon has flows of icmp alone, not of %s: it has no privilege (CAP_NET_RAW)",
              options->probing.protocol);
        trace->died = true;
        events_end(trace->events);
        return;
    }
    begin_more(trace);
}

/*
 * A daemon without privileges has flows of icmp alone, and sctp has none. A probe that does not leave this host, and is
 * not waited for, tells. One flow of tcp would hinder itself at the target; and of several probes of one flow that an
 * open port of udp answers at once, as in the first of the rounds, it can't be told which is answered.
 */
static void
find_flows(struct trace *trace)
{
    const struct trace_options *options = trace->options;
    bool several = options->flows > 1 || options->mda;
    bool small = options->probing.size >= 0 && options->probing.size < ROOM_FOR_FLOW;
    bool named_port = strcmp(options->probing.protocol, "udp") == 0 && options->probing.port > 0; /* it may be open */
    bool rounds_to_open_port = options->mtr && (options->probing.question.service || named_port);
    if (!client_can(trace->client, FEATURE_FLOW) || (!several && strcmp(options->probing.protocol, "tcp") == 0) ||
        strcmp(options->probing.protocol, "sctp") == 0 || (small && !several) || rounds_to_open_port) {
        begin_more(trace);
    } else if (is_icmp(trace)) {
        flows_told(trace, true);
    } else {
        struct probe probe = { .purpose = FOR_FLOWS };
        bool six = options->probing.family == 6 || !client_can(trace->client, FEATURE_IP_4);
        client_ask(trace->client, trace_tag_of(&probe), ONE_ANSWER, "send-probe %s protocol %s port 9 flow 0 timeout 0",
                   six ? "ip-6 ::1" : "ip-4 127.0.0.1", options->probing.protocol);
    }
}

static bool
can_do(struct trace *trace)
{
    const struct trace_options *options = trace->options;
    if (!client_needs_protocol(trace->client, options->probing.protocol))
        return false;
    if (options->mtu && !client_needs(trace->client, FEATURE_DONT_FRAGMENT))
        return false;
    if (options->probing.question.service && !client_needs(trace->client, FEATURE_REPLY_PAYLOAD))
        return false;
    if (options->ecn && !client_needs(trace->client, FEATURE_TCP_ECN))
        return false;
    return !(options->flows > 1 || options->mda) || client_needs(trace->client, FEATURE_FLOW);
}

static void
prepare(struct trace *trace)
{
    probing_arguments(&trace->options->probing, trace->arguments);
    size_t used = strlen(trace->arguments);
    if (client_can(trace->client, FEATURE_DETAIL))
        used += (size_t)snprintf(trace->arguments + used, sizeof trace->arguments - used, " detail 1");
    if (trace->options->ecn)
        used += (size_t)snprintf(trace->arguments + used, sizeof trace->arguments - used, " tcp-ecn accurate");
    if (trace->options->format == FORMAT_ATLAS && client_can(trace->client, FEATURE_COLLECT))
        snprintf(trace->arguments + used, sizeof trace->arguments - used, " collect 1");
    const char *lack = !client_can(trace->client, FEATURE_DETAIL) ? "no flows, so paths may be mixed, and no words behind a hop"
                       : !client_can(trace->client, FEATURE_FLOW) ? "no flows, so paths may be mixed"
                                                                   : NULL;
    if (lack)
        client_says_less(trace->client, trace->options->probing.protocol, lack);
    trace->recheck = (struct alarm){ .rings = show_all, .owner = trace };
    names_on_change(trace->names, show_all, trace);
}

/* ---- all of it */

/* At Ctrl-C, or when the daemon has ended: what is known is shown. */
static void
show_the_rest(struct trace *trace)
{
    trace->hurry = true;
    for (size_t i = 0; i < trace->begun; i++) {
        struct traced *host = &trace->hosts[i];
        if (host->stage == STAGE_SHOWN)
            continue;
        if (host->stage == STAGE_TRACING)
            finish(host);
        if (host->stage == STAGE_TRACED)
            show(host);
    }
}

static int
sum_up(struct trace *trace)
{
    bool all = true;
    show_the_rest(trace);
    if (trace->screen)
        rounds_close_screen(trace);
    if (trace->options->format == FORMAT_DOT)
        dot_draw(trace);
    for (size_t i = 0; i < trace->count; i++)
        all &= trace->hosts[i].reached;
    return trace->died ? 2 : !all;
}

static int
run(struct trace *trace)
{
    trace->client = client_start(trace->events, (struct client_user){ heard, died, trace });
    if (!trace->client)
        return events_signal(trace->events) ? 1 : 2;
    if (!can_do(trace))
        return 2;
    prepare(trace);
    if (trace->options->mtr && trace->options->format == FORMAT_TEXT)
        rounds_open_screen(trace);
    find_flows(trace);
    if (trace->turn < trace->count)
        events_run(trace->events);
    if (trace->refused) {
        screen_close(trace->screen);
        return 2;
    }
    return sum_up(trace);
}

static void
free_host(struct traced *host)
{
    path_free(&host->path);
    sizes_free(host->sizes);
    rounds_free(host->rounds);
    for (size_t i = 0; i < host->extra_count; i++)
        free(host->extras[i].reply);
    free(host->extras);
    free(host->request);
    free(host->said);
    free(host->stars);
    free(host->differs);
}

int
main(int argc, char **argv)
{
    struct trace_options options = { .probing = probing_default(4 * NS_PER_S), .first = 1, .last = 30, .flows = 1 };
    struct trace trace = { .options = &options };
    trace.count = trace_read_options(argc, argv, &options);
    trace.events = events_new();
    trace.hosts = calloc(trace.count, sizeof *trace.hosts);
    if (!trace.events || !trace.hosts)
        err(2, NULL);
    for (size_t i = 0; i < trace.count; i++) {
        trace.hosts[i].trace = &trace;
        trace.hosts[i].host = argv[1 + i];
    }
    trace.places = trace.count > 1 ? places_new() : NULL;
    trace.names = names_new(trace.events);
    int status = run(&trace);
    client_stop(trace.client);
    names_free(trace.names);
    for (size_t i = 0; i < trace.count; i++)
        free_host(&trace.hosts[i]);
    places_free(trace.places);
    free(trace.hosts);
    events_free(trace.events);
    return status;
}
