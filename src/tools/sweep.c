/* SPDX-License-Identifier: MIT */
/* probe-sweep: which of many addresses answer. All are probed at once, the silent ones again. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/clock.h"
#include "tools/client.h"
#include "tools/options.h"
#include "tools/sweep_list.h"
#include "tools/sweep_pace.h"
#include "tools/sweep_report.h"
#include "tools/text.h"

struct sweep_options {
    struct probing probing;
    int64_t retries, rate;
    bool quiet, ignore_lookup_errors, list;
};

struct sweep {
    const struct sweep_options *options;
    struct events *events;
    struct names *names;
    struct client *client;
    struct list *list;
    struct pace *pace;
    struct report *report;
    bool unresolved, died;
    struct instant start;
    char first[ARGUMENTS_MAX], again[ARGUMENTS_MAX];
};

/* ---- what happens */

static void
end(void *owner)
{
    events_end(((struct sweep *)owner)->events);
}

static void
end_if_all_answered(struct sweep *sweep)
{
    if (list_is_complete(sweep->list) && report_answered(sweep->report) == list_count(sweep->list))
        end(sweep);
}

static void
heard(void *owner, uint64_t tag, const struct reply *reply, bool last)
{
    struct sweep *sweep = owner;
    size_t number;
    unsigned try;
    (void)last;
    if (pace_take(sweep->pace, tag, reply, &number, &try)) {
        struct swept *swept = list_at(sweep->list, number);
        if (!swept->answered && reply->kind == KIND_REPLY) {
            report_answer(sweep->report, swept, reply, try);
            end_if_all_answered(sweep);
        } else if (!swept->answered && reply->kind != KIND_NO_REPLY) {
            report_error(sweep->report, swept, reply);
        }
    }
    pace_settle(sweep->pace);
}

static void
died(void *owner)
{
    struct sweep *sweep = owner;
    sweep->died = true;
    end(sweep);
}

static void
room(void *owner)
{
    pace_go_on(((struct sweep *)owner)->pace);
}

/* With --list there is nobody to probe them. */
static void
grew(void *owner)
{
    struct sweep *sweep = owner;
    if (sweep->pace)
        pace_go_on(sweep->pace);
    else if (list_is_complete(sweep->list))
        end(sweep);
    if (sweep->pace)
        end_if_all_answered(sweep);
}

static void
named(void *owner, const struct swept *swept, const char *name)
{
    report_named(((struct sweep *)owner)->report, swept, name);
}

/* What is no target at all is an error in any case. */
static void
lost(void *owner, const struct lost *lost)
{
    struct sweep *sweep = owner;
    if (lost->is_name && sweep->options->ignore_lookup_errors)
        return;
    sweep->unresolved = true;
    if (sweep->report)
        report_hide_bar(sweep->report);
    warnx("%s: %s", lost->word, lost->why);
}

/* ---- all of it */

/* Facts cost as much as the rest of an answer, so of the first try they are told where they are all that one wants. */
static void
prepare(struct sweep *sweep)
{
    const struct probing *probing = &sweep->options->probing;
    bool wants_flags = strcmp(probing->protocol, "tcp") == 0;
    const char *detail = client_can(sweep->client, FEATURE_DETAIL) ? " detail 1" : "";
    if (!*detail)
        client_says_less(sweep->client, wants_flags ? "not whether a port is open, no errors by their codes"
                                                    : "no errors by their codes");
    char arguments[ARGUMENTS_MAX];
    probing_arguments(probing, arguments);
    snprintf(sweep->first, sizeof sweep->first, "%.480s%s", arguments, wants_flags ? detail : "");
    snprintf(sweep->again, sizeof sweep->again, "%.480s%s", arguments, detail);
}

static void
read_targets(struct sweep *sweep, char **words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        list_add(sweep->list, words[i]);
    if (count)
        list_close(sweep->list);
    else
        list_read(sweep->list, STDIN_FILENO);
}

static void
print_address(void *owner, struct swept *swept)
{
    char address[64];
    puts(list_address(((struct sweep *)owner)->list, swept, address));
}

static int
list_only(struct sweep *sweep, char **words, size_t count)
{
    read_targets(sweep, words, count);
    events_run(sweep->events);
    list_visit(sweep->list, print_address, sweep);
    return sweep->unresolved;
}

