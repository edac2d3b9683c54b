/* SPDX-License-Identifier: MIT */
#include "plain/ping.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <stdlib.h>
#include <string.h>

#include "host/control.h"
#include "packets/icmp.h"
#include "packets/protocol.h"

#define TRIES 64 /* identifiers; other sockets may have some */

/*
 * An IPv6 echo socket ignores the source address in IPV6_PKTINFO (ping_v6_sendmsg() in Linux). So probes from addresses
 * that clients named leave by sockets that are bound to these, and to the interface where that matters. Where NAMED_MAX
 * are open, the one that was used longest ago gives way, if it has rested for NAMED_REST.
 */
#define NAMED_MAX 64
#define NAMED_REST (60 * NS_PER_S)

struct named {
    struct outlet outlet;
    struct address source;
    uint32_t device; /* interface index, or 0 */
};

/*
 * An extended echo reply brings back identifier and sequence number alone, and the kernel lets us choose the eight bits of
 * the latter. So each of these sockets serves 256 requests, none of which has another's number. When the last of them is
 * over it gives way to one with another identifier: to what comes later nobody listens.
 */
#define EXTENDED_MAX 16
#define EXTENDED_NUMBERS 256

struct extended {
    struct named named;
    uint16_t used;      /* sequence numbers, */
    uint8_t first;      /* from this one on */
    uint16_t in_flight;
};

struct pings {
    struct outlets *outlets;
    struct outlet common[FAMILIES][ECHO_IDS]; /* each with an identifier; opened when first needed */
    struct named named[NAMED_MAX];
    struct extended extended[EXTENDED_MAX];
    bool extends[FAMILIES]; /* this host lets us send extended echo requests */
    struct outlet *chosen; /* the one by which the next probe leaves */
    uint64_t lost;         /* answers that sockets lost which are closed by now */
};

static const struct address any;

struct pings *
pings_new(struct outlets *outlets)
{
    struct pings *pings = calloc(1, sizeof *pings);
    if (!pings)
        return NULL;
    pings->outlets = outlets;
    for (enum family_id family = 0; family < FAMILIES; family++)
        for (size_t i = 0; i < ECHO_IDS; i++)
            pings->common[family][i] = (struct outlet){ .fd = -1, .family = family, .protocol = PROTOCOL_ICMP };
    for (size_t i = 0; i < NAMED_MAX; i++)
        pings->named[i].outlet = (struct outlet){ .fd = -1, .protocol = PROTOCOL_ICMP };
    for (size_t i = 0; i < EXTENDED_MAX; i++)
        pings->extended[i].named.outlet = (struct outlet){ .fd = -1, .protocol = PROTOCOL_ICMP };
    return pings;
}

void
pings_free(struct pings *pings)
{
    if (!pings)
        return;
    for (size_t i = 0; i < (size_t)FAMILIES * ECHO_IDS; i++)
        outlet_close(&pings->common[i / ECHO_IDS][i % ECHO_IDS]);
    for (size_t i = 0; i < NAMED_MAX; i++)
        outlet_close(&pings->named[i].outlet);
    for (size_t i = 0; i < EXTENDED_MAX; i++)
        outlet_close(&pings->extended[i].named.outlet);
    free(pings);
}

/*
 * Opens it with the identifier WANTED, or where that is taken with a random one. The kernel is not left to choose: it
 * counts up from one socket to the next (ping_get_port() in Linux), so anybody here could tell what ours will be.
 */
static int
open_outlet(struct pings *pings, struct outlet *outlet, uint16_t wanted, const struct address *source, uint32_t device)
{
    int error = outlet_open(outlet, pings->outlets, source, device, wanted);
    for (int tries = 0; tries < TRIES && error == EADDRINUSE; tries++)
        error = outlet_open(outlet, pings->outlets, source, device, random_u16(&pings->outlets->identities.random));
    return error;
}

