/* SPDX-License-Identifier: MIT */
#include "lines/word.h"

int64_t
word_digits(const char **at, const char *end, int64_t limit)
{
    int64_t number = 0;
    for (; *at < end && is_digit(**at); ++*at)
        if (number <= limit)
            number = number * 10 + (**at - '0');
    return number <= limit ? number : limit + 1;
}

bool
word_integer(struct word word, int64_t *number)
{
    const char *at = word.at;
    const char *end = word.at + word.length;
    bool negative = at < end && *at == '-';
    at += negative;
    if (at == end || !is_digit(*at))
        return false;
    *number = word_digits(&at, end, UINT32_MAX);
    if (negative)
        *number = -*number;
    return at == end;
}

bool
word_is_number(struct word word, uint32_t *number)
{
    int64_t value;
    if (!word_integer(word, &value) || value < 1 || value > INT32_MAX)
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool
is_space(char c)
{
    return (unsigned char)c <= ' ' && (c == ' ' || (c >= '\t' && c <= '\r')); /* nearly all bytes fail the first test */
}

struct word
word_next(struct word *line)
{
    const char *start = line->at;
    const char *line_end = line->at + line->length;
    while (start < line_end && is_space(*start))
        start++;
    const char *end = start;
    while (end < line_end && !is_space(*end))
        end++;
    *line = (struct word){ end, (size_t)(line_end - end) };
    return (struct word){ start, (size_t)(end - start) };
}
