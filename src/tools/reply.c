/* SPDX-License-Identifier: MIT */
#include "tools/reply.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packets/family.h"

#define NUMBER_MAX (INT64_C(1) << 53) /* what JSON's readers hold exactly */

static const char *const field_names[FIELDS] = {
    [FIELD_IP_4] = "ip-4",
    [FIELD_IP_6] = "ip-6",
    [FIELD_ROUND_TRIP] = "round-trip-time",
    [FIELD_MPLS] = "mpls",
    [FIELD_MTU] = "mtu",
    [FIELD_REASON] = "reason",
    [FIELD_ARGUMENT] = "argument",
    [FIELD_ERRNO] = "errno",
    [FIELD_SUPPORT] = "support",
    [FIELD_VERSION] = "version",
    [FIELD_COUNT] = "count",
    [FIELD_ICMP_TYPE] = "icmp-type",
    [FIELD_ICMP_CODE] = "icmp-code",
    [FIELD_TCP_FLAGS] = "tcp-flags",
    [FIELD_REPLY_TTL] = "reply-ttl",
    [FIELD_REPLY_TOS] = "reply-tos",
    [FIELD_REPLY_SIZE] = "reply-size",
    [FIELD_LOCAL_IP_4] = "local-ip-4",
    [FIELD_LOCAL_IP_6] = "local-ip-6",
    [FIELD_LOCAL_PORT] = "local-port",
    [FIELD_QUOTED_TTL] = "quoted-ttl",
    [FIELD_QUOTED_TOS] = "quoted-tos",
    [FIELD_QUOTED_MSS] = "quoted-mss",
    [FIELD_NAT] = "nat",
    [FIELD_INTERFACE] = "interface",
    [FIELD_NODE] = "node",
    [FIELD_ROUND_TRIP_NS] = "round-trip-ns",
    [FIELD_SENT] = "sent",
    [FIELD_RECEIVED] = "received",
    [FIELD_REPLY_ID] = "reply-id",
    [FIELD_TCP_ECN] = "tcp-ecn",
    [FIELD_ORIGINATE] = "originate",
    [FIELD_RECEIVE] = "receive",
    [FIELD_TRANSMIT] = "transmit",
    [FIELD_EXTENDED_CODE] = "extended-code",
    [FIELD_STATE] = "state",
    [FIELD_ACTIVE] = "active",
    [FIELD_IP_4_ACTIVE] = "ip-4-active",
    [FIELD_IP_6_ACTIVE] = "ip-6-active",
    [FIELD_REPLY_PAYLOAD] = "reply-payload",
    [FIELD_TARGET] = "target",
    [FIELD_PROBE_TTL] = "probe-ttl",
    [FIELD_ANSWERED] = "answered",
    [FIELD_SILENT] = "silent",
    [FIELD_REFUSED] = "refused",
    [FIELD_IN_FLIGHT] = "in-flight",
    [FIELD_LEFT] = "left",
    [FIELD_NEXT] = "next",
};

static const struct {
    const char *word;
    enum kind kind;
    const char *error; /* in words; NULL: the word itself, without its hyphens */
} kinds[] = {
    { "reply", KIND_REPLY, "" },
    { "ttl-expired", KIND_TTL_EXPIRED, "time to live exceeded" },
    { "no-reply", KIND_NO_REPLY, "no reply" },
    { "no-route-host", KIND_NO_ROUTE_HOST, "host unreachable" },
    { "no-route", KIND_NO_ROUTE_HOST, "host unreachable" },
    { "no-route-network", KIND_NO_ROUTE_NETWORK, "network unreachable" },
    { "packet-too-big", KIND_TOO_BIG, "packet too big" },
    { "collected", KIND_COLLECTED, NULL },
    { "feature-support", KIND_FEATURE, NULL },
    { "sweeping", KIND_SWEEPING, NULL },
    { "swept", KIND_SWEPT, NULL },
    { "stopped", KIND_STOPPED, NULL },
};

#define KINDS (sizeof kinds / sizeof *kinds)

/* What an error says by its code, where that is more than the kind says. */
static const struct {
    enum family_id family;
    int type, code; /* of ICMP or ICMPv6; -1: any code */
    const char *words, *mark;
} codes[] = {
    { IPV4, 3, 2, "protocol unreachable", "!P" },
    { IPV4, 3, 3, "port unreachable", "!R" },
    { IPV4, 3, 5, "source route failed", "!S" },
    { IPV4, 3, 9, "network prohibited", "!X" },
    { IPV4, 3, 10, "host prohibited", "!X" },
    { IPV4, 3, 13, "filtered", "!X" },
    { IPV4, 3, 14, "precedence violation", "!V" },
    { IPV4, 3, 15, "precedence cutoff", "!C" },
    { IPV4, 11, 1, "reassembly time exceeded", "!H" },
    { IPV4, 12, -1, "parameter problem", "!H" },
    { IPV6, 1, 1, "filtered", "!X" },
    { IPV6, 1, 2, "beyond scope of source address", "!S" },
    { IPV6, 1, 4, "port unreachable", "!R" },
    { IPV6, 1, 5, "source address refused", "!X" },
    { IPV6, 1, 6, "route rejects", "!X" },
    { IPV6, 3, 1, "reassembly time exceeded", "!H" },
    { IPV6, 4, 1, "next header unknown", "!P" },
    { IPV6, 4, -1, "parameter problem", "!H" },
};

