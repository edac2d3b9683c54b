/* SPDX-License-Identifier: MIT */
/*
 * The loop's core: lines, answers, local refusals, held requests, time and a reader who may be slow, in any order. The
 * transport is a fake that knows what has to come of each probe: each accepted line gets one reply, that of a probe an
 * answer if a right one arrived by its deadline, else no-reply, and not before. Sweeps are told in the end how many of their
 * probes left and were answered, and each of those is said.
 * Input: options, then operations, each one byte and what it takes; see operations[].
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "forge.h"
#include "lines/reply.h"
#include "packets/protocol.h"
#include "probes/prober.h"
#include "support.h"

#define LINES_MAX 400
#define ANSWERS_MAX 400
#define SWEPT_MAX 1500 /* probes of sweeps; beyond, the transport refuses them */
#define UNREAD_MAX (64 * 1024) /* bytes; as the loop's */
#define LINE_MAX_HERE 600
#define OUTPUT_BYTES 4096 /* that wait in the pipe */
#define END_OF_TIME (3000000000 * NS_PER_S)

enum {
    OPTION_STRICT = 1,
    OPTION_OLD_WORDS = 2,
    OPTION_NO_MARK = 4,
    OPTION_NO_IPV6 = 8,
    OPTION_NO_SCTP = 16,
    OPTION_NO_ADDRESS = 32,
    OPTION_NO_FLOW = 64,
    OPTION_LIMITED = 128, /* requests are held, and none is set aside: no timeout runs but from when a probe left */
};

/* One line given, by its token; and the probe that it became, if any. */
struct entry {
    bool sent, released;
    bool waited;         /* it was set aside, or held by a limit, */
    struct instant read; /* and when */
    bool due; /* an answer that must count arrived in time */
    bool collect, detail;
    unsigned replies;
    unsigned due_lines, lines; /* of collect: right answers in time, and what was said of them */
    struct instant deadline;
    struct probe probe;
    uint8_t nonce[NONCE_SIZE];
    bool sweep, begun;   /* the line asks for one; its first probe was to be sent */
    unsigned swept;      /* probes of it that left */
};

/* A probe of a sweep that left. */
struct swept {
    bool released, due;
    struct instant deadline;
    struct probe probe;
    uint8_t nonce[NONCE_SIZE];
};

static struct {
    struct transport transport;
    struct reader input;
    uint8_t options;
    struct clock clock;
    struct instant now;
    int error; /* of the next sends */

    struct entry entries[LINES_MAX + 1];
    int32_t tokens;         /* the last given; 0 answers what has none */
    uint32_t taken, said;   /* lines, replies */
    uint32_t sent, released;
    struct swept swept[SWEPT_MAX];
    uint32_t swept_count;
    char held[LINE_MAX_HERE];
    size_t held_length;     /* of a line to be given again, or 0 */

    struct answer answers[ANSWERS_MAX]; /* what waits in the socket, from `first` on */
    size_t first, last;
    size_t batch;
    bool ready;

    struct prober *prober;
    struct output *output;
    int pipe[2];
    char text[OUTPUT_BYTES + REPLY_MAX];
    size_t text_length;
} world;

/* ---- the transport ---- */

static bool
fake_has_address(struct transport *transport, enum family_id family)
{
    (void)transport;
    return !((world.options & OPTION_NO_ADDRESS) && family == IPV6);
}

static bool
fake_supports_mark(const struct transport *transport)
{
    (void)transport;
    return !(world.options & OPTION_NO_MARK);
}

static bool
fake_has_flows(const struct transport *transport, enum protocol_id protocol)
{
    (void)transport;
    return !(world.options & OPTION_NO_FLOW) || protocol == PROTOCOL_ICMP;
}

static bool
fake_find_device_name(const struct transport *transport, uint32_t device, char name[IFNAMSIZ])
{
    (void)transport;
    memset(name, 0xfe, IFNAMSIZ - 1); /* of an interface that somebody called so */
    name[IFNAMSIZ - 1] = '\0';
    return device & 1;
}

static struct identity
identity_of(const struct request *request, uint32_t n)
{
    const struct protocol *protocol = protocols[request->protocol];
    bool echo = protocol->ports == PORTS_ECHO;
    struct identity identity = {
        .near = (uint16_t)(echo ? 0x0bc0 : 5000 + n),
        .far = (uint16_t)(echo ? n : request->port & 0x7fff),
        .ip_id = (uint16_t)(n + 1),
        .checksum = (uint16_t)(n * 40503),
        .number = protocol->numbered ? (n << 1 | 1) * UINT32_C(2654435769) : 0,
    };
    identity.source.bytes[0] = 10;
    packet_offer_nonce(request, &identity, (n + 1) * UINT64_C(0x9e3779b97f4a7c15));
    return identity;
}

