/* SPDX-License-Identifier: MIT */
#include "plain/datagram.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "packets/protocol.h"
#include "plain/errqueue.h"
#include "plain/late.h"

/* A socket is not used again within this time while another can be had: a late answer then finds nobody. */
#define REST (30 * NS_PER_S)

#define SOCKETS_FOR_REST 256 /* no more are opened for the sake of REST, only when probes in flight use them all */
#define SOCKETS_MAX 1024     /* of each family */
#define PORT_TRIES 8         /* for a port that no probe is sent to */
#define NAMED_MAX 1024       /* sockets with ports, or sources, that clients named */
#define NAMED_REST (2 * NS_PER_S) /* one of those is closed when no probe has used it for so long */

struct slot {
    struct outlet outlet;
    struct address source; /* to which a named port is bound, */
    uint32_t device;       /* and to this interface, or 0 */
    bool chosen;           /* the kernel chose its port: the client named a source alone */
    uint32_t users;        /* probes that lease it */
    uint32_t marked;       /* probes so far that errqueue_mark() must tell apart: the client fixed both ports */
    struct instant idle;   /* since when nobody leases it */
};

/* Sockets whose ports the kernel chose, used in turn. */
struct pool {
    struct slot *slots[SOCKETS_MAX];
    size_t count;
    size_t next;          /* the one that was used longest ago */
};

struct datagrams {
    struct outlets *outlets;
    struct late *late;     /* of probes to a port that the client named */
    struct pool pools[FAMILIES];
    struct slot *taken;    /* the socket whose port next_port() gave last */
    struct slot *named[NAMED_MAX]; /* closed ones stay: an event of epoll(7) not yet read may point there */
    size_t named_count;  /* places ever used */
    uint64_t lost;       /* answers that did not fit in the buffers of sockets that are closed by now */
};

struct datagrams *
datagrams_new(struct outlets *outlets)
{
    struct datagrams *datagrams = calloc(1, sizeof *datagrams);
    if (!datagrams)
        return NULL;
    datagrams->outlets = outlets;
    datagrams->late = late_new();
    if (!datagrams->late) {
        free(datagrams);
        return NULL;
    }
    return datagrams;
}

static void
free_slot(struct slot *slot)
{
    if (slot)
        outlet_close(&slot->outlet);
    free(slot);
}

void
datagrams_free(struct datagrams *datagrams)
{
    if (!datagrams)
        return;
    for (enum family_id family = 0; family < FAMILIES; family++)
        for (size_t i = 0; i < SOCKETS_MAX; i++)
            free_slot(datagrams->pools[family].slots[i]);
    for (size_t i = 0; i < NAMED_MAX; i++)
        free_slot(datagrams->named[i]);
    late_free(datagrams->late);
    free(datagrams);
}

int
datagrams_check(const struct datagrams *datagrams, enum family_id family)
{
    static const struct address any;
    struct outlet outlet = { .fd = -1, .family = family, .protocol = PROTOCOL_UDP };
    int error = outlet_open(&outlet, datagrams->outlets, &any, 0, 0);
    outlet_close(&outlet);
    return error;
}

/* Opens a socket in *SLOT, which is closed, or NULL: then memory is taken for it. */
static int
open_slot(struct datagrams *datagrams, enum family_id family, const struct address *source, uint32_t device,
          uint16_t near, struct slot **slot)
{
    if (!*slot)
        *slot = calloc(1, sizeof **slot);
    if (!*slot)
        return ENOMEM;
    **slot = (struct slot){
        .outlet = { .fd = -1, .family = family, .protocol = PROTOCOL_UDP },
        .source = *source,
        .device = device,
        .chosen = !near,
    };
    return outlet_open(&(*slot)->outlet, datagrams->outlets, source, device, near);
}

/* ---- ports that the kernel chose ---- */

/* On this host itself such a probe would come to this socket, and be lost, where the port is closed. */
static bool
is_far_port(uint16_t port)
{
    return port >= FAR_PORT_FIRST && port < FAR_PORT_FIRST + FAR_PORTS;
}

static bool
grow(struct datagrams *datagrams, enum family_id family)
{
    static const struct address any;
    struct pool *pool = &datagrams->pools[family];
    struct slot **slot = &pool->slots[pool->count];
    if (pool->count == SOCKETS_MAX || open_slot(datagrams, family, &any, 0, 0, slot) != 0)
        return false;
    for (int tries = 1; tries < PORT_TRIES && is_far_port((*slot)->outlet.near); tries++) {
        outlet_close(&(*slot)->outlet);
        if (open_slot(datagrams, family, &any, 0, 0, slot) != 0)
            return false;
    }
    pool->next = pool->count++;
    return true;
}

