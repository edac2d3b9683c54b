/* SPDX-License-Identifier: MIT */
#include "probes/identity.h"

#include <errno.h>

#include "packets/icmp.h"
#include "packets/protocol.h"

#define ECHO_NUMBERS (ECHO_IDS << 16) /* each identifier has 65,536 sequence numbers */
#define TRIES 1024 /* ports, at most: a request that finds none free must not hold up the others */
#define FEW 256 /* probes to one target that are told apart by few bits */
#define TURNS 64 /* through the target's ports, each with another of ours */

/* A probe that is getting its identity, and what there is to make it of. */
struct making {
    struct identities *from;
    const struct near_source *nears;
    const struct request *request;
    const struct protocol *protocol;
    const struct probes *in_flight;
    struct probe *model;
    struct identity *identity; /* the model's */
};

void
identities_init(struct identities *identities)
{
    *identities = (struct identities){ .random = { .left = 0 } };
    struct random *random = &identities->random;
    identities->echo_id = random_u16(random) & ECHO_ID_MASK;
    identities->echo_number = random_below(random, ECHO_NUMBERS);
    identities->ip_id = random_u16(random);
    identities->shared_id = random_u16(random);
    for (enum icmp_request kind = ICMP_REQUEST_ECHO + 1; kind < ICMP_REQUESTS; kind++)
        turns_init(&identities->turns[kind], 16u + icmp_kinds[kind].sequence_bits, random);
    flows_init(&identities->flows, random);
}

static bool
is_taken(const struct making *making)
{
    return probes_ports_taken(making->in_flight, making->model);
}

/* ---- ICMP: identifier and sequence number ---- */

static int
make_echo_number(const struct making *making)
{
    const struct near_source *nears = making->nears;
    struct identities *from = making->from;
    for (uint32_t tries = 0; tries < ECHO_NUMBERS; tries++) {
        uint32_t number = from->echo_number++ % ECHO_NUMBERS;
        making->identity->far = (uint16_t)number;
        if (!nears->identifier(nears->context, making->request->family, number >> 16, &making->identity->near)) {
            tries |= UINT16_MAX; /* this identifier can't be had: on to the next, if there is one */
            from->echo_number = (number | UINT16_MAX) + 1;
        } else if (!is_taken(making)) {
            return 0;
        }
    }
    return ENOSPC;
}

/*
 * Of a request that is no echo nothing else comes back: so its two numbers are drawn from all that there are, in an order
 * that nobody knows and in which none comes again before all have had their turn: the answer to one that is over finds
 * nobody. Where these are few, so are those to one target. Of a socket with one identifier the number is given.
 */
static int
make_drawn_numbers(const struct making *making, uint16_t near)
{
    struct identity *identity = making->identity;
    const struct icmp_kind *kind = &icmp_kinds[making->request->icmp_request];
    struct turns *turns = &making->from->turns[making->request->icmp_request];
    if (kind->sequence_bits < 16 && probes_of_kind(making->in_flight, making->model) >= FEW)
        return ENOSPC;
    if (near) {
        identity->near = near;
        return is_taken(making) ? ENOSPC : 0;
    }
    for (uint32_t tries = 0; tries < TRIES; tries++) {
        uint32_t number = turns_next(turns);
        identity->near = (uint16_t)(number >> kind->sequence_bits);
        identity->far = (uint16_t)(number << (16 - kind->sequence_bits) | kind->sequence_rest);
        if (!is_taken(making))
            return 0;
    }
    return ENOSPC;
}

/* The socket has one identifier, so the sequence number is all that counts. */
static int
make_sequence(const struct making *making, uint16_t near)
{
    making->identity->near = near;
    for (uint32_t tries = 0; tries <= UINT16_MAX; tries++) {
        making->identity->far = (uint16_t)making->from->echo_number++;
        if (!is_taken(making))
            return 0;
    }
    return ENOSPC;
}

/* In a flow only the sequence number varies: the balance (packet.h) makes up for it, so the checksum stays the same. */
static int
make_flow_sequence(const struct making *making)
{
    uint32_t flow = making->request->flow;
    const struct near_source *nears = making->nears;
    if (!nears->identifier(nears->context, making->request->family, flow_echo_id(flow), &making->identity->near))
        return ENOSPC;
    for (uint32_t tries = 0; tries <= UINT16_MAX; tries++) {
        making->identity->far = flow_sequence(&making->from->flows, flow);
        if (!is_taken(making))
            return 0;
    }
    return ENOSPC;
}

