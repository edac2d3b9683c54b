/* SPDX-License-Identifier: MIT */
/*
 * A library for LD_PRELOAD that makes allocations fail. FAILING_MALLOC names a file of two 32-bit numbers in the host's
 * order, which the test may change at any time:
 *   every   every so-many-th allocation fails; 0: none, 1: all
 *   only    that allocation alone fails, counted from 1 since the program's start; 0: none
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct orders {
    volatile uint32_t every, only;
};

static const struct orders none;
static const struct orders *orders = &none;
static uint32_t count;

/* The C library's own, under the names that it keeps for this. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

__attribute__((constructor)) static void
find_orders(void)
{
    const char *path = getenv("FAILING_MALLOC");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *orders, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        abort();
    close(fd);
    orders = mapped;
}

static int
fails(void)
{
    count++;
    if (count != orders->only && (!orders->every || count % orders->every != 0))
        return 0;
    errno = ENOMEM;
    return 1;
}

void *
malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t number, size_t size)
{
    return fails() ? NULL : __libc_calloc(number, size);
}

void *
realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}
