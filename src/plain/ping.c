/* SPDX-License-Identifier: MIT */
#include "plain/ping.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <stdlib.h>
#include <string.h>

#include "host/control.h"
#include "packets/protocol.h"

#define IDENTIFIERS 16              /* each is that of a socket, and of all echo requests that leave by it */
#define NUMBERS (IDENTIFIERS << 16) /* with the sequence numbers */
#define TRIES 64                    /* identifiers; some are taken */

/*
 * IPv6 passes over a source address that goes along with an echo request. So probes from addresses that clients named
 * leave by sockets that are bound to these, and to the interface where that matters. When there are more, the one gives
 * way that was not used for so long.
 */
#define NAMED_MAX 64
#define NAMED_REST (60 * NS_PER_S)

struct named {
    struct outlet outlet;
    struct address source;
    uint32_t device; /* interface index, or 0 */
};

struct pings {
    int epoll;
    struct random *random;
    struct outlet outlets[FAMILIES][IDENTIFIERS]; /* opened when their turn comes first */
    struct named named[NAMED_MAX];
    uint16_t identifier;                          /* of the first, if it could be had */
    uint32_t number;                              /* the next: the upper four bits choose the socket */
    uint64_t lost;                                /* answers, by named ones that are closed */
};

static const struct address any;

struct pings *
pings_new(int epoll, struct random *random)
{
    struct pings *pings = calloc(1, sizeof *pings);
    if (!pings)
        return NULL;
    pings->epoll = epoll;
    pings->random = random;
    pings->number = random_below(random, NUMBERS);
    pings->identifier = (uint16_t)(random_u16(random) / IDENTIFIERS * IDENTIFIERS);
    for (enum family_id family = 0; family < FAMILIES; family++)
        for (size_t i = 0; i < IDENTIFIERS; i++)
            pings->outlets[family][i] = (struct outlet){ .fd = -1, .family = family, .protocol = PROTOCOL_ICMP };
    for (size_t i = 0; i < NAMED_MAX; i++)
        pings->named[i].outlet = (struct outlet){ .fd = -1, .protocol = PROTOCOL_ICMP };
    return pings;
}

void
pings_free(struct pings *pings)
{
    if (!pings)
        return;
    for (size_t i = 0; i < (size_t)FAMILIES * IDENTIFIERS; i++)
        outlet_close(&pings->outlets[i / IDENTIFIERS][i % IDENTIFIERS]);
    for (size_t i = 0; i < NAMED_MAX; i++)
        outlet_close(&pings->named[i].outlet);
    free(pings);
}

/*
 * With the identifier WANTED, or else one of our own drawing, since the kernel's count up from where everybody can see
 * them.
 */
static int
open_outlet(struct pings *pings, struct outlet *outlet, uint16_t wanted, const struct address *source, uint32_t device)
{
    int error = outlet_open(outlet, pings->epoll, source, device, wanted);
    for (int tries = 0; tries < TRIES && error == EADDRINUSE; tries++)
        error = outlet_open(outlet, pings->epoll, source, device, random_u16(pings->random));
    return error;
}

/* The sixteen have identifiers side by side, so that routers which hash these find many ways for flows. */
static int
open_common(struct pings *pings, enum family_id family, size_t place)
{
    return open_outlet(pings, &pings->outlets[family][place], (uint16_t)(pings->identifier + place), &any, 0);
}

/*
 * Before Linux 5.18 a hop limit that goes along with an IPv6 echo request was passed over in silence: every probe would
 * reach the target. Where it counts, one that is no hop limit is refused. Otherwise this host pings itself once.
 */
static int
check_hop_limit(const struct outlet *outlet)
{
    static const uint8_t echo[8] = { ICMP6_ECHO_REQUEST };
    static const struct address self = { { [15] = 1 } };
    const int wrong = 1000;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof wrong)];
    struct sockaddr_storage target;
    struct iovec vector = { (void *)(uintptr_t)echo, sizeof echo };
    struct msghdr message = {
        .msg_name = &target,
        .msg_namelen = address_to_socket(IPV6, &self, 0, 0, &target),
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = control,
    };
    control_add(&message, IPPROTO_IPV6, IPV6_HOPLIMIT, &wrong, sizeof wrong);
    return sendmsg(outlet->fd, &message, MSG_DONTWAIT) < 0 && errno == EINVAL ? 0 : EOPNOTSUPP;
}

int
pings_open(struct pings *pings, enum family_id family)
{
    struct outlet *outlet = &pings->outlets[family][pings->number >> 16];
    int error = open_common(pings, family, pings->number >> 16);
    if (!error && family == IPV6)
        error = check_hop_limit(outlet);
    if (error)
        outlet_close(outlet);
    return error;
}

