/* SPDX-License-Identifier: MIT */
/*
 * ICMP errors as a socket's error queue has them (ip(7), IP_RECVERR; ipv6(7)): the kernel has found the socket that the
 * quoted packet left by, and hands over the type, the sender and what was quoted behind the header. Pure: bytes in, an
 * answer out, as packet_decode() gives it for raw sockets.
 *
 * The kernel keeps the quoted IP header and UDP header to itself. So a UDP probe is known by its ports and its payload:
 * the first two bytes of that stand for the checksum in `struct identity` and `struct answer`.
 */
#ifndef HOPLINE_ERRQUEUE_H
#define HOPLINE_ERRQUEUE_H

#include "host/control.h"
#include "packets/packet.h"

struct queued_error {
    enum family_id family;
    enum protocol_id protocol;
    uint16_t near;         /* the socket's port or ICMP identifier */
    bool shared;           /* its probes may have both ports in common: then these prove nothing */
    struct address target; /* the quoted target and its port, as the socket address of the message has them */
    uint16_t far;
    const struct controls *controls;
    struct reader quoted;  /* ICMP, TCP: from the quoted transport header on; UDP: from its payload on */
    struct instant arrived;
};

/* False when it is no ICMP error, or none that is an answer to a probe. */
MUST_USE bool errqueue_decode(const struct queued_error *queued, struct answer *answer);

/* What stands for the checksum of a UDP probe with this payload. */
uint16_t errqueue_mark(struct reader payload);

#endif
