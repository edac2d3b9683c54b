/* SPDX-License-Identifier: MIT */
#include "packets/icmpext.h"
#include "suites.h"
#include "support.h"

/*
 * The body of an ICMP error, the message's length field in words of its family, and what comes out: the bytes that are
 * left of the quote, and the bytes of objects (-1: none are returned).
 */
static const struct {
    const char *name;
    const char *body;
    enum family_id family;
    uint8_t length;
    size_t quote_left;
    int objects;
} bodies[] = {
    { "nothing", "", IPV4, 0, 0, -1 },
    { "a short quote", "45*28", IPV4, 0, 28, -1 },
    { "127 bytes", "45*127", IPV4, 0, 127, -1 },
    { "128 bytes", "45*128", IPV4, 0, 128, -1 },
    { "128 bytes and no whole extension header", "45*128 200000", IPV4, 0, 131, -1 },
    { "old form", "45*128 2000 ddb5 0008 0101 0001 0140", IPV4, 0, 128, 8 },
    { "old form, wrong checksum", "45*128 2000 ddb6 0008 0101 0001 0140", IPV4, 0, 140, -1 },
    { "old form, no checksum", "45*128 2000 0000 0008 0101 0001 0140", IPV4, 0, 140, -1 },
    { "old form, wrong version", "45*128 1000 edb5 0008 0101 0001 0140", IPV4, 0, 140, -1 },
    { "old form, no objects", "45*128 2000 dfff", IPV4, 0, 128, 0 },
    { "old form, reserved bits set", "45*128 2fff cdb6 0008 0101 0001 0140", IPV4, 0, 128, 8 },
    { "a whole packet quoted", "45*1400", IPV4, 0, 1400, -1 },
    { "length 128", "45*128 2000 ddb5 0008 0101 0001 0140", IPV4, 32, 128, 8 },
    { "length 128, no checksum", "45*128 2000 0000 0008 0101 0001 0140", IPV4, 32, 128, 8 },
    { "length 152", "45*152 2000 ddb5 0008 0101 0001 0140", IPV4, 38, 152, 8 },
    { "length 64, though it must be 128", "45*64 2000 ddb5 0008 0101 0001 0140", IPV4, 16, 64, 8 },
    { "length of all there is", "45*128", IPV4, 32, 128, -1 },
    { "length beyond the end", "45*128 2000 ddb5 0008 0101 0001 0140", IPV4, 36, 140, -1 },
    { "length far beyond the end", "45*28", IPV4, 255, 28, -1 },
    /* "nothing is cut off" where nothing is proven */
    { "length 128, wrong checksum", "45*128 2000 ddb6 0008 0101 0001 0140", IPV4, 32, 140, -1 },
    { "length 4, wrong version", "45*28 1000 edb5 0008 0101 0001 0140", IPV4, 1, 40, -1 },
    /* behind a translator, which puts a header of its own size before what was quoted */
    { "old form, translated", "45*148 2000 ddb5 0008 0101 0001 0140", IPV6, 0, 148, 8 },
    { "old form, translated to IPv4", "45*108 2000 ddb5 0008 0101 0001 0140", IPV4, 0, 108, 8 },
    { "old form, translated, no checksum", "45*148 2000 0000 0008 0101 0001 0140", IPV6, 0, 160, -1 },
    { "old form, translated the other way", "45*148 2000 ddb5 0008 0101 0001 0140", IPV4, 0, 160, -1 },
    { "old form of IPv6", "45*128 2000 ddb5 0008 0101 0001 0140", IPV6, 0, 128, 8 },
    { "length 128 of IPv6", "45*128 2000 0000 0008 0101 0001 0140", IPV6, 16, 128, 8 },
    /* a length in bytes, which is no length in words */
    { "length in bytes, no checksum", "45*128 2000 0000 0008 0101 0001 0140", IPV4, 128, 128, 8 },
    { "length in bytes", "45*128 2000 ddb5 0008 0101 0001 0140", IPV4, 128, 128, 8 },
    { "length in bytes, two objects", "45*128 2000 0000 0008 0101 0001 0140 0004 0301", IPV4, 128, 128, 12 },
    { "length in bytes of IPv6", "45*136 2000 0000 0008 0101 0001 0140", IPV6, 136, 136, 8 },
    { "length in bytes, a byte too many", "45*128 2000 0000 0008 0101 0001 0140 00", IPV4, 128, 141, -1 },
    { "length in bytes, an object too long", "45*128 2000 0000 0009 0101 0001 0140", IPV4, 128, 140, -1 },
    { "length in bytes, no objects", "45*128 2000 0000", IPV4, 128, 132, -1 },
    { "length in bytes, wrong checksum", "45*128 2000 ddb6 0008 0101 0001 0140", IPV4, 128, 140, -1 },
    { "length in bytes, wrong version", "45*128 1000 0000 0008 0101 0001 0140", IPV4, 128, 140, -1 },
    { "length in bytes, less than it must be", "45*124 2000 0000 0008 0101 0001 0140", IPV4, 124, 136, -1 },
    { "length in bytes, which may be words", "45*128 2000 0000 0180 0101 00*380", IPV4, 128, 516, -1 },
};

