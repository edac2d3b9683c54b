/* SPDX-License-Identifier: MIT */
/* What a reply says of an answer because its request asked for it, by an argument of that name. Pure. */
#ifndef HOPLINE_ASKED_H
#define HOPLINE_ASKED_H

#include "packets/packet.h"

struct asked {
    const struct answer *answer; /* the target's */
    bool tcp_ecn;
    bool icmp_request;
    uint32_t reply_payload; /* bytes, at most */
};

/* Bytes that asked_write() writes at most. */
#define ASKED_MAX (80 + 2 * REPLY_PAYLOAD_MAX)

/* Writes NAME VALUE pairs, a blank before each. */
void asked_write(const struct asked *asked, struct writer *line);

#endif
