/* SPDX-License-Identifier: MIT */
#include "lines/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lines/descriptor.h"

#define SIZE_AT_START (64 * 1024) /* bytes; enough to go on with when there is no more memory */
#define MEMORY_RETRY 100          /* ms */

struct output {
    int fd;
    int flags; /* F_GETFL, at first */
    int give_up_fd;
    bool is_socket;
    bool is_terminal;
    bool is_ours; /* `fd` was opened here, and is closed here */
    int error;
    char *buffer;
    size_t size;
    size_t start, end;
};

struct output *
output_new(int fd)
{
    struct stat status;
    struct output *output = calloc(1, sizeof *output);
    if (!output || !(output->buffer = malloc(SIZE_AT_START))) {
        free(output);
        return NULL;
    }
    output->size = SIZE_AT_START;
    output->give_up_fd = -1;
    /* Where it can't be opened again, the given one must do: a pipe that polls writable takes PIPE_BUF bytes at once. */
    int again = descriptor_open_again(fd, O_WRONLY);
    output->is_ours = again >= 0;
    output->fd = output->is_ours ? again : fd;
    output->flags = fcntl(fd, F_GETFL);
    output->is_terminal = isatty(fd);
    output->is_socket = fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
    return output;
}

void
output_free(struct output *output)
{
    if (!output)
        return;
    if (output->is_ours)
        close(output->fd);
    free(output->buffer);
    free(output);
}

void
output_give_up_by(struct output *output, int fd)
{
    output->give_up_fd = fd;
}

int
output_fd(const struct output *output)
{
    return output->fd;
}

int
output_error(const struct output *output)
{
    return output->error;
}

size_t
output_waiting(const struct output *output)
{
    return output->end - output->start;
}

/* Makes room for LENGTH bytes more; false when there is no memory. What waits is moved when that is less than half. */
static bool
make_room(struct output *output, size_t length)
{
    size_t waiting = output_waiting(output);
    if (output->size - output->end >= length)
        return true;
    if (output->start > output->size / 2 && output->size - waiting >= length) {
        memmove(output->buffer, output->buffer + output->start, waiting);
        output->start = 0;
        output->end = waiting;
        return true;
    }
    size_t size = output->size;
    while (size - output->end < length)
        size *= 2;
    char *buffer = realloc(output->buffer, size);
    if (!buffer)
        return false;
    output->buffer = buffer;
    output->size = size;
    return true;
}

void
output_line(struct output *output, const char *line, size_t length)
{
    while (!make_room(output, length)) {
        struct pollfd fds[] = { { output->fd, POLLOUT, 0 }, { output->give_up_fd, POLLIN, 0 } };
        poll(fds, 2, MEMORY_RETRY); /* no longer: memory may be free again before anybody reads */
        if (fds[1].revents || !output_flush(output))
            return;
    }
    memcpy(output->buffer + output->end, line, length);
    output->end += length;
}

/* How many bytes to write: whole lines, as many as a pipe takes in one piece (PIPE_BUF, pipe(7)). */
static size_t
whole_lines(const struct output *output)
{
    const char *start = output->buffer + output->start;
    size_t waiting = output_waiting(output);
    if (waiting <= PIPE_BUF)
        return waiting;
    const char *newline = memrchr(start, '\n', PIPE_BUF);
    return newline ? (size_t)(newline + 1 - start) : PIPE_BUF;
}

static ssize_t
write_some(struct output *output, const char *bytes, size_t length)
{
    if (output->is_socket)
        return send(output->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (output->is_ours)
        return write(output->fd, bytes, length);
    if (output->is_terminal) /* it polls writable with room for less than is written */
        return descriptor_write_in_hurry(output->fd, output->flags, bytes, length);
    struct pollfd writable = { .fd = output->fd, .events = POLLOUT };
    if (poll(&writable, 1, 0) > 0)
        return write(output->fd, bytes, length);
    errno = EAGAIN;
    return -1;
}

bool
output_flush(struct output *output)
{
    while (output->start < output->end) {
        ssize_t written = write_some(output, output->buffer + output->start, whole_lines(output));
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            output->error = errno == EAGAIN || errno == EPIPE || errno == ECONNRESET ? 0 : errno;
            return errno == EAGAIN;
        }
        output->start += (size_t)written;
    }
    output->start = output->end = 0;
    return true;
}
