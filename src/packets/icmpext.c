/* SPDX-License-Identifier: MIT */
#include "packets/icmpext.h"

#include "packets/checksum.h"

#define VERSION 2
#define HEADER_SIZE 4
#define OBJECT_HEADER_SIZE 4
#define CLASS_MPLS 1
#define TYPE_MPLS_STACK 1
#define CLASS_INTERFACE 2
#define CLASS_NODE 5

/*
 * Bits of an interface object's type (RFC 5837, section 4.1): what is in it, in this order. The top two: the role. In a
 * node's there is an address or a name.
 */
enum { HAS_INDEX = 8, HAS_ADDRESS = 4, HAS_NAME = 2, HAS_MTU = 1 };
#define ROLE_SHIFT 6

#define NAME_MAX_SIZE 64 /* bytes of a name and the length before it, which counts itself (section 4.3) */

/*
 * The objects of an extension structure. A checksum of 0 says that none was computed, which is believed only where the
 * length field announced the structure: elsewhere the checksum is the sole proof that it is one.
 */
static struct reader
read_objects(struct reader structure, bool announced)
{
    const struct reader none = { NULL, 0 };
    struct reader whole = structure;
    uint8_t version, reserved;
    uint16_t checksum;
    if (!read_u8(&structure, &version) || !read_u8(&structure, &reserved) || !read_u16(&structure, &checksum) ||
        version >> 4 != VERSION)
        return none;
    bool proven = checksum ? checksum_finish(checksum_add(0, whole.at, whole.left)) == 0 : announced;
    return proven ? structure : none;
}

struct reader
icmp_extensions_at(struct reader *body, size_t at, bool announced)
{
    struct reader rest = *body;
    if (!read_skip(&rest, at) || rest.left < HEADER_SIZE)
        return (struct reader){ NULL, 0 };
    struct reader objects = read_objects(rest, announced);
    if (objects.at)
        reader_limit(body, at);
    return objects;
}

size_t
icmp_translated_quote(enum family_id family)
{
    return QUOTE_MIN + families[family].header_size - families[family == IPV4 ? IPV6 : IPV4].header_size;
}

/* True when objects, one at least, fill it to the last byte. */
static bool
is_full(struct reader objects)
{
    struct extension extension;
    bool any = false;
    while (extension_next(&objects, &extension))
        any = true;
    return any && objects.left == 0;
}

/* Some routers (FortiGate) count the quote's length in bytes, which as words would lie beyond the message. */
static struct reader
extensions_by_bytes(struct reader *body, size_t length)
{
    struct reader quote = *body;
    struct reader objects = icmp_extensions_at(&quote, length, true);
    if (length < QUOTE_MIN || !is_full(objects))
        return (struct reader){ NULL, 0 };
    *body = quote;
    return objects;
}

struct reader
icmp_extensions(struct reader *body, enum family_id family, uint8_t length)
{
    size_t quoted = length * families[family].quote_unit;
    if (quoted > body->left)
        return extensions_by_bytes(body, length);
    if (length)
        return icmp_extensions_at(body, quoted, true);
    struct reader objects = icmp_extensions_at(body, QUOTE_MIN, false);
    return objects.at ? objects : icmp_extensions_at(body, icmp_translated_quote(family), false);
}

bool
extension_next(struct reader *objects, struct extension *extension)
{
    uint16_t length;
    struct reader rest = *objects;
    if (!read_u16(&rest, &length) || !read_u8(&rest, &extension->class_number) || !read_u8(&rest, &extension->type) ||
        length < OBJECT_HEADER_SIZE || !read_view(&rest, length - (size_t)OBJECT_HEADER_SIZE, &extension->payload))
        return false;
    *objects = rest;
    return true;
}

bool
extension_is_mpls(const struct extension *extension)
{
    return extension->class_number == CLASS_MPLS && extension->type == TYPE_MPLS_STACK;
}

/* The address family's number (1: IPv4, 2: IPv6), two reserved bytes, the address (RFC 5837, section 4.2). */
static bool
read_numbered_address(struct reader *payload, enum family_id *family, struct address *address)
{
    uint16_t number;
    if (!read_u16(payload, &number) || !read_skip(payload, 2) || (number != 1 && number != 2))
        return false;
    *family = number == 1 ? IPV4 : IPV6;
    return read_address(payload, *family, address);
}

/* The name is padded with zeros to a multiple of four bytes (section 4.3); these are not part of it. */
static bool
read_name(struct reader *payload, struct reader *name)
{
    uint8_t length;
    struct reader start = *payload;
    if (!read_u8(payload, &length) || length < 1 || length > NAME_MAX_SIZE ||
        !read_view(payload, length - 1u, name))
        return false;
    while (name->left > 0 && name->at[name->left - 1] == 0)
        name->left--;
    *payload = start;
    return read_skip(payload, (length + 3u) & ~3u);
}

bool
extension_read_interface(const struct extension *extension, struct interface_info *info)
{
    uint8_t type = extension->type;
    struct reader payload = extension->payload;
    *info = (struct interface_info){
        .role = type >> ROLE_SHIFT,
        .has_index = type & HAS_INDEX,
        .has_address = type & HAS_ADDRESS,
        .has_mtu = type & HAS_MTU,
    };
    return extension->class_number == CLASS_INTERFACE && (!info->has_index || read_u32(&payload, &info->index)) &&
           (!info->has_address || read_numbered_address(&payload, &info->family, &info->address)) &&
           (!(type & HAS_NAME) || read_name(&payload, &info->name)) &&
           (!info->has_mtu || read_u32(&payload, &info->mtu)) && payload.left == 0;
}

bool
extension_read_node(const struct extension *extension, struct node_info *info)
{
    uint8_t type = extension->type;
    struct reader payload = extension->payload;
    *info = (struct node_info){ .has_address = type & HAS_ADDRESS };
    return extension->class_number == CLASS_NODE && (type & ~(HAS_ADDRESS | HAS_NAME)) == 0 &&
           (!info->has_address || read_numbered_address(&payload, &info->family, &info->address)) &&
           (!(type & HAS_NAME) || read_name(&payload, &info->name)) && payload.left == 0 &&
           (info->has_address || info->name.left > 0);
}

bool
mpls_next(struct reader *stack, struct mpls_label *label)
{
    uint32_t entry;
    if (!read_u32(stack, &entry))
        return false;
    *label = (struct mpls_label){
        .label = entry >> 12,
        .traffic_class = entry >> 9 & 7,
        .bottom_of_stack = entry >> 8 & 1,
        .ttl = (uint8_t)entry,
    };
    return true;
}
