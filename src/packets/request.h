/* SPDX-License-Identifier: MIT */
/* A request as a value: what a client asked for. Lines are read into it (lines/request.h), packets are built of it. */
#ifndef HOPLINE_PACKETS_REQUEST_H
#define HOPLINE_PACKETS_REQUEST_H

#include <net/if.h>

#include "packets/family.h"

enum command { COMMAND_SEND_PROBE, COMMAND_CHECK_SUPPORT, COMMAND_SWEEP, COMMAND_STOP };

/* protocols[] in protocol.c has a row for each. */
enum protocol_id { PROTOCOL_ICMP, PROTOCOL_UDP, PROTOCOL_TCP, PROTOCOL_SCTP, PROTOCOLS };

/* The rows of icmp_kinds[] in icmp.c. */
enum icmp_request { ICMP_REQUEST_ECHO, ICMP_REQUEST_TIMESTAMP, ICMP_REQUEST_EXTENDED, ICMP_REQUESTS };

/* Which of the target's interfaces an extended echo request is about: RFC 8335, section 2.1, which numbers them so. */
enum probed_by { PROBED_BY_NOTHING, PROBED_BY_NAME, PROBED_BY_INDEX, PROBED_BY_ADDRESS };

#define REPLY_PAYLOAD_MAX 1024 /* bytes, of which a line holds two digits each */
#define PROBED_NAME_MAX 63 /* characters, as in RFC 5837 */

struct probed_interface {
    enum probed_by by;
    struct word name;      /* points into the line */
    uint32_t index;
    enum family_id family; /* of the address, whatever the target's */
    struct address address;
};

/* The ECN bits of a tcp probe's SYN: none of them, those of RFC 3168, those of RFC 9768. */
enum tcp_ecn { TCP_ECN_OFF, TCP_ECN_CLASSIC, TCP_ECN_ACCURATE, TCP_ECNS };

/* What check-support can be asked for that comes with an argument or a reply. Transports need not have all of it. */
enum feature {
    FEATURE_NONE,
    FEATURE_LOCAL_DEVICE,
    FEATURE_TIMEOUT_FRACTION,
    FEATURE_SCOPE_ID,
    FEATURE_DETAIL,
    FEATURE_DONT_FRAGMENT,
    FEATURE_PACKET_TOO_BIG,
    FEATURE_FLOW,
    FEATURE_FLOW_LABEL,
    FEATURE_PAYLOAD,
    FEATURE_BROADCAST,
    FEATURE_COLLECT,
    FEATURE_SWEEP,
    FEATURE_TCP_ECN,
    FEATURE_ICMP_REQUEST,
    FEATURE_REPLY_PAYLOAD,
    FEATURES,
};

/* All numbers from the one to the other. */
struct span {
    uint32_t low, high;
};

#define SWEEPS_MAX 64 /* at once */

/* Which of a sweep's probes it is. */
struct part {
    uint64_t combination : 40; /* the number that plan_combination() knows it by */
    uint64_t tries : 5;        /* before this one */
    uint64_t sweep : 7;        /* one of SWEEPS_MAX, counted from 1; 0: of no sweep */
};

/* What a sweep names beside what a probe does. */
struct sweep_request {
    struct word targets, exclude; /* lists, see lines/blocks.h; they point into the line */
    struct span ttl, port, flow;
    uint32_t rate;         /* probes a second */
    uint32_t retries;
    uint32_t sequential;   /* 1: in order; 0: in random order */
    bool seed_given;
    uint64_t seed;
    uint64_t shard, shards; /* the part, from 1; of so many */
    uint64_t from;
    uint32_t limit;        /* 0: none */
    uint32_t report_all;   /* 1 */
    int64_t progress;      /* us; 0: none */
};

struct request {
    int32_t token;
    uint64_t serial;       /* the process's number for it: tokens need not differ */
    enum command command;
    enum family_id family; /* the target's */
    enum protocol_id protocol;
    enum icmp_request icmp_request;
    struct probed_interface interface; /* of an extended echo request */
    enum tcp_ecn tcp_ecn;
    struct address target;
    struct address local;  /* unspecified: the kernel's choice */
    uint32_t port;         /* 0: as the protocol has it */
    uint32_t local_port;   /* 0: varies */
    uint32_t ttl;
    uint32_t size;         /* bytes of the whole IP packet; what was asked for may be less than the headers. What is no
                            * echo request of ICMP has its own, see icmp.h */
    bool size_given;
    uint32_t tos;
    uint32_t mark;         /* 0: none */
    uint32_t pattern;      /* fills the payload */
    bool pattern_given;    /* then no byte of the payload is ours to mark */
    int64_t timeout;       /* us */
    char device[IFNAMSIZ]; /* empty: routing decides */
    struct word feature;   /* of check-support; points into the line, as the next three */
    struct word scope;       /* of the target: an interface's name or number; length 0: none */
    struct word local_scope; /* of the source */
    struct word payload;     /* its first bytes, two hex digits each */
    uint32_t flow;           /* 0 is a value too: request_has() says if it was given; as the next two */
    uint32_t flow_label;     /* IPv6 */
    uint32_t dont_fragment;  /* 1: neither here nor on the way; 0: both */
    uint32_t reply_payload;  /* bytes of the answer's that are wanted; 0: none */
    uint32_t detail, broadcast, collect; /* 1: asked for */
    uint32_t given; /* a bit for each enum feature whose argument was given */
    uint32_t stopped;    /* of stop: the token of what is to end, as its bits */
    struct part part;    /* of a sweep's probe */
    bool yields;         /* others go ahead of it: the last descriptors are for them */
    struct sweep_request sweep;
};

static inline bool
request_has(const struct request *request, enum feature feature)
{
    return request->given >> feature & 1;
}

#endif
