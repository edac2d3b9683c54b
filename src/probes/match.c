/* SPDX-License-Identifier: MIT */
#include "probes/match.h"

#include "packets/checksum.h"
#include "packets/protocol.h"

/* How well an answer fits a probe. The best fit counts, when it is the only one as good. */
enum fit { IMPOSSIBLE, POSSIBLE, LIKELY, PROVEN };

/* Arrivals are stamped by the wall clock and translated (clock_of_stamp()): they may seem some microseconds early. */
#define CLOCK_TOLERANCE (20 * NS_PER_US)

/* What is said by the nonce in a payload that came back. */
enum nonce { NONCE_ABSENT, NONCE_RIGHT, NONCE_WRONG };

/*
 * A router that quotes little pads with zeros to make room for extensions (RFC 4884, section 4). So zeros up to the
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
 * The checksum that the echo request had, seen from its reply. In ICMPv6 it covers the addresses (RFC 4443, section
 * 2.3): who answers in a group's name puts its own in the place of the group's.
 */
static uint16_t
request_checksum(const struct probe *probe, const struct answer *answer)
{
    uint16_t checksum = answer->checksum;
    struct reader from = { answer->from.bytes, sizeof answer->from.bytes };
    struct reader target = { probe->target.bytes, sizeof probe->target.bytes };
    uint16_t seen, sent;
    while (answer->family == IPV6 && read_u16(&from, &seen) && read_u16(&target, &sent))
        checksum = checksum_adjust(checksum, seen, sent);
    return checksum;
}

/*
 * An echo reply returns identifier, sequence and payload. Some targets cut long payloads short, so a shorter one is
 * judged by its nonce, which it must have: a forger would leave it out. Of a whole one every byte must be right, which
 * its checksum says.
 */
static enum fit
fit_echo_reply(const struct probe *probe, const struct answer *answer, enum nonce nonce)
{
    bool whole = answer->payload.left == probe->payload_size;
    if (answer->payload.left > probe->payload_size || (probe->identity.nonce && nonce != NONCE_RIGHT) ||
        (whole && !checksum_same(request_checksum(probe, answer), probe->identity.checksum)))
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
    bool same_checksum = answer->has_checksum && checksum_same(identity->checksum, answer->checksum);
    if (protocols[probe->protocol]->checksum_binds && answer->has_checksum && !same_checksum)
        return IMPOSSIBLE;
    if (answer->has_number || nonce == NONCE_RIGHT)
        return PROVEN;
    /* A balanced checksum says as much as the identification: it was made of that, or of an echo request's flow. */
    if ((answer->has_ip_id && answer->ip_id == identity->ip_id) || (same_checksum && identity->balanced))
        return LIKELY;
    /*
     * Some routers rewrite the IPv4 identification, so a wrong one does not disprove where the checksum is right. But
     * where only the ports are right, since a checksum is wanting, or was rewritten in tcp or sctp, they are believed
     * only if no identification differs, and no other probe can share them.
     */
    bool ports_suffice = !answer->has_ip_id && !answer->ports_shared;
    return same_checksum || ports_suffice ? POSSIBLE : IMPOSSIBLE;
}

/* A quote from behind a NAT that did not translate it back: port and checksum are the NAT's. See stands_out(). */
static enum fit
fit_translated_quote(const struct probe *probe, const struct answer *answer, enum nonce nonce)
{
    if (answer->has_number || nonce == NONCE_RIGHT)
        return PROVEN;
    bool same = answer->has_ip_id ? answer->ip_id == probe->identity.ip_id : answer->near == probe->identity.near;
    return same && !answer->ports_shared ? POSSIBLE : IMPOSSIBLE;
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
    if (address_same(&answer->source, &probe->identity.source))
        return fit_own_quote(probe, answer, nonce);
    if (address_same(&answer->source, &answer->to)) /* not translated: another program's, by another address of ours */
        return IMPOSSIBLE;
    return fit_translated_quote(probe, answer, nonce);
}

/* What the search has found so far. */
struct search {
    struct probe *found;
    enum fit fit;
    bool ambiguous;
    bool gave_up; /* there were too many to look at them all */
};

/*
 * Thousands of probes may share their ports, if a client wants it so. Then an answer that returns no more than these is
 * anyone's, and the rest of them need not be looked at to say so. What returns more is found by it, among few.
 */
#define SHARERS_MAX 64

