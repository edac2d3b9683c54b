/* SPDX-License-Identifier: MIT */
#include "raw/ports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raw/keep.h"

#define BLOCK PORT_BLOCK
#define BLOCKS (65536 / BLOCK)
#define PORT_MIN 1024
#define HIGH_PORTS 49152 /* from here on no service has a port assigned (RFC 6335, section 6) */

/*
 * A port is not used again within this time, as far as BLOCKS_FOR_REST blocks allow it: a late answer then finds
 * nobody. More blocks are taken only when their ports are all in use by probes in flight, so that other daemons find
 * some too.
 */
#define REST (30 * NS_PER_S)
#define BLOCKS_FOR_REST 8
#define BLOCKS_EXPECTED (BLOCKS_FOR_REST + 1) /* and one for flows */

#define SCARCITY (100 * NS_PER_MS) /* for so long no block is looked for after none could be had */

struct ports {
    uint16_t ephemeral_low, ephemeral_high; /* the range from which the kernel hands out ports */
    uint16_t free_blocks[BLOCKS]; /* first ports of blocks that are not ours; the last is tried first */
    size_t free_count;
    uint16_t last_resort;         /* the block to share with others where all are taken; 0: none */
    struct instant scarce;        /* when last none of them could be had */
    uint16_t blocks[BLOCKS]; /* ours */
    int guards[BLOCKS];      /* the sockets that hold them */
    size_t count;
    uint16_t reserved;       /* the first port of one more block, kept for flows, or 0 */
    int reserved_guard;
    size_t block, offset;    /* the next port, but for the order within a block: */
    uint16_t scramble;       /* exclusive-ored with the offset, so that nobody knows where we begin */
    struct instant lap;      /* when the turn through all our ports began */
    struct port_blocks own;      /* ours, shared with no daemon, and none that the kernel hands out */
    struct port_blocks expected; /* see ports_expected() */
};

static void
shuffle(uint16_t *blocks, size_t count, struct random *random)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = random_below(random, (uint32_t)i);
        uint16_t block = blocks[i - 1];
        blocks[i - 1] = blocks[other];
        blocks[other] = block;
    }
}

static bool
touches_range(const struct ports *ports, uint32_t first)
{
    return first + BLOCK > ports->ephemeral_low && first <= ports->ephemeral_high;
}

/* Lists the blocks between LOW and HIGH, those inside the ephemeral range or those outside, in random order. */
static void
list_blocks(struct ports *ports, struct random *random, bool inside, uint32_t low, uint32_t high)
{
    size_t start = ports->free_count;
    for (uint32_t first = low; first < high; first += BLOCK)
        if (touches_range(ports, first) == inside)
            ports->free_blocks[ports->free_count++] = (uint16_t)first;
    shuffle(ports->free_blocks + start, ports->free_count - start, random);
}

/* A daemon that starts at the same time may get one of them first: then we have to take another, when it comes to that. */
static void
choose_expected(struct ports *ports)
{
    unsigned left = BLOCKS_EXPECTED;
    for (size_t place = ports->free_count; place-- > 0 && left > 0;) {
        if (!keep_is_free(ports->free_blocks[place]))
            continue;
        port_blocks_add(&ports->expected, ports->free_blocks[place]);
        left--;
    }
}

struct ports *
ports_new(struct random *random, uint16_t ephemeral_low, uint16_t ephemeral_high)
{
    struct ports *ports = calloc(1, sizeof *ports);
    if (!ports)
        return NULL;
    ports->ephemeral_low = ephemeral_low;
    ports->ephemeral_high = ephemeral_high;
    list_blocks(ports, random, true, PORT_MIN, 65536);
    list_blocks(ports, random, false, PORT_MIN, HIGH_PORTS);
    list_blocks(ports, random, false, HIGH_PORTS, 65536);
    ports->last_resort = ports->free_blocks[0];
    ports->scramble = (uint16_t)random_below(random, BLOCK);
    choose_expected(ports);
    return ports;
}

