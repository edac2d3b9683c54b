/* SPDX-License-Identifier: MIT */
#include "host/rtnetlink.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define ERRNO_MAX 4095 /* the kernel's MAX_ERRNO */

/* Messages and attributes begin at multiples of four bytes; behind the last one there may be no padding. */
static void
skip_padding(struct reader *reader, size_t length)
{
    size_t padding = NLMSG_ALIGN(length) - length;
    if (!read_skip(reader, padding))
        reader->left = 0;
}

static bool
next_message(struct reader *messages, struct nlmsghdr *header, struct reader *body)
{
    if (!read_bytes(messages, header, sizeof *header) || header->nlmsg_len < sizeof *header ||
        !read_view(messages, header->nlmsg_len - sizeof *header, body))
        return false;
    skip_padding(messages, header->nlmsg_len);
    return true;
}

static bool
next_attribute(struct reader *attributes, uint16_t *type, struct reader *value)
{
    struct rtattr header;
    if (!read_bytes(attributes, &header, sizeof header) || header.rta_len < sizeof header ||
        !read_view(attributes, header.rta_len - sizeof header, value))
        return false;
    *type = (uint16_t)(header.rta_type & NLA_TYPE_MASK);
    skip_padding(attributes, header.rta_len);
    return true;
}

/* The number in an attribute that holds one; 0 when it is too short. */
static uint32_t
number_in(struct reader value)
{
    uint32_t number;
    return read_bytes(&value, &number, sizeof number) ? number : 0;
}

static uint32_t
mtu_in(struct reader metrics)
{
    uint16_t type;
    struct reader value;
    while (next_attribute(&metrics, &type, &value))
        if (type == RTAX_MTU)
            return number_in(value);
    return 0;
}

/* Kernels give errno values in replies with either sign. */
static int
errno_of(int64_t error)
{
    int64_t positive = error < 0 ? -error : error;
    return positive <= ERRNO_MAX ? (int)positive : EIO;
}

/* An address of this family, whole; unspecified when it is anything else. */
static struct address
address_in(struct reader value, enum family_id family)
{
    struct address address = { { 0 } };
    if (value.left != families[family].address_size || !read_address(&value, family, &address))
        return (struct address){ { 0 } };
    return address;
}

/* Next hops stand one behind the other, each with its length, and each may have attributes of its own. */
static void
count_next_hops(struct reader hops, uint32_t on_device, struct route_answer *answer)
{
    struct rtnexthop hop;
    struct reader rest;
    while (read_bytes(&hops, &hop, sizeof hop) && hop.rtnh_len >= sizeof hop &&
           read_view(&hops, hop.rtnh_len - sizeof hop, &rest)) {
        answer->next_hops++;
        answer->on_device += (uint32_t)hop.rtnh_ifindex == on_device;
        skip_padding(&hops, hop.rtnh_len);
    }
}

static void
read_attribute(uint16_t type, struct reader value, enum family_id family, uint32_t on_device,
               struct route_answer *answer)
{
    struct rta_cacheinfo info;
    switch (type) {
    case RTA_PREFSRC:
        answer->source = address_in(value, family);
        break;
    case RTA_OIF:
        answer->device = number_in(value);
        break;
    case RTA_GATEWAY:
        answer->gateway = address_in(value, family);
        break;
    case RTA_VIA:
        answer->gateway_foreign = true;
        break;
    case RTA_ENCAP:
        answer->encapsulates = true;
        break;
    case RTA_MULTIPATH:
        count_next_hops(value, on_device, answer);
        break;
    case RTA_METRICS:
        answer->mtu = mtu_in(value);
        break;
    case RTA_CACHEINFO:
        if (read_bytes(&value, &info, sizeof info))
            answer->error = errno_of((int32_t)info.rta_error);
        break;
    }
}

bool
rtnetlink_read_route(struct reader message, uint32_t sequence, enum family_id family, uint32_t on_device,
                     struct route_answer *answer)
{
    struct nlmsghdr header;
    struct rtmsg fixed;
    struct reader body, value;
    uint16_t type;
    int32_t error;
    if (!next_message(&message, &header, &body) || header.nlmsg_seq != sequence)
        return false;
    *answer = (struct route_answer){ .error = EIO };
    if (header.nlmsg_type == NLMSG_ERROR && read_bytes(&body, &error, sizeof error) && error)
        answer->error = errno_of(error);
    if (header.nlmsg_type != RTM_NEWROUTE || !read_bytes(&body, &fixed, sizeof fixed) ||
        fixed.rtm_family != families[family].domain)
        return true;
    answer->error = 0;
    answer->broadcast = fixed.rtm_type == RTN_BROADCAST;
    while (next_attribute(&body, &type, &value))
        read_attribute(type, value, family, on_device, answer);
    return true;
}

/* Of how many prefixes there are beyond PREFIXES_MAX only that is remembered. */
static void
add_prefix(struct route_keys *keys, int domain, struct reader address, uint8_t length)
{
    enum family_id family = domain == AF_INET ? IPV4 : IPV6;
    struct route_prefix prefix = { .address = address_in(address, family), .length = length };
    for (uint32_t i = 0; i < keys->prefix_count && i < PREFIXES_MAX; i++)
        if (keys->prefixes[i].length == length && address_same(&keys->prefixes[i].address, &prefix.address))
            return;
    if (keys->prefix_count < PREFIXES_MAX)
        keys->prefixes[keys->prefix_count] = prefix;
    keys->prefix_count += keys->prefix_count <= PREFIXES_MAX;
}

