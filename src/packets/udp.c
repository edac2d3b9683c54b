/* SPDX-License-Identifier: MIT */
/* UDP probes (RFC 768). A datagram back returns nothing but the ports; a quote returns the checksum too. */
#include "packets/checksum.h"
#include "packets/protocol.h"

#define HEADER_SIZE 8
#define CHECKSUM_OFFSET 6

static void
build(const struct request *request, struct identity *identity, struct writer *writer)
{
    size_t start = writer->used;
    size_t length = HEADER_SIZE + packet_payload_size(request);
    write_u16(writer, identity->near);
    write_u16(writer, identity->far);
    write_u16(writer, (uint16_t)length);
    write_u16(writer, 0);
    write_payload(request, identity, writer);
    if (writer->overflow)
        return;

    uint64_t sum = pseudo_header_sum(request->family, &identity->source, &request->target, IPPROTO_UDP, length);
    uint16_t checksum = checksum_finish(checksum_add(sum, writer->start + start, length));
    checksum = checksum ? checksum : 0xffff; /* 0 would say that there is none */
    if (identity->balanced)
        write_balance(request, identity, writer, start + HEADER_SIZE, checksum);
    else
        identity->checksum = checksum;
    write_u16_at(writer, start + CHECKSUM_OFFSET, identity->checksum);
}

static bool
read_answer(struct reader bytes, struct answer *answer)
{
    uint16_t length, checksum;
    struct reader whole = bytes;
    if (!read_u16(&bytes, &answer->far) || !read_u16(&bytes, &answer->near) || !read_u16(&bytes, &length) ||
        !read_u16(&bytes, &checksum) || length < HEADER_SIZE || length > whole.left)
        return false;
    reader_limit(&whole, length);
    answer->content = (struct reader){ bytes.at, length - HEADER_SIZE };
    if (!checksum) /* there is none, which IPv6 does not allow (RFC 8200, section 8.1) */
        return answer->family == IPV4;
    return checksum_is_right(answer, IPPROTO_UDP, whole, CHECKSUM_OFFSET);
}

/* True when no more than these bytes is what the quoted packet had, by its own length and checksum. */
static bool
is_whole(struct reader quote, uint16_t length, const struct answer *answer)
{
    uint64_t sum = pseudo_header_sum(answer->family, &answer->source, &answer->target, IPPROTO_UDP, length);
    return length == quote.left && checksum_finish(checksum_add(sum, quote.at, quote.left)) == 0;
}

static bool
read_quote(struct reader bytes, struct answer *answer)
{
    uint16_t length;
    struct reader whole = bytes;
    if (!read_u16(&bytes, &answer->near) || !read_u16(&bytes, &answer->far) || !read_u16(&bytes, &length) ||
        !read_u16(&bytes, &answer->checksum))
        return false;
    /*
     * A box on the way may rebuild the quote of what is left of it: in IPv4 with 0, which says that no checksum was computed
     * (RFC 768), and we always do; in IPv6 with length and checksum of what is quoted.
     */
    answer->has_checksum = answer->checksum != 0 || answer->family == IPV6;
    answer->rebuilt = !answer->has_checksum || is_whole(whole, length, answer);
    answer->has_payload = true;
    answer->payload = bytes;
    return true;
}

const struct protocol protocol_udp = {
    .name = "udp",
    .number = { [IPV4] = IPPROTO_UDP, [IPV6] = IPPROTO_UDP },
    .ports = PORTS_FAR_VARIES,
    .header_size = HEADER_SIZE,
    .sized = true,
    .checksum_binds = true,
    .refusal = MEANS_NO_PORT,
    .build = build,
    .read_answer = read_answer,
    .read_quote = read_quote,
};
