/* SPDX-License-Identifier: MIT */
#include "lines/reply.h"

#include <errno.h>

#include "lines/text.h"
#include "packets/icmpext.h"

#define ARGUMENT_MAX (REPLY_MAX - 128) /* characters of a client's argument name that a reply has room to repeat */

static const struct {
    const char *word;
    const char *old_word; /* mtr 0.95's; NULL: the same */
} kinds[REPLY_KINDS] = {
    [REPLY_REPLY] = { "reply", NULL },
    [REPLY_TTL_EXPIRED] = { "ttl-expired", NULL },
    [REPLY_NO_REPLY] = { "no-reply", NULL },
    [REPLY_NO_ROUTE_HOST] = { "no-route-host", "no-route" },
    [REPLY_NO_ROUTE_NETWORK] = { "no-route-network", "no-route" },
    [REPLY_PACKET_TOO_BIG] = { "packet-too-big", NULL },
    [REPLY_NETWORK_DOWN] = { "network-down", NULL },
    [REPLY_NO_SUCH_DEVICE] = { "network-down reason no-such-device", NULL },
    [REPLY_HOST_DOWN] = { "host-down", NULL },
    [REPLY_PERMISSION_DENIED] = { "permission-denied", NULL },
    [REPLY_ADDRESS_IN_USE] = { "address-in-use", NULL },
    [REPLY_ADDRESS_NOT_AVAILABLE] = { "address-not-available", NULL },
    [REPLY_PROBES_EXHAUSTED] = { "probes-exhausted", NULL },
    [REPLY_INVALID_ARGUMENT] = { "invalid-argument", NULL },
    [REPLY_UNEXPECTED_ERROR] = { "unexpected-error", NULL },
    [REPLY_PARSE_ERROR] = { "command-parse-error", NULL },
    [REPLY_BUFFER_OVERFLOW] = { "command-buffer-overflow", NULL },
    [REPLY_UNKNOWN_COMMAND] = { "unknown-command", NULL },
    [REPLY_FEATURE_SUPPORT] = { "feature-support", NULL },
    [REPLY_COLLECTED] = { "collected", NULL },
    [REPLY_SWEEPING] = { "sweeping", NULL },
    [REPLY_SWEPT] = { "swept", NULL },
    [REPLY_STOPPED] = { "stopped", NULL },
};

static const char *const reasons[] = {
    [REASON_MISSING_ADDRESS] = "missing-address",
    [REASON_BAD_VALUE] = "bad-value",
    [REASON_OUT_OF_RANGE] = "out-of-range",
    [REASON_WRONG_FAMILY] = "wrong-family",
    [REASON_IP_VERSION_NOT_SUPPORTED] = "ip-version-not-supported",
    [REASON_PROTOCOL_NOT_SUPPORTED] = "protocol-not-supported",
    [REASON_MISSING_FEATURE] = "missing-feature",
    [REASON_UNKNOWN_ARGUMENT] = "unknown-argument",
    [REASON_NO_ROOM_FOR_IDENTITY] = "no-room-for-identity",
};

/* Errors of sending that have a word of their own; any other is an unexpected-error. */
static const struct {
    int error;
    enum reply_kind kind;
} errors[] = {
    { ENETUNREACH, REPLY_NO_ROUTE_NETWORK },
    { EHOSTUNREACH, REPLY_NO_ROUTE_HOST },
    { ENETDOWN, REPLY_NETWORK_DOWN },
    { ENODEV, REPLY_NO_SUCH_DEVICE },
    { EHOSTDOWN, REPLY_HOST_DOWN },
    { EPERM, REPLY_PERMISSION_DENIED },
    { EACCES, REPLY_PERMISSION_DENIED },
    { EADDRINUSE, REPLY_ADDRESS_IN_USE },
    { EADDRNOTAVAIL, REPLY_ADDRESS_NOT_AVAILABLE },
    { EMSGSIZE, REPLY_PACKET_TOO_BIG },
    { ENOSPC, REPLY_PROBES_EXHAUSTED },
    { ENOMEM, REPLY_PROBES_EXHAUSTED },
    { EMFILE, REPLY_PROBES_EXHAUSTED },
    { ENFILE, REPLY_PROBES_EXHAUSTED },
};

enum reply_kind
reply_kind_of_error(int error)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].error == error)
            return errors[i].kind;
    return REPLY_UNEXPECTED_ERROR;
}

static void
put_named(struct writer *line, const char *name, uint64_t number)
{
    put_name(line, name);
    put_number(line, (int64_t)number);
}

