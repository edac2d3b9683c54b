/* SPDX-License-Identifier: MIT */
#include "tools/pairs_try.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/json.h"

static int
version_of(enum family_id family)
{
    return family == IPV4 ? 4 : 6;
}

struct pair *
pairs_add(struct pairs *pairs, const struct place *source, const struct place *to)
{
    if (pairs->count == pairs->room) {
        pairs->room = pairs->room ? 2 * pairs->room : 16;
        pairs->all = realloc(pairs->all, pairs->room * sizeof *pairs->all);
        if (!pairs->all)
            err(2, NULL);
    }
    struct pair *pair = &pairs->all[pairs->count++];
    *pair = (struct pair){ .source = source, .to = *to, .rank = RANK_NOT_KNOWN, .state = "not probed" };
    return pair;
}

void
pairs_free(struct pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++)
        free(pairs->all[i].times);
    free(pairs->all);
}

/* ---- what comes of a probe */

void
pair_sent(struct pair *pair)
{
    pair->sent++;
    if (pair->rank == RANK_NOT_KNOWN)
        snprintf(pair->state, sizeof pair->state, "not waited for");
}

static void
keep_time(struct pair *pair, int64_t us)
{
    if (pair->received == pair->room) {
        pair->room = pair->room ? 2 * pair->room : 4;
        pair->times = realloc(pair->times, (size_t)pair->room * sizeof *pair->times);
        if (!pair->times)
            err(2, NULL);
    }
    pair->times[pair->received++] = us;
}

/* A reply may be the error by which a host without a listener answers. */
static enum rank
rank_of(const struct reply *reply)
{
    const char *flags = reply->value[FIELD_TCP_FLAGS];
    int64_t type = reply_number(reply, FIELD_ICMP_TYPE);
    bool is_unreachable = type == (reply->value[FIELD_IP_4] ? 3 : 1);
    if (reply->kind == KIND_NO_REPLY)
        return RANK_SILENT;
    if (reply->kind != KIND_REPLY)
        return RANK_FAILED;
    if (flags && strstr(flags, "syn"))
        return RANK_CONNECTED;
    return is_unreachable || (flags && strstr(flags, "rst")) ? RANK_REFUSED : RANK_ANSWERED;
}

void
pair_judge(struct pair *pair, const struct reply *reply)
{
    static const char *const words[] = {
        [RANK_CONNECTED] = "connected", [RANK_ANSWERED] = "answered", [RANK_REFUSED] = "refused" };
    enum rank rank = rank_of(reply);
    char buffer[STATE_MAX];
    if (rank <= RANK_REFUSED)
        keep_time(pair, reply->round_trip_us);
    if (rank >= pair->rank)
        return;
    pair->rank = rank;
    pair->untaken = *pair->to.interface && strcmp(reply->word, "invalid-argument") == 0;
    if (pair->untaken)
        snprintf(pair->state, sizeof pair->state, "no address with a scope is taken by this daemon");
    else if (rank <= RANK_REFUSED)
        snprintf(pair->state, sizeof pair->state, "%s", words[rank]);
    else
        snprintf(pair->state, sizeof pair->state, "%.80s%s%.64s", reply_error(reply, buffer, sizeof buffer),
                 reply->from ? " from " : "", reply->from ? reply->from : "");
}

static int
compare_times(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return one < other ? -1 : one > other;
}

double
pair_median(struct pair *pair)
{
    int64_t n = pair->received;
    if (!n)
        return -1;
    qsort(pair->times, (size_t)n, sizeof *pair->times, compare_times);
    return ((double)pair->times[(n - 1) / 2] + (double)pair->times[n / 2]) / 2;
}

/* ---- the table */

struct row {
    struct pair *pair;
    double median;
};

static int
compare_rows(const void *a, const void *b)
{
    const struct row *one = a, *other = b;
    if (one->pair->rank != other->pair->rank)
        return one->pair->rank < other->pair->rank ? -1 : 1;
    if (one->median != other->median)
        return one->median < other->median ? -1 : 1;
    return one->pair < other->pair ? -1 : one->pair > other->pair;
}

