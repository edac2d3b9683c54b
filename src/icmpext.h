/* ICMP extensions: RFC 4884, and the form without a length field that came before it; MPLS labels by RFC 4950. */
#ifndef HOPLINE_ICMPEXT_H
#define HOPLINE_ICMPEXT_H

#include "bytes.h"

/*
 * Parts the body of an ICMP error (behind its eight bytes) into the quoted packet, which stays in *BODY, and the
 * extension objects, which are returned. QUOTED is the quote's length in bytes as the message's length field has it, or
 * 0. Objects count only behind a right version and checksum; otherwise none are returned, and nothing is cut off.
 */
struct reader icmp_extensions(struct reader *body, size_t quoted);

struct extension {
    uint8_t class_number;
    uint8_t type;
    struct reader payload;
};

/* Takes the next object; false at the end, or where the rest is malformed. */
MUST_USE bool extension_next(struct reader *objects, struct extension *extension);

bool extension_is_mpls(const struct extension *extension);

struct mpls_label {
    uint32_t label;
    uint8_t traffic_class;
    bool bottom_of_stack;
    uint8_t ttl;
};

/* Takes the next label of an MPLS object's payload; false at the end. */
MUST_USE bool mpls_next(struct reader *stack, struct mpls_label *label);

#endif
