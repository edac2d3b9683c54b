/* SPDX-License-Identifier: MIT */
#include "raw/raw.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "host/refusal.h"
#include "host/route.h"
#include "packets/icmp.h"
#include "packets/protocol.h"
#include "raw/allot.h"
#include "raw/receivers.h"
#include "raw/sender.h"

_Static_assert(RECEIVERS_MAX <= TRANSPORT_DESCRIPTORS, "all are watched");

#define MTU_TRIES 4 /* an MTU that was told may be found too large by what comes next on the way */

/*
 * Senders of a family. What waits for neighbours that do not answer stays in their buffers, which without CAP_NET_ADMIN
 * have room for some 270 packets: then the next is taken, so that others do not wait for these. With it there is room for
 * tens of thousands, and one more is enough, for while the first has fragments left; each takes 25 us to open and to close.
 */
#define SENDERS 8
#define ROOMY_SENDERS 2

#define MANY_DESCRIPTORS 1024 /* the usual limit: with less, what is only spare is left out */

/* A probe some of whose fragments have left; the others wait in its sender's `unsent`. */
struct halfway {
    uint64_t serial; /* of its request */
    struct probe probe;
};

struct raw {
    struct transport transport;
    struct privileges *privileges;
    struct sender senders[FAMILIES][SENDERS];
    uint32_t current[FAMILIES]; /* the one that probes leave by */
    struct receivers receivers;
    struct inbox *inbox;
    struct send_buffers *send_buffers;
    struct allotter *allotter;
    struct halfway halfway[FAMILIES][SENDERS];
    uint32_t halfway_count; /* mostly none: then a new request need not be looked for there */
};

static struct raw *
raw_of(struct transport *transport)
{
    return (struct raw *)(void *)transport;
}

static const struct raw *
const_raw_of(const struct transport *transport)
{
    return (const struct raw *)(const void *)transport;
}

static bool
supports_mark(const struct transport *transport)
{
    return privileges_allow_mark(const_raw_of(transport)->privileges);
}

/* With the IP header our own every field is ours to choose; but for sctp see read_flow() in request.c. */
static bool
has_flows(const struct transport *transport, enum protocol_id protocol)
{
    (void)transport;
    return protocol != PROTOCOL_SCTP;
}

/* ---- sending ---- */

/* A probe that is to leave, and what came of it. */
struct attempt {
    const struct request *request;
    const struct probes *in_flight;
    const struct clock *clock;
    struct probe *model;
    uint32_t piece;  /* bytes of each packet that it is sent in; 0: whole, or as the interface takes it */
    uint32_t device; /* interface index that the request names, or 0 */
    uint32_t mtu;    /* EMSGSIZE: what would have fit, as this host said */
    bool stale;      /* where it fails, what we remember of the route may be at fault */
};

static struct sender *
current_sender(struct raw *raw, enum family_id family)
{
    return &raw->senders[family][raw->current[family]];
}

/* The next that has nothing left of another probe; false when none is, which so many fragments take. */
static bool
take_next_sender(struct raw *raw, enum family_id family)
{
    for (uint32_t tries = 0; tries < SENDERS; tries++) {
        raw->current[family] = (raw->current[family] + 1) % SENDERS;
        const struct sender *sender = current_sender(raw, family);
        if (sender->fd >= 0 && !sender->unsent.left)
            return true;
    }
    return false;
}

static int
send_by_sender(struct raw *raw, struct sender *sender, struct attempt *attempt, struct route *route)
{
    struct probe *model = attempt->model;
    bool could_name = sender->names_protocol;
    int error;
    if (attempt->piece) {
        route->mtu = attempt->piece;
        error = sender_send_fragments(sender, attempt->request, &model->identity, attempt->device, route, attempt->clock,
                                      &model->departed);
    } else {
        error = sender_send(sender, attempt->request, &model->identity, attempt->device, route, attempt->clock,
                            &model->departed);
    }
    if (could_name && !sender->names_protocol)
        routes_can_not_name_protocol(raw->transport.routes, attempt->request->family);
    return error;
}

