/* SPDX-License-Identifier: MIT */
/*
 * When which target of a list is probed. Each is asked once, and again while it stays silent: try number k leaves k times
 * the timeout / tries behind its first. All tries go through the list in its order at the one rate, and each waits for an
 * answer for as long as the target has time at all.
 *
 * Nobody is asked again whose answer waits somewhere: before that, the daemon must have said a word that it was asked for
 * when the try was due, since by then it has also told all that had come. So a machine or a reader that is too slow makes
 * a sweep late, and never twice as long.
 */
#ifndef HOPLINE_TOOLS_SWEEP_PACE_H
#define HOPLINE_TOOLS_SWEEP_PACE_H

#include "tools/client.h"
#include "tools/sweep_list.h"

#define TRIES_MAX 21

struct pace_rules {
    int64_t rate;  /* probes a second */
    int64_t tries; /* 1 to TRIES_MAX */
    int64_t timeout;
    const char *first, *again; /* arguments of send-probe, target and timeout apart, of the first try and of the others */
};

struct pace;

/* Never NULL: ends the program without memory. ENDED is called when every target was answered, or has had an error or its time. */
struct pace *pace_new(struct events *events, struct client *client, struct list *list, const struct pace_rules *rules,
                      void (*ended)(void *owner), void *owner);
void pace_free(struct pace *pace);

/* The list has grown, or is complete. The first time, it begins. */
void pace_go_on(struct pace *pace);

/* A reply to what was asked of the client. True when it is about a target: then which, and of which try, from 0. */
bool pace_take(struct pace *pace, uint64_t tag, const struct reply *reply, size_t *number, unsigned *try);

/* What was taken was refused by this host: it does not count as a probe. */
void pace_never_sent(struct pace *pace);

/* To be called behind each reply, when what it says is known. */
void pace_settle(struct pace *pace);

/* Marks as unwaited each target that was asked, and has not answered, and whose time is not over. */
void pace_give_up(const struct pace *pace);

struct pace_state {
    size_t first;   /* targets that were asked at least once */
    int64_t probes; /* sent */
    int64_t to_do;  /* that may still be sent, as far as is known */
    int64_t left;   /* ns, until the end, as it seems */
};

/* ANSWERED: how many targets were. */
struct pace_state pace_state(const struct pace *pace, size_t answered);

#endif
