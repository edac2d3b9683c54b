/* SPDX-License-Identifier: MIT */
/*
 * What a connected datagram socket takes for a target: connect() sends nothing, but has the kernel choose a source and a
 * route as for real traffic. For what rtnetlink can't be asked, and for hosts where it may not be asked at all.
 */
#ifndef HOPLINE_TRIAL_H
#define HOPLINE_TRIAL_H

#include "packets/family.h"

struct trial {
    enum family_id family;
    struct address target;
    struct address local; /* unspecified: the kernel's choice */
    uint32_t device;      /* interface index to bind to, or 0 */
    uint32_t mark;        /* where this process may set one */
    uint8_t tos;
    uint8_t number;       /* IP protocol that the host's policies may look at: ICMP's, or 0: UDP */
    uint32_t flow_label;  /* IPv6; 0: none */
    uint16_t port;        /* of the target, host order; 0: any. Nothing is sent to it */
};

struct trial_outcome {
    struct address source;
    uint32_t mtu;   /* bytes that fit, what IPsec and tunnels of this host add counted in; 0: it does not say */
    bool broadcast; /* the target is everyone on the link */
};

/* 0, or the errno value with which it was refused: EADDRNOTAVAIL: `local` is none of this host's. */
int trial_run(const struct trial *trial, struct trial_outcome *outcome);

/*
 * Of a protocol without datagram sockets (tcp, sctp) the same can be asked of a raw one, as often as one likes, where this
 * process may open one: -1 where it may not. It hears nothing.
 */
int trial_open_raw(enum family_id family, uint8_t number);

/* The same by such a socket, of whose protocol the question is then; without `local`, `device` and `mark`. */
int trial_run_raw(int fd, const struct trial *trial, struct trial_outcome *outcome);

/* 0 when a socket can be bound to the local address. */
int trial_bind(const struct trial *trial);

/* What a program around us (`ip vrf exec`, a service manager) sets for each new socket: an interface and a mark, or 0. */
void trial_read_defaults(uint32_t *device, uint32_t *mark);

#endif
