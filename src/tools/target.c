/* SPDX-License-Identifier: MIT */
#include "tools/target.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lines/text.h"
#include "tools/text.h"

#define NAME_MAX_BYTES 1000 /* of UTF-8: of DNS it is 253 in any case */
#define BLANKS " \t\r\n\f\v"
#define MARK "\xef\xbb\xbf" /* UTF-8's byte order mark */

__attribute__((format(printf, 1, 2))) static struct target
wrong_target(const char *format, ...)
{
    struct target target = { .kind = TARGET_WRONG };
    char why[TARGET_WHY_MAX];
    va_list values;
    va_start(values, format);
    vsnprintf(why, sizeof why, format, values);
    va_end(values);
    text_printable(why, target.why, sizeof target.why);
    return target;
}

/* An address and perhaps its scope, LENGTH characters. */
static bool
take_address(const char *word, size_t length, struct target *target)
{
    const char *percent = memchr(word, '%', length);
    size_t bare = percent ? (size_t)(percent - word) : length;
    target->family = memchr(word, ':', bare) ? IPV6 : IPV4;
    target->count = 1;
    target->kind = TARGET_ADDRESS;
    *target->scope = 0;
    if (!address_parse(target->family, word, bare, &target->first))
        return false;
    target->last = target->first;
    if (!percent)
        return true;
    snprintf(target->scope, sizeof target->scope, "%.*s", (int)(length - bare - 1), percent + 1);
    return target->family == IPV6 && text_is_name(target->scope) && strlen(target->scope) == length - bare - 1;
}

/* The address FIRST and NUMBER further; false beyond the last one. */
static bool
advance(struct address *address, enum family_id family, int64_t number)
{
    for (size_t i = families[family].address_size; i-- > 0 && number;) {
        number += address->bytes[i];
        address->bytes[i] = (uint8_t)number;
        number >>= 8;
    }
    return number == 0;
}

/* From FIRST to LAST, or BLOCK_MAX + 1 where it is more; 0 when LAST is before FIRST. */
static int64_t
distance(const struct address *first, const struct address *last, enum family_id family)
{
    int64_t sum = 0;
    for (size_t i = 0; i < families[family].address_size; i++) {
        sum = 256 * sum + last->bytes[i] - first->bytes[i];
        if (sum > BLOCK_MAX || sum < -BLOCK_MAX)
            return sum > 0 ? BLOCK_MAX + 1 : 0;
    }
    return sum < 0 ? 0 : sum + 1;
}

static struct target
read_block(const char *word, const char *slash)
{
    struct target target = { .kind = TARGET_BLOCK };
    int64_t bits;
    const char *percent = strchr(slash, '%');
    if (!take_address(word, (size_t)(slash - word), &target))
        return wrong_target("not a block of addresses");
    if (percent && target.family == IPV6 && !*target.scope)
        return wrong_target("the interface is written behind the address: %.*s%s%.*s", (int)(slash - word), word, percent,
                            (int)(percent - slash), slash);
    int64_t width = 8 * (int64_t)families[target.family].address_size;
    if (!text_whole(slash + 1, &bits) || bits > width)
        return wrong_target("not a block of addresses: the number behind / is from 0 to %d", (int)width);
    target.kind = TARGET_BLOCK;
    target.last = target.first;
    for (int64_t bit = bits; bit < width; bit++) {
        target.first.bytes[bit / 8] &= (uint8_t)~(0x80 >> bit % 8);
        target.last.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    }
    target.count = distance(&target.first, &target.last, target.family);
    return target;
}

/* Both ends, around HYPHEN. */
static bool
take_ends(const char *word, const char *hyphen, struct target *first, struct target *last)
{
    int64_t number;
    if (!take_address(word, (size_t)(hyphen - word), first))
        return false;
    if (first->family == IPV4 && text_whole(hyphen + 1, &number) && number < 256) {
        *last = *first;
        last->first.bytes[3] = (uint8_t)number;
        return true;
    }
    return take_address(hyphen + 1, strlen(hyphen + 1), last) && last->family == first->family;
}

/*
 * "192.0.2.1-192.0.2.99", and "192.0.2.1-99" of IPv4; "fe80::1-fe80::9%eth0", whose interface stands once or twice. The name
 * of an interface may have hyphens, too.
 */
static struct target
read_range(const char *word)
{
    struct target target = { 0 }, last = { 0 };
    const char *hyphen = strchr(word, '-');
    while (hyphen && !take_ends(word, hyphen, &target, &last))
        hyphen = strchr(hyphen + 1, '-');
    if (!hyphen)
        return wrong_target("not a range of addresses");
    target.kind = TARGET_BLOCK;
    target.last = last.first;
    target.count = distance(&target.first, &last.first, target.family);
    if (target.count == 0)
        return wrong_target("the range ends before it begins");
    if (*target.scope && *last.scope && strcmp(target.scope, last.scope) != 0)
        return wrong_target("the range ends on another interface");
    if (!*target.scope)
        memcpy(target.scope, last.scope, sizeof target.scope);
    return target;
}

