/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "packets/checksum.h"
#include "packets/icmp.h"
#include "packets/protocol.h"
#include "suites.h"
#include "support.h"

#define US_V4 "192.0.2.1"
#define US_V6 "2001:db8::1"
#define TARGET_V4 "198.51.100.7"
#define TARGET_V6 "2001:db8:7::7"
#define NONCE UINT64_C(0x1122334455667788)

/* The IP headers of the packets below, up to what differs. */
#define IP_V4(length, flags, number) "45 b8 " length " 4321 " flags " 09 " number " 0000 c0000201 c6336407 "
#define IP_V6(length, number) "6b800000 " length number " 09 20010db8 00*11 01 20010db8 0007 00*9 07 "
#define SYN_OPTIONS(mss) "0204 " mss " 0402 080a 76543210 00000000 01 030307"

/* Two bytes of a packet as a number. */
static size_t
u16_at(const uint8_t *bytes)
{
    return (size_t)bytes[0] << 8 | bytes[1];
}

static struct request
request_to(enum family_id family, enum protocol_id protocol)
{
    return (struct request){
        .family = family,
        .protocol = protocol,
        .target = address_of(family, family == IPV4 ? TARGET_V4 : TARGET_V6),
        .ttl = 9,
        .size = 64,
        .tos = 0xb8,
    };
}

static struct identity
identity_of(enum family_id family)
{
    return (struct identity){
        .source = address_of(family, family == IPV4 ? US_V4 : US_V6),
        .number = 0x89abcdef,
        .near = 0xf012,
        .far = 80,
        .ip_id = 0x4321,
    };
}

/* ---- byte for byte ---- */

static const struct {
    const char *name;
    enum family_id family;
    enum protocol_id protocol;
    uint16_t near, far;
    uint32_t size;
    int pattern; /* -1: none, but a nonce */
    bool balanced;
    const char *packet;
    uint16_t checksum;
} packets[] = {
    { "icmp", IPV4, PROTOCOL_ICMP, 0xabc5, 0x0102, 64, -1, false,
      IP_V4("0040", "0000", "01") "08 00 39e3 abc5 0102 1122334455667788 00*28", 0x39e3 },
    { "icmp with a pattern", IPV4, PROTOCOL_ICMP, 0xabc5, 0x0102, 51, 0xd4, false,
      IP_V4("0033", "0000", "01") "08 00 5212 abc5 0102 d4*23", 0x5212 },
    { "udp", IPV4, PROTOCOL_UDP, 0xf012, 0x829a, 64, -1, false,
      IP_V4("0040", "0000", "11") "f012 829a 002c 8f57 1122334455667788 00*28", 0x8f57 },
    { "udp, balanced", IPV4, PROTOCOL_UDP, 0xf012, 0x829a, 64, -1, true,
      IP_V4("0040", "0000", "11") "f012 829a 002c 4321 4c36 1122334455667788 00*26", 0x4321 },
    { "tcp", IPV4, PROTOCOL_TCP, 0xf012, 80, 64, -1, false,
      IP_V4("003c", "4000", "06") "f012 0050 89abcdef 00000000 a0 02 faf0 7070 0000 " SYN_OPTIONS("05b4"), 0x7070 },
    { "sctp", IPV4, PROTOCOL_SCTP, 0xf012, 80, 64, -1, false,
      IP_V4("0034", "4000", "84") "f012 0050 00000000 018b02bb 01 00 0014 89abcdef 0001a000 000a ffff 89abcdef",
      0x018b },
    { "icmp", IPV6, PROTOCOL_ICMP, 0xabc5, 0x0102, 64, -1, false,
      IP_V6("0018", "3a") "80 00 660f abc5 0102 1122334455667788 00*8", 0x660f },
    { "icmp with a pattern", IPV6, PROTOCOL_ICMP, 0xabc5, 0x0102, 51, 0xd4, false,
      IP_V6("000b", "3a") "80 00 ce9b abc5 0102 d4d4d4", 0xce9b },
    { "udp", IPV6, PROTOCOL_UDP, 0xf012, 0x829a, 64, -1, false,
      IP_V6("0018", "11") "f012 829a 0018 203b 1122334455667788 00*8", 0x203b },
    { "udp, balanced", IPV6, PROTOCOL_UDP, 0xf012, 0x829a, 64, -1, true,
      IP_V6("0018", "11") "f012 829a 0018 4321 dd19 1122334455667788 00*6", 0x4321 },
    { "tcp", IPV6, PROTOCOL_TCP, 0xf012, 80, 64, -1, false,
      IP_V6("0028", "06") "f012 0050 89abcdef 00000000 a0 02 faf0 0140 0000 " SYN_OPTIONS("05a0"), 0x0140 },
    { "sctp", IPV6, PROTOCOL_SCTP, 0xf012, 80, 64, -1, false,
      IP_V6("0020", "84") "f012 0050 00000000 018b02bb 01 00 0014 89abcdef 0001a000 000a ffff 89abcdef", 0x018b },
};

