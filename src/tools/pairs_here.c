/* SPDX-License-Identifier: MIT */
#include "tools/pairs_here.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lines/text.h"

#define RECEIVE_BYTES (64 * 1024) /* as iproute2: the kernel sends no more at once */

#define TYPE_MASK 0x3fffu /* NLA_TYPE_MASK, without a sign */

/* ---- addresses */

enum reach
reach_of(enum family_id family, const struct address *address)
{
    const uint8_t *byte = address->bytes;
    static const uint8_t one[16] = { [15] = 1 };
    if (family == IPV6) {
        if (memcmp(byte, one, sizeof one) == 0)
            return REACH_LOOPBACK;
        if (byte[0] == 0xfe && (byte[1] & 0xc0) == 0x80)
            return REACH_LINK;
        return (byte[0] & 0xfe) == 0xfc ? REACH_UNIQUE : REACH_GLOBAL;
    }
    if (byte[0] == 127)
        return REACH_LOOPBACK;
    if (byte[0] == 169 && byte[1] == 254)
        return REACH_LINK;
    if ((byte[0] == 100 && (byte[1] & 0xc0) == 64) || (memcmp(byte, (const uint8_t[]){ 192, 0, 0 }, 3) == 0 && byte[3] < 8))
        return REACH_SHARED;
    return byte[0] == 10 || (byte[0] == 192 && byte[1] == 168) || (byte[0] == 172 && (byte[1] & 0xf0) == 16) ? REACH_PRIVATE
                                                                                                     : REACH_GLOBAL;
}

const char *
place_text(const struct place *place, char buffer[PLACE_TEXT_MAX])
{
    struct writer text = { .start = (uint8_t *)buffer, .size = PLACE_TEXT_MAX - 1 };
    put_address(&text, place->family, &place->address);
    if (place->family == IPV6 && place->reach == REACH_LINK && *place->interface) {
        put_text(&text, "%");
        put_text(&text, place->interface);
    }
    buffer[text.used] = 0;
    return buffer;
}

/* ---- the kernel's messages */

/* The attributes of a message by their types; those of a type of MAX or more are passed over. */
static void
read_attributes(const struct rtattr *first, size_t length, const struct rtattr **by_type, size_t max)
{
    memset(by_type, 0, max * sizeof *by_type);
    for (const struct rtattr *at = first; RTA_OK(at, length); at = RTA_NEXT(at, length)) {
        unsigned type = at->rta_type & TYPE_MASK;
        if (type < max)
            by_type[type] = at;
    }
}

static uint32_t
number_of(const struct rtattr *attribute, uint32_t otherwise)
{
    uint32_t number = otherwise;
    if (attribute && RTA_PAYLOAD(attribute) >= sizeof number)
        memcpy(&number, RTA_DATA(attribute), sizeof number);
    return number;
}

/* LENGTH bytes are an address of the family. */
static bool
take_place(const void *bytes, size_t length, enum family_id family, uint32_t interface, struct place *place)
{
    if (length != families[family].address_size)
        return false;
    *place = (struct place){ .family = family };
    memcpy(place->address.bytes, bytes, length);
    place->reach = reach_of(family, &place->address);
    if (!if_indextoname(interface, place->interface))
        *place->interface = 0;
    return true;
}

