/* SPDX-License-Identifier: MIT */
/* What the rounds have shown, for people and for programs. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/text.h"
#include "tools/trace_mtr.h"
#include "tools/trace_show.h"

#define REDRAW (500 * NS_PER_MS)

/* ---- the table */

/* Where the ways end; of one whose end is not known, the last hop at which somebody is. */
static int
length_of(const struct rounds *rounds)
{
    int furthest = 0;
    for (int flow = 0; flow < rounds->flow_count; flow++) {
        const struct round_way *way = &rounds->ways[flow];
        int length = way->end ? way->end : way->front > way->blocked ? way->front : way->blocked;
        furthest = length > furthest ? length : furthest;
    }
    return furthest;
}

/* The first hop behind all who answered. */
static int
silent_from(const struct rounds *rounds)
{
    int length = length_of(rounds), first = rounds->tally.first;
    return length < first ? first : length + 1;
}

/*
 * The last hop that was asked in vain behind all who answered; 0 where the path ends at the target, or at who refuses,
 * or where answers are still waited for.
 */
static int
silent_to(const struct rounds *rounds)
{
    int length = length_of(rounds), asked = 0;
    for (int flow = 0; flow < rounds->flow_count; flow++) {
        const struct round_way *way = &rounds->ways[flow];
        if (way->end || (way->blocked && way->blocked == length))
            return 0;
        asked = way->sent_to > asked ? way->sent_to : asked;
    }
    if (asked <= length)
        return 0;
    const struct round_hop *silent = tally_hop(&rounds->tally, silent_from(rounds));
    return silent->sent > silent->open ? asked : 0;
}

static const char *
refusal_behind(const struct rounds *rounds)
{
    return tally_hop(&rounds->tally, silent_from(rounds))->refusal;
}

/* The last hop that has a row for programs: the first silent one is one, too. */
static int
rows_to(const struct rounds *rounds)
{
    return silent_to(rounds) ? silent_from(rounds) : length_of(rounds);
}

static const char *const balances[] = { "", "per packet", "per flow", "per packet or flow" };

/* Changes are no news where routers take turns from one probe to the next. */
static bool
is_in_turns(const struct tally *tally, int ttl)
{
    enum balance balance = tally_balance(tally, ttl);
    return balance == BALANCE_PACKETS || balance == BALANCE_EITHER;
}

/* Columns behind the host; where there is no room, the last ones are left out. */
static double last_of(const struct statistics *times) { return (double)times->last; }
static double mean_of(const struct statistics *times) { return times->mean; }
static double best_of(const struct statistics *times) { return (double)times->least; }
static double worst_of(const struct statistics *times) { return (double)times->most; }
static double p50_of(const struct statistics *times) { return (double)statistics_percentile(times, 50); }
static double p95_of(const struct statistics *times) { return (double)statistics_percentile(times, 95); }
static double p99_of(const struct statistics *times) { return (double)statistics_percentile(times, 99); }

static const struct {
    const char *head, *key;
    double (*of)(const struct statistics *times);
} columns[] = {
    { "last", "last_ms", last_of },
    { "avg", "avg_ms", mean_of },
    { "best", "best_ms", best_of },
    { "worst", "worst_ms", worst_of },
    { "stddev", "stddev_ms", statistics_deviation },
    { "jitter", "jitter_ms", statistics_jitter },
    { "p50", "p50_ms", p50_of },
    { "p95", "p95_ms", p95_of },
    { "p99", "p99_ms", p99_of },
};

#define COLUMNS ((int)(sizeof columns / sizeof *columns))
#define COLUMN_WIDTH 9
#define FIXED_WIDTH 23 /* hop, loss, sent, received, and what is between */
#define COLUMNS_LEAST 2 /* with these the longest address finds room in 80 columns */
#define HOST_LEAST 12
#define HOST_USUAL 40

/* How a table fits. */
struct layout {
    int host, columns;
};

static int
longest_title(struct traced *host)
{
    const struct tally *tally = &host->rounds->tally;
    char title[400];
    int longest = HOST_LEAST;
    for (int ttl = tally->first; ttl <= length_of(host->rounds); ttl++)
        for (int who = 0; who < tally_hop(tally, ttl)->responder_count; who++) {
            int length = (int)strlen(trace_title(host->trace, tally_hop(tally, ttl)->responders[who].address, title));
            longest = length > longest ? length : longest;
        }
    return longest;
}

