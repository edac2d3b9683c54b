/* SPDX-License-Identifier: MIT */
#include "host/route.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/device.h"
#include "host/lookup.h"
#include "host/trial.h"
#include "packets/icmp.h"
#include "packets/protocol.h"

#define CACHE_SIZE 4096u /* routes; a power of two. calloc() maps so much, and what nobody uses takes no memory */
#define AGE_MAX NS_PER_S /* of what no message tells: a path MTU that was learned, and expires */

#define REGION_OWN 255     /* more bits than any target has: a target alone, for small packets */

#define ROOM_TRIES 4       /* nobody learns of a path as fast as that */

struct cached_route {
    struct route_query query;
    struct route route;
    uint32_t epoch; /* the cache's when it was asked */
};

struct routes {
    struct netlink netlink;
    int trial_fds[FAMILIES][PROTOCOLS]; /* where rtnetlink is refused, see trial_open_raw(); or -1 */
    int change_fd; /* tells of changes; -1: nobody does */
    int device_fd; /* any socket, for questions about interfaces: netlink's, where there is one */
    uint32_t epoch;
    struct instant forgotten; /* when all was, for its age */

    /* What is set for each new socket of this process; a request's own come before it. */
    uint32_t default_device, default_mark;

    /* What this host's routing looks at, as far as known: see keys_of(). */
    struct route_keys keys[FAMILIES];
    bool keys_known;
    bool hashes_ports[FAMILIES];   /* several next hops may be chosen from by ports */
    bool names_protocol[FAMILIES]; /* raw packets are routed with their protocol named */

    struct cached_route *cache;
    struct cached_route region; /* that was found last: who sweeps stays in one */
};

static const int change_groups[] = {
    RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,
};

/* -1 where nobody tells of all changes: then what is remembered is forgotten by its age. */
static int
open_changes(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl name = { .nl_family = AF_NETLINK };
    bool told = fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof name) == 0;
    for (size_t i = 0; told && i < sizeof change_groups / sizeof *change_groups; i++)
        told = setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &change_groups[i], sizeof *change_groups) == 0;
    if (told || fd < 0)
        return fd;
    close(fd);
    return -1;
}

static int
open_device_socket(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* Layer 3 alone is policy 0, the kernel's default. Where it is not to be seen, it may be any. */
static bool
read_hash_policy(enum family_id family)
{
    static const char *const files[FAMILIES] = {
        [IPV4] = "/proc/sys/net/ipv4/fib_multipath_hash_policy",
        [IPV6] = "/proc/sys/net/ipv6/fib_multipath_hash_policy",
    };
    int policy;
    FILE *file = fopen(files[family], "re");
    bool known = file && fscanf(file, "%d", &policy) == 1;
    if (file)
        fclose(file);
    return !known || policy != 0;
}

/* Of protocols that have no datagram sockets: the others' are opened for each question. */
static void
open_trials(struct routes *routes, bool wanted)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++) {
            bool raw = wanted && protocols[protocol]->ports == PORTS_NEAR_VARIES;
            routes->trial_fds[family][protocol] =
                raw ? trial_open_raw(family, protocols[protocol]->number[family]) : -1;
        }
    }
}

struct routes *
routes_new(void)
{
    struct routes *routes = calloc(1, sizeof *routes);
    struct cached_route *cache = calloc(CACHE_SIZE, sizeof *cache);
    if (!routes || !cache) {
        free(routes);
        free(cache);
        return NULL;
    }
    routes->cache = cache;
    routes->epoch = 1;
    bool asked = netlink_open(&routes->netlink) == 0;
    routes->change_fd = asked ? open_changes() : -1;
    routes->device_fd = asked ? routes->netlink.fd : open_device_socket();
    open_trials(routes, !asked);
    trial_read_defaults(&routes->default_device, &routes->default_mark);
    for (enum family_id family = 0; family < FAMILIES; family++) {
        routes->hashes_ports[family] = read_hash_policy(family);
        routes->names_protocol[family] = true;
    }
    return routes;
}

void
routes_free(struct routes *routes)
{
    if (!routes)
        return;
    if (routes->device_fd >= 0 && routes->device_fd != routes->netlink.fd)
        close(routes->device_fd);
    netlink_close(&routes->netlink);
    if (routes->change_fd >= 0)
        close(routes->change_fd);
    for (size_t i = 0; i < (size_t)FAMILIES * PROTOCOLS; i++)
        if (routes->trial_fds[i / PROTOCOLS][i % PROTOCOLS] >= 0)
            close(routes->trial_fds[i / PROTOCOLS][i % PROTOCOLS]);
    free(routes->cache);
    free(routes);
}