START_TEST(byte_for_byte)
{
    struct request request = request_to(packets[_i].family, packets[_i].protocol);
    struct identity identity = identity_of(packets[_i].family);
    identity.near = packets[_i].near;
    identity.far = packets[_i].far;
    identity.balanced = packets[_i].balanced;
    identity.checksum = identity.ip_id;
    request.size = packets[_i].size;
    request.pattern_given = packets[_i].pattern >= 0;
    request.pattern = request.pattern_given ? (uint32_t)packets[_i].pattern : 0;
    packet_offer_nonce(&request, &identity, NONCE);
    identity.nonce = identity.nonce ? NONCE : 0; /* one that is easily seen */
    struct blob expected = blob_of_hex(packets[_i].packet);
    struct blob got = blob_copy(expected.bytes, expected.length); /* no byte more than it takes */
    memset(got.bytes, 0xee, got.length);
    size_t length = packet_build(&request, &identity, got.bytes, got.length);
    assert_bytes(packets[_i].name, got.bytes, length, expected.bytes, expected.length);
    MUST(identity.checksum == packets[_i].checksum);
    blob_free(&got);
    blob_free(&expected);
}
END_TEST

/* With ECN bits; the identity's checksum is that of the SYN above, without any. */
static const struct {
    enum family_id family;
    enum tcp_ecn ecn;
    const char *packet;
    uint16_t checksum;
} syns[] = {
    { IPV4, TCP_ECN_CLASSIC,
      IP_V4("003c", "4000", "06") "f012 0050 89abcdef 00000000 a0 c2 faf0 6fb0 0000 " SYN_OPTIONS("05b4"), 0x7070 },
    { IPV4, TCP_ECN_ACCURATE,
      IP_V4("003c", "4000", "06") "f012 0050 89abcdef 00000000 a1 c2 faf0 6eb0 0000 " SYN_OPTIONS("05b4"), 0x7070 },
    { IPV6, TCP_ECN_CLASSIC,
      IP_V6("0028", "06") "f012 0050 89abcdef 00000000 a0 c2 faf0 0080 0000 " SYN_OPTIONS("05a0"), 0x0140 },
    { IPV6, TCP_ECN_ACCURATE,
      IP_V6("0028", "06") "f012 0050 89abcdef 00000000 a1 c2 faf0 ff7f 0000 " SYN_OPTIONS("05a0"), 0x0140 },
};

START_TEST(ecn_byte_for_byte)
{
    struct request request = request_to(syns[_i].family, PROTOCOL_TCP);
    struct identity identity = identity_of(syns[_i].family);
    struct blob expected = blob_of_hex(syns[_i].packet);
    struct blob got = blob_copy(expected.bytes, expected.length);
    memset(got.bytes, 0xee, got.length);
    request.tcp_ecn = syns[_i].ecn;
    size_t length = packet_build(&request, &identity, got.bytes, got.length);
    assert_bytes("a SYN", got.bytes, length, expected.bytes, expected.length);
    MUST(identity.checksum == syns[_i].checksum);
    blob_free(&got);
    blob_free(&expected);
}
END_TEST

