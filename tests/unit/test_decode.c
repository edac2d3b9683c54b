/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "packets/packet.h"
#include "packets/protocol.h"
#include "suites.h"
#include "support.h"

#define US_V6 "2001:db8::1"
#define TARGET_V6 "2001:db8:7::7"
#define ROUTER_V6 "2001:db8:9::9"

/*
 * Packets and what they tell. IPv4: from the IP header on, as a raw socket hands them over; IPv6: from the transport
 * header on, with the protocol's number and the sender beside.
 */
static const struct packet_case {
    const char *name;
    enum family_id family;
    uint8_t number;
    const char *from;
    const char *hex;
    const char *expected;
} packets[] = {
#include "decode_linux.inc"
#include "decode_v4.inc"
#include "decode_v6.inc"
};

static const struct instant arrival = { 123456789 };

static struct datagram
datagram_of(const struct packet_case *row, const struct blob *blob)
{
    struct datagram datagram = {
        .family = row->family,
        .number = row->number,
        .bytes = blob_reader(blob),
        .arrived = arrival,
    };
    if (row->family == IPV6) {
        datagram.from = address_of(IPV6, row->from);
        datagram.to = address_of(IPV6, US_V6);
        datagram.ttl = 57;
        datagram.tos = 3;
    }
    return datagram;
}

static const char *const meanings[] = {
    [MEANS_NOTHING] = "nothing",
    [MEANS_TTL_EXPIRED] = "expired",
    [MEANS_NO_ROUTE_HOST] = "no-route-host",
    [MEANS_NO_ROUTE_NETWORK] = "no-route-network",
    [MEANS_NO_PORT] = "no-port",
    [MEANS_NO_PROTOCOL] = "no-protocol",
    [MEANS_NOT_REASSEMBLED] = "not-reassembled",
    [MEANS_TOO_BIG] = "too-big",
};

static void
add_error(struct text *text, const struct answer *answer)
{
    text_add(text, " error %u/%u %s quoted %s > %s ttl %u tos %u", answer->icmp_type, answer->icmp_code,
             meanings[answer->meaning], address_text(answer->family, &answer->source),
             address_text(answer->family, &answer->target), answer->quoted_ttl, answer->quoted_tos);
    if (answer->quoted_mss != answer->sent_mss && answer->quoted_mss)
        text_add(text, " mss %u, sent %u", answer->quoted_mss, answer->sent_mss);
    if (answer->mtu)
        text_add(text, " mtu %u", answer->mtu);
    if (answer->extensions.left)
        text_add(text, " extensions %zu", answer->extensions.left);
}

static void
add_kind(struct text *text, const struct answer *answer)
{
    static const char *const names[ICMP_REQUESTS] = { "echo", "timestamp", "extended" };
    text_add(text, answer->is_error ? " of a %s" : " %s", names[answer->icmp_request]);
    if (answer->icmp_request == ICMP_REQUEST_TIMESTAMP && !answer->is_error)
        text_add(text, " %u %u %u", answer->originate, answer->receive, answer->transmit);
    if (answer->icmp_request == ICMP_REQUEST_EXTENDED && !answer->is_error)
        text_add(text, " code %u state %02x", answer->icmp_code, answer->interface_state);
}

static struct text
describe(const struct answer *answer)
{
    static const char *const names[] = { "icmp", "udp", "tcp", "sctp" };
    struct text text = { .length = 0 };
    text_add(&text, "%s %s > %s ttl %u tos %u size %zu near %04x far %04x", names[answer->protocol],
             address_text(answer->family, &answer->from), address_text(answer->family, &answer->to), answer->ttl,
             answer->tos, answer->size, answer->near, answer->far);
    if (answer->has_number)
        text_add(&text, " number %08x", answer->number);
    if (answer->has_checksum)
        text_add(&text, " checksum %04x", answer->checksum);
    if (answer->has_ip_id)
        text_add(&text, " ip-id %04x", answer->ip_id);
    if (answer->has_payload)
        text_add(&text, " payload %zu", answer->payload.left);
    if (answer->content.left && !answer->has_payload)
        text_add(&text, " content %zu", answer->content.left);
    if (answer->icmp_request != ICMP_REQUEST_ECHO)
        add_kind(&text, answer);
    if (answer->is_error)
        add_error(&text, answer);
    return text;
}

