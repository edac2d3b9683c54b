/*
 * One line of a client becomes one request, or the complaint that answers it. Pure: memory in, memory out. The table of
 * arguments in request.c is the only place where an argument is defined.
 */
#ifndef HOPLINE_REQUEST_H
#define HOPLINE_REQUEST_H

#include <net/if.h>

#include "family.h"

enum command { COMMAND_SEND_PROBE, COMMAND_CHECK_SUPPORT };

/* In the order of their wire names' table in protocol.c. */
enum protocol_id { PROTOCOL_ICMP, PROTOCOL_UDP, PROTOCOL_TCP, PROTOCOL_SCTP, PROTOCOLS };

/* A piece of the client's line; not terminated, and any byte but white space may be in it. */
struct word {
    const char *at;
    size_t length;
};

bool word_is(struct word word, const char *text);

struct request {
    int32_t token;
    enum command command;
    enum family_id family; /* the target's */
    enum protocol_id protocol;
    struct address target;
    struct address local;  /* unspecified: the kernel's choice */
    uint32_t port;         /* 0: as the protocol has it */
    uint32_t local_port;   /* 0: varies */
    uint32_t ttl;
    uint32_t size;         /* bytes of the whole IP packet */
    uint32_t tos;
    uint32_t mark;         /* 0: none */
    uint32_t pattern;      /* fills the payload */
    bool pattern_given;    /* then no byte of the payload is ours to mark */
    int64_t timeout;       /* us */
    char device[IFNAMSIZ]; /* empty: routing decides */
    struct word feature;   /* of check-support; points into the line */
};

/* How a line can fail; protocol.md gives the words. */
enum complaint_kind { COMPLAINT_PARSE, COMPLAINT_UNKNOWN_COMMAND, COMPLAINT_INVALID_ARGUMENT };

enum reason {
    REASON_NONE,
    REASON_MISSING_ADDRESS,
    REASON_BAD_VALUE,
    REASON_OUT_OF_RANGE,
    REASON_WRONG_FAMILY,
    REASON_IP_VERSION_NOT_SUPPORTED,
    REASON_PROTOCOL_NOT_SUPPORTED,
    REASON_MISSING_FEATURE,
    REASON_UNKNOWN_ARGUMENT,
};

struct complaint {
    int32_t token;
    enum complaint_kind kind;
    enum reason reason;
    struct word argument; /* the one at fault; length 0: none is. Points into the line or to a constant. */
};

enum line_kind { LINE_EMPTY, LINE_REQUEST, LINE_COMPLAINT };

/*
 * Reads one line of LENGTH bytes, without its newline. STRICT: an unknown NAME in send-probe is a complaint. Fills
 * REQUEST or COMPLAINT as the result says.
 */
enum line_kind request_parse(const char *line, size_t length, bool strict, struct request *request,
                             struct complaint *complaint);

/* True when NAME is a feature that comes with an argument of our table: it works wherever send-probe does. */
bool request_knows_feature(struct word name);

#endif
