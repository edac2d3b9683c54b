/* SPDX-License-Identifier: MIT */
#include "tools/events.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "host/clock.h"

#define STANDSTILL (200 * NS_PER_MS) /* an alarm that is so late was kept back by something else than others */
#define MOMENT (100 * NS_PER_MS)

struct events {
    struct watch **watches;
    struct pollfd *polled; /* of the same order, made anew for each wait */
    size_t watch_count;
    size_t watch_room;
    struct alarm **heap; /* from 1; no alarm is due before the one at place / 2 */
    size_t alarm_count;
    size_t alarm_room;
    struct alarm *urgent; /* for which there was no memory */
    struct instant now;
    struct instant held; /* no alarm rings before: see note_standstill() */
    struct watch signals;
    sigset_t heard; /* by `signals` */
    void (*quit)(void *owner); /* at SIGQUIT */
    void *quit_owner;
    void (*continued)(void *owner); /* at SIGCONT */
    void *continued_owner;
    int signal;
    bool ended;
};

static void
take_signal(void *owner, short came)
{
    (void)came;
    struct events *events = owner;
    struct signalfd_siginfo info;
    if (read(events->signals.descriptor, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGQUIT) {
        events->quit(events->quit_owner);
        return;
    }
    if (info.ssi_signo == SIGCONT) {
        events->continued(events->continued_owner);
        return;
    }
    events->signal = (int)info.ssi_signo;
    events->ended = true;
}

static bool
is_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) != 0 || now.sa_handler == SIG_IGN;
}

static sigset_t
ending_signals(void)
{
    static const int all[] = { SIGINT, SIGTERM, SIGHUP };
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!is_ignored(all[i]))
            sigaddset(&set, all[i]);
    return set;
}

/*
 * A tool may be started without some of the standard descriptors (`<&-`). Whatever it opens next would get their numbers:
 * its signals would be read as a list of targets, and its output could go to a name server. What is in their place
 * instead reads as empty, and refuses what is written, as a closed one does.
 */
static bool
fill_standard_descriptors(void)
{
    int descriptor = 0;
    while (descriptor >= 0 && descriptor <= STDERR_FILENO)
        descriptor = open("/dev/null", O_RDONLY);
    return descriptor >= 0 && close(descriptor) == 0;
}

struct events *
events_new(void)
{
    struct events *events = fill_standard_descriptors() ? calloc(1, sizeof *events) : NULL;
    if (!events)
        return NULL;
    events->heard = ending_signals();
    sigprocmask(SIG_BLOCK, &events->heard, NULL);
    events->signals = (struct watch){ signalfd(-1, &events->heard, SFD_NONBLOCK | SFD_CLOEXEC), POLLIN, take_signal, events };
    if (events->signals.descriptor < 0 || !events_watch(events, &events->signals)) {
        events_free(events);
        return NULL;
    }
    events->now = clock_now();
    return events;
}

static void
hear_too(struct events *events, int number)
{
    sigaddset(&events->heard, number);
    sigprocmask(SIG_BLOCK, &events->heard, NULL);
    signalfd(events->signals.descriptor, &events->heard, 0);
}

void
events_on_quit(struct events *events, void (*told)(void *owner), void *owner)
{
    events->quit = told;
    events->quit_owner = owner;
    if (!is_ignored(SIGQUIT))
        hear_too(events, SIGQUIT);
}

void
events_on_continue(struct events *events, void (*told)(void *owner), void *owner)
{
    events->continued = told;
    events->continued_owner = owner;
    hear_too(events, SIGCONT);
}

void
events_free(struct events *events)
{
    if (!events)
        return;
    if (events->signals.descriptor >= 0)
        close(events->signals.descriptor);
    free(events->watches);
    free(events->polled);
    free(events->heap);
    free(events);
}

/* ---- descriptors */

bool
events_watch(struct events *events, struct watch *watch)
{
    if (events->watch_count == events->watch_room) {
        size_t room = events->watch_room ? 2 * events->watch_room : 8;
        struct watch **watches = realloc(events->watches, room * sizeof(struct watch *));
        if (watches)
            events->watches = watches;
        struct pollfd *polled = realloc(events->polled, room * sizeof *polled);
        if (polled)
            events->polled = polled;
        if (!watches || !polled)
            return false;
        events->watch_room = room;
    }
    events->watches[events->watch_count++] = watch;
    return true;
}

/* The others keep their order, and one that was looked at in this turn is not looked at again: see look(). */
void
events_unwatch(struct events *events, struct watch *watch)
{
    for (size_t i = 0; i < events->watch_count; i++)
        if (events->watches[i] == watch) {
            events->watches[i] = NULL;
            return;
        }
}

