/* SPDX-License-Identifier: MIT */
#include "plain/errqueue.h"

#include "packets/icmpext.h"
#include "packets/protocol.h"

#define UDP_HEADER_SIZE 8
#define OPTIONS_MAX 10 /* words of IPv4 options (RFC 791, section 3.1); IPv6: units of 8 bytes of extension headers */

/*
 * Finds the extensions that stand behind the quoted packet (RFC 4884). Where the error has a length field the kernel
 * tells where they begin (ee_rfc4884). In the older form without one they begin at byte 128 of the quote; but the
 * kernel has cut the quoted header off its front, and does not say how long that was: so each length that it can have
 * is tried, where a translator may have put them too, and the checksum of the extensions decides.
 */
static struct reader
find_extensions(const struct queued_error *queued, struct reader *quoted)
{
    const struct family *family = &families[queued->family];
    const struct icmp_meaning *row =
        family_icmp_meaning(family, queued->controls->error.ee_type, queued->controls->error.ee_code);
    struct reader none = { NULL, 0 };
    size_t announced = queued->controls->error.ee_rfc4884.len;
    if (!row->has_quote_length)
        return none;
    if (announced)
        return icmp_extensions_at(quoted, announced, true);
    size_t cut = family->header_size + (queued->protocol == PROTOCOL_UDP ? UDP_HEADER_SIZE : 0);
    const size_t starts[] = { QUOTE_MIN, icmp_translated_quote(queued->family) };
    for (size_t options = 0; options <= OPTIONS_MAX; options++, cut += family->quote_unit) {
        for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
            struct reader found = none;
            if (cut <= starts[i])
                found = icmp_extensions_at(quoted, starts[i] - cut, false);
            if (found.at)
                return found;
        }
    }
    return none;
}

uint16_t
errqueue_mark(struct reader payload)
{
    uint16_t mark;
    return read_u16(&payload, &mark) ? mark : 0;
}

/* A mark of 0 is no proof of anything: it may be zeros with which a router has padded a short quote (RFC 4884). */
static bool
read_udp(const struct queued_error *queued, struct reader quoted, struct answer *answer)
{
    answer->near = queued->near;
    answer->far = queued->far;
    answer->checksum = errqueue_mark(quoted);
    answer->has_checksum = answer->checksum != 0;
    answer->ports_shared = queued->shared;
    answer->has_payload = true;
    answer->payload = quoted;
    return true;
}

bool
errqueue_decode(const struct queued_error *queued, struct answer *answer)
{
    const struct controls *controls = queued->controls;
    const struct family *family = &families[queued->family];
    uint8_t origin = queued->family == IPV4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6;
    struct reader quoted = queued->quoted;
    if (!controls->has_error || controls->error.ee_origin != origin)
        return false;
    *answer = (struct answer){
        .family = queued->family,
        .protocol = queued->protocol,
        .from = controls->offender,
        .to = controls->to,
        .arrived = queued->arrived,
        .known = controls->ttl ? KNOWN_TTL | KNOWN_TOS : 0,
        .ttl = controls->ttl,
        .tos = controls->tos,
        .is_error = true,
        .icmp_type = controls->error.ee_type,
        .icmp_code = controls->error.ee_code,
        .source = controls->to, /* errors are sent to the source of what they quote */
        .target = queued->target,
    };
    answer->meaning = family_icmp_meaning(family, answer->icmp_type, answer->icmp_code)->meaning;
    if (answer->meaning == MEANS_NOTHING)
        return false;
    if (answer->meaning == MEANS_TOO_BIG)
        answer->mtu = controls->error.ee_info;
    answer->extensions = find_extensions(queued, &quoted);
    return queued->protocol == PROTOCOL_UDP ? read_udp(queued, quoted, answer)
                                            : protocols[queued->protocol]->read_quote(quoted, answer);
}
