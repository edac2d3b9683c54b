/* SPDX-License-Identifier: MIT */
/* sendto() and sendmsg() for LD_PRELOAD that stand still for 1.2 s before they send a packet of 300 bytes or more. */
#include <dlfcn.h>
#include <sys/socket.h>
#include <time.h>

#define SLOW_SIZE 300
#define SLOWNESS 1200000000 /* ns */

static long long
now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static ssize_t (*real_sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);

__attribute__((constructor)) static void
find(void)
{
    *(void **)&real_sendto = dlsym(RTLD_NEXT, "sendto");
    *(void **)&real_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
}

static void
stand_still(size_t size)
{
    for (long long end = now() + SLOWNESS; size >= SLOW_SIZE && now() < end;)
        ;
}

ssize_t
sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
    stand_still(size);
    return real_sendto(fd, bytes, size, flags, to, length);
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
    stand_still(message->msg_iovlen ? message->msg_iov->iov_len : 0);
    return real_sendmsg(fd, message, flags);
}