/* Makes the next socket one that has rested, if there is any or another can be opened. False: there is none at all. */
static bool
find_rested(struct datagrams *datagrams, enum family_id family)
{
    struct pool *pool = &datagrams->pools[family];
    bool rested = pool->count >= SOCKETS_FOR_REST ||
                  (pool->count > 0 && instant_since(clock_now(), pool->slots[pool->next]->outlet.last) > REST);
    return rested || grow(datagrams, family) || pool->count > 0;
}

/* True when the answer to an earlier probe by this port may still come, that would pass for the answer to this one. */
static bool
awaits_late(const struct datagrams *datagrams, uint16_t near, const struct probe *model)
{
    return late_awaits(datagrams->late, near, model->identity.far, &model->target, clock_now());
}

/* The socket of the pool that has this port, or NULL. */
static struct slot *
find_in_pool(const struct pool *pool, uint16_t near)
{
    for (size_t i = 0; i < pool->count; i++)
        if (pool->slots[i]->outlet.near == near)
            return pool->slots[i];
    return NULL;
}

/* The functions of struct near_source: each port that they give is that of a socket of the pool. */

static uint16_t
next_port(void *context, enum family_id family)
{
    struct datagrams *datagrams = context;
    struct pool *pool = &datagrams->pools[family];
    if (!find_rested(datagrams, family))
        return 0;
    datagrams->taken = pool->slots[pool->next];
    pool->next = (pool->next + 1) % pool->count;
    return datagrams->taken->outlet.near;
}

static uint32_t
count_ports(void *context, enum family_id family)
{
    const struct datagrams *datagrams = context;
    return (uint32_t)datagrams->pools[family].count;
}

static bool
grow_ports(void *context, enum family_id family)
{
    return grow(context, family);
}

static bool
take_port(void *context, const struct request *request, struct probe *model)
{
    const struct datagrams *datagrams = context;
    /* Without `port`, it comes again late enough. */
    return !request->port || !awaits_late(datagrams, datagrams->taken->outlet.near, model);
}

/* ---- ports that clients named ---- */

/* The open socket with MODEL's source and port, as place + 1, or 0. With port 0: one whose port the kernel chose. */
static uint32_t
find_named(const struct datagrams *datagrams, const struct probe *model, uint32_t device)
{
    uint16_t near = model->identity.near;
    for (uint32_t i = 0; i < datagrams->named_count; i++) {
        const struct slot *slot = datagrams->named[i];
        if (slot->outlet.fd >= 0 && slot->outlet.family == (enum family_id)model->family &&
            slot->device == device && address_same(&slot->source, &model->identity.source) &&
            (near ? slot->outlet.near == near : slot->chosen))
            return i + 1;
    }
    return 0;
}

static int
open_named(struct datagrams *datagrams, struct probe *model, uint32_t device)
{
    size_t place = 0;
    while (place < datagrams->named_count && datagrams->named[place]->outlet.fd >= 0)
        place++;
    if (place == NAMED_MAX)
        return ENOSPC;
    int error = open_slot(datagrams, (enum family_id)model->family, &model->identity.source, device,
                          model->identity.near, &datagrams->named[place]);
    if (place == datagrams->named_count && datagrams->named[place])
        datagrams->named_count++;
    if (error)
        return error;
    model->lease = (uint32_t)place + 1;
    return 0;
}

static void
close_named(struct datagrams *datagrams, struct slot *slot)
{
    datagrams->lost += slot->outlet.lost;
    slot->outlet.lost = 0;
    outlet_close(&slot->outlet);
}

/*
 * Closes sockets that no probe uses and that keep this port from being bound again, such as one of the same source that
 * is bound to another device. True when there were any.
 */
static bool
close_rested(struct datagrams *datagrams, const struct probe *model)
{
    bool any = false;
    for (size_t i = 0; i < datagrams->named_count; i++) {
        struct slot *slot = datagrams->named[i];
        if (slot->outlet.fd < 0 || slot->users || slot->outlet.near != model->identity.near)
            continue;
        close_named(datagrams, slot);
        any = true;
    }
    return any;
}

/* Where no other can be opened: one with a port of the kernel's choice that no probe uses. Its place + 1, or 0. */
static uint32_t
find_unused(const struct datagrams *datagrams, const struct probe *model, uint32_t device)
{
    for (uint32_t i = 0; i < datagrams->named_count; i++) {
        const struct slot *slot = datagrams->named[i];
        if (slot->outlet.fd >= 0 && slot->outlet.family == (enum family_id)model->family && slot->device == device &&
            address_same(&slot->source, &model->identity.source) && slot->chosen && !slot->users &&
            !awaits_late(datagrams, slot->outlet.near, model))
            return i + 1;
    }
    return 0;
}

