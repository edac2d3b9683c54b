/* SPDX-License-Identifier: MIT */
#include "host/rtnetlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

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

static void
read_attribute(uint16_t type, struct reader value, enum family_id family, struct route *route)
{
    struct rta_cacheinfo info;
    switch (type) {
    case RTA_PREFSRC:
        if (value.left != families[family].address_size || !read_address(&value, family, &route->source))
            route->source = (struct address){ { 0 } };
        break;
    case RTA_OIF:
        route->device = number_in(value);
        break;
    case RTA_METRICS:
        route->mtu = mtu_in(value);
        break;
    case RTA_CACHEINFO:
        if (read_bytes(&value, &info, sizeof info))
            route->error = errno_of((int32_t)info.rta_error);
        break;
    }
}

bool
rtnetlink_read_route(struct reader message, uint32_t sequence, enum family_id family, struct route *route)
{
    struct nlmsghdr header;
    struct rtmsg fixed;
    struct reader body, value;
    uint16_t type;
    int32_t error;
    if (!next_message(&message, &header, &body) || header.nlmsg_seq != sequence)
        return false;
    *route = (struct route){ .error = EIO };
    if (header.nlmsg_type == NLMSG_ERROR && read_bytes(&body, &error, sizeof error) && error)
        route->error = errno_of(error);
    if (header.nlmsg_type != RTM_NEWROUTE || !read_bytes(&body, &fixed, sizeof fixed) ||
        fixed.rtm_family != families[family].domain)
        return true;
    route->error = 0;
    route->broadcast = fixed.rtm_type == RTN_BROADCAST;
    while (next_attribute(&body, &type, &value))
        read_attribute(type, value, family, route);
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
