/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lines/input.h"
#include "suites.h"
#include "support.h"

/* A pipe into an input, and what came out of it: "<line>" a line, "!" an overflow, "." the end. */
struct source {
    int write_fd, read_fd;
    struct input *input;
    struct text seen;
};

static struct source
open_source(void)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    return (struct source){ .read_fd = fds[0], .write_fd = fds[1], .input = input_new(fds[0]) };
}

static void
close_source(struct source *source)
{
    input_free(source->input);
    close(source->read_fd);
    close(source->write_fd); /* -1: it is closed */
}

/* Lines that are long are said by their length, and must be all one letter. */
static void
note_line(struct text *seen, const char *line, size_t length)
{
    for (size_t i = 1; length > 100 && i < length; i++)
        ck_assert(line[i] == line[0]);
    if (length > 100)
        text_add(seen, "<%c*%zu>", line[0], length);
    else
        text_add(seen, "<%.*s>", (int)length, line);
}

static void
take_lines(struct source *source)
{
    const char *line;
    size_t length;
    enum input_line kind;
    while ((kind = input_next(source->input, &line, &length)) != INPUT_NONE) {
        if (kind == INPUT_OVERFLOW) {
            text_add(&source->seen, "!");
        } else {
            struct blob copy = blob_copy(line, length);
            for (size_t i = 0; i < length; i++)
                if (copy.bytes[i] == '\0')
                    copy.bytes[i] = '0'; /* to be seen */
            note_line(&source->seen, (const char *)copy.bytes, length);
            blob_free(&copy);
        }
    }
}

static void
drain(struct source *source)
{
    struct pollfd readable = { .fd = source->read_fd, .events = POLLIN };
    while (input_wants_more(source->input) && poll(&readable, 1, 0) > 0 && readable.revents) {
        input_fill(source->input);
        take_lines(source);
    }
}

static void
feed(struct source *source, const char *bytes, size_t length, size_t piece)
{
    while (length > 0) {
        size_t now = length < piece ? length : piece;
        ck_assert_int_eq(write(source->write_fd, bytes, now), (ssize_t)now);
        drain(source);
        bytes += now;
        length -= now;
    }
}

static void
end(struct source *source)
{
    ck_assert(!input_ended(source->input));
    close(source->write_fd);
    source->write_fd = -1;
    drain(source);
    if (input_ended(source->input))
        text_add(&source->seen, ".");
    ck_assert(!input_wants_more(source->input));
}

static const struct {
    const char *bytes;
    size_t length;
    const char *seen;
} texts[] = {
#define TEXT(bytes, seen) { bytes, sizeof bytes - 1, seen }
    TEXT("", "."),
    TEXT("\n", "<>."),
    TEXT("one\n", "<one>."),
    TEXT("one\ntwo\n\nfour\n", "<one><two><><four>."),
    TEXT("no newline", "<no newline>."),
    TEXT("one\nno newline", "<one><no newline>."),
    TEXT("one\r\ntwo\r\n", "<one\r><two\r>."),
    TEXT("a\0b\n\0\nc\0", "<a0b><0><c0>."),
    TEXT("\xff\xfe\n\t \n", "<\xff\xfe><\t >."),
};

START_TEST(split_at_every_byte)
{
    for (size_t i = 0; i < COUNT(texts); i++) {
        for (size_t at = 0; at <= texts[i].length; at++) {
            struct source source = open_source();
            feed(&source, texts[i].bytes, at, at);
            feed(&source, texts[i].bytes + at, texts[i].length - at, texts[i].length);
            end(&source);
            ck_assert_str_eq(source.seen.text, texts[i].seen);
            close_source(&source);
        }
        struct source source = open_source();
        feed(&source, texts[i].bytes, texts[i].length, 1);
        end(&source);
        ck_assert_str_eq(source.seen.text, texts[i].seen);
        close_source(&source);
    }
}
END_TEST

/* A line of LENGTH letters between two short ones; with TAIL 0 the input ends within it. */
static const struct {
    size_t length;
    const char *tail;
    const char *seen;
} long_lines[] = {
    { 32766, "\nafter\n", "<before><x*32766><after>." },
    { 32767, "\nafter\n", "<before><x*32767><after>." },
    { 32768, "\nafter\n", "<before>!<after>." },
    { 32769, "\nafter\n", "<before>!<after>." },
    { 65536, "\nafter\n", "<before>!<after>." },
    { 131072, "\nafter\n", "<before>!<after>." },
    { 131073, "\nafter\n", "<before>!<after>." },
    { 1 << 20, "\nafter\n", "<before>!<after>." },
    { 5 << 20, "\n\nafter\n", "<before>!<><after>." },
    { 32767, "", "<before><x*32767>." },
    { 32768, "", "<before>!." },
    { 1 << 20, "", "<before>!." },
    { 1 << 20, "\n", "<before>!." },
    { 1 << 20, "\nno newline", "<before>!<no newline>." },
};

static const size_t pieces[] = { 60000, 4096, 32768, 32767, 997 };

START_TEST(long_line)
{
    char *bytes = memory(long_lines[_i].length + 32);
    size_t length = (size_t)sprintf(bytes, "before\n");
    memset(bytes + length, 'x', long_lines[_i].length);
    length += long_lines[_i].length;
    length += (size_t)sprintf(bytes + length, "%s", long_lines[_i].tail);
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct source source = open_source();
        feed(&source, bytes, length, pieces[i]);
        end(&source);
        ck_assert_str_eq(source.seen.text, long_lines[_i].seen);
        close_source(&source);
    }
    free(bytes);
}
END_TEST

