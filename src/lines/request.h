/* SPDX-License-Identifier: MIT */
/*
 * One line of a client becomes one request, or the complaint that answers it. Pure: memory in, memory out. The table of
 * arguments in request.c is the only place where an argument is defined.
 */
#ifndef HOPLINE_REQUEST_H
#define HOPLINE_REQUEST_H

#include "packets/request.h"

/* FEATURE_NONE when there is none of this name. */
enum feature feature_find(struct word name);

/* How a line can fail; reply.c has the words. */
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
    REASON_NO_ROOM_FOR_IDENTITY,
};

struct complaint {
    int32_t token;
    enum complaint_kind kind;
    enum reason reason;
    struct word argument; /* the one at fault; length 0: none is. Points into the line or to a constant. */
};

enum line_kind { LINE_EMPTY, LINE_REQUEST, LINE_COMPLAINT };

/*
 * Reads one line of LENGTH bytes, without its newline. STRICT: an unknown NAME is a complaint, but in check-support. Fills
 * REQUEST or COMPLAINT as the result says.
 */
enum line_kind request_parse(const char *line, size_t length, bool strict, struct request *request,
                             struct complaint *complaint);

#endif