static int
send_with_identity(struct raw *raw, struct attempt *attempt, struct route *route)
{
    const struct route before = *route;
    enum family_id family = attempt->request->family;
    int error = EAGAIN;
    for (uint32_t tries = 0; tries < SENDERS && error == EAGAIN; tries++) {
        *route = before;
        error = send_by_sender(raw, current_sender(raw, family), attempt, route);
        if (error == EAGAIN && (current_sender(raw, family)->unsent.left || !take_next_sender(raw, family)))
            break;
    }
    return error;
}

static unsigned
ear_of(const struct raw *raw, const struct probe *probe)
{
    const unsigned ears[] = {
        [HEARD_AS_EXPECTED] = probe->protocol,
        [HEARD_AMONG_OTHERS] = EAR_OTHER_DATAGRAMS,
        [HEARD_NOWHERE] = EAR_NONE,
    };
    bool by_ports = protocols[probe->protocol]->ports == PORTS_FAR_VARIES;
    return by_ports ? ears[allot_hearing(raw->allotter, probe)] : probe->protocol;
}

/* Sends with the source that the route gives. */
static int
send_by_route(struct raw *raw, struct attempt *attempt)
{
    const struct request *request = attempt->request;
    struct probe *model = attempt->model;
    struct route route;
    uint32_t set;
    int error = routes_find_for(raw->transport.routes, request, &attempt->device, &route);
    if (!error)
        error = allot(raw->allotter, request, attempt->in_flight, model);
    if (!error && route.by_ports)
        error = routes_find_by_ports(raw->transport.routes, request, attempt->device, model->identity.near,
                                     model->identity.far, &route);
    if (error)
        return error;
    model->identity.source = route.source;
    model->scope = request_has(request, FEATURE_SCOPE_ID) ? attempt->device : route.device;
    model->group = model->group || route.broadcast;
    error = allot_lease(raw->allotter, request, model);
    unsigned ear = error ? EAR_NONE : ear_of(raw, model);
    if (!error)
        error = receivers_expect(&raw->receivers, request, ear, &model->identity.source, route.vrf, &set);
    if (error)
        return error;
    model->receivers = (uint8_t)set;
    model->ear = ear & 7;
    error = send_with_identity(raw, attempt, &route);
    attempt->mtu = route.mtu;
    attempt->stale = refusal_may_be_stale(error, request);
    if (error && !current_sender(raw, request->family)->unsent.left)
        receivers_forgo(&raw->receivers, set, request->family, ear);
    return error;
}

/*
 * The bytes of each packet to try next, where LAST were too many: what this host said, or what its path has room for, or
 * what every link carries; 0: none is smaller.
 */
static uint32_t
next_piece(const struct attempt *attempt, uint32_t path, uint32_t last)
{
    uint32_t least = (uint32_t)families[attempt->request->family].mtu_min;
    if (attempt->mtu && attempt->mtu < last)
        return attempt->mtu;
    if (path && path < last)
        return path;
    return least < last ? least : 0;
}

/*
 * Of a packet that this host has refused as too big: in fragments that fit, if it may be fragmented. Each time as another
 * probe, since the host may have sent itself a packet too big about the one before.
 */
static int
send_smaller(struct raw *raw, struct attempt *attempt)
{
    const struct request *request = attempt->request;
    const struct sender *sender = current_sender(raw, request->family);
    struct room room;
    routes_find_room(raw->transport.routes, request, attempt->device, &room);
    uint32_t mtu = room_told(&room, attempt->mtu, request);
    bool may = protocols[request->protocol]->sized && !request->dont_fragment;
    int error = EMSGSIZE;
    attempt->piece = request->size;
    for (int tries = 0; tries < MTU_TRIES && may && error == EMSGSIZE && !sender->unsent.offset; tries++) {
        attempt->piece = next_piece(attempt, room.fragments, attempt->piece);
        if (!attempt->piece)
            break;
        allot_release(raw->allotter, attempt->model);
        error = send_by_route(raw, attempt);
    }
    attempt->mtu = mtu;
    return error;
}

/* The sender that has a part of this request's packet left, or NULL. */
static struct sender *
find_halfway(struct raw *raw, const struct request *request, struct halfway **halfway)
{
    for (uint32_t i = 0; i < SENDERS && raw->halfway_count > 0; i++) {
        *halfway = &raw->halfway[request->family][i];
        if (raw->senders[request->family][i].unsent.left && (*halfway)->serial == request->serial)
            return &raw->senders[request->family][i];
    }
    return NULL;
}

