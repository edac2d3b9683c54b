/* SPDX-License-Identifier: MIT */
#include "host/refusal.h"

#include <errno.h>
#include <string.h>

#include "packets/family.h"

enum {
    PASSES = 1,
    LEFT_OVER = 2, /* what Linux makes of ICMP errors: icmp_err_convert[], icmpv6_err_convert() */
    STALE = 4,     /* the source, the interface or the MTU may have changed */
    PASSES_ONCE_SENT = 8, /* once a probe of that family and protocol has left: a full conntrack, or a filter for this target */
};

#define SAME 0 /* as it is */

/* What each can be, and what the client is told when it is final. */
static const struct {
    int error;
    int can_be;
    int told; /* errno value */
} refusals[] = {
    { EAGAIN, PASSES, SAME },  /* the socket's buffer is full, or plain tcp has a probe by these ports already, */
    { ENOBUFS, PASSES, SAME }, /* or the interface's queue, or the neighbour table of IPv4; or a policy drops it */
    { ENOMEM, PASSES, SAME },
    { EPERM, PASSES_ONCE_SENT, SAME },
    { ECONNREFUSED, LEFT_OVER, SAME },
    { EHOSTUNREACH, LEFT_OVER | STALE, SAME },
    { ENETUNREACH, LEFT_OVER | STALE, SAME },
    { EMSGSIZE, LEFT_OVER | STALE, SAME },
    { ENOPROTOOPT, LEFT_OVER, SAME },
    { EOPNOTSUPP, LEFT_OVER, SAME },
    { EHOSTDOWN, LEFT_OVER, SAME },
    { ENONET, LEFT_OVER, SAME },
    { EACCES, LEFT_OVER, SAME },
    { EPROTO, LEFT_OVER, SAME },
    { EINVAL, STALE, SAME }, /* see refusal_of() */
    { EADDRNOTAVAIL, STALE, SAME },
    { ENETDOWN, STALE, SAME },
    { ENODEV, STALE, SAME },
    { ENOKEY, 0, EHOSTUNREACH }, /* WireGuard: no peer has this address, */
    { EDESTADDRREQ, 0, EHOSTUNREACH }, /* or nobody knows where the peer is */
};

static bool
can_be(int error, int kind)
{
    for (size_t i = 0; error && i < sizeof refusals / sizeof *refusals; i++)
        if (refusals[i].error == error)
            return refusals[i].can_be & kind;
    return false; /* as a rule: it was sent */
}

bool
refusal_passes(int error)
{
    return can_be(error, PASSES);
}

bool
refusal_may_be_left_over(int error)
{
    return can_be(error, LEFT_OVER);
}

bool
refusal_may_be_stale(int error, const struct request *request)
{
    /* Where `dont-fragment` was asked for, the interface's MTU counts, and that is not remembered. */
    bool by_route = error != EMSGSIZE || !request_has(request, FEATURE_DONT_FRAGMENT);
    return by_route && can_be(error, STALE);
}

/* ::ffff:0:0/96, for which sockets of IPv6 make no packet. */
static bool
is_mapped(const struct request *request)
{
    static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };
    return request->family == IPV6 && memcmp(request->target.bytes, prefix, sizeof prefix) == 0;
}

/*
 * EINVAL: the neighbour table is full (in IPv6; and in IPv4 of Linux 5.10). Else it would say that the source is gone,
 * or the route a blackhole: but these were found out by asking for the route again.
 */
bool
refusal_is_for_now(int error, const struct request *request, bool sent_before)
{
    return refusal_passes(error) || (sent_before && can_be(error, PASSES_ONCE_SENT)) ||
           (error == EINVAL && !is_mapped(request));
}

int
refusal_of(int error, const struct request *request)
{
    if (error == EINVAL)
        return address_is_unspecified(&request->local) ? ENETUNREACH : EADDRNOTAVAIL;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (refusals[i].error == error && refusals[i].told != SAME)
            return refusals[i].told;
    return error;
}
