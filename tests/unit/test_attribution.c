/* SPDX-License-Identifier: MIT */
/*
 * Quotes of hundreds of thousands of probes, in flight and lately ended, as they are, rebuilt, translated and mixed: each
 * belongs to the probe that it quotes, or to nobody. ATTRIBUTIONS=1000000 in the environment is for long.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packets/protocol.h"
#include "probes/match.h"
#include "suites.h"
#include "support.h"

enum { PROBES = 96, QUOTES = 500, FLOWS = 4 }; /* of each world */

static const struct instant departure = { 1000 * NS_PER_MS };

static const char *const us[] = { "192.0.2.1", "2001:db8::1" };
static const char *const routers[] = { "203.0.113.9", "2001:db8:9::9" };
static const char *const nats[] = { "203.0.113.200", "2001:db8:9::200" };
static const char *const behind[] = { "10.1.2.3", "fd00::1:2:3" }; /* a target as its NAT has it */
static const char *const targets[3][FAMILIES] = {
    { "198.51.100.7", "2001:db8:7::7" },
    { "198.51.100.8", "2001:db8:7::8" },
    { "198.51.101.7", "2001:db8:7:1::7" },
};

/* A probe, and the bytes that it went as. */
struct sent {
    struct request request;
    struct probe probe;
    uint8_t packet[256];
    size_t length;
    const struct probe *in_flight; /* NULL: it ended without an answer */
};

/* Numbers that count up, so that none comes again within a minute. */
struct world {
    struct probes *probes;
    struct sent sent[PROBES];
    uint64_t dice;
    uint16_t near, sequence, id;
    uint32_t kinds[FLOWS]; /* a flow's packets are of one kind */
};

static bool
one_in(struct world *world, uint32_t count)
{
    return dice(&world->dice) % count == 0;
}

/* Three in four keep their ports, as those of a flow or of a client that named both. */
static void
send_probe(struct world *world, struct sent *sent)
{
    static const size_t payloads[] = { 0, 1, 2, 8, 10, 36 };
    enum family_id family = one_in(world, 2) ? IPV4 : IPV6;
    enum protocol_id protocol = one_in(world, 3) ? PROTOCOL_ICMP : one_in(world, 3) ? PROTOCOL_SCTP : PROTOCOL_UDP;
    bool echo = protocol == PROTOCOL_ICMP, numbered = protocol == PROTOCOL_SCTP, keeps_ports = !one_in(world, 4);
    uint16_t flow = (uint16_t)(dice(&world->dice) % FLOWS);
    uint32_t kind = keeps_ports ? world->kinds[flow] : dice(&world->dice); /* of what size, and with a pattern */
    size_t payload = payloads[kind / 2 % COUNT(payloads)];
    *sent = (struct sent){
        .request = {
            .family = family,
            .protocol = protocol,
            .target = address_of(family, targets[dice(&world->dice) % COUNT(targets)][family]),
            .ttl = 3,
            .size = (uint32_t)(protocol_headers_size(family, protocol) + payload),
            .pattern_given = kind % 2,
        },
    };
    struct identity identity = {
        .source = address_of(family, us[family]),
        .near = keeps_ports ? (uint16_t)(50000 + flow) : ++world->near,
        .far = echo ? ++world->sequence : (uint16_t)(33434 + (keeps_ports ? flow / 2 : dice(&world->dice) % 100)),
        .ip_id = ++world->id,
        .number = numbered ? dice(&world->dice) | 1 : 0,
        .balanced = keeps_ports && payload >= BALANCE_SIZE && !numbered,
    };
    identity.checksum = echo ? (uint16_t)(0x1000 + flow) : identity.ip_id; /* where it is balanced */
    packet_offer_nonce(&sent->request, &identity, (uint64_t)dice(&world->dice) << 32 | dice(&world->dice));
    sent->length = packet_build(&sent->request, &identity, sent->packet, sizeof sent->packet);
    sent->probe = (struct probe){
        .identity = identity,
        .target = sent->request.target,
        .departed = departure,
        .keeps_ports = keeps_ports,
        .payload_size = (uint16_t)packet_payload_size(&sent->request),
        .family = (uint8_t)family,
        .protocol = (uint8_t)protocol,
    };
    MUST(sent->length > 0 && probes_reserve(world->probes));
    struct probe *probe = probes_add(world->probes, &sent->probe, departure);
    sent->in_flight = probe;
    if (!one_in(world, 3))
        return;
    probes_note_silence(world->probes, probe);
    probes_remove(world->probes, probe);
    sent->in_flight = NULL;
}

