/* SPDX-License-Identifier: MIT */
/*
 * The raw sockets that answers come in by. A raw socket is handed every packet of its protocol on the host, so while no
 * probe waits for an answer there it is parked: bound to an address that nobody has, where it matches nothing and costs
 * nobody anything.
 */
#ifndef HOPLINE_RECEIVER_H
#define HOPLINE_RECEIVER_H

#include <poll.h>

#include "host/inbox.h"
#include "host/sockopt.h"
#include "raw/filter.h"

struct receiver {
    int fd; /* -1: could not be had */
    enum family_id family;
    enum protocol_id protocol;
    struct refused *refused;
    bool awake;
    bool picky;               /* while awake: it hears what comes to one address of ours alone, */
    struct address heard;     /* which is this */
    bool detail;              /* a probe with `detail` was sent */
    bool ready;               /* there may be something to receive */
    uint32_t waiting;         /* probes that may be answered here */
    struct instant idle;      /* since when no probe waits, while awake */
    struct instant complete;  /* all that arrived by then was received */
    uint32_t lost;            /* packets that did not fit in the socket's buffer */
};

/* Opens and parks it. TERMS: see filter.h. REFUSED must outlive it. 0, or an errno value; then receiver->fd is -1. */
int receiver_open(struct receiver *receiver, enum family_id family, enum protocol_id protocol,
                  const struct filter_terms *terms, struct refused *refused);
void receiver_close(struct receiver *receiver);

/* To an interface, by its index, once and for all. 0, or an errno value. */
bool receiver_is_bound(const struct receiver *receiver);
int receiver_bind(struct receiver *receiver, uint32_t device);

/*
 * One more probe, or one less, may be answered here. DETAIL: its answer's TTL and TOS are wanted, which from then on
 * the kernel gives with every IPv6 packet, at 0.1 us each. OURS: to which address its answer comes; NULL: any; as long as it
 * is one for all probes, packets to others are not heard. 0, or an errno value.
 */
int receiver_expect(struct receiver *receiver, bool detail, const struct address *ours);
void receiver_forgo(struct receiver *receiver);

/* Parks it when it was idle for long enough. True: not yet, but by *WHEN it will have been; call again then. */
bool receiver_rest(struct receiver *receiver, struct instant now, struct instant *when);

/* Receives up to INBOX_BATCH packets and returns their number; views are good until the next call with INBOX. */
size_t receiver_receive(struct receiver *receiver, struct inbox *inbox, const struct clock *clock,
                        struct datagram datagrams[INBOX_BATCH]);

#endif
