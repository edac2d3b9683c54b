#include "icmpext.h"

#include "checksum.h"

#define VERSION 2
#define HEADER_SIZE 4
#define OBJECT_HEADER_SIZE 4
#define QUOTE_MIN 128 /* bytes; in the form without a length the extensions stand right behind */
#define CLASS_MPLS 1
#define TYPE_MPLS_STACK 1

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
icmp_extensions(struct reader *body, size_t quoted)
{
    size_t at = quoted ? quoted : QUOTE_MIN;
    struct reader rest = *body;
    if (!read_skip(&rest, at) || rest.left < HEADER_SIZE)
        return (struct reader){ NULL, 0 };
    struct reader objects = read_objects(rest, quoted != 0);
    if (objects.at)
        reader_limit(body, at);
    return objects;
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
