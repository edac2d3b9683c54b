/* SPDX-License-Identifier: MIT */
/*
 * sendto() and sendmsg() for LD_PRELOAD, of a host whose table of neighbours has no room for these: FULL_TABLE_4 and
 * FULL_TABLE_6. FULL_TABLE names a file of one byte, which may be changed at any time: whether it is full.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t (*real_sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);
static const volatile unsigned char *full;
static struct in_addr lacks4;
static struct in6_addr lacks6;

__attribute__((constructor)) static void
find(void)
{
    *(void **)&real_sendto = dlsym(RTLD_NEXT, "sendto");
    *(void **)&real_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
    const char *path = getenv("FULL_TABLE"), *four = getenv("FULL_TABLE_4"), *six = getenv("FULL_TABLE_6");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED || !four || !six || inet_pton(AF_INET, four, &lacks4) != 1 ||
        inet_pton(AF_INET6, six, &lacks6) != 1)
        abort();
    close(fd);
    full = mapped;
}

/* False, or true with errno as of such a send. */
static bool
fails(const struct sockaddr *to)
{
    if (!to || !*full)
        return false;
    if (to->sa_family == AF_INET && ((const struct sockaddr_in *)to)->sin_addr.s_addr == lacks4.s_addr)
        errno = ENOBUFS;
    else if (to->sa_family == AF_INET6 && memcmp(&((const struct sockaddr_in6 *)to)->sin6_addr, &lacks6, 16) == 0)
        errno = EINVAL;
    else
        return false;
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
