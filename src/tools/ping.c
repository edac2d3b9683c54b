/* SPDX-License-Identifier: MIT */
/* probe-ping: round trips to hosts, at an interval. */
#include <err.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/clock.h"
#include "tools/asking.h"
#include "tools/client.h"
#include "tools/json.h"
#include "tools/names.h"
#include "tools/options.h"
#include "tools/pinged.h"
#include "tools/screen.h"
#include "tools/text.h"

#define LEAST_INTERVAL (10 * NS_PER_MS)
#define COLLECT_FOR 3          /* times the timeout: late and double answers are seen so long */
#define UNANSWERED_MAX 3       /* then another flow is tried: a translator may hold on to a dead way out */
#define FLOWS 1024             /* so many identifiers are tried in turn */
#define LIVE_EVERY (200 * NS_PER_MS)
#define PATIENCE (200 * NS_PER_MS) /* with an answer behind an error */
#define ROOM_FOR_FLOW 60       /* bytes of the packet that a flow needs at least, in either family */

struct ping_options {
    struct probing probing;
    struct asking asking;
    int64_t count, interval, deadline;
    bool quiet, flood, stamps, live, fping, metrics;
    const char *fragments, *plot;
};

/* A probe whose answers may still come. They stand in a ring, in the order in which they left. */
struct sent {
    uint32_t host;
    uint16_t flow; /* 0: none was given */
    bool done;     /* no more can come */
    bool settled;  /* answered, failed or lost */
    bool answered; /* at least once, if only by an error */
    bool met;      /* by the target itself, as it was asked */
    int64_t number; /* of its host's probes, from 1 */
    struct instant at;
};

/* A line that waits for the name of a router, a while. */
struct named_line {
    char *before; /* "from ", behind which the name and address go, and */
    char *behind; /* what follows them */
    char address[ADDRESS_TEXT_MAX];
    struct named_line *next;
};

/* The probes of a host. */
struct chain {
    struct ping *ping;
    struct alarm alarm;
    struct instant due, patient;
    int64_t newest;
};

struct ping {
    const struct ping_options *options;
    struct events *events;
    struct client *client;
    struct names *names;
    struct screen *screen; /* of --live */
    struct pinged *hosts;
    struct chain *chains; /* one a host */
    size_t count, resolving;
    bool unresolved, died;
    bool refused; /* the daemon can't do what is asked for */
    struct instant start;
    char arguments[ARGUMENTS_MAX];
    bool may_change_flow;

    struct sent *ring;
    uint64_t first, next, ring_size; /* numbers of probes; ring_size is a power of two */
    uint64_t unjudged;               /* the first that may still have to be called lost */
    struct alarm timeouts, deadline, redraw, patience;
    struct named_line *lines;
};

static struct sent *
sent_of(const struct ping *ping, uint64_t number)
{
    return &ping->ring[number & (ping->ring_size - 1)];
}

/* ---- the end */

/* With a deadline so many are to be answered, as with ping -w; without, to be sent. */
static bool
has_enough(const struct ping_options *options, const struct pinged *host)
{
    return options->count && (options->deadline ? host->times.count : host->sent) >= options->count;
}

static bool
host_is_done(const struct ping *ping, const struct pinged *host)
{
    if (!*host->address)
        return true;
    if (ping->options->deadline)
        return has_enough(ping->options, host);
    return has_enough(ping->options, host) && !host->open &&
           events_now(ping->events).ns >= ping->chains[host - ping->hosts].patient.ns;
}

static void
end_if_all_are_done(struct ping *ping)
{
    if (ping->resolving)
        return;
    for (size_t i = 0; i < ping->count; i++)
        if (!host_is_done(ping, &ping->hosts[i]))
            return;
    events_end(ping->events);
}

static void
end_patience(void *owner)
{
    end_if_all_are_done(owner);
}

/*
 * A router's error about the newest probe: the target may answer it yet, as it did those before it. But who asks once hears
 * of an error at once, or nearly so.
 */