/* On a terminal a title has the room that it needs, but for COLUMNS_LEAST columns. */
static struct layout
layout_of(struct traced *host)
{
    struct trace *trace = host->trace;
    struct layout layout = { HOST_USUAL, COLUMNS };
    if (!trace->screen || trace->options->wide)
        return layout;
    int room = screen_columns(trace->screen) - FIXED_WIDTH, most = room - COLUMNS_LEAST * COLUMN_WIDTH;
    layout.host = longest_title(host);
    layout.host = layout.host > most ? most : layout.host;
    layout.host = layout.host < HOST_LEAST ? HOST_LEAST : layout.host;
    layout.columns = (room - layout.host) / COLUMN_WIDTH;
    layout.columns = layout.columns < 1 ? 1 : layout.columns > COLUMNS ? COLUMNS : layout.columns;
    return layout;
}

/* What is cut shows that it is: the beginning of an address is another address. */
static void
cut(char *title, int width)
{
    if ((int)strlen(title) > width)
        memcpy(title + width - 3, "...", 4);
}

/* A line of the table: cut at the edge of a terminal, whole in a pipe. */
__attribute__((format(printf, 2, 3))) static void
put_line(struct trace *trace, const char *format, ...)
{
    char text[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    if (trace->screen)
        screen_line(trace->screen, "%s", text);
    else
        puts(text);
}

/* Of nothing it is no 0 %, which would be a hop that works. */
static bool
is_known(const struct round_hop *hop)
{
    return hop->sent > hop->open;
}

static void
write_loss(const struct round_hop *hop, const char *unknown, char *text, size_t size)
{
    if (is_known(hop))
        snprintf(text, size, "%.1f", tally_loss(hop));
    else
        snprintf(text, size, "%s", unknown);
}

/* That of an unreachable, or what this host says itself. */
static const char *
mark_of(const struct round_hop *hop, int who)
{
    if (who >= 0 && *hop->responders[who].mark)
        return hop->responders[who].mark;
    return who <= 0 ? hop->refusal : "";
}

static void
put_row(struct traced *host, const struct layout *layout, int ttl, int who)
{
    struct rounds *rounds = host->rounds;
    struct round_hop *hop = tally_hop(&rounds->tally, ttl);
    const struct responder *responder = who < 0 ? NULL : &hop->responders[who];
    char title[400] = "*", line[900], loss[12] = "", sent[24] = "";
    int used;
    if (responder)
        trace_title(host->trace, responder->address, title);
    if (host->trace->screen)
        cut(title, layout->host);
    if (who <= 0) {
        write_loss(hop, "-", loss, sizeof loss);
        snprintf(sent, sizeof sent, "%" PRId64, hop->sent - hop->open);
    }
    used = snprintf(line, sizeof line, "%3d %-*.*s %6s %5s %5" PRId64, ttl, layout->host,
                    host->trace->screen ? layout->host : 400, title, loss, sent, responder ? responder->received : 0);
    for (int i = 0; responder && i < layout->columns; i++)
        used += snprintf(line + used, sizeof line - (size_t)used, " %8.3f", columns[i].of(&responder->times) / 1000);
    const char *balance = balances[tally_balance(&rounds->tally, ttl)], *mark = mark_of(hop, who);
    bool limited = who <= 0 && tally_is_limited(&rounds->tally, ttl, rounds->round);
    put_line(host->trace, "%s%s%s%s%s%s", line, *mark ? " " : "", mark, limited ? " limited" : "",
             who <= 0 && *balance ? " balanced " : "", who <= 0 ? balance : "");
}

static void
put_changes(struct traced *host)
{
    const struct tally *tally = &host->rounds->tally;
    char before[400], now[400], clock[16];
    for (int i = 0; i < tally->change_count; i++) {
        const struct change *change = &tally->changes[i];
        const struct round_hop *hop = tally_hop(tally, change->ttl);
        time_t seconds = (time_t)(change->at / NS_PER_S);
        struct tm when;
        if (change->ttl > length_of(host->rounds) || is_in_turns(tally, change->ttl))
            continue;
        strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&seconds, &when));
        put_line(host->trace, "hop %d changed at %s, round %" PRId64 ": %s, before %s", change->ttl, clock,
                 change->round, trace_title(host->trace, hop->responders[change->now - 1].address, now),
                 trace_title(host->trace, hop->responders[change->before - 1].address, before));
    }
}