static const struct probed_interface nothing;
static const struct probed_interface by_name = { .by = PROBED_BY_NAME, .name = { "ge-0/0/1.7 and more", 10 } };
static const struct probed_interface by_index = { .by = PROBED_BY_INDEX, .index = 0x01020304 };
static const struct probed_interface by_v4 = { .by = PROBED_BY_ADDRESS, .family = IPV4, .address = { { 192, 0, 2, 7 } } };
static const struct probed_interface by_v6 = {
    .by = PROBED_BY_ADDRESS, .family = IPV6, .address = { { 0x20, 1, 0xd, 0xb8, 0, 7, [15] = 7 } },
};

/* Requests that are no echo, whatever pattern was asked for. */
static const struct {
    const char *name;
    enum family_id family;
    enum icmp_request kind;
    uint16_t far;
    const struct probed_interface *interface;
    const char *packet;
} icmp_requests[] = {
    { "timestamp", IPV4, ICMP_REQUEST_TIMESTAMP, 0x0102, &nothing,
      IP_V4("0028", "0000", "01") "0d 00 ee9c abc5 0102 89abcdef 00000000 00000000" },
    { "extended echo by name", IPV4, ICMP_REQUEST_EXTENDED, 0x4201, &by_name,
      IP_V4("0030", "0000", "01") "2a00e838 abc54201 2000bbc0 00100301 67652d30 2f302f31 2e370000" },
    { "extended echo by name", IPV6, ICMP_REQUEST_EXTENDED, 0x4201, &by_name,
      IP_V6("001c", "3a") "a0001661 abc54201 2000bbc0 00100301 67652d30 2f302f31 2e370000" },
    { "extended echo by index", IPV4, ICMP_REQUEST_EXTENDED, 0x4201, &by_index,
      IP_V4("0028", "0000", "01") "2a00e838 abc54201 2000d8ef 00080302 01020304" },
    { "extended echo by index", IPV6, ICMP_REQUEST_EXTENDED, 0x4201, &by_index,
      IP_V6("0014", "3a") "a0001669 abc54201 2000d8ef 00080302 01020304" },
    { "extended echo by IPv4 address", IPV4, ICMP_REQUEST_EXTENDED, 0x4201, &by_v4,
      IP_V4("002c", "0000", "01") "2a00e838 abc54201 200016e8 000c0303 00010400 c0000207" },
    { "extended echo by IPv6 address", IPV4, ICMP_REQUEST_EXTENDED, 0x4201, &by_v6,
      IP_V4("0038", "0000", "01") "2a00e838 abc54201 20009f1b 00180303 00021000 20010db8 00070000 00000000 00000007" },
    { "extended echo by IPv6 address", IPV6, ICMP_REQUEST_EXTENDED, 0x4201, &by_v6,
      IP_V6("0024", "3a") "a0001659 abc54201 20009f1b 00180303 00021000 20010db8 00070000 00000000 00000007" },
};

START_TEST(icmp_request_byte_for_byte)
{
    struct request request = request_to(icmp_requests[_i].family, PROTOCOL_ICMP);
    struct identity identity = identity_of(icmp_requests[_i].family);
    struct blob expected = blob_of_hex(icmp_requests[_i].packet);
    identity.near = 0xabc5;
    identity.far = icmp_requests[_i].far;
    request.icmp_request = icmp_requests[_i].kind;
    request.interface = *icmp_requests[_i].interface;
    request.pattern = 0x55;
    request.size = (uint32_t)(protocol_headers_size(request.family, PROTOCOL_ICMP) +
                              icmp_kinds[request.icmp_request].size(&request));
    packet_offer_nonce(&request, &identity, NONCE);
    MUST(!identity.nonce);
    struct blob got = blob_copy(expected.bytes, expected.length);
    memset(got.bytes, 0xee, got.length);
    size_t length = packet_build(&request, &identity, got.bytes, got.length);
    assert_bytes(icmp_requests[_i].name, got.bytes, length, expected.bytes, expected.length);
    for (size_t less = 0; less < expected.length; less++)
        MUST(packet_build(&request, &identity, got.bytes, less) == 0);
    blob_free(&got);
    blob_free(&expected);
}
END_TEST

