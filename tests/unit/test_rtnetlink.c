/* SPDX-License-Identifier: MIT */
#include <linux/rtnetlink.h>
#include <string.h>

#include "host/rtnetlink.h"
#include "suites.h"
#include "support.h"

static uint32_t state = 1;

static uint32_t
draw(uint32_t limit)
{
    state = state * 1664525 + 1013904223;
    return (state >> 8) % limit;
}

/* Few values a byte, so that prefixes lie within each other. */
static struct address
draw_address(enum family_id family)
{
    struct address address = { { 0 } };
    for (size_t i = 0; i < families[family].address_size; i++)
        address.bytes[i] = (uint8_t[]){ 0, 0x0f, 0x80, 0xff, 1 }[draw(5)];
    return address;
}

static bool
has_in_common(const struct address *one, const struct address *other, unsigned bits)
{
    for (unsigned bit = 0; bit < bits; bit++)
        if ((one->bytes[bit / 8] ^ other->bytes[bit / 8]) & (0x80 >> bit % 8))
            return false;
    return true;
}

/* One route of a dump. */
static size_t
write_route(uint8_t *to, enum family_id family, const struct route_prefix *prefix)
{
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
        struct rtattr attribute;
        uint8_t address[16];
    } message = {
        .header = { .nlmsg_type = RTM_NEWROUTE },
        .route = { .rtm_family = (unsigned char)families[family].domain, .rtm_dst_len = prefix->length },
        .attribute = { .rta_len = (unsigned short)RTA_LENGTH(families[family].address_size), .rta_type = RTA_DST },
    };
    memcpy(message.address, prefix->address.bytes, families[family].address_size);
    message.header.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof message.route) + message.attribute.rta_len);
    memcpy(to, &message, message.header.nlmsg_len);
    return message.header.nlmsg_len;
}

/* What differs from a target behind its region, but in nothing of it, matches the same of all prefixes. */
START_TEST(a_region_matches_alike)
{
    enum family_id family = _i % 2 ? IPV6 : IPV4;
    unsigned whole = (unsigned)families[family].address_size * 8;
    for (int round = 0; round < 200; round++) {
        struct route_prefix prefixes[PREFIXES_MAX];
        uint8_t dump[PREFIXES_MAX * 64];
        struct route_keys keys = { .routes = 0 };
        uint32_t count = 1 + draw(PREFIXES_MAX);
        size_t length = 0;
        for (uint32_t i = 0; i < count; i++) {
            prefixes[i] = (struct route_prefix){ draw_address(family), (uint8_t)draw(whole + 1) };
            length += write_route(dump + length, family, &prefixes[i]);
        }
        ck_assert(rtnetlink_read_keys((struct reader){ dump, length }, &keys));
        struct address target = draw_address(family);
        unsigned region = route_keys_region(&keys, family, &target);
        ck_assert(region > 0 && region <= whole);
        for (int other = 0; other < 50; other++) {
            struct address neighbour = draw_address(family);
            for (unsigned bit = 0; bit < region; bit++) {
                uint8_t mask = (uint8_t)(0x80 >> bit % 8);
                neighbour.bytes[bit / 8] = (uint8_t)((neighbour.bytes[bit / 8] & ~mask) | (target.bytes[bit / 8] & mask));
            }
            for (uint32_t i = 0; i < count; i++)
                ck_assert_int_eq(has_in_common(&neighbour, &prefixes[i].address, prefixes[i].length),
                                 has_in_common(&target, &prefixes[i].address, prefixes[i].length));
        }
    }
}
END_TEST

START_TEST(too_many_prefixes_are_none)
{
    uint8_t dump[(PREFIXES_MAX + 1) * 64];
    size_t length = 0;
    struct address target = address_of(IPV4, "10.0.0.1");
    for (uint8_t i = 0; i <= PREFIXES_MAX; i++) {
        struct route_keys keys = { .routes = 0 };
        struct route_prefix prefix = { .address = { { 10, 0, i } }, .length = 24 };
        length += write_route(dump + length, IPV4, &prefix);
        ck_assert(rtnetlink_read_keys((struct reader){ dump, length }, &keys));
        ck_assert_uint_eq(route_keys_region(&keys, IPV4, &target), i < PREFIXES_MAX ? 24 : 0);
    }
}
END_TEST

Suite *
rtnetlink_suite(void)
{
    Suite *suite = suite_create("rtnetlink");
    TCase *tests = tcase_create("rtnetlink");
    tcase_add_loop_test(tests, a_region_matches_alike, 0, 6);
    tcase_add_test(tests, too_many_prefixes_are_none);
    suite_add_tcase(suite, tests);
    return suite;
}
