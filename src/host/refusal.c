/* SPDX-License-Identifier: MIT */
#include "host/refusal.h"

#include <errno.h>

#include "packets/family.h"

enum {
    PASSES = 1,
    LEFT_OVER = 2, /* what Linux makes of ICMP errors: icmp_err_convert[], icmpv6_err_convert() */
    STALE = 4,     /* the source, the interface or the MTU may have changed */
};

static const struct {
    int error;
    int can_be;
} refusals[] = {
    { EAGAIN, PASSES },
    { ENOBUFS, PASSES },
    { ENOMEM, PASSES },
    { ECONNREFUSED, LEFT_OVER },
    { EHOSTUNREACH, LEFT_OVER | STALE },
    { ENETUNREACH, LEFT_OVER | STALE },
    { EMSGSIZE, LEFT_OVER | STALE },
    { ENOPROTOOPT, LEFT_OVER },
    { EOPNOTSUPP, LEFT_OVER },
    { EHOSTDOWN, LEFT_OVER },
    { ENONET, LEFT_OVER },
    { EACCES, LEFT_OVER },
    { EPROTO, LEFT_OVER },
    { EINVAL, STALE }, /* no such source, or a route that has become a blackhole */
    { EADDRNOTAVAIL, STALE },
    { ENETDOWN, STALE },
    { ENODEV, STALE },
};

static bool
can_be(int error, int kind)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (refusals[i].error == error)
            return refusals[i].can_be & kind;
    return false;
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

int
refusal_of(int error, const struct request *request)
{
    if (refusal_passes(error))
        return EAGAIN;
    /*
     * EINVAL: the host has lost the source that the client named; or, where it named none, the route is a blackhole, or
     * the target is IPv4-mapped (::ffff:0:0/96), for which sockets of IPv6 make no packet.
     */
    if (error == EINVAL)
        return address_is_unspecified(&request->local) ? ENETUNREACH : EADDRNOTAVAIL;
    return error;
}
