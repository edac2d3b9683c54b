/* SPDX-License-Identifier: MIT */
/* Questions to the kernel's routing (rtnetlink(7)), one at a time: the answer is there as soon as the question is. */
#ifndef HOPLINE_LOOKUP_H
#define HOPLINE_LOOKUP_H

#include "host/rtnetlink.h"

struct netlink {
    int fd;            /* for questions; -1: netlink is refused */
    int dump_fd;       /* for long answers, which may be left half read */
    uint32_t sequence; /* of the last question */
};

/* 0, or an errno value: then it can't be asked anything. */
int netlink_open(struct netlink *netlink);
void netlink_close(struct netlink *netlink);

/* All by which a packet is routed. */
struct lookup {
    enum family_id family;
    struct address target;
    struct address source; /* or unspecified */
    uint32_t device;       /* interface index, or 0 */
    uint32_t mark;
    uint16_t near, far;    /* ports, or 0 */
    uint8_t tos;
    uint8_t number;        /* of the protocol, as in the IP header; 0: none */
};

/* False for protocols by which the kernel can't be asked (EOPNOTSUPP); without one IPv4 takes UDP for meant. */
bool lookup_takes_protocol(uint8_t number);

/* 0 and *ANSWER; or an errno value when the kernel did not answer. */
int lookup_route(struct netlink *netlink, const struct lookup *lookup, struct route_answer *answer);

/* The same for the whole entry of the table that it comes from, with all its next hops, and those by ON_DEVICE. */
int lookup_entry(struct netlink *netlink, const struct lookup *lookup, uint32_t on_device, struct route_answer *answer);

/* What rules and routes of this family look at. With too many routes to look at them all, that they may look at all. */
void lookup_keys(struct netlink *netlink, enum family_id family, struct route_keys *keys);

/* True when the host has any address of this family. */
bool lookup_any_address(struct netlink *netlink, enum family_id family);

/* The index of the VRF that the interface is, or belongs to, or 0. */
uint32_t lookup_vrf(struct netlink *netlink, uint32_t device);

#endif
