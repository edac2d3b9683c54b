/* SPDX-License-Identifier: MIT */
#include "tools/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

const char *
text_printable(const char *text, char *buffer, size_t size)
{
    size_t used = 0;
    for (; text[used] && used + 1 < size; used++)
        buffer[used] = text[used] >= ' ' && text[used] <= '~' ? text[used] : '?';
    buffer[used] = 0;
    return buffer;
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