bool
routes_have_netlink(const struct routes *routes)
{
    return routes->netlink.fd >= 0;
}

void
routes_forget(struct routes *routes)
{
    routes->epoch++;
}

void
routes_can_not_name_protocol(struct routes *routes, enum family_id family)
{
    routes->names_protocol[family] = false;
    routes_forget(routes);
}

void
routes_refresh(struct routes *routes, struct instant now)
{
    if (instant_since(now, routes->forgotten) > AGE_MAX) {
        routes_forget(routes);
        routes->forgotten = now;
        routes->keys_known = routes->keys_known && routes->change_fd >= 0;
    }
    char message[1024]; /* what has changed does not matter, so a message may be cut short */
    while (routes->change_fd >= 0 && (recv(routes->change_fd, message, sizeof message, 0) >= 0 || errno == ENOBUFS)) {
        routes_forget(routes);
        routes->keys_known = false;
    }
}

static struct cached_route *
place_of(const struct routes *routes, const struct route_query *query)
{
    uint64_t hash = 0; /* one's own client chooses the targets: there is nobody to hide the order from */
    const unsigned char *bytes = (const unsigned char *)query;
    for (size_t at = 0; at < sizeof *query; at += sizeof(uint32_t)) {
        uint32_t word;
        memcpy(&word, bytes + at, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return &routes->cache[hash & (CACHE_SIZE - 1)];
}

_Static_assert(sizeof(struct route_query) == 2 * sizeof(struct address) + 2 * sizeof(uint32_t) + 8, "has padding");

/* ---- the kernel's answer to all keys of a socket ---- */

static const struct route_keys *
keys_of(struct routes *routes, enum family_id family)
{
    for (enum family_id each = 0; each < FAMILIES && !routes->keys_known; each++)
        lookup_keys(&routes->netlink, each, &routes->keys[each]);
    routes->keys_known = true;
    return &routes->keys[family];
}

static struct trial
trial_of(const struct route_query *query)
{
    return (struct trial){
        .family = (enum family_id)query->family,
        .target = query->target,
        .local = query->local,
        .device = query->device,
        .mark = query->mark,
        .tos = query->tos,
    };
}

/*
 * By which protocol to ask. For one by which the kernel can't be asked, or for none, another stands that no rule looks at,
 * if there is one.
 */
static uint8_t
number_to_ask_by(struct routes *routes, enum family_id family, uint8_t number)
{
    if (lookup_takes_protocol(number))
        return number;
    const struct route_keys *keys = keys_of(routes, family);
    if (!keys->tcp || (keys->udp && keys->icmp))
        return IPPROTO_TCP;
    return keys->udp ? families[family].icmp_protocol : IPPROTO_UDP;
}

static struct lookup
lookup_of(struct routes *routes, const struct route_query *query)
{
    enum family_id family = (enum family_id)query->family;
    return (struct lookup){
        .family = (enum family_id)query->family,
        .target = query->target,
        .source = query->local,
        .device = query->device,
        .mark = query->mark,
        .near = query->near,
        .far = query->far,
        .tos = query->tos,
        .number = number_to_ask_by(routes, family, protocols[query->protocol]->number[family]),
    };
}

/*
 * Where IPv4 sockets connect(), the kernel asks itself for a route to have a source, and then once more by that source:
 * which may be another rule's, or another of several next hops. IPv6 sockets, and ping, take the first answer.
 */
static bool
connects_twice(struct routes *routes, const struct route_query *query)
{
    const struct route_keys *keys = keys_of(routes, (enum family_id)query->family);
    return query->family == IPV4 && protocols[query->protocol]->ports != PORTS_ECHO && (keys->sources || keys->next_hops);
}

static int
ask_again(struct routes *routes, struct lookup *lookup, struct route_answer *answer)
{
    struct address source = answer->source;
    lookup->source = source;
    int error = lookup_route(&routes->netlink, lookup, answer);
    answer->source = source;
    return error;
}

/*
 * The answer to LOOKUP, made whole where the kernel's is not. IPv6 takes an interface for a wish only, once the source is
 * given: then the source is left out. Where a route is found by its source alone, so by none without (RFC 8028), the one
 * that a socket would choose is put in, and *BY_SOURCE is set.
 */
static int
ask(struct routes *routes, const struct route_query *query, struct lookup *lookup, struct route_answer *answer,
    bool *by_source)
{
    struct trial_outcome outcome;
    const struct trial trial = trial_of(query);
    bool has_source = !address_is_unspecified(&lookup->source);
    *by_source = false;
    int error = lookup_route(&routes->netlink, lookup, answer);
    if (!error && has_source && lookup->device && lookup->family == IPV6 &&
        (answer->error || answer->device != lookup->device)) {
        lookup->source = (struct address){ { 0 } };
        error = lookup_route(&routes->netlink, lookup, answer);
    }
    if (!error && answer->error && !has_source && lookup->family == IPV6 && trial_run(&trial, &outcome) == 0) {
        *by_source = true;
        lookup->source = outcome.source;
        error = lookup_route(&routes->netlink, lookup, answer);
        if (!error && !answer->error && lookup->device && answer->device != lookup->device)
            answer->error = ENETUNREACH;
    }
    if (!error && !answer->error && address_is_unspecified(&answer->source) && trial_run(&trial, &outcome) == 0)
        answer->source = outcome.source;
    if (!error && !answer->error && !has_source && connects_twice(routes, query))
        error = ask_again(routes, lookup, answer);
    return error;
}

/* ---- how a raw packet comes to take that route ---- */

static bool
same_way(struct routes *routes, const struct lookup *lookup, const struct route_answer *wanted)
{
    struct route_answer found;
    return lookup_route(&routes->netlink, lookup, &found) == 0 && !found.error && found.device == wanted->device &&
           address_same(&found.gateway, &wanted->gateway);
}

/*
 * True when a packet that is sent to the router gets there. In IPv4 that can be had of the kernel by MSG_DONTROUTE
 * (send(2)); in IPv6 a rule may have a default route for the router's own address, too.
 */
static bool
reaches_router(struct routes *routes, const struct lookup *bare, const struct route_answer *wanted)
{
    struct route_answer found;
    const struct lookup to_router = {
        .family = bare->family,
        .target = wanted->gateway,
        .device = wanted->device,
        .mark = bare->mark,
    };
    if (address_is_unspecified(&wanted->gateway) || wanted->encapsulates)
        return false;
    if (bare->family == IPV4)
        return true;
    return lookup_route(&routes->netlink, &to_router, &found) == 0 && !found.error && found.device == wanted->device &&
           (address_is_unspecified(&found.gateway) || address_same(&found.gateway, &wanted->gateway));
}

/*
 * The interface goes along where that alone brings the packet to the same router: where the route is that of a rule which
 * does not see the packet, the kernel would take the target for a neighbour on that interface. Else the packet is sent to
 * the router itself. (But not into a route that encapsulates, which is known by the target alone.)
 */
static enum route_way
pin(struct routes *routes, struct lookup bare, const struct route_answer *wanted, bool only_one)
{
    bare.device = wanted->device;
    if (only_one && same_way(routes, &bare, wanted))
        return WAY_DEVICE;
    return reaches_router(routes, &bare, wanted) ? WAY_NEXT_HOP : WAY_DEVICE;
}

static void
choose_way(struct routes *routes, const struct lookup *full, bool has_local, const struct route_answer *answer,
           struct route *route)
{
    struct lookup bare = *full; /* what the kernel sees of a raw packet */
    struct route_answer entry = { .next_hops = 0 };
    const struct route_keys *keys = keys_of(routes, full->family);
    route->by_ports = keys->ports;
    if (answer->error || !(keys->next_hops || keys->protocol || keys->ports || keys->sources || route->by_source))
        return;
    bare.near = bare.far = 0;
    if (!routes->names_protocol[full->family])
        bare.number = number_to_ask_by(routes, full->family, 0);
    if (!route->by_source && (!has_local || (full->family == IPV6 && full->device)))
        bare.source = (struct address){ { 0 } };
    if (keys->next_hops && lookup_entry(&routes->netlink, full, answer->device, &entry) != 0)
        return;
    /* Of routes that routers have announced IPv6 shows one at a time. */
    bool shared = entry.next_hops > 1 || (full->family == IPV6 && keys->next_hops);
    route->shared = shared;
    route->by_ports = keys->ports || (shared && routes->hashes_ports[full->family]);
    if (shared || !same_way(routes, &bare, answer))
        route->way = pin(routes, bare, answer, !shared || entry.on_device <= 1);
}

/* ---- both together ---- */

/*
 * What a connected socket of this protocol has: of several next hops IPv6 chooses by it, too, and rules may look at it. Of
 * icmp, where the host has no such sockets for this user, as another's; and of tcp and sctp, where there is no raw socket to
 * ask by, or it is refused, or more is set for the probe than can be for that.
 */
static int
run_trial(const struct routes *routes, struct trial trial, const struct route_query *query, struct trial_outcome *outcome)
{
    const struct protocol *protocol = protocols[query->protocol];
    int fd = routes->trial_fds[query->family][query->protocol];
    if (fd >= 0 && !trial.device && !trial.mark && address_is_unspecified(&trial.local) &&
        trial_run_raw(fd, &trial, outcome) == 0)
        return 0;
    trial.number = protocol->ports == PORTS_ECHO ? protocol->number[query->family] : 0;
    int error = trial_run(&trial, outcome);
    if (error != EACCES || !trial.number)
        return error;
    trial.number = 0;
    return trial_run(&trial, outcome);
}

/* Without rtnetlink: what a connected socket has. */
static int
ask_socket(const struct routes *routes, const struct route_query *query, struct route *route)
{
    struct trial_outcome outcome;
    int error = run_trial(routes, trial_of(query), query, &outcome);
    if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM)
        return error;
    *route = (struct route){
        .source = outcome.source,
        .device = query->device,
        .mtu = outcome.mtu,
        .error = error,
        .broadcast = outcome.broadcast,
    };
    return 0;
}

static int
ask_kernel(struct routes *routes, const struct route_query *query, struct route *route)
{
    struct route_answer answer;
    struct lookup lookup = lookup_of(routes, query);
    bool by_source;
    int error = ask(routes, query, &lookup, &answer, &by_source);
    if (error)
        return error;
    *route = (struct route){
        .source = answer.source,
        .next_hop = answer.gateway,
        .device = answer.device,
        .mtu = answer.mtu,
        .error = answer.error,
        .broadcast = answer.broadcast,
        .by_source = by_source,
        .vrf = query->device ? lookup_vrf(&routes->netlink, query->device) : 0,
    };
    choose_way(routes, &lookup, !address_is_unspecified(&query->local), &answer, route);
    return 0;
}

/* Only what the routes say is worth remembering, not that there was no descriptor to ask with. */
static int
ask_whole(struct routes *routes, const struct route_query *query, struct route *route)
{
    const struct trial trial = trial_of(query);
    bool has_local = !address_is_unspecified(&query->local);
    int refused = has_local ? trial_bind(&trial) : 0;
    if (refused && refused != EADDRNOTAVAIL && refused != EINVAL)
        return refused;
    int error = routes_have_netlink(routes) ? ask_kernel(routes, query, route) : ask_socket(routes, query, route);
    if (error)
        return error;
    if (route->error == EINVAL) /* a blackhole */
        route->error = ENETUNREACH;
    if (has_local)
        route->source = query->local;
    if (refused) /* EINVAL: a link-local address that is of another interface, or of none that was named */
        route->error = EADDRNOTAVAIL;
    return 0;
}

bool
routes_have_address(struct routes *routes, enum family_id family)
{
    const struct trial trial = { .family = family, .local = families[family].loopback };
    return routes_have_netlink(routes) ? lookup_any_address(&routes->netlink, family) : trial_bind(&trial) == 0;
}

static bool
is_remembered(const struct routes *routes, const struct cached_route *cached, const struct route_query *query)
{
    return cached->epoch == routes->epoch && memcmp(&cached->query, query, sizeof *query) == 0;
}

int
routes_find(struct routes *routes, const struct route_query *query, struct route *route)
{
    struct cached_route *cached = place_of(routes, query);
    if (!is_remembered(routes, cached, query)) {
        int error = ask_whole(routes, query, &cached->route);
        cached->epoch = error ? 0 : routes->epoch;
        if (error)
            return error;
        cached->query = *query;
    }
    *route = cached->route;
    return 0;
}

/*
 * True when all targets that match the same routes and rules have the same way, so that one of a thousand neighbours need be
 * asked for. *REGION becomes the query for all of these. Not where ports, protocol or several next hops count; nor in IPv6,
 * where each target may have another source (RFC 6724), unless that is given; nor where nobody tells of changes.
 */
static bool
find_region(struct routes *routes, const struct route_query *query, struct route_query *region)
{
    enum family_id family = (enum family_id)query->family;
    bool own_source = family == IPV6 && address_is_unspecified(&query->local);
    if (routes->change_fd < 0 || own_source || address_is_group(family, &query->target))
        return false;
    const struct route_keys *keys = keys_of(routes, family);
    if (keys->next_hops || keys->protocol || keys->ports || keys->sources)
        return false;
    *region = *query;
    unsigned bits = region->region = (uint8_t)route_keys_region(keys, family, &query->target);
    for (size_t i = 0; i < sizeof region->target.bytes; i++) {
        unsigned left = bits > 8 * i ? bits - 8 * (unsigned)i : 0;
        region->target.bytes[i] &= left >= 8 ? 0xff : (uint8_t)(0xff00 >> left);
    }
    return bits > 0;
}

static bool
has_prefix(const struct address *address, const struct address *prefix, unsigned bits)
{
    size_t whole = bits / 8;
    unsigned rest = bits % 8;
    return memcmp(address->bytes, prefix->bytes, whole) == 0 &&
           (!rest || (address->bytes[whole] ^ prefix->bytes[whole]) >> (8 - rest) == 0);
}

/* True when the target lies in the region that was found last, and all else is the same; a group lies in none. */
static bool
is_in_last_region(const struct routes *routes, const struct route_query *query)
{
    const struct route_query *last = &routes->region.query;
    if (address_is_group((enum family_id)query->family, &query->target))
        return false;
    size_t from = offsetof(struct route_query, local), size = offsetof(struct route_query, region) - from;
    return routes->region.epoch == routes->epoch && has_prefix(&query->target, &last->target, last->region) &&
           memcmp(&query->local, &last->local, size) == 0;
}

/* The route of all in the region, which is that of the first of them. */
static int
find_by_region(struct routes *routes, const struct route_query *query, struct route *route)
{
    struct route_query region;
    if (!find_region(routes, query, &region))
        return routes_find(routes, query, route);
    struct cached_route *cached = place_of(routes, &region);
    if (is_remembered(routes, cached, &region)) {
        routes->region = *cached;
        *route = cached->route;
        return 0;
    }
    int error = routes_find(routes, query, route);
    if (error || route->error || route->way != WAY_PLAIN || route->by_ports || route->by_source || route->shared)
        return error;
    *cached = (struct cached_route){ region, *route, routes->epoch };
    cached->route.mtu = 0;
    routes->region = *cached;
    return 0;
}

/*
 * Of a packet that is small enough for any path: what was learned of the path's MTU, which is each target's own, is nothing.
 * So it is remembered beside the route that routes_find() knows: who is probed again and again is found as fast as ever.
 */
static int
find_small(struct routes *routes, const struct route_query *query, struct route *route)
{
    if (is_in_last_region(routes, query)) {
        *route = routes->region.route;
        return 0;
    }
    struct route_query own = *query;
    own.region = REGION_OWN;
    struct cached_route *cached = place_of(routes, &own);
    if (!is_remembered(routes, cached, &own)) {
        int error = find_by_region(routes, query, route);
        if (error)
            return error;
        *cached = (struct cached_route){ own, *route, routes->epoch };
    }
    *route = cached->route;
    return 0;
}

/* ICMP has no ports: where the target's stands, the kernel's routing sees type and code of an echo request. */
static struct route_query
query_of(const struct routes *routes, const struct request *request, uint32_t device)
{
    bool has_ports = protocols[request->protocol]->ports != PORTS_ECHO;
    return (struct route_query){
        .target = request->target,
        .local = request->local,
        .device = device ? device : routes->default_device,
        .mark = request->mark ? request->mark : routes->default_mark,
        .far = has_ports ? 0 : (uint16_t)(icmp_kinds[request->icmp_request].request[request->family] << 8),
        .tos = (uint8_t)request->tos,
        .family = (uint8_t)request->family,
        .protocol = (uint8_t)request->protocol,
    };
}

/* Any path takes it whole. */
static bool
is_small(const struct request *request)
{
    return request->size <= families[request->family].mtu_min;
}

static int
find(struct routes *routes, const struct route_query *query, bool small, bool sure, struct route *route)
{
    int error = small ? find_small(routes, query, route) : routes_find(routes, query, route);
    if (error)
        return error == ENOBUFS ? EAGAIN : error;
    if (route->by_ports && !sure)
        return 0;
    if (route->error)
        return route->error;
    return address_is_unspecified(&route->source) ? EADDRNOTAVAIL : 0;
}

int
routes_find_for(struct routes *routes, const struct request *request, uint32_t *device, struct route *route)
{
    int error = device_find(routes->device_fd, request, device);
    if (error)
        return error;
    const struct route_query query = query_of(routes, request, *device);
    return find(routes, &query, is_small(request), protocols[request->protocol]->ports == PORTS_ECHO, route);
}

int
routes_find_by_ports(struct routes *routes, const struct request *request, uint32_t device, uint16_t near,
                     uint16_t far, struct route *route)
{
    struct route_query query = query_of(routes, request, device);
    if (protocols[request->protocol]->ports == PORTS_ECHO) /* it has none */
        return 0;
    query.near = near;
    query.far = far;
    return find(routes, &query, false, true, route);
}

_Static_assert(sizeof(struct route) == 2 * sizeof(struct address) + 5 * sizeof(uint32_t) + 4, "has padding");

/*
 * Of a refusal that has other reasons, and may be for ever, nobody else is to hear: to ask for each route again takes longer
 * than to send.
 */
void
routes_doubt(struct routes *routes, const struct request *request, uint16_t near, uint16_t far)
{
    struct route remembered, now;
    uint32_t device;
    int error = device_find(routes->device_fd, request, &device);
    struct route_query query = query_of(routes, request, device);
    bool small = is_small(request);
    if (!error)
        error = small ? find_small(routes, &query, &remembered) : routes_find(routes, &query, &remembered);
    if (!error && remembered.by_ports) {
        query.near = near;
        query.far = far;
        small = false;
        error = routes_find(routes, &query, &remembered);
    }
    if (!error)
        error = ask_whole(routes, &query, &now);
    if (!error && small)
        now.mtu = remembered.mtu;
    if (error || memcmp(&now, &remembered, sizeof now) != 0)
        routes_forget(routes);
}

void
routes_find_by_label(struct routes *routes, const struct request *request, uint32_t device, uint32_t flow_label,
                     struct address *source)
{
    struct trial_outcome outcome;
    const struct route_query query = query_of(routes, request, device);
    struct trial trial = trial_of(&query);
    trial.flow_label = flow_label;
    if (routes->hashes_ports[request->family]) /* then by these, and not by the label */
        return;
    if (run_trial(routes, trial, &query, &outcome) == 0)
        *source = outcome.source;
}

bool
routes_prefer_another(struct routes *routes, const struct request *request, const struct address *source,
                      uint32_t device)
{
    struct route route;
    struct route_query query = query_of(routes, request, 0);
    query.local = *source;
    query.mark = 0;
    return routes_find(routes, &query, &route) != 0 || route.error || route.device != device;
}

bool
routes_find_device_name(const struct routes *routes, uint32_t device, char name[IFNAMSIZ])
{
    return device_find_name(routes->device_fd, device, name);
}

/*
 * A connected socket's MTU lacks what is added, but also what was learned of the path: which `dont-fragment` looks past,
 * and the route that netlink gives lacks too. So the difference of these two is what is added; if nothing was learned
 * between the two questions.
 */
void
routes_find_room(struct routes *routes, const struct request *request, uint32_t device, struct room *room)
{
    struct route route, after;
    struct trial_outcome outcome;
    struct route_query query = query_of(routes, request, device);
    struct trial trial = trial_of(&query);
    bool is_echo = protocols[request->protocol]->ports == PORTS_ECHO;
    trial.number = is_echo ? protocols[request->protocol]->number[request->family] : 0;
    trial.port = (uint16_t)request->port;
    *room = (struct room){ .whole = 0 };
    if (ask_whole(routes, &query, &after) != 0)
        return;
    int tries = 0;
    do {
        route = after;
        if (trial_run(&trial, &outcome) == 0)
            room->fragments = outcome.mtu;
        if (ask_whole(routes, &query, &after) != 0)
            return;
    } while (route.mtu != after.mtu && tries++ < ROOM_TRIES);
    uint32_t link = device_mtu(routes->device_fd, route.device);
    uint32_t before = route.mtu ? route.mtu : link;
    uint32_t added = outcome.mtu && outcome.mtu < before ? before - outcome.mtu : 0;
    room->whole = request_has(request, FEATURE_DONT_FRAGMENT) ? link - (added < link ? added : link) : outcome.mtu;
}

uint32_t
room_told(const struct room *room, uint32_t told, const struct request *request)
{
    uint32_t whole = told && (!room->whole || told < room->whole) ? told : room->whole;
    if (whole < request->size)
        return whole;
    return room->fragments < request->size ? room->fragments : 0;
}
