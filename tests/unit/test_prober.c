/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "packets/protocol.h"
#include "probes/probe.h"
#include "probes/prober.h"
#include "suites.h"
#include "support.h"

/* A transport without a socket: sends with what error the test wants, receives what the test hands over. */
static struct {
    struct transport transport;
    int error;
    uint32_t refused_device; /* 0: whatever the request, as the next */
    int32_t refused_token;
    int32_t last;            /* token that was sent */
    long refusal_ns;         /* that it takes to refuse */
    uint32_t refusals;
    uint32_t abandoned;
    uint32_t mtu;
    bool no_mark;
    uint32_t no_flows; /* a bit for each protocol */
    uint32_t scope; /* of the probes sent */
    uint32_t number; /* that the last of them came with, as the next */
    char interface[PROBED_NAME_MAX + 1];
    uint32_t sent, released;
    struct answer answers[TRANSPORT_BATCH];
    size_t answer_count;
    struct instant until; /* of received_until() */
    bool flooded;         /* receive() never comes to an end */
    uint32_t received;    /* calls of it */
} fake;

#define LINE_BYTES 32000
#define PORT_TOS 255 /* of requests that wait for a port */

static const struct instant departure = { 1000 * NS_PER_MS };

static bool
fake_has_address(struct transport *transport, enum family_id family)
{
    (void)transport;
    (void)family;
    return true;
}

static bool
fake_supports_mark(const struct transport *transport)
{
    (void)transport;
    return !fake.no_mark;
}

static bool
fake_has_flows(const struct transport *transport, enum protocol_id protocol)
{
    (void)transport;
    return !(fake.no_flows >> protocol & 1);
}

static bool
fake_find_device_name(const struct transport *transport, uint32_t device, char name[IFNAMSIZ])
{
    (void)transport;
    memcpy(name, "wire", sizeof "wire");
    return device == 7;
}

/* Every probe has its token as number of all kinds. */
static int
fake_send(struct transport *transport, const struct request *request, const struct probes *in_flight,
          const struct clock *clock, struct probe *model, uint32_t *mtu)
{
    (void)transport;
    (void)clock;
    (void)in_flight;
    *mtu = fake.error == EAGAIN ? ENOBUFS : fake.mtu;
    bool other = (fake.refused_device && fake.refused_device != request->tos) ||
                 (fake.refused_token && fake.refused_token != request->token);
    if (fake.error && !other) {
        nanosleep(&(struct timespec){ .tv_nsec = fake.refusal_ns }, NULL);
        fake.refusals++;
        return fake.error;
    }
    fake.sent++;
    fake.last = request->token;
    model->departed = departure;
    model->scope = fake.scope;
    model->keeps_ports = request->local_port != 0;
    fake.number = model->identity.number;
    snprintf(fake.interface, sizeof fake.interface, "%.*s", (int)request->interface.name.length,
             request->interface.name.at ? request->interface.name.at : "");
    model->identity.near = 5000;
    model->identity.far = (uint16_t)request->token;
    model->identity.number = (uint32_t)request->token;
    return 0;
}

static void
fake_release(struct transport *transport, struct probe *probe)
{
    (void)transport;
    (void)probe;
    fake.released++;
}

static void
fake_expect_all(struct transport *transport)
{
    (void)transport;
}

static bool
fake_receive(struct transport *transport, const struct clock *clock, struct answer *answers, size_t *count)
{
    (void)transport;
    (void)clock;
    *count = 0;
    fake.received++;
    if (!fake.answer_count)
        return fake.flooded && fake.received < 100000;
    memcpy(answers, fake.answers, fake.answer_count * sizeof *answers);
    *count = fake.answer_count;
    fake.answer_count = 0;
    return true;
}

static struct instant
fake_received_until(const struct transport *transport, const struct clock *clock)
{
    (void)transport;
    return fake.until.ns ? fake.until : clock->now.instant;
}

static uint32_t
fake_find_queue(struct transport *transport, const struct request *request)
{
    (void)transport;
    return request->tos == PORT_TOS ? QUEUE_FOR_PORT : request->tos; /* so that a request can choose */
}

static void
fake_abandon(struct transport *transport, const struct request *request)
{
    (void)transport;
    (void)request;
    fake.abandoned++;
}

static const struct transport_body fake_body = {
    .has_address = fake_has_address,
    .supports_mark = fake_supports_mark,
    .has_flows = fake_has_flows,
    .find_device_name = fake_find_device_name,
    .send = fake_send,
    .find_queue = fake_find_queue,
    .abandon = fake_abandon,
    .release = fake_release,
    .expect_all = fake_expect_all,
    .receive = fake_receive,
    .received_until = fake_received_until,
};

static void
refuse_ipv6(void)
{
    for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++)
        fake.transport.refusals[IPV6][protocol] = EPERM;
}

static void
refuse_sctp(void)
{
    for (enum family_id family = 0; family < FAMILIES; family++)
        fake.transport.refusals[family][PROTOCOL_SCTP] = EPERM;
}

static struct prober *prober;
static struct output *output;
static int output_pipe[2];

static void
set_up_with(struct prober_options options)
{
    memset(&fake, 0, sizeof fake);
    fake.transport.body = &fake_body;
    ck_assert_int_eq(pipe(output_pipe), 0);
    fcntl(output_pipe[0], F_SETFL, O_NONBLOCK);
    output = output_new(output_pipe[1]);
    prober = prober_new(&fake.transport, output, options);
}

static void
set_up(void)
{
    set_up_with((struct prober_options){ 0 });
}

static void
tear_down(void)
{
    prober_free(prober);
    output_free(output);
    close(output_pipe[0]);
    close(output_pipe[1]);
}

/* All that was said since the last time. */
static const char *
said(void)
{
    static char text[65536];
    ck_assert(output_flush(output));
    ssize_t got = read(output_pipe[0], text, sizeof text - 1);
    text[got > 0 ? got : 0] = '\0';
    return text;
}

static struct clock
at_ms(int64_t ms)
{
    struct clock clock = { 0 };
    clock_update(&clock, (struct clock_reading){ { ms * NS_PER_MS }, { 0 }, 0 });
    return clock;
}

/* MS after the others were read. */
static bool
take_later(int64_t ms, const char *line)
{
    struct clock clock = at_ms(1000 + ms);
    return prober_take_line(prober, &clock, line, strlen(line));
}

static bool
take(const char *line)
{
    return take_later(0, line);
}

/* An answer to the tcp probe with this token, to 192.0.2.9. */
static struct answer
answer_to(int32_t token, int64_t after_ns)
{
    return (struct answer){
        .family = IPV4,
        .protocol = PROTOCOL_TCP,
        .from = address_of(IPV4, "192.0.2.9"),
        .target = address_of(IPV4, "192.0.2.9"),
        .arrived = instant_after(departure, after_ns),
        .near = 5000,
        .far = (uint16_t)token,
        .has_number = true,
        .number = (uint32_t)token,
    };
}

static struct answer
error_to(int32_t token, enum meaning meaning, const char *from)
{
    struct answer answer = answer_to(token, 2 * NS_PER_MS);
    answer.is_error = true;
    answer.meaning = meaning;
    answer.from = address_of(IPV4, from);
    return answer;
}

