/* SPDX-License-Identifier: MIT */
/*
 * The way out of a probe: route.c, lookup.c and trial.c over a fake kernel, whose messages the input has; and one of them
 * read by rtnetlink.c, and again with the kernel's own macros.
 * Input: options, who asks, then what the system calls do: a byte for each, and for recv() a length and the message.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "host/route.h"
#include "host/rtnetlink.h"
#include "packets/protocol.h"
#include "support.h"

#define QUERY_FD 100
#define OTHER_FD 200
#define MESSAGE_MAX 1024
#define CALLS_MAX 20000

enum { OPTION_IPV6 = 1, OPTION_LOCAL = 2, OPTION_DEVICE = 4, OPTION_MARK = 8, OPTION_MEND = 16, OPTION_NO_NETLINK = 32 };

static struct {
    struct reader input;
    uint8_t options;
    int sockets;
    uint32_t sequence; /* of the last question */
    uint32_t questions, calls;
    struct route_query query;
} kernel;

static int
fuzz_socket(int domain, int type, int protocol)
{
    (void)type, (void)protocol;
    MUST(++kernel.calls < CALLS_MAX); /* it comes to an end, whatever the kernel says */
    if (domain == AF_NETLINK) {
        errno = EAFNOSUPPORT;
        return kernel.options & OPTION_NO_NETLINK ? -1 : QUERY_FD + kernel.sockets++;
    }
    errno = take_u8(&kernel.input);
    return errno ? -1 : OTHER_FD;
}

static int
fuzz_bind(int fd, const struct sockaddr *name, socklen_t length)
{
    (void)fd, (void)name;
    if (length == sizeof(struct sockaddr_nl)) /* less than a struct sockaddr */
        return 0;
    errno = take_u8(&kernel.input);
    return errno ? -1 : 0;
}

static int
fuzz_connect(int fd, const struct sockaddr *name, socklen_t length)
{
    return fuzz_bind(fd, name, length);
}

static int
fuzz_getsockname(int fd, struct sockaddr *name, socklen_t *length)
{
    struct sockaddr_in6 in6 = { .sin6_family = take_u8(&kernel.input) & 1 ? AF_INET : AF_INET6 };
    MUST(fd == OTHER_FD && *length >= sizeof in6);
    take_bytes(&kernel.input, &in6.sin6_addr, sizeof in6.sin6_addr);
    memcpy(name, &in6, sizeof in6);
    *length = sizeof in6;
    return 0;
}

static int
fuzz_setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
    (void)fd, (void)value, (void)length, (void)level, (void)option;
    errno = take_u8(&kernel.input);
    return errno ? -1 : 0;
}

static int
fuzz_getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
    (void)fd, (void)level, (void)option;
    uint32_t number = take_u32(&kernel.input);
    MUST(*length == sizeof number);
    memcpy(value, &number, sizeof number);
    return 0;
}

static int
fuzz_close(int fd)
{
    (void)fd;
    return 0;
}

/* A question must be one that the kernel can read. */
static ssize_t
fuzz_send(int fd, const void *message, size_t length, int flags)
{
    struct nlmsghdr header;
    MUST(fd >= QUERY_FD && flags == 0 && length >= sizeof header);
    memcpy(&header, message, sizeof header);
    free(copy_bytes(message, length)); /* all of it can be read */
    MUST(header.nlmsg_len == length && header.nlmsg_seq == kernel.sequence + 1);
    kernel.sequence = header.nlmsg_seq;
    kernel.questions += header.nlmsg_type == RTM_GETROUTE && !(header.nlmsg_flags & NLM_F_DUMP);
    errno = take_u8(&kernel.input);
    return errno ? -1 : (ssize_t)length;
}

static int
errno_in(const void *at)
{
    int32_t error;
    memcpy(&error, at, sizeof error);
    return error > 4095 || error < -4095 ? EIO : abs(error);
}

