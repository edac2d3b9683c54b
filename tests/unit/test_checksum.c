/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "packets/checksum.h"
#include "suites.h"
#include "support.h"

static uint16_t
checksum_of(const void *bytes, size_t count)
{
    return checksum_finish(checksum_add(0, bytes, count));
}

static const struct {
    const char *hex;
    uint16_t checksum;
} vectors[] = {
    { "0001 f203 f4f5 f6f7", 0x220d },                                 /* RFC 1071, section 3: the sum is ddf2 */
    { "4500 0073 0000 4000 4011 0000 c0a8 0001 c0a8 00c7", 0xb861 },   /* an IPv4 header */
    { "4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7", 0x0000 },   /* the same with its checksum */
    { "4500 003c 1c46 4000 4006 0000 ac10 0a63 ac10 0a0c", 0xb1e6 },   /* another */
    { "0800 0000 0001 0001 6162 6364 6566 6768 696a 6b6c 6d6e 6f70 7172 7374 7576 7761 6263 6465 6667 6869", 0x4d5a },
    { "", 0xffff },
    { "00", 0xffff },
    { "01", 0xfeff },
    { "ffff", 0x0000 },
    { "ff", 0x00ff },
    { "0001f2", 0x0dfe },
    { "ff*65536", 0x0000 },
};

START_TEST(known_vectors)
{
    struct blob blob = blob_of_hex(vectors[_i].hex);
    ck_assert_msg(checksum_of(blob.bytes, blob.length) == vectors[_i].checksum, "%s: %04x, not %04x", vectors[_i].hex,
                  checksum_of(blob.bytes, blob.length), vectors[_i].checksum);
    blob_free(&blob);
}
END_TEST

/* Every length, even and odd, at every alignment, in memory of exactly that size. */
START_TEST(equals_the_plain_sum)
{
    uint64_t state = 1;
    for (size_t length = 0; length < 300; length++) {
        for (size_t shift = 0; shift < 4; shift++) {
            uint8_t bytes[304];
            for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (uint8_t)dice(&state);
            struct blob blob = blob_copy(bytes, length + shift);
            ck_assert_uint_eq(checksum_of(blob.bytes + shift, length), plain_checksum(blob.bytes + shift, length));
            blob_free(&blob);
        }
    }
}
END_TEST

START_TEST(pieces_add_up)
{
    uint64_t state = 2;
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)dice(&state);
    for (size_t cut = 0; cut <= sizeof bytes; cut += 2) {
        uint64_t sum = checksum_add(checksum_add(0, bytes, cut), bytes + cut, sizeof bytes - cut);
        ck_assert_uint_eq(checksum_finish(sum), checksum_of(bytes, sizeof bytes));
    }
    uint64_t by_numbers = 0;
    for (size_t i = 0; i < sizeof bytes; i += 2)
        by_numbers = checksum_add_u16(by_numbers, (uint16_t)(bytes[i] << 8 | bytes[i + 1]));
    ck_assert_uint_eq(checksum_finish(by_numbers), checksum_of(bytes, sizeof bytes));
}
END_TEST

START_TEST(adjusting_equals_computing_again)
{
    uint64_t state = 3;
    static const uint16_t special[] = { 0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff };
    for (size_t round = 0; round < 20000; round++) {
        uint8_t bytes[12];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = round % 7 ? (uint8_t)dice(&state) : (uint8_t)(round % 3 ? 0xff : 0);
        uint16_t after = round % 2 ? special[round / 2 % COUNT(special)] : (uint16_t)dice(&state);
        size_t at = dice(&state) % (sizeof bytes / 2) * 2;
        uint16_t before = (uint16_t)(bytes[at] << 8 | bytes[at + 1]);
        uint16_t checksum = checksum_of(bytes, sizeof bytes);
        bytes[at] = (uint8_t)(after >> 8);
        bytes[at + 1] = (uint8_t)after;
        uint16_t again = checksum_of(bytes, sizeof bytes);
        uint16_t adjusted = checksum_adjust(checksum, before, after);
        ck_assert_msg(checksum_same(adjusted, again), "%04x: %04x becomes %04x: %04x, not %04x", checksum, before,
                      after, adjusted, again);
    }
}
END_TEST

/* RFC 1624, section 4: the case that the older equation gets wrong. */
START_TEST(adjusting_as_in_rfc_1624)
{
    ck_assert_uint_eq(checksum_adjust(0xdd2f, 0x5555, 0x3285), 0x0000);
}
END_TEST

START_TEST(two_zeros_are_the_same)
{
    ck_assert(checksum_same(0x0000, 0xffff) && checksum_same(0xffff, 0x0000));
    ck_assert(checksum_same(0, 0) && checksum_same(0xffff, 0xffff) && checksum_same(0x1234, 0x1234));
    ck_assert(!checksum_same(0, 1) && !checksum_same(0xffff, 0xfffe) && !checksum_same(1, 0xffff));
}
END_TEST

/* The check value of CRC-32C, and RFC 3720, appendix B.4. */
static const struct {
    const char *hex;
    uint32_t crc;
} crcs[] = {
    { "31 32 33 34 35 36 37 38 39", 0xe3069283 },
    { "", 0x00000000 },
    { "00*32", 0x8a9136aa },
    { "ff*32", 0x62a8ab43 },
    { "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 0x46dd794e },
    { "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100", 0x113fdb5c },
    { "01c00000 00*12 14000000 00000400 00000014 00000018 28000000 00000000 02000000 00000000", 0xd9963a56 },
};

START_TEST(crc32c_vectors)
{
    struct blob blob = blob_of_hex(crcs[_i].hex);
    for (size_t first = 0; first <= blob.length; first++) { /* in two pieces */
        uint32_t crc = crc32c(crc32c(0, blob.bytes, first), blob.bytes + first, blob.length - first);
        ck_assert_msg(crc == crcs[_i].crc, "%s, parted at %zu: %08x", crcs[_i].hex, first, crc);
    }
    blob_free(&blob);
}
END_TEST

Suite *
checksum_suite(void)
{
    Suite *suite = suite_create("checksum");
    TCase *tests = tcase_create("checksum");
    tcase_add_loop_test(tests, known_vectors, 0, COUNT(vectors));
    tcase_add_test(tests, equals_the_plain_sum);
    tcase_add_test(tests, pieces_add_up);
    tcase_add_test(tests, adjusting_equals_computing_again);
    tcase_add_test(tests, adjusting_as_in_rfc_1624);
    tcase_add_test(tests, two_zeros_are_the_same);
    tcase_add_loop_test(tests, crc32c_vectors, 0, COUNT(crcs));
    suite_add_tcase(suite, tests);
    return suite;
}