static void
receive(struct answer answer)
{
    struct clock clock = at_ms(2000);
    fake.answers[0] = answer;
    fake.answer_count = 1;
    prober_receive(prober, &clock);
}

#define TCP(token) token " send-probe ip-4 192.0.2.9 protocol tcp timeout 5"

/* ---- one request, one reply ---- */

START_TEST(answered_at_once)
{
    static const struct {
        const char *line, *reply;
    } rows[] = {
        { "", "" },
        { " \t", "" },
        { "7", "0 command-parse-error\n" },
        { "7 frobnicate", "7 unknown-command\n" },
        { "7 send-probe", "7 invalid-argument reason missing-address\n" },
        { "7 send-probe ip-4 x", "7 invalid-argument reason bad-value argument ip-4\n" },
        { "7 check-support feature send-probe", "7 feature-support support ok\n" },
        { "7 check-support feature ip-4", "7 feature-support support ok\n" },
        { "7 check-support feature ip-6", "7 feature-support support ok\n" },
        { "7 check-support feature icmp", "7 feature-support support ok\n" },
        { "7 check-support feature udp", "7 feature-support support ok\n" },
        { "7 check-support feature tcp", "7 feature-support support ok\n" },
        { "7 check-support feature sctp", "7 feature-support support ok\n" },
        { "7 check-support feature mark", "7 feature-support support ok\n" },
        { "7 check-support feature local-device", "7 feature-support support ok\n" },
        { "7 check-support feature no-such-thing", "7 feature-support support no\n" },
        { "7 check-support feature check-support", "7 feature-support support no\n" },
        { "7 check-support feature version", "7 feature-support support " HOPLINE_VERSION "\n" },
        { "7 check-support", "7 invalid-argument reason missing-feature\n" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ck_assert(take(rows[i].line));
        ck_assert_str_eq(said(), rows[i].reply);
    }
    prober_refuse_line(prober);
    ck_assert_str_eq(said(), "0 command-buffer-overflow\n");
    ck_assert_uint_eq(fake.sent, 0);
}
END_TEST

START_TEST(what_can_not_be_had)
{
    refuse_ipv6();
    refuse_sctp();
    fake.no_mark = true;
    take("1 check-support feature ip-6");
    take("2 check-support feature sctp");
    take("3 check-support feature mark");
    take("4 check-support feature ip-4");
    ck_assert_str_eq(said(), "1 feature-support support no\n2 feature-support support no\n"
                             "3 feature-support support no\n4 feature-support support ok\n");
    take("5 send-probe ip-6 ::1");
    ck_assert_str_eq(said(), "5 invalid-argument reason ip-version-not-supported argument ip-6\n");
    take("6 send-probe ip-4 192.0.2.9 protocol sctp");
    ck_assert_str_eq(said(), "6 invalid-argument reason protocol-not-supported argument protocol\n");
    take("7 send-probe ip-4 192.0.2.9 mark 1");
    ck_assert_str_eq(said(), "7 permission-denied\n");
    ck_assert_uint_eq(prober_in_flight(prober), 0);
}
END_TEST

START_TEST(refused_by_the_local_host)
{
    static const struct {
        int error;
        const char *reply;
    } rows[] = {
        { ENETUNREACH, "7 no-route-network\n" },
        { EHOSTUNREACH, "7 no-route-host\n" },
        { ENETDOWN, "7 network-down\n" },
        { ENODEV, "7 network-down reason no-such-device\n" },
        { EHOSTDOWN, "7 host-down\n" },
        { EPERM, "7 permission-denied\n" },
        { EACCES, "7 permission-denied\n" },
        { EADDRINUSE, "7 address-in-use\n" },
        { EADDRNOTAVAIL, "7 address-not-available\n" },
        { EMSGSIZE, "7 packet-too-big mtu 1400\n" },
        { ENOSPC, "7 probes-exhausted\n" },
        { ENOMEM, "7 probes-exhausted\n" },
        { EMFILE, "7 probes-exhausted\n" },
        { EPROTO, "7 unexpected-error errno 71\n" },
    };
    fake.mtu = 1400;
    for (size_t i = 0; i < COUNT(rows); i++) {
        fake.error = rows[i].error;
        ck_assert(take(TCP("7")));
        ck_assert_str_eq(said(), rows[i].reply);
    }
    ck_assert_uint_eq(prober_in_flight(prober), 0);
    ck_assert_uint_eq(fake.released, 0); /* only what was sent */
}
END_TEST

/* MS after all was read. */
static void
retry(int64_t ms)
{
    struct clock clock = at_ms(1000 + ms);
    prober_retry(prober, &clock);
}

START_TEST(not_now)
{
    struct instant when;
    fake.error = EAGAIN;
    ck_assert(take(TCP("7") " timeout 2"));
    ck_assert_str_eq(said(), "");
    ck_assert_uint_eq(prober_in_flight(prober), 1);
    ck_assert(prober_next_deadline(prober, &when) && when.ns == 1001 * NS_PER_MS);
    retry(1);
    ck_assert_uint_eq(fake.sent, 0);
    fake.error = 0;
    retry(2);
    ck_assert_uint_eq(fake.sent, 1);
    ck_assert_uint_eq(prober_in_flight(prober), 1);
    ck_assert(prober_next_deadline(prober, &when) && when.ns == 3000 * NS_PER_MS); /* from when it was read */
    ck_assert_str_eq(said(), "");
}
END_TEST

START_TEST(never_sent)
{
    fake.error = EAGAIN;
    ck_assert(take(TCP("7") " timeout 0.1 detail 1"));
    ck_assert(take(TCP("8") " timeout 0.2"));
    ck_assert(take(TCP("9") " timeout 0.1 collect 1"));
    for (int64_t ms = 1; ms < 100; ms++)
        retry(ms);
    ck_assert_str_eq(said(), "");
    retry(120);
    ck_assert_str_eq(said(), "7 no-reply errno 105\n9 collected count 0\n"); /* ENOBUFS */
    retry(220);
    ck_assert_str_eq(said(), "8 no-reply\n");
    ck_assert_uint_eq(prober_in_flight(prober), 0);
    ck_assert_uint_eq(fake.abandoned, 3);
}
END_TEST

/* `tos` is the interface of these. */
START_TEST(others_go_on)
{
    fake.error = EAGAIN;
    fake.refused_device = 3;
    ck_assert(take(TCP("7") " tos 3"));
    ck_assert(take(TCP("8") " tos 4"));
    ck_assert(take("5 check-support feature tcp"));
    ck_assert_str_eq(said(), "5 feature-support support ok\n");
    ck_assert_uint_eq(fake.sent, 1);
    ck_assert_int_eq(fake.last, 8);
    ck_assert(take(TCP("9") " tos 3"));
    fake.error = 0;
    ck_assert(take(TCP("10") " tos 3")); /* not before those */
    ck_assert_uint_eq(fake.sent, 1);
    retry(1);
    ck_assert_uint_eq(fake.sent, 4);
    ck_assert_int_eq(fake.last, 10);
    ck_assert(take(TCP("11") " tos 3"));
    ck_assert_uint_eq(fake.sent, 5);
}
END_TEST

/* What is refused for its target alone holds up others by its interface for less than 50 ms. */
START_TEST(one_target_is_refused)
{
    fake.error = EAGAIN;
    ck_assert(take(TCP("7") " tos 3"));
    fake.error = 0;
    ck_assert(take(TCP("8") " tos 3"));
    fake.error = EAGAIN;
    fake.refused_token = 7;
    for (int64_t ms = 1; ms < 40; ms++)
        retry(ms);
    ck_assert_uint_eq(fake.sent, 0);
    for (int64_t ms = 40; ms < 50; ms++)
        retry(ms);
    ck_assert_uint_eq(fake.sent, 1);
    ck_assert_int_eq(fake.last, 8);
    ck_assert(take_later(50, TCP("9") " tos 3")); /* once: that 8 was taken behind it says nothing of 7 */
    ck_assert_uint_eq(fake.sent, 2);
}
END_TEST

/* However many are refused, and however long that takes, those behind have their turn. */
START_TEST(many_are_refused)
{
    fake.error = EAGAIN;
    fake.refused_token = 7;
    fake.refusal_ns = NS_PER_MS / 10;
    for (int i = 0; i < 300; i++)
        ck_assert(take(TCP("7") " tos 3"));
    ck_assert(take(TCP("8") " tos 3"));
    for (int64_t ms = 40; ms < 80; ms++)
        retry(ms);
    ck_assert_uint_eq(fake.sent, 1);
}
END_TEST

/* What is refused again and again takes no time from others: of 1000 each is tried once, then some; all go at last. */
START_TEST(refused_again)
{
    fake.error = EAGAIN;
    for (int i = 0; i < 1000; i++)
        ck_assert(take(TCP("7") " tos 3 timeout 5"));
    for (int64_t ms = 0; ms < 100; ms++)
        retry(ms);
    ck_assert_uint_ge(fake.refusals, 1000);
    fake.refusals = 0;
    for (int64_t ms = 100; ms < 2100; ms++)
        retry(ms);
    ck_assert_uint_ge(fake.refusals, 2000); /* each now and again */
    ck_assert_uint_le(fake.refusals, 8000);
    fake.error = 0;
    for (int64_t ms = 2100; ms < 2150; ms++)
        retry(ms);
    ck_assert_uint_eq(fake.sent, 1000);
}
END_TEST

/* However many are refused again and again by one interface, another that takes packets again is found out at once. */
START_TEST(taken_again)
{
    fake.error = EAGAIN;
    for (int i = 0; i < 1000; i++) {
        ck_assert(take(TCP("7") " tos 3 timeout 5"));
        ck_assert(take(TCP("8") " tos 4 timeout 5"));
    }
    for (int64_t ms = 0; ms < 1000; ms++)
        retry(ms);
    fake.refused_device = 3;
    for (int64_t ms = 1000; ms < 1050; ms++)
        retry(ms);
    ck_assert_uint_eq(fake.sent, 1000);
    ck_assert_int_eq(fake.last, 8);
    fake.refused_device = 0;
    fake.refused_token = 7;
    ck_assert(take_later(1050, TCP("7") " tos 3 timeout 5"));
    fake.refusals = 0;
    for (int64_t ms = 1050; ms < 2050; ms++)
        retry(ms);
    ck_assert_uint_ge(fake.refusals, 1000); /* all others have their turn behind them */
    ck_assert_uint_le(fake.refusals, 4000);
}
END_TEST

/* Who waits for a port has it as soon as it is free, though others wait for other ports before; and holds up nobody. */
START_TEST(port_is_freed)
{
    struct instant when;
    ck_assert(take(TCP("7") " local-port 5000"));
    fake.error = EAGAIN;
    fake.refused_device = PORT_TOS;
    for (int token = 8; token < 11; token++) {
        char line[80];
        snprintf(line, sizeof line, TCP("%d") " local-port 5000 tos 255", token);
        ck_assert(take(line));
    }
    ck_assert(take(TCP("11") " tos 3"));
    ck_assert_int_eq(fake.last, 11);
    for (int64_t ms = 1; ms < 60; ms++)
        retry(ms);
    ck_assert_uint_eq(fake.sent, 2);
    ck_assert(prober_next_deadline(prober, &when) && when.ns > 1059 * NS_PER_MS);
    receive(answer_to(7, NS_PER_MS));
    ck_assert_str_eq(said(), "7 reply ip-4 192.0.2.9 round-trip-time 1000\n");
    ck_assert(prober_next_deadline(prober, &when) && when.ns < 1059 * NS_PER_MS);
    fake.refused_device = 0;
    fake.refused_token = 8;
    retry(59);
    ck_assert_int_eq(fake.last, 10);
    ck_assert_uint_eq(fake.sent, 4); /* what one took, it takes more */
    ck_assert_uint_eq(prober_in_flight(prober), 4);
}
END_TEST

/* The probes of a sweep are told, too. */
START_TEST(port_is_freed_for_a_sweep)
{
    struct instant when;
    ck_assert(take(TCP("7") " local-port 5000"));
    fake.error = EAGAIN;
    fake.refused_device = PORT_TOS;
    ck_assert(take("8 sweep ip-4 192.0.2.9 protocol tcp local-port 5000 tos 255 timeout 1"));
    struct clock clock = at_ms(1000);
    prober_sweep(prober, &clock);
    for (int64_t ms = 1; ms < 60; ms++)
        retry(ms);
    ck_assert_uint_eq(fake.sent, 1);
    ck_assert(prober_next_deadline(prober, &when) && when.ns > 1059 * NS_PER_MS);
    receive(answer_to(7, NS_PER_MS));
    ck_assert(prober_next_deadline(prober, &when) && when.ns < 1059 * NS_PER_MS);
}
END_TEST

/* Of a sweep that is stopped nothing leaves any more, also not what was set aside before. */
START_TEST(stopped_while_set_aside)
{
    fake.error = EAGAIN;
    ck_assert(take("8 sweep ip-4 192.0.2.9 protocol tcp retries 3 timeout 10 report all"));
    struct clock clock = at_ms(1000);
    prober_sweep(prober, &clock);
    ck_assert(take("9 stop token 8"));
    fake.error = 0;
    for (int64_t ms = 1; ms < 60; ms++)
        retry(ms);
    clock = at_ms(1060);
    prober_sweep(prober, &clock);
    ck_assert_uint_eq(fake.sent, 0);
    ck_assert_uint_eq(fake.abandoned, 1);
    ck_assert_str_eq(said(), "9 stopped count 1\n8 no-reply\n"
                             "8 swept sent 0 answered 0 silent 1 refused 0 next 1 seconds 0.060\n");
    ck_assert_uint_eq(prober_in_flight(prober), 0);
}
END_TEST

/* Those of a sweep are not woken for one by one, and never end before their time. */
START_TEST(sweeps_expire_together)
{
    struct instant when;
    ck_assert(take("8 sweep ip-4 192.0.2.0/30 protocol tcp rate 10000 timeout 1"));
    for (int turn = 0; turn < 4; turn++) {
        struct clock clock = at_ms(1000 + turn);
        prober_sweep(prober, &clock);
    }
    ck_assert_uint_eq(fake.sent, 4);
    ck_assert(prober_next_deadline(prober, &when));
    ck_assert_int_eq(when.ns, 2001 * NS_PER_MS);
    struct clock clock = at_ms(2000);
    prober_expire(prober, &clock);
    ck_assert_uint_eq(prober_in_flight(prober), 4 + 1); /* and the sweep itself */
    clock = at_ms(2001);
    prober_expire(prober, &clock);
    ck_assert_uint_lt(prober_in_flight(prober), 4 + 1);
}
END_TEST

/* Beside single requests a sweep sends less at once, so that these do not wait for it. */
START_TEST(sweeps_beside_single_requests)
{
    ck_assert(take("8 sweep ip-4 10.0.0.0/8 protocol tcp rate 300000 timeout 1"));
    struct clock clock = at_ms(3000);
    prober_sweep(prober, &clock); /* its first, from when it began */
    clock = at_ms(3001);
    uint32_t before = fake.sent;
    prober_sweep(prober, &clock);
    ck_assert_uint_eq(fake.sent - before, 32);
    ck_assert(take_later(2001, TCP("7")));
    before = fake.sent;
    prober_sweep(prober, &clock);
    ck_assert_uint_eq(fake.sent - before, 8);
    clock = at_ms(4002);
    before = fake.sent;
    prober_sweep(prober, &clock);
    ck_assert_uint_eq(fake.sent - before, 32);
}
END_TEST

START_TEST(no_more_room)
{
    fake.error = EAGAIN;
    for (uint32_t i = 0; i < 4096; i++)
        ck_assert(take(TCP("7")));
    ck_assert(!take(TCP("7")));
    ck_assert_uint_eq(fake.abandoned, 1);
    ck_assert(take("5 check-support feature tcp"));
    fake.error = 0;
    for (int64_t ms = 1; ms < 100 && fake.sent < 4096; ms++) /* on a busy machine not all of them have their turn in one */
        retry(ms);
    ck_assert_uint_eq(fake.sent, 4096);
    ck_assert(take(TCP("7")));
}
END_TEST

/* ---- limits ---- */

static struct instant
next_deadline(void)
{
    struct instant when;
    ck_assert(prober_next_deadline(prober, &when));
    return when;
}

static void
set_up_limited(struct prober_options options)
{
    tear_down();
    set_up_with(options);
}

/* A tenth of a second's probes leave at once, the others at the rate, in their order; what is no probe goes past them. */
START_TEST(held_by_rate)
{
    set_up_limited((struct prober_options){ .limit_rate = 50 });
    for (int token = 1; token <= 8; token++) {
        char line[80];
        snprintf(line, sizeof line, TCP("%d"), token);
        ck_assert(take(line));
    }
    ck_assert_uint_eq(fake.sent, 5);
    ck_assert_uint_eq(prober_in_flight(prober), 8);
    ck_assert(take("9 check-support feature tcp"));
    ck_assert(take("10 send-probe ip-4 192.0.2.9 protocol none"));
    ck_assert_str_eq(said(), "9 feature-support support ok\n10 invalid-argument reason protocol-not-supported argument protocol\n");
    ck_assert_int_eq(next_deadline().ns, 1020 * NS_PER_MS);
    retry(19);
    ck_assert_uint_eq(fake.sent, 5);
    retry(20);
    ck_assert_int_eq(fake.last, 6);
    ck_assert_int_eq(next_deadline().ns, 1040 * NS_PER_MS);
    ck_assert(take_later(70, TCP("11"))); /* not before 7 and 8, which are late */
    ck_assert_uint_eq(fake.sent, 6);
    retry(70);
    ck_assert_uint_eq(fake.sent, 8);
    ck_assert_int_eq(fake.last, 8);
    retry(80);
    ck_assert_int_eq(fake.last, 11);
}
END_TEST

/* The next leaves as soon as another has ended; until then nothing is to be done but at deadlines. */
START_TEST(held_by_those_in_flight)
{
    set_up_limited((struct prober_options){ .limit_in_flight = 2 });
    for (int token = 1; token <= 4; token++) {
        char line[80];
        snprintf(line, sizeof line, TCP("%d"), token);
        ck_assert(take(line));
    }
    ck_assert_uint_eq(fake.sent, 2);
    ck_assert_int_eq(next_deadline().ns, departure.ns + 5 * NS_PER_S);
    receive(answer_to(1, NS_PER_MS));
    ck_assert_int_le(next_deadline().ns, departure.ns); /* at once */
    retry(1);
    ck_assert_int_eq(fake.last, 3);
    ck_assert_uint_eq(fake.sent, 3);
    struct clock clock = at_ms(7000);
    prober_expire(prober, &clock);
    prober_retry(prober, &clock);
    ck_assert_int_eq(fake.last, 4);
    ck_assert_str_eq(said(), "1 reply ip-4 192.0.2.9 round-trip-time 1000\n2 no-reply\n3 no-reply\n");
}
END_TEST

/* A limit loses nothing: however long a request was held, its timeout runs from when it left. */
START_TEST(timeout_of_the_held)
{
    set_up_limited((struct prober_options){ .limit_rate = 1 });
    ck_assert(take(TCP("1")));
    ck_assert(take(TCP("2") " timeout 0.5"));
    ck_assert(take(TCP("3") " timeout 0.1"));
    retry(900);
    ck_assert_str_eq(said(), "");
    retry(1000);
    ck_assert_int_eq(fake.last, 2);
    ck_assert_int_eq(next_deadline().ns, departure.ns + NS_PER_S / 2); /* as the transport says that it left */
}
END_TEST

/* What the host does not take once it may leave waits as any does, its timeout from then; others of its lane behind it. */
START_TEST(held_then_refused_for_now)
{
    set_up_limited((struct prober_options){ .limit_rate = 10 });
    ck_assert(take(TCP("1")));
    ck_assert(take(TCP("2") " timeout 0.2 tos 3 detail 1"));
    ck_assert(take(TCP("3") " timeout 5 tos 3"));
    ck_assert(take(TCP("4") " timeout 5 tos 4"));
    fake.error = EAGAIN;
    fake.refused_device = 3;
    retry(100);
    ck_assert_uint_eq(fake.sent, 2);
    ck_assert_int_eq(fake.last, 4); /* a refused one has not left: the limit lets the next go */
    retry(299);
    ck_assert_str_eq(said(), "");
    retry(310);
    ck_assert_str_eq(said(), "2 no-reply errno 105\n");
    fake.error = 0;
    retry(360);
    ck_assert_int_eq(fake.last, 3);
    ck_assert_uint_eq(fake.sent, 3);
    ck_assert_uint_eq(prober_in_flight(prober), 3);
}
END_TEST

/* What waits for its interface is bound by limits, too, when that takes it again. */
START_TEST(set_aside_then_limited)
{
    set_up_limited((struct prober_options){ .limit_rate = 10 });
    fake.error = EAGAIN;
    ck_assert(take(TCP("1")));
    ck_assert(take(TCP("2")));
    ck_assert(take(TCP("3")));
    fake.error = 0;
    retry(1);
    ck_assert_uint_eq(fake.sent, 1);
    for (int64_t ms = 2; ms < 101; ms++)
        retry(ms);
    ck_assert_uint_eq(fake.sent, 1);
    for (int64_t ms = 101; ms < 200; ms++)
        retry(ms);
    ck_assert_uint_eq(fake.sent, 2);
    ck_assert_int_eq(fake.last, 2);
}
END_TEST

/* Sweeps share the limit, and single requests that are held go before them. */
START_TEST(limited_sweeps)
{
    struct instant when;
    set_up_limited((struct prober_options){ .limit_rate = 20 });
    ck_assert(take("1 sweep ip-4 192.0.2.0/24 protocol tcp rate 1000"));
    struct clock clock = at_ms(1500);
    prober_sweep(prober, &clock);
    ck_assert_uint_eq(fake.sent, 2);
    ck_assert(prober_next_sweep(prober, &when) && when.ns == 1550 * NS_PER_MS);
    ck_assert(take_later(500, TCP("7")));
    ck_assert_uint_eq(prober_in_flight(prober), 4);
    clock = at_ms(1550);
    prober_sweep(prober, &clock);
    ck_assert_uint_eq(fake.sent, 2);
    retry(550);
    ck_assert_int_eq(fake.last, 7);
    clock = at_ms(1600);
    prober_sweep(prober, &clock);
    ck_assert_uint_eq(fake.sent, 4);
    ck_assert_int_eq(fake.last, 1);
}
END_TEST

START_TEST(sweeps_limited_in_flight)
{
    set_up_limited((struct prober_options){ .limit_in_flight = 3 });
    ck_assert(take("1 sweep ip-4 192.0.2.0/24 protocol tcp rate 1000000"));
    for (int64_t ms = 1000; ms < 1020; ms++) {
        struct clock clock = at_ms(ms);
        prober_sweep(prober, &clock);
    }
    ck_assert_uint_eq(fake.sent, 3);
}
END_TEST

/* A line is not taken when so much is held already: so who sends it waits, and nothing grows. */
START_TEST(held_no_more)
{
    static char line[LINE_BYTES];
    set_up_limited((struct prober_options){ .limit_in_flight = 1 });
    ck_assert(take(TCP("1")));
    for (uint32_t i = 0; i < 4096; i++)
        ck_assert(take(TCP("7")));
    ck_assert(!take(TCP("7")));
    ck_assert(take("5 check-support feature tcp"));

    set_up_limited((struct prober_options){ .limit_in_flight = 1 });
    int length = snprintf(line, sizeof line, "7 send-probe ip-4 192.0.2.9 ");
    memset(line + length, ' ', sizeof line - (size_t)length - 1);
    ck_assert(take(TCP("1")));
    uint32_t taken = 0;
    while (take(line))
        ck_assert_uint_lt(taken++, 1024 * 1024 / LINE_BYTES + 2);
}
END_TEST

START_TEST(limits_are_told)
{
    ck_assert(take("1 check-support feature limit-rate"));
    ck_assert_str_eq(said(), "1 feature-support support no\n");
    set_up_limited((struct prober_options){ .limit_rate = 200, .limit_in_flight = 1048576 });
    ck_assert(take("1 check-support feature limit-rate"));
    ck_assert(take("2 check-support feature limit-in-flight"));
    ck_assert_str_eq(said(), "1 feature-support support 200\n2 feature-support support 1048576\n");
}
END_TEST

/* ---- answers ---- */

START_TEST(replied_to_once)
{
    take(TCP("7"));
    receive(answer_to(7, 1234499));
    ck_assert_str_eq(said(), "7 reply ip-4 192.0.2.9 round-trip-time 1234\n");
    ck_assert_uint_eq(prober_in_flight(prober), 0);
    ck_assert_uint_eq(fake.released, 1);
    receive(answer_to(7, 1234499)); /* a duplicate */
    ck_assert_str_eq(said(), "");
    ck_assert_uint_eq(fake.released, 1);
}
END_TEST

/* Whole microseconds, never negative: the clocks tremble. */
START_TEST(round_trips)
{
    static const struct {
        int64_t ns;
        const char *reply;
    } rows[] = {
        { 0, "7 reply ip-4 192.0.2.9 round-trip-time 0\n" },
        { -3000, "7 reply ip-4 192.0.2.9 round-trip-time 0\n" },
        { 5000, "7 reply ip-4 192.0.2.9 round-trip-time 5\n" },
        { 4999999999, "7 reply ip-4 192.0.2.9 round-trip-time 5000000\n" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        take(TCP("7"));
        receive(answer_to(7, rows[i].ns));
        ck_assert_str_eq(said(), rows[i].reply);
    }
}
END_TEST

static const struct {
    enum meaning meaning;
    const char *from, *word, *old_word;
} words[] = {
    { MEANS_TTL_EXPIRED, "203.0.113.9", "ttl-expired", "ttl-expired" },
    { MEANS_NO_ROUTE_HOST, "203.0.113.9", "no-route-host", "no-route" },
    { MEANS_NO_ROUTE_HOST, "192.0.2.9", "no-route-host", "no-route" },
    { MEANS_NO_ROUTE_NETWORK, "203.0.113.9", "no-route-network", "no-route" },
    { MEANS_TOO_BIG, "203.0.113.9", "packet-too-big", "packet-too-big" },
};

START_TEST(words_for_errors)
{
    tear_down();
    set_up_with((struct prober_options){ .old_words = _i });
    for (size_t i = 0; i < COUNT(words); i++) {
        struct text expected = { .length = 0 };
        struct answer answer = error_to(7, words[i].meaning, words[i].from);
        bool too_big = words[i].meaning == MEANS_TOO_BIG;
        answer.mtu = too_big ? 1400 : 0;
        text_add(&expected, "7 %s ip-4 %s round-trip-time 2000%s\n", _i ? words[i].old_word : words[i].word,
                 words[i].from, too_big ? " mtu 1400" : "");
        take(TCP("7"));
        receive(answer);
        ck_assert_str_eq(said(), expected.text);
    }
}
END_TEST

/* The errors of whom a probe reached: as one host sends them, and as two do. */
static const struct {
    enum protocol_id protocol;
    enum meaning meaning;
    const char *from_target, *from_another;
} refusals[] = {
    { PROTOCOL_ICMP, MEANS_NO_PORT, "reply", "no-route-host" },
    { PROTOCOL_UDP, MEANS_NO_PORT, "reply", "reply" },
    { PROTOCOL_TCP, MEANS_NO_PORT, "reply", "no-route-host" },
    { PROTOCOL_SCTP, MEANS_NO_PORT, "reply", "no-route-host" },
    { PROTOCOL_ICMP, MEANS_NO_PROTOCOL, "reply", "no-route-host" },
    { PROTOCOL_UDP, MEANS_NO_PROTOCOL, "reply", "no-route-host" },
    { PROTOCOL_TCP, MEANS_NO_PROTOCOL, "reply", "no-route-host" },
    { PROTOCOL_SCTP, MEANS_NO_PROTOCOL, "reply", "reply" },
    { PROTOCOL_ICMP, MEANS_NOT_REASSEMBLED, "reply", "no-route-host" },
    { PROTOCOL_UDP, MEANS_NOT_REASSEMBLED, "reply", "no-route-host" },
    { PROTOCOL_TCP, MEANS_NOT_REASSEMBLED, "reply", "no-route-host" },
    { PROTOCOL_SCTP, MEANS_NOT_REASSEMBLED, "reply", "no-route-host" },
};

START_TEST(refused_by_whom)
{
    for (size_t i = 0; i < COUNT(refusals) * 2; i++) {
        struct text request = { .length = 0 }, expected = { .length = 0 };
        bool another = i % 2;
        const char *from = another ? "203.0.113.9" : "192.0.2.9";
        struct answer answer = error_to(7, refusals[i / 2].meaning, from);
        answer.protocol = refusals[i / 2].protocol;
        answer.has_number = protocols[answer.protocol]->numbered;
        text_add(&request, "7 send-probe ip-4 192.0.2.9 protocol %s", protocols[answer.protocol]->name);
        text_add(&expected, "7 %s ip-4 %s round-trip-time 2000\n",
                 another ? refusals[i / 2].from_another : refusals[i / 2].from_target, from);
        take(request.text);
        receive(answer);
        ck_assert_str_eq(said(), expected.text);
    }
}
END_TEST

/* Two requests in flight with one token are two requests. */
START_TEST(equal_tokens)
{
    take(TCP("7"));
    take(TCP("7"));
    ck_assert_uint_eq(prober_in_flight(prober), 2);
    struct clock clock = at_ms(7000);
    prober_expire(prober, &clock);
    ck_assert_str_eq(said(), "7 no-reply\n7 no-reply\n");
}
END_TEST

/* ---- deadlines ---- */

START_TEST(expired)
{
    struct instant when;
    struct clock clock = at_ms(1000);
    ck_assert(!prober_next_deadline(prober, &when));
    prober_expire(prober, &clock);
    take(TCP("8"));
    take("7 send-probe ip-4 192.0.2.9 protocol tcp timeout 0.25");
    ck_assert(prober_next_deadline(prober, &when));
    ck_assert_int_eq(when.ns, 1250 * NS_PER_MS);
    clock = at_ms(1249);
    prober_expire(prober, &clock);
    ck_assert_str_eq(said(), "");
    clock = at_ms(1250);
    prober_expire(prober, &clock);
    ck_assert_str_eq(said(), "7 no-reply\n");
    ck_assert(prober_next_deadline(prober, &when));
    ck_assert_int_eq(when.ns, 6000 * NS_PER_MS);
    receive(answer_to(7, NS_PER_MS)); /* late */
    ck_assert_str_eq(said(), "");
    clock = at_ms(6000);
    prober_expire(prober, &clock);
    ck_assert_str_eq(said(), "8 no-reply\n");
    ck_assert_uint_eq(fake.released, 2);
}
END_TEST

START_TEST(timeout_of_zero)
{
    struct clock clock = at_ms(1000);
    take("7 send-probe ip-4 192.0.2.9 protocol tcp timeout 0");
    prober_expire(prober, &clock);
    ck_assert_str_eq(said(), "7 no-reply\n");
}
END_TEST

/* When it arrived is not known: it may have been in time. */
START_TEST(late_for_all_that_is_known)
{
    struct answer answer = answer_to(7, 5001 * NS_PER_MS);
    take(TCP("7"));
    receive(answer);
    ck_assert_str_eq(said(), "");
    answer.unstamped = true;
    receive(answer);
    ck_assert_str_eq(said(), "7 reply ip-4 192.0.2.9 round-trip-time 5000000\n");
}
END_TEST

/* It left some time after the clock was read, or before the call returned: the timeout begins then, if that took long. */
START_TEST(held_up_while_sending)
{
    struct instant when;
    fake.transport.sent = instant_after(departure, 90 * NS_PER_US);
    take("7 send-probe ip-4 192.0.2.9 protocol tcp timeout 0.25");
    ck_assert(prober_next_deadline(prober, &when) && when.ns == 1250 * NS_PER_MS);
    receive(answer_to(7, NS_PER_MS));
    said();
    fake.transport.sent = instant_after(departure, 600 * NS_PER_MS);
    take("7 send-probe ip-4 192.0.2.9 protocol tcp timeout 0.25");
    ck_assert(prober_next_deadline(prober, &when) && when.ns == 1850 * NS_PER_MS);
    receive(answer_to(7, 610 * NS_PER_MS));
    ck_assert_str_eq(said(), "7 reply ip-4 192.0.2.9 round-trip-time 610000\n");
}
END_TEST

/* It arrived in time, and waited in the socket while the deadline passed. */
START_TEST(in_time_though_seen_late)
{
    struct clock clock = at_ms(9000);
    take(TCP("7"));
    take(TCP("8"));
    fake.answers[0] = answer_to(7, 4999 * NS_PER_MS);
    fake.answers[1] = answer_to(8, 5001 * NS_PER_MS); /* not in time */
    fake.answer_count = 2;
    prober_expire(prober, &clock);
    ck_assert_str_eq(said(), "7 reply ip-4 192.0.2.9 round-trip-time 4999000\n8 no-reply\n");
}
END_TEST

/* While answers that arrived before the deadline may still wait in a socket, nobody expires. */
START_TEST(not_before_all_is_received)
{
    struct clock clock = at_ms(9000);
    take(TCP("7"));
    fake.until = (struct instant){ 5900 * NS_PER_MS };
    prober_expire(prober, &clock);
    ck_assert_str_eq(said(), "");
    fake.until = (struct instant){ 6000 * NS_PER_MS };
    prober_expire(prober, &clock);
    ck_assert_str_eq(said(), "7 no-reply\n");
}
END_TEST

/* Packets that are nobody's come faster than they can be read: still the rest of the loop has its turn. */
START_TEST(flooded)
{
    const uint32_t few = 100;
    struct clock clock = at_ms(1000);
    take(TCP("7"));
    fake.flooded = true;
    prober_receive(prober, &clock);
    ck_assert_uint_lt(fake.received, few);
    clock = at_ms(6000);
    prober_expire(prober, &clock);
    ck_assert_uint_lt(fake.received, 2 * few);
    ck_assert_str_eq(said(), "7 no-reply\n");
}
END_TEST

/* A hundred thousand probes are due at once: the answers and requests that come meanwhile need not wait for all. */
START_TEST(expired_by_turns)
{
    const uint32_t due = 100000, few = 10000;
    struct clock clock = at_ms(7000);
    for (uint32_t i = 0; i < due; i++)
        ck_assert(take(TCP("7")));
    prober_expire(prober, &clock);
    ck_assert_uint_gt(fake.released, 0);
    ck_assert_uint_lt(fake.released, few);
    while (prober_in_flight(prober)) {
        uint32_t before = fake.released;
        prober_expire(prober, &clock);
        ck_assert(fake.released > before && fake.released - before < few);
        said();
    }
    ck_assert_uint_eq(fake.released, due);
}
END_TEST

START_TEST(strict)
{
    tear_down();
    set_up_with((struct prober_options){ .strict = true });
    take(TCP("7") " bogus 1");
    ck_assert_str_eq(said(), "7 invalid-argument reason unknown-argument argument bogus\n");
    ck_assert_uint_eq(fake.sent, 0);
}
END_TEST

/* ---- additions ---- */

/* What can't be had is refused, and only that; check-support says the same. */
START_TEST(flows_of_some_protocols)
{
    fake.no_flows = 1u << PROTOCOL_UDP | 1u << PROTOCOL_SCTP;
    ck_assert(take("7 send-probe ip-4 192.0.2.9 protocol udp timeout 1 flow 0"));
    ck_assert_str_eq(said(), "7 invalid-argument reason protocol-not-supported argument flow\n");
    ck_assert(take("7 send-probe ip-4 192.0.2.9 protocol udp timeout 1 flow-label 0"));
    ck_assert_str_eq(said(), "7 invalid-argument reason wrong-family argument flow-label\n");
    ck_assert_uint_eq(fake.sent, 0);
    ck_assert(take("7 send-probe ip-4 192.0.2.9 protocol udp timeout 1"));
    ck_assert(take("7 send-probe ip-6 ::1 protocol icmp timeout 1 flow 0 flow-label 0"));
    ck_assert_str_eq(said(), "");
    ck_assert_uint_eq(fake.sent, 2);
    take("7 check-support feature flow");
    ck_assert_str_eq(said(), "7 feature-support support ok\n");
    fake.no_flows = ~(1u << PROTOCOL_SCTP);
    take("7 check-support feature flow");
    refuse_sctp(); /* and so there are none at all */
    take("7 check-support feature flow");
    ck_assert_str_eq(said(), "7 feature-support support ok\n7 feature-support support no\n");
}
END_TEST

/* What came of it is said where it was asked for, of a SYN-ACK; what this host's SYNs do not ask for is refused. */
START_TEST(ecn_of_syns)
{
    fake.transport.tcp_ecn[TCP_ECN_OFF] = true;
    take("7 check-support feature tcp-ecn");
    take(TCP("7") " tcp-ecn classic");
    take(TCP("7") " tcp-ecn off");
    ck_assert_str_eq(said(), "7 feature-support support no\n"
                             "7 invalid-argument reason protocol-not-supported argument tcp-ecn\n");
    ck_assert_uint_eq(fake.sent, 1);
    fake.transport.tcp_ecn[TCP_ECN_ACCURATE] = true;
    take("7 check-support feature tcp-ecn");
    take(TCP("8") " tcp-ecn accurate");
    take(TCP("9"));
    take(TCP("10") " tcp-ecn accurate");
    for (int32_t token = 7; token <= 9; token++) {
        struct answer answer = answer_to(token, NS_PER_MS);
        answer.tcp_flags = TCP_AE | TCP_CWR | 0x12;
        receive(answer);
    }
    receive(error_to(10, MEANS_TTL_EXPIRED, "203.0.113.9"));
    ck_assert_str_eq(said(), "7 feature-support support ok\n"
                             "7 reply ip-4 192.0.2.9 round-trip-time 1000 tcp-ecn ce\n"
                             "8 reply ip-4 192.0.2.9 round-trip-time 1000 tcp-ecn ce\n"
                             "9 reply ip-4 192.0.2.9 round-trip-time 1000\n"
                             "10 ttl-expired ip-4 203.0.113.9 round-trip-time 2000\n");
    fake.error = EPROTONOSUPPORT; /* the SYN was another */
    take(TCP("7") " tcp-ecn off");
    ck_assert_str_eq(said(), "7 invalid-argument reason protocol-not-supported argument tcp-ecn\n");
}
END_TEST

/* The time of day goes out with it, and the three times come back; what this host can't send is refused. */
START_TEST(timestamp_requests)
{
    const char *line = "7 send-probe ip-4 192.0.2.9 icmp-request timestamp";
    take("7 check-support feature icmp-request");
    take(line);
    ck_assert_str_eq(said(), "7 feature-support support no\n"
                             "7 invalid-argument reason protocol-not-supported argument icmp-request\n");
    ck_assert_uint_eq(fake.sent, 0);
    fake.transport.icmp_requests[IPV4][ICMP_REQUEST_TIMESTAMP] = true;
    struct clock clock = { 0 };
    struct clock_reading reading = clock_read();
    clock_update(&clock, reading);
    prober_take_line(prober, &clock, line, strlen(line));
    ck_assert_uint_eq((wall_ms_of_day(clock_read().wall) + MS_PER_DAY - fake.number) % MS_PER_DAY / 1000, 0);
    struct answer answer = answer_to(7, NS_PER_MS);
    answer.protocol = PROTOCOL_ICMP;
    answer.icmp_request = ICMP_REQUEST_TIMESTAMP;
    answer.has_number = false;
    answer.originate = 7; /* the fake's number of all kinds */
    answer.receive = 0x80000001;
    answer.transmit = 86399999;
    receive(answer);
    take("7 check-support feature icmp-request");
    fake.transport.refusals[IPV4][PROTOCOL_ICMP] = EPERM;
    take("7 check-support feature icmp-request");
    ck_assert_str_eq(said(), "7 reply ip-4 192.0.2.9 round-trip-time 1000 originate 7 receive 2147483649 "
                             "transmit 86399999\n7 feature-support support ok\n7 feature-support support no\n");
}
END_TEST

/* A request that waits keeps the name that its line had. */
START_TEST(an_interface_that_waits)
{
    char line[] = "7 send-probe ip-4 192.0.2.9 icmp-request extended-echo interface-name eth0 timeout 5";
    fake.transport.icmp_requests[IPV4][ICMP_REQUEST_EXTENDED] = true;
    fake.error = EAGAIN;
    ck_assert(take(line));
    memset(line, 'x', sizeof line);
    fake.error = 0;
    struct clock clock = at_ms(1010);
    prober_retry(prober, &clock);
    ck_assert_uint_eq(fake.sent, 1);
    ck_assert_str_eq(fake.interface, "eth0");
}
END_TEST

START_TEST(additions_of_one_family)
{
    refuse_ipv6();
    take("7 check-support feature scope-id");
    take("7 check-support feature flow-label");
    take("7 check-support feature broadcast");
    take("7 check-support feature detail");
    ck_assert_str_eq(said(), "7 feature-support support no\n7 feature-support support no\n"
                             "7 feature-support support ok\n7 feature-support support ok\n");
}
END_TEST

START_TEST(no_room)
{
    fake.error = EOVERFLOW;
    ck_assert(take(TCP("7") " flow 3"));
    ck_assert_str_eq(said(), "7 invalid-argument reason no-room-for-identity argument flow\n");
}
END_TEST

/* Each answer is a line, and the deadline says how many there were. */
START_TEST(collected)
{
    take(TCP("7") " collect 1 detail 0");
    take(TCP("8"));
    for (int i = 1; i <= 3; i++) {
        struct answer answer = answer_to(7, i * NS_PER_MS);
        receive(answer);
    }
    ck_assert_str_eq(said(), "7 reply ip-4 192.0.2.9 round-trip-time 1000\n"
                             "7 reply ip-4 192.0.2.9 round-trip-time 2000\n"
                             "7 reply ip-4 192.0.2.9 round-trip-time 3000\n");
    receive(error_to(7, MEANS_TTL_EXPIRED, "203.0.113.9"));
    receive(answer_to(8, NS_PER_MS));
    receive(answer_to(8, 2 * NS_PER_MS));
    ck_assert_str_eq(said(), "7 ttl-expired ip-4 203.0.113.9 round-trip-time 2000\n"
                             "8 reply ip-4 192.0.2.9 round-trip-time 1000\n");
    ck_assert_uint_eq(prober_in_flight(prober), 1);
    ck_assert_uint_eq(fake.released, 1);
    receive(answer_to(7, 5001 * NS_PER_MS)); /* after the deadline */
    struct clock clock = at_ms(6000);
    prober_expire(prober, &clock);
    ck_assert_str_eq(said(), "7 collected count 4\n");
    receive(answer_to(7, 2 * NS_PER_MS));
    ck_assert_str_eq(said(), "");
    ck_assert_uint_eq(fake.released, 2);
}
END_TEST

START_TEST(collected_none)
{
    take("7 send-probe ip-4 192.0.2.9 protocol tcp timeout 0 collect 1 detail 1");
    struct clock clock = at_ms(1000);
    prober_expire(prober, &clock);
    ck_assert_str_eq(said(), "7 collected count 0\n");
    fake.error = ENETUNREACH;
    take(TCP("7") " collect 1");
    ck_assert_str_eq(said(), "7 no-route-network\n");
}
END_TEST

/* Who floods a client that does not read takes no more than so much memory; other probes are answered as ever. */
START_TEST(collected_without_end)
{
    struct clock clock = at_ms(2000);
    take(TCP("7") " collect 1");
    take(TCP("8"));
    size_t before = 0, line = strlen("7 reply ip-4 192.0.2.9 round-trip-time 1000\n");
    for (int i = 0; i < 20000; i++) {
        for (size_t n = 0; n < TRANSPORT_BATCH; n++)
            fake.answers[n] = answer_to(7, NS_PER_MS);
        fake.answer_count = TRANSPORT_BATCH;
        prober_receive(prober, &clock);
    }
    before = output_waiting(output);
    MUST(before > 16u << 20 && before <= (16u << 20) + line);
    receive(answer_to(8, NS_PER_MS));
    MUST(output_waiting(output) == before + line && prober_in_flight(prober) == 1);
    clock = at_ms(6000);
    prober_expire(prober, &clock);
    struct text end = { .length = 0 };
    text_add(&end, "7 collected count %zu\n", before / line);
    MUST(output_waiting(output) == before + line + end.length);
}
END_TEST

/* A scope is said as it was asked for: by the name that the interface has now, or by its number. */
START_TEST(scopes)
{
    static const struct {
        const char *target, *said;
        uint32_t scope;
    } rows[] = {
        { "fe80::9%wire", "fe80::9%wire", 7 },
        { "fe80::9%old-name", "fe80::9%wire", 7 },
        { "fe80::9%wire", "fe80::9%8", 8 }, /* it is gone by now */
        { "fe80::9%7", "fe80::9%7", 7 },
        { "fe80::9", "fe80::9", 7 },
        { "2001:db8::9", "2001:db8::9", 7 },
        { "2001:db8::9 local-ip-6 fe80::1%wire", "2001:db8::9", 7 },
        { "fe80::9 local-ip-6 fe80::1%wire", "fe80::9%wire", 7 },
        { "fe80::9 local-ip-6 fe80::1%7", "fe80::9%7", 7 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct text line = { .length = 0 }, expected = { .length = 0 };
        char address[40];
        size_t length = strcspn(rows[i].target, "% ");
        memcpy(address, rows[i].target, length);
        address[length] = '\0';
        struct answer answer = answer_to(7, NS_PER_MS);
        answer.family = IPV6;
        answer.from = answer.target = address_of(IPV6, address);
        fake.scope = rows[i].scope;
        text_add(&line, "7 send-probe ip-6 %s protocol tcp", rows[i].target);
        text_add(&expected, "7 reply ip-6 %s round-trip-time 1000\n", rows[i].said);
        take(line.text);
        receive(answer);
        ck_assert_str_eq(said(), expected.text);
    }
}
END_TEST

/* Times by the wall clock, as it stands to the monotonic one now; the nanoseconds of a round trip. */
START_TEST(detailed)
{
    take(TCP("7") " detail 1");
    take(TCP("8") " detail 1");
    struct clock clock = { 0 };
    clock_update(&clock, (struct clock_reading){ { 2000 * NS_PER_MS }, { 1700000002 * NS_PER_S }, 0 });
    fake.answers[0] = answer_to(7, 1234567);
    fake.answers[0].tcp_flags = 0x12;
    fake.answer_count = 1;
    prober_receive(prober, &clock);
    ck_assert_str_eq(said(), "7 reply ip-4 192.0.2.9 round-trip-time 1235 local-ip-4 0.0.0.0 local-port 5000 "
                             "sent 1700000001.000000000 tcp-flags syn-ack round-trip-ns 1234567 "
                             "received 1700000001.001234567\n");
    clock_update(&clock, (struct clock_reading){ { 9000 * NS_PER_MS }, { 1700000009 * NS_PER_S }, 0 });
    prober_expire(prober, &clock);
    ck_assert_str_eq(said(), "8 no-reply local-ip-4 0.0.0.0 local-port 5000 sent 1700000001.000000000\n");
}
END_TEST

Suite *
prober_suite(void)
{
    Suite *suite = suite_create("prober");
    TCase *tests = tcase_create("prober");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, answered_at_once);
    tcase_add_test(tests, what_can_not_be_had);
    tcase_add_test(tests, refused_by_the_local_host);
    tcase_add_test(tests, not_now);
    tcase_add_test(tests, never_sent);
    tcase_add_test(tests, others_go_on);
    tcase_add_test(tests, one_target_is_refused);
    tcase_add_test(tests, many_are_refused);
    tcase_add_test(tests, refused_again);
    tcase_add_test(tests, taken_again);
    tcase_add_test(tests, port_is_freed);
    tcase_add_test(tests, port_is_freed_for_a_sweep);
    tcase_add_test(tests, stopped_while_set_aside);
    tcase_add_test(tests, sweeps_expire_together);
    tcase_add_test(tests, sweeps_beside_single_requests);
    tcase_add_test(tests, no_more_room);
    tcase_add_test(tests, held_by_rate);
    tcase_add_test(tests, held_by_those_in_flight);
    tcase_add_test(tests, timeout_of_the_held);
    tcase_add_test(tests, held_then_refused_for_now);
    tcase_add_test(tests, set_aside_then_limited);
    tcase_add_test(tests, limited_sweeps);
    tcase_add_test(tests, sweeps_limited_in_flight);
    tcase_add_test(tests, held_no_more);
    tcase_add_test(tests, limits_are_told);
    tcase_add_test(tests, replied_to_once);
    tcase_add_test(tests, round_trips);
    tcase_add_loop_test(tests, words_for_errors, 0, 2);
    tcase_add_test(tests, refused_by_whom);
    tcase_add_test(tests, equal_tokens);
    tcase_add_test(tests, expired);
    tcase_add_test(tests, timeout_of_zero);
    tcase_add_test(tests, late_for_all_that_is_known);
    tcase_add_test(tests, held_up_while_sending);
    tcase_add_test(tests, in_time_though_seen_late);
    tcase_add_test(tests, not_before_all_is_received);
    tcase_add_test(tests, flooded);
    tcase_add_test(tests, expired_by_turns);
    tcase_add_test(tests, strict);
    tcase_add_test(tests, flows_of_some_protocols);
    tcase_add_test(tests, ecn_of_syns);
    tcase_add_test(tests, timestamp_requests);
    tcase_add_test(tests, an_interface_that_waits);
    tcase_add_test(tests, additions_of_one_family);
    tcase_add_test(tests, no_room);
    tcase_add_test(tests, collected);
    tcase_add_test(tests, collected_none);
    tcase_add_test(tests, collected_without_end);
    tcase_add_test(tests, scopes);
    tcase_add_test(tests, detailed);
    suite_add_tcase(suite, tests);
    return suite;
}
