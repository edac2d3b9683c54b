/* SPDX-License-Identifier: MIT */
/* What a user names as a target: a host, an address, a block or a range of addresses. Pure. */
#ifndef HOPLINE_TOOLS_TARGET_H
#define HOPLINE_TOOLS_TARGET_H

#include "packets/family.h"

#define BLOCK_MAX (INT64_C(1) << 20) /* addresses */
#define TARGET_WHY_MAX 200

enum target_kind {
    TARGET_NAME,
    TARGET_ADDRESS,
    TARGET_BLOCK, /* a block or a range, of more than one address or just one; all have the same scope */
    TARGET_WRONG,
};

struct target {
    enum target_kind kind;
    enum family_id family;
    struct address first, last;
    int64_t count;           /* of addresses, 1 to BLOCK_MAX */
    char scope[32];          /* "" or an interface, behind the address */
    char why[TARGET_WHY_MAX]; /* of TARGET_WRONG: what is wrong and what to write, of printable ASCII */
};

/* What is written, though it may be of no use as a target, as fe80::1 without an interface. Blocks may be of any size. */
struct target target_read_text(const char *word);

/* A target. FAMILY is 4, 6 or 0: an address of the other one is wrong. 0.0.0.0 and :: are this host: 127.0.0.1 and ::1. */
struct target target_read(const char *word, int family);

/* The same, but a block or range may be of any size; `count` is BLOCK_MAX + 1 of those that have more. */
struct target target_read_wide(const char *word, int family);

/* The NUMBER-th address from FIRST, as text with the scope; BUFFER holds 64 bytes. */
const char *target_address(const struct target *target, int64_t number, char buffer[64]);

/*
 * A list of targets, as lines: comments begin with #, words are separated by white space, a carriage return or a byte
 * order mark counts as white space. Cuts LINE in place; returns the next word and moves *REST, NULL at the end. *REST
 * begins as LINE.
 */
char *target_next_word(char **rest);

#endif
