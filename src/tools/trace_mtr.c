/* SPDX-License-Identifier: MIT */
/*
 * Rounds. One asks every hop up to the target, and as long as that is not known a few beyond the last router that
 * answered, so that no host gets more than it may answer. Where the path ends is told anew by each round: an unreachable
 * may pass, and a path may grow, so neither ends the next one.
 */
#include "tools/trace_mtr.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/clock.h"
#include "tools/trace_rounds.h"
#include "tools/trace_show.h"

#define AHEAD 4 /* hops beyond the last router that answered */
#define REDRAW (500 * NS_PER_MS)
#define LINE_OF_TIMES " %8.3f %8.3f %8.3f %8.3f %8.3f"

struct rounds {
    struct tally tally;
    int64_t round;       /* from 1 */
    struct instant next; /* when the next one begins */
    int asked;           /* the last hop that was asked in this round */
    int front;           /* the furthest router that answered */
    int end;             /* the target's hop; 0: not known */
    int64_t end_round;   /* which told it */
    int64_t open;
    bool reached;
};

struct rounds *
rounds_new(struct traced *host)
{
    struct rounds *rounds = calloc(1, sizeof *rounds);
    if (!rounds)
        err(2, NULL);
    rounds->front = (int)host->trace->options->first - 1;
    rounds->next = events_now(host->trace->events);
    tally_begin(&rounds->tally, (int)host->trace->options->first, (int)host->trace->options->last);
    return rounds;
}

void
rounds_free(struct rounds *rounds)
{
    if (rounds)
        tally_free(&rounds->tally);
    free(rounds);
}

bool
rounds_reached(const struct traced *host)
{
    return host->rounds->reached;
}

/* ---- asking and hearing */

/* Of one flow of tcp, or of udp to a port that may be open, one probe at a time may be at the target: these have none. */
static bool
has_flows(const struct traced *host)
{
    return host->trace->use_flow && !host->path.serial;
}

static int
furthest(const struct rounds *rounds)
{
    int ahead = rounds->front + AHEAD;
    if (rounds->end)
        return rounds->end;
    return ahead < rounds->tally.last ? ahead : rounds->tally.last;
}

static void
ask_more(struct traced *host)
{
    struct rounds *rounds = host->rounds;
    int flow = has_flows(host) ? (int)(rounds->round % ROUND_FLOWS) : SCOUT;
    while (rounds->round && rounds->asked < furthest(rounds)) {
        struct probe probe = { FOR_ROUND, trace_number(host), ++rounds->asked, flow, (int)rounds->round };
        rounds->open++;
        tally_sent(&rounds->tally, probe.ttl, rounds->round);
        trace_ask(host, &probe, "");
    }
}

/* The instants do not drift. What could not be kept (we stood still) is not made up for. */
static void
begin_round(struct traced *host)
{
    struct rounds *rounds = host->rounds;
    int64_t interval = host->trace->options->interval;
    struct instant now = events_now(host->trace->events);
    rounds->round++;
    rounds->asked = rounds->tally.first - 1;
    rounds->next = instant_after(rounds->next, interval);
    if (rounds->next.ns < now.ns)
        rounds->next = instant_after(now, interval);
}

void
rounds_step(struct traced *host)
{
    struct rounds *rounds = host->rounds;
    bool more = rounds->round < host->trace->options->rounds;
    if (more && rounds->next.ns <= events_now(host->trace->events).ns)
        begin_round(host);
    ask_more(host);
    more = rounds->round < host->trace->options->rounds;
    if (more)
        trace_step_at(host, rounds->next.ns);
    else if (!rounds->open)
        trace_done(host);
}

/* Where the path ends, by what a round has met at TTL. */
static void
follow_path(struct rounds *rounds, int ttl, int64_t round, enum kind kind)
{
    if (kind == KIND_REPLY) {
        rounds->reached = true;
        if (!rounds->end || ttl < rounds->end)
            rounds->end = ttl;
        if (round > rounds->end_round)
            rounds->end_round = round;
    } else if (kind == KIND_TTL_EXPIRED) {
        rounds->front = ttl > rounds->front ? ttl : rounds->front;
        if (rounds->end && ttl >= rounds->end && round >= rounds->end_round)
            rounds->end = 0; /* a router is where the target was: the path has grown */
    }
}

