/* SPDX-License-Identifier: MIT */
#include "transport.h"

#include <errno.h>

#include "host/refusal.h"
#include "host/route.h"

int
transport_refusal(const struct transport *transport)
{
    for (size_t i = 0; i < (size_t)FAMILIES * PROTOCOLS; i++)
        if (!transport->refusals[i / PROTOCOLS][i % PROTOCOLS])
            return 0;
    return transport->refusals[IPV4][PROTOCOL_ICMP];
}

/* The source that the client named; or where it named none, whatever this host had for that family. */
static bool
has_sent_from(const struct departures *departures, const struct request *request)
{
    uint32_t count = departures->source_count[request->family];
    if (address_is_unspecified(&request->local)) {
        bool any = false;
        for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++)
            any = any || departures->any[request->family][protocol];
        return any;
    }
    for (uint32_t i = 0; i < count && i < TRANSPORT_SOURCES; i++)
        if (address_same(&departures->sources[request->family][i], &request->local))
            return true;
    return false;
}

static void
note_departure(struct departures *departures, const struct request *request)
{
    departures->any[request->family][request->protocol] = true;
    if (address_is_unspecified(&request->local) || has_sent_from(departures, request))
        return;
    uint32_t place = departures->source_count[request->family]++ % TRANSPORT_SOURCES;
    departures->sources[request->family][place] = request->local;
}

int
transport_judge(struct transport *transport, const struct request *request, int error, int *reason)
{
    struct departures *departures = &transport->departures;
    *reason = error;
    if (!error) {
        transport->sent = clock_now();
        note_departure(departures, request);
        return 0;
    }
    if (refusal_is_for_now(error, request, departures->any[request->family][request->protocol]))
        return EAGAIN;
    error = refusal_of(error, request);
    bool is_gone = error == EADDRNOTAVAIL && has_sent_from(departures, request); /* and may come back */
    return is_gone ? ENETDOWN : error;
}

uint32_t
transport_find_device(struct transport *transport, const struct request *request)
{
    uint32_t device;
    struct route route;
    return routes_find_for(transport->routes, request, &device, &route) == 0 ? route.device : 0;
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
