/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "packets/protocol.h"
#include "probes/probe.h"
#include "suites.h"
#include "support.h"

#define SEED UINT64_C(0x0123456789abcdef)

/*
 * The I-th of many probes that differ in all that they are found by; but for the sequence numbers of echo requests, each of
 * which 16 of a family have. Its token is I.
 */
static struct probe
probe_number(uint32_t i)
{
    bool echo = (i >> 1 & 3) == PROTOCOL_ICMP;
    struct probe probe = {
        .token = (int32_t)i,
        .family = i & 1 ? IPV6 : IPV4,
        .protocol = (uint8_t)(i >> 1 & 3),
        .identity = {
            .near = (uint16_t)(echo ? i >> 16 : i),
            .far = (uint16_t)(echo ? i : i >> 16),
            .number = i * UINT32_C(2654435761),
            .ip_id = (uint16_t)(i * 40503u),
            .balanced = i & 8,
        },
    };
    uint8_t *bytes = probe.target.bytes;
    bytes[0] = 10;
    bytes[1] = (uint8_t)(i >> 14);
    bytes[2] = (uint8_t)(i >> 7);
    bytes[i & 1 ? 15 : 3] = i & 1 ? (uint8_t)i : 1; /* over IPv6 not each has a number */
    return probe;
}

/* Not in the order in which they are added; many are equal. */
static struct instant
deadline_number(uint32_t i)
{
    return (struct instant){ (int64_t)(i * UINT32_C(2246822519) >> 12) };
}

static uint32_t
hash_of(const struct probes *probes, const struct probe *probe, enum probe_index index)
{
    const struct identity *identity = &probe->identity;
    enum family_id family = (enum family_id)probe->family;
    enum protocol_id protocol = (enum protocol_id)probe->protocol;
    if (index == BY_PORTS)
        return probes_hash_ports(probes, family, protocol, &probe->target, identity->near, identity->far);
    uint32_t number = protocols[protocol]->numbered ? identity->number : identity->ip_id;
    return probes_hash_number(probes, family, protocol, (enum icmp_request)probe->icmp_request, &probe->target,
                              identity->far, number);
}

/* The probe with this token, if an index has it under that probe's hash; counts the steps. */
static struct probe *
find(const struct probes *probes, const struct probe *model, enum probe_index index, uint64_t *steps)
{
    struct probe *found = probes_first(probes, index, hash_of(probes, model, index));
    for (; found && found->token != model->token; found = probes_next(probes, index, found))
        ++*steps;
    return found;
}

static struct probe *
add(struct probes *probes, const struct probe *model, struct instant deadline)
{
    MUST(probes_reserve(probes));
    return probes_add(probes, model, deadline);
}

static void
fill(struct probes *probes)
{
    for (uint32_t i = 0; i < PROBES_MAX; i++) {
        struct probe model = probe_number(i);
        struct probe *probe = add(probes, &model, deadline_number(i));
        MUST(probe->token == model.token);
    }
    MUST(probes_count(probes) == PROBES_MAX);
}

static void
find_all(const struct probes *probes)
{
    uint64_t all_steps = 0;
    for (uint32_t i = 0; i < PROBES_MAX; i++) {
        struct probe model = probe_number(i);
        for (enum probe_index index = 0; index < PROBE_INDEXES; index++) {
            uint64_t steps = 0;
            struct probe *found = find(probes, &model, index, &steps);
            MUST(found && address_same(&found->target, &model.target));
            MUST(probes_deadline(probes, found).ns == deadline_number(i).ns);
            if (model.protocol == PROTOCOL_ICMP && index == BY_NUMBER)
                MUST(steps < 20); /* 15, and one whose hash is the same by chance */
            else
                all_steps += steps;
        }
    }
    MUST(all_steps <= PROBES_MAX / 2); /* hashes hardly ever meet */
}

