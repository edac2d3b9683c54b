/* SPDX-License-Identifier: MIT */
#include "probes/match.h"

#include "packets/checksum.h"
#include "packets/icmp.h"
#include "packets/protocol.h"

/* How well an answer fits a probe. The best fit counts, when it is the only one as good. */
enum fit { IMPOSSIBLE, POSSIBLE, LIKELY, PROVEN };

/*
 * Arrivals are stamped by the wall clock and translated (clock_of_stamp()): they may seem some microseconds early, and more
 * where the clocks could not be read closely.
 */
#define CLOCK_TOLERANCE (20 * NS_PER_US)

/* What something that an answer returns says of the probe. */
enum evidence { ABSENT, RIGHT, WRONG };

#define NONCE_PART_MIN 4 /* bytes of a nonce that were cut short by the end of a quote, and still prove it */

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

/*
 * COUNT bytes of payload at OFFSET, which are to be the first ones of EXPECTED. Of those that were cut short by the end of a
 * quote the rest must be right, and proves the probe if that is LEAST bytes or more.
 */
static enum evidence
look_at_payload(const struct answer *answer, size_t offset, uint64_t expected, size_t count, size_t least)
{
    uint8_t bytes[sizeof expected] = { 0 };
    struct reader payload = answer->payload, whole = { bytes, sizeof bytes };
    if (!answer->has_payload || !read_skip(&payload, offset))
        return ABSENT;
    size_t size = payload.left < count ? payload.left : count;
    uint64_t seen, unseen = size < sizeof expected ? UINT64_MAX >> size * 8 : 0;
    if ((size < count && !answer->is_error) || !read_bytes(&payload, bytes, size) || !read_u64(&whole, &seen))
        return ABSENT;
    expected &= ~unseen;
    if (seen == expected)
        return size >= least ? RIGHT : ABSENT;
    return answer->is_error && ends_in_padding(seen, expected) ? ABSENT : WRONG;
}

static enum evidence
look_at_nonce(const struct probe *probe, const struct answer *answer)
{
    const struct identity *identity = &probe->identity;
    if (!identity->nonce)
        return ABSENT;
    return look_at_payload(answer, packet_nonce_offset(identity), identity->nonce, NONCE_SIZE, NONCE_PART_MIN);
}

/* Two bytes that tell apart probes with the same ports, where a quote's checksum does not: see identity.balanced. */
static enum evidence
look_at_balance(const struct probe *probe, const struct answer *answer)
{
    size_t offset;
    uint16_t balance = packet_balance(&probe->identity, &offset);
    if (!probe->identity.balanced || protocols[probe->protocol]->numbered || !balance)
        return ABSENT;
    return look_at_payload(answer, offset, (uint64_t)balance << 48, BALANCE_SIZE, BALANCE_SIZE);
}

/* One's complement sum of an address, for what a checksum becomes when it is translated. */
static uint16_t
adjust_for_address(uint16_t checksum, enum family_id family, const struct address *before, const struct address *after)
{
    struct reader was = { before->bytes, families[family].address_size };
    struct reader is = { after->bytes, families[family].address_size };
    uint16_t one, other;
    if (address_same(before, after)) /* as in nearly all quotes */
        return checksum;
    while (read_u16(&was, &one) && read_u16(&is, &other))
        checksum = checksum_adjust(checksum, one, other);
    return checksum;
}

/*
 * The checksum in a quote: it must be what ours became when what else the quote has otherwise than we sent it was
 * translated (RFC 1624). ICMP's of IPv4 covers no addresses, and its sequence number is never translated. A CRC covers no
 * addresses either; behind other ports it says nothing.
 */
static enum evidence
look_at_checksum(const struct probe *probe, const struct answer *answer)
{
    const struct identity *identity = &probe->identity;
    const struct protocol *protocol = protocols[probe->protocol];
    bool is_echo = protocol->ports == PORTS_ECHO;
    bool same_ports = identity->near == answer->near && identity->far == answer->far;
    uint16_t expected = checksum_adjust(identity->checksum, identity->near, answer->near);
    if (!answer->has_checksum || (protocol->is_crc && !same_ports))
        return ABSENT;
    if (protocol->is_crc)
        return identity->checksum == answer->checksum ? RIGHT : WRONG;
    if (!is_echo)
        expected = checksum_adjust(expected, identity->far, answer->far);
    if (!is_echo || answer->family == IPV6) {
        expected = adjust_for_address(expected, answer->family, &identity->source, &answer->source);
        expected = adjust_for_address(expected, answer->family, &probe->target, &answer->target);
    }
    if (checksum_same(expected, answer->checksum))
        return RIGHT;
    return answer->rebuilt && answer->payload.left < probe->payload_size ? ABSENT : WRONG;
}

