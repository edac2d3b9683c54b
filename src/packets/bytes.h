/* SPDX-License-Identifier: MIT */
/*
 * Checked cursors over bytes that they do not own: the only place where an integer of the wire is loaded or stored.
 * All integers on the wire are big-endian (network order); all values handed in and out are in host order. They are
 * inline since every packet passes through dozens of them.
 */
#ifndef HOPLINE_BYTES_H
#define HOPLINE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_USE __attribute__((warn_unused_result))

/* A piece of text that is not terminated, and does not own what it points to. */
struct word {
    const char *at;
    size_t length;
};

static inline bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Of a hex digit; -1 when it is none. */
static inline int
hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What is left to be read. A failed read leaves the cursor where it was. */
struct reader {
    const uint8_t *at;
    size_t left;
};

MUST_USE static inline bool
read_bytes(struct reader *reader, void *to, size_t count)
{
    if (reader->left < count)
        return false;
    memcpy(to, reader->at, count);
    reader->at += count;
    reader->left -= count;
    return true;
}

MUST_USE static inline bool
read_u8(struct reader *reader, uint8_t *value)
{
    return read_bytes(reader, value, sizeof *value);
}

MUST_USE static inline bool
read_u16(struct reader *reader, uint16_t *value)
{
    uint16_t wire;
    if (!read_bytes(reader, &wire, sizeof wire))
        return false;
    *value = be16toh(wire);
    return true;
}

MUST_USE static inline bool
read_u32(struct reader *reader, uint32_t *value)
{
    uint32_t wire;
    if (!read_bytes(reader, &wire, sizeof wire))
        return false;
    *value = be32toh(wire);
    return true;
}

MUST_USE static inline bool
read_u64(struct reader *reader, uint64_t *value)
{
    uint64_t wire;
    if (!read_bytes(reader, &wire, sizeof wire))
        return false;
    *value = be64toh(wire);
    return true;
}

/* Takes the next COUNT bytes as a view of their own, which gives a nested object its own limit. */
MUST_USE static inline bool
read_view(struct reader *reader, size_t count, struct reader *view)
{
    if (reader->left < count)
        return false;
    const uint8_t *start = reader->at;
    reader->at += count;
    reader->left -= count;
    *view = (struct reader){ start, count };
    return true;
}

MUST_USE static inline bool
read_skip(struct reader *reader, size_t count)
{
    struct reader skipped;
    return read_view(reader, count, &skipped);
}

/* Forgets what lies beyond the first COUNT bytes; a view that is shorter stays as it is. */
static inline void
reader_limit(struct reader *reader, size_t count)
{
    if (reader->left > count)
        reader->left = count;
}

/* Memory that is being filled. What does not fit is not written, and sets `overflow` for good. */
struct writer {
    uint8_t *start;
    size_t size;
    size_t used;
    bool overflow;
};

/* Room for COUNT bytes, or NULL. */
static inline uint8_t *
write_room(struct writer *writer, size_t count)
{
    if (writer->overflow || writer->size - writer->used < count) {
        writer->overflow = true;
        return NULL;
    }
    uint8_t *room = writer->start + writer->used;
    writer->used += count;
    return room;
}

static inline void
write_bytes(struct writer *writer, const void *from, size_t count)
{
    uint8_t *room = write_room(writer, count);
    if (room && count)
        memcpy(room, from, count);
}

static inline void
write_fill(struct writer *writer, uint8_t value, size_t count)
{
    uint8_t *room = write_room(writer, count);
    if (room)
        memset(room, value, count);
}

static inline void
write_u8(struct writer *writer, uint8_t value)
{
    write_bytes(writer, &value, sizeof value);
}

static inline void
write_u16(struct writer *writer, uint16_t value)
{
    uint16_t wire = htobe16(value);
    write_bytes(writer, &wire, sizeof wire);
}

static inline void
write_u32(struct writer *writer, uint32_t value)
{
    uint32_t wire = htobe32(value);
    write_bytes(writer, &wire, sizeof wire);
}

static inline void
write_u64(struct writer *writer, uint64_t value)
{
    uint64_t wire = htobe64(value);
    write_bytes(writer, &wire, sizeof wire);
}

/* Replaces two bytes that were written before, at OFFSET from the start. */
static inline void
write_u16_at(struct writer *writer, size_t offset, uint16_t value)
{
    uint16_t wire = htobe16(value);
    if (!writer->overflow && offset <= writer->used && writer->used - offset >= sizeof wire)
        memcpy(writer->start + offset, &wire, sizeof wire);
}

#endif
