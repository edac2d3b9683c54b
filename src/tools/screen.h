/* SPDX-License-Identifier: MIT */
/* A table that is drawn anew in its place on a terminal. Where there is none, each drawing follows the one before. */
#ifndef HOPLINE_TOOLS_SCREEN_H
#define HOPLINE_TOOLS_SCREEN_H

#include <stdbool.h>

struct screen;

/* Of standard output. Never NULL: ends the program without memory. */
struct screen *screen_open(void);

/* True on a terminal that understands control sequences. */
bool screen_is_terminal(const struct screen *screen);

/* Columns now; 80 where it is not known. */
int screen_columns(const struct screen *screen);

/*
 * One drawing: lines, each cut at the right edge. Of lines beyond the height of the terminal it tells how many; a heading
 * that has no room is left out, and is none of these.
 */
void screen_begin(struct screen *screen);
void screen_heading(struct screen *screen, const char *text);
__attribute__((format(printf, 2, 3))) void screen_line(struct screen *screen, const char *format, ...);
void screen_end(struct screen *screen);

/* Takes the drawing away, so that a line of somebody else may be written; the next one is below it. */
void screen_clear(struct screen *screen);

/* The shell has written below the drawing: it is left where it is, and the next one is below that. */
void screen_leave(struct screen *screen);

/* Leaves the last drawing where it is. */
void screen_close(struct screen *screen);

#endif
