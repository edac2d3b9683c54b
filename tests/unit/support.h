/* SPDX-License-Identifier: MIT */
/* What the tests share: bytes from hex, memory of an exact size, numbers that are the same in every run. */
#ifndef HOPLINE_SUPPORT_H
#define HOPLINE_SUPPORT_H

#include <check.h>

#include "packets/family.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* As malloc() and calloc(), but without memory the test fails. */
void *memory(size_t size);
void *zeroed_memory(size_t count, size_t size);

/*
 * Memory that is allocated to the byte, so that sanitizers and valgrind see every step beyond it.
 */
struct blob {
    uint8_t *bytes;
    size_t length;
};

struct blob blob_copy(const void *bytes, size_t length);
void blob_free(struct blob *blob);
struct reader blob_reader(const struct blob *blob);

/* Hex digits, with blanks wherever they help the eye; "00*12" is twelve times 00. */
struct blob blob_of_hex(const char *hex);

/* Fails with the first difference. */
void assert_bytes(const char *what, const uint8_t *got, size_t got_length, const uint8_t *expected,
                  size_t expected_length);

/* An address that is known to be right, and its text in one of a few static buffers. */
struct address address_of(enum family_id family, const char *text);
const char *address_text(enum family_id family, const struct address *address);

/* Text that grows as by printf, up to the size of `text`. */
struct text {
    char text[1024];
    size_t length;
};

__attribute__((format(printf, 2, 3))) void text_add(struct text *text, const char *format, ...);

/* As ck_assert(), which costs a system call each time: for what is asserted a million times. */
#define MUST(condition) \
    do { \
        if (!(condition)) \
            ck_abort_msg("it is not so that %s", #condition); \
    } while (0)

/* The same numbers in every run. *STATE starts as anything. */
uint32_t dice(uint64_t *state);

/*
 * A test that binds ports does so in a network of its own, where nobody else has any; without the privilege for that,
 * in the one that there is. To be used as a checked fixture.
 */
void enter_own_network(void);

/* The Internet checksum of RFC 1071 in its simplest form, 16 bits at a time, for comparison. Starts with SUM. */
uint32_t plain_sum(uint32_t sum, const uint8_t *bytes, size_t length);
uint16_t plain_checksum(const uint8_t *bytes, size_t length);

/* The pseudo header's sum for LENGTH bytes of protocol NUMBER, to start with. */
uint32_t plain_pseudo_sum(enum family_id family, const uint8_t *source, const uint8_t *target, uint8_t number,
                          size_t length);

/* 4 or 6 */
static inline unsigned
version_of(enum family_id family)
{
    return family == IPV4 ? 4 : 6;
}

#endif
