/* SPDX-License-Identifier: MIT */
/*
 * From a probe to what is handed to the kernel, and what its error queue hands back: sender.c, letter.c and inbox.c over a fake kernel.
 * Input: options, the probe as take_probe() reads it, the route's MTU, what the system calls return, control messages.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "host/privileges.h"
#include "packets/protocol.h"
#include "support.h"

#define MTU_LIMIT 0x20000 /* the loopback device's is 0x10000, and may be set to more */

static struct {
    struct reader input;
    struct request request;
    size_t length;  /* of the whole packet */
    uint32_t mtu;
    struct instant now;
    int raised;
    bool refused;   /* the last that was to be sent */
    int broadcast, discovery; /* the socket's state */
    size_t carried; /* bytes behind the IP headers */
} kernel;

static ssize_t
fuzz_sendmsg(int fd, const struct msghdr *message, int flags)
{
    (void)fd;
    const struct family *family = &families[kernel.request.family];
    MUST((flags & ~MSG_DONTROUTE) == MSG_DONTWAIT && kernel.raised == (kernel.request.mark != 0) && message->msg_iovlen == 1);
    MUST(((const struct sockaddr *)message->msg_name)->sa_family == family->domain);
    struct msghdr controls = *message;
    for (struct cmsghdr *control = CMSG_FIRSTHDR(&controls); control; control = CMSG_NXTHDR(&controls, control))
        MUST(control->cmsg_len > CMSG_LEN(0) && (control->cmsg_type != SO_MARK || kernel.request.mark));
    MUST(kernel.broadcast == (int)kernel.request.broadcast);
    MUST(kernel.discovery == (request_has(&kernel.request, FEATURE_DONT_FRAGMENT) ? IP_PMTUDISC_PROBE : 0));
    free(copy_bytes(message->msg_iov->iov_base, message->msg_iov->iov_len)); /* all of it can be read */
    const uint8_t *bytes = message->msg_iov->iov_base;
    bool fragment = kernel.request.family == IPV4 ? (u16_at(bytes + 6) & 0x3fff) != 0 : bytes[6] == IPPROTO_FRAGMENT;
    MUST(fragment ? message->msg_iov->iov_len <= kernel.mtu : message->msg_iov->iov_len == kernel.length);
    errno = take_u8(&kernel.input);
    kernel.refused = errno != 0;
    if (errno)
        return -1;
    kernel.carried += message->msg_iov->iov_len - family->header_size - (fragment && kernel.request.family == IPV6 ? 8 : 0);
    return (ssize_t)message->msg_iov->iov_len;
}

static ssize_t
fuzz_sendto(int fd, void *bytes, size_t length, int flags, void *name, socklen_t name_length)
{
    struct iovec vector = { bytes, length };
    struct msghdr message = { .msg_name = name, .msg_namelen = name_length, .msg_iov = &vector, .msg_iovlen = 1 };
    return fuzz_sendmsg(fd, &message, flags);
}

static int
fuzz_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    (void)fd;
    MUST(flags == (MSG_ERRQUEUE | MSG_DONTWAIT) && count > 0 && !timeout);
    if (kernel.input.left == 0) {
        errno = EAGAIN;
        return -1;
    }
    struct msghdr *message = &messages[0].msg_hdr;
    size_t used = 0;
    for (uint8_t controls = take_u8(&kernel.input) % 4; controls > 0; controls--)
        used += take_control(&kernel.input, (uint8_t *)message->msg_control + used, message->msg_controllen - used);
    fence_controls(message, used);
    messages[0].msg_len = 0;
    return 1;
}

static uint32_t
fuzz_device_mtu(int fd, uint32_t device)
{
    (void)fd;
    (void)device;
    if (take_u8(&kernel.input) % 2)
        return 0;
    return kernel.mtu = take_u32(&kernel.input) % MTU_LIMIT;
}

static int
fuzz_setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
    (void)fd;
    bool is_broadcast = level == SOL_SOCKET && option == SO_BROADCAST;
    MUST(length == sizeof(int) && (is_broadcast || option == families[kernel.request.family].mtu_discover));
    memcpy(is_broadcast ? &kernel.broadcast : &kernel.discovery, value, sizeof(int));
    return 0;
}

static void
fuzz_raise(struct privileges *privileges)
{
    (void)privileges;
    kernel.raised++;
}

static void
fuzz_lower(struct privileges *privileges)
{
    (void)privileges;
    kernel.raised--;
}

static struct instant
fuzz_clock_now(void)
{
    kernel.now.ns += NS_PER_US;
    return kernel.now;
}

#define sendmsg fuzz_sendmsg
#define sendto fuzz_sendto
#define recvmmsg fuzz_recvmmsg
#define device_mtu fuzz_device_mtu
#define setsockopt fuzz_setsockopt
#define privileges_raise_for_mark fuzz_raise
#define privileges_lower fuzz_lower
#define clock_now fuzz_clock_now
#include "host/inbox.c"
#include "host/letter.c"
#include "raw/sender.c"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct identity identity;
    struct instant departed, before = { NS_PER_S };
    struct clock clock = { .offset = 0 };
    memset(&kernel, 0, sizeof kernel);
    kernel.now = before;
    kernel.input = (struct reader){ data, size };
    uint8_t options = take_u8(&kernel.input);
    take_probe(&kernel.input, &kernel.request, &identity);
    kernel.request.mark = options & 1;
    kernel.request.broadcast = options >> 4 & 1;
    uint32_t device = options & 2 ? 3 : 0;
    kernel.request.local = options & 4 ? identity.source : (struct address){ { 0 } };
    struct route route = { .source = identity.source, .mtu = take_u32(&kernel.input) % MTU_LIMIT };
    route.way = options >> 5 & 3;
    route.way = route.way > WAY_NEXT_HOP ? WAY_PLAIN : route.way;
    route.by_source = options >> 7;
    route.next_hop = identity.source;
    route.device = 4;
    kernel.mtu = route.mtu;
    kernel.length = families[kernel.request.family].header_size + protocols[kernel.request.protocol]->header_size +
                    packet_payload_size(&kernel.request);

    static struct inbox *inbox;
    inbox = inbox ? inbox : inbox_new();
    struct sender sender = {
        .buffers = malloc(sizeof *sender.buffers), .inbox = inbox, .stamps = true, .names_protocol = true,
    };
    if (options & 8)
        sender.last = before; /* not at rest */
    clock_update(&clock, (struct clock_reading){ before, { before.ns }, 0 });
    int error = sender_send(&sender, &kernel.request, &identity, device, &route, &clock, &departed);
    while (sender.unsent.left) {
        MUST(refusal_passes(error));
        error = sender_resume(&sender, &kernel.request, &identity);
    }
    MUST(kernel.raised == 0 && error >= 0 && (error == 0 || kernel.refused || error == EMSGSIZE));
    MUST(kernel.broadcast == 0 && kernel.discovery == 0); /* nothing set for one probe sticks */
    MUST(error || kernel.carried == kernel.length - families[kernel.request.family].header_size);
    MUST(error || (instant_since(departed, before) >= 0 && instant_since(clock_now(), departed) >= 0));
    free(sender.buffers);
    return 0;
}
