/* SPDX-License-Identifier: MIT */
/*
 * Flows: what routers choose a path by, made out of a flow's number alone. They are known to look at addresses,
 * protocol, ports, IPv6 flow label (RFC 6438), TOS, and, of ICMP, at the first four bytes (type, code, checksum) and
 * the identifier. The same number gives the same values for the daemon's life; another gives others in each field, as
 * far as the field is wide enough.
 */
#ifndef HOPLINE_FLOW_H
#define HOPLINE_FLOW_H

#include "host/random.h"
#include "packets/packet.h"

#define FLOW_PORTS 512 /* so many of our ports are spread over flows */
#define FLOW_FAR_PORTS (UINT16_MAX - FAR_PORT_FIRST + 1) /* the target's, each flow has its own */

struct flows {
    uint32_t label;           /* random, as the next two: the field of flow 0 is made of it */
    uint16_t checksum;
    uint16_t near;
    uint16_t sequences[16];   /* the next one of each of our ICMP identifiers */
};

void flows_init(struct flows *flows, struct random *random);

/* The IPv6 flow label, 20 bits, never 0. */
uint32_t flow_label(const struct flows *flows, uint32_t flow);

/* The label of this request's packet: the one asked for, else its flow's, else 0. */
uint32_t flow_label_for(const struct flows *flows, const struct request *request);

/* The checksum of the flow's echo requests: never 0xffff, which only a packet of nothing but zeros has. */
uint16_t flow_checksum(const struct flows *flows, uint32_t flow);

/* Which of our sixteen ICMP identifiers, and the next sequence number for it. */
uint16_t flow_echo_id(uint32_t flow);
uint16_t flow_sequence(struct flows *flows, uint32_t flow);

/*
 * Our port, as an offset into those that are reserved for flows; and the target's, as an offset into its PORTS ports.
 * NEAR_IS_GIVEN: the client named ours, so the target's alone tells flows apart.
 */
uint16_t flow_near(const struct flows *flows, uint32_t flow);
uint16_t flow_far(uint32_t flow, bool near_is_given, uint32_t ports);

#endif