void
rounds_heard(struct traced *host, const struct probe *probe, const struct reply *reply)
{
    struct rounds *rounds = host->rounds;
    char mark[300];
    const char *name, *system;
    bool good = reply->kind == KIND_REPLY || reply->kind == KIND_TTL_EXPIRED;
    rounds->open--;
    tally_hop(&rounds->tally, probe->ttl)->open--;
    if (!reply->from)
        return;
    trace_facts(host->trace, reply->from, &name, &system);
    follow_path(rounds, probe->ttl, probe->number, reply->kind);
    tally_heard(&rounds->tally, probe->ttl, probe->number, probe->flow < 0 ? 0 : probe->flow, reply->from,
                good ? "" : reply_mark(reply, mark, sizeof mark), reply->round_trip_us, clock_read().wall.ns);
}

/* ---- what is shown */

/* Where the target is; or the last hop that answered; of hops that only unreachables answer the first is the last. */
static int
last_shown(const struct rounds *rounds)
{
    const struct tally *tally = &rounds->tally;
    int last = rounds->end ? rounds->end : tally_length(tally), ttl = tally->first;
    for (; ttl < last; ttl++) {
        bool beyond = false;
        for (int behind = ttl + 1; behind <= last; behind++)
            beyond |= tally_hop(tally, behind)->got > 0;
        if (!beyond && !tally_hop(tally, ttl)->got && tally_hop(tally, ttl)->refused)
            return ttl;
    }
    return last;
}

static bool
names_are_known(struct traced *host)
{
    const char *name, *system;
    bool known = true;
    for (int ttl = host->rounds->tally.first; ttl <= last_shown(host->rounds); ttl++) {
        const struct round_hop *hop = tally_hop(&host->rounds->tally, ttl);
        for (int i = 0; i < hop->responder_count; i++)
            known &= trace_facts(host->trace, hop->responders[i].address, &name, &system);
    }
    return known;
}

/* The responders of a hop by what they answered, most first: the place of the N-th. */
static int
ranked(const struct round_hop *hop, int n)
{
    for (int i = 0; i < hop->responder_count; i++) {
        int before = 0;
        for (int j = 0; j < hop->responder_count; j++)
            before += hop->responders[j].received > hop->responders[i].received ||
                      (hop->responders[j].received == hop->responders[i].received && j < i);
        if (before == n)
            return i;
    }
    return 0;
}

static const char *
balance_of(const struct traced *host, int ttl)
{
    static const char *const words[] = { [BALANCE_NONE] = "", [BALANCE_PACKETS] = "packet", [BALANCE_FLOWS] = "flow" };
    return has_flows(host) ? words[tally_balance(&host->rounds->tally, ttl)] : "";
}

static bool
is_limited(const struct traced *host, int ttl)
{
    return tally_is_limited(&host->rounds->tally, ttl, host->rounds->round);
}

/* ---- lines */

static void
print_row(struct traced *host, int ttl, const struct responder *who, bool first)
{
    const struct round_hop *hop = tally_hop(&host->rounds->tally, ttl);
    char title[400], loss[16] = "";
    if (first)
        snprintf(loss, sizeof loss, "%.1f", tally_loss(hop));
    printf("%3d %-40s %6s %5" PRId64, ttl, who ? trace_title(host->trace, who->address, title) : "*", loss, hop->sent);
    if (who) {
        const struct statistics *times = &who->times;
        printf(" %5" PRId64 LINE_OF_TIMES " %8.3f %8.3f %8.3f %8.3f%s%s", who->received, (double)times->last / 1000, times->mean / 1000,
               (double)times->least / 1000, (double)times->most / 1000, statistics_deviation(times) / 1000,
               statistics_jitter(times) / 1000, (double)statistics_percentile(times, 50) / 1000,
               (double)statistics_percentile(times, 95) / 1000, (double)statistics_percentile(times, 99) / 1000,
               *who->mark ? " " : "", who->mark);
    }
    if (first && is_limited(host, ttl))
        fputs(" limited", stdout);
    if (first && *balance_of(host, ttl))
        printf(" balanced by %s", balance_of(host, ttl));
    putchar('\n');
}

static void
print_changes(struct traced *host)
{
    const struct tally *tally = &host->rounds->tally;
    for (int i = 0; i < tally->change_count; i++) {
        const struct change *change = &tally->changes[i];
        const struct round_hop *hop = tally_hop(tally, change->ttl);
        char before[400], now[400], when[40];
        time_t seconds = (time_t)(change->at / NS_PER_S);
        struct tm local;
        if (change->ttl > last_shown(host->rounds) || strcmp(balance_of(host, change->ttl), "packet") == 0)
            continue;
        strftime(when, sizeof when, "%H:%M:%S", localtime_r(&seconds, &local));
        printf("hop %d changed in round %" PRId64 " at %s: %s, then %s\n", change->ttl, change->round, when,
               trace_title(host->trace, hop->responders[change->before - 1].address, before),
               trace_title(host->trace, hop->responders[change->now - 1].address, now));
    }
}

