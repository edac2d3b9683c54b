/* SPDX-License-Identifier: MIT */
/* Identities of probes that leave by raw sockets: all fields are ours to choose; ports come from ports.h. */
#ifndef HOPLINE_ALLOT_H
#define HOPLINE_ALLOT_H

#include "probes/identity.h"
#include "raw/filter.h"

struct allotter;

/* Reads the range of ports that the kernel hands out from /proc. NULL: no memory. */
struct allotter *allotter_new(void);
void allotter_free(struct allotter *allotter);

/* What filters can know of its probes. */
struct filter_terms allotter_terms(const struct allotter *allotter);

/* Fills in the identity of MODEL, but for its source. 0, or an errno value; see identities_make(). */
int allot(struct allotter *allotter, const struct request *request, const struct probes *in_flight,
          struct probe *model);

/*
 * With the source set: leases the port, where that is not done, and the client named it or a flow has it. 0, or an errno
 * value: EADDRINUSE where it is another program's, and the client chose what is to leave from it.
 */
int allot_lease(struct allotter *allotter, const struct request *request, struct probe *model);

/* Gives up what was leased for a probe that has ended, or was not sent. */
void allot_release(struct allotter *allotter, struct probe *probe);

/* Gives back what has rested; see leases_rest(). */
bool allot_rest(struct allotter *allotter, struct instant now, struct instant *when);

/*
 * Where datagrams to a udp probe's port are heard: by the filter that knows where most of our ports are, by the one for
 * all others, or not at all, since another program has that port too, and they may be answers to that.
 */
enum hearing { HEARD_AS_EXPECTED, HEARD_AMONG_OTHERS, HEARD_NOWHERE };
enum hearing allot_hearing(const struct allotter *allotter, const struct probe *probe);

/* True when this datagram came to a port that is ours alone. */
bool allot_believes(struct allotter *allotter, const struct answer *datagram);

#endif
