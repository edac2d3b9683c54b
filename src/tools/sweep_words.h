/* SPDX-License-Identifier: MIT */
/* Words of a file or a pipe, as they come: comments, white space and the rest as target_next_word() has them. */
#ifndef HOPLINE_TOOLS_SWEEP_WORDS_H
#define HOPLINE_TOOLS_SWEEP_WORDS_H

#include "tools/events.h"

struct words_user {
    void (*word)(void *owner, const char *word);
    void (*some)(void *owner);  /* those of one reading were told */
    void (*ended)(void *owner); /* there are no more */
    void *owner;
};

struct words;

/* Never NULL: ends the program without memory, and of a file that is no text in UTF-8. */
struct words *words_read(struct events *events, int descriptor, struct words_user user);

/* Reads no further. */
void words_free(struct words *words);

#endif
