/* SPDX-License-Identifier: MIT */
/*
 * The two clocks. Deadlines and round trips run on CLOCK_MONOTONIC; the kernel stamps packets by the wall clock
 * (CLOCK_REALTIME), and this is where the two meet.
 */
#ifndef HOPLINE_CLOCK_H
#define HOPLINE_CLOCK_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "packets/instant.h"

/* The instant now. */
struct instant clock_now(void);

/*
 * poll(), until UNTIL; NULL: for as long as it takes. That is kept across a standstill of the process (SIGSTOP, a freezer),
 * whose length does not come on top.
 */
int clock_poll(struct pollfd *fds, size_t count, const struct instant *until);

/* A reading of both clocks, at one moment as far as they can be read so. */
struct clock_reading {
    struct instant instant;
    struct wall wall;
    int64_t width; /* ns: WALL was read at most half of it before or after INSTANT */
};

struct clock_reading clock_read(void);

/* How the wall clock stands to the monotonic clock, and how it stood before it was stepped. */
struct clock {
    struct clock_reading now;
    int64_t offset;            /* wall - monotonic, ns */
    int64_t width;             /* of the reading that it is from */
    bool stepped;              /* packets that were stamped before the last step may still wait to be read: */
    int64_t offset_before;     /* the offset until then */
    struct instant step_after; /* it came between these two readings */
    struct instant step_by;
};

/*
 * Takes a new reading, once in each turn of the loop, before the packets of that turn are looked at. What may as well be
 * from the widths of the readings is no step. True when it is the first, or the first after a step.
 */
bool clock_update(struct clock *clock, struct clock_reading reading);

/*
 * The same with a reading of now; a closer one, if that can be had, where nothing else says how the clocks stand: at the
 * start and after a step.
 */
void clock_refresh(struct clock *clock);

/* A copy of CLOCK with a reading of now, for stamps of packets that may have come after its own. */
struct clock clock_renew(const struct clock *clock);

/*
 * Every packet that had arrived by UNTIL has been read, so a step before that does not matter any more. In the turn of
 * the loop that noticed the step it still does: packets that came after poll() and before the step may not be read yet.
 */
void clock_settle(struct clock *clock, struct instant until);

/* By so much, in ns, what a stamp says may be too early or too late, since the two clocks are not read at one moment. */
int64_t clock_doubt(const struct clock *clock);

/*
 * The instant at which the kernel stamped a packet, never later than the newest reading. A step of the wall clock is
 * seen through, however long the packet waited: the old offset counts where it puts the packet before the step, and the
 * new one does not put it between the step and now. Both are possible where more time passed between two readings than
 * the step is wide: then the step is taken to lie in the middle between them, since answers that come while we stand
 * still are to probes from before that, and come early. So what came in the first half of it, less half the step, has its
 * right time if the step was later.
 */
struct instant clock_of_stamp(const struct clock *clock, struct wall stamp);

/*
 * Puts *DEPARTED right by the stamp that the kernel gave to a packet which left between then and now. False, and nothing
 * is changed, when the stamp is of another time, so of another packet. It may come out earlier than it was, by
 * clock_doubt(): so do the stamps of answers, and the round trip is right.
 */
bool clock_correct_departure(const struct clock *clock, struct wall stamp, struct instant *departed);

#endif
