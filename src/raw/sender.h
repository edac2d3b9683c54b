/* SPDX-License-Identifier: MIT */
/*
 * The raw socket that a family's probes leave by, with IP headers of our own. Everything that is set for one probe
 * travels with its packet or the packet's control data: the socket keeps nothing from one probe to the next.
 */
#ifndef HOPLINE_SENDER_H
#define HOPLINE_SENDER_H

#include "host/inbox.h"
#include "host/privileges.h"
#include "host/route.h"
#include "host/sockopt.h"
#include "packets/packet.h"

/* Memory for one packet and one fragment, shared by the senders of both families. */
struct send_buffers {
    uint8_t packet[PACKET_MAX];
    uint8_t fragment[PACKET_MAX];
};

/* What is left of a packet whose fragments did not all find room in the interface's queue. */
struct unsent {
    size_t left;   /* bytes of payload; 0: nothing */
    size_t length; /* of the packet */
    size_t offset;
    size_t mtu;
    struct route route;
    uint32_t device; /* that the request names, or 0 */
    uint16_t id;
};

struct sender {
    int fd; /* -1: could not be had. It is never handed a packet */
    int discovery; /* what the kernel set for IP_MTU_DISCOVER */
    struct privileges *privileges;
    struct send_buffers *buffers;
    struct inbox *inbox; /* for what the error queue says */
    struct instant last; /* when a packet left */
    bool roomy;          /* its buffer is as large as was wished for, and not only what this user may have */
    bool stamps;         /* packets may ask for the time of their departure */
    bool names_protocol; /* packets may be routed with their protocol named; the kernel has not refused that so far */
    struct unsent unsent;
};

/* PRIVILEGES, BUFFERS and INBOX must outlive it. 0, or an errno value. */
int sender_open(struct sender *sender, enum family_id family, struct privileges *privileges,
                struct send_buffers *buffers, struct inbox *inbox, struct refused *refused);
void sender_close(struct sender *sender);

/*
 * Builds the packet and sends it, and notes in *DEPARTED when it left: by the kernel's timestamp, unless packets leave one
 * upon the other, or else by the clock just before. DEVICE is an interface index, or 0. Whole if route->mtu has room for
 * it, which is the interface's where ROUTE has none, or the request wants that one; else in fragments of route->mtu, as by
 * sender_send_fragments(). 0, or an errno value: with one that passes and `unsent`, a part has left, and sender_resume() is
 * to be called for the same request and identity, before anything else is sent by this sender. With EMSGSIZE route->mtu is
 * what the host says that fits, or 0; and nothing has left, if `unsent` has offset 0.
 */
int sender_send(struct sender *sender, const struct request *request, struct identity *identity, uint32_t device,
                struct route *route, const struct clock *clock, struct instant *departed);
int sender_send_fragments(struct sender *sender, const struct request *request, struct identity *identity,
                          uint32_t device, struct route *route, const struct clock *clock, struct instant *departed);
int sender_resume(struct sender *sender, const struct request *request, struct identity *identity);

#endif
