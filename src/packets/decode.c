/* SPDX-License-Identifier: MIT */
/* Bytes to answer: the outer IP header here, the rest in the protocols' own files. */
#include "packets/checksum.h"
#include "packets/protocol.h"

/* Takes the IPv4 header, whatever options it has, and cuts off what lies beyond the length that it gives. */
static bool
read_header_v4(struct reader *bytes, uint8_t *number, struct answer *answer)
{
    uint8_t version_length;
    uint16_t length, fragment;
    struct reader start = *bytes;
    if (!read_u8(bytes, &version_length) || !read_u8(bytes, &answer->tos) || !read_u16(bytes, &length) ||
        !read_u16(bytes, &answer->id) || !read_u16(bytes, &fragment) || !read_u8(bytes, &answer->ttl) ||
        !read_u8(bytes, number) || !read_skip(bytes, 2) || !read_address(bytes, IPV4, &answer->from) ||
        !read_address(bytes, IPV4, &answer->to))
        return false;
    size_t header = (size_t)(version_length & 15) * 4;
    if (version_length >> 4 != 4 || header < 20 || length < header || length > start.left || (fragment & 0x1fff) != 0)
        return false;
    answer->known |= KNOWN_SIZE | KNOWN_ID | KNOWN_TTL | KNOWN_TOS;
    answer->size = length;
    reader_limit(&start, length);
    *bytes = start;
    return read_skip(bytes, header);
}

bool
checksum_is_right(const struct answer *answer, uint8_t number, struct reader bytes, size_t offset)
{
    uint16_t field;
    struct reader whole = bytes;
    if (!read_skip(&bytes, offset) || !read_u16(&bytes, &field))
        return false;
    uint64_t sum = pseudo_header_sum(answer->family, &answer->from, &answer->to, number, whole.left);
    uint16_t unfinished = (uint16_t)~checksum_finish(sum);
    return field == unfinished || checksum_finish(checksum_add(sum, whole.at, whole.left)) == 0;
}

bool
packet_decode(const struct datagram *datagram, struct answer *answer)
{
    struct reader bytes = datagram->bytes;
    uint8_t number = datagram->number;
    *answer = (struct answer){
        .family = datagram->family,
        .from = datagram->from,
        .to = datagram->to,
        .arrived = datagram->arrived,
        .known = (datagram->options_cut ? 0 : KNOWN_SIZE) | (datagram->ttl ? KNOWN_TTL | KNOWN_TOS : 0),
        .size = families[datagram->family].header_size + datagram->options + bytes.left,
        .ttl = datagram->ttl,
        .tos = datagram->tos,
    };
    if (datagram->family == IPV4 && !datagram->bare && !read_header_v4(&bytes, &number, answer))
        return false;
    if (!protocol_by_number(datagram->family, number, &answer->protocol))
        return false;
    answer->source = answer->to;
    answer->target = answer->from;
    return protocols[answer->protocol]->read_answer(bytes, answer);
}
