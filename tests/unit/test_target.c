/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "host/random.h"
#include "suites.h"
#include "support.h"
#include "tools/target.h"
#include "tools/text.h"

#define RUNS 2000

/* The sum of an address and a number, by another way than the program's; false beyond the last address. */
static bool
sum(const struct address *first, size_t size, uint64_t number, struct address *result)
{
    unsigned carry = 0;
    *result = *first;
    for (size_t i = 0; i < size; i++) {
        size_t at = size - 1 - i;
        unsigned byte = i < 8 ? (unsigned)(number >> 8 * i & 0xff) : 0, total = first->bytes[at] + byte + carry;
        result->bytes[at] = (uint8_t)total;
        carry = total >> 8;
    }
    return carry == 0;
}

/* Of no single link: such an address is none without its interface. */
static struct address
random_address(struct random *random, enum family_id family)
{
    struct address address = { { 0 } };
    for (size_t i = 0; i < families[family].address_size; i++)
        address.bytes[i] = random_below(random, 3) ? (uint8_t)random_u32(random) : random_below(random, 2) ? 0xff : 0;
    if (address.bytes[0] >= 0xfe && family == IPV6)
        address.bytes[0] = 0x20;
    return address;
}

static const char *
as_text(enum family_id family, const struct address *address, char text[INET6_ADDRSTRLEN])
{
    ck_assert_ptr_nonnull(inet_ntop(families[family].domain, address->bytes, text, INET6_ADDRSTRLEN));
    return text;
}

/* The NUMBER-th address of the target is this one. */
static void
assert_address(const struct target *target, int64_t number, const struct address *expected)
{
    char text[64];
    struct address found;
    ck_assert_ptr_nonnull(target_address(target, number, text));
    ck_assert_msg(inet_pton(families[target->family].domain, text, found.bytes) == 1, "%s", text);
    ck_assert_msg(memcmp(found.bytes, expected->bytes, families[target->family].address_size) == 0, "%s", text);
}

/* Whatever the bits behind the prefix are, a block is all addresses that have it, and no other. */
START_TEST(block_is_all_with_its_prefix)
{
    struct random random = { .left = 0 };
    for (int run = 0; run < RUNS; run++) {
        enum family_id family = random_below(&random, 2) ? IPV6 : IPV4;
        struct address given = random_address(&random, family), first = given, found;
        unsigned width = 8 * (unsigned)families[family].address_size, free_bits = random_below(&random, 21);
        char text[INET6_ADDRSTRLEN], word[80];
        snprintf(word, sizeof word, "%s/%u", as_text(family, &given, text), width - free_bits);
        struct target target = target_read(word, 0);
        ck_assert_msg(target.kind == TARGET_BLOCK, "%s: %s", word, target.why);
        ck_assert_int_eq(target.count, INT64_C(1) << free_bits);
        for (unsigned bit = 0; bit < free_bits; bit++)
            first.bytes[(width - 1 - bit) / 8] &= (uint8_t)~(1 << bit % 8);
        assert_address(&target, 0, &first);
        uint32_t number = random_below(&random, (uint32_t)target.count);
        ck_assert(sum(&first, width / 8, number, &found));
        assert_address(&target, number, &found);
        ck_assert(sum(&first, width / 8, (uint64_t)target.count - 1, &found));
        assert_address(&target, target.count - 1, &found);
        /* of the last one all free bits are set */
        for (unsigned bit = 0; bit < free_bits; bit++)
            ck_assert(found.bytes[(width - 1 - bit) / 8] & 1 << bit % 8);
    }
}
END_TEST

