/* SPDX-License-Identifier: MIT */
#include "host/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void
take(struct random *random, void *to, size_t count)
{
    if (random->left < count) {
        /* A signal may cut a call short (getrandom(2)): only up to 256 bytes always come whole. */
        for (size_t at = 0; at < sizeof random->pool;) {
            ssize_t got = getrandom(random->pool + at, sizeof random->pool - at, 0);
            if (got < 0 && errno != EINTR)
                abort(); /* no kernel that we run on lacks it, and numbers that can be guessed would be worse */
            at += got > 0 ? (size_t)got : 0;
        }
        random->left = sizeof random->pool;
    }
    random->left -= count;
    memcpy(to, random->pool + random->left, count);
    memset(random->pool + random->left, 0, count);
}

uint16_t
random_u16(struct random *random)
{
    uint16_t value;
    take(random, &value, sizeof value);
    return value;
}

uint32_t
random_u32(struct random *random)
{
    uint32_t value;
    take(random, &value, sizeof value);
    return value;
}

uint64_t
random_u64(struct random *random)
{
    uint64_t value;
    take(random, &value, sizeof value);
    return value;
}

uint32_t
random_below(struct random *random, uint32_t limit)
{
    /* 64 bits against a limit of 32: the bias is below 2^-32. */
    return (uint32_t)(random_u64(random) % limit);
}