/* Every length of a name: filled up with zeros to whole words, and no byte read behind it. */
START_TEST(interface_names)
{
    for (size_t length = 1; length <= PROBED_NAME_MAX; length++) {
        struct blob name = blob_copy("an-interface-name-that-is-as-long-as-any-is-likely-to-be-or-more", length);
        struct request request = request_to(IPV4, PROTOCOL_ICMP);
        struct identity identity = identity_of(IPV4);
        request.icmp_request = ICMP_REQUEST_EXTENDED;
        request.interface = (struct probed_interface){ PROBED_BY_NAME, .name = { (char *)name.bytes, length } };
        request.size = (uint32_t)(28 + icmp_kinds[ICMP_REQUEST_EXTENDED].size(&request));
        uint8_t packet[128];
        size_t filled = (length + 3) / 4 * 4, total = packet_build(&request, &identity, packet, sizeof packet);
        MUST(total == 36 + filled && u16_at(packet + 32) == 4 + filled);
        MUST(memcmp(packet + 36, name.bytes, length) == 0);
        for (size_t i = length; i < filled; i++)
            MUST(packet[36 + i] == 0);
        MUST(plain_sum(0, packet + 28, 8 + filled) == 0xffff && plain_sum(0, packet + 20, 16 + filled) == 0xffff);
        blob_free(&name);
    }
}
END_TEST

START_TEST(too_little_room)
{
    for (size_t i = 0; i < COUNT(packets); i++) {
        struct request request = request_to(packets[i].family, packets[i].protocol);
        for (size_t size = 0; size < 200; size++) {
            struct identity identity = identity_of(packets[i].family);
            identity.balanced = packets[i].balanced;
            identity.checksum = identity.ip_id;
            packet_offer_nonce(&request, &identity, NONCE);
            uint8_t *room = memory(size);
            size_t length = packet_build(&request, &identity, room, size);
            MUST(length == (size < length || size < 52 ? 0 : length));
            free(room);
        }
    }
}
END_TEST

/* ---- sizes ---- */

/* A packet in memory of its exact size, its headers proven. */
static struct blob
build_checked(struct request *request, struct identity *identity)
{
    static uint8_t room[PACKET_MAX];
    size_t length = packet_build(request, identity, room, sizeof room);
    MUST(length > 0);
    struct blob packet = blob_copy(room, length);
    enum family_id family = request->family;
    const struct protocol *protocol = protocols[request->protocol];
    size_t header = families[family].header_size;
    size_t said = u16_at(packet.bytes + (family == IPV4 ? 2 : 4));
    MUST((said + (family == IPV4 ? 0 : header)) == length);

    /* the checksum, with a pseudo header made here */
    uint8_t pseudo[40] = { 0 };
    size_t addresses = 2 * families[family].address_size;
    memcpy(pseudo, packet.bytes + header - addresses, addresses);
    pseudo[addresses] = (uint8_t)((length - header) >> 8);
    pseudo[addresses + 1] = (uint8_t)(length - header);
    pseudo[addresses + 3] = protocol->number[family];
    bool has_pseudo = family == IPV6 || request->protocol != PROTOCOL_ICMP;
    uint32_t sum = plain_sum(0, pseudo, has_pseudo ? addresses + 4 : 0);
    if (request->protocol != PROTOCOL_SCTP)
        MUST(plain_sum(sum, packet.bytes + header, length - header) == 0xffff);
    return packet;
}

