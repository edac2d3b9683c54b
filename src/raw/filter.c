/* SPDX-License-Identifier: MIT */
#include "raw/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/tcp.h>

#include "packets/protocol.h"
#include "probes/identity.h"

#define PORT_MIN 1024 /* we send from no port below */
#define SCTP_INIT_ACK 2
#define SCTP_ABORT 6

/*
 * IPv4 raw sockets see the IP header, IPv6 ones do not. So every program starts by loading the index register with the
 * transport header's offset, and all offsets below are relative to that.
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

static int
attach(int fd, struct sock_filter *code, size_t length)
{
    struct sock_fprog program = { .len = (unsigned short)length, .filter = code };
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on) < 0)
        return errno;
    return 0;
}

#define ATTACH(fd, code) attach(fd, code, sizeof(code) / sizeof *(code))

int
filter_everything(int fd)
{
    struct sock_filter code[] = { REFUSE };
    return ATTACH(fd, code);
}

/*
 * Both kernels' own ICMP filters are asked before a packet is even copied for the socket; the BPF program then looks at
 * echo identifiers, and at the protocol that an error quotes. More of a quote may be a translator's, and tells nothing.
 */
static int
limit_icmp_types(int fd, enum family_id family)
{
    if (family == IPV4) {
        struct icmp_filter types = {
            ~(1u << ICMP_ECHOREPLY | 1u << ICMP_DEST_UNREACH | 1u << ICMP_TIME_EXCEEDED),
        };
        return setsockopt(fd, SOL_RAW, ICMP_FILTER, &types, sizeof types) < 0 ? errno : 0;
    }
    struct icmp6_filter types;
    ICMP6_FILTER_SETBLOCKALL(&types);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &types);
    ICMP6_FILTER_SETPASS(ICMP6_DST_UNREACH, &types);
    ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &types);
    ICMP6_FILTER_SETPASS(ICMP6_TIME_EXCEEDED, &types);
    ICMP6_FILTER_SETPASS(ICMP6_PARAM_PROB, &types);
    return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &types, sizeof types) < 0 ? errno : 0;
}

/*
 * What may be quoted, by its number in the IP header. In IPv6 extension headers may come first: then it is read later,
 * whose it is.
 */
static const struct {
    uint8_t count, numbers[9];
} quoted[FAMILIES] = {
    [IPV4] = { 4, { IPPROTO_ICMP, IPPROTO_UDP, IPPROTO_TCP, IPPROTO_SCTP } },
    [IPV6] = { 9, { IPPROTO_ICMPV6, IPPROTO_UDP, IPPROTO_TCP, IPPROTO_SCTP, IPPROTO_FRAGMENT, IPPROTO_HOPOPTS,
                    IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_AH } },
};

#define QUOTED_NUMBER(family) (8 + ((family) == IPV4 ? 9u : 6u)) /* behind the ICMP header, in the quoted one */

static int
filter_icmp(int fd, enum family_id family, uint16_t echo_id)
{
    struct sock_filter code[8 + sizeof quoted->numbers + 2] = {
        at_transport[family],
        LOAD_U8(0),
        IF_EQUAL(families[family].echo_reply, 0, 4),
        LOAD_U16(4),
        AND(ECHO_ID_MASK),
        IF_EQUAL(echo_id, (uint8_t)(quoted[family].count + 3), 0),
        REFUSE,
        LOAD_U8(QUOTED_NUMBER(family)),
    };
    size_t length = 8;
    uint8_t count = quoted[family].count;
    for (uint8_t i = 0; i < count; i++)
        code[length++] = (struct sock_filter)IF_EQUAL(quoted[family].numbers[i], (uint8_t)(count - i), 0);
    code[length++] = (struct sock_filter)REFUSE;
    code[length++] = (struct sock_filter)ACCEPT;
    int error = limit_icmp_types(fd, family);
    return error ? error : attach(fd, code, length);
}

static int
filter_udp(int fd, enum family_id family)
{
    struct sock_filter code[] = {
        at_transport[family],
        LOAD_U16(2),
        IF_AT_LEAST(PORT_MIN, 1, 0),
        REFUSE,
        ACCEPT,
    };
    return ATTACH(fd, code);
}

static int
filter_tcp(int fd, enum family_id family)
{
    struct sock_filter code[] = {
        at_transport[family],
        LOAD_U16(2),
        IF_AT_LEAST(PORT_MIN, 0, 4),
        LOAD_U8(13),
        AND(TH_SYN | TH_RST | TH_ACK),
        IF_EQUAL(TH_SYN | TH_ACK, 2, 0),
        IF_EQUAL(TH_RST | TH_ACK, 1, 0),
        REFUSE,
        ACCEPT,
    };
    return ATTACH(fd, code);
}

static int
filter_sctp(int fd, enum family_id family)
{
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
    return ATTACH(fd, code);
}

int
filter_answers(int fd, enum family_id family, enum protocol_id protocol, uint16_t echo_id)
{
    switch (protocol) {
    case PROTOCOL_ICMP:
        return filter_icmp(fd, family, echo_id);
    case PROTOCOL_UDP:
        return filter_udp(fd, family);
    case PROTOCOL_TCP:
        return filter_tcp(fd, family);
    case PROTOCOL_SCTP:
        return filter_sctp(fd, family);
    case PROTOCOLS:
        break;
    }
    return EPROTONOSUPPORT;
}
