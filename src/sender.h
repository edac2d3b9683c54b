/*
 * The raw socket that a family's probes leave by, with IP headers of our own. Everything that is set for one probe
 * travels with its packet or the packet's control data: the socket keeps nothing from one probe to the next.
 */
#ifndef HOPLINE_SENDER_H
#define HOPLINE_SENDER_H

#include "packet.h"
#include "privileges.h"
#include "route.h"

/* Memory for one packet and one fragment, shared by both senders. */
struct send_buffers {
    uint8_t packet[PACKET_MAX];
    uint8_t fragment[PACKET_MAX];
};

/* -1, with errno set, when it can't be had. The socket is never handed a packet. */
int sender_open(enum family_id family);

/* The index of the request's interface, 0 if it names none. 0, or ENODEV. */
int sender_find_device(int fd, const struct request *request, uint32_t *device);

/*
 * Builds the packet and sends it, in fragments where it must, and notes in *DEPARTED when it left. Looks up the
 * interface's MTU where ROUTE has none. 0, or an errno value.
 */
int sender_send(int fd, const struct request *request, struct identity *identity, uint32_t device, struct route *route,
                struct privileges *privileges, struct send_buffers *buffers, struct instant *departed);

#endif
