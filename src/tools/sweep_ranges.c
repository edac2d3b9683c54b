/* SPDX-License-Identifier: MIT */
#include "tools/sweep_ranges.h"

#include <endian.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "lines/text.h"

#define RANGE_TEXT_MAX (2 * 46 + 2) /* bytes: two addresses, a hyphen, a comma */

/* ---- addresses as numbers */

static struct place
place_of(enum family_id family, const struct address *address)
{
    uint64_t half[2];
    memcpy(half, address->bytes, sizeof half);
    if (family == IPV4)
        return (struct place){ 0, be64toh(half[0]) >> 32 };
    return (struct place){ be64toh(half[0]), be64toh(half[1]) };
}

static struct address
address_of(enum family_id family, struct place place)
{
    struct address address;
    uint64_t half[2] = { htobe64(family == IPV4 ? place.low << 32 : place.high), htobe64(family == IPV4 ? 0 : place.low) };
    memcpy(address.bytes, half, sizeof half);
    return address;
}

static bool
is_before(struct place one, struct place other)
{
    return one.high < other.high || (one.high == other.high && one.low < other.low);
}

static struct place
plus(struct place place, uint64_t number)
{
    uint64_t low = place.low + number;
    return (struct place){ place.high + (low < number), low };
}

static struct place
one_before(struct place place)
{
    return (struct place){ place.high - (place.low == 0), place.low - 1 };
}

/* From one to a later one. More than ADDRESSES_MAX is that. */
static uint64_t
distance(struct place from, struct place to)
{
    uint64_t high = to.high - from.high - (to.low < from.low), low = to.low - from.low;
    return high || low > ADDRESSES_MAX ? ADDRESSES_MAX : low;
}

/* ---- sets */

static void
append(struct ranges *ranges, struct place first, struct place last)
{
    if (ranges->count == ranges->room) {
        ranges->room = ranges->room ? 2 * ranges->room : 16;
        ranges->all = realloc(ranges->all, ranges->room * sizeof *ranges->all);
        if (!ranges->all)
            err(2, NULL);
    }
    ranges->all[ranges->count++] = (struct range){ first, last, 0 };
}

void
ranges_add(struct ranges *ranges, const struct address *first, const struct address *last)
{
    append(ranges, place_of(ranges->family, first), place_of(ranges->family, last));
}

void
ranges_free(struct ranges *ranges)
{
    free(ranges->all);
    *ranges = (struct ranges){ .family = ranges->family };
}

static int
compare(const void *a, const void *b)
{
    const struct range *one = a, *other = b;
    return is_before(one->first, other->first) ? -1 : is_before(other->first, one->first);
}

static uint64_t
size_of(const struct range *range)
{
    return distance(range->first, range->last) + 1;
}

/* Beyond ADDRESSES_MAX it does not grow: nobody looks for a number there. */
static void
count(struct ranges *ranges)
{
    uint64_t before = 0;
    for (size_t i = 0; i < ranges->count; i++) {
        ranges->all[i].before = before;
        before += size_of(&ranges->all[i]);
        before = before > ADDRESSES_MAX ? ADDRESSES_MAX + 1 : before;
    }
}

void
ranges_sort(struct ranges *ranges)
{
    size_t kept = 0;
    if (ranges->count)
        qsort(ranges->all, ranges->count, sizeof *ranges->all, compare);
    for (size_t i = 0; i < ranges->count; i++) {
        const struct range *next = &ranges->all[i];
        struct range *before = kept ? &ranges->all[kept - 1] : NULL;
        struct place behind = before ? plus(before->last, 1) : next->first; /* of the last address there is: 0 */
        bool joins = before && (!is_before(before->last, next->first) ||
                                (behind.high == next->first.high && behind.low == next->first.low));
        if (!joins)
            ranges->all[kept++] = *next;
        else if (is_before(before->last, next->last))
            before->last = next->last;
    }
    ranges->count = kept;
    count(ranges);
}

/* What is left of one range. *AT: the first of OUT that may touch it or those behind it. */
static void
subtract_from(struct ranges *left, struct range range, const struct ranges *out, size_t *at)
{
    while (*at < out->count && is_before(out->all[*at].last, range.first))
        ++*at;
    for (size_t i = *at; i < out->count && !is_before(range.last, out->all[i].first); i++) {
        if (is_before(range.first, out->all[i].first))
            append(left, range.first, one_before(out->all[i].first));
        if (!is_before(out->all[i].last, range.last))
            return;
        range.first = plus(out->all[i].last, 1);
    }
    append(left, range.first, range.last);
}

void
ranges_subtract(struct ranges *ranges, const struct ranges *out)
{
    struct ranges left = { .family = ranges->family };
    size_t at = 0;
    for (size_t i = 0; i < ranges->count; i++)
        subtract_from(&left, ranges->all[i], out, &at);
    ranges_free(ranges);
    *ranges = left;
    count(ranges);
}

uint64_t
ranges_before(const struct ranges *ranges, size_t range)
{
    if (range < ranges->count)
        return ranges->all[range].before;
    const struct range *last = ranges->count ? &ranges->all[ranges->count - 1] : NULL;
    uint64_t sum = last ? last->before + size_of(last) : 0;
    return sum > ADDRESSES_MAX ? ADDRESSES_MAX + 1 : sum;
}

uint64_t
ranges_count(const struct ranges *ranges)
{
    return ranges_before(ranges, ranges->count);
}

/* The range that has it, or NULL. */
static const struct range *
find(const struct ranges *ranges, struct place place)
{
    size_t low = 0, high = ranges->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct range *range = &ranges->all[middle];
        if (is_before(place, range->first))
            high = middle;
        else if (is_before(range->last, place))
            low = middle + 1;
        else
            return range;
    }
    return NULL;
}

bool
ranges_hold(const struct ranges *ranges, const struct address *address)
{
    return find(ranges, place_of(ranges->family, address)) != NULL;
}

uint64_t
ranges_find(const struct ranges *ranges, const struct address *address)
{
    struct place place = place_of(ranges->family, address);
    const struct range *range = find(ranges, place);
    uint64_t number = range ? range->before + distance(range->first, place) : ADDRESSES_MAX;
    return number < ADDRESSES_MAX ? number : ADDRESSES_MAX;
}

struct address
ranges_at(const struct ranges *ranges, uint64_t number)
{
    size_t low = 0, high = ranges->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (ranges->all[middle].before <= number)
            low = middle;
        else
            high = middle;
    }
    return address_of(ranges->family, plus(ranges->all[low].first, number - ranges->all[low].before));
}

static void
put_range(struct writer *text, enum family_id family, const struct range *range)
{
    struct address first = address_of(family, range->first), last = address_of(family, range->last);
    put_address(text, family, &first);
    if (memcmp(&first, &last, sizeof first) == 0)
        return;
    put_text(text, "-");
    put_address(text, family, &last);
}

size_t
ranges_write(const struct ranges *ranges, size_t first, char *text, size_t size)
{
    struct writer writer = { .start = (uint8_t *)text, .size = size };
    size_t at = first;
    for (; at < ranges->count && size - writer.used > RANGE_TEXT_MAX; at++) {
        if (at > first)
            put_text(&writer, ",");
        put_range(&writer, ranges->family, &ranges->all[at]);
    }
    text[writer.used] = 0;
    return at;
}