/* Around the limit, one byte at a time from a little before it. */
START_TEST(one_byte_at_a_time)
{
    for (size_t length = 32760; length < 32775; length++) {
        struct source source = open_source();
        char *bytes = memory(length);
        memset(bytes, 'x', length);
        feed(&source, bytes, 32750, 32750);
        feed(&source, bytes, length - 32750, 1);
        feed(&source, "\nafter\n", 7, 1);
        end(&source);
        struct text expected = { .length = 0 };
        if (length <= LINE_MAX_LENGTH)
            text_add(&expected, "<x*%zu><after>.", length);
        else
            text_add(&expected, "!<after>.");
        ck_assert_str_eq(source.seen.text, expected.text);
        free(bytes);
        close_source(&source);
    }
}
END_TEST

/* A line is put back, more comes in, and it is there again, whole. */
START_TEST(put_back)
{
    struct source source = open_source();
    const char *line;
    size_t length;
    ck_assert_int_eq(write(source.write_fd, "one\ntwo\nthr", 11), 11);
    input_fill(source.input);
    for (int times = 0; times < 3; times++) {
        ck_assert(input_next(source.input, &line, &length) == INPUT_LINE);
        ck_assert(length == 3 && memcmp(line, "one", 3) == 0);
        input_unget(source.input);
    }
    ck_assert_int_eq(write(source.write_fd, "ee", 2), 2);
    input_fill(source.input);
    ck_assert(input_next(source.input, &line, &length) == INPUT_LINE && memcmp(line, "one", 3) == 0);
    ck_assert(input_next(source.input, &line, &length) == INPUT_LINE && memcmp(line, "two", 3) == 0);
    ck_assert(input_next(source.input, &line, &length) == INPUT_NONE);
    close(source.write_fd);
    source.write_fd = -1;
    input_fill(source.input);
    ck_assert(input_next(source.input, &line, &length) == INPUT_LINE && length == 5 && memcmp(line, "three", 5) == 0);
    ck_assert(input_ended(source.input));
    input_unget(source.input); /* the last line, without its newline */
    ck_assert(!input_ended(source.input));
    ck_assert(input_next(source.input, &line, &length) == INPUT_LINE && length == 5 && memcmp(line, "three", 5) == 0);
    ck_assert(input_next(source.input, &line, &length) == INPUT_NONE);
    ck_assert(input_ended(source.input));
    close_source(&source);
}
END_TEST

/* Lines that nobody takes fill the buffer; then no more is wanted, and none of them is lost. */
START_TEST(nothing_lost_while_nobody_takes_lines)
{
    struct source source = open_source();
    char line[1001];
    size_t written = 0, taken = 0;
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    fcntl(source.write_fd, F_SETFL, O_NONBLOCK);
    for (size_t round = 0; round < 1000 && input_wants_more(source.input); round++) {
        while (write(source.write_fd, line, sizeof line) == sizeof line)
            written++; /* a pipe takes so few bytes whole or not at all */
        input_fill(source.input);
    }
    ck_assert(!input_wants_more(source.input));
    ck_assert(!input_ended(source.input));
    close(source.write_fd);
    source.write_fd = -1;
    while (!input_ended(source.input)) {
        const char *at;
        size_t length;
        for (; input_next(source.input, &at, &length) == INPUT_LINE; taken++)
            ck_assert_uint_eq(length, sizeof line - 1);
        if (input_wants_more(source.input))
            input_fill(source.input);
    }
    ck_assert_uint_eq(taken, written);
    close_source(&source);
}
END_TEST

/* Somebody else has taken what poll() saw: nothing waits, and the mode that others share stays as it is. */
START_TEST(nothing_left)
{
    int fds[2];
    if (_i)
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    else
        ck_assert_int_eq(pipe(fds), 0);
    struct input *input = input_new(fds[0]);
    input_fill(input);
    ck_assert(input_wants_more(input) && !input_ended(input));
    ck_assert_int_eq(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
    input_free(input);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* A descriptor that has nothing just now, or that breaks. */
START_TEST(errors_of_reading)
{
    struct source source = open_source();
    fcntl(source.read_fd, F_SETFL, O_NONBLOCK);
    input_fill(source.input); /* EAGAIN */
    ck_assert(input_wants_more(source.input) && !input_ended(source.input));
    close_source(&source);
    int fd = open("/", O_RDONLY);
    struct input *input = input_new(fd); /* EISDIR */
    input_fill(input);
    ck_assert(input_ended(input));
    input_free(input);
    close(fd);
}
END_TEST

Suite *
input_suite(void)
{
    Suite *suite = suite_create("input");
    TCase *tests = tcase_create("input");
    tcase_add_test(tests, split_at_every_byte);
    tcase_add_loop_test(tests, long_line, 0, COUNT(long_lines));
    tcase_add_test(tests, one_byte_at_a_time);
    tcase_add_test(tests, put_back);
    tcase_add_test(tests, nothing_lost_while_nobody_takes_lines);
    tcase_add_loop_test(tests, nothing_left, 0, 2);
    tcase_add_test(tests, errors_of_reading);
    suite_add_tcase(suite, tests);
    return suite;
}
