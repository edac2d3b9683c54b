/* SPDX-License-Identifier: MIT */
#include "tools/text.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "packets/instant.h"

bool
text_is_ascii(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text > 127)
            return false;
    return true;
}

static bool
is_word_byte(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool
text_is_name(const char *text)
{
    if (!*text || *text == '-')
        return false;
    for (; *text; text++)
        if (!is_word_byte(*text) && !strchr("._-", *text))
            return false;
    return true;
}

#define UTF8_MAX 4 /* bytes of a character */

/* The bytes of the character of UTF-8 at TEXT; 0 of none, and in a locale that has others. */
static size_t
character(const char *text, wchar_t *wide)
{
    mbstate_t state = { 0 };
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        return 0;
    size_t length = mbrtowc(wide, text, strnlen(text, UTF8_MAX), &state);
    return length <= UTF8_MAX ? length : 0;
}

/* Those that turn around what stands beside them, or are not seen, make one name look like another. */
static bool
is_seen(wchar_t wide)
{
    static const wchar_t unseen[][2] = {
        { 0xad, 0xad }, { 0x61c, 0x61c }, { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xfeff, 0xfeff },
        { 0xfff0, 0xffff }, { 0xe0000, 0x10ffff } };
    for (size_t i = 0; i < sizeof unseen / sizeof *unseen; i++)
        if (wide >= unseen[i][0] && wide <= unseen[i][1])
            return false;
    return iswprint((wint_t)wide);
}

/* Bytes of the printable character at TEXT; 0: it is none. */
static size_t
printable(const char *text)
{
    wchar_t wide;
    if ((unsigned char)*text < 0x80)
        return *text >= ' ' && *text <= '~';
    size_t length = character(text, &wide);
    return length && is_seen(wide) ? length : 0;
}

const char *
text_printable(const char *text, char *buffer, size_t size)
{
    size_t used = 0;
    while (text[used] && used + 1 < size) {
        size_t length = printable(text + used);
        if (used + length >= size)
            break;
        if (length)
            memcpy(buffer + used, text + used, length);
        else
            buffer[used] = '?';
        used += length ? length : 1;
    }
    buffer[used] = 0;
    return buffer;
}

/* Where the locale does not know a character, it has one column. */
int
text_fit(const char *text, int columns, int *left)
{
    int at = 0;
    for (*left = columns; text[at];) {
        wchar_t wide;
        int length = (int)character(text + at, &wide), width = length ? wcwidth(wide) : 1;
        for (length += !length; ((unsigned char)text[at + length] & 0xc0) == 0x80;)
            length++;
        if (width < 0)
            width = 1;
        if (width > *left)
            break;
        *left -= width;
        at += length;
    }
    return at;
}

/* From its end: a sweep writes so many of these that printf() would be a good part of it. */
const char *
text_ms(int64_t us, char buffer[32])
{
    char *at = buffer + 31;
    int64_t rest = us < 0 ? 0 : us, decimals = 3;
    *at = 0;
    for (; decimals > 0 && rest % 10 == 0; decimals--)
        rest /= 10;
    for (; decimals > 0; decimals--, rest /= 10) {
        *--at = (char)('0' + rest % 10);
        if (decimals == 1)
            *--at = '.';
    }
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    return at;
}

bool
text_seconds(const char *text, int64_t *ns)
{
    int64_t value = 0, unit = NS_PER_S;
    bool point = false, digits = false;
    for (; *text; text++) {
        if (*text == '.' && !point) {
            point = true;
        } else if (!is_digit(*text)) {
            return false;
        } else if (point) {
            unit /= 10;
            value += (*text - '0') * unit;
            digits = true;
        } else {
            value = 10 * value + (*text - '0') * NS_PER_S;
            digits = true;
        }
        if (value > NS_PER_S * NS_PER_S)
            return false;
    }
    *ns = value;
    return digits;
}

bool
text_whole(const char *text, int64_t *number)
{
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    int base = hex ? 16 : 10;
    if (hex)
        text += 2;
    if (!*text || (!hex && text[0] == '0' && text[1]))
        return false;
    for (*number = 0; *text; text++) {
        int digit = hex_value(*text);
        if (digit < 0 || digit >= base || *number > (INT64_C(1) << 48))
            return false;
        *number = base * *number + digit;
    }
    return true;
}

const char *
text_count(int64_t count, const char *what, char *buffer, size_t size)
{
    snprintf(buffer, size, "%" PRId64 " %s%s", count, what, count == 1 ? "" : "s");
    return buffer;
}
