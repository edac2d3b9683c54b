/* SPDX-License-Identifier: MIT */
/*
 * What a sweep by single requests may send now: as much as its rate lets out, as the daemon has room for, and as its pipe takes.
 * What the daemon had no room for is kept here, and goes first.
 */
#ifndef HOPLINE_TOOLS_SWEEP_GATE_H
#define HOPLINE_TOOLS_SWEEP_GATE_H

#include "tools/client.h"

#define GATE_TICK (20 * NS_PER_MS) /* probes leave in bursts of so much time's worth */

struct gate {
    struct client *client;
    const int64_t *rate;   /* probes a second; it may become another as more is known of the targets */
    double allowed;        /* probes that the rate lets out now */
    struct instant latest; /* when that was reckoned */
    size_t window;         /* the most that the daemon takes at once */
    uint64_t *again;       /* tags of those that are to be asked for once more */
    size_t again_count, again_room;
};

/* RATE must outlive it. */
struct gate gate_of(struct client *client, const int64_t *rate);
void gate_free(struct gate *gate);

/* Time begins now, or goes on to now. */
void gate_open(struct gate *gate, struct instant now);
void gate_renew(struct gate *gate, struct instant now);

/* True when one more may be asked for, which gate_pass() is to be told of. */
bool gate_has_room(const struct gate *gate);
void gate_pass(struct gate *gate);

/* How long it is until the rate lets one more out: ns, from `latest`. */
int64_t gate_wait(const struct gate *gate);

/* One is to be asked for once more. Ends the program without memory. */
void gate_put_again(struct gate *gate, uint64_t tag);

/* The next of these, where it may be asked for now. */
bool gate_take_again(struct gate *gate, uint64_t *tag);

/*
 * The daemon refused this one, with so many others OPEN: it takes no more than these at once, and this one has not left. False:
 * it takes none at all.
 */
bool gate_give_back(struct gate *gate, uint64_t tag, size_t open);

/* Behind an answer: true when the daemon had refused some, and has room for one of them now. */
bool gate_widens(const struct gate *gate);

#endif
