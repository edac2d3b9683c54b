/* SPDX-License-Identifier: MIT */
#include "probes/probe.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "packets/icmp.h"
#include "packets/protocol.h"
#include "probes/index.h"
#include "probes/timer.h"

/* For probes_of_kind(): counters of ICMP requests that have kind and target in common, or by chance the hash; 256 KiB. */
#define KINDS (1u << 16)

/*
 * For probes_ended_lately(): places for the last probe under each hash of ports; 1 MiB, from the first of them on. Where two
 * come to one place, it stands for all that belong there: what is lost so is an answer, never the memory.
 */
#define SILENCES (1u << 16)
#define SILENCE_LASTS (60 * NS_PER_S)

struct silence {
    uint32_t hash;
    bool any, several;
    struct instant departed;
};

struct probes {
    struct chunks table; /* struct probe, by slot */
    struct index indexes[PROBE_INDEXES];
    struct timers timers;
    struct crowds crowds; /* those to one target and `far`, but for echo requests */
    uint64_t seed;
    uint32_t *kinds;     /* how many ICMP requests there are under each hash */
    struct silence *silences;
    bool remembers;      /* any silence */
    uint32_t reached;    /* slots below this have memory */
    uint32_t free_count; /* of these */
    uint32_t last_free;  /* the slot that was freed last: it is taken first, while caches have it */
};

/* What a slot below `reached` holds while there is no probe in it. */
struct free_slot {
    uint32_t before; /* the slot that was freed before this one */
};

static struct probe *
probe_at(const struct probes *probes, uint32_t slot)
{
    return chunks_at(&probes->table, slot);
}

static void
give_slot(struct probes *probes, uint32_t slot)
{
    *(struct free_slot *)chunks_at(&probes->table, slot) = (struct free_slot){ .before = probes->last_free };
    probes->last_free = slot;
    probes->free_count++;
}

static uint32_t
take_slot(struct probes *probes)
{
    if (probes->free_count == 0)
        return probes->reached++;
    uint32_t slot = probes->last_free;
    probes->last_free = ((const struct free_slot *)chunks_at(&probes->table, slot))->before;
    probes->free_count--;
    return slot;
}

struct probes *
probes_new(uint64_t seed)
{
    struct probes *probes = calloc(1, sizeof *probes);
    if (!probes)
        return NULL;
    chunks_init(&probes->table, sizeof(struct probe));
    for (size_t i = 0; i < PROBE_INDEXES; i++)
        index_init(&probes->indexes[i]);
    timers_init(&probes->timers);
    probes->seed = seed;
    probes->kinds = calloc(KINDS, sizeof *probes->kinds);
    probes->silences = calloc(SILENCES, sizeof *probes->silences);
    bool crowds = crowds_init(&probes->crowds, &probes->table, offsetof(struct probe, crowd));
    if (crowds && probes->kinds && probes->silences)
        return probes;
    probes_free(probes);
    return NULL;
}

void
probes_free(struct probes *probes)
{
    if (!probes)
        return;
    chunks_free(&probes->table);
    for (size_t i = 0; i < PROBE_INDEXES; i++)
        index_free(&probes->indexes[i]);
    timers_free(&probes->timers);
    crowds_free(&probes->crowds);
    free(probes->kinds);
    free(probes->silences);
    free(probes);
}

/* Mixes one more word into a hash: a multiplication spreads every bit upwards, the shift brings it down again. */
static uint64_t
mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

/*
 * Ports and numbers count up or down from probe to probe, one of them or both. Their low bits are added to the hash as
 * they are, so that probes which follow each other have buckets side by side in memory: with a million in flight that
 * takes half the time. Where such a run begins depends on the secret seed, so whoever chooses ports can bring no more
 * than SIDE_BY_SIDE into one bucket on purpose. The factor 0x10001 repeats the number's low bits in the upper half:
 * where one of the two counts up and the other down, the lower half stays the same, but the hashes still differ.
 */
#define SIDE_BY_SIDE 128

