/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "probes/flow.h"
#include "raw/ports.h"
#include "suites.h"
#include "support.h"

#define FLOWS 65536u

static struct flows
new_flows(void)
{
    struct flows flows;
    struct random random = { .left = 0 };
    flows_init(&flows, &random);
    return flows;
}

/* Each flow has a label and a checksum of its own, the same each time. */
START_TEST(different_and_constant)
{
    for (int daemon = 0; daemon < 20; daemon++) {
        struct flows flows = new_flows();
        uint8_t *labels = zeroed_memory(1u << 20, 1);
        static uint8_t checksums[FLOWS];
        uint32_t same_checksums = 0;
        memset(checksums, 0, sizeof checksums);
        for (uint32_t flow = 0; flow < FLOWS; flow++) {
            uint32_t label = flow_label(&flows, flow);
            uint16_t checksum = flow_checksum(&flows, flow);
            MUST(label > 0 && label < 1u << 20 && !labels[label] && label == flow_label(&flows, flow));
            MUST(checksum != 0xffff && checksum == flow_checksum(&flows, flow));
            labels[label] = 1;
            same_checksums += checksums[checksum]++;
        }
        MUST(same_checksums == 1); /* one's complement has a value less */
        free(labels);
    }
}
END_TEST

/* No two flows have both ports in common, and few one of them; with either port given the other still varies. */
START_TEST(ports_of_flows)
{
    struct flows flows = new_flows();
    static uint8_t seen[FLOW_PORTS][FLOWS / FLOW_PORTS];
    for (uint32_t flow = 0; flow < FLOWS; flow++) {
        uint16_t near = flow_near(&flows, flow), far = flow_far(flow, false, 30000);
        MUST(near < FLOW_PORTS && far < FLOWS / FLOW_PORTS && !seen[near][far]++);
        MUST(flow_far(flow, true, 30000) == flow % 30000 && flow_echo_id(flow) == flow % 16);
        MUST(flow % FLOW_PORTS == 0 || near != flow_near(&flows, flow - 1));
    }
}
END_TEST

/* A sequence comes again only after all others of its identifier. */
START_TEST(sequences)
{
    struct flows flows = new_flows();
    static uint8_t seen[FLOWS];
    uint16_t other = flow_sequence(&flows, 4);
    for (uint32_t i = 0; i < FLOWS; i++)
        MUST(!seen[flow_sequence(&flows, i % 2 ? 5 : 21)]++); /* they share one */
    MUST(flow_sequence(&flows, 4) == (uint16_t)(other + 1));
}
END_TEST

static uint32_t
crc16(uint32_t crc, uint32_t value)
{
    for (int bit = 31; bit >= 0; bit--)
        crc = (crc << 1 ^ ((crc >> 15 ^ value >> bit) & 1 ? 0x1021 : 0)) & 0xffff;
    return crc;
}

static uint32_t
hash(const struct flows *flows, uint32_t flow, int kind)
{
    uint32_t near = flow_near(flows, flow), label = flow_label(flows, flow), checksum = flow_checksum(flows, flow);
    switch (kind) {
    case 0: return near;
    case 1: return label;
    case 2: return checksum;
    case 3: return near + label;
    case 4: return near ^ label;
    case 5: return checksum + flow_echo_id(flow);
    case 6: return checksum ^ flow_echo_id(flow);
    case 7: return crc16(crc16(1, near), label);
    case 8: return crc16(crc16(1, checksum), flow_echo_id(flow));
    default: return crc16(1, near);
    }
}

/* Whatever a router makes of the fields, the flows spread over eight ways: none has less than half its share. */
START_TEST(spread)
{
    for (int daemon = 0; daemon < 50; daemon++) {
        struct flows flows = new_flows();
        unsigned ways[8] = { 0 };
        for (uint32_t flow = 0; flow < 1024; flow++)
            ways[hash(&flows, flow, _i) % 8]++;
        for (size_t way = 0; way < 8; way++)
            MUST(ways[way] > 64);
    }
}
END_TEST

Suite *
flow_suite(void)
{
    Suite *suite = suite_create("flow");
    TCase *tests = tcase_create("flow");
    tcase_add_test(tests, different_and_constant);
    tcase_add_test(tests, ports_of_flows);
    tcase_add_test(tests, sequences);
    tcase_add_loop_test(tests, spread, 0, 10);
    suite_add_tcase(suite, tests);
    return suite;
}