static int
probe_all(struct sweep *sweep, char **words, size_t count)
{
    const struct sweep_options *options = sweep->options;
    struct pace_rules rules = { .rate = options->rate, .tries = options->retries + 1, .timeout = options->probing.timeout,
                                .first = sweep->first, .again = sweep->again };
    struct report_rules says = { .json = options->probing.json, .quiet = options->quiet,
                                 .lost_is_silent = options->ignore_lookup_errors };
    sweep->client = client_start(sweep->events, (struct client_user){ heard, died, sweep });
    if (!sweep->client)
        return events_signal(sweep->events) ? 1 : 2;
    if (!client_needs_protocol(sweep->client, options->probing.protocol))
        return 2;
    prepare(sweep);
    sweep->start = clock_now();
    sweep->pace = pace_new(sweep->events, sweep->client, sweep->list, &rules, end, sweep);
    sweep->report = report_new(sweep->events, sweep->list, &says);
    client_on_room(sweep->client, room);
    report_show_bar(sweep->report, sweep->pace);
    read_targets(sweep, words, count);
    events_run(sweep->events);
    size_t answered = report_answered(sweep->report);
    report_end(sweep->report, pace_state(sweep->pace, answered), instant_since(clock_now(), sweep->start));
    return sweep->died ? 2 : !answered || sweep->unresolved;
}

static const char *
hint(char letter)
{
    switch (letter) {
    case 'g': return "a block or a range is a target as it is: 192.0.2.0/24, 192.0.2.1-192.0.2.99";
    case 'f': return "a list of targets is read from standard input";
    case 'a': return "those that answer are listed in any case, -q leaves out the others";
    case 'i': return "the pace is probes a second, -R";
    case 'c': case 'C': return "probe-ping sends more than one probe to a host that answers";
    case 'T': return "the timeout is -W";
    case 'P': return "the protocol and its port are -p tcp:80";
    default: return NULL;
    }
}

static size_t
read_options(int argc, char **argv, struct sweep_options *options)
{
    struct command command = {
        "probe-sweep [OPTION]... [TARGET...]",
        "Probes every TARGET, a name, an address, a block (192.0.2.0/24) or a range (192.0.2.1-192.0.2.99), or those on\n"
        "standard input, all at once. Prints those that answer as they do, then those that stay silent.",
        {
            { 'r', "retries", "N", WHOLE, &options->retries,
              "so many more probes to a silent target, spread over the timeout (2)", 0, TRIES_MAX - 1 },
            { 'R', "rate", "N", WHOLE, &options->rate, "probes a second (20000)", 1, 1000000 },
            { 'q', "quiet", NULL, NO_VALUE, &options->quiet, "do not list the silent ones", 0, 0 },
            { 0, "ignore-lookup-errors", NULL, NO_VALUE, &options->ignore_lookup_errors,
              "a name without an address counts as silent", 0, 0 },
            { 0, "list", NULL, NO_VALUE, &options->list, "print the targets and send nothing", 0, 0 },
        },
        hint,
    };
    command_add_probing(&command, &options->probing);
    int count = command_read(&command, argc, argv);
    probing_check(&options->probing);
    if (options->list && options->probing.json)
        wrong("either --list or --json");
    return (size_t)count;
}

int
main(int argc, char **argv)
{
    struct sweep_options options = { .probing = probing_default(4 * NS_PER_S), .retries = 2, .rate = 20000 };
    struct sweep sweep = { .options = &options };
    size_t count = read_options(argc, argv, &options);
    sweep.events = events_new();
    if (!sweep.events)
        err(2, NULL);
    sweep.names = names_new(sweep.events);
    sweep.list = list_new(sweep.events, sweep.names, options.probing.family, (struct list_user){ grew, named, lost, &sweep });
    int status = options.list ? list_only(&sweep, argv + 1, count) : probe_all(&sweep, argv + 1, count);
    client_stop(sweep.client);
    pace_free(sweep.pace);
    report_free(sweep.report);
    names_free(sweep.names);
    list_free(sweep.list);
    events_free(sweep.events);
    return status;
}