static int
make_echo(const struct making *making, uint16_t near)
{
    if (making->request->icmp_request != ICMP_REQUEST_ECHO)
        return make_drawn_numbers(making, near);
    if (near)
        return make_sequence(making, near);
    return request_has(making->request, FEATURE_FLOW) ? make_flow_sequence(making) : make_echo_number(making);
}

/* ---- ports ---- */

static bool
take_near(const struct making *making)
{
    const struct near_source *nears = making->nears;
    return !nears->take || nears->take(nears->context, making->request, making->model);
}

/*
 * The target's port is given: ours is the next that no probe to that port has. When TRIES of them are all taken, so may
 * be the rest: then it is quicker to get more ports than to look on.
 */
static int
make_near_port(const struct making *making)
{
    const struct near_source *nears = making->nears;
    enum family_id family = making->request->family;
    do {
        for (uint32_t tries = 0; tries == 0 || (tries < nears->count(nears->context, family) && tries < TRIES);
             tries++) {
            making->identity->near = nears->next(nears->context, family);
            if (!making->identity->near)
                return ENOSPC;
            if (!is_taken(making) && take_near(making))
                return 0;
        }
    } while (nears->grow(nears->context, family));
    return ENOSPC;
}

/* Our port stays while the target's varies, and changes when all of those were used. */
static int
make_both_ports(const struct making *making)
{
    const struct near_source *nears = making->nears;
    enum family_id family = making->request->family;
    struct varying *varying = &making->from->varying[family];
    do {
        for (uint32_t tries = 0; tries < TURNS * FAR_PORTS; tries++) {
            if (!varying->near || !varying->far)
                varying->near = nears->next(nears->context, family);
            if (!varying->near)
                return ENOSPC;
            making->identity->near = varying->near;
            making->identity->far = packet_next_far_port(&varying->far);
            if (is_taken(making))
                continue;
            if (take_near(making))
                return 0;
            varying->near = 0;
        }
    } while (nears->grow(nears->context, family));
    return ENOSPC;
}

/*
 * Our port is given, and the target's varies. Without an IP identification of our choosing nothing but ports comes
 * back: then no two probes may have the same.
 */
static int
make_far_port(const struct making *making)
{
    struct varying *varying = &making->from->varying[making->request->family];
    for (uint32_t tries = 0; tries < FAR_PORTS; tries++) {
        making->identity->far = packet_next_far_port(&varying->named_far);
        if (!is_taken(making))
            return 0;
    }
    return making->nears->free & FREE_IP_ID ? 0 : ENOSPC;
}

/* Ports as the request has them, or as its flow wants them where it has none. */
static int
make_flow_ports(const struct making *making)
{
    const struct request *request = making->request;
    struct identity *identity = making->identity;
    uint16_t first = request->local_port ? 0 : making->nears->reserve(making->nears->context);
    if (!request->local_port && !first)
        return ENOSPC;
    identity->near = (uint16_t)(request->local_port ? request->local_port
                                                    : first + flow_near(&making->from->flows, request->flow));
    identity->far = (uint16_t)(request->port ? request->port : making->protocol->default_port);
    if (!identity->far)
        identity->far = (uint16_t)(FAR_PORT_FIRST + flow_far(request->flow, request->local_port != 0, FLOW_FAR_PORTS));
    return 0;
}

/* Ports as the request has them, or as its protocol wants them where it has none. */
static int
make_ports(const struct making *making, uint16_t near)
{
    const struct request *request = making->request;
    struct identity *identity = making->identity;
    if (making->protocol->ports == PORTS_ECHO)
        return make_echo(making, near);
    if (request_has(request, FEATURE_FLOW))
        return make_flow_ports(making);
    identity->near = (uint16_t)(near ? near : request->local_port);
    identity->far = (uint16_t)(request->port ? request->port : making->protocol->default_port);
    if (identity->near && !identity->far)
        return make_far_port(making);
    if (identity->near || !making->nears->next)
        return 0;
    return identity->far ? make_near_port(making) : make_both_ports(making);
}

