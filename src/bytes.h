/*
 * Checked cursors over bytes that they do not own: the only place where an integer of the wire is loaded or stored.
 * All integers on the wire are big-endian (network order); all values handed in and out are in host order.
 */
#ifndef HOPLINE_BYTES_H
#define HOPLINE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE __attribute__((warn_unused_result))

/* What is left to be read. A failed read leaves the cursor where it was. */
struct reader {
    const uint8_t *at;
    size_t left;
};

MUST_USE bool read_u8(struct reader *reader, uint8_t *value);
MUST_USE bool read_u16(struct reader *reader, uint16_t *value);
MUST_USE bool read_u32(struct reader *reader, uint32_t *value);
MUST_USE bool read_u64(struct reader *reader, uint64_t *value);
MUST_USE bool read_bytes(struct reader *reader, void *to, size_t count);
MUST_USE bool read_skip(struct reader *reader, size_t count);

/* Takes the next COUNT bytes as a view of their own, which gives a nested object its own limit. */
MUST_USE bool read_view(struct reader *reader, size_t count, struct reader *view);

/* Forgets what lies beyond the first COUNT bytes; a view that is shorter stays as it is. */
void reader_limit(struct reader *reader, size_t count);

/* Memory that is being filled. What does not fit is not written, and sets `overflow` for good. */
struct writer {
    uint8_t *start;
    size_t size;
    size_t used;
    bool overflow;
};

void write_u8(struct writer *writer, uint8_t value);
void write_u16(struct writer *writer, uint16_t value);
void write_u32(struct writer *writer, uint32_t value);
void write_u64(struct writer *writer, uint64_t value);
void write_bytes(struct writer *writer, const void *from, size_t count);
void write_fill(struct writer *writer, uint8_t value, size_t count);

/* Replaces two bytes that were written before, at OFFSET from the start. */
void write_u16_at(struct writer *writer, size_t offset, uint16_t value);

#endif
