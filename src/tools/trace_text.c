/* SPDX-License-Identifier: MIT */
/* The lines that people read. */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ecn.h"
#include "tools/text.h"
#include "tools/trace_show.h"

#define LINE_OF_COLUMNS "%-40s"
#define NOT_KNOWN "not known yet" /* when it was interrupted */

/* ---- what all forms ask */

bool
show_hop_is_known(const struct traced *host, int ttl)
{
    const struct trace *trace = host->trace;
    if (host->stage == STAGE_TRACED || trace->hurry)
        return true;
    if (host->path.chosen)
        return false; /* flows may still be added */
    return path_hop_is_known(&host->path, ttl) && (!host->sizes || path_hop(&host->path, ttl)->measured);
}

bool
show_names_are_known(struct traced *host, int ttl)
{
    const char *name, *system;
    bool known = true;
    for (int flow = 0; flow < host->path.flow_count; flow++)
        for (int query = 0; query < host->path.queries; query++) {
            const struct reply *answer = path_cell(&host->path, ttl, flow, query)->answer;
            if (answer && answer->from)
                known &= trace_facts(host->trace, answer->from, &name, &system);
        }
    return known;
}

int
show_end(const struct traced *host)
{
    int end = path_end(&host->path);
    if (!host->trace->hurry)
        return end;
    int known = host->path.front > host->shown ? host->path.front : host->shown;
    return known < end ? known : end;
}

struct said *
show_said(struct traced *host, int flow)
{
    flow = flow == SCOUT ? 0 : flow;
    if (flow >= host->said_count) {
        int count = host->path.flow_count;
        host->said = realloc(host->said, (size_t)count * sizeof *host->said);
        if (!host->said)
            err(2, NULL);
        while (host->said_count < count)
            host->said[host->said_count++] = (struct said){ .question = &host->trace->options->probing.question,
                                                            .ecn = host->trace->options->ecn,
                                                            .sent_tos = trace_tos(host->trace),
                                                            .tos = trace_tos(host->trace) };
    }
    return &host->said[flow];
}

bool
show_is_open(const struct traced *host, const struct cell *cell)
{
    return host->trace->hurry && (cell->state == CELL_ASKED || cell->state == CELL_IDLE);
}

int
show_flow_instead(const struct traced *host, int ttl)
{
    const struct path *path = &host->path;
    for (int flow = 0; flow < path->flow_count; flow++)
        for (int query = 0; query < path->queries; query++)
            if (!show_is_open(host, path_cell(path, ttl, flow, query)))
                return 0;
    return path->serial && path_answer(path, ttl, SCOUT) ? SCOUT : 0;
}

/* ---- pieces of a line */

static FILE *
open_text(char **text, size_t *size)
{
    FILE *to = open_memstream(text, size);
    if (!to)
        err(2, NULL);
    return to;
}

static void
print_labels(FILE *to, const struct reply *answer)
{
    struct label labels[LABELS_MAX];
    size_t count = reply_labels(answer, labels);
    for (size_t i = 0; i < count; i++)
        fprintf(to, "%s%u class %u ttl %u", i ? ", " : " [mpls ", labels[i].label, labels[i].traffic_class,
                labels[i].ttl);
    if (count)
        fputs("]", to);
}

static void
print_size(FILE *to, const struct hop *hop)
{
    if (hop->mtu)
        fprintf(to, "  mtu %" PRId64, hop->mtu);
    if (hop->mtu && hop->vanish)
        fprintf(to, " (larger ones%s vanish without a word)", hop->vanish_either ? ", or the answers to them," : "");
}

static bool
is_same(const char *one, const char *other)
{
    return one == other || (one && other && strcmp(one, other) == 0);
}

