/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lines/reply.h"
#include "packets/icmp.h"
#include "packets/protocol.h"

_Noreturn void
fuzz_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: it is not so that %s\n", file, line, condition);
    abort();
}

/* The program's own randomness, in place of the system's: an input must do the same in every run. */
ssize_t
getrandom(void *to, size_t count, unsigned flags)
{
    (void)flags;
    memset(to, 0x5a, count);
    return (ssize_t)count;
}

void
take_bytes(struct reader *input, void *to, size_t count)
{
    size_t there = input->left < count ? input->left : count;
    memset(to, 0, count);
    if (!there)
        return;
    memcpy(to, input->at, there);
    input->at += there;
    input->left -= there;
}

uint8_t
take_u8(struct reader *input)
{
    uint8_t value;
    take_bytes(input, &value, sizeof value);
    return value;
}

uint16_t
take_u16(struct reader *input)
{
    uint16_t value;
    take_bytes(input, &value, sizeof value);
    return be16toh(value);
}

uint32_t
take_u32(struct reader *input)
{
    uint32_t value;
    take_bytes(input, &value, sizeof value);
    return be32toh(value);
}

uint64_t
take_u64(struct reader *input)
{
    uint64_t value;
    take_bytes(input, &value, sizeof value);
    return be64toh(value);
}

struct address
take_address(struct reader *input, enum family_id family)
{
    struct address address = { { 0 } };
    take_bytes(input, address.bytes, families[family].address_size);
    return address;
}

uint8_t *
copy_bytes(const void *bytes, size_t length)
{
    uint8_t *copy = malloc(length);
    MUST(copy || !length);
    if (length)
        memcpy(copy, bytes, length);
    return copy;
}

bool
is_inside(struct reader view, const uint8_t *bytes, size_t length)
{
    return view.at >= bytes && view.at <= bytes + length && view.left <= (size_t)(bytes + length - view.at);
}

int32_t
check_reply(const char *line, size_t length)
{
    int token;
    int digits;
    char copy[REPLY_MAX + 1];
    MUST(length > 0 && length <= REPLY_MAX && line[length - 1] == '\n');
    for (size_t i = 0; i < length - 1; i++)
        MUST(line[i] >= ' ' && line[i] <= '~');
    memcpy(copy, line, length);
    copy[length] = '\0';
    MUST(sscanf(copy, "%d%n", &token, &digits) == 1 && copy[digits] == ' ' && copy[digits + 1] > ' ');
    return token;
}