static void
expire_all(struct probes *probes)
{
    struct instant deadline, before = { INT64_MIN };
    uint8_t *seen = zeroed_memory(PROBES_MAX, 1);
    for (uint32_t left = PROBES_MAX; left > 0; left--) {
        struct probe *probe = probes_next_to_expire(probes, &deadline);
        MUST(probe && deadline.ns >= before.ns && !seen[probe->token]);
        MUST(deadline.ns == deadline_number((uint32_t)probe->token).ns);
        seen[probe->token] = 1;
        before = deadline;
        probes_remove(probes, probe);
        if (left % 65536 == 1)
            MUST(probes_count(probes) == left - 1);
    }
    free(seen);
    ck_assert_ptr_null(probes_next_to_expire(probes, &deadline));
}

START_TEST(a_million)
{
    struct probes *probes = probes_new(SEED);
    fill(probes);
    find_all(probes);
    MUST(!probes_reserve(probes)); /* full */

    /* one goes, one comes */
    struct probe model = probe_number(4711), another = probe_number(PROBES_MAX + 4711);
    uint64_t steps = 0;
    probes_remove(probes, find(probes, &model, BY_PORTS, &steps));
    MUST(!find(probes, &model, BY_PORTS, &steps) && !find(probes, &model, BY_NUMBER, &steps));
    add(probes, &another, deadline_number(1));
    MUST(find(probes, &another, BY_NUMBER, &steps) != NULL);
    MUST(!probes_reserve(probes));
    probes_remove(probes, find(probes, &another, BY_NUMBER, &steps));
    add(probes, &model, deadline_number(4711));

    expire_all(probes);
    fill(probes); /* and all again, in the memory that is there */
    MUST(!probes_reserve(probes));
    expire_all(probes);
    probes_free(probes);
}
END_TEST

START_TEST(a_probe_and_its_share_of_indexes_are_small)
{
    MUST(sizeof(struct probe) <= 128);
}
END_TEST

/* ---- against a naive model ---- */

#define MODELS 1500u

static void
check_earliest(const struct probes *probes, struct probe *const in_flight[MODELS], const int64_t deadlines[MODELS])
{
    struct instant deadline;
    int64_t earliest = INT64_MAX;
    uint32_t count = 0;
    for (uint32_t i = 0; i < MODELS; i++) {
        count += in_flight[i] != NULL;
        if (in_flight[i] && deadlines[i] < earliest)
            earliest = deadlines[i];
    }
    MUST(probes_count(probes) == count);
    struct probe *next = probes_next_to_expire(probes, &deadline);
    MUST((next != NULL) == (count > 0));
    if (next)
        MUST(deadline.ns == earliest && deadlines[next->token] == earliest && in_flight[next->token] == next);
}

START_TEST(random_against_model)
{
    struct probes *probes = probes_new(SEED);
    struct probe *in_flight[MODELS] = { NULL };
    int64_t deadlines[MODELS];
    uint64_t state = 12, steps = 0;
    for (uint32_t round = 0; round < 60000; round++) {
        uint32_t i = dice(&state) % MODELS;
        struct probe model = probe_number(i);
        for (enum probe_index index = 0; index < PROBE_INDEXES; index++)
            MUST(find(probes, &model, index, &steps) == in_flight[i]);
        if (in_flight[i]) {
            probes_remove(probes, in_flight[i]);
            in_flight[i] = NULL;
        } else {
            deadlines[i] = dice(&state) % 1000;
            in_flight[i] = add(probes, &model, (struct instant){ deadlines[i] });
            MUST(probes_deadline(probes, in_flight[i]).ns == deadlines[i]);
        }
        if (round % 16 == 0)
            check_earliest(probes, in_flight, deadlines);
    }
    probes_free(probes);
}
END_TEST

/* ---- many under one key ---- */

#define MANY 100000u

