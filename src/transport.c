/* SPDX-License-Identifier: MIT */
#include "transport.h"

#include "host/route.h"

int
transport_refusal(const struct transport *transport)
{
    for (size_t i = 0; i < (size_t)FAMILIES * PROTOCOLS; i++)
        if (!transport->refusals[i / PROTOCOLS][i % PROTOCOLS])
            return 0;
    return transport->refusals[IPV4][PROTOCOL_ICMP];
}

bool
transport_has_address(struct transport *transport, enum family_id family)
{
    return routes_have_address(transport->routes, family);
}

bool
transport_find_device_name(const struct transport *transport, uint32_t device, char name[IFNAMSIZ])
{
    return routes_find_device_name(transport->routes, device, name);
}
