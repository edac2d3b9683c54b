/* SPDX-License-Identifier: MIT */
/*
 * What a client's pipe delivers, parted anywhere: bytes to lines, lines to requests and complaints, those to replies.
 * Input: options, the sizes of four reads that come in turn, then the bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lines/input.h"
#include "lines/reply.h"
#include "packets/icmp.h"
#include "packets/protocol.h"
#include "support.h"

#define STREAM_MAX 300000 /* bytes: the reader's buffer twice, and a long line */
#define LONG_RUN (LINE_MAX_LENGTH / 2) /* two and a byte more are the longest line */

/* What was delivered, and how much of it has been seen to come out again. */
static struct {
    struct reader input;
    uint8_t sizes[4];
    unsigned reads;
    bool refused;    /* the last read said EAGAIN */
    size_t length, seen;
    bool discarding; /* `seen` is inside a line that was too long */
    uint8_t stream[STREAM_MAX];
} pipe_;

static ssize_t
fuzz_read(int fd, void *to, size_t room)
{
    (void)fd;
    uint8_t size = pipe_.sizes[pipe_.reads++ % COUNT(pipe_.sizes)];
    size_t count = size < 200 ? size : (size - 199u) * 256;
    MUST(room > 0);
    if (size == 0 && !pipe_.refused) {
        pipe_.refused = true;
        errno = EAGAIN;
        return -1;
    }
    pipe_.refused = false;
    uint8_t *end = pipe_.stream + pipe_.length;
    if (size == 255 && pipe_.input.left > 0) { /* lines that are too long, out of few bytes of input */
        count = LONG_RUN < room ? LONG_RUN : room;
        if (count > STREAM_MAX - pipe_.length)
            return 0;
        memset(end, take_u8(&pipe_.input), count);
    } else {
        count = count ? count : 1;
        count = count < room ? count : room;
        count = count < pipe_.input.left ? count : pipe_.input.left;
        if (count > STREAM_MAX - pipe_.length)
            return 0;
        take_bytes(&pipe_.input, end, count);
    }
    memcpy(to, end, count);
    pipe_.length += count;
    return (ssize_t)count;
}

#define read fuzz_read
#include "lines/input.c"
#undef read

static bool
is_blank(const uint8_t *line, size_t length)
{
    while (length > 0 && (line[length - 1] == ' ' || (line[length - 1] >= '\t' && line[length - 1] <= '\r')))
        length--;
    return length == 0;
}

static void
check_word(struct word word, size_t most, const uint8_t *line, size_t length)
{
    MUST(word.length <= most);
    MUST(!word.length || is_inside((struct reader){ (const uint8_t *)word.at, word.length }, line, length));
}

static void
check_additions(const struct request *request, const uint8_t *line, size_t length)
{
    bool has_scope = request->scope.length || request->local_scope.length;
    MUST(request->flow <= 65535 && request->flow_label <= 0xfffff && request->given >> FEATURES == 0);
    MUST(request->dont_fragment <= 1 && request->detail <= 1 && request->broadcast <= 1 && request->collect <= 1);
    MUST(!request->flow || (request_has(request, FEATURE_FLOW) && request->protocol != PROTOCOL_SCTP));
    MUST(!request->flow_label || (request_has(request, FEATURE_FLOW_LABEL) && request->family == IPV6));
    MUST(has_scope == request_has(request, FEATURE_SCOPE_ID) && (!has_scope || request->family == IPV6));
    bool asks = request->icmp_request != ICMP_REQUEST_ECHO, extended = request->icmp_request == ICMP_REQUEST_EXTENDED;
    MUST(request->icmp_request < ICMP_REQUESTS && (!asks || request->protocol == PROTOCOL_ICMP));
    MUST(request->icmp_request != ICMP_REQUEST_TIMESTAMP || request->family == IPV4);
    MUST(!extended || request->interface.by != PROBED_BY_NOTHING);
    MUST(!asks || (!request->payload.length && !request_has(request, FEATURE_FLOW) && !request->reply_payload));
    MUST(!asks || request->size == protocol_headers_size(request->family, PROTOCOL_ICMP) +
                                       icmp_kinds[request->icmp_request].size(request));
    MUST(request->tcp_ecn < TCP_ECNS && (!request->tcp_ecn || request->protocol == PROTOCOL_TCP));
    MUST(request->reply_payload <= REPLY_PAYLOAD_MAX);
    check_word(request->interface.name, PROBED_NAME_MAX, line, length);
    check_word(request->scope, IFNAMSIZ - 1, line, length);
    check_word(request->local_scope, IFNAMSIZ - 1, line, length);
    check_word(request->payload, LINE_MAX_LENGTH, line, length);
    MUST(request->payload.length % 2 == 0 && request->payload.length / 2 <= packet_payload_size(request));
    for (size_t i = 0; i < request->payload.length; i++)
        MUST(hex_value(request->payload.at[i]) >= 0);
}

