/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines/reply.h"
#include "suites.h"
#include "support.h"

#define WORD(text) { text, sizeof text - 1 }
#define SAY(token_, kind_) .token = token_, .kind = REPLY_##kind_
#define FROM_V4 .answered = true, .family = IPV4, .responder = { { 192, 0, 2, 1 } }
#define FROM_V6 .answered = true, .family = IPV6, .responder = { { 0x20, 1, 0x0d, 0xb8, [15] = 1 } }
#define FROM_LINK .answered = true, .family = IPV6, .responder = { { 0xfe, 0x80, [15] = 1 } }

/* Each kind of reply; the old words where they are others. */
static const struct reply_place nowhere, place = {
    .has_target = true,
    .has_ttl = true,
    .has_port = true,
    .has_flow = true,
    .family = IPV6,
    .target = { { 0xfe, 0x80, [15] = 7 } },
    .scope = "eth0",
    .ttl = 3,
    .port = 53,
};

static const struct reply_tally tally = {
    .sent = 9,
    .answered = 3,
    .silent = 4,
    .refused = 1,
    .in_flight = 2,
    .left = (UINT64_C(1) << 40) - 1,
    .next = 5,
    .ns = 61 * NS_PER_S + 7999999,
};

static const struct {
    struct reply reply;
    const char *line;
    const char *old_line; /* NULL: the same */
} replies[] = {
    { { SAY(7, REPLY), FROM_V4, .round_trip = 1234 }, "7 reply ip-4 192.0.2.1 round-trip-time 1234", NULL },
    { { SAY(7, REPLY), FROM_V6 }, "7 reply ip-6 2001:db8::1 round-trip-time 0", NULL },
    { { SAY(-1, TTL_EXPIRED), FROM_V4, .round_trip = 1 }, "-1 ttl-expired ip-4 192.0.2.1 round-trip-time 1", NULL },
    { { SAY(INT32_MIN, NO_REPLY) }, "-2147483648 no-reply", NULL },
    { { SAY(INT32_MAX, NO_REPLY) }, "2147483647 no-reply", NULL },
    { { SAY(0, NO_REPLY) }, "0 no-reply", NULL },
    { { SAY(7, NO_ROUTE_HOST), FROM_V4, .round_trip = 5 }, "7 no-route-host ip-4 192.0.2.1 round-trip-time 5",
      "7 no-route ip-4 192.0.2.1 round-trip-time 5" },
    { { SAY(7, NO_ROUTE_HOST) }, "7 no-route-host", "7 no-route" },
    { { SAY(7, NO_ROUTE_NETWORK), FROM_V6, .round_trip = 5 }, "7 no-route-network ip-6 2001:db8::1 round-trip-time 5",
      "7 no-route ip-6 2001:db8::1 round-trip-time 5" },
    { { SAY(7, NO_ROUTE_NETWORK) }, "7 no-route-network", "7 no-route" },
    { { SAY(7, PACKET_TOO_BIG), FROM_V4, .round_trip = 5, .mtu = 1400 },
      "7 packet-too-big ip-4 192.0.2.1 round-trip-time 5 mtu 1400", NULL },
    { { SAY(7, PACKET_TOO_BIG), .mtu = UINT32_MAX }, "7 packet-too-big mtu 4294967295", NULL },
    { { SAY(7, NETWORK_DOWN) }, "7 network-down", NULL },
    { { SAY(7, NO_SUCH_DEVICE) }, "7 network-down reason no-such-device", NULL },
    { { SAY(7, HOST_DOWN) }, "7 host-down", NULL },
    { { SAY(7, PERMISSION_DENIED), .error = EPERM }, "7 permission-denied", NULL },
    { { SAY(7, ADDRESS_IN_USE), .error = EADDRINUSE }, "7 address-in-use", NULL },
    { { SAY(7, ADDRESS_NOT_AVAILABLE) }, "7 address-not-available", NULL },
    { { SAY(7, PROBES_EXHAUSTED) }, "7 probes-exhausted", NULL },
    { { SAY(7, UNEXPECTED_ERROR), .error = 71 }, "7 unexpected-error errno 71", NULL },
    { { SAY(7, INVALID_ARGUMENT), .reason = REASON_MISSING_ADDRESS }, "7 invalid-argument reason missing-address",
      NULL },
    { { SAY(7, INVALID_ARGUMENT), .reason = REASON_BAD_VALUE, .argument = WORD("ttl") },
      "7 invalid-argument reason bad-value argument ttl", NULL },
    { { SAY(7, INVALID_ARGUMENT), .reason = REASON_OUT_OF_RANGE, .argument = WORD("ttl") },
      "7 invalid-argument reason out-of-range argument ttl", NULL },
    { { SAY(7, INVALID_ARGUMENT), .reason = REASON_WRONG_FAMILY, .argument = WORD("local-ip-4") },
      "7 invalid-argument reason wrong-family argument local-ip-4", NULL },
    { { SAY(7, INVALID_ARGUMENT), .reason = REASON_IP_VERSION_NOT_SUPPORTED, .argument = WORD("ip-6") },
      "7 invalid-argument reason ip-version-not-supported argument ip-6", NULL },
    { { SAY(7, INVALID_ARGUMENT), .reason = REASON_PROTOCOL_NOT_SUPPORTED, .argument = WORD("protocol") },
      "7 invalid-argument reason protocol-not-supported argument protocol", NULL },
    { { SAY(7, INVALID_ARGUMENT), .reason = REASON_MISSING_FEATURE }, "7 invalid-argument reason missing-feature",
      NULL },
    { { SAY(7, INVALID_ARGUMENT), .reason = REASON_UNKNOWN_ARGUMENT, .argument = WORD("~!bogus") },
      "7 invalid-argument reason unknown-argument argument ~!bogus", NULL },
    { { SAY(0, PARSE_ERROR) }, "0 command-parse-error", NULL },
    { { SAY(0, BUFFER_OVERFLOW) }, "0 command-buffer-overflow", NULL },
    { { SAY(7, UNKNOWN_COMMAND) }, "7 unknown-command", NULL },
    { { SAY(7, FEATURE_SUPPORT), .support = "ok" }, "7 feature-support support ok", NULL },
    { { SAY(7, FEATURE_SUPPORT), .support = "1.2.3" }, "7 feature-support support 1.2.3", NULL },
    { { SAY(7, COLLECTED) }, "7 collected count 0", NULL },
    { { SAY(7, COLLECTED), .count = 5 }, "7 collected count 5", NULL },

    /* of sweeps */
    { { SAY(7, STOPPED) }, "7 stopped count 0", NULL },
    { { SAY(7, STOPPED), .count = 2 }, "7 stopped count 2", NULL },
    { { SAY(7, SWEEPING), .tally = &tally }, "7 sweeping sent 9 answered 3 in-flight 2 left 1099511627775", NULL },
    { { SAY(7, SWEPT), .tally = &tally },
      "7 swept sent 9 answered 3 silent 4 refused 1 next 5 seconds 61.007", NULL },
    { { SAY(7, NO_REPLY), .place = &nowhere }, "7 no-reply", NULL },
    { { SAY(7, NO_REPLY), .place = &place },
      "7 no-reply target fe80::7%eth0 probe-ttl 3 probe-port 53 probe-flow 0", NULL },
    { { SAY(7, REPLY), FROM_V4, .place = &place, .mtu = 1400 },
      "7 reply ip-4 192.0.2.1 round-trip-time 0 target fe80::7%eth0 probe-ttl 3 probe-port 53 probe-flow 0 mtu 1400", NULL },
    { { SAY(7, INVALID_ARGUMENT), .reason = REASON_NO_ROOM_FOR_IDENTITY, .argument = WORD("flow") },
      "7 invalid-argument reason no-room-for-identity argument flow", NULL },

    /* a scope belongs to what is link-local */
    { { SAY(7, REPLY), FROM_V6, .scope = "eth0" }, "7 reply ip-6 2001:db8::1 round-trip-time 0", NULL },
    { { SAY(7, REPLY), FROM_V4, .scope = "eth0" }, "7 reply ip-4 192.0.2.1 round-trip-time 0", NULL },
    { { SAY(7, REPLY), FROM_LINK, .scope = "eth0" }, "7 reply ip-6 fe80::1%eth0 round-trip-time 0", NULL },
    { { SAY(7, REPLY), FROM_LINK, .scope = "17" }, "7 reply ip-6 fe80::1%17 round-trip-time 0", NULL },
    { { SAY(7, REPLY), FROM_LINK, .scope = "\xc3\xa4 " }, "7 reply ip-6 fe80::1%%c3%a4%20 round-trip-time 0", NULL },
    { { SAY(7, REPLY), FROM_LINK, .scope = "a,b=c" }, "7 reply ip-6 fe80::1%a,b=c round-trip-time 0", NULL },
    { { SAY(7, REPLY), FROM_LINK }, "7 reply ip-6 fe80::1 round-trip-time 0", NULL },

    /* names that are not printable ASCII are left out */
    { { SAY(7, INVALID_ARGUMENT), .reason = REASON_UNKNOWN_ARGUMENT, .argument = WORD("a\nb") },
      "7 invalid-argument reason unknown-argument", NULL },
    { { SAY(7, INVALID_ARGUMENT), .reason = REASON_UNKNOWN_ARGUMENT, .argument = WORD("a b") },
      "7 invalid-argument reason unknown-argument", NULL },
    { { SAY(7, INVALID_ARGUMENT), .reason = REASON_UNKNOWN_ARGUMENT, .argument = WORD("a\0b") },
      "7 invalid-argument reason unknown-argument", NULL },
    { { SAY(7, INVALID_ARGUMENT), .reason = REASON_UNKNOWN_ARGUMENT, .argument = WORD("\x7f") },
      "7 invalid-argument reason unknown-argument", NULL },
    { { SAY(7, INVALID_ARGUMENT), .reason = REASON_UNKNOWN_ARGUMENT, .argument = WORD("\xc3\xa4") },
      "7 invalid-argument reason unknown-argument", NULL },
};

