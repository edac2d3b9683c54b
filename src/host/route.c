/* SPDX-License-Identifier: MIT */
#include "host/route.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/device.h"
#include "host/rtnetlink.h"

#define CACHE_SIZE 4096u /* routes; a power of two. calloc() maps so much, and what nobody uses takes no memory */
#define AGE_MAX NS_PER_S   /* of what no message tells: a path MTU that was learned, and expires */
#define ROUTING_TOS 0x1c /* the bits of TOS that IPv4 routing looks at, and that RTM_GETROUTE takes; of IPv6, all */

struct cached_route {
    struct route_query query;
    struct route route;
    uint32_t epoch; /* the cache's when it was asked */
};

struct routes {
    int query_fd;
    int change_fd;
    uint32_t sequence;
    uint32_t epoch;
    struct instant forgotten; /* when all was, for its age */
    struct cached_route *cache;
};

static const int change_groups[] = {
    RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,
};

static int
open_netlink(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl name = { .nl_family = AF_NETLINK };
    if (fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof name) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool
subscribe(int fd)
{
    for (size_t i = 0; i < sizeof change_groups / sizeof *change_groups; i++)
        if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &change_groups[i], sizeof *change_groups) < 0)
            return false;
    return true;
}

struct routes *
routes_new(void)
{
    struct routes *routes = calloc(1, sizeof *routes);
    if (!routes)
        return NULL;
    routes->query_fd = open_netlink();
    routes->change_fd = open_netlink();
    routes->cache = calloc(CACHE_SIZE, sizeof *routes->cache);
    routes->epoch = 1;
    if (routes->query_fd >= 0 && routes->change_fd >= 0 && subscribe(routes->change_fd) && routes->cache)
        return routes;
    int error = errno;
    routes_free(routes);
    errno = error;
    return NULL;
}

void
routes_free(struct routes *routes)
{
    if (!routes)
        return;
    if (routes->query_fd >= 0)
        close(routes->query_fd);
    if (routes->change_fd >= 0)
        close(routes->change_fd);
    free(routes->cache);
    free(routes);
}

void
routes_forget(struct routes *routes)
{
    routes->epoch++;
}

void
routes_refresh(struct routes *routes, struct instant now)
{
    if (instant_since(now, routes->forgotten) > AGE_MAX) {
        routes_forget(routes);
        routes->forgotten = now;
    }
    char message[1024]; /* what has changed does not matter, so a message may be cut short */
    while (recv(routes->change_fd, message, sizeof message, 0) >= 0 || errno == ENOBUFS)
        routes_forget(routes);
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

struct route_message {
    struct nlmsghdr header;
    struct rtmsg route;
    char attributes[96];
};

static void
add_attribute(struct route_message *message, unsigned short type, const void *data, size_t size)
{
    char *at = (char *)message + NLMSG_ALIGN(message->header.nlmsg_len);
    struct rtattr attribute = { .rta_len = (unsigned short)RTA_LENGTH(size), .rta_type = type };
    memcpy(at, &attribute, sizeof attribute);
    memcpy(at + RTA_LENGTH(0), data, size);
    message->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(message->header.nlmsg_len) + RTA_ALIGN(attribute.rta_len));
}

static int
ask(struct routes *routes, const struct route_query *query)
{
    const struct family *family = &families[query->family];
    struct route_message message = {
        .header = {
            .nlmsg_len = NLMSG_LENGTH(sizeof message.route),
            .nlmsg_type = RTM_GETROUTE,
            .nlmsg_flags = NLM_F_REQUEST,
            .nlmsg_seq = ++routes->sequence,
        },
        .route = {
            .rtm_family = (unsigned char)family->domain,
            .rtm_dst_len = (unsigned char)(family->address_size * 8),
            .rtm_tos = query->family == IPV4 ? query->tos & ROUTING_TOS : query->tos,
        },
    };
    add_attribute(&message, RTA_DST, query->target.bytes, family->address_size);
    if (!address_is_unspecified(&query->local) && !query->device) { /* see address_letter() in sender.c */
        message.route.rtm_src_len = message.route.rtm_dst_len;
        add_attribute(&message, RTA_SRC, query->local.bytes, family->address_size);
    }
    if (query->device)
        add_attribute(&message, RTA_OIF, &query->device, sizeof query->device);
    if (query->mark)
        add_attribute(&message, RTA_MARK, &query->mark, sizeof query->mark);
    return send(routes->query_fd, &message, message.header.nlmsg_len, 0) < 0 ? errno : 0;
}

