/* SPDX-License-Identifier: MIT */
#include "raw/allot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "packets/protocol.h"
#include "raw/leases.h"
#include "raw/ports.h"

struct allotter {
    struct identities identities;
    struct ports *ports;
    struct leases *leases;
    struct near_source nears;
};

static void
read_ephemeral_range(uint16_t *low, uint16_t *high)
{
    unsigned from, to;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    *low = 32768; /* the kernel's default, where /proc is not to be seen */
    *high = 60999;
    if (!file)
        return;
    if (fscanf(file, "%u %u", &from, &to) == 2 && from <= to && to <= UINT16_MAX) {
        *low = (uint16_t)from;
        *high = (uint16_t)to;
    }
    fclose(file);
}

/* ---- what identities ask for; a raw socket has the same ports in both families ---- */

static const struct allotter *
allotter_of(const void *context)
{
    return context;
}

static uint16_t
next_port(void *context, enum family_id family)
{
    (void)family;
    return ports_next(allotter_of(context)->ports, clock_now());
}

static uint32_t
count_ports(void *context, enum family_id family)
{
    (void)family;
    return ports_count(allotter_of(context)->ports);
}

static bool
grow_ports(void *context, enum family_id family)
{
    (void)family;
    return ports_grow(allotter_of(context)->ports);
}

static uint16_t
reserve_ports(void *context)
{
    return ports_reserve(allotter_of(context)->ports);
}

/* Ports alone bring a datagram back to its probe, in a protocol without a number of its own. */
static bool
goes_by_ports(enum protocol_id protocol)
{
    return protocols[protocol]->ports == PORTS_FAR_VARIES;
}

/*
 * True when the port must be held for the probe: the kernel could give it to another program; or the client says what
 * leaves from it, which must not seem to come from another user's program.
 */
static bool
must_hold(const struct allotter *allotter, const struct request *request, uint16_t port)
{
    return goes_by_ports(request->protocol) &&
           (request->payload.length > 0 || ports_is_handed_out(allotter->ports, port));
}

/* Where there is no descriptor to hold it, the probe leaves all the same; then what comes as a datagram is not believed. */
static bool
take_port(void *context, const struct request *request, struct probe *model)
{
    const struct allotter *allotter = allotter_of(context);
    if (!must_hold(allotter, request, model->identity.near))
        return true;
    int error = leases_hold_everywhere(allotter->leases, model->identity.near, &model->lease);
    return !error || (error != EADDRINUSE && error != EACCES && !request->payload.length);
}

static bool
find_identifier(void *context, enum family_id family, unsigned place, uint16_t *identifier)
{
    (void)family;
    *identifier = (uint16_t)(allotter_of(context)->identities.echo_id | place);
    return true;
}

struct allotter *
allotter_new(void)
{
    uint16_t low, high;
    struct allotter *allotter = calloc(1, sizeof *allotter);
    if (!allotter)
        return NULL;
    identities_init(&allotter->identities);
    read_ephemeral_range(&low, &high);
    allotter->ports = ports_new(&allotter->identities.random, low, high);
    allotter->leases = leases_new();
    if (!allotter->ports || !allotter->leases) {
        allotter_free(allotter);
        return NULL;
    }
    allotter->nears = (struct near_source){
        .context = allotter,
        .free = FREE_IP_ID | FREE_CHECKSUM,
        .next = next_port,
        .count = count_ports,
        .grow = grow_ports,
        .take = take_port,
        .reserve = reserve_ports,
        .identifier = find_identifier,
    };
    return allotter;
}

void
allotter_free(struct allotter *allotter)
{
    if (!allotter)
        return;
    ports_free(allotter->ports);
    leases_free(allotter->leases);
    free(allotter);
}

struct filter_terms
allotter_terms(const struct allotter *allotter)
{
    return (struct filter_terms){ .echo_id = allotter->identities.echo_id, .ports = *ports_expected(allotter->ports) };
}

int
allot(struct allotter *allotter, const struct request *request, const struct probes *in_flight, struct probe *model)
{
    int error = identities_make(&allotter->identities, &allotter->nears, request, in_flight, 0, model);
    if (error)
        allot_release(allotter, model);
    return error;
}

/*
 * A UDP port that a client named is held until the probe ends, so that no other program has it. Where another has it
 * already it is sent from all the same, as a raw socket can; but for bytes of the client's choice.
 */
int
allot_lease(struct allotter *allotter, const struct request *request, struct probe *model)
{
    const struct identity *identity = &model->identity;
    bool fixed = request->local_port || request_has(request, FEATURE_FLOW);
    if (model->lease || !fixed || !goes_by_ports(request->protocol) ||
        (!request->local_port && !must_hold(allotter, request, identity->near)))
        return 0;
    int error = leases_hold(allotter->leases, request->family, &identity->source, model->scope, identity->near,
                            &model->lease);
    if (error == EACCES) /* a port that is for privileged programs here */
        error = EADDRINUSE;
    if (error == EADDRINUSE && !request->payload.length)
        error = leases_share(allotter->leases, identity->near, &model->lease);
    return error;
}

void
allot_release(struct allotter *allotter, struct probe *probe)
{
    if (probe->lease)
        leases_give_up(allotter->leases, probe->lease);
    probe->lease = 0;
}

bool
allot_rest(struct allotter *allotter, struct instant now, struct instant *when)
{
    return leases_rest(allotter->leases, now, when);
}

enum hearing
allot_hearing(const struct allotter *allotter, const struct probe *probe)
{
    uint16_t near = probe->identity.near;
    bool held = probe->lease ? leases_is_held(allotter->leases, probe->lease) : ports_is_ours(allotter->ports, near);
    if (!held)
        return HEARD_NOWHERE;
    return port_blocks_has(ports_expected(allotter->ports), near) ? HEARD_AS_EXPECTED : HEARD_AMONG_OTHERS;
}

bool
allot_believes(struct allotter *allotter, const struct answer *datagram)
{
    enum port_owner owner = leases_owner(allotter->leases, datagram->family, &datagram->to, datagram->near,
                                         datagram->arrived);
    return owner == OWNER_US || (owner == OWNER_NONE && ports_is_ours(allotter->ports, datagram->near));
}
