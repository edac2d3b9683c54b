/* SPDX-License-Identifier: MIT */
#include "lines/request.h"

#include <string.h>

#include "lines/argument.h"
#include "lines/word.h"
#include "packets/icmp.h"
#include "packets/protocol.h"

#define TTL_WHEN_ABSENT 255
#define SIZE_WHEN_ABSENT 64
#define TIMEOUT_WHEN_ABSENT INT64_C(10000000)
#define US_PER_S INT64_C(1000000)
#define RATE_WHEN_ABSENT 1000

enum reason
read_number(const struct argument *argument, struct word value, struct request *request)
{
    int64_t number;
    if (!word_integer(value, &number))
        return REASON_BAD_VALUE;
    if (number < argument->low || number > argument->high)
        return REASON_OUT_OF_RANGE;
    *(uint32_t *)field_of(argument, request) = (uint32_t)number;
    return REASON_NONE;
}

static enum reason
read_pattern(const struct argument *argument, struct word value, struct request *request)
{
    request->pattern_given = true;
    return read_number(argument, value, request);
}

static enum reason
read_size(const struct argument *argument, struct word value, struct request *request)
{
    request->size_given = true;
    return read_number(argument, value, request);
}

enum reason
read_timeout(const struct argument *argument, struct word value, struct request *request)
{
    const char *at = value.at;
    const char *end = value.at + value.length;
    bool negative = at < end && *at == '-';
    at += negative;
    if (at == end || !is_digit(*at))
        return REASON_BAD_VALUE;
    int64_t time = word_digits(&at, end, argument->high) * US_PER_S;
    bool zero = time == 0;
    if (at < end && *at == '.') {
        const char *decimals = ++at;
        int64_t unit = US_PER_S;
        for (; at < end && is_digit(*at); at++) {
            unit /= 10;
            time += (*at - '0') * unit; /* beyond the sixth the unit is 0 */
            zero = zero && *at == '0';
        }
        if (at == decimals)
            return REASON_BAD_VALUE;
    }
    if (at != end)
        return REASON_BAD_VALUE;
    if ((negative && !zero) || time > argument->high * US_PER_S)
        return REASON_OUT_OF_RANGE;
    *(int64_t *)field_of(argument, request) = time;
    return REASON_NONE;
}

static enum reason
read_protocol(const struct argument *argument, struct word value, struct request *request)
{
    for (enum protocol_id id = 0; id < PROTOCOLS; id++) {
        if (word_is(value, protocols[id]->name)) {
            *(enum protocol_id *)field_of(argument, request) = id;
            return REASON_NONE;
        }
    }
    return REASON_PROTOCOL_NOT_SUPPORTED;
}

/* The number of the word among COUNT of them; COUNT when it is none. */
static uint32_t
find_word(struct word value, const char *const words[], uint32_t count)
{
    uint32_t number = 0;
    while (number < count && !word_is(value, words[number]))
        number++;
    return number;
}

static enum reason
read_tcp_ecn(const struct argument *argument, struct word value, struct request *request)
{
    static const char *const words[TCP_ECNS] = {
        [TCP_ECN_OFF] = "off",
        [TCP_ECN_CLASSIC] = "classic",
        [TCP_ECN_ACCURATE] = "accurate",
    };
    uint32_t number = find_word(value, words, TCP_ECNS);
    if (number == TCP_ECNS)
        return REASON_BAD_VALUE;
    *(enum tcp_ecn *)field_of(argument, request) = (enum tcp_ecn)number;
    return request->protocol == PROTOCOL_TCP ? REASON_NONE : REASON_PROTOCOL_NOT_SUPPORTED;
}

static enum reason
read_interface_name(const struct argument *argument, struct word value, struct request *request)
{
    struct probed_interface *interface = field_of(argument, request);
    if (value.length > PROBED_NAME_MAX || memchr(value.at, '\0', value.length))
        return REASON_BAD_VALUE;
    *interface = (struct probed_interface){ .by = PROBED_BY_NAME, .name = value };
    return REASON_NONE;
}

