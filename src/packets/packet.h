/* SPDX-License-Identifier: MIT */
/*
 * Packets as values: what identifies a probe on the wire, the bytes that carry it, and what an answer tells. Pure:
 * memory in, memory out. All numbers are in host order.
 */
#ifndef HOPLINE_PACKET_H
#define HOPLINE_PACKET_H

#include "packets/family.h"
#include "packets/instant.h"
#include "packets/request.h"

#define PACKET_MAX 65535 /* bytes, of a whole IP packet of either family */
#define NONCE_SIZE 8

/* All by which an answer can be known to be that probe's. */
struct identity {
    struct address source;
    uint64_t nonce;    /* in the payload, ends with ip_id; 0: none */
    uint32_t number;   /* TCP: sequence number; SCTP: initiate tag; ICMP timestamp: when it left; else the balance */
    uint16_t near;     /* our port; ICMP: identifier */
    uint16_t far;      /* the target's port; ICMP: sequence */
    uint16_t ip_id;    /* IPv4 identification; IPv6: of fragments */
    uint16_t checksum; /* of the transport header, as sent; TCP: if it had no ECN bits, see tcp.c */
    uint32_t flow_label : 20; /* IPv6 */

    /*
     * `checksum` was chosen first, and two bytes of payload, behind those that were asked for, make it right. So it can
     * stay the same in a flow of echo requests, and differ between udp probes with the same ports.
     */
    bool balanced : 1;
    bool dont_fragment : 1; /* IPv4 DF, as sent */
};

#define BALANCE_SIZE 2 /* bytes */

/* Bytes of payload that this request's packet carries, and those of them that were not given as `payload`. */
size_t packet_payload_size(const struct request *request);
size_t packet_free_size(const struct request *request);

/*
 * Gives the identity a nonce if the request leaves room for it: enough bytes of which neither payload nor pattern were
 * asked for. `balanced` and `ip_id` are set before. The nonce is RANDOM but for its last two bytes, which are `ip_id`,
 * under which probes are indexed: so a nonce that comes back finds its probe, though all else was rewritten on the way.
 */
void packet_offer_nonce(const struct request *request, struct identity *identity, uint64_t random);

/* The identification of the probe that has this nonce. */
uint16_t packet_nonce_ip_id(uint64_t nonce);

/* True when routers may not fragment the packet (IPv4: DF): as the request says, or else as its protocol does. */
bool packet_forbids_fragments(const struct request *request);

/*
 * The number after LAST for an IP identification. It may become a balanced checksum too, so it is neither 0, which says
 * "none" in UDP (RFC 768), nor 0xffff, which is the same to a checksum.
 */
static inline uint16_t
packet_next_ip_id(uint16_t last)
{
    do
        last++;
    while (last == 0 || last == 0xffff);
    return last;
}

#define FAR_PORT_FIRST 33434 /* of targets whose port varies: where traceroute(8) begins, so firewalls let these in */
#define FAR_PORTS 100        /* and no more, since they do not let in all */

/* The next of these ports; *NEXT becomes 0 behind the last. */
static inline uint16_t
packet_next_far_port(uint16_t *next)
{
    uint16_t far = *next ? *next : FAR_PORT_FIRST;
    *next = far + 1 < FAR_PORT_FIRST + FAR_PORTS ? (uint16_t)(far + 1) : 0;
    return far;
}

/* Where the nonce begins in the payload, in bytes. */
size_t packet_nonce_offset(const struct identity *identity);

/* The two bytes that make a balanced checksum right, once the packet is built, and where they stand in the payload. */
uint16_t packet_balance(const struct identity *identity, size_t *offset);

/*
 * Writes the whole IP packet and sets identity->checksum and identity->dont_fragment. The IPv4 header checksum is left to
 * the kernel. Returns the packet's length, or 0 if it does not fit in SIZE bytes.
 */
size_t packet_build(const struct request *request, struct identity *identity, uint8_t *to, size_t size);

/*
 * Writes to TO the fragment of PACKET (LENGTH bytes, as packet_build() made it) that begins at *OFFSET, at most MTU
 * bytes long, and moves *OFFSET behind it (RFC 791; RFC 8200, section 4.5). *OFFSET starts at 0. Returns the fragment's
 * length; 0 at the end, or when MTU is too small for any.
 */
size_t packet_fragment(enum family_id family, const uint8_t *packet, size_t length, size_t mtu, uint16_t id,
                       size_t *offset, uint8_t *to);