static int
send_swept(const struct request *request, struct probe *model)
{
    struct entry *entry = &world.entries[request->token];
    MUST(entry->sweep && entry->replies == 0 && model->part.sweep == request->part.sweep && model->part.sweep > 0);
    entry->begun = true;
    if (world.error || world.swept_count == SWEPT_MAX)
        return world.error ? world.error : ENETUNREACH;
    struct swept *swept = &world.swept[world.swept_count];
    world.sent++;
    world.now.ns += NS_PER_US;
    entry->swept++;
    model->departed = world.now;
    model->identity = identity_of(request, LINES_MAX + 1 + world.swept_count++);
    MUST(!model->collect && model->detail == request->detail);
    *swept = (struct swept){
        .probe = *model,
        .deadline = instant_after(world.now, request->timeout * NS_PER_US),
    };
    struct writer nonce = { .start = swept->nonce, .size = NONCE_SIZE };
    write_u64(&nonce, model->identity.nonce);
    return 0;
}

static int
fake_send(struct transport *transport, const struct request *request, const struct probes *in_flight,
          const struct clock *clock, struct probe *model, uint32_t *mtu)
{
    (void)transport;
    struct entry *entry = &world.entries[request->token];
    MUST(clock == &world.clock && probes_count(in_flight) == world.sent - world.released);
    *mtu = 1280;
    if (request->part.sweep)
        return send_swept(request, model);
    MUST((request->token == world.tokens || entry->waited) && model->token == request->token && !entry->sent);
    if (world.error)
        return world.error;
    world.sent++;
    world.now.ns += NS_PER_US;
    model->departed = world.now;
    model->identity = identity_of(request, (uint32_t)request->token);
    MUST(!probes_ports_taken(in_flight, model));
    entry->sent = true;
    entry->collect = request->collect;
    entry->detail = request->detail;
    MUST(model->collect == entry->collect && model->detail == entry->detail && model->collected == 0);
    model->scope = (uint32_t)request->token;
    entry->probe = *model;
    bool set_aside = entry->waited && !(world.options & OPTION_LIMITED);
    entry->deadline = instant_after(set_aside ? entry->read : world.now, request->timeout * NS_PER_US);
    struct writer nonce = { .start = entry->nonce, .size = NONCE_SIZE };
    write_u64(&nonce, model->identity.nonce);
    return 0;
}

static void
release_swept(const struct probe *probe)
{
    struct swept *swept = &world.swept[probe->identity.ip_id - (LINES_MAX + 2)];
    MUST(!swept->released && memcmp(&swept->probe.identity, &probe->identity, sizeof probe->identity) == 0);
    MUST(swept->due || instant_since(world.clock.now.instant, swept->deadline) >= 0);
    swept->released = true;
    world.released++;
}

static void
fake_release(struct transport *transport, struct probe *probe)
{
    (void)transport;
    if (probe->part.sweep) {
        release_swept(probe);
        return;
    }
    struct entry *entry = &world.entries[probe->token];
    MUST(entry->sent && !entry->released);
    MUST((entry->due && !entry->collect) || instant_since(world.clock.now.instant, entry->deadline) >= 0);
    MUST(!entry->collect || probe->collected == entry->due_lines);
    entry->released = true;
    world.released++;
}

static void
fake_expect_all(struct transport *transport)
{
    (void)transport;
    world.ready = true;
}

static bool
fake_receive(struct transport *transport, const struct clock *clock, struct answer *answers, size_t *count)
{
    (void)transport;
    *count = 0;
    if (!world.ready)
        return false;
    while (*count < world.batch && world.first < world.last &&
           world.answers[world.first].arrived.ns <= clock->now.instant.ns)
        answers[(*count)++] = world.answers[world.first++];
    world.ready = *count == world.batch;
    return true;
}

static struct instant
fake_received_until(const struct transport *transport, const struct clock *clock)
{
    (void)transport;
    if (!world.ready || world.first == world.last || world.answers[world.first].arrived.ns > clock->now.instant.ns)
        return clock->now.instant;
    return instant_after(world.answers[world.first].arrived, -1);
}

