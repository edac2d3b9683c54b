/* SPDX-License-Identifier: MIT */
#include "probes/waiting.h"

#include <stdlib.h>
#include <string.h>

#include "transport.h"

#define RETRY_AFTER NS_PER_MS
#define STUCK_AFTER (40 * NS_PER_MS) /* without a packet taken; then others behind are not held up for longer */
#define STUCK_RETRY (10 * NS_PER_MS) /* how often to look at the deadlines then, */
#define PORT_LATE (100 * NS_PER_MS)  /* that a port may be freed behind the timeout of the probe that has it */
#define AGAIN_MAX 32                 /* and how many may be refused once more: less than a tenth of the time, at 30 us each */

void
waiting_init(struct waiting *waiting)
{
    *waiting = (struct waiting){ .end = NULL };
    waiting->end = &waiting->first;
}

void
waiting_free(struct waiting *waiting)
{
    struct waiting_request *one = waiting->first;
    while (one) {
        struct waiting_request *next = one->next;
        free(one);
        one = next;
    }
    waiting_init(waiting);
}

uint32_t
waiting_lane(uint32_t queue)
{
    return queue == QUEUE_FOR_PORT ? PORT_LANE : queue % DEVICE_LANES;
}

static bool
is_stuck(const struct lane *lane, struct instant now)
{
    return instant_since(now, lane->moved) >= STUCK_AFTER;
}

bool
waiting_keeps_order(const struct waiting *waiting, uint32_t lane, struct instant now)
{
    return waiting->lanes[lane].count > 0 && !is_stuck(&waiting->lanes[lane], now);
}

/* The same words, in the copy of the line. */
static struct word
moved_word(struct word word, const char *from, const char *to)
{
    return from && word.length ? (struct word){ to + (word.at - from), word.length } : word;
}

static void
append(struct waiting *waiting, struct waiting_request *one, uint32_t lane, int reason, struct instant now)
{
    one->refused = !waiting_keeps_order(waiting, lane, now);
    if (waiting->lanes[lane].count++ == 0)
        waiting->lanes[lane] = (struct lane){ .count = 1, .moved = now };
    one->next = NULL;
    one->deadline = instant_after(now, one->request.timeout * NS_PER_US);
    one->reason = reason;
    one->lane = lane;
    one->pass = waiting->lanes[lane].pass;
    if (waiting->count++ == 0)
        waiting->next = instant_after(now, RETRY_AFTER);
    waiting->bytes += one->length;
    *waiting->end = one;
    waiting->end = &one->next;
}

static struct waiting_request *
take_out(struct waiting *waiting, struct waiting_request **place)
{
    struct waiting_request *one = *place;
    waiting->lanes[one->lane].count--;
    waiting->count--;
    waiting->bytes -= one->length;
    *place = one->next;
    if (waiting->end == &one->next)
        waiting->end = place;
    return one;
}

bool
waiting_add(struct waiting *waiting, const char *line, size_t length, const struct request *request, uint32_t lane,
            int reason, struct instant now)
{
    struct waiting_request *one = waiting->count < WAITING_MAX ? malloc(sizeof *one + length) : NULL;
    if (!one)
        return false;
    *one = (struct waiting_request){ .length = length, .request = *request };
    if (length)
        memcpy(one->line, line, length);
    const char *from = length ? line : NULL;
    one->request.scope = moved_word(request->scope, from, one->line);
    one->request.local_scope = moved_word(request->local_scope, from, one->line);
    one->request.interface.name = moved_word(request->interface.name, from, one->line);
    one->request.payload = moved_word(request->payload, from, one->line);
    append(waiting, one, lane, reason, now);
    return true;
}

void
waiting_move(struct waiting *from, struct waiting *to, uint32_t lane, int reason, struct instant now)
{
    append(to, take_out(from, &from->first), lane, reason, now);
}

