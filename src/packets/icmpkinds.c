/* SPDX-License-Identifier: MIT */
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include "packets/checksum.h"
#include "packets/icmp.h"
#include "packets/protocol.h"

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
    answer->payload = rest;
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

const struct icmp_kind icmp_kinds[ICMP_REQUESTS] = {
    [ICMP_REQUEST_ECHO] = {
        .known_to = { [IPV4] = true, [IPV6] = true },
        .request = { [IPV4] = ICMP_ECHO, [IPV6] = ICMP6_ECHO_REQUEST },
        .reply = { [IPV4] = ICMP_ECHOREPLY, [IPV6] = ICMP6_ECHO_REPLY },
        .echoes = true,
        .write = write_echo,
        .read_reply = read_echo_reply,
        .read_quote = read_echo_quote,
    },
    [ICMP_REQUEST_TIMESTAMP] = {
        .known_to = { [IPV4] = true },
        .request = { [IPV4] = ICMP_TIMESTAMP },
        .reply = { [IPV4] = ICMP_TIMESTAMPREPLY },
        .stamped = true,
        .size = size_of_timestamp,
        .write = write_timestamp,
        .read_reply = read_timestamp_reply,
        .read_quote = read_bare_quote,
    },
};
