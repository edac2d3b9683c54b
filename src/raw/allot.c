/* SPDX-License-Identifier: MIT */
#include "raw/allot.h"

#include <stdio.h>
#include <stdlib.h>

#include "packets/protocol.h"
#include "raw/ports.h"

struct allotter {
    struct identities identities;
    struct ports *ports;
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
    if (!allotter->ports) {
        free(allotter);
        return NULL;
    }
    allotter->nears = (struct near_source){
        .context = allotter,
        .free = FREE_IP_ID | FREE_CHECKSUM,
        .next = next_port,
        .count = count_ports,
        .grow = grow_ports,
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
    free(allotter);
}

uint16_t
allotter_echo_id(const struct allotter *allotter)
{
    return allotter->identities.echo_id;
}

int
allot(struct allotter *allotter, const struct request *request, const struct probes *in_flight, struct probe *model)
{
    return identities_make(&allotter->identities, &allotter->nears, request, in_flight, 0, model);
}

/* A UDP port that a client named is held until the probe ends, so that no other program has it, see ports.h. */
int
allot_lease(struct allotter *allotter, const struct request *request, struct probe *model)
{
    if (protocols[request->protocol]->ports != PORTS_FAR_VARIES || !request->local_port)
        return 0;
    return ports_lease(allotter->ports, request->family, &model->identity.source, model->scope, model->identity.near,
                       &model->lease);
}

void
allot_release(struct allotter *allotter, struct probe *probe)
{
    if (probe->lease)
        ports_release(allotter->ports, probe->lease);
    probe->lease = 0;
}