static void
check_request(const struct request *request, const uint8_t *line, size_t length)
{
    struct reader feature = { (const uint8_t *)request->feature.at, request->feature.length };
    if (request->command == COMMAND_CHECK_SUPPORT) {
        MUST(feature.left > 0 && is_inside(feature, line, length));
        return;
    }
    MUST(request->family < FAMILIES && request->protocol < PROTOCOLS);
    MUST(request->ttl >= 1 && request->ttl <= 255 && request->tos <= 255);
    MUST(request->size <= PACKET_MAX && request->port <= 65535);
    MUST(request->local_port == 0 || (request->local_port >= 1024 && request->local_port <= 65535));
    MUST(request->timeout >= 0 && request->timeout <= INT32_MAX * INT64_C(1000000));
    MUST(memchr(request->device, '\0', sizeof request->device));
    check_additions(request, line, length);
}

static struct reply
reply_to(const struct request *request, const struct complaint *complaint)
{
    static const enum reply_kind kinds[] = { REPLY_PARSE_ERROR, REPLY_UNKNOWN_COMMAND, REPLY_INVALID_ARGUMENT };
    if (!complaint)
        return (struct reply){ .token = request->token, .kind = REPLY_NO_REPLY };
    return (struct reply){
        .token = complaint->token,
        .kind = kinds[complaint->kind],
        .reason = complaint->reason,
        .argument = complaint->argument,
    };
}

static void
take_line(const char *text, size_t length, bool strict)
{
    struct request request;
    struct complaint complaint;
    char said[REPLY_MAX];
    uint8_t *line = copy_bytes(text, length);
    enum line_kind kind = request_parse((const char *)line, length, strict, &request, &complaint);
    MUST((kind == LINE_EMPTY) == is_blank(line, length));
    if (kind == LINE_REQUEST)
        check_request(&request, line, length);
    if (kind != LINE_EMPTY) {
        struct reply reply = reply_to(&request, kind == LINE_COMPLAINT ? &complaint : NULL);
        MUST(check_reply(said, reply_write(&reply, strict, said)) == reply.token);
    }
    free(line);
}

/* Steps over what was refused as too long, as far as it has come. */
static void
see_discarded(void)
{
    if (!pipe_.discarding)
        return;
    const uint8_t *start = pipe_.stream + pipe_.seen;
    const uint8_t *newline = memchr(start, '\n', pipe_.length - pipe_.seen);
    pipe_.seen = newline ? pipe_.seen + (size_t)(newline + 1 - start) : pipe_.length;
    pipe_.discarding = !newline;
}

/* Checks what came out against what was delivered. */
static void
see(enum input_line kind, const char *line, size_t length)
{
    see_discarded();
    const uint8_t *start = pipe_.stream + pipe_.seen;
    size_t left = pipe_.length - pipe_.seen;
    const uint8_t *newline = memchr(start, '\n', left);
    size_t expected = newline ? (size_t)(newline - start) : left;
    if (kind == INPUT_LINE) {
        MUST(length == expected && length <= LINE_MAX_LENGTH && memcmp(line, start, length) == 0);
        pipe_.seen += length + (newline != NULL);
    } else if (kind == INPUT_OVERFLOW) {
        MUST(expected > LINE_MAX_LENGTH);
        pipe_.discarding = true;
    } else {
        MUST(!newline && left <= LINE_MAX_LENGTH);
    }
}

static void
take_lines(struct input *input, uint8_t options)
{
    const char *line, *again;
    size_t length;
    enum input_line kind;
    while ((kind = input_next(input, &line, &length)) != INPUT_NONE) {
        if (kind == INPUT_LINE && (options & 2)) {
            size_t before = length;
            input_unget(input);
            MUST(input_next(input, &again, &length) == INPUT_LINE && again == line && length == before);
        }
        see(kind, line, length);
        if (kind == INPUT_LINE)
            take_line(line, length, options & 1);
    }
    see(INPUT_NONE, NULL, 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input *input = input_new(0);
    pipe_.input = (struct reader){ data, size };
    pipe_.reads = 0;
    pipe_.refused = pipe_.discarding = false;
    pipe_.length = pipe_.seen = 0;
    uint8_t options = take_u8(&pipe_.input);
    take_bytes(&pipe_.input, pipe_.sizes, sizeof pipe_.sizes);
    while (!input_ended(input)) {
        if (input_wants_more(input))
            input_fill(input);
        take_lines(input, options);
    }
    MUST(pipe_.seen == pipe_.length);
    input_free(input);
    return 0;
}