START_TEST(parted)
{
    struct blob blob = blob_of_hex(bodies[_i].body);
    struct reader body = blob_reader(&blob);
    struct reader objects = icmp_extensions(&body, bodies[_i].family, bodies[_i].length);
    ck_assert_msg(body.at == blob.bytes && body.left == bodies[_i].quote_left, "%s: %zu bytes left, not %zu",
                  bodies[_i].name, body.left, bodies[_i].quote_left);
    if (bodies[_i].objects < 0) {
        ck_assert_uint_eq(objects.left, 0);
    } else {
        ck_assert_uint_eq(objects.left, (size_t)bodies[_i].objects);
        ck_assert_ptr_eq(objects.at + objects.left, blob.bytes + blob.length);
    }
    blob_free(&blob);
}
END_TEST

/* Every cut: either all of a structure is proven, or nothing is returned. */
START_TEST(truncated)
{
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct blob blob = blob_of_hex(bodies[i].body);
        for (size_t length = 0; length < blob.length; length++) {
            struct blob cut = blob_copy(blob.bytes, length);
            struct reader body = blob_reader(&cut);
            struct reader objects = icmp_extensions(&body, bodies[i].family, 0);
            ck_assert_uint_eq(objects.left, 0);
            ck_assert_uint_eq(body.left, length);
            body = blob_reader(&cut);
            objects = icmp_extensions(&body, IPV4, 32);
            struct extension extension;
            while (extension_next(&objects, &extension))
                ck_assert(extension.payload.at + extension.payload.left <= cut.bytes + length);
            blob_free(&cut);
        }
        blob_free(&blob);
    }
}
END_TEST

START_TEST(objects_one_by_one)
{
    struct blob blob = blob_of_hex("0004 0301 000c 02aa 0102030405060708 0007 0101 010203");
    struct reader objects = blob_reader(&blob);
    struct extension extension;
    ck_assert(extension_next(&objects, &extension));
    ck_assert(extension.class_number == 3 && extension.type == 1 && extension.payload.left == 0);
    ck_assert(!extension_is_mpls(&extension));
    ck_assert(extension_next(&objects, &extension));
    ck_assert(extension.class_number == 2 && extension.type == 0xaa && extension.payload.left == 8);
    ck_assert_uint_eq(extension.payload.at[0], 1);
    ck_assert(extension_next(&objects, &extension));
    ck_assert(extension_is_mpls(&extension) && extension.payload.left == 3);
    struct mpls_label label;
    ck_assert(!mpls_next(&extension.payload, &label));
    ck_assert(!extension_next(&objects, &extension));
    blob_free(&blob);
}
END_TEST

START_TEST(label_fields)
{
    struct blob blob = blob_of_hex("fffff000 00000e00 00000100 000000ff 12345b40");
    static const struct mpls_label expected[] = {
        { 0xfffff, 0, false, 0 }, { 0, 7, false, 0 }, { 0, 0, true, 0 }, { 0, 0, false, 255 }, { 0x12345, 5, true, 64 },
    };
    struct reader stack = blob_reader(&blob);
    struct mpls_label label;
    for (size_t i = 0; i < COUNT(expected); i++) {
        ck_assert(mpls_next(&stack, &label));
        ck_assert_uint_eq(label.label, expected[i].label);
        ck_assert_uint_eq(label.traffic_class, expected[i].traffic_class);
        ck_assert_int_eq(label.bottom_of_stack, expected[i].bottom_of_stack);
        ck_assert_uint_eq(label.ttl, expected[i].ttl);
    }
    ck_assert(!mpls_next(&stack, &label));
    blob_free(&blob);
}
END_TEST

Suite *
icmpext_suite(void)
{
    Suite *suite = suite_create("icmpext");
    TCase *tests = tcase_create("icmpext");
    tcase_add_loop_test(tests, parted, 0, COUNT(bodies));
    tcase_add_test(tests, truncated);
    tcase_add_test(tests, objects_one_by_one);
    tcase_add_test(tests, label_fields);
    suite_add_tcase(suite, tests);
    return suite;
}