/* The next number that no probe in flight has, and the socket that it belongs to. */
static int
allot_number(struct pings *pings, const struct probes *in_flight, struct probe *model, struct outlet **found)
{
    for (uint32_t tries = 0; tries < NUMBERS; tries++) {
        uint32_t number = pings->number++ % NUMBERS;
        struct outlet *outlet = &pings->outlets[model->family][number >> 16];
        if (outlet->fd < 0 && open_common(pings, (enum family_id)model->family, number >> 16) != 0) {
            tries |= 0xffff; /* none of its numbers can be had, if there are others */
            pings->number = (number | 0xffff) + 1;
            continue;
        }
        model->identity.near = outlet->near;
        model->identity.far = (uint16_t)number;
        *found = outlet;
        if (!probes_ports_taken(in_flight, model))
            return 0;
    }
    return ENOSPC;
}

/* The socket that bears the flow's identifier; the flow's checksum leaves nothing but the sequence number to tell. */
static int
allot_flow(struct pings *pings, const struct errand *errand, struct probe *model, struct outlet **found)
{
    uint32_t flow = errand->request->flow;
    struct outlet *outlet = &pings->outlets[model->family][flow_echo_id(flow)];
    int error = outlet->fd < 0 ? open_common(pings, (enum family_id)model->family, flow_echo_id(flow)) : 0;
    if (error)
        return error;
    *found = outlet;
    model->identity.near = outlet->near;
    for (uint32_t tries = 0; tries <= UINT16_MAX; tries++) {
        model->identity.far = flow_sequence(errand->flows, flow);
        if (!probes_ports_taken(errand->in_flight, model))
            return 0;
    }
    return ENOSPC;
}

/* The socket of a source that the client named; a place that has rested, when there is none yet. */
static struct named *
find_named(struct pings *pings, const struct probe *model, uint32_t device)
{
    struct named *oldest = &pings->named[0];
    for (size_t i = 0; i < NAMED_MAX; i++) {
        struct named *named = &pings->named[i];
        if (named->outlet.fd >= 0 && named->outlet.family == (enum family_id)model->family &&
            address_same(&named->source, &model->identity.source) && named->device == device)
            return named;
        if (named->outlet.last.ns < oldest->outlet.last.ns)
            oldest = named;
    }
    if (oldest->outlet.fd >= 0 && instant_since(clock_now(), oldest->outlet.last) < NAMED_REST)
        return NULL;
    pings->lost += oldest->outlet.lost;
    oldest->outlet.lost = 0;
    outlet_close(&oldest->outlet);
    return oldest;
}

static int
allot_named(struct pings *pings, const struct errand *errand, struct probe *model, struct outlet **found)
{
    int error = 0;
    uint32_t device = outlet_device(errand, &model->identity.source);
    struct named *named = find_named(pings, model, device);
    if (!named)
        return ENOSPC;
    *found = &named->outlet;
    named->outlet.family = (enum family_id)model->family;
    named->source = model->identity.source;
    named->device = device;
    if (named->outlet.fd < 0)
        error = open_outlet(pings, &named->outlet, random_u16(pings->random), &named->source, device);
    if (error)
        return error;
    model->identity.near = named->outlet.near;
    for (uint32_t tries = 0; tries <= UINT16_MAX; tries++) {
        model->identity.far = (uint16_t)pings->number++;
        if (!probes_ports_taken(errand->in_flight, model))
            return 0;
    }
    return ENOSPC;
}

static int
allot_echo(struct pings *pings, const struct errand *errand, struct probe *model, struct outlet **found)
{
    if (!address_is_unspecified(&errand->request->local))
        return allot_named(pings, errand, model, found);
    if (request_has(errand->request, FEATURE_FLOW))
        return allot_flow(pings, errand, model, found);
    return allot_number(pings, errand->in_flight, model, found);
}

int
pings_send(struct pings *pings, const struct errand *errand, struct probe *model)
{
    struct outlet *outlet;
    struct writer writer = { .start = errand->packet, .size = PACKET_MAX };
    bool flow = request_has(errand->request, FEATURE_FLOW);
    if (flow && packet_free_size(errand->request) < BALANCE_SIZE)
        return EOVERFLOW;
    int error = allot_echo(pings, errand, model, &outlet);
    if (error)
        return error;
    model->identity.balanced = flow;
    if (flow)
        model->identity.checksum = flow_checksum(errand->flows, errand->request->flow);
    packet_offer_nonce(errand->request, &model->identity, random_u64(pings->random));
    protocol_icmp.build(errand->request, &model->identity, &writer);
    return outlet_send(outlet, errand, 0, writer.start, writer.used, &model->departed);
}

uint64_t
pings_lost(const struct pings *pings)
{
    uint64_t lost = pings->lost;
    for (size_t i = 0; i < (size_t)FAMILIES * IDENTIFIERS; i++)
        lost += pings->outlets[i / IDENTIFIERS][i % IDENTIFIERS].lost;
    for (size_t i = 0; i < NAMED_MAX; i++)
        lost += pings->named[i].outlet.lost;
    return lost;
}
