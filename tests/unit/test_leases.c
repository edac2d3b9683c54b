/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "raw/keep.h"
#include "raw/leases.h"
#include "suites.h"
#include "support.h"

#define NAMED 4321

static const struct address loopback = { { 127, 0, 0, 1 } };
static const struct address loopback_2 = { { 127, 0, 0, 2 } };

static struct sockaddr_in
loopback_name(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

/* A UDP socket bound to this port of 127.0.0.1, or -1. */
static int
bind_udp(uint16_t port)
{
    struct sockaddr_in name = loopback_name(port);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    if (bind(fd, (struct sockaddr *)&name, sizeof name) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void
ck_free(uint16_t port)
{
    int fd = bind_udp(port);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void
ck_in_use(uint16_t port)
{
    ck_assert(bind_udp(port) < 0 && errno == EADDRINUSE);
}

/* As if that long had passed. */
static bool
rest(struct leases *leases, int64_t seconds)
{
    struct instant when;
    return leases_rest(leases, instant_after(clock_now(), seconds * NS_PER_S), &when);
}

static enum port_owner
owner(struct leases *leases, uint16_t port)
{
    return leases_owner(leases, IPV4, &loopback, port, clock_now());
}

START_TEST(held_while_it_is_used)
{
    struct leases *leases = leases_new();
    uint32_t first = 0, second = 0;
    ck_assert_int_eq(leases_hold(leases, IPV4, &loopback, 0, NAMED, &first), 0);
    ck_assert_uint_ne(first, 0);
    ck_assert_int_eq(leases_hold(leases, IPV4, &loopback, 0, NAMED, &second), 0);
    ck_assert_uint_eq(first, second); /* shared */
    ck_assert(leases_is_held(leases, first));
    ck_in_use(NAMED);
    leases_give_up(leases, first);
    ck_assert(!rest(leases, 9));
    ck_in_use(NAMED);
    leases_give_up(leases, second);
    ck_assert(rest(leases, 1)); /* it rests */
    ck_in_use(NAMED);
    ck_assert_int_eq(leases_hold(leases, IPV4, &loopback, 0, NAMED, &first), 0);
    ck_assert(!rest(leases, 9)); /* and is used again */
    ck_in_use(NAMED);
    leases_give_up(leases, first);
    ck_assert(!rest(leases, 3));
    ck_free(NAMED);
    leases_free(leases);
}
END_TEST

START_TEST(another_program_has_it)
{
    struct leases *leases = leases_new();
    uint32_t lease = 0;
    int fd = bind_udp(NAMED);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(leases_hold(leases, IPV4, &loopback, 0, NAMED, &lease), EADDRINUSE);
    ck_assert_int_eq(leases_hold_everywhere(leases, NAMED, &lease), EADDRINUSE);
    ck_assert_int_eq(leases_hold(leases, IPV4, &loopback_2, 0, NAMED, &lease), 0); /* on another address it is free */
    leases_give_up(leases, lease);
    close(fd);
    ck_assert_int_eq(leases_hold(leases, IPV4, &loopback, 0, NAMED, &lease), 0);
    leases_free(leases);
}
END_TEST

/* While it is shared, and a little longer, no datagram to it is ours, though it could be held meanwhile. */
START_TEST(shared_with_another_program)
{
    struct leases *leases = leases_new();
    uint32_t shared = 0, held = 0;
    ck_assert_int_eq(owner(leases, NAMED), OWNER_NONE);
    ck_assert_int_eq(leases_share(leases, NAMED, &shared), 0);
    ck_assert(!leases_is_held(leases, shared));
    ck_assert_int_eq(owner(leases, NAMED), OWNER_OTHERS);
    ck_assert_int_eq(leases_hold(leases, IPV4, &loopback, 0, NAMED, &held), 0);
    ck_assert_uint_ne(shared, held);
    ck_assert_int_eq(owner(leases, NAMED), OWNER_OTHERS);
    leases_give_up(leases, shared);
    ck_assert_int_eq(owner(leases, NAMED), OWNER_OTHERS);
    rest(leases, 3);
    ck_assert_int_eq(owner(leases, NAMED), OWNER_US);
    leases_free(leases);
}
END_TEST

/* Of two daemons with one port the first holds it; but it knows of the other, however briefly that was there. */
START_TEST(two_daemons)
{
    struct leases *one = leases_new(), *other = leases_new();
    uint32_t lease = 0, its = 0;
    ck_assert_int_eq(leases_hold(one, IPV4, &loopback, 0, NAMED, &lease), 0);
    ck_assert_int_eq(owner(one, NAMED), OWNER_US);
    ck_assert_int_eq(leases_hold(other, IPV4, &loopback, 0, NAMED, &its), EADDRINUSE);
    ck_assert_int_eq(leases_share(other, NAMED, &its), 0);
    ck_assert_int_eq(owner(one, NAMED), OWNER_OTHERS);
    struct leases *third = leases_new();
    uint32_t shared;
    ck_assert_int_eq(leases_share(third, NAMED, &shared), 0); /* any number */
    leases_free(third);
    leases_give_up(other, its);
    ck_assert_int_eq(owner(one, NAMED), OWNER_OTHERS);
    rest(other, 3);
    ck_assert_int_eq(owner(one, NAMED), OWNER_US);
    leases_free(other);
    leases_free(one);
}
END_TEST

START_TEST(scopes_are_told_apart)
{
    struct leases *leases = leases_new();
    const struct address local = address_of(IPV6, "::1");
    uint32_t first = 0, second = 0;
    ck_assert_int_eq(leases_hold(leases, IPV6, &local, 0, NAMED, &first), 0);
    ck_assert_int_ne(leases_hold(leases, IPV6, &local, 1, NAMED, &second), 0);
    ck_assert_int_eq(leases_hold(leases, IPV4, &loopback, 0, NAMED, &second), 0);
    ck_assert_uint_ne(first, second);
    leases_free(leases);
}
END_TEST

/* A port of our own choice is held at all addresses of both families, and given back at once. */
START_TEST(held_everywhere)
{
    struct leases *leases = leases_new();
    struct sockaddr_in6 name = { .sin6_family = AF_INET6, .sin6_port = htons(NAMED), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    uint32_t lease = 0, same = 0;
    ck_assert_int_eq(leases_hold_everywhere(leases, NAMED, &lease), 0);
    ck_in_use(NAMED);
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert(fd < 0 || (bind(fd, (struct sockaddr *)&name, sizeof name) < 0 && errno == EADDRINUSE));
    close(fd);
    ck_assert_int_eq(owner(leases, NAMED), OWNER_US);
    ck_assert_int_eq(leases_hold(leases, IPV4, &loopback, 0, NAMED, &same), 0); /* a client may name it */
    ck_assert_uint_eq(lease, same);
    leases_give_up(leases, lease);
    ck_in_use(NAMED);
    leases_give_up(leases, lease);
    ck_free(NAMED);
    leases_free(leases);
}
END_TEST

/* Chosen ports leave descriptors to all else. */
START_TEST(descriptors_are_spared)
{
    struct rlimit all, some;
    uint32_t lease, count = 0;
    getrlimit(RLIMIT_NOFILE, &all);
    some = all;
    some.rlim_cur = 80;
    setrlimit(RLIMIT_NOFILE, &some);
    struct leases *leases = leases_new();
    while (leases_hold_everywhere(leases, (uint16_t)(5000 + count), &lease) == 0)
        count++;
    ck_assert(count > 30 && count < 71);
    ck_assert_int_eq(leases_hold(leases, IPV4, &loopback, 0, NAMED, &lease), 0);
    leases_free(leases);
    setrlimit(RLIMIT_NOFILE, &all);
}
END_TEST

START_TEST(an_address_that_is_not_ours)
{
    struct leases *leases = leases_new();
    struct address other = address_of(IPV4, "192.0.2.77");
    uint32_t lease = 0;
    ck_assert_int_eq(leases_hold(leases, IPV4, &other, 0, NAMED, &lease), EADDRNOTAVAIL);
    leases_free(leases);
}
END_TEST

/* Many at once, given up in another order, their slots used again. */
START_TEST(many_holds)
{
    struct leases *leases = leases_new();
    uint32_t all[40], sum = 0;
    for (uint16_t round = 0; round < 5; round++) {
        for (uint16_t i = 0; i < COUNT(all); i++) {
            const struct address *source = i % 2 ? &loopback : &loopback_2;
            ck_assert_int_eq(leases_hold(leases, IPV4, source, 0, (uint16_t)(NAMED + round + i / 2), &all[i]), 0);
            for (uint16_t j = 0; j < i; j++)
                ck_assert_uint_ne(all[i], all[j]);
            sum += all[i];
        }
        for (size_t i = 0; i < COUNT(all); i++)
            leases_give_up(leases, all[(i * 7 + round) % COUNT(all)]);
        if (round % 2)
            rest(leases, 3);
    }
    ck_assert_uint_le(sum, 5 * 44 * 45 / 2); /* no slots but those */
    ck_assert(!rest(leases, 3));
    for (uint16_t i = 0; i < COUNT(all) / 2; i++)
        ck_free((uint16_t)(NAMED + 4 + i));
    leases_free(leases);
}
END_TEST

/* The kernel takes the port for open: who sends to it hears no port unreachable. And nothing is ever queued there. */
START_TEST(the_kernel_takes_it_for_open)
{
    struct leases *leases = leases_new();
    uint32_t lease = 0;
    struct sockaddr_in name = loopback_name(NAMED);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    char byte;
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    ck_assert_int_eq(send(fd, "x", 1, 0), 1);
    ck_assert(recv(fd, &byte, 1, 0) < 0 && errno == ECONNREFUSED); /* as it is when nobody has it */
    ck_assert_int_eq(_i ? leases_hold_everywhere(leases, NAMED, &lease)
                        : leases_hold(leases, IPV4, &loopback, 0, NAMED, &lease), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(send(fd, "x", 1, 0), 1);
    ck_assert(recv(fd, &byte, 1, 0) < 0 && errno == EAGAIN);
    close(fd);
    leases_free(leases); /* with the lease still held */
    ck_free(NAMED);
}
END_TEST

Suite *
leases_suite(void)
{
    Suite *suite = suite_create("leases");
    TCase *tests = tcase_create("leases");
    tcase_add_checked_fixture(tests, enter_own_network, NULL);
    tcase_add_test(tests, held_while_it_is_used);
    tcase_add_test(tests, another_program_has_it);
    tcase_add_test(tests, shared_with_another_program);
    tcase_add_test(tests, two_daemons);
    tcase_add_test(tests, scopes_are_told_apart);
    tcase_add_test(tests, held_everywhere);
    tcase_add_test(tests, descriptors_are_spared);
    tcase_add_test(tests, an_address_that_is_not_ours);
    tcase_add_test(tests, many_holds);
    tcase_add_loop_test(tests, the_kernel_takes_it_for_open, 0, 2);
    suite_add_tcase(suite, tests);
    return suite;
}