/*
 * Goes on with a probe that is halfway. Where its other fragments are refused for good, it counts as sent all the same:
 * the target will not put it together, as if a fragment was lost on the way.
 */
static int
resume(struct raw *raw, struct sender *sender, const struct request *request, struct halfway *halfway,
       struct probe *model)
{
    int error = sender_resume(sender, request, &halfway->probe.identity);
    *model = halfway->probe;
    raw->halfway_count -= !sender->unsent.left;
    return refusal_passes(error) ? error : 0;
}

static int
start(struct raw *raw, struct attempt *attempt)
{
    enum family_id family = attempt->request->family;
    if (current_sender(raw, family)->unsent.left && !take_next_sender(raw, family))
        return EAGAIN;
    int error = send_by_route(raw, attempt);
    if (attempt->stale) {
        routes_doubt(raw->transport.routes, attempt->request, attempt->model->identity.near,
                     attempt->model->identity.far);
        allot_release(raw->allotter, attempt->model);
        error = send_by_route(raw, attempt);
    }
    if (error == EMSGSIZE)
        error = send_smaller(raw, attempt);
    if (error && current_sender(raw, family)->unsent.left) {
        raw->halfway[family][raw->current[family]] = (struct halfway){ attempt->request->serial, *attempt->model };
        raw->halfway_count++;
    } else if (error) {
        allot_release(raw->allotter, attempt->model);
    }
    return error;
}

static int
send_probe(struct transport *transport, const struct request *request, const struct probes *in_flight,
           const struct clock *clock, struct probe *model, uint32_t *detail)
{
    int reason;
    struct raw *raw = raw_of(transport);
    struct halfway *halfway;
    struct attempt attempt = { .request = request, .in_flight = in_flight, .clock = clock, .model = model };
    struct sender *sender = find_halfway(raw, request, &halfway);
    int error = sender ? resume(raw, sender, request, halfway, model) : start(raw, &attempt);
    error = transport_judge(transport, request, error, &reason);
    *detail = error == EAGAIN ? (uint32_t)reason : attempt.mtu;
    return error;
}

static void
release(struct transport *transport, struct probe *probe)
{
    struct raw *raw = raw_of(transport);
    receivers_forgo(&raw->receivers, probe->receivers, (enum family_id)probe->family, probe->ear);
    allot_release(raw->allotter, probe);
}

static void
abandon(struct transport *transport, const struct request *request)
{
    struct raw *raw = raw_of(transport);
    struct halfway *halfway;
    struct sender *sender = find_halfway(raw, request, &halfway);
    if (!sender)
        return;
    sender->unsent.left = 0;
    raw->halfway_count--;
    release(transport, &halfway->probe);
}

/* ---- receiving ---- */

static size_t
watch(struct transport *transport, struct pollfd *fds)
{
    return receivers_watch(&raw_of(transport)->receivers, fds);
}

static void
polled(struct transport *transport, const struct pollfd *fds, size_t count, struct instant now)
{
    receivers_polled(&raw_of(transport)->receivers, fds, count);
    routes_refresh(transport->routes, now);
}

static void
expect_all(struct transport *transport)
{
    receivers_expect_all(&raw_of(transport)->receivers);
}

/* A datagram returns nothing but ports: they must be ours alone. */
static bool
is_credible(const struct raw *raw, const struct answer *answer)
{
    return answer->is_error || protocols[answer->protocol]->ports != PORTS_FAR_VARIES ||
           allot_believes(raw->allotter, answer);
}

static bool
receive(struct transport *transport, const struct clock *clock, struct answer *answers, size_t *count)
{
    struct raw *raw = raw_of(transport);
    struct datagram datagrams[INBOX_BATCH];
    struct receiver *receiver = receivers_next(&raw->receivers);
    *count = 0;
    if (!receiver)
        return false;
    size_t received = receiver_receive(receiver, raw->inbox, clock, datagrams);
    for (size_t i = 0; i < received; i++)
        if (packet_decode(&datagrams[i], &answers[*count]) && is_credible(raw, &answers[*count]))
            ++*count;
    return true;
}

