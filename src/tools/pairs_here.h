/* SPDX-License-Identifier: MIT */
/* What there is on this host, by rtnetlink(7): its addresses, and its default gateways. */
#ifndef HOPLINE_TOOLS_PAIRS_HERE_H
#define HOPLINE_TOOLS_PAIRS_HERE_H

#include <net/if.h>

#include "packets/family.h"

/* What an address is good for. */
enum reach {
    REACH_LOOPBACK,
    REACH_LINK,    /* link local */
    REACH_PRIVATE, /* RFC 1918 */
    REACH_SHARED,  /* of a carrier's translator, and of one on this host: RFC 6598, RFC 7335 */
    REACH_UNIQUE,  /* unique local */
    REACH_GLOBAL,
    REACHES,
};

enum reach reach_of(enum family_id family, const struct address *address);

/* An address on a link; the link counts of a link local one. */
struct place {
    enum family_id family;
    struct address address;
    enum reach reach;
    char interface[IF_NAMESIZE];
};

#define PLACE_TEXT_MAX 64

/* "fe80::1%eth0", "192.0.2.1". */
const char *place_text(const struct place *place, char buffer[PLACE_TEXT_MAX]);

#define GATEWAYS_MAX 16 /* of a family */

struct here {
    struct place *sources; /* that may be used: not those of which it is not known yet whether another host has them */
    size_t source_count, source_room;
    struct place gateways[FAMILIES][GATEWAYS_MAX]; /* of a default route; it may be by one of the other family */
    size_t gateway_count[FAMILIES];
};

/* Starts from zeros. False, with errno: the kernel does not say. */
MUST_USE bool here_read_sources(struct here *here);
MUST_USE bool here_read_gateways(struct here *here);
void here_free(struct here *here);

#endif
