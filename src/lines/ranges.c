/* SPDX-License-Identifier: MIT */
#include "lines/ranges.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "lines/text.h"

#define RANGE_TEXT_MAX (2 * 46 + 2) /* bytes: two addresses, a hyphen, a comma */

/* ---- addresses as numbers */

static struct wide
wide_of(enum family_id family, const struct address *address)
{
    uint64_t half[2];
    memcpy(half, address->bytes, sizeof half);
    if (family == IPV4)
        return (struct wide){ 0, be64toh(half[0]) >> 32 };
    return (struct wide){ be64toh(half[0]), be64toh(half[1]) };
}

static struct address
address_of(enum family_id family, struct wide wide)
{
    struct address address;
    uint64_t half[2] = { htobe64(family == IPV4 ? wide.low << 32 : wide.high), htobe64(family == IPV4 ? 0 : wide.low) };
    memcpy(address.bytes, half, sizeof half);
    return address;
}

static bool
is_before(struct wide one, struct wide other)
{
    return one.high < other.high || (one.high == other.high && one.low < other.low);
}

static struct wide
plus(struct wide wide, uint64_t number)
{
    uint64_t low = wide.low + number;
    return (struct wide){ wide.high + (low < number), low };
}

static struct wide
one_before(struct wide wide)
{
    return (struct wide){ wide.high - (wide.low == 0), wide.low - 1 };
}

/* From one to a later one. More than ADDRESSES_MAX is that. */
static uint64_t
distance(struct wide from, struct wide to)
{
    uint64_t high = to.high - from.high - (to.low < from.low), low = to.low - from.low;
    return high || low > ADDRESSES_MAX ? ADDRESSES_MAX : low;
}

/* ---- sets */

static bool
append(struct ranges *ranges, struct wide first, struct wide last)
{
    if (ranges->count == ranges->room) {
        size_t room = ranges->room ? 2 * ranges->room : 16;
        struct range *all = realloc(ranges->all, room * sizeof *all);
        if (!all)
            return false;
        ranges->all = all;
        ranges->room = room;
    }
    ranges->all[ranges->count++] = (struct range){ first, last, 0 };
    return true;
}

bool
ranges_add(struct ranges *ranges, const struct address *first, const struct address *last)
{
    return append(ranges, wide_of(ranges->family, first), wide_of(ranges->family, last));
}

void
ranges_free(struct ranges *ranges)
{
    free(ranges->all);
    *ranges = (struct ranges){ .family = ranges->family };
}

static void
sink(struct range *heap, size_t place, size_t count)
{
    struct range range = heap[place];
    for (size_t child; (child = 2 * place + 1) < count; place = child) {
        child += child + 1 < count && is_before(heap[child].first, heap[child + 1].first);
        if (!is_before(range.first, heap[child].first))
            break;
        heap[place] = heap[child];
    }
    heap[place] = range;
}

/* By a heap: qsort(3) may ask for the size of the memory, which the daemon's sandbox does not let it. */
static void
sort(struct range *ranges, size_t count)
{
    for (size_t place = count / 2; place-- > 0;)
        sink(ranges, place, count);
    while (count > 1) {
        struct range greatest = ranges[0];
        ranges[0] = ranges[--count];
        ranges[count] = greatest;
        sink(ranges, 0, count);
    }
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
    sort(ranges->all, ranges->count);
    for (size_t i = 0; i < ranges->count; i++) {
        const struct range *next = &ranges->all[i];
        struct range *before = kept ? &ranges->all[kept - 1] : NULL;
        struct wide behind = before ? plus(before->last, 1) : next->first; /* of the last address there is: 0 */
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

/* What is left of one range. *AT: the first of OUT that may touch it or those behind it. False: no memory. */
static bool
subtract_from(struct ranges *left, struct range range, const struct ranges *out, size_t *at)
{
    while (*at < out->count && is_before(out->all[*at].last, range.first))
        ++*at;
    for (size_t i = *at; i < out->count && !is_before(range.last, out->all[i].first); i++) {
        if (is_before(range.first, out->all[i].first) && !append(left, range.first, one_before(out->all[i].first)))
            return false;
        if (!is_before(out->all[i].last, range.last))
            return true;
        range.first = plus(out->all[i].last, 1);
    }
    return append(left, range.first, range.last);
}

bool
ranges_subtract(struct ranges *ranges, const struct ranges *out)
{
    struct ranges left = { .family = ranges->family };
    size_t at = 0;
    bool done = true;
    for (size_t i = 0; i < ranges->count && done; i++)
        done = subtract_from(&left, ranges->all[i], out, &at);
    if (!done) {
        ranges_free(&left);
        return false;
    }
    ranges_free(ranges);
    *ranges = left;
    count(ranges);
    return true;
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
find(const struct ranges *ranges, struct wide wide)
{
    size_t low = 0, high = ranges->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct range *range = &ranges->all[middle];
        if (is_before(wide, range->first))
            high = middle;
        else if (is_before(range->last, wide))
            low = middle + 1;
        else
            return range;
    }
    return NULL;
}

bool
ranges_hold(const struct ranges *ranges, const struct address *address)
{
    return find(ranges, wide_of(ranges->family, address)) != NULL;
}

uint64_t
ranges_find(const struct ranges *ranges, const struct address *address)
{
    struct wide wide = wide_of(ranges->family, address);
    const struct range *range = find(ranges, wide);
    uint64_t number = range ? range->before + distance(range->first, wide) : ADDRESSES_MAX;
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