static const char *
source_text(const struct pair *pair, char buffer[PLACE_TEXT_MAX])
{
    struct place bare = *pair->source;
    *bare.interface = 0;
    return place_text(&bare, buffer);
}

static void
show_row_json(const struct row *row, const char *host)
{
    const struct pair *pair = row->pair;
    char source[PLACE_TEXT_MAX], to[PLACE_TEXT_MAX];
    json_t *object = json_begin("pair", host, place_text(&pair->to, to));
    json_put_number(object, "family", version_of(pair->to.family));
    json_put(object, "source", source_text(pair, source));
    json_put(object, "interface", pair->source->interface);
    json_put(object, "destination", to);
    json_put_ms(object, "median_ms", row->median);
    json_put(object, "state", pair->state);
    json_put_number(object, "sent", pair->sent);
    json_put_number(object, "received", pair->received);
    json_print(object);
}

static void
show_row(const struct row *row, int wide, int wider)
{
    char source[PLACE_TEXT_MAX], to[PLACE_TEXT_MAX], ms[32] = "-";
    if (row->median >= 0)
        snprintf(ms, sizeof ms, "%.3f ms", row->median / 1000);
    printf("IPv%d  %-*s  %-*s  %13s  %s\n", version_of(row->pair->to.family), wide, source_text(row->pair, source), wider,
           place_text(&row->pair->to, to), ms, row->pair->state);
}

void
pairs_show(struct pairs *pairs, const char *host, bool json)
{
    struct row *rows = calloc(pairs->count + 1, sizeof *rows);
    char text[PLACE_TEXT_MAX];
    int wide = 0, wider = 0;
    if (!rows)
        err(2, NULL);
    for (size_t i = 0; i < pairs->count; i++) {
        struct pair *pair = &pairs->all[i];
        rows[i] = (struct row){ pair, pair_median(pair) };
        int source = (int)strlen(source_text(pair, text)), to = (int)strlen(place_text(&pair->to, text));
        wide = source > wide ? source : wide;
        wider = to > wider ? to : wider;
    }
    qsort(rows, pairs->count, sizeof *rows, compare_rows);
    for (size_t i = 0; i < pairs->count; i++)
        if (json)
            show_row_json(&rows[i], host);
        else
            show_row(&rows[i], wide, wider);
    free(rows);
}

/* ---- the status of this host */

enum truth { UNKNOWN, NOT_WAITED_FOR, NO, YES };

struct status {
    bool present[FAMILIES][REACHES];
    enum truth works[FAMILIES][REACHES];
    enum truth ipv4;
    enum truth translated[FAMILIES];
};

static void
note(enum truth *what, const struct pair *pair)
{
    enum truth truth = pair->received ? YES : pair->rank != RANK_NOT_KNOWN ? NO : pair->sent ? NOT_WAITED_FOR : UNKNOWN;
    if (truth > *what && !pair->untaken)
        *what = truth;
}

static void
note_pair(struct status *status, const struct pair *pair)
{
    enum family_id family = pair->to.family;
    enum reach near = pair->source->reach, far = pair->to.reach;
    if (family == IPV4 || near == far)
        note(&status->works[family][near], pair);
    if (family == IPV4 && near != REACH_LOOPBACK)
        note(&status->ipv4, pair);
    /* A source that means nothing out there, and is answered: somebody translates it. */
    if ((near == REACH_PRIVATE || near == REACH_SHARED || near == REACH_UNIQUE) && far == REACH_GLOBAL)
        note(&status->translated[family], pair);
}

static struct status
status_of(const struct pairs *pairs, const struct here *here)
{
    struct status status = { .ipv4 = UNKNOWN };
    for (size_t i = 0; i < here->source_count; i++)
        status.present[here->sources[i].family][here->sources[i].reach] = true;
    for (size_t i = 0; i < pairs->count; i++)
        note_pair(&status, &pairs->all[i]);
    for (size_t i = 0; i < pairs->count; i++)
        if (pairs->all[i].rewritten[0] & pairs->all[i].rewritten[1])
            status.translated[pairs->all[i].to.family] = YES;
    return status;
}

