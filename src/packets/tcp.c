/* SPDX-License-Identifier: MIT */
/* TCP probes (RFC 9293): one SYN. The kernel knows no such connection, so it answers a SYN-ACK with a RST by itself. */
#include <netinet/tcp.h>

#include "packets/checksum.h"
#include "packets/protocol.h"

#define HEADER_SIZE 40 /* with the options below */
#define LENGTH_OFFSET 12 /* of the header's own length, in the upper four bits, and of the flags in the lower twelve */
#define FLAGS_MASK 0x0fff
#define PLAIN_FLAGS (HEADER_SIZE / 4 << 12 | TH_SYN)
#define CHECKSUM_OFFSET 16
#define WINDOW 64240
#define WINDOW_SCALE 7
#define SEGMENT_OVERHEAD 20 /* bytes of a TCP header without options: MSS is the MTU less this and the IP header */
#define USUAL_MTU 1500

static uint16_t
sent_mss(enum family_id family)
{
    return (uint16_t)(USUAL_MTU - SEGMENT_OVERHEAD - families[family].header_size);
}

/* The options of an ordinary SYN, in the order in which Linux sends them. */
static void
write_options(enum family_id family, uint32_t number, struct writer *writer)
{
    write_u8(writer, TCPOPT_MAXSEG);
    write_u8(writer, TCPOLEN_MAXSEG);
    write_u16(writer, sent_mss(family));
    write_u8(writer, TCPOPT_SACK_PERMITTED);
    write_u8(writer, TCPOLEN_SACK_PERMITTED);
    write_u8(writer, TCPOPT_TIMESTAMP);
    write_u8(writer, TCPOLEN_TIMESTAMP);
    write_u32(writer, ~number); /* any number does: nobody hears of it again */
    write_u32(writer, 0);
    write_u8(writer, TCPOPT_NOP);
    write_u8(writer, TCPOPT_WINDOW);
    write_u8(writer, TCPOLEN_WINDOW);
    write_u8(writer, WINDOW_SCALE);
}

/* With a checksum of 0. */
static void
write_syn(enum family_id family, uint16_t near, uint16_t far, uint32_t number, struct writer *writer)
{
    write_u16(writer, near);
    write_u16(writer, far);
    write_u32(writer, number);
    write_u32(writer, 0);
    write_u16(writer, PLAIN_FLAGS);
    write_u16(writer, WINDOW);
    write_u16(writer, 0);
    write_u16(writer, 0);
    write_options(family, number, writer);
}

/* What asks for each kind of ECN in a SYN: RFC 3168, section 6.1.1; RFC 9768, section 3.1.1. */
static const uint16_t ecn_bits[TCP_ECNS] = {
    [TCP_ECN_CLASSIC] = TCP_CWR | TCP_ECE,
    [TCP_ECN_ACCURATE] = TCP_AE | TCP_CWR | TCP_ECE,
};

/*
 * The identity's checksum is that of the SYN without ECN bits: with these, or without where a router has cleared them, a
 * quoted checksum is brought back to it, see read_checksum().
 */
static void
build(const struct request *request, struct identity *identity, struct writer *writer)
{
    size_t start = writer->used;
    write_syn(request->family, identity->near, identity->far, identity->number, writer);

    size_t length = writer->used - start;
    uint64_t sum = pseudo_header_sum(request->family, &identity->source, &request->target, IPPROTO_TCP, length);
    identity->checksum = checksum_finish(checksum_add(sum, writer->start + start, length));

    uint16_t checksum = identity->checksum, flags = PLAIN_FLAGS | ecn_bits[request->tcp_ecn];
    if (flags != PLAIN_FLAGS) {
        checksum = checksum_adjust(checksum, PLAIN_FLAGS, flags);
        write_u16_at(writer, start + LENGTH_OFFSET, flags);
    }
    write_u16_at(writer, start + CHECKSUM_OFFSET, checksum);
}