/* From one to the other, both counted; the other way round and of more than BLOCK_MAX it is none. */
START_TEST(range_is_all_between_its_ends)
{
    struct random random = { .left = 0 };
    for (int run = 0; run < RUNS; run++) {
        enum family_id family = random_below(&random, 2) ? IPV6 : IPV4;
        struct address first = random_address(&random, family), last, between;
        size_t size = families[family].address_size;
        uint64_t further = random_below(&random, random_below(&random, 2) ? 300 : 2 * (uint32_t)BLOCK_MAX);
        char text[2][INET6_ADDRSTRLEN], word[160];
        if (!sum(&first, size, further, &last))
            continue;
        snprintf(word, sizeof word, "%s-%s", as_text(family, &first, text[0]), as_text(family, &last, text[1]));
        struct target target = target_read(word, 0);
        if (further >= (uint64_t)BLOCK_MAX) {
            ck_assert_msg(target.kind == TARGET_WRONG && strstr(target.why, "more than 1048576"), "%s: %s", word, target.why);
            continue;
        }
        ck_assert_msg(target.kind == TARGET_BLOCK, "%s: %s", word, target.why);
        ck_assert_int_eq(target.count, (int64_t)further + 1);
        uint32_t number = random_below(&random, (uint32_t)further + 1);
        ck_assert(sum(&first, size, number, &between));
        assert_address(&target, number, &between);
        assert_address(&target, (int64_t)further, &last);
        if (!further)
            continue;
        snprintf(word, sizeof word, "%s-%s", text[1], text[0]);
        target = target_read(word, 0);
        ck_assert_msg(target.kind == TARGET_WRONG && strstr(target.why, "ends before"), "%s: %s", word, target.why);
    }
}
END_TEST

