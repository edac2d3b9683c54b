/* SPDX-License-Identifier: MIT */
#include "lines/text.h"

#include <string.h>

static const char hex_digits[] = "0123456789abcdef";

void
put_number(struct writer *line, int64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (number < 0)
        write_u8(line, '-');
    write_bytes(line, digits + at, sizeof digits - at);
}

static void
put_dotted(struct writer *line, const uint8_t bytes[4])
{
    for (size_t i = 0; i < 4; i++) {
        if (i > 0)
            write_u8(line, '.');
        put_number(line, bytes[i]);
    }
}

static void
put_hex(struct writer *line, unsigned number)
{
    int shift = 12;
    while (shift > 0 && number >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        write_u8(line, (uint8_t)hex_digits[number >> shift & 15]);
}

void
put_bytes(struct writer *line, struct reader bytes)
{
    for (size_t i = 0; i < bytes.left; i++) {
        write_u8(line, (uint8_t)hex_digits[bytes.at[i] >> 4]);
        write_u8(line, (uint8_t)hex_digits[bytes.at[i] & 15]);
    }
}

/* As RFC 5952 has it: lower case, no leading zeros, the first of the longest runs of zeros (two at least) as "::". */
static void
put_colons(struct writer *line, const uint8_t bytes[16])
{
    size_t run = 8, run_length = 1;
    for (size_t i = 0; i < 8; i++) {
        size_t length = 0;
        while (i + length < 8 && bytes[2 * (i + length)] == 0 && bytes[2 * (i + length) + 1] == 0)
            length++;
        if (length > run_length) {
            run = i;
            run_length = length;
        }
    }
    for (size_t i = 0; i < 8; i++) {
        if (i == run) {
            put_text(line, "::");
            i += run_length - 1;
            continue;
        }
        if (i > 0 && i != run + run_length)
            write_u8(line, ':');
        put_hex(line, (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1]);
    }
}

/* Written here since inet_ntop(3) took a fifth of all our instructions for a probe. */
void
put_address(struct writer *line, enum family_id family, const struct address *address)
{
    if (family == IPV4)
        put_dotted(line, address->bytes);
    else
        put_colons(line, address->bytes);
}

static void
put_escape(struct writer *line, uint8_t c)
{
    write_u8(line, '%');
    put_bytes(line, (struct reader){ &c, 1 });
}

/* Printable ASCII as it is, but for the characters of SPECIAL; these and all else as %XX. */
static void
put_plain(struct writer *line, struct reader text, const char *special)
{
    for (size_t i = 0; i < text.left; i++) {
        uint8_t c = text.at[i];
        if (c > ' ' && c <= '~' && !strchr(special, c))
            write_u8(line, c);
        else
            put_escape(line, c);
    }
}

void
put_scoped(struct writer *line, enum family_id family, const struct address *address, const char *scope)
{
    put_address(line, family, address);
    if (!scope || !address_is_link_local(family, address))
        return;
    write_u8(line, '%');
    put_plain(line, (struct reader){ (const uint8_t *)scope, strlen(scope) }, "");
}

void
put_escaped(struct writer *line, struct reader text)
{
    put_plain(line, text, "%,=");
}
