/* SPDX-License-Identifier: MIT */
#include "probes/flow.h"

void
flows_init(struct flows *flows, struct random *random)
{
    flows->label = random_u32(random);
    flows->checksum = random_u16(random);
    flows->near = random_u16(random);
    for (size_t i = 0; i < sizeof flows->sequences / sizeof *flows->sequences; i++)
        flows->sequences[i] = random_u16(random);
}

/*
 * Gives each flow another number of BITS bits, any bit of which depends on all of the flow's. So a router that adds up
 * or exclusive-ors two fields that are made of one flow does not see the one cancel the other.
 */
static uint32_t
scatter(uint32_t flow, uint32_t start, unsigned bits)
{
    uint32_t mask = (UINT32_C(1) << bits) - 1;
    uint32_t value = (flow + start) & mask;
    for (int round = 0; round < 2; round++) {
        value = value * UINT32_C(0x9e3779b1) & mask; /* both steps can be undone: no two flows get one number */
        value ^= value >> bits / 2;
    }
    return value;
}

uint32_t
flow_label(const struct flows *flows, uint32_t flow)
{
    uint32_t label = scatter(flow, flows->label, 20);
    return label ? label : scatter(UINT32_C(0xfffff), flows->label, 20); /* no flow is so high: they end at 65535 */
}

uint32_t
flow_label_for(const struct flows *flows, const struct request *request)
{
    if (request->family == IPV4 || request_has(request, FEATURE_FLOW_LABEL))
        return request->flow_label;
    return request_has(request, FEATURE_FLOW) ? flow_label(flows, request->flow) : 0;
}

uint16_t
flow_checksum(const struct flows *flows, uint32_t flow)
{
    uint16_t checksum = (uint16_t)scatter(flow, flows->checksum, 16);
    return checksum == 0xffff ? 0 : checksum; /* to a sum in one's complement both are zero */
}

uint16_t
flow_echo_id(uint32_t flow)
{
    return flow & 15;
}

uint16_t
flow_sequence(struct flows *flows, uint32_t flow)
{
    return flows->sequences[flow_echo_id(flow)]++;
}

uint16_t
flow_near(const struct flows *flows, uint32_t flow)
{
    return (uint16_t)((flow ^ flows->near) % FLOW_PORTS);
}

uint16_t
flow_far(uint32_t flow, bool near_is_given, uint32_t ports)
{
    return (uint16_t)((near_is_given ? flow : flow / FLOW_PORTS) % ports);
}