/* The first bits that two addresses have in common, at most MOST. */
static unsigned
common_bits(const struct address *one, const struct address *other, unsigned most)
{
    unsigned bits = 0;
    for (size_t i = 0; bits < most && i < sizeof one->bytes; i++, bits += 8) {
        unsigned differ = one->bytes[i] ^ other->bytes[i];
        if (differ) {
            bits += (unsigned)__builtin_clz(differ) - 24;
            break;
        }
    }
    return bits < most ? bits : most;
}

/* A prefix that has the target needs all its bits in common; of another, all to the first by which it does not have it. */
unsigned
route_keys_region(const struct route_keys *keys, enum family_id family, const struct address *target)
{
    unsigned region = 1, whole = (unsigned)families[family].address_size * 8;
    for (uint32_t i = 0; i < keys->prefix_count && i < PREFIXES_MAX; i++) {
        const struct route_prefix *prefix = &keys->prefixes[i];
        unsigned common = common_bits(&prefix->address, target, prefix->length);
        unsigned needed = common < prefix->length ? common + 1 : prefix->length;
        region = needed > region ? needed : region;
    }
    return keys->prefix_count > PREFIXES_MAX || region > whole ? 0 : region;
}

static void
read_rule_protocol(struct reader value, struct route_keys *keys)
{
    uint8_t number;
    if (!read_u8(&value, &number))
        return;
    keys->icmp = keys->icmp || number == IPPROTO_ICMP || number == IPPROTO_ICMPV6;
    keys->udp = keys->udp || number == IPPROTO_UDP;
    keys->tcp = keys->tcp || number == IPPROTO_TCP;
}

/* What a rule looks at. One with an attribute that is newer than this program may look at anything. */
static void
read_rule(struct reader body, struct route_keys *keys)
{
    struct fib_rule_hdr fixed;
    struct reader value;
    uint16_t type;
    if (!read_bytes(&body, &fixed, sizeof fixed))
        return;
    while (next_attribute(&body, &type, &value)) {
        bool unknown = type > FRA_DPORT_RANGE;
        if (type == FRA_DST)
            add_prefix(keys, fixed.family, value, fixed.dst_len);
        if (type == FRA_IP_PROTO)
            read_rule_protocol(value, keys);
        keys->sources = keys->sources || type == FRA_SRC;
        keys->protocol = keys->protocol || unknown || type == FRA_IP_PROTO;
        keys->ports = keys->ports || unknown || type == FRA_SPORT_RANGE || type == FRA_DPORT_RANGE;
    }
}

/* Several next hops of one route; or, as IPv6 takes them from routers' announcements, several default routes alike. */
static void
read_shared_route(struct reader body, struct route_keys *keys)
{
    struct rtmsg fixed;
    struct reader value;
    uint16_t type;
    uint32_t metric = 0;
    if (!read_bytes(&body, &fixed, sizeof fixed))
        return;
    keys->routes++;
    while (next_attribute(&body, &type, &value)) {
        keys->next_hops = keys->next_hops || type == RTA_MULTIPATH || type == RTA_NH_ID;
        if (type == RTA_PRIORITY)
            metric = number_in(value);
        if (type == RTA_DST)
            add_prefix(keys, fixed.rtm_family, value, fixed.rtm_dst_len);
    }
    if (fixed.rtm_family != AF_INET6 || fixed.rtm_dst_len != 0 || fixed.rtm_type != RTN_UNICAST)
        return;
    keys->next_hops = keys->next_hops || (keys->has_default && keys->default_metric == metric);
    keys->has_default = true;
    keys->default_metric = metric;
}

bool
rtnetlink_read_keys(struct reader messages, struct route_keys *keys)
{
    struct nlmsghdr header;
    struct reader body;
    while (next_message(&messages, &header, &body)) {
        if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR)
            return false;
        if (header.nlmsg_type == RTM_NEWRULE)
            read_rule(body, keys);
        else if (header.nlmsg_type == RTM_NEWROUTE)
            read_shared_route(body, keys);
    }
    return true;
}

bool
rtnetlink_read_addresses(struct reader messages, bool *any)
{
    struct nlmsghdr header;
    struct reader body;
    while (next_message(&messages, &header, &body)) {
        if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR)
            return false;
        *any = *any || header.nlmsg_type == RTM_NEWADDR;
    }
    return true;
}

static bool
names_vrf(struct reader info)
{
    static const char vrf[] = { 'v', 'r', 'f' };
    struct reader value;
    uint16_t type;
    while (next_attribute(&info, &type, &value))
        if (type == IFLA_INFO_KIND)
            return value.left >= sizeof vrf && memcmp(value.at, vrf, sizeof vrf) == 0;
    return false;
}

bool
rtnetlink_read_link(struct reader message, uint32_t sequence, uint32_t *master, bool *is_vrf)
{
    struct nlmsghdr header;
    struct ifinfomsg fixed;
    struct reader body, value;
    uint16_t type;
    *master = 0;
    *is_vrf = false;
    if (!next_message(&message, &header, &body) || header.nlmsg_seq != sequence)
        return false;
    if (header.nlmsg_type != RTM_NEWLINK || !read_bytes(&body, &fixed, sizeof fixed))
        return true;
    while (next_attribute(&body, &type, &value)) {
        if (type == IFLA_MASTER)
            *master = number_in(value);
        else if (type == IFLA_LINKINFO)
            *is_vrf = names_vrf(value);
    }
    return true;
}