static void
be_patient(struct ping *ping, struct chain *chain)
{
    chain->patient = instant_after(events_now(ping->events), PATIENCE);
    events_set(ping->events, &ping->patience, chain->patient);
}

/* ---- lines */

static void
print_stamp(const struct ping *ping, FILE *to)
{
    struct timespec now;
    if (!ping->options->stamps)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    fprintf(to, "[%lld.%06ld] ", (long long)now.tv_sec, now.tv_nsec / 1000);
}

/* What stands behind who answered. */
static void
print_facts(const struct ping *ping, FILE *to, const struct reply *reply, const struct sent *sent, bool late, bool duplicate)
{
    char ms[32], words[300];
    struct label labels[LABELS_MAX];
    size_t count = reply_labels(reply, labels);
    int64_t ttl = reply_number(reply, FIELD_REPLY_TTL);
    const char *error = reply_error(reply, words, sizeof words);
    fprintf(to, ": seq=%" PRId64, sent->number);
    if (ttl >= 0)
        fprintf(to, " ttl=%" PRId64, ttl);
    if (reply->round_trip_us >= 0)
        fprintf(to, " time=%s ms", text_ms(reply->round_trip_us, ms));
    if (reply->value[FIELD_TCP_FLAGS])
        fprintf(to, " %s", reply->value[FIELD_TCP_FLAGS]);
    if (*error)
        fprintf(to, " %s", error);
    if (*asking_words(&ping->options->asking, sent->number, reply, words, sizeof words))
        fprintf(to, " %s", words);
    for (size_t i = 0; i < count; i++)
        fprintf(to, "%s%u class %u ttl %u", i ? ", " : " mpls ", labels[i].label, labels[i].traffic_class, labels[i].ttl);
    fprintf(to, "%s%s\n", late ? " (late)" : "", duplicate ? " (duplicate)" : "");
}

static void
print_named_line(struct named_line *line, const char *name)
{
    if (name && *name)
        printf("%s%s (%s)%s", line->before, name, line->address, line->behind);
    else
        printf("%s%s%s", line->before, line->address, line->behind);
    free(line->before);
    free(line->behind);
    free(line);
}

/* Prints the lines whose names are known; when that is not to be waited for any longer, all of them. */
static void
print_named(struct ping *ping, bool all)
{
    for (struct named_line **at = &ping->lines; *at;) {
        struct named_line *line = *at;
        const char *name = names_of(ping->names, line->address);
        if (!name && !all) {
            at = &line->next;
            continue;
        }
        *at = line->next;
        print_named_line(line, name);
    }
}

static void
names_changed(void *owner)
{
    print_named(owner, false);
}

/*
 * Of a router, which is shown by name where it has one: the line waits until that is known, the others go on. Of several
 * hosts it tells which one was asked.
 */
static void
print_router(struct ping *ping, const struct reply *reply, const struct sent *sent, bool late, bool duplicate)
{
    size_t size;
    char label[400];
    struct named_line *line = calloc(1, sizeof *line), **end = &ping->lines;
    FILE *before = line ? open_memstream(&line->before, &size) : NULL;
    FILE *behind = before ? open_memstream(&line->behind, &size) : NULL;
    if (!behind)
        err(2, NULL);
    print_stamp(ping, before);
    fputs("from ", before);
    if (ping->count > 1)
        fprintf(behind, " about %s", pinged_label(&ping->hosts[sent->host], label));
    print_facts(ping, behind, reply, sent, late, duplicate);
    if (fclose(before) != 0 || fclose(behind) != 0)
        err(2, NULL);
    snprintf(line->address, sizeof line->address, "%s", reply->from);
    while (*end)
        end = &(*end)->next;
    *end = line;
    if (ping->options->probing.numeric) {
        *end = NULL;
        print_named_line(line, NULL);
    } else {
        names_of(ping->names, line->address);
        print_named(ping, !names_awaited(ping->names));
    }
}

