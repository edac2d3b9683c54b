/* SPDX-License-Identifier: MIT */
/*
 * Source ports. Two kinds: ports that we choose, from blocks outside net.ipv4.ip_local_port_range that this daemon has
 * to itself among daemons of its kind; and ports that a client names, each held by a socket while a probe uses it.
 *
 * A block is had by binding a socket to its first port: so several daemons on one network never send from the same
 * port, and their answers can't be mistaken for each other's, at the price of one descriptor for 512 ports.
 */
#ifndef HOPLINE_PORTS_H
#define HOPLINE_PORTS_H

#include "host/clock.h"
#include "host/random.h"
#include "packets/family.h"
#include "probes/flow.h"

struct ports;

/* EPHEMERAL_LOW to EPHEMERAL_HIGH: the range that the kernel hands out. NULL: no memory. */
struct ports *ports_new(struct random *random, uint16_t ephemeral_low, uint16_t ephemeral_high);
void ports_free(struct ports *ports);

/*
 * The next port of those that we have, in turn, so that each is used again as late as possible; takes another block
 * when that would be soon. 0: none can be had.
 */
uint16_t ports_next(struct ports *ports, struct instant now);

/* Takes another block, because the ports that we have are all in use. False: there is none. */
MUST_USE bool ports_grow(struct ports *ports);

/*
 * The first of FLOW_PORTS ports that ports_next() never gives, the same at each call; a multiple of their number. 0:
 * there are none.
 */
uint16_t ports_reserve(struct ports *ports);

/* How many ports ports_next() has. */
uint32_t ports_count(const struct ports *ports);

/*
 * Holds a UDP port that a client named, by a socket: no other program can bind it, and to the kernel it is open, so
 * that it does not answer the target's datagrams with port unreachable. Probes share a lease. Sets *LEASE, which is not
 * 0, for ports_release(). 0, or an errno value (EADDRINUSE: another program has it).
 */
int ports_lease(struct ports *ports, enum family_id family, const struct address *source, uint32_t scope, uint16_t port,
               uint32_t *lease);
void ports_release(struct ports *ports, uint32_t lease);

#endif
