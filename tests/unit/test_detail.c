/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "lines/detail.h"
#include "lines/reply.h"
#include "suites.h"
#include "support.h"

#define US_V4 { { 10, 0, 0, 1 } }
#define LINK_V6 { { 0xfe, 0x80, [15] = 1 } }
#define SENT .sent = { 1700000000123456789 }
#define TIMES SENT, .received = { 1700000000123457790 }
#define SAID_TIMES "sent 1700000000.123456789"
#define SAID_BOTH " round-trip-ns 1001 received 1700000000.123457790"

/* What is known, and what is said of it. */
static const struct {
    struct detail detail;
    struct answer answer;
    bool answered;
    const char *said;
} rows[] = {
    { { .local = US_V4, SENT }, { 0 }, false, " local-ip-4 10.0.0.1 " SAID_TIMES },
    { { .local = US_V4, .local_port = 5000, SENT }, { 0 }, false, " local-ip-4 10.0.0.1 local-port 5000 " SAID_TIMES },
    { { .family = IPV6, .local = LINK_V6, SENT }, { 0 }, false, " local-ip-6 fe80::1 " SAID_TIMES },
    { { .family = IPV6, .local = LINK_V6, .scope = "eth0", SENT }, { 0 }, false,
      " local-ip-6 fe80::1%eth0 " SAID_TIMES },
    { { .local = US_V4, .sent = { 5 } }, { 0 }, false, " local-ip-4 10.0.0.1 sent 0.000000005" },

    /* an answer of which nothing else is known, and one of which all is */
    { { .local = US_V4, TIMES }, { .protocol = PROTOCOL_UDP }, true, " local-ip-4 10.0.0.1 " SAID_TIMES SAID_BOTH },
    { { .local = US_V4, TIMES },
      { .protocol = PROTOCOL_UDP, .known = KNOWN_SIZE | KNOWN_TTL | KNOWN_TOS | KNOWN_QUOTE | KNOWN_ID, .size = 56,
        .ttl = 61, .tos = 0xc0, .id = 0xfedc, .is_error = true, .icmp_type = 11, .quoted_ttl = 1, .quoted_tos = 2 },
      true, " local-ip-4 10.0.0.1 " SAID_TIMES " icmp-type 11 icmp-code 0 reply-ttl 61 reply-tos 192 reply-size 56"
            " reply-id 65244 quoted-ttl 1 quoted-tos 2" SAID_BOTH },
    { { .local = US_V4, TIMES, .translated = true }, { .protocol = PROTOCOL_ICMP, .icmp_type = 129, .icmp_code = 0 },
      true, " local-ip-4 10.0.0.1 " SAID_TIMES " icmp-type 129 icmp-code 0 nat 1" SAID_BOTH },
    { { .local = US_V4, TIMES }, { .protocol = PROTOCOL_TCP, .tcp_flags = 0x12, .known = KNOWN_TTL }, true,
      " local-ip-4 10.0.0.1 " SAID_TIMES " tcp-flags syn-ack reply-ttl 0" SAID_BOTH },
    { { .local = US_V4, TIMES }, { .protocol = PROTOCOL_TCP, .tcp_flags = 0x14, .known = KNOWN_TOS }, true,
      " local-ip-4 10.0.0.1 " SAID_TIMES " tcp-flags rst reply-tos 0" SAID_BOTH },
    { { .local = US_V4, TIMES }, { .protocol = PROTOCOL_TCP, .is_error = true, .sent_mss = 1460, .quoted_mss = 1452 },
      true, " local-ip-4 10.0.0.1 " SAID_TIMES " icmp-type 0 icmp-code 0 quoted-mss 1452" SAID_BOTH },
    { { .local = US_V4, TIMES }, { .protocol = PROTOCOL_TCP, .is_error = true, .sent_mss = 1460, .quoted_mss = 1460 },
      true, " local-ip-4 10.0.0.1 " SAID_TIMES " icmp-type 0 icmp-code 0" SAID_BOTH },
    { { .local = US_V4, TIMES }, { .protocol = PROTOCOL_TCP, .is_error = true, .sent_mss = 1460 }, true,
      " local-ip-4 10.0.0.1 " SAID_TIMES " icmp-type 0 icmp-code 0" SAID_BOTH },
};

