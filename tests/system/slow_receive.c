/* SPDX-License-Identifier: MIT */
/*
 * recvmmsg() for LD_PRELOAD that takes 20 ms, as on a machine that is busy with other things: so most answers come while
 * others are read.
 */
#include <dlfcn.h>
#include <sys/socket.h>
#include <time.h>

#define SLOWNESS 20000000 /* ns */

static long long
now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int (*real)(int, struct mmsghdr *, unsigned int, int, struct timespec *);

__attribute__((constructor)) static void
find(void)
{
    *(void **)&real = dlsym(RTLD_NEXT, "recvmmsg");
}

int
recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout)
{
    for (long long end = now() + SLOWNESS; now() < end;)
        ;
    return real(fd, messages, count, flags, timeout);
}