static uint32_t
hash_key(const struct probes *probes, enum probe_index index, enum family_id family, enum protocol_id protocol,
         const struct address *target, uint16_t far, uint32_t number)
{
    uint64_t words[2];
    memcpy(words, target->bytes, sizeof words);
    uint64_t hash = mix(probes->seed, (uint64_t)index << 16 | (uint64_t)family << 8 | (uint64_t)protocol);
    hash = mix(mix(mix(hash, words[0]), words[1]), probes->seed);
    hash = mix(hash, (uint64_t)(far / SIDE_BY_SIDE) << 32 | number / SIDE_BY_SIDE);
    return (uint32_t)(hash >> 32) + far % SIDE_BY_SIDE + number % SIDE_BY_SIDE * 0x10001u;
}

static const struct address anyone;

/* See BY_NUMBER: they are found there by all that they are in a crowd for. */
static bool
is_echo(enum protocol_id protocol, enum icmp_request icmp_request)
{
    return protocols[protocol]->ports == PORTS_ECHO && icmp_request == ICMP_REQUEST_ECHO;
}

static bool
has_crowd(const struct probe *probe)
{
    return !is_echo((enum protocol_id)probe->protocol, (enum icmp_request)probe->icmp_request);
}

/* The address in BY_PORTS's hash: the target if only that may answer; 0 for echo and groups, where others may too. */
static const struct address *
indexed_target(enum family_id family, enum protocol_id protocol, const struct address *target)
{
    bool known = protocols[protocol]->ports != PORTS_ECHO && !address_is_group(family, target);
    return known ? target : &anyone;
}

uint32_t
probes_hash_ports(const struct probes *probes, enum family_id family, enum protocol_id protocol,
                  const struct address *target, uint16_t near, uint16_t far)
{
    return hash_key(probes, BY_PORTS, family, protocol, indexed_target(family, protocol, target), far, near);
}

uint32_t
probes_hash_number(const struct probes *probes, enum family_id family, enum protocol_id protocol,
                   enum icmp_request icmp_request, const struct address *target, uint16_t far, uint32_t number)
{
    if (is_echo(protocol, icmp_request))
        return hash_key(probes, BY_NUMBER, family, protocol, &anyone, far, 0);
    bool alone = protocols[protocol]->numbered;
    return hash_key(probes, BY_NUMBER, family, protocol, alone ? &anyone : target, alone ? 0 : far, number);
}

/* What tells it from others with its ports: see BY_NUMBER. */
static uint32_t
number_of(const struct probe *probe)
{
    return protocols[probe->protocol]->numbered ? probe->identity.number : probe->identity.ip_id;
}

static uint32_t
hash_of(const struct probes *probes, const struct probe *probe, enum probe_index index)
{
    const struct identity *identity = &probe->identity;
    enum family_id family = (enum family_id)probe->family;
    enum protocol_id protocol = (enum protocol_id)probe->protocol;
    if (index == BY_PORTS)
        return probes_hash_ports(probes, family, protocol, probe->group ? &anyone : &probe->target, identity->near,
                                 identity->far);
    return probes_hash_number(probes, family, protocol, (enum icmp_request)probe->icmp_request, &probe->target,
                              identity->far, number_of(probe));
}

/* Of those to one target and port, whatever ours. */
static uint32_t
crowd_hash_of(const struct probes *probes, enum family_id family, enum protocol_id protocol, const struct address *target,
              uint16_t far)
{
    return hash_key(probes, PROBE_INDEXES, family, protocol, target, far, 0);
}

static uint32_t
crowd_hash(const struct probes *probes, const struct probe *probe)
{
    return crowd_hash_of(probes, (enum family_id)probe->family, (enum protocol_id)probe->protocol, &probe->target,
                         probe->identity.far);
}

/* Of ICMP requests of one kind to one target. */
static uint32_t *
kind_count_of(const struct probes *probes, const struct probe *probe)
{
    uint32_t hash = hash_key(probes, PROBE_INDEXES, (enum family_id)probe->family, (enum protocol_id)probe->protocol,
                             &probe->target, 0, probe->icmp_request);
    return &probes->kinds[hash % KINDS];
}