#define CODES (sizeof codes / sizeof *codes)

/* ---- reading */

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/*
 * Cuts the next word off *REST, which is moved behind it; NULL: there is none. strtok_r() makes a table of its blanks
 * for each word, and of 65,536 replies that is a tenth of all that a sweep does.
 */
static char *
next_word(char **rest)
{
    char *start = *rest, *end;
    while (is_blank(*start))
        start++;
    for (end = start; *end && !is_blank(*end); end++)
        ;
    *rest = *end ? end + 1 : end;
    *end = 0;
    return end > start ? start : NULL;
}

static bool
is_printable(const char *line)
{
    for (; *line; line++)
        if ((*line < ' ' || *line > '~') && !is_blank(*line))
            return false;
    return true;
}

/* A number without a sign, of which nothing is left over. */
static bool
read_number(const char *text, int64_t *number)
{
    *number = 0;
    for (const char *at = text; *at; at++) {
        if (!is_digit(*at) || *number > NUMBER_MAX / 10)
            return false;
        *number = 10 * *number + (*at - '0');
    }
    return *text && *number <= NUMBER_MAX;
}

static bool
read_token(const char *text, int64_t *token)
{
    bool negative = *text == '-';
    if (!read_number(text + negative, token))
        return false;
    if (negative)
        *token = -*token;
    return true;
}

static bool
is_address(enum family_id family, const char *text)
{
    struct address address;
    return address_parse(family, text, family == IPV6 ? strcspn(text, "%") : strlen(text), &address);
}

static enum kind
kind_of(const char *word)
{
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(word, kinds[i].word) == 0)
            return kinds[i].kind;
    return KIND_OTHER;
}

/* Puts VALUE behind those of a LIST that holds COUNT; one that is too many is left out. */
static void
append(const char **list, size_t count, const char *value)
{
    for (size_t i = 0; i < count; i++)
        if (!list[i]) {
            list[i] = value;
            return;
        }
}

static void
keep(struct reply *reply, const char *name, const char *value)
{
    size_t i = 0;
    while (i < FIELDS && (*name != *field_names[i] || strcmp(name, field_names[i]) != 0))
        i++;
    if (i < FIELDS)
        reply->value[i] = value;
    if (i == FIELD_INTERFACE)
        append(reply->interface, INTERFACES_MAX, value);
    else if (i == FIELDS && strcmp(name, "extension") == 0)
        append(reply->extension, EXTENSIONS_MAX, value);
}

bool
reply_read(char *line, struct reply *reply)
{
    char *rest = line;
    *reply = (struct reply){ .round_trip_us = -1 };
    if (!is_printable(line))
        return false;
    const char *token = next_word(&rest);
    reply->word = next_word(&rest);
    if (!token || !reply->word || !read_token(token, &reply->token))
        return false;
    reply->kind = kind_of(reply->word);
    for (const char *name, *value; (name = next_word(&rest)) && (value = next_word(&rest));)
        keep(reply, name, value);

    enum family_id family = reply->value[FIELD_IP_4] ? IPV4 : IPV6;
    reply->from = reply->value[family == IPV4 ? FIELD_IP_4 : FIELD_IP_6];
    if (reply->from && !is_address(family, reply->from))
        return false;
    reply->round_trip_us = reply_number(reply, FIELD_ROUND_TRIP);
    return true;
}

/* Puts a word behind *END and moves that; NULL stays NULL. */
static const char *
put_word(char **end, const char *word)
{
    char *start = *end;
    if (!word)
        return NULL;
    *end = stpcpy(start, word) + 1;
    return start;
}

static size_t
room_of(const char *word)
{
    return word ? strlen(word) + 1 : 0;
}

struct reply *
reply_keep(const struct reply *reply)
{
    size_t room = sizeof *reply + room_of(reply->word);
    for (size_t i = 0; i < FIELDS; i++)
        room += room_of(reply->value[i]);
    for (size_t i = 0; i < EXTENSIONS_MAX; i++)
        room += room_of(reply->extension[i]);
    for (size_t i = 0; i < INTERFACES_MAX; i++)
        room += room_of(reply->interface[i]);
    struct reply *kept = malloc(room);
    if (!kept)
        err(2, NULL);
    *kept = *reply;
    char *end = (char *)(kept + 1);
    kept->word = put_word(&end, reply->word);
    for (size_t i = 0; i < FIELDS; i++)
        kept->value[i] = put_word(&end, reply->value[i]);
    for (size_t i = 0; i < EXTENSIONS_MAX; i++)
        kept->extension[i] = put_word(&end, reply->extension[i]);
    for (size_t i = 0; i < INTERFACES_MAX; i++)
        kept->interface[i] = put_word(&end, reply->interface[i]);
    kept->from = kept->value[FIELD_IP_4] ? kept->value[FIELD_IP_4] : kept->value[FIELD_IP_6];
    return kept;
}

