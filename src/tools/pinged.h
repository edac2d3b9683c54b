/* SPDX-License-Identifier: MIT */
/* A host that is pinged: what came of its probes, and how that is told at the end, in every format of probe-ping. */
#ifndef HOPLINE_TOOLS_PINGED_H
#define HOPLINE_TOOLS_PINGED_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/asking.h"
#include "tools/host.h"
#include "tools/statistics.h"

#define RECENT 60 /* probes that the live table shows */

enum outcome { UNDER_WAY, ANSWERED, LOST, FAILED };

/* One probe of those that are kept for --plot and --fping. */
struct kept {
    double at;  /* s since the start */
    int64_t us; /* or one of these */
};

#define KEPT_LOST (-1)
#define KEPT_UNDER_WAY (-2)

struct pinged {
    const char *host; /* as it was given */
    char address[64]; /* "": none was found, and `why` tells why */
    char why[HOST_WHY_MAX];
    int64_t sent, lost, duplicates, late, errors;
    int64_t open;             /* probes of which nothing is known yet */
    uint16_t flow;            /* that is asked now; 0: none in particular */
    int64_t unanswered;       /* of that, in a row, until now */
    struct statistics times;  /* of what was received in time */
    struct told told;
    struct { enum outcome outcome; int64_t us; } recent[RECENT]; /* by number of the probe, modulo RECENT */
    struct kept *kept;
    int64_t kept_room;
};

/* "host (address)", or the address where it was given as such. BUFFER holds 400 bytes. */
const char *pinged_label(const struct pinged *host, char buffer[400]);

/* Room for what --plot and --fping need of the probe that is sent next; AT seconds since the start. */
void pinged_keep(struct pinged *host, double at);

/* Percent of the probes of which something is known that were lost; not a number where that is none. */
double pinged_loss(const struct pinged *host);

void pinged_sum_up(const struct pinged *host, const struct asking *asking);
/* One line about it, until now, on standard error. */
void pinged_tell(const struct pinged *host);

void pinged_sum_up_json(const struct pinged *host, const struct asking *asking);

/* "host : 1.23 - 4.56", as fping -C. */
void pinged_sum_up_fping(const struct pinged *host, int widest);

/* The metrics of all hosts in the OpenMetrics text format. */
void pinged_open_metrics(const struct pinged *hosts, size_t count);

/* Draws the round trips over time into FILE, by gnuplot. False when it failed, which it has said itself. */
bool pinged_plot(const struct pinged *hosts, size_t count, const char *file);

void pinged_free(struct pinged *host);

#endif
