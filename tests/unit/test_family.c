/* SPDX-License-Identifier: MIT */
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "suites.h"
#include "support.h"

/* protocol.md, "How answers map"; every type and code that is not here means nothing, or is named by ANY_CODE. */
static const struct {
    enum family_id family;
    uint8_t type;
    uint16_t code;
    enum meaning meaning;
} meanings[] = {
    { IPV4, 11, 0, MEANS_TTL_EXPIRED },      { IPV4, 11, 1, MEANS_NOT_REASSEMBLED },
    { IPV4, 11, 2, MEANS_TTL_EXPIRED },
    { IPV4, 3, 0, MEANS_NO_ROUTE_NETWORK },  { IPV4, 3, 1, MEANS_NO_ROUTE_HOST },
    { IPV4, 3, 2, MEANS_NO_PROTOCOL },       { IPV4, 3, 3, MEANS_NO_PORT },
    { IPV4, 3, 4, MEANS_TOO_BIG },           { IPV4, 3, 5, MEANS_NO_ROUTE_HOST },
    { IPV4, 3, 6, MEANS_NO_ROUTE_NETWORK },  { IPV4, 3, 7, MEANS_NO_ROUTE_HOST },
    { IPV4, 3, 9, MEANS_NO_ROUTE_HOST },     { IPV4, 3, 10, MEANS_NO_ROUTE_HOST },
    { IPV4, 3, 11, MEANS_NO_ROUTE_NETWORK }, { IPV4, 3, 12, MEANS_NO_ROUTE_HOST },
    { IPV4, 3, 13, MEANS_NO_ROUTE_HOST },    { IPV4, 3, 15, MEANS_NO_ROUTE_HOST },
    { IPV4, 0, 0, MEANS_NOTHING },           { IPV4, 4, 0, MEANS_NOTHING },
    { IPV4, 5, 1, MEANS_NOTHING },           { IPV4, 8, 0, MEANS_NOTHING },
    { IPV4, 129, 0, MEANS_NOTHING },
    { IPV6, 3, 0, MEANS_TTL_EXPIRED },       { IPV6, 3, 1, MEANS_NOT_REASSEMBLED },
    { IPV6, 3, 2, MEANS_TTL_EXPIRED },
    { IPV6, 1, 0, MEANS_NO_ROUTE_NETWORK },  { IPV6, 1, 1, MEANS_NO_ROUTE_HOST },
    { IPV6, 1, 2, MEANS_NO_ROUTE_HOST },     { IPV6, 1, 3, MEANS_NO_ROUTE_HOST },
    { IPV6, 1, 4, MEANS_NO_PORT },           { IPV6, 1, 5, MEANS_NO_ROUTE_HOST },
    { IPV6, 1, 6, MEANS_NO_ROUTE_HOST },     { IPV6, 2, 0, MEANS_TOO_BIG },
    { IPV6, 4, 1, MEANS_NO_PROTOCOL },       { IPV6, 4, 0, MEANS_NO_ROUTE_HOST },
    { IPV6, 4, 2, MEANS_NO_ROUTE_HOST },     { IPV6, 4, 6, MEANS_NO_ROUTE_HOST },
    { IPV4, 12, 0, MEANS_NO_ROUTE_HOST },    { IPV4, 12, 1, MEANS_NO_ROUTE_HOST },
    { IPV6, 128, 0, MEANS_NOTHING },
    { IPV6, 129, 0, MEANS_NOTHING },         { IPV6, 11, 0, MEANS_NOTHING },
    { IPV6, 135, 0, MEANS_NOTHING },         { IPV6, 0, 0, MEANS_NOTHING },
};

START_TEST(icmp_meanings)
{
    for (size_t i = 0; i < COUNT(meanings); i++)
        ck_assert_msg(family_icmp_meaning(&families[meanings[i].family], meanings[i].type, (uint8_t)meanings[i].code)
                              ->meaning == meanings[i].meaning,
                      "IPv%u %u/%u", version_of(meanings[i].family), meanings[i].type, meanings[i].code);
}
END_TEST

