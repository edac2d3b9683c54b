/* SPDX-License-Identifier: MIT */
/* The kinds of ICMP requests that probes can be: a row each, of what goes out, what comes back, and what that tells. */
#ifndef HOPLINE_ICMP_H
#define HOPLINE_ICMP_H

#include "packets/packet.h"

struct icmp_kind {
    bool known_to[FAMILIES];                    /* else the family has no types for it */
    uint8_t request[FAMILIES], reply[FAMILIES]; /* types; the code of both is 0 */
    uint8_t sequence_bits;                      /* of the sequence number: the upper ones of 16, of which the rest */
    uint16_t sequence_rest;                     /* is this in every request */
    bool any_code;                              /* the reply's code says something, too */
    bool stamped; /* identity.number is the time when it left, see wall_ms_of_day(), and the reply returns that */

    /*
     * Writes what stands behind identifier and sequence number. Its size in bytes, to which request->size must be set; NULL:
     * any that is asked for.
     */
    size_t (*size)(const struct request *request);
    void (*write)(const struct request *request, const struct identity *identity, struct writer *writer);

    /*
     * Read what stands there in a reply, or in a request that an error quotes, and so what proves whose it is. CHECKSUM is
     * that of the message.
     */
    bool (*read_reply)(struct reader rest, uint16_t checksum, struct answer *answer);
    bool (*read_quote)(struct reader rest, uint16_t checksum, struct answer *answer);
};

extern const struct icmp_kind icmp_kinds[ICMP_REQUESTS];

#endif
