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
    if (!checksum) /* there is none, which IPv6 does not allow (RFC 8200, section 8.1) */
        return answer->family == IPV4;
    return checksum_is_right(answer, IPPROTO_UDP, whole, CHECKSUM_OFFSET);
}

static bool
read_quote(struct reader bytes, struct answer *answer)
{
    if (!read_u16(&bytes, &answer->near) || !read_u16(&bytes, &answer->far) || !read_skip(&bytes, 2) ||
        !read_u16(&bytes, &answer->checksum))
        return false;
    /* In IPv4 0 says that none was computed (RFC 768); we always do, so a box on the way has rebuilt the quote. */
    answer->rebuilt = answer->checksum == 0 && answer->family == IPV4;
    answer->has_checksum = !answer->rebuilt;
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
