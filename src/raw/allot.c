/* SPDX-License-Identifier: MIT */
#include "raw/allot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "packets/protocol.h"
#include "probes/flow.h"
#include "raw/filter.h"
#include "raw/ports.h"

#define ECHO_NUMBERS (1u << 20) /* sixteen identifiers of 65,536 sequence numbers */
#define TRIES 1024 /* ports; a request that finds none free must not hold up the others */

struct allotter {
    struct random random;
    struct ports *ports;
    struct flows flows;
    uint32_t echo_number; /* the next: the upper four bits choose the identifier */
    uint16_t echo_id;     /* the lowest identifier */
    uint16_t ip_id;       /* the last; and the last that told apart probes with the same ports */
    uint16_t shared_id;
    uint16_t udp_near;    /* our port while the target's varies; 0: none yet */
    uint16_t udp_far;     /* the next of the target's ports; 0: all were used */
    uint16_t named_far;   /* the same for our ports that clients named */
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

struct allotter *
allotter_new(void)
{
    uint16_t low, high;
    struct allotter *allotter = calloc(1, sizeof *allotter);
    if (!allotter)
        return NULL;
    read_ephemeral_range(&low, &high);
    allotter->ports = ports_new(&allotter->random, low, high);
    if (!allotter->ports) {
        free(allotter);
        return NULL;
    }
    allotter->echo_id = random_u16(&allotter->random) & ECHO_ID_MASK;
    allotter->echo_number = random_below(&allotter->random, ECHO_NUMBERS);
    allotter->ip_id = random_u16(&allotter->random);
    allotter->shared_id = random_u16(&allotter->random);
    flows_init(&allotter->flows, &allotter->random);
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
    return allotter->echo_id;
}

static int
allot_echo_number(struct allotter *allotter, const struct probes *in_flight, struct probe *model)
{
    for (uint32_t tries = 0; tries < ECHO_NUMBERS; tries++) {
        uint32_t number = allotter->echo_number++ % ECHO_NUMBERS;
        model->identity.near = (uint16_t)(allotter->echo_id | number >> 16);
        model->identity.far = (uint16_t)number;
        if (!probes_ports_taken(in_flight, model))
            return 0;
    }
    return ENOSPC;
}

/* Of a flow only the sequence number varies, which the balance keeps out of the checksum. */
static int
allot_flow_sequence(struct allotter *allotter, uint32_t flow, const struct probes *in_flight, struct probe *model)
{
    model->identity.near = allotter->echo_id | flow_echo_id(flow);
    for (uint32_t tries = 0; tries <= UINT16_MAX; tries++) {
        model->identity.far = flow_sequence(&allotter->flows, flow);
        if (!probes_ports_taken(in_flight, model))
            return 0;
    }
    return ENOSPC;
}

/*
 * The target's port is given: ours is the next that no probe to that port has. When the next thousand are all taken, so
 * may be the rest, and a fresh block of ports is there at once.
 */
static int
allot_near_port(struct allotter *allotter, const struct probes *in_flight, struct probe *model)
{
    struct instant now = clock_now();
    do {
        for (uint32_t tries = 0; tries == 0 || (tries < ports_count(allotter->ports) && tries < TRIES); tries++) {
            model->identity.near = ports_next(allotter->ports, now);
            if (!model->identity.near)
                return ENOSPC;
            if (!probes_ports_taken(in_flight, model))
                return 0;
        }
    } while (ports_grow(allotter->ports));
    return ENOSPC;
}

/* Our port stays while the target's varies, and changes when all of those were used. */
static int
allot_both_ports(struct allotter *allotter, const struct probes *in_flight, struct probe *model)
{
    for (uint32_t tries = 0; tries < 2 * FAR_PORTS; tries++) {
        if (!allotter->udp_near || !allotter->udp_far)
            allotter->udp_near = ports_next(allotter->ports, clock_now());
        if (!allotter->udp_near)
            return ENOSPC;
        model->identity.near = allotter->udp_near;
        model->identity.far = packet_next_far_port(&allotter->udp_far);
        if (!probes_ports_taken(in_flight, model))
            return 0;
    }
    return ENOSPC;
}

/* Ports as the request has them, or as its flow wants them where it has none. */
static int
allot_flow(struct allotter *allotter, const struct request *request, const struct probes *in_flight,
           struct probe *model)
{
    const struct protocol *protocol = protocols[request->protocol];
    struct identity *identity = &model->identity;
    if (protocol->ports == PORTS_ECHO)
        return allot_flow_sequence(allotter, request->flow, in_flight, model);
    uint16_t first = request->local_port ? 0 : ports_reserve(allotter->ports);
    if (!request->local_port && !first)
        return ENOSPC;
    identity->near = (uint16_t)(request->local_port ? request->local_port
                                                    : first + flow_near(&allotter->flows, request->flow));
    identity->far = (uint16_t)(request->port ? request->port : protocol->default_port);
    if (!identity->far)
        identity->far = (uint16_t)(FAR_PORT_FIRST + flow_far(request->flow, request->local_port != 0, FAR_PORTS));
    return 0;
}

/* Ports as the request has them, or as its protocol wants them where it has none. */
static int
allot_ports(struct allotter *allotter, const struct request *request, const struct probes *in_flight,
            struct probe *model)
{
    const struct protocol *protocol = protocols[request->protocol];
    struct identity *identity = &model->identity;
    if (request_has(request, FEATURE_FLOW))
        return allot_flow(allotter, request, in_flight, model);
    if (protocol->ports == PORTS_ECHO)
        return allot_echo_number(allotter, in_flight, model);
    identity->near = (uint16_t)request->local_port;
    identity->far = (uint16_t)(request->port ? request->port : protocol->default_port);
    if (identity->near && !identity->far)
        identity->far = packet_next_far_port(&allotter->named_far);
    if (identity->near)
        return 0;
    return identity->far ? allot_near_port(allotter, in_flight, model) : allot_both_ports(allotter, in_flight, model);
}

/* True when the next probe may have the same ports, since the client wants it so. */
static bool
keeps_ports(const struct request *request)
{
    return request->local_port || request_has(request, FEATURE_FLOW);
}

/*
 * What has no number of its own is told apart by its checksum where the ports are always the same: because a client gave
 * both, or in a flow, in which echo requests keep the checksum, and the sequence number varies. EOVERFLOW: the packet has
 * no room for that, nor anything else that varies.
 */
static int
choose_balance(const struct request *request, struct identity *identity)
{
    const struct protocol *protocol = protocols[request->protocol];
    bool flow = request_has(request, FEATURE_FLOW);
    bool same_ports = protocol->ports == PORTS_FAR_VARIES && request->local_port && request->port;
    identity->balanced = !protocol->numbered && (flow || same_ports) && packet_free_size(request) >= BALANCE_SIZE;
    bool varies = protocol->numbered || identity->balanced ||
                  (request->family == IPV4 && protocol->ports != PORTS_ECHO); /* by its IP identification */
    return flow && !varies ? EOVERFLOW : 0;
}

/* Never 0, which an SCTP tag must not be. */
static uint32_t
draw_number(struct random *random)
{
    uint32_t number;
    do
        number = random_u32(random);
    while (number == 0);
    return number;
}

/*
 * The numbers by which probes with the same ports are told apart. Those count on their own, so that other probes, of
 * which there may be many more, do not make them come again sooner.
 */
static int
allot_number(struct allotter *allotter, const struct request *request, const struct probes *in_flight,
             struct probe *model)
{
    const struct protocol *protocol = protocols[request->protocol];
    struct identity *identity = &model->identity;
    bool shared = keeps_ports(request) && protocol->ports != PORTS_ECHO;
    for (uint32_t tries = 0; tries <= UINT16_MAX; tries++) {
        uint16_t *last = shared ? &allotter->shared_id : &allotter->ip_id;
        identity->ip_id = *last = packet_next_ip_id(*last);
        identity->number = protocol->numbered ? draw_number(&allotter->random) : 0;
        if (!shared || !probes_number_taken(in_flight, model))
            return 0;
    }
    return ENOSPC;
}

int
allot(struct allotter *allotter, const struct request *request, const struct probes *in_flight, struct probe *model)
{
    const struct protocol *protocol = protocols[request->protocol];
    struct identity *identity = &model->identity;
    int error = 0;
    if (keeps_ports(request))
        error = choose_balance(request, identity);
    if (request->given & (1u << FEATURE_FLOW | 1u << FEATURE_FLOW_LABEL))
        identity->flow_label = flow_label_for(&allotter->flows, request) & 0xfffff;
    if (!error)
        error = allot_ports(allotter, request, in_flight, model);
    if (!error)
        error = allot_number(allotter, request, in_flight, model);
    if (error)
        return error;
    if (identity->balanced)
        identity->checksum = protocol->ports == PORTS_ECHO ? flow_checksum(&allotter->flows, request->flow)
                                                           : identity->ip_id;
    packet_offer_nonce(request, identity, random_u64(&allotter->random));

    /* A UDP port that a client named is leased, so that no other program's answers come to it. */
    if (protocol->ports == PORTS_FAR_VARIES && request->local_port)
        return ports_lease(allotter->ports, request->family, &identity->source, model->scope, identity->near,
                          &model->lease);
    return 0;
}

void
allot_release(struct allotter *allotter, struct probe *probe)
{
    if (probe->lease)
        ports_release(allotter->ports, probe->lease);
    probe->lease = 0;
}