/*
 * A translator from IPv6 has no identification to put into a quote of IPv4. Where it draws one it leaves DF out (RFC 7915,
 * section 5.1): so a quote that has lost DF may have been made anew, and another identification in it proves nothing.
 */
static enum evidence
look_at_ip_id(const struct probe *probe, const struct answer *answer)
{
    const struct identity *identity = &probe->identity;
    if (answer->has_ip_id && answer->ip_id == identity->ip_id)
        return RIGHT;
    bool made_anew = identity->dont_fragment && !answer->dont_fragment;
    return answer->has_ip_id && !made_anew ? WRONG : ABSENT;
}

/*
 * The checksum that the echo request had, seen from its reply. In ICMPv6 it covers the addresses (RFC 4443, section
 * 2.3): who answers in a group's name puts its own in the place of the group's.
 */
static uint16_t
request_checksum(const struct probe *probe, const struct answer *answer)
{
    if (answer->family == IPV4)
        return answer->checksum;
    return adjust_for_address(answer->checksum, answer->family, &answer->from, &probe->target);
}

/*
 * An echo reply returns identifier, sequence and payload. Some targets cut long payloads short, so a shorter one is
 * judged by its nonce, which it must have: a forger would leave it out. Of a whole one every byte must be right, which
 * its checksum says: then it may come from another address of the target, or from one of several that share its address.
 */
static enum fit
fit_echo_reply(const struct probe *probe, const struct answer *answer, enum evidence nonce)
{
    bool whole = answer->payload.left == probe->payload_size;
    if (answer->payload.left > probe->payload_size || (probe->identity.nonce && nonce != RIGHT) ||
        (whole && !checksum_same(request_checksum(probe, answer), probe->identity.checksum)))
        return IMPOSSIBLE;
    bool from_target = address_same(&answer->from, &probe->target);
    return from_target || probe->group || whole || nonce == RIGHT ? PROVEN : IMPOSSIBLE;
}

/*
 * Other ICMP replies return identifier and sequence number, and of a timestamp request when it left: these must be right, and
 * come from the target.
 */
static enum fit
fit_icmp_reply(const struct probe *probe, const struct answer *answer)
{
    const struct icmp_kind *kind = &icmp_kinds[probe->icmp_request];
    bool from_target = address_same(&answer->from, &probe->target) || probe->group;
    bool in_time = !kind->stamped || answer->originate == probe->identity.number;
    return from_target && in_time ? PROVEN : IMPOSSIBLE;
}

static enum fit
fit_target_answer(const struct probe *probe, const struct answer *answer, enum evidence nonce)
{
    const struct identity *identity = &probe->identity;
    const struct protocol *protocol = protocols[probe->protocol];
    if (identity->near != answer->near || identity->far != answer->far ||
        !address_same(&identity->source, &answer->to))
        return IMPOSSIBLE;
    if (protocol->ports == PORTS_ECHO)
        return probe->icmp_request == ICMP_REQUEST_ECHO ? fit_echo_reply(probe, answer, nonce)
                                                        : fit_icmp_reply(probe, answer);
    if (!address_same(&answer->from, &probe->target) && !probe->group && !protocol->multihomed)
        return IMPOSSIBLE;
    return protocol->numbered ? PROVEN : POSSIBLE; /* UDP returns the ports alone */
}

/* What a quote says of the probe, besides addresses and ports. */
struct quoted {
    bool proven; /* its number or its nonce is right */
    enum evidence balance, checksum, ip_id;
};

/*
 * True when the quote has what differs between probes that share their ports: the identification, a balanced checksum,
 * which was made of that, or of an echo request's flow, or the balance itself.
 */
static bool
is_told_apart(const struct probe *probe, const struct quoted *quoted)
{
    return quoted->ip_id == RIGHT || quoted->balance == RIGHT ||
           (quoted->checksum == RIGHT && probe->identity.balanced);
}

/* True when the checksum covers something that nobody else knows. */
static bool
has_secret(const struct probe *probe)
{
    return probe->identity.nonce || probe->identity.balanced;
}

/*
 * A quote with our source address and port, and the target's. Some routers and translators rewrite the IPv4
 * identification, so a wrong one does not disprove where the checksum is right. Translators recompute an echo request's
 * checksum by what the router has quoted of it: identifier and sequence number stand for it, if they are one probe's. Where
 * only the ports are right, since a checksum is wanting, or was rewritten in tcp or sctp, they are believed only if no
 * identification differs, and no other probe can share them.
 */
