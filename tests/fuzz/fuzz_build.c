/* SPDX-License-Identifier: MIT */
/*
 * A probe to a packet, and the packet to fragments that a host on the way puts together again.
 * Input: the probe as take_probe() reads it, the room for the packet, the MTU.
 */
#include <stdlib.h>
#include <string.h>

#include "packets/checksum.h"
#include "packets/protocol.h"
#include "support.h"

static size_t
header_of(const struct request *request)
{
    return families[request->family].header_size;
}

/* CRC32c by its definition, bit after bit, of a packet whose own checksum counts as 0. */
static uint32_t
plain_crc32c(const uint8_t *bytes, size_t length, size_t checksum_at)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < length; i++) {
        crc ^= i >= checksum_at && i < checksum_at + 4 ? 0 : bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
    }
    return ~crc;
}

/* True when the transport's own checksum is right. */
static bool
proves(const struct request *request, const struct identity *identity, const uint8_t *transport,
       size_t length)
{
    uint32_t crc;
    if (request->protocol == PROTOCOL_SCTP) {
        memcpy(&crc, transport + 8, sizeof crc);
        return le32toh(crc) == plain_crc32c(transport, length, 8);
    }
    uint8_t number = protocols[request->protocol]->number[request->family];
    size_t size = families[request->family].address_size;
    uint32_t sum = 0;
    if (request->protocol != PROTOCOL_ICMP || request->family == IPV6) {
        sum = plain_sum(sum, identity->source.bytes, size);
        sum = plain_sum(sum, request->target.bytes, size);
        sum = plain_sum(sum, (const uint8_t[]){ 0, number, (uint8_t)(length >> 8), (uint8_t)length }, 4);
    }
    return plain_sum(sum, transport, length) == 0xffff;
}

static void
check_header(const struct request *request, const struct identity *identity, const uint8_t *packet, size_t length)
{
    uint8_t number = protocols[request->protocol]->number[request->family];
    size_t addresses = request->family == IPV4 ? 12 : 8, size = families[request->family].address_size;
    if (request->family == IPV4) {
        MUST(packet[0] == 0x45 && packet[1] == request->tos && u16_at(packet + 2) == length);
        MUST(u16_at(packet + 4) == identity->ip_id && packet[8] == request->ttl && packet[9] == number);
        MUST(u16_at(packet + 6) == (packet_forbids_fragments(request) ? 0x4000 : 0));
    } else {
        MUST(packet[0] >> 4 == 6 && (uint8_t)(u16_at(packet) >> 4) == request->tos);
        MUST(((packet[1] & 15u) << 16 | u16_at(packet + 2)) == identity->flow_label);
        MUST(u16_at(packet + 4) == length - 40 && packet[6] == number && packet[7] == request->ttl);
    }
    MUST(memcmp(packet + addresses, identity->source.bytes, size) == 0);
    MUST(memcmp(packet + addresses + size, request->target.bytes, size) == 0);
}

static void
check_packet(const struct request *request, const struct identity *identity, const uint8_t *packet, size_t length)
{
    static const size_t checksum_at[] = { 2, 6, 16, 8 };
    const uint8_t *transport = packet + header_of(request);
    const uint8_t *end = packet + length;
    check_header(request, identity, packet, length);
    MUST(proves(request, identity, transport, length - header_of(request)));
    if (!request->tcp_ecn) /* else the identity has that of the SYN without ECN bits */
        MUST(u16_at(transport + checksum_at[request->protocol]) == identity->checksum);
    MUST(request->protocol != PROTOCOL_UDP || identity->checksum != 0);
    MUST(!identity->nonce || request->payload.length == 0);
    MUST(!identity->balanced || checksum_same(identity->checksum, identity->ip_id));
    if (request->icmp_request != ICMP_REQUEST_ECHO) { /* what stands there is its own; an extended echo's has a checksum */
        const uint8_t *rest = transport + 8;
        bool proven = plain_sum(0, rest, (size_t)(end - rest)) == 0xffff;
        MUST(request->icmp_request == ICMP_REQUEST_TIMESTAMP ? end - rest == 12 : proven && end - rest >= 12);
        return;
    }
    const uint8_t *payload = end - packet_payload_size(request);
    for (size_t i = 0; i < request->payload.length; i += 2)
        MUST(payload[i / 2] == hex_value(request->payload.at[i]) * 16 + hex_value(request->payload.at[i + 1]));
    size_t pattern = packet_free_size(request) - packet_nonce_offset(identity) - (identity->nonce ? NONCE_SIZE : 0);
    for (const uint8_t *at = end - pattern; at < end; at++)
        MUST(*at == (uint8_t)request->pattern);
}

/* Puts a fragment where it belongs; returns its size. */
static size_t
reassemble(const struct request *request, const uint8_t *packet, const uint8_t *fragment, size_t length, size_t at,
           bool last)
{
    size_t header = header_of(request);
    uint16_t field = u16_at(fragment + (request->family == IPV4 ? 6 : 42));
    size_t offset = request->family == IPV4 ? (field & 0x1fffu) * 8 : field & 0xfff8u;
    bool more = request->family == IPV4 ? field & 0x2000 : field & 1;
    MUST(offset == at && more != last);
    if (request->family == IPV4) {
        MUST(u16_at(fragment + 2) == length && memcmp(fragment, packet, 2) == 0 && (field & 0x8000) == 0);
        MUST((field & 0x4000) == 0 || packet_forbids_fragments(request)); /* then the sender makes none */
        MUST(memcmp(fragment + 4, packet + 4, 2) == 0 && memcmp(fragment + 8, packet + 8, 12) == 0);
    } else {
        MUST(u16_at(fragment + 4) == length - header && fragment[6] == IPPROTO_FRAGMENT && fragment[40] == packet[6]);
        MUST(memcmp(fragment, packet, 4) == 0 && memcmp(fragment + 7, packet + 7, 33) == 0);
        header += 8;
    }
    MUST(length > header && (last || (length - header) % 8 == 0));
    MUST(memcmp(fragment + header, packet + header_of(request) + offset, length - header) == 0);
    return length - header;
}

static void
check_fragments(const struct request *request, const uint8_t *packet, size_t length, size_t mtu, uint16_t id)
{
    size_t offset = 0, at = 0, size;
    uint8_t *fragment = malloc(mtu);
    MUST(fragment || !mtu);
    while ((size = packet_fragment(request->family, packet, length, mtu, id, &offset, fragment)) > 0) {
        MUST(size <= mtu);
        at += reassemble(request, packet, fragment, size, at, offset == length - header_of(request));
        MUST(offset == at);
    }
    MUST(at == length - header_of(request) || (at == 0 && mtu < families[request->family].mtu_min));
    free(fragment);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request request;
    struct identity identity;
    struct reader input = { data, size };
    take_probe(&input, &request, &identity);
    size_t length = header_of(&request) + protocols[request.protocol]->header_size + packet_payload_size(&request);
    size_t room = take_u16(&input), mtu = take_u16(&input);
    MUST(length <= PACKET_MAX);
    room = room ? room : length;

    uint8_t *packet = malloc(room);
    MUST(packet_build(&request, &identity, packet, room) == (room < length ? 0 : length));
    if (room >= length)
        check_packet(&request, &identity, packet, length);
    if (room >= length && protocols[request.protocol]->sized)
        check_fragments(&request, packet, length, mtu, identity.ip_id);
    free(packet);
    return 0;
}