static const struct {
    enum family_id family;
    enum protocol_id protocol;
    uint32_t size;
    size_t length, payload;
} sizes[] = {
    { IPV4, PROTOCOL_ICMP, 0, 28, 0 },          { IPV4, PROTOCOL_ICMP, 27, 28, 0 },
    { IPV4, PROTOCOL_ICMP, 28, 28, 0 },         { IPV4, PROTOCOL_ICMP, 29, 29, 1 },
    { IPV4, PROTOCOL_ICMP, 64, 64, 36 },        { IPV4, PROTOCOL_ICMP, 1500, 1500, 1472 },
    { IPV4, PROTOCOL_ICMP, 65535, 65535, 65507 }, { IPV4, PROTOCOL_UDP, 0, 28, 0 },
    { IPV4, PROTOCOL_UDP, 28, 28, 0 },          { IPV4, PROTOCOL_UDP, 29, 29, 1 },
    { IPV4, PROTOCOL_UDP, 65535, 65535, 65507 }, { IPV4, PROTOCOL_TCP, 0, 60, 0 },
    { IPV4, PROTOCOL_TCP, 65535, 60, 0 },       { IPV4, PROTOCOL_SCTP, 0, 52, 0 },
    { IPV4, PROTOCOL_SCTP, 65535, 52, 0 },      { IPV6, PROTOCOL_ICMP, 0, 48, 0 },
    { IPV6, PROTOCOL_ICMP, 47, 48, 0 },         { IPV6, PROTOCOL_ICMP, 48, 48, 0 },
    { IPV6, PROTOCOL_ICMP, 49, 49, 1 },         { IPV6, PROTOCOL_ICMP, 64, 64, 16 },
    { IPV6, PROTOCOL_ICMP, 65535, 65535, 65487 }, { IPV6, PROTOCOL_UDP, 0, 48, 0 },
    { IPV6, PROTOCOL_UDP, 49, 49, 1 },          { IPV6, PROTOCOL_UDP, 65535, 65535, 65487 },
    { IPV6, PROTOCOL_TCP, 1500, 80, 0 },        { IPV6, PROTOCOL_SCTP, 1500, 72, 0 },
};

START_TEST(size_of_the_whole_packet)
{
    struct request request = request_to(sizes[_i].family, sizes[_i].protocol);
    struct identity identity = identity_of(sizes[_i].family);
    request.size = sizes[_i].size;
    request.pattern = 0xffffffa7;
    request.pattern_given = true;
    MUST((packet_payload_size(&request)) == sizes[_i].payload);
    packet_offer_nonce(&request, &identity, NONCE);
    MUST(identity.nonce == 0);
    struct blob packet = build_checked(&request, &identity);
    MUST(packet.length == sizes[_i].length);
    for (size_t i = packet.length - sizes[_i].payload; i < packet.length; i++)
        MUST(packet.bytes[i] == 0xa7);
    blob_free(&packet);
}
END_TEST

/* A nonce needs eight bytes, behind the balance if there is one, and no pattern asked for. It names its probe. */
START_TEST(nonce_where_there_is_room)
{
    for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++) {
        for (uint32_t size = 28; size < 60; size++) {
            for (int balanced = 0; balanced < 2; balanced++) {
                struct request request = request_to(IPV4, protocol);
                struct identity identity = identity_of(IPV4);
                identity.balanced = balanced;
                request.size = size;
                bool room = protocol <= PROTOCOL_UDP && size >= 28u + 8u + (balanced ? 2u : 0u);
                packet_offer_nonce(&request, &identity, NONCE);
                MUST(identity.nonce == (room ? (NONCE & ~UINT64_C(0xffff)) | identity.ip_id : 0));
                MUST(!room || packet_nonce_ip_id(identity.nonce) == identity.ip_id);
                MUST((packet_nonce_offset(&identity)) == (balanced ? 2 : 0));
                request.pattern_given = true;
                packet_offer_nonce(&request, &identity, NONCE);
                MUST(identity.nonce == 0);
            }
        }
    }
}
END_TEST

/* Every field of a header that a request sets, at its limits. */
START_TEST(header_fields)
{
    static const uint32_t bytes[] = { 1, 0x0f, 0x10, 0x80, 0xff };
    for (enum family_id family = 0; family < FAMILIES; family++) {
        for (size_t i = 0; i < COUNT(bytes); i++) {
            struct request request = request_to(family, PROTOCOL_UDP);
            struct identity identity = identity_of(family);
            request.ttl = request.tos = bytes[i];
            struct blob packet = build_checked(&request, &identity);
            MUST((packet.bytes[family == IPV4 ? 8 : 7]) == bytes[i]);
            uint32_t tos = family == IPV4 ? packet.bytes[1]
                                          : (packet.bytes[0] & 15u) << 4 | packet.bytes[1] >> 4;
            MUST(tos == bytes[i]);
            MUST(packet.bytes[0] >> 4 == version_of(family));
            blob_free(&packet);
        }
    }
}
END_TEST