static enum reason
read_interface_index(const struct argument *argument, struct word value, struct request *request)
{
    int64_t number;
    struct probed_interface *interface = field_of(argument, request);
    if (!word_integer(value, &number))
        return REASON_BAD_VALUE;
    if (number < argument->low || number > argument->high)
        return REASON_OUT_OF_RANGE;
    *interface = (struct probed_interface){ .by = PROBED_BY_INDEX, .index = (uint32_t)number };
    return REASON_NONE;
}

static enum reason
read_interface_address(const struct argument *argument, struct word value, struct request *request)
{
    struct probed_interface *interface = field_of(argument, request);
    *interface = (struct probed_interface){ .by = PROBED_BY_ADDRESS };
    for (interface->family = 0; interface->family < FAMILIES; interface->family++)
        if (address_parse(interface->family, value.at, value.length, &interface->address))
            return REASON_NONE;
    return REASON_BAD_VALUE;
}

/* The size of what is no echo request is fixed, whatever was asked for. */
static enum reason
read_icmp_request(const struct argument *argument, struct word value, struct request *request)
{
    static const char *const words[ICMP_REQUESTS] = {
        [ICMP_REQUEST_ECHO] = "echo",
        [ICMP_REQUEST_TIMESTAMP] = "timestamp",
        [ICMP_REQUEST_EXTENDED] = "extended-echo",
    };
    uint32_t number = find_word(value, words, ICMP_REQUESTS);
    if (number == ICMP_REQUESTS)
        return REASON_BAD_VALUE;
    if (request->protocol != PROTOCOL_ICMP)
        return REASON_PROTOCOL_NOT_SUPPORTED;
    if (!icmp_kinds[number].known_to[request->family])
        return REASON_WRONG_FAMILY;
    if (number == ICMP_REQUEST_EXTENDED && request->interface.by == PROBED_BY_NOTHING)
        return REASON_BAD_VALUE;
    *(enum icmp_request *)field_of(argument, request) = (enum icmp_request)number;
    if (icmp_kinds[number].size)
        request->size = (uint32_t)(protocol_headers_size(request->family, PROTOCOL_ICMP) +
                                   icmp_kinds[number].size(request));
    return REASON_NONE;
}

static enum reason
read_device(const struct argument *argument, struct word value, struct request *request)
{
    char *name = field_of(argument, request);
    if (value.length >= IFNAMSIZ || memchr(value.at, '\0', value.length))
        return REASON_BAD_VALUE;
    memcpy(name, value.at, value.length);
    name[value.length] = '\0';
    return REASON_NONE;
}

static enum reason
read_feature(const struct argument *argument, struct word value, struct request *request)
{
    *(struct word *)field_of(argument, request) = value;
    return REASON_NONE;
}

static enum reason
read_flow_label(const struct argument *argument, struct word value, struct request *request)
{
    enum reason reason = read_number(argument, value, request);
    return reason == REASON_NONE && request->family != IPV6 ? REASON_WRONG_FAMILY : reason;
}

/*
 * Of sctp many routers quote the ports alone. In a flow these are the same: nothing would tell its probes apart. And only an
 * echo request has room for what keeps its checksum the same.
 */
bool
can_flow(const struct request *request)
{
    return request->protocol != PROTOCOL_SCTP && request->icmp_request == ICMP_REQUEST_ECHO;
}

static enum reason
read_flow(const struct argument *argument, struct word value, struct request *request)
{
    enum reason reason = read_number(argument, value, request);
    return reason == REASON_NONE && !can_flow(request) ? REASON_PROTOCOL_NOT_SUPPORTED : reason;
}

static bool
is_sized(const struct request *request)
{
    return protocols[request->protocol]->sized && request->icmp_request == ICMP_REQUEST_ECHO;
}

/* A `size` that was given must have room for the payload; the default size grows with it. */
static enum reason
read_payload(const struct argument *argument, struct word value, struct request *request)
{
    struct word *payload = field_of(argument, request);
    for (size_t i = 0; i < value.length; i++)
        if (hex_value(value.at[i]) < 0)
            return REASON_BAD_VALUE;
    if (value.length % 2)
        return REASON_BAD_VALUE;
    if (!is_sized(request))
        return REASON_PROTOCOL_NOT_SUPPORTED;
    size_t size = protocol_headers_size(request->family, request->protocol) + value.length / 2;
    if (request->size_given && size > request->size)
        return REASON_OUT_OF_RANGE;
    if (size > request->size)
        request->size = (uint32_t)size;
    *payload = value;
    return REASON_NONE;
}