/* Requests that wait are those of one interface, or of two. */
static uint32_t
fake_find_queue(struct transport *transport, const struct request *request)
{
    (void)transport;
    return (uint32_t)request->protocol & 1;
}

static void
fake_abandon(struct transport *transport, const struct request *request)
{
    (void)transport;
    (void)request;
}

static const struct transport_body fake_body = {
    .has_address = fake_has_address,
    .supports_mark = fake_supports_mark,
    .has_flows = fake_has_flows,
    .find_device_name = fake_find_device_name,
    .find_queue = fake_find_queue,
    .send = fake_send,
    .abandon = fake_abandon,
    .release = fake_release,
    .expect_all = fake_expect_all,
    .receive = fake_receive,
    .received_until = fake_received_until,
};

/* ---- what was said ---- */

/* Lines, then one `collected` with their number. False: the line is none of these. */
static bool
hear_collected(struct entry *entry, const char *line, size_t length, bool answered)
{
    unsigned count;
    const char *word = memmem(line, length, " collected count ", 17);
    MUST(entry->replies == 0);
    if (answered) {
        MUST(entry->sent && ++entry->lines <= entry->due_lines && !word);
        return true;
    }
    if (!word)
        return false;
    MUST(sscanf(word, " collected count %u", &count) == 1 && word[17 + (count > 9) + (count > 99) + 1] == '\n');
    MUST(count == entry->lines && count == entry->due_lines && entry->sent && entry->released);
    entry->replies++;
    world.said++;
    return true;
}

/* Of a sweep: progress, a probe's end, or its own, which counts them all. */
static void
hear_swept(struct entry *entry, const char *line, size_t length, const char *kind, bool answered)
{
    unsigned sent, answers, silent, refused;
    MUST(entry->replies == 0);
    entry->lines += answered;
    if (sscanf(kind, "swept sent %u answered %u silent %u refused %u next ", &sent, &answers, &silent, &refused) == 4)
        MUST(sent == entry->swept && answers == entry->lines && answers == entry->due_lines);
    else if (entry->begun || answered || memmem(line, length, " sweeping sent ", 15))
        return;
    entry->replies++;
    world.said++;
}

static void
hear_line(const char *line, size_t length)
{
    int32_t token = check_reply(line, length);
    struct entry *entry = &world.entries[token > 0 ? token : 0];
    MUST(token >= 0 && token <= world.tokens);
    bool answered = memmem(line, length, " round-trip-time ", 17);
    const char *kind = (const char *)memchr(line, ' ', length) + 1;
    size_t left = (size_t)(line + length - kind);
    bool expired = left > 8 && memcmp(kind, "no-reply", 8) == 0 && (kind[8] == ' ' || kind[8] == '\n');
    if (entry->collect && hear_collected(entry, line, length, answered))
        return;
    if (entry->sweep) {
        hear_swept(entry, line, length, kind, answered);
        return;
    }
    world.said++;
    if (token == 0) {
        MUST(!answered && !expired);
        return;
    }
    MUST(++entry->replies == 1);
    if (expired && entry->waited && !entry->sent)
        return;
    MUST((answered || expired) <= (entry->detail == (memmem(line, length, " sent ", 6) != NULL)));
    MUST(entry->sent == (answered || expired) && entry->released == entry->sent);
    MUST(answered == (entry->sent && entry->due));
}

/* Reads up to COUNT bytes of what was written, at most OUTPUT_BYTES. */
static void
hear(size_t count)
{
    ssize_t got = read(world.pipe[0], world.text + world.text_length, count);
    if (got <= 0)
        return;
    world.text_length += (size_t)got;
    char *start = world.text, *newline;
    while ((newline = memchr(start, '\n', world.text_length))) {
        hear_line(start, (size_t)(newline + 1 - start));
        world.text_length -= (size_t)(newline + 1 - start);
        start = newline + 1;
    }
    MUST(world.text_length < REPLY_MAX && ((size_t)got == count || world.text_length == 0)); /* no write parts a line */
    memmove(world.text, start, world.text_length);
}

static void
read_output(void)
{
    MUST(output_flush(world.output));
    hear(take_u8(&world.input) * 16);
}

/* ---- what happens ---- */

