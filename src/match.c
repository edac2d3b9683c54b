#include "match.h"

#include "checksum.h"
#include "protocol.h"

/* How well an answer fits a probe. The best fit counts, when it is the only one as good. */
enum fit { IMPOSSIBLE, POSSIBLE, LIKELY, PROVEN };

/* Readings of two clocks are compared here, which differ by some microseconds at worst. */
#define CLOCK_TOLERANCE (20 * NS_PER_US)

/* What is said by the nonce in a payload that came back. */
enum nonce { NONCE_ABSENT, NONCE_RIGHT, NONCE_WRONG };

/*
 * A router that quotes little pads with zeros to make room for extensions (RFC 4884, section 5.1). So zeros up to the
 * end, behind right bytes if any, prove nothing and disprove nothing.
 */
static bool
ends_in_padding(uint64_t seen, uint64_t expected)
{
    int first_wrong_byte = __builtin_clzll(seen ^ expected) / 8;
    return (seen & UINT64_MAX >> first_wrong_byte * 8) == 0;
}

static enum nonce
look_at_nonce(const struct probe *probe, const struct answer *answer)
{
    uint64_t nonce;
    struct reader payload = answer->payload;
    if (!probe->identity.nonce || !answer->has_payload || !read_skip(&payload, packet_nonce_offset(&probe->identity)) ||
        !read_u64(&payload, &nonce))
        return NONCE_ABSENT;
    if (nonce == probe->identity.nonce)
        return NONCE_RIGHT;
    return answer->is_error && ends_in_padding(nonce, probe->identity.nonce) ? NONCE_ABSENT : NONCE_WRONG;
}

/*
 * An echo reply returns identifier, sequence and payload. Some targets cut long payloads short, so a shorter one is
 * judged by its nonce; of a whole one every byte must be right, which its checksum says.
 */
static enum fit
fit_echo_reply(const struct probe *probe, const struct answer *answer, enum nonce nonce)
{
    bool whole = answer->payload.left == probe->payload_size;
    if (answer->payload.left > probe->payload_size ||
        (whole && !checksum_same(answer->checksum, probe->identity.checksum)))
        return IMPOSSIBLE;
    bool from_target = address_same(&answer->from, &probe->target);
    return from_target || probe->group || nonce == NONCE_RIGHT ? PROVEN : IMPOSSIBLE;
}

static enum fit
fit_target_answer(const struct probe *probe, const struct answer *answer, enum nonce nonce)
{
    const struct identity *identity = &probe->identity;
    const struct protocol *protocol = protocols[probe->protocol];
    if (identity->near != answer->near || identity->far != answer->far ||
        !address_same(&identity->source, &answer->to))
        return IMPOSSIBLE;
    if (protocol->ports == PORTS_ECHO)
        return fit_echo_reply(probe, answer, nonce);
    if (!address_same(&answer->from, &probe->target) && !probe->group)
        return IMPOSSIBLE;
    return protocol->numbered ? PROVEN : POSSIBLE; /* UDP returns the ports alone */
}

/* A quote whose source address is ours: whatever else it shows must be as it was sent. */
static enum fit
fit_own_quote(const struct probe *probe, const struct answer *answer, enum nonce nonce)
{
    const struct identity *identity = &probe->identity;
    if (identity->near != answer->near)
        return IMPOSSIBLE;
    if (protocols[probe->protocol]->checksum_binds && answer->has_checksum &&
        !checksum_same(identity->checksum, answer->checksum))
        return IMPOSSIBLE;
    if (answer->has_number || nonce == NONCE_RIGHT)
        return PROVEN;
    /* Some routers rewrite the IPv4 identification, so another one does not disprove. */
    return answer->has_ip_id && answer->ip_id == identity->ip_id ? LIKELY : POSSIBLE;
}

/* A quote from behind a NAT that did not translate it back: port and checksum are the NAT's. */
static enum fit
fit_translated_quote(const struct probe *probe, const struct answer *answer, enum nonce nonce)
{
    if (answer->has_number || nonce == NONCE_RIGHT)
        return PROVEN;
    bool same = answer->has_ip_id ? answer->ip_id == probe->identity.ip_id : answer->near == probe->identity.near;
    return same ? POSSIBLE : IMPOSSIBLE;
}

static enum fit
fit(const struct probe *probe, const struct answer *answer)
{
    if (probe->family != (uint8_t)answer->family || probe->protocol != (uint8_t)answer->protocol ||
        probe->identity.far != answer->far || instant_since(answer->arrived, probe->departed) < -CLOCK_TOLERANCE)
        return IMPOSSIBLE;
    if (answer->has_number && answer->number != probe->identity.number)
        return IMPOSSIBLE;
    enum nonce nonce = look_at_nonce(probe, answer);
    if (nonce == NONCE_WRONG)
        return IMPOSSIBLE;
    if (!answer->is_error)
        return fit_target_answer(probe, answer, nonce);
    if (!address_same(&answer->target, &probe->target))
        return IMPOSSIBLE;
    return address_same(&answer->source, &probe->identity.source) ? fit_own_quote(probe, answer, nonce)
                                                                  : fit_translated_quote(probe, answer, nonce);
}

/* What the search has found so far. */
struct search {
    struct probe *found;
    enum fit fit;
    bool ambiguous;
};

static void
look_under(const struct probes *probes, const struct answer *answer, enum probe_index index, uint32_t hash,
           struct search *search)
{
    struct probe *probe = probes_first(probes, index, hash);
    for (; probe; probe = probes_next(probes, index, probe)) {
        enum fit found = fit(probe, answer);
        if (found == IMPOSSIBLE || found < search->fit)
            continue;
        search->ambiguous = found == search->fit;
        search->found = probe;
        search->fit = found;
    }
}

static void
look_by_number(const struct probes *probes, const struct answer *answer, uint32_t number, struct search *search)
{
    uint32_t hash = probes_hash_number(probes, answer->family, answer->protocol, &answer->target, answer->far, number);
    look_under(probes, answer, BY_NUMBER, hash, search);
}

static void
look_by_ports(const struct probes *probes, const struct answer *answer, const struct address *target,
              struct search *search)
{
    uint32_t hash = probes_hash_ports(probes, answer->family, answer->protocol, target, answer->near, answer->far);
    look_under(probes, answer, BY_PORTS, hash, search);
}

struct probe *
match_find(const struct probes *probes, const struct answer *answer)
{
    static const struct address group_v4 = { { 224 } };
    static const struct address group_v6 = { { 0xff } };
    struct search search = { 0 };
    if (answer->has_number)
        look_by_number(probes, answer, answer->number, &search);
    else if (answer->has_checksum && answer->is_error)
        look_by_number(probes, answer, answer->checksum, &search); /* balanced */
    if (!search.found && !answer->has_number)
        look_by_ports(probes, answer, &answer->target, &search);

    if (!search.found && !answer->is_error && !answer->has_number) /* any group stands for all of them in the index */
        look_by_ports(probes, answer, answer->family == IPV4 ? &group_v4 : &group_v6, &search);
    if (!search.found && answer->is_error && !answer->has_number) /* behind a NAT: other ports */
        look_by_number(probes, answer, answer->has_ip_id ? answer->ip_id : 0, &search);
    return search.ambiguous ? NULL : search.found;
}
