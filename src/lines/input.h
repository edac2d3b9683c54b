/* SPDX-License-Identifier: MIT */
/* Bytes from a descriptor, parted into lines. */
#ifndef HOPLINE_INPUT_H
#define HOPLINE_INPUT_H

#include <stdbool.h>
#include <stddef.h>

#define LINE_MAX_LENGTH 32767 /* bytes, without the newline */

struct input;

/*
 * FD's own blocking mode is left alone, since others may share it. It is FD that is to be polled, though what is read may
 * be the same opened again: a FIFO whose writers are gone by then tells only those who had it open before. NULL: no
 * memory.
 */
struct input *input_new(int fd);
void input_free(struct input *input);

/* Reads once, what is there and what there is room for; does not wait when somebody else has taken it. */
void input_fill(struct input *input);

/* True while more can be read: the descriptor has not ended, and there is room. */
bool input_wants_more(const struct input *input);

enum input_line { INPUT_NONE, INPUT_LINE, INPUT_OVERFLOW };

/*
 * The next line, without its newline, good until the next call of input_fill(). INPUT_OVERFLOW, once for a line that is
 * too long, takes its place. INPUT_NONE: none is whole yet.
 */
enum input_line input_next(struct input *input, const char **line, size_t *length);

/* Puts back the line that input_next() gave last. */
void input_unget(struct input *input);

/* True when all was read and every line was taken. */
bool input_ended(const struct input *input);

#endif