/* 0 in a UDP header says that there is no checksum, so it is sent as 0xffff: find packets that come to it. */
START_TEST(udp_checksum_is_never_zero)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        bool seen = false;
        for (uint32_t near = 1024; near < 65536; near++) {
            struct request request = request_to(family, PROTOCOL_UDP);
            struct identity identity = identity_of(family);
            uint8_t packet[64];
            identity.near = (uint16_t)near;
            MUST((packet_build(&request, &identity, packet, sizeof packet)) == 64);
            MUST(identity.checksum != 0);
            seen = seen || identity.checksum == 0xffff;
        }
        MUST(seen);
    }
}
END_TEST

/* ---- balanced ---- */

static const uint32_t balanced_sizes[] = { 50, 51, 58, 64, 1473 };

START_TEST(balanced_checksum)
{
    enum family_id family = _i % 2 ? IPV6 : IPV4;
    struct request request = request_to(family, PROTOCOL_UDP);
    request.size = balanced_sizes[_i / 2];
    request.pattern = 0xd4;
    for (uint32_t id = 1; id < 0xffff; id += request.size > 100 ? 97 : 5) {
        struct identity identity = identity_of(family);
        identity.balanced = true;
        identity.checksum = (uint16_t)id;
        request.pattern_given = id % 2;
        packet_offer_nonce(&request, &identity, NONCE * id);
        struct blob packet = build_checked(&request, &identity);
        MUST(identity.checksum == id);
        size_t checksum_at = families[family].header_size + 6;
        MUST(u16_at(packet.bytes + checksum_at) == id);
        for (size_t i = families[family].header_size + 8 + 2; id % 2 && i < packet.length; i++)
            MUST(packet.bytes[i] == 0xd4);
        blob_free(&packet);
    }
}
END_TEST

/* All identifiers, in the smallest packets that can be balanced. */
START_TEST(balanced_by_two_bytes)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct request request = request_to(family, PROTOCOL_UDP);
        request.size = (uint32_t)families[family].header_size + 8 + 2;
        for (uint32_t id = 1; id < 0xffff; id++) {
            struct identity identity = identity_of(family);
            identity.balanced = true;
            identity.checksum = (uint16_t)id;
            struct blob packet = build_checked(&request, &identity);
            MUST(identity.checksum == id);
            blob_free(&packet);
        }
    }
}
END_TEST

/* Echo requests too; and behind any number of bytes that were asked for, odd ones included. */
START_TEST(balanced_behind_a_payload)
{
    static const char hex[] = "00112233445566778899aAbBcCdDeEfFff";
    for (enum family_id family = 0; family < FAMILIES; family++) {
        for (enum protocol_id protocol = 0; protocol <= PROTOCOL_UDP; protocol++) {
            for (uint32_t count = 0; count <= sizeof hex / 2; count++) {
                for (uint32_t room = 0; room < 4; room++) {
                    struct request request = request_to(family, protocol);
                    struct identity identity = identity_of(family);
                    request.payload = (struct word){ hex, 2 * count };
                    request.pattern = 0x5a;
                    request.pattern_given = true;
                    request.size = (uint32_t)families[family].header_size + 8 + count + room;
                    identity.balanced = true;
                    identity.checksum = 0xbeef;
                    struct blob packet = build_checked(&request, &identity);
                    MUST(room < 2 || identity.checksum == 0xbeef);
                    const uint8_t *payload = packet.bytes + families[family].header_size + 8;
                    for (uint32_t i = 0; i < count; i++)
                        MUST(payload[i] == (hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1])));
                    for (uint32_t i = count + (room < 2 ? 0 : 2); i < count + room; i++)
                        MUST(payload[i] == 0x5a);
                    blob_free(&packet);
                }
            }
        }
    }
}
END_TEST