static struct instant
received_until(const struct transport *transport, const struct clock *clock)
{
    return receivers_until(&const_raw_of(transport)->receivers, clock->now.instant);
}

static bool
rest(struct transport *transport, struct instant now, struct instant *when)
{
    struct raw *raw = raw_of(transport);
    struct instant next;
    bool again = receivers_rest(&raw->receivers, now, when);
    if (!allot_rest(raw->allotter, now, &next))
        return again;
    if (!again || next.ns < when->ns)
        *when = next;
    return true;
}

static uint64_t
lost(const struct transport *transport)
{
    return receivers_lost(&const_raw_of(transport)->receivers);
}

/* ---- opening ---- */

static void
close_raw(struct transport *transport)
{
    struct raw *raw = raw_of(transport);
    for (size_t i = 0; i < (size_t)FAMILIES * SENDERS; i++)
        sender_close(&raw->senders[i / SENDERS][i % SENDERS]);
    receivers_close(&raw->receivers);
    inbox_free(raw->inbox);
    free(raw->send_buffers);
    allotter_free(raw->allotter);
    routes_free(raw->transport.routes);
    free(raw);
}

static const struct transport_body body = {
    .has_address = transport_has_address,
    .supports_mark = supports_mark,
    .has_flows = has_flows,
    .find_device_name = transport_find_device_name,
    .send = send_probe,
    .find_queue = transport_find_device,
    .abandon = abandon,
    .release = release,
    .watch = watch,
    .polled = polled,
    .expect_all = expect_all,
    .receive = receive,
    .received_until = received_until,
    .rest = rest,
    .lost = lost,
    .close = close_raw,
};

static bool
may_have_many_descriptors(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= MANY_DESCRIPTORS;
}

/* A protocol is served where the socket for its answers can be had; the one to send by is the same for all. */
static void
open_family(struct raw *raw, enum family_id family)
{
    struct refused *refused = &raw->transport.refused;
    const struct filter_terms terms = allotter_terms(raw->allotter);
    int error = EMFILE;
    uint32_t count = may_have_many_descriptors() ? SENDERS : 1; /* more than the first are wished for */
    for (uint32_t i = 0; i < count; i++) {
        struct sender *sender = &raw->senders[family][i];
        int each = sender_open(sender, family, raw->privileges, raw->send_buffers, raw->inbox, refused);
        error = i == 0 ? each : error;
        if (sender->roomy && count > ROOMY_SENDERS)
            count = ROOMY_SENDERS;
    }
    for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++)
        raw->transport.refusals[family][protocol] =
            error ? error : receivers_open(&raw->receivers, family, protocol, &terms, refused);
}

/* What needs no privilege, but memory. */
static bool
allocate(struct raw *raw)
{
    raw->allotter = allotter_new();
    raw->transport.routes = routes_new();
    raw->inbox = inbox_new();
    raw->send_buffers = calloc(1, sizeof *raw->send_buffers);
    return raw->allotter && raw->transport.routes && raw->inbox && raw->send_buffers;
}

/* What packets of our own making can ask for. */
static void
allow_all(struct transport *transport)
{
    for (enum family_id family = 0; family < FAMILIES; family++)
        for (enum icmp_request kind = 0; kind < ICMP_REQUESTS; kind++)
            transport->icmp_requests[family][kind] = icmp_kinds[kind].known_to[family];
    for (enum tcp_ecn ecn = 0; ecn < TCP_ECNS; ecn++)
        transport->tcp_ecn[ecn] = true;
}

struct transport *
raw_open(struct privileges *privileges)
{
    struct raw *raw = calloc(1, sizeof *raw);
    if (!raw)
        return NULL;
    raw->transport.body = &body;
    allow_all(&raw->transport);
    raw->privileges = privileges;
    receivers_init(&raw->receivers, may_have_many_descriptors());
    for (size_t i = 0; i < (size_t)FAMILIES * SENDERS; i++)
        raw->senders[i / SENDERS][i % SENDERS].fd = -1;

    int error = allocate(raw) ? 0 : errno;
    for (enum family_id family = 0; family < FAMILIES && !error; family++)
        open_family(raw, family);
    if (!error)
        error = transport_refusal(&raw->transport);
    if (!error)
        return &raw->transport;
    close_raw(&raw->transport);
    errno = error;
    return NULL;
}