static char *
line_of(const struct reply *reply, bool old_words)
{
    static char line[REPLY_MAX + 1];
    char *exact = memory(REPLY_MAX);
    size_t length = reply_write(reply, old_words, exact);
    ck_assert_uint_ge(length, 1);
    ck_assert_uint_le(length, REPLY_MAX);
    memcpy(line, exact, length);
    line[length] = '\0';
    free(exact);
    ck_assert_ptr_eq(strchr(line, '\n'), line + length - 1); /* one line, and nothing behind it */
    line[length - 1] = '\0';
    return line;
}

START_TEST(each_kind)
{
    ck_assert_str_eq(line_of(&replies[_i].reply, false), replies[_i].line);
    ck_assert_str_eq(line_of(&replies[_i].reply, true), replies[_i].old_line ? replies[_i].old_line : replies[_i].line);
}
END_TEST

START_TEST(no_kind_is_forgotten)
{
    bool seen[REPLY_KINDS] = { false };
    for (size_t i = 0; i < COUNT(replies); i++)
        seen[replies[i].reply.kind] = true;
    for (size_t kind = 0; kind < REPLY_KINDS; kind++)
        ck_assert_msg(seen[kind], "kind %zu", kind);
}
END_TEST

START_TEST(a_long_name_makes_no_long_line)
{
    static char name[40000];
    memset(name, 'n', sizeof name);
    for (size_t length = 1; length < sizeof name; length += length / 50 + 1) {
        struct reply reply = { SAY(7, INVALID_ARGUMENT), .reason = REASON_UNKNOWN_ARGUMENT };
        reply.argument = (struct word){ name, length };
        const char *line = line_of(&reply, false);
        const char *without = "7 invalid-argument reason unknown-argument";
        ck_assert(strncmp(line, without, strlen(without)) == 0);
        if (length <= 64) /* a name that someone may have meant is said */
            ck_assert_uint_eq(strlen(line), strlen(without) + strlen(" argument ") + length);
    }
}
END_TEST

