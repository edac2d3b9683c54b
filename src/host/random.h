/* SPDX-License-Identifier: MIT */
/* Numbers that nobody can guess, from getrandom(2), fetched many at a time. */
#ifndef HOPLINE_RANDOM_H
#define HOPLINE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint8_t pool[1024];
    size_t left; /* bytes of the pool not handed out yet */
};

/* A struct random is zeroed before it is first used. */
uint16_t random_u16(struct random *random);
uint32_t random_u32(struct random *random);
uint64_t random_u64(struct random *random);

/* Uniform below LIMIT, which is not 0. */
uint32_t random_below(struct random *random, uint32_t limit);

#endif
