/* SPDX-License-Identifier: MIT */
#include "tools/pinged.h"

#include <err.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/json.h"
#include "tools/text.h"

const char *
pinged_label(const struct pinged *host, char buffer[400])
{
    char clean[300];
    const char *name = text_printable(host->host, clean, sizeof clean);
    if (!*host->address || strcmp(name, host->address) == 0)
        snprintf(buffer, 400, "%s", name);
    else
        snprintf(buffer, 400, "%s (%s)", name, host->address);
    return buffer;
}

void
pinged_keep(struct pinged *host, double at)
{
    if (host->sent >= host->kept_room) {
        host->kept_room = 2 * host->sent + 16;
        host->kept = realloc(host->kept, (size_t)host->kept_room * sizeof *host->kept);
        if (!host->kept)
            err(2, NULL);
    }
    host->kept[host->sent] = (struct kept){ at, KEPT_UNDER_WAY };
}

double
pinged_loss(const struct pinged *host)
{
    int64_t settled = host->sent - host->open;
    return settled > 0 ? 100.0 * (double)(settled - host->times.count) / (double)settled : NAN;
}

/* ", 50% lost": of nothing it is no 0%, which would be a host that works. */
static void
print_loss(FILE *to, const struct pinged *host)
{
    double loss = pinged_loss(host);
    if (isnan(loss))
        fputs(", loss not known", to);
    else
        fprintf(to, ", %.4g%% lost", loss);
}

/* ", 3 late answers", or nothing. */
static void
print_some(int64_t count, const char *what)
{
    char text[80];
    if (count)
        printf(", %s", text_count(count, what, text, sizeof text));
}

void
pinged_sum_up(const struct pinged *host, const struct asking *asking)
{
    char label[400];
    const struct statistics *times = &host->times;
    printf("--- %s ---\n", pinged_label(host, label));
    if (!*host->address) {
        printf("%s\n", host->why);
        return;
    }
    printf("%" PRId64 " sent, %" PRId64 " received", host->sent, times->count);
    print_loss(stdout, host);
    print_some(host->duplicates, "duplicate answer");
    print_some(host->late, "late answer");
    print_some(host->errors, "error");
    if (host->open)
        printf(", %" PRId64 " under way", host->open);
    putchar('\n');
    if (times->count)
        printf("min/avg/max/stddev %.3f/%.3f/%.3f/%.3f ms, jitter %.3f ms\n", (double)times->least / 1000,
               times->mean / 1000, (double)times->most / 1000, statistics_deviation(times) / 1000,
               statistics_jitter(times) / 1000);
    asking_sum_up(asking, &host->told);
}

void
pinged_tell(const struct pinged *host)
{
    char label[400];
    const struct statistics *times = &host->times;
    fprintf(stderr, "%s: %" PRId64 "/%" PRId64 " answered", pinged_label(host, label), times->count, host->sent);
    print_loss(stderr, host);
    if (times->count)
        fprintf(stderr, ", min/avg/max %.3f/%.3f/%.3f ms", (double)times->least / 1000, times->mean / 1000,
                (double)times->most / 1000);
    fputc('\n', stderr);
}

void
pinged_sum_up_json(const struct pinged *host, const struct asking *asking)
{
    const struct statistics *times = &host->times;
    double loss = pinged_loss(host);
    json_t *sum = json_begin("summary", host->host, host->address);
    json_put(sum, "error", host->why);
    json_put_number(sum, "sent", host->sent);
    json_put_number(sum, "received", times->count);
    json_object_set_new(sum, "loss_percent", isnan(loss) ? json_null() : json_real(loss));
    json_put_number(sum, "duplicates", host->duplicates);
    json_put_number(sum, "late", host->late);
    json_put_number(sum, "errors", host->errors);
    json_put_number(sum, "under_way", host->open);
    if (times->count) {
        json_put_ms(sum, "min_ms", (double)times->least);
        json_put_ms(sum, "avg_ms", times->mean);
        json_put_ms(sum, "max_ms", (double)times->most);
        json_put_ms(sum, "stddev_ms", statistics_deviation(times));
        json_put_ms(sum, "jitter_ms", statistics_jitter(times));
        json_put_ms(sum, "p50_ms", (double)statistics_percentile(times, 50));
        json_put_ms(sum, "p95_ms", (double)statistics_percentile(times, 95));
        json_put_ms(sum, "p99_ms", (double)statistics_percentile(times, 99));
    }
    asking_sum_up_json(asking, &host->told, sum);
    json_print(sum);
}