uint16_t
u16_at(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

uint32_t
plain_sum(uint32_t sum, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

void
mend_checksum(uint32_t sum, uint8_t *bytes, size_t length, size_t offset)
{
    if (length < offset + 2)
        return;
    bytes[offset] = bytes[offset + 1] = 0;
    uint32_t checksum = ~plain_sum(sum, bytes, length);
    bytes[offset] = (uint8_t)(checksum >> 8);
    bytes[offset + 1] = (uint8_t)checksum;
}

/* Digits that go with the request, as the client's line does. */
static void
take_payload(struct reader *input, struct request *request)
{
    static char hex[512];
    size_t length = take_u8(input) * 2u, room = packet_payload_size(request) * 2;
    request->payload = (struct word){ hex, length < room ? length : room };
    for (size_t i = 0; i < length; i++)
        hex[i] = "0123456789abcdefABCDEF0123456789"[take_u8(input) & 31];
}

/* A request that asks for more: an ICMP request that is no echo, a SYN with ECN bits. */
static void
ask_for_more(struct request *request)
{
    static const char name[] = "an-interface-name-that-is-as-long-as-any-is-likely-to-be-or-more";
    uint32_t pattern = request->pattern;
    if (request->protocol == PROTOCOL_TCP)
        request->tcp_ecn = pattern % TCP_ECNS;
    if (request->protocol != PROTOCOL_ICMP)
        return;
    bool timestamp = request->family == IPV4 && (pattern & 1);
    request->icmp_request = timestamp ? ICMP_REQUEST_TIMESTAMP : ICMP_REQUEST_EXTENDED;
    request->interface = (struct probed_interface){
        .by = PROBED_BY_NAME + (pattern >> 1) % 3,
        .name = { name, 1 + (pattern >> 3) % PROBED_NAME_MAX },
        .index = pattern,
        .family = pattern >> 9 & 1 ? IPV6 : IPV4,
    };
    request->size = (uint32_t)(protocol_headers_size(request->family, PROTOCOL_ICMP) +
                               icmp_kinds[request->icmp_request].size(request));
}

void
take_probe(struct reader *input, struct request *request, struct identity *identity)
{
    uint8_t options = take_u8(input);
    *request = (struct request){
        .family = options & 1 ? IPV6 : IPV4,
        .protocol = options >> 1 & 3,
        .pattern_given = options & 8,
    };
    *identity = (struct identity){ .nonce = 0 };
    request->size = take_u16(input);
    request->ttl = take_u8(input);
    request->tos = take_u8(input);
    request->pattern = take_u32(input);
    identity->near = take_u16(input);
    identity->far = take_u16(input);
    identity->ip_id = take_u16(input);
    identity->number = take_u32(input);
    uint64_t nonce = take_u64(input);
    request->target = take_address(input, request->family);
    identity->source = take_address(input, request->family);
    if (options & 128)
        ask_for_more(request);
    bool echo = request->icmp_request == ICMP_REQUEST_ECHO;
    if ((options & 32) && echo)
        take_payload(input, request);
    if (options & 64) {
        request->given |= 1u << FEATURE_DONT_FRAGMENT;
        request->dont_fragment = request->pattern & 1;
        identity->flow_label = request->family == IPV6 ? request->pattern & 0xfffff : 0;
    }
    /* Neither of one's complement's zeros; see allot.c. */
    identity->ip_id += identity->ip_id == 0 ? 1 : identity->ip_id == 0xffff ? 2 : 0;
    identity->balanced = (options & 16) && echo && protocols[request->protocol]->sized && packet_free_size(request) >= 2;
    identity->checksum = identity->ip_id;
    packet_offer_nonce(request, identity, nonce);
}

static const struct {
    int level, type;
} controls[] = {
    { SOL_SOCKET, SO_TIMESTAMPNS },   { SOL_SOCKET, SO_TIMESTAMPING }, { SOL_SOCKET, SO_RXQ_OVFL },
    { IPPROTO_IPV6, IPV6_HOPLIMIT },  { IPPROTO_IPV6, IPV6_TCLASS },   { IPPROTO_IPV6, IPV6_PKTINFO },
    { IPPROTO_IPV6, IPV6_RECVERR },   { IPPROTO_IP, IP_RECVERR },      { IPPROTO_IP, IP_TTL },
};

/* The kernel's clock never reads beyond this. */
#define STAMP_MAX (INT64_MAX / NS_PER_S - 1)

static void
limit_stamps(uint8_t *data, size_t length)
{
    for (struct timespec stamp; length >= sizeof stamp; data += sizeof stamp, length -= sizeof stamp) {
        memcpy(&stamp, data, sizeof stamp);
        stamp.tv_sec = (time_t)((uint64_t)stamp.tv_sec % (uint64_t)STAMP_MAX);
        stamp.tv_nsec = (long)((unsigned long)stamp.tv_nsec % NS_PER_S);
        memcpy(data, &stamp, sizeof stamp);
    }
}

size_t
take_control(struct reader *input, uint8_t *to, size_t left)
{
    ASAN_UNPOISON_MEMORY_REGION(to, left);
    uint8_t which = take_u8(input);
    size_t length = take_u8(input) % 80;
    size_t whole = CMSG_LEN(length) <= left ? CMSG_LEN(length) : left; /* what does not fit is cut, as by put_cmsg() */
    struct cmsghdr header = { .cmsg_len = whole };
    if (left < sizeof header)
        return 0;
    header.cmsg_level = which < COUNT(controls) ? controls[which].level : (int)take_u32(input);
    header.cmsg_type = which < COUNT(controls) ? controls[which].type : (int)take_u32(input);
    memcpy(to, &header, sizeof header);
    take_bytes(input, to + sizeof header, whole - sizeof header);
    if (header.cmsg_level == SOL_SOCKET && header.cmsg_type != SO_RXQ_OVFL)
        limit_stamps(to + sizeof header, whole - sizeof header);
    return CMSG_ALIGN(whole) <= left ? CMSG_ALIGN(whole) : left;
}

void
fence_controls(struct msghdr *message, size_t used)
{
    ASAN_UNPOISON_MEMORY_REGION(message->msg_control, message->msg_controllen);
    ASAN_POISON_MEMORY_REGION((uint8_t *)message->msg_control + used, message->msg_controllen - used);
    message->msg_controllen = used;
}
