/* SPDX-License-Identifier: MIT */
/*
 * Lines to a descriptor that may be slow. A write never blocks, and never parts a line: mtr reads the first answer with
 * a single read(). The buffer grows with what waits in it.
 */
#ifndef HOPLINE_OUTPUT_H
#define HOPLINE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

struct output;

/* Leaves FD's own blocking mode alone, since others may share it. NULL: no memory. */
struct output *output_new(int fd);
void output_free(struct output *output);

/* When FD is readable, output_line() waits no more: the process is to end. -1, as it is at first: none. */
void output_give_up_by(struct output *output, int fd);

/* The descriptor to poll, which may be another than was given. */
int output_fd(const struct output *output);

/*
 * Adds one line, newline included, at most PIPE_BUF bytes. Waits for the reader only when memory is at its end, and when
 * it has to give up, or there is no reader any more, the line is lost.
 */
void output_line(struct output *output, const char *line, size_t length);

/* Bytes that wait to be written. */
size_t output_waiting(const struct output *output);

/* Writes what can be written without blocking. False when nobody will ever read it, or it can't be written. */
bool output_flush(struct output *output);

/* The errno value with which it could not be written, such as ENOSPC; 0: none, though the reader may be gone. */
int output_error(const struct output *output);

#endif
