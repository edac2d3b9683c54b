/* SPDX-License-Identifier: MIT */
/* The pieces of a reply line: each is written whole, or sets the writer's `overflow`. */
#ifndef HOPLINE_TEXT_H
#define HOPLINE_TEXT_H

#include <string.h>

#include "packets/family.h"

/* Inline, so that the compiler counts the characters of the many texts that are constants. */
static inline void
put_text(struct writer *line, const char *text)
{
    write_bytes(line, text, strlen(text));
}

/* NAME between two blanks, as it stands before its value. */
static inline void
put_name(struct writer *line, const char *name)
{
    write_u8(line, ' ');
    put_text(line, name);
    write_u8(line, ' ');
}

void put_number(struct writer *line, int64_t number);

/* Two hex digits each. */
void put_bytes(struct writer *line, struct reader bytes);

/* IPv6 addresses in the form of RFC 5952, section 4. */
void put_address(struct writer *line, enum family_id family, const struct address *address);

/*
 * A link-local address with %SCOPE behind it, if SCOPE is not NULL; another address without. SCOPE is put as it is, so
 * that a client can use it in a request, but for bytes that are not printable ASCII, which become %XX. The kernel
 * allows no % in an interface's name.
 */
void put_scoped(struct writer *line, enum family_id family, const struct address *address, const char *scope);

/* Text of strangers: what is not printable ASCII, or one of % , = is put as %XX, so no white space is left in it. */
void put_escaped(struct writer *line, struct reader text);

#endif