static void
print_answer(struct ping *ping, const struct reply *reply, const struct sent *sent, bool late, bool duplicate)
{
    char label[400];
    const struct pinged *host = &ping->hosts[sent->host];
    const char *bytes = reply->value[FIELD_REPLY_SIZE];
    bool elsewhere = reply->kind == KIND_REPLY && reply->from && strcmp(reply->from, host->address) != 0;
    if (reply->kind != KIND_REPLY && reply->from) {
        print_router(ping, reply, sent, late, duplicate);
        return;
    }
    print_stamp(ping, stdout);
    if (reply->kind == KIND_REPLY)
        printf("%s%s from ", bytes ? bytes : "answer", bytes ? " bytes" : "");
    else
        fputs("to ", stdout);
    fputs(pinged_label(host, label), stdout);
    if (elsewhere)
        printf(" by %s, another address", reply->from);
    print_facts(ping, stdout, reply, sent, late, duplicate);
}

static void
print_answer_json(struct ping *ping, const struct reply *reply, const struct sent *sent, bool late, bool duplicate)
{
    const struct pinged *host = &ping->hosts[sent->host];
    json_t *answer = json_begin("answer", host->host, host->address);
    json_put_number(answer, "seq", sent->number);
    json_put_reply(answer, reply);
    asking_put_json(&ping->options->asking, sent->number, reply, answer);
    json_put_true(answer, "late", late);
    json_put_true(answer, "duplicate", duplicate);
    json_print(answer);
}

static void
print_lost(struct ping *ping, const struct sent *sent)
{
    char label[400];
    const struct pinged *host = &ping->hosts[sent->host];
    if (ping->options->probing.json) {
        json_t *lost = json_begin("lost", host->host, host->address);
        json_put_number(lost, "seq", sent->number);
        json_print(lost);
        return;
    }
    print_stamp(ping, stdout);
    printf("no answer from %s: seq=%" PRId64 "\n", pinged_label(host, label), sent->number);
}

static bool
is_quiet(const struct ping_options *options)
{
    return options->quiet || options->flood || options->live || options->fping || options->metrics;
}

/* ---- probes */

/*
 * A flow that is answered is kept to. Of the one that was left the last probes are still unanswered then, which says
 * nothing of the next.
 */
static void
note_flow(struct pinged *host, const struct sent *sent, enum outcome outcome)
{
    if (sent->flow != host->flow)
        return;
    host->unanswered = outcome == LOST ? host->unanswered + 1 : 0;
    if (host->unanswered < UNANSWERED_MAX)
        return;
    host->flow = (uint16_t)(host->flow % (FLOWS - 1) + 1);
    host->unanswered = 0;
}

static void
settle(struct ping *ping, struct sent *sent, enum outcome outcome, int64_t us)
{
    struct pinged *host = &ping->hosts[sent->host];
    host->open -= !sent->settled; /* it may have failed before it was answered */
    sent->settled = true;
    if (sent->number > host->sent - RECENT) {
        host->recent[sent->number % RECENT].outcome = outcome;
        host->recent[sent->number % RECENT].us = us;
    }
    if (host->kept)
        host->kept[sent->number - 1].us = outcome == ANSWERED ? us : KEPT_LOST;
    note_flow(host, sent, outcome);
}

/* Until the timeout no answer came. One that comes yet is shown as late. */
static void
lose(struct ping *ping, struct sent *sent)
{
    settle(ping, sent, LOST, -1);
    ping->hosts[sent->host].lost++;
    if (!is_quiet(ping->options))
        print_lost(ping, sent);
}

static void
judge_timeouts(void *owner)
{
    struct ping *ping = owner;
    int64_t timeout = ping->options->probing.timeout;
    for (; ping->unjudged < ping->next; ping->unjudged++) {
        struct sent *sent = sent_of(ping, ping->unjudged);
        if (instant_since(events_now(ping->events), sent->at) < timeout) {
            events_set(ping->events, &ping->timeouts, instant_after(sent->at, timeout));
            break;
        }
        if (!sent->settled && client_can(ping->client, FEATURE_COLLECT))
            lose(ping, sent);
    }
    end_if_all_are_done(ping);
}

