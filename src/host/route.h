/* SPDX-License-Identifier: MIT */
/*
 * Which source address a probe leaves from, and what fits through its route: the kernel's answer to RTM_GETROUTE
 * (rtnetlink(7)), which needs no privilege, remembered until routes, rules, addresses or links change.
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
    uint8_t tos;
    uint8_t family;  /* enum family_id */
    uint16_t zero;   /* queries are compared as bytes: no padding */
};

struct route {
    struct address source; /* the one asked for, else the route's; unspecified where it has none */
    uint32_t device;       /* interface index by which it leaves */
    uint32_t mtu;          /* bytes, if the route has one of its own or learned one, else 0 */
    bool broadcast;        /* the target is everyone on the link */
    int error;             /* errno value of a route that refuses, or 0; EADDRNOTAVAIL: `local` is not the host's */
};

/* NULL, with errno set, when there is no rtnetlink or no memory. */
struct routes *routes_new(void);
void routes_free(struct routes *routes);

/* 0 and *ROUTE; or an errno value when the kernel did not answer. */
int routes_find(struct routes *routes, const struct route_query *query, struct route *route);

/*
 * The route of this request, and the index of the interface that it names, or 0. 0; EAGAIN: ask again later; or the errno
 * value with which the local host refuses (ENODEV: no such interface; ENETUNREACH: it names two).
 */
int routes_find_for(struct routes *routes, const struct request *request, uint32_t *device, struct route *route);

/* True when a packet of this request from this source would leave by another interface, if routing could choose. */
bool routes_prefer_another(struct routes *routes, const struct request *request, const struct address *source,
                           uint32_t device);

/* What fits through an interface, in bytes; 0 when it is gone. */
uint32_t routes_find_device_mtu(const struct routes *routes, uint32_t device);

/* The name of an interface; false when it is gone. */
bool routes_find_device_name(const struct routes *routes, uint32_t device, char name[IFNAMSIZ]);

/* Forgets what has changed since it was asked, or is old. To be called before the probes of each turn of the loop. */
void routes_refresh(struct routes *routes, struct instant now);

/* True when the host has any address of this family. */
bool routes_have_address(struct routes *routes, enum family_id family);

/* Forgets everything. */
void routes_forget(struct routes *routes);

#endif