/* What boxes may do to a packet, and to what is quoted of it; any of these at once. */
enum box {
    BOX_SOURCE = 1,   /* another source, */
    BOX_PORT = 2,     /* with another port, of those that NATs give */
    BOX_TARGET = 4,   /* another target, */
    BOX_FAR = 8,      /* with another port */
    BOX_REBUILDS = 16, /* IPv4 identification 0 with DF, no udp checksum */
    BOX_RECOMPUTES = 32, /* the checksum of an echo request, by what of it is quoted */
    BOXES = 64
};

static void
put_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* Another source or target; the checksum of what is sent beyond is made right, which RFC 1624 comes to as well. */
static void
translate(struct world *world, const struct sent *sent, unsigned boxes, uint8_t *packet)
{
    enum family_id family = sent->request.family;
    size_t size = families[family].address_size, header = families[family].header_size, length = sent->length - header;
    uint8_t *source = packet + (family == IPV4 ? 12 : 8), *target = source + size, *transport = packet + header;
    bool echo = sent->request.protocol == PROTOCOL_ICMP, udp = sent->request.protocol == PROTOCOL_UDP;
    struct address nat = address_of(family, nats[family]), real = address_of(family, behind[family]);
    if (boxes & BOX_SOURCE)
        memcpy(source, nat.bytes, size);
    if (boxes & BOX_SOURCE && boxes & BOX_PORT)
        put_u16(transport + (echo ? 4 : 0), (uint16_t)(1024 + dice(&world->dice) % 64512));
    if (boxes & BOX_TARGET)
        memcpy(target, real.bytes, size);
    if (boxes & BOX_TARGET && boxes & BOX_FAR && !echo)
        put_u16(transport + 2, (uint16_t)(1024 + dice(&world->dice) % 64512));
    if (!echo && !udp)
        return; /* SCTP's CRC: beyond the quoted bytes, or as it was */
    uint8_t number = protocols[sent->request.protocol]->number[family];
    uint32_t sum = echo && family == IPV4 ? 0 : plain_pseudo_sum(family, source, target, number, length);
    uint8_t *checksum = transport + (echo ? 2 : 6);
    put_u16(checksum, 0);
    uint16_t right = (uint16_t)~plain_sum(sum, transport, length);
    put_u16(checksum, right || echo ? right : 0xffff);
}