/* Nothing behind the last address there is. */
START_TEST(no_address_beyond_the_last)
{
    char text[64];
    struct target target = target_read("255.255.255.254", 0);
    ck_assert_str_eq(target_address(&target, 1, text), "255.255.255.255");
    ck_assert_ptr_null(target_address(&target, 2, text));
    target = target_read("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0);
    ck_assert_ptr_null(target_address(&target, 1, text));
}
END_TEST

static const struct {
    const char *word;
    int family;
    enum target_kind kind;
    int64_t count; /* 0: none */
    const char *text; /* the first address, or a part of why it is none */
} words[] = {
    { "192.0.2.1", 0, TARGET_ADDRESS, 1, "192.0.2.1" },
    { "2001:DB8::0:1", 0, TARGET_ADDRESS, 1, "2001:db8::1" },
    { "fe80::1%eth0", 0, TARGET_ADDRESS, 1, "fe80::1%eth0" },
    { "fe80::1%br-lan", 0, TARGET_ADDRESS, 1, "fe80::1%br-lan" },
    { "fe80::1%br-lan-fe80::4%br-lan", 0, TARGET_BLOCK, 4, "fe80::1%br-lan" },
    { "fe80::1%a-b-c-fe80::4", 0, TARGET_BLOCK, 4, "fe80::1%a-b-c" },
    { "fe80::1-fe80::4%a-b", 0, TARGET_BLOCK, 4, "fe80::1%a-b" },
    { "fe80::1%lo-fe80::4%eth0", 0, TARGET_WRONG, 0, "on another interface" },
    { "fe80::7%br-lan/126", 0, TARGET_BLOCK, 4, "fe80::4%br-lan" },
    { "fe80::7/126%br-lan", 0, TARGET_WRONG, 0, "fe80::7%br-lan/126" },
    { "::ffff:192.0.2.1", 0, TARGET_ADDRESS, 1, "::ffff:c000:201" },
    { "0.0.0.0", 0, TARGET_ADDRESS, 1, "127.0.0.1" },
    { "::", 0, TARGET_ADDRESS, 1, "::1" },
    { "0.0.0.0/31", 0, TARGET_BLOCK, 2, "0.0.0.0" },
    { "10.0.0.7-9", 0, TARGET_BLOCK, 3, "10.0.0.7" },
    { "192.0.2.77/29", 0, TARGET_BLOCK, 8, "192.0.2.72" },
    { "example.org", 0, TARGET_NAME, 0, NULL },
    { "a-b.example", 0, TARGET_NAME, 0, NULL },
    { "b\xc3\xbc" "cher.example", 0, TARGET_NAME, 0, NULL },
    { "10.0.0.1-a.example", 0, TARGET_WRONG, 0, "not a range" },
    { "", 0, TARGET_WRONG, 0, "not a host" },
    { "-rf", 0, TARGET_WRONG, 0, "not a host name" },
    { "\xc3\xbc\033[2J", 0, TARGET_WRONG, 0, "not a host name" },
    { "a b", 0, TARGET_WRONG, 0, "not a host name" },
    { "host/24", 0, TARGET_WRONG, 0, "not a host name" },
    { "192.0.2.1", 6, TARGET_WRONG, 0, "not an IPv6 address" },
    { "::1", 4, TARGET_WRONG, 0, "not an IPv4 address" },
    { "::/127", 4, TARGET_WRONG, 0, "not an IPv4 address" },
    { "fe80::1", 0, TARGET_WRONG, 0, "write fe80::1%eth0" },
    { "fe80::/126", 0, TARGET_WRONG, 0, "as fe80::1%eth0" },
    { "fe80::1-fe80::4", 0, TARGET_WRONG, 0, "as fe80::1%eth0" },
    { "192.0.2.1%eth0", 0, TARGET_WRONG, 0, "not a" },
    { "010.0.0.1", 0, TARGET_WRONG, 0, "write 10.0.0.1" },
    { "8.8.8.8:80", 0, TARGET_WRONG, 0, "-p tcp:80" },
    { "www.example.org:443", 0, TARGET_WRONG, 0, "-p tcp:443" },
    { "fe80:1", 0, TARGET_WRONG, 0, "not an address" },
    { "::1:", 0, TARGET_WRONG, 0, "not an address" },
    { "[::1]:80", 0, TARGET_WRONG, 0, "without brackets" },
    { "http://192.0.2.1/", 0, TARGET_WRONG, 0, "without what stands before" },
    { "1.2.3", 0, TARGET_WRONG, 0, "not a whole address" },
    { "1.2.3.256", 0, TARGET_WRONG, 0, "not an address" },
    { "10.0.0.0/33", 0, TARGET_WRONG, 0, "from 0 to 32" },
    { "::/129", 0, TARGET_WRONG, 0, "from 0 to 128" },
    { "10.0.0.0/11", 0, TARGET_WRONG, 0, "more than 1048576" },
    { "10.0.0.0/", 0, TARGET_WRONG, 0, "not a block" },
    { "10.0.0.0/2x", 0, TARGET_WRONG, 0, "not a block" },
    { "10.0.0.1-::1", 0, TARGET_WRONG, 0, "not a range" },
    { "10.0.0.1-300", 0, TARGET_WRONG, 0, "not a range" },
};

START_TEST(words_as_they_are_meant)
{
    const char *word = words[_i].word;
    char text[64];
    struct target target = target_read(word, words[_i].family);
    ck_assert_msg(target.kind == words[_i].kind, "%s: kind %d, %s", word, (int)target.kind, target.why);
    if (words[_i].count) {
        ck_assert_int_eq(target.count, words[_i].count);
        ck_assert_str_eq(target_address(&target, 0, text), words[_i].text);
    } else if (words[_i].text) {
        ck_assert_msg(strstr(target.why, words[_i].text), "%s: %s", word, target.why);
        for (const char *at = target.why; *at; at++)
            ck_assert(*at >= ' ' && *at <= '~');
    }
}
END_TEST

/* Bytes of any kind: no crash, and whatever is taken for addresses has them. */
START_TEST(any_bytes)
{
    static const char alphabet[] = "0123456789.:/-%[]abcfx \xc3\xbc\033";
    struct random random = { .left = 0 };
    for (int run = 0; run < 20 * RUNS; run++) {
        char word[24], text[64];
        size_t length = random_below(&random, sizeof word);
        for (size_t i = 0; i < length; i++)
            word[i] = alphabet[random_below(&random, sizeof alphabet - 1)];
        word[length] = 0;
        struct target target = target_read(word, 0);
        if (target.kind != TARGET_ADDRESS && target.kind != TARGET_BLOCK)
            continue;
        ck_assert(target.count >= 1 && target.count <= BLOCK_MAX);
        ck_assert_msg(target_address(&target, target.count - 1, text), "%s", word);
    }
}
END_TEST

static const struct {
    const char *line, *words; /* with a stroke behind each */
} lists[] = {
    { "", "" },
    { "  \t\r", "" },
    { "a", "a|" },
    { " a b\tc\r", "a|b|c|" },
    { "a#b c", "a|" },
    { "# a", "" },
    { "a # b", "a|" },
    { "\xef\xbb\xbf" "a\r", "a|" },
    { "\xef\xbb\xbf# a", "" },
    { "a \xef\xbb\xbf" "b", "a|b|" },
    { "\xef\xbb\xbf\xef\xbb\xbf", "" },
    { "\va\f", "a|" },
};

START_TEST(words_of_a_list)
{
    char line[64], found[64] = "";
    snprintf(line, sizeof line, "%s", lists[_i].line);
    for (char *rest = line, *word; (word = target_next_word(&rest));) {
        strcat(found, word);
        strcat(found, "|");
    }
    ck_assert_str_eq(found, lists[_i].words);
}
END_TEST

/* In a locale of UTF-8 its characters, but none that is cut, unseen or turns the others around. */
START_TEST(what_a_terminal_may_be_shown)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        { "b\xc3\xbc" "cher.example", "b\xc3\xbc" "cher.example" },
        { "\xe6\x97\xa5\xe6\x9c\xac", "\xe6\x97\xa5\xe6\x9c\xac" },
        { "a\x1b[2J\x7f\n", "a?[2J??" },
        { "\xc2\x9b" "2J", "??2J" },
        { "a\xc3", "a?" },
        { "\xc0\xaf\xff", "???" },
        { "\xed\xa0\x80", "???" },
        { "moc\xe2\x80\xae", "moc???" },
        { "a\xe2\x80\x8b" "b", "a???b" },
    };
    char buffer[40];
    ck_assert_str_eq(text_printable("b\xc3\xbc" "cher", buffer, sizeof buffer), "b??cher");
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return;
    for (size_t i = 0; i < COUNT(rows); i++)
        ck_assert_str_eq(text_printable(rows[i].text, buffer, sizeof buffer), rows[i].shown);
    ck_assert_str_eq(text_printable("ab\xc3\xbc", buffer, 4), "ab");
    setlocale(LC_CTYPE, "C");
}
END_TEST

