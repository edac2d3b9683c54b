/* The pieces of a reply line: each is written whole, or sets the writer's `overflow`. */
#ifndef HOPLINE_TEXT_H
#define HOPLINE_TEXT_H

#include "family.h"

void put_text(struct writer *line, const char *text);
void put_number(struct writer *line, int64_t number);

/* NAME between two blanks, as it stands before its value. */
void put_name(struct writer *line, const char *name);

/* Two hex digits each. */
void put_bytes(struct writer *line, struct reader bytes);

/* As RFC 5952 has it. */
void put_address(struct writer *line, enum family_id family, const struct address *address);

/* A link-local address with %SCOPE behind it, if SCOPE is not NULL. */
void put_scoped(struct writer *line, enum family_id family, const struct address *address, const char *scope);

/* Text of strangers: what is not printable ASCII, or one of % , = is put as %XX, so no white space is left in it. */
void put_escaped(struct writer *line, struct reader text);

#endif
