/* SPDX-License-Identifier: MIT */
#include "raw/leases.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/descriptors.h"
#include "probes/index.h"
#include "raw/keep.h"

#define REST (2 * NS_PER_S)
#define NOWHERE UINT32_MAX /* no slot */

enum hold { HELD_HERE, HELD_EVERYWHERE, SHARED };

/* A port, by slot. */
struct lease {
    int fd;          /* -1: none could be had, of a shared one */
    uint32_t users;
    enum hold hold;
    enum family_id family; /* HELD_HERE: where */
    struct address source;
    uint32_t scope;
    uint16_t port;
    struct instant idle;         /* since when nobody uses it */
    uint32_t earlier, later;     /* slots that rest; or of a slot that is free, in `later`, the next free one */
};

/* When a port was last looked at for traces, and whether there were none. */
struct look {
    uint16_t port;
    bool alone;
    struct instant when;
};

struct leases {
    struct chunks slots;   /* struct lease */
    struct index by_port;
    uint32_t slot_count;   /* ever used */
    uint32_t free;         /* the first of those that are free, or NOWHERE */
    uint32_t oldest, newest; /* that rest, or NOWHERE */
    int descriptors;       /* that chosen ports may have, by number: others are for blocks, ports that clients name, questions
                            * to the kernel */
    struct look look;
};

struct leases *
leases_new(void)
{
    struct leases *leases = calloc(1, sizeof *leases);
    if (!leases)
        return NULL;
    chunks_init(&leases->slots, sizeof(struct lease));
    index_init(&leases->by_port);
    leases->free = leases->oldest = leases->newest = NOWHERE;
    leases->descriptors = descriptors_to_use();
    return leases;
}

static struct lease *
lease_at(const struct leases *leases, uint32_t slot)
{
    return chunks_at(&leases->slots, slot);
}

void
leases_free(struct leases *leases)
{
    if (!leases)
        return;
    for (uint32_t slot = 0; slot < leases->slot_count; slot++)
        if (lease_at(leases, slot)->fd >= 0)
            close(lease_at(leases, slot)->fd);
    chunks_free(&leases->slots);
    index_free(&leases->by_port);
    free(leases);
}

static uint32_t
hash_port(uint16_t port)
{
    return port * UINT32_C(2654435761);
}

/* ---- slots ---- */

/* Makes room for the next lease, so that nothing is to be taken back. */
static bool
reserve_slot(struct leases *leases)
{
    return leases->free != NOWHERE || (chunks_reach(&leases->slots, leases->slot_count) &&
                                       index_reach(&leases->by_port, leases->slot_count));
}

static uint32_t
add_lease(struct leases *leases, const struct lease *model)
{
    uint32_t slot = leases->free;
    if (slot != NOWHERE)
        leases->free = lease_at(leases, slot)->later;
    else
        slot = leases->slot_count++;
    *lease_at(leases, slot) = *model;
    index_add(&leases->by_port, slot, hash_port(model->port));
    return slot;
}

static void
end_lease(struct leases *leases, uint32_t slot)
{
    struct lease *lease = lease_at(leases, slot);
    if (lease->fd >= 0)
        close(lease->fd);
    lease->fd = -1;
    index_remove(&leases->by_port, slot);
    lease->later = leases->free;
    leases->free = slot;
}

static void
begin_rest(struct leases *leases, uint32_t slot)
{
    struct lease *lease = lease_at(leases, slot);
    lease->idle = clock_now();
    lease->earlier = leases->newest;
    lease->later = NOWHERE;
    if (leases->newest != NOWHERE)
        lease_at(leases, leases->newest)->later = slot;
    else
        leases->oldest = slot;
    leases->newest = slot;
}

static void
end_rest(struct leases *leases, uint32_t slot)
{
    const struct lease *lease = lease_at(leases, slot);
    if (lease->earlier != NOWHERE)
        lease_at(leases, lease->earlier)->later = lease->later;
    else
        leases->oldest = lease->later;
    if (lease->later != NOWHERE)
        lease_at(leases, lease->later)->earlier = lease->earlier;
    else
        leases->newest = lease->earlier;
}

/* ---- leasing ---- */

static bool
is_held_at(const struct lease *lease, enum family_id family, const struct address *source, uint32_t scope)
{
    return lease->hold == HELD_EVERYWHERE ||
           (lease->hold == HELD_HERE && lease->family == family && lease->scope == scope &&
            address_same(&lease->source, source));
}