static void
check(const struct detail *detail, const char *expected)
{
    uint8_t text[REPLY_MAX];
    struct writer line = { .start = text, .size = sizeof text };
    detail_write(detail, &line);
    MUST(!line.overflow);
    ck_assert_msg(line.used == strlen(expected) && memcmp(text, expected, line.used) == 0, "\"%.*s\", not \"%s\"",
                  (int)line.used, (const char *)text, expected);
}

START_TEST(what_is_known)
{
    struct detail detail = rows[_i].detail;
    detail.answer = rows[_i].answered ? &rows[_i].answer : NULL;
    check(&detail, rows[_i].said);
}
END_TEST

/* Extension objects, and what is said of them. */
static const struct {
    const char *objects, *said;
} objects[] = {
    { "", "" },
    { "0008 0101 00010140", "" }, /* MPLS is said elsewhere */
    { "0004 0301", " extension 3/1/" },
    { "0007 c8ff 00a0fe", " extension 200/255/00a0fe" },
    { "0004 0301 0005 0102 7f", " extension 3/1/ extension 1/2/7f" },
    { "0004 0200", " interface incoming" },
    { "0008 0248 00000007", " interface sub-ip,index=7" },
    { "000c 0284 00010000 c0000209", " interface outgoing,address=192.0.2.9" },
    { "0018 02c4 00020000 20010db8 00*11 05", " interface next-hop,address=2001:db8::5" },
    { "000c 0202 05 65746830 000000", " interface incoming,name=eth0" },
    { "000c 0202 08 65746830 000000", " interface incoming,name=eth0" }, /* its padding counted in */
    { "0008 0202 01 000000", " interface incoming" },
    { "000c 0202 08 20250a2c3dff7f", " interface incoming,name=%20%25%0a%2c%3d%ff%7f" },
    { "0008 0201 000005dc", " interface incoming,mtu=1500" },
    { "0018 020f ffffffff 00010000 0a000001 03 6c6f 00 00010000",
      " interface incoming,index=4294967295,name=lo,address=10.0.0.1,mtu=65536" },
    /* as Linux 6.19 and later tell by which interface a packet came (net.ipv4.icmp_errors_extension_mask) */
    { "0028 020f 00000002 00010000 c0000202 14 65746831 00*15 000005dc",
      " interface incoming,index=2,name=eth1,address=192.0.2.2,mtu=1500" },
    { "0034 020f 00000003 00020000 20010db8 00*11 02 14 776c703273306630 00*11 00000500",
      " interface incoming,index=3,name=wlp2s0f0,address=2001:db8::2,mtu=1280" },
    { "0020 020b 00000002 14 61*15 00*4 0000ffff", " interface incoming,index=2,name=aaaaaaaaaaaaaaa,mtu=65535" },
    { "0008 0208 00000009", " interface incoming,index=9" },
    /* nodes */
    { "000c 0504 00010000 c0000209", " node address=192.0.2.9" },
    { "000c 0502 05 65646765 000000", " node name=edge" },
    { "0018 0506 00010000 c0000209 0b 722c313d2500000000 0000", " node address=192.0.2.9,name=r%2c1%3d%25" },
    { "0020 0506 00020000 20010db8 00*11 09 08 65646765 2d616d", " node address=2001:db8::9,name=edge-am" },
    { "0004 0500", " extension 5/0/" },
    { "0008 0502 01 000000", " extension 5/2/01000000" },
    { "000c 0505 00010000 c0000209", " extension 5/5/00010000c0000209" },
    { "0010 0504 00010000 c0000209 00000000", " extension 5/4/00010000c000020900000000" },
    { "000c 0504 00030000 c0000209", " extension 5/4/00030000c0000209" },
    /* not as they should be */
    { "0006 0208 0000", " extension 2/8/0000" },
    { "000c 0204 00030000 c0000209", " extension 2/4/00030000c0000209" },
    { "0008 0204 00010000", " extension 2/4/00010000" },
    { "0008 0202 00 000000", " extension 2/2/00000000" },
    { "0008 0202 05 616263", " extension 2/2/05616263" },
    { "0006 0202 02 61", " extension 2/2/0261" },
    { "0008 0200 00000000", " extension 2/0/00000000" },
    { "0004 0301 0003 0301", " extension 3/1/" }, /* a length that can't be ends them */
};