/* Asks for all of TYPE, and has each of the answers looked at. */
static bool
dump(uint16_t type, size_t header_size, bool (*look)(struct here *here, struct nlmsghdr *message), struct here *here)
{
    struct { struct nlmsghdr header; uint8_t family[16]; } request = {
        .header = { .nlmsg_len = (uint32_t)NLMSG_LENGTH(header_size), .nlmsg_type = type,
                    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct nlmsghdr *buffer = malloc(RECEIVE_BYTES);
    bool done = false, good = fd >= 0 && buffer && send(fd, &request, request.header.nlmsg_len, 0) >= 0;
    while (good && !done) {
        ssize_t count = recv(fd, buffer, RECEIVE_BYTES, 0);
        if (count < 0 && errno == EINTR)
            continue;
        good = count > 0;
        size_t left = good ? (size_t)count : 0;
        for (struct nlmsghdr *at = buffer; good && !done && NLMSG_OK(at, left); at = NLMSG_NEXT(at, left)) {
            done = at->nlmsg_type == NLMSG_DONE;
            if (at->nlmsg_type == NLMSG_ERROR) {
                const struct nlmsgerr *error = NLMSG_DATA(at);
                errno = -error->error;
                good = false;
            } else if (!done && at->nlmsg_len >= NLMSG_LENGTH(header_size)) {
                good = look(here, at);
            }
        }
    }
    int number = errno;
    free(buffer);
    if (fd >= 0)
        close(fd);
    errno = number;
    return good;
}

static bool
known_family(uint8_t domain, enum family_id *family)
{
    *family = domain == AF_INET6 ? IPV6 : IPV4;
    return domain == AF_INET || domain == AF_INET6;
}

/* ---- sources */

static bool
look_at_address(struct here *here, struct nlmsghdr *message)
{
    const struct ifaddrmsg *head = NLMSG_DATA(message);
    const struct rtattr *attribute[IFA_MAX + 1];
    struct place place;
    enum family_id family;
    read_attributes(IFA_RTA(head), IFA_PAYLOAD(message), attribute, IFA_MAX + 1);
    /* Of a link between two, IFA_ADDRESS is the other end. */
    const struct rtattr *local = attribute[IFA_LOCAL] ? attribute[IFA_LOCAL] : attribute[IFA_ADDRESS];
    uint32_t flags = number_of(attribute[IFA_FLAGS], head->ifa_flags);
    bool is_tentative = (flags & IFA_F_TENTATIVE) && !(flags & IFA_F_OPTIMISTIC);
    if (!known_family(head->ifa_family, &family) || !local || is_tentative || (flags & IFA_F_DADFAILED) ||
        !take_place(RTA_DATA(local), RTA_PAYLOAD(local), family, head->ifa_index, &place))
        return true;
    if (here->source_count == here->source_room) {
        size_t room = here->source_room ? 2 * here->source_room : 16;
        struct place *sources = realloc(here->sources, room * sizeof *sources);
        if (!sources)
            return false;
        here->sources = sources;
        here->source_room = room;
    }
    here->sources[here->source_count++] = place;
    return true;
}

bool
here_read_sources(struct here *here)
{
    return dump(RTM_GETADDR, sizeof(struct ifaddrmsg), look_at_address, here);
}

/* ---- gateways: of the default route that the kernel would take, which is the one of the least metric */

struct gateways {
    struct here here; /* first: it is what dump() hands on */
    bool has_default[FAMILIES]; /* which may be without a gateway: of a tunnel, or one that refuses */
    uint32_t metric[FAMILIES];
};

static void
add_gateway(struct here *here, enum family_id family, const struct rtattr *const *attribute, uint32_t interface)
{
    const struct rtattr *gateway = attribute[RTA_GATEWAY], *via = attribute[RTA_VIA];
    const struct rtvia *other = via && RTA_PAYLOAD(via) > sizeof *other ? RTA_DATA(via) : NULL;
    struct place *place = &here->gateways[family][here->gateway_count[family]];
    enum family_id of = family;
    if (here->gateway_count[family] == GATEWAYS_MAX)
        return;
    if (gateway ? take_place(RTA_DATA(gateway), RTA_PAYLOAD(gateway), of, interface, place)
                : other && known_family((uint8_t)other->rtvia_family, &of) &&
                      take_place(other->rtvia_addr, RTA_PAYLOAD(via) - sizeof *other, of, interface, place))
        here->gateway_count[family]++;
}

static void
add_next_hops(struct here *here, enum family_id family, const struct rtattr *several)
{
    const struct rtnexthop *hop = RTA_DATA(several);
    for (size_t left = RTA_PAYLOAD(several); left >= sizeof *hop && hop->rtnh_len >= sizeof *hop && hop->rtnh_len <= left;) {
        const struct rtattr *attribute[RTA_MAX + 1];
        size_t size = (hop->rtnh_len + 3u) & ~(size_t)3;
        read_attributes((const void *)(hop + 1), hop->rtnh_len - sizeof *hop, attribute, RTA_MAX + 1);
        if (!(hop->rtnh_flags & RTNH_F_DEAD))
            add_gateway(here, family, attribute, (uint32_t)hop->rtnh_ifindex);
        if (size >= left)
            break;
        left -= size;
        hop = (const void *)((const char *)hop + size);
    }
}

static bool
is_taken(unsigned type)
{
    return type == RTN_UNICAST || type == RTN_UNREACHABLE || type == RTN_PROHIBIT || type == RTN_BLACKHOLE;
}

static bool
look_at_route(struct here *here, struct nlmsghdr *message)
{
    struct gateways *gateways = (struct gateways *)here;
    const struct rtmsg *head = NLMSG_DATA(message);
    const struct rtattr *attribute[RTA_MAX + 1];
    enum family_id family;
    read_attributes(RTM_RTA(head), RTM_PAYLOAD(message), attribute, RTA_MAX + 1);
    if (!known_family(head->rtm_family, &family) || head->rtm_dst_len || !is_taken(head->rtm_type) ||
        (head->rtm_flags & RTNH_F_DEAD) || number_of(attribute[RTA_TABLE], head->rtm_table) != RT_TABLE_MAIN)
        return true;
    uint32_t metric = number_of(attribute[RTA_PRIORITY], 0);
    bool another = gateways->has_default[family];
    /* Of IPv6, next hops of the same metric may be routes of their own. */
    if (another && (metric > gateways->metric[family] || (metric == gateways->metric[family] && family == IPV4)))
        return true;
    if (another && metric < gateways->metric[family])
        here->gateway_count[family] = 0;
    gateways->has_default[family] = true;
    gateways->metric[family] = metric;
    if (attribute[RTA_MULTIPATH])
        add_next_hops(here, family, attribute[RTA_MULTIPATH]);
    else
        add_gateway(here, family, attribute, number_of(attribute[RTA_OIF], 0));
    return true;
}

bool
here_read_gateways(struct here *here)
{
    struct gateways gateways = { .here = *here };
    bool good = dump(RTM_GETROUTE, sizeof(struct rtmsg), look_at_route, &gateways.here);
    *here = gateways.here;
    return good;
}

void
here_free(struct here *here)
{
    free(here->sources);
}