/* One more of them, or one less. Those of a kind are counted where its numbers are few. */
static void
count_kind(struct probes *probes, const struct probe *probe, uint32_t change)
{
    if (icmp_kinds[probe->icmp_request].sequence_bits < 16)
        *kind_count_of(probes, probe) += change;
}

/* Memory for one more slot, in every array that is indexed by slots. */
static bool
reach(struct probes *probes, uint32_t slot)
{
    bool reached = chunks_reach(&probes->table, slot) && timers_reach(&probes->timers, slot);
    for (size_t i = 0; i < PROBE_INDEXES; i++)
        reached = reached && index_reach(&probes->indexes[i], slot);
    return reached;
}

bool
probes_reserve(struct probes *probes)
{
    return probes->free_count > 0 || reach(probes, probes->reached);
}

struct probe *
probes_add(struct probes *probes, const struct probe *model, struct instant deadline)
{
    uint32_t slot = take_slot(probes);
    struct probe *probe = probe_at(probes, slot);
    if (model->icmp_request != ICMP_REQUEST_ECHO)
        count_kind(probes, model, 1);
    *probe = *model;
    probe->slot = slot & (PROBES_MAX - 1);
    for (enum probe_index i = 0; i < PROBE_INDEXES; i++)
        index_add(&probes->indexes[i], slot, hash_of(probes, probe, i));
    if (has_crowd(probe))
        crowds_add(&probes->crowds, slot, crowd_hash(probes, probe));
    timers_set(&probes->timers, slot, deadline);
    return probe;
}

void
probes_remove(struct probes *probes, struct probe *probe)
{
    timers_end(&probes->timers, probe->slot);
    for (size_t i = 0; i < PROBE_INDEXES; i++)
        index_remove(&probes->indexes[i], probe->slot);
    if (has_crowd(probe))
        crowds_remove(&probes->crowds, probe->slot);
    if (probe->icmp_request != ICMP_REQUEST_ECHO)
        count_kind(probes, probe, UINT32_MAX); /* less by one */
    give_slot(probes, probe->slot);
}

uint32_t
probes_count(const struct probes *probes)
{
    return probes->reached - probes->free_count;
}

struct probe *
probes_any(const struct probes *probes)
{
    uint32_t slot = timers_any(&probes->timers);
    return slot == TIMER_NONE ? NULL : probe_at(probes, slot);
}

struct probe *
probes_after(const struct probes *probes, const struct probe *probe)
{
    uint32_t slot = timers_after(&probes->timers, probe->slot);
    return slot == TIMER_NONE ? NULL : probe_at(probes, slot);
}

static uint32_t
silence_hash(const struct probes *probes, const struct probe *probe, bool any_port)
{
    return any_port ? crowd_hash(probes, probe) : hash_of(probes, probe, BY_PORTS);
}

/* Neighbouring ports must not share a place: the factor spreads what hash_key() leaves side by side, in both halves. */
static struct silence *
silence_of(const struct probes *probes, uint32_t hash)
{
    return &probes->silences[hash * UINT32_C(0x9e3779b1) / (UINT32_MAX / SILENCES + 1)];
}

/* True when the last probe that was noted here left less than a minute before WHEN. */
static bool
is_remembered(const struct silence *silence, struct instant when)
{
    return silence->any && instant_since(when, silence->departed) < SILENCE_LASTS;
}

/* Takes the memory at once: page by page it would look, for hours, as if the process grew without end. */
static void
begin_to_remember(struct probes *probes)
{
    for (size_t i = 0; i < SILENCES; i++)
        probes->silences[i].any = false;
    probes->remembers = true;
}

void
probes_note_silence(struct probes *probes, const struct probe *probe)
{
    if (probe->keeps_ports && !probes->remembers)
        begin_to_remember(probes);
    for (int any_port = 0; probe->keeps_ports && any_port < 2; any_port++) {
        uint32_t hash = silence_hash(probes, probe, any_port);
        struct silence *silence = silence_of(probes, hash);
        bool several = is_remembered(silence, probe->departed) && (silence->several || silence->hash != hash);
        *silence = (struct silence){ .hash = hash, .any = true, .several = several, .departed = probe->departed };
    }
}