/* Somebody's error that quotes the packet, as so many boxes left it. COUNT bytes behind the IP header. */
static struct answer
quote(struct world *world, const struct sent *sent, unsigned boxes, size_t count, uint8_t bytes[static 512])
{
    struct writer writer = { .start = bytes, .size = 512 };
    enum family_id family = sent->request.family;
    size_t header = families[family].header_size, checksum = sent->request.protocol == PROTOCOL_ICMP ? 2 : 6;
    struct address router = address_of(family, routers[family]), here = address_of(family, us[family]);
    uint8_t packet[sizeof sent->packet];
    memcpy(packet, sent->packet, sent->length);
    if (boxes & (BOX_SOURCE | BOX_TARGET))
        translate(world, sent, boxes, packet);
    if (boxes & BOX_REBUILDS && family == IPV4)
        memcpy(packet + 4, (const uint8_t[]){ 0, 0, 0x40, 0 }, 4);
    if (boxes & BOX_REBUILDS && family == IPV4 && sent->request.protocol == PROTOCOL_UDP)
        put_u16(packet + header + checksum, 0);
    if (boxes & BOX_RECOMPUTES && sent->request.protocol == PROTOCOL_ICMP)
        put_u16(packet + header + checksum, (uint16_t)(packet[header + 2] << 8 | packet[header + 3]) + 16);
    write_u8(&writer, family == IPV4 ? 11 : 3);
    write_fill(&writer, 0, 7);
    write_bytes(&writer, packet, header + count);
    if (family == IPV4)
        put_u16(bytes + 2, (uint16_t)~plain_sum(0, bytes, writer.used));
    struct datagram datagram = {
        .family = family,
        .number = families[family].icmp_protocol,
        .bytes = { bytes, writer.used },
        .bare = true,
        .from = router,
        .to = here,
        .arrived = instant_after(departure, 20 * NS_PER_MS),
    };
    struct answer answer;
    MUST(packet_decode(&datagram, &answer));
    return answer;
}

static void
start_world(struct world *world, uint64_t number)
{
    *world = (struct world){ .probes = probes_new(number), .dice = number * 2 + 1 };
    world->near = 61440;
    world->sequence = (uint16_t)dice(&world->dice);
    world->id = (uint16_t)(1 + dice(&world->dice) % 60000);
    for (size_t i = 0; i < FLOWS; i++)
        world->kinds[i] = dice(&world->dice);
    for (size_t i = 0; i < PROBES; i++)
        send_probe(world, &world->sent[i]);
}

START_TEST(of_its_own_probe_or_of_none)
{
    static struct world world;
    const char *wish = getenv("ATTRIBUTIONS");
    unsigned long quotes = wish ? strtoul(wish, NULL, 10) : 100000, found = 0, of_live = 0, as_sent = 0;
    for (unsigned long i = 0; i < quotes; i++) {
        if (i % QUOTES == 0)
            start_world(&world, i);
        const struct sent *sent = &world.sent[dice(&world.dice) % PROBES];
        size_t length = sent->length - families[sent->request.family].header_size;
        size_t count = one_in(&world, 2) ? 8 : one_in(&world, 2) ? length : 8 + dice(&world.dice) % (length - 7);
        unsigned boxes = one_in(&world, 4) ? 0 : dice(&world.dice) % BOXES;
        uint8_t bytes[512];
        struct answer answer = quote(&world, sent, boxes, count, bytes);
        const struct probe *probe = match_find(world.probes, &answer);
        if (probe && probe != sent->in_flight)
            ck_abort_msg("quote %lu: IPv%u %s, %zu bytes of %zu, boxes %u, balanced %d, nonce %d, %s, by another's", i,
                         version_of(sent->request.family), protocols[sent->request.protocol]->name, count, length, boxes,
                         sent->probe.identity.balanced, sent->probe.identity.nonce != 0,
                         sent->in_flight ? "in flight" : "ended");
        found += probe != NULL;
        of_live += sent->in_flight != NULL;
        as_sent += sent->in_flight != NULL && boxes == 0 && sent->request.family == IPV4 && !probe;
        if (i % QUOTES == QUOTES - 1)
            probes_free(world.probes);
    }
    if (quotes % QUOTES)
        probes_free(world.probes);
    ck_assert_uint_eq(as_sent, 0);                  /* the identification is enough */
    ck_assert_uint_gt(found, of_live / 2);
    if (wish)
        printf("%lu quotes, %lu of probes in flight, %lu attributed, none wrongly\n", quotes, of_live, found);
}
END_TEST

Suite *
attribution_suite(void)
{
    Suite *suite = suite_create("attribution");
    TCase *tests = tcase_create("attribution");
    tcase_add_test(tests, of_its_own_probe_or_of_none);
    suite_add_tcase(suite, tests);
    return suite;
}
