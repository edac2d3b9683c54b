/* SPDX-License-Identifier: MIT */
/*
 * A path with a delay, for kernels without netem: the other end of a TUN device, which answers every ICMP echo request
 * that it is handed, so much later.
 *
 * usage: reflector IFNAME MILLISECONDS
 * Makes the device, says "ready", and answers until its standard input ends. Then prints taken, answered.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define SLOTS (1 << 16) /* packets under way; beyond these the device's queue waits */
#define SLOT_SIZE 256
#define AT_ONCE 64
#define NS_PER_S INT64_C(1000000000)
#define ECHO_REQUEST_4 8
#define ECHO_REQUEST_6 128
#define ECHO_REPLY_6 129

struct slot {
    int64_t due;
    size_t length;
    uint8_t packet[SLOT_SIZE];
};

struct path {
    int fd;
    int64_t delay;
    uint64_t taken, answered; /* the slots between are under way */
    struct slot slots[SLOTS];
};

static int64_t
now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * NS_PER_S + time.tv_nsec;
}

static int
open_device(const char *name)
{
    struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) {
        perror("reflector: /dev/net/tun");
        exit(1);
    }
    return fd;
}

static void
swap(uint8_t *left, uint8_t *right, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = left[i];
        left[i] = right[i];
        right[i] = byte;
    }
}

/* Adds to a checksum what has changed in one word of what it covers. */
static void
adjust(uint8_t *checksum, uint16_t before, uint16_t after)
{
    uint32_t sum = (uint32_t)(checksum[0] << 8 | checksum[1]) + before + (uint16_t)~after;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    checksum[0] = (uint8_t)(sum >> 8);
    checksum[1] = (uint8_t)sum;
}

/* Makes an echo request its reply; false if it is none. */
static bool
turn_round(uint8_t *packet, size_t length)
{
    if (length >= 28 && packet[0] == 0x45 && packet[9] == IPPROTO_ICMP && packet[20] == ECHO_REQUEST_4) {
        swap(packet + 12, packet + 16, 4);
        packet[20] = 0;
        adjust(packet + 22, ECHO_REQUEST_4 << 8, 0);
        return true;
    }
    if (length >= 48 && packet[0] >> 4 == 6 && packet[6] == IPPROTO_ICMPV6 && packet[40] == ECHO_REQUEST_6) {
        swap(packet + 8, packet + 24, 16);
        packet[40] = ECHO_REPLY_6;
        adjust(packet + 42, ECHO_REQUEST_6 << 8, ECHO_REPLY_6 << 8);
        return true;
    }
    return false;
}

static void
take(struct path *path)
{
    for (int i = 0; i < AT_ONCE && path->taken - path->answered < SLOTS; i++) {
        struct slot *slot = &path->slots[path->taken % SLOTS];
        ssize_t length = read(path->fd, slot->packet, SLOT_SIZE);
        if (length < 0)
            return;
        slot->length = (size_t)length;
        slot->due = now() + path->delay;
        path->taken += turn_round(slot->packet, slot->length);
    }
}

static void
answer(struct path *path)
{
    int64_t time = now();
    for (; path->answered < path->taken; path->answered++) {
        const struct slot *slot = &path->slots[path->answered % SLOTS];
        if (slot->due > time || write(path->fd, slot->packet, slot->length) < 0)
            return;
    }
}

/* False at the end of the input. */
static bool
wait_for_work(const struct path *path)
{
    struct timespec timeout = { 0, 0 };
    bool waiting = path->answered < path->taken;
    if (waiting) {
        int64_t left = path->slots[path->answered % SLOTS].due - now();
        if (left > 0)
            timeout = (struct timespec){ left / NS_PER_S, left % NS_PER_S };
    }
    struct pollfd fds[] = {
        { .fd = path->taken - path->answered < SLOTS ? path->fd : -1, .events = POLLIN },
        { .fd = STDIN_FILENO, .events = POLLIN },
    };
    ppoll(fds, 2, waiting ? &timeout : NULL, NULL);
    return !fds[1].revents;
}

int
main(int argc, char **argv)
{
    static struct path path;
    if (argc != 3)
        return 2;
    path.fd = open_device(argv[1]);
    path.delay = strtol(argv[2], NULL, 10) * (NS_PER_S / 1000);
    puts("ready");
    fflush(stdout);
    while (wait_for_work(&path)) {
        take(&path);
        answer(&path);
    }
    printf("taken=%llu answered=%llu\n", (unsigned long long)path.taken, (unsigned long long)path.answered);
    return 0;
}