static void
print_report(struct traced *host)
{
    printf("%3s %-40s %6s %5s %5s %8s %8s %8s %8s %8s %8s %8s %8s %8s\n", "hop", "host", "loss%", "sent", "got", "last",
           "avg", "best", "worst", "stddev", "jitter", "p50", "p95", "p99");
    for (int ttl = host->rounds->tally.first; ttl <= last_shown(host->rounds); ttl++) {
        const struct round_hop *hop = tally_hop(&host->rounds->tally, ttl);
        if (!hop->responder_count)
            print_row(host, ttl, NULL, true);
        for (int i = 0; i < hop->responder_count; i++)
            print_row(host, ttl, &hop->responders[ranked(hop, i)], i == 0);
    }
    print_changes(host);
}

/* ---- rows for programs */

static void
print_json_row(struct traced *host, int ttl, const struct responder *who, bool first)
{
    const struct round_hop *hop = tally_hop(&host->rounds->tally, ttl);
    json_t *row = json_begin("hop", host->host, host->address);
    json_put_number(row, "hop", ttl);
    if (who) {
        json_put(row, "from", who->address);
        json_put_names(row, host->trace, who->address);
        json_put(row, "mark", who->mark);
    }
    if (first)
        json_object_set_new(row, "loss_percent", json_real((double)(int64_t)(tally_loss(hop) * 10 + 0.5) / 10));
    json_put_number(row, "sent", hop->sent);
    if (who) {
        const struct statistics *times = &who->times;
        json_put_number(row, "received", who->received);
        json_put_ms(row, "last_ms", (double)times->last);
        json_put_ms(row, "avg_ms", times->mean);
        json_put_ms(row, "best_ms", (double)times->least);
        json_put_ms(row, "worst_ms", (double)times->most);
        json_put_ms(row, "stddev_ms", statistics_deviation(times));
        json_put_ms(row, "jitter_ms", statistics_jitter(times));
        json_put_ms(row, "p50_ms", (double)statistics_percentile(times, 50));
        json_put_ms(row, "p95_ms", (double)statistics_percentile(times, 95));
        json_put_ms(row, "p99_ms", (double)statistics_percentile(times, 99));
    }
    json_put_true(row, "limited", first && is_limited(host, ttl));
    json_put(row, "balanced", first ? balance_of(host, ttl) : "");
    json_print(row);
}

static void
print_json_changes(struct traced *host)
{
    const struct tally *tally = &host->rounds->tally;
    for (int i = 0; i < tally->change_count; i++) {
        const struct change *change = &tally->changes[i];
        const struct round_hop *hop = tally_hop(tally, change->ttl);
        if (change->ttl > last_shown(host->rounds) || strcmp(balance_of(host, change->ttl), "packet") == 0)
            continue;
        json_t *row = json_begin("change", host->host, host->address);
        json_put_number(row, "hop", change->ttl);
        json_put_number(row, "round", change->round);
        json_object_set_new(row, "at", json_real((double)(change->at / NS_PER_MS) / 1000));
        json_put(row, "before", hop->responders[change->before - 1].address);
        json_put(row, "from", hop->responders[change->now - 1].address);
        json_print(row);
    }
}

static void
print_csv_row(struct traced *host, int ttl, const struct responder *who, bool first)
{
    static const struct statistics none = { .count = 0 };
    const struct round_hop *hop = tally_hop(&host->rounds->tally, ttl);
    const struct statistics *times = who ? &who->times : &none;
    const char *name = "", *system = "";
    if (!host->trace->headed)
        puts("host,address,hop,from,name,as,mark,loss,sent,received,last,avg,best,worst,stddev,jitter,p50,p95,p99,limited,"
             "balanced");
    host->trace->headed = true;
    if (who)
        trace_facts(host->trace, who->address, &name, &system);
    csv_put(host->host, true);
    csv_put(host->address, false);
    csv_put_number(ttl, false);
    csv_put(who ? who->address : "", false);
    csv_put(name, false);
    csv_put(system, false);
    csv_put(who ? who->mark : "", false);
    printf(first ? ",%.1f" : ",", tally_loss(hop));
    csv_put_number(hop->sent, false);
    csv_put_number(times->count, false);
    const double ms[] = { (double)times->last, times->mean, (double)times->least, (double)times->most,
                          statistics_deviation(times), statistics_jitter(times), (double)statistics_percentile(times, 50),
                          (double)statistics_percentile(times, 95), (double)statistics_percentile(times, 99) };
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++)
        printf(times->count ? ",%.3f" : ",", ms[i] / 1000);
    csv_put(first && is_limited(host, ttl) ? "limited" : "", false);
    csv_put(first ? balance_of(host, ttl) : "", false);
    putchar('\n');
}