/* A place at the end of the ring, which grows when it is full of probes whose answers may come. */
static struct sent *
add_sent(struct ping *ping)
{
    while (ping->first < ping->unjudged && sent_of(ping, ping->first)->done)
        ping->first++;
    if (ping->next - ping->first == ping->ring_size) {
        struct ping old = *ping;
        ping->ring_size = old.ring_size ? 2 * old.ring_size : 64;
        ping->ring = malloc(ping->ring_size * sizeof *ping->ring);
        if (!ping->ring)
            err(2, NULL);
        for (uint64_t i = old.first; i < old.next; i++)
            *sent_of(ping, i) = *sent_of(&old, i);
        free(old.ring);
    }
    return sent_of(ping, ping->next++);
}

static void
send_probe(struct ping *ping, struct chain *chain)
{
    char seconds[SECONDS_MAX], flow[40] = "", asked[ASKING_ARGUMENTS_MAX];
    struct pinged *host = &ping->hosts[chain - ping->chains];
    bool collect = client_can(ping->client, FEATURE_COLLECT);
    struct instant now = clock_now();
    uint64_t tag = ping->next;
    if (ping->options->plot || ping->options->fping)
        pinged_keep(host, (double)instant_since(now, ping->start) / 1e9);
    host->sent++;
    host->open++;
    host->recent[host->sent % RECENT].outcome = UNDER_WAY;
    *add_sent(ping) = (struct sent){ .host = (uint32_t)(chain - ping->chains), .flow = host->flow, .number = host->sent,
                                     .at = now };
    chain->newest = host->sent;
    if (!ping->timeouts.place)
        events_set(ping->events, &ping->timeouts, instant_after(now, ping->options->probing.timeout));
    if (ping->may_change_flow && host->flow)
        snprintf(flow, sizeof flow, " flow %d", host->flow);
    client_ask(ping->client, tag, collect ? COLLECTED : ONE_ANSWER, "send-probe ip-%c %s%s%s%s timeout %s",
               strchr(host->address, ':') ? '6' : '4', host->address, ping->arguments,
               asking_arguments(&ping->options->asking, host->sent, asked), flow,
               client_seconds(ping->client, (collect ? COLLECT_FOR : 1) * ping->options->probing.timeout, seconds));
}

/* The instants do not drift. What could not be kept (we stood still) is not made up for. */
static void
send_next(void *owner)
{
    struct chain *chain = owner;
    struct ping *ping = chain->ping;
    const struct ping_options *options = ping->options;
    const struct pinged *host = &ping->hosts[chain - ping->chains];
    if (has_enough(options, host))
        return;
    chain->due = instant_after(chain->due, options->interval);
    if (options->flood || chain->due.ns < events_now(ping->events).ns - options->interval)
        chain->due = instant_after(events_now(ping->events), options->interval);
    events_set(ping->events, &chain->alarm, chain->due);
    send_probe(ping, chain);
}

static void
count_answer(struct ping *ping, struct sent *sent, const struct reply *reply, bool late, bool duplicate)
{
    const struct asking *asking = &ping->options->asking;
    struct pinged *host = &ping->hosts[sent->host];
    if (!late && !duplicate)
        asking_keep(asking, sent->number, reply, &host->told);
    if (duplicate)
        host->duplicates++;
    else if (!asking_is_met(asking, reply))
        host->errors++;
    else if (late)
        host->late++;
    else
        statistics_add(&host->times, reply->round_trip_us);
}