START_TEST(many_share_one_key)
{
    struct probes *probes = probes_new(SEED);
    struct probe **all = memory(MANY * sizeof *all);
    struct probe model = { .protocol = PROTOCOL_UDP, .identity = { .near = 5000, .far = 53 } };
    for (uint32_t i = 0; i < MANY; i++) {
        model.token = (int32_t)i;
        model.identity.ip_id = (uint16_t)(i % 5); /* the other index has few keys too */
        all[i] = add(probes, &model, (struct instant){ i });
    }
    uint32_t left = MANY;
    for (struct probe *probe = probes_first(probes, BY_PORTS, hash_of(probes, &model, BY_PORTS)); probe;
         probe = probes_next(probes, BY_PORTS, probe))
        MUST((uint32_t)probe->token == --left); /* newest first */
    MUST(left == 0);

    uint64_t state = 13; /* in any order, each in constant time */
    for (uint32_t i = MANY; i > 0; i--) {
        uint32_t other = dice(&state) % i;
        struct probe *probe = all[other];
        all[other] = all[i - 1];
        probes_remove(probes, probe);
    }
    ck_assert_ptr_null(probes_first(probes, BY_PORTS, hash_of(probes, &model, BY_PORTS)));
    free(all);
    probes_free(probes);
}
END_TEST

/*
 * In whatever steps ports and numbers count, the buckets are used evenly: what is not there is found not to be there in
 * few steps. Were it not so, this would take minutes.
 */
START_TEST(in_any_steps)
{
    static const struct {
        int near, far, id;
    } steps[] = { { 0, 1, 1 }, { 1, 0, 1 }, { 0, -1, 1 }, { 1, -1, 1 }, { 0, -2, 1 }, { 2, 2, 1 }, { 16, -16, 1 } };
    for (size_t kind = 0; kind < COUNT(steps); kind++) {
        struct probes *probes = probes_new(SEED);
        struct probe model = { .protocol = PROTOCOL_UDP, .identity = { .near = 5000, .far = 60000, .ip_id = 1 } };
        for (uint32_t i = 0; i < 60000; i++) {
            MUST(!probes_number_taken(probes, &model));
            probes_ports_taken(probes, &model);
            add(probes, &model, (struct instant){ 0 });
            model.identity.near = (uint16_t)(model.identity.near + steps[kind].near);
            model.identity.far = (uint16_t)(model.identity.far + steps[kind].far);
            model.identity.ip_id = (uint16_t)(model.identity.ip_id + steps[kind].id);
        }
        probes_free(probes);
    }
}
END_TEST

/* ---- ports taken ---- */

static struct probe
taker(enum protocol_id protocol)
{
    return (struct probe){
        .family = IPV4,
        .protocol = (uint8_t)protocol,
        .target = address_of(IPV4, "192.0.2.9"),
        .identity = { .near = 5000, .far = 53, .number = 77 },
    };
}

START_TEST(ports_taken)
{
    for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++) {
        struct probes *probes = probes_new(SEED);
        struct probe model = taker(protocol), other = model;
        MUST(!probes_ports_taken(probes, &model));
        struct probe *probe = add(probes, &model, (struct instant){ 1 });
        other.identity.number = 78; /* not a port */
        MUST(probes_ports_taken(probes, &other));
        other.identity.near++;
        MUST(!probes_ports_taken(probes, &other));
        other = model;
        other.identity.far++;
        MUST(!probes_ports_taken(probes, &other));
        other = model;
        other.protocol = (uint8_t)((protocol + 1) % PROTOCOLS);
        MUST(!probes_ports_taken(probes, &other));
        other = model;
        other.family = IPV6;
        MUST(!probes_ports_taken(probes, &other));
        other = model;
        other.target.bytes[3]++;
        MUST(probes_ports_taken(probes, &other) == (protocol == PROTOCOL_ICMP)); /* anyone may echo */
        probes_remove(probes, probe);
        MUST(!probes_ports_taken(probes, &model));
        probes_free(probes);
    }
}
END_TEST