/* ---- addresses ---- */

static void
check_address(enum family_id family, const struct address *address, const char *text)
{
    struct reply reply = { SAY(7, REPLY), .answered = true, .family = family, .responder = *address };
    struct text expected = { .length = 0 };
    text_add(&expected, "7 reply ip-%u %s round-trip-time 0", version_of(family), text);
    char *line = line_of(&reply, false);
    if (strcmp(line, expected.text) != 0)
        ck_abort_msg("\"%s\", not \"%s\"", line, expected.text);
}

static const struct {
    enum family_id family;
    const char *text;
} addresses[] = {
    { IPV4, "0.0.0.0" }, { IPV4, "1.20.255.100" }, { IPV4, "255.255.255.255" },
    { IPV6, "::" }, { IPV6, "::1" }, { IPV6, "1::" }, { IPV6, "2001:db8::1" }, { IPV6, "2001:db8:0:1:1:1:1:1" },
    { IPV6, "2001:0:0:1::1" }, { IPV6, "2001:db8::1:0:0:1" }, { IPV6, "::1:0:0:1:1:1" }, { IPV6, "0:1:0:1:0:1:0:1" },
    { IPV6, "fe80::a:b0:c00:d000" },
    { IPV6, "1:2:3:4:5:6:7:0" }, { IPV6, "1:2:3:4:5:6::" }, { IPV6, "0:2:3:4:5:6:7:8" },
    { IPV6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" }, { IPV6, "64:ff9b::c000:201" },
};

START_TEST(address_as_in_rfc_5952)
{
    for (size_t i = 0; i < COUNT(addresses); i++) {
        struct address address = address_of(addresses[i].family, addresses[i].text);
        check_address(addresses[i].family, &address, addresses[i].text);
    }
}
END_TEST

/* musl's inet_ntop(3) compares runs of zeros by their characters, one less at the start: so it shortens the second. */
static bool
library_shortens_the_first(void)
{
    struct address address = address_of(IPV6, "::1:0:0:1:1:1");
    return strcmp(address_text(IPV6, &address), "::1:0:0:1:1:1") == 0;
}

/* As the C library writes them; where it writes the last four bytes with dots, RFC 5952 leaves the choice. */
START_TEST(random_addresses)
{
    bool any_start = library_shortens_the_first();
    uint64_t state = 19;
    for (uint32_t round = 0; round < 30000; round++) {
        enum family_id family = round % 2 ? IPV6 : IPV4;
        struct address address = { { 0 } };
        for (size_t i = 0; i < families[family].address_size; i += 2) {
            bool zero = dice(&state) % 3 == 0;
            address.bytes[i] = (uint8_t)(zero || dice(&state) % 3 == 0 ? 0 : dice(&state));
            address.bytes[i + 1] = (uint8_t)(zero ? 0 : dice(&state));
        }
        const char *text = address_text(family, &address);
        if (family == IPV4 || (!strchr(text, '.') && (any_start || address.bytes[0] || address.bytes[1])))
            check_address(family, &address, text);
    }
}
END_TEST

/* ---- labels ---- */

/* The objects are checked already: no extension header stands before them. */
static const struct {
    const char *objects;
    const char *mpls;
} stacks[] = {
    { "", "" },
    { "0008 01 01 00010 1 40", " mpls 16,0,1,64" },
    { "0008 01 01 fffff f ff", " mpls 1048575,7,1,255" },
    { "0008 01 01 00000 0 00", " mpls 0,0,0,0" },
    { "0008 01 01 00018 a 01", " mpls 24,5,0,1" },
    { "0010 01 01 00010 0 01 00011 2 02 00012 1 03", " mpls 16,0,0,1,17,1,0,2,18,0,1,3" },
    { "0008 01 01 00010 1 40 0008 01 01 00011 1 41", " mpls 16,0,1,64,17,0,1,65" },
    { "000c 02 01 deadbeef cafebabe 0008 01 01 00010 1 40", " mpls 16,0,1,64" }, /* behind an interface object */
    { "0008 01 01 00010 1 40 0004 03 01 0008 01 01 00011 1 41", " mpls 16,0,1,64,17,0,1,65" },
    { "0008 01 02 00010 1 40", "" },          /* another type of that class */
    { "0008 02 01 00010 1 40", "" },
    { "0004 01 01", "" },                     /* an empty stack */
    { "0007 01 01 00010 1", "" },             /* not a whole label */
    { "000b 01 01 00010 1 40 000000", " mpls 16,0,1,64" },
    { "0008 01 01 00010 1 40 0003 01 01 00010 1 40", " mpls 16,0,1,64" }, /* a length below its header's */
    { "0008 01 01 00010 1 40 0000 01 01 00010 1 40", " mpls 16,0,1,64" },
    { "0008 01 01 00010 1 40 0009 01 01 00011 1 41", " mpls 16,0,1,64" }, /* longer than what is left */
    { "0008 01 01 00010 1 40 0008 01", " mpls 16,0,1,64" },
};

START_TEST(labels)
{
    /* drop the blanks inside labels */
    char hex[256];
    size_t length = 0;
    for (const char *at = stacks[_i].objects; *at; at++)
        if (*at != ' ')
            hex[length++] = *at;
    hex[length] = '\0';
    struct blob objects = blob_of_hex(hex);
    struct reply reply = { SAY(7, TTL_EXPIRED), FROM_V4, .round_trip = 5, .extensions = blob_reader(&objects) };
    struct text expected = { .length = 0 };
    text_add(&expected, "7 ttl-expired ip-4 192.0.2.1 round-trip-time 5%s", stacks[_i].mpls);
    ck_assert_str_eq(line_of(&reply, false), expected.text);
    blob_free(&objects);
}
END_TEST

START_TEST(what_follows_the_labels)
{
    struct blob objects = blob_of_hex("00080101 00010140");
    struct reply reply = { SAY(7, PACKET_TOO_BIG), FROM_V4, .extensions = blob_reader(&objects), .mtu = 1400 };
    const char *expected = "7 packet-too-big ip-4 192.0.2.1 round-trip-time 0 mpls 16,0,1,64 mtu 1400";
    ck_assert_str_eq(line_of(&reply, false), expected);
    blob_free(&objects);
}
END_TEST

/* COUNT labels of a changing number of digits, in objects of PER_OBJECT labels, and their text. */
static struct blob
long_stack(size_t count, size_t per_object, char *text)
{
    uint8_t *bytes = memory(count * 8 + 64);
    struct writer writer = { .start = bytes, .size = count * 8 + 64 };
    *text = '\0';
    for (size_t i = 0; i < count; i++) {
        if (i % per_object == 0) {
            size_t here = count - i < per_object ? count - i : per_object;
            write_u16(&writer, (uint16_t)(4 + 4 * here));
            write_u16(&writer, 0x0101);
        }
        uint32_t label = i % 3 ? (uint32_t)i : 1048575, ttl = (uint32_t)i % 256;
        write_u32(&writer, label << 12 | ttl);
        text += sprintf(text, "%s%u,0,0,%u", i ? "," : "", label, ttl);
    }
    struct blob blob = blob_copy(bytes, writer.used);
    free(bytes);
    return blob;
}

/* However long the line before it is: the stack is cut behind a whole label, and what follows is there. */
START_TEST(a_stack_too_long_is_cut)
{
    static const size_t per_object[] = { 1, 7, 1000 };
    char *all = memory(40000);
    for (size_t i = 0; i < COUNT(per_object); i++) {
        struct blob objects = long_stack(1000, per_object[i], all);
        for (int64_t round_trip = 1; round_trip < INT64_C(10000000000000000); round_trip *= 10) {
            struct reply reply = { SAY(7, TTL_EXPIRED), FROM_V6, .round_trip = round_trip, .mtu = UINT32_MAX };
            reply.extensions = blob_reader(&objects);
            char *line = line_of(&reply, false);
            char *mpls = strstr(line, " mpls "), *mtu = strstr(line, " mtu 4294967295");
            ck_assert(mpls && mtu && strcmp(mtu, " mtu 4294967295") == 0);
            ck_assert_uint_ge(strlen(line), REPLY_MAX - 64); /* not cut too early */
            *mtu = '\0';
            mpls += strlen(" mpls ");
            size_t commas = 0, length = strlen(mpls);
            for (const char *at = mpls; *at; at++)
                commas += *at == ',';
            ck_assert_uint_eq(commas % 4, 3);
            ck_assert(strncmp(mpls, all, length) == 0 && all[length] == ',');
        }
        blob_free(&objects);
    }
    free(all);
}
END_TEST

static const struct {
    int error;
    enum reply_kind kind;
} errors[] = {
    { ENETUNREACH, REPLY_NO_ROUTE_NETWORK },
    { EHOSTUNREACH, REPLY_NO_ROUTE_HOST },
    { ENETDOWN, REPLY_NETWORK_DOWN },
    { ENODEV, REPLY_NO_SUCH_DEVICE },
    { EHOSTDOWN, REPLY_HOST_DOWN },
    { EPERM, REPLY_PERMISSION_DENIED },
    { EACCES, REPLY_PERMISSION_DENIED },
    { EADDRINUSE, REPLY_ADDRESS_IN_USE },
    { EADDRNOTAVAIL, REPLY_ADDRESS_NOT_AVAILABLE },
    { EMSGSIZE, REPLY_PACKET_TOO_BIG },
    { EMFILE, REPLY_PROBES_EXHAUSTED },
    { ENFILE, REPLY_PROBES_EXHAUSTED },
    { ENOMEM, REPLY_PROBES_EXHAUSTED },
    { ENOSPC, REPLY_PROBES_EXHAUSTED },
    { EINVAL, REPLY_UNEXPECTED_ERROR },
    { EPROTO, REPLY_UNEXPECTED_ERROR },
    { 0, REPLY_UNEXPECTED_ERROR },
};

START_TEST(local_errors)
{
    for (size_t i = 0; i < COUNT(errors); i++)
        ck_assert_msg(reply_kind_of_error(errors[i].error) == errors[i].kind, "%s", strerror(errors[i].error));
}
END_TEST

Suite *
reply_suite(void)
{
    Suite *suite = suite_create("reply");
    TCase *tests = tcase_create("reply");
    tcase_add_loop_test(tests, each_kind, 0, COUNT(replies));
    tcase_add_test(tests, no_kind_is_forgotten);
    tcase_add_test(tests, a_long_name_makes_no_long_line);
    tcase_add_test(tests, address_as_in_rfc_5952);
    tcase_add_test(tests, random_addresses);
    tcase_add_loop_test(tests, labels, 0, COUNT(stacks));
    tcase_add_test(tests, what_follows_the_labels);
    tcase_add_test(tests, a_stack_too_long_is_cut);
    tcase_add_test(tests, local_errors);
    suite_add_tcase(suite, tests);
    return suite;
}
