/* SPDX-License-Identifier: MIT */
/*
 * The way out of a probe: source address, interface, next hop, and what fits; decided once, by the kernel's answer to
 * RTM_GETROUTE (rtnetlink(7)) to a question that has all keys by which a socket of that kind would be routed. It needs no
 * privilege, and is remembered until routes, rules, addresses or links change. Where rtnetlink is refused, connected
 * sockets tell the source, and what is remembered is forgotten each second.
 */
#ifndef HOPLINE_ROUTE_H
#define HOPLINE_ROUTE_H

#include "host/clock.h"
#include "packets/request.h"

struct routes;

struct route_query {
    struct address target;
    struct address local; /* unspecified: the route's choice */
    uint32_t device;      /* interface index, or 0 */
    uint32_t mark;
    uint16_t near, far;   /* ports, host order, where they are known and matter; else 0. ICMP: 0, and type and code */
    uint8_t tos;
    uint8_t family;       /* enum family_id */
    uint8_t protocol;     /* enum protocol_id */
    uint8_t region;       /* bits of the target that count; 0: all. Queries are compared as bytes: no padding */
};

/*
 * How a raw packet is made to take the route. The kernel routes it a second time, by fewer keys than a socket's: no ports,
 * and no protocol on some kernels. Where that comes to the same, nothing is said; else the interface goes along with the
 * packet, or it is sent to the router itself (a packet with a header of its own may bear another target than its message).
 */
enum route_way { WAY_PLAIN, WAY_DEVICE, WAY_NEXT_HOP };

struct route {
    struct address source; /* the one asked for, else the route's; unspecified where it has none */
    struct address next_hop; /* the router; unspecified: none, or one of the other family */
    uint32_t device;       /* interface index by which it leaves; 0: not known */
    uint32_t vrf;          /* interface index of the VRF that the interface asked for is, or belongs to; or 0 */
    uint32_t mtu;          /* bytes, if the route has one of its own or learned one, else 0 */
    int error;             /* errno value of a route that refuses, or 0; EADDRNOTAVAIL: `local` is not the host's */
    enum route_way way;
    bool broadcast;        /* the target is everyone on the link */
    bool by_source;        /* it is found only by its source, which so must go along (RFC 8028) */
    bool by_ports;         /* other ports may take another route: ask again by routes_find_by_ports() */
    bool shared;           /* its next hop is one of several, between which a source that is given may decide */
};

/* NULL: no memory. */
struct routes *routes_new(void);
void routes_free(struct routes *routes);

/* False where rtnetlink is refused. */
bool routes_have_netlink(const struct routes *routes);

/* 0 and *ROUTE; or an errno value when the kernel did not answer. */
int routes_find(struct routes *routes, const struct route_query *query, struct route *route);

/*
 * The route of this request, and the index of the interface that it names, or 0. 0; EAGAIN: ask again later; or the errno
 * value with which the local host refuses (ENODEV: no such interface; ENETUNREACH: it names two). With `by_ports` neither
 * the source nor an error is sure before routes_find_by_ports() was asked, when the ports are known.
 */
int routes_find_for(struct routes *routes, const struct request *request, uint32_t *device, struct route *route);
int routes_find_by_ports(struct routes *routes, const struct request *request, uint32_t device, uint16_t near,
                         uint16_t far, struct route *route);

/*
 * Where one of several next hops is chosen by the flow label too (IPv6), and the kernel is to choose the source: *SOURCE
 * becomes that of a connected socket with this label.
 */
void routes_find_by_label(struct routes *routes, const struct request *request, uint32_t device, uint32_t flow_label,
                          struct address *source);

/* True when a packet of this request from this source would leave by another interface, if routing could choose. */
bool routes_prefer_another(struct routes *routes, const struct request *request, const struct address *source,
                           uint32_t device);

/* What the first link of a path has room for, beside what this host adds to a packet (IPsec, tunnels, labels); bytes. */
struct room {
    uint32_t whole;     /* for a packet that is not to be fragmented; 0: not known */
    uint32_t fragments; /* for each fragment: by what the host has learned of the path, too; 0: not known */
};

/* The room for this request. A connected socket is asked, since routes do not know what is added. */
void routes_find_room(struct routes *routes, const struct request *request, uint32_t device, struct room *room);

/*
 * What a client is told of a packet that this host has refused as too big: less than its size, or 0, which is not told.
 * TOLD is what the host said with the refusal, or 0.
 */
uint32_t room_told(const struct room *room, uint32_t told, const struct request *request);

/* The name of an interface; false when it is gone. */
bool routes_find_device_name(const struct routes *routes, uint32_t device, char name[IFNAMSIZ]);

/* Forgets what has changed since it was asked, or is old. To be called before the probes of each turn of the loop. */
void routes_refresh(struct routes *routes, struct instant now);

/* True when the host has any address of this family. */
bool routes_have_address(struct routes *routes, enum family_id family);

/* The kernel does not let raw packets of this family name their protocol: forgets everything. */
void routes_can_not_name_protocol(struct routes *routes, enum family_id family);

/* Forgets everything. */
void routes_forget(struct routes *routes);

/*
 * A packet of this request was refused as if its way were not what is remembered of it: asks again, and forgets everything
 * if it is not. The ports are those that it had.
 */
void routes_doubt(struct routes *routes, const struct request *request, uint16_t near, uint16_t far);

#endif