/* The answers of a flow: an address where it is another than before, the times, and what else they tell. */
static void
print_answers(FILE *to, struct traced *host, int ttl, int flow)
{
    char title[400], ms[32], mark[300], words[WORDS_MAX];
    const char *who = NULL, *labels = NULL;
    char *told = NULL;
    size_t size;
    FILE *behind = open_text(&told, &size);
    for (int query = 0; query < host->path.queries; query++) {
        const struct cell *cell = path_cell(&host->path, ttl, flow, query);
        const struct reply *answer = cell->answer;
        if (!answer) {
            fputs(cell->state == CELL_SPARED || show_is_open(host, cell) ? "" : " *", to);
            continue;
        }
        if (answer->from && !is_same(answer->from, who)) {
            who = answer->from;
            fprintf(to, " %s", trace_title(host->trace, who, title));
            fflush(behind);
            if (*words_of(show_said(host, flow), answer, ttl, host->address, words))
                fprintf(behind, "%s%s", size ? ", " : "  ", words);
        }
        if (answer->round_trip_us >= 0)
            fprintf(to, "  %s ms", text_ms(answer->round_trip_us, ms));
        const char *said = reply_mark(answer, mark, sizeof mark);
        if (*said)
            fprintf(to, " %s", said);
        if (answer->value[FIELD_MPLS] && !is_same(answer->value[FIELD_MPLS], labels)) {
            labels = answer->value[FIELD_MPLS];
            print_labels(to, answer);
        }
    }
    if (path_hop_is_limited(&host->path, ttl)) {
        fflush(behind);
        fprintf(behind, "%slimited", size ? ", " : "  ");
    }
    fclose(behind);
    fputs(told, to);
    free(told);
    print_size(to, path_hop(&host->path, ttl));
}

/* Who answers which flows. */
struct group {
    const char *who; /* NULL: nobody */
    int first;       /* flow */
    FILE *flows;
    char *list;
    size_t size;
    int count;
};

static size_t
group_flows(const struct traced *host, int ttl, struct group *groups)
{
    const struct path *path = &host->path;
    size_t count = 0;
    for (int flow = 0; flow < path->flow_count; flow++) {
        const struct flow *one = &path->flows[flow];
        const struct reply *answer = path_answer(path, ttl, flow);
        if ((one->end && ttl > one->end) || path_cell(path, ttl, flow, 0)->state == CELL_IDLE ||
            (!answer && show_is_open(host, path_cell(path, ttl, flow, 0))))
            continue;
        size_t i = 0;
        while (i < count && !is_same(groups[i].who, answer ? answer->from : NULL))
            i++;
        if (i == count) {
            groups[count] = (struct group){ .who = answer ? answer->from : NULL, .first = flow };
            groups[count].flows = open_text(&groups[count].list, &groups[count].size);
            count++;
        }
        fprintf(groups[i].flows, " %d", flow);
        groups[i].count++;
    }
    for (size_t i = 0; i < count; i++)
        fclose(groups[i].flows);
    return count;
}

static void
print_group(FILE *to, struct traced *host, int ttl, const struct group *group, bool alone)
{
    char title[400], ms[32], mark[300], words[WORDS_MAX];
    const struct reply *answer = path_answer(&host->path, ttl, group->first);
    if (!group->who)
        fputs(" *", to);
    else
        fprintf(to, " %s", trace_title(host->trace, group->who, title));
    if (answer && answer->round_trip_us >= 0)
        fprintf(to, "  %s ms", text_ms(answer->round_trip_us, ms));
    if (answer && *reply_mark(answer, mark, sizeof mark))
        fprintf(to, " %s", reply_mark(answer, mark, sizeof mark));
    if (answer)
        print_labels(to, answer);
    if (!alone)
        fprintf(to, "  (flow%s%s)", group->count == 1 ? "" : "s", group->list);
    if (answer && *words_of(show_said(host, group->first), answer, ttl, host->address, words))
        fprintf(to, "  %s", words);
}

static void
note_difference(struct traced *host, int ttl)
{
    char *longer;
    if (asprintf(&longer, "%s %d", host->differs ? host->differs : "", ttl) < 0)
        err(2, NULL);
    free(host->differs);
    host->differs = longer;
}

