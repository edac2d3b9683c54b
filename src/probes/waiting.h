/* SPDX-License-Identifier: MIT */
/*
 * Requests that the host would not send when they were read: a queue is full, or what they must pass drops everything. They
 * are set aside, so that those by other interfaces go on. Those of one interface keep their order, while it takes the first
 * of them: but where that was not taken for a while, it may be refused for its target alone. So all are tried then, now and
 * again, and new ones go at once; until the first is taken. That one behind it is taken says nothing of it. To be refused
 * takes as long as to be sent: so what was refused by itself is tried again only as often as leaves time for others, but the
 * first of each interface always, for it tells whether that is free again.
 *
 * Those that wait for a port of ours, which the probe before has (QUEUE_FOR_PORT), have a lane as if it were an interface's.
 * There a port that was freed is told, and then the first that can have it goes at once.
 */
#ifndef HOPLINE_WAITING_H
#define HOPLINE_WAITING_H

#include "host/clock.h"
#include "lines/request.h"

#define WAITING_MAX 4096 /* requests */
#define DEVICE_LANES 32  /* interfaces that are told apart */
#define PORT_LANE DEVICE_LANES
#define LANES (DEVICE_LANES + 1)

struct waiting_request {
    struct waiting_request *next;
    struct instant deadline; /* its timeout runs from when it was read */
    int reason;              /* errno value with which it was refused last */
    uint32_t lane;
    uint32_t pass;           /* the lane's, when it was tried last */
    bool refused;            /* it was tried, while none before it kept it from being taken */
    size_t length;           /* of `line` */
    struct request request;  /* its words point into `line` */
    char line[];
};

struct lane {
    uint32_t count;        /* requests that wait */
    struct instant moved;  /* when the first of them was taken last, or they began to wait */
    struct instant tried;  /* when all had been tried since then, if they were, */
    uint32_t pass;         /* for how many times, */
    bool all;              /* and that it is being done, in as many rounds as it takes */
    bool cut;              /* some were left for a later round */
    bool stopped;          /* one was refused in this round, or since all are being tried */
    bool first;            /* while they are, the first is due once more, */
    struct instant first_tried; /* as it was then */
    uint32_t freed;        /* ports, for which as many more may go */
};

struct waiting {
    struct waiting_request *first, **end; /* in the order in which they were read */
    uint32_t count;
    size_t bytes;        /* of their lines */
    struct instant next; /* when to try again */
    struct instant counted; /* since when those are counted that were refused once more, */
    uint32_t again;
    bool cut;            /* and that for them some were left for a later round */
    struct lane lanes[LANES];
};

void waiting_init(struct waiting *waiting);
void waiting_free(struct waiting *waiting);

/* The lane for what the transport's find_queue() says. */
uint32_t waiting_lane(uint32_t queue);

/* True when a new request must not go before those that wait in this lane. */
bool waiting_keeps_order(const struct waiting *waiting, uint32_t lane, struct instant now);

/*
 * Sets a request aside that was read from LINE, of LENGTH bytes, at NOW, and refused with REASON. Of length 0: its words stay
 * where they are for as long as it waits. False: no more room.
 */
bool waiting_add(struct waiting *waiting, const char *line, size_t length, const struct request *request, uint32_t lane,
                 int reason, struct instant now);

/*
 * Sets the first of FROM aside in TO, which has room, as if it had been read and refused only at NOW: so that its timeout
 * runs from then.
 */
void waiting_move(struct waiting *from, struct waiting *to, uint32_t lane, int reason, struct instant now);

/*
 * True when nobody waits for it any more. One that yields has no client that waits for it alone: while others get the ports
 * that they wait for, it may get its own.
 */
bool waiting_is_over(const struct waiting *waiting, const struct waiting_request *one, struct instant now);

/* Begins a round, in which each request for which waiting_may_try() says so is tried once. */
void waiting_begin(struct waiting *waiting, struct instant now);
bool waiting_may_try(struct waiting *waiting, const struct waiting_request *one);

/* What came of it: it was refused once more, for now; or it is done, and goes out of the list, where *PLACE points to it. */
void waiting_refused(struct waiting *waiting, struct waiting_request *one, int reason, struct instant now);
void waiting_done(struct waiting *waiting, struct waiting_request **place, bool sent, struct instant now);

/* A probe has ended whose port others may wait for: to be tried as soon as can be. */
void waiting_port_freed(struct waiting *waiting);

/* Ends a round: sets `next`. COMPLETE: the list was gone through to its end. */
void waiting_finish(struct waiting *waiting, bool complete, struct instant now);

#endif