/* A new turn of the loop. */
static void
turn(void)
{
    clock_update(&world.clock, (struct clock_reading){ world.now, { world.now.ns }, 0 });
    prober_receive(world.prober, &world.clock);
    prober_expire(world.prober, &world.clock);
    prober_retry(world.prober, &world.clock);
    if (output_waiting(world.output) < UNREAD_MAX)
        prober_sweep(world.prober, &world.clock);
}

static void
poll_it(void)
{
    uint8_t how = take_u8(&world.input);
    world.ready = world.ready || how < 128; /* else all that waits came after poll() */
    world.batch = how % TRANSPORT_BATCH + 1;
    turn();
}

static void
give(const char *line, size_t length)
{
    size_t before = output_waiting(world.output);
    uint32_t sent = world.sent;
    char *copy = (char *)copy_bytes(line, length);
    struct request request;
    struct complaint complaint;
    struct entry *entry = &world.entries[world.tokens];
    enum line_kind kind = request_parse(copy, length, world.options & OPTION_STRICT, &request, &complaint);
    entry->sweep = kind == LINE_REQUEST && request.command == COMMAND_SWEEP;
    bool taken = prober_take_line(world.prober, &world.clock, copy, length);
    free(copy);
    MUST(taken || (world.error == EAGAIN && output_waiting(world.output) == before && world.sent == sent));
    bool replied = output_waiting(world.output) > before, left = world.sent > sent;
    MUST(!replied || !left);
    if (taken && !replied && !left && !entry->sweep) { /* it waits: others may wait, too, so whatever the error */
        entry->waited = true;
        entry->read = world.clock.now.instant;
    }
    world.taken += taken;
    world.held_length = taken ? 0 : length;
    if (!taken && line != world.held)
        memcpy(world.held, line, length);
}

/* As the loop does, none is given before the one that is held. */
static void
give_new(const char *tail, size_t length)
{
    char line[LINE_MAX_HERE];
    if (world.held_length)
        give(world.held, world.held_length);
    if (world.held_length || world.tokens == LINES_MAX)
        return;
    int used = snprintf(line, sizeof line, "%d ", ++world.tokens);
    memcpy(line + used, tail, length);
    give(line, (size_t)used + length);
}

static void
give_probe(void)
{
    static const char *const targets[] = { "ip-4 198.51.100.7", "ip-6 2001:db8:7::7", "ip-4 198.51.100.8",
                                           "ip-4 224.0.0.1", "ip-6 ff02::1" };
    static const char *const timeouts[] = { "1", "0", "0.000001", "0.5", "10", "2147483647" };
    static const char *const rest[] = { "", " mark 5", " size 1500", " port 443", " local-port 4000", " bogus 1",
                                        " bit-pattern 3", " local-ip-4 0.0.0.0", " ttl 0", " size 28",
                                        " collect 1", " detail 1", " detail 1 collect 1", " ip-6 fe80::1%wire detail 1",
                                        " ip-6 ff02::1%7 collect 1", " flow 3", " payload 0011",
                                        " icmp-request timestamp", " icmp-request extended-echo interface-index 7",
                                        " tcp-ecn accurate", " reply-payload 9" };
    char tail[200];
    uint8_t target = take_u8(&world.input), timeout = take_u8(&world.input), last = take_u8(&world.input);
    /* Under a limit of those in flight each waits for the end of others: time would not last for the longest. */
    size_t lasting = COUNT(timeouts) - (world.options & OPTION_LIMITED ? 1 : 0);
    int length = snprintf(tail, sizeof tail, "send-probe %s protocol %s timeout %s%s",
                          targets[target / PROTOCOLS % COUNT(targets)], protocols[target % PROTOCOLS]->name,
                          timeouts[timeout % lasting], rest[last % COUNT(rest)]);
    give_new(tail, (size_t)length);
}

static void
give_sweep(void)
{
    static const char *const targets[] = { "ip-4 198.51.100.0/28", "ip-6 2001:db8:7::/125", "ip-4 198.51.100.7,198.51.100.9",
                                           "ip-4 10.0.0.0/8", "ip-6 fe80::1-fe80::4%wire", "ip-6 ::/0" };
    static const char *const timeouts[] = { "1", "0", "0.000001", "0.5", "10" };
    static const char *const rest[] = { "", " rate 1000000", " retries 3 rate 100000", " report all", " ttl 1-3 rate 5000",
                                        " limit 2 ttl 1-2", " progress 0.01", " port 7-9 report all detail 1", " mark 5",
                                        " flow 0-2", " order sequential", " shard 2/3 seed 5 from 3", " rate 1 retries 20",
                                        " exclude 198.51.100.8/29", " detail 1", " from 999999", " rate 10000000 report all",
                                        " collect 1", " retries 20 timeout 0 rate 1000000 report all" };
    char tail[300];
    uint8_t target = take_u8(&world.input), timeout = take_u8(&world.input), last = take_u8(&world.input);
    int length = snprintf(tail, sizeof tail, "sweep %s protocol %s timeout %s%s%s",
                          targets[target / PROTOCOLS % COUNT(targets)], protocols[target % PROTOCOLS]->name,
                          timeouts[timeout % COUNT(timeouts)], rest[last % COUNT(rest)],
                          rest[timeout / COUNT(timeouts) % COUNT(rest)]);
    give_new(tail, (size_t)length);
}

