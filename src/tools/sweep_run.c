/* SPDX-License-Identifier: MIT */
#include "tools/sweep_run.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "tools/sweep_single.h"

#define LIST_MAX 29000 /* bytes of addresses in a line, of which the daemon takes 32767 */
#define PROGRESS (200 * NS_PER_MS)
#define PROGRESS_OF_PARTS (50 * NS_PER_MS) /* the next one waits for it */
#define OPEN_MAX 32             /* parts at once, most of them only waiting for answers: the daemon takes 64 */
#define SETTLE NS_PER_S         /* the daemon has so long to say how far it came */
#define GATHER (2 * NS_PER_MS)
#define MARKS 64
#define STOP_TAG (UINT64_C(1) << 32) /* added to the part's */

#define SECOND_SIGNAL (NS_PER_S / 2) /* timeout(1) sends its signal twice, to the process and to its group */

/* What is asked for in one line. */
struct part {
    const struct ranges *ranges;
    size_t range, end;
    int64_t ttl_low, ttl_high;
    bool whole; /* not of a shard only */
    uint64_t start, stop; /* positions in the daemon's order: of this shard */
    int64_t token;
    bool alone; /* while it runs, no other does */
    bool over, settled;
    bool cut; /* it was stopped: see gives_up() */
    uint64_t told_refused; /* with report_all: lines of refusals by this host */
    struct run_tally tally;
};

/*
 * All before that place have left, each for the time that is numbered `tries`, since that line. Of lines, as each comes at
 * least PROGRESS after the one before by the daemon's clock: whether it, or we, stood still meanwhile does not matter.
 */
struct mark {
    struct run_place place;
    uint64_t since;
    int64_t tries;
};

struct run {
    struct events *events;
    struct client *client;
    const struct run_rules *rules;
    struct run_user user;
    struct single *single; /* of a daemon without sweeps, in place of all that follows */
    struct part *parts;
    size_t count, next; /* NEXT: the first that is not begun */
    size_t ordinary;    /* the others, behind them, are of `again` */
    bool stopped, refused, limited, lost_count, died;
    bool cut; /* all parts */
    struct mark marks[MARKS];
    size_t mark_count;
    uint64_t lines;         /* of how far it is */
    struct run_place latest, safe; /* where it is, and before which surely all have had their time */
};

/* ---- the parts */

static uint64_t
part_total(const struct part *part)
{
    uint64_t addresses = ranges_before(part->ranges, part->end) - ranges_before(part->ranges, part->range);
    return addresses * ((uint64_t)(part->ttl_high - part->ttl_low) + 1);
}

/* Where a shard begins: the daemon makes them as equal as can be, and the first ones longer by one. */
static uint64_t
shard_start(uint64_t total, uint64_t shard, uint64_t shards)
{
    uint64_t rest = total % shards;
    return total / shards * shard + (rest < shard ? rest : shard);
}

static void
add_part(struct run *run, const struct part *model)
{
    const struct run_rules *rules = run->rules;
    run->parts = realloc(run->parts, (run->count + 1) * sizeof *run->parts);
    if (!run->parts)
        err(2, NULL);
    struct part *part = &run->parts[run->count];
    *part = *model;
    uint64_t total = part_total(part), shards = part->whole ? 1 : rules->shards;
    part->start = shard_start(total, part->whole ? 0 : rules->shard - 1, shards);
    part->stop = shard_start(total, part->whole ? 1 : rules->shard, shards);
    if (!part->whole && run->count < rules->from.part)
        part->start = part->stop;
    if (!part->whole && run->count == rules->from.part && rules->from.next > part->start)
        part->start = rules->from.next < part->stop ? rules->from.next : part->stop;
    part->over = part->start == part->stop;
    part->tally.left = part->stop - part->start;
    run->count++;
}

/* MODEL: all of a part but which of the ranges it has. */
static void
cut_into_parts(struct run *run, struct part model)
{
    char list[LIST_MAX];
    for (model.range = 0; model.range < model.ranges->count; model.range = model.end) {
        model.end = ranges_write(model.ranges, model.range, list, sizeof list);
        add_part(run, &model);
    }
}

