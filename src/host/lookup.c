/* SPDX-License-Identifier: MIT */
#include "host/lookup.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUTING_TOS 0xfc  /* the bits of TOS that IPv4 routing looks at: DSCP. IPv6's looks at all */
#define ROUTES_MAX 2000   /* that are looked at for several next hops: a table of the whole Internet has a million */

static int
open_socket(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl name = { .nl_family = AF_NETLINK };
    if (fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof name) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int
netlink_open(struct netlink *netlink)
{
    *netlink = (struct netlink){ .fd = open_socket() };
    int error = netlink->fd < 0 ? errno : 0;
    netlink->dump_fd = error ? -1 : open_socket();
    return error;
}

void
netlink_close(struct netlink *netlink)
{
    if (netlink->fd >= 0)
        close(netlink->fd);
    if (netlink->dump_fd >= 0)
        close(netlink->dump_fd);
}

struct message {
    struct nlmsghdr header;
    union {
        struct rtmsg route;
        struct ifaddrmsg address;
        struct ifinfomsg link;
        struct fib_rule_hdr rule;
    } fixed;
    char attributes[128];
};

static void
start(struct netlink *netlink, struct message *message, uint16_t type, uint16_t flags, size_t fixed)
{
    message->header = (struct nlmsghdr){
        .nlmsg_len = (uint32_t)NLMSG_LENGTH(fixed),
        .nlmsg_type = type,
        .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
        .nlmsg_seq = ++netlink->sequence,
    };
}

static void
add_attribute(struct message *message, unsigned short type, const void *data, size_t size)
{
    char *at = (char *)message + NLMSG_ALIGN(message->header.nlmsg_len);
    struct rtattr attribute = { .rta_len = (unsigned short)RTA_LENGTH(size), .rta_type = type };
    memcpy(at, &attribute, sizeof attribute);
    memcpy(at + RTA_LENGTH(0), data, size);
    message->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(message->header.nlmsg_len) + RTA_ALIGN(attribute.rta_len));
}

bool
lookup_takes_protocol(uint8_t number)
{
    return number == IPPROTO_TCP || number == IPPROTO_UDP || number == IPPROTO_ICMP || number == IPPROTO_ICMPV6;
}

static void
write_question(struct netlink *netlink, const struct lookup *lookup, unsigned flags, struct message *message)
{
    const struct family *family = &families[lookup->family];
    uint16_t near = htons(lookup->near), far = htons(lookup->far);
    *message = (struct message){ .fixed.route = {
        .rtm_family = (unsigned char)family->domain,
        .rtm_dst_len = (unsigned char)(family->address_size * 8),
        .rtm_tos = lookup->family == IPV4 ? lookup->tos & ROUTING_TOS : lookup->tos,
        .rtm_flags = flags,
    } };
    start(netlink, message, RTM_GETROUTE, 0, sizeof message->fixed.route);
    add_attribute(message, RTA_DST, lookup->target.bytes, family->address_size);
    if (!address_is_unspecified(&lookup->source)) {
        message->fixed.route.rtm_src_len = message->fixed.route.rtm_dst_len;
        add_attribute(message, RTA_SRC, lookup->source.bytes, family->address_size);
    }
    if (lookup->device)
        add_attribute(message, RTA_OIF, &lookup->device, sizeof lookup->device);
    if (lookup->mark)
        add_attribute(message, RTA_MARK, &lookup->mark, sizeof lookup->mark);
    if (!lookup_takes_protocol(lookup->number))
        return;
    add_attribute(message, RTA_IP_PROTO, &lookup->number, sizeof lookup->number);
    if (lookup->near)
        add_attribute(message, RTA_SPORT, &near, sizeof near);
    if (lookup->far)
        add_attribute(message, RTA_DPORT, &far, sizeof far);
}

static int
ask(struct netlink *netlink, const struct lookup *lookup, unsigned flags, uint32_t on_device,
    struct route_answer *answer)
{
    struct message message;
    uint8_t bytes[4096];
    ssize_t got;
    write_question(netlink, lookup, flags, &message);
    if (send(netlink->fd, &message, message.header.nlmsg_len, 0) < 0)
        return errno;
    do {
        got = recv(netlink->fd, bytes, sizeof bytes, 0);
        if (got < 0)
            return errno;
    } while (!rtnetlink_read_route((struct reader){ bytes, (size_t)got }, netlink->sequence, lookup->family, on_device,
                                   answer));
    return 0;
}