/* fping's three digits: 1.23, 12.3, 123. */
static void
print_three_digits(int64_t us)
{
    double ms = (double)us / 1000;
    printf(" %.*f", ms < 1 ? 3 : ms < 10 ? 2 : ms < 100 ? 1 : 0, ms);
}

void
pinged_sum_up_fping(const struct pinged *host, int widest)
{
    char clean[300];
    int64_t known = host->sent;
    while (known > 0 && host->kept[known - 1].us == KEPT_UNDER_WAY)
        known--;
    printf("%-*s :", widest, text_printable(host->host, clean, sizeof clean));
    for (int64_t i = 0; i < known; i++)
        if (host->kept[i].us < 0)
            printf(" -");
        else
            print_three_digits(host->kept[i].us);
    puts(*host->address ? "" : " no address");
}

/* ---- OpenMetrics 1.0: https://github.com/prometheus/OpenMetrics, and promtool(1) */

static const double bounds[] = { 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                 2.5, 5, 10 };

/* A label's value: a backslash, a quote and a line's end have an escape; a name has none of the other two. */
static void
print_labels(const struct pinged *host, const char *more)
{
    char clean[300];
    printf("{host=\"");
    for (const char *at = text_printable(host->host, clean, sizeof clean); *at; at++)
        printf(*at == '"' || *at == '\\' ? "\\%c" : "%c", *at);
    printf("\",address=\"%s\"%s}", host->address, more);
}

static void
print_histogram(const struct pinged *host)
{
    char more[40];
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        snprintf(more, sizeof more, ",le=\"%g\"", bounds[i]);
        printf("probe_round_trip_seconds_bucket");
        print_labels(host, more);
        printf(" %" PRId64 "\n", statistics_within(&host->times, (int64_t)(bounds[i] * 1e6 + 0.5)));
    }
    printf("probe_round_trip_seconds_bucket");
    print_labels(host, ",le=\"+Inf\"");
    printf(" %" PRId64 "\nprobe_round_trip_seconds_count", host->times.count);
    print_labels(host, "");
    printf(" %" PRId64 "\nprobe_round_trip_seconds_sum", host->times.count);
    print_labels(host, "");
    printf(" %.6f\n", host->times.mean * (double)host->times.count / 1e6);
}

static int64_t
sent_of(const struct pinged *host)
{
    return host->sent - host->open;
}

static int64_t
received_of(const struct pinged *host)
{
    return host->times.count;
}

static int64_t
duplicates_of(const struct pinged *host)
{
    return host->duplicates;
}

static int64_t
errors_of(const struct pinged *host)
{
    return host->errors;
}

static const struct {
    const char *name, *help;
    int64_t (*of)(const struct pinged *host);
} counters[] = {
    { "probe_sent", "Probes of which it is known whether they were answered.", sent_of },
    { "probe_received", "Answers by the host in time.", received_of },
    { "probe_duplicates", "Further answers to a probe.", duplicates_of },
    { "probe_errors", "Errors, by routers or this host.", errors_of },
};

/*
 * OpenMetrics has a counter's type under its name without _total, and the older text format, which node_exporter reads,
 * under the name with it; each takes the other's for a fault. Without a type both take the samples.
 */