static void
put_table(struct traced *host)
{
    struct layout layout = layout_of(host);
    const struct tally *tally = &host->rounds->tally;
    char line[400];
    int used = snprintf(line, sizeof line, "%3s %-*s %6s %5s %5s", "hop", layout.host, "host", "loss%", "sent", "recv");
    for (int i = 0; i < layout.columns; i++)
        used += snprintf(line + used, sizeof line - (size_t)used, " %8s", columns[i].head);
    put_line(host->trace, "%s", line);
    for (int ttl = tally->first; ttl <= length_of(host->rounds); ttl++) {
        int count = tally_hop(tally, ttl)->responder_count;
        for (int who = count ? 0 : -1; who < count; who++)
            put_row(host, &layout, ttl, who);
    }
    if (silent_to(host->rounds))
        put_line(host->trace, "%3d * and so on to %d%s%s", silent_from(host->rounds), silent_to(host->rounds),
                 *refusal_behind(host->rounds) ? " " : "", refusal_behind(host->rounds));
    put_changes(host);
}

static void
put_head(struct traced *host)
{
    const struct trace_options *options = host->trace->options;
    char clean[300], hops[40];
    bool named = strcmp(host->host, host->address) != 0;
    text_printable(host->host, clean, sizeof clean);
    put_line(host->trace, "path to %s%s%s%s, %s at most, %s", clean, named ? " (" : "", named ? host->address : "",
             named ? ")" : "", text_count(options->last, "hop", hops, sizeof hops), options->probing.protocol);
}

/* ---- rows for programs */

static json_t *
begin_row(struct traced *host, int ttl)
{
    json_t *row = json_begin("hop", host->host, host->address);
    json_put_number(row, "hop", ttl);
    return row;
}

static void
print_row_json(struct traced *host, int ttl, int who)
{
    struct rounds *rounds = host->rounds;
    const struct round_hop *hop = tally_hop(&rounds->tally, ttl);
    const struct responder *responder = who < 0 ? NULL : &hop->responders[who];
    json_t *row = begin_row(host, ttl);
    if (responder) {
        json_put(row, "from", responder->address);
        json_put_names(row, host->trace, responder->address);
    }
    json_put(row, "mark", mark_of(hop, who));
    if (who <= 0)
        json_object_set_new(row, "loss_percent", is_known(hop) ? json_real((double)(int64_t)(10 * tally_loss(hop) + 0.5) / 10)
                                                               : json_null());
    json_put_number(row, "sent", hop->sent - hop->open);
    json_put_number(row, "received", responder ? responder->received : 0);
    for (int i = 0; responder && i < COLUMNS; i++)
        json_put_ms(row, columns[i].key, columns[i].of(&responder->times));
    json_put_true(row, "limited", who <= 0 && tally_is_limited(&rounds->tally, ttl, rounds->round));
    json_put(row, "balanced", who <= 0 ? balances[tally_balance(&rounds->tally, ttl)] : "");
    json_print(row);
}

