/* SPDX-License-Identifier: MIT */
/*
 * What makes probes unlike each other: identity.c and allot.c, with ports that run out, among probes that come and go. No two in flight
 * may be the same in all by which answers are told apart, and what is left must be found.
 * Input: options, how many ports there are, then operations, each one byte and what it takes; see operations[].
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "packets/protocol.h"
#include "raw/leases.h"
#include "raw/ports.h"
#include "support.h"

#define IN_FLIGHT_MAX 300
#define PORT_FIRST 61440

static struct {
    struct reader input;
    uint32_t ports, more; /* that we have, and that we may still get */
    uint32_t next;
    uint32_t asked;       /* in one allotment */
    uint32_t number;      /* drawn at random */
    uint32_t leases;
    int lease_error;
    bool handed_out;      /* the ports that we have: by the kernel, to others */
    struct probe *in_flight[IN_FLIGHT_MAX];
    size_t count;
    struct probes *probes;
} world;

static uint16_t
fuzz_ports_next(struct ports *ports, struct instant now)
{
    (void)ports, (void)now;
    MUST(++world.asked < 1u << 16);
    return world.ports ? (uint16_t)(PORT_FIRST + world.next++ % world.ports) : 0;
}

static bool
fuzz_ports_grow(struct ports *ports)
{
    (void)ports;
    bool grown = world.more > 0;
    world.ports += grown;
    world.more -= grown;
    return grown;
}

static uint32_t
fuzz_ports_count(const struct ports *ports)
{
    (void)ports;
    return world.ports;
}

/* Every lease is the first, of one kind. */
static int
lease(uint32_t *lease)
{
    if (world.lease_error)
        return world.lease_error;
    world.leases++;
    *lease = 1;
    return 0;
}

static int
fuzz_leases_hold(struct leases *leases, enum family_id family, const struct address *source, uint32_t scope,
                uint16_t port, uint32_t *number)
{
    (void)leases, (void)family, (void)source, (void)scope, (void)port;
    return lease(number);
}

static int
fuzz_leases_hold_everywhere(struct leases *leases, uint16_t port, uint32_t *number)
{
    (void)leases, (void)port;
    return lease(number);
}

static int
fuzz_leases_share(struct leases *leases, uint16_t port, uint32_t *number)
{
    (void)leases, (void)port;
    world.leases++;
    *number = 1;
    return 0;
}

static void
fuzz_leases_give_up(struct leases *leases, uint32_t number)
{
    (void)leases;
    MUST(number == 1 && world.leases > 0);
    world.leases--;
}

static bool
fuzz_ports_is_handed_out(const struct ports *ports, uint16_t port)
{
    (void)ports, (void)port;
    return world.handed_out;
}

/* Comes round again soon, so that numbers meet. */
static uint32_t
fuzz_random_u32(struct random *random)
{
    (void)random;
    return world.number++ % (4 * IN_FLIGHT_MAX);
}

#define random_u32 fuzz_random_u32
#define ports_next fuzz_ports_next
#define ports_grow fuzz_ports_grow
#define ports_count fuzz_ports_count
#define ports_is_handed_out fuzz_ports_is_handed_out
#define leases_hold fuzz_leases_hold
#define leases_hold_everywhere fuzz_leases_hold_everywhere
#define leases_share fuzz_leases_share
#define leases_give_up fuzz_leases_give_up
#include "probes/identity.c"
#include "raw/allot.c"

static struct allotter *allotter; /* made once: /proc is read for it */

static struct request
take_request(void)
{
    static const uint32_t sizes[] = { 64, 28, 29, 30, 37, 38, 1500 };
    static const uint32_t ports[] = { 0, 53, 80, 33434, 65535 };
    uint8_t kind = take_u8(&world.input), more = take_u8(&world.input);
    struct request request = {
        .family = kind & 1 ? IPV6 : IPV4,
        .protocol = kind >> 1 & 3,
        .local_port = kind & 8 ? 4000 : 0,
        .pattern_given = kind & 16,
        .port = ports[(kind >> 5) % COUNT(ports)],
        .size = sizes[more % COUNT(sizes)],
    };
    request.target.bytes[0] = 10 + more / 128;
    return request;
}

/* The same in all that an answer may return. */
static bool
is_same(const struct probe *a, const struct probe *b)
{
    const struct protocol *protocol = protocols[a->protocol];
    bool same_target = protocol->ports == PORTS_ECHO || address_same(&a->target, &b->target);
    bool named = a->identity.near < PORT_FIRST;
    return a->family == b->family && a->protocol == b->protocol && same_target &&
           a->identity.near == b->identity.near && a->identity.far == b->identity.far &&
           (!named || (protocol->numbered ? a->identity.number == b->identity.number
                                          : a->identity.ip_id == b->identity.ip_id));
}