static enum fit
fit_own_quote(const struct probe *probe, const struct answer *answer, const struct quoted *quoted)
{
    const struct protocol *protocol = protocols[probe->protocol];
    if (quoted->checksum == WRONG && protocol->checksum_binds)
        return protocol->ports == PORTS_ECHO ? POSSIBLE : IMPOSSIBLE;
    if (is_told_apart(probe, quoted))
        return LIKELY;
    bool ports_suffice = quoted->ip_id == ABSENT && !answer->ports_shared;
    return quoted->checksum == RIGHT || ports_suffice ? POSSIBLE : IMPOSSIBLE;
}

/*
 * True when no more than a checksum, and the balance that it is made of, say which probe it is of those that are told apart
 * by it. Neighbouring flows have neighbouring ports, and their checksums count up: behind another port one may have become
 * the other's.
 */
static bool
has_checksum_alone(const struct probe *probe, const struct answer *answer)
{
    return answer->is_error && probe->identity.near != answer->near && look_at_ip_id(probe, answer) != RIGHT;
}

/*
 * A quote from behind a NAT that did not translate it back: source and port are the NAT's. A right checksum has these in
 * it; but it proves no more than they do, unless the probe has bytes in it that are nobody's to know; and not against an
 * identification and a port that are others. What is not told apart must stand out, see stands_out().
 */
static enum fit
fit_translated_source(const struct probe *probe, const struct answer *answer, const struct quoted *quoted)
{
    bool disproved = quoted->ip_id == WRONG && has_checksum_alone(probe, answer);
    if (quoted->checksum == RIGHT && is_told_apart(probe, quoted) && !disproved)
        return LIKELY;
    bool checksum = quoted->checksum == RIGHT && has_secret(probe);
    bool same = quoted->ip_id == ABSENT ? answer->near == probe->identity.near || checksum : quoted->ip_id == RIGHT;
    return same && !answer->ports_shared ? POSSIBLE : IMPOSSIBLE;
}

/*
 * A quote from behind a NAT that gave the probe another target. So it may be about any probe that there is, and more must
 * be right than of one to this target: port or identification, and a number, a nonce, or the checksum with the other target
 * in it; that alone proves nothing where all that it covers can be known. Nor do ports that others may have, too: the
 * checksums of a flow count up as targets do, so one to a neighbour may have become this.
 */
static enum fit
fit_translated_target(const struct probe *probe, const struct answer *answer, const struct quoted *quoted)
{
    bool near = answer->near == probe->identity.near, far = answer->far == probe->identity.far;
    if ((!near && quoted->ip_id != RIGHT) || answer->ports_shared)
        return IMPOSSIBLE;
    if (quoted->proven)
        return PROVEN;
    bool own_ports = near && far && (!probe->keeps_ports || protocols[probe->protocol]->ports == PORTS_ECHO);
    bool enough = has_secret(probe) ? own_ports || quoted->ip_id == RIGHT : near && quoted->ip_id == RIGHT;
    return quoted->checksum == RIGHT && enough ? LIKELY : IMPOSSIBLE;
}

static enum fit
fit_quote(const struct probe *probe, const struct answer *answer, enum evidence nonce)
{
    const struct identity *identity = &probe->identity;
    bool own_source = address_same(&answer->source, &identity->source);
    bool own_target = address_same(&answer->target, &probe->target);
    bool far_is_fixed = own_target || protocols[probe->protocol]->ports == PORTS_ECHO;
    if ((far_is_fixed && identity->far != answer->far) || (own_source && identity->near != answer->near))
        return IMPOSSIBLE;
    if (!own_source && address_same(&answer->source, &answer->to)) /* another program's, by another address of ours */
        return IMPOSSIBLE;
    const struct quoted quoted = {
        .proven = answer->has_number || nonce == RIGHT,
        .balance = look_at_balance(probe, answer),
        .checksum = look_at_checksum(probe, answer),
        .ip_id = look_at_ip_id(probe, answer),
    };
    if (quoted.balance == WRONG)
        return IMPOSSIBLE;
    if (!own_target)
        return fit_translated_target(probe, answer, &quoted);
    if (quoted.proven)
        return PROVEN;
    return own_source ? fit_own_quote(probe, answer, &quoted) : fit_translated_source(probe, answer, &quoted);
}

