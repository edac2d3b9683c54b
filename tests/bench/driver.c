/* SPDX-License-Identifier: MIT */
/*
 * Drives a probe daemon over pipes and measures it from outside: CPU, time, and what it replies. Everything is checked:
 * each token must be answered once, by the reply that was expected, or the run is no figure and the exit status is 1.
 *
 * usage: driver [options] -- PROGRAM [ARGUMENT]...
 *   --count N         requests in all
 *   --window N        at most so many unanswered (default 500)
 *   --rate N          at most so many requests a second (default: as fast as it goes)
 *   --expect WORD     the reply that counts (default reply)
 *   --others          another reply is counted, and is no error
 *   --request TEXT    what follows the token; %d becomes the number of the request, 0 and up; may be given again, then
 *                     requests take turns
 *   --times FILE      writes a line a request: token, seconds from request to reply as seen here, round-trip-time
 *   --one-write       all requests leave by one write()
 *   --small-pipe      few requests wait in the pipe, so that each is read soon after it was written
 *   --one-core        while the requests of --count are under way, the program and the driver share one core, so that
 *                     no figure has the time in it that another core takes to wake up
 *   --ballast N, --ballast-request TEXT, --ballast-rate N
 *                     so many other requests are in flight before the first of the above is sent and until the last
 *                     of these is answered; then they must all end as no-reply
 *   --drop-ballast    they are not waited for: the program is killed
 *
 * Prints one line of NAME=VALUE pairs. count; wall, cpu, user, system in seconds, the last three of the program's whole
 * life; busy: its cpu from the first request of --count to the last reply; first: seconds from its start to its first
 * reply; rss in KiB; median and p99 of the round-trip-time replied, in us; answer_min, answer_median and answer_p99: us
 * from request to reply as seen here; others; with a ballast that was waited for, ballast_min, ballast_median and
 * ballast_p99, as answer_*.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REQUESTS_MAX 64
#define PIPE_SIZE (1 << 20)
#define SMALL_PIPE_SIZE 4096
#define LINES_AT_ONCE 64
#define SILENCE_MS 30000 /* without a reply for so long, the run has failed */
#define SETTLE_MS 10     /* a program that uses next to no cpu for so long has taken all that it was sent */
#define SETTLED_CPU 0.0005

/* Requests of one kind, with tokens of their own from `first` up. */
struct wave {
    size_t first, count, window, rate;
    const char *expect;
    const char *requests[REQUESTS_MAX];
    size_t request_count;
    bool others_count;
    size_t sent, answered, others;
    double start;
};

struct options {
    const char *times;
    bool one_write, small_pipe, one_core, drop_ballast;
};

struct run {
    struct options options;
    struct wave main, ballast;
    int to, from;
    pid_t child;
    clockid_t child_clock;
    double started, first_reply;
    double *sent_at, *replied_at; /* by token */
    int64_t *round_trip;          /* us, by token; -1: none was said */
    char *out;
    size_t out_size, out_start, out_end;
    char in[1 << 16];
    size_t in_end;
};

static struct run run_state;

