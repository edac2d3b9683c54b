/* SPDX-License-Identifier: MIT */
/*
 * ppoll() for LD_PRELOAD that plays another reader of standard input, a faster one: of all that is readable there from the
 * second time on, nothing is left when the call returns.
 */
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

static int (*real)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);

__attribute__((constructor)) static void
find(void)
{
    *(void **)&real = dlsym(RTLD_NEXT, "ppoll");
}

int
ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    static int times;
    char loot[65536];
    int ready = real(fds, count, timeout, mask);
    if (ready > 0 && count > 0 && fds[0].fd == STDIN_FILENO && (fds[0].revents & POLLIN) && times++ > 0)
        if (read(STDIN_FILENO, loot, sizeof loot) < 0)
            return -1;
    return ready;
}

/* What glibc makes of it where _FORTIFY_SOURCE checks the size of the array. */
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t size);

int
__ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t size)
{
    (void)size;
    return ppoll(fds, count, timeout, mask);
}
