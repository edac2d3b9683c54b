/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "raw/ports.h"
#include "suites.h"
#include "support.h"

#define BLOCK 512u /* ports that one descriptor holds, as the header says */

static struct random dice_box;

static const struct instant start = { NS_PER_S };

/* Grows until there is nothing more, and marks every port that comes. */
static uint32_t
take_all(struct ports *ports, bool seen[65536])
{
    uint32_t different = 0;
    ck_assert_uint_ne(ports_next(ports, start), 0);
    while (ports_grow(ports))
        continue;
    for (uint32_t i = 0; i < 2 * ports_count(ports); i++) {
        uint16_t port = ports_next(ports, start);
        different += !seen[port];
        seen[port] = true;
    }
    return different;
}

/* Few blocks are left beside the range, so that few sockets are bound; the range's edges touch blocks. */
static const struct {
    uint16_t low, high;
} ranges[] = {
    { 1536, 65023 }, /* 1024-1535 and 65024-65535 are free, exactly */
    { 1535, 65023 }, /* 65024-65535 */
    { 1536, 65024 }, /* 1024-1535 */
    { 2100, 64600 },
    { 1, 65000 },
    { 3000, 65535 },
};

/* Ports of the range come too, but only when there are no others, and are known as such. */
START_TEST(ports_of_the_ephemeral_range_come_last)
{
    static bool seen[65536];
    struct ports *ports = ports_new(&dice_box, ranges[_i].low, ranges[_i].high);
    uint32_t outside = 0, taken = 0;
    memset(seen, 0, sizeof seen);
    do {
        uint16_t port = ports_next(ports, start);
        uint32_t first = port / BLOCK * BLOCK;
        bool inside = first + BLOCK > ranges[_i].low && first <= ranges[_i].high;
        ck_assert_int_eq(ports_is_handed_out(ports, port), inside);
        ck_assert_int_eq(ports_is_ours(ports, port), !inside);
        ck_assert(inside || outside == taken);
        outside += !inside;
        taken++;
    } while (ports_grow(ports));
    ck_assert_uint_ge(outside, 1);
    ck_assert_uint_eq(take_all(ports, seen), ports_count(ports));
    ck_assert_uint_eq(ports_count(ports), 125 * BLOCK); /* one block is left for flows */
    for (uint32_t port = 0; port < 1024; port++)
        ck_assert(!seen[port]);
    ports_free(ports);
}
END_TEST

/* The blocks that filters know are those that are taken first, one for flows among them. */
START_TEST(expected_blocks)
{
    struct ports *one = ports_new(&dice_box, ranges[_i].low, ranges[_i].high);
    ck_assert(port_blocks_has(ports_expected(one), ports_next(one, start)));
    ck_assert(port_blocks_has(ports_expected(one), ports_reserve(one)));
    for (unsigned more = 0; more < 7; more++) {
        ck_assert(ports_grow(one));
        ck_assert(port_blocks_has(ports_expected(one), ports_next(one, start)));
    }
    ck_assert(ports_grow(one));
    ck_assert(!port_blocks_has(ports_expected(one), ports_next(one, start)));
    struct ports *other = ports_new(&dice_box, ranges[_i].low, ranges[_i].high);
    for (size_t i = 0; i < COUNT(ports_expected(one)->bits); i++)
        ck_assert_uint_eq(ports_expected(one)->bits[i] & ports_expected(other)->bits[i], 0);
    ports_free(other);
    ports_free(one);
}
END_TEST

/* When the kernel hands out everything, ports come all the same, as many as there are. */
START_TEST(nothing_beside_the_range)
{
    static bool seen[65536];
    struct ports *ports = ports_new(&dice_box, 1024, 65535);
    uint32_t different = take_all(ports, seen);
    ck_assert_uint_eq(different, 125 * BLOCK);
    for (uint32_t port = 0; port < 1024; port++)
        ck_assert(!seen[port]);
    ports_free(ports);
}
END_TEST

START_TEST(two_never_share_a_block)
{
    struct ports *ports[2] = { ports_new(&dice_box, 5000, 61000), ports_new(&dice_box, 5000, 61000) };
    static bool seen[2][65536];
    for (uint32_t i = 0; i < 2; i++)
        ck_assert_uint_ne(ports_next(ports[i], start), 0);
    while (ports_grow(ports[0]) || ports_grow(ports[1]))
        continue;
    for (uint32_t i = 0; i < 2; i++)
        take_all(ports[i], seen[i]);
    for (uint32_t port = 0; port < 65536; port++)
        ck_assert(!seen[0][port] || !seen[1][port]);
    /* what the one gives back the other may have */
    uint32_t before = ports_count(ports[1]);
    ports_free(ports[0]);
    struct ports *third = ports_new(&dice_box, 5000, 61000);
    ck_assert_uint_ne(ports_next(third, start), 0);
    ck_assert_uint_eq(ports_count(ports[1]), before);
    ports_free(third);
    ports_free(ports[1]);
}
END_TEST

