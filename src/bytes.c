#include "bytes.h"

#include <string.h>

static bool
take(struct reader *reader, size_t count, const uint8_t **taken)
{
    if (reader->left < count)
        return false;
    *taken = reader->at;
    reader->at += count;
    reader->left -= count;
    return true;
}

static bool
read_integer(struct reader *reader, size_t count, uint64_t *value)
{
    const uint8_t *bytes;
    if (!take(reader, count, &bytes))
        return false;
    *value = 0;
    for (size_t i = 0; i < count; i++)
        *value = *value << 8 | bytes[i];
    return true;
}

bool
read_u8(struct reader *reader, uint8_t *value)
{
    uint64_t wide;
    if (!read_integer(reader, sizeof *value, &wide))
        return false;
    *value = (uint8_t)wide;
    return true;
}

bool
read_u16(struct reader *reader, uint16_t *value)
{
    uint64_t wide;
    if (!read_integer(reader, sizeof *value, &wide))
        return false;
    *value = (uint16_t)wide;
    return true;
}

bool
read_u32(struct reader *reader, uint32_t *value)
{
    uint64_t wide;
    if (!read_integer(reader, sizeof *value, &wide))
        return false;
    *value = (uint32_t)wide;
    return true;
}

bool
read_u64(struct reader *reader, uint64_t *value)
{
    return read_integer(reader, sizeof *value, value);
}

bool
read_bytes(struct reader *reader, void *to, size_t count)
{
    const uint8_t *bytes;
    if (!take(reader, count, &bytes))
        return false;
    memcpy(to, bytes, count);
    return true;
}

bool
read_skip(struct reader *reader, size_t count)
{
    const uint8_t *bytes;
    return take(reader, count, &bytes);
}

bool
read_view(struct reader *reader, size_t count, struct reader *view)
{
    const uint8_t *bytes;
    if (!take(reader, count, &bytes))
        return false;
    *view = (struct reader){ bytes, count };
    return true;
}

void
reader_limit(struct reader *reader, size_t count)
{
    if (reader->left > count)
        reader->left = count;
}

/* Room for COUNT bytes, or NULL. */
static uint8_t *
reserve(struct writer *writer, size_t count)
{
    if (writer->overflow || writer->size - writer->used < count) {
        writer->overflow = true;
        return NULL;
    }
    uint8_t *room = writer->start + writer->used;
    writer->used += count;
    return room;
}

static void
write_integer(struct writer *writer, size_t count, uint64_t value)
{
    uint8_t *room = reserve(writer, count);
    if (!room)
        return;
    for (size_t i = count; i > 0; i--) {
        room[i - 1] = (uint8_t)value;
        value >>= 8;
    }
}

void
write_u8(struct writer *writer, uint8_t value)
{
    write_integer(writer, sizeof value, value);
}

void
write_u16(struct writer *writer, uint16_t value)
{
    write_integer(writer, sizeof value, value);
}

void
write_u32(struct writer *writer, uint32_t value)
{
    write_integer(writer, sizeof value, value);
}

void
write_u64(struct writer *writer, uint64_t value)
{
    write_integer(writer, sizeof value, value);
}

void
write_bytes(struct writer *writer, const void *from, size_t count)
{
    uint8_t *room = reserve(writer, count);
    if (room && count)
        memcpy(room, from, count);
}

void
write_fill(struct writer *writer, uint8_t value, size_t count)
{
    uint8_t *room = reserve(writer, count);
    if (room)
        memset(room, value, count);
}

void
write_u16_at(struct writer *writer, size_t offset, uint16_t value)
{
    if (writer->overflow || offset > writer->used || writer->used - offset < sizeof value)
        return;
    writer->start[offset] = (uint8_t)(value >> 8);
    writer->start[offset + 1] = (uint8_t)value;
}