void
pinged_open_metrics(const struct pinged *hosts, size_t count)
{
    for (size_t c = 0; c < sizeof counters / sizeof *counters; c++) {
        printf("# HELP %s_total %s\n", counters[c].name, counters[c].help);
        for (size_t i = 0; i < count; i++) {
            printf("%s_total", counters[c].name);
            print_labels(&hosts[i], "");
            printf(" %" PRId64 "\n", counters[c].of(&hosts[i]));
        }
    }
    puts("# HELP probe_loss_ratio Part of the probes that was not answered in time.\n# TYPE probe_loss_ratio gauge");
    for (size_t i = 0; i < count; i++) {
        printf("probe_loss_ratio");
        print_labels(&hosts[i], "");
        double loss = pinged_loss(&hosts[i]);
        if (isnan(loss))
            puts(" NaN");
        else
            printf(" %.6g\n", loss / 100);
    }
    puts("# HELP probe_round_trip_seconds Round trips.\n# TYPE probe_round_trip_seconds histogram");
    for (size_t i = 0; i < count; i++)
        print_histogram(&hosts[i]);
    puts("# EOF");
}

/* ---- the plot */

/* What is under way belongs to neither curve. */
static bool
has_points(const struct pinged *host, bool lost)
{
    for (int64_t i = 0; i < host->sent; i++)
        if (lost ? host->kept[i].us == KEPT_LOST : host->kept[i].us >= 0)
            return true;
    return false;
}

/* A line of round trips is broken where a probe was lost; the losses are crosses at the bottom. */
static void
print_data(FILE *to, const struct pinged *host, bool lost)
{
    for (int64_t i = 0; i < host->sent; i++)
        if (host->kept[i].us >= 0 && !lost)
            fprintf(to, "%.6f %.3f\n", host->kept[i].at, (double)host->kept[i].us / 1000);
        else if (host->kept[i].us == KEPT_LOST && lost)
            fprintf(to, "%.6f 0\n", host->kept[i].at);
        else if (!lost)
            fputc('\n', to);
    fputs("e\n", to);
}

/* Gnuplot's quotes are doubled within. */
static void
print_curve(FILE *to, const struct pinged *host, size_t number, bool lost, const char *separator)
{
    char label[400];
    fprintf(to, lost ? "%s '-' with points pt 2 lc %zu title '" : "%s '-' with linespoints pt 7 ps 0.4 lc %zu title '",
            separator, number + 1);
    for (const char *at = pinged_label(host, label); *at; at++)
        fprintf(to, *at == '\'' ? "''" : "%c", *at);
    fputs(lost ? ", lost'" : "'", to);
}

static void
print_plot(FILE *to, const struct pinged *hosts, size_t count)
{
    const char *separator = "plot";
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any |= has_points(&hosts[i], false);
    fprintf(to, "set terminal svg size 900,400; set key outside noenhanced; set grid\n"
                "set xlabel 'seconds'; set ylabel 'round trip, ms'\nset xrange [0:0.001<*]; set yrange [0:%s]\n",
            any ? "*" : "1");
    for (int lost = 0; lost < 2; lost++)
        for (size_t i = 0; i < count; i++)
            if (has_points(&hosts[i], lost)) {
                print_curve(to, &hosts[i], i, lost, separator);
                separator = ",";
            }
    fputs(strcmp(separator, "plot") == 0 ? "plot NaN notitle\n" : "\n", to); /* the axes alone */
    for (int lost = 0; lost < 2; lost++)
        for (size_t i = 0; i < count; i++)
            if (has_points(&hosts[i], lost))
                print_data(to, &hosts[i], lost);
}

bool
pinged_plot(const struct pinged *hosts, size_t count, const char *file)
{
    if (setenv("PROBE_PLOT", file, 1) != 0) /* the shell knows a name with a blank in it so */
        return false;
    fflush(stdout);
    FILE *gnuplot = popen("gnuplot >\"$PROBE_PLOT\"", "w");
    if (!gnuplot)
        return false;
    print_plot(gnuplot, hosts, count);
    return pclose(gnuplot) == 0;
}

void
pinged_free(struct pinged *host)
{
    statistics_free(&host->times);
    told_free(&host->told);
    free(host->kept);
}