/* Every checksum that an echo request can have: all but 0xffff. */
START_TEST(every_checksum_of_an_echo_request)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct request request = request_to(family, PROTOCOL_ICMP);
        request.size = (uint32_t)families[family].header_size + 8 + 2;
        for (uint32_t checksum = 0; checksum < 0xffff; checksum++) {
            struct identity identity = identity_of(family);
            identity.balanced = true;
            identity.checksum = (uint16_t)checksum;
            struct blob packet = build_checked(&request, &identity);
            MUST(identity.checksum == checksum);
            blob_free(&packet);
        }
    }
}
END_TEST

START_TEST(flow_labels_and_fragment_bits)
{
    for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++) {
        struct request request = request_to(IPV6, protocol);
        struct identity identity = identity_of(IPV6);
        request.tos = 0xa5;
        identity.flow_label = 0xfedcb;
        struct blob packet = build_checked(&request, &identity);
        MUST(packet.bytes[0] == 0x6a && packet.bytes[1] == 0x5f && u16_at(packet.bytes + 2) == 0xedcb);
        blob_free(&packet);
        for (uint32_t given = 0; given < 3; given++) {
            struct request request_v4 = request_to(IPV4, protocol);
            struct identity identity_v4 = identity_of(IPV4);
            request_v4.given = given ? 1u << FEATURE_DONT_FRAGMENT : 0;
            request_v4.dont_fragment = given == 2;
            packet = build_checked(&request_v4, &identity_v4);
            bool set = given ? given == 2 : protocol >= PROTOCOL_TCP;
            MUST(u16_at(packet.bytes + 6) == (set ? 0x4000 : 0));
            blob_free(&packet);
        }
    }
}
END_TEST

/* ---- fragments ---- */

/* Puts the fragments of PACKET together again, each of them checked; returns how many there were. */
static size_t
reassemble(enum family_id family, const struct blob *packet, size_t mtu, struct blob *whole)
{
    size_t header = families[family].header_size;
    size_t overhead = header + (family == IPV6 ? 8 : 0);
    size_t offset = 0, length, count = 0;
    bool more = true;
    uint8_t *room = memory(mtu);
    *whole = blob_copy(packet->bytes, packet->length);
    memset(whole->bytes, 0xee, whole->length);
    while ((length = packet_fragment(family, packet->bytes, packet->length, mtu, 0xfedc, &offset, room)) > 0) {
        MUST(more);
        MUST(length > overhead);
        MUST(length <= mtu);
        size_t at;
        uint8_t copy[40];
        memcpy(copy, room, header);
        if (family == IPV4) {
            MUST(u16_at(room + 2) == length);
            MUST((room[6] & 0xc0) == 0); /* may be fragmented again */
            more = room[6] & 0x20;
            at = (size_t)(room[6] & 0x1f) << 11 | (size_t)room[7] << 3;
            memcpy(copy + 2, packet->bytes + 2, 2);
            memcpy(copy + 6, packet->bytes + 6, 2);
        } else {
            MUST(u16_at(room + 4) == length - header);
            MUST(room[6] == 44);
            static const uint8_t id[4] = { 0, 0, 0xfe, 0xdc };
            assert_bytes("IPv6 fragment identification", room + header + 4, 4, id, 4);
            MUST(room[header] == packet->bytes[6]); /* next header */
            MUST(room[header + 1] == 0);
            MUST((room[header + 3] & 6) == 0);
            more = room[header + 3] & 1;
            at = (size_t)room[header + 2] << 8 | (room[header + 3] & 0xf8);
            memcpy(copy + 4, packet->bytes + 4, 3);
        }
        assert_bytes("IP header of a fragment", copy, header, packet->bytes, header);
        MUST(!more || (length - overhead) % 8 == 0);
        MUST(!more || length + 8 > mtu); /* no smaller than it must be */
        MUST(header + at + length - overhead <= packet->length);
        memcpy(whole->bytes + header + at, room + overhead, length - overhead);
        count++;
    }
    MUST(!more);
    memcpy(whole->bytes, packet->bytes, header);
    free(room);
    return count;
}

static const size_t mtus[] = { 68, 69, 75, 76, 77, 256, 552, 1280, 1281, 1287, 1288, 1492, 1500, 9000, 65535 };
static const uint32_t fragmented[] = { 48, 64, 69, 77, 1281, 1500, 1501, 2961, 9001, 40000, 65528, 65534, 65535 };