static void
leave_out_unwatched(struct events *events)
{
    size_t kept = 0;
    for (size_t i = 0; i < events->watch_count; i++)
        if (events->watches[i])
            events->watches[kept++] = events->watches[i];
    events->watch_count = kept;
}

/* ---- alarms: a binary heap */

static void
put(struct events *events, size_t place, struct alarm *alarm)
{
    events->heap[place] = alarm;
    alarm->place = place;
}

static void
move_up(struct events *events, struct alarm *alarm, size_t place)
{
    for (; place > 1 && alarm->due.ns < events->heap[place / 2]->due.ns; place /= 2)
        put(events, place, events->heap[place / 2]);
    put(events, place, alarm);
}

static void
move_down(struct events *events, struct alarm *alarm, size_t place)
{
    for (size_t child; (child = 2 * place) <= events->alarm_count; place = child) {
        if (child < events->alarm_count && events->heap[child + 1]->due.ns < events->heap[child]->due.ns)
            child++;
        if (alarm->due.ns <= events->heap[child]->due.ns)
            break;
        put(events, place, events->heap[child]);
    }
    put(events, place, alarm);
}

void
events_set(struct events *events, struct alarm *alarm, struct instant due)
{
    events_unset(events, alarm);
    alarm->due = due;
    if (events->alarm_count + 1 >= events->alarm_room) {
        size_t room = events->alarm_room ? 2 * events->alarm_room : 64;
        struct alarm **heap = realloc(events->heap, room * sizeof(struct alarm *));
        if (!heap) {
            events->urgent = alarm;
            return;
        }
        events->heap = heap;
        events->alarm_room = room;
    }
    move_up(events, alarm, ++events->alarm_count);
}

void
events_unset(struct events *events, struct alarm *alarm)
{
    if (events->urgent == alarm)
        events->urgent = NULL;
    size_t place = alarm->place;
    if (!place)
        return;
    alarm->place = 0;
    struct alarm *last = events->heap[events->alarm_count--];
    if (last == alarm)
        return;
    if (place > 1 && last->due.ns < events->heap[place / 2]->due.ns)
        move_up(events, last, place);
    else
        move_down(events, last, place);
}

/* When the first alarm may ring; there is one. */
static struct instant
first_due(const struct events *events)
{
    struct instant due = events->heap[1]->due;
    return due.ns < events->held.ns ? events->held : due;
}

/*
 * Ctrl-Z, or whoever does not read what is written: we stood still, and perhaps the daemon, too. It has to tell yet what has
 * come meanwhile, before anything is called silent.
 */
static void
note_standstill(struct events *events)
{
    if (events->alarm_count && instant_since(events->now, first_due(events)) > STANDSTILL)
        events->held = instant_after(events->now, MOMENT);
}

static struct alarm *
next_due(const struct events *events)
{
    if (events->urgent)
        return events->urgent;
    return events->alarm_count && first_due(events).ns <= events->now.ns ? events->heap[1] : NULL;
}

static void
ring(struct events *events)
{
    for (struct alarm *alarm; !events->ended && (alarm = next_due(events));) {
        events_unset(events, alarm);
        alarm->rings(alarm->owner);
    }
}

/* ---- the loop */

static int
wait_for(const struct events *events, int64_t longest)
{
    struct instant now = clock_now(), until = instant_after(now, longest);
    if (events->alarm_count && first_due(events).ns < until.ns)
        until = first_due(events);
    return clock_poll(events->polled, events->watch_count, events->urgent ? &now : &until);
}

/* A watch that is added while others are looked at has its turn after the next wait. */
static void
look(struct events *events)
{
    size_t count = events->watch_count;
    for (size_t i = 0; i < count && !events->ended; i++) {
        struct watch *watch = events->watches[i];
        if (watch && events->polled[i].revents)
            watch->ready(watch->owner, events->polled[i].revents);
    }
}

void
events_turn(struct events *events, int64_t longest)
{
    if (fflush(stdout) == EOF || ferror(stdout)) {
        events->signal = SIGPIPE;
        events->ended = true;
        return;
    }
    leave_out_unwatched(events);
    events->ended = events->signal != 0;
    for (size_t i = 0; i < events->watch_count; i++)
        events->polled[i] = (struct pollfd){ events->watches[i]->descriptor, events->watches[i]->wanted, 0 };
    int came = wait_for(events, longest);
    events->now = clock_now();
    note_standstill(events);
    if (came > 0)
        look(events);
    ring(events);
}

void
events_run(struct events *events)
{
    while (!events->ended)
        events_turn(events, 3600 * NS_PER_S);
}

void
events_end(struct events *events)
{
    events->ended = true;
}

void
events_go_on(struct events *events)
{
    events->signal = 0;
    events->ended = false;
}

struct instant
events_now(const struct events *events)
{
    return events->now;
}

int
events_signal(const struct events *events)
{
    return events->signal;
}