static double
read_clock(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double
now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static void
die(const char *what, const char *about)
{
    fprintf(stderr, "driver: %s%s\n", what, about);
    if (run_state.child > 0)
        kill(run_state.child, SIGKILL);
    exit(1);
}

static void
start_program(struct run *run, char **argv)
{
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
        die("no pipe: ", strerror(errno));
    fcntl(to[1], F_SETPIPE_SZ, run->options.small_pipe ? SMALL_PIPE_SIZE : PIPE_SIZE);
    fcntl(from[1], F_SETPIPE_SZ, PIPE_SIZE);
    run->started = now();
    run->child = fork();
    if (run->child == 0) {
        dup2(to[0], STDIN_FILENO);
        dup2(from[1], STDOUT_FILENO);
        execvp(argv[0], argv);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    run->to = to[1];
    run->from = from[0];
    fcntl(run->to, F_SETFL, O_NONBLOCK);
    if (run->child < 0 || clock_getcpuclockid(run->child, &run->child_clock) != 0)
        die("no process", "");
}

static void
add_request(struct run *run, struct wave *wave)
{
    const char *text = wave->requests[wave->sent % wave->request_count];
    if (run->out_size - run->out_end < 512) {
        run->out_size = run->out_size * 2 + 65536;
        run->out = realloc(run->out, run->out_size);
        if (!run->out)
            die("no memory", "");
    }
    size_t token = wave->first + wave->sent;
    char *at = run->out + run->out_end;
    at += sprintf(at, "%zu ", token);
    const char *number = strstr(text, "%d");
    if (number)
        at += sprintf(at, "%.*s%zu%s\n", (int)(number - text), text, wave->sent, number + 2);
    else
        at += sprintf(at, "%s\n", text);
    run->out_end = (size_t)(at - run->out);
    run->sent_at[token] = now();
    wave->sent++;
}

/* Requests that may leave now, by window and rate. */
static size_t
allowance(const struct wave *wave)
{
    size_t left = wave->count - wave->sent;
    size_t room = wave->window - (wave->sent - wave->answered);
    if (wave->rate) {
        size_t due = (size_t)((now() - wave->start) * (double)wave->rate) + 1;
        size_t late = due > wave->sent ? due - wave->sent : 0;
        room = late < room ? late : room;
    }
    return left < room ? left : room;
}

static void
write_requests(struct run *run)
{
    while (run->out_start < run->out_end) {
        ssize_t written = write(run->to, run->out + run->out_start, run->out_end - run->out_start);
        if (written < 0 && errno == EAGAIN)
            return;
        if (written < 0)
            die("the program reads no more: ", strerror(errno));
        run->out_start += (size_t)written;
    }
    run->out_start = run->out_end = 0;
}

/* The wave that a token belongs to, if it is unanswered. */
static struct wave *
find_wave(struct run *run, unsigned long token)
{
    struct wave *wave = token < run->main.count ? &run->main : &run->ballast;
    return token - wave->first < wave->sent && run->replied_at[token] == 0 ? wave : NULL;
}

static void
take_reply(struct run *run, char *line, double time)
{
    char *rest;
    unsigned long token = strtoul(line, &rest, 10);
    struct wave *wave = find_wave(run, token);
    if (!wave)
        die("a token that was not asked for, or twice: ", line);
    size_t length = strlen(wave->expect);
    bool expected = *rest == ' ' && strncmp(rest + 1, wave->expect, length) == 0 &&
                    (rest[1 + length] == ' ' || rest[1 + length] == '\0');
    if (!expected && !wave->others_count)
        die("another reply than expected: ", line);
    if (wave == &run->ballast && run->main.answered < run->main.count)
        die("the ballast was over before the rest: ", line);
    char *trip = strstr(rest, "round-trip-time ");
    run->replied_at[token] = time;
    run->round_trip[token] = trip ? atoll(trip + strlen("round-trip-time ")) : -1;
    wave->answered++;
    wave->others += !expected;
}

static void
read_replies(struct run *run)
{
    ssize_t got = read(run->from, run->in + run->in_end, sizeof run->in - run->in_end - 1);
    double time = now();
    if (got <= 0)
        die("the program ended before it had answered", "");
    if (run->first_reply == 0)
        run->first_reply = time;
    run->in_end += (size_t)got;
    run->in[run->in_end] = '\0';
    char *line = run->in;
    for (char *newline; (newline = strchr(line, '\n')); line = newline + 1) {
        *newline = '\0';
        take_reply(run, line, time);
    }
    run->in_end -= (size_t)(line - run->in);
    memmove(run->in, line, run->in_end);
}

static int
wait_time(const struct wave *wave, size_t allowed)
{
    if (!wave->rate || wave->sent == wave->count || allowed)
        return SILENCE_MS;
    double next = wave->start + (double)wave->sent / (double)wave->rate - now();
    return next > 0.001 ? (int)(next * 1000) : 0;
}

/* One turn: writes what may leave, reads what has come; waits for it only while there is something to wait for. */
static void
turn(struct run *run, struct wave *wave, bool until_sent)
{
    size_t allowed = allowance(wave);
    size_t at_once = run->options.one_write ? allowed : LINES_AT_ONCE;
    for (size_t i = 0; i < allowed && i < at_once; i++)
        add_request(run, wave);
    write_requests(run);
    bool waiting = run->out_start < run->out_end;
    if (until_sent && wave->sent == wave->count && !waiting)
        return;
    struct pollfd fds[] = {
        { .fd = run->from, .events = POLLIN },
        { .fd = waiting ? run->to : -1, .events = POLLOUT },
    };
    allowed = allowance(wave);
    int timeout = allowed && !waiting ? 0 : wait_time(wave, allowed);
    int ready = poll(fds, 2, timeout);
    if (ready == 0 && timeout == SILENCE_MS)
        die("no reply for a long time", "");
    if (fds[0].revents)
        read_replies(run);
}

static void
use_cores(const struct run *run, const cpu_set_t *cores)
{
    if (sched_setaffinity(0, sizeof *cores, cores) < 0 || sched_setaffinity(run->child, sizeof *cores, cores) < 0)
        die("can't choose a core: ", strerror(errno));
}

static void
use_one_core(const struct run *run, const cpu_set_t *cores)
{
    cpu_set_t one;
    size_t core = 0;
    while (!CPU_ISSET(core, cores))
        core++;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    use_cores(run, &one);
}

static void
converse(struct run *run, struct wave *wave)
{
    while (wave->answered < wave->count)
        turn(run, wave, false);
}

/* Returns when the program has read all requests and has come to rest. */
static void
settle(const struct run *run)
{
    const struct timespec pause = { .tv_nsec = SETTLE_MS * 1000000L };
    int unread = 1;
    double before = 0, after = 0;
    while (unread || after - before > SETTLED_CPU) {
        before = read_clock(run->child_clock);
        nanosleep(&pause, NULL);
        after = read_clock(run->child_clock);
        if (ioctl(run->to, FIONREAD, &unread) < 0)
            die("can't tell what was read: ", strerror(errno));
    }
}

static void
load_ballast(struct run *run)
{
    struct wave *wave = &run->ballast;
    wave->start = now();
    while (wave->sent < wave->count || run->out_end > 0)
        turn(run, wave, true);
    settle(run);
}

static int
compare_integers(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static int
compare_numbers(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static size_t
place_of_median(size_t count)
{
    return count / 2;
}

static size_t
place_of_p99(size_t count)
{
    return count - 1 - count / 100;
}

static double
seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void
write_times(const struct run *run)
{
    FILE *file = fopen(run->options.times, "w");
    if (!file)
        die("can't write ", run->options.times);
    for (size_t i = 0; i < run->main.count; i++)
        fprintf(file, "%zu %.9f %lld\n", i, run->replied_at[i] - run->sent_at[i], (long long)run->round_trip[i]);
    fclose(file);
}

/* Prints the times from request to reply. Spoils the wave's times. */
static void
report_answers(struct run *run, const struct wave *wave, const char *name)
{
    double *times = run->replied_at + wave->first;
    for (size_t i = 0; i < wave->count; i++)
        times[i] = (times[i] - run->sent_at[wave->first + i]) * 1e6;
    qsort(times, wave->count, sizeof *times, compare_numbers);
    printf(" %s_min=%.1f %s_median=%.1f %s_p99=%.1f", name, times[0], name, times[place_of_median(wave->count)], name,
           times[place_of_p99(wave->count)]);
}

static void
end_program(struct run *run, struct rusage *usage)
{
    int status;
    bool killed = run->options.drop_ballast && run->ballast.count > 0;
    if (killed)
        kill(run->child, SIGKILL);
    close(run->to);
    if (wait4(run->child, &status, 0, usage) < 0 || (!killed && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)))
        die("the program did not end by itself", "");
    run->child = 0;
}

static void
report(struct run *run, double wall, double busy)
{
    struct rusage usage;
    size_t count = run->main.count;
    end_program(run, &usage);
    if (run->options.times)
        write_times(run);
    qsort(run->round_trip, count, sizeof *run->round_trip, compare_integers);
    double user = seconds(usage.ru_utime), system = seconds(usage.ru_stime);
    printf("count=%zu wall=%.6f cpu=%.6f user=%.6f system=%.6f busy=%.6f first=%.6f rss=%ld median=%lld p99=%lld "
           "others=%zu", count, wall, user + system, user, system, busy, run->first_reply - run->started,
           usage.ru_maxrss, (long long)run->round_trip[place_of_median(count)],
           (long long)run->round_trip[place_of_p99(count)], run->main.others);
    report_answers(run, &run->main, "answer");
    if (run->ballast.count > 0 && !run->options.drop_ballast)
        report_answers(run, &run->ballast, "ballast");
    putchar('\n');
}

static void
add_text(struct wave *wave, const char *text)
{
    if (wave->request_count < REQUESTS_MAX)
        wave->requests[wave->request_count++] = text;
}

static size_t
number(const char *text)
{
    return strtoul(text, NULL, 10);
}

static void
read_options(int argc, char **argv, struct run *run)
{
    enum { SMALL_PIPE = 256, ONE_CORE, BALLAST, BALLAST_REQUEST, BALLAST_RATE, DROP_BALLAST };
    static const struct option known[] = {
        { "count", required_argument, NULL, 'c' },
        { "window", required_argument, NULL, 'w' },
        { "rate", required_argument, NULL, 'r' },
        { "expect", required_argument, NULL, 'e' },
        { "others", no_argument, NULL, 'a' },
        { "request", required_argument, NULL, 'q' },
        { "times", required_argument, NULL, 't' },
        { "one-write", no_argument, NULL, 'o' },
        { "small-pipe", no_argument, NULL, SMALL_PIPE },
        { "one-core", no_argument, NULL, ONE_CORE },
        { "ballast", required_argument, NULL, BALLAST },
        { "ballast-request", required_argument, NULL, BALLAST_REQUEST },
        { "ballast-rate", required_argument, NULL, BALLAST_RATE },
        { "drop-ballast", no_argument, NULL, DROP_BALLAST },
        { NULL, 0, NULL, 0 },
    };
    struct wave *main = &run->main, *ballast = &run->ballast;
    *main = (struct wave){ .count = 1, .window = 500, .expect = "reply" };
    *ballast = (struct wave){ .expect = "no-reply" };
    for (int option; (option = getopt_long(argc, argv, "+", known, NULL)) != -1;) {
        switch (option) {
        case 'c': main->count = number(optarg); break;
        case 'w': main->window = number(optarg); break;
        case 'r': main->rate = number(optarg); break;
        case 'e': main->expect = optarg; break;
        case 'a': main->others_count = true; break;
        case 'q': add_text(main, optarg); break;
        case 't': run->options.times = optarg; break;
        case 'o': run->options.one_write = true; break;
        case SMALL_PIPE: run->options.small_pipe = true; break;
        case ONE_CORE: run->options.one_core = true; break;
        case BALLAST: ballast->count = ballast->window = number(optarg); break;
        case BALLAST_REQUEST: add_text(ballast, optarg); break;
        case BALLAST_RATE: ballast->rate = number(optarg); break;
        case DROP_BALLAST: run->options.drop_ballast = true; break;
        default: exit(2);
        }
    }
    if (optind == argc || !main->request_count || !main->count || (ballast->count && !ballast->request_count))
        die("usage: driver [options] --request TEXT -- PROGRAM [ARGUMENT]...", "");
    ballast->first = main->count;
}

int
main(int argc, char **argv)
{
    struct run *run = &run_state;
    read_options(argc, argv, run);
    size_t all = run->main.count + run->ballast.count;
    run->sent_at = calloc(all, sizeof *run->sent_at);
    run->replied_at = calloc(all, sizeof *run->replied_at);
    run->round_trip = calloc(all, sizeof *run->round_trip);
    if (!run->sent_at || !run->replied_at || !run->round_trip)
        die("no memory", "");
    start_program(run, argv + optind);
    signal(SIGPIPE, SIG_IGN); /* the program's end is told by write() */

    if (run->ballast.count)
        load_ballast(run);
    cpu_set_t cores;
    sched_getaffinity(0, sizeof cores, &cores);
    if (run->options.one_core)
        use_one_core(run, &cores);
    double busy = read_clock(run->child_clock);
    run->main.start = now();
    converse(run, &run->main);
    double wall = now() - run->main.start;
    busy = read_clock(run->child_clock) - busy;
    if (run->options.one_core)
        use_cores(run, &cores);
    if (!run->options.drop_ballast)
        converse(run, &run->ballast);
    report(run, wall, busy);
    return 0;
}
