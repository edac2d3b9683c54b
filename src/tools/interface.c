/* SPDX-License-Identifier: MIT */
#include "tools/interface.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packets/family.h"
#include "tools/text.h"

static bool
is_index(const char *digits)
{
    unsigned long long index = strtoull(digits, NULL, 10); /* of too many digits the greatest number */
    return index > 0 && index <= UINT32_MAX;
}

/* The first *LENGTH bytes of WORD are of that kind. The scope of an address is this host's, and means nothing there. */
static const char *
kind_of(const char *word, size_t *length)
{
    struct address address;
    size_t before_scope = strcspn(word, "%");
    *length = strlen(word);
    if (!*length || *length > INTERFACE_NAME_MAX)
        return NULL;
    for (const char *at = word; *at; at++)
        if (*at <= ' ' || *at > '~')
            return NULL;
    if (word[strspn(word, "0123456789")] == 0)
        return is_index(word) ? "index" : NULL;
    if (!address_parse(IPV4, word, *length, &address) && !address_parse(IPV6, word, before_scope, &address))
        return "name";
    *length = before_scope;
    return "address";
}

const char *
interface_argument(const char *word, char *buffer, size_t size)
{
    size_t length;
    const char *kind = kind_of(word, &length);
    if (kind)
        snprintf(buffer, size, " interface-%s %.*s", kind, (int)length, word);
    return kind ? buffer : NULL;
}

bool
interface_is_known(const struct reply *reply)
{
    return reply_number(reply, FIELD_EXTENDED_CODE) == 0;
}

/* RFC 8335, section 3: the codes, from 0, and the states of a neighbour. */
static const char *const codes[] = {
    "", "malformed query", "no such interface", "no such neighbour", "several interfaces are called that",
};
static const char *const states[] = { "", "incomplete", "reachable", "stale", "delay", "probe", "failed" };

/* The text of NUMBER in a table, or the number itself behind WHAT. */
static const char *
text_of(const char *const *table, size_t count, int64_t number, const char *what, char buffer[40])
{
    if (number >= 0 && (uint64_t)number < count)
        return table[number];
    snprintf(buffer, 40, "%s %d", what, (int)number);
    return buffer;
}

const char *
interface_words(const char *word, const struct reply *reply, char *buffer, size_t size)
{
    static const char *const runs[] = { "", ", runs IPv6", ", runs IPv4", ", runs IPv4 and IPv6" };
    char number[40], clean[INTERFACE_NAME_MAX + 1];
    int64_t code = reply_number(reply, FIELD_EXTENDED_CODE);
    const char *name = text_printable(word, clean, sizeof clean);
    const char *error = text_of(codes, sizeof codes / sizeof *codes, code, "code", number);
    if (*error) {
        snprintf(buffer, size, "%s: %s", name, error);
        return buffer;
    }
    bool up = reply_number(reply, FIELD_ACTIVE) == 1;
    int both = 2 * (reply_number(reply, FIELD_IP_4_ACTIVE) == 1) + (reply_number(reply, FIELD_IP_6_ACTIVE) == 1);
    const char *state = text_of(states, sizeof states / sizeof *states, reply_number(reply, FIELD_STATE), "state", number);
    snprintf(buffer, size, "%s is %s%s%s%s", name, up ? "up" : "down", runs[both], *state ? ", neighbour " : "", state);
    return buffer;
}