bool
waiting_is_over(const struct waiting *waiting, const struct waiting_request *one, struct instant now)
{
    int64_t timeout = one->request.timeout * NS_PER_US;
    struct instant port_due = instant_after(waiting->lanes[one->lane].moved, 2 * timeout + PORT_LATE);
    bool may_get_port = one->request.yields && one->lane == PORT_LANE && instant_since(now, port_due) < 0;
    return instant_since(now, one->deadline) >= 0 && !may_get_port;
}

/* Others than those that have just got stuck are all tried again only once that is done for all lanes: each has its turn. */
static bool
is_due(const struct lane *lane, struct instant now, bool behind)
{
    bool before = lane->tried.ns != 0;
    return is_stuck(lane, now) && !(before && (behind || instant_since(now, lane->tried) < STUCK_AFTER));
}

void
waiting_begin(struct waiting *waiting, struct instant now)
{
    bool behind = waiting->cut;
    waiting->cut = false;
    if (instant_since(now, waiting->counted) >= STUCK_RETRY) {
        waiting->counted = now;
        waiting->again = 0;
    }
    for (uint32_t i = 0; i < LANES; i++) {
        struct lane *lane = &waiting->lanes[i];
        lane->cut = false;
        lane->first = lane->all && instant_since(now, lane->first_tried) >= STUCK_AFTER;
        if (lane->all)
            continue; /* there was no time for the rest of them */
        lane->all = is_due(lane, now, behind);
        lane->pass += lane->all;
        lane->stopped = !lane->all && is_stuck(lane, now) && !lane->freed;
        if (lane->all)
            lane->first_tried = now;
    }
}

bool
waiting_may_try(struct waiting *waiting, const struct waiting_request *one)
{
    struct lane *lane = &waiting->lanes[one->lane];
    if (!lane->all)
        return !lane->stopped;
    if (lane->first || one->pass == lane->pass)
        return lane->first;
    if (one->refused && waiting->again >= AGAIN_MAX)
        lane->cut = waiting->cut = true;
    return !lane->cut || !one->refused;
}

void
waiting_refused(struct waiting *waiting, struct waiting_request *one, int reason, struct instant now)
{
    struct lane *lane = &waiting->lanes[one->lane];
    one->reason = reason;
    one->pass = lane->pass;
    waiting->again += lane->all && one->refused;
    one->refused = one->refused || lane->all;
    lane->stopped = lane->all || !lane->freed;
    if (lane->first)
        lane->first_tried = now;
    lane->first = false;
}

/* The first of a lane was taken: the others go in their order. */
static void
move_on(struct lane *lane, struct instant now)
{
    lane->moved = now;
    lane->tried = (struct instant){ 0 };
    lane->all = lane->first = lane->stopped = false;
}

void
waiting_done(struct waiting *waiting, struct waiting_request **place, bool sent, struct instant now)
{
    struct lane *lane = &waiting->lanes[(*place)->lane];
    if (sent) {
        if (!lane->stopped || lane->freed || lane->first)
            move_on(lane, now);
        lane->freed -= lane->freed > 0;
    }
    free(take_out(waiting, place));
}

void
waiting_port_freed(struct waiting *waiting)
{
    if (waiting->lanes[PORT_LANE].count == 0)
        return;
    waiting->lanes[PORT_LANE].freed++;
    waiting->next = (struct instant){ 0 };
}

void
waiting_finish(struct waiting *waiting, bool complete, struct instant now)
{
    bool soon = !complete;
    waiting->lanes[PORT_LANE].freed = 0;
    for (uint32_t i = 0; i < LANES; i++) {
        struct lane *lane = &waiting->lanes[i];
        if (lane->all && complete && !lane->cut) {
            lane->all = false;
            lane->tried = now;
        }
        soon = soon || (lane->count > 0 && !is_stuck(lane, now));
    }
    waiting->next = instant_after(now, soon ? RETRY_AFTER : STUCK_RETRY);
}
