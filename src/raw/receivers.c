/* SPDX-License-Identifier: MIT */
#include "raw/receivers.h"

#include <errno.h>
#include <stdio.h>

#include "packets/protocol.h"

#define PLACES ((uint32_t)FAMILIES * EARS)

/* Each member of each set that is in use, by a number from 0 on. */
static struct receiver *
receiver_at(struct receivers *receivers, uint32_t place)
{
    return &receivers->sets[place / PLACES].members[place % PLACES / EARS][place % EARS];
}

static const struct receiver *
const_receiver_at(const struct receivers *receivers, uint32_t place)
{
    return &receivers->sets[place / PLACES].members[place % PLACES / EARS][place % EARS];
}

static uint32_t
places_used(const struct receivers *receivers)
{
    return receivers->used * PLACES;
}

/* False, too, where a kernel has no VRFs, or does not make the difference (before Linux 5.1). */
static bool
host_keeps_vrfs_apart(void)
{
    int accept = 1;
    FILE *file = fopen("/proc/sys/net/ipv4/raw_l3mdev_accept", "re");
    bool known = file && fscanf(file, "%d", &accept) == 1;
    if (file)
        fclose(file);
    return known && accept == 0;
}

void
receivers_init(struct receivers *receivers, bool spare)
{
    *receivers = (struct receivers){ .used = 1, .has_reserve = spare && host_keeps_vrfs_apart() };
    for (uint32_t place = 0; place < RECEIVERS_MAX; place++)
        receiver_at(receivers, place)->fd = -1;
}

void
receivers_close(struct receivers *receivers)
{
    for (uint32_t place = 0; place < RECEIVERS_MAX; place++)
        receiver_close(receiver_at(receivers, place));
}

static int
open_in_all_sets(struct receivers *receivers, enum family_id family, unsigned ear, enum protocol_id protocol,
                 const struct filter_terms *terms, struct refused *refused)
{
    struct receiver *first = &receivers->sets[0].members[family][ear];
    int error = receiver_open(first, family, protocol, terms, refused);
    /* `ip vrf exec` has bound it, and would bind the reserve, which then can be bound to nothing else. */
    if (!error && receiver_is_bound(first))
        receivers->has_reserve = false;
    for (uint32_t set = 1; set <= RECEIVERS_VRFS && receivers->has_reserve && !error; set++) {
        struct receiver *spare = &receivers->sets[set].members[family][ear];
        int none = receiver_open(spare, family, protocol, terms, refused);
        (void)none; /* then there is one VRF less that can be probed */
    }
    return error;
}

int
receivers_open(struct receivers *receivers, enum family_id family, enum protocol_id protocol,
               const struct filter_terms *terms, struct refused *refused)
{
    int error = open_in_all_sets(receivers, family, protocol, protocol, terms, refused);
    if (error || protocols[protocol]->ports != PORTS_FAR_VARIES)
        return error;
    struct filter_terms others = *terms;
    others.others = true;
    return open_in_all_sets(receivers, family, EAR_OTHER_DATAGRAMS, protocol, &others, refused);
}

/* ---- probes that wait ---- */

/* Binds a set of the reserve to a VRF; what of it can't be had stays unheard, as in the first set. */
static int
take_from_reserve(struct receivers *receivers, uint32_t vrf)
{
    if (receivers->used > RECEIVERS_VRFS)
        return EMFILE;
    for (uint32_t place = places_used(receivers); place < places_used(receivers) + PLACES; place++) {
        struct receiver *receiver = receiver_at(receivers, place);
        int error = receiver->fd >= 0 ? receiver_bind(receiver, vrf) : 0;
        if (error)
            return error;
    }
    receivers->sets[receivers->used++].vrf = vrf;
    return 0;
}

static int
find_set(struct receivers *receivers, uint32_t vrf, uint32_t *set)
{
    *set = 0;
    if (!vrf || !receivers->has_reserve)
        return 0;
    for (*set = 1; *set < receivers->used; ++*set)
        if (receivers->sets[*set].vrf == vrf)
            return 0;
    return take_from_reserve(receivers, vrf);
}

