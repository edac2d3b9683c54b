/* SPDX-License-Identifier: MIT */
/*
 * tcp without privilege: a connect(2) for each probe. The kernel sends the SYN, and we reset the connection before the
 * target's SYN-ACK is acknowledged, so that the target's program never hears of it.
 */
#ifndef HOPLINE_CONNECT_H
#define HOPLINE_CONNECT_H

#include "plain/outlet.h"

struct connections;

/* OUTLETS must outlive it. NULL: no memory. */
struct connections *connections_new(struct outlets *outlets);
void connections_free(struct connections *connections);

/* Whether a socket of this family can be had: 0, or an errno value. */
int connections_check(enum family_id family);

/*
 * The ECN bits of the SYNs that connect(2) sends on this host, by net.ipv4.tcp_ecn in /proc; TCP_ECNS: that is not known, or
 * the kernel would not tell how they are answered.
 */
enum tcp_ecn connections_ecn(void);

/*
 * Sends a SYN and fills in the identity, departure and lease of MODEL. 0, or an errno value (EAGAIN: the port that the client
 * named is another probe's, which has the same target and port of it; EPROTONOSUPPORT: the SYN had other ECN bits than the
 * request wants).
 */
int connections_send(struct connections *connections, const struct errand *errand, struct probe *model);

/* The probe with this lease has ended, or was not sent. */
void connections_release(struct connections *connections, uint32_t lease);

/*
 * Reads what has become of the connection that OUTLET is part of, when epoll(7) has reported it, into *ANSWER: true if
 * the target, or a router, answered its first SYN. It uses message PLACE of INBOX.
 */
bool connection_read(struct connections *connections, struct outlet *outlet, struct inbox *inbox, size_t place,
                     const struct clock *clock, struct answer *answer);

#endif