static void
look_under(const struct probes *probes, const struct answer *answer, enum probe_index index, uint32_t hash,
           struct search *search)
{
    unsigned sharers = 0;
    struct probe *probe = probes_first(probes, index, hash);
    for (; probe; probe = probes_next(probes, index, probe)) {
        if (++sharers > SHARERS_MAX) {
            search->gave_up = true;
            return;
        }
        enum fit found = fit(probe, answer);
        if (found == IMPOSSIBLE || found < search->fit || probe == search->found)
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

/*
 * An echo reply, or a UDP datagram; any group's address stands for all groups in the index. A datagram's ports may be
 * those of a probe to its sender and of one to the sender's group: then it is nobody's.
 */
static void
look_for_asked(const struct probes *probes, const struct answer *answer, struct search *search)
{
    static const struct address groups[FAMILIES] = { [IPV4] = { { 224 } }, [IPV6] = { { 0xff } } };
    look_by_ports(probes, answer, &answer->target, search);
    if (protocols[answer->protocol]->ports != PORTS_ECHO) /* echo requests are under one hash, whoever they are to */
        look_by_ports(probes, answer, &groups[answer->family], search);
}

/* The nonce in a payload names its probe whatever else was rewritten; where it begins depends on the probe. */
static void
look_by_nonce(const struct probes *probes, const struct answer *answer, struct search *search)
{
    for (int balanced = 0; balanced < 2; balanced++) {
        uint64_t nonce;
        struct reader payload = answer->payload;
        struct identity identity = { .balanced = balanced };
        if (read_skip(&payload, packet_nonce_offset(&identity)) && read_u64(&payload, &nonce) && nonce)
            look_by_number(probes, answer, packet_nonce_ip_id(nonce), search);
    }
}

/* True when another probe has this one's ports and target, or so many have that not all were looked at. */
static bool
has_sharers(const struct probes *probes, const struct probe *one, bool and_source)
{
    unsigned sharers = 0;
    const struct identity *identity = &one->identity;
    uint32_t hash = probes_hash_ports(probes, (enum family_id)one->family, (enum protocol_id)one->protocol,
                                      &one->target, identity->near, identity->far);
    const struct probe *probe = probes_first(probes, BY_PORTS, hash);
    for (; probe && sharers < SHARERS_MAX; probe = probes_next(probes, BY_PORTS, probe), sharers++)
        if (probe != one && probe->protocol == one->protocol && probe->identity.near == identity->near &&
            probe->identity.far == identity->far && address_same(&probe->target, &one->target) &&
            (!and_source || address_same(&probe->identity.source, &identity->source)))
            return true;
    return sharers == SHARERS_MAX;
}

/*
 * Behind a NAT, where routers rewrite the IPv4 identification too, it or the port may by chance have become that of
 * another probe. So one of them alone is believed only of the one probe that there is to this target and port, and both
 * together while no other has the same port.
 */
static bool
stands_out(const struct probes *probes, const struct answer *answer, const struct probe *found)
{
    if (found->identity.near == answer->near && answer->has_ip_id && !has_sharers(probes, found, false))
        return true;
    return probes_is_alone(probes, found);
}

/*
 * A quote without a number of the probe's own: by what tells probes apart that share their ports, the nonce, the IPv4
 * identification or a balanced checksum; where routers rewrite the second and there are no others, by the ports.
 */
static void
look_for_quoted(const struct probes *probes, const struct answer *answer, struct search *search)
{
    if (answer->has_ip_id)
        look_by_number(probes, answer, answer->ip_id, search);
    if (search->fit < PROVEN && answer->has_payload)
        look_by_nonce(probes, answer, search);
    if (search->fit < PROVEN && answer->has_checksum)
        look_by_number(probes, answer, answer->checksum, search);
    if (search->fit < LIKELY)
        look_by_ports(probes, answer, &answer->target, search);
    if (search->found && search->fit < PROVEN && !address_same(&answer->source, &search->found->identity.source))
        search->ambiguous = search->ambiguous || !stands_out(probes, answer, search->found);
}

/* A udp probe to this host itself is received here too, and looks like the answer to a probe the other way round. */
static bool
is_our_own(const struct probes *probes, const struct answer *answer)
{
    if (answer->is_error || answer->has_number || protocols[answer->protocol]->ports == PORTS_ECHO)
        return false;
    const struct probe reversed = {
        .identity = { .source = answer->from, .near = answer->far, .far = answer->near },
        .target = answer->to,
        .family = (uint8_t)answer->family,
        .protocol = (uint8_t)answer->protocol,
    };
    return has_sharers(probes, &reversed, true);
}

struct probe *
match_find(const struct probes *probes, const struct answer *answer)
{
    struct search search = { 0 };
    if (answer->has_number)
        look_by_number(probes, answer, answer->number, &search);
    else if (answer->is_error)
        look_for_quoted(probes, answer, &search);
    else if (!is_our_own(probes, answer))
        look_for_asked(probes, answer, &search);
    /* Where not all were looked at, another may fit as well as this one: unless it is proven. */
    return search.ambiguous || (search.gave_up && search.fit < PROVEN) ? NULL : search.found;
}

bool
match_is_translated(const struct probe *probe, const struct answer *answer)
{
    const struct identity *identity = &probe->identity;
    if (!answer->is_error)
        return false;
    return !address_same(&answer->source, &identity->source) || !address_same(&answer->target, &probe->target) ||
           answer->near != identity->near || answer->far != identity->far ||
           (answer->has_checksum && !checksum_same(answer->checksum, identity->checksum));
}
