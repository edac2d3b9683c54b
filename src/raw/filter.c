/* SPDX-License-Identifier: MIT */
#include "raw/filter.h"

#include <linux/filter.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/tcp.h>
#include <string.h>

#include "packets/icmp.h"
#include "packets/protocol.h"
#include "probes/identity.h"

#define PORT_MIN 1024 /* we send from no port below */
#define SCTP_INIT_ACK 2
#define SCTP_ABORT 6

/*
 * IPv4 raw sockets see the IP header (raw(7)), IPv6 ones do not (ipv6(7)). So every program starts by loading the index
 * register with the transport header's offset (BPF_MSH: the length that stands in an IPv4 header's first byte), and all
 * offsets below are relative to that.
 */
static const struct sock_filter at_transport[FAMILIES] = {
    [IPV4] = BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
    [IPV6] = BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 0),
};

#define LOAD_U8(offset) BPF_STMT(BPF_LD | BPF_B | BPF_IND, offset)
#define LOAD_U16(offset) BPF_STMT(BPF_LD | BPF_H | BPF_IND, offset)
#define AND(bits) BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits)
#define IF_EQUAL(value, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise)
#define IF_AT_LEAST(value, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, value, then, otherwise)
#define ACCEPT BPF_STMT(BPF_RET | BPF_K, 0xffffffff)
#define REFUSE BPF_STMT(BPF_RET | BPF_K, 0)

#define ATTACH(fd, code, refused) sockopt_filter(fd, code, sizeof(code) / sizeof *(code), refused)

/*
 * The kernel's own filters by ICMP type (raw(7), ICMP_FILTER; RFC 3542, section 3.2) are asked before a packet is even
 * copied for the socket; that of IPv4 lets all types from 32 on pass. The BPF program then looks at echo identifiers, and
 * at the protocol that an error quotes. It looks at no more of a quote: a NAT on the way may have left its own addresses
 * and numbers there.
 */
static void
limit_icmp_types(int fd, enum family_id family, struct refused *refused)
{
    if (family == IPV4) {
        struct icmp_filter types = {
            ~(1u << ICMP_ECHOREPLY | 1u << ICMP_TIMESTAMPREPLY | 1u << ICMP_DEST_UNREACH | 1u << ICMP_TIME_EXCEEDED |
              1u << ICMP_PARAMETERPROB),
        };
        sockopt_set(fd, WISH_FILTERS, SOL_RAW, ICMP_FILTER, &types, sizeof types, refused);
        return;
    }
    struct icmp6_filter types;
    ICMP6_FILTER_SETBLOCKALL(&types);
    for (enum icmp_request kind = 0; kind < ICMP_REQUESTS; kind++)
        if (icmp_kinds[kind].known_to[IPV6])
            ICMP6_FILTER_SETPASS(icmp_kinds[kind].reply[IPV6], &types);
    ICMP6_FILTER_SETPASS(ICMP6_DST_UNREACH, &types);
    ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &types);
    ICMP6_FILTER_SETPASS(ICMP6_TIME_EXCEEDED, &types);
    ICMP6_FILTER_SETPASS(ICMP6_PARAM_PROB, &types);
    sockopt_set(fd, WISH_FILTERS, IPPROTO_ICMPV6, ICMP6_FILTER, &types, sizeof types, refused);
}

/*
 * What may be quoted, by its number in the IP header. In IPv6 extension headers may come first (RFC 8200, section 4), and
 * in both families the header of a tunnel; the program does not look behind them: such a quote is let in, and
 * packet_decode() finds out whose it is.
 */
static const struct {
    uint8_t count, numbers[12];
} quoted[FAMILIES] = {
    [IPV4] = { 7, { IPPROTO_ICMP, IPPROTO_UDP, IPPROTO_TCP, IPPROTO_SCTP, IPPROTO_IPIP, IPPROTO_IPV6, IPPROTO_GRE } },
    [IPV6] = { 12, { IPPROTO_ICMPV6, IPPROTO_UDP, IPPROTO_TCP, IPPROTO_SCTP, IPPROTO_FRAGMENT, IPPROTO_HOPOPTS,
                     IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_AH, IPPROTO_IPIP, IPPROTO_IPV6, IPPROTO_GRE } },
};

#define QUOTED_NUMBER(family) (8 + ((family) == IPV4 ? 9u : 6u)) /* its offset, behind the ICMP header */

