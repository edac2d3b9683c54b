/* SPDX-License-Identifier: MIT */
/* Probe to bytes. */
#include <string.h>

#include "packets/checksum.h"
#include "packets/protocol.h"

#define IPV4_FLAG_DF 0x4000
#define IPV4_FLAG_MF 0x2000
#define FRAGMENT_HEADER_SIZE 8 /* IPv6 */

/* Offsets in the IP headers that fragments change. */
#define IPV4_LENGTH 2
#define IPV4_FRAGMENT 6
#define IPV6_LENGTH 4
#define IPV6_NEXT 6

size_t
packet_payload_size(const struct request *request)
{
    size_t headers = protocol_headers_size(request->family, request->protocol);
    return protocols[request->protocol]->sized && request->size > headers ? request->size - headers : 0;
}

size_t
packet_free_size(const struct request *request)
{
    return packet_payload_size(request) - request->payload.length / 2;
}

size_t
packet_nonce_offset(const struct identity *identity)
{
    return identity->balanced ? BALANCE_SIZE : 0;
}

void
packet_offer_nonce(const struct request *request, struct identity *identity, uint64_t random)
{
    bool room = packet_payload_size(request) >= packet_nonce_offset(identity) + NONCE_SIZE;
    room = room && request->icmp_request == ICMP_REQUEST_ECHO;
    identity->nonce = room && !request->pattern_given && !request->payload.length
                          ? (random & ~(uint64_t)UINT16_MAX) | identity->ip_id
                          : 0;
}

uint16_t
packet_nonce_ip_id(uint64_t nonce)
{
    return (uint16_t)nonce;
}

void
write_payload(const struct request *request, const struct identity *identity, struct writer *writer)
{
    const struct word *given = &request->payload;
    for (size_t i = 0; i < given->length; i += 2)
        write_u8(writer, (uint8_t)(hex_value(given->at[i]) << 4 | hex_value(given->at[i + 1])));
    size_t left = packet_free_size(request);
    if (identity->balanced && left >= BALANCE_SIZE) {
        write_u16(writer, 0); /* the balance: see write_balance() */
        left -= BALANCE_SIZE;
    }
    if (identity->nonce) {
        write_u64(writer, identity->nonce);
        left -= NONCE_SIZE;
    }
    write_fill(writer, (uint8_t)request->pattern, left);
}

void
write_balance(const struct request *request, struct identity *identity, struct writer *writer, size_t payload,
              uint16_t checksum)
{
    if (packet_free_size(request) < BALANCE_SIZE) {
        identity->checksum = checksum;
        return;
    }
    /* The two bytes are 0 so far: they must add the wanted sum less the present one (one's complement, RFC 1071). */
    uint64_t difference = checksum_add_u16(checksum_add_u16(0, (uint16_t)~identity->checksum), checksum);
    uint16_t balance = (uint16_t)~checksum_finish(difference);
    size_t given = request->payload.length / 2;
    if (given % 2) /* each byte then counts in the other half of its word */
        balance = (uint16_t)(balance << 8 | balance >> 8);
    write_u16_at(writer, payload + given, balance);
    identity->number = (uint32_t)given << 16 | balance;
}

uint16_t
packet_balance(const struct identity *identity, size_t *offset)
{
    *offset = identity->number >> 16;
    return (uint16_t)identity->number;
}

uint64_t
pseudo_header_sum(enum family_id family, const struct address *source, const struct address *target, uint8_t number,
                  size_t length)
{
    uint64_t sum = checksum_add(0, source->bytes, families[family].address_size);
    sum = checksum_add(sum, target->bytes, families[family].address_size);
    sum = checksum_add_u16(sum, number);
    return checksum_add_u16(sum, (uint16_t)length);
}

bool
packet_forbids_fragments(const struct request *request)
{
    return request_has(request, FEATURE_DONT_FRAGMENT) ? request->dont_fragment
                                                       : protocols[request->protocol]->dont_fragment;
}

static void
write_header_v4(const struct request *request, const struct identity *identity, struct writer *writer, size_t length)
{
    const struct protocol *protocol = protocols[request->protocol];
    write_u8(writer, 4 << 4 | 5);
    write_u8(writer, (uint8_t)request->tos);
    write_u16(writer, (uint16_t)length);
    write_u16(writer, identity->ip_id);
    write_u16(writer, identity->dont_fragment ? IPV4_FLAG_DF : 0);
    write_u8(writer, (uint8_t)request->ttl);
    write_u8(writer, protocol->number[IPV4]);
    write_u16(writer, 0);
    write_address(writer, IPV4, &identity->source);
    write_address(writer, IPV4, &request->target);
}

static void
write_header_v6(const struct request *request, const struct identity *identity, struct writer *writer, size_t length)
{
    write_u32(writer, UINT32_C(6) << 28 | request->tos << 20 | identity->flow_label);
    write_u16(writer, (uint16_t)(length - families[IPV6].header_size));
    write_u8(writer, protocols[request->protocol]->number[IPV6]);
    write_u8(writer, (uint8_t)request->ttl);
    write_address(writer, IPV6, &identity->source);
    write_address(writer, IPV6, &request->target);
}

size_t
packet_build(const struct request *request, struct identity *identity, uint8_t *to, size_t size)
{
    const struct protocol *protocol = protocols[request->protocol];
    struct writer writer = { .start = to, .size = size };
    size_t length = protocol_headers_size(request->family, request->protocol) + packet_payload_size(request);
    identity->dont_fragment = packet_forbids_fragments(request);
    if (request->family == IPV4)
        write_header_v4(request, identity, &writer, length);
    else
        write_header_v6(request, identity, &writer, length);
    protocol->build(request, identity, &writer);
    return writer.overflow ? 0 : writer.used;
}

size_t
packet_fragment(enum family_id family, const uint8_t *packet, size_t length, size_t mtu, uint16_t id, size_t *offset,
                uint8_t *to)
{
    size_t header = families[family].header_size;
    size_t overhead = header + (family == IPV6 ? FRAGMENT_HEADER_SIZE : 0);
    size_t left = length - header - *offset;
    if (mtu < overhead + 8 || left == 0)
        return 0;
    size_t room = mtu - overhead;
    size_t part = left <= room ? left : room & ~(size_t)7; /* fragment offsets count in units of eight bytes */
    bool more = part < left;

    struct writer writer = { .start = to, .size = overhead + part };
    write_bytes(&writer, packet, header);
    if (family == IPV4) {
        write_u16_at(&writer, IPV4_LENGTH, (uint16_t)(overhead + part));
        write_u16_at(&writer, IPV4_FRAGMENT, (uint16_t)(*offset / 8 | (more ? IPV4_FLAG_MF : 0)));
    } else {
        write_u16_at(&writer, IPV6_LENGTH, (uint16_t)(FRAGMENT_HEADER_SIZE + part));
        to[IPV6_NEXT] = IPPROTO_FRAGMENT;
        write_u8(&writer, packet[IPV6_NEXT]);
        write_u8(&writer, 0);
        write_u16(&writer, (uint16_t)(*offset | (more ? 1 : 0))); /* in units of eight, but three bits up */
        write_u32(&writer, id);
    }
    write_bytes(&writer, packet + header + *offset, part);
    *offset += part;
    return writer.used;
}