/* What is the same for every answer, and says nothing in a table. */
static void
check_rest(const struct packet_case *row, const struct answer *answer, const struct blob *blob)
{
    MUST(answer->family == row->family);
    ck_assert_int_eq(answer->arrived.ns, arrival.ns);
    MUST(!(answer->known & KNOWN_ID) == (row->family == IPV6));
    MUST(row->family == IPV6 || answer->id == (blob->bytes[4] << 8 | blob->bytes[5]));
    if (!answer->is_error) {
        MUST(address_same(&answer->source, &answer->to) && address_same(&answer->target, &answer->from));
        ck_assert_uint_eq(answer->extensions.left, 0);
    }
    const uint8_t *end = blob->bytes + blob->length;
    if (answer->content.left)
        MUST(!answer->is_error && answer->content.at >= blob->bytes && answer->content.at + answer->content.left <= end);
    if (answer->has_payload)
        MUST(answer->payload.at >= blob->bytes && answer->payload.at + answer->payload.left <= end);
    if (answer->extensions.left)
        MUST(answer->extensions.at >= blob->bytes && answer->extensions.at + answer->extensions.left <= end);
}

START_TEST(decoded)
{
    const struct packet_case *row = &packets[_i];
    struct blob blob = blob_of_hex(row->hex);
    struct datagram datagram = datagram_of(row, &blob);
    struct answer answer;
    struct text text = { .text = "no answer" };
    if (packet_decode(&datagram, &answer)) {
        text = describe(&answer);
        check_rest(row, &answer, &blob);
    }
    ck_assert_msg(strcmp(text.text, row->expected) == 0, "%s:\n%s, not\n%s", row->name, text.text, row->expected);
    blob_free(&blob);
}
END_TEST

/* ---- truncated ---- */

/*
 * What a shorter packet still tells must be what the whole one told; it may tell less. The quote's addresses and ports
 * are told always, or there is no answer.
 */
static void
check_tells_less(const struct answer *cut, const struct answer *whole)
{
    MUST(cut->protocol == whole->protocol && cut->is_error == whole->is_error);
    MUST(address_same(&cut->from, &whole->from) && address_same(&cut->to, &whole->to));
    MUST(address_same(&cut->source, &whole->source) && address_same(&cut->target, &whole->target));
    MUST(cut->near == whole->near && cut->far == whole->far);
    MUST(cut->ttl == whole->ttl && cut->tos == whole->tos && cut->id == whole->id);
    MUST(cut->icmp_type == whole->icmp_type && cut->icmp_code == whole->icmp_code);
    MUST(cut->meaning == whole->meaning && cut->mtu == whole->mtu && cut->icmp_request == whole->icmp_request);
    MUST(cut->interface_state == whole->interface_state);
    MUST(cut->originate == whole->originate && cut->receive == whole->receive && cut->transmit == whole->transmit);
    MUST(!cut->quoted_mss || (cut->quoted_mss == whole->quoted_mss && cut->sent_mss == whole->sent_mss));
    MUST(cut->quoted_ttl == whole->quoted_ttl && cut->quoted_tos == whole->quoted_tos);
    MUST(!cut->has_number || (whole->has_number && cut->number == whole->number));
    MUST(!cut->has_ip_id || (whole->has_ip_id && cut->ip_id == whole->ip_id));
    if (cut->is_error) /* of an echo reply the checksum is another for each length */
        MUST(!cut->has_checksum || (whole->has_checksum && cut->checksum == whole->checksum));
    size_t common = cut->payload.left < whole->payload.left ? cut->payload.left : whole->payload.left;
    MUST(!cut->has_payload || (whole->has_payload && memcmp(cut->payload.at, whole->payload.at, common) == 0));
}

/* What a checksum is over, in an IPv4 packet of a right length; and where it is. */
struct checked {
    size_t start, length, offset; /* length 0: there is none */
    uint32_t sum;                 /* the pseudo header's */
};

