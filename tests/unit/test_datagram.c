/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lines/request.h"
#include "plain/datagram.h"
#include "suites.h"
#include "support.h"

static struct refused refused;
static struct outlets outlets = { .refused = &refused };

/* Sends a datagram to this host by a port that the client named; its port and lease are in *MODEL then. */
static void
send_named(struct datagrams *datagrams, uint16_t port, struct probe *model)
{
    static uint8_t packet[PACKET_MAX];
    static struct stash stash;
    char line[128];
    struct request request;
    struct complaint complaint;
    int length = snprintf(line, sizeof line, "1 send-probe ip-4 127.0.0.1 protocol udp local-port %d size 64", port);
    ck_assert_int_eq(request_parse(line, (size_t)length, false, &request, &complaint), LINE_REQUEST);
    struct clock clock = { .offset = 0 };
    struct route route = { .source = request.target, .device = 1 };
    struct probes *in_flight = probes_new(1);
    struct errand errand = {
        .request = &request,
        .in_flight = in_flight,
        .clock = &clock,
        .route = &route,
        .packet = packet,
        .stash = &stash,
    };
    stash.last = instant_after(clock_now(), NS_PER_S); /* so the kernel is not asked for a stamp */
    *model = (struct probe){ .target = request.target, .protocol = PROTOCOL_UDP, .identity.source = route.source };
    ck_assert_int_eq(datagrams_send(datagrams, &errand, model), 0);
    probes_free(in_flight);
}

static struct outlet *
next_event(int epoll)
{
    struct epoll_event event = { .data.ptr = NULL };
    ck_assert_int_eq(epoll_wait(epoll, &event, 1, 1000), 1);
    return event.data.ptr;
}

/* Nobody listens at the target's port: so there soon is an error, and an event that tells of it. */
START_TEST(test_event_of_a_closed_socket)
{
    struct probe model;
    int epoll = outlets.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct datagrams *datagrams = datagrams_new(&outlets);
    struct instant when, now = clock_now();
    uint16_t port = (uint16_t)(20000 + random_below(&outlets.identities.random, 10000));
    send_named(datagrams, port, &model);
    struct outlet *outlet = next_event(epoll);
    ck_assert_int_eq(outlet->near, port);
    datagrams_release(datagrams, model.lease, now);
    ck_assert(datagrams_rest(datagrams, now, &when));
    ck_assert(!datagrams_rest(datagrams, when, &when));
    ck_assert_msg(outlet->fd == -1, "an event that waits points to %d, not to a closed socket", outlet->fd);

    send_named(datagrams, port, &model); /* by the same place */
    ck_assert_ptr_eq(next_event(epoll), outlet);
    datagrams_free(datagrams);
    close(epoll);
}
END_TEST

/* An error that waits to be told is no reason to leave what was received behind it. */
START_TEST(test_datagram_behind_an_error)
{
    struct probe model;
    struct answer answers[INBOX_BATCH];
    size_t count = 0;
    struct clock clock = { .offset = 0 };
    struct inbox *inbox = inbox_new();
    int epoll = outlets.epoll = epoll_create1(EPOLL_CLOEXEC), other = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct datagrams *datagrams = datagrams_new(&outlets);
    uint16_t port = (uint16_t)(20000 + random_below(&outlets.identities.random, 10000));
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    clock_update(&clock, clock_read());
    send_named(datagrams, port, &model);
    struct outlet *outlet = next_event(epoll);
    ck_assert_int_eq(sendto(other, "answer", 6, 0, (struct sockaddr *)&name, sizeof name), 6);
    ck_assert_uint_eq(outlet_receive(outlet, inbox, 0, false, &clock, answers, &count), 1);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(outlet_receive(outlet, inbox, 0, true, &clock, answers, &count), 1);
    ck_assert_uint_eq(count, 2);
    inbox_free(inbox);
    datagrams_free(datagrams);
    close(other);
    close(epoll);
}
END_TEST

Suite *
datagram_suite(void)
{
    Suite *suite = suite_create("datagram");
    TCase *tcase = tcase_create("datagram");
    tcase_set_tags(tcase, "control-messages"); /* qemu's user mode sends them in the wrong byte order */
    tcase_add_test(tcase, test_event_of_a_closed_socket);
    tcase_add_test(tcase, test_datagram_behind_an_error);
    suite_add_tcase(suite, tcase);
    return suite;
}