/* The kernel's answer to ask(); it is there as soon as the question is. */
static int
read_answer(struct routes *routes, const struct route_query *query, struct route *route)
{
    uint8_t bytes[4096];
    ssize_t got;
    do {
        got = recv(routes->query_fd, bytes, sizeof bytes, 0);
        if (got < 0)
            return errno;
    } while (!rtnetlink_read_route((struct reader){ bytes, (size_t)got }, routes->sequence,
                                   (enum family_id)query->family, route));
    return 0;
}

/* 0 when the address is the host's, so that a socket may be bound to it. */
static int
check_local(const struct route_query *query)
{
    struct sockaddr_storage name;
    enum family_id family = (enum family_id)query->family;
    socklen_t length = address_to_socket(family, &query->local, query->device, 0, &name);
    if (address_is_group(family, &query->local)) /* which a socket may be bound to, too */
        return EADDRNOTAVAIL;
    int fd = socket(families[family].domain, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int error = bind(fd, (struct sockaddr *)&name, length) < 0 ? errno : 0;
    close(fd);
    return error;
}

/* Only what the routes say is worth remembering, not that there was no descriptor to ask with. */
static int
ask_whole(struct routes *routes, const struct route_query *query, struct route *route)
{
    bool has_local = !address_is_unspecified(&query->local);
    int refused = has_local ? check_local(query) : 0;
    if (refused && refused != EADDRNOTAVAIL && refused != EINVAL)
        return refused;
    int error = ask(routes, query);
    if (!error)
        error = read_answer(routes, query, route);
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

/* Takes what is left of a dump off the socket. True when it had an address in it. */
static bool
read_addresses(const struct routes *routes)
{
    uint8_t bytes[16384];
    bool any = false;
    ssize_t got;
    do
        got = recv(routes->query_fd, bytes, sizeof bytes, 0);
    while (got >= 0 && rtnetlink_read_addresses((struct reader){ bytes, (size_t)got }, &any));
    return any;
}

bool
routes_have_address(struct routes *routes, enum family_id family)
{
    struct {
        struct nlmsghdr header;
        struct ifaddrmsg address;
    } message = {
        .header = {
            .nlmsg_len = sizeof message,
            .nlmsg_type = RTM_GETADDR,
            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
            .nlmsg_seq = ++routes->sequence,
        },
        .address = { .ifa_family = (unsigned char)families[family].domain },
    };
    return send(routes->query_fd, &message, sizeof message, 0) >= 0 && read_addresses(routes);
}

int
routes_find(struct routes *routes, const struct route_query *query, struct route *route)
{
    struct cached_route *cached = place_of(routes, query);
    if (cached->epoch != routes->epoch || memcmp(&cached->query, query, sizeof *query) != 0) {
        int error = ask_whole(routes, query, &cached->route);
        cached->epoch = error ? 0 : routes->epoch;
        if (error)
            return error;
        cached->query = *query;
    }
    *route = cached->route;
    return 0;
}

int
routes_find_for(struct routes *routes, const struct request *request, uint32_t *device, struct route *route)
{
    struct route_query query = {
        .target = request->target,
        .local = request->local,
        .mark = request->mark,
        .tos = (uint8_t)request->tos,
        .family = (uint8_t)request->family,
    };
    int error = device_find(routes->query_fd, request, device);
    if (error)
        return error;
    query.device = *device;
    error = routes_find(routes, &query, route);
    if (error)
        return error == EAGAIN || error == ENOBUFS ? EAGAIN : error;
    if (route->error)
        return route->error;
    return address_is_unspecified(&route->source) ? EADDRNOTAVAIL : 0;
}

bool
routes_prefer_another(struct routes *routes, const struct request *request, const struct address *source,
                      uint32_t device)
{
    struct route route;
    struct route_query query = {
        .target = request->target,
        .local = *source,
        .tos = (uint8_t)request->tos,
        .family = (uint8_t)request->family,
    };
    return routes_find(routes, &query, &route) != 0 || route.error || route.device != device;
}

bool
routes_find_device_name(const struct routes *routes, uint32_t device, char name[IFNAMSIZ])
{
    return device_find_name(routes->query_fd, device, name);
}

uint32_t
routes_find_device_mtu(const struct routes *routes, uint32_t device)
{
    return device_mtu(routes->query_fd, device);
}