bool
probes_ended_lately(const struct probes *probes, const struct probe *probe, bool any_port, struct instant when)
{
    if (!probe->keeps_ports)
        return false;
    uint32_t hash = silence_hash(probes, probe, any_port);
    const struct silence *silence = silence_of(probes, hash);
    return is_remembered(silence, when) && (silence->several || silence->hash == hash);
}

struct probe *
probes_next_to_expire(const struct probes *probes, struct instant *deadline)
{
    uint32_t slot;
    return timers_next(&probes->timers, &slot, deadline) ? probe_at(probes, slot) : NULL;
}

struct instant
probes_deadline(const struct probes *probes, const struct probe *probe)
{
    return timers_get(&probes->timers, probe->slot);
}

struct probe *
probes_first(const struct probes *probes, enum probe_index index, uint32_t hash)
{
    uint32_t slot = index_first(&probes->indexes[index], hash);
    return slot == INDEX_NONE ? NULL : probe_at(probes, slot);
}

struct probe *
probes_next(const struct probes *probes, enum probe_index index, const struct probe *probe)
{
    uint32_t slot = index_next(&probes->indexes[index], probe->slot);
    return slot == INDEX_NONE ? NULL : probe_at(probes, slot);
}

/* True when two probes have the same ports, and, but for ICMP, target. */
static bool
same_ports(const struct probe *one, const struct probe *other)
{
    bool same_target = protocols[one->protocol]->ports == PORTS_ECHO || address_same(&one->target, &other->target);
    return one->family == other->family && one->protocol == other->protocol && same_target &&
           one->identity.near == other->identity.near && one->identity.far == other->identity.far;
}

bool
probes_ports_taken(const struct probes *probes, const struct probe *model)
{
    const struct probe *probe = probes_first(probes, BY_PORTS, hash_of(probes, model, BY_PORTS));
    while (probe && !same_ports(probe, model))
        probe = probes_next(probes, BY_PORTS, probe);
    return probe != NULL;
}

bool
probes_number_taken(const struct probes *probes, const struct probe *model)
{
    const struct probe *probe = probes_first(probes, BY_NUMBER, hash_of(probes, model, BY_NUMBER));
    while (probe && !(same_ports(probe, model) && number_of(probe) == number_of(model)))
        probe = probes_next(probes, BY_NUMBER, probe);
    return probe != NULL;
}

uint32_t
probes_of_kind(const struct probes *probes, const struct probe *model)
{
    return *kind_count_of(probes, model);
}

static struct probe *
crowd_at(const struct probes *probes, uint32_t slot)
{
    return slot == CROWD_END ? NULL : probe_at(probes, slot);
}

struct probe *
probes_first_there(const struct probes *probes, enum family_id family, enum protocol_id protocol,
                   enum icmp_request icmp_request, const struct address *target, uint16_t far)
{
    if (is_echo(protocol, icmp_request))
        return probes_first(probes, BY_NUMBER,
                            probes_hash_number(probes, family, protocol, icmp_request, target, far, 0));
    return crowd_at(probes, crowds_first(&probes->crowds, crowd_hash_of(probes, family, protocol, target, far)));
}

struct probe *
probes_next_there(const struct probes *probes, const struct probe *probe)
{
    if (!has_crowd(probe))
        return probes_next(probes, BY_NUMBER, probe);
    return crowd_at(probes, crowds_next(&probes->crowds, probe->slot));
}

static bool
same_crowd(const struct probe *one, const struct probe *other)
{
    return address_same(&one->target, &other->target) && one->identity.far == other->identity.far &&
           one->protocol == other->protocol && one->icmp_request == other->icmp_request && one->family == other->family;
}

bool
probes_is_alone(const struct probes *probes, const struct probe *probe)
{
    unsigned looks = 0;
    const struct probe *other =
        probes_first_there(probes, (enum family_id)probe->family, (enum protocol_id)probe->protocol,
                           (enum icmp_request)probe->icmp_request, &probe->target, probe->identity.far);
    for (; other; other = probes_next_there(probes, other))
        if (other != probe && (++looks > PROBES_LOOKS || same_crowd(other, probe)))
            return false;
    return true;
}
