/* SPDX-License-Identifier: MIT */
#include "tools/sweep_large.h"

#include <err.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "host/clock.h"
#include "tools/sweep_resume.h"
#include "tools/sweep_run.h"

#define RATE 20000
#define LISTED_MAX (UINT64_C(1) << 24) /* addresses, of each of which is kept what came of it */
#define WRITE_EVERY (10 * NS_PER_S)

/* What is kept of an address: what came of it, in four bytes. Else it is the number of its outcome, and FIRST_OUTCOME. */
enum known { KNOWN_NOTHING, KNOWN_ANSWERED, KNOWN_SILENT, FIRST_OUTCOME };

struct found {
    struct address address;
    enum family_id family;
};

struct large {
    struct large_place place;
    struct run *run;
    struct run_rules rules;
    struct report *report;
    char arguments[ARGUMENTS_MAX + SERVICE_ARGUMENTS_MAX];
    uint32_t *known; /* of each address, IPv4 first; NULL: of none */
    uint64_t answered, failed;
    uint64_t silent, refused; /* that were told of, and */
    uint64_t kept_back;       /* by this host */
    bool reached; /* a target has answered, where routers on the way do so, too */
    void *found; /* tsearch(3)'s tree of struct found: targets that replied, where one may do so by several ttls */
    uint64_t found_count;
    bool closed; /* answers that come now are too late */
    bool died;   /* the daemon */
    struct resume resume;
    struct run_set *again; /* what an earlier run left unfinished */
    struct alarm write;
};

int64_t
large_rate(int64_t given, uint64_t all)
{
    return given ? given : all > LARGE ? LARGE_RATE : RATE;
}

static uint64_t
seconds_of(uint64_t probes)
{
    return (probes + LARGE_RATE - 1) / LARGE_RATE;
}

void
large_say_rate(const struct sweep_options *options, uint64_t all, uint64_t mine)
{
    char of_all[32] = "", again[64] = "", longest[32] = "";
    uint64_t tries = (uint64_t)options->retries + 1;
    uint64_t waits = (tries * (uint64_t)options->probing.timeout + NS_PER_S - 1) / NS_PER_S;
    if (options->rate || all <= LARGE || !mine)
        return;
    if (tries > 1) {
        snprintf(again, sizeof again, ", up to %" PRIu64 " with those sent again", mine * tries);
        snprintf(longest, sizeof longest, " to %" PRIu64, seconds_of(mine * tries) + waits);
    }
    if (mine < all)
        snprintf(of_all, sizeof of_all, " of %" PRIu64, all);
    warnx("%" PRIu64 "%s probes%s, so %d a second, which takes %" PRIu64 "%s s; -R sets another rate", mine, of_all, again,
          LARGE_RATE, seconds_of(mine), longest);
}

static bool
by_ttls(const struct large *large)
{
    return large->rules.ttl_low >= 0;
}

/* ---- what comes */

/* The number of an address in `known`. */
static uint64_t
number_of(const struct large *large, enum family_id family, const struct address *address)
{
    const struct ranges *targets = large->place.targets;
    uint64_t number = ranges_find(&targets[family], address);
    return number < ADDRESSES_MAX && family == IPV6 ? number + ranges_count(&targets[IPV4]) : number;
}

static void
keep(struct large *large, const struct swept *swept, uint32_t known)
{
    uint64_t number = large->known ? number_of(large, (enum family_id)swept->family, &swept->address) : ADDRESSES_MAX;
    if (number < ADDRESSES_MAX)
        large->known[number] = known;
}

static void
end_at_limit(struct large *large, uint64_t found)
{
    if (found != (uint64_t)large->place.options->limit)
        return;
    large->closed = true;
    run_cut(large->run);
    events_end(large->place.events);
}

static void
take_answer(struct large *large, struct swept *swept, const struct reply *reply)
{
    bool once = large->rules.retries == 0;
    large->answered++;
    report_answer(large->report, swept, reply, once ? 0 : TRY_UNKNOWN);
    keep(large, swept, KNOWN_ANSWERED);
    end_at_limit(large, large->answered);
}

static int
compare(const void *a, const void *b)
{
    const struct found *one = a, *other = b;
    int order = (int)one->family - (int)other->family;
    return order ? order : memcmp(&one->address, &other->address, sizeof one->address);
}