static uint32_t
u32_in(const struct rtattr *attribute)
{
    uint32_t number = 0;
    if (RTA_PAYLOAD(attribute) >= sizeof number)
        memcpy(&number, RTA_DATA(attribute), sizeof number);
    return number;
}

static void
expect_attribute(struct rtattr *attribute, struct route_answer *route)
{
    size_t size = kernel.options & OPTION_IPV6 ? 16 : 4;
    int type = attribute->rta_type & NLA_TYPE_MASK;
    if (type == RTA_OIF)
        route->device = u32_in(attribute);
    if (type == RTA_CACHEINFO && RTA_PAYLOAD(attribute) >= sizeof(struct rta_cacheinfo))
        route->error = errno_in((const char *)RTA_DATA(attribute) + offsetof(struct rta_cacheinfo, rta_error));
    if (type == RTA_PREFSRC) {
        route->source = (struct address){ { 0 } };
        if (RTA_PAYLOAD(attribute) == size)
            memcpy(route->source.bytes, RTA_DATA(attribute), size);
    }
    if (type == RTA_METRICS) {
        int left = (int)RTA_PAYLOAD(attribute); /* signed: the macro takes padding off that may not be there */
        struct rtattr *metric = RTA_DATA(attribute);
        while (RTA_OK(metric, left) && (metric->rta_type & NLA_TYPE_MASK) != RTAX_MTU)
            metric = RTA_NEXT(metric, left);
        route->mtu = RTA_OK(metric, left) ? u32_in(metric) : 0;
    }
}

/* What the kernel's macros make of a message; false when it answers another question. MESSAGE is well aligned. */
static bool
expect(struct nlmsghdr *message, size_t length, struct route_answer *route)
{
    int domain = kernel.options & OPTION_IPV6 ? AF_INET6 : AF_INET;
    if (!NLMSG_OK(message, length) || message->nlmsg_seq != kernel.sequence)
        return false;
    *route = (struct route_answer){ .error = EIO };
    const struct rtmsg *fixed = NLMSG_DATA(message);
    if (message->nlmsg_type == NLMSG_ERROR && message->nlmsg_len >= NLMSG_LENGTH(sizeof(int32_t)) &&
        errno_in(NLMSG_DATA(message)))
        route->error = errno_in(NLMSG_DATA(message));
    if (message->nlmsg_type != RTM_NEWROUTE || message->nlmsg_len < NLMSG_LENGTH(sizeof *fixed) ||
        fixed->rtm_family != domain)
        return true;
    route->error = 0;
    int left = (int)RTM_PAYLOAD(message);
    for (struct rtattr *attribute = RTM_RTA(fixed); RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
        expect_attribute(attribute, route);
    return true;
}

/* The kernel writes no more than there is room for, and behind that nothing may be read. */
static ssize_t
fuzz_recv(int fd, void *to, size_t room, int flags)
{
    static _Alignas(struct nlmsghdr) uint8_t bytes[MESSAGE_MAX];
    uint8_t refusal = take_u8(&kernel.input);
    MUST(++kernel.calls < CALLS_MAX && fd >= QUERY_FD && flags == 0 && room >= MESSAGE_MAX);
    if (refusal || kernel.input.left == 0) {
        errno = refusal == ENOBUFS ? EAGAIN : refusal ? refusal : EAGAIN; /* a flood of changes ends somewhen */
        return -1;
    }
    size_t length = take_u16(&kernel.input) % (MESSAGE_MAX + 1);
    memset(bytes, 0, sizeof bytes);
    take_bytes(&kernel.input, bytes, length);
    struct nlmsghdr header;
    if ((kernel.options & OPTION_MEND) && length >= sizeof header) {
        memcpy(&header, bytes, sizeof header);
        header.nlmsg_seq = kernel.sequence;
        memcpy(bytes, &header, sizeof header);
    }
    memset(to, 0xee, room);
    memcpy(to, bytes, length);
    return (ssize_t)length;
}

#define socket fuzz_socket
#define bind fuzz_bind
#define connect fuzz_connect
#define getsockname fuzz_getsockname
#define setsockopt fuzz_setsockopt
#define getsockopt fuzz_getsockopt
#define close fuzz_close
#define send fuzz_send
#define recv fuzz_recv
#include "host/lookup.c"
#include "host/trial.c"
/* these have names of their own in each file */
#define ask ask_whole_way
#include "host/route.c"
#undef socket
#undef bind
#undef connect
#undef getsockname
#undef setsockopt
#undef getsockopt
#undef close
#undef send
#undef recv

/* One message, by our reader and by the macros. */
static void
read_both_ways(const uint8_t *data, size_t size)
{
    static _Alignas(struct nlmsghdr) uint8_t bytes[MESSAGE_MAX + NLMSG_ALIGNTO];
    enum family_id family = kernel.options & OPTION_IPV6 ? IPV6 : IPV4;
    struct route_answer expected, answer;
    struct nlmsghdr header;
    size_t length = size < MESSAGE_MAX ? size : MESSAGE_MAX;
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, data, length);
    if (length >= sizeof header) {
        memcpy(&header, bytes, sizeof header);
        kernel.sequence = header.nlmsg_seq;
    }
    uint8_t *copy = copy_bytes(bytes, length);
    bool is_answer = rtnetlink_read_route((struct reader){ copy, length }, kernel.sequence, family, 3, &answer);
    MUST(is_answer == expect((struct nlmsghdr *)(void *)bytes, length, &expected));
    if (is_answer)
        MUST(answer.error == expected.error && answer.device == expected.device && answer.mtu == expected.mtu &&
             address_same(&answer.source, &expected.source));
    struct route_keys keys = { 0 };
    uint32_t master;
    bool any = false, is_vrf;
    if (!rtnetlink_read_keys((struct reader){ copy, length }, &keys) ||
        !rtnetlink_read_addresses((struct reader){ copy, length }, &any) ||
        !rtnetlink_read_link((struct reader){ copy, length }, kernel.sequence, &master, &is_vrf))
        kernel.calls++;
    free(copy);
    kernel.sequence = 0;
}