static void
print_rows(struct traced *host, void (*print)(struct traced *host, int ttl, const struct responder *who, bool first))
{
    for (int ttl = host->rounds->tally.first; ttl <= last_shown(host->rounds); ttl++) {
        const struct round_hop *hop = tally_hop(&host->rounds->tally, ttl);
        if (!hop->responder_count)
            print(host, ttl, NULL, true);
        for (int i = 0; i < hop->responder_count; i++)
            print(host, ttl, &hop->responders[ranked(hop, i)], i == 0);
    }
}

/* ---- the table that is drawn anew */

static void
draw_host(struct trace *trace, struct traced *host)
{
    char title[400];
    int name = screen_columns(trace->screen) - 57;
    if (name < 10)
        name = 10;
    screen_line(trace->screen, "path to %s, round %" PRId64 " of %" PRId64, host->host, host->rounds->round,
                trace->options->rounds);
    screen_line(trace->screen, "%3s %-*s %6s %5s %7s %7s %7s %7s %7s", "hop", name, "host", "loss%", "sent", "last", "avg",
                "best", "worst", "stddev");
    for (int ttl = host->rounds->tally.first; ttl <= last_shown(host->rounds); ttl++) {
        const struct round_hop *hop = tally_hop(&host->rounds->tally, ttl);
        const struct responder *who = hop->responder_count ? &hop->responders[ranked(hop, 0)] : NULL;
        if (!who) {
            screen_line(trace->screen, "%3d %-*s %6.1f %5" PRId64, ttl, name, "*", tally_loss(hop), hop->sent);
            continue;
        }
        screen_line(trace->screen, "%3d %-*.*s %6.1f %5" PRId64 " %7.2f %7.2f %7.2f %7.2f %7.2f", ttl, name, name,
                    trace_title(trace, who->address, title), tally_loss(hop), hop->sent, (double)who->times.last / 1000,
                    who->times.mean / 1000, (double)who->times.least / 1000, (double)who->times.most / 1000,
                    statistics_deviation(&who->times) / 1000);
    }
}

static void
draw(void *owner)
{
    struct trace *trace = owner;
    screen_begin(trace->screen);
    for (size_t i = 0; i < trace->begun; i++)
        if (trace->hosts[i].rounds)
            draw_host(trace, &trace->hosts[i]);
    screen_end(trace->screen);
    events_set(trace->events, &trace->redraw, instant_after(events_now(trace->events), REDRAW));
}

void
rounds_open_screen(struct trace *trace)
{
    struct screen *screen = screen_open();
    if (!screen_is_terminal(screen)) {
        screen_close(screen);
        return;
    }
    trace->screen = screen;
    trace->redraw = (struct alarm){ .rings = draw, .owner = trace };
    events_set(trace->events, &trace->redraw, events_now(trace->events));
}

/* The report takes the place of the table. */
static void
wipe_screen(struct trace *trace)
{
    events_unset(trace->events, &trace->redraw);
    screen_begin(trace->screen);
    screen_end(trace->screen);
    screen_close(trace->screen);
    trace->screen = NULL;
}

bool
rounds_show(struct traced *host)
{
    struct trace *trace = host->trace;
    if (trace->screen && trace->under_way && !trace->hurry)
        return false;
    if (trace->screen)
        wipe_screen(trace);
    if (trace->options->format == FORMAT_TEXT && !host->headed)
        text_head(host);
    if (host->stage != STAGE_TRACED || !names_are_known(host))
        return false;
    switch (trace->options->format) {
    case FORMAT_JSON:
        print_rows(host, print_json_row);
        print_json_changes(host);
        break;
    case FORMAT_CSV:
        print_rows(host, print_csv_row);
        break;
    default:
        print_report(host);
    }
    return true;
}