static void
give_stop(void)
{
    char tail[64];
    int length = snprintf(tail, sizeof tail, "stop token %d", take_u8(&world.input) % (world.tokens + 1));
    give_new(tail, (size_t)length);
}

static void
give_text(void)
{
    char tail[256];
    size_t length = take_u8(&world.input);
    length = length < world.input.left ? length : world.input.left;
    take_bytes(&world.input, tail, length);
    const char *newline = memchr(tail, '\n', length);
    if (world.options & OPTION_LIMITED)
        return; /* it may ask for a timeout of decades, see give_probe() */
    give_new(tail, newline ? (size_t)(newline - tail) : length);
}

static void
refuse(void)
{
    prober_refuse_line(world.prober);
    world.taken++;
}

static void
let_time_pass(void)
{
    uint8_t step = take_u8(&world.input);
    if (world.now.ns < END_OF_TIME / 2)
        world.now.ns += (INT64_C(1) << step % 48) + step / 48 * 1000;
}

static void
choose_error(void)
{
    static const int errors[] = { 0, EAGAIN, ENETUNREACH, EMSGSIZE, ENOSPC, EPERM, ENODEV, EINVAL };
    uint8_t choice = take_u8(&world.input);
    world.error = choice < COUNT(errors) ? errors[choice] : choice;
    if (world.error == EAGAIN && world.options & OPTION_LIMITED)
        world.error = ENETUNREACH;
}

static void
answer_swept(void)
{
    uint16_t which = take_u16(&world.input);
    uint8_t kind = take_u8(&world.input), how = take_u8(&world.input);
    if (world.swept_count == 0 || world.last == ANSWERS_MAX)
        return;
    struct swept *swept = &world.swept[which % world.swept_count];
    struct answer answer = forge_answer(&swept->probe, swept->nonce, kind, world.now);
    if (how > 0) {
        answer.far ^= forge_spoil(&answer, (uint8_t)(how - 1)) ? 0 : 0x8000;
    } else if (!swept->released && !swept->due && instant_since(world.now, swept->deadline) <= 0) {
        swept->due = true;
        world.entries[swept->probe.token].due_lines++;
    }
    world.answers[world.last++] = answer;
}

/* To any probe that was ever sent, so duplicates and late ones too. */
static void
answer_probe(void)
{
    uint8_t which = take_u8(&world.input), kind = take_u8(&world.input), how = take_u8(&world.input);
    struct entry *entry = &world.entries[which % (unsigned)(world.tokens + 1)];
    if (!entry->sent || world.last == ANSWERS_MAX)
        return;
    struct answer answer = forge_answer(&entry->probe, entry->nonce, kind, world.now);
    if (how > 0) {
        answer.far ^= forge_spoil(&answer, (uint8_t)(how - 1)) ? 0 : 0x8000;
    } else if (!entry->released && instant_since(world.now, entry->deadline) <= 0) {
        entry->due = true;
        entry->due_lines++;
    }
    world.answers[world.last++] = answer;
}

/* ---- all of it ---- */

static void (*const operations[])(void) = {
    give_probe, answer_probe, let_time_pass, poll_it, read_output, choose_error, give_text, refuse,
    give_sweep, answer_swept, give_stop,
};