static void
heard(void *owner, uint64_t tag, const struct reply *reply, bool last)
{
    struct ping *ping = owner;
    struct sent *sent = sent_of(ping, tag);
    struct chain *chain = &ping->chains[sent->host];
    bool again = sent->settled;
    bool late = reply->round_trip_us * NS_PER_US > ping->options->probing.timeout;
    bool met = asking_is_met(&ping->options->asking, reply);
    bool duplicate = met ? sent->met : sent->answered;
    sent->done = last;
    if (ping->refused || asking_is_refused(&ping->options->asking, ping->client, reply)) {
        ping->refused = true;
        events_end(ping->events);
        return;
    }
    if (reply->kind == KIND_COLLECTED || reply->kind == KIND_NO_REPLY) {
        if (!sent->settled)
            lose(ping, sent);
        end_if_all_are_done(ping);
        return;
    }
    count_answer(ping, sent, reply, late, duplicate);
    if (!again || (met && !late && !duplicate))
        settle(ping, sent, !met ? FAILED : late ? LOST : ANSWERED, reply->round_trip_us);
    sent->answered = true;
    sent->met |= met;
    if (sent->number == chain->newest && !duplicate) {
        chain->patient = (struct instant){ 0 };
        if (!met && !last && reply->kind != KIND_REPLY && reply->from)
            be_patient(ping, chain);
    }
    if (!is_quiet(ping->options) && ping->options->probing.json)
        print_answer_json(ping, reply, sent, late, duplicate);
    else if (!is_quiet(ping->options))
        print_answer(ping, reply, sent, late, duplicate);
    /* One chain: only the newest probe's first answer sends another, so late ones and doubles do not add up. */
    if (ping->options->flood && !again && reply->from && sent->number == chain->newest)
        send_next(chain);
    end_if_all_are_done(ping);
}

static void
died(void *owner)
{
    struct ping *ping = owner;
    ping->died = true;
    if (ping->screen)
        screen_clear(ping->screen);
    events_end(ping->events);
}

/* ---- hosts */

static void
found(void *owner, uint64_t tag, char (*addresses)[ADDRESS_TEXT_MAX], size_t count, const char *why)
{
    struct ping *ping = owner;
    struct pinged *host = &ping->hosts[tag];
    struct chain *chain = &ping->chains[tag];
    ping->resolving--;
    if (count) {
        snprintf(host->address, sizeof host->address, "%s", addresses[0]);
        chain->due = clock_now();
        events_set(ping->events, &chain->alarm, chain->due);
        return;
    }
    char clean[300];
    ping->unresolved = true;
    snprintf(host->why, sizeof host->why, "%s", why);
    if (ping->screen)
        screen_clear(ping->screen);
    warnx("%s: %s", text_printable(host->host, clean, sizeof clean), host->why);
    end_if_all_are_done(ping);
}

static void
give_up(void *owner)
{
    events_end(((struct ping *)owner)->events);
}

/* ---- the live table */