int64_t
reply_number(const struct reply *reply, enum field field)
{
    int64_t number;
    return reply->value[field] && read_number(reply->value[field], &number) ? number : -1;
}

bool
reply_is_silence(const struct reply *reply)
{
    return reply->kind == KIND_NO_REPLY && !reply->value[FIELD_ERRNO];
}

bool
reply_never_left(const struct reply *reply)
{
    return !reply->from && reply->kind != KIND_NO_REPLY;
}

/* ---- words */

/* The row of an error's type and code; CODES when it has none. */
static size_t
code_of(const struct reply *reply)
{
    enum family_id family = reply->value[FIELD_IP_4] ? IPV4 : IPV6;
    int64_t type = reply_number(reply, FIELD_ICMP_TYPE), code = reply_number(reply, FIELD_ICMP_CODE);
    size_t i = 0;
    while (i < CODES && !(codes[i].family == family && codes[i].type == type &&
                          (codes[i].code == code || codes[i].code < 0)))
        i++;
    return i;
}

/* The kinds that say what a local host could not do: their words, with spaces, and what else there is. */
static void
spell_out(const struct reply *reply, char *buffer, size_t size)
{
    const char *reason = reply->value[FIELD_REASON], *argument = reply->value[FIELD_ARGUMENT],
               *number = reply->value[FIELD_ERRNO];
    snprintf(buffer, size, "%s%s%s%s%s%s%s", reply->word, reason ? ": " : "", reason ? reason : "", argument ? " " : "",
             argument ? argument : "", number ? ": errno " : "", number ? number : "");
    for (char *at = buffer; *at; at++)
        if (*at == '-')
            *at = ' ';
}

const char *
reply_error(const struct reply *reply, char *buffer, size_t size)
{
    if (reply->kind == KIND_TOO_BIG && reply->value[FIELD_MTU]) {
        snprintf(buffer, size, "packet too big, mtu %s", reply->value[FIELD_MTU]);
        return buffer;
    }
    if (reply->kind == KIND_NO_REPLY && reply->value[FIELD_ERRNO]) {
        snprintf(buffer, size, "not let out by this host: errno %s", reply->value[FIELD_ERRNO]);
        return buffer;
    }
    size_t code = reply->from && reply->kind != KIND_REPLY ? code_of(reply) : CODES;
    if (code < CODES)
        return codes[code].words;
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].kind == reply->kind && kinds[i].error)
            return kinds[i].error;
    spell_out(reply, buffer, size);
    return buffer;
}

bool
reply_is_refusal(const struct reply *reply)
{
    return reply->kind == KIND_REPLY && code_of(reply) < CODES;
}

const char *
reply_refusal(const struct reply *reply)
{
    size_t code = code_of(reply);
    return code < CODES ? codes[code].words : "an error";
}

const char *
reply_mark(const struct reply *reply, char *buffer, size_t size)
{
    const char *flags = reply->value[FIELD_TCP_FLAGS];
    if (reply->kind == KIND_REPLY && flags) {
        snprintf(buffer, size, "[%s]", flags);
        return buffer;
    }
    if (reply->kind == KIND_REPLY || reply->kind == KIND_NO_REPLY || reply->kind == KIND_TTL_EXPIRED)
        return "";
    if (!reply->from) {
        char words[200];
        snprintf(buffer, size, "(this host: %s)", reply_error(reply, words, sizeof words));
        return buffer;
    }
    if (reply->kind == KIND_TOO_BIG) {
        snprintf(buffer, size, "!F-%s", reply->value[FIELD_MTU] ? reply->value[FIELD_MTU] : "?");
        return buffer;
    }
    size_t code = code_of(reply);
    if (code < CODES)
        return codes[code].mark;
    return reply->kind == KIND_NO_ROUTE_NETWORK ? "!N" : "!H";
}

size_t
reply_labels(const struct reply *reply, struct label labels[LABELS_MAX])
{
    const char *at = reply->value[FIELD_MPLS];
    size_t count = 0;
    for (int length; at && count < LABELS_MAX; at += length) {
        struct label *label = &labels[count];
        if (sscanf(at, "%u,%u,%u,%u%n", &label->label, &label->traffic_class, &label->bottom, &label->ttl,
                   &length) != 4)
            break;
        count++;
        if (at[length] != ',')
            break;
        length++;
    }
    return count;
}
