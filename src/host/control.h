/* SPDX-License-Identifier: MIT */
/* Control messages (cmsg(3)): what goes along with a packet, and what comes along with one. */
#ifndef HOPLINE_CONTROL_H
#define HOPLINE_CONTROL_H

/* errqueue.h needs time.h, and does not say so */
#include <time.h>

#include <linux/errqueue.h>

#include "host/clock.h"
#include "packets/family.h"

/* Adds one to a message, whose msg_control has room for it. */
void control_add(struct msghdr *message, int level, int type, const void *data, size_t size);

/* Adds the source, unless it is NULL, and the interface, unless DEVICE is 0. */
void control_add_pktinfo(struct msghdr *message, enum family_id family, const struct address *source, uint32_t device);

/*
 * A probe that leaves so long after the one before is at rest: there is time to ask the kernel when exactly it left. That
 * is 2 us later than the clock says before the system call, but takes 1 us that a flood of probes has not got.
 */
#define CONTROL_REST (50 * NS_PER_US)

/* Asks for a software timestamp of this packet's departure, in the socket's error queue. */
void control_ask_for_stamp(struct msghdr *message);

/* All that may come along. What did not is zero. */
struct controls {
    bool has_stamp;
    struct wall stamp;      /* when the kernel received it */
    bool has_departure;
    struct wall departure;  /* when a packet of ours left, in the error queue */
    bool has_lost;
    uint32_t lost;          /* packets that the socket had no room for so far */
    uint8_t ttl, tos;
    struct address to;
    bool has_error;
    struct sock_extended_err error; /* ip(7), IP_RECVERR */
    struct address offender;        /* who sent the error */
};

/* Reads those of a received message; what is too short for its kind is passed over. */
void controls_read(struct msghdr *message, struct controls *controls);

#endif
