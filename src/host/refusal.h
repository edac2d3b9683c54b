/* SPDX-License-Identifier: MIT */
/* What a send came back with: one table of errno values says what each can mean, for both transports. */
#ifndef HOPLINE_REFUSAL_H
#define HOPLINE_REFUSAL_H

#include "packets/request.h"

/*
 * True for what passes by itself: the interface's queue is full, or the kernel is short of memory. The same send may go
 * well a millisecond later.
 */
bool refusal_passes(int error);

/*
 * True when it may be an ICMP error that was left on the socket, and is told to the next call, whatever that is for.
 * The call takes it away: so try again, and what comes again is a refusal of the host itself.
 */
bool refusal_may_be_left_over(int error);

/* True when what we remember of the route may be at fault, because it is old: ask again, and send once more. */
bool refusal_may_be_stale(int error, const struct request *request);

/*
 * True for what this host refuses now and may take in a second, so that it is no last word: see protocol.md, "What its
 * clients do with replies". SENT_BEFORE: a probe of that family and protocol has left this process.
 */
bool refusal_is_for_now(int error, const struct request *request, bool sent_before);

/* What the client is to be told of a last word: an errno value; where one fits, one that replies have a word for. */
int refusal_of(int error, const struct request *request);

#endif
