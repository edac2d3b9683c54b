/* SPDX-License-Identifier: MIT */
/* What a probe may be answered, right and wrong. */
#include "forge.h"

#include "packets/protocol.h"

static void
fill_payload(const struct probe *probe, const uint8_t *nonce, struct answer *answer)
{
    static const uint8_t pattern[PACKET_MAX];
    answer->has_payload = protocols[probe->protocol]->sized && probe->icmp_request == ICMP_REQUEST_ECHO;
    if (answer->has_payload)
        answer->payload = probe->identity.nonce ? (struct reader){ nonce, NONCE_SIZE }
                                                : (struct reader){ pattern, probe->payload_size };
}

struct answer
forge_answer(const struct probe *probe, const uint8_t nonce[NONCE_SIZE], uint8_t kind, struct instant now)
{
    const struct identity *identity = &probe->identity;
    const struct protocol *protocol = protocols[probe->protocol];
    struct answer answer = {
        .family = (enum family_id)probe->family,
        .protocol = (enum protocol_id)probe->protocol,
        .icmp_request = (enum icmp_request)probe->icmp_request,
        .originate = identity->number,
        .is_error = kind % 3 != 0,
        .from = probe->target,
        .to = identity->source,
        .source = identity->source,
        .target = probe->target,
        .arrived = now,
        .near = identity->near,
        .far = identity->far,
        .has_number = protocol->numbered,
        .number = identity->number,
        .checksum = identity->checksum,
        .ip_id = identity->ip_id,
    };
    answer.has_checksum = answer.is_error || protocol->ports == PORTS_ECHO;
    answer.has_ip_id = answer.is_error && answer.family == IPV4;
    if (answer.is_error) {
        answer.meaning = (enum meaning)(MEANS_TTL_EXPIRED + kind / 3 % 5);
        answer.mtu = answer.meaning == MEANS_TOO_BIG ? 1280 : 0;
    }
    if (!answer.is_error || protocol->ports == PORTS_ECHO || kind % 2)
        fill_payload(probe, nonce, &answer);
    /* From behind a NAT that keeps ports; without an IPv4 identification, a number or a nonce it may be anyone's. */
    bool provable = answer.family == IPV4 || protocol->numbered || (identity->nonce && answer.has_payload);
    if (kind % 3 == 2 && provable) {
        answer.source.bytes[0] ^= 1;
        answer.checksum ^= 0x1234;
    }
    return answer;
}

bool
forge_spoil(struct answer *answer, uint8_t how)
{
    static const uint8_t wrong_nonce[NONCE_SIZE] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    bool translated = answer->is_error && !address_same(&answer->source, &answer->to);
    bool echo = protocols[answer->protocol]->ports == PORTS_ECHO;
    bool proven = answer->has_number || (answer->has_payload && answer->payload.left == NONCE_SIZE);
    switch (how) {
    case 0:
        answer->protocol = (enum protocol_id)((answer->protocol + 1) % PROTOCOLS);
        return true;
    case 1:
        answer->family = answer->family == IPV4 ? IPV6 : IPV4;
        return true;
    case 2:
        answer->arrived.ns = 0;
        return true;
    case 3:
        answer->number ^= 2;
        return answer->has_number;
    case 4: /* a NAT's may be another, and an echo request's checksum in IPv4 does not change with it */
        if (!answer->is_error || proven || (echo && answer->family == IPV4))
            return false;
        answer->target.bytes[3] ^= 0x80;
        return true;
    case 5:
        answer->near ^= 0x8000;
        return !translated;
    case 6:
        if (!answer->has_payload || answer->payload.left != NONCE_SIZE)
            return false;
        answer->payload.at = wrong_nonce;
        return true;
    case 7: /* of an echo request translators rewrite it */
        answer->checksum ^= 0x0101;
        return answer->is_error && !translated && !proven && !echo && protocols[answer->protocol]->checksum_binds;
    default:
        return false;
    }
}
