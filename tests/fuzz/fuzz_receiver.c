/* SPDX-License-Identifier: MIT */
/*
 * What the kernel hands over with each batch of packets: inbox.c and receiver.c over a fake kernel.
 * Input: options, how the clocks stand, then for each packet its length, sender, flags and control messages.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "support.h"

static struct {
    struct reader input;
    uint8_t options;
    int count;         /* packets that were handed over */
    int truncated;     /* of these */
} kernel;

static void
fill_message(struct mmsghdr *message)
{
    struct msghdr *header = &message->msg_hdr;
    uint8_t flags = take_u8(&kernel.input);
    size_t used = 0;
    message->msg_len = take_u16(&kernel.input) % (header->msg_iov->iov_len + 1);
    take_bytes(&kernel.input, header->msg_iov->iov_base, message->msg_len < 8 ? message->msg_len : 8);
    header->msg_flags = flags & 1 ? MSG_TRUNC : 0;
    if (header->msg_name) {
        struct sockaddr_in6 name = { .sin6_family = flags & 2 ? AF_INET : AF_INET6 };
        name.sin6_scope_id = take_u8(&kernel.input);
        take_bytes(&kernel.input, &name.sin6_addr, sizeof name.sin6_addr);
        memcpy(header->msg_name, &name, sizeof name);
        header->msg_namelen = sizeof name;
    }
    for (uint8_t controls = flags >> 2 & 7; controls > 0; controls--)
        used += take_control(&kernel.input, (uint8_t *)header->msg_control + used, header->msg_controllen - used);
    fence_controls(header, used);
    kernel.truncated += flags & 1;
}

static int
fuzz_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    (void)fd;
    MUST(flags == MSG_DONTWAIT && !timeout);
    kernel.count = kernel.truncated = 0;
    while (kernel.count < (int)count && kernel.input.left > 0)
        fill_message(&messages[kernel.count++]);
    errno = kernel.options & 1 ? EINTR : EAGAIN;
    return kernel.count ? kernel.count : -1;
}

#define recvmmsg fuzz_recvmmsg
#include "host/inbox.c"
#include "raw/receiver.c"

static void
check_batch(const struct inbox *inbox, const struct datagram *datagrams, size_t count)
{
    MUST(count <= (size_t)(kernel.count - kernel.truncated) && count <= INBOX_BATCH);
    for (size_t i = 0; i < count; i++) {
        const struct datagram *datagram = &datagrams[i];
        MUST(datagram->family == (kernel.options & 2 ? IPV6 : IPV4));
        MUST(is_inside(datagram->bytes, inbox->bytes[0], sizeof inbox->bytes));
        MUST(datagram->bytes.left <= PACKET_MAX);
        MUST(instant_since(clock_now(), datagram->arrived) >= 0);
    }
}

/* A reading whose wall clock may have been stepped since the last. */
static struct clock_reading
take_reading(struct instant last)
{
    struct clock_reading reading = { { last.ns + take_u32(&kernel.input) }, { 0 }, 0 };
    reading.wall.ns = reading.instant.ns + (int64_t)(take_u64(&kernel.input) >> 2);
    return reading;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct inbox *inbox;
    struct datagram datagrams[INBOX_BATCH];
    struct clock clock = { .offset = 0 };
    inbox = inbox ? inbox : inbox_new();
    kernel.input = (struct reader){ data, size };
    kernel.options = take_u8(&kernel.input);
    struct receiver receiver = {
        .family = kernel.options & 2 ? IPV6 : IPV4,
        .protocol = kernel.options >> 2 & 3,
        .awake = true,
        .ready = true,
    };
    struct clock_reading first = take_reading((struct instant){ NS_PER_S });
    clock_update(&clock, first);
    clock_update(&clock, take_reading(first.instant));
    while (receiver.ready && kernel.input.left > 0)
        check_batch(inbox, datagrams, receiver_receive(&receiver, inbox, &clock, datagrams));
    return 0;
}