START_TEST(extension_objects)
{
    struct blob blob = blob_of_hex(objects[_i].objects);
    struct answer answer = { .protocol = PROTOCOL_UDP, .extensions = blob_reader(&blob) };
    struct detail detail = { .answer = &answer, .local = US_V4, TIMES };
    struct text expected = { .length = 0 };
    text_add(&expected, " local-ip-4 10.0.0.1 " SAID_TIMES SAID_BOTH "%s", objects[_i].said);
    check(&detail, expected.text);
    for (size_t length = 0; length < blob.length; length++) { /* and no step beyond the end of any part */
        uint8_t text[REPLY_MAX];
        struct blob cut = blob_copy(blob.bytes, length);
        struct writer line = { .start = text, .size = sizeof text };
        answer.extensions = blob_reader(&cut);
        detail_write(&detail, &line);
        MUST(!line.overflow);
        blob_free(&cut);
    }
    blob_free(&blob);
}
END_TEST

/* The longest of all numbers and addresses: DETAIL_FIXED_MAX holds them, and a reply has room for all of it. */
START_TEST(the_longest)
{
    struct answer answer = {
        .protocol = PROTOCOL_TCP, .known = UINT8_MAX, .is_error = true, .icmp_type = 255, .icmp_code = 255,
        .tcp_flags = 0x12, .size = 65575, .id = 65535, .ttl = 255, .tos = 255, .quoted_ttl = 255, .quoted_tos = 255,
        .quoted_mss = 65535,
    };
    struct detail detail = {
        .answer = &answer, .family = IPV6, .local_port = 65535, .scope = "\xff\xff\xff\xff\xff\xff\xff\xff"
        "\xff\xff\xff\xff\xff\xff\xff", .translated = true, .received = { INT64_MAX },
    };
    memset(detail.local.bytes, 0xff, sizeof detail.local.bytes);
    detail.local.bytes[0] = 0xfe;
    detail.local.bytes[1] = 0xbf;
    detail.sent.ns = INT64_MAX - 1;
    uint8_t text[DETAIL_FIXED_MAX];
    struct writer line = { .start = text, .size = sizeof text };
    detail_write(&detail, &line);
    MUST(!line.overflow && line.used > DETAIL_FIXED_MAX / 2);
}
END_TEST

/* However many objects, and however large: the line is whole, and ends with a newline. */
START_TEST(never_too_long)
{
    static uint8_t many[60000];
    for (size_t size = 4; size < 5000; size += size / 7 + 1) {
        for (int kind = 1; kind < 4; kind++) { /* MPLS, interface, other */
            struct writer extensions = { .start = many, .size = sizeof many };
            while (extensions.used + size < sizeof many) {
                write_u16(&extensions, (uint16_t)size);
                write_u8(&extensions, (uint8_t)kind);
                write_u8(&extensions, kind == 1 ? 1 : 0);
                write_fill(&extensions, 0xff, size - 4);
            }
            struct answer answer = { .protocol = PROTOCOL_UDP, .extensions = { many, extensions.used } };
            struct detail detail = { .answer = &answer, .local = US_V4, TIMES };
            struct reply reply = {
                .kind = REPLY_PACKET_TOO_BIG, .answered = true, .extensions = answer.extensions, .mtu = UINT32_MAX,
                .detail = &detail,
            };
            char *line = memory(REPLY_MAX);
            size_t length = reply_write(&reply, false, line);
            MUST(length > 0 && length <= REPLY_MAX && line[length - 1] == '\n' && !memchr(line, '\n', length - 1));
            MUST(memmem(line, length, SAID_BOTH, strlen(SAID_BOTH)));
            free(line);
        }
    }
}
END_TEST

Suite *
detail_suite(void)
{
    Suite *suite = suite_create("detail");
    TCase *tests = tcase_create("detail");
    tcase_add_loop_test(tests, what_is_known, 0, COUNT(rows));
    tcase_add_loop_test(tests, extension_objects, 0, COUNT(objects));
    tcase_add_test(tests, the_longest);
    tcase_add_test(tests, never_too_long);
    suite_add_tcase(suite, tests);
    return suite;
}
