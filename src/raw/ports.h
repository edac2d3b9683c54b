/* SPDX-License-Identifier: MIT */
/*
 * Source ports of our own choice, in blocks that this daemon has to itself among daemons of its kind: by a guard (keep.h)
 * on a block's first port. So several daemons on one network never send from the same port, and their answers can't be
 * mistaken for each other's, at the price of one descriptor for 512 ports.
 *
 * Blocks outside net.ipv4.ip_local_port_range come first: other programs have nothing there that they did not ask for by
 * number. From those inside the kernel may hand out any port at any time, so what tells probes apart by ports alone must
 * hold each of them (leases.h).
 */
#ifndef HOPLINE_PORTS_H
#define HOPLINE_PORTS_H

#include "host/clock.h"
#include "host/random.h"
#include "packets/family.h"
#include "probes/flow.h"
#include "raw/filter.h"

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
 * The first of FLOW_PORTS ports that ports_next() never gives, the same at each call; a multiple of their number. Where
 * other daemons have all blocks it is one of theirs. 0: there are none.
 */
uint16_t ports_reserve(struct ports *ports);

/* How many ports ports_next() has. */
uint32_t ports_count(const struct ports *ports);

/* True when the kernel hands out ports of this one's block. */
bool ports_is_handed_out(const struct ports *ports, uint16_t port);

/* True for a port of our blocks that neither the kernel hands out nor another daemon has. */
bool ports_is_ours(const struct ports *ports, uint16_t port);

/*
 * The blocks that come next, chosen at start among those that nobody had: for filters, which can't be changed later. Most
 * daemons never need another.
 */
const struct port_blocks *ports_expected(const struct ports *ports);

#endif
