/* SPDX-License-Identifier: MIT */
/* Rows for programs: objects of probe-json(5), and comma separated values. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/trace_show.h"

#define NUMBER_MAX 24

/* What there is to say of a question without an answer. NUMBER is part of it. */
static struct reply
silence_of(const struct cell *cell, char number[NUMBER_MAX])
{
    struct reply silence = { .kind = KIND_NO_REPLY, .word = "no-reply", .round_trip_us = -1 };
    snprintf(number, NUMBER_MAX, "%u", cell->refusal);
    silence.value[FIELD_ERRNO] = cell->refusal ? number : NULL;
    return silence;
}

/* ---- JSON */

void
json_put_names(json_t *object, struct trace *trace, const char *from)
{
    const char *name, *system;
    if (!from)
        return;
    trace_facts(trace, from, &name, &system);
    json_put(object, "name", name);
    if (*system)
        json_put_number(object, "asn", strtoll(system, NULL, 10));
    if (strchr(system, ' '))
        json_put(object, "country", strchr(system, ' ') + 1);
}

static void
put_answer(json_t *object, struct traced *host, int ttl, int flow, const struct cell *cell)
{
    char mark[300], words[WORDS_MAX];
    char number[NUMBER_MAX];
    const struct reply silence = silence_of(cell, number), *answer = cell->answer;
    json_put_reply(object, answer ? answer : &silence);
    if (!answer)
        return;
    json_put_service(object, &host->trace->options->probing.question, answer);
    json_put_names(object, host->trace, answer->from);
    json_put(object, "mark", reply_mark(answer, mark, sizeof mark));
    json_put_number(object, "back", words_back(answer, ttl));
    if (answer == path_answer(&host->path, ttl, flow))
        json_put(object, "notes", words_of(show_said(host, flow), answer, ttl, host->address, words));
}

static void
print_row(struct traced *host, int ttl, int flow, int query)
{
    const struct cell *cell = path_cell(&host->path, ttl, flow, query);
    const struct hop *hop = path_hop(&host->path, ttl);
    json_t *row = json_begin("hop", host->host, host->address);
    json_put_number(row, "hop", ttl);
    json_put_number(row, "flow", host->trace->use_flow ? flow : -1);
    json_put_number(row, "query", host->path.queries > 1 ? query + 1 : -1);
    put_answer(row, host, ttl, flow, cell);
    json_put_number(row, "mtu", hop->mtu ? hop->mtu : -1);
    json_put_true(row, "vanish", hop->mtu && hop->vanish);
    json_put_true(row, "limited", path_hop_is_limited(&host->path, ttl));
    json_print(row);
}

static void
print_path(struct traced *host)
{
    json_t *row = json_begin("path", host->host, host->address);
    json_put(row, "error", host->why);
    if (*host->address) {
        json_put_number(row, "hops", show_end(host));
        json_put_number(row, "flows", host->path.chosen ? host->path.flow_count : -1);
        json_put_true(row, "short_of_flows", host->path.short_of_flows);
    }
    json_object_set_new(row, "reached", json_boolean(host->reached));
    json_print(row);
}

/* Calls PRINT for each question at a hop. Of one that is open nothing is known: silence would be a claim. */
static void
each_row(struct traced *host, int ttl, void (*print)(struct traced *host, int ttl, int flow, int query))
{
    const struct path *path = &host->path;
    if (show_flow_instead(host, ttl) == SCOUT)
        print(host, ttl, SCOUT, 0);
    for (int flow = 0; flow < path->flow_count; flow++) {
        if (path->flows[flow].end && ttl > path->flows[flow].end)
            continue;
        for (int query = 0; query < path->queries; query++)
            if (path_cell(path, ttl, flow, query)->state != CELL_IDLE &&
                path_cell(path, ttl, flow, query)->state != CELL_SPARED &&
                !show_is_open(host, path_cell(path, ttl, flow, query)))
                print(host, ttl, flow, query);
    }
}

/* True when all hops are. */
static bool
show_rows(struct traced *host, void (*print)(struct traced *host, int ttl, int flow, int query))
{
    for (int ttl = host->shown + 1; *host->address && ttl <= show_end(host); ttl++) {
        if (!show_hop_is_known(host, ttl) || !show_names_are_known(host, ttl))
            return false;
        host->shown = ttl;
        each_row(host, ttl, print);
    }
    return host->stage == STAGE_TRACED;
}

bool
json_show(struct traced *host)
{
    if (!show_rows(host, print_row))
        return false;
    print_path(host);
    return true;
}

/* ---- comma separated values, RFC 4180 */

void
csv_put(const char *value, bool first)
{
    if (!first)
        putchar(',');
    if (!value)
        return;
    if (!value[strcspn(value, ",\"\r\n")]) {
        fputs(value, stdout);
        return;
    }
    putchar('"');
    for (; *value; value++)
        printf(*value == '"' ? "\"\"" : "%c", *value);
    putchar('"');
}

void
csv_put_number(int64_t value, bool first)
{
    if (!first)
        putchar(',');
    if (value >= 0)
        printf("%" PRId64, value);
}

static void
print_csv_head(struct trace *trace)
{
    if (!trace->headed)
        puts("host,address,hop,flow,query,kind,from,name,as,ms,mark,error,ttl,quoted_tos,nat,mpls,mtu,notes,limited");
    trace->headed = true;
}

static void
print_csv(struct traced *host, int ttl, int flow, int query)
{
    char words[WORDS_MAX] = "", text[300], ms[32] = "", number[NUMBER_MAX];
    const struct cell *cell = path_cell(&host->path, ttl, flow, query);
    const struct reply silence = silence_of(cell, number), *answer = cell->answer ? cell->answer : &silence;
    const char *name = "", *system = "";
    print_csv_head(host->trace);
    if (answer->from)
        trace_facts(host->trace, answer->from, &name, &system);
    if (cell->answer && cell->answer == path_answer(&host->path, ttl, flow))
        words_of(show_said(host, flow), answer, ttl, host->address, words);
    if (answer->round_trip_us >= 0)
        snprintf(ms, sizeof ms, "%.3f", (double)answer->round_trip_us / 1000);
    csv_put(host->host, true);
    csv_put(host->address, false);
    csv_put_number(ttl, false);
    csv_put_number(host->trace->use_flow ? flow : -1, false);
    csv_put_number(query + 1, false);
    csv_put(answer->word, false);
    csv_put(answer->from, false);
    csv_put(name, false);
    csv_put(system, false);
    csv_put(ms, false);
    csv_put(reply_mark(answer, text, sizeof text), false);
    csv_put(reply_error(answer, text, sizeof text), false);
    csv_put_number(reply_number(answer, FIELD_REPLY_TTL), false);
    csv_put_number(reply_number(answer, FIELD_QUOTED_TOS), false);
    csv_put(answer->value[FIELD_NAT], false);
    csv_put(answer->value[FIELD_MPLS], false);
    csv_put_number(path_hop(&host->path, ttl)->mtu ? path_hop(&host->path, ttl)->mtu : -1, false);
    csv_put(words, false);
    csv_put(path_hop_is_limited(&host->path, ttl) ? "limited" : "", false);
    putchar('\n');
}

/* A name that was not found is a row too. */
bool
csv_show(struct traced *host)
{
    if (!show_rows(host, print_csv))
        return false;
    if (!*host->address) {
        print_csv_head(host->trace);
        csv_put(host->host, true);
        for (int column = 0; column < 10; column++)
            csv_put("", false);
        csv_put(host->why, false);
        for (int column = 0; column < 7; column++)
            csv_put("", false);
        putchar('\n');
    }
    return true;
}
