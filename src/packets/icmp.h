/* SPDX-License-Identifier: MIT */
/* The kinds of ICMP requests that probes can be: a row each, of what goes out, what comes back, and what that tells. */
#ifndef HOPLINE_ICMP_H
#define HOPLINE_ICMP_H

#include "packets/packet.h"

struct icmp_kind {
    uint8_t request[FAMILIES], reply[FAMILIES]; /* types; the code of both is 0 */

    /* Writes what stands behind identifier and sequence number. */
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