/* A bar of the last probes: the higher the longer the round trip, against the longest of them; x is lost, ! an error. */
static void
draw_bar(const struct pinged *host, char *bar, int width)
{
    static const char *const steps[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    int64_t longest = 1;
    for (int64_t n = host->sent > width ? host->sent - width + 1 : 1; n <= host->sent; n++)
        if (host->recent[n % RECENT].outcome == ANSWERED && host->recent[n % RECENT].us > longest)
            longest = host->recent[n % RECENT].us;
    for (int64_t n = host->sent > width ? host->sent - width + 1 : 1; n <= host->sent; n++) {
        const char *one = " ";
        switch (host->recent[n % RECENT].outcome) {
        case UNDER_WAY: break;
        case ANSWERED: one = steps[host->recent[n % RECENT].us * 7 / longest]; break;
        case LOST: one = "x"; break;
        case FAILED: one = "!"; break;
        }
        bar += sprintf(bar, "%s", one);
    }
    *bar = 0;
}

/* Until there is a round trip, none is shown, and no loss of nothing: a zero would be one that nobody has measured. */
static void
draw_host(struct ping *ping, const struct pinged *host, int name, const char *bar)
{
    char label[400], loss[32] = "-", last[32] = "-", average[32] = "-";
    if (!isnan(pinged_loss(host)))
        snprintf(loss, sizeof loss, "%.1f%%", pinged_loss(host));
    if (host->times.count) {
        snprintf(last, sizeof last, "%.3f", (double)host->times.last / 1000);
        snprintf(average, sizeof average, "%.3f", host->times.mean / 1000);
    }
    int left, bytes = text_fit(pinged_label(host, label), name, &left);
    screen_line(ping->screen, "%.*s%*s %6s %5" PRId64 " %9s %9s %s", bytes, label, left, "", loss, host->sent, last,
                average, bar);
}

static void
draw(void *owner)
{
    struct ping *ping = owner;
    char bar[4 * RECENT + 1] = "", heading[80];
    int columns = screen_columns(ping->screen), name = 24, width = columns - name - 33;
    if (width > RECENT)
        width = RECENT;
    screen_begin(ping->screen);
    snprintf(heading, sizeof heading, "%-*s %6s %5s %9s %9s", name, "host", "loss", "sent", "last", "avg");
    screen_heading(ping->screen, heading);
    for (size_t i = 0; i < ping->count; i++) {
        const struct pinged *host = &ping->hosts[i];
        if (width > 0)
            draw_bar(host, bar, width);
        draw_host(ping, host, name, bar);
    }
    screen_end(ping->screen);
    events_set(ping->events, &ping->redraw, instant_after(events_now(ping->events), LIVE_EVERY));
}

static void
leave_table(void *owner)
{
    struct ping *ping = owner;
    if (ping->screen)
        screen_leave(ping->screen);
}

/* ---- all of it */

/* At Ctrl-\, as ping and fping do. On a terminal the line begins behind what it shows for the key. */
static void
tell(void *owner)
{
    struct ping *ping = owner;
    fflush(stdout);
    if (isatty(STDERR_FILENO))
        fputc('\r', stderr);
    for (size_t i = 0; i < ping->count && !ping->screen; i++)
        if (*ping->hosts[i].address)
            pinged_tell(&ping->hosts[i]);
}

static int
sum_up(struct ping *ping)
{
    const struct ping_options *options = ping->options;
    int status = ping->unresolved, widest = 0;
    if (ping->screen) {
        draw(ping);
        screen_close(ping->screen);
        ping->screen = NULL;
    }
    print_named(ping, true);
    for (size_t i = 0; i < ping->count; i++) {
        int length = (int)strlen(ping->hosts[i].host);
        widest = length > widest ? length : widest;
        bool few = options->deadline && options->count && ping->hosts[i].times.count < options->count;
        status |= few || !ping->hosts[i].times.count;
    }
    if (options->metrics)
        pinged_open_metrics(ping->hosts, ping->count);
    for (size_t i = 0; i < ping->count && !options->metrics; i++)
        if (options->probing.json)
            pinged_sum_up_json(&ping->hosts[i], &options->asking);
        else if (options->fping)
            pinged_sum_up_fping(&ping->hosts[i], widest);
        else
            pinged_sum_up(&ping->hosts[i], &options->asking);
    if (options->plot && !pinged_plot(ping->hosts, ping->count, options->plot))
        status = 1;
    return ping->died ? 2 : status;
}

static bool
can_do(struct ping *ping)
{
    return client_needs_protocol(ping->client, ping->options->probing.protocol) &&
           asking_can(&ping->options->asking, ping->client) &&
           (!ping->options->fragments || client_needs(ping->client, FEATURE_DONT_FRAGMENT));
}

static void
prepare(struct ping *ping)
{
    const struct ping_options *options = ping->options;
    probing_arguments(&options->probing, ping->arguments);
    size_t used = strlen(ping->arguments);
    if (client_can(ping->client, FEATURE_COLLECT))
        used += (size_t)snprintf(ping->arguments + used, sizeof ping->arguments - used, " collect 1");
    if (client_can(ping->client, FEATURE_DETAIL))
        used += (size_t)snprintf(ping->arguments + used, sizeof ping->arguments - used, " detail 1");
    if (options->fragments)
        snprintf(ping->arguments + used, sizeof ping->arguments - used, " dont-fragment %d",
                 strcmp(options->fragments, "do") == 0);
    if (!client_can(ping->client, FEATURE_COLLECT) || !client_can(ping->client, FEATURE_DETAIL))
        client_says_less(ping->client, options->probing.protocol, "no size, no time to live, no late and no double answers");
    ping->may_change_flow = strcmp(options->probing.protocol, "icmp") == 0 && !options->asking.row && client_can(ping->client, FEATURE_FLOW) &&
                            (options->probing.size < 0 || options->probing.size >= ROOM_FOR_FLOW);
    for (size_t i = 0; i < ping->count; i++)
        ping->chains[i] = (struct chain){ ping, { .rings = send_next, .owner = &ping->chains[i] }, { 0 }, { 0 }, 0 };
    ping->timeouts = (struct alarm){ .rings = judge_timeouts, .owner = ping };
    ping->deadline = (struct alarm){ .rings = give_up, .owner = ping };
    ping->redraw = (struct alarm){ .rings = draw, .owner = ping };
    ping->patience = (struct alarm){ .rings = end_patience, .owner = ping };
}

/* The lines that wait for a name have a little more time, unless it was Ctrl-C. */
static void
wait_for_names(struct ping *ping)
{
    while (ping->lines && names_awaited(ping->names) && !events_signal(ping->events))
        events_turn(ping->events, 100 * NS_PER_MS);
}

static int
run(struct ping *ping)
{
    ping->client = client_start(ping->events, (struct client_user){ heard, died, ping });
    if (!ping->client)
        return events_signal(ping->events) ? 1 : 2;
    if (!can_do(ping))
        return 2;
    prepare(ping);
    names_on_change(ping->names, names_changed, ping);
    ping->start = clock_now();
    ping->resolving = ping->count;
    for (size_t i = 0; i < ping->count; i++)
        host_find(ping->names, ping->hosts[i].host, ping->options->probing.family, found, ping, i);
    end_if_all_are_done(ping);
    if (ping->options->deadline)
        events_set(ping->events, &ping->deadline, instant_after(ping->start, ping->options->deadline));
    if (ping->options->live && (ping->screen = screen_open()))
        events_set(ping->events, &ping->redraw, ping->start);
    events_on_quit(ping->events, tell, ping);
    events_on_continue(ping->events, leave_table, ping);
    events_run(ping->events);
    if (ping->refused) {
        screen_close(ping->screen);
        return 2;
    }
    wait_for_names(ping);
    return sum_up(ping);
}

static const char *
hint(char letter)
{
    switch (letter) {
    case 'a': return "an audible ping is not offered";
    case 'b': case 'B': return "to a broadcast address, write requests for mtr-packet(8) with broadcast 1";
    case 'l': case 'A': return "-f, or a short -i, probes fast";
    case 'C': return "-c N --fping";
    case 'e': return "identifiers are chosen so that nobody else's answers are taken";
    case 'H': return "names are looked up unless -n is given";
    case 'O': return "what is not answered is always told";
    case 'R': case 'T': return "IP options are not offered";
    case 'r': case 'L': case 'd': case 'S': case 'U': case 'N': return "not offered";
    case 'm': return "a mark is for requests of mtr-packet(8)";
    case 'v': return "errors are always told";
    case 'V': return "--version";
    default: return NULL;
    }
}

/* Two samples of the same name and labels: node_exporter takes that for a fault, and then tells nothing at all. */
static void
check_metrics(char **hosts, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t other = 0; other < i; other++)
            if (strcmp(hosts[i], hosts[other]) == 0)
                wrong("a host once only with --openmetrics, not %s twice", hosts[i]);
}