/* Alone is what has no other with its family, protocol, kind, target and far; its own ports and numbers do not matter. */
START_TEST(alone)
{
    for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++) {
        struct probes *probes = probes_new(SEED);
        struct probe model = taker(protocol), other = model;
        struct probe *probe = add(probes, &model, (struct instant){ 1 });
        MUST(probes_is_alone(probes, probe));
        other.identity.near++;
        other.identity.number++;
        other.identity.ip_id++;
        struct probe *rival = add(probes, &other, (struct instant){ 1 });
        MUST(!probes_is_alone(probes, probe) && !probes_is_alone(probes, rival));
        probes_remove(probes, rival);
        MUST(probes_is_alone(probes, probe));
        other.identity.far++;
        add(probes, &other, (struct instant){ 1 });
        other = model;
        other.target.bytes[3]++;
        add(probes, &other, (struct instant){ 1 });
        other = model;
        other.protocol = (uint8_t)((protocol + 1) % PROTOCOLS);
        add(probes, &other, (struct instant){ 1 });
        other = model;
        other.icmp_request = ICMP_REQUEST_TIMESTAMP;
        if (protocol == PROTOCOL_ICMP)
            add(probes, &other, (struct instant){ 1 });
        MUST(probes_is_alone(probes, probe));
        probes_free(probes);
    }
}
END_TEST

/* ---- crowds against a naive count ---- */

#define CROWDED 20000u

/*
 * Which of the crowds a probe belongs to: some are of a hundred, most of a few. Of those of ICMP none is of echo requests,
 * whose sequence numbers are no more than 16 probes' each; see `sharers_of_a_sequence`.
 */
static uint32_t
crowd_number(uint32_t i)
{
    return i % 4 == 0 ? i / 4 % 50 : i % 4 == 1 ? i / 2 : i;
}

static struct probe
crowded(uint32_t i, uint32_t crowd)
{
    struct probe probe = taker((enum protocol_id)(crowd % PROTOCOLS));
    probe.token = (int32_t)i;
    probe.icmp_request = probe.protocol == PROTOCOL_ICMP ? ICMP_REQUEST_TIMESTAMP : 0;
    probe.identity.near = (uint16_t)i;
    probe.identity.far = (uint16_t)(33434 + crowd % 100);
    probe.target.bytes[2] = (uint8_t)(crowd / 100);
    probe.target.bytes[1] = (uint8_t)(crowd / 25600);
    return probe;
}

/* While they come and go in any order, and the table grows, it is known of each whether it is alone. */
START_TEST(crowds_against_a_count)
{
    struct probes *probes = probes_new(SEED);
    struct probe **in_flight = zeroed_memory(CROWDED, sizeof *in_flight);
    uint32_t *count = zeroed_memory(CROWDED, sizeof *count), lonely = 0;
    uint64_t state = 15;
    for (uint32_t round = 0; round < 30 * CROWDED; round++) {
        uint32_t reach = round < 2 * CROWDED ? 1 + round / 2 : CROWDED; /* ever more of them, and at the end none */
        uint32_t i = round < 29 * CROWDED ? dice(&state) % reach : round % CROWDED, crowd = crowd_number(i);
        if (in_flight[i]) {
            MUST(probes_is_alone(probes, in_flight[i]) == (count[crowd] == 1));
            lonely += count[crowd] == 1;
            probes_remove(probes, in_flight[i]);
            in_flight[i] = NULL;
            count[crowd]--;
        } else if (round < 29 * CROWDED) {
            struct probe model = crowded(i, crowd);
            in_flight[i] = add(probes, &model, deadline_number(i));
            count[crowd]++;
            MUST(probes_is_alone(probes, in_flight[i]) == (count[crowd] == 1));
        }
    }
    MUST(probes_count(probes) == 0 && lonely > CROWDED);
    free(in_flight);
    free(count);
    probes_free(probes);
}
END_TEST

