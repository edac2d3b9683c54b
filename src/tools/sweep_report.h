/* SPDX-License-Identifier: MIT */
/* What a sweep tells: answers as they come, the others and the sums at the end, a bar on a terminal meanwhile. */
#ifndef HOPLINE_TOOLS_SWEEP_REPORT_H
#define HOPLINE_TOOLS_SWEEP_REPORT_H

#include "tools/reply.h"
#include "tools/sweep_list.h"
#include "tools/sweep_pace.h"

struct report_rules {
    bool json, quiet;
    bool lost_is_silent; /* names without an address count as silent */
};

struct report;

/* Never NULL: ends the program without memory. */
struct report *report_new(struct events *events, struct list *list, const struct report_rules *rules);
void report_free(struct report *report);

/* Shows a bar from now on, if standard error is a terminal. */
void report_show_bar(struct report *report, const struct pace *pace);

/* Takes the bar away until it is drawn again: for whoever writes on standard error. */
void report_hide_bar(struct report *report);

/* The first answer of a target, to its try number TRY from 0: it is told. */
void report_answer(struct report *report, struct swept *swept, const struct reply *reply, unsigned try);

/* The same once more, as that of another name which became known later. */
void report_named(struct report *report, const struct swept *swept, const char *name);

/* An error that came instead, from a router, the target or this host: it is kept for the end. The last one counts. */
void report_error(struct report *report, struct swept *swept, const struct reply *reply);

size_t report_answered(const struct report *report);

/* Those that did not answer, unless it is quiet, and the sums. TOOK is ns. */
void report_end(struct report *report, struct pace_state state, int64_t took);

#endif
