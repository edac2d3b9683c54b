/* SPDX-License-Identifier: MIT */
#include "lines/blocks.h"

#include "lines/word.h"

/* What stands in WORD before the first MARK, which is taken off with it; without one, all of it. *FOUND: there is one. */
static struct word
take_until(struct word *word, char mark, bool *found)
{
    const char *at = memchr(word->at, mark, word->length);
    struct word before = { word->at, at ? (size_t)(at - word->at) : word->length };
    *found = at != NULL;
    word->at += before.length + *found;
    word->length -= before.length + *found;
    return before;
}

static bool
parse(enum family_id family, struct word word, struct address *address)
{
    return address_parse(family, word.at, word.length, address);
}

/* All addresses that have the first LENGTH bits in common with the first. */
static enum reason
read_prefix(struct word length, enum family_id family, struct block *block)
{
    int64_t bits;
    if (!word_integer(length, &bits))
        return REASON_BAD_VALUE;
    size_t size = families[family].address_size;
    if (bits < 0 || bits > (int64_t)size * 8)
        return REASON_OUT_OF_RANGE;
    for (size_t i = 0; i < size; i++) {
        int64_t left = bits - (int64_t)i * 8;
        uint8_t host = left >= 8 ? 0 : left <= 0 ? 0xff : (uint8_t)(0xff >> left);
        block->first.bytes[i] &= (uint8_t)~host;
        block->last.bytes[i] = block->first.bytes[i] | host;
    }
    return REASON_NONE;
}

/* Behind a percent sign: see read_scoped() in request.c. */
static bool
is_scope(struct word scope, enum family_id family, const struct block *block)
{
    return family == IPV6 && scope.length > 0 && scope.length < IFNAMSIZ && !memchr(scope.at, '\0', scope.length) &&
           !memchr(scope.at, '/', scope.length) &&
           (address_is_link_local(family, &block->first) || address_is_group(family, &block->first));
}

enum reason
blocks_next(struct word *list, enum family_id family, struct block *block)
{
    bool more, has_scope, has_prefix, has_last;
    struct word scope = take_until(list, ',', &more);
    struct word prefix = take_until(&scope, '%', &has_scope);
    struct word last = take_until(&prefix, '/', &has_prefix);
    struct word first = take_until(&last, '-', &has_last);
    *block = (struct block){ .scope = scope };
    if ((more && list->length == 0) || (has_last && has_prefix) || !parse(family, first, &block->first) ||
        (has_last && !parse(family, last, &block->last)) || (has_scope && !is_scope(scope, family, block)))
        return REASON_BAD_VALUE;
    if (has_prefix)
        return read_prefix(prefix, family, block);
    if (!has_last)
        block->last = block->first;
    bool backwards = memcmp(block->first.bytes, block->last.bytes, sizeof block->first.bytes) > 0;
    return backwards ? REASON_OUT_OF_RANGE : REASON_NONE;
}