static void
make_parts(struct run *run)
{
    const struct run_rules *rules = run->rules;
    for (int family = 0; family < FAMILIES; family++)
        cut_into_parts(run, (struct part){ .ranges = &rules->targets[family], .ttl_low = rules->ttl_low,
                                           .ttl_high = rules->ttl_high });
    run->ordinary = run->count;
    for (size_t i = 0; i < rules->again_count; i++) {
        int64_t ttl = rules->again[i].ttl ? (int64_t)rules->again[i].ttl : -1;
        cut_into_parts(run, (struct part){ .ranges = &rules->again[i].ranges, .ttl_low = ttl, .ttl_high = ttl, .whole = true });
    }
}

/* From the first probe of a combination until nothing more comes of it. */
static int64_t
time_of_each(const struct run_rules *rules)
{
    return rules->timeout * (rules->retries + 1);
}

/*
 * A part whose first probes have all left sends its retries beside the next part's. So that all of them keep to the rate, each
 * has a share of it, and sends its first probes within one timeout: then its retries are so many timeouts behind these, and
 * as far from those of the others. A part that is too large for that has the rate for itself.
 */
static int64_t
share_of(const struct run_rules *rules)
{
    return rules->rate / (rules->retries + 1);
}

static void
choose_who_is_alone(struct run *run)
{
    const struct run_rules *rules = run->rules;
    double in_time = (double)share_of(rules) * (double)rules->timeout / (double)NS_PER_S;
    for (size_t i = 0; i < run->count; i++)
        run->parts[i].alone = rules->retries && (run->count == 1 || (double)run->parts[i].tally.left > in_time);
}

static int64_t
rate_of(const struct run *run, const struct part *part)
{
    return part->alone ? run->rules->rate : share_of(run->rules);
}

struct run *
run_new(struct events *events, struct client *client, const struct run_rules *rules, struct run_user user)
{
    struct run *run = calloc(1, sizeof *run);
    if (!run)
        err(2, NULL);
    *run = (struct run){ .events = events, .client = client, .rules = rules, .user = user, .latest = rules->from,
                         .safe = rules->from };
    if (client_can(client, FEATURE_SWEEP)) {
        make_parts(run);
        choose_who_is_alone(run);
    } else {
        run->single = single_new(events, client, rules, &run->user);
    }
    return run;
}

void
run_free(struct run *run)
{
    if (!run)
        return;
    single_free(run->single);
    free(run->parts);
    free(run);
}

/* ---- how far it is */

struct run_tally
run_tally(const struct run *run)
{
    struct run_tally sum = { 0 };
    if (run->single)
        return single_tally(run->single);
    for (size_t i = 0; i < run->count; i++) {
        const struct run_tally *one = &run->parts[i].tally;
        sum.probes += one->probes;
        sum.answered += one->answered;
        sum.silent += one->silent;
        sum.refused += one->refused;
        sum.in_flight += one->in_flight;
        sum.left += one->left;
    }
    return sum;
}

static double
most(double one, double other)
{
    return one > other ? one : other;
}

/* Those that have not answered yet may all be silent, and so may as many of those that are left: they have all of their probes. */
static double
probes_left(const struct run *run, const struct run_tally *tally)
{
    double tries = (double)(run->rules->retries + 1), waiting = (double)(tally->silent + tally->in_flight);
    double begun = waiting + (double)(tally->answered + tally->refused);
    double each = begun > 0 ? 1 + (tries - 1) * waiting / begun : tries;
    double to_others = most(waiting * tries - most((double)tally->probes - (double)tally->answered, 0), 0);
    return (double)tally->left * each + (tally->in_flight ? to_others : 0);
}

/* The retries take their time by the rate, or by the timeouts between them. */
int64_t
run_left(const struct run *run)
{
    struct run_tally tally = run_tally(run);
    double per_probe = (double)NS_PER_S / (double)run->rules->rate, timeout = (double)run->rules->timeout;
    double by_rate = probes_left(run, &tally) * per_probe + timeout;
    double by_timeout = (double)tally.left * per_probe + (double)time_of_each(run->rules);
    return tally.left || tally.in_flight ? (int64_t)most(by_rate, by_timeout) : 0;
}

static int64_t
progress_of(const struct run *run)
{
    return run->count > 1 ? PROGRESS_OF_PARTS : PROGRESS;
}