static void
ask_twice(struct routes *routes)
{
    struct route route, again;
    int error = routes_find(routes, &kernel.query, &route);
    MUST(error >= 0);
    if (error)
        return;
    uint32_t asked = kernel.questions;
    bool has_local = kernel.options & OPTION_LOCAL;
    MUST(route.error >= 0 && route.error != EINVAL && (!has_local || address_same(&route.source, &kernel.query.local)));
    MUST(route.way != WAY_NEXT_HOP || !address_is_unspecified(&route.next_hop));
    MUST(routes_find(routes, &kernel.query, &again) == 0 && kernel.questions == asked); /* is remembered */
    MUST(address_same(&again.source, &route.source) && again.device == route.device && again.mtu == route.mtu);
    routes_forget(routes);
    error = routes_find(routes, &kernel.query, &again);
    MUST(error >= 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&kernel, 0, sizeof kernel);
    kernel.input = (struct reader){ data, size };
    kernel.options = take_u8(&kernel.input);
    read_both_ways(kernel.input.at, kernel.input.left);
    enum family_id family = kernel.options & OPTION_IPV6 ? IPV6 : IPV4;
    kernel.query.family = (uint8_t)family;
    kernel.query.tos = take_u8(&kernel.input);
    kernel.query.protocol = kernel.query.tos % PROTOCOLS;
    kernel.query.target = take_address(&kernel.input, family);
    kernel.query.local.bytes[0] = kernel.options & OPTION_LOCAL ? 10 : 0;
    kernel.query.device = kernel.options & OPTION_DEVICE ? 3 : 0;
    kernel.query.mark = kernel.options & OPTION_MARK ? 77 : 0;
    struct routes *routes = routes_new();
    MUST(routes);
    ask_twice(routes);
    routes_refresh(routes, (struct instant){ NS_PER_S });
    routes_have_address(routes, family);
    routes_free(routes);
    return 0;
}