static void
put_truth(json_t *object, const char *key, enum truth truth)
{
    json_t *value = truth < NO ? json_null() : json_boolean(truth == YES);
    if (json_object_set_new(object, key, value) != 0)
        err(2, NULL);
}

static void
show_status_json(const struct status *status, const struct here *here, const char *host)
{
    char text[PLACE_TEXT_MAX];
    static const char *const keys[FAMILIES] = { [IPV4] = "def_gateway4", [IPV6] = "def_gateway6" };
    json_t *object = json_begin("status", host, NULL);
    put_truth(object, "GUA_present", status->present[IPV6][REACH_GLOBAL] ? YES : NO);
    put_truth(object, "GUA_ok", status->works[IPV6][REACH_GLOBAL]);
    put_truth(object, "ULA_present", status->present[IPV6][REACH_UNIQUE] ? YES : NO);
    put_truth(object, "ULA_ok", status->works[IPV6][REACH_UNIQUE]);
    put_truth(object, "LLA_present", status->present[IPV6][REACH_LINK] ? YES : NO);
    put_truth(object, "LLA_ok", status->works[IPV6][REACH_LINK]);
    put_truth(object, "IPv4_ok", status->ipv4);
    put_truth(object, "RFC1918", status->present[IPV4][REACH_PRIVATE] ? YES : NO);
    put_truth(object, "NAT44", status->translated[IPV4]);
    put_truth(object, "NPTv6", status->translated[IPV6]);
    for (enum family_id family = 0; family < FAMILIES; family++)
        if (here->gateway_count[family])
            json_put(object, keys[family], place_text(&here->gateways[family][0], text));
    json_print(object);
}

static void
show_kind(const struct status *status, const char *label, enum family_id family, enum reach reach)
{
    static const char *const words[] = {
        [UNKNOWN] = "present, not tried",
        [NOT_WAITED_FOR] = "present, not waited for",
        [NO] = "does not work",
        [YES] = "works",
    };
    printf("%-25s %s\n", label, status->present[family][reach] ? words[status->works[family][reach]] : "no address");
}

static void
show_gateways(const struct here *here, enum family_id family)
{
    char text[PLACE_TEXT_MAX];
    printf("IPv%d %-20s ", version_of(family), "default gateway");
    for (size_t i = 0; i < here->gateway_count[family]; i++)
        printf("%s%s", i ? ", " : "", place_text(&here->gateways[family][i], text));
    puts(here->gateway_count[family] ? "" : "none");
}

void
pairs_show_status(struct pairs *pairs, const struct here *here, const char *host, bool json)
{
    static const char *const truths[] = {
        [UNKNOWN] = "not known", [NOT_WAITED_FOR] = "not known", [NO] = "no", [YES] = "yes" };
    struct status status = status_of(pairs, here);
    if (json) {
        show_status_json(&status, here, host);
        return;
    }
    show_kind(&status, "IPv6 global", IPV6, REACH_GLOBAL);
    show_kind(&status, "IPv6 unique local", IPV6, REACH_UNIQUE);
    show_kind(&status, "IPv6 link local", IPV6, REACH_LINK);
    show_kind(&status, "IPv4 global", IPV4, REACH_GLOBAL);
    show_kind(&status, "IPv4 private (RFC 1918)", IPV4, REACH_PRIVATE);
    if (status.present[IPV4][REACH_SHARED])
        show_kind(&status, "IPv4 shared (CGN, CLAT)", IPV4, REACH_SHARED);
    show_gateways(here, IPV4);
    show_gateways(here, IPV6);
    printf("%-25s %s\n", "IPv4 translated (NAT44)", truths[status.translated[IPV4]]);
    printf("%-25s %s\n", "IPv6 translated (NPTv6)", truths[status.translated[IPV6]]);
}