/* Lines until a probe has surely had its time, and the daemon has seen it: it may have waited as long for its interface. */
static uint64_t
lines_of_a_probe(const struct run *run)
{
    return (uint64_t)((2 * run->rules->timeout + progress_of(run) - 1) / progress_of(run)) + 1;
}

static bool
is_behind(const struct run_place *place, const struct run_place *other)
{
    return place->part > other->part || (place->part == other->part && place->next > other->next);
}

static bool
are_over(const struct run *run, size_t parts)
{
    for (size_t i = 0; i < parts && i < run->count; i++)
        if (!run->parts[i].over)
            return false;
    return true;
}

/*
 * In a part what is to be sent again goes ahead of what is new. So where something new has left since all that had left
 * before had their time, these were sent again before that. Of a part that sends beside a newer one, only its end is known.
 */
static void
age(const struct run *run, struct mark *mark, const struct run_place *now, bool went_on)
{
    bool last = mark->tries == run->rules->retries + 1;
    if (mark->place.part == now->part && run->lines - mark->since >= lines_of_a_probe(run) + !last && (last || went_on)) {
        mark->tries++;
        mark->since = run->lines;
    }
}

static void
age_marks(struct run *run, const struct run_place *now, bool went_on)
{
    size_t kept = 0;
    for (size_t i = 0; i < run->mark_count; i++) {
        struct mark mark = run->marks[i];
        age(run, &mark, now, went_on);
        bool had_time = mark.tries > run->rules->retries + 1 && are_over(run, mark.place.part);
        if (!had_time && !are_over(run, mark.place.part + 1))
            run->marks[kept++] = mark;
        else if (is_behind(&mark.place, &run->safe))
            run->safe = mark.place;
    }
    run->mark_count = kept;
}

/* From then on not all that have ended had all of their time. */
static bool
has_given_up(const struct run *run)
{
    bool cut = run->cut;
    for (size_t i = 0; i < run->next; i++)
        cut = cut || run->parts[i].cut;
    return cut && run->rules->retries > 0;
}

/* One more line of the part that was begun last: it is at this place. */
static void
note_place(struct run *run, struct run_place place)
{
    bool went_on = is_behind(&place, &run->latest);
    uint64_t spacing = lines_of_a_probe(run) * (uint64_t)(run->rules->retries + 1) / (MARKS - 2) + 1;
    run->latest = place;
    run->lines++;
    if (has_given_up(run))
        return;
    age_marks(run, &place, went_on);
    if (run->mark_count < MARKS && run->lines % spacing == 0)
        run->marks[run->mark_count++] = (struct mark){ place, run->lines, 1 };
}

void
run_died(struct run *run)
{
    run->died = true;
}

bool
run_place(const struct run *run, bool given_up, struct run_place *place)
{
    *place = given_up && are_over(run, run->next) ? run->latest : run->safe;
    return !run->lost_count;
}

bool
run_is_done(const struct run *run)
{
    struct run_tally tally = run_tally(run);
    bool done = !run->refused && !run->stopped && !run->limited && !tally.left && !tally.in_flight;
    for (size_t i = 0; i < run->count; i++)
        done = done && run->parts[i].over;
    return done;
}

bool
run_is_refused(const struct run *run)
{
    return run->refused;
}

/* ---- asking */

static void
ask_for(struct run *run, size_t number)
{
    const struct run_rules *rules = run->rules;
    struct part *part = &run->parts[number];
    char list[LIST_MAX], ttl[64] = "", limit[64] = "", seconds[SECONDS_MAX];
    ranges_write(part->ranges, part->range, list, sizeof list);
    if (part->ttl_low >= 0)
        snprintf(ttl, sizeof ttl, " ttl %" PRId64 "-%" PRId64, part->ttl_low, part->ttl_high);
    if (rules->limit)
        snprintf(limit, sizeof limit, " limit %" PRIu64, rules->limit);
    part->token = client_ask(run->client, number, SWEPT,
                             "sweep ip-%c %s%s%s%s timeout %s rate %" PRId64 " retries %" PRId64 " seed %" PRIu64
                             " shard %" PRIu64 "/%" PRIu64 " from %" PRIu64 " report %s progress %g",
                             part->ranges->family == IPV4 ? '4' : '6', list, rules->arguments, ttl, limit,
                             client_seconds(run->client, rules->timeout, seconds), rate_of(run, part), rules->retries, rules->seed,
                             part->whole ? 1 : rules->shard, part->whole ? 1 : rules->shards, part->start,
                             rules->report_all ? "all" : "answers", (double)progress_of(run) / (double)NS_PER_S);
}

