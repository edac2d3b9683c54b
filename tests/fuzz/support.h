/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share: numbers from the input, memory of an exact size, what every reply must be. */
#ifndef HOPLINE_FUZZ_SUPPORT_H
#define HOPLINE_FUZZ_SUPPORT_H

#include "packets/packet.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What must be so whatever comes; the input is kept where it is not. */
#define MUST(condition) \
    do { \
        if (!(condition)) \
            fuzz_fail(__FILE__, __LINE__, #condition); \
    } while (0)

_Noreturn void fuzz_fail(const char *file, int line, const char *condition);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Numbers off an input, in network order so that seeds are easy to write. Behind its end all is zero. */
uint8_t take_u8(struct reader *input);
uint16_t take_u16(struct reader *input);
uint32_t take_u32(struct reader *input);
uint64_t take_u64(struct reader *input);
void take_bytes(struct reader *input, void *to, size_t count);
struct address take_address(struct reader *input, enum family_id family);

/* Memory that is allocated to the byte, so that the sanitizer sees every step beyond it. To be freed. */
uint8_t *copy_bytes(const void *bytes, size_t length);

/* True when a view lies in these bytes. */
bool is_inside(struct reader view, const uint8_t *bytes, size_t length);

/* One reply: a whole line of printable ASCII that begins with its token, which is returned. */
int32_t check_reply(const char *line, size_t length);

/* Two bytes in network order. */
uint16_t u16_at(const uint8_t *bytes);

/* The Internet checksum of RFC 1071 in its simplest form, 16 bits at a time. Starts with SUM. */
uint32_t plain_sum(uint32_t sum, const uint8_t *bytes, size_t length);

/* Writes the checksum of LENGTH bytes, added to SUM, to two of them, at OFFSET, where there is room for it. */
void mend_checksum(uint32_t sum, uint8_t *bytes, size_t length, size_t offset);

/* A probe's request and its identity, off the input; what the allotter would never give is left out. */
void take_probe(struct reader *input, struct request *request, struct identity *identity);

/* One control message off the input, as the kernel would put it into LEFT bytes; the bytes that it takes, or 0. */
size_t take_control(struct reader *input, uint8_t *to, size_t left);

/* Ends them after USED bytes, for the sanitizer too. */
void fence_controls(struct msghdr *message, size_t used);

#endif
