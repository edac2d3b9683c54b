/* SPDX-License-Identifier: MIT */
#include "packets/quote.h"

#define IPV4_OFFSET 0x1fff
#define IPV4_DF 0x4000
#define IPV4_DF_SWAPPED 0x0040
#define IPV4_MF_SWAPPED 0x0020

#define SEGMENT_ROUTING 4 /* type of routing header (RFC 8754, section 2) */

#define GRE_FIELDS 0xb000 /* flags: a checksum (RFC 2784), a key and a sequence number (RFC 2890) follow */
#define GRE_FIELD_SIZE 4  /* bytes of each */
#define ETHERTYPE_V4 0x0800
#define ETHERTYPE_V6 0x86dd

#define TUNNELS_MAX 2

/*
 * True when the quoted packet is a later fragment, so that no transport's header follows. Some routers keep flags and
 * offset in the order of their own bytes and quote them so: what would then be an offset is the flag DF or MF.
 */
static bool
is_later_fragment(uint16_t flags_offset)
{
    return (flags_offset & IPV4_OFFSET) != 0 && flags_offset != IPV4_DF_SWAPPED && flags_offset != IPV4_MF_SWAPPED;
}

/*
 * Short quotes are padded with zeros (RFC 4884, section 4): the length in the quoted header cuts these off, unless it is
 * too small to be one of ours.
 */
static bool
read_header_v4(struct reader *quote, uint8_t *number, struct answer *answer)
{
    uint8_t version_length;
    uint16_t length, fragment;
    struct reader start = *quote;
    if (!read_u8(quote, &version_length) || !read_u8(quote, &answer->quoted_tos) || !read_u16(quote, &length) ||
        !read_u16(quote, &answer->ip_id) || !read_u16(quote, &fragment) || !read_u8(quote, &answer->quoted_ttl) ||
        !read_u8(quote, number) || !read_skip(quote, 2) || !read_address(quote, IPV4, &answer->source) ||
        !read_address(quote, IPV4, &answer->target))
        return false;
    size_t header = (size_t)(version_length & 15) * 4;
    if (version_length >> 4 != 4 || header < 20 || is_later_fragment(fragment))
        return false;
    /* Of a packet that may not be fragmented 0 says nothing, as by a box that rebuilds quotes (RFC 6864, section 4.1). */
    answer->dont_fragment = (fragment & IPV4_DF) || fragment == IPV4_DF_SWAPPED;
    answer->has_ip_id = answer->ip_id != 0 || !answer->dont_fragment;
    if (length >= header + 8)
        reader_limit(&start, length);
    *quote = start;
    return read_skip(quote, header);
}

/*
 * A packet that goes by segments has the next of them for its destination while any is left, and routers quote that.
 * Where it is going in the end is the first in the list (RFC 8754, section 2). HEADER is the routing header.
 */
static void
read_final_segment(struct reader header, struct address *target)
{
    struct address final;
    uint8_t length, type, left, last;
    if (read_skip(&header, 1) && read_u8(&header, &length) && read_u8(&header, &type) && read_u8(&header, &left) &&
        read_u8(&header, &last) && read_skip(&header, 3) && type == SEGMENT_ROUTING && left > 0 && left <= last + 1 &&
        length >= 2 * (last + 1) && read_address(&header, IPV6, &final))
        *target = final;
}

/*
 * Steps over an extension header that stands before the transport's (RFC 8200, section 4). False when it is cut short,
 * or that of a later fragment, behind which there is no transport's header.
 */
static bool
skip_extension_header(struct reader *quote, uint8_t *number, struct address *target)
{
    uint8_t next, length;
    uint16_t fragment;
    struct reader fields = *quote, header;
    if (!read_u8(&fields, &next) || !read_u8(&fields, &length))
        return false;
    size_t size = (size_t)length * 8 + 8;
    if (*number == IPPROTO_FRAGMENT) {
        size = 8;
        if (!read_u16(&fields, &fragment) || fragment >> 3 != 0)
            return false;
    } else if (*number == IPPROTO_AH) {
        size = (size_t)length * 4 + 8; /* RFC 4302 counts in 32-bit words */
    }
    if (!read_view(quote, size, &header))
        return false;
    if (*number == IPPROTO_ROUTING)
        read_final_segment(header, target);
    *number = next;
    return true;
}

static bool
is_extension_header(uint8_t number)
{
    return number == IPPROTO_HOPOPTS || number == IPPROTO_ROUTING || number == IPPROTO_DSTOPTS ||
           number == IPPROTO_FRAGMENT || number == IPPROTO_AH;
}

static bool
read_header_v6(struct reader *quote, uint8_t *number, struct answer *answer)
{
    uint32_t version_class_label;
    uint16_t length;
    if (!read_u32(quote, &version_class_label) || !read_u16(quote, &length) || !read_u8(quote, number) ||
        !read_u8(quote, &answer->quoted_ttl) || !read_address(quote, IPV6, &answer->source) ||
        !read_address(quote, IPV6, &answer->target) || version_class_label >> 28 != 6)
        return false;
    answer->quoted_tos = (uint8_t)(version_class_label >> 20);
    answer->has_ip_id = false; /* that of a tunnel, if any */
    if (length >= 8)
        reader_limit(quote, length);
    while (is_extension_header(*number))
        if (!skip_extension_header(quote, number, &answer->target))
            return false;
    return true;
}

/* A GRE header (RFC 2784, RFC 2890) that an IP packet follows. */
static bool
read_gre(struct reader *quote, enum family_id *family)
{
    uint16_t flags, type;
    if (!read_u16(quote, &flags) || !read_u16(quote, &type))
        return false;
    *family = type == ETHERTYPE_V4 ? IPV4 : IPV6;
    return (flags & ~GRE_FIELDS) == 0 && (type == ETHERTYPE_V4 || type == ETHERTYPE_V6) &&
           read_skip(quote, GRE_FIELD_SIZE * (size_t)__builtin_popcount(flags));
}

/* Goes into a tunnel's packet: what stands at QUOTE then is an IP header of *FAMILY. */
static bool
enter_tunnel(struct reader *quote, uint8_t number, enum family_id *family)
{
    if (number == IPPROTO_GRE)
        return read_gre(quote, family);
    *family = number == IPPROTO_IPIP ? IPV4 : IPV6;
    return true;
}

static bool
is_tunnel(uint8_t number)
{
    return number == IPPROTO_IPIP || number == IPPROTO_IPV6 || number == IPPROTO_GRE;
}

bool
quote_read_headers(struct reader *quote, uint8_t *number, struct answer *answer)
{
    enum family_id family = answer->family;
    for (int tunnels = 0; tunnels <= TUNNELS_MAX; tunnels++) {
        if (tunnels > 0 && !enter_tunnel(quote, *number, &family))
            return false;
        if (family == IPV4 ? !read_header_v4(quote, number, answer) : !read_header_v6(quote, number, answer))
            return false;
        if (!is_tunnel(*number))
            return family == answer->family;
    }
    return false;
}
