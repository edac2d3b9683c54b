/* SPDX-License-Identifier: MIT */
/*
 * The protocols that probes are sent by: one row each, in a file of its own (icmp.c, udp.c, tcp.c, sctp.c), and nothing
 * elsewhere asks which protocol it has. Reading takes bytes as they came from the network.
 */
#ifndef HOPLINE_PROTOCOL_H
#define HOPLINE_PROTOCOL_H

#include "packets/packet.h"

/* How a probe's two ports (ICMP: identifier and sequence) are come by, where the request does not give them. */
enum ports_kind {
    PORTS_ECHO,       /* near and far are one number that counts on */
    PORTS_FAR_VARIES, /* without `port` the target's port varies, else ours does */
    PORTS_NEAR_VARIES,
};

struct protocol {
    const char *name;
    uint8_t number[FAMILIES]; /* in the IP header */
    enum ports_kind ports;
    uint16_t default_port;
    size_t header_size;   /* bytes before the payload */
    bool sized;           /* `size` and the pattern count; else there is no payload */
    bool dont_fragment;   /* IPv4 DF */
    bool numbered;        /* identity.number goes out and comes back */
    bool multihomed;      /* the target may answer from another address of its own */
    bool is_crc;          /* the checksum: not of addresses, and not to be adjusted when ports change */
    bool checksum_binds;  /* a quoted checksum must be ours; in other protocols middleboxes rewrite it */
    enum meaning refusal; /* the error by which a host without a listener answers; MEANS_NOTHING: there is none */

    /* Writes header and payload, to go from identity->source to the request's target; sets identity->checksum. */
    void (*build)(const struct request *request, struct identity *identity, struct writer *writer);

    /* Reads an answer that is no quote. ANSWER has its IP header's fields already. */
    bool (*read_answer)(struct reader bytes, struct answer *answer);

    /* Reads what an ICMP error quotes behind the quoted IP header, at least 8 bytes. */
    bool (*read_quote)(struct reader bytes, struct answer *answer);
};

extern const struct protocol protocol_icmp, protocol_udp, protocol_tcp, protocol_sctp;
extern const struct protocol *const protocols[PROTOCOLS];

/* The protocol with this number in a header of this family; false when it is none of ours. */
MUST_USE bool protocol_by_number(enum family_id family, uint8_t number, enum protocol_id *id);

/* Bytes of its probes' headers, the IP header included: no probe is smaller, whatever `size` was asked for. */
size_t protocol_headers_size(enum family_id family, enum protocol_id protocol);

/* Writes the payload as request and identity ask for it. */
void write_payload(const struct request *request, const struct identity *identity, struct writer *writer);

/*
 * Makes the checksum of a balanced identity's packet what identity->checksum is already, by filling in the balance.
 * CHECKSUM is that of the transport's bytes while the balance is 0; where there is no room for a balance, it stays, and
 * becomes the identity's. The payload begins at offset PAYLOAD.
 */
void write_balance(const struct request *request, struct identity *identity, struct writer *writer, size_t payload,
                   uint16_t checksum);

#endif
