/* SPDX-License-Identifier: MIT */
#include <sys/socket.h>
#include <unistd.h>

#include "raw/filter.h"
#include "suites.h"
#include "support.h"

/*
 * Filters run on any socket, and see from the first byte on what is sent to it: so a pair of sockets of this host stands
 * for a raw one. What it is handed is as raw(7) has it: in IPv4 with the IP header, in IPv6 without.
 */
static bool
lets_in(const int pair[2], enum family_id family, uint16_t port)
{
    uint8_t packet[28] = { 0x45 }, byte;
    uint8_t *header = packet + (family == IPV4 ? 20 : 0);
    header[2] = (uint8_t)(port >> 8);
    header[3] = (uint8_t)port;
    size_t length = (size_t)(header - packet) + 8;
    ck_assert_int_eq(send(pair[0], packet, length, 0), (ssize_t)length);
    return recv(pair[1], &byte, 1, MSG_DONTWAIT) == 1;
}

/* Of datagrams those to the blocks that are told, or to all others from port 1024 on. */
START_TEST(datagrams)
{
    enum family_id family = _i % 2;
    struct filter_terms terms = { .others = _i / 2 };
    struct refused refused = { 0 };
    static const uint16_t ours[] = { 1024, 1536, 16383, 16384, 32767, 32768, 40000, 49151, 49152, 61440, 65535 };
    for (size_t i = 0; i < COUNT(ours); i++)
        port_blocks_add(&terms.ports, ours[i]);
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    filter_answers(pair[1], family, PROTOCOL_UDP, &terms, &refused);
    ck_assert_uint_eq(refused.wishes, 0);
    for (uint32_t port = 0; port < 65536; port++) {
        bool told = false;
        for (size_t i = 0; i < COUNT(ours); i++)
            told = told || ours[i] / PORT_BLOCK == port / PORT_BLOCK;
        ck_assert_int_eq(port_blocks_has(&terms.ports, (uint16_t)port), told);
        ck_assert_msg(lets_in(pair, family, (uint16_t)port) == (port >= 1024 && told != terms.others), "port %u", port);
    }
    close(pair[0]);
    close(pair[1]);
}
END_TEST

Suite *
filter_suite(void)
{
    Suite *suite = suite_create("filter");
    TCase *tests = tcase_create("filter");
    tcase_add_loop_test(tests, datagrams, 0, 4);
    suite_add_tcase(suite, tests);
    return suite;
}
