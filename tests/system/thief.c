/* SPDX-License-Identifier: MIT */
/*
 * poll() and ppoll() for LD_PRELOAD that play another reader of standard input, a faster one: of all that is readable there
 * from the second time on, nothing is left when the call returns.
 */
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

static int (*real_poll)(struct pollfd *, nfds_t, int);
static int (*real_ppoll)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);

__attribute__((constructor)) static void
find(void)
{
    *(void **)&real_poll = dlsym(RTLD_NEXT, "poll");
    *(void **)&real_ppoll = dlsym(RTLD_NEXT, "ppoll");
}

static int
steal(const struct pollfd *fds, nfds_t count, int ready)
{
    static int times;
    char loot[65536];
    if (ready > 0 && count > 0 && fds[0].fd == STDIN_FILENO && (fds[0].revents & POLLIN) && times++ > 0)
        if (read(STDIN_FILENO, loot, sizeof loot) < 0)
            return -1;
    return ready;
}

int
poll(struct pollfd *fds, nfds_t count, int timeout)
{
    return steal(fds, count, real_poll(fds, count, timeout));
}

int
ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    return steal(fds, count, real_ppoll(fds, count, timeout, mask));
}

/* What glibc makes of them where _FORTIFY_SOURCE checks the size of the array. */
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t size);

int
__poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size)
{
    (void)size;
    return poll(fds, count, timeout);
}

int
__ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t size)
{
    (void)size;
    return ppoll(fds, count, timeout, mask);
}
