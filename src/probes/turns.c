/* SPDX-License-Identifier: MIT */
#include "probes/turns.h"

void
turns_init(struct turns *turns, unsigned bits, struct random *random)
{
    *turns = (struct turns){ .next = random_u32(random), .bits = bits };
    for (int round = 0; round < TURNS_ROUNDS; round++)
        turns->keys[round] = random_u32(random);
}

/* Any function does here: it need not be one that can be undone. */
static uint32_t
mix(uint32_t half, uint32_t key)
{
    uint32_t mixed = (half ^ key) * UINT32_C(0x9e3779b1);
    mixed = (mixed ^ mixed >> 15 ^ key >> 7) * UINT32_C(0x85ebca6b);
    return mixed ^ mixed >> 16;
}

/*
 * A count, enciphered by a Feistel network: each round changes one half by what it makes of the other, and can be undone,
 * so that no two counts give one number.
 */
uint32_t
turns_next(struct turns *turns)
{
    unsigned width = turns->bits / 2;
    uint32_t mask = (UINT32_C(1) << width) - 1, count = turns->next++;
    uint32_t left = count >> width & mask, right = count & mask;
    for (int round = 0; round < TURNS_ROUNDS; round++) {
        uint32_t changed = left ^ (mix(right, turns->keys[round]) & mask);
        left = right;
        right = changed;
    }
    return left << width | right;
}
