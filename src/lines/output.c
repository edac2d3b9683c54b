/* SPDX-License-Identifier: MIT */
#include "lines/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_AT_START 8192
#define MEMORY_RETRY 100 /* ms */

struct output {
    int fd;
    bool is_socket;
    bool is_terminal;
    bool is_ours; /* `fd` was opened here, and is closed here */
    int error;
    char *buffer;
    size_t size;
    size_t start, end;
};

/*
 * A descriptor of the same pipe or terminal that is non-blocking without making that of others so: O_NONBLOCK belongs
 * to the open file, which a shell shares with us. Where it can't be opened again, the given one must do: a pipe that
 * polls writable takes PIPE_BUF bytes without blocking. A terminal's master side, which alone has a TIOCGPTN, is left
 * as it is: to open it again would make another terminal (pts(4)).
 */
static int
open_again(int fd)
{
    char path[32];
    struct stat status;
    int number;
    if (fstat(fd, &status) < 0 || !(S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) ||
        ioctl(fd, TIOCGPTN, &number) == 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

struct output *
output_new(int fd)
{
    struct stat status;
    struct output *output = calloc(1, sizeof *output);
    if (!output)
        return NULL;
    int again = open_again(fd);
    output->is_ours = again >= 0;
    output->fd = output->is_ours ? again : fd;
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

/* Makes room for LENGTH bytes more; false when there is no memory. */
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
    size_t size = output->size ? output->size : SIZE_AT_START;
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
        struct pollfd writable = { .fd = output->fd, .events = POLLOUT };
        poll(&writable, 1, MEMORY_RETRY); /* no longer: memory may be free again before anybody reads */
        if (!output_flush(output))
            return; /* nobody reads any more; the loop will see that too */
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

/*
 * A terminal of another user can't be opened again, and polls writable with room for less than is written. So it is
 * made non-blocking for the one call.
 */
static ssize_t
write_to_terminal(int fd, const char *bytes, size_t length)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    ssize_t written = write(fd, bytes, length);
    int error = errno;
    fcntl(fd, F_SETFL, flags);
    errno = error;
    return written;
}

static ssize_t
write_some(struct output *output, const char *bytes, size_t length)
{
    if (output->is_socket)
        return send(output->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (output->is_ours)
        return write(output->fd, bytes, length);
    if (output->is_terminal)
        return write_to_terminal(output->fd, bytes, length);
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