static const struct {
    enum family_id family;
    const char *text;
    bool group, link_local, unspecified;
} addresses[] = {
    { IPV4, "0.0.0.0", false, false, true },
    { IPV4, "0.0.0.1", false, false, false },
    { IPV4, "223.255.255.255", false, false, false },
    { IPV4, "224.0.0.0", true, false, false },
    { IPV4, "239.255.255.255", true, false, false },
    { IPV4, "240.0.0.0", false, false, false },
    { IPV4, "255.255.255.255", true, false, false },
    { IPV4, "255.255.255.254", false, false, false },
    { IPV6, "::", false, false, true },
    { IPV6, "::1", false, false, false },
    { IPV6, "fe80::1", false, true, false },
    { IPV6, "febf::1", false, true, false },
    { IPV6, "fec0::1", false, false, false },
    { IPV6, "fe7f::1", false, false, false },
    { IPV6, "ff01::1", true, true, false },
    { IPV6, "ff02::1", true, true, false },
    { IPV6, "ff12::1", true, true, false },
    { IPV6, "ff05::1", true, false, false },
    { IPV6, "ff0e::1", true, false, false },
};

START_TEST(kinds_of_addresses)
{
    for (size_t i = 0; i < COUNT(addresses); i++) {
        struct address address = address_of(addresses[i].family, addresses[i].text);
        ck_assert_msg(address_is_group(addresses[i].family, &address) == addresses[i].group, "%s", addresses[i].text);
        ck_assert_msg(address_is_link_local(addresses[i].family, &address) == addresses[i].link_local, "%s",
                      addresses[i].text);
        ck_assert_msg(address_is_unspecified(&address) == addresses[i].unspecified, "%s", addresses[i].text);
    }
}
END_TEST

START_TEST(to_a_socket_address_and_back)
{
    for (size_t i = 0; i < COUNT(addresses); i++) {
        struct sockaddr_storage name = { 0 };
        enum family_id family;
        struct address back, address = address_of(addresses[i].family, addresses[i].text);
        socklen_t length = address_to_socket(addresses[i].family, &address, 9, 4660, &name);
        ck_assert_uint_eq(length, addresses[i].family == IPV4 ? 16 : 28);
        ck_assert(address_from_socket(&name, &family, &back));
        ck_assert(family == addresses[i].family && address_same(&address, &back));
        if (family == IPV6)
            ck_assert_uint_eq(((struct sockaddr_in6 *)(void *)&name)->sin6_scope_id, 9);
        assert_bytes("port", (uint8_t *)&name + 2, 2, (const uint8_t[]){ 0x12, 0x34 }, 2);
    }
    struct sockaddr_storage other = { .ss_family = AF_UNIX };
    enum family_id family;
    struct address address;
    ck_assert(!address_from_socket(&other, &family, &address));
}
END_TEST

START_TEST(on_the_wire)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct address back, address = address_of(family, family == IPV4 ? "192.0.2.1" : "2001:db8::1");
        uint8_t bytes[16];
        struct writer writer = { .start = bytes, .size = sizeof bytes };
        write_address(&writer, family, &address);
        ck_assert_uint_eq(writer.used, families[family].address_size);
        for (size_t length = 0; length <= writer.used; length++) {
            struct blob blob = blob_copy(bytes, length);
            struct reader reader = blob_reader(&blob);
            memset(&back, 0xff, sizeof back);
            ck_assert_int_eq(read_address(&reader, family, &back), length == writer.used);
            ck_assert_uint_eq(reader.left, length == writer.used ? 0 : length);
            blob_free(&blob);
        }
        ck_assert(address_same(&address, &back)); /* the rest is zero */
    }
}
END_TEST

Suite *
family_suite(void)
{
    Suite *suite = suite_create("family");
    TCase *tests = tcase_create("family");
    tcase_add_test(tests, icmp_meanings);
    tcase_add_test(tests, kinds_of_addresses);
    tcase_add_test(tests, to_a_socket_address_and_back);
    tcase_add_test(tests, on_the_wire);
    suite_add_tcase(suite, tests);
    return suite;
}