/* The daemon counts for each of its requests, and whatever answers. */
static void
note_found(struct large *large, const struct swept *swept)
{
    struct found *fresh = malloc(sizeof *fresh), **place;
    if (!fresh)
        err(2, NULL);
    *fresh = (struct found){ swept->address, (enum family_id)swept->family };
    place = tsearch(fresh, &large->found, compare);
    if (!place)
        err(2, NULL);
    if (*place == fresh)
        end_at_limit(large, ++large->found_count);
    else
        free(fresh);
}

static void
take_hop(struct large *large, const struct swept *swept, unsigned ttl, const struct reply *reply)
{
    bool found = service_is_met(&large->place.options->probing.question, reply);
    large->answered += reply->from != NULL;
    large->reached = large->reached || found;
    large->silent += reply->kind == KIND_NO_REPLY;
    large->refused += reply_never_left(reply);
    if (reply->from || !large->place.options->quiet) /* a file to go on from needs them all */
        report_hop(large->report, swept, ttl, reply);
    if (large->place.options->limit && found)
        note_found(large, swept);
}

/* Refusals of this host are counted by the daemon, what it has kept back all the time as silent. */
static void
take_error(struct large *large, struct swept *swept, const struct reply *reply)
{
    large->failed += reply->from != NULL;
    large->kept_back += reply->kind == KIND_NO_REPLY;
    large->refused += reply_never_left(reply);
    if (!large->known)
        return;
    report_error(large->report, swept, reply);
    keep(large, swept, swept->outcome + FIRST_OUTCOME);
}

/* Of what is to be told by a later run. */
static void
given_up(void *owner, enum family_id family, const struct address *target, unsigned ttl)
{
    struct large *large = owner;
    if (large->place.options->resume)
        unfinished_add(&large->resume.unfinished, family, target, ttl);
}

/* One that is being asked, with its names. */
static struct swept
swept_of(const struct large *large, enum family_id family, const struct address *address)
{
    const struct swept *named = list_find(large->place.list, family, address);
    struct swept swept = named ? *named : (struct swept){ .address = *address, .family = (uint8_t)family };
    swept.sent = 1;
    return swept;
}

static void
heard(void *owner, enum family_id family, const struct address *target, unsigned ttl, const struct reply *reply)
{
    struct large *large = owner;
    struct swept swept = swept_of(large, family, target);
    if (large->closed && reply->from) {
        given_up(owner, family, target, ttl);
        return;
    }
    unfinished_end(&large->resume.unfinished, family, target, ttl);
    if (ttl) {
        take_hop(large, &swept, ttl, reply);
    } else if (service_is_met(&large->place.options->probing.question, reply)) {
        take_answer(large, &swept, reply);
    } else if (reply_is_silence(reply)) {
        large->silent++;
        keep(large, &swept, KNOWN_SILENT);
    } else {
        take_error(large, &swept, reply);
    }
}

void
large_heard(struct large *large, uint64_t tag, const struct reply *reply, bool last)
{
    run_take(large->run, tag, reply, last);
}

void
large_died(struct large *large)
{
    large->died = true;
    if (large->run)
        run_died(large->run);
}

static void
ended(void *owner)
{
    events_end(((struct large *)owner)->place.events);
}

static struct report_pace
pace(void *owner)
{
    const struct large *large = owner;
    return (struct report_pace){ (int64_t)run_tally(large->run).probes, run_left(large->run) };
}

/* ---- the file by which it goes on */

/* More than can be kept are probed once more from a place before them. */
static void
write_place(struct large *large)
{
    if (run_place(large->run, !large->resume.unfinished.is_full, &large->resume.place))
        resume_write(large->place.options->resume, &large->resume);
}

static void
write_again(void *owner)
{
    struct large *large = owner;
    write_place(large);
    events_set(large->place.events, &large->write, instant_after(events_now(large->place.events), WRITE_EVERY));
}