int
lookup_route(struct netlink *netlink, const struct lookup *lookup, struct route_answer *answer)
{
    return ask(netlink, lookup, 0, 0, answer);
}

int
lookup_entry(struct netlink *netlink, const struct lookup *lookup, uint32_t on_device, struct route_answer *answer)
{
    return ask(netlink, lookup, RTM_F_FIB_MATCH, on_device, answer);
}

/* ---- dumps ---- */

static bool
ask_for_dump(struct netlink *netlink, uint16_t type, enum family_id family)
{
    struct message message = { .fixed.route = { .rtm_family = (unsigned char)families[family].domain } };
    start(netlink, &message, type, NLM_F_DUMP, sizeof message.fixed.route); /* every one begins with the family */
    return send(netlink->dump_fd, &message, message.header.nlmsg_len, 0) >= 0;
}

/* For all we know. */
static void
assume_all(struct route_keys *keys)
{
    keys->protocol = keys->ports = keys->sources = keys->next_hops = true;
}

static void
read_keys(struct netlink *netlink, struct route_keys *keys)
{
    uint8_t bytes[16384];
    ssize_t got;
    do {
        got = recv(netlink->dump_fd, bytes, sizeof bytes, 0);
        if (got < 0 || keys->routes > ROUTES_MAX) {
            assume_all(keys);
            return;
        }
    } while (rtnetlink_read_keys((struct reader){ bytes, (size_t)got }, keys));
}

void
lookup_keys(struct netlink *netlink, enum family_id family, struct route_keys *keys)
{
    *keys = (struct route_keys){ .routes = 0 };
    if (!ask_for_dump(netlink, RTM_GETRULE, family)) {
        assume_all(keys);
        return;
    }
    read_keys(netlink, keys);
    if (ask_for_dump(netlink, RTM_GETROUTE, family))
        read_keys(netlink, keys);
    if (keys->routes <= ROUTES_MAX)
        return;
    close(netlink->dump_fd); /* what was left unread is of no use, and there is no other way to be rid of it */
    netlink->dump_fd = -1;
}

bool
lookup_any_address(struct netlink *netlink, enum family_id family)
{
    struct message message = { .fixed.address = { .ifa_family = (unsigned char)families[family].domain } };
    uint8_t bytes[16384];
    bool any = false;
    ssize_t got;
    start(netlink, &message, RTM_GETADDR, NLM_F_DUMP, sizeof message.fixed.address);
    if (send(netlink->fd, &message, message.header.nlmsg_len, 0) < 0)
        return false;
    do
        got = recv(netlink->fd, bytes, sizeof bytes, 0);
    while (got >= 0 && rtnetlink_read_addresses((struct reader){ bytes, (size_t)got }, &any));
    return any;
}

static bool
read_link(struct netlink *netlink, uint32_t device, uint32_t *master, bool *is_vrf)
{
    struct message message = { .fixed.link = { .ifi_family = AF_UNSPEC, .ifi_index = (int)device } };
    uint8_t bytes[16384];
    ssize_t got;
    start(netlink, &message, RTM_GETLINK, 0, sizeof message.fixed.link);
    *master = 0;
    *is_vrf = false;
    if (send(netlink->fd, &message, message.header.nlmsg_len, 0) < 0)
        return false;
    do
        got = recv(netlink->fd, bytes, sizeof bytes, 0);
    while (got >= 0 && !rtnetlink_read_link((struct reader){ bytes, (size_t)got }, netlink->sequence, master, is_vrf));
    return got >= 0;
}

uint32_t
lookup_vrf(struct netlink *netlink, uint32_t device)
{
    uint32_t master, none;
    bool is_vrf;
    if (!read_link(netlink, device, &master, &is_vrf))
        return 0;
    if (is_vrf)
        return device;
    return master && read_link(netlink, master, &none, &is_vrf) && is_vrf ? master : 0;
}