/* The lease that MODEL may share. */
static uint32_t
find_lease(const struct leases *leases, const struct lease *model)
{
    uint32_t slot = index_first(&leases->by_port, hash_port(model->port));
    for (; slot != INDEX_NONE; slot = index_next(&leases->by_port, slot)) {
        const struct lease *lease = lease_at(leases, slot);
        if (lease->port != model->port)
            continue;
        if (model->hold == HELD_HERE ? is_held_at(lease, model->family, &model->source, model->scope)
                                     : lease->hold == model->hold)
            break;
    }
    return slot;
}

static int
open_lease(struct lease *model)
{
    if (model->hold == HELD_HERE)
        model->fd = keep_port(model->family, &model->source, model->scope, model->port);
    else if (model->hold == HELD_EVERYWHERE)
        model->fd = keep_port_everywhere(model->port);
    else
        model->fd = keep_trace(model->port);
    return model->fd < 0 && model->hold != SHARED ? errno : 0;
}

static int
take(struct leases *leases, struct lease *model, uint32_t *lease)
{
    uint32_t slot = find_lease(leases, model);
    if (slot == INDEX_NONE) {
        if (!reserve_slot(leases))
            return ENOMEM;
        int error = open_lease(model);
        if (error)
            return error;
        if (model->hold == HELD_EVERYWHERE && model->fd >= leases->descriptors) {
            close(model->fd);
            return EMFILE;
        }
        slot = add_lease(leases, model);
    } else if (lease_at(leases, slot)->users == 0) {
        end_rest(leases, slot);
    }
    lease_at(leases, slot)->users++;
    *lease = slot + 1;
    return 0;
}

int
leases_hold(struct leases *leases, enum family_id family, const struct address *source, uint32_t scope, uint16_t port,
            uint32_t *lease)
{
    struct lease model = { .hold = HELD_HERE, .family = family, .source = *source, .scope = scope, .port = port };
    return take(leases, &model, lease);
}

int
leases_hold_everywhere(struct leases *leases, uint16_t port, uint32_t *lease)
{
    struct lease model = { .hold = HELD_EVERYWHERE, .port = port };
    return take(leases, &model, lease);
}

int
leases_share(struct leases *leases, uint16_t port, uint32_t *lease)
{
    struct lease model = { .hold = SHARED, .port = port };
    return take(leases, &model, lease);
}

bool
leases_is_held(const struct leases *leases, uint32_t lease)
{
    return lease_at(leases, lease - 1)->hold != SHARED;
}

/* A port of our own choice comes again late, and others may want it. */
void
leases_give_up(struct leases *leases, uint32_t lease)
{
    uint32_t slot = lease - 1;
    if (--lease_at(leases, slot)->users)
        return;
    if (lease_at(leases, slot)->hold == HELD_EVERYWHERE)
        end_lease(leases, slot);
    else
        begin_rest(leases, slot);
}

bool
leases_rest(struct leases *leases, struct instant now, struct instant *when)
{
    while (leases->oldest != NOWHERE) {
        uint32_t slot = leases->oldest;
        *when = instant_after(lease_at(leases, slot)->idle, REST);
        if (instant_since(now, *when) < 0)
            return true;
        end_rest(leases, slot);
        end_lease(leases, slot);
    }
    return false;
}

/* ---- answers ---- */

/*
 * True when no other daemon has sent from this port up to the instant ARRIVED: none has left a trace, which it does before
 * its first probe and takes away some time after its last.
 */
static bool
is_alone(struct leases *leases, uint16_t port, struct instant arrived)
{
    struct look *look = &leases->look;
    if (look->port == port && instant_since(look->when, arrived) > 0)
        return look->alone;
    int fd = keep_guard(port);
    *look = (struct look){ port, fd >= 0 || errno != EADDRINUSE, clock_now() };
    if (fd >= 0)
        close(fd);
    return look->alone;
}

enum port_owner
leases_owner(struct leases *leases, enum family_id family, const struct address *to, uint16_t port,
             struct instant arrived)
{
    enum port_owner owner = OWNER_NONE;
    bool here = false;
    uint32_t slot = index_first(&leases->by_port, hash_port(port));
    for (; slot != INDEX_NONE; slot = index_next(&leases->by_port, slot)) {
        const struct lease *lease = lease_at(leases, slot);
        if (lease->port != port)
            continue;
        if (lease->hold == SHARED)
            return OWNER_OTHERS;
        if (is_held_at(lease, family, to, lease->scope)) {
            owner = OWNER_US;
            here = here || lease->hold == HELD_HERE;
        }
    }
    return here && !is_alone(leases, port, arrived) ? OWNER_OTHERS : owner;
}
