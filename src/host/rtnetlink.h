/* SPDX-License-Identifier: MIT */
/* Reading what the kernel's routes, rules and links say of themselves (rtnetlink(7)). Pure: bytes in, values out. */
#ifndef HOPLINE_RTNETLINK_H
#define HOPLINE_RTNETLINK_H

#include "packets/family.h"

/* The answer to RTM_GETROUTE. */
struct route_answer {
    int error;             /* errno value of a route that refuses, or 0 */
    struct address source; /* unspecified where it names none */
    uint32_t device;       /* interface index by which it leaves */
    uint32_t mtu;          /* bytes, if the route has one of its own or learned one, else 0 */
    bool broadcast;        /* the target is everyone on the link */
    struct address gateway; /* unspecified: the target is on the link */
    bool gateway_foreign;  /* it is of the other family (RFC 8950) */
    bool encapsulates;     /* the route puts headers before the packet (RTA_ENCAP) */
    unsigned next_hops;    /* of the whole route, where that was asked for (RTM_F_FIB_MATCH): more than one shares the load */
    unsigned on_device;    /* those of them that leave by ON_DEVICE, see below */
};

/*
 * One message: false when it does not answer question SEQUENCE. ON_DEVICE is an interface index, of which the next hops
 * are counted.
 */
MUST_USE bool rtnetlink_read_route(struct reader message, uint32_t sequence, enum family_id family, uint32_t on_device,
                                   struct route_answer *answer);

/* A target address of a route or a rule, as far as it counts. */
struct route_prefix {
    struct address address;
    uint8_t length; /* bits */
};

#define PREFIXES_MAX 64

/* What routing of this host looks at, beyond addresses, interfaces, marks and TOS. */
struct route_keys {
    bool protocol;   /* rules by IP protocol, */
    bool icmp, udp, tcp; /* by these */
    bool ports;      /* rules by ports */
    bool sources;    /* rules by source address */
    bool next_hops;  /* routes with several next hops, or several default routes of one preference */
    unsigned routes; /* how many were looked at */
    uint32_t default_metric; /* of the IPv6 default route that was seen last */
    bool has_default;

    /* By which targets differ, if these are no more than PREFIXES_MAX. */
    struct route_prefix prefixes[PREFIXES_MAX];
    uint32_t prefix_count;
};

/*
 * How many bits of this target other targets must have in common with it to match the same routes and rules, each of them; 0:
 * not known, for there are too many.
 */
unsigned route_keys_region(const struct route_keys *keys, enum family_id family, const struct address *target);

/* Some messages of a dump of rules or routes (RTM_GETRULE, RTM_GETROUTE): false at its end. */
MUST_USE bool rtnetlink_read_keys(struct reader messages, struct route_keys *keys);

/* Some messages of a dump of addresses: sets *ANY when there is one. False at its end. */
MUST_USE bool rtnetlink_read_addresses(struct reader messages, bool *any);

/* The answer to RTM_GETLINK: the index of the interface that this one belongs to, or 0; and whether it is a VRF itself. */
MUST_USE bool rtnetlink_read_link(struct reader message, uint32_t sequence, uint32_t *master, bool *is_vrf);

#endif
