/* SPDX-License-Identifier: MIT */
/*
 * Deadlines by slot. Mostly each is later than those before it, since most probes have the same timeout: such stand in a
 * row, a few rows for a few timeouts, where setting and ending one takes constant time and looks at its neighbours alone.
 * What fits into no row stands in a heap, where it takes O(log n).
 */
#ifndef HOPLINE_TIMER_H
#define HOPLINE_TIMER_H

#include "host/clock.h"
#include "probes/chunks.h"

#define TIMER_ROWS 4
#define TIMER_NONE UINT32_MAX

/* Deadlines that never become earlier. */
struct timer_row {
    uint32_t first, last;    /* slot + 1, or 0: it is empty; */
    struct instant earliest, latest; /* their deadlines */
};

struct timers {
    struct chunks timers;    /* struct timer, by slot */
    struct timer_row rows[TIMER_ROWS];
    struct chunks heap;      /* struct entry, by place; no memory is touched while it is empty */
    uint32_t heap_count;
};

void timers_init(struct timers *timers);
void timers_free(struct timers *timers);

/* Makes room for SLOT, once before it is first set; false when there is no memory. */
MUST_USE bool timers_reach(struct timers *timers, uint32_t slot);

/* Sets the deadline of a slot that has none. */
void timers_set(struct timers *timers, uint32_t slot, struct instant deadline);

/* Ends the deadline of a slot that has one. */
void timers_end(struct timers *timers, uint32_t slot);

/* The earliest deadline and its slot; false when none is set. */
MUST_USE bool timers_next(const struct timers *timers, uint32_t *slot, struct instant *deadline);

/* All slots that have a deadline, in no order: any of them, and another after SLOT; TIMER_NONE: there is none (left). */
uint32_t timers_any(const struct timers *timers);
uint32_t timers_after(const struct timers *timers, uint32_t slot);

/* The deadline of a slot that has one. */
struct instant timers_get(const struct timers *timers, uint32_t slot);

#endif
