/* SPDX-License-Identifier: MIT */
/* Kernel filters (classic BPF) that let in only what can answer us, so that other processes' packets never wake us. */
#ifndef HOPLINE_FILTER_H
#define HOPLINE_FILTER_H

#include "host/sockopt.h"
#include "packets/request.h"

#define PORT_BLOCK 512

/* Ports by blocks of PORT_BLOCK, a bit for each. */
struct port_blocks {
    uint32_t bits[65536 / PORT_BLOCK / 32];
};

static inline void
port_blocks_add(struct port_blocks *blocks, uint16_t port)
{
    blocks->bits[port / PORT_BLOCK / 32] |= UINT32_C(1) << port / PORT_BLOCK % 32;
}

static inline bool
port_blocks_has(const struct port_blocks *blocks, uint16_t port)
{
    return blocks->bits[port / PORT_BLOCK / 32] >> port / PORT_BLOCK % 32 & 1;
}

/* What is known of our probes when filters are made. */
struct filter_terms {
    uint16_t echo_id;         /* the lowest of our echo identifiers */
    struct port_blocks ports; /* of udp: where most of our ports are */
    bool others;              /* udp, in place of these: all ports but these */
};

/*
 * Puts a filter for this protocol on a raw socket of this family, for good (SO_LOCK_FILTER). Where the host refuses it we
 * are woken more often, and matching sorts out what is ours.
 */
void filter_answers(int fd, enum family_id family, enum protocol_id protocol, const struct filter_terms *terms,
                    struct refused *refused);

#endif
