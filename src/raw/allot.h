/* SPDX-License-Identifier: MIT */
/* Identities of probes that leave by raw sockets: all fields are ours to choose; ports come from ports.h. */
#ifndef HOPLINE_ALLOT_H
#define HOPLINE_ALLOT_H

#include "probes/identity.h"

struct allotter;

/* Reads the range of ports that the kernel hands out from /proc. NULL: no memory. */
struct allotter *allotter_new(void);
void allotter_free(struct allotter *allotter);

/* The lowest of the ICMP identifiers that echo requests bear. */
uint16_t allotter_echo_id(const struct allotter *allotter);

/* Fills in the identity of MODEL, but for its source. 0, or an errno value; see identities_make(). */
int allot(struct allotter *allotter, const struct request *request, const struct probes *in_flight,
          struct probe *model);

/* With the source set: leases the port, where the client named one. 0, or an errno value; see ports_lease(). */
int allot_lease(struct allotter *allotter, const struct request *request, struct probe *model);

/* Gives up what was leased for a probe that has ended, or was not sent. */
void allot_release(struct allotter *allotter, struct probe *probe);

#endif
