/* SPDX-License-Identifier: MIT */
/* What differs between IPv4 and IPv6, in one table; and addresses, which are the same type for both. */
#ifndef HOPLINE_FAMILY_H
#define HOPLINE_FAMILY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "packets/bytes.h"

enum family_id { IPV4, IPV6, FAMILIES };

/* Network order; an IPv4 address stands in the first four bytes, and the rest is zero. */
struct address {
    uint8_t bytes[16];
};

/* What an ICMP message says about the probe that it quotes. */
enum meaning {
    MEANS_NOTHING,
    MEANS_TTL_EXPIRED,
    MEANS_NO_ROUTE_HOST,
    MEANS_NO_ROUTE_NETWORK,
    MEANS_NO_PORT,         /* these three are said by who got the probe: the target, or somebody in its place */
    MEANS_NO_PROTOCOL,
    MEANS_NOT_REASSEMBLED, /* fragments of it are missing */
    MEANS_TOO_BIG,
};

#define ANY_CODE 0x100

struct icmp_meaning {
    uint8_t type;
    uint16_t code; /* or ANY_CODE */
    enum meaning meaning;
    bool has_quote_length; /* the field that RFC 4884, section 4, adds to the ICMP header */
};

struct family {
    int domain;              /* AF_INET, AF_INET6 */
    size_t address_size;     /* bytes */
    size_t header_size;      /* bytes, of the IP header that we send */
    size_t mtu_min;          /* bytes that every link carries (RFC 791, RFC 8200) */
    const char *target_name; /* the protocol's words: mtr-packet(8) */
    const char *local_name;
    struct address loopback;
    uint8_t icmp_protocol;
    size_t quote_unit;          /* bytes that one count of RFC 4884's length stands for */
    size_t quote_length_offset; /* where that length stands in the ICMP header */
    const struct icmp_meaning *meanings; /* first match counts; ends with MEANS_NOTHING */

    /* socket options, all at `level` */
    int level;
    int tos;
    int recverr_extensions; /* with recverr: says where in an error its ICMP extensions begin */
    int mtu_discover;
    int mtu; /* of the path of a connected socket */
    int ttl;         /* of one packet */
    int default_ttl; /* of all that a socket sends */
};

extern const struct family families[FAMILIES];

/* What an ICMP message of this type and code means: MEANS_NOTHING if it is no error that we know. */
const struct icmp_meaning *family_icmp_meaning(const struct family *family, uint8_t type, uint8_t code);

bool address_same(const struct address *a, const struct address *b);

/* 0.0.0.0 or :: */
bool address_is_unspecified(const struct address *address);

/* Multicast or IPv4's limited broadcast: answers come from other addresses than the target. */
bool address_is_group(enum family_id family, const struct address *address);

/*
 * True when it means something on one link or interface only, and so needs a scope: IPv6 unicast fe80::/10, and
 * multicast of scopes 1 and 2 (RFC 4291, sections 2.5.6 and 2.7).
 */
bool address_is_link_local(enum family_id family, const struct address *address);

/* Exactly LENGTH characters of text; false when they are no address of this family. */
MUST_USE bool address_parse(enum family_id family, const char *text, size_t length, struct address *address);

/* SCOPE is an interface index or 0, PORT in host order. Returns the length of the socket address. */
socklen_t address_to_socket(enum family_id family, const struct address *address, uint32_t scope, uint16_t port,
                            struct sockaddr_storage *to);

/* Leaves the scope out. False when it is of neither family. */
MUST_USE bool address_from_socket(const struct sockaddr_storage *from, enum family_id *family, struct address *address);

/* Takes an address of this family off the cursor, or puts one on it. */
MUST_USE bool read_address(struct reader *reader, enum family_id family, struct address *address);
void write_address(struct writer *writer, enum family_id family, const struct address *address);

#endif
