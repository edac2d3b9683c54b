/* SPDX-License-Identifier: MIT */
#include "loop.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LINES_PER_TURN 64              /* then the sockets are looked at: their buffers are short */
#define LINES_BETWEEN_LOOKS 8          /* at the clock: a line may cost 45 fragments (64 KiB at an MTU of 1500) */
#define SENDING_MAX NS_PER_MS          /* in one turn, so that deadlines are kept */
#define REPLIES_WAITING_MAX (64 * 1024) /* bytes; beyond, no request is read until the client reads */
#define REPLIES_AT_ONCE (16 * 1024)    /* bytes; while there is more to do, so many are written together, */
#define REPLIES_LATE (4 * NS_PER_MS)   /* or what there is after so long */
#define RETRY_AFTER NS_PER_MS          /* when a request could not be sent just now: see prober_take_line() */

enum { PFD_INPUT, PFD_OUTPUT, PFD_SIGNAL, PFD_TRANSPORT };

struct state {
    struct clock clock;
    bool backlog;         /* lines were left in the buffer when the turn was over */
    bool stuck;           /* the next line could not be sent: try again at `retry` */
    struct instant retry;
    struct instant flushed; /* when no reply was left unwritten, as far as the client took them */
    uint64_t lost;        /* packets that the kernel had dropped when we last said so */
    struct instant told;  /* when that was */
    int end;              /* the signal that came, and ends us; or -errno: we cannot wait */
};

static bool
may_take_lines(const struct loop *loop)
{
    return output_waiting(loop->output) < REPLIES_WAITING_MAX;
}

static void
sooner(struct instant *when, bool *set, struct instant other)
{
    if (!*set || other.ns < when->ns)
        *when = other;
    *set = true;
}

/* When the loop must go on though nothing has come; false: it need not. */
static bool
find_next_wake(const struct loop *loop, const struct state *state, struct instant *when)
{
    struct instant other;
    bool set = false;
    if (prober_next_deadline(loop->prober, &other))
        sooner(when, &set, other);
    if (may_take_lines(loop) && prober_next_sweep(loop->prober, &other))
        sooner(when, &set, other);
    if (loop->transport->body->rest(loop->transport, state->clock.now.instant, &other))
        sooner(when, &set, other);
    if (state->stuck)
        sooner(when, &set, state->retry);
    else if (state->backlog && may_take_lines(loop))
        sooner(when, &set, state->clock.now.instant);
    return set;
}

static bool
wait_for_events(const struct loop *loop, struct state *state, struct pollfd *fds, size_t count)
{
    struct instant when;
    bool timed = find_next_wake(loop, state, &when);
    int ready = clock_poll(fds, count, timed ? &when : NULL);
    for (size_t i = 0; ready < 0 && i < count; i++)
        fds[i].revents = 0;
    if (ready >= 0 || errno == EINTR || errno == EAGAIN || errno == ENOMEM)
        return true;
    state->end = -errno;
    return false;
}

static void
take_lines(const struct loop *loop, struct state *state)
{
    const char *line;
    size_t length;
    state->stuck = false;
    state->backlog = true;
    struct instant enough = instant_after(clock_now(), SENDING_MAX);
    for (int taken = 0; taken < LINES_PER_TURN && may_take_lines(loop); taken++) {
        if (taken % LINES_BETWEEN_LOOKS == LINES_BETWEEN_LOOKS - 1 && instant_since(clock_now(), enough) > 0)
            return;
        switch (input_next(loop->input, &line, &length)) {
        case INPUT_NONE:
            state->backlog = false;
            return;
        case INPUT_OVERFLOW:
            prober_refuse_line(loop->prober);
            break;
        case INPUT_LINE:
            if (prober_take_line(loop->prober, &state->clock, line, length))
                break;
            input_unget(loop->input);
            state->stuck = true;
            state->retry = instant_after(clock_now(), RETRY_AFTER);
            return;
        }
    }
}

