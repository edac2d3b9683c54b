/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void *
memory(size_t size)
{
    void *got = malloc(size);
    MUST(got); /* also of 0 bytes, in every C library of Linux */
    return got;
}

void *
zeroed_memory(size_t count, size_t size)
{
    void *got = calloc(count, size);
    MUST(got);
    return got;
}

struct blob
blob_copy(const void *bytes, size_t length)
{
    struct blob blob = { memory(length), length };
    if (length)
        memcpy(blob.bytes, bytes, length);
    return blob;
}

void
blob_free(struct blob *blob)
{
    free(blob->bytes);
    *blob = (struct blob){ NULL, 0 };
}

struct reader
blob_reader(const struct blob *blob)
{
    return (struct reader){ blob->bytes, blob->length };
}

struct blob
blob_of_hex(const char *hex)
{
    static uint8_t bytes[70000];
    size_t length = 0;
    while (*(hex += strspn(hex, " ")) != '\0') {
        char digits[3] = { hex[0], hex[1], '\0' };
        char *end;
        uint8_t byte = (uint8_t)strtoul(digits, &end, 16);
        if (end != digits + 2)
            ck_abort_msg("not hex: %s", hex);
        hex += 2;
        unsigned long times = 1;
        if (*hex == '*') {
            times = strtoul(hex + 1, &end, 10);
            hex = end;
        }
        MUST(length + times <= sizeof bytes);
        memset(bytes + length, byte, times);
        length += times;
    }
    return blob_copy(bytes, length);
}

void
assert_bytes(const char *what, const uint8_t *got, size_t got_length, const uint8_t *expected, size_t expected_length)
{
    for (size_t i = 0; i < got_length && i < expected_length; i++)
        if (got[i] != expected[i])
            ck_abort_msg("%s: byte %zu is %02x, not %02x", what, i, got[i], expected[i]);
    if (got_length != expected_length)
        ck_abort_msg("%s: %zu bytes, not %zu", what, got_length, expected_length);
}

struct address
address_of(enum family_id family, const char *text)
{
    struct address address;
    if (!address_parse(family, text, strlen(text), &address))
        ck_abort_msg("no address: %s", text);
    return address;
}

const char *
address_text(enum family_id family, const struct address *address)
{
    static char texts[8][INET6_ADDRSTRLEN];
    static unsigned turn;
    char *text = texts[turn++ % COUNT(texts)];
    inet_ntop(families[family].domain, address->bytes, text, sizeof texts[0]);
    return text;
}

void
text_add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text->text + text->length, sizeof text->text - text->length, format, arguments);
    va_end(arguments);
    text->length += (size_t)length;
    MUST(text->length < sizeof text->text);
}

uint32_t
dice(uint64_t *state)
{
    /* splitmix64 */
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(z >> 32);
}

void
enter_own_network(void)
{
    if (unshare(CLONE_NEWNET) < 0)
        return;
    struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &loopback) == 0);
    close(fd);
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

uint16_t
plain_checksum(const uint8_t *bytes, size_t length)
{
    return (uint16_t)~plain_sum(0, bytes, length);
}

uint32_t
plain_pseudo_sum(enum family_id family, const uint8_t *source, const uint8_t *target, uint8_t number, size_t length)
{
    uint8_t rest[4] = { (uint8_t)(length >> 8), (uint8_t)length, 0, number };
    uint32_t sum = plain_sum(0, source, families[family].address_size);
    return plain_sum(plain_sum(sum, target, families[family].address_size), rest, sizeof rest);
}
