/* SPDX-License-Identifier: MIT */
#include "lines/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A terminal's master side, which alone has a TIOCGPTN, opened again would be another terminal (pts(4)). */
int
descriptor_open_again(int fd, int access)
{
    char path[32];
    struct stat status;
    int number;
    if (fstat(fd, &status) < 0 || !(S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) ||
        ioctl(fd, TIOCGPTN, &number) == 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static void
restore(int fd, int flags)
{
    int error = errno;
    fcntl(fd, F_SETFL, flags);
    errno = error;
}

ssize_t
descriptor_read_in_hurry(int fd, int flags, char *bytes, size_t length)
{
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    ssize_t got = read(fd, bytes, length);
    restore(fd, flags);
    return got;
}

ssize_t
descriptor_write_in_hurry(int fd, int flags, const char *bytes, size_t length)
{
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    ssize_t written = write(fd, bytes, length);
    restore(fd, flags);
    return written;
}
