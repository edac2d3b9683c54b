/* SPDX-License-Identifier: MIT */
/*
 * ICMP extensions: RFC 4884, and the form without a length field that came before it; MPLS labels by RFC 4950,
 * interfaces by RFC 5837, nodes by draft-ietf-intarea-extended-icmp-nodeid.
 */
#ifndef HOPLINE_ICMPEXT_H
#define HOPLINE_ICMPEXT_H

#include "packets/family.h"

/*
 * Parts the body of an ICMP error (behind its eight bytes) into the quoted packet, which stays in *BODY, and the
 * extension objects, which are returned. LENGTH is the message's length field, or 0. Objects count only behind a right
 * version and checksum; otherwise none are returned, and nothing is cut off.
 */
struct reader icmp_extensions(struct reader *body, enum family_id family, uint8_t length);

/*
 * The same where the extensions begin at byte AT of *BODY. ANNOUNCED: a length field said so, and a checksum of 0 is
 * believed.
 */
struct reader icmp_extensions_at(struct reader *body, size_t at, bool announced);

#define QUOTE_MIN 128 /* bytes of the quote in the form without a length field, right before the extensions */

/* The same behind a translator to this family (RFC 7915), which has given the quoted packet a header of its own size. */
size_t icmp_translated_quote(enum family_id family);

struct extension {
    uint8_t class_number;
    uint8_t type;
    struct reader payload;
};

/* Takes the next object; false at the end, or where the rest is malformed. */
MUST_USE bool extension_next(struct reader *objects, struct extension *extension);

bool extension_is_mpls(const struct extension *extension);

/* What a router says of one of its interfaces (RFC 5837, section 4). */
struct interface_info {
    uint8_t role; /* 0: the probe came in by it; 1: by it, below IP; 2: it was to leave by it; 3: it is the next hop */
    bool has_index, has_address, has_mtu;
    uint32_t index;
    enum family_id family;
    struct address address;
    struct reader name; /* any bytes; empty: none */
    uint32_t mtu;       /* bytes */
};

/* False when the object is of another kind, or not as it should be. */
MUST_USE bool extension_read_interface(const struct extension *extension, struct interface_info *info);

/* What a router calls itself: node identification, class 5. At least one of the two is there. */
struct node_info {
    bool has_address;
    enum family_id family;
    struct address address;
    struct reader name; /* as an interface's */
};

/* False when the object is of another kind, or not as it should be. */
MUST_USE bool extension_read_node(const struct extension *extension, struct node_info *info);

struct mpls_label {
    uint32_t label;
    uint8_t traffic_class;
    bool bottom_of_stack;
    uint8_t ttl;
};

/* Takes the next label of an MPLS object's payload; false at the end. */
MUST_USE bool mpls_next(struct reader *stack, struct mpls_label *label);

#endif