/* A million echo requests, of which 16 have a sequence number in common, and of these each two the target. */
START_TEST(sharers_of_a_sequence)
{
    struct probes *probes = probes_new(SEED);
    struct probe **added = zeroed_memory(PROBES_MAX, sizeof *added);
    for (uint32_t i = 0; i < PROBES_MAX; i++) {
        struct probe model = taker(PROTOCOL_ICMP);
        model.token = (int32_t)i;
        model.identity.near = (uint16_t)(0x1230 | i >> 16);
        model.identity.far = (uint16_t)i;
        model.target.bytes[3] = (uint8_t)(i >> 16 & 14); /* two of them have the same */
        added[i] = add(probes, &model, deadline_number(i));
    }
    for (const struct probe *probe = probes_any(probes); probe; probe = probes_after(probes, probe))
        MUST(probe->token % 101 || !probes_is_alone(probes, probe));
    for (uint32_t i = 0; i < PROBES_MAX; i++)
        if (i >> 16 & 1)
            probes_remove(probes, added[i]);
    for (const struct probe *probe = probes_any(probes); probe; probe = probes_after(probes, probe))
        MUST(probe->token % 101 || probes_is_alone(probes, probe));
    free(added);
    probes_free(probes);
}
END_TEST

/* Each of a million that has a target or a port of its own is alone. */
START_TEST(a_million_alone)
{
    struct probes *probes = probes_new(SEED);
    for (uint32_t i = 0; i < PROBES_MAX; i++) {
        struct probe model = crowded(i, i);
        add(probes, &model, deadline_number(i));
    }
    uint32_t count = 0;
    for (const struct probe *probe = probes_any(probes); probe; probe = probes_after(probes, probe))
        MUST(count++ % 7 || probes_is_alone(probes, probe));
    MUST(count == PROBES_MAX);
    probes_free(probes);
}
END_TEST

/* Who by chance shares its place with more than PROBES_LOOKS of a crowd passes for one of these: else who asks pays. */
START_TEST(alone_beside_a_crowd)
{
    static struct probe *crowd[PROBES_LOOKS + 1];
    struct probes *probes = probes_new(SEED);
    struct probe *lost = NULL;
    for (uint32_t i = 0; i < COUNT(crowd); i++) {
        struct probe model = crowded(i, 0);
        crowd[i] = add(probes, &model, deadline_number(i));
    }
    for (uint32_t i = 1; !lost && i < 1000000; i++) {
        struct probe model = crowded(i, i), *other = add(probes, &model, deadline_number(i));
        if (probes_is_alone(probes, other))
            probes_remove(probes, other);
        else
            lost = other;
    }
    MUST(lost != NULL); /* one in 65,536 is */
    probes_remove(probes, crowd[0]);
    MUST(probes_is_alone(probes, lost) && !probes_is_alone(probes, crowd[1]));
    probes_free(probes);
}
END_TEST

/* Another seed, another order of buckets: who knows the ports can't choose the bucket. */
START_TEST(hashes_depend_on_the_seed)
{
    struct probes *one = probes_new(1), *other = probes_new(2);
    uint32_t same = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        struct probe model = probe_number(i);
        for (enum probe_index index = 0; index < PROBE_INDEXES; index++)
            same += (hash_of(one, &model, index) & 63) == (hash_of(other, &model, index) & 63);
    }
    MUST(same < 2000 / 64 * 3);
    probes_free(one);
    probes_free(other);
}
END_TEST

Suite *
probe_suite(void)
{
    Suite *suite = suite_create("probe");
    TCase *tests = tcase_create("probe");
    tcase_add_test(tests, a_million);
    tcase_add_test(tests, a_probe_and_its_share_of_indexes_are_small);
    tcase_add_test(tests, random_against_model);
    tcase_add_test(tests, many_share_one_key);
    tcase_add_test(tests, in_any_steps);
    tcase_add_test(tests, ports_taken);
    tcase_add_test(tests, alone);
    tcase_add_test(tests, crowds_against_a_count);
    tcase_add_test(tests, sharers_of_a_sequence);
    tcase_add_test(tests, a_million_alone);
    tcase_add_test(tests, alone_beside_a_crowd);
    tcase_add_test(tests, hashes_depend_on_the_seed);
    suite_add_tcase(suite, tests);
    return suite;
}
