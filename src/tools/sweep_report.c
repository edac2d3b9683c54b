/* SPDX-License-Identifier: MIT */
#include "tools/sweep_report.h"

#include <err.h>
#include <inttypes.h>
#include <math.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/clock.h"
#include "tools/json.h"
#include "tools/text.h"

#define BAR_EVERY (200 * NS_PER_MS)
#define BAR_MAX 30
#define BESIDE_BAR 50 /* columns, for what stands behind it */
#define SELF "@"      /* in an outcome: the target's own address */

/* An error as the daemon told it, without its token and what differs from one to the next: of a network, few differ. */
struct outcome {
    uint32_t number; /* from 1 */
    char line[];
};

struct report {
    struct events *events;
    struct list *list;
    const struct report_rules *rules;
    struct report_pace (*pace)(void *owner); /* for the bar */
    void *pace_owner;
    size_t answered;

    void *known; /* tsearch(3)'s tree of struct outcome */
    struct outcome **outcomes; /* by number - 1 */
    uint32_t outcome_count;

    struct alarm redraw;
    bool shown;
    struct instant shown_at;
    int64_t probes_then;
    struct instant start;
};

struct report *
report_new(struct events *events, struct list *list, const struct report_rules *rules)
{
    struct report *report = calloc(1, sizeof *report);
    if (!report)
        err(2, NULL);
    report->events = events;
    report->list = list;
    report->rules = rules;
    return report;
}

void
report_free(struct report *report)
{
    if (!report)
        return;
    events_unset(report->events, &report->redraw);
    tdestroy(report->known, free);
    free(report->outcomes);
    free(report);
}

size_t
report_answered(const struct report *report)
{
    return report->answered;
}

/* ---- the bar */

void
report_hide_bar(struct report *report)
{
    if (report->shown)
        fputs("\r\033[K", stderr);
    report->shown = false;
}

