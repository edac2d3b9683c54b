/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lines/output.h"
#include "suites.h"
#include "support.h"

/* The I-th line, of any length up to PIPE_BUF with its newline; now and then a long one. */
static size_t
line_number(uint32_t i, char line[PIPE_BUF])
{
    uint64_t state = i;
    size_t length = dice(&state) % (i % 50 ? 120 : PIPE_BUF) + 1;
    memset(line, (int)('a' + i % 26), length - 1);
    line[length - 1] = '\n';
    return length;
}

/* Reads what comes and compares it with the lines from *NEXT on. A read may end within a line only if ANYWHERE. */
struct follower {
    uint32_t next;
    size_t offset; /* within the next line */
};

static void
follow(struct follower *follower, const char *bytes, size_t length, bool anywhere)
{
    char line[PIPE_BUF];
    while (length > 0) {
        size_t whole = line_number(follower->next, line);
        size_t left = whole - follower->offset;
        size_t now = length < left ? length : left;
        ck_assert(memcmp(bytes, line + follower->offset, now) == 0);
        ck_assert_msg(anywhere || now == left, "line %u was parted", follower->next);
        follower->offset = (follower->offset + now) % whole;
        follower->next += now == left;
        bytes += now;
        length -= now;
    }
}

static void
add_lines(struct output *output, uint32_t from, uint32_t to)
{
    char line[PIPE_BUF];
    for (uint32_t i = from; i < to; i++)
        output_line(output, line, line_number(i, line));
}

/* Each write is one packet, so that it is seen where one ends. */
START_TEST(whole_lines_in_each_write)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    struct output *output = output_new(fds[1]);
    fcntl(output_fd(output), F_SETFL, O_NONBLOCK | O_DIRECT);
    struct follower follower = { 0 };
    char bytes[2 * PIPE_BUF];
    for (uint32_t i = 0; i < 2000; i += 40) {
        add_lines(output, i, i + 40);
        while (output_waiting(output) > 0 || follower.next < i + 40) {
            ck_assert(output_flush(output));
            ssize_t got = read(fds[0], bytes, sizeof bytes);
            ck_assert_int_gt(got, 0);
            ck_assert_int_le(got, PIPE_BUF);
            follow(&follower, bytes, (size_t)got, false);
        }
    }
    ck_assert_uint_eq(follower.next, 2000);
    output_free(output);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

static void
open_channel(bool as_socket, int fds[2])
{
    if (as_socket) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    } else {
        ck_assert_int_eq(pipe(fds), 0);
        fcntl(fds[1], F_SETPIPE_SZ, 4096);
    }
}

/* A reader that sleeps: nothing blocks, nothing is lost, and all of it comes in order when it wakes up. */
START_TEST(a_slow_reader)
{
    int fds[2];
    open_channel(_i, fds);
    struct output *output = output_new(fds[1]);
    add_lines(output, 0, 30000);
    ck_assert(output_flush(output));
    size_t waiting = output_waiting(output);
    ck_assert_uint_gt(waiting, 0);
    ck_assert(output_flush(output)); /* still not */
    ck_assert_uint_eq(output_waiting(output), waiting);
    ck_assert_int_eq(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0); /* others may share it */

    struct follower follower = { 0 };
    char bytes[777];
    uint32_t added = 30000;
    while (follower.next < added) {
        ssize_t got = read(fds[0], bytes, sizeof bytes);
        ck_assert_int_gt(got, 0);
        follow(&follower, bytes, (size_t)got, true);
        ck_assert(output_flush(output));
        if (added < 31000)
            add_lines(output, added, added + 10), added += 10;
    }
    ck_assert_uint_eq(output_waiting(output), 0);
    output_free(output);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* The loop polls for room, and sleeps while there is none. */
START_TEST(polls_when_writable)
{
    int fds[2];
    open_channel(_i, fds);
    struct output *output = output_new(fds[1]);
    struct pollfd writable = { .fd = output_fd(output), .events = POLLOUT };
    ck_assert_int_eq(poll(&writable, 1, 0), 1);
    add_lines(output, 0, 30000);
    ck_assert(output_flush(output));
    ck_assert_int_eq(poll(&writable, 1, 0), 0);
    output_free(output);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(a_reader_who_left)
{
    int fds[2];
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    open_channel(_i, fds);
    struct output *output = output_new(fds[1]);
    ck_assert(output_flush(output)); /* nothing to say yet */
    close(fds[0]);
    add_lines(output, 0, 10);
    ck_assert(!output_flush(output));
    ck_assert(!output_flush(output));
    output_free(output);
    close(fds[1]);
}
END_TEST

/* A file takes everything at once. */
START_TEST(a_file)
{
    char name[] = "/tmp/hopline-output-XXXXXX";
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    unlink(name);
    struct output *output = output_new(fd);
    add_lines(output, 0, 3000);
    ck_assert(output_flush(output));
    ck_assert_uint_eq(output_waiting(output), 0);
    output_free(output);
    struct follower follower = { 0 };
    char bytes[8192];
    ssize_t got;
    lseek(fd, 0, SEEK_SET);
    while ((got = read(fd, bytes, sizeof bytes)) > 0)
        follow(&follower, bytes, (size_t)got, true);
    ck_assert_uint_eq(follower.next, 3000);
    close(fd);
}
END_TEST

START_TEST(the_descriptor_stays_open)
{
    int fds[2];
    open_channel(_i, fds);
    struct output *output = output_new(fds[1]);
    output_free(output);
    ck_assert_int_eq(write(fds[1], "x", 1), 1); /* it was not ours to close */
    output_free(NULL);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

Suite *
output_suite(void)
{
    Suite *suite = suite_create("output");
    TCase *tests = tcase_create("output");
    tcase_add_test(tests, whole_lines_in_each_write);
    tcase_add_loop_test(tests, a_slow_reader, 0, 2);
    tcase_add_loop_test(tests, polls_when_writable, 0, 2);
    tcase_add_loop_test(tests, a_reader_who_left, 0, 2);
    tcase_add_test(tests, a_file);
    tcase_add_loop_test(tests, the_descriptor_stays_open, 0, 2);
    suite_add_tcase(suite, tests);
    return suite;
}
