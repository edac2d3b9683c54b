/* SPDX-License-Identifier: MIT */
/* connect() for LD_PRELOAD of a stream socket that returns only after 1.6 s, when the kernel has sent its SYN again. */
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>
#include <time.h>

#define SLOWNESS 1600000000 /* ns */

static long long
now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int (*real)(int, const struct sockaddr *, socklen_t);

__attribute__((constructor)) static void
find(void)
{
    *(void **)&real = dlsym(RTLD_NEXT, "connect");
}

int
connect(int fd, const struct sockaddr *to, socklen_t length)
{
    int result = real(fd, to, length), error = errno;
    /* Only the connection of a stream is under way; and getsockopt(SO_TYPE) the sandbox does not allow. */
    for (long long end = now() + SLOWNESS; result < 0 && error == EINPROGRESS && now() < end;)
        ;
    errno = error;
    return result;
}