static void
print_changes_json(struct traced *host)
{
    const struct tally *tally = &host->rounds->tally;
    for (int i = 0; i < tally->change_count; i++) {
        const struct change *change = &tally->changes[i];
        const struct round_hop *hop = tally_hop(tally, change->ttl);
        if (change->ttl > length_of(host->rounds) || is_in_turns(tally, change->ttl))
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
print_path_json(struct traced *host)
{
    json_t *row = json_begin("path", host->host, host->address);
    json_put_number(row, "hops", length_of(host->rounds));
    json_object_set_new(row, "reached", json_boolean(host->reached));
    json_print(row);
}

static void
print_row_csv(struct traced *host, int ttl, int who)
{
    struct rounds *rounds = host->rounds;
    const struct round_hop *hop = tally_hop(&rounds->tally, ttl);
    const struct responder *responder = who < 0 ? NULL : &hop->responders[who];
    char text[40] = "";
    const char *name = "", *system = "";
    if (!host->trace->headed) {
        fputs("host,address,hop,from,name,as,loss_percent,sent,received", stdout);
        for (int i = 0; i < COLUMNS; i++)
            csv_put(columns[i].key, false);
        puts(",mark,limited,balanced");
    }
    host->trace->headed = true;
    if (responder)
        trace_facts(host->trace, responder->address, &name, &system);
    if (who <= 0)
        write_loss(hop, "", text, sizeof text);
    csv_put(host->host, true);
    csv_put(host->address, false);
    csv_put_number(ttl, false);
    csv_put(responder ? responder->address : "", false);
    csv_put(name, false);
    csv_put(system, false);
    csv_put(text, false);
    csv_put_number(hop->sent - hop->open, false);
    csv_put_number(responder ? responder->received : 0, false);
    for (int i = 0; i < COLUMNS; i++) {
        snprintf(text, sizeof text, "%.3f", responder ? columns[i].of(&responder->times) / 1000 : 0);
        csv_put(responder ? text : "", false);
    }
    csv_put(mark_of(hop, who), false);
    csv_put(who <= 0 && tally_is_limited(&rounds->tally, ttl, rounds->round) ? "limited" : "", false);
    csv_put(who <= 0 ? balances[tally_balance(&rounds->tally, ttl)] : "", false);
    putchar('\n');
}

static void
print_rows(struct traced *host, void (*print)(struct traced *host, int ttl, int who))
{
    const struct tally *tally = &host->rounds->tally;
    for (int ttl = tally->first; ttl <= rows_to(host->rounds); ttl++) {
        int count = tally_hop(tally, ttl)->responder_count;
        for (int who = count ? 0 : -1; who < count; who++)
            print(host, ttl, who);
    }
}

/* ---- when it is shown */

static bool
names_are_known(struct traced *host)
{
    const struct tally *tally = &host->rounds->tally;
    const char *name, *system;
    bool known = true;
    for (int ttl = tally->first; ttl <= length_of(host->rounds); ttl++)
        for (int who = 0; who < tally_hop(tally, ttl)->responder_count; who++)
            known &= trace_facts(host->trace, tally_hop(tally, ttl)->responders[who].address, &name, &system);
    return known;
}

static void
redraw(void *owner)
{
    struct trace *trace = owner;
    screen_begin(trace->screen);
    for (size_t i = 0; i < trace->begun; i++)
        if (trace->hosts[i].rounds) {
            put_head(&trace->hosts[i]);
            put_table(&trace->hosts[i]);
        }
    screen_end(trace->screen);
    events_set(trace->events, &trace->redraw, instant_after(events_now(trace->events), REDRAW));
}

static void
leave_tables(void *owner)
{
    struct trace *trace = owner;
    if (trace->screen)
        screen_leave(trace->screen);
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
    events_on_continue(trace->events, leave_tables, trace);
    trace->redraw = (struct alarm){ .rings = redraw, .owner = trace };
    events_set(trace->events, &trace->redraw, instant_after(events_now(trace->events), REDRAW));
}

void
rounds_close_screen(struct trace *trace)
{
    redraw(trace);
    screen_close(trace->screen);
    trace->screen = NULL;
}

bool
rounds_show(struct traced *host)
{
    struct trace *trace = host->trace;
    if (trace->screen) { /* drawn as a whole, the last time at the end */
        if (host->stage == STAGE_TRACED && names_are_known(host))
            redraw(trace);
        return host->stage == STAGE_TRACED && names_are_known(host);
    }
    if (trace->options->format == FORMAT_TEXT && !host->headed) {
        if (trace->headed)
            putchar('\n');
        put_head(host);
        host->headed = trace->headed = true;
    }
    if (host->stage != STAGE_TRACED || !names_are_known(host))
        return false;
    if (trace->options->format == FORMAT_TEXT) {
        put_table(host);
    } else if (trace->options->format == FORMAT_CSV) {
        print_rows(host, print_row_csv);
    } else {
        print_rows(host, print_row_json);
        print_changes_json(host);
        print_path_json(host);
    }
    return true;
}