static int
lease_named(struct datagrams *datagrams, const struct errand *errand, struct probe *model, struct slot **found)
{
    uint32_t device = outlet_device(errand, &model->identity.source);
    bool fresh = !model->identity.near && model->identity.far; /* one probe a socket, see the head of datagram.h */
    /* The port that the client named may be one that the kernel gave to a socket of the pool. */
    *found = find_in_pool(&datagrams->pools[model->family], model->identity.near);
    if (*found)
        return 0;
    model->lease = fresh ? 0 : find_named(datagrams, model, device);
    int error = model->lease ? 0 : open_named(datagrams, model, device);
    if (error == EADDRINUSE && close_rested(datagrams, model))
        error = open_named(datagrams, model, device);
    if (error && fresh)
        model->lease = find_unused(datagrams, model, device);
    if (error && !model->lease)
        return error;
    *found = datagrams->named[model->lease - 1];
    (*found)->users++;
    model->identity.near = (*found)->outlet.near;
    return 0;
}

/* Fills in the identity and finds the socket: one that the client's wishes decide, or the next of ours. */
static int
allot(struct datagrams *datagrams, const struct errand *errand, struct probe *model, struct slot **found)
{
    const struct near_source nears = {
        .context = datagrams,
        .next = next_port,
        .count = count_ports,
        .grow = grow_ports,
        .take = take_port,
    };
    const struct request *request = errand->request;
    bool bound = errand->route->vrf ||
                 (!address_is_unspecified(&request->local) && outlet_device(errand, &request->local));
    bool named = request->local_port || bound;
    int error = 0;
    model->identity.near = (uint16_t)request->local_port;
    model->identity.far = (uint16_t)request->port;
    if (named) {
        struct address source = model->identity.source;
        model->identity.source = *outlet_binding(errand);
        error = lease_named(datagrams, errand, model, found);
        model->identity.source = source;
    }
    if (!error)
        error = identities_make(&datagrams->outlets->identities, &nears, request, errand->in_flight,
                                named ? (*found)->outlet.near : 0, model);
    if (error || named)
        return error;
    *found = find_in_pool(&datagrams->pools[model->family], model->identity.near);
    return 0;
}

int
datagrams_send(struct datagrams *datagrams, const struct errand *errand, struct probe *model)
{
    struct slot *slot;
    struct identity *identity = &model->identity;
    struct writer writer = { .start = errand->packet, .size = PACKET_MAX };
    int error = allot(datagrams, errand, model, &slot);
    if (error)
        return error;
    write_payload(errand->request, identity, &writer);
    if (identity->balanced) {
        slot->outlet.shared = slot->marked++ > 0;
        write_u16_at(&writer, 0, identity->ip_id);
    }
    identity->checksum = errqueue_mark((struct reader){ writer.start, writer.used });
    if (errand->request->port)
        late_sent(datagrams->late, identity->near, identity->far, &model->target, clock_now());
    return outlet_send(&slot->outlet, errand, identity->far, writer.start, writer.used, &model->departed);
}

void
datagrams_heard(struct datagrams *datagrams, struct answer *answer)
{
    if (answer->ports_shared)
        answer->ports_shared = late_is_shared(datagrams->late, answer->near, answer->far, &answer->target);
    late_heard(datagrams->late, answer->near, answer->far, &answer->target);
}

void
datagrams_release(struct datagrams *datagrams, uint32_t lease, struct instant now)
{
    if (!lease)
        return;
    struct slot *slot = datagrams->named[lease - 1];
    if (--slot->users == 0)
        slot->idle = now;
}

bool
datagrams_rest(struct datagrams *datagrams, struct instant now, struct instant *when)
{
    bool again = false;
    for (size_t i = 0; i < datagrams->named_count; i++) {
        struct slot *slot = datagrams->named[i];
        if (slot->outlet.fd < 0 || slot->users)
            continue;
        struct instant then = instant_after(slot->idle, NAMED_REST);
        if (instant_since(now, then) >= 0) {
            close_named(datagrams, slot);
        } else if (!again || then.ns < when->ns) {
            *when = then;
            again = true;
        }
    }
    return again;
}

uint64_t
datagrams_lost(const struct datagrams *datagrams)
{
    uint64_t lost = datagrams->lost;
    for (enum family_id family = 0; family < FAMILIES; family++)
        for (size_t i = 0; i < datagrams->pools[family].count; i++)
            lost += datagrams->pools[family].slots[i]->outlet.lost;
    for (size_t i = 0; i < datagrams->named_count; i++)
        lost += datagrams->named[i]->outlet.lost;
    return lost;
}
