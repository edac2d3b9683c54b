/* SPDX-License-Identifier: MIT */
/*
 * The UDP ports that are held one by one, each by a socket while probes use it: those that a client names, and those that
 * the kernel might hand out to another program, or that must be nobody else's. Probes share a lease.
 *
 * A port that a client names may be another program's already (mtr -u -L 51820 beside WireGuard). Raw sockets send from it
 * all the same; but a datagram that comes to it may be the answer to a datagram of that program, and nothing in it would
 * tell. So such a port is leased without being held, and what owns it is known by leases_owner().
 */
#ifndef HOPLINE_LEASES_H
#define HOPLINE_LEASES_H

#include "host/clock.h"
#include "packets/family.h"

struct leases;

/* NULL: no memory. */
struct leases *leases_new(void);
void leases_free(struct leases *leases);

/*
 * Holds PORT at SOURCE (SCOPE: see keep.h), or at all addresses. Sets *LEASE, which is not 0, for the others. 0, or an
 * errno value (EADDRINUSE, EACCES: it can't be ours alone).
 */
int leases_hold(struct leases *leases, enum family_id family, const struct address *source, uint32_t scope,
                uint16_t port, uint32_t *lease);
int leases_hold_everywhere(struct leases *leases, uint16_t port, uint32_t *lease);

/*
 * Leases a port that can't be held. Where the other one is a daemon like this one, it is told by a trace (keep.h), so that
 * it does not take our answers for its own. 0, or ENOMEM.
 */
int leases_share(struct leases *leases, uint16_t port, uint32_t *lease);

/* True for one that is held. */
bool leases_is_held(const struct leases *leases, uint32_t lease);

/* One probe less has it. What clients named rests a little before it is given back: late answers then find nobody. */
void leases_give_up(struct leases *leases, uint32_t lease);

/* Gives back what has rested. True: call again by *WHEN. */
bool leases_rest(struct leases *leases, struct instant now, struct instant *when);

/* Whose a datagram is that came to this port of our address TO. OWNER_NONE: nobody has leased it here. */
enum port_owner { OWNER_NONE, OWNER_US, OWNER_OTHERS };
enum port_owner leases_owner(struct leases *leases, enum family_id family, const struct address *to, uint16_t port,
                             struct instant arrived);

#endif