static enum reason
read_reply_payload(const struct argument *argument, struct word value, struct request *request)
{
    enum reason reason = read_number(argument, value, request);
    return reason == REASON_NONE && !is_sized(request) ? REASON_PROTOCOL_NOT_SUPPORTED : reason;
}

/*
 * An address, and behind a percent sign the interface that a link-local or multicast one belongs to (RFC 4007, section
 * 11): other addresses are the same everywhere.
 */
static bool
read_scoped(enum family_id family, struct word value, struct address *address, struct word *scope)
{
    const char *percent = family == IPV6 ? memchr(value.at, '%', value.length) : NULL;
    size_t length = percent ? (size_t)(percent - value.at) : value.length;
    *scope = (struct word){ NULL, 0 };
    if (!address_parse(family, value.at, length, address))
        return false;
    if (!percent)
        return true;
    *scope = (struct word){ percent + 1, value.length - length - 1 };
    return scope->length > 0 && scope->length < IFNAMSIZ && !memchr(scope->at, '\0', scope->length) &&
           (address_is_link_local(family, address) || address_is_group(family, address));
}

/* 0.0.0.0 and :: are this host, as for connect(2) of Linux: no packet with such a destination arrives. */
static enum reason
read_target(const struct argument *argument, struct word value, struct request *request)
{
    struct address *target = field_of(argument, request);
    request->family = (enum family_id)argument->low;
    if (!read_scoped(request->family, value, target, &request->scope))
        return REASON_BAD_VALUE;
    if (address_is_unspecified(target))
        *target = families[request->family].loopback;
    return REASON_NONE;
}

/* LOW and HIGH are the families that the name allows. The table has the targets first, so the family is known. */
static enum reason
read_local(const struct argument *argument, struct word value, struct request *request)
{
    for (enum family_id family = (enum family_id)argument->low; family <= (enum family_id)argument->high; family++) {
        struct address local;
        struct word scope;
        if (!read_scoped(family, value, &local, &scope))
            continue;
        if (address_is_unspecified(&local))
            return REASON_NONE; /* as if absent: mtr sends it when it has no source to name */
        if (family != request->family)
            return REASON_WRONG_FAMILY;
        *(struct address *)field_of(argument, request) = local;
        request->local_scope = scope;
        return REASON_NONE;
    }
    return REASON_BAD_VALUE;
}

/* ---- the table ---- */

#define NAME(name) name, sizeof(name) - 1
#define FIELD(name) offsetof(struct request, name)

/* Rows of what a command can't do without: a feature, or one of the targets. */
enum { ROW_FEATURE, ROW_TARGET_V4, ROW_TARGET_V6, ROW_TARGETS_V4, ROW_TARGETS_V6, ROW_STOPPED };

#define ROW(row) (UINT64_C(1) << (row))
#define TARGET_ROWS (ROW(ROW_TARGET_V4) | ROW(ROW_TARGET_V6) | ROW(ROW_TARGETS_V4) | ROW(ROW_TARGETS_V6))

#define PROBE (1u << COMMAND_SEND_PROBE)
#define SWEEP (1u << COMMAND_SWEEP)
#define BOTH (PROBE | SWEEP)
#define CHECK (1u << COMMAND_CHECK_SUPPORT)
#define STOP (1u << COMMAND_STOP)