/* Each port comes once in a turn through all of them. */
START_TEST(used_again_as_late_as_possible)
{
    struct ports *ports = ports_new(&dice_box, 5000, 61000);
    static uint32_t last[65536];
    uint32_t turn = 0;
    struct instant now = start;
    /* slowly: the first block rests long enough, so no other is taken */
    for (uint32_t i = 0; i < 3 * BLOCK; i++, now = instant_after(now, NS_PER_S)) {
        uint16_t port = ports_next(ports, now);
        turn++;
        ck_assert_msg(!last[port] || turn - last[port] >= BLOCK, "port %u again after %u", port, turn - last[port]);
        last[port] = turn;
    }
    ck_assert_uint_eq(ports_count(ports), BLOCK);
    /* fast: more blocks are taken, up to some bound, and each port still rests for a whole turn */
    for (uint32_t i = 0; i < 30 * BLOCK; i++) {
        uint16_t port = ports_next(ports, now);
        turn++;
        ck_assert_msg(!last[port] || turn - last[port] >= BLOCK, "port %u again after %u", port, turn - last[port]);
        last[port] = turn;
    }
    uint32_t have = ports_count(ports);
    ck_assert_uint_gt(have, BLOCK);
    ck_assert_uint_le(have, 16 * BLOCK); /* others want blocks too */
    for (uint32_t i = 0; i < 4 * have; i++) {
        uint16_t port = ports_next(ports, now);
        turn++;
        if (i >= have)
            ck_assert_uint_eq(turn - last[port], have);
        last[port] = turn;
    }
    ports_free(ports);
}
END_TEST

START_TEST(nobody_knows_where_we_begin)
{
    bool first[2] = { false };
    uint32_t different = 0;
    uint16_t before = 0;
    for (uint32_t i = 0; i < 20; i++) {
        struct ports *ports = ports_new(&dice_box, 1536, 65023);
        uint16_t port = ports_next(ports, start);
        different += port != before;
        first[port >= 49152] = true;
        before = port;
        ports_free(ports);
    }
    ck_assert_uint_ge(different, 15);
    ck_assert(first[1]); /* high ports, where no service is at home, come first */
    ck_assert(!first[0]);
}
END_TEST

/* A block whose first port another program has is left to it. */
START_TEST(a_block_that_somebody_has)
{
    static bool seen[65536];
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(65024) }; /* on every address */
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert(fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof name) == 0);
    struct ports *ports = ports_new(&dice_box, 1536, 65023);
    take_all(ports, seen);
    for (uint32_t port = 65024; port < 65536; port++)
        ck_assert(!seen[port]);
    close(fd);
    ports_free(ports);
}
END_TEST

/* Without descriptors ports are shared rather than refused, and blocks can be had when there are descriptors again. */
START_TEST(no_descriptor_left)
{
    struct rlimit all, none;
    struct ports *ports = ports_new(&dice_box, 5000, 61000);
    getrlimit(RLIMIT_NOFILE, &all);
    none = all;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    ck_assert_uint_ne(ports_next(ports, start), 0);
    ck_assert(!ports_grow(ports));
    setrlimit(RLIMIT_NOFILE, &all);
    ck_assert(ports_grow(ports));
    ports_free(ports);
}
END_TEST

/* A block of its own, that the turn never comes to, and that nobody else gets. */
START_TEST(reserved)
{
    static bool seen[65536];
    memset(seen, 0, sizeof seen);
    struct ports *one = ports_new(&dice_box, 32768, 60999), *other = ports_new(&dice_box, 32768, 60999);
    uint16_t first = ports_reserve(one), its = ports_reserve(other);
    ck_assert(first && first % FLOW_PORTS == 0 && ports_reserve(one) == first && its && its != first);
    ck_assert_uint_gt(take_all(one, seen), 0);
    for (uint32_t port = first; port < (uint32_t)first + FLOW_PORTS; port++)
        ck_assert(!seen[port] && !seen[its + port - first]);
    ports_free(other);
    ports_free(one);
}
END_TEST

/* When others have every block, flows have one of theirs; what is there for flows stays there. */
START_TEST(reserved_where_others_have_all)
{
    static bool seen[65536];
    memset(seen, 0, sizeof seen);
    struct ports *one = ports_new(&dice_box, 1024, 65023), *other = ports_new(&dice_box, 1024, 65023);
    take_all(one, seen);
    uint16_t first = ports_reserve(one), shared = ports_reserve(other);
    ck_assert(first && !seen[first]);
    ck_assert(shared && ports_reserve(other) == shared && !ports_is_ours(other, shared));
    memset(seen, 0, sizeof seen);
    take_all(other, seen);
    ck_assert(!seen[shared]);
    ports_free(other);
    ports_free(one);
}
END_TEST

/* Blocks that others had are there again when they are gone, whatever was asked for meanwhile. */
START_TEST(given_back_by_others)
{
    static bool seen[65536];
    struct ports *one = ports_new(&dice_box, 5000, 61000), *other = ports_new(&dice_box, 5000, 61000);
    take_all(one, seen);
    ck_assert_uint_ne(ports_reserve(one), 0);
    uint16_t shared = ports_next(other, start);
    ck_assert(shared && !ports_is_ours(other, shared));
    ck_assert(!ports_grow(other));
    ports_free(one);
    usleep(200000); /* it does not look all the time */
    ck_assert(ports_grow(other));
    ck_assert(ports_is_ours(other, ports_next(other, start)));
    ports_free(other);
}
END_TEST

Suite *
ports_suite(void)
{
    Suite *suite = suite_create("ports");
    TCase *tests = tcase_create("ports");
    tcase_add_checked_fixture(tests, enter_own_network, NULL);
    tcase_add_loop_test(tests, ports_of_the_ephemeral_range_come_last, 0, COUNT(ranges));
    tcase_add_loop_test(tests, expected_blocks, 0, COUNT(ranges));
    tcase_add_test(tests, nothing_beside_the_range);
    tcase_add_test(tests, two_never_share_a_block);
    tcase_add_test(tests, used_again_as_late_as_possible);
    tcase_add_test(tests, nobody_knows_where_we_begin);
    tcase_add_test(tests, a_block_that_somebody_has);
    tcase_add_test(tests, no_descriptor_left);
    tcase_add_test(tests, reserved);
    tcase_add_test(tests, reserved_where_others_have_all);
    tcase_add_test(tests, given_back_by_others);
    suite_add_tcase(suite, tests);
    return suite;
}