/* All MPLS labels (RFC 4950), four numbers each. A label that would not fit is left out with all after it. */
static void
put_labels(struct writer *line, struct reader extensions)
{
    struct extension extension;
    bool first = true;
    while (extension_next(&extensions, &extension)) {
        struct mpls_label label;
        while (extension_is_mpls(&extension) && mpls_next(&extension.payload, &label)) {
            struct writer before = *line;
            if (first)
                put_name(line, "mpls");
            const int64_t numbers[] = { label.label, label.traffic_class, label.bottom_of_stack, label.ttl };
            for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
                if (!first || i > 0)
                    write_u8(line, ',');
                put_number(line, numbers[i]);
            }
            if (line->overflow) {
                *line = before;
                return;
            }
            first = false;
        }
    }
}

static bool
is_printable(struct word word)
{
    for (size_t i = 0; i < word.length; i++)
        if (word.at[i] <= ' ' || word.at[i] > '~')
            return false;
    return word.length > 0 && word.length <= ARGUMENT_MAX;
}

static void
put_cause(struct writer *line, const struct reply *reply)
{
    if (reply->reason != REASON_NONE) {
        put_name(line, "reason");
        put_text(line, reasons[reply->reason]);
    }
    if (is_printable(reply->argument)) {
        put_name(line, "argument");
        write_bytes(line, reply->argument.at, reply->argument.length);
    }
    if (reply->kind == REPLY_UNEXPECTED_ERROR || (reply->kind == REPLY_NO_REPLY && reply->error)) {
        put_name(line, "errno");
        put_number(line, reply->error);
    }
    if (reply->kind == REPLY_COLLECTED || reply->kind == REPLY_STOPPED)
        put_named(line, "count", reply->count);
    if (reply->support) {
        put_name(line, "support");
        put_text(line, reply->support);
    }
}

static void
put_place(struct writer *line, const struct reply_place *place)
{
    if (place->has_target) {
        put_name(line, "target");
        put_scoped(line, place->family, &place->target, place->scope);
    }
    if (place->has_ttl)
        put_named(line, "probe-ttl", place->ttl);
    if (place->has_port)
        put_named(line, "probe-port", place->port);
    if (place->has_flow)
        put_named(line, "probe-flow", place->flow);
}

/* Seconds with three decimals. */
static void
put_seconds(struct writer *line, int64_t ns)
{
    int64_t ms = ns / NS_PER_MS;
    put_number(line, ms / 1000);
    write_u8(line, '.');
    for (int64_t unit = 100; unit > 0; unit /= 10)
        write_u8(line, (uint8_t)('0' + ms / unit % 10));
}

static void
put_tally(struct writer *line, const struct reply_tally *tally, bool over)
{
    put_named(line, "sent", tally->sent);
    put_named(line, "answered", tally->answered);
    if (!over) {
        put_named(line, "in-flight", tally->in_flight);
        put_named(line, "left", tally->left);
        return;
    }
    put_named(line, "silent", tally->silent);
    put_named(line, "refused", tally->refused);
    put_named(line, "next", tally->next);
    put_name(line, "seconds");
    put_seconds(line, tally->ns);
}

size_t
reply_write(const struct reply *reply, bool old_words, char to[REPLY_MAX])
{
    /* Room is kept for what follows the labels (an MTU, the detail, the newline), so that only labels are cut. */
    struct writer line = { .start = (uint8_t *)to, .size = REPLY_MAX - 32 - (reply->detail ? DETAIL_FIXED_MAX : 0) };
    const char *old_word = kinds[reply->kind].old_word;
    put_number(&line, reply->token);
    write_u8(&line, ' ');
    put_text(&line, old_words && old_word ? old_word : kinds[reply->kind].word);
    if (reply->answered) {
        put_name(&line, families[reply->family].target_name);
        put_scoped(&line, reply->family, &reply->responder, reply->scope);
        put_name(&line, "round-trip-time");
        put_number(&line, reply->round_trip);
    }
    if (reply->place)
        put_place(&line, reply->place);
    if (reply->answered)
        put_labels(&line, reply->extensions);
    if (reply->tally)
        put_tally(&line, reply->tally, reply->kind == REPLY_SWEPT);
    line.size = REPLY_MAX;
    if (reply->mtu) {
        put_name(&line, "mtu");
        put_number(&line, reply->mtu);
    }
    if (reply->asked)
        asked_write(reply->asked, &line);
    put_cause(&line, reply);
    if (reply->detail) {
        line.size = REPLY_MAX - 1;
        detail_write(reply->detail, &line);
        line.size = REPLY_MAX;
    }
    write_u8(&line, '\n');
    return line.used;
}