/* Values are read in this order, so what another depends on stands before it. */
static const struct argument arguments[] = {
    [ROW_FEATURE] = { NAME("feature"), 0, CHECK, read_feature, 0, 0, FIELD(feature) },
    [ROW_TARGET_V4] = { NAME("ip-4"), 0, PROBE, read_target, IPV4, IPV4, FIELD(target) },
    [ROW_TARGET_V6] = { NAME("ip-6"), 0, PROBE, read_target, IPV6, IPV6, FIELD(target) },
    [ROW_TARGETS_V4] = { NAME("ip-4"), 0, SWEEP, read_targets, IPV4, IPV4, FIELD(sweep.targets) },
    [ROW_TARGETS_V6] = { NAME("ip-6"), 0, SWEEP, read_targets, IPV6, IPV6, FIELD(sweep.targets) },
    [ROW_STOPPED] = { NAME("token"), 0, STOP, read_number, INT32_MIN, INT32_MAX, FIELD(stopped) },
    { NAME("protocol"), 0, BOTH, read_protocol, 0, 0, FIELD(protocol) },
    { NAME("port"), 0, PROBE, read_number, 0, UINT16_MAX, FIELD(port) },
    { NAME("local-ip-4"), 0, BOTH, read_local, IPV4, IPV4, FIELD(local) },
    { NAME("local-ip-6"), 0, BOTH, read_local, IPV6, IPV6, FIELD(local) },
    { NAME("local-address"), 0, BOTH, read_local, IPV4, IPV6, FIELD(local) },
    { NAME("local-port"), 0, BOTH, read_number, 1024, UINT16_MAX, FIELD(local_port) },
    { NAME("local-device"), FEATURE_LOCAL_DEVICE, BOTH, read_device, 0, 0, FIELD(device) },
    { NAME("timeout"), FEATURE_TIMEOUT_FRACTION, BOTH, read_timeout, 0, INT32_MAX, FIELD(timeout) },
    { NAME("ttl"), 0, PROBE, read_number, 1, UINT8_MAX, FIELD(ttl) },
    { NAME("size"), 0, BOTH, read_size, 0, UINT16_MAX, FIELD(size) },
    { NAME("bit-pattern"), 0, BOTH, read_pattern, INT32_MIN, UINT32_MAX, FIELD(pattern) },
    { NAME("tos"), 0, BOTH, read_number, 0, UINT8_MAX, FIELD(tos) },
    { NAME("mark"), 0, BOTH, read_number, INT32_MIN, UINT32_MAX, FIELD(mark) },
    { NAME("interface-name"), 0, BOTH, read_interface_name, 0, 0, FIELD(interface) },
    { NAME("interface-index"), 0, BOTH, read_interface_index, 1, UINT32_MAX, FIELD(interface) },
    { NAME("interface-address"), 0, BOTH, read_interface_address, 0, 0, FIELD(interface) },
    { NAME("icmp-request"), FEATURE_ICMP_REQUEST, BOTH, read_icmp_request, 0, 0, FIELD(icmp_request) },
    { NAME("tcp-ecn"), FEATURE_TCP_ECN, BOTH, read_tcp_ecn, 0, 0, FIELD(tcp_ecn) },
    { NAME("flow"), FEATURE_FLOW, PROBE, read_flow, 0, UINT16_MAX, FIELD(flow) },
    { NAME("flow-label"), FEATURE_FLOW_LABEL, BOTH, read_flow_label, 0, 0xfffff, FIELD(flow_label) },
    { NAME("payload"), FEATURE_PAYLOAD, BOTH, read_payload, 0, 0, FIELD(payload) },
    { NAME("reply-payload"), FEATURE_REPLY_PAYLOAD, BOTH, read_reply_payload, 1, REPLY_PAYLOAD_MAX, FIELD(reply_payload) },
    { NAME("dont-fragment"), FEATURE_DONT_FRAGMENT, BOTH, read_number, 0, 1, FIELD(dont_fragment) },
    { NAME("broadcast"), FEATURE_BROADCAST, BOTH, read_number, 0, 1, FIELD(broadcast) },
    { NAME("detail"), FEATURE_DETAIL, BOTH, read_number, 0, 1, FIELD(detail) },
    { NAME("collect"), FEATURE_COLLECT, PROBE, read_number, 0, 1, FIELD(collect) },
    { NAME("collect"), 0, SWEEP, read_number, 0, 0, FIELD(collect) },
    { NAME("ttl"), 0, SWEEP, read_span, 1, UINT8_MAX, FIELD(sweep.ttl) },
    { NAME("port"), 0, SWEEP, read_ports, 0, UINT16_MAX, FIELD(sweep.port) },
    { NAME("flow"), FEATURE_FLOW, SWEEP, read_flows, 0, UINT16_MAX, FIELD(sweep.flow) },
    { NAME("exclude"), 0, SWEEP, read_exclusions, 0, 0, FIELD(sweep.exclude) },
    { NAME("rate"), 0, SWEEP, read_number, 1, 10000000, FIELD(sweep.rate) },
    { NAME("retries"), 0, SWEEP, read_number, 0, 20, FIELD(sweep.retries) },
    { NAME("order"), 0, SWEEP, read_order, 0, 0, FIELD(sweep.sequential) },
    { NAME("seed"), 0, SWEEP, read_seed, 0, 0, FIELD(sweep.seed) },
    { NAME("shard"), 0, SWEEP, read_shard, 1, 1000000, FIELD(sweep.shard) },
    { NAME("from"), 0, SWEEP, read_long, 0, INT64_C(1) << 40, FIELD(sweep.from) },
    { NAME("limit"), 0, SWEEP, read_number, 1, UINT32_MAX, FIELD(sweep.limit) },
    { NAME("report"), 0, SWEEP, read_report, 0, 0, FIELD(sweep.report_all) },
    { NAME("progress"), 0, SWEEP, read_progress, 0, INT32_MAX, FIELD(sweep.progress) },
};