/* What looks like an IPv4 address and is none, in the words of what to write. */
static struct target
explain_ipv4(const char *word)
{
    unsigned byte[4];
    char colon[2], whole[INET_ADDRSTRLEN];
    int end = 0;
    if (sscanf(word, "%3u.%3u.%3u.%3u%1[:]%n", &byte[0], &byte[1], &byte[2], &byte[3], colon, &end) == 5 &&
        word[end + (int)strspn(word + end, "0123456789")] == 0)
        return wrong_target("a port is given with the protocol: -p tcp:%s", word + end);
    if (sscanf(word, "%3u.%3u.%3u.%3u%n", &byte[0], &byte[1], &byte[2], &byte[3], &end) == 4 && !word[end] &&
        byte[0] < 256 && byte[1] < 256 && byte[2] < 256 && byte[3] < 256)
        return wrong_target("not an address: zeros before a number are octal to some; write %u.%u.%u.%u", byte[0],
                            byte[1], byte[2], byte[3]);
    struct in_addr address;
    if (inet_aton(word, &address) && inet_ntop(AF_INET, &address, whole, sizeof whole))
        return wrong_target("not a whole address; some take it for %s", whole);
    return wrong_target("not an address");
}

/* An address of either family, as it seems, but it is none. */
static struct target
explain_literal(const char *word)
{
    if (strchr(word, '['))
        return wrong_target("an address is written without brackets, a port with the protocol: -p tcp:80");
    if (!word[strspn(word, "0123456789")])
        return wrong_target("not an address; a size is given as -s %s, a port with the protocol", word);
    if (!word[strspn(word, "0123456789.:")] && strchr(word, '.'))
        return explain_ipv4(word);
    const char *colon = strchr(word, ':');
    if (colon && word + strspn(word, "0123456789abcdefABCDEF") < colon && colon[1] && !colon[1 + strspn(colon + 1, "0123456789")])
        return wrong_target("a port is given with the protocol: -p tcp:%s", colon + 1);
    return wrong_target("not an address");
}

/* Of another alphabet too, by whose letters the resolver judges. */
static bool
may_be_name(const char *word)
{
    for (const char *at = word; *at; at++)
        if ((unsigned char)*at < 128 && !text_is_name((char[]){ 'a', *at, 0 }))
            return false;
    return *word != '-' && strlen(word) < NAME_MAX_BYTES;
}

struct target
target_read_text(const char *word)
{
    const char *slash = strchr(word, '/'), *hyphen = strchr(word, '-'), *scheme = strstr(word, "://");
    struct target first = { 0 };
    if (!*word)
        return wrong_target("not a host");
    if (scheme)
        return wrong_target("a host is wanted, without what stands before and behind it in an address of the web");
    if (slash && (strchr(word, ':') || word[strspn(word, "0123456789.")] == '/'))
        return read_block(word, slash);
    if (take_address(word, strlen(word), &first))
        return first;
    if (hyphen && take_address(word, (size_t)(hyphen - word), &first)) /* else a name with a hyphen */
        return read_range(word);
    if (strchr(word, ':') || word[strspn(word, "0123456789.")] == 0)
        return explain_literal(word);
    if (!may_be_name(word))
        return wrong_target("not a host name");
    return (struct target){ .kind = TARGET_NAME };
}

struct target
target_read_wide(const char *word, int family)
{
    struct target target = target_read_text(word);
    if (target.kind != TARGET_ADDRESS && target.kind != TARGET_BLOCK)
        return target;
    if (target.kind == TARGET_ADDRESS && address_is_unspecified(&target.first))
        target.first = target.last = families[target.family].loopback;
    bool lacks_scope = target.family == IPV6 && address_is_link_local(IPV6, &target.first) && !*target.scope;
    if (family && (target.family == IPV4) != (family == 4))
        return wrong_target("not an IPv%d address", family);
    if (lacks_scope && target.kind == TARGET_BLOCK)
        return wrong_target("such addresses mean something on one link only; write the interface too, as fe80::1%%eth0");
    if (lacks_scope)
        return wrong_target("such an address means something on one link only; write %s%%eth0, by its interface", word);
    return target;
}

struct target
target_read(const char *word, int family)
{
    struct target target = target_read_wide(word, family);
    if (target.kind == TARGET_BLOCK && target.count > BLOCK_MAX)
        return wrong_target("more than %" PRId64 " addresses", BLOCK_MAX);
    return target;
}

const char *
target_address(const struct target *target, int64_t number, char buffer[64])
{
    struct address address = target->first;
    struct writer text = { .start = (uint8_t *)buffer, .size = 63 };
    if (!advance(&address, target->family, number))
        return NULL;
    put_address(&text, target->family, &address);
    if (*target->scope) {
        put_text(&text, "%");
        put_text(&text, target->scope);
    }
    buffer[text.used] = 0;
    return buffer;
}

char *
target_next_word(char **rest)
{
    char *at = *rest;
    for (size_t skipped = 1; skipped;) {
        skipped = strspn(at, BLANKS);
        if (strncmp(at, MARK, strlen(MARK)) == 0)
            skipped += strlen(MARK);
        at += skipped;
    }
    if (!*at || *at == '#') {
        *rest = at + strlen(at);
        return NULL;
    }
    char *end = at + strcspn(at, BLANKS "#");
    bool comment = *end == '#';
    *rest = end + (*end != 0);
    *end = 0;
    if (comment)
        *rest = end;
    return at;
}