static void
begin_resume(struct large *large)
{
    const struct sweep_options *options = large->place.options;
    const char *version = client_version(large->place.client);
    const struct service *service = options->probing.question.service;
    char arguments[ARGUMENTS_MAX], kind[ARGUMENTS_MAX + 32];
    snprintf(kind, sizeof kind, "%s%s%s", probing_arguments(&options->probing, arguments), service ? " service " : "",
             service ? service->name : "");
    uint64_t identity = resume_identity(&large->rules, kind);
    struct resume before;
    struct unfinished unfinished = { 0 };
    if (resume_read(options->resume, &before)) {
        if (before.identity != identity || (options->seed_given && before.seed != large->rules.seed))
            errx(2, "%s is of another sweep: of other targets or exclusions, another seed, shard, ttl or kind of probe",
                 options->resume);
        if (strcmp(before.version, version) != 0)
            errx(2, "%s is of a daemon of version %s, whose order may be another than that of %s, version %s",
                 options->resume, before.version, client_name(large->place.client), version);
        large->rules.seed = before.seed;
        large->rules.from = before.place;
        unfinished = before.unfinished;
    }
    large->rules.report_all = true;
    large->rules.again = large->again = unfinished_sets(&unfinished, &large->rules.again_count);
    large->resume = (struct resume){ .identity = identity, .seed = large->rules.seed, .place = large->rules.from,
                                     .unfinished = unfinished };
    snprintf(large->resume.version, sizeof large->resume.version, "%s", version);
    /* Hours later it would be too late to learn that it can't be written. */
    if (!resume_write(options->resume, &large->resume))
        exit(2);
    large->write = (struct alarm){ .rings = write_again, .owner = large };
    events_set(large->place.events, &large->write, instant_after(clock_now(), WRITE_EVERY));
}

static void
end_resume(struct large *large)
{
    events_unset(large->place.events, &large->write);
    if (!run_is_done(large->run))
        write_place(large);
    else if (unlink(large->place.options->resume) != 0 && access(large->place.options->resume, F_OK) == 0)
        warn("%s", large->place.options->resume);
}

/* ---- all of it */

static uint64_t
seed_of(const struct sweep_options *options)
{
    uint64_t seed = options->seed;
    if (!options->seed_given && getrandom(&seed, sizeof seed, 0) != sizeof seed)
        err(2, "no random number");
    return seed;
}

static uint64_t
count_addresses(const struct large *large)
{
    return ranges_count(&large->place.targets[IPV4]) + ranges_count(&large->place.targets[IPV6]);
}

/* Of all shards. */
static uint64_t
count_all(const struct large *large)
{
    const struct sweep_options *options = large->place.options;
    return count_addresses(large) * ((uint64_t)(options->ttl_high - options->ttl_low) + 1);
}

/* Facts cost as much as the rest of an answer: told where one wants them, and of errors, which are listed. */
static void
prepare(struct large *large)
{
    const struct sweep_options *options = large->place.options;
    uint64_t addresses = count_addresses(large);
    bool facts = !options->quiet || options->probing.json || options->probing.question.service ||
                 strcmp(options->probing.protocol, "tcp") == 0;
    if (count_all(large) > ADDRESSES_MAX)
        errx(2, "more than %" PRIu64 " probes: --exclude some, or sweep part of it", ADDRESSES_MAX);
    if (!options->quiet && options->ttl_low < 0) {
        if (addresses > LISTED_MAX)
            errx(2, "more than %" PRIu64 " addresses: with -q, as no list of the silent ones can be kept", LISTED_MAX);
        large->known = calloc(addresses + 1, sizeof *large->known);
        if (!large->known)
            err(2, NULL);
    }
    bool tells_facts = client_can(large->place.client, FEATURE_DETAIL);
    if (!tells_facts)
        client_says_less(large->place.client, options->probing.protocol, "no errors by their codes");
    char arguments[ARGUMENTS_MAX], asked[SERVICE_ARGUMENTS_MAX];
    snprintf(large->arguments, sizeof large->arguments, "%.480s%s%s", probing_arguments(&options->probing, arguments),
             service_arguments(&options->probing.question, asked), facts && tells_facts ? " detail 1" : "");
    large->rules = (struct run_rules){
        .targets = large->place.targets, .arguments = large->arguments, .seed = seed_of(options), .shard = options->shard,
        .shards = options->shards, .ttl_low = options->ttl_low, .ttl_high = options->ttl_high, .retries = options->retries,
        .timeout = options->probing.timeout, .report_all = !options->quiet,
        .rate = large_rate(options->rate, count_all(large)),
        /* The daemon counts whatever answers. */
        .limit = options->probing.question.service ? 0 : (uint64_t)options->limit,
    };
}

struct large *
large_new(const struct large_place *place)
{
    struct large *large = calloc(1, sizeof *large);
    if (!large)
        err(2, NULL);
    large->place = *place;
    prepare(large);
    large->report = report_new(place->events, place->list, place->says);
    if (place->options->resume)
        begin_resume(large);
    large->run = run_new(place->events, place->client, &large->rules, (struct run_user){ heard, given_up, ended, large });
    large_say_rate(place->options, count_all(large), run_tally(large->run).left);
    return large;
}