#define ARGUMENTS (sizeof arguments / sizeof *arguments)

static const struct {
    const char *name;
    enum command command;
} commands[] = {
    { "send-probe", COMMAND_SEND_PROBE },
    { "check-support", COMMAND_CHECK_SUPPORT },
    { "sweep", COMMAND_SWEEP },
    { "stop", COMMAND_STOP },
};

static const char *const feature_names[FEATURES] = {
    [FEATURE_NONE] = "",
    [FEATURE_LOCAL_DEVICE] = "local-device",
    [FEATURE_TIMEOUT_FRACTION] = "timeout-fraction",
    [FEATURE_SCOPE_ID] = "scope-id",
    [FEATURE_DETAIL] = "detail",
    [FEATURE_DONT_FRAGMENT] = "dont-fragment",
    [FEATURE_PACKET_TOO_BIG] = "packet-too-big",
    [FEATURE_FLOW] = "flow",
    [FEATURE_FLOW_LABEL] = "flow-label",
    [FEATURE_PAYLOAD] = "payload",
    [FEATURE_BROADCAST] = "broadcast",
    [FEATURE_COLLECT] = "collect",
    [FEATURE_SWEEP] = "sweep",
    [FEATURE_TCP_ECN] = "tcp-ecn",
    [FEATURE_ICMP_REQUEST] = "icmp-request",
    [FEATURE_REPLY_PAYLOAD] = "reply-payload",
};

enum feature
feature_find(struct word name)
{
    for (enum feature feature = FEATURE_NONE + 1; feature < FEATURES; feature++)
        if (word_is(name, feature_names[feature]))
            return feature;
    return FEATURE_NONE;
}

static bool
find_command(struct word word, enum command *command)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (word_is(word, commands[i].name)) {
            *command = commands[i].command;
            return true;
        }
    }
    return false;
}

static enum line_kind
complain(struct complaint *complaint, int32_t token, enum complaint_kind kind, enum reason reason, struct word argument)
{
    *complaint = (struct complaint){ token, kind, reason, argument };
    return LINE_COMPLAINT;
}

/* The row of a name, for this command; ARGUMENTS when there is none. */
static size_t
find_argument(struct word name, enum command command)
{
    size_t row = 0;
    while (row < ARGUMENTS && (arguments[row].name_length != name.length || !(arguments[row].commands >> command & 1) ||
                               memcmp(arguments[row].name, name.at, name.length) != 0))
        row++;
    return row;
}

/* The values on a line, by row: of each name the last. */
struct values {
    uint64_t given; /* a bit for each row that has one */
    struct word of[ARGUMENTS];
};

_Static_assert(ARGUMENTS <= 64, "a row more than `given` has bits");

static bool
has_value(const struct values *values, size_t row)
{
    return values->given >> row & 1;
}

/* Of the names of a target, or of an interface that a probe is about, the last one that is given counts, too. */
static uint64_t
rivals_of(size_t row)
{
    uint64_t rivals = TARGET_ROWS & ROW(row) ? TARGET_ROWS : 0;
    for (size_t i = 0; i < ARGUMENTS && arguments[row].field == FIELD(interface); i++)
        rivals |= arguments[i].field == FIELD(interface) ? ROW(i) : 0;
    return rivals;
}

