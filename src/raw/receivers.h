/* SPDX-License-Identifier: MIT */
/*
 * All raw sockets that answers come in by: one for each family and protocol, and one more for udp. Where the host keeps
 * what comes in by a VRF from sockets that are not bound to it (net.ipv4.raw_l3mdev_accept=0), there are more of them in
 * reserve, since raw sockets can't be had once privileges are dropped, and each VRF that is probed gets a set of its own.
 */
#ifndef HOPLINE_RECEIVERS_H
#define HOPLINE_RECEIVERS_H

#include "raw/receiver.h"

#define RECEIVERS_VRFS 16 /* VRFs that may have a set of their own */
#define RECEIVERS_MAX ((1 + RECEIVERS_VRFS) * FAMILIES * EARS)

/*
 * By what a probe is heard, apart from ICMP: by that of its protocol. That of udp knows the blocks that most of our ports
 * are in, and takes no other datagram of the host; one more takes all others, while a probe waits that needs it. With
 * EAR_NONE there is none.
 */
enum ear { EAR_OTHER_DATAGRAMS = PROTOCOLS, EARS, EAR_NONE = EARS };

struct receiver_set {
    uint32_t vrf; /* interface index to which all of them are bound; 0: none */
    struct receiver members[FAMILIES][EARS]; /* by enum protocol_id, and enum ear */
};

struct receivers {
    struct receiver_set sets[1 + RECEIVERS_VRFS]; /* the first one is for all that needs no other */
    uint32_t used;     /* sets that are that or a VRF's: the others are the reserve */
    bool has_reserve;
};

/* SPARE: the process may have many descriptors: without that, there is no reserve. */
void receivers_init(struct receivers *receivers, bool spare);
void receivers_close(struct receivers *receivers);

/* Opens those of a family and protocol, see receiver_open(). 0, or an errno value. */
int receivers_open(struct receivers *receivers, enum family_id family, enum protocol_id protocol,
                   const struct filter_terms *terms, struct refused *refused);

/*
 * One more probe of this request, or one less, may be answered: by a router too, so in ICMP. EAR: its protocol's number,
 * or one of enum ear. OURS: the address that it leaves from. VRF is the interface index of the one that it is sent to, or
 * 0. *SET becomes the set that listens. 0, or an errno value (EMFILE: too many VRFs have been probed already; EPERM: Linux
 * before 5.7 lets nobody without privileges bind to an interface).
 */
int receivers_expect(struct receivers *receivers, const struct request *request, unsigned ear, const struct address *ours,
                     uint32_t vrf, uint32_t *set);
void receivers_forgo(struct receivers *receivers, uint32_t set, enum family_id family, unsigned ear);

/* For poll(2): those that are awake, and how they came back. */
size_t receivers_watch(const struct receivers *receivers, struct pollfd *fds);
void receivers_polled(struct receivers *receivers, const struct pollfd *fds, size_t count);
void receivers_expect_all(struct receivers *receivers);

/* One that may have something to receive, or NULL. */
struct receiver *receivers_next(struct receivers *receivers);

/* All that had arrived by then was received. */
struct instant receivers_until(const struct receivers *receivers, struct instant now);

/* Parks what is idle; see receiver_rest(). */
bool receivers_rest(struct receivers *receivers, struct instant now, struct instant *when);

/* Packets that did not fit in the sockets' buffers. */
uint64_t receivers_lost(const struct receivers *receivers);

#endif
