/* SPDX-License-Identifier: MIT */
/* probe-sweep: which of many addresses answer. All are probed at once, the silent ones again. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/clock.h"
#include "tools/client.h"
#include "tools/sweep_exclude.h"
#include "tools/sweep_large.h"
#include "tools/sweep_list.h"
#include "tools/sweep_options.h"
#include "tools/sweep_pace.h"
#include "tools/sweep_report.h"
#include "tools/sweep_words.h"
#include "tools/target.h"
#include "tools/text.h"

struct sweep {
    const struct sweep_options *options;
    struct events *events;
    struct names *names;
    struct client *client;
    struct list *list;
    struct pace *pace;
    struct report *report;
    struct report_rules says;
    struct pace_rules rules;
    struct large *large; /* in place of pace and report: the daemon sweeps */
    struct ranges targets[FAMILIES], exclude[FAMILIES]; /* those that are addresses and no names */
    bool all_ranges; /* all targets are in `targets` */
    uint64_t named;  /* so many were, before what is excluded was taken out */
    bool unresolved, died, had_time; /* each target had its time */
    struct instant start;
    char first[ARGUMENTS_MAX + SERVICE_ARGUMENTS_MAX], again[ARGUMENTS_MAX + SERVICE_ARGUMENTS_MAX];
};

/* ---- what happens */

static void
end(void *owner)
{
    events_end(((struct sweep *)owner)->events);
}

