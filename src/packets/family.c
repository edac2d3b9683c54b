/* SPDX-License-Identifier: MIT */
#include "packets/family.h"

#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "packets/compat.h"

/*
 * RFC 792 and RFC 1812, section 5.2.7.1. Codes of time exceeded that nobody has defined are taken for the one that
 * routers send, as mtr and traceroute(8) take them.
 */
static const struct icmp_meaning meanings_v4[] = {
    { ICMP_TIME_EXCEEDED, ICMP_EXC_FRAGTIME, MEANS_NOT_REASSEMBLED, true },
    { ICMP_TIME_EXCEEDED, ANY_CODE, MEANS_TTL_EXPIRED, true },
    { ICMP_DEST_UNREACH, ICMP_NET_UNREACH, MEANS_NO_ROUTE_NETWORK, true },
    { ICMP_DEST_UNREACH, ICMP_NET_UNKNOWN, MEANS_NO_ROUTE_NETWORK, true },
    { ICMP_DEST_UNREACH, ICMP_NET_UNR_TOS, MEANS_NO_ROUTE_NETWORK, true },
    { ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, MEANS_NO_PORT, true },
    { ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, MEANS_NO_PROTOCOL, true },
    { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, MEANS_TOO_BIG, true },
    { ICMP_DEST_UNREACH, ANY_CODE, MEANS_NO_ROUTE_HOST, true },
    { ICMP_PARAMETERPROB, ANY_CODE, MEANS_NO_ROUTE_HOST, true },
    { 0, 0, MEANS_NOTHING, false },
};

/* RFC 4443; the codes of parameter problem, RFC 8883's among them */
static const struct icmp_meaning meanings_v6[] = {
    { ICMP6_TIME_EXCEEDED, ICMP6_TIME_EXCEED_REASSEMBLY, MEANS_NOT_REASSEMBLED, true },
    { ICMP6_TIME_EXCEEDED, ANY_CODE, MEANS_TTL_EXPIRED, true },
    { ICMP6_PACKET_TOO_BIG, ANY_CODE, MEANS_TOO_BIG, false },
    { ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE, MEANS_NO_ROUTE_NETWORK, true },
    { ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT, MEANS_NO_PORT, true },
    { ICMP6_DST_UNREACH, ANY_CODE, MEANS_NO_ROUTE_HOST, true },
    { ICMP6_PARAM_PROB, ICMP6_PARAMPROB_NEXTHEADER, MEANS_NO_PROTOCOL, false },
    { ICMP6_PARAM_PROB, ANY_CODE, MEANS_NO_ROUTE_HOST, false },
    { 0, 0, MEANS_NOTHING, false },
};

const struct family families[FAMILIES] = {
    [IPV4] = {
        .domain = AF_INET,
        .address_size = 4,
        .header_size = 20,
        .mtu_min = 68,
        .target_name = "ip-4",
        .local_name = "local-ip-4",
        .loopback = { { 127, 0, 0, 1 } },
        .icmp_protocol = IPPROTO_ICMP,
        .quote_unit = 4,
        .quote_length_offset = 5,
        .meanings = meanings_v4,
        .level = IPPROTO_IP,
        .tos = IP_TOS,
        .mtu_discover = IP_MTU_DISCOVER,
        .mtu = IP_MTU,
        .ttl = IP_TTL,
        .default_ttl = IP_TTL,
    },
    [IPV6] = {
        .domain = AF_INET6,
        .address_size = 16,
        .header_size = 40,
        .mtu_min = 1280,
        .target_name = "ip-6",
        .local_name = "local-ip-6",
        .loopback = { { [15] = 1 } },
        .icmp_protocol = IPPROTO_ICMPV6,
        .quote_unit = 8,
        .quote_length_offset = 4,
        .meanings = meanings_v6,
        .level = IPPROTO_IPV6,
        .tos = IPV6_TCLASS,
        .mtu_discover = IPV6_MTU_DISCOVER,
        .mtu = IPV6_MTU,
        .ttl = IPV6_HOPLIMIT,
        .default_ttl = IPV6_UNICAST_HOPS,
    },
};

const struct icmp_meaning *
family_icmp_meaning(const struct family *family, uint8_t type, uint8_t code)
{
    const struct icmp_meaning *row = family->meanings;
    while (row->meaning != MEANS_NOTHING && (row->type != type || (row->code != code && row->code != ANY_CODE)))
        row++;
    return row;
}

bool
address_same(const struct address *a, const struct address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool
address_is_unspecified(const struct address *address)
{
    static const struct address unspecified;
    return address_same(address, &unspecified);
}

bool
address_is_group(enum family_id family, const struct address *address)
{
    static const uint8_t broadcast[4] = { 255, 255, 255, 255 };
    if (family == IPV6)
        return address->bytes[0] == 0xff;
    return (address->bytes[0] & 0xf0) == 0xe0 || memcmp(address->bytes, broadcast, sizeof broadcast) == 0;
}

bool
address_is_link_local(enum family_id family, const struct address *address)
{
    if (family == IPV4)
        return false;
    bool unicast = address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
    bool group = address->bytes[0] == 0xff && ((address->bytes[1] & 0x0f) == 1 || (address->bytes[1] & 0x0f) == 2);
    return unicast || group;
}

bool
address_parse(enum family_id family, const char *text, size_t length, struct address *address)
{
    char copy[INET6_ADDRSTRLEN];
    if (length >= sizeof copy || memchr(text, '\0', length))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    *address = (struct address){ { 0 } };
    return inet_pton(families[family].domain, copy, address->bytes) == 1;
}

socklen_t
address_to_socket(enum family_id family, const struct address *address, uint32_t scope, uint16_t port,
                  struct sockaddr_storage *to)
{
    if (family == IPV4) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
        memcpy(&in.sin_addr, address->bytes, sizeof in.sin_addr);
        memcpy(to, &in, sizeof in);
        return sizeof in;
    }
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = scope };
    memcpy(&in6.sin6_addr, address->bytes, sizeof in6.sin6_addr);
    memcpy(to, &in6, sizeof in6);
    return sizeof in6;
}

bool
address_from_socket(const struct sockaddr_storage *from, enum family_id *family, struct address *address)
{
    *address = (struct address){ { 0 } };
    if (from->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof in);
        memcpy(address->bytes, &in.sin_addr, sizeof in.sin_addr);
        *family = IPV4;
        return true;
    }
    if (from->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, from, sizeof in6);
        memcpy(address->bytes, &in6.sin6_addr, sizeof in6.sin6_addr);
        *family = IPV6;
        return true;
    }
    return false;
}

bool
read_address(struct reader *reader, enum family_id family, struct address *address)
{
    *address = (struct address){ { 0 } };
    return read_bytes(reader, address->bytes, families[family].address_size);
}

void
write_address(struct writer *writer, enum family_id family, const struct address *address)
{
    write_bytes(writer, address->bytes, families[family].address_size);
}
