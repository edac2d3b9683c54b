/* SPDX-License-Identifier: MIT */
/* icmp without privilege: echo requests by sockets of IPPROTO_ICMP and IPPROTO_ICMPV6, see icmp(7). */
#ifndef HOPLINE_PING_H
#define HOPLINE_PING_H

#include "plain/outlet.h"

struct pings;

/* OUTLETS must outlive it. NULL: no memory. */
struct pings *pings_new(struct outlets *outlets);
void pings_free(struct pings *pings);

/* Opens the first socket of a family. 0, or an errno value. */
int pings_open(struct pings *pings, enum family_id family);

/* True when requests of this kind can be sent, after pings_open(). */
bool pings_take(const struct pings *pings, enum family_id family, enum icmp_request kind);

/* Sends a request and fills in the identity, departure and lease of MODEL. 0, or an errno value. */
int pings_send(struct pings *pings, const struct errand *errand, struct probe *model);

/* The probe with this lease has ended, or was not sent. */
void pings_release(struct pings *pings, uint32_t lease);

/* Answers that did not fit in the sockets' buffers. */
uint64_t pings_lost(const struct pings *pings);

#endif
