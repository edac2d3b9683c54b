/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/clock.h"
#include "packets/protocol.h"
#include "raw/allot.h"
#include "raw/filter.h"
#include "suites.h"
#include "support.h"

static struct request
request_to(enum family_id family, enum protocol_id protocol)
{
    return (struct request){
        .family = family,
        .protocol = protocol,
        .target = address_of(family, family == IPV4 ? "127.0.0.1" : "::1"),
        .ttl = 9,
        .size = 64,
        .timeout = 1,
    };
}

static struct probe
model_of(const struct request *request)
{
    return (struct probe){
        .target = request->target,
        .identity = { .source = address_of(request->family, request->family == IPV4 ? "127.0.0.1" : "::1") },
        .payload_size = (uint16_t)packet_payload_size(request),
        .family = (uint8_t)request->family,
        .protocol = (uint8_t)request->protocol,
        .icmp_request = request->icmp_request & 3,
    };
}

/* As a probe that is sent gets it: the identity, then the lease. */
static int
allot_whole(struct allotter *allotter, const struct request *request, const struct probes *in_flight,
            struct probe *model)
{
    int error = allot(allotter, request, in_flight, model);
    return error ? error : allot_lease(allotter, request, model);
}

static struct probe *
add(struct allotter *allotter, struct probes *in_flight, const struct request *request)
{
    struct probe model = model_of(request);
    MUST(probes_reserve(in_flight));
    MUST((allot_whole(allotter, request, in_flight, &model)) == 0);
    return probes_add(in_flight, &model, (struct instant){ 0 });
}

static void
drop(struct allotter *allotter, struct probes *in_flight, struct probe *probe)
{
    allot_release(allotter, probe);
    probes_remove(in_flight, probe);
}

