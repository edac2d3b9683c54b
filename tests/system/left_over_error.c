/* SPDX-License-Identifier: MIT */
/*
 * sendto() and sendmsg() for LD_PRELOAD of which every other fails with an error that somebody's ICMP message has left on the
 * socket. Not the first: what is tried at the start is tried with fresh sockets.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

#define FRESH 4

static ssize_t (*real_sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);

__attribute__((constructor)) static void
find(void)
{
    *(void **)&real_sendto = dlsym(RTLD_NEXT, "sendto");
    *(void **)&real_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
}

static bool
fails(const struct sockaddr *to)
{
    static const int errors[] = { ECONNREFUSED, EHOSTUNREACH, EMSGSIZE };
    static unsigned calls;
    if (!to || (to->sa_family != AF_INET && to->sa_family != AF_INET6) || ++calls <= FRESH || calls % 2 == 0)
        return false;
    errno = errors[calls / 2 % 3];
    return true;
}

ssize_t
sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *to, socklen_t size)
{
    return fails(to) ? -1 : real_sendto(fd, bytes, length, flags, to, size);
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
    return fails(message->msg_name) ? -1 : real_sendmsg(fd, message, flags);
}