/* Whether the next part, if there is one, must not begin yet: it is alone, or the one before it is and has not ended. */
static bool
must_wait(const struct run *run, size_t open)
{
    const struct part *last = run->next ? &run->parts[run->next - 1] : NULL;
    bool alone = open && run->next < run->count && (run->parts[run->next].alone || last->alone);
    return alone || open == OPEN_MAX || (open && !last->over && last->tally.left);
}

/* The next part when all probes of the last one have left; the end when all have had their time. */
static void
go_on(struct run *run)
{
    while (run->next < run->count && run->parts[run->next].over)
        run->next++;
    size_t open = 0;
    for (size_t i = 0; i < run->next; i++)
        open += !run->parts[i].over;
    if (!must_wait(run, open) && run->next < run->count && !run->limited && !run->stopped) {
        ask_for(run, run->next++);
        open++;
    }
    bool over = run->refused || (!open && (run->next == run->count || run->limited));
    if (over && !run->stopped)
        run->user.ended(run->user.owner);
}

void
run_begin(struct run *run)
{
    if (run->single) {
        single_begin(run->single);
        return;
    }
    client_gather(run->client, GATHER);
    go_on(run);
}

/* ---- replies */

static uint64_t
number_of(const struct reply *reply, enum field field)
{
    int64_t number = reply_number(reply, field);
    return number < 0 ? 0 : (uint64_t)number;
}

/*
 * What the daemon calls silent from now on may not have had all of its probes: once a sweep is stopped, or has reached its
 * limit, those that were to be probed again are not.
 */
static bool
gives_up(const struct run *run, const struct part *part)
{
    return (run->cut || part->cut) && run->rules->retries > 0;
}

/* Silent ones that were given up were not waited for. */
static void
take_back(struct run_tally *tally, const struct run_tally *before)
{
    uint64_t had = before->silent + before->refused, has = tally->silent + tally->refused;
    uint64_t given_up = has > had ? has - had : 0;
    given_up = given_up < tally->silent ? given_up : tally->silent;
    tally->silent -= given_up;
    tally->in_flight += given_up;
}

/*
 * How many this host has refused of UNANSWERED combinations that have ended: in lines before its end the daemon does not say.
 * Those that were told; where none is told, what follows from the probes that have left: each silent one had all of its own,
 * each that is under way or answered one at least. Behind a stop, after which some are silent for fewer, as many as before.
 */
static uint64_t
count_refused(const struct run *run, const struct part *part, const struct run_tally *tally, uint64_t before, uint64_t unanswered)
{
    uint64_t others = tally->answered + tally->in_flight, sent = tally->probes > others ? tally->probes - others : 0;
    uint64_t silent = sent / (uint64_t)(run->rules->retries + 1);
    uint64_t refused = unanswered > silent ? unanswered - silent : 0;
    if (run->rules->report_all)
        refused = part->told_refused;
    else if (gives_up(run, part))
        refused = before;
    return refused < unanswered ? refused : unanswered;
}

/* How far a part is; of `swept`, at its end. Where that is no place in our count of the part, none is known. */
static void
take_tally(struct run *run, size_t number, const struct reply *reply)
{
    struct part *part = &run->parts[number];
    struct run_tally *tally = &part->tally, before = *tally;
    bool over = reply->kind == KIND_SWEPT;
    tally->probes = number_of(reply, FIELD_SENT);
    tally->answered = number_of(reply, FIELD_ANSWERED);
    tally->in_flight = over ? 0 : number_of(reply, FIELD_IN_FLIGHT);
    tally->silent = number_of(reply, FIELD_SILENT);
    tally->refused = number_of(reply, FIELD_REFUSED);
    uint64_t size = part->stop - part->start, next = number_of(reply, FIELD_NEXT);
    uint64_t left = over ? part->stop - next : number_of(reply, FIELD_LEFT);
    if (left > size || size - left < tally->answered + tally->in_flight) {
        run->lost_count = true;
        left = left > size ? 0 : left;
    }
    tally->left = left;
    if (!over) {
        uint64_t others = tally->answered + tally->in_flight, unanswered = size - left > others ? size - left - others : 0;
        tally->refused = count_refused(run, part, tally, before.refused, unanswered);
        tally->silent = unanswered - tally->refused;
    }
    if (gives_up(run, part))
        take_back(tally, &before);
    part->over = over;
    run->limited = run->limited || (over && left && !run->stopped);
    if (number + 1 == run->next)
        note_place(run, number < run->ordinary ? (struct run_place){ number, part->stop - left }
                                               : (struct run_place){ run->ordinary, 0 });
}

