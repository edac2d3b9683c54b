/* SPDX-License-Identifier: MIT */
/*
 * Services that answer over UDP: the first datagram of an ordinary client, and whether what comes back is an answer of that
 * service. All of them answer with little: none is an amplifier. Pure.
 */
#ifndef HOPLINE_TOOLS_SERVICE_H
#define HOPLINE_TOOLS_SERVICE_H

#include "tools/reply.h"

#define SERVICE_NAMES "dns, ntp, quic, stun, sip, snmp or dtls"
#define SERVICE_CHOICE "dns|ntp|quic|stun|sip|snmp|dtls" /* of which shells complete */
#define SERVICE_MAX 1200       /* bytes of a first datagram */
#define SERVICE_LEAST 36       /* shorter ones would be filled up: mtr-packet(8) sends 64 bytes at least */
#define SERVICE_RANDOM 48      /* bytes that nobody can guess, of which each takes what it needs */
#define SERVICE_TAIL 2         /* bytes of a flow's own that make up for its sequence: see mtr-packet(8), flow */

struct service {
    const char *name;
    uint16_t port;
    uint16_t looks_at; /* so many first bytes of an answer tell */
    bool loose_end;    /* its last SERVICE_TAIL bytes may be anything; else the service passes over as many behind them */
    void (*write)(struct writer *to, const uint8_t random[SERVICE_RANDOM]);
    bool (*judge)(struct reader answer, struct reader asked);
};

/* What is asked in one run, the same of everybody. */
struct service_question {
    const struct service *service; /* NULL: none */
    uint8_t bytes[SERVICE_MAX];
    size_t length;
};

/* False, and nothing of QUESTION counts, when there is no service NAME. */
MUST_USE bool service_ask(struct service_question *question, const char *name, const uint8_t random[SERVICE_RANDOM]);

/* " payload HEX reply-payload N", arguments of send-probe; "" without a service. Returns BUFFER. */
#define SERVICE_ARGUMENTS_MAX (2 * SERVICE_MAX + 64)
const char *service_arguments(const struct service_question *question, char buffer[SERVICE_ARGUMENTS_MAX]);

/*
 * The same for a packet of IPv6 that belongs to a flow: with a size of the whole packet that leaves SERVICE_TAIL bytes of its
 * payload to the daemon.
 */
const char *service_flow_arguments(const struct service_question *question, char buffer[SERVICE_ARGUMENTS_MAX]);

/* Whether ANSWER, which may have been cut behind looks_at, is one of the service to this question. */
MUST_USE bool service_judges(const struct service_question *question, struct reader answer);

enum service_verdict {
    SERVICE_UNASKED, /* no service was asked for, or this is no reply of the target's */
    SERVICE_ANSWERS,
    SERVICE_OTHER,  /* something answers that is none */
    SERVICE_CLOSED, /* an error: there is nobody at this port */
    SERVICE_VERDICTS,
};

enum service_verdict service_hear(const struct service_question *question, const struct reply *reply);

/* True of a reply of the target's that is of the service, or of any when none was asked for. */
MUST_USE bool service_is_met(const struct service_question *question, const struct reply *reply);

/* The verdict in words, "dns answers", in BUFFER; "" of SERVICE_UNASKED. */
const char *service_words(const struct service_question *question, enum service_verdict verdict, char *buffer, size_t size);

#endif
