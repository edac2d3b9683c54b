/* SPDX-License-Identifier: MIT */
/*
 * The floor: what an ICMP echo and its reply cost on this machine when a program does nothing but send and receive on
 * raw sockets. It parses, matches and prints nothing; a probe daemon can't cost less.
 *
 * usage: floor COUNT WINDOW ADDRESS; WINDOW 0: sends alone, each to the next address (IPv4)
 * Prints count, wall, cpu, user and system as driver does.
 */
#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <linux/icmp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 32
#define SENDS_AT_ONCE 64
#define PAYLOAD 36 /* as a probe of 64 bytes in IPv4 */

static double
now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* A raw ICMP socket that is handed echo replies alone: the kernel fills in headers (and in ICMPv6 the checksum). */
static int
open_socket(int family)
{
    int size = 16 << 20;
    int fd = socket(family, SOCK_RAW, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    if (family == AF_INET) {
        struct icmp_filter filter = { ~(1u << ICMP_ECHOREPLY) };
        setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof filter);
    } else {
        struct icmp6_filter filter;
        ICMP6_FILTER_SETBLOCKALL(&filter);
        ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
        setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    return fd;
}

static uint16_t
checksum(const uint16_t *words, size_t count)
{
    uint32_t sum = 0;
    while (count--)
        sum += *words++;
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~(sum + (sum >> 16));
}

static double
seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int
main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    size_t count = strtoul(argv[1], NULL, 10), window = strtoul(argv[2], NULL, 10), sent = 0, received = 0;
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    int family = inet_pton(AF_INET, argv[3], &v4.sin_addr) == 1 ? AF_INET : AF_INET6;
    if (family == AF_INET6 && inet_pton(AF_INET6, argv[3], &v6.sin6_addr) != 1)
        return 2;
    int fd = open_socket(family);
    if (fd < 0)
        return 1;

    static uint8_t buffers[BATCH][2048];
    int type = family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
    uint16_t packet[(8 + PAYLOAD) / 2] = { htons((uint16_t)(type << 8)) };
    struct iovec out = { packet, sizeof packet }, in[BATCH];
    struct mmsghdr messages[BATCH] = { 0 };
    struct msghdr message = { .msg_iov = &out, .msg_iovlen = 1 };
    message.msg_name = family == AF_INET ? (void *)&v4 : (void *)&v6;
    message.msg_namelen = family == AF_INET ? sizeof v4 : sizeof v6;
    for (size_t i = 0; i < BATCH; i++) {
        in[i] = (struct iovec){ buffers[i], sizeof buffers[i] };
        messages[i].msg_hdr = (struct msghdr){ .msg_iov = &in[i], .msg_iovlen = 1 };
    }

    double start = now();
    for (; window == 0 && sent < count; sent++, v4.sin_addr.s_addr = htonl(ntohl(v4.sin_addr.s_addr) + 1)) {
        packet[1] = 0;
        packet[3] = htons((uint16_t)sent);
        packet[1] = checksum(packet, sizeof packet / 2);
        if (sendto(fd, packet, sizeof packet, 0, (struct sockaddr *)&v4, sizeof v4) < 0)
            return 1;
    }
    while (window > 0 && received < count) {
        for (size_t i = 0; i < SENDS_AT_ONCE && sent < count && sent - received < window; i++, sent++) {
            packet[1] = 0;
            packet[3] = htons((uint16_t)sent);
            packet[1] = family == AF_INET ? checksum(packet, sizeof packet / 2) : 0;
            if (sendmsg(fd, &message, 0) < 0)
                return 1;
        }
        int got;
        while ((got = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL)) > 0)
            received += (size_t)got;
        struct pollfd readable = { .fd = fd, .events = POLLIN };
        if ((sent == count || sent - received == window) && received < count && poll(&readable, 1, 5000) == 0) {
            fprintf(stderr, "floor: %zu of %zu received\n", received, count);
            return 1;
        }
    }
    double wall = now() - start;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double user = seconds(usage.ru_utime), system = seconds(usage.ru_stime);
    printf("count=%zu wall=%.6f cpu=%.6f user=%.6f system=%.6f\n", count, wall, user + system, user, system);
    return 0;
}
