/* SPDX-License-Identifier: MIT */
#include "lines/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lines/descriptor.h"
#include "packets/compat.h"

#define BUFFER_SIZE (128 * 1024)

/*
 * How to read without waiting: poll(2) says that there is something, but who shares the descriptor may take it first.
 */
enum reading {
    READ_OURS,     /* it was opened again, and never waits */
    READ_SOCKET,   /* a flag of recv(2) */
    READ_AT_ONCE,  /* a flag of preadv2(2), where the kernel has it for such a descriptor (pipes: Linux 6.5) */
    READ_IN_HURRY, /* see descriptor.h */
    READ_FILE,     /* nobody waits for a file */
};

struct input {
    int fd;
    enum reading reading;
    int flags;       /* F_GETFL, at first */
    bool ended;      /* nothing more comes from the descriptor */
    bool discarding; /* inside a line that is too long and was answered already */
    size_t start, end;
    size_t searched; /* no newline before this */
    size_t previous; /* where the last line given began, for input_unget() */
    char buffer[BUFFER_SIZE];
};

static enum reading
reading_of(int fd)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return READ_FILE;
    if (S_ISSOCK(status.st_mode))
        return READ_SOCKET;
    return S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode) ? READ_AT_ONCE : READ_FILE;
}

struct input *
input_new(int fd)
{
    struct input *input = calloc(1, sizeof *input);
    if (!input)
        return NULL;
    int again = descriptor_open_again(fd, O_RDONLY);
    input->fd = again >= 0 ? again : fd;
    input->flags = fcntl(fd, F_GETFL);
    input->reading = again >= 0 ? READ_OURS : reading_of(fd);
    return input;
}

void
input_free(struct input *input)
{
    if (!input)
        return;
    if (input->reading == READ_OURS)
        close(input->fd);
    free(input);
}

static ssize_t
read_at_once(int fd, char *bytes, size_t length)
{
    struct iovec piece = { bytes, length };
    const long here = -1; /* no place in a file */
    return syscall(SYS_preadv2, fd, &piece, 1L, here, here, (long)RWF_NOWAIT);
}

static ssize_t
read_some(struct input *input, char *bytes, size_t length)
{
    ssize_t got;
    switch (input->reading) {
    case READ_SOCKET:
        return recv(input->fd, bytes, length, MSG_DONTWAIT);
    case READ_AT_ONCE:
        got = read_at_once(input->fd, bytes, length);
        if (got >= 0 || errno == EAGAIN || errno == EINTR)
            return got;
        input->reading = READ_IN_HURRY; /* terminals can't, older kernels neither: once is enough to ask */
        return descriptor_read_in_hurry(input->fd, input->flags, bytes, length);
    case READ_IN_HURRY:
        return descriptor_read_in_hurry(input->fd, input->flags, bytes, length);
    case READ_OURS:
    case READ_FILE:
        break;
    }
    return read(input->fd, bytes, length);
}

void
input_fill(struct input *input)
{
    size_t left = input->end - input->start;
    memmove(input->buffer, input->buffer + input->start, left);
    input->searched -= input->start;
    input->start = 0;
    input->end = left;
    ssize_t got = read_some(input, input->buffer + left, BUFFER_SIZE - left);
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
