/* SPDX-License-Identifier: MIT */
/* TCP probes (RFC 9293): one SYN. The kernel knows no such connection, so it answers a SYN-ACK with a RST by itself. */
#include <netinet/tcp.h>

#include "packets/checksum.h"
#include "packets/protocol.h"

#define HEADER_SIZE 40 /* with the options below */
#define CHECKSUM_OFFSET 16
#define WINDOW 64240
#define WINDOW_SCALE 7
#define SEGMENT_OVERHEAD 20 /* bytes of a TCP header without options: MSS is the MTU less this and the IP header */
#define USUAL_MTU 1500

/* The options of an ordinary SYN, in the order in which Linux sends them. */
static void
write_options(const struct request *request, const struct identity *identity, struct writer *writer)
{
    write_u8(writer, TCPOPT_MAXSEG);
    write_u8(writer, TCPOLEN_MAXSEG);
    write_u16(writer, (uint16_t)(USUAL_MTU - SEGMENT_OVERHEAD - families[request->family].header_size));
    write_u8(writer, TCPOPT_SACK_PERMITTED);
    write_u8(writer, TCPOLEN_SACK_PERMITTED);
    write_u8(writer, TCPOPT_TIMESTAMP);
    write_u8(writer, TCPOLEN_TIMESTAMP);
    write_u32(writer, ~identity->number); /* any number does: nobody hears of it again */
    write_u32(writer, 0);
    write_u8(writer, TCPOPT_NOP);
    write_u8(writer, TCPOPT_WINDOW);
    write_u8(writer, TCPOLEN_WINDOW);
    write_u8(writer, WINDOW_SCALE);
}

static void
build(const struct request *request, struct identity *identity, struct writer *writer)
{
    size_t start = writer->used;
    write_u16(writer, identity->near);
    write_u16(writer, identity->far);
    write_u32(writer, identity->number);
    write_u32(writer, 0);
    write_u8(writer, HEADER_SIZE / 4 << 4);
    write_u8(writer, TH_SYN);
    write_u16(writer, WINDOW);
    write_u16(writer, 0);
    write_u16(writer, 0);
    write_options(request, identity, writer);

    size_t length = writer->used - start;
    uint64_t sum = pseudo_header_sum(request->family, &identity->source, &request->target, IPPROTO_TCP, length);
    identity->checksum = checksum_finish(checksum_add(sum, writer->start + start, length));
    write_u16_at(writer, start + CHECKSUM_OFFSET, identity->checksum);
}

/* A SYN-ACK or a RST that acknowledges our SYN, which counts as one byte. */
static bool
read_answer(struct reader bytes, struct answer *answer)
{
    uint32_t acknowledged;
    uint8_t offset;
    struct reader whole = bytes;
    if (!read_u16(&bytes, &answer->far) || !read_u16(&bytes, &answer->near) || !read_skip(&bytes, 4) ||
        !read_u32(&bytes, &acknowledged) || !read_u8(&bytes, &offset) || !read_u8(&bytes, &answer->tcp_flags))
        return false;
    answer->has_number = true;
    answer->number = acknowledged - 1;
    size_t header = (size_t)(offset >> 4) * 4;
    uint8_t flags = answer->tcp_flags;
    bool counts = (flags & TH_ACK) && ((flags & TH_SYN) || (flags & TH_RST));
    return counts && header >= sizeof(struct tcphdr) && header <= whole.left &&
           checksum_is_right(answer, IPPROTO_TCP, whole, CHECKSUM_OFFSET);
}

/* A checksum of 0 says nothing: short quotes are padded with zeros before extensions (RFC 4884, section 4). */
static bool
read_quote(struct reader bytes, struct answer *answer)
{
    if (!read_u16(&bytes, &answer->near) || !read_u16(&bytes, &answer->far) || !read_u32(&bytes, &answer->number))
        return false;
    answer->has_number = true;
    answer->has_checksum = read_skip(&bytes, CHECKSUM_OFFSET - 8) && read_u16(&bytes, &answer->checksum) &&
                           answer->checksum != 0;
    return true;
}

const struct protocol protocol_tcp = {
    .name = "tcp",
    .number = { [IPV4] = IPPROTO_TCP, [IPV6] = IPPROTO_TCP },
    .ports = PORTS_NEAR_VARIES,
    .default_port = 80,
    .header_size = HEADER_SIZE,
    .dont_fragment = true,
    .numbered = true,
    .build = build,
    .read_answer = read_answer,
    .read_quote = read_quote,
};
