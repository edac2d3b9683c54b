/* SPDX-License-Identifier: MIT */
/* The values that only a sweep has. */
#include "lines/argument.h"
#include "lines/blocks.h"
#include "lines/word.h"
#include "packets/protocol.h"

#define PROGRESS_MIN 10000 /* us */

enum reason
read_targets(const struct argument *argument, struct word value, struct request *request)
{
    struct block block;
    bool first = true;
    request->family = (enum family_id)argument->low;
    for (struct word left = value; left.length > 0; first = false) {
        enum reason reason = blocks_next(&left, request->family, &block);
        if (reason != REASON_NONE)
            return reason;
        if (!first && !word_same(block.scope, request->scope))
            return REASON_BAD_VALUE;
        request->scope = block.scope;
    }
    *(struct word *)field_of(argument, request) = value;
    return REASON_NONE;
}

enum reason
read_exclusions(const struct argument *argument, struct word value, struct request *request)
{
    struct block block;
    for (struct word left = value; left.length > 0;) {
        enum reason reason = blocks_next(&left, request->family, &block);
        if (reason != REASON_NONE || block.scope.length)
            return reason != REASON_NONE ? reason : REASON_BAD_VALUE;
    }
    *(struct word *)field_of(argument, request) = value;
    return REASON_NONE;
}

/* A number, or two with a MARK between them; false when it is neither. *SECOND stays as it is where there is none. */
static bool
parse_two(struct word value, char mark, int64_t limit, int64_t *first, int64_t *second)
{
    const char *at = value.at, *end = value.at + value.length;
    if (at == end || !is_digit(*at))
        return false;
    *first = word_digits(&at, end, limit);
    if (at == end)
        return true;
    if (*at != mark || ++at == end || !is_digit(*at))
        return false;
    *second = word_digits(&at, end, limit);
    return at == end;
}

enum reason
read_span(const struct argument *argument, struct word value, struct request *request)
{
    int64_t low, high = -1;
    if (!parse_two(value, '-', argument->high, &low, &high))
        return REASON_BAD_VALUE;
    high = high < 0 ? low : high;
    if (low < argument->low || high > argument->high || low > high)
        return REASON_OUT_OF_RANGE;
    *(struct span *)field_of(argument, request) = (struct span){ (uint32_t)low, (uint32_t)high };
    return REASON_NONE;
}

/* Where a probe has no ports, all are the same: none. 0 is as if absent, so no range begins with it. */
enum reason
read_ports(const struct argument *argument, struct word value, struct request *request)
{
    struct span *span = field_of(argument, request);
    enum reason reason = read_span(argument, value, request);
    if (reason == REASON_NONE && span->low == 0 && span->high > 0)
        return REASON_OUT_OF_RANGE;
    if (protocols[request->protocol]->ports == PORTS_ECHO)
        *span = (struct span){ 0, 0 };
    return reason;
}

enum reason
read_flows(const struct argument *argument, struct word value, struct request *request)
{
    enum reason reason = read_span(argument, value, request);
    return reason == REASON_NONE && !can_flow(request) ? REASON_PROTOCOL_NOT_SUPPORTED : reason;
}

enum reason
read_long(const struct argument *argument, struct word value, struct request *request)
{
    uint64_t number = 0, most = argument->high ? (uint64_t)argument->high : UINT64_MAX;
    for (size_t i = 0; i < value.length; i++)
        if (!is_digit(value.at[i]))
            return REASON_BAD_VALUE;
    for (size_t i = 0; i < value.length; i++) {
        unsigned digit = (unsigned)(value.at[i] - '0');
        if (number > (most - digit) / 10)
            return REASON_OUT_OF_RANGE;
        number = number * 10 + digit;
    }
    *(uint64_t *)field_of(argument, request) = number;
    return REASON_NONE;
}

enum reason
read_seed(const struct argument *argument, struct word value, struct request *request)
{
    request->sweep.seed_given = true;
    return read_long(argument, value, request);
}

enum reason
read_shard(const struct argument *argument, struct word value, struct request *request)
{
    int64_t part, parts = -1;
    if (!parse_two(value, '/', argument->high, &part, &parts) || parts < 0)
        return REASON_BAD_VALUE;
    if (part < 1 || part > parts || parts > argument->high)
        return REASON_OUT_OF_RANGE;
    request->sweep.shard = (uint64_t)part;
    request->sweep.shards = (uint64_t)parts;
    return REASON_NONE;
}

enum reason
read_order(const struct argument *argument, struct word value, struct request *request)
{
    bool sequential = word_is(value, "sequential");
    *(uint32_t *)field_of(argument, request) = sequential;
    return sequential || word_is(value, "random") ? REASON_NONE : REASON_BAD_VALUE;
}

enum reason
read_report(const struct argument *argument, struct word value, struct request *request)
{
    bool all = word_is(value, "all");
    *(uint32_t *)field_of(argument, request) = all;
    return all || word_is(value, "answers") ? REASON_NONE : REASON_BAD_VALUE;
}

/* As a timeout is written; but lines without a pause between them would be no progress. */
enum reason
read_progress(const struct argument *argument, struct word value, struct request *request)
{
    enum reason reason = read_timeout(argument, value, request);
    return reason == REASON_NONE && request->sweep.progress < PROGRESS_MIN ? REASON_OUT_OF_RANGE : reason;
}