/*
 * The receivers that a probe may be answered at: its own protocol's, and ICMP's for errors. The latter may not be had:
 * then what routers say goes unheard.
 */
static size_t
receivers_for(struct receivers *receivers, uint32_t set, enum family_id family, unsigned ear,
              struct receiver *found[2])
{
    struct receiver *members = receivers->sets[set].members[family];
    size_t count = 0;
    if (ear != EAR_NONE)
        found[count++] = &members[ear];
    if (ear != PROTOCOL_ICMP && members[PROTOCOL_ICMP].fd >= 0)
        found[count++] = &members[PROTOCOL_ICMP];
    return count;
}

int
receivers_expect(struct receivers *receivers, const struct request *request, unsigned ear, const struct address *ours,
                 uint32_t vrf, uint32_t *set)
{
    struct receiver *found[2];
    int error = find_set(receivers, vrf, set);
    if (error)
        return error;
    size_t count = receivers_for(receivers, *set, request->family, ear, found);
    for (size_t i = 0; i < count; i++) {
        error = receiver_expect(found[i], request->detail, i == 0 && ear == EAR_OTHER_DATAGRAMS ? ours : NULL);
        if (error) {
            while (i > 0)
                receiver_forgo(found[--i]);
            return error;
        }
    }
    return 0;
}

void
receivers_forgo(struct receivers *receivers, uint32_t set, enum family_id family, unsigned ear)
{
    struct receiver *found[2];
    size_t count = receivers_for(receivers, set, family, ear, found);
    for (size_t i = 0; i < count; i++)
        receiver_forgo(found[i]);
}

/* ---- packets that come ---- */

size_t
receivers_watch(const struct receivers *receivers, struct pollfd *fds)
{
    size_t count = 0;
    for (uint32_t place = 0; place < places_used(receivers); place++) {
        const struct receiver *receiver = const_receiver_at(receivers, place);
        if (receiver->awake)
            fds[count++] = (struct pollfd){ .fd = receiver->fd, .events = POLLIN };
    }
    return count;
}

void
receivers_polled(struct receivers *receivers, const struct pollfd *fds, size_t count)
{
    for (uint32_t place = 0; place < places_used(receivers) && count > 0; place++) {
        struct receiver *receiver = receiver_at(receivers, place);
        if (receiver->fd != fds->fd)
            continue;
        receiver->ready = fds->revents != 0;
        fds++;
        count--;
    }
}

void
receivers_expect_all(struct receivers *receivers)
{
    for (uint32_t place = 0; place < places_used(receivers); place++) {
        struct receiver *receiver = receiver_at(receivers, place);
        receiver->ready = receiver->awake;
    }
}

struct receiver *
receivers_next(struct receivers *receivers)
{
    for (uint32_t place = 0; place < places_used(receivers); place++)
        if (receiver_at(receivers, place)->ready)
            return receiver_at(receivers, place);
    return NULL;
}

struct instant
receivers_until(const struct receivers *receivers, struct instant now)
{
    struct instant until = now;
    for (uint32_t place = 0; place < places_used(receivers); place++) {
        const struct receiver *receiver = const_receiver_at(receivers, place);
        if (receiver->ready && receiver->complete.ns < until.ns)
            until = receiver->complete;
    }
    return until;
}

bool
receivers_rest(struct receivers *receivers, struct instant now, struct instant *when)
{
    bool again = false;
    for (uint32_t place = 0; place < places_used(receivers); place++) {
        struct instant next;
        if (!receiver_rest(receiver_at(receivers, place), now, &next))
            continue;
        if (!again || next.ns < when->ns)
            *when = next;
        again = true;
    }
    return again;
}

uint64_t
receivers_lost(const struct receivers *receivers)
{
    uint64_t sum = 0;
    for (uint32_t place = 0; place < places_used(receivers); place++)
        sum += const_receiver_at(receivers, place)->lost;
    return sum;
}
