/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "packets/bytes.h"
#include "suites.h"
#include "support.h"

static const uint8_t sample[] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xff };

START_TEST(reads_in_network_order)
{
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    struct reader reader = { sample, sizeof sample };
    ck_assert(read_u8(&reader, &u8) && u8 == 0x01);
    ck_assert(read_u16(&reader, &u16) && u16 == 0x2345);
    ck_assert(read_u32(&reader, &u32) && u32 == 0x6789abcd);
    ck_assert_uint_eq(reader.left, 2);
    reader = (struct reader){ sample, sizeof sample };
    ck_assert(read_u64(&reader, &u64) && u64 == UINT64_C(0x0123456789abcdef));
    ck_assert(read_u8(&reader, &u8) && u8 == 0xff);
    ck_assert(!read_u8(&reader, &u8) && reader.left == 0);
}
END_TEST

static bool
read_one(size_t kind, struct reader *reader)
{
    uint64_t space[2];
    uint16_t u16;
    uint32_t u32;
    struct reader view;
    switch (kind) {
    case 0:
        return read_u8(reader, (uint8_t *)space);
    case 1:
        return read_u16(reader, &u16);
    case 2:
        return read_u32(reader, &u32);
    case 3:
        return read_u64(reader, space);
    case 4:
        return read_bytes(reader, space, 7);
    case 5:
        return read_skip(reader, 7);
    default:
        return read_view(reader, 7, &view);
    }
}

START_TEST(a_failed_read_leaves_the_cursor)
{
    static const size_t sizes[] = { 1, 2, 4, 8, 7, 7, 7 };
    for (size_t kind = 0; kind < COUNT(sizes); kind++) {
        for (size_t length = 0; length <= sizeof sample; length++) {
            struct blob blob = blob_copy(sample, length);
            struct reader reader = blob_reader(&blob);
            bool fits = length >= sizes[kind];
            ck_assert_int_eq(read_one(kind, &reader), fits);
            ck_assert_ptr_eq(reader.at, blob.bytes + (fits ? sizes[kind] : 0));
            ck_assert_uint_eq(reader.left, length - (fits ? sizes[kind] : 0));
            blob_free(&blob);
        }
    }
}
END_TEST

START_TEST(absurd_counts_are_refused)
{
    struct reader view, reader = { sample, sizeof sample };
    ck_assert(!read_skip(&reader, SIZE_MAX) && !read_view(&reader, SIZE_MAX - 3, &view));
    ck_assert(!read_skip(&reader, sizeof sample + 1));
    ck_assert_uint_eq(reader.left, sizeof sample);
    ck_assert(read_skip(&reader, 0) && reader.left == sizeof sample);
}
END_TEST

START_TEST(a_view_has_its_own_limit)
{
    uint32_t u32;
    struct reader view, reader = { sample, sizeof sample };
    ck_assert(read_skip(&reader, 1) && read_view(&reader, 3, &view));
    ck_assert(!read_u32(&view, &u32));
    ck_assert_uint_eq(view.left, 3);
    ck_assert_ptr_eq(view.at, sample + 1);
    ck_assert(read_u32(&reader, &u32) && u32 == 0x89abcdef);
}
END_TEST

START_TEST(limits_only_shorten)
{
    struct reader reader = { sample, sizeof sample };
    reader_limit(&reader, 100);
    ck_assert_uint_eq(reader.left, sizeof sample);
    reader_limit(&reader, 4);
    ck_assert_uint_eq(reader.left, 4);
    reader_limit(&reader, 0);
    ck_assert_uint_eq(reader.left, 0);
    ck_assert_ptr_eq(reader.at, sample);
}
END_TEST

START_TEST(writes_in_network_order)
{
    uint8_t to[32];
    struct writer writer = { .start = to, .size = sizeof to };
    write_u8(&writer, 0x01);
    write_u16(&writer, 0x2345);
    write_u32(&writer, 0x6789abcd);
    write_u64(&writer, UINT64_C(0xef00112233445566));
    write_bytes(&writer, "ab", 2);
    write_bytes(&writer, NULL, 0);
    write_fill(&writer, 0x7e, 3);
    write_u16_at(&writer, 3, 0xbeef);
    struct blob expected = blob_of_hex("01 2345 beefabcd ef00112233445566 6162 7e*3");
    ck_assert(!writer.overflow);
    assert_bytes("written", to, writer.used, expected.bytes, expected.length);
    blob_free(&expected);
}
END_TEST

static void
write_one(size_t kind, struct writer *writer)
{
    switch (kind) {
    case 0:
        write_u8(writer, 1);
        break;
    case 1:
        write_u16(writer, 1);
        break;
    case 2:
        write_u32(writer, 1);
        break;
    case 3:
        write_u64(writer, 1);
        break;
    case 4:
        write_bytes(writer, sample, 7);
        break;
    default:
        write_fill(writer, 1, 7);
        break;
    }
}

START_TEST(what_does_not_fit_is_not_written)
{
    static const size_t sizes[] = { 1, 2, 4, 8, 7, 7 };
    for (size_t kind = 0; kind < COUNT(sizes); kind++) {
        for (size_t size = 0; size < 10; size++) {
            struct blob blob = blob_copy("..........", size);
            struct writer writer = { .start = blob.bytes, .size = size };
            write_one(kind, &writer);
            bool fits = size >= sizes[kind];
            ck_assert_int_eq(writer.overflow, !fits);
            ck_assert_uint_eq(writer.used, fits ? sizes[kind] : 0);
            ck_assert(fits || memcmp(blob.bytes, "..........", size) == 0);
            blob_free(&blob);
        }
    }
}
END_TEST

START_TEST(overflow_is_for_good)
{
    uint8_t to[4] = { 0 };
    struct writer writer = { .start = to, .size = sizeof to };
    write_u8(&writer, 9);
    write_u32(&writer, UINT32_MAX);
    ck_assert(writer.overflow);
    write_u8(&writer, 7); /* would fit */
    write_u16_at(&writer, 0, 0xffff);
    ck_assert(writer.overflow);
    ck_assert_uint_eq(writer.used, 1);
    assert_bytes("kept", to, sizeof to, (const uint8_t[]){ 9, 0, 0, 0 }, 4);
}
END_TEST

START_TEST(only_written_bytes_are_replaced)
{
    uint8_t to[8] = { 0 };
    struct writer writer = { .start = to, .size = sizeof to };
    write_fill(&writer, 1, 4);
    write_u16_at(&writer, 3, 0xffff);
    write_u16_at(&writer, 4, 0xffff);
    write_u16_at(&writer, SIZE_MAX, 0xffff);
    write_u16_at(&writer, 2, 0xabcd);
    assert_bytes("replaced", to, sizeof to, (const uint8_t[]){ 1, 1, 0xab, 0xcd, 0, 0, 0, 0 }, 8);
}
END_TEST

Suite *
bytes_suite(void)
{
    Suite *suite = suite_create("bytes");
    TCase *tests = tcase_create("bytes");
    tcase_add_test(tests, reads_in_network_order);
    tcase_add_test(tests, a_failed_read_leaves_the_cursor);
    tcase_add_test(tests, absurd_counts_are_refused);
    tcase_add_test(tests, a_view_has_its_own_limit);
    tcase_add_test(tests, limits_only_shorten);
    tcase_add_test(tests, writes_in_network_order);
    tcase_add_test(tests, what_does_not_fit_is_not_written);
    tcase_add_test(tests, overflow_is_for_good);
    tcase_add_test(tests, only_written_bytes_are_replaced);
    suite_add_tcase(suite, tests);
    return suite;
}
