/* SPDX-License-Identifier: MIT */
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include "packets/checksum.h"
#include "packets/icmp.h"
#include "packets/protocol.h"

/* Types that are too new for some C libraries (RFC 8335). */
enum { ICMP_EXT_ECHO_V4 = 42, ICMP_EXT_REPLY_V4 = 43, ICMP_EXT_ECHO_V6 = 160, ICMP_EXT_REPLY_V6 = 161 };

/* ---- echo: RFC 792, RFC 4443 ---- */

static void
write_echo(const struct request *request, const struct identity *identity, struct writer *writer)
{
    write_payload(request, identity, writer);
}

/*
 * An echo reply returns the payload, so its checksum is the request's but for the type: that proves every byte of the
 * payload without keeping any.
 */
static bool
read_echo_reply(struct reader rest, uint16_t checksum, struct answer *answer)
{
    const struct icmp_kind *kind = &icmp_kinds[ICMP_REQUEST_ECHO];
    answer->has_checksum = true;
    answer->checksum = checksum_adjust(checksum, (uint16_t)(kind->reply[answer->family] << 8),
                                       (uint16_t)(kind->request[answer->family] << 8));
    answer->has_payload = true;
    answer->payload = answer->content = rest;
    return true;
}

static bool
read_echo_quote(struct reader rest, uint16_t checksum, struct answer *answer)
{
    answer->has_checksum = true;
    answer->checksum = checksum;
    answer->has_payload = true;
    answer->payload = rest;
    return true;
}

/* ---- timestamp: RFC 792 ---- */

/* Three times: when the request left, when it came, and when the answer left; the request has the first alone. */
#define TIMESTAMP_SIZE 12

static size_t
size_of_timestamp(const struct request *request)
{
    (void)request;
    return TIMESTAMP_SIZE;
}

static void
write_timestamp(const struct request *request, const struct identity *identity, struct writer *writer)
{
    (void)request;
    write_u32(writer, identity->number);
    write_u32(writer, 0);
    write_u32(writer, 0);
}

static bool
read_timestamp_reply(struct reader rest, uint16_t checksum, struct answer *answer)
{
    (void)checksum;
    return read_u32(&rest, &answer->originate) && read_u32(&rest, &answer->receive) &&
           read_u32(&rest, &answer->transmit);
}

/* What is quoted behind the header is no secret, so that the checksum proves nothing that identifier and number do not. */
static bool
read_bare_quote(struct reader rest, uint16_t checksum, struct answer *answer)
{
    (void)rest;
    answer->has_checksum = true;
    answer->checksum = checksum;
    return true;
}

/* ---- extended echo: RFC 8335 ---- */

/* The extension structure (RFC 4884, section 7), and the one object in it. */
#define STRUCTURE_HEADER_SIZE 4
#define STRUCTURE_VERSION 2
#define OBJECT_HEADER_SIZE 4
#define CLASS_INTERFACE 3

#define ADDRESS_HEADER_SIZE 4
#define LOCAL 1 /* the flag behind the sequence number: an interface of the target itself is meant */

/* The numbers of address families that IANA keeps. */
static const uint16_t family_numbers[FAMILIES] = { [IPV4] = 1, [IPV6] = 2 };

/* Of the object behind its header. Names are filled up to a multiple of four bytes. */
static size_t
size_of_interface(const struct probed_interface *interface)
{
    switch (interface->by) {
    case PROBED_BY_NAME:
        return (interface->name.length + 3) / 4 * 4;
    case PROBED_BY_INDEX:
        return sizeof interface->index;
    case PROBED_BY_ADDRESS:
        return ADDRESS_HEADER_SIZE + families[interface->family].address_size;
    case PROBED_BY_NOTHING:
        break;
    }
    return 0;
}

static void
write_interface(const struct probed_interface *interface, struct writer *writer)
{
    switch (interface->by) {
    case PROBED_BY_NAME:
        write_bytes(writer, interface->name.at, interface->name.length);
        write_fill(writer, 0, size_of_interface(interface) - interface->name.length);
        break;
    case PROBED_BY_INDEX:
        write_u32(writer, interface->index);
        break;
    case PROBED_BY_ADDRESS:
        write_u16(writer, family_numbers[interface->family]);
        write_u8(writer, (uint8_t)families[interface->family].address_size);
        write_u8(writer, 0);
        write_address(writer, interface->family, &interface->address);
        break;
    case PROBED_BY_NOTHING:
        break;
    }
}

static size_t
size_of_extended(const struct request *request)
{
    return STRUCTURE_HEADER_SIZE + OBJECT_HEADER_SIZE + size_of_interface(&request->interface);
}

static void
write_extended(const struct request *request, const struct identity *identity, struct writer *writer)
{
    const struct probed_interface *interface = &request->interface;
    size_t start = writer->used, size = size_of_extended(request);
    (void)identity;
    write_u16(writer, STRUCTURE_VERSION << 12);
    write_u16(writer, 0);
    write_u16(writer, (uint16_t)(size - STRUCTURE_HEADER_SIZE));
    write_u8(writer, CLASS_INTERFACE);
    write_u8(writer, (uint8_t)interface->by);
    write_interface(interface, writer);
    if (!writer->overflow)
        write_u16_at(writer, start + 2, checksum_finish(checksum_add(0, writer->start + start, size)));
}

/* What stands behind the sequence number is of the reply's own, and what is behind the header says nothing. */
static bool
read_extended_reply(struct reader rest, uint16_t checksum, struct answer *answer)
{
    (void)rest;
    (void)checksum;
    answer->interface_state = (uint8_t)answer->far;
    answer->far = (uint16_t)((answer->far & 0xff00) | LOCAL);
    return true;
}

const struct icmp_kind icmp_kinds[ICMP_REQUESTS] = {
    [ICMP_REQUEST_ECHO] = {
        .known_to = { [IPV4] = true, [IPV6] = true },
        .request = { [IPV4] = ICMP_ECHO, [IPV6] = ICMP6_ECHO_REQUEST },
        .reply = { [IPV4] = ICMP_ECHOREPLY, [IPV6] = ICMP6_ECHO_REPLY },
        .sequence_bits = 16,
        .write = write_echo,
        .read_reply = read_echo_reply,
        .read_quote = read_echo_quote,
    },
    [ICMP_REQUEST_TIMESTAMP] = {
        .known_to = { [IPV4] = true },
        .request = { [IPV4] = ICMP_TIMESTAMP },
        .reply = { [IPV4] = ICMP_TIMESTAMPREPLY },
        .sequence_bits = 16,
        .stamped = true,
        .size = size_of_timestamp,
        .write = write_timestamp,
        .read_reply = read_timestamp_reply,
        .read_quote = read_bare_quote,
    },
    [ICMP_REQUEST_EXTENDED] = {
        .known_to = { [IPV4] = true, [IPV6] = true },
        .request = { [IPV4] = ICMP_EXT_ECHO_V4, [IPV6] = ICMP_EXT_ECHO_V6 },
        .reply = { [IPV4] = ICMP_EXT_REPLY_V4, [IPV6] = ICMP_EXT_REPLY_V6 },
        .sequence_bits = 8,
        .sequence_rest = LOCAL,
        .any_code = true,
        .size = size_of_extended,
        .write = write_extended,
        .read_reply = read_extended_reply,
        .read_quote = read_bare_quote,
    },
};
