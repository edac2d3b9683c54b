/* SPDX-License-Identifier: MIT */
#include "tools/screen.h"

#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/text.h"

#define LINE_BYTES 1024

struct screen {
    bool terminal;
    int columns, rows;
    int drawn; /* lines that stand above the cursor */
    int line;  /* of the drawing that is being made */
    int beyond; /* lines of it from the last row on, which is for one of them, or for how many there are */
    char last[LINE_BYTES]; /* of these */
};

static void
measure(struct screen *screen)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    screen->columns = known && size.ws_col ? size.ws_col : 80;
    screen->rows = known && size.ws_row ? size.ws_row : 24;
}

struct screen *
screen_open(void)
{
    struct screen *screen = calloc(1, sizeof *screen);
    const char *terminal = getenv("TERM");
    if (!screen)
        err(2, NULL);
    screen->terminal = isatty(STDOUT_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
    measure(screen);
    return screen;
}

bool
screen_is_terminal(const struct screen *screen)
{
    return screen->terminal;
}

int
screen_columns(const struct screen *screen)
{
    return screen->columns;
}

void
screen_begin(struct screen *screen)
{
    measure(screen);
    if (screen->terminal && screen->drawn)
        printf("\033[%dA\r", screen->drawn);
    screen->line = screen->beyond = 0;
}

static void
put_line(struct screen *screen, const char *text)
{
    int left;
    if (screen->terminal)
        printf("%.*s\033[K\n", text_fit(text, screen->columns, &left), text);
    else
        puts(text);
    screen->line++;
}

/* The last row is the cursor's, and the one above it is for how many there is no room for. */
static bool
has_room(const struct screen *screen)
{
    return !screen->terminal || screen->line + 2 < screen->rows;
}

void
screen_heading(struct screen *screen, const char *text)
{
    if (has_room(screen))
        put_line(screen, text);
}

void
screen_line(struct screen *screen, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(screen->last, sizeof screen->last, format, values);
    va_end(values);
    if (has_room(screen))
        put_line(screen, screen->last);
    else
        screen->beyond++;
}

void
screen_end(struct screen *screen)
{
    if (screen->beyond > 1)
        snprintf(screen->last, sizeof screen->last, "(and %d more, for which there is no room)", screen->beyond);
    if (screen->beyond)
        put_line(screen, screen->last);
    if (screen->terminal)
        printf("\033[J");
    screen->drawn = screen->line;
    fflush(stdout);
}

void
screen_clear(struct screen *screen)
{
    if (screen->terminal && screen->drawn)
        printf("\033[%dA\r\033[J", screen->drawn);
    fflush(stdout);
    screen->drawn = 0;
}

void
screen_leave(struct screen *screen)
{
    screen->drawn = 0;
}

void
screen_close(struct screen *screen)
{
    free(screen);
}