static void
read_options(int argc, char **argv, struct ping_options *options, size_t *hosts)
{
    struct command command = {
        "probe-ping [OPTION]... HOST...",
        "Probes each HOST at an interval, prints a line for each answer, and a summary at the end or on Ctrl-C.",
        {
            { 'c', "count", "N", WHOLE, &options->count, "so many probes to each host; without it, until Ctrl-C", 1, 999999999 },
            { 'i', "interval", "SECONDS", SECONDS, &options->interval, "from one probe to the next, 0.01 or more (1)", 0, 0 },
            { 'w', "deadline", "SECONDS", SECONDS, &options->deadline,
              "end after so long; with -c, when so many were answered", 0, 0 },
            { 'q', "quiet", NULL, NO_VALUE, &options->quiet, "the summary only", 0, 0 },
            { 'f', "flood", NULL, NO_VALUE, &options->flood,
              "the next probe as soon as the last is answered, 100 a second if none is; implies -q", 0, 0 },
            { 'D', "timestamp", NULL, NO_VALUE, &options->stamps, "the time of day before each line", 0, 0 },
            { 'M', "fragments", "do|dont", WORD, &options->fragments, "set DF and do not fragment here, or clear DF", 0, 0 },
            { 0, "live", NULL, NO_VALUE, &options->live, "a table that is drawn anew, a bar of the last probes of each host", 0, 0 },
            { 0, "fping", NULL, NO_VALUE, &options->fping, "a line for each host at the end, as fping -C", 0, 0 },
            { 0, "openmetrics", NULL, NO_VALUE, &options->metrics, "metrics at the end, for Prometheus' node_exporter", 0, 0 },
            { 0, "clock", NULL, NO_VALUE, &options->asking.clock,
              "ask for the host's clock: offset, drift, the way there and back", 0, 0 },
            { 0, "interface", "NAME|INDEX|ADDRESS", WORD, &options->asking.interface,
              "ask whether this interface of the host is up (RFC 8335)", 0, 0 },
            { 0, "ecn", NULL, NO_VALUE, &options->asking.ecn,
              "by tcp: which ECN codepoints reach the host, each in turn (-c 4)", 0, 0 },
            { 0, "plot", "FILE.svg", WORD, &options->plot, "draw the round trips over time, losses marked, by gnuplot", 0, 0 },
        },
        hint,
    };
    command_add_service(&command, &options->probing);
    command_add_probing(&command, &options->probing);
    *hosts = (size_t)command_read(&command, argc, argv);
    if (!*hosts)
        wrong("no host; usage: %s", command.usage);
    asking_begin(&options->asking, &options->probing);
    probing_check(&options->probing);
    asking_check(&options->asking);
    if (options->asking.ecn && !options->count && !options->deadline)
        options->count = ECN_CODEPOINTS;
    if (options->interval < LEAST_INTERVAL)
        wrong("--interval takes 0.01 or more");
    if (options->fragments && strcmp(options->fragments, "do") != 0 && strcmp(options->fragments, "dont") != 0)
        wrong("--fragments takes do or dont, not %s", options->fragments);
    if (options->live + options->fping + options->metrics + options->probing.json > 1)
        wrong("one of --live, --fping, --openmetrics and --json");
    if (options->metrics)
        check_metrics(argv + 1, *hosts);
    if (options->plot && system("command -v gnuplot >/dev/null") != 0)
        wrong("no gnuplot (Debian package gnuplot-nox)");
    FILE *plot = options->plot ? fopen(options->plot, "ae") : NULL; /* not to be found out only when all is measured */
    if (options->plot && !plot)
        err(2, "%s", options->plot);
    if (plot)
        fclose(plot);
    if (options->flood)
        options->interval = LEAST_INTERVAL;
}

int
main(int argc, char **argv)
{
    struct ping_options options = { .probing = probing_default(4 * NS_PER_S), .interval = NS_PER_S };
    struct ping ping = { .options = &options };
    read_options(argc, argv, &options, &ping.count);
    ping.events = events_new();
    ping.hosts = calloc(ping.count, sizeof *ping.hosts);
    ping.chains = calloc(ping.count, sizeof *ping.chains);
    if (!ping.events || !ping.hosts || !ping.chains)
        err(2, NULL);
    for (size_t i = 0; i < ping.count; i++)
        ping.hosts[i].host = argv[1 + i];
    ping.names = names_new(ping.events);
    int status = run(&ping);
    client_stop(ping.client);
    names_free(ping.names);
    for (size_t i = 0; i < ping.count; i++)
        pinged_free(&ping.hosts[i]);
    free(ping.hosts);
    free(ping.chains);
    free(ping.ring);
    events_free(ping.events);
    return status;
}