/* A line for each router. A star, a probe lost or a silent router, is no other way. */
static void
print_flows(FILE *to, struct traced *host, int ttl)
{
    struct group *groups = calloc((size_t)host->path.flow_count, sizeof *groups);
    int ways = 0;
    if (!groups)
        err(2, NULL);
    size_t count = group_flows(host, ttl, groups);
    for (size_t i = 0; i < count; i++) {
        ways += groups[i].who != NULL;
        if (i)
            fputs("\n    ", to);
        print_group(to, host, ttl, &groups[i], count == 1);
        free(groups[i].list);
    }
    if (path_hop_is_limited(&host->path, ttl))
        fputs("  limited", to);
    print_size(to, path_hop(&host->path, ttl));
    if (ways > 1)
        note_difference(host, ttl);
    free(groups);
}

/* ---- columns of --wide */

static void
print_columns_head(const struct traced *host)
{
    printf("%3s " LINE_OF_COLUMNS, "hop", "host");
    for (int query = 0; query < host->path.queries; query++)
        printf(" %9s", "ms");
    printf(" %4s %4s %-9s %-3s %6s %-24s %s\n", "back", "dscp", "ecn", "nat", "mtu", "interface", "mpls and others");
}

/* Of a type of service as it came to the hop. */
static void
print_tos_columns(const struct traced *host, const struct reply *answer)
{
    int64_t tos = answer ? reply_number(answer, FIELD_QUOTED_TOS) : -1;
    char dscp[8] = "";
    (void)host;
    if (tos >= 0 && tos < 256)
        snprintf(dscp, sizeof dscp, "%d", (int)tos >> 2);
    printf(" %4s %-9s", dscp, tos >= 0 && tos < 256 ? ecn_name((unsigned)tos & ECN_MASK) : "");
}

static void
print_columns(struct traced *host, int ttl, int flow)
{
    char title[400], back[12] = "", mtu[24] = "", interface[400] = "", mark[300] = "", words[WORDS_MAX] = "";
    const struct reply *answer = path_answer(&host->path, ttl, flow);
    const struct hop *hop = path_hop(&host->path, ttl);
    const char *nobody = show_is_open(host, path_cell(&host->path, ttl, flow, 0)) ? NOT_KNOWN : "*";
    printf("%3d " LINE_OF_COLUMNS, ttl, answer && answer->from ? trace_title(host->trace, answer->from, title) : nobody);
    for (int query = 0; query < host->path.queries; query++) {
        const struct cell *cell = path_cell(&host->path, ttl, flow, query);
        if (cell->answer && cell->answer->round_trip_us >= 0)
            printf(" %9.3f", (double)cell->answer->round_trip_us / 1000);
        else
            printf(" %9s", cell->state == CELL_SPARED || show_is_open(host, cell) ? "" : "*");
    }
    if (answer && words_back(answer, ttl) >= 0)
        snprintf(back, sizeof back, "%d", words_back(answer, ttl));
    if (hop->mtu)
        snprintf(mtu, sizeof mtu, "%" PRId64, hop->mtu);
    if (answer)
        words_interface(answer, interface, sizeof interface);
    printf(" %4s", back);
    print_tos_columns(host, answer);
    printf(" %-3s %6s %-24s", answer && answer->value[FIELD_NAT] ? "nat" : "", mtu, interface);
    if (answer) {
        const char *said = reply_mark(answer, mark, sizeof mark);
        words_of(show_said(host, flow), answer, ttl, host->address, words);
        printf("%s%s", *said ? " " : "", said);
        print_labels(stdout, answer);
        printf("%s%s", *words ? " " : "", words);
    }
    puts(path_hop_is_limited(&host->path, ttl) ? " limited" : "");
}

/* A row for each flow; of a hop of which nothing is known one that says so. */
static void
print_rows_of_columns(struct traced *host, int ttl, int instead)
{
    bool any = false;
    for (int flow = 0; flow < host->path.flow_count; flow++) {
        const struct cell *first = path_cell(&host->path, ttl, flow, 0);
        bool ended = host->path.flows[flow].end && ttl > host->path.flows[flow].end;
        if (first->state == CELL_IDLE || ended || (show_is_open(host, first) && !path_answer(&host->path, ttl, flow)))
            continue;
        print_columns(host, ttl, flow);
        any = true;
    }
    if (!any)
        print_columns(host, ttl, instead);
}

