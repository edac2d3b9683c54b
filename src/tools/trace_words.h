/* SPDX-License-Identifier: MIT */
/* What a hop's answer tells beside its round trip, in words, and only where there is something to say. Pure. */
#ifndef HOPLINE_TOOLS_TRACE_WORDS_H
#define HOPLINE_TOOLS_TRACE_WORDS_H

#include "tools/service.h"

/* What was said of the hops before, of one flow. */
struct said {
    const struct service_question *question; /* that was asked; NULL: none */
    bool ecn;    /* SYNs that ask how they come were sent */
    int64_t sent_tos;
    int64_t tos; /* the probe's, as the last hop saw it */
    bool nat;    /* that it was translated */
    int back;    /* hops that the way back is longer than the way there */
};

#define WORDS_MAX 1024

/*
 * ", "-separated words of ANSWER at TTL of the way to ADDRESS, in TEXT; "" when there is nothing to say. What has
 * changed on the way there is said of the first hop that tells it, and kept in SAID.
 */
const char *words_of(struct said *said, const struct reply *answer, int ttl, const char *address, char text[WORDS_MAX]);

/* Hops from the one who answered back to us, as the time to live tells that was left; -1 when it does not. */
int words_back(const struct reply *answer, int ttl);

/* "eth0 10.0.0.1" of what `interface` and `node` tell, in TEXT; "" for nothing. */
const char *words_interface(const struct reply *answer, char *text, size_t size);

#endif