static void
refuse(struct run *run, const struct reply *reply)
{
    char words[200];
    warnx("%s refuses the sweep: %s", client_name(run->client), reply_error(reply, words, sizeof words));
    run->refused = true;
}

/* Who and with which ttl a line is about: what there is one of, it does not name. */
static void
take_answer(struct run *run, struct part *part, const struct reply *reply)
{
    const struct ranges *ranges = part->ranges;
    const char *text = reply->value[FIELD_TARGET];
    int64_t ttl = part->ttl_low < part->ttl_high ? reply_number(reply, FIELD_PROBE_TTL) : part->ttl_low;
    struct address target = ranges_at(ranges, ranges_before(ranges, part->range));
    if (text && (!address_parse(ranges->family, text, strlen(text), &target) || !ranges_hold(ranges, &target)))
        return;
    if (part->ttl_low >= 0 && (ttl < part->ttl_low || ttl > part->ttl_high))
        return;
    unsigned hop = ttl < 0 ? 0 : (unsigned)ttl;
    part->told_refused += reply_never_left(reply);
    if (reply->kind == KIND_NO_REPLY && gives_up(run, part))
        run->user.given_up(run->user.owner, ranges->family, &target, hop);
    else
        run->user.heard(run->user.owner, ranges->family, &target, hop, reply);
}

/* Of a part that is one probe, a refusal of it is like one of the request, but for these words. */
static void
take_last(struct run *run, size_t number, const struct reply *reply)
{
    struct part *part = &run->parts[number];
    bool of_request = strcmp(reply->word, "invalid-argument") == 0 || strcmp(reply->word, "unknown-command") == 0;
    if (of_request || part_total(part) > 1) {
        refuse(run, reply);
        return;
    }
    part->over = true;
    part->tally = (struct run_tally){ .refused = 1 };
    take_answer(run, part, reply);
}

void
run_take(struct run *run, uint64_t tag, const struct reply *reply, bool last)
{
    size_t number = (size_t)(tag & (STOP_TAG - 1));
    if (run->single) {
        single_take(run->single, tag, reply);
        return;
    }
    if (number >= run->count)
        return;
    if (tag & STOP_TAG) {
        run->parts[number].settled = run->parts[number].over;
        run->parts[number].cut = true;
        run->parts[number].token = 0;
    } else if (reply->kind == KIND_SWEEPING || reply->kind == KIND_SWEPT) {
        take_tally(run, number, reply);
        run->parts[number].settled = !run->parts[number].token || run->parts[number].over;
        go_on(run);
    } else if (last) {
        take_last(run, number, reply);
        go_on(run);
    } else {
        take_answer(run, &run->parts[number], reply);
    }
}

void
run_cut(struct run *run)
{
    run->cut = true;
}

static bool
is_settled(const struct run *run, bool to_the_end)
{
    bool settled = true;
    for (size_t i = 0; i < run->next; i++)
        settled = settled && (run->parts[i].over || (run->parts[i].settled && !to_the_end));
    return settled;
}

void
run_stop(struct run *run, bool to_the_end)
{
    run->stopped = true;
    if (run->single)
        single_stop(run->single);
    for (size_t i = 0; i < run->next; i++)
        if (!run->parts[i].over)
            client_ask(run->client, STOP_TAG + i, ONE_ANSWER, "stop token %" PRId64, run->parts[i].token);
    struct instant start = clock_now();
    struct instant until = instant_after(start, SETTLE + (to_the_end ? run->rules->timeout : 0));
    events_go_on(run->events);
    while (!is_settled(run, to_the_end) && !run->died && clock_now().ns < until.ns) {
        events_turn(run->events, PROGRESS);
        if (events_signal(run->events) && instant_since(clock_now(), start) > SECOND_SIGNAL)
            break;
        events_go_on(run->events);
    }
}
