/* SPDX-License-Identifier: MIT */
/* The two checksums of the wire: the Internet checksum (RFC 1071) and SCTP's CRC32c (RFC 9260, appendix A). */
#ifndef HOPLINE_CHECKSUM_H
#define HOPLINE_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Adds bytes to a running one's complement sum, which starts at 0. Every piece but the last must have an even length.
 * The sum is kept wide; checksum_finish() folds it.
 */
uint64_t checksum_add(uint64_t sum, const void *bytes, size_t count);

/* Adds one 16-bit number in host order. */
uint64_t checksum_add_u16(uint64_t sum, uint16_t value);

/* The checksum in host order, as it is written to the wire. Over bytes with a right checksum in them it is 0. */
uint16_t checksum_finish(uint64_t sum);

/* The checksum of the same bytes after one aligned 16-bit number in them has become another (RFC 1624). */
uint16_t checksum_adjust(uint16_t checksum, uint16_t before, uint16_t after);

/* One's complement has two zeros: 0x0000 and 0xffff say the same. */
bool checksum_same(uint16_t a, uint16_t b);

/*
 * CRC32c of bytes that may come in several pieces: CRC is the result for those before, 0 at the first. SCTP stores it
 * least significant byte first.
 */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t count);

#endif