/*
 * Sorts the pairs that are left on the line into VALUES. UNKNOWN becomes the first name that the table does not have.
 * False when a name has no value.
 */
static bool
sort_pairs(struct word line, enum command command, struct values *values, struct word *unknown)
{
    values->given = 0;
    for (struct word name; (name = word_next(&line)).length;) {
        struct word value = word_next(&line);
        if (!value.length)
            return false;
        size_t row = find_argument(name, command);
        if (row < ARGUMENTS) {
            values->of[row] = value;
            values->given = (values->given & ~rivals_of(row)) | ROW(row);
        } else if (!unknown->length) {
            *unknown = name;
        }
    }
    return true;
}

/* Reads every value that was given; the row at fault, or ARGUMENTS. */
static size_t
read_values(const struct values *values, struct request *request, enum reason *reason)
{
    for (uint64_t left = values->given; left; left &= left - 1) {
        size_t row = (size_t)__builtin_ctzll(left);
        *reason = arguments[row].read(&arguments[row], values->of[row], request);
        if (*reason != REASON_NONE)
            return row;
        request->given |= 1u << arguments[row].feature;
    }
    if (request->scope.length || request->local_scope.length)
        request->given |= 1u << FEATURE_SCOPE_ID;
    return ARGUMENTS;
}

/* What is missing: no row's reader can see that, since readers are called only for arguments that were given. */
static enum reason
find_omission(const struct values *values, enum command command, struct word *argument)
{
    if (command == COMMAND_CHECK_SUPPORT)
        return has_value(values, ROW_FEATURE) ? REASON_NONE : REASON_MISSING_FEATURE;
    if (command == COMMAND_STOP) {
        *argument = (struct word){ NAME("token") };
        return has_value(values, ROW_STOPPED) ? REASON_NONE : REASON_BAD_VALUE;
    }
    return values->given & TARGET_ROWS ? REASON_NONE : REASON_MISSING_ADDRESS;
}

enum line_kind
request_parse(const char *text, size_t length, bool strict, struct request *request, struct complaint *complaint)
{
    const struct word none = { NULL, 0 };
    struct word line = { text, length };
    struct word token_word = word_next(&line);
    struct word command_word = word_next(&line);
    if (!token_word.length)
        return LINE_EMPTY;

    int64_t token;
    if (!command_word.length || !word_integer(token_word, &token) || token < INT32_MIN || token > INT32_MAX)
        return complain(complaint, 0, COMPLAINT_PARSE, REASON_NONE, none);

    *request = (struct request){
        .token = (int32_t)token,
        .ttl = TTL_WHEN_ABSENT,
        .size = SIZE_WHEN_ABSENT,
        .timeout = TIMEOUT_WHEN_ABSENT,
        .sweep = { .ttl = { TTL_WHEN_ABSENT, TTL_WHEN_ABSENT }, .rate = RATE_WHEN_ABSENT, .shard = 1, .shards = 1 },
    };
    bool known = find_command(command_word, &request->command);
    struct values values;
    struct word unknown = none;
    if (!sort_pairs(line, request->command, &values, &unknown))
        return complain(complaint, 0, COMPLAINT_PARSE, REASON_NONE, none);
    if (!known)
        return complain(complaint, request->token, COMPLAINT_UNKNOWN_COMMAND, REASON_NONE, none);
    if (strict && unknown.length && request->command != COMMAND_CHECK_SUPPORT)
        return complain(complaint, request->token, COMPLAINT_INVALID_ARGUMENT, REASON_UNKNOWN_ARGUMENT, unknown);

    struct word missing = none;
    enum reason reason = find_omission(&values, request->command, &missing);
    if (reason != REASON_NONE)
        return complain(complaint, request->token, COMPLAINT_INVALID_ARGUMENT, reason, missing);
    size_t row = read_values(&values, request, &reason);
    if (row < ARGUMENTS) {
        struct word name = { arguments[row].name, arguments[row].name_length };
        return complain(complaint, request->token, COMPLAINT_INVALID_ARGUMENT, reason, name);
    }
    return LINE_REQUEST;
}