/* The sixteen have identifiers side by side, so that routers which hash these find many ways for flows. */
static int
open_common(struct pings *pings, enum family_id family, size_t place)
{
    return open_outlet(pings, &pings->common[family][place], (uint16_t)(pings->outlets->identities.echo_id + place),
                       &any, 0);
}

/*
 * Before Linux 5.18 a hop limit that goes along with an IPv6 echo request was passed over in silence: every probe would
 * reach the target. So an impossible one is sent, to ::1: EINVAL says that hop limits count. Otherwise this host pings
 * itself once, and IPv6 is refused.
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

/*
 * Linux has them since 5.13. A message is tried with an address of no family, which is looked at after the type: EAFNOSUPPORT
 * says that the type was fine, and nothing has left.
 */
static bool
takes_extended(const struct outlet *outlet)
{
    const uint8_t request[8] = { icmp_kinds[ICMP_REQUEST_EXTENDED].request[outlet->family] };
    const struct sockaddr_storage nowhere = { .ss_family = AF_UNSPEC };
    return sendto(outlet->fd, request, sizeof request, MSG_DONTWAIT, (const struct sockaddr *)&nowhere,
                  sizeof nowhere) < 0 && errno == EAFNOSUPPORT;
}

int
pings_open(struct pings *pings, enum family_id family)
{
    size_t first = pings->outlets->identities.echo_number >> 16;
    struct outlet *outlet = &pings->common[family][first];
    int error = open_common(pings, family, first);
    if (!error && family == IPV6)
        error = check_hop_limit(outlet);
    pings->extends[family] = !error && takes_extended(outlet);
    if (error)
        outlet_close(outlet);
    return error;
}

bool
pings_take(const struct pings *pings, enum family_id family, enum icmp_request kind)
{
    return kind == ICMP_REQUEST_ECHO || (kind == ICMP_REQUEST_EXTENDED && pings->extends[family]);
}

/* The identifier of one of the sixteen, by which the probe then leaves, unless its sequence number is taken. */
static bool
find_identifier(void *context, enum family_id family, unsigned place, uint16_t *identifier)
{
    struct pings *pings = context;
    struct outlet *outlet = &pings->common[family][place];
    if (outlet->fd < 0 && open_common(pings, family, place) != 0)
        return false;
    pings->chosen = outlet;
    *identifier = outlet->near;
    return true;
}

/* The socket of a source that the client named; when there is none yet, a closed place for it; NULL: all are in use. */
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

/* The socket that is bound to the source which the client named. */
static int
choose_named(struct pings *pings, const struct errand *errand, const struct probe *model)
{
    uint32_t device = outlet_device(errand, &model->identity.source);
    struct named *named = find_named(pings, model, device);
    if (!named)
        return ENOSPC;
    pings->chosen = &named->outlet;
    named->outlet.family = (enum family_id)model->family;
    named->source = model->identity.source;
    named->device = device;
    return named->outlet.fd >= 0 ? 0
                                 : open_outlet(pings, &named->outlet, random_u16(&pings->outlets->identities.random),
                                               &named->source, device);
}

static bool
is_same(const struct named *one, const struct named *other)
{
    return one->outlet.fd >= 0 && one->outlet.family == other->outlet.family && one->device == other->device &&
           address_same(&one->source, &other->source);
}

/* One that can send by this source and device, or else one that nobody waits for any more; NULL: there is neither. */
static struct extended *
find_extended(struct pings *pings, const struct named *wanted)
{
    struct extended *idle = NULL;
    for (size_t i = 0; i < EXTENDED_MAX; i++) {
        struct extended *extended = &pings->extended[i];
        if (is_same(&extended->named, wanted) && extended->used < EXTENDED_NUMBERS)
            return extended;
        if (extended->in_flight == 0 && (!idle || idle->named.outlet.fd >= 0))
            idle = extended;
    }
    return idle;
}