/* ---- what tells apart probes with the same ports ---- */

/* True when the next probe may have the same ports, since the client wants it so. */
static bool
keeps_ports(const struct request *request)
{
    return request->local_port || request_has(request, FEATURE_FLOW);
}

static bool
names_both_ports(const struct making *making)
{
    return making->protocol->ports == PORTS_FAR_VARIES && making->request->local_port && making->request->port;
}

/*
 * True when two bytes of payload are ours to set. They stand behind what was asked for as payload, and make the
 * checksum what we want; or, where the kernel makes the checksum and keeps it to itself, they are the mark at the
 * payload's start, which is what comes back (errqueue.h).
 */
static bool
has_room_for_balance(const struct making *making)
{
    if (making->nears->free & FREE_CHECKSUM)
        return packet_free_size(making->request) >= BALANCE_SIZE;
    return !making->request->payload.length && packet_payload_size(making->request) >= BALANCE_SIZE;
}

/*
 * Where the ports are always the same, because a client gave both or in a flow, probes of a protocol without a number
 * of its own are told apart by their checksum, which two bytes of payload balance (packet.h). Echo requests of a flow
 * have the balance for the opposite: the checksum stays the same while the sequence number varies. EOVERFLOW: the
 * packet has no room for the balance, and nothing else in it varies.
 */
static int
choose_balance(const struct making *making)
{
    const struct protocol *protocol = making->protocol;
    bool flow = request_has(making->request, FEATURE_FLOW);
    making->identity->balanced =
        !protocol->numbered && (flow || names_both_ports(making)) && has_room_for_balance(making);
    bool has_ip_id = making->request->family == IPV4 && protocol->ports != PORTS_ECHO;
    bool varies = protocol->numbered || making->identity->balanced || has_ip_id;
    return flow && !varies ? EOVERFLOW : 0;
}

/* Never 0, which an SCTP initiate tag must not be (RFC 9260, section 3.3.2). */
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
 * The numbers by which probes with the same ports are told apart. Such probes have a counter to themselves (shared_id),
 * so that the others, of which there may be many more, do not make a number come again sooner.
 */
static int
make_number(const struct making *making)
{
    struct identity *identity = making->identity;
    struct identities *from = making->from;
    bool shared = keeps_ports(making->request) && making->protocol->ports != PORTS_ECHO;
    bool alone = names_both_ports(making) && !identity->balanced && !(making->nears->free & FREE_IP_ID);
    if (alone && is_taken(making))
        return ENOSPC;
    for (uint32_t tries = 0; tries <= UINT16_MAX; tries++) {
        uint16_t *last = shared ? &from->shared_id : &from->ip_id;
        identity->ip_id = *last = packet_next_ip_id(*last);
        if (making->protocol->numbered)
            identity->number = draw_number(&from->random);
        if (!shared || !probes_number_taken(making->in_flight, making->model))
            return 0;
    }
    return ENOSPC;
}

void
identities_leave_identifier(struct identities *identities)
{
    identities->echo_number += UINT16_MAX + 1;
}

int
identities_make(struct identities *identities, const struct near_source *nears, const struct request *request,
                const struct probes *in_flight, uint16_t near, struct probe *model)
{
    struct identity *identity = &model->identity;
    const struct making making = {
        identities, nears, request, protocols[request->protocol], in_flight, model, identity,
    };
    int error = 0;
    model->keeps_ports = keeps_ports(request);
    if (model->keeps_ports)
        error = choose_balance(&making);
    if (request->given & (1u << FEATURE_FLOW | 1u << FEATURE_FLOW_LABEL))
        identity->flow_label = flow_label_for(&identities->flows, request) & 0xfffff;
    if (!error)
        error = make_ports(&making, near);
    if (!error)
        error = make_number(&making);
    if (error)
        return error;
    if (identity->balanced)
        identity->checksum = making.protocol->ports == PORTS_ECHO ? flow_checksum(&identities->flows, request->flow)
                                                                  : identity->ip_id;
    packet_offer_nonce(request, identity, random_u64(&identities->random));
    return 0;
}