static void
check_new(const struct request *request, const struct probe *probe)
{
    const struct identity *identity = &probe->identity;
    const struct protocol *protocol = protocols[probe->protocol];
    for (size_t i = 0; i < world.count; i++)
        MUST(!is_same(world.in_flight[i], probe));
    MUST(identity->ip_id != 0 && identity->ip_id != 0xffff);
    MUST((identity->number != 0) == protocol->numbered);
    MUST(!identity->nonce || packet_nonce_ip_id(identity->nonce) == identity->ip_id);
    MUST(!request->pattern_given || !identity->nonce);
    if (protocol->ports == PORTS_ECHO)
        return;
    MUST(identity->near && identity->far && (!request->port || identity->far == request->port));
    MUST(!request->local_port || identity->near == request->local_port);
    bool leased = request->local_port || (world.handed_out && !world.lease_error);
    MUST((probe->lease != 0) == (leased && protocol->ports == PORTS_FAR_VARIES));
}

/* Nothing was found: so every port of ours is taken, or there is none. */
static void
check_exhausted(const struct request *request, struct probe model)
{
    MUST(protocols[request->protocol]->ports != PORTS_ECHO && !request->local_port);
    MUST(world.ports == 0 || (world.more == 0 && model.identity.far));
    if (world.handed_out && world.lease_error == EADDRINUSE) /* others have them */
        return;
    for (uint32_t i = 0; i < world.ports; i++) {
        model.identity.near = (uint16_t)(PORT_FIRST + i);
        MUST(probes_ports_taken(world.probes, &model));
    }
}

static void
send_one(void)
{
    struct request request = take_request();
    struct probe model = { .target = request.target, .family = (uint8_t)request.family,
                           .protocol = (uint8_t)request.protocol };
    if (world.count == IN_FLIGHT_MAX)
        return;
    world.asked = 0;
    uint32_t leases = world.leases;
    int error = allot(allotter, &request, world.probes, &model);
    if (!error)
        error = allot_lease(allotter, &request, &model);
    MUST(!error || (!model.lease && world.leases == leases));
    if (error == ENOSPC && error != world.lease_error)
        check_exhausted(&request, model);
    MUST(!error || error == ENOSPC || error == world.lease_error);
    if (error)
        return;
    check_new(&request, &model);
    MUST(probes_reserve(world.probes));
    world.in_flight[world.count++] = probes_add(world.probes, &model, (struct instant){ 0 });
}

static void
send_many(void)
{
    struct reader same = world.input;
    for (uint8_t left = take_u8(&same); left > 0; left--) {
        world.input = same;
        send_one();
    }
}

static void
end_at(size_t i)
{
    struct probe *probe = world.in_flight[i];
    world.in_flight[i] = world.in_flight[--world.count];
    allot_release(allotter, probe);
    MUST(!probe->lease);
    probes_remove(world.probes, probe);
}

static void
end_one(void)
{
    uint16_t which = take_u16(&world.input);
    if (world.count)
        end_at(which % world.count);
}

/* As if everything up to those in flight had been used once. */
static void
go_back(void)
{
    uint8_t steps = take_u8(&world.input);
    struct identities *identities = &allotter->identities;
    identities->ip_id = (uint16_t)(identities->ip_id - steps);
    identities->echo_number -= steps;
    uint16_t far = take_u8(&world.input) % 2 ? 65535 : FAR_PORT_FIRST;
    for (enum family_id family = 0; family < FAMILIES; family++)
        identities->varying[family].far = identities->varying[family].named_far = far;
}

static void
choose_error(void)
{
    static const int errors[] = { 0, EADDRINUSE, ENOMEM, EADDRNOTAVAIL };
    uint8_t choice = take_u8(&world.input);
    world.lease_error = errors[choice % COUNT(errors)];
    world.handed_out = choice & 128;
}

static void (*const operations[])(void) = { send_one, send_many, end_one, go_back, choose_error };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!allotter)
        allotter = allotter_new();
    MUST(allotter);
    memset(&world, 0, sizeof world);
    world.input = (struct reader){ data, size };
    world.ports = take_u8(&world.input) % 16;
    world.more = take_u8(&world.input) % 4;
    world.probes = probes_new(1);
    allotter->identities.echo_number = take_u8(&world.input);
    allotter->identities.ip_id = (uint16_t)(0xffff - take_u8(&world.input));
    memset(allotter->identities.varying, 0, sizeof allotter->identities.varying);
    while (world.input.left > 0)
        operations[take_u8(&world.input) % COUNT(operations)]();
    while (world.count)
        end_at(world.count - 1);
    MUST(world.leases == 0 && probes_count(world.probes) == 0);
    probes_free(world.probes);
    return 0;
}