static void
filter_icmp(int fd, enum family_id family, const struct filter_terms *terms, struct refused *refused)
{
    uint8_t count = quoted[family].count;
    const struct sock_filter echo_reply_or_quote[] = {
        IF_EQUAL(icmp_kinds[ICMP_REQUEST_ECHO].reply[family], 0, 4),
        LOAD_U16(4),
        AND(ECHO_ID_MASK),
        IF_EQUAL(terms->echo_id, (uint8_t)(count + 3), 0),
        REFUSE,
        LOAD_U8(QUOTED_NUMBER(family)),
    };
    struct sock_filter code[2 + 2 * ICMP_REQUESTS + 6 + sizeof quoted->numbers + 2] = {
        at_transport[family],
        LOAD_U8(0),
    };
    size_t length = 2;
    /* Of other kinds identifiers are drawn from all that there are. */
    for (enum icmp_request kind = 0; kind < ICMP_REQUESTS; kind++) {
        if (kind == ICMP_REQUEST_ECHO || !icmp_kinds[kind].known_to[family])
            continue;
        code[length++] = (struct sock_filter)IF_EQUAL(icmp_kinds[kind].reply[family], 0, 1);
        code[length++] = (struct sock_filter)ACCEPT;
    }
    memcpy(&code[length], echo_reply_or_quote, sizeof echo_reply_or_quote);
    length += sizeof echo_reply_or_quote / sizeof *echo_reply_or_quote;
    for (uint8_t i = 0; i < count; i++)
        code[length++] = (struct sock_filter)IF_EQUAL(quoted[family].numbers[i], (uint8_t)(count - i), 0);
    code[length++] = (struct sock_filter)REFUSE;
    code[length++] = (struct sock_filter)ACCEPT;
    limit_icmp_types(fd, family, refused);
    sockopt_filter(fd, code, length, refused);
}

/*
 * The block's number is cut in two: the lower five bits choose a bit, which is tested in the word of `ports` that the upper
 * two choose. The three jumps lead to the test of their word, or on to the next.
 */
static void
filter_udp(int fd, enum family_id family, const struct filter_terms *terms, struct refused *refused)
{
    _Static_assert(sizeof terms->ports.bits / sizeof *terms->ports.bits == 4, "each word has its test");
    const uint32_t *bits = terms->ports.bits;
    struct sock_filter yes = ACCEPT, no = REFUSE;
    struct sock_filter code[] = {
        at_transport[family],
        LOAD_U16(2),
        IF_AT_LEAST(PORT_MIN, 0, 19),
        BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, PORT_BLOCK),
        BPF_STMT(BPF_ST, 0),
        AND(31),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_IMM, 1),
        BPF_STMT(BPF_ALU | BPF_LSH | BPF_X, 0),
        BPF_STMT(BPF_MISC | BPF_TAX, 0), /* X: the bit */
        BPF_STMT(BPF_LD | BPF_MEM, 0),   /* A: the block */
        IF_AT_LEAST(96, 6, 0),
        IF_AT_LEAST(64, 3, 0),
        IF_AT_LEAST(32, 0, 6),
        BPF_STMT(BPF_LD | BPF_IMM, bits[1]),
        BPF_STMT(BPF_JMP | BPF_JA, 5),
        BPF_STMT(BPF_LD | BPF_IMM, bits[2]),
        BPF_STMT(BPF_JMP | BPF_JA, 3),
        BPF_STMT(BPF_LD | BPF_IMM, bits[3]),
        BPF_STMT(BPF_JMP | BPF_JA, 1),
        BPF_STMT(BPF_LD | BPF_IMM, bits[0]),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_X, 0, 1, 2),
        REFUSE,
        terms->others ? no : yes,
        terms->others ? yes : no,
    };
    ATTACH(fd, code, refused);
}

static void
filter_tcp(int fd, enum family_id family, const struct filter_terms *terms, struct refused *refused)
{
    (void)terms;
    struct sock_filter code[] = {
        at_transport[family],
        LOAD_U16(2),
        IF_AT_LEAST(PORT_MIN, 0, 5),
        LOAD_U8(13),
        AND(TH_SYN | TH_RST | TH_ACK),
        IF_EQUAL(TH_SYN | TH_ACK, 3, 0),
        IF_EQUAL(TH_RST | TH_ACK, 2, 0),
        IF_EQUAL(TH_RST, 1, 0), /* see tcp.c */
        REFUSE,
        ACCEPT,
    };
    ATTACH(fd, code, refused);
}

static void
filter_sctp(int fd, enum family_id family, const struct filter_terms *terms, struct refused *refused)
{
    (void)terms;
    struct sock_filter code[] = {
        at_transport[family],
        LOAD_U16(2),
        IF_AT_LEAST(PORT_MIN, 0, 3),
        LOAD_U8(12),
        IF_EQUAL(SCTP_INIT_ACK, 2, 0),
        IF_EQUAL(SCTP_ABORT, 1, 0),
        REFUSE,
        ACCEPT,
    };
    ATTACH(fd, code, refused);
}

void
filter_answers(int fd, enum family_id family, enum protocol_id protocol, const struct filter_terms *terms,
               struct refused *refused)
{
    static void (*const filters[PROTOCOLS])(int fd, enum family_id family, const struct filter_terms *terms,
                                            struct refused *refused) = {
        [PROTOCOL_ICMP] = filter_icmp,
        [PROTOCOL_UDP] = filter_udp,
        [PROTOCOL_TCP] = filter_tcp,
        [PROTOCOL_SCTP] = filter_sctp,
    };
    filters[protocol](fd, family, terms, refused);
}
