/* SPDX-License-Identifier: MIT */
/*
 * A line of the daemon, read: mtr-packet(8) has the words. Pure. The daemon may be anybody's, so nothing is believed of
 * a line: what is not printable ASCII makes it no reply, a number is digits, an address is one.
 */
#ifndef HOPLINE_TOOLS_REPLY_H
#define HOPLINE_TOOLS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packets/bytes.h"

enum kind {
    KIND_OTHER, /* `word` has it */
    KIND_REPLY,
    KIND_TTL_EXPIRED,
    KIND_NO_REPLY,
    KIND_NO_ROUTE_HOST, /* also as no-route, of mtr 0.95 and earlier */
    KIND_NO_ROUTE_NETWORK,
    KIND_TOO_BIG,
    KIND_COLLECTED,
    KIND_FEATURE,
    KIND_SWEEPING,
    KIND_SWEPT,
    KIND_STOPPED,
};

/* The arguments that a tool may ask for. A name that is none of these is passed over. */
enum field {
    FIELD_IP_4,
    FIELD_IP_6,
    FIELD_ROUND_TRIP,
    FIELD_MPLS,
    FIELD_MTU,
    FIELD_REASON,
    FIELD_ARGUMENT,
    FIELD_ERRNO,
    FIELD_SUPPORT,
    FIELD_VERSION,
    FIELD_COUNT,
    FIELD_ICMP_TYPE,
    FIELD_ICMP_CODE,
    FIELD_TCP_FLAGS,
    FIELD_REPLY_TTL,
    FIELD_REPLY_TOS,
    FIELD_REPLY_SIZE,
    FIELD_LOCAL_IP_4,
    FIELD_LOCAL_IP_6,
    FIELD_LOCAL_PORT,
    FIELD_QUOTED_TTL,
    FIELD_QUOTED_TOS,
    FIELD_QUOTED_MSS,
    FIELD_NAT,
    FIELD_INTERFACE,
    FIELD_NODE,
    FIELD_ROUND_TRIP_NS,
    FIELD_SENT,
    FIELD_RECEIVED,
    FIELD_REPLY_ID,
    FIELD_TCP_ECN,
    FIELD_ORIGINATE,
    FIELD_RECEIVE,
    FIELD_TRANSMIT,
    FIELD_EXTENDED_CODE,
    FIELD_STATE,
    FIELD_ACTIVE,
    FIELD_IP_4_ACTIVE,
    FIELD_IP_6_ACTIVE,
    FIELD_REPLY_PAYLOAD,
    FIELD_TARGET, /* of a sweep, as those that follow */
    FIELD_PROBE_TTL,
    FIELD_ANSWERED,
    FIELD_SILENT,
    FIELD_REFUSED,
    FIELD_IN_FLIGHT,
    FIELD_LEFT,
    FIELD_NEXT,
    FIELDS,
};

#define EXTENSIONS_MAX 8
#define INTERFACES_MAX 4 /* RFC 5837 has so many roles */

struct reply {
    int64_t token;
    enum kind kind;
    const char *word;           /* the kind as it came */
    const char *from;           /* who answered; NULL: nobody did */
    const char *value[FIELDS];  /* NULL: not there */
    const char *extension[EXTENSIONS_MAX]; /* CLASS/TYPE/HEX, as many as there are, then NULL */
    const char *interface[INTERFACES_MAX]; /* all of them; FIELD_INTERFACE has the last */
    int64_t round_trip_us;      /* -1: not there */
};

/*
 * Reads LINE, which is terminated and is cut into words in place; the words of REPLY point into it. False, and nothing
 * of REPLY counts, when it is no reply.
 */
MUST_USE bool reply_read(char *line, struct reply *reply);

/* A copy whose words are its own, in one piece of memory for free(). Ends the program without memory. */
struct reply *reply_keep(const struct reply *reply);

/* The value of a field as a number; -1 when it is not there or no number from 0 to 2^53. */
int64_t reply_number(const struct reply *reply, enum field field);

/* True when nothing came, and this host had let the probe out: else it is an error. */
bool reply_is_silence(const struct reply *reply);

/* True when this host refused to let the probe out: not when it kept it back until the timeout. */
bool reply_never_left(const struct reply *reply);

/* "time to live exceeded" and the like, in BUFFER or constant; "" of an answer by the target. */
const char *reply_error(const struct reply *reply, char *buffer, size_t size);

/* True of an answer by the target itself, which is a reply, that is an error of ICMP. */
bool reply_is_refusal(const struct reply *reply);

/* Of such a one: "port unreachable". */
const char *reply_refusal(const struct reply *reply);

/*
 * The mark of traceroute behind a round trip, "!H" and the like, the flags of TCP as "[syn-ack]"; "" for none. In
 * BUFFER or constant.
 */
const char *reply_mark(const struct reply *reply, char *buffer, size_t size);

#define LABELS_MAX 32

struct label {
    unsigned label, traffic_class, bottom, ttl;
};

/* The label stack of `mpls`, outermost first. Returns how many there are. */
size_t reply_labels(const struct reply *reply, struct label labels[LABELS_MAX]);

#endif
