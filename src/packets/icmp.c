/* SPDX-License-Identifier: MIT */
/* ICMP messages (RFC 792, RFC 4443): requests of ours, and the errors that quote probes of all protocols. */
#include "packets/icmp.h"

#include "packets/checksum.h"
#include "packets/icmpext.h"
#include "packets/protocol.h"
#include "packets/quote.h"

#define HEADER_SIZE 8
#define TRANSPORT_QUOTE_MIN 8 /* bytes of the transport header that every router quotes (RFC 792) */

static void
build(const struct request *request, struct identity *identity, struct writer *writer)
{
    const struct icmp_kind *kind = &icmp_kinds[request->icmp_request];
    size_t start = writer->used;
    write_u8(writer, kind->request[request->family]);
    write_u8(writer, 0);
    write_u16(writer, 0);
    write_u16(writer, identity->near);
    write_u16(writer, identity->far);
    kind->write(request, identity, writer);

    size_t length = writer->used - start;
    uint64_t sum = 0;
    if (request->family == IPV6)
        sum = pseudo_header_sum(IPV6, &identity->source, &request->target, families[IPV6].icmp_protocol, length);
    uint16_t checksum = checksum_finish(checksum_add(sum, writer->start + start, length));
    if (identity->balanced)
        write_balance(request, identity, writer, start + HEADER_SIZE, checksum);
    else
        identity->checksum = checksum;
    write_u16_at(writer, start + 2, identity->checksum);
}

/* MESSAGE begins behind the ICMP header's eight bytes; LENGTH is RFC 4884's length field, or 0. */
static bool
read_error(struct reader message, uint8_t length, struct answer *answer)
{
    uint8_t number;
    answer->is_error = true;
    answer->known |= KNOWN_QUOTE;
    answer->extensions = icmp_extensions(&message, answer->family, length);
    return quote_read_headers(&message, &number, answer) && message.left >= TRANSPORT_QUOTE_MIN &&
           protocol_by_number(answer->family, number, &answer->protocol) &&
           protocols[answer->protocol]->read_quote(message, answer);
}

/* The kind whose replies, or REQUESTs, have this type, and notes it; NULL: there is none. */
static const struct icmp_kind *
find_kind(uint8_t type, bool request, struct answer *answer)
{
    enum family_id family = answer->family;
    for (enum icmp_request i = 0; i < ICMP_REQUESTS; i++) {
        const struct icmp_kind *kind = &icmp_kinds[i];
        if (kind->known_to[family] && type == (request ? kind->request[family] : kind->reply[family])) {
            answer->icmp_request = i;
            return kind;
        }
    }
    return NULL;
}

static bool
read_answer(struct reader bytes, struct answer *answer)
{
    const struct family *family = &families[answer->family];
    struct reader whole = bytes;
    uint16_t checksum;
    uint8_t quote_length;
    if (!read_u8(&bytes, &answer->icmp_type) || !read_u8(&bytes, &answer->icmp_code) || !read_u16(&bytes, &checksum) ||
        !read_u16(&bytes, &answer->near) || !read_u16(&bytes, &answer->far))
        return false;
    /* An IPv4 raw socket sees messages before the kernel looks at their checksum; an ICMPv6 one, only right ones. */
    if (answer->family == IPV4 && checksum_finish(checksum_add(0, whole.at, whole.left)) != 0)
        return false;
    const struct icmp_kind *kind = find_kind(answer->icmp_type, false, answer);
    if (kind)
        return (answer->icmp_code == 0 || kind->any_code) && kind->read_reply(bytes, checksum, answer);

    const struct icmp_meaning *row = family_icmp_meaning(family, answer->icmp_type, answer->icmp_code);
    answer->meaning = row->meaning;
    if (answer->meaning == MEANS_NOTHING)
        return false;
    if (answer->meaning == MEANS_TOO_BIG) /* IPv4: 16 bits (RFC 1191, section 4); IPv6: 32 (RFC 4443, section 3.2) */
        answer->mtu = answer->family == IPV4 ? answer->far : (uint32_t)answer->near << 16 | answer->far;
    if (!row->has_quote_length || !read_skip(&whole, family->quote_length_offset) || !read_u8(&whole, &quote_length))
        quote_length = 0;
    return read_error(bytes, quote_length, answer);
}

static bool
read_quote(struct reader bytes, struct answer *answer)
{
    uint8_t type, code;
    uint16_t checksum;
    if (!read_u8(&bytes, &type) || !read_u8(&bytes, &code) || !read_u16(&bytes, &checksum) ||
        !read_u16(&bytes, &answer->near) || !read_u16(&bytes, &answer->far))
        return false;
    const struct icmp_kind *kind = find_kind(type, true, answer);
    return kind && code == 0 && kind->read_quote(bytes, checksum, answer);
}

const struct protocol protocol_icmp = {
    .name = "icmp",
    .number = { [IPV4] = IPPROTO_ICMP, [IPV6] = IPPROTO_ICMPV6 },
    .ports = PORTS_ECHO,
    .header_size = HEADER_SIZE,
    .sized = true,
    .checksum_binds = true,
    .build = build,
    .read_answer = read_answer,
    .read_quote = read_quote,
};
