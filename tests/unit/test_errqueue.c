/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <sys/socket.h>

#include "packets/icmpext.h"
#include "packets/protocol.h"
#include "plain/errqueue.h"
#include "suites.h"
#include "support.h"

#define EXTENSION " 2000 ddb5 0008 0101 0001 0140"
#define HERE "192.0.2.1"
#define ROUTER "192.0.2.254"

static const char *const addresses[FAMILIES][3] = {
    [IPV4] = { "192.0.2.1", "192.0.2.9", "192.0.2.254" },
    [IPV6] = { "2001:db8::1", "2001:db8::9", "2001:db8::fe" },
};

/* An error as a socket's error queue has it, and what is to come of it. */
struct row {
    const char *name;
    enum family_id family;
    enum protocol_id protocol;
    bool shared;
    uint8_t origin, type, code;
    uint16_t announced;
    const char *quoted;
    bool is_answer;
    enum meaning meaning;
    bool has_checksum;
    uint16_t checksum;
    size_t objects; /* bytes of extension objects */
};

#define V4 IPV4, PROTOCOL_UDP, false, SO_EE_ORIGIN_ICMP
#define V4_SHARED IPV4, PROTOCOL_UDP, true, SO_EE_ORIGIN_ICMP
#define V6 IPV6, PROTOCOL_UDP, false, SO_EE_ORIGIN_ICMP6

static const struct row rows[] = {
    { "eight bytes quoted", V4, 11, 0, 0, "", true, MEANS_TTL_EXPIRED, false, 0, 0 },
    { "eight bytes quoted, of shared ports", V4_SHARED, 11, 0, 0, "", true, MEANS_TTL_EXPIRED, false, 0, 0 },
    { "one byte of payload", V4_SHARED, 11, 0, 0, "ab", true, MEANS_TTL_EXPIRED, false, 0, 0 },
    { "two bytes of payload", V4_SHARED, 11, 0, 0, "abcd", true, MEANS_TTL_EXPIRED, true, 0xabcd, 0 },
    { "padding alone", V4_SHARED, 11, 0, 0, "00*100", true, MEANS_TTL_EXPIRED, false, 0, 0 },
    { "port unreachable", V4, 3, 3, 0, "abcd", true, MEANS_NO_PORT, true, 0xabcd, 0 },
    { "too big", V4, 3, 4, 0, "abcd", true, MEANS_TOO_BIG, true, 0xabcd, 0 },
    { "IPv6, time exceeded", V6, 3, 0, 0, "abcd", true, MEANS_TTL_EXPIRED, true, 0xabcd, 0 },
    { "IPv6, too big", V6, 2, 0, 0, "abcd", true, MEANS_TOO_BIG, true, 0xabcd, 0 },
    { "an ICMP type that is no error", V4, 5, 1, 0, "abcd", false, 0, false, 0, 0 },
    { "a local error", IPV4, PROTOCOL_UDP, false, SO_EE_ORIGIN_LOCAL, 11, 0, 0, "", false, 0, false, 0, 0 },
    { "a stamp", IPV4, PROTOCOL_UDP, false, SO_EE_ORIGIN_TIMESTAMPING, 11, 0, 0, "", false, 0, false, 0, 0 },
    { "ICMPv6 on an IPv4 socket", IPV4, PROTOCOL_UDP, false, SO_EE_ORIGIN_ICMP6, 11, 0, 0, "", false, 0, false, 0,
      0 },
    /* 128 bytes of quote, less 20 or 40 of IP header and 8 of UDP header */
    { "labels, length field", V4, 11, 0, 100, "ab*100" EXTENSION, true, MEANS_TTL_EXPIRED, true, 0xabab, 8 },
    { "labels, longer quote", V4, 11, 0, 124, "ab*124" EXTENSION, true, MEANS_TTL_EXPIRED, true, 0xabab, 8 },
    { "labels, old form", V4, 11, 0, 0, "ab*100" EXTENSION, true, MEANS_TTL_EXPIRED, true, 0xabab, 8 },
    { "labels, old form behind options", V4, 11, 0, 0, "ab*60" EXTENSION, true, MEANS_TTL_EXPIRED, true, 0xabab, 8 },
    { "labels, old form at no place", V4, 11, 0, 0, "ab*99" EXTENSION, true, MEANS_TTL_EXPIRED, true, 0xabab, 0 },
    { "labels, IPv6, old form", V6, 3, 0, 0, "ab*80" EXTENSION, true, MEANS_TTL_EXPIRED, true, 0xabab, 8 },
    { "labels, IPv6, old form behind a header", V6, 3, 0, 0, "ab*72" EXTENSION, true, MEANS_TTL_EXPIRED, true, 0xabab,
      8 },
    { "labels, IPv6, length field", V6, 3, 0, 80, "ab*80" EXTENSION, true, MEANS_TTL_EXPIRED, true, 0xabab, 8 },
    { "labels, IPv6, old form behind a translator", V6, 3, 0, 0, "ab*100" EXTENSION, true, MEANS_TTL_EXPIRED, true,
      0xabab, 8 },
    { "labels where there are none", V6, 2, 0, 0, "ab*80" EXTENSION, true, MEANS_TOO_BIG, true, 0xabab, 0 },
    { "a length beyond the end", V4, 11, 0, 400, "ab*100" EXTENSION, true, MEANS_TTL_EXPIRED, true, 0xabab, 0 },
};