/* The prober's books against ours. */
static void
check_books(void)
{
    struct instant when, first = { INT64_MAX };
    for (int32_t token = 1; token <= world.tokens; token++) {
        const struct entry *entry = &world.entries[token];
        if (entry->sent && !entry->released && entry->deadline.ns < first.ns)
            first = entry->deadline;
    }
    bool sweeps = false, of_sweep = false;
    for (uint32_t i = 0; i < world.swept_count; i++)
        if (!world.swept[i].released && world.swept[i].deadline.ns < first.ns)
            first = world.swept[i].deadline;
    for (uint32_t i = 0; i < world.swept_count; i++)
        of_sweep = of_sweep || (!world.swept[i].released && world.swept[i].deadline.ns == first.ns);
    for (int32_t token = 1; token <= world.tokens; token++)
        sweeps = sweeps || (world.entries[token].sweep && world.entries[token].replies == 0);
    uint32_t in_flight = prober_in_flight(world.prober), sent = world.sent - world.released;
    bool deadline = prober_next_deadline(world.prober, &when);
    MUST(in_flight >= sent && (deadline == (in_flight > 0) || (sweeps && !deadline && sent == 0)));
    int64_t late = of_sweep ? NS_PER_MS : 0; /* that the probes of a sweep may be, so that many end at once */
    MUST(!deadline || when.ns <= first.ns + late);
    MUST(!deadline || in_flight > sent || when.ns == first.ns || when.ns == first.ns + late);
}

static void
set_up(struct reader input)
{
    memset(&world, 0, sizeof world);
    world.input = input;
    world.transport.body = &fake_body;
    world.options = take_u8(&world.input);
    for (enum family_id family = 0; family < FAMILIES; family++)
        for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++)
            if (((world.options & OPTION_NO_IPV6) && family == IPV6) ||
                ((world.options & OPTION_NO_SCTP) && protocol == PROTOCOL_SCTP))
                world.transport.refusals[family][protocol] = EPERM;
    memset(world.transport.icmp_requests, true, sizeof world.transport.icmp_requests);
    memset(world.transport.tcp_ecn, true, sizeof world.transport.tcp_ecn);
    world.now.ns = NS_PER_S;
    world.batch = 1;
    MUST(pipe2(world.pipe, O_NONBLOCK) == 0 && fcntl(world.pipe[1], F_SETPIPE_SZ, OUTPUT_BYTES) >= 0);
    world.output = output_new(world.pipe[1]);
    world.prober = prober_new(&world.transport, world.output, (struct prober_options){
                                  .strict = world.options & OPTION_STRICT,
                                  .old_words = world.options & OPTION_OLD_WORDS,
                                  .limit_rate = world.options & OPTION_LIMITED ? 1000 : 0,
                                  .limit_in_flight = world.options & OPTION_LIMITED ? 8 : 0,
                              });
    turn();
}

/* The sweeps that are still to go on. */
static void
stop_all(void)
{
    for (int32_t token = 1; token <= world.tokens; token++) {
        char line[64];
        int length = snprintf(line, sizeof line, "0 stop token %d", token);
        MUST(prober_take_line(world.prober, &world.clock, line, (size_t)length));
        world.taken++;
    }
}

/* Everything is answered in the end. */
static void
finish(void)
{
    world.error = 0;
    if (world.held_length)
        give(world.held, world.held_length);
    stop_all();
    world.now.ns = END_OF_TIME;
    world.batch = TRANSPORT_BATCH;
    /* What waits is tried for so long as a turn may take, by the real time: on a busy machine not all of it in one. */
    for (int turns = 0; turns < 4 || (prober_in_flight(world.prober) > 0 && turns < LINES_MAX); turns++) {
        world.ready = true;
        turn();
        world.now.ns += world.options & OPTION_LIMITED ? 10 * NS_PER_S : 10 * NS_PER_MS;
        while (output_waiting(world.output)) {
            MUST(output_flush(world.output));
            hear(OUTPUT_BYTES);
        }
    }
    MUST(prober_in_flight(world.prober) == 0 && world.first == world.last && !world.held_length);
    while (output_waiting(world.output)) {
        MUST(output_flush(world.output));
        hear(OUTPUT_BYTES);
    }
    hear(OUTPUT_BYTES);
    MUST(world.text_length == 0 && world.said == world.taken);
    for (int32_t token = 1; token <= world.tokens; token++)
        MUST((!world.entries[token].sent && !world.entries[token].sweep) || world.entries[token].replies == 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    set_up((struct reader){ data, size });
    while (world.input.left > 0) {
        clock_update(&world.clock, (struct clock_reading){ world.now, { world.now.ns }, 0 });
        operations[take_u8(&world.input) % COUNT(operations)]();
        check_books();
    }
    finish();
    prober_free(world.prober);
    output_free(world.output);
    close(world.pipe[0]);
    close(world.pipe[1]);
    return 0;
}
