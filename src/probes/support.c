/* SPDX-License-Identifier: MIT */
#include "probes/support.h"

#include "lines/word.h"
#include "packets/icmp.h"
#include "packets/protocol.h"

static bool
can_send(const struct transport *transport, enum family_id family, enum protocol_id protocol)
{
    return transport->refusals[family][protocol] == 0;
}

static bool
can_send_family(const struct transport *transport, enum family_id family)
{
    bool any = false;
    for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++)
        any = any || can_send(transport, family, protocol);
    return any;
}

static bool
supports_family(struct transport *transport, enum family_id family)
{
    return can_send_family(transport, family) && transport->body->has_address(transport, family);
}

static bool
supports_protocol(const struct transport *transport, enum protocol_id protocol)
{
    bool any = false;
    for (enum family_id family = 0; family < FAMILIES; family++)
        any = any || can_send(transport, family, protocol);
    return any;
}

static bool
supports_flows(const struct transport *transport)
{
    bool any = false;
    for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++)
        any = any || (supports_protocol(transport, protocol) && transport->body->has_flows(transport, protocol));
    return any;
}

/* That no SYN of ours has the ECN bits is not worth asking for. */
static bool
supports_tcp_ecn(const struct transport *transport)
{
    const bool *can = transport->tcp_ecn;
    return supports_protocol(transport, PROTOCOL_TCP) && (can[TCP_ECN_CLASSIC] || can[TCP_ECN_ACCURATE]);
}

/* The same of echo requests, which are what is sent anyway. */
static bool
supports_icmp_requests(const struct transport *transport)
{
    bool any = false;
    for (enum family_id family = 0; family < FAMILIES; family++)
        for (enum icmp_request kind = ICMP_REQUEST_ECHO + 1; kind < ICMP_REQUESTS; kind++)
            any = any || (can_send(transport, family, PROTOCOL_ICMP) && transport->icmp_requests[family][kind]);
    return any;
}

static bool
supports_feature(const struct transport *transport, enum feature feature)
{
    switch (feature) {
    case FEATURE_NONE:
        return false;
    case FEATURE_SCOPE_ID:
    case FEATURE_FLOW_LABEL:
        return can_send_family(transport, IPV6);
    case FEATURE_BROADCAST:
        return can_send_family(transport, IPV4);
    case FEATURE_FLOW:
        return supports_flows(transport);
    case FEATURE_ICMP_REQUEST:
        return supports_icmp_requests(transport);
    case FEATURE_TCP_ECN:
        return supports_tcp_ecn(transport);
    default:
        return true;
    }
}

bool
support_has(struct transport *transport, struct word feature)
{
    for (enum family_id family = 0; family < FAMILIES; family++)
        if (word_is(feature, families[family].target_name))
            return supports_family(transport, family);
    for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++)
        if (word_is(feature, protocols[protocol]->name))
            return supports_protocol(transport, protocol);
    if (word_is(feature, "mark"))
        return transport->body->supports_mark(transport);
    return word_is(feature, "send-probe") || supports_feature(transport, feature_find(feature));
}

enum reason
support_find_lack(const struct transport *transport, const struct request *request, const char **argument)
{
    *argument = families[request->family].target_name;
    if (!can_send_family(transport, request->family))
        return REASON_IP_VERSION_NOT_SUPPORTED;
    *argument = "protocol";
    if (!can_send(transport, request->family, request->protocol))
        return REASON_PROTOCOL_NOT_SUPPORTED;
    *argument = "flow";
    if (request_has(request, FEATURE_FLOW) && !transport->body->has_flows(transport, request->protocol))
        return REASON_PROTOCOL_NOT_SUPPORTED;
    *argument = "icmp-request";
    if (request->icmp_request != ICMP_REQUEST_ECHO &&
        !transport->icmp_requests[request->family][request->icmp_request])
        return REASON_PROTOCOL_NOT_SUPPORTED;
    *argument = "tcp-ecn";
    if (request_has(request, FEATURE_TCP_ECN) && !transport->tcp_ecn[request->tcp_ecn])
        return REASON_PROTOCOL_NOT_SUPPORTED;
    return REASON_NONE;
}
