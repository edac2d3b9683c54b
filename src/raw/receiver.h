/* SPDX-License-Identifier: MIT */
/*
 * The raw sockets that answers come in by. A raw socket is handed every packet of its protocol on the host, so while no
 * probe waits for an answer there it is parked: bound to an address that nobody has, where it matches nothing and costs
 * nobody anything.
 */
#ifndef HOPLINE_RECEIVER_H
#define HOPLINE_RECEIVER_H

#include <poll.h>

#include "host/clock.h"
#include "packets/packet.h"

#define RECEIVER_BATCH 32

struct receiver {
    int fd; /* -1: could not be had */
    enum family_id family;
    enum protocol_id protocol;
    bool awake;
    bool detail;              /* a probe with `detail` was sent */
    bool ready;               /* there may be something to receive */
    uint32_t waiting;         /* probes that may be answered here */
    struct instant idle;      /* since when none waits, while awake */
    struct instant complete;  /* all that arrived by then was received */
    uint32_t lost;            /* packets that did not fit in the socket's buffer */
};

#define RECEIVER_CONTROL 512 /* bytes of control messages that may come along with a packet */

/* Not a multiple of the page size, so that the packets' first lines do not compete for the same places in the cache. */
#define RECEIVER_SLOT (65536 + 320)

/* Memory for one batch of packets, shared by all receivers. */
struct receive_buffers {
    struct mmsghdr messages[RECEIVER_BATCH];
    struct iovec vectors[RECEIVER_BATCH];
    struct sockaddr_storage names[RECEIVER_BATCH];
    _Alignas(struct cmsghdr) uint8_t controls[RECEIVER_BATCH][RECEIVER_CONTROL];
    uint8_t bytes[RECEIVER_BATCH][RECEIVER_SLOT];
};

struct receive_buffers *receive_buffers_new(void);
void receive_buffers_free(struct receive_buffers *buffers);

/* Opens and parks it. ECHO_ID: see filter.h. 0, or an errno value; then receiver->fd is -1. */
int receiver_open(struct receiver *receiver, enum family_id family, enum protocol_id protocol, uint16_t echo_id);
void receiver_close(struct receiver *receiver);

/*
 * One more probe, or one less, may be answered here. DETAIL: its answer's TTL and TOS are wanted, which from then on the
 * kernel gives with every IPv6 packet, at 0.1 us each. 0, or an errno value.
 */
int receiver_expect(struct receiver *receiver, bool detail);
void receiver_forgo(struct receiver *receiver);

/* Parks it when it was idle for long enough. True, and *WHEN: it will have been by then. */
bool receiver_rest(struct receiver *receiver, struct instant now, struct instant *when);

/* Receives up to RECEIVER_BATCH packets and returns their number; views are good until the next call with BUFFERS. */
size_t receiver_receive(struct receiver *receiver, struct receive_buffers *buffers, const struct clock *clock,
                        struct datagram datagrams[RECEIVER_BATCH]);

#endif