/* The pseudo header's sum, for checksum_add(): RFC 9293, section 3.1; RFC 8200, section 8.1. LENGTH in bytes. */
uint64_t pseudo_header_sum(enum family_id family, const struct address *source, const struct address *target,
                           uint8_t number, size_t length);

/* What a socket received. */
struct datagram {
    enum family_id family;
    uint8_t number;       /* of the protocol; unused if the IP header, which has it, is there */
    struct reader bytes;  /* IPv4: from the IP header on; IPv6: from the transport header on */
    bool bare;            /* IPv4 too is without its IP header, as sockets give it that are not raw */
    struct address from;  /* unused if the IP header is there, as the next three */
    struct address to;
    uint8_t ttl;          /* 0: the host does not say, and then not of the TOS either */
    uint8_t tos;
    size_t options;       /* bytes of IPv4 options or IPv6 extension headers that are not in BYTES, */
    bool options_cut;     /* or more */
    struct instant arrived;
};

/* Bits of tcp_flags beside those of <netinet/tcp.h>; the last is in the byte that holds the header's length (RFC 9768). */
enum { TCP_ECE = 0x40, TCP_CWR = 0x80, TCP_AE = 0x100 };

/* The lowest byte of an extended echo reply's header (RFC 8335, section 3). */
enum interface_state { INTERFACE_IPV6 = 1, INTERFACE_IPV4 = 2, INTERFACE_ACTIVE = 4, INTERFACE_STATE_SHIFT = 5 };

/* Not every kind of socket tells each of these. */
enum known { KNOWN_SIZE = 1, KNOWN_TTL = 2, KNOWN_TOS = 4, KNOWN_QUOTE = 8, KNOWN_ID = 16 };

/* What an answer tells, in the terms of the probe that it may belong to. Views point into the datagram. */
struct answer {
    enum family_id family;
    enum protocol_id protocol; /* the probe's */
    struct address from;       /* who answered */
    struct address to;         /* whom it reached: us */
    struct instant arrived;
    int64_t doubt;             /* ns: by so much `arrived` may be too early, see clock_doubt(); set by who has it matched */
    bool unstamped;            /* it came by then, and after its socket was last looked at: no more is known */
    uint8_t known;             /* bits of enum known: which of the next four, and of the quoted ones, are */
    size_t size;               /* bytes of the IP packet; IPv6: without extension headers */
    uint16_t id;               /* its IPv4 identification */
    uint8_t ttl, tos;
    uint16_t tcp_flags;        /* of a TCP answer */
    enum icmp_request icmp_request;        /* the kind of ICMP request that is answered, or quoted; other protocols: 0 */
    struct reader content;                 /* the payload of a datagram or an echo reply */
    uint32_t originate, receive, transmit; /* of an ICMP timestamp reply */
    uint8_t interface_state;               /* of an extended echo reply, with its flags: enum interface_state */

    bool is_error;             /* an ICMP message that quotes the probe; else the target's protocol answered */
    uint8_t icmp_type, icmp_code;
    enum meaning meaning;      /* of an error */
    uint32_t mtu;              /* of an error that means TOO_BIG, bytes */
    struct reader extensions;  /* ICMP extension objects, checksum proven; see icmpext.h */

    /* What is returned of the probe's identity. */
    struct address source, target; /* of an error: the quoted addresses. Else `to` and `from`. */
    uint16_t near, far;
    bool has_number;
    uint32_t number;
    bool has_checksum;
    uint16_t checksum;         /* TCP: without what boxes on the way changed of options and flags */
    bool has_ip_id;
    uint16_t ip_id;
    bool dont_fragment;        /* IPv4 DF of a quote */
    bool rebuilt;              /* a quote that may have been made anew: its checksum disproves nothing. See udp.c */
    bool ports_shared;         /* other probes may have both ports in common with it: they prove nothing alone */
    bool has_payload;
    struct reader payload;     /* as much of it as came back */
    uint8_t quoted_ttl, quoted_tos;
    uint16_t sent_mss, quoted_mss; /* of a TCP quote: the option as we sent it, and as it is quoted; 0: not quoted */
};

/*
 * False when the Internet checksum of what a socket received, at OFFSET in BYTES, is wrong. A raw socket sees
 * packets before the kernel looks at that, but for ICMPv6. A packet that never left the host, or came from a guest,
 * may bear an unfinished checksum, the pseudo header's sum alone: a real interface would have finished it.
 */
MUST_USE bool checksum_is_right(const struct answer *answer, uint8_t number, struct reader bytes, size_t offset);

/* False when the datagram is malformed or can't be an answer to any probe. */
MUST_USE bool packet_decode(const struct datagram *datagram, struct answer *answer);

#endif
