/* SPDX-License-Identifier: MIT */
/* Pieces of text that the tools read and write. Pure, but that LC_CTYPE says what is printable. */
#ifndef HOPLINE_TOOLS_TEXT_H
#define HOPLINE_TOOLS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packets/family.h"

bool text_is_ascii(const char *text);

/* True of what may stand for a host's name on a terminal: letters, digits, dots, hyphens, underscores. */
bool text_is_name(const char *text);

/*
 * What others wrote, in BUFFER, with a ? for each byte that is not of a printable character: of ASCII, or where LC_CTYPE
 * has been set to a locale of UTF-8, of that.
 */
const char *text_printable(const char *text, char *buffer, size_t size);

/* Bytes of TEXT, which is of UTF-8, that take up COLUMNS of a terminal at most; in *LEFT how many of these they leave. */
int text_fit(const char *text, int columns, int *left);

/*
 * Microseconds as milliseconds with no more decimals than they have: "12", "1.634". In BUFFER, not always at its start.
 */
const char *text_ms(int64_t us, char buffer[32]);

/*
 * Seconds such as "0.5", ".5", "2." as nanoseconds, at most 10^9 s; false when it is none. The decimal point is a dot.
 */
bool text_seconds(const char *text, int64_t *ns);

/* A number as people write one, decimal or, with 0x before it, hexadecimal. */
bool text_whole(const char *text, int64_t *number);

/* "1 answer", "3 answers": WHAT with an s where it is not one. BUFFER holds SIZE bytes. */
const char *text_count(int64_t count, const char *what, char *buffer, size_t size);

#endif
