/* SPDX-License-Identifier: MIT */
/* SCTP probes (RFC 9260): one INIT, with its CRC32c our own, so that no kernel support is needed. */
#include "packets/checksum.h"
#include "packets/protocol.h"

#define HEADER_SIZE 32 /* common header and INIT chunk */
#define CHECKSUM_OFFSET 8
#define CHUNK_INIT 1
#define CHUNK_INIT_ACK 2
#define CHUNK_ABORT 6
#define CHUNK_HEADER_SIZE 4
#define CHUNK_INIT_SIZE 20 /* INIT ACK's fixed part is as long */
#define INIT_VERIFICATION_TAG 0 /* section 8.5.1 */
#define RECEIVE_WINDOW 106496 /* as Linux announces, as the next two: an INIT like any other */
#define STREAMS_OUT 10
#define STREAMS_IN 65535

static uint32_t
byte_swapped(uint32_t value)
{
    return value >> 24 | (value >> 8 & 0xff00) | (value << 8 & 0xff0000) | value << 24;
}

static void
build(const struct request *request, struct identity *identity, struct writer *writer)
{
    (void)request;
    size_t start = writer->used;
    write_u16(writer, identity->near);
    write_u16(writer, identity->far);
    write_u32(writer, INIT_VERIFICATION_TAG);
    write_u32(writer, 0);
    write_u8(writer, CHUNK_INIT);
    write_u8(writer, 0);
    write_u16(writer, CHUNK_INIT_SIZE);
    write_u32(writer, identity->number);
    write_u32(writer, RECEIVE_WINDOW);
    write_u16(writer, STREAMS_OUT);
    write_u16(writer, STREAMS_IN);
    write_u32(writer, identity->number); /* initial TSN: any number */
    if (writer->overflow)
        return;
    uint32_t crc = byte_swapped(crc32c(0, writer->start + start, writer->used - start)); /* low byte first */
    write_u16_at(writer, start + CHECKSUM_OFFSET, (uint16_t)(crc >> 16));
    write_u16_at(writer, start + CHECKSUM_OFFSET + 2, (uint16_t)crc);
    identity->checksum = (uint16_t)(crc >> 16);
}

/*
 * A raw socket sees packets before the kernel looks at their CRC, which is computed as if its own field were 0. It is 0
 * where none was computed: because the interface would have, in a packet that never left the host or came from a guest,
 * or because both ends have said that they need none (RFC 9653).
 */
static bool
crc_is_right(struct reader packet)
{
    static const uint8_t zero[4];
    struct reader behind = packet;
    uint32_t field;
    if (!read_skip(&behind, CHECKSUM_OFFSET) || !read_u32(&behind, &field))
        return false;
    uint32_t crc = crc32c(0, packet.at, CHECKSUM_OFFSET);
    crc = crc32c(crc, zero, sizeof zero);
    return field == 0 || field == byte_swapped(crc32c(crc, behind.at, behind.left));
}

/* Both answers bear our initiate tag as their verification tag (sections 5.1 and 8.4). */
static bool
read_answer(struct reader bytes, struct answer *answer)
{
    uint8_t chunk, flags;
    uint16_t length;
    struct reader packet = bytes;
    if (!read_u16(&bytes, &answer->far) || !read_u16(&bytes, &answer->near) || !read_u32(&bytes, &answer->number) ||
        !read_skip(&bytes, 4) || !read_u8(&bytes, &chunk) || !read_u8(&bytes, &flags) || !read_u16(&bytes, &length))
        return false;
    answer->has_number = true;
    size_t least = chunk == CHUNK_INIT_ACK ? CHUNK_INIT_SIZE : CHUNK_HEADER_SIZE;
    return (chunk == CHUNK_INIT_ACK || chunk == CHUNK_ABORT) && length >= least &&
           length - (size_t)CHUNK_HEADER_SIZE <= bytes.left && crc_is_right(packet);
}

/*
 * Eight quoted bytes hold no more than the ports; the initiate tag stands at byte 16. It is never 0: where it is, or
 * the checksum is, that is taken for the zeros that pad a short quote (RFC 4884, section 4).
 */
static bool
read_quote(struct reader bytes, struct answer *answer)
{
    uint32_t verification_tag;
    if (!read_u16(&bytes, &answer->near) || !read_u16(&bytes, &answer->far) || !read_u32(&bytes, &verification_tag) ||
        verification_tag != INIT_VERIFICATION_TAG)
        return false;
    answer->has_checksum = read_u16(&bytes, &answer->checksum) && answer->checksum != 0;
    answer->has_number = read_skip(&bytes, 6) && read_u32(&bytes, &answer->number) && answer->number != 0;
    return true;
}

const struct protocol protocol_sctp = {
    .name = "sctp",
    .number = { [IPV4] = IPPROTO_SCTP, [IPV6] = IPPROTO_SCTP },
    .ports = PORTS_NEAR_VARIES,
    .default_port = 80,
    .header_size = HEADER_SIZE,
    .dont_fragment = true,
    .numbered = true,
    .multihomed = true, /* RFC 9260, section 6.4 */
    .is_crc = true,
    .refusal = MEANS_NO_PROTOCOL,
    .build = build,
    .read_answer = read_answer,
    .read_quote = read_quote,
};