static int
columns_of_stderr(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static void
draw_bar(void *owner)
{
    struct report *report = owner;
    static const char full[] = "##############################", empty[] = "..............................";
    struct instant now = clock_now();
    struct report_pace state = report->pace(report->pace_owner);
    int64_t gone = instant_since(now, report->start);
    double part = (double)gone / (double)(gone + state.left + 1);
    double rate = (double)(state.probes - report->probes_then) * 1e9 / (double)(instant_since(now, report->shown_at) + 1);
    int width = columns_of_stderr() - BESIDE_BAR;
    width = width < 1 ? 1 : width > BAR_MAX ? BAR_MAX : width;
    int done = (int)(part * width);
    fprintf(stderr, "\r\033[K[%.*s%.*s] %3d%%  %.0f/s  %zu answered  %" PRId64 " s left", done, full, width - done, empty,
            (int)(100 * part), rate, report->answered, (state.left + NS_PER_S / 2) / NS_PER_S);
    report->probes_then = state.probes;
    report->shown_at = now;
    report->shown = true;
    events_set(report->events, &report->redraw, instant_after(now, BAR_EVERY));
}

void
report_show_bar(struct report *report, struct report_pace (*pace)(void *owner), void *owner)
{
    if (!isatty(STDERR_FILENO))
        return;
    report->pace = pace;
    report->pace_owner = owner;
    report->start = report->shown_at = clock_now();
    report->redraw = (struct alarm){ .rings = draw_bar, .owner = report };
    events_set(report->events, &report->redraw, instant_after(report->start, BAR_EVERY));
}

void
report_close_bar(struct report *report)
{
    events_unset(report->events, &report->redraw);
    report_hide_bar(report);
}

/* ---- a target */

static void
print_label(const struct report *report, const struct swept *swept, const char *address)
{
    if (swept->name) {
        list_print_names(report->list, swept, stdout);
        printf(" (%s)", address);
    } else {
        fputs(address, stdout);
    }
}

/* Its host is what was given: the first of its names, or the address; `target` has all of the names. */
static json_t *
begin_json(const struct report *report, const char *type, const struct swept *swept, const char *address)
{
    const char *name = list_name(report->list, swept);
    json_t *object = json_begin(type, name ? name : address, address);
    char *names = NULL;
    size_t size;
    FILE *to = name ? open_memstream(&names, &size) : NULL;
    if (to) {
        list_print_names(report->list, swept, to);
        fclose(to);
        json_put(object, "target", names);
    }
    free(names);
    return object;
}

/* What is kept of an answer: the flags of TCP here, and the round trip in place of an error. */
static const char *const kept_flags[] = { NULL, "syn-ack", "rst" };

static void
keep_answer(struct swept *swept, const struct reply *reply, unsigned try)
{
    const char *flags = reply->value[FIELD_TCP_FLAGS];
    swept->answered = (try + 1) & 0x3f;
    for (unsigned i = 1; flags && i < sizeof kept_flags / sizeof *kept_flags; i++)
        if (strcmp(flags, kept_flags[i]) == 0)
            swept->flags = i & 3;
    swept->outcome = reply->round_trip_us < 0            ? 0
                     : reply->round_trip_us < UINT32_MAX ? (uint32_t)reply->round_trip_us
                                                         : UINT32_MAX;
}

static void
print_answer(int64_t us, const char *flags, const char *by)
{
    char ms[32];
    if (us >= 0) {
        putchar(' ');
        fputs(text_ms(us, ms), stdout);
        fputs(" ms", stdout);
    }
    if (flags)
        printf(" %s", flags);
    if (by)
        printf(" by %s, another address", by);
    putchar('\n');
}

void
report_answer(struct report *report, struct swept *swept, const struct reply *reply, unsigned try)
{
    char address[64];
    list_address(report->list, swept, address);
    keep_answer(swept, reply, try);
    report->answered++;
    report_hide_bar(report);
    if (report->rules->json) {
        json_t *answer = begin_json(report, "answer", swept, address);
        json_put_reply(answer, reply);
        json_put_service(answer, report->rules->question, reply);
        if (try != TRY_UNKNOWN)
            json_put_number(answer, "try", swept->answered);
        json_print(answer);
        return;
    }
    print_label(report, swept, address);
    print_answer(reply->round_trip_us, reply->value[FIELD_TCP_FLAGS],
                 reply->from && strcmp(reply->from, address) != 0 ? reply->from : NULL);
}

void
report_hop(struct report *report, const struct swept *swept, unsigned ttl, const struct reply *reply)
{
    char address[64], ms[32], words[200];
    const struct service_question *question = report->rules->question;
    list_address(report->list, swept, address);
    report_hide_bar(report);
    report->answered += reply->from != NULL;
    if (report->rules->json) {
        json_t *hop = begin_json(report, "hop", swept, address);
        json_put_number(hop, "hop", ttl);
        json_put_reply(hop, reply);
        json_put_service(hop, question, reply);
        json_print(hop);
        return;
    }
    print_label(report, swept, address);
    printf(" %u", ttl);
    if (reply->from)
        printf(" %s", reply->from);
    if (reply->round_trip_us >= 0)
        printf(" %s ms", text_ms(reply->round_trip_us, ms));
    const char *mark = reply->kind == KIND_NO_REPLY ? "*" : reply_mark(reply, words, sizeof words);
    printf("%s%s", *mark ? " " : "", mark);
    const char *says = service_words(question, service_hear(question, reply), words, sizeof words);
    printf("%s%s\n", *says ? " " : "", says);
}

void
report_named(struct report *report, const struct swept *swept, const char *name)
{
    char address[64];
    list_address(report->list, swept, address);
    report_hide_bar(report);
    if (report->rules->json) {
        json_t *answer = json_begin("answer", name, address);
        json_put(answer, "target", name);
        json_put(answer, "kind", "reply");
        json_put_ms(answer, "ms", swept->outcome);
        json_put(answer, "tcp_flags", kept_flags[swept->flags]);
        json_put_number(answer, "try", swept->answered);
        json_print(answer);
        return;
    }
    printf("%s (%s)", name, address);
    print_answer(swept->outcome, kept_flags[swept->flags], NULL);
}

/* ---- errors */

static int
compare(const void *a, const void *b)
{
    return strcmp(((const struct outcome *)a)->line, ((const struct outcome *)b)->line);
}

static uint32_t
number_of(struct report *report, const char *line)
{
    struct outcome *fresh = malloc(sizeof *fresh + strlen(line) + 1);
    if (!fresh)
        err(2, NULL);
    strcpy(fresh->line, line);
    struct outcome **place = tsearch(fresh, &report->known, compare);
    if (!place)
        err(2, NULL);
    if (*place != fresh) {
        free(fresh);
        return (*place)->number;
    }
    fresh->number = ++report->outcome_count;
    report->outcomes = realloc(report->outcomes, report->outcome_count * sizeof(struct outcome *));
    if (!report->outcomes)
        err(2, NULL);
    report->outcomes[fresh->number - 1] = fresh;
    return fresh->number;
}

void
report_error(struct report *report, struct swept *swept, const struct reply *reply)
{
    static const struct { enum field field; const char *name; } kept[] = {
        { FIELD_MTU, "mtu" }, { FIELD_REASON, "reason" }, { FIELD_ARGUMENT, "argument" }, { FIELD_ERRNO, "errno" },
        { FIELD_ICMP_TYPE, "icmp-type" }, { FIELD_ICMP_CODE, "icmp-code" },
    };
    char address[64], line[400];
    size_t used = (size_t)snprintf(line, sizeof line, "%.60s", reply->word);
    if (reply->from)
        used += (size_t)snprintf(line + used, sizeof line - used, " ip-%c %.60s", swept->family == IPV4 ? '4' : '6',
                                 strcmp(reply->from, list_address(report->list, swept, address)) == 0 ? SELF : reply->from);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (reply->value[kept[i].field])
            used += (size_t)snprintf(line + used, sizeof line - used, " %s %.30s", kept[i].name,
                                     reply->value[kept[i].field]);
    swept->outcome = number_of(report, line);
}

/* The reply that was kept, in LINE of SIZE bytes. */
static bool
read_outcome(const struct report *report, const struct swept *swept, const char *address, char *line, size_t size,
             struct reply *reply)
{
    const char *kept = report->outcomes[swept->outcome - 1]->line, *self = strstr(kept, " " SELF);
    if (self)
        snprintf(line, size, "1 %.*s %s%s", (int)(self - kept), kept, address, self + 1 + strlen(SELF));
    else
        snprintf(line, size, "1 %s", kept);
    return reply_read(line, reply);
}

/* ---- the end */

/* Why nothing is known of a target, but that it did not answer in its time: then NULL. The word is JSON's. */
static const char *
why_unknown(const struct swept *swept)
{
    return swept->sent == 0 ? "not-probed" : swept->flags == SWEPT_UNWAITED ? "not-waited-for" : NULL;
}

static void
tell_silent_json(const struct report *report, const struct swept *swept, const char *address, const struct reply *reply)
{
    json_t *silent = begin_json(report, "silent", swept, address);
    if (reply) {
        json_put_reply(silent, reply);
        json_put_service(silent, report->rules->question, reply);
    } else {
        json_put(silent, "kind", why_unknown(swept));
    }
    json_print(silent);
}

/* An error; or an answer that is none of the service. */
static const char *
error_of(const struct report *report, const struct reply *reply, char *buffer, size_t size)
{
    const struct service_question *question = report->rules->question;
    return reply->kind == KIND_REPLY ? service_words(question, service_hear(question, reply), buffer, size)
                                     : reply_error(reply, buffer, size);
}

void
report_silent(const struct report *report, const struct swept *swept)
{
    char address[64], line[500], words[200];
    struct reply reply;
    list_address(report->list, swept, address);
    bool failed = swept->outcome && read_outcome(report, swept, address, line, sizeof line, &reply);
    if (report->rules->json) {
        tell_silent_json(report, swept, address, failed ? &reply : NULL);
        return;
    }
    print_label(report, swept, address);
    if (failed)
        printf(" %s%s%s\n", error_of(report, &reply, words, sizeof words), reply.from ? " from " : "",
               reply.from ? reply.from : "");
    else
        puts(!why_unknown(swept) ? " silent" : swept->sent ? " not waited for" : " not probed");
}

static void
tell_silent(void *owner, struct swept *swept)
{
    if (!swept->answered)
        report_silent(owner, swept);
}

/* A word without an address: LOST, or one of which nothing is known yet. */
static void
tell_word(const struct report *report, const char *word, const char *kind, const char *why)
{
    if (!report->rules->json) {
        printf("%s %s\n", word, strcmp(kind, "no-address") == 0 ? "no address" : "not probed");
        return;
    }
    json_t *silent = json_begin("silent", word, NULL);
    json_put(silent, "target", word);
    json_put(silent, "kind", kind);
    json_put(silent, "error", why);
    json_print(silent);
}

static void
tell_waiting(void *owner, const char *name)
{
    char clean[NAME_TEXT_MAX];
    tell_word(owner, text_printable(name, clean, sizeof clean), "not-probed", NULL);
}

static void
count_one(void *owner, struct swept *swept)
{
    struct report_sums *sums = owner;
    if (swept->answered)
        return;
    if (swept->outcome)
        sums->failed++;
    else if (!why_unknown(swept))
        sums->silent++;
    else if (swept->sent)
        sums->not_waited_for++;
    else
        sums->not_probed++;
}

void
report_count_lost(const struct report *report, struct report_sums *sums)
{
    const struct list *list = report->list;
    sums->targets += list_lost_count(list);
    for (size_t i = 0; i < list_lost_count(list); i++)
        if (list_lost(list, i)->is_name && report->rules->lost_is_silent)
            sums->silent++;
        else
            sums->lost++;
}

void
report_lost(struct report *report)
{
    for (size_t i = 0; i < list_lost_count(report->list); i++) {
        const struct lost *lost = list_lost(report->list, i);
        tell_word(report, lost->word, "no-address", lost->why);
    }
    list_visit_waiting(report->list, tell_waiting, report);
}

static void
count_all(const struct report *report, struct report_sums *sums)
{
    struct list *list = report->list;
    sums->targets = list_count(list) + list_waiting(list);
    sums->answered = report->answered;
    sums->not_probed = list_waiting(list);
    for (size_t i = 0; i < list_count(list); i++)
        count_one(sums, list_at(list, i));
    report_count_lost(report, sums);
}

static void
sum_up_json(const struct report_sums *sums)
{
    json_t *sum = json_begin("summary", NULL, NULL);
    json_put_number(sum, "targets", (int64_t)sums->targets);
    if (sums->hops)
        json_put_number(sum, "hops", sums->hops);
    json_put_number(sum, "answered", (int64_t)sums->answered);
    json_put_number(sum, "silent", (int64_t)sums->silent);
    json_put_number(sum, "errors", (int64_t)sums->failed);
    json_put_number(sum, "no_address", (int64_t)sums->lost);
    json_put_number(sum, "not_probed", (int64_t)sums->not_probed);
    json_put_number(sum, "not_waited_for", (int64_t)sums->not_waited_for);
    json_put_number(sum, "probes", sums->probes);
    json_put_ms(sum, "seconds", (double)sums->took / (double)NS_PER_MS); /* ms of us are s of ms */
    json_print(sum);
}

static void
print_part(uint64_t count, const char *what)
{
    if (count)
        printf(", %" PRIu64 " %s", count, what);
}

static void
sum_up(const struct report_sums *sums)
{
    int64_t tenths = (sums->took + NS_PER_S / 20) / (NS_PER_S / 10);
    printf("%" PRIu64 " targets", sums->targets);
    if (sums->hops)
        printf(" by %u hops", sums->hops);
    printf(": %" PRIu64 " answered, %" PRIu64 " silent", sums->answered, sums->silent);
    print_part(sums->failed, "with an error");
    print_part(sums->lost, "without an address");
    print_part(sums->not_waited_for, "not waited for");
    print_part(sums->not_probed, "not probed");
    printf("; %" PRId64 " probes in %" PRId64 ".%" PRId64 " s\n", sums->probes, tenths / 10, tenths % 10);
}

void
report_sums(const struct report *report, const struct report_sums *sums)
{
    if (report->rules->json)
        sum_up_json(sums);
    else
        sum_up(sums);
}

void
report_end(struct report *report, int64_t probes, int64_t took)
{
    struct list *list = report->list;
    struct report_sums sums = { .probes = probes, .took = took };
    report_close_bar(report);
    count_all(report, &sums);
    if (!report->rules->quiet) {
        list_visit(list, tell_silent, report);
        report_lost(report);
    }
    report_sums(report, &sums);
}
