/* SPDX-License-Identifier: MIT */
#include "lines/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_SIZE (128 * 1024)

struct input {
    int fd;
    bool ended;      /* nothing more comes from the descriptor */
    bool discarding; /* inside a line that is too long and was answered already */
    size_t start, end;
    size_t searched; /* no newline before this */
    size_t previous; /* where the last line given began, for input_unget() */
    char buffer[BUFFER_SIZE];
};

struct input *
input_new(int fd)
{
    struct input *input = calloc(1, sizeof *input);
    if (input)
        input->fd = fd;
    return input;
}

void
input_free(struct input *input)
{
    free(input);
}

void
input_fill(struct input *input)
{
    size_t left = input->end - input->start;
    memmove(input->buffer, input->buffer + input->start, left);
    input->searched -= input->start;
    input->start = 0;
    input->end = left;
    ssize_t got = read(input->fd, input->buffer + left, BUFFER_SIZE - left);
    if (got > 0)
        input->end += (size_t)got;
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        input->ended = true;
}

/* Steps over LENGTH bytes from the start, and the newline behind them if there is one. */
static void
step(struct input *input, size_t length, bool newline)
{
    input->previous = input->start;
    input->start += length + newline;
    input->searched = input->start;
}

enum input_line
input_next(struct input *input, const char **line, size_t *length)
{
    for (;;) {
        *line = input->buffer + input->start;
        const char *newline = memchr(input->buffer + input->searched, '\n', input->end - input->searched);
        *length = newline ? (size_t)(newline - *line) : input->end - input->start;
        bool whole = newline || (input->ended && *length > 0); /* the last line may lack its newline */
        bool too_long = *length > LINE_MAX_LENGTH;
        input->searched = input->end;
        if (input->discarding || too_long) {
            bool answered = input->discarding;
            step(input, *length, newline != NULL);
            input->discarding = !newline;
            if (!answered)
                return INPUT_OVERFLOW;
            if (!newline)
                return INPUT_NONE;
        } else if (whole) {
            step(input, *length, newline != NULL);
            return INPUT_LINE;
        } else {
            return INPUT_NONE;
        }
    }
}

void
input_unget(struct input *input)
{
    input->start = input->searched = input->previous;
}

bool
input_wants_more(const struct input *input)
{
    return !input->ended && input->end - input->start < BUFFER_SIZE;
}

bool
input_ended(const struct input *input)
{
    return input->ended && input->start == input->end;
}
