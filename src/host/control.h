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

/* All that may come along. What did not is zero. */
struct controls {
    bool has_stamp;
    struct wall stamp;      /* when the kernel received it */
    bool has_departure;
    struct wall departure;  /* when a packet of ours left, in the error queue */
    bool has_lost;
    uint32_t lost;          /* packets that the socket had no room for so far */
    uint8_t ttl, tos;
    size_t options;         /* bytes of IPv4 options or IPv6 extension headers */
    bool cut;               /* there was no room for all that came along */
    struct address to;
    bool has_error;
    struct sock_extended_err error; /* ip(7), IP_RECVERR */
    struct address offender;        /* who sent the error */
};

/* Reads those of a received message; what is too short for its kind is passed over. */
void controls_read(struct msghdr *message, struct controls *controls);

/* What a socket's error queue says of packets that left by it, or did not. What it did not say is zero. */
struct send_report {
    struct wall departure; /* of the last packet that was to be stamped */
    uint32_t mtu;          /* bytes that would have fit, of the last that this host refused as too big */
};

/* Takes note of what came along with a message of the error queue. */
void controls_report(const struct controls *controls, struct send_report *report);

#endif