static int
open_extended(struct pings *pings, struct extended *extended, const struct named *wanted)
{
    struct random *random = &pings->outlets->identities.random;
    pings->lost += extended->named.outlet.lost;
    outlet_close(&extended->named.outlet);
    *extended = (struct extended){ .named = *wanted, .first = (uint8_t)random_u16(random) };
    return open_outlet(pings, &extended->named.outlet, random_u16(random), &extended->named.source, wanted->device);
}

/* The socket for an extended echo request, and its sequence number. */
static int
choose_extended(struct pings *pings, const struct errand *errand, bool is_named, struct probe *model)
{
    struct named wanted = {
        .outlet = { .fd = -1, .family = errand->request->family, .protocol = PROTOCOL_ICMP },
        .source = is_named ? model->identity.source : any,
        .device = is_named ? outlet_device(errand, &model->identity.source) : 0,
    };
    struct extended *extended = find_extended(pings, &wanted);
    if (!extended)
        return ENOSPC;
    bool ready = is_same(&extended->named, &wanted) && extended->used < EXTENDED_NUMBERS;
    int error = ready ? 0 : open_extended(pings, extended, &wanted);
    if (error)
        return error;
    const struct icmp_kind *kind = &icmp_kinds[ICMP_REQUEST_EXTENDED];
    uint8_t number = (uint8_t)(extended->first + extended->used++);
    model->identity.far = (uint16_t)(number << (16 - kind->sequence_bits) | kind->sequence_rest);
    model->lease = (uint32_t)(extended - pings->extended) + 1;
    extended->in_flight++;
    pings->chosen = &extended->named.outlet;
    return 0;
}

void
pings_release(struct pings *pings, uint32_t lease)
{
    if (lease)
        pings->extended[lease - 1].in_flight--;
}

static int
send_by_chosen(struct pings *pings, const struct errand *errand, const struct near_source *nears, uint16_t near,
               struct probe *model)
{
    struct writer writer = { .start = errand->packet, .size = PACKET_MAX };
    int error = identities_make(&pings->outlets->identities, nears, errand->request, errand->in_flight, near, model);
    if (error)
        return error;
    protocol_icmp.build(errand->request, &model->identity, &writer);
    return outlet_send(pings->chosen, errand, 0, writer.start, writer.used, &model->departed);
}

/*
 * What waits for neighbours that do not answer stays in the buffer of the socket that it left by, which has room for some
 * 800 packets. Others do not wait for these: they leave by the next of the sixteen. A flow has one for itself.
 */
int
pings_send(struct pings *pings, const struct errand *errand, struct probe *model)
{
    const struct near_source nears = { .context = pings, .free = FREE_CHECKSUM, .identifier = find_identifier };
    bool is_named = !address_is_unspecified(&errand->request->local) || errand->route->vrf;
    bool is_extended = errand->request->icmp_request == ICMP_REQUEST_EXTENDED;
    bool is_bound = is_named || is_extended;
    int error = 0;
    if (is_extended)
        error = choose_extended(pings, errand, is_named, model);
    else if (is_named)
        error = choose_named(pings, errand, model);
    if (error)
        return error;
    error = send_by_chosen(pings, errand, &nears, is_bound ? pings->chosen->near : 0, model);
    bool may_change = !is_bound && !request_has(errand->request, FEATURE_FLOW);
    for (int tries = 1; tries < ECHO_IDS && error == EAGAIN && may_change; tries++) {
        identities_leave_identifier(&pings->outlets->identities);
        error = send_by_chosen(pings, errand, &nears, 0, model);
    }
    return error;
}

uint64_t
pings_lost(const struct pings *pings)
{
    uint64_t lost = pings->lost;
    for (size_t i = 0; i < (size_t)FAMILIES * ECHO_IDS; i++)
        lost += pings->common[i / ECHO_IDS][i % ECHO_IDS].lost;
    for (size_t i = 0; i < NAMED_MAX; i++)
        lost += pings->named[i].outlet.lost;
    for (size_t i = 0; i < EXTENDED_MAX; i++)
        lost += pings->extended[i].named.outlet.lost;
    return lost;
}
