/* UDP probes (RFC 768). A datagram back returns nothing but the ports; a quote returns the checksum too. */
#include "checksum.h"
#include "protocol.h"

#define HEADER_SIZE 8
#define CHECKSUM_OFFSET 6

static uint16_t
checksum_of(const struct request *request, const struct identity *identity, const uint8_t *from, size_t length)
{
    uint64_t sum = pseudo_header_sum(request->family, &identity->source, &request->target, IPPROTO_UDP, length);
    return checksum_finish(checksum_add(sum, from, length));
}

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

    uint16_t checksum = checksum_of(request, identity, writer->start + start, length);
    if (identity->balanced) {
        /* The two bytes are 0 so far: what they must add is the difference of the two sums. */
        uint64_t difference = checksum_add_u16(checksum_add_u16(0, (uint16_t)~identity->ip_id), checksum);
        uint16_t balance = (uint16_t)~checksum_finish(difference);
        write_u16_at(writer, start + HEADER_SIZE, balance);
        checksum = checksum_of(request, identity, writer->start + start, length);
    }
    identity->checksum = checksum ? checksum : 0xffff; /* 0 would say that there is none */
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
    return !checksum || checksum_is_right(answer, IPPROTO_UDP, whole, CHECKSUM_OFFSET); /* 0: there is none */
}

static bool
read_quote(struct reader bytes, struct answer *answer)
{
    if (!read_u16(&bytes, &answer->near) || !read_u16(&bytes, &answer->far) || !read_skip(&bytes, 2) ||
        !read_u16(&bytes, &answer->checksum))
        return false;
    answer->has_checksum = true;
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
    .build = build,
    .read_answer = read_answer,
    .read_quote = read_quote,
};
