/* SPDX-License-Identifier: MIT */
/*
 * All probes in flight: added, found by what answers return of their identity, removed, and expired, each in constant
 * time (deadlines: mostly, see timer.h), up to PROBES_MAX of them.
 */
#ifndef HOPLINE_PROBE_H
#define HOPLINE_PROBE_H

#include "packets/packet.h"
#include "probes/crowd.h"

#define PROBES_MAX CHUNKS_ELEMENTS /* 1,048,576 */

struct probe {
    struct identity identity;
    struct address target;
    struct crowd_link crowd; /* the table's own; beside the target, which is compared when others are looked at */
    struct instant departed;
    uint32_t scope;        /* interface index: the request's scope, or else by which it leaves (to ourselves: `lo`) */
    int32_t token;
    uint32_t lease;        /* the transport's: the port or socket that it keeps for this probe, or 0 */
    uint32_t slot : 20;    /* the table's own */
    uint32_t receivers : 8; /* the transport's, as `lease`: where it is heard, if it is answered */
    uint32_t ear : 3;      /* likewise: by which of the sockets there */
    bool keeps_ports : 1;  /* the next probe may have the same, since the client wants it so */
    bool tcp_ecn : 1;      /* was asked for: what came of it is said */
    uint32_t icmp_request : 2; /* enum icmp_request */
    uint16_t payload_size; /* bytes */
    uint16_t reply_payload; /* bytes of the answer's that are said */
    uint8_t family;        /* enum family_id, enum protocol_id: as bytes, since there may be a million */
    uint8_t protocol;
    uint32_t collected : 27; /* answers so far, with: */
    bool collect : 1;      /* goes on until its deadline, whatever answers */
    bool detail : 1;
    bool scope_named : 1;  /* the request had a scope, by name or number: so will its replies */
    bool scope_numbered : 1;
    bool group : 1;        /* a target that others answer for: broadcast, multicast */
    struct part part;      /* of a sweep */
};

_Static_assert(sizeof(struct probe) <= 128, "a million of them may be in flight");

struct probes;

/* SEED is random and secret: it keeps others from choosing which probes share a bucket. NULL: no memory. */
struct probes *probes_new(uint64_t seed);
void probes_free(struct probes *probes);

/* Makes sure that the next probes_add() works. False: the table is full, or there is no memory. */
MUST_USE bool probes_reserve(struct probes *probes);

/* Copies MODEL into the table, after probes_reserve(). */
struct probe *probes_add(struct probes *probes, const struct probe *model, struct instant deadline);
void probes_remove(struct probes *probes, struct probe *probe);

uint32_t probes_count(const struct probes *probes);

/* All of them, in no order: any, and another after PROBE, while none is added or removed; NULL: there is none (left). */
struct probe *probes_any(const struct probes *probes);
struct probe *probes_after(const struct probes *probes, const struct probe *probe);

/* To be called of a probe that ends without an answer, before it is removed. */
void probes_note_silence(struct probes *probes, const struct probe *probe);

/*
 * True when a probe to the same target, with the same ports (ANY_PORT: of ours any), left within the last minute before WHEN
 * and ended without an answer, which may still come; or, now and then, when others did whose hashes share a place with its.
 */
bool probes_ended_lately(const struct probes *probes, const struct probe *probe, bool any_port, struct instant when);

/* The probe whose deadline comes first, or NULL. */
struct probe *probes_next_to_expire(const struct probes *probes, struct instant *deadline);
struct instant probes_deadline(const struct probes *probes, const struct probe *probe);

/*
 * Two ways to look a probe up, by a hash of what answers return of it.
 * BY_PORTS: target, near and far (ICMP and group targets: without the target, since others may answer).
 * BY_NUMBER: identity.number alone where the protocol has one, since all else may be translated on the way; else target,
 * far, and what tells apart probes that share their ports: ip_id, which comes back in an IPv4 header, as a balanced
 * checksum, or in a nonce. Echo requests: by far alone, the sequence number, which is never translated and which no more of
 * them share than there are identifiers; it counts up, so neighbours in time are neighbours in memory.
 */
enum probe_index { BY_PORTS, BY_NUMBER, PROBE_INDEXES };

uint32_t probes_hash_ports(const struct probes *probes, enum family_id family, enum protocol_id protocol,
                           const struct address *target, uint16_t near, uint16_t far);
uint32_t probes_hash_number(const struct probes *probes, enum family_id family, enum protocol_id protocol,
                            enum icmp_request icmp_request, const struct address *target, uint16_t far, uint32_t number);

/* The probes under a hash, newest first, then NULL. They may differ from what was hashed: compare. */
struct probe *probes_first(const struct probes *probes, enum probe_index index, uint32_t hash);
struct probe *probes_next(const struct probes *probes, enum probe_index index, const struct probe *probe);

/* True when a probe to this target is in flight with these ports. */
bool probes_ports_taken(const struct probes *probes, const struct probe *model);

/* True when one with these ports has this number too, or ip_id where the protocol has no number. */
bool probes_number_taken(const struct probes *probes, const struct probe *model);

/*
 * How many ICMP requests of the model's kind are in flight to its target, where its sequence number has fewer than 16 bits.
 * Now and then it is more than there are: it goes by a hash, which others may share by chance.
 */
uint32_t probes_of_kind(const struct probes *probes, const struct probe *model);

/*
 * The probes of this family, protocol and kind to this target and `far`, newest first, and others whose hashes share a
 * place with theirs by chance, then NULL. Whoever looks at more than PROBES_LOOKS of them lets forgers keep the process
 * busy.
 */
struct probe *probes_first_there(const struct probes *probes, enum family_id family, enum protocol_id protocol,
                                 enum icmp_request icmp_request, const struct address *target, uint16_t far);
struct probe *probes_next_there(const struct probes *probes, const struct probe *probe);

/*
 * Of a million, each to a target and `far` of its own, 16 share a place. They are more than this only where so many go to
 * one that has the place, of 65,536; then an answer is lost.
 */
#define PROBES_LOOKS 256

/*
 * True when no other probe of this family, protocol and kind is in flight to the same target and `far`. False, too, when
 * more than PROBES_LOOKS others share a place with it: these are not all looked at.
 */
bool probes_is_alone(const struct probes *probes, const struct probe *probe);

#endif
