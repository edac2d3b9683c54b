/* SPDX-License-Identifier: MIT */
#include "probes/timer.h"

/* Eight children to a node: a third of the depth of a binary heap, and the children lie side by side in memory. */
#define CHILDREN 8

#define HEAP TIMER_ROWS /* as a timer's row */

struct timer {
    struct instant deadline;
    uint32_t next : 24; /* in its row: slot + 1, or 0 at the end */
    uint32_t row : 8;
    uint32_t back;      /* likewise; or its place in the heap */
};

/* Without the four bytes of padding that would stand behind `slot`: there may be a million. */
struct entry {
    struct instant deadline;
    uint32_t slot;
} __attribute__((packed, aligned(4)));

static struct timer *
timer_of(const struct timers *timers, uint32_t slot)
{
    return chunks_at(&timers->timers, slot);
}

/* ---- the heap ---- */

static struct entry *
at(const struct timers *timers, uint32_t place)
{
    return chunks_at(&timers->heap, place);
}

static void
put(struct timers *timers, uint32_t place, struct entry entry)
{
    *at(timers, place) = entry;
    timer_of(timers, entry.slot)->back = place;
}

/* Puts an entry at PLACE, which is free, or as much nearer to the root as its deadline asks for. */
static void
rise(struct timers *timers, uint32_t place, struct entry entry)
{
    while (place > 0) {
        uint32_t parent = (place - 1) / CHILDREN;
        if (at(timers, parent)->deadline.ns <= entry.deadline.ns)
            break;
        put(timers, place, *at(timers, parent));
        place = parent;
    }
    put(timers, place, entry);
}

static uint32_t
earliest_child(const struct timers *timers, uint32_t place)
{
    uint32_t first = place * CHILDREN + 1;
    uint32_t earliest = first;
    for (uint32_t child = first + 1; child < first + CHILDREN && child < timers->heap_count; child++)
        if (at(timers, child)->deadline.ns < at(timers, earliest)->deadline.ns)
            earliest = child;
    return earliest;
}

/* Puts an entry at PLACE, which is free, or as much farther from the root as its deadline asks for. */
static void
sink(struct timers *timers, uint32_t place, struct entry entry)
{
    while (place * CHILDREN + 1 < timers->heap_count) {
        uint32_t child = earliest_child(timers, place);
        if (entry.deadline.ns <= at(timers, child)->deadline.ns)
            break;
        put(timers, place, *at(timers, child));
        place = child;
    }
    put(timers, place, entry);
}

static void
take_from_heap(struct timers *timers, uint32_t place)
{
    struct entry last = *at(timers, --timers->heap_count);
    if (place == timers->heap_count)
        return;
    if (place > 0 && last.deadline.ns < at(timers, (place - 1) / CHILDREN)->deadline.ns)
        rise(timers, place, last);
    else
        sink(timers, place, last);
}

/* ---- the rows ---- */

/* The one whose last deadline is nearest before this; else an empty one; else the heap. */
static uint32_t
choose_row(const struct timers *timers, struct instant deadline)
{
    uint32_t best = HEAP, empty = HEAP;
    for (uint32_t i = 0; i < TIMER_ROWS; i++) {
        const struct timer_row *row = &timers->rows[i];
        if (!row->last)
            empty = i;
        else if (row->latest.ns <= deadline.ns && (best == HEAP || row->latest.ns > timers->rows[best].latest.ns))
            best = i;
    }
    return best == HEAP ? empty : best;
}

static void
append(struct timers *timers, struct timer_row *row, uint32_t slot, struct timer *timer)
{
    timer->next = 0;
    timer->back = row->last;
    if (row->last) {
        timer_of(timers, row->last - 1)->next = (slot + 1) & 0xffffff;
    } else {
        row->first = slot + 1;
        row->earliest = timer->deadline;
    }
    row->last = slot + 1;
    row->latest = timer->deadline;
}

static void
take_from_row(struct timers *timers, struct timer_row *row, const struct timer *timer)
{
    struct timer *before = timer->back ? timer_of(timers, timer->back - 1) : NULL;
    struct timer *after = timer->next ? timer_of(timers, timer->next - 1u) : NULL;
    if (before)
        before->next = timer->next;
    else
        row->first = timer->next;
    if (after)
        after->back = timer->back;
    else
        row->last = timer->back;
    if (!before && after)
        row->earliest = after->deadline;
    if (!after && before)
        row->latest = before->deadline;
}

/* ---- both ---- */

void
timers_init(struct timers *timers)
{
    *timers = (struct timers){ .heap_count = 0 };
    chunks_init(&timers->timers, sizeof(struct timer));
    chunks_init(&timers->heap, sizeof(struct entry));
}

void
timers_free(struct timers *timers)
{
    chunks_free(&timers->timers);
    chunks_free(&timers->heap);
}

bool
timers_reach(struct timers *timers, uint32_t slot)
{
    return chunks_reach(&timers->timers, slot) && chunks_reach(&timers->heap, slot);
}

void
timers_set(struct timers *timers, uint32_t slot, struct instant deadline)
{
    struct timer *timer = timer_of(timers, slot);
    uint32_t row = choose_row(timers, deadline);
    timer->deadline = deadline;
    timer->row = row & 0xff;
    if (row == HEAP)
        rise(timers, timers->heap_count++, (struct entry){ deadline, slot });
    else
        append(timers, &timers->rows[row], slot, timer);
}

void
timers_end(struct timers *timers, uint32_t slot)
{
    const struct timer *timer = timer_of(timers, slot);
    if (timer->row == HEAP)
        take_from_heap(timers, timer->back);
    else
        take_from_row(timers, &timers->rows[timer->row], timer);
}

bool
timers_next(const struct timers *timers, uint32_t *slot, struct instant *deadline)
{
    *slot = TIMER_NONE;
    for (uint32_t i = 0; i < TIMER_ROWS; i++) {
        const struct timer_row *row = &timers->rows[i];
        if (row->first && (*slot == TIMER_NONE || row->earliest.ns < deadline->ns)) {
            *slot = row->first - 1;
            *deadline = row->earliest;
        }
    }
    if (timers->heap_count > 0 && (*slot == TIMER_NONE || at(timers, 0)->deadline.ns < deadline->ns)) {
        *slot = at(timers, 0)->slot;
        *deadline = at(timers, 0)->deadline;
    }
    return *slot != TIMER_NONE;
}

struct instant
timers_get(const struct timers *timers, uint32_t slot)
{
    return timer_of(timers, slot)->deadline;
}

/* The first of the rows from this one on, behind which the heap comes. */
static uint32_t
first_from(const struct timers *timers, uint32_t row)
{
    for (; row < TIMER_ROWS; row++)
        if (timers->rows[row].first)
            return timers->rows[row].first - 1;
    return timers->heap_count > 0 ? at(timers, 0)->slot : TIMER_NONE;
}

uint32_t
timers_any(const struct timers *timers)
{
    return first_from(timers, 0);
}

uint32_t
timers_after(const struct timers *timers, uint32_t slot)
{
    const struct timer *timer = timer_of(timers, slot);
    if (timer->row == HEAP)
        return timer->back + 1 < timers->heap_count ? at(timers, timer->back + 1)->slot : TIMER_NONE;
    return timer->next ? timer->next - 1u : first_from(timers, timer->row + 1u);
}
