/* SPDX-License-Identifier: MIT */
/* Replies as text: the only place that spells the protocol's reply words. Pure: memory in, memory out. */
#ifndef HOPLINE_REPLY_H
#define HOPLINE_REPLY_H

#include "lines/asked.h"
#include "lines/detail.h"
#include "lines/request.h"

/* The PIPE_BUF of pipe(7): a reply leaves in one piece. Only its labels and other extensions are ever cut to fit. */
#define REPLY_MAX 4096

enum reply_kind {
    REPLY_REPLY,
    REPLY_TTL_EXPIRED,
    REPLY_NO_REPLY,
    REPLY_NO_ROUTE_HOST,
    REPLY_NO_ROUTE_NETWORK,
    REPLY_PACKET_TOO_BIG,
    REPLY_NETWORK_DOWN,
    REPLY_NO_SUCH_DEVICE,
    REPLY_HOST_DOWN,
    REPLY_PERMISSION_DENIED,
    REPLY_ADDRESS_IN_USE,
    REPLY_ADDRESS_NOT_AVAILABLE,
    REPLY_PROBES_EXHAUSTED,
    REPLY_INVALID_ARGUMENT,
    REPLY_UNEXPECTED_ERROR,
    REPLY_PARSE_ERROR,
    REPLY_BUFFER_OVERFLOW,
    REPLY_UNKNOWN_COMMAND,
    REPLY_FEATURE_SUPPORT,
    REPLY_COLLECTED,
    REPLY_SWEEPING,
    REPLY_SWEPT,
    REPLY_STOPPED,
    REPLY_KINDS,
};

/* Which of a sweep's probes a reply is about. Of each what the sweep has several of. */
struct reply_place {
    bool has_target, has_ttl, has_port, has_flow;
    enum family_id family;
    struct address target;
    const char *scope; /* of a link-local target */
    uint32_t ttl, port, flow;
};

/* How a sweep fares, or fared. */
struct reply_tally {
    uint64_t sent, answered, silent, refused, in_flight, left, next;
    int64_t ns;
};

/* Fields that are zero or NULL are left out of the line. */
struct reply {
    int32_t token;
    enum reply_kind kind;
    bool answered;            /* then the next three are said */
    enum family_id family;
    struct address responder;
    int64_t round_trip;       /* us */
    const char *scope;        /* of a link-local responder */
    struct reader extensions; /* of the answer: its MPLS labels are said */
    const struct asked *asked;
    const struct detail *detail;
    const struct reply_place *place;
    const struct reply_tally *tally; /* of the kinds sweeping and swept, which say different parts of it */
    uint32_t count;           /* of answers collected, or of sweeps stopped */
    uint32_t mtu;             /* bytes */
    enum reason reason;
    struct word argument;     /* said if it is printable ASCII */
    int error;                /* errno value */
    const char *support;      /* of check-support */
};

/* OLD_WORDS: as mtr 0.95 knows them. Returns the line's length, newline included. */
size_t reply_write(const struct reply *reply, bool old_words, char to[REPLY_MAX]);

/* What is said when the local host refused to send with this errno value. */
enum reply_kind reply_kind_of_error(int error);

#endif
