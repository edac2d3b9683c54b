/* SPDX-License-Identifier: MIT */
#include "plain/plain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "host/refusal.h"
#include "packets/protocol.h"
#include "plain/connect.h"
#include "plain/datagram.h"
#include "plain/ping.h"

struct plain {
    struct transport transport;
    struct outlets outlets;
    struct pings *pings;
    struct datagrams *datagrams;
    struct connections *connections;
    struct inbox *inbox;
    struct stash stash;

    bool ready;               /* there may be something to receive */
    struct instant complete;  /* all that arrived by then was received */
    struct instant looked;    /* when the events below were asked for */
    struct epoll_event events[INBOX_BATCH];
    size_t event_count;
    size_t event;             /* the next to be looked at, */
    bool errors_taken;        /* whose error queue was emptied already */
    uint8_t packet[PACKET_MAX];
};

static struct plain *
plain_of(struct transport *transport)
{
    return (struct plain *)(void *)transport;
}

static const struct plain *
const_plain_of(const struct transport *transport)
{
    return (const struct plain *)(const void *)transport;
}

static bool
supports_mark(const struct transport *transport)
{
    (void)transport;
    return false; /* SO_MARK needs a capability */
}

/* ---- what differs by protocol ---- */

static int
open_icmp(struct plain *plain, enum family_id family)
{
    return pings_open(plain->pings, family);
}

static int
send_icmp(struct plain *plain, const struct errand *errand, struct probe *model)
{
    return pings_send(plain->pings, errand, model);
}

static void
release_icmp(struct plain *plain, const struct probe *probe)
{
    pings_release(plain->pings, probe->lease); /* numbers of echo requests are taken while their probe is in the table */
}

static int
open_udp(struct plain *plain, enum family_id family)
{
    return datagrams_check(plain->datagrams, family);
}

static int
send_udp(struct plain *plain, const struct errand *errand, struct probe *model)
{
    return datagrams_send(plain->datagrams, errand, model);
}

static void
release_udp(struct plain *plain, const struct probe *probe)
{
    datagrams_release(plain->datagrams, probe->lease, clock_now());
}

static int
open_tcp(struct plain *plain, enum family_id family)
{
    (void)plain;
    return connections_check(family);
}

static int
send_tcp(struct plain *plain, const struct errand *errand, struct probe *model)
{
    return connections_send(plain->connections, errand, model);
}

static void
release_tcp(struct plain *plain, const struct probe *probe)
{
    connections_release(plain->connections, probe->lease);
}

/*
 * How each protocol is served; NULL: not at all. Flows need more than ports to tell their probes apart: in udp that is not
 * in the eight bytes that every router quotes, or the kernel keeps it to itself, and by the same ports it connects one
 * tcp socket at a time.
 */
static const struct way {
    bool flows;
    int (*open)(struct plain *plain, enum family_id family);
    int (*send)(struct plain *plain, const struct errand *errand, struct probe *model);
    void (*release)(struct plain *plain, const struct probe *probe);
} ways[PROTOCOLS] = {
    [PROTOCOL_ICMP] = { true, open_icmp, send_icmp, release_icmp },
    [PROTOCOL_UDP] = { false, open_udp, send_udp, release_udp },
    [PROTOCOL_TCP] = { false, open_tcp, send_tcp, release_tcp },
};

static bool
has_flows(const struct transport *transport, enum protocol_id protocol)
{
    (void)transport;
    return ways[protocol].flows;
}

/* ---- sending ---- */

static void
release(struct transport *transport, struct probe *probe)
{
    ways[probe->protocol].release(plain_of(transport), probe);
    probe->lease = 0;
}

/* What would have fit of a packet that was refused, see room_told(). */
static uint32_t
find_mtu(const struct plain *plain, const struct errand *errand)
{
    struct room room;
    routes_find_room(plain->transport.routes, errand->request, errand->device, &room);
    return room_told(&room, plain->stash.mtu, errand->request);
}

/* Of an echo request that has no room for what IPsec adds to it, IPv6 says that it has left. */
static bool
is_too_big_unsaid(struct plain *plain, const struct errand *errand)
{
    struct room room;
    const struct request *request = errand->request;
    if (request->family != IPV6 || request->protocol != PROTOCOL_ICMP || !request->dont_fragment ||
        request->size <= families[request->family].mtu_min)
        return false;
    plain->stash.mtu = 0;
    routes_find_room(plain->transport.routes, request, errand->device, &room);
    return room.whole && room.whole < request->size;
}

/* The kernel has chosen way and source by the ports, too, which were not known when the route was asked for. */
static void
settle_source(struct plain *plain, const struct request *request, uint32_t device, struct probe *model)
{
    struct route route = { .source = model->identity.source };
    if (routes_find_by_ports(plain->transport.routes, request, device, model->identity.near, model->identity.far,
                             &route) == 0)
        model->identity.source = route.source;
}

/*
 * Sends with the source that the route gives; *MTU becomes what would have fit. *STALE, where it fails: what we remember
 * of the route may be at fault.
 */