START_TEST(columns_of_a_terminal)
{
    int left;
    ck_assert_int_eq(text_fit("b\xc3\xbc" "cher", 3, &left), 4);
    ck_assert_int_eq(text_fit("ab", 3, &left), 2);
    ck_assert_int_eq(left, 1);
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return;
    ck_assert_int_eq(text_fit("b\xc3\xbc" "cher", 3, &left), 4);
    ck_assert_int_eq(text_fit("\xe6\x97\xa5\xe6\x9c\xac", 3, &left), 3); /* two columns each */
    ck_assert_int_eq(left, 1);
    setlocale(LC_CTYPE, "C");
}
END_TEST

Suite *
target_suite(void)
{
    Suite *suite = suite_create("target");
    TCase *tests = tcase_create("target");
    tcase_add_test(tests, block_is_all_with_its_prefix);
    tcase_add_test(tests, range_is_all_between_its_ends);
    tcase_add_test(tests, no_address_beyond_the_last);
    tcase_add_test(tests, what_a_terminal_may_be_shown);
    tcase_add_test(tests, columns_of_a_terminal);
    tcase_add_loop_test(tests, words_as_they_are_meant, 0, COUNT(words));
    tcase_add_test(tests, any_bytes);
    tcase_add_loop_test(tests, words_of_a_list, 0, COUNT(lists));
    suite_add_tcase(suite, tests);
    return suite;
}
