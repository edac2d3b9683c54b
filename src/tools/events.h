/* SPDX-License-Identifier: MIT */
/*
 * The one poll() loop of a tool: descriptors, alarms, and the signals that end it. What is watched is a member of
 * whoever watches, so nothing is allocated for it and it stays where it is while it is watched.
 */
#ifndef HOPLINE_TOOLS_EVENTS_H
#define HOPLINE_TOOLS_EVENTS_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "packets/instant.h"

struct events;

/* A descriptor, and who is told when something of `wanted` (POLLIN, POLLOUT) came, an error or a hang-up included. */
struct watch {
    int descriptor;
    short wanted; /* may change while it is watched; 0 waits for errors alone */
    void (*ready)(void *owner, short came);
    void *owner;
};

/* Something to be done at an instant. It rings once; set again, it rings again. Starts out as zeros. */
struct alarm {
    void (*rings)(void *owner);
    void *owner;
    struct instant due;
    size_t place; /* in the heap of alarms, from 1; 0: not set */
};

/*
 * SIGINT, SIGTERM and SIGHUP end the loop from now on, but those that were ignored. Standard descriptors that are closed
 * are filled, so it comes before all else that opens some. NULL when there is no memory or descriptor.
 */
struct events *events_new(void);
void events_free(struct events *events);

/* False when there is no memory. */
bool events_watch(struct events *events, struct watch *watch);
void events_unwatch(struct events *events, struct watch *watch);

/* Sets it or sets it anew. Without memory it rings at the next turn. */
void events_set(struct events *events, struct alarm *alarm, struct instant due);
void events_unset(struct events *events, struct alarm *alarm);

/*
 * Turns until events_end() was called or a signal came. What the tool wrote on standard output is on its way before
 * each wait. The clock is read once a turn. After a standstill alarms ring a moment later, behind what came meanwhile.
 */
void events_run(struct events *events);
void events_end(struct events *events);

/* One turn, which waits for LONGEST ns at most; behind the end, too, for what is still to be heard. */
void events_turn(struct events *events, int64_t longest);

/* TOLD is called at each SIGQUIT (Ctrl-\) from now on, which ends the program otherwise; not where it was ignored. */
void events_on_quit(struct events *events, void (*told)(void *owner), void *owner);

/* TOLD is called when it goes on after it was stopped (Ctrl-Z and fg), before any alarm rings. */
void events_on_continue(struct events *events, void (*told)(void *owner), void *owner);

/* The instant when this turn began to be worked on. */
struct instant events_now(const struct events *events);

/* The signal that ended it ends it no more, so that what is under way can come to its end; another one does. */
void events_go_on(struct events *events);

/* The signal that ended it, or 0; SIGPIPE when nobody reads standard output any more, or its disk is full. */
int events_signal(const struct events *events);

#endif
