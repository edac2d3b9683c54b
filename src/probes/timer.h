/* SPDX-License-Identifier: MIT */
/*
 * Deadlines by slot, in a heap: setting and ending one takes O(log n); setting one that is later than all others, which
 * is the usual case, O(1).
 */
#ifndef HOPLINE_TIMER_H
#define HOPLINE_TIMER_H

#include "host/clock.h"
#include "probes/chunks.h"

struct timers {
    struct chunks heap;      /* struct timer, by place */
    struct chunks places;    /* uint32_t, by slot */
    uint32_t count;
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

/* The slot of the timer at a place below `count`: in no order. */
uint32_t timers_nth(const struct timers *timers, uint32_t place);

/* The deadline of a slot that has one. */
struct instant timers_get(const struct timers *timers, uint32_t slot);

#endif