START_TEST(echo_numbers)
{
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(1);
    struct request request = request_to(IPV4, PROTOCOL_ICMP);
    uint16_t lowest = allotter_terms(allotter).echo_id;
    MUST((lowest & ECHO_ID_MASK) == lowest);
    uint8_t *seen = zeroed_memory(1u << 20, 1);
    for (uint32_t i = 0; i < 1u << 20; i++) { /* the next only after all others, though none is in flight any more */
        struct probe model = model_of(&request);
        MUST((allot_whole(allotter, &request, in_flight, &model)) == 0);
        uint32_t id = (uint32_t)model.identity.near - lowest;
        MUST(id < 16);
        uint32_t number = id << 16 | model.identity.far;
        MUST(!seen[number]);
        seen[number] = 1;
    }
    free(seen);
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

/* Of a request that is no echo the identifier, too, is drawn from all that there are. */
START_TEST(drawn_numbers)
{
    enum { MANY = 300000 };
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(1);
    struct request request = request_to(IPV4, PROTOCOL_ICMP);
    uint32_t ids = 0;
    uint8_t *ids_seen = zeroed_memory(1 << 16, 1);
    request.icmp_request = ICMP_REQUEST_TIMESTAMP;
    for (uint32_t i = 0; i < MANY; i++) {
        struct probe model = model_of(&request);
        MUST((allot_whole(allotter, &request, in_flight, &model)) == 0);
        MUST(!model.identity.nonce);
        ids += !ids_seen[model.identity.near];
        ids_seen[model.identity.near] = 1;
    }
    MUST(ids > 60000); /* 64,862 are expected of random ones */
    free(ids_seen);
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

/* Of an extended echo request there are 24 bits: the next only after all others, and 256 in flight to one target. */
START_TEST(numbers_of_extended_echoes)
{
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(1);
    struct request request = request_to(IPV6, PROTOCOL_ICMP);
    uint8_t *seen = zeroed_memory(1u << 21, 1);
    request.icmp_request = ICMP_REQUEST_EXTENDED;
    for (uint32_t i = 0; i < 1u << 24; i++) {
        struct probe model = model_of(&request);
        MUST((allot_whole(allotter, &request, in_flight, &model)) == 0);
        uint32_t number = (uint32_t)model.identity.near << 8 | model.identity.far >> 8;
        MUST((model.identity.far & 0xff) == 1 && !(seen[number / 8] >> number % 8 & 1));
        seen[number / 8] |= (uint8_t)(1 << number % 8);
    }
    free(seen);
    struct probe *probe = NULL, model = model_of(&request);
    for (int i = 0; i < 256; i++)
        probe = add(allotter, in_flight, &request);
    MUST((allot_whole(allotter, &request, in_flight, &model)) == ENOSPC);
    model.target.bytes[14] ^= 1;
    MUST((allot_whole(allotter, &request, in_flight, &model)) == 0);
    model.target.bytes[14] ^= 1;
    drop(allotter, in_flight, probe);
    MUST((allot_whole(allotter, &request, in_flight, &model)) == 0);
    request.icmp_request = ICMP_REQUEST_ECHO;
    add(allotter, in_flight, &request); /* others are not counted */
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

START_TEST(echo_numbers_in_flight_are_skipped)
{
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(2);
    struct request request = request_to(IPV4, PROTOCOL_ICMP);
    struct probe *probe = add(allotter, in_flight, &request);
    for (uint32_t i = 0; i < (1u << 20) + 10; i++) {
        struct probe model = model_of(&request);
        request.target.bytes[3] = (uint8_t)i; /* anyone may answer, so another target makes no difference */
        MUST((allot_whole(allotter, &request, in_flight, &model)) == 0);
        MUST(model.identity.near != probe->identity.near || model.identity.far != probe->identity.far);
    }
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

/* A million in flight, then none is left. */
START_TEST(echo_numbers_exhausted)
{
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(3);
    struct request request = request_to(IPV6, PROTOCOL_ICMP);
    for (uint32_t i = 0; i < PROBES_MAX; i++)
        add(allotter, in_flight, &request);
    struct probe model = model_of(&request);
    MUST((allot_whole(allotter, &request, in_flight, &model)) == ENOSPC);
    model.family = IPV4; /* of the other family there are as many */
    request.family = IPV4;
    MUST((allot_whole(allotter, &request, in_flight, &model)) == 0);
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

START_TEST(two_daemons_begin_elsewhere)
{
    uint32_t same_id = 0, same_sequence = 0;
    for (uint32_t i = 0; i < 50; i++) {
        struct allotter *one = allotter_new(), *other = allotter_new();
        struct probes *in_flight = probes_new(4);
        struct request request = request_to(IPV4, PROTOCOL_ICMP);
        same_id += allotter_terms(one).echo_id == allotter_terms(other).echo_id;
        same_sequence += add(one, in_flight, &request)->identity.far == add(other, in_flight, &request)->identity.far;
        allotter_free(one);
        allotter_free(other);
        probes_free(in_flight);
    }
    MUST(same_id <= 2);
    MUST(same_sequence <= 2);
}
END_TEST

/* udp without a port: the target's from 33434 to 33533, a new one a probe, from one port of ours until all were used. */
START_TEST(udp_far_varies)
{
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(5);
    struct request request = request_to(IPV4, PROTOCOL_UDP);
    struct probe *first = add(allotter, in_flight, &request);
    uint16_t near = first->identity.near;
    MUST(first->identity.far == 33434);
    for (uint32_t far = 33435; far < 33534; far++) {
        struct probe *probe = add(allotter, in_flight, &request);
        MUST(probe->identity.far == far);
        MUST(probe->identity.near == near);
    }
    struct probe *next = add(allotter, in_flight, &request);
    MUST(next->identity.far == 33434);
    MUST(next->identity.near != near);
    MUST(!next->identity.balanced && next->identity.nonce && !next->lease);
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

static void
read_range(unsigned *low, unsigned *high)
{
    *low = 32768;
    *high = 60999;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
    if (!file)
        return;
    MUST(fscanf(file, "%u %u", low, high) == 2);
    fclose(file);
}

/* A given target port: thousands of ports of ours, all different, none that the kernel hands out, few descriptors. */
START_TEST(near_varies)
{
    static const enum protocol_id varying[] = { PROTOCOL_UDP, PROTOCOL_TCP, PROTOCOL_SCTP };
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(6);
    struct request request = request_to(IPV4, varying[_i]);
    unsigned low, high;
    static bool seen[65536];
    read_range(&low, &high);
    request.port = 443;
    for (uint32_t i = 0; i < 8000; i++) {
        struct probe *probe = add(allotter, in_flight, &request);
        MUST(probe->identity.far == 443);
        MUST(!seen[probe->identity.near]);
        MUST(probe->identity.near >= 1024 && (probe->identity.near < low || probe->identity.near > high));
        seen[probe->identity.near] = true;
    }
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

START_TEST(default_ports_and_numbers)
{
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(7);
    for (enum family_id family = 0; family < FAMILIES; family++) {
        for (enum protocol_id protocol = PROTOCOL_TCP; protocol <= PROTOCOL_SCTP; protocol++) {
            uint32_t before = 0;
            struct request request = request_to(family, protocol);
            for (uint32_t i = 0; i < 100; i++) {
                struct probe *probe = add(allotter, in_flight, &request);
                MUST(probe->identity.far == 80);
                MUST(probe->identity.number != 0);
                MUST(probe->identity.number != before);
                MUST(probe->identity.nonce == 0 && !probe->identity.balanced && !probe->lease);
                before = probe->identity.number;
            }
        }
    }
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

/* local-port and port: both are fixed, in every probe; checksums tell udp's apart, and are never one of the zeros. */
START_TEST(both_ports_given)
{
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(8);
    struct request request = request_to(IPV4, PROTOCOL_UDP);
    static bool seen[65536];
    request.local_port = 4322;
    request.port = 53;
    for (uint32_t i = 0; i < 65534; i++) {
        struct probe *probe = add(allotter, in_flight, &request);
        MUST(probe->identity.near == 4322 && probe->identity.far == 53);
        MUST(probe->identity.balanced && probe->identity.nonce && probe->lease);
        MUST(probe->identity.ip_id != 0 && probe->identity.ip_id != 0xffff && !seen[probe->identity.ip_id]);
        seen[probe->identity.ip_id] = true;
    }
    struct probe model = model_of(&request); /* all are in use, but not to another port or target */
    MUST(allot_whole(allotter, &request, in_flight, &model) == ENOSPC && !model.lease);
    request.port = 54;
    add(allotter, in_flight, &request);
    request.port = 53;
    request.family = IPV6;
    request.target = address_of(IPV6, "::1");
    add(allotter, in_flight, &request);
    struct instant deadline;
    for (struct probe *probe; (probe = probes_next_to_expire(in_flight, &deadline));)
        drop(allotter, in_flight, probe);
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

/* Without two bytes of payload there is nothing to balance with; with a pattern there is no nonce. */
START_TEST(balance_and_nonce_where_there_is_room)
{
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(9);
    struct request request = request_to(IPV4, PROTOCOL_UDP);
    request.local_port = 4323;
    request.port = 53;
    for (uint32_t size = 20; size < 50; size++) {
        for (int pattern = 0; pattern < 2; pattern++) {
            request.size = size;
            request.pattern_given = pattern;
            struct probe *probe = add(allotter, in_flight, &request);
            MUST(probe->identity.balanced == (size >= 30));
            MUST((probe->identity.nonce != 0) == (size >= 38 && !pattern));
            drop(allotter, in_flight, probe);
        }
    }
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

/* local-port alone. */
START_TEST(near_given)
{
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(10);
    for (enum protocol_id protocol = PROTOCOL_UDP; protocol <= PROTOCOL_SCTP; protocol++) {
        struct request request = request_to(IPV4, protocol);
        request.local_port = 4324;
        uint16_t before = 0;
        for (uint32_t i = 0; i < 10; i++) {
            struct probe *probe = add(allotter, in_flight, &request);
            MUST(probe->identity.near == 4324);
            MUST(protocol == PROTOCOL_UDP ? probe->identity.far >= 33434 : probe->identity.far == 80);
            MUST(protocol != PROTOCOL_UDP || probe->identity.far != before);
            MUST((probe->lease != 0) == (protocol == PROTOCOL_UDP));
            before = probe->identity.far;
            drop(allotter, in_flight, probe);
        }
    }
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

START_TEST(a_hold_that_can_not_be_had)
{
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(11);
    struct request request = request_to(IPV4, PROTOCOL_UDP);
    struct probe model = model_of(&request);
    request.local_port = 4325;
    model.identity.source = address_of(IPV4, "192.0.2.77");
    MUST((allot_whole(allotter, &request, in_flight, &model)) == EADDRNOTAVAIL);
    MUST(model.lease == 0);
    allot_release(allotter, &model); /* nothing to give up */
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

/* ---- ports of other programs ---- */

static int
bind_udp(uint16_t port)
{
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof name) == 0);
    return fd;
}

static struct answer
datagram_to(uint16_t port)
{
    return (struct answer){
        .family = IPV4,
        .protocol = PROTOCOL_UDP,
        .to = address_of(IPV4, "127.0.0.1"),
        .near = port,
        .arrived = clock_now(),
    };
}

/* Bytes of the client's choice leave from no port that somebody else has; other probes may. */
START_TEST(payload_from_nobodys_port)
{
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(15);
    struct request request = request_to(IPV4, PROTOCOL_UDP);
    request.port = 53;
    uint16_t block = add(allotter, in_flight, &request)->identity.near / PORT_BLOCK * PORT_BLOCK;
    int others[PORT_BLOCK] = { 0 };
    for (uint16_t i = 0; i < PORT_BLOCK; i++)
        if (i % 8 > 1)
            others[i] = bind_udp((uint16_t)(block + i));
    uint32_t theirs = 0;
    for (uint32_t i = 0; i < 64; i++) {
        request.payload = (struct word){ "c0ffee", i % 3 ? 0 : 6 };
        struct probe *probe = add(allotter, in_flight, &request);
        bool taken = probe->identity.near / PORT_BLOCK * PORT_BLOCK == block && probe->identity.near % 8 > 1;
        MUST(!request.payload.length || (!taken && probe->lease && allot_hearing(allotter, probe) != HEARD_NOWHERE));
        struct answer answer = datagram_to(probe->identity.near);
        MUST(allot_believes(allotter, &answer));
        theirs += taken;
    }
    MUST(theirs > 0);
    for (uint16_t i = 0; i < PORT_BLOCK; i++)
        if (others[i])
            close(others[i]);
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

/* A named port of another program is used all the same, but for such bytes, and what comes to it is not believed. */
START_TEST(named_port_of_another_program)
{
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(16);
    struct request request = request_to(IPV4, PROTOCOL_UDP);
    request.local_port = 4327;
    int fd = bind_udp(4327);
    struct answer answer = datagram_to(4327);
    struct probe *probe = add(allotter, in_flight, &request);
    MUST(probe->identity.near == 4327 && allot_hearing(allotter, probe) == HEARD_NOWHERE);
    MUST(!allot_believes(allotter, &answer));
    request.payload = (struct word){ "c0ffee", 6 };
    struct probe model = model_of(&request);
    MUST(allot_whole(allotter, &request, in_flight, &model) == EADDRINUSE && !model.lease);
    close(fd);
    MUST(allot_whole(allotter, &request, in_flight, &model) == 0 && model.lease);
    MUST(allot_hearing(allotter, &model) == HEARD_AMONG_OTHERS);
    MUST(!allot_believes(allotter, &answer)); /* as long as the first probe may be answered */
    drop(allotter, in_flight, probe);
    allot_release(allotter, &model);
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

/* ---- flows ---- */

static struct request
flow_to(enum family_id family, enum protocol_id protocol, uint32_t flow)
{
    struct request request = request_to(family, protocol);
    request.flow = flow;
    request.given = 1u << FEATURE_FLOW;
    return request;
}

/* Everything that routers hash on, once the packet is built. */
static bool
same_path(const struct identity *one, const struct identity *other, enum protocol_id protocol)
{
    bool echo = protocol == PROTOCOL_ICMP;
    return one->near == other->near && one->flow_label == other->flow_label &&
           (echo ? one->checksum == other->checksum : one->far == other->far);
}

START_TEST(probes_of_a_flow)
{
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(12);
    for (enum family_id family = 0; family < FAMILIES; family++) {
        for (enum protocol_id protocol = 0; protocol < PROTOCOL_SCTP; protocol++) {
            struct request request = flow_to(family, protocol, 9), elsewhere = flow_to(family, protocol, 10);
            struct request ordinary = request_to(family, protocol);
            const struct identity *first = &add(allotter, in_flight, &request)->identity;
            MUST((first->flow_label != 0) == (family == IPV6));
            MUST(first->balanced == (protocol != PROTOCOL_TCP));
            for (uint32_t i = 0; i < 100; i++) {
                const struct identity *next = &add(allotter, in_flight, &request)->identity;
                MUST(same_path(first, next, protocol));
                MUST(protocol != PROTOCOL_TCP || next->number != first->number);
                MUST(protocol != PROTOCOL_UDP || (next->ip_id != first->ip_id && next->checksum == next->ip_id));
                MUST(protocol != PROTOCOL_ICMP || next->far != first->far);
                MUST(!same_path(first, &add(allotter, in_flight, &elsewhere)->identity, protocol));
                const struct identity *other = &add(allotter, in_flight, &ordinary)->identity;
                MUST(!other->flow_label && !other->balanced);
                MUST(protocol == PROTOCOL_ICMP || other->near / 512 != first->near / 512);
            }
        }
    }
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

/* All numbers that there are, each once; then none is left, until one is freed. */
START_TEST(a_flow_is_full)
{
    static const struct {
        enum family_id family;
        enum protocol_id protocol;
        uint32_t numbers;
    } all[] = { { IPV4, PROTOCOL_ICMP, 65536 }, { IPV4, PROTOCOL_UDP, 65534 }, { IPV6, PROTOCOL_UDP, 65534 } };
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(13);
    struct request request = flow_to(all[_i].family, all[_i].protocol, 77);
    struct probe *freed = NULL;
    for (uint32_t i = 0; i < all[_i].numbers; i++) {
        struct probe *probe = add(allotter, in_flight, &request);
        MUST(probe);
        freed = i == 5000 ? probe : freed;
    }
    struct probe model = model_of(&request);
    MUST((allot_whole(allotter, &request, in_flight, &model)) == ENOSPC);
    struct identity was = freed->identity;
    drop(allotter, in_flight, freed);
    struct probe *again = add(allotter, in_flight, &request);
    MUST(again->identity.far == was.far && (all[_i].protocol == PROTOCOL_ICMP || again->identity.ip_id == was.ip_id));
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

/* Where no bits are left that could tell one probe from the next. */
START_TEST(room_in_a_flow)
{
    static const struct {
        enum family_id family;
        enum protocol_id protocol;
        uint32_t size, payload; /* bytes */
        int error;
    } all[] = {
        { IPV4, PROTOCOL_ICMP, 30, 0, 0 }, { IPV4, PROTOCOL_ICMP, 29, 0, EOVERFLOW },
        { IPV4, PROTOCOL_ICMP, 40, 10, 0 }, { IPV4, PROTOCOL_ICMP, 40, 11, EOVERFLOW },
        { IPV6, PROTOCOL_ICMP, 50, 0, 0 }, { IPV6, PROTOCOL_ICMP, 49, 0, EOVERFLOW },
        { IPV4, PROTOCOL_UDP, 28, 0, 0 }, { IPV4, PROTOCOL_UDP, 40, 12, 0 },
        { IPV6, PROTOCOL_UDP, 50, 0, 0 }, { IPV6, PROTOCOL_UDP, 49, 0, EOVERFLOW },
        { IPV6, PROTOCOL_UDP, 60, 11, EOVERFLOW }, { IPV6, PROTOCOL_UDP, 60, 10, 0 },
        { IPV4, PROTOCOL_TCP, 0, 0, 0 }, { IPV6, PROTOCOL_TCP, 0, 0, 0 },
    };
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(14);
    for (size_t i = 0; i < COUNT(all); i++) {
        struct request request = flow_to(all[i].family, all[i].protocol, 1);
        request.size = all[i].size;
        request.payload = (struct word){ "00112233445566778899aabb", 2 * all[i].payload };
        struct probe model = model_of(&request);
        int error = allot_whole(allotter, &request, in_flight, &model);
        ck_assert_msg(error == all[i].error, "row %zu: %d", i, error);
        MUST(error || all[i].payload == 0 || model.identity.nonce == 0);
    }
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

/* What the request gives counts in place of what the flow would choose. */
START_TEST(flow_with_ports_and_label)
{
    struct allotter *allotter = allotter_new();
    struct probes *in_flight = probes_new(15);
    struct request request = flow_to(IPV6, PROTOCOL_TCP, 3);
    request.local_port = 4326;
    request.port = 443;
    request.flow_label = 0xabcde;
    request.given |= 1u << FEATURE_FLOW_LABEL;
    struct probe *probe = add(allotter, in_flight, &request);
    MUST(probe->identity.near == 4326 && probe->identity.far == 443 && probe->identity.flow_label == 0xabcde);
    request.protocol = PROTOCOL_UDP;
    request.port = 0;
    probe = add(allotter, in_flight, &request);
    MUST(probe->identity.near == 4326 && probe->identity.far == 33434 + 3 && probe->lease);
    drop(allotter, in_flight, probe);
    probes_free(in_flight);
    allotter_free(allotter);
}
END_TEST

Suite *
allot_suite(void)
{
    Suite *suite = suite_create("allot");
    TCase *tests = tcase_create("allot");
    tcase_add_checked_fixture(tests, enter_own_network, NULL);
    tcase_add_test(tests, echo_numbers);
    tcase_add_test(tests, drawn_numbers);
    tcase_add_test(tests, numbers_of_extended_echoes);
    tcase_add_test(tests, echo_numbers_in_flight_are_skipped);
    tcase_add_test(tests, echo_numbers_exhausted);
    tcase_add_test(tests, two_daemons_begin_elsewhere);
    tcase_add_test(tests, udp_far_varies);
    tcase_add_loop_test(tests, near_varies, 0, 3);
    tcase_add_test(tests, default_ports_and_numbers);
    tcase_add_test(tests, both_ports_given);
    tcase_add_test(tests, balance_and_nonce_where_there_is_room);
    tcase_add_test(tests, near_given);
    tcase_add_test(tests, a_hold_that_can_not_be_had);
    tcase_add_test(tests, probes_of_a_flow);
    tcase_add_loop_test(tests, a_flow_is_full, 0, 3);
    tcase_add_test(tests, room_in_a_flow);
    tcase_add_test(tests, flow_with_ports_and_label);
    tcase_add_test(tests, payload_from_nobodys_port);
    tcase_add_test(tests, named_port_of_another_program);
    suite_add_tcase(suite, tests);
    return suite;
}
