/* SPDX-License-Identifier: MIT */
#include "lines/asked.h"

#include <netinet/tcp.h>

#include "lines/text.h"

/*
 * The three ECN bits of a SYN-ACK, AE first, as they answer a SYN that asks for accurate ECN (RFC 9768, table 2): which
 * codepoint the SYN's IP header had when it arrived. One bit alone is classic ECN (RFC 3168).
 */
static const char *const ecn_words[8] = {
    [0] = "none",
    [1] = "classic",
    [2] = "not-ect",
    [3] = "ect-1",
    [4] = "ect-0",
    [6] = "ce",
};

static void
put_tcp_ecn(struct writer *line, uint16_t flags)
{
    uint32_t bits = (flags & TCP_AE ? 4u : 0) | (flags & TCP_CWR ? 2u : 0) | (flags & TCP_ECE ? 1u : 0);
    put_name(line, "tcp-ecn");
    put_text(line, ecn_words[bits] ? ecn_words[bits] : "unknown-");
    if (!ecn_words[bits])
        put_number(line, bits);
}

static void
put_pair(struct writer *line, const char *name, int64_t number)
{
    put_name(line, name);
    put_number(line, number);
}

static void
put_times(struct writer *line, const struct answer *answer)
{
    put_pair(line, "originate", answer->originate);
    put_pair(line, "receive", answer->receive);
    put_pair(line, "transmit", answer->transmit);
}

static void
put_interface_state(struct writer *line, const struct answer *answer)
{
    uint8_t state = answer->interface_state;
    put_pair(line, "extended-code", answer->icmp_code);
    put_pair(line, "state", state >> INTERFACE_STATE_SHIFT);
    put_pair(line, "active", (state & INTERFACE_ACTIVE) != 0);
    put_pair(line, "ip-4-active", (state & INTERFACE_IPV4) != 0);
    put_pair(line, "ip-6-active", (state & INTERFACE_IPV6) != 0);
}

static void
put_payload(struct writer *line, struct reader content, size_t most)
{
    reader_limit(&content, most);
    put_name(line, "reply-payload");
    put_bytes(line, content);
}

void
asked_write(const struct asked *asked, struct writer *line)
{
    static void (*const kinds[ICMP_REQUESTS])(struct writer *line, const struct answer *answer) = {
        [ICMP_REQUEST_TIMESTAMP] = put_times,
        [ICMP_REQUEST_EXTENDED] = put_interface_state,
    };
    const struct answer *answer = asked->answer;
    if (asked->tcp_ecn && (answer->tcp_flags & TH_SYN))
        put_tcp_ecn(line, answer->tcp_flags);
    if (asked->icmp_request && kinds[answer->icmp_request])
        kinds[answer->icmp_request](line, answer);
    if (asked->reply_payload && answer->content.left)
        put_payload(line, answer->content, asked->reply_payload);
}