START_TEST(fragments_give_the_packet_back)
{
    enum family_id family = _i % 2 ? IPV6 : IPV4;
    uint64_t state = 9;
    for (size_t i = 0; i < COUNT(fragmented); i++) {
        struct request request = request_to(family, _i % 4 < 2 ? PROTOCOL_UDP : PROTOCOL_ICMP);
        struct identity identity = identity_of(family);
        request.size = fragmented[i];
        struct blob whole, packet = build_checked(&request, &identity);
        for (size_t at = families[family].header_size; at < packet.length; at++)
            packet.bytes[at] = (uint8_t)dice(&state);
        size_t mtu = mtus[_i / 2];
        size_t room = (mtu - families[family].header_size - (family == IPV6 ? 8 : 0)) & ~(size_t)7;
        size_t count = reassemble(family, &packet, mtu, &whole);
        assert_bytes("reassembled", whole.bytes, whole.length, packet.bytes, packet.length);
        size_t payload = packet.length - families[family].header_size;
        MUST(count <= (payload + room - 1) / room);
        blob_free(&whole);
        blob_free(&packet);
    }
}
END_TEST

START_TEST(an_mtu_too_small_for_any)
{
    for (enum family_id family = 0; family < FAMILIES; family++) {
        struct request request = request_to(family, PROTOCOL_UDP);
        struct identity identity = identity_of(family);
        struct blob packet = build_checked(&request, &identity);
        size_t overhead = families[family].header_size + (family == IPV6 ? 8 : 0);
        for (size_t mtu = 0; mtu < overhead + 8; mtu++) {
            size_t offset = 0;
            uint8_t *room = memory(mtu);
            MUST((packet_fragment(family, packet.bytes, packet.length, mtu, 1, &offset, room)) == 0);
            MUST(offset == 0);
            free(room);
        }
        blob_free(&packet);
    }
}
END_TEST

/* ---- the table of protocols ---- */

START_TEST(protocols_by_number)
{
    static const uint8_t numbers[FAMILIES][PROTOCOLS] = { { 1, 17, 6, 132 }, { 58, 17, 6, 132 } };
    for (enum family_id family = 0; family < FAMILIES; family++) {
        for (unsigned number = 0; number < 256; number++) {
            enum protocol_id id, expected = PROTOCOLS;
            for (enum protocol_id i = 0; i < PROTOCOLS; i++)
                if (numbers[family][i] == number)
                    expected = i;
            MUST((protocol_by_number(family, (uint8_t)number, &id)) == (expected < PROTOCOLS));
            MUST(expected == PROTOCOLS || id == expected);
        }
    }
}
END_TEST

Suite *
build_suite(void)
{
    Suite *suite = suite_create("build");
    TCase *tests = tcase_create("build");
    tcase_add_loop_test(tests, byte_for_byte, 0, COUNT(packets));
    tcase_add_loop_test(tests, ecn_byte_for_byte, 0, COUNT(syns));
    tcase_add_loop_test(tests, icmp_request_byte_for_byte, 0, COUNT(icmp_requests));
    tcase_add_test(tests, interface_names);
    tcase_add_test(tests, too_little_room);
    tcase_add_loop_test(tests, size_of_the_whole_packet, 0, COUNT(sizes));
    tcase_add_test(tests, nonce_where_there_is_room);
    tcase_add_test(tests, header_fields);
    tcase_add_test(tests, udp_checksum_is_never_zero);
    tcase_add_loop_test(tests, balanced_checksum, 0, 2 * COUNT(balanced_sizes));
    tcase_add_test(tests, balanced_by_two_bytes);
    tcase_add_test(tests, balanced_behind_a_payload);
    tcase_add_test(tests, every_checksum_of_an_echo_request);
    tcase_add_test(tests, flow_labels_and_fragment_bits);
    tcase_add_loop_test(tests, fragments_give_the_packet_back, 0, 2 * COUNT(mtus));
    tcase_add_test(tests, an_mtu_too_small_for_any);
    tcase_add_test(tests, protocols_by_number);
    suite_add_tcase(suite, tests);
    return suite;
}
