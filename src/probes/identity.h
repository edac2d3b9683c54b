/* SPDX-License-Identifier: MIT */
/*
 * What makes each probe in flight unlike every other: ports, ICMP sequence numbers, TCP sequence numbers, SCTP tags,
 * checksums and nonces. Starting points are random, and what was used is used again as late as possible, so that a late
 * answer finds nobody. Made here for both transports, out of what their sockets leave free.
 */
#ifndef HOPLINE_IDENTITY_H
#define HOPLINE_IDENTITY_H

#include "host/random.h"
#include "probes/flow.h"
#include "probes/probe.h"
#include "probes/turns.h"

#define ECHO_IDS 16           /* ICMP identifiers that echo requests bear */
#define ECHO_ID_MASK 0xfff0   /* the bits that they begin with, so that a kernel filter knows them by one comparison */

/* The fields of a packet that the transport's sockets let us choose, and that answers bring back. */
enum free_fields {
    FREE_IP_ID = 1,    /* the IPv4 identification */
    FREE_CHECKSUM = 2, /* of the transport's header: two bytes of payload make it what we want (the balance) */
};

/*
 * Where our own ports, and ICMP identifiers, come from. CONTEXT is the transport's, and what a socket can't give is
 * NULL. Without `next` the kernel chooses the port, and each probe has a socket of its own, by which it is known.
 */
struct near_source {
    void *context;
    unsigned free; /* bits of enum free_fields */

    /* The next port, so that each comes again as late as possible; 0: there is none. */
    uint16_t (*next)(void *context, enum family_id family);

    /* How many there are; gets more when all of those are in use: false when that can't be. */
    uint32_t (*count)(void *context, enum family_id family);
    bool (*grow)(void *context, enum family_id family);

    /*
     * Takes the port that next() gave for this probe. False when it must be another one: the answer to an earlier probe may
     * still come, that would pass for the answer to this one; or another program has it.
     */
    bool (*take)(void *context, const struct request *request, struct probe *model);

    /* The first of FLOW_PORTS ports that next() never gives, the same at each call; 0: there are none. */
    uint16_t (*reserve)(void *context);

    /* The identifier PLACE (below ECHO_IDS) of ours; false when that one can't be had. */
    bool (*identifier)(void *context, enum family_id family, unsigned place, uint16_t *identifier);
};

/* What the next identities are made of. */
struct identities {
    struct random random;
    struct flows flows;
    struct turns turns[ICMP_REQUESTS]; /* of identifier and sequence number together, in requests that are no echo */
    uint32_t echo_number; /* the next: the upper four bits choose the identifier */
    uint16_t echo_id;     /* the lowest identifier; without privileges but a wish: another program may have it */
    uint16_t ip_id;       /* the last identification */
    uint16_t shared_id;   /* the last of probes with the same ports, which have a counter to themselves */
    struct varying {
        uint16_t near;      /* our port while the target's varies; 0: none yet */
        uint16_t far;       /* the next of the target's ports; 0: all were used */
        uint16_t named_far; /* the same for our ports that clients named */
    } varying[FAMILIES];
};

void identities_init(struct identities *identities);

/* Echo requests bear the next identifier from now on, and go on counting: the socket of the last one has no room. */
void identities_leave_identifier(struct identities *identities);

/*
 * Fills in the identity of MODEL, whose source is set. NEAR is the port, or ICMP identifier, of the socket by which the
 * probe must leave, or 0; then, of an ICMP request that is no echo, the sequence number is set, too. Returns 0 or an errno value: ENOSPC: everything that could tell it from the probes in flight
 * is in use; EOVERFLOW: the packet has no room for anything that would.
 */
int identities_make(struct identities *identities, const struct near_source *nears, const struct request *request,
                    const struct probes *in_flight, uint16_t near, struct probe *model);

#endif