static void
end_in_time(void *owner)
{
    ((struct sweep *)owner)->had_time = true;
    end(owner);
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
    if (sweep->large) {
        large_heard(sweep->large, tag, reply, last);
        return;
    }
    bool enough = sweep->options->limit && report_answered(sweep->report) >= (size_t)sweep->options->limit;
    if (pace_take(sweep->pace, tag, reply, &number, &try) && !enough) {
        struct swept *swept = list_at(sweep->list, number);
        if (!reply->from && !reply_is_silence(reply))
            pace_never_sent(sweep->pace);
        if (!swept->answered && service_is_met(&sweep->options->probing.question, reply)) {
            report_answer(sweep->report, swept, reply, try);
            end_if_all_answered(sweep);
            if (report_answered(sweep->report) == (size_t)sweep->options->limit)
                end(sweep);
        } else if (!swept->answered && !reply_is_silence(reply)) {
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
    if (sweep->report)
        report_hide_bar(sweep->report);
    if (sweep->large)
        large_died(sweep->large);
    end(sweep);
}

static void
room(void *owner)
{
    pace_go_on(((struct sweep *)owner)->pace);
}

/* With --list there is nobody to probe them. Of a list that is read, a large block is known no earlier. */
static void
grew(void *owner)
{
    struct sweep *sweep = owner;
    if (sweep->pace && !sweep->options->rate && sweep->rules.rate != LARGE_RATE) {
        sweep->rules.rate = large_rate(0, list_largest(sweep->list));
        large_say_rate(sweep->options, list_largest(sweep->list), list_largest(sweep->list));
    }
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

/* ---- by single requests */

static uint64_t
count_ranges(const struct sweep *sweep)
{
    return ranges_count(&sweep->targets[IPV4]) + ranges_count(&sweep->targets[IPV6]);
}

/* Facts cost as much as the rest of an answer, so they are told where one wants them: errors are listed, but for -q. */
static void
prepare(struct sweep *sweep)
{
    const struct probing *probing = &sweep->options->probing;
    bool wants_flags = strcmp(probing->protocol, "tcp") == 0, wants_codes = probing->question.service != NULL;
    bool wants_facts = wants_flags || wants_codes || probing->json || !sweep->options->quiet;
    const char *detail = client_can(sweep->client, FEATURE_DETAIL) ? " detail 1" : "";
    if (!*detail)
        client_says_less(sweep->client, probing->protocol, wants_flags ? "not whether a port is open, no errors by their codes"
                                                    : "no errors by their codes");
    char arguments[ARGUMENTS_MAX], asked[SERVICE_ARGUMENTS_MAX];
    probing_arguments(probing, arguments);
    service_arguments(&probing->question, asked);
    snprintf(sweep->first, sizeof sweep->first, "%.480s%s%s", arguments, asked, wants_facts ? detail : "");
    snprintf(sweep->again, sizeof sweep->again, "%.480s%s%s", arguments, asked, detail);
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
    list_exclude(sweep->list, sweep->exclude);
    read_targets(sweep, words, count);
    events_run(sweep->events);
    list_visit(sweep->list, print_address, sweep);
    return sweep->unresolved;
}

static struct report_pace
pace_of(void *owner)
{
    const struct sweep *sweep = owner;
    struct pace_state state = pace_state(sweep->pace, report_answered(sweep->report));
    return (struct report_pace){ state.probes, state.left };
}

/* By single requests: names, a list that is not known at the start, few targets, and any on a daemon that can't sweep. */
static int
probe_each(struct sweep *sweep, char **words, size_t count)
{
    const struct sweep_options *options = sweep->options;
    sweep->rules = (struct pace_rules){ .rate = large_rate(options->rate, count_ranges(sweep)),
                                        .tries = options->retries + 1, .timeout = options->probing.timeout,
                                        .first = sweep->first, .again = sweep->again };
    large_say_rate(options, count_ranges(sweep), count_ranges(sweep));
    prepare(sweep);
    sweep->pace = pace_new(sweep->events, sweep->client, sweep->list, &sweep->rules, end_in_time, sweep);
    sweep->report = report_new(sweep->events, sweep->list, &sweep->says);
    client_on_room(sweep->client, room);
    report_show_bar(sweep->report, pace_of, sweep);
    read_targets(sweep, words, count);
    events_run(sweep->events);
    size_t answered = report_answered(sweep->report);
    if (!sweep->had_time)
        pace_give_up(sweep->pace);
    report_end(sweep->report, pace_state(sweep->pace, answered).probes, instant_since(clock_now(), sweep->start));
    return sweep->died ? 2 : !answered || sweep->unresolved;
}

/* ---- by the daemon's own sweep */

/* It is made as one sweep however few the targets are: so that is what they must be fit for. */
static bool
is_asked_for(const struct sweep_options *options)
{
    return options->needs_sweep || options->ttl_low >= 0;
}

/* Why a word that is no range is no target of such a sweep; NULL: it may be one. */
static const char *
why_no_target(const struct sweep *sweep, const struct target *target)
{
    if (*target->scope)
        return "an address with a scope is no target of such a sweep";
    if (target->kind == TARGET_NAME && sweep->options->shards > 1)
        return "a name is no target with --shard, as each shard would look it up for itself";
    return NULL;
}

/* Of what is no address of one meaning everywhere, only single requests can be made, or it is looked up first. */
static void
take_word(void *owner, const char *word)
{
    struct sweep *sweep = owner;
    struct target target = target_read_wide(word, sweep->options->probing.family);
    bool is_address = target.kind == TARGET_BLOCK || target.kind == TARGET_ADDRESS;
    if (is_address && !*target.scope) {
        if (!ranges_add(&sweep->targets[target.family], &target.first, &target.last))
            err(2, NULL);
    } else if (!is_asked_for(sweep->options)) {
        sweep->all_ranges = false;
    } else if (why_no_target(sweep, &target)) {
        list_refuse(sweep->list, word, why_no_target(sweep, &target));
    } else {
        list_add(sweep->list, word);
    }
}

static void
take_some(void *owner)
{
    (void)owner;
}

static void
run_until_read(struct sweep *sweep)
{
    events_run(sweep->events);
    if (!events_signal(sweep->events) && !sweep->died)
        events_go_on(sweep->events);
}

/* Those that are named, when all of them have been looked up. */
static void
take_named(struct sweep *sweep)
{
    list_close(sweep->list);
    run_until_read(sweep);
    for (size_t i = 0; i < list_count(sweep->list); i++) {
        const struct swept *swept = list_at(sweep->list, i);
        if (!ranges_add(&sweep->targets[swept->family], &swept->address, &swept->address))
            err(2, NULL);
    }
}

static void
read_ranges(struct sweep *sweep, char **words, size_t count)
{
    struct words *read = NULL;
    sweep->all_ranges = true;
    list_exclude(sweep->list, sweep->exclude);
    for (size_t i = 0; i < count; i++)
        take_word(sweep, words[i]);
    if (!count && is_asked_for(sweep->options)) {
        read = words_read(sweep->events, STDIN_FILENO, (struct words_user){ take_word, take_some, end, sweep });
        run_until_read(sweep);
    }
    words_free(read);
    if (is_asked_for(sweep->options))
        take_named(sweep);
    for (int family = 0; family < FAMILIES; family++)
        ranges_sort(&sweep->targets[family]);
    sweep->named = count_ranges(sweep);
    for (int family = 0; family < FAMILIES; family++)
        if (!ranges_subtract(&sweep->targets[family], &sweep->exclude[family]))
            err(2, NULL);
}

static int
probe_at_once(struct sweep *sweep)
{
    struct large_place place = { .events = sweep->events, .client = sweep->client, .list = sweep->list,
                                 .options = sweep->options, .says = &sweep->says, .targets = sweep->targets,
                                 .start = sweep->start };
    sweep->large = large_new(&place);
    int answered = large_sweep(sweep->large);
    return sweep->died || answered < 0 ? 2 : !answered || sweep->unresolved;
}

/* It was ended while the list was read, or names were looked up: nothing was probed. */
static void
tell_unbegun(struct sweep *sweep)
{
    const struct sweep_options *options = sweep->options;
    uint64_t ttls = (uint64_t)(options->ttl_high - options->ttl_low) + 1;
    uint64_t all = (count_ranges(sweep) + list_waiting(sweep->list)) * ttls;
    uint64_t mine = all / options->shards + (all % options->shards >= options->shard);
    struct report_sums sums = { .targets = mine / ttls + (mine % ttls != 0), .hops = options->ttl_low < 0 ? 0 : (unsigned)ttls,
                                .not_probed = mine, .took = instant_since(clock_now(), sweep->start) };
    sweep->report = report_new(sweep->events, sweep->list, &sweep->says);
    if (!options->quiet)
        report_lost(sweep->report);
    report_count_lost(sweep->report, &sums);
    report_sums(sweep->report, &sums);
}

static int
probe_all(struct sweep *sweep, char **words, size_t count)
{
    const struct sweep_options *options = sweep->options;
    sweep->client = client_start(sweep->events, (struct client_user){ heard, died, sweep });
    if (!sweep->client)
        return events_signal(sweep->events) ? 1 : 2;
    if (!client_needs_protocol(sweep->client, options->probing.protocol))
        return 2;
    if (options->probing.question.service && !client_needs(sweep->client, FEATURE_REPLY_PAYLOAD))
        return 2;
    if (options->needs_sweep && !client_can(sweep->client, FEATURE_SWEEP)) {
        warnx("%s is of sweeps, which this daemon does not have: %s, version %s", options->needs_sweep,
              client_name(sweep->client), client_version(sweep->client));
        return 2;
    }
    sweep->start = clock_now();
    read_ranges(sweep, words, count);
    if (events_signal(sweep->events) || sweep->died) {
        tell_unbegun(sweep);
        return sweep->died ? 2 : 1;
    }
    bool large = sweep->all_ranges && sweep->named > LARGE && client_can(sweep->client, FEATURE_SWEEP);
    return large || is_asked_for(options) ? probe_at_once(sweep) : probe_each(sweep, words, count);
}

int
main(int argc, char **argv)
{
    struct sweep_options options;
    struct sweep sweep = { .options = &options, .targets = { { .family = IPV4 }, { .family = IPV6 } },
                           .exclude = { { .family = IPV4 }, { .family = IPV6 } } };
    size_t count = sweep_read_options(argc, argv, &options);
    sweep.says = (struct report_rules){ .json = options.probing.json, .quiet = options.quiet,
                                        .lost_is_silent = options.ignore_lookup_errors, .question = &options.probing.question };
    if (options.exclude)
        exclude_read(options.exclude, sweep.exclude);
    sweep.events = events_new();
    if (!sweep.events)
        err(2, NULL);
    sweep.names = names_new(sweep.events);
    sweep.list = list_new(sweep.events, sweep.names, options.probing.family, (struct list_user){ grew, named, lost, &sweep });
    int status = options.list ? list_only(&sweep, argv + 1, count) : probe_all(&sweep, argv + 1, count);
    client_stop(sweep.client);
    large_free(sweep.large);
    pace_free(sweep.pace);
    report_free(sweep.report);
    names_free(sweep.names);
    list_free(sweep.list);
    for (int family = 0; family < FAMILIES; family++) {
        ranges_free(&sweep.targets[family]);
        ranges_free(&sweep.exclude[family]);
    }
    events_free(sweep.events);
    return status;
}