static struct controls
controls_of(const struct row *row)
{
    struct controls controls = {
        .has_error = true,
        .ttl = 60,
        .to = address_of(row->family, addresses[row->family][0]),
        .offender = address_of(row->family, addresses[row->family][2]),
    };
    controls.error.ee_origin = row->origin;
    controls.error.ee_type = row->type;
    controls.error.ee_code = row->code;
    controls.error.ee_info = 1400;
    controls.error.ee_rfc4884.len = row->announced;
    if (row->meaning != MEANS_TOO_BIG && !row->announced)
        controls.error.ee_info = 0;
    return controls;
}

START_TEST(decoded)
{
    const struct row *row = &rows[_i];
    struct controls controls = controls_of(row);
    struct blob blob = blob_of_hex(row->quoted);
    struct answer answer;
    const struct queued_error queued = {
        .family = row->family,
        .protocol = row->protocol,
        .near = 4000,
        .far = 33434,
        .shared = row->shared,
        .target = address_of(row->family, addresses[row->family][1]),
        .controls = &controls,
        .quoted = blob_reader(&blob),
        .arrived = { 7 },
    };
    bool is_answer = errqueue_decode(&queued, &answer);
    ck_assert_msg(is_answer == row->is_answer, "%s", row->name);
    if (is_answer) {
        ck_assert(answer.is_error && answer.arrived.ns == 7 && answer.ttl == 60);
        ck_assert(answer.icmp_type == row->type && answer.icmp_code == row->code);
        ck_assert(answer.near == 4000 && answer.far == 33434);
        ck_assert(address_same(&answer.from, &controls.offender) && address_same(&answer.target, &queued.target));
        ck_assert(address_same(&answer.source, &controls.to));
        ck_assert_int_eq(answer.meaning, row->meaning);
        ck_assert_uint_eq(answer.mtu, row->meaning == MEANS_TOO_BIG ? 1400 : 0);
        ck_assert_msg(answer.has_checksum == row->has_checksum && answer.checksum == row->checksum, "%s", row->name);
        ck_assert_msg(answer.ports_shared == row->shared && !answer.has_ip_id, "%s", row->name);
        ck_assert_msg(answer.extensions.left == row->objects, "%s: %zu bytes of objects", row->name,
                      answer.extensions.left);
    }
    blob_free(&blob);
}
END_TEST

