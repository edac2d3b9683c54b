/* SPDX-License-Identifier: MIT */
/* Reading words, the pieces of a client's line (struct word), in which any byte but white space may be. */
#ifndef HOPLINE_WORD_H
#define HOPLINE_WORD_H

#include "packets/bytes.h"

/* Takes the next word off LINE; length 0 at the end. */
struct word word_next(struct word *line);

static inline bool
word_is(struct word word, const char *text)
{
    for (size_t i = 0; i < word.length; i++)
        if (text[i] == '\0' || text[i] != word.at[i])
            return false;
    return text[word.length] == '\0';
}

static inline bool
word_same(struct word one, struct word other)
{
    return one.length == other.length && memcmp(one.at, other.at, one.length) == 0;
}

/*
 * True when it is a decimal integer and nothing else, of whatever length. One that fits neither int32_t nor uint32_t
 * comes out as a number that does not either.
 */
MUST_USE bool word_integer(struct word word, int64_t *number);

/* True when it is a number from 1 to INT32_MAX; else *NUMBER stays as it is. */
MUST_USE bool word_is_number(struct word word, uint32_t *number);

/* Digits from AT on, up to END; moves AT behind them. What exceeds LIMIT becomes LIMIT + 1, however long it is. */
int64_t word_digits(const char **at, const char *end, int64_t limit);

#endif
