/* SPDX-License-Identifier: MIT */
/* What `detail 1` adds to a reply: all that is known of a probe and its answer, and nothing where it isn't. Pure. */
#ifndef HOPLINE_DETAIL_H
#define HOPLINE_DETAIL_H

#include "packets/packet.h"

struct detail {
    const struct answer *answer; /* NULL: none came */
    enum family_id family;
    struct address local;        /* what the probe left from */
    uint16_t local_port;         /* 0: it has none */
    const char *scope;           /* of link-local addresses; NULL: not said */
    bool translated;             /* the quote is not what was sent: see match_is_translated() */
    struct wall sent, received;
};

/* Bytes that detail_write() writes at most before the extension objects, of which there may be any number. */
#define DETAIL_FIXED_MAX 480

/*
 * Writes NAME VALUE pairs, a blank before each. The answer's extension objects come last: one that does not fit is left
 * out with all after it, so that LINE never overflows if DETAIL_FIXED_MAX bytes are left.
 */
void detail_write(const struct detail *detail, struct writer *line);

#endif