static struct checked
checked_v4(const struct blob *blob)
{
    const uint8_t *bytes = blob->bytes;
    size_t header = (size_t)(bytes[0] & 15) * 4, length = (size_t)(bytes[2] << 8 | bytes[3]);
    struct checked checked = { .start = header, .length = length > header ? length - header : 0 };
    switch (bytes[9]) {
    case IPPROTO_ICMP:
        checked.offset = 2;
        break;
    case IPPROTO_TCP:
        checked.offset = 16;
        break;
    case IPPROTO_UDP:
        checked.offset = 6;
        if (checked.length < 8)
            return (struct checked){ .length = 0 };
        length = (size_t)(bytes[header + 4] << 8 | bytes[header + 5]);
        checked.length = length < checked.length ? length : checked.length;
        break;
    default:
        return (struct checked){ .length = 0 };
    }
    if (checked.length < checked.offset + 2)
        return (struct checked){ .length = 0 };
    if (bytes[9] != IPPROTO_ICMP)
        checked.sum = plain_pseudo_sum(IPV4, bytes + 12, bytes + 16, bytes[9], checked.length);
    return checked;
}

/* Makes the lengths and checksums of a truncated IPv4 packet right again, as if it had been sent so. */
static void
mend_v4(struct blob *blob)
{
    blob->bytes[2] = (uint8_t)(blob->length >> 8);
    blob->bytes[3] = (uint8_t)blob->length;
    struct checked checked = checked_v4(blob);
    if (!checked.length)
        return;
    uint8_t *field = blob->bytes + checked.start + checked.offset;
    field[0] = field[1] = 0;
    uint16_t checksum = (uint16_t)~plain_sum(checked.sum, blob->bytes + checked.start, checked.length);
    field[0] = (uint8_t)(checksum >> 8);
    field[1] = (uint8_t)checksum;
}

static void
truncate_everywhere(const struct packet_case *row)
{
    struct blob blob = blob_of_hex(row->hex);
    struct datagram datagram = datagram_of(row, &blob);
    struct answer whole, cut;
    bool good = packet_decode(&datagram, &whole);
    size_t said = row->family == IPV4 ? (size_t)(blob.bytes[2] << 8 | blob.bytes[3]) : blob.length;
    for (size_t length = 0; length < blob.length; length++) {
        struct blob shorter = blob_copy(blob.bytes, length);
        datagram = datagram_of(row, &shorter);
        bool accepted = packet_decode(&datagram, &cut);
        /* an IPv4 packet says how long it is */
        ck_assert_msg(!accepted || row->family == IPV6 || length >= said, "%s, cut at %zu", row->name, length);
        if (accepted && good) {
            check_tells_less(&cut, &whole);
            check_rest(row, &cut, &shorter);
        }
        if (row->family == IPV4 && length >= 20) {
            mend_v4(&shorter);
            if (packet_decode(&datagram, &cut) && good)
                check_tells_less(&cut, &whole);
        }
        blob_free(&shorter);
    }
    blob_free(&blob);
}

START_TEST(truncated_everywhere)
{
    for (size_t i = 0; i < COUNT(packets); i++)
        truncate_everywhere(&packets[i]);
}
END_TEST

/* ---- damaged ---- */

/* Which bytes of an SCTP packet its CRC proves: none where it was not computed. */
static struct checked
proven_by_crc(size_t header, const struct blob *blob, size_t length)
{
    static const uint8_t none[4];
    bool computed = memcmp(blob->bytes + header + 8, none, sizeof none) != 0;
    return (struct checked){ .start = header, .length = computed ? length - header : 0 };
}

/* Which bytes of a packet a checksum proves: none when there is no checksum, or an unfinished one. */
static struct checked
proven_bytes(const struct packet_case *row, const struct blob *blob)
{
    const struct checked none = { .length = 0 };
    size_t length = (size_t)(blob->bytes[2] << 8 | blob->bytes[3]);
    if (row->family == IPV6)
        return row->number == IPPROTO_SCTP ? proven_by_crc(0, blob, blob->length) : none;
    if (length > blob->length)
        return none;
    if (blob->bytes[9] == IPPROTO_SCTP)
        return proven_by_crc(20, blob, length);
    struct checked checked = checked_v4(blob);
    return plain_sum(checked.sum, blob->bytes + checked.start, checked.length) == 0xffff ? checked : none;
}