void
large_free(struct large *large)
{
    if (!large)
        return;
    report_free(large->report);
    run_free(large->run);
    unfinished_free_sets(large->again, large->rules.again_count);
    unfinished_free(&large->resume.unfinished);
    tdestroy(large->found, free);
    free(large->known);
    free(large);
}

/* Those that had their time, in the order of their addresses. Which of the others were not probed, the daemon does not say. */
static void
list_silent(const struct large *large)
{
    uint64_t number = 0;
    for (int family = 0; family < FAMILIES; family++)
        for (uint64_t i = 0; i < ranges_count(&large->place.targets[family]); i++, number++) {
            uint32_t known = large->known[number];
            if (known == KNOWN_NOTHING || known == KNOWN_ANSWERED)
                continue;
            struct address address = ranges_at(&large->place.targets[family], i);
            struct swept swept = swept_of(large, (enum family_id)family, &address);
            swept.outcome = known == KNOWN_SILENT ? 0 : known - FIRST_OUTCOME;
            report_silent(large->report, &swept);
        }
}

static uint64_t
least(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

/* So many more have ended than were COUNTED: of those in flight then, or that left after it. */
static uint64_t
take_later(struct run_tally *tally, uint64_t counted, uint64_t told)
{
    uint64_t later = told > counted ? told - counted : 0;
    uint64_t in_flight = least(later, tally->in_flight), left = least(later - in_flight, tally->left);
    tally->in_flight -= in_flight;
    tally->left -= left;
    tally->probes += left;
    return in_flight + left;
}

/*
 * What the daemon last said of how far it is, made to fit what came. Answers that it had counted, and that were still under
 * way to us or behind the limit, were not waited for. What came later, because it has died or was not waited for, is of
 * probes that were in flight then, or left after it; or did not leave, when this host refused them.
 */
static struct run_tally
tally_of(const struct large *large)
{
    struct run_tally tally = run_tally(large->run);
    uint64_t came = large->answered + large->failed, counted = least(tally.answered, came);
    tally.in_flight += tally.answered - counted;
    tally.answered = counted + take_later(&tally, counted, came);
    tally.silent += take_later(&tally, tally.silent, large->silent + large->kept_back);
    uint64_t refused = large->refused > tally.refused ? least(large->refused - tally.refused, tally.left) : 0;
    tally.refused += refused;
    tally.left -= refused;
    return tally;
}

static void
tell_sums(const struct large *large)
{
    struct run_tally tally = tally_of(large);
    uint64_t all = tally.answered + tally.silent + tally.refused + tally.in_flight + tally.left;
    uint64_t ttls = (uint64_t)(large->rules.ttl_high - large->rules.ttl_low) + 1;
    uint64_t kept_back = least(large->kept_back, tally.silent);
    struct report_sums sums = {
        .targets = all / ttls + (all % ttls != 0),
        .hops = by_ttls(large) ? (unsigned)ttls : 0,
        .answered = large->answered,
        .failed = large->failed + tally.refused + kept_back,
        .silent = tally.silent - kept_back,
        .not_probed = tally.left,
        .not_waited_for = tally.in_flight,
        .probes = (int64_t)tally.probes,
        .took = instant_since(clock_now(), large->place.start),
    };
    report_count_lost(large->report, &sums);
    report_sums(large->report, &sums);
}

/* To go on later, it must be known what became of all that is under way. */
static void
stop(struct large *large)
{
    bool to_the_end = large->place.options->resume != NULL;
    if (to_the_end && isatty(STDERR_FILENO)) {
        report_hide_bar(large->report);
        warnx("waiting for what is under way, %g s at most; Ctrl-C ends that, too", (double)large->rules.timeout / 1e9);
    }
    run_stop(large->run, to_the_end);
}

int
large_sweep(struct large *large)
{
    struct events *events = large->place.events;
    report_show_bar(large->report, pace, large);
    run_begin(large->run);
    events_run(events);
    bool refused = run_is_refused(large->run);
    if (!run_is_done(large->run) && !refused && !large->died)
        stop(large);
    if (large->place.options->resume)
        end_resume(large);
    report_close_bar(large->report);
    if (large->known)
        list_silent(large);
    if (!large->place.options->quiet)
        report_lost(large->report);
    tell_sums(large);
    return refused ? -1 : by_ttls(large) ? large->reached : large->answered > 0;
}
