/* SPDX-License-Identifier: MIT */
/* What a sweep tells: answers as they come, the others and the sums at the end, a bar on a terminal meanwhile. */
#ifndef HOPLINE_TOOLS_SWEEP_REPORT_H
#define HOPLINE_TOOLS_SWEEP_REPORT_H

#include "tools/service.h"
#include "tools/sweep_list.h"

struct report_rules {
    bool json, quiet;
    bool lost_is_silent; /* names without an address count as silent */
    const struct service_question *question; /* what else answers than its service is an error */
};

struct report;

/* What is told at the end: of targets, or, of a sweep by several ttls, of probes. */
struct report_sums {
    uint64_t targets;
    unsigned hops; /* of each; 0: it is no sweep by several ttls */
    uint64_t answered, silent, failed, lost, not_probed, not_waited_for;
    int64_t probes;
    int64_t took; /* ns */
};

/* How far it is, for the bar. */
struct report_pace {
    int64_t probes; /* sent */
    int64_t left;   /* ns, until the end, as it seems */
};

/* Never NULL: ends the program without memory. */
struct report *report_new(struct events *events, struct list *list, const struct report_rules *rules);
void report_free(struct report *report);

/* Shows a bar from now on, if standard error is a terminal. */
void report_show_bar(struct report *report, struct report_pace (*pace)(void *owner), void *owner);

/* Takes the bar away until it is drawn again: for whoever writes on standard error. */
void report_hide_bar(struct report *report);

#define TRY_UNKNOWN 62 /* the daemon counts them */

/* The first answer of a target, to its try number TRY from 0: it is told. */
void report_answer(struct report *report, struct swept *swept, const struct reply *reply, unsigned try);

/* The same once more, as that of another name which became known later. */
void report_named(struct report *report, const struct swept *swept, const char *name);

/* An error that came instead, from a router, the target or this host: it is kept for the end. The last one counts. */
void report_error(struct report *report, struct swept *swept, const struct reply *reply);

size_t report_answered(const struct report *report);

/* A probe with this ttl, what came of it: it is told. */
void report_hop(struct report *report, const struct swept *swept, unsigned ttl, const struct reply *reply);

/* One that did not answer, by its outcome, is told. */
void report_silent(const struct report *report, const struct swept *swept);

/* Adds the words that stand for no address to SUMS; they are told, each in a line, and those of which that is not known yet. */
void report_count_lost(const struct report *report, struct report_sums *sums);
void report_lost(struct report *report);

/* The bar is gone for good. */
void report_close_bar(struct report *report);

void report_sums(const struct report *report, const struct report_sums *sums);

/* Those that did not answer, unless it is quiet, and the sums. TOOK is ns. */
void report_end(struct report *report, int64_t probes, int64_t took);

#endif
