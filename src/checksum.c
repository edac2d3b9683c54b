#include "checksum.h"

#include <arpa/inet.h>
#include <string.h>

static uint16_t
fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/*
 * The sum is taken over 32-bit words in the machine's own byte order, since one's complement addition does not care
 * (RFC 1071, section 2 B); checksum_finish() turns the result round. 64 bits hold the carries of 16 GiB.
 */
uint64_t
checksum_add(uint64_t sum, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;
    uint32_t word;
    for (; count >= sizeof word; at += sizeof word, count -= sizeof word) {
        memcpy(&word, at, sizeof word);
        sum += word;
    }
    if (count) {
        word = 0;
        memcpy(&word, at, count);
        sum += word;
    }
    return sum;
}

uint64_t
checksum_add_u16(uint64_t sum, uint16_t value)
{
    return sum + htons(value);
}

uint16_t
checksum_finish(uint64_t sum)
{
    return ntohs((uint16_t)~fold(sum));
}

uint16_t
checksum_adjust(uint16_t checksum, uint16_t before, uint16_t after)
{
    return (uint16_t)~fold((uint64_t)(uint16_t)~checksum + (uint16_t)~before + after);
}

bool
checksum_same(uint16_t a, uint16_t b)
{
    return a == b || (a == 0 && b == 0xffff) || (a == 0xffff && b == 0);
}

/* Four bits at a time: SCTP probes are 32 bytes, so a table of 16 entries is fast enough and easy to check by eye. */
uint32_t
crc32c(const void *bytes, size_t count)
{
    static const uint32_t nibble[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const uint8_t *at = bytes;
    uint32_t crc = 0xffffffff;
    for (; count; at++, count--) {
        crc ^= *at;
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
    }
    return ~crc;
}