static int
send_by_route(struct plain *plain, const struct request *request, const struct probes *in_flight,
              const struct clock *clock, struct probe *model, uint32_t *mtu, bool *stale)
{
    struct route route;
    struct errand errand = {
        .request = request,
        .in_flight = in_flight,
        .clock = clock,
        .route = &route,
        .packet = plain->packet,
        .stash = &plain->stash,
        .flow_label = flow_label_for(&plain->outlets.identities.flows, request),
    };
    int error = routes_find_for(plain->transport.routes, request, &errand.device, &route);
    if (error)
        return error;
    if (route.shared && errand.flow_label && address_is_unspecified(&request->local))
        routes_find_by_label(plain->transport.routes, request, errand.device, errand.flow_label, &route.source);
    errand.astray = request->family == IPV6 && errand.device &&
                    routes_prefer_another(plain->transport.routes, request, &route.source, errand.device);
    model->identity.source = route.source;
    model->scope = request_has(request, FEATURE_SCOPE_ID) ? errand.device : route.device;
    model->group = model->group || route.broadcast;
    error = is_too_big_unsaid(plain, &errand) ? EMSGSIZE : ways[request->protocol].send(plain, &errand, model);
    /* EINVAL is what passes, or a blackhole that these ports lead to. */
    if (error == EINVAL && route.by_ports) {
        int refused = routes_find_by_ports(plain->transport.routes, request, errand.device, model->identity.near,
                                           model->identity.far, &route);
        error = refused ? refused : error;
    }
    /* Another source than the route's was told by getsockname() already, see connect.c. */
    if (!error && route.by_ports && address_same(&model->identity.source, &route.source))
        settle_source(plain, request, errand.device, model);
    *mtu = error == EMSGSIZE ? find_mtu(plain, &errand) : 0;
    *stale = refusal_may_be_stale(error, request);
    return error;
}

static int
send_probe(struct transport *transport, const struct request *request, const struct probes *in_flight,
           const struct clock *clock, struct probe *model, uint32_t *detail)
{
    struct plain *plain = plain_of(transport);
    bool stale = false;
    int error = send_by_route(plain, request, in_flight, clock, model, detail, &stale);
    if (stale) {
        routes_doubt(plain->transport.routes, request, model->identity.near, model->identity.far);
        release(transport, model);
        error = send_by_route(plain, request, in_flight, clock, model, detail, &stale);
    }
    int reason;
    if (error)
        release(transport, model);
    error = transport_judge(transport, request, error, &reason);
    if (error == EAGAIN)
        *detail = (uint32_t)reason;
    return error;
}

/* The kernel keeps to itself what became of a SYN in a queue, but makes one connection at a time by the same ports. */
static uint32_t
find_queue(struct transport *transport, const struct request *request)
{
    bool by_port = request->protocol == PROTOCOL_TCP && request->local_port;
    return by_port ? QUEUE_FOR_PORT : transport_find_device(transport, request);
}

static void
abandon(struct transport *transport, const struct request *request)
{
    (void)transport;
    (void)request; /* nothing of it has left */
}

/* ---- receiving ---- */

static size_t
watch(struct transport *transport, struct pollfd *fds)
{
    fds[0] = (struct pollfd){ .fd = plain_of(transport)->outlets.epoll, .events = POLLIN };
    return 1;
}

static void
polled(struct transport *transport, const struct pollfd *fds, size_t count, struct instant now)
{
    struct plain *plain = plain_of(transport);
    plain->ready = plain->ready || (count > 0 && fds[0].revents != 0);
    routes_refresh(plain->transport.routes, now);
}

static void
expect_all(struct transport *transport)
{
    plain_of(transport)->ready = true;
}

/* Asks which sockets have something for us. */
static bool
find_events(struct plain *plain, const struct clock *clock)
{
    plain->looked = clock->now.instant;
    int got = epoll_pwait(plain->outlets.epoll, plain->events, INBOX_BATCH, 0, NULL);
    plain->event = 0;
    plain->errors_taken = false;
    plain->event_count = got > 0 ? (size_t)got : 0;
    if (got > 0)
        return true;
    plain->ready = false;
    plain->complete = clock->now.instant;
    return false;
}

/* Takes what the socket of the next event has, into the messages from USED on; returns how many it used. */
static size_t
take_event(struct plain *plain, const struct clock *clock, size_t used, struct answer *answers, size_t *count)
{
    const struct epoll_event *event = &plain->events[plain->event];
    struct outlet *outlet = event->data.ptr;
    bool errors = (event->events & EPOLLERR) && !plain->errors_taken;
    size_t taken = 0, room = INBOX_BATCH - used;
    if (outlet->fd < 0) {
        room = 1; /* closed meanwhile */
        errors = false;
    } else if (outlet->protocol == PROTOCOL_TCP) {
        errors = false;
        taken = 1;
        room = 2;
        if (connection_read(plain->connections, outlet, plain->inbox, used, clock, &answers[*count]))
            ++*count;
    } else {
        taken = outlet_receive(outlet, plain->inbox, used, errors, clock, answers, count);
    }
    bool newer = instant_since(outlet->seen, plain->looked) >= 0; /* than this round of events: others have their turn */
    if (taken == room && !newer)
        return taken; /* there may be more */
    plain->errors_taken = errors;
    plain->event += !errors;
    return taken;
}