/* ---- lines */

static void
print_head(struct traced *host)
{
    struct trace *trace = host->trace;
    const struct trace_options *options = trace->options;
    char clean[300], hops[40];
    host->headed = true;
    if (trace->headed)
        putchar('\n');
    text_printable(host->host, clean, sizeof clean);
    printf("path to %s", clean);
    if (*host->address && strcmp(host->host, host->address) != 0)
        printf(" (%s)", host->address);
    printf(", %s at most, %s", text_count(options->last, "hop", hops, sizeof hops), options->probing.protocol);
    putchar('\n');
    if (options->wide)
        print_columns_head(host);
    trace->headed = true;
}

static bool
is_stars(const char *text)
{
    return text[strspn(text, "* ")] == 0;
}

static void
keep_stars(struct traced *host, int ttl, const char *text)
{
    char *longer;
    if (asprintf(&longer, "%s%3d %s\n", host->stars ? host->stars : "", ttl, text) < 0)
        err(2, NULL);
    free(host->stars);
    host->stars = longer;
    if (!host->silent_from)
        host->silent_from = ttl;
}

static void
print_hop(struct traced *host, int ttl)
{
    char *text;
    size_t size;
    int instead = show_flow_instead(host, ttl);
    if (host->trace->options->wide) {
        print_rows_of_columns(host, ttl, instead);
        return;
    }
    FILE *to = open_text(&text, &size);
    if (host->path.flow_count > 1 && instead != SCOUT)
        print_flows(to, host, ttl);
    else
        print_answers(to, host, ttl, instead);
    if (fflush(to) == 0 && !size)
        fputs(" " NOT_KNOWN, to);
    fclose(to);
    if (is_stars(text)) {
        keep_stars(host, ttl, text); /* shown when one behind it answers */
    } else {
        printf("%s%3d %s\n", host->stars ? host->stars : "", ttl, text);
        free(host->stars);
        host->stars = NULL;
        host->silent_from = 0;
    }
    free(text);
}

static void
print_end(struct traced *host)
{
    const struct path *path = &host->path;
    int refusal = host->silent_from ? path_refusal(path, host->silent_from) : 0;
    if (host->silent_from)
        printf("%3d  * and so on to %d", host->silent_from, host->shown);
    if (refusal)
        printf(" (not let out by this host: errno %d)", refusal);
    if (host->silent_from)
        putchar('\n');
    if (host->differs)
        printf("hops that differ between flows:%s\n", host->differs);
    else if (path->flow_count > 1 && !host->trace->hurry)
        puts("no hop differs between flows");
    if (path->chosen)
        printf("%d flows%s\n", path->flow_count,
               host->trace->hurry      ? ""
               : path->short_of_flows ? ", and more would have been needed to miss no next hop"
                                      : ": no next hop is missed, with 95% certainty");
}

bool
text_show(struct traced *host)
{
    if (!*host->address) {
        if (host->trace->count > 1) {
            char clean[300];
            if (host->trace->screen)
                screen_clear(host->trace->screen);
            printf("%spath to %s: %s\n", host->trace->headed ? "\n" : "",
                   text_printable(host->host, clean, sizeof clean), *host->why ? host->why : "not looked up yet");
            host->trace->headed = true;
        }
        return true;
    }
    if (!host->headed)
        print_head(host);
    for (int ttl = host->shown + 1; ttl <= show_end(host); ttl++) {
        if (!show_hop_is_known(host, ttl) || !show_names_are_known(host, ttl))
            return false;
        host->shown = ttl;
        print_hop(host, ttl);
    }
    if (host->stage != STAGE_TRACED)
        return false;
    print_end(host);
    return true;
}