/* What an ICMP and a TCP socket hand over begins with the quoted header. */
START_TEST(headers)
{
    struct row row = { .family = IPV4, .origin = SO_EE_ORIGIN_ICMP, .type = 11 };
    struct controls controls = controls_of(&row);
    struct blob echo = blob_of_hex("0800 1234 f010 0007 ab*80"), syn = blob_of_hex("f000 0050 12345678");
    struct answer answer;
    struct queued_error queued = { .family = IPV4, .protocol = PROTOCOL_ICMP, .controls = &controls };
    queued.quoted = blob_reader(&echo);
    ck_assert(errqueue_decode(&queued, &answer));
    ck_assert(answer.near == 0xf010 && answer.far == 7 && answer.has_checksum && answer.checksum == 0x1234);
    ck_assert_uint_eq(answer.payload.left, 80);
    queued.protocol = PROTOCOL_TCP;
    queued.quoted = blob_reader(&syn);
    ck_assert(errqueue_decode(&queued, &answer));
    ck_assert(answer.near == 0xf000 && answer.far == 80 && answer.has_number && answer.number == 0x12345678);
    queued.quoted.left = 7;
    ck_assert(!errqueue_decode(&queued, &answer));
    blob_free(&echo);
    blob_free(&syn);
}
END_TEST

/* A message as the kernel hands it over, read back. */
START_TEST(controls)
{
    _Alignas(struct cmsghdr) char bytes[512];
    struct msghdr message = { .msg_control = bytes };
    struct {
        struct sock_extended_err error;
        struct sockaddr_in offender;
    } said = { .error = { .ee_origin = SO_EE_ORIGIN_ICMP, .ee_type = 11, .ee_info = 9 },
               .offender = { .sin_family = AF_INET } };
    struct address router = address_of(IPV4, ROUTER), here = address_of(IPV4, HERE);
    struct in_pktinfo link = { .ipi_ifindex = 3 };
    struct timespec stamp = { 3, 5 };
    struct scm_timestamping stamps = { { { 2, 1 } } };
    struct controls read;
    uint32_t lost = 11;
    uint8_t tos = 8;
    int ttl = 61;
    memcpy(&said.offender.sin_addr, router.bytes, sizeof said.offender.sin_addr);
    control_add(&message, SOL_SOCKET, SCM_TIMESTAMPNS, &stamp, sizeof stamp);
    control_add(&message, SOL_SOCKET, SCM_TIMESTAMPING, &stamps, sizeof stamps);
    control_add(&message, SOL_SOCKET, SO_RXQ_OVFL, &lost, sizeof lost);
    control_add(&message, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    control_add(&message, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    control_add(&message, IPPROTO_IP, IP_RECVERR, &said, sizeof said);
    controls_read(&message, &read);
    ck_assert(read.has_stamp && read.stamp.ns == 3 * NS_PER_S + 5);
    ck_assert(read.has_departure && read.departure.ns == 2 * NS_PER_S + 1);
    ck_assert(read.has_lost && read.lost == 11 && read.ttl == 61 && read.tos == 8);
    ck_assert(read.has_error && read.error.ee_type == 11 && address_same(&read.offender, &router));
    message.msg_controllen = 0;
    memcpy(&link.ipi_addr, here.bytes, sizeof link.ipi_addr);
    control_add(&message, IPPROTO_IP, IP_PKTINFO, &link, sizeof link);
    control_add(&message, IPPROTO_IP, IP_RECVERR, &said, sizeof said.error - 1); /* too short */
    controls_read(&message, &read);
    ck_assert(!read.has_error && !read.has_stamp && !read.has_lost && address_same(&read.to, &here));
}
END_TEST

Suite *
errqueue_suite(void)
{
    Suite *suite = suite_create("errqueue");
    TCase *tests = tcase_create("errqueue");
    tcase_add_loop_test(tests, decoded, 0, (int)COUNT(rows));
    tcase_add_test(tests, headers);
    tcase_add_test(tests, controls);
    suite_add_tcase(suite, tests);
    return suite;
}