/* False when there is nothing to be read. */
static bool
take_answers(struct plain *plain, const struct clock *clock, struct answer *answers, size_t *count)
{
    size_t used = 0;
    *count = 0;
    if (plain->stash.count) {
        *count = plain->stash.count;
        memcpy(answers, plain->stash.answers, *count * sizeof *answers);
        plain->stash.count = plain->stash.used = 0;
        return true;
    }
    if (!plain->ready || (plain->event == plain->event_count && !find_events(plain, clock)))
        return false;
    while (used < INBOX_BATCH && plain->event < plain->event_count)
        used += take_event(plain, clock, used, answers, count);
    /* A batch that is not full had every socket that was ready, so all that had arrived by then is read. */
    if (plain->event == plain->event_count && plain->event_count < INBOX_BATCH)
        plain->complete = plain->looked;
    return true;
}

static bool
receive(struct transport *transport, const struct clock *clock, struct answer *answers, size_t *count)
{
    struct plain *plain = plain_of(transport);
    bool any = take_answers(plain, clock, answers, count);
    for (size_t i = 0; i < *count; i++)
        if (answers[i].protocol == PROTOCOL_UDP)
            datagrams_heard(plain->datagrams, &answers[i]);
    return any;
}

static struct instant
received_until(const struct transport *transport, const struct clock *clock)
{
    const struct plain *plain = const_plain_of(transport);
    return plain->ready ? plain->complete : clock->now.instant;
}

static bool
rest(struct transport *transport, struct instant now, struct instant *when)
{
    struct plain *plain = plain_of(transport);
    bool again = datagrams_rest(plain->datagrams, now, when);
    if (plain->stash.count)
        *when = now; /* they were read off their socket: poll() will not report them */
    return again || plain->stash.count > 0;
}

static uint64_t
lost(const struct transport *transport)
{
    const struct plain *plain = const_plain_of(transport);
    return pings_lost(plain->pings) + datagrams_lost(plain->datagrams);
}

/* ---- opening ---- */

static void
close_plain(struct transport *transport)
{
    struct plain *plain = plain_of(transport);
    pings_free(plain->pings);
    datagrams_free(plain->datagrams);
    connections_free(plain->connections);
    routes_free(plain->transport.routes);
    inbox_free(plain->inbox);
    if (plain->outlets.epoll >= 0)
        close(plain->outlets.epoll);
    free(plain);
}

static const struct transport_body body = {
    .has_address = transport_has_address,
    .supports_mark = supports_mark,
    .has_flows = has_flows,
    .find_device_name = transport_find_device_name,
    .send = send_probe,
    .find_queue = find_queue,
    .abandon = abandon,
    .release = release,
    .watch = watch,
    .polled = polled,
    .expect_all = expect_all,
    .receive = receive,
    .received_until = received_until,
    .rest = rest,
    .lost = lost,
    .close = close_plain,
};

static bool
allocate(struct plain *plain)
{
    plain->outlets.refused = &plain->transport.refused;
    plain->outlets.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (plain->outlets.epoll < 0)
        return false;
    plain->pings = pings_new(&plain->outlets);
    plain->datagrams = datagrams_new(&plain->outlets);
    plain->connections = connections_new(&plain->outlets);
    plain->transport.routes = routes_new();
    plain->inbox = plain->stash.inbox = inbox_new();
    return plain->pings && plain->datagrams && plain->connections && plain->transport.routes && plain->inbox;
}

static void
open_all(struct plain *plain)
{
    enum tcp_ecn ecn = connections_ecn();
    if (ecn < TCP_ECNS)
        plain->transport.tcp_ecn[ecn] = true;
    for (enum family_id family = 0; family < FAMILIES; family++) {
        for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++)
            plain->transport.refusals[family][protocol] =
                ways[protocol].open ? ways[protocol].open(plain, family) : EPROTONOSUPPORT;
        for (enum icmp_request kind = 0; kind < ICMP_REQUESTS; kind++)
            plain->transport.icmp_requests[family][kind] = pings_take(plain->pings, family, kind);
    }
}

struct transport *
plain_open(void)
{
    struct plain *plain = calloc(1, sizeof *plain);
    if (!plain)
        return NULL;
    plain->transport.body = &body;
    plain->outlets.epoll = -1;
    identities_init(&plain->outlets.identities);
    int error = allocate(plain) ? 0 : errno;
    if (!error) {
        open_all(plain);
        error = transport_refusal(&plain->transport);
    }
    if (!error)
        return &plain->transport;
    close_plain(&plain->transport);
    errno = error;
    return NULL;
}