void
ports_free(struct ports *ports)
{
    if (!ports)
        return;
    for (size_t i = 0; i < ports->count; i++)
        if (ports->guards[i] >= 0)
            close(ports->guards[i]);
    if (ports->reserved && ports->reserved_guard >= 0)
        close(ports->reserved_guard);
    free(ports);
}

static void
add_block(struct ports *ports, uint16_t first, int guard)
{
    ports->blocks[ports->count] = first;
    ports->guards[ports->count] = guard;
    ports->block = ports->count++; /* and go on there */
    ports->offset = 0;
}

static void
strike_out(struct ports *ports, size_t place)
{
    uint16_t *block = ports->free_blocks + place;
    memmove(block, block + 1, (--ports->free_count - place) * sizeof *block);
}

/* A block that nobody else has: its first port, and its guard; 0: there is none, or no descriptor just now. */
static uint16_t
take_free_block(struct ports *ports, int *guard)
{
    struct instant now = clock_now();
    *guard = -1;
    if (ports->scarce.ns && instant_since(now, ports->scarce) < SCARCITY)
        return 0;
    for (size_t place = ports->free_count; place-- > 0;) {
        uint16_t first = ports->free_blocks[place];
        *guard = keep_guard(first);
        if (*guard >= 0) {
            strike_out(ports, place);
            if (!touches_range(ports, first))
                port_blocks_add(&ports->own, first);
            return first;
        }
        if (errno != EADDRINUSE)
            return 0;
    }
    ports->scarce = now;
    return 0;
}

bool
ports_grow(struct ports *ports)
{
    int guard;
    bool last = ports->free_count == 1 && !ports->reserved; /* it is left for flows */
    uint16_t first = last ? 0 : take_free_block(ports, &guard);
    if (first)
        add_block(ports, first, guard);
    return first != 0;
}

uint16_t
ports_reserve(struct ports *ports)
{
    if (!ports->reserved)
        ports->reserved = take_free_block(ports, &ports->reserved_guard);
    /* Shared with another daemon, the numbers that tell apart a flow's probes tell apart the daemons', too. */
    if (!ports->reserved && ports->free_count > 0) {
        ports->reserved = ports->free_blocks[ports->free_count - 1];
        strike_out(ports, ports->free_count - 1);
    }
    return ports->reserved;
}

/* Where no block can be had for us alone, one is used that others may use too: matching still keeps us apart. */
static void
take_first_block(struct ports *ports)
{
    if (ports_grow(ports))
        return;
    if (ports->free_count > 0 && ports->free_blocks[0] == ports->last_resort)
        strike_out(ports, 0);
    add_block(ports, ports->last_resort, -1);
}

/* Goes on to the next block; at the end of the turn through all, to a new one if the turn was a short one. */
static void
next_block(struct ports *ports, struct instant now)
{
    ports->offset = 0;
    ports->block++;
    if (ports->block < ports->count)
        return;
    bool short_turn = instant_since(now, ports->lap) < REST && ports->count < BLOCKS_FOR_REST;
    if (short_turn && ports_grow(ports))
        return;
    ports->block = 0;
    ports->lap = now;
}

uint16_t
ports_next(struct ports *ports, struct instant now)
{
    if (ports->count == 0) {
        take_first_block(ports);
        ports->lap = now;
    }
    if (ports->offset == BLOCK)
        next_block(ports, now);
    return (uint16_t)(ports->blocks[ports->block] + (ports->offset++ ^ ports->scramble));
}

uint32_t
ports_count(const struct ports *ports)
{
    return (uint32_t)ports->count * BLOCK;
}

bool
ports_is_handed_out(const struct ports *ports, uint16_t port)
{
    return touches_range(ports, port / BLOCK * BLOCK);
}

bool
ports_is_ours(const struct ports *ports, uint16_t port)
{
    return port_blocks_has(&ports->own, port);
}

const struct port_blocks *
ports_expected(const struct ports *ports)
{
    return &ports->expected;
}