/* At most once a second, so that nobody who floods us floods the screen. */
static void
tell_losses(const struct loop *loop, struct state *state)
{
    uint64_t lost = loop->transport->body->lost(loop->transport);
    bool recently = instant_since(state->clock.now.instant, state->told) < NS_PER_S;
    struct pollfd screen = { .fd = STDERR_FILENO, .events = POLLOUT };
    if (!loop->verbose || lost == state->lost || recently || poll(&screen, 1, 0) < 1) /* never wait for who reads it */
        return;
    fprintf(stderr, "mtr-packet: the kernel dropped %" PRIu64 " packets: no room in a receive buffer, or damaged\n", lost);
    state->lost = lost;
    state->told = state->clock.now.instant;
}

/* True while there is something left to do. */
static bool
is_alive(const struct loop *loop)
{
    return !input_ended(loop->input) || prober_in_flight(loop->prober) || output_waiting(loop->output);
}

/* Which descriptors matter now; the transport's stand behind the fixed ones. Returns their number. */
static size_t
choose_descriptors(const struct loop *loop, const struct state *state, struct pollfd *fds)
{
    bool read = input_wants_more(loop->input) && !state->backlog && !state->stuck && may_take_lines(loop);
    fds[PFD_INPUT] = (struct pollfd){ .fd = read ? loop->input_fd : -1, .events = POLLIN };
    fds[PFD_OUTPUT] = (struct pollfd){
        .fd = output_fd(loop->output),
        .events = output_waiting(loop->output) ? POLLOUT : 0,
    };
    fds[PFD_SIGNAL] = (struct pollfd){ .fd = loop->signal_fd, .events = POLLIN };
    return PFD_TRANSPORT + loop->transport->body->watch(loop->transport, fds + PFD_TRANSPORT);
}

/* Each write wakes the client: when requests are at hand anyway, more replies go with one, but none stays for long. */
static bool
write_replies(const struct loop *loop, struct state *state)
{
    struct instant now = clock_now();
    size_t waiting = output_waiting(loop->output);
    bool busy = state->backlog && !state->stuck;
    bool late = instant_since(now, state->flushed) > REPLIES_LATE;
    if (busy && waiting > 0 && waiting < REPLIES_AT_ONCE && !late)
        return true;
    state->flushed = now;
    return output_flush(loop->output);
}

/* What is answered is written first, as far as the client takes it. */
static bool
take_signal(const struct loop *loop, struct state *state)
{
    struct signalfd_siginfo info;
    if (read(loop->signal_fd, &info, sizeof info) != sizeof info)
        return false;
    state->end = (int)info.ssi_signo;
    output_flush(loop->output);
    return true;
}

/*
 * One turn. Answers come before deadlines, so that what has arrived in time counts; both come before new requests, so
 * that a flood of these delays neither.
 */
static bool
turn(const struct loop *loop, struct state *state)
{
    struct pollfd fds[PFD_TRANSPORT + TRANSPORT_DESCRIPTORS];
    size_t count = choose_descriptors(loop, state, fds);
    if (!wait_for_events(loop, state, fds, count))
        return false;
    clock_refresh(&state->clock);
    loop->transport->body->polled(loop->transport, fds + PFD_TRANSPORT, count - PFD_TRANSPORT,
                                  state->clock.now.instant);
    if (fds[PFD_OUTPUT].revents & (POLLERR | POLLHUP | POLLNVAL))
        return false;

    prober_receive(loop->prober, &state->clock);
    prober_expire(loop->prober, &state->clock);
    prober_retry(loop->prober, &state->clock);
    if (state->clock.stepped)
        clock_settle(&state->clock, loop->transport->body->received_until(loop->transport, &state->clock));
    if (fds[PFD_SIGNAL].revents && take_signal(loop, state))
        return false;
    if (fds[PFD_INPUT].revents)
        input_fill(loop->input);
    if (!state->stuck || instant_since(state->clock.now.instant, state->retry) >= 0)
        take_lines(loop, state);
    if (may_take_lines(loop) && (!state->backlog || state->stuck)) /* what a client asks for itself goes first */
        prober_sweep(loop->prober, &state->clock);
    tell_losses(loop, state);
    return write_replies(loop, state);
}

int
loop_run(const struct loop *loop)
{
    struct state state = { .stuck = false };
    clock_refresh(&state.clock);
    while (is_alive(loop) && turn(loop, &state))
        ;
    return state.end;
}
