/* SPDX-License-Identifier: MIT */
#include "tools/trace_words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/ecn.h"

static const char *const roles[][2] = {
    { "incoming", "in" },
    { "outgoing", "out" },
    { "sub-ip", "sub-ip" },
    { "next-hop", "next hop" },
};

__attribute__((format(printf, 3, 4))) static void
add(char *text, size_t size, const char *format, ...)
{
    size_t used = strlen(text);
    va_list values;
    if (used && used + 2 < size) {
        strcpy(text + used, ", ");
        used += 2;
    }
    va_start(values, format);
    vsnprintf(text + used, size - used, format, values);
    va_end(values);
}

/* ---- the type of service */

static void
add_tos(struct said *said, const struct reply *answer, char *text)
{
    int64_t tos = reply_number(answer, FIELD_QUOTED_TOS);
    if (tos < 0 || tos > 255 || tos == said->tos)
        return;
    unsigned before = (unsigned)said->tos, now = (unsigned)tos;
    const char *change = ecn_change(before & ECN_MASK, now & ECN_MASK);
    if (*change)
        add(text, WORDS_MAX, "ecn %s", change);
    if (before >> 2 != now >> 2)
        add(text, WORDS_MAX, "dscp %u->%u", before >> 2, now >> 2);
    said->tos = tos;
}

/* What the target says of a SYN: how it came. */
static void
add_ecn(const struct said *said, const struct reply *answer, char *text)
{
    char words[200];
    const char *word = answer->value[FIELD_TCP_ECN];
    if (word || (said->ecn && answer->kind == KIND_REPLY))
        add(text, WORDS_MAX, "ecn %s", ecn_words((unsigned)said->sent_tos & ECN_MASK, word, words, sizeof words));
}

static void
add_service(const struct said *said, const struct reply *answer, char *text)
{
    char words[100];
    if (said->question && *service_words(said->question, service_hear(said->question, answer), words, sizeof words))
        add(text, WORDS_MAX, "%s", words);
}

/* ---- the way back */

/*
 * Whoever answers begins with one of these. Who is behind others and has lost none of it was not the maker of the
 * packet.
 */
int
words_back(const struct reply *answer, int ttl)
{
    static const int begins[] = { 64, 128, 255 };
    int64_t left = reply_number(answer, FIELD_REPLY_TTL);
    if (left < 1 || left > 255)
        return -1;
    size_t i = 0;
    while (begins[i] < left)
        i++;
    int back = begins[i] - (int)left + 1;
    return back == 1 && ttl > 1 ? -1 : back;
}

static void
add_back(struct said *said, const struct reply *answer, int ttl, char *text)
{
    bool here = answer->kind == KIND_TTL_EXPIRED || answer->kind == KIND_REPLY; /* who says unreachable may be nearer */
    int back = here ? words_back(answer, ttl) : -1;
    if (back < 0 || back - ttl == said->back)
        return;
    said->back = back - ttl;
    add(text, WORDS_MAX, "back %d hop%s", back, back == 1 ? "" : "s");
}

/* ---- interfaces and nodes: "incoming,index=3,name=eth0,address=10.0.0.1,mtu=1500" */

/* The value behind NAME= in LIST, without what is escaped in it as %XX; "" when it is not there. */
static void
take_part(const char *list, const char *name, char *value, size_t size)
{
    size_t length = strlen(name), used = 0;
    *value = 0;
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        if (strncmp(at, name, length) != 0 || at[length] != '=')
            continue;
        for (at += length + 1; *at && *at != ',' && used + 1 < size; at++)
            value[used++] = *at;
        value[used] = 0;
        return;
    }
}

static void
add_parts(char *text, size_t size, const char *role, const char *list)
{
    char name[128], address[64];
    take_part(list, "name", name, sizeof name);
    take_part(list, "address", address, sizeof address);
    if (!*name)
        take_part(list, "index", name, sizeof name);
    if (*name || *address)
        add(text, size, "%s%s%s%s%s", role, *role ? " " : "", name, *name && *address ? " " : "", address);
}

static void
add_interface(char *text, size_t size, const char *interface)
{
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strncmp(interface, roles[i][0], strcspn(interface, ",")) == 0)
            add_parts(text, size, roles[i][1], interface);
}

const char *
words_interface(const struct reply *answer, char *text, size_t size)
{
    const char *node = answer->value[FIELD_NODE];
    *text = 0;
    for (size_t i = 0; i < INTERFACES_MAX && answer->interface[i]; i++)
        add_interface(text, size, answer->interface[i]);
    if (node)
        add_parts(text, size, "node", node);
    return text;
}

const char *
words_of(struct said *said, const struct reply *answer, int ttl, const char *address, char text[WORDS_MAX])
{
    char interface[400];
    *text = 0;
    add_service(said, answer, text);
    add_tos(said, answer, text);
    add_ecn(said, answer, text);
    if (answer->value[FIELD_NAT] && !said->nat)
        add(text, WORDS_MAX, "nat");
    said->nat |= answer->value[FIELD_NAT] != NULL;
    if (*words_interface(answer, interface, sizeof interface))
        add(text, WORDS_MAX, "%s", interface);
    for (size_t i = 0; i < EXTENSIONS_MAX && answer->extension[i]; i++)
        add(text, WORDS_MAX, "extension %.100s", answer->extension[i]);
    add_back(said, answer, ttl, text);
    if (answer->kind == KIND_REPLY && answer->from && strcmp(answer->from, address) != 0)
        add(text, WORDS_MAX, "from another address");
    return text;
}