static const uint8_t masks[] = { 0xff, 0x01, 0x80, 0x10 };

/* The kernel has proven IPv6's checksums and IPv4's header; what is left for us to prove is what IPv4 carries, and SCTP. */
static void
flip_every_byte(const struct packet_case *row)
{
    struct blob blob = blob_of_hex(row->hex);
    struct datagram datagram = datagram_of(row, &blob);
    struct answer answer;
    bool good = packet_decode(&datagram, &answer);
    struct checked proven = proven_bytes(row, &blob);
    for (size_t at = 0; at < blob.length; at++) {
        bool is_proven = at >= proven.start && at < proven.start + proven.length;
        for (size_t i = 0; i < COUNT(masks); i++) {
            blob.bytes[at] ^= masks[i];
            bool accepted = packet_decode(&datagram, &answer);
            if (accepted)
                check_rest(row, &answer, &blob);
            ck_assert_msg(!good || !accepted || !is_proven, "%s, byte %zu flipped", row->name, at);
            blob.bytes[at] ^= masks[i];
        }
    }
    blob_free(&blob);
}

START_TEST(every_byte_flipped)
{
    for (size_t i = 0; i < COUNT(packets); i++)
        flip_every_byte(&packets[i]);
}
END_TEST

/* Damage that leaves every checksum right, as from a hostile router. */
static void
damage_and_mend(const struct packet_case *row)
{
    struct blob blob = blob_of_hex(row->hex);
    uint64_t state = (uint64_t)(row - packets);
    for (size_t round = 0; round < 300; round++) {
        struct blob copy = blob_copy(blob.bytes, blob.length - dice(&state) % (blob.length / 2 + 1));
        struct datagram datagram = datagram_of(row, &copy);
        struct answer answer;
        for (uint32_t flips = dice(&state) % 6 + 1; flips > 0; flips--)
            copy.bytes[dice(&state) % copy.length] = (uint8_t)dice(&state);
        if (row->family == IPV4 && copy.length >= 20)
            mend_v4(&copy);
        if (packet_decode(&datagram, &answer))
            check_rest(row, &answer, &copy);
        blob_free(&copy);
    }
    blob_free(&blob);
}

START_TEST(damaged_and_mended)
{
    for (size_t i = 0; i < COUNT(packets); i++)
        damage_and_mend(&packets[i]);
}
END_TEST

START_TEST(noise)
{
    uint64_t state = 11;
    for (size_t round = 0; round < 20000; round++) {
        uint8_t bytes[256];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)dice(&state);
        struct blob blob = blob_copy(bytes, dice(&state) % sizeof bytes);
        static const uint8_t numbers[] = { 58, 17, 6, 132, 0 };
        struct datagram datagram = { .family = round % 2 ? IPV6 : IPV4, .bytes = blob_reader(&blob) };
        struct answer answer;
        datagram.number = numbers[round / 2 % COUNT(numbers)];
        if (round % 2 == 0 && blob.length >= 20) {
            blob.bytes[0] = (uint8_t)(0x40 | (blob.bytes[0] & 7) | 4);
            blob.bytes[6] = blob.bytes[7] = 0;
            blob.bytes[9] = datagram.number == 58 ? 1 : datagram.number;
            mend_v4(&blob);
        }
        if (packet_decode(&datagram, &answer) && answer.has_payload)
            MUST(answer.payload.at + answer.payload.left <= blob.bytes + blob.length);
        blob_free(&blob);
    }
}
END_TEST

Suite *
decode_suite(void)
{
    Suite *suite = suite_create("decode");
    TCase *tests = tcase_create("decode");
    tcase_add_loop_test(tests, decoded, 0, COUNT(packets));
    tcase_add_test(tests, truncated_everywhere);
    tcase_add_test(tests, every_byte_flipped);
    tcase_add_test(tests, damaged_and_mended);
    tcase_add_test(tests, noise);
    suite_add_tcase(suite, tests);
    return suite;
}
