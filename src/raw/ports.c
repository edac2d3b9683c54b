/* SPDX-License-Identifier: MIT */
#include "raw/ports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "probes/index.h"
#include "raw/filter.h"

#define BLOCK FLOW_PORTS
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

#define SCARCITY (100 * NS_PER_MS) /* for so long no block is looked for after none could be had */

/* A port that clients named, by slot. */
struct lease {
    int fd;
    uint32_t users;
    enum family_id family;
    struct address source;
    uint16_t port;
};

struct ports {
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

    struct chunks leases;     /* struct lease */
    struct index by_port;
    uint32_t lease_count;     /* slots ever used */
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

/* Lists the blocks between LOW and HIGH that do not touch the ephemeral range, in random order. */
static void
list_blocks(struct ports *ports, struct random *random, uint32_t low, uint32_t high, uint32_t ephemeral_low,
            uint32_t ephemeral_high)
{
    size_t start = ports->free_count;
    for (uint32_t first = low; first + BLOCK <= high; first += BLOCK)
        if (first + BLOCK <= ephemeral_low || first > ephemeral_high)
            ports->free_blocks[ports->free_count++] = (uint16_t)first;
    shuffle(ports->free_blocks + start, ports->free_count - start, random);
}

struct ports *
ports_new(struct random *random, uint16_t ephemeral_low, uint16_t ephemeral_high)
{
    struct ports *ports = calloc(1, sizeof *ports);
    if (!ports)
        return NULL;
    list_blocks(ports, random, PORT_MIN, HIGH_PORTS, ephemeral_low, ephemeral_high);
    list_blocks(ports, random, HIGH_PORTS, 65536, ephemeral_low, ephemeral_high);
    if (ports->free_count == 0) /* the kernel hands out everything: then we share, and matching keeps us apart */
        list_blocks(ports, random, HIGH_PORTS, 65536, 0, 0);
    ports->last_resort = ports->free_count > 0 ? ports->free_blocks[0] : 0;
    ports->scramble = (uint16_t)random_below(random, BLOCK);
    chunks_init(&ports->leases, sizeof(struct lease));
    index_init(&ports->by_port);
    return ports;
}

static struct lease *
lease_at(const struct ports *ports, uint32_t slot)
{
    return chunks_at(&ports->leases, slot);
}

void
ports_free(struct ports *ports)
{
    if (!ports)
        return;
    for (size_t i = 0; i < ports->count; i++)
        if (ports->guards[i] >= 0)
            close(ports->guards[i]);
    for (uint32_t slot = 0; slot < ports->lease_count; slot++)
        if (lease_at(ports, slot)->users)
            close(lease_at(ports, slot)->fd);
    if (ports->reserved)
        close(ports->reserved_guard);
    chunks_free(&ports->leases);
    index_free(&ports->by_port);
    free(ports);
}

/* A socket that has a UDP port and receives nothing. NOWHERE: the address need not be there. -1 and errno: none. */
static int
bind_port(enum family_id family, const struct address *source, uint32_t scope, uint16_t port, bool nowhere)
{
    struct sockaddr_storage name;
    socklen_t length = address_to_socket(family, source, scope, port, &name);
    int fd = socket(families[family].domain, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    struct refused refused = { 0 }; /* not passed on: only what sockets of probes are refused is reported */
    filter_everything(fd, &refused);
    int error = nowhere ? sockopt_set_up(fd, USE_GUARD, family, &refused) : 0;
    if (!error && bind(fd, (struct sockaddr *)&name, length) < 0)
        error = errno;
    if (!error)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

/*
 * Guards are bound to loopback, in IPv4 to an address of their own there (it spells "hop"): so other programs can still
 * bind the same port of addresses that are really used. It need not be there: `lo` may be down.
 */
static int
bind_guard(uint16_t port)
{
    static const struct address guard_v4 = { { 127, 104, 111, 112 } };
    static const struct address guard_v6 = { { [15] = 1 } };
    int fd = bind_port(IPV4, &guard_v4, 0, port, true);
    return fd < 0 && errno == EAFNOSUPPORT ? bind_port(IPV6, &guard_v6, 0, port, true) : fd;
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
    if (ports->scarce.ns && instant_since(now, ports->scarce) < SCARCITY)
        return 0;
    for (size_t place = ports->free_count; place-- > 0;) {
        uint16_t first = ports->free_blocks[place];
        *guard = bind_guard(first);
        if (*guard >= 0) {
            strike_out(ports, place);
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
    uint16_t first = take_free_block(ports, &guard);
    if (first)
        add_block(ports, first, guard);
    return first != 0;
}

uint16_t
ports_reserve(struct ports *ports)
{
    if (!ports->reserved)
        ports->reserved = take_free_block(ports, &ports->reserved_guard);
    return ports->reserved;
}

/* Where no block can be had for us alone, one is used that others may use too: matching still keeps us apart. */
static bool
take_first_block(struct ports *ports)
{
    if (ports_grow(ports))
        return true;
    if (!ports->last_resort)
        return false;
    if (ports->free_count > 0 && ports->free_blocks[0] == ports->last_resort)
        strike_out(ports, 0);
    add_block(ports, ports->last_resort, -1);
    return true;
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
        if (!take_first_block(ports))
            return 0;
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

static uint32_t
hash_port(uint16_t port)
{
    return port * UINT32_C(2654435761);
}

static uint32_t
find_lease(const struct ports *ports, enum family_id family, const struct address *source, uint16_t port)
{
    uint32_t slot = index_first(&ports->by_port, hash_port(port));
    for (; slot != INDEX_NONE; slot = index_next(&ports->by_port, slot)) {
        const struct lease *lease = lease_at(ports, slot);
        if (lease->family == family && lease->port == port && address_same(&lease->source, source))
            break;
    }
    return slot;
}

/* A slot that no lease uses. Leases are as few as descriptors, so a search is short. */
static uint32_t
free_slot(const struct ports *ports)
{
    uint32_t slot = 0;
    while (slot < ports->lease_count && lease_at(ports, slot)->users)
        slot++;
    return slot;
}

int
ports_lease(struct ports *ports, enum family_id family, const struct address *source, uint32_t scope, uint16_t port,
           uint32_t *lease)
{
    uint32_t slot = find_lease(ports, family, source, port);
    if (slot == INDEX_NONE) {
        slot = free_slot(ports);
        if (!chunks_reach(&ports->leases, slot) || !index_reach(&ports->by_port, slot))
            return ENOMEM;
        int fd = bind_port(family, source, scope, port, false);
        if (fd < 0)
            return errno;
        *lease_at(ports, slot) = (struct lease){ fd, 0, family, *source, port };
        index_add(&ports->by_port, slot, hash_port(port));
        if (slot == ports->lease_count)
            ports->lease_count++;
    }
    lease_at(ports, slot)->users++;
    *lease = slot + 1;
    return 0;
}

void
ports_release(struct ports *ports, uint32_t lease)
{
    uint32_t slot = lease - 1;
    if (--lease_at(ports, slot)->users)
        return;
    close(lease_at(ports, slot)->fd);
    index_remove(&ports->by_port, slot);
}