/* A SYN-ACK or a RST that acknowledges our SYN, which counts as one byte. */
static bool
read_answer(struct reader bytes, struct answer *answer)
{
    uint32_t acknowledged;
    uint16_t length_flags;
    struct reader whole = bytes;
    if (!read_u16(&bytes, &answer->far) || !read_u16(&bytes, &answer->near) || !read_skip(&bytes, 4) ||
        !read_u32(&bytes, &acknowledged) || !read_u16(&bytes, &length_flags))
        return false;
    answer->has_number = true;
    answer->number = acknowledged - 1;
    size_t header = (size_t)(length_flags >> 12) * 4;
    uint16_t flags = answer->tcp_flags = length_flags & FLAGS_MASK;
    bool counts = (flags & TH_RST) || ((flags & TH_ACK) && (flags & TH_SYN)); /* some forget the ACK of a RST */
    return counts && header >= sizeof(struct tcphdr) && header <= whole.left &&
           checksum_is_right(answer, IPPROTO_TCP, whole, CHECKSUM_OFFSET);
}

/*
 * The checksum that the quoted SYN had when it left. On the way the MSS may have been made smaller, or other options
 * and flags changed, and the checksum with them: every word that is not as we send it, with the quoted ports and number,
 * is taken out of it again (RFC 1624). False when not all that the checksum covers is quoted. The zeros that pad a short
 * quote (RFC 4884, section 4) are none of it, though a translator may have adjusted a checksum among them: a SYN of ours
 * has its header's length in it, and does not end in 0.
 */
static bool
read_checksum(struct reader quoted, struct answer *answer)
{
    uint8_t syn[HEADER_SIZE];
    struct writer writer = { .start = syn, .size = sizeof syn };
    struct reader sent = { syn, sizeof syn }, field = quoted;
    uint16_t is, was = 0, checksum;
    write_syn(answer->family, answer->near, answer->far, answer->number, &writer);
    if (!read_skip(&field, CHECKSUM_OFFSET) || !read_u16(&field, &checksum))
        return false;
    for (size_t at = 0; at < HEADER_SIZE; at += sizeof is) {
        if (!read_u16(&quoted, &is) || !read_u16(&sent, &was) || (at == LENGTH_OFFSET && is >> 12 != HEADER_SIZE / 4))
            return false;
        if (at != CHECKSUM_OFFSET)
            checksum = checksum_adjust(checksum, is, was);
    }
    answer->checksum = checksum;
    return (is & 0xff) != 0;
}

/*
 * The MSS of a quoted SYN: its first option, as Linux sends it too. 0: the quote does not hold it. What is behind it
 * must not be 0, else the quote may have ended in the middle of it, and the rest is padding.
 */
static uint16_t
read_mss(struct reader quoted)
{
    uint16_t mss;
    uint8_t length, kind, size, next;
    if (!read_skip(&quoted, LENGTH_OFFSET) || !read_u8(&quoted, &length) || length >> 4 <= sizeof(struct tcphdr) / 4 ||
        !read_skip(&quoted, sizeof(struct tcphdr) - LENGTH_OFFSET - 1) || !read_u8(&quoted, &kind) ||
        !read_u8(&quoted, &size) || !read_u16(&quoted, &mss) || !read_u8(&quoted, &next))
        return 0;
    return kind == TCPOPT_MAXSEG && size == TCPOLEN_MAXSEG && next ? mss : 0;
}

static bool
read_quote(struct reader bytes, struct answer *answer)
{
    struct reader whole = bytes;
    if (!read_u16(&bytes, &answer->near) || !read_u16(&bytes, &answer->far) || !read_u32(&bytes, &answer->number))
        return false;
    answer->has_number = true;
    answer->has_checksum = read_checksum(whole, answer);
    answer->sent_mss = sent_mss(answer->family);
    answer->quoted_mss = read_mss(whole);
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
