/* SPDX-License-Identifier: MIT */
/*
 * The body of the transport that needs no privilege: echo requests on sockets of IPPROTO_ICMP and IPPROTO_ICMPV6
 * (icmp(7), where net.ipv4.ping_group_range lets the process), udp datagrams, and tcp by connect(2). ICMP errors come
 * by the error queues of these sockets (ip(7), IP_RECVERR). It has no sctp and no mark.
 */
#ifndef HOPLINE_PLAIN_H
#define HOPLINE_PLAIN_H

#include "transport.h"

/* NULL, with errno set, when no probe could be sent at all. */
struct transport *plain_open(void);

#endif