static enum fit
fit(const struct probe *probe, const struct answer *answer)
{
    if (probe->family != (uint8_t)answer->family || probe->protocol != (uint8_t)answer->protocol ||
        probe->icmp_request != answer->icmp_request ||
        instant_since(answer->arrived, probe->departed) < -(CLOCK_TOLERANCE + answer->doubt))
        return IMPOSSIBLE;
    if (answer->has_number && answer->number != probe->identity.number)
        return IMPOSSIBLE;
    enum evidence nonce = look_at_nonce(probe, answer);
    if (nonce == WRONG)
        return IMPOSSIBLE;
    return answer->is_error ? fit_quote(probe, answer, nonce) : fit_target_answer(probe, answer, nonce);
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
look_at(struct probe *probe, const struct answer *answer, struct search *search)
{
    enum fit found = fit(probe, answer);
    if (found == IMPOSSIBLE || found < search->fit || probe == search->found)
        return;
    search->ambiguous = found == search->fit;
    search->found = probe;
    search->fit = found;
}

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
        look_at(probe, answer, search);
    }
}

static void
look_by_number(const struct probes *probes, const struct answer *answer, uint32_t number, struct search *search)
{
    uint32_t hash = probes_hash_number(probes, answer->family, answer->protocol, answer->icmp_request, &answer->target,
                                       answer->far, number);
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
 * Ports alone are believed only where no other probe has them: not even one that must have come back with more, since it may
 * have lost that.
 *
 * Behind a NAT, where routers rewrite the IPv4 identification too, it or the port may by chance have become that of
 * another probe. So one of them alone is believed only of the one probe that there is to this target and port, and both
 * together while no other has the same port.
 */
static bool
stands_out(const struct probes *probes, const struct answer *answer, const struct probe *found)
{
    if (address_same(&answer->source, &found->identity.source))
        return answer->has_checksum || !has_sharers(probes, found, false);
    if (found->identity.near == answer->near && look_at_ip_id(found, answer) == RIGHT &&
        !has_sharers(probes, found, false))
        return true;
    return probes_is_alone(probes, found);
}

/*
 * A NAT that gave probes another target, or another port, may have left nothing by which they could be found; so they are
 * looked for one by one, while they are few; or else among those to the target and port that are quoted.
 */
#define FEW 1024

/* False for most of them, in fewer steps than fit() takes: others' packets are looked for so, too. */
static bool
may_be_translated(const struct probe *probe, const struct answer *answer)
{
    const struct identity *identity = &probe->identity;
    return identity->near == answer->near || (answer->has_ip_id && identity->ip_id == answer->ip_id) ||
           (identity->far == answer->far && address_same(&probe->target, &answer->target));
}

/* Those to the target and port that are quoted, however many others there are. */
static void
look_there(const struct probes *probes, const struct answer *answer, struct search *search)
{
    unsigned looks = 0;
    struct probe *probe = probes_first_there(probes, answer->family, answer->protocol, answer->icmp_request,
                                             &answer->target, answer->far);
    for (; probe; probe = probes_next_there(probes, probe)) {
        if (++looks > PROBES_LOOKS) {
            search->gave_up = true;
            return;
        }
        if (probe->identity.far == answer->far && address_same(&probe->target, &answer->target))
            look_at(probe, answer, search);
    }
}

static void
look_at_all(const struct probes *probes, const struct answer *answer, struct search *search)
{
    if (probes_count(probes) > FEW) {
        look_there(probes, answer, search);
        return;
    }
    search->gave_up = false;
    for (struct probe *probe = probes_any(probes); probe; probe = probes_after(probes, probe))
        if (may_be_translated(probe, answer))
            look_at(probe, answer, search);
}

/* By a balanced checksum, as it was before a NAT that kept the port translated the source: whom the error reached. */
static void
look_by_checksum(const struct probes *probes, const struct answer *answer, struct search *search)
{
    uint16_t checksum = adjust_for_address(answer->checksum, answer->family, &answer->source, &answer->to);
    look_by_number(probes, answer, answer->checksum, search);
    if (checksum != answer->checksum)
        look_by_number(probes, answer, checksum, search);
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
        look_by_checksum(probes, answer, search);
    if (search->fit < LIKELY)
        look_by_ports(probes, answer, &answer->target, search);
    if (!search->found)
        look_at_all(probes, answer, search);
    if (search->found && search->fit == POSSIBLE && !stands_out(probes, answer, search->found))
        search->ambiguous = true;
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

/*
 * An answer that returns ports alone may be a late one to a probe that had them before; one with a checksum alone, to a
 * probe that had other ports.
 */
static bool
is_perhaps_late(const struct probes *probes, const struct answer *answer, const struct search *search)
{
    if (search->fit == POSSIBLE && probes_ended_lately(probes, search->found, false, answer->arrived))
        return true;
    return search->fit < PROVEN && has_checksum_alone(search->found, answer) &&
           probes_ended_lately(probes, search->found, true, answer->arrived);
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
    if (search.found && is_perhaps_late(probes, answer, &search))
        return NULL;
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
