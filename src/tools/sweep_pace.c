/* SPDX-License-Identifier: MIT */
#include "tools/sweep_pace.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "tools/sweep_gate.h"

#define NUMBER_BITS 32        /* of a tag; the rest is the try */
#define COUNT_NS (NS_PER_MS / 10) /* what `sent` counts in: five days, and then anew */
#define WORD_TAG UINT64_MAX   /* of what is asked to have all that came before */

struct pace {
    struct events *events;
    struct client *client;
    struct list *list;
    const struct pace_rules *rules;
    void (*ended)(void *owner);
    void *owner;

    bool begun, is_over, in_burst;
    size_t next[TRIES_MAX]; /* where each try is in the list */
    struct gate gate;
    struct instant start;   /* from which `sent` counts */
    int64_t probes;
    struct alarm tick;

    bool word_awaited;
    struct instant word_asked, heard_until; /* when this is asked, and when the last one was that was heard */
};

static uint64_t
tag_of(size_t number, unsigned try)
{
    return (uint64_t)try << NUMBER_BITS | number;
}

/* From the first probe of a target to this try. */
static int64_t
wait_of(const struct pace *pace, unsigned try)
{
    return (int64_t)try * pace->rules->timeout / pace->rules->tries;
}

static void
send_one(struct pace *pace, size_t number, unsigned try)
{
    char address[64], seconds[SECONDS_MAX];
    const struct swept *swept = list_at(pace->list, number);
    gate_pass(&pace->gate);
    pace->probes++;
    client_ask(pace->client, tag_of(number, try), ONE_ANSWER, "send-probe ip-%c %s%s timeout %s",
               swept->family == IPV4 ? '4' : '6', list_address(pace->list, swept, address),
               try ? pace->rules->again : pace->rules->first,
               client_seconds(pace->client, pace->rules->timeout - wait_of(pace, try), seconds));
}

/* What the daemon had no room for goes first. */
static void
send_again(struct pace *pace)
{
    for (uint64_t tag; gate_take_again(&pace->gate, &tag);)
        send_one(pace, (uint32_t)tag, (unsigned)(tag >> NUMBER_BITS));
}

/* The end of what this try may go through: no further than the one before it. */
static size_t
end_of(const struct pace *pace, unsigned try)
{
    return try ? pace->next[try - 1] : list_count(pace->list);
}

/* An error ends it, too. */
static bool
is_silent(const struct swept *swept)
{
    return !swept->answered && !swept->outcome;
}

/* Passes over those that are not silent any more. False: nobody waits for this try. */
static bool
find_waiting(struct pace *pace, unsigned try)
{
    size_t end = end_of(pace, try);
    while (try && pace->next[try] < end && !is_silent(list_at(pace->list, pace->next[try])))
        pace->next[try]++;
    return pace->next[try] < end;
}

static uint32_t
count_of(const struct pace *pace, struct instant when)
{
    uint32_t count = (uint32_t)(instant_since(when, pace->start) / COUNT_NS) + 1;
    return count ? count : 1;
}

/* When a target was asked first; that it is days ago is not to be told from now. */
static struct instant
sent_at(const struct pace *pace, size_t number)
{
    uint32_t ago = count_of(pace, pace->gate.latest) - list_at(pace->list, number)->sent;
    return instant_after(pace->gate.latest, -(int64_t)ago * COUNT_NS);
}

static struct instant
due_of(const struct pace *pace, unsigned try)
{
    return instant_after(sent_at(pace, pace->next[try]), wait_of(pace, try));
}

static void
send_try(struct pace *pace, unsigned try)
{
    while (gate_has_room(&pace->gate) && find_waiting(pace, try)) {
        if (!try)
            list_at(pace->list, pace->next[0])->sent = count_of(pace, pace->gate.latest);
        else if (due_of(pace, try).ns > pace->heard_until.ns)
            break;
        size_t number = pace->next[try]++; /* first: the client may answer at once */
        send_one(pace, number, try);
    }
}

static void
ask_for_word(struct pace *pace)
{
    if (pace->word_awaited)
        return;
    pace->word_awaited = true;
    pace->word_asked = pace->gate.latest;
    client_ask(pace->client, WORD_TAG, ONE_ANSWER, "check-support feature version");
}

/* When to look again: when there is something to send. What waits for room or for a reply is woken by that. */
static void
plan(struct pace *pace)
{
    int64_t soonest = INT64_MAX;
    bool now = pace->gate.again_count > 0;
    for (unsigned try = 0; try < pace->rules->tries; try++) {
        if (!find_waiting(pace, try))
            continue;
        int64_t due = try ? due_of(pace, try).ns : pace->gate.latest.ns;
        if (due <= pace->gate.latest.ns && (!try || due <= pace->heard_until.ns))
            now = true;
        else if (due <= pace->gate.latest.ns)
            ask_for_word(pace);
        else if (due < soonest)
            soonest = due;
    }
    int64_t wait = gate_wait(&pace->gate);
    /* There is room though this turn has sent: two tries of a target are due at once, if we stood still. */
    if (now && (wait || gate_has_room(&pace->gate))) {
        int64_t next = pace->gate.latest.ns + (wait > GATE_TICK ? wait : GATE_TICK);
        soonest = next < soonest ? next : soonest;
    }
    if (soonest < INT64_MAX)
        events_set(pace->events, &pace->tick, (struct instant){ soonest });
    else
        events_unset(pace->events, &pace->tick);
}

static void
burst(void *owner)
{
    struct pace *pace = owner;
    if (pace->in_burst) /* the client answered at once */
        return;
    pace->in_burst = true;
    gate_renew(&pace->gate, clock_now());
    send_again(pace);
    for (unsigned try = (unsigned)pace->rules->tries; try-- > 0;)
        send_try(pace, try);
    plan(pace);
    pace->in_burst = false;
}

static void
end_if_over(struct pace *pace)
{
    if (pace->is_over || !list_is_complete(pace->list) || pace->gate.again_count || client_open(pace->client))
        return;
    for (unsigned try = 0; try < pace->rules->tries; try++)
        if (find_waiting(pace, try))
            return;
    pace->is_over = true;
    pace->ended(pace->owner);
}

/* ---- what others call */

struct pace *
pace_new(struct events *events, struct client *client, struct list *list, const struct pace_rules *rules,
         void (*ended)(void *owner), void *owner)
{
    struct pace *pace = calloc(1, sizeof *pace);
    if (!pace)
        err(2, NULL);
    *pace = (struct pace){ .events = events, .client = client, .list = list, .rules = rules, .ended = ended, .owner = owner,
                           .gate = gate_of(client, &rules->rate) };
    pace->tick = (struct alarm){ .rings = burst, .owner = pace };
    return pace;
}

void
pace_free(struct pace *pace)
{
    if (!pace)
        return;
    events_unset(pace->events, &pace->tick);
    gate_free(&pace->gate);
    free(pace);
}

void
pace_go_on(struct pace *pace)
{
    if (!pace->begun && list_count(pace->list)) {
        pace->begun = true;
        pace->start = clock_now();
        gate_open(&pace->gate, pace->start);
    }
    if (pace->begun)
        burst(pace);
    end_if_over(pace);
}

/* False: the daemon takes none at all. */
static bool
give_back(struct pace *pace, uint64_t tag)
{
    bool given = gate_give_back(&pace->gate, tag, client_open(pace->client) - pace->word_awaited);
    pace->probes -= given;
    return given;
}

bool
pace_take(struct pace *pace, uint64_t tag, const struct reply *reply, size_t *number, unsigned *try)
{
    if (tag == WORD_TAG) {
        pace->word_awaited = false;
        pace->heard_until = pace->word_asked;
        burst(pace);
        return false;
    }
    *number = (uint32_t)tag;
    *try = (unsigned)(tag >> NUMBER_BITS);
    return strcmp(reply->word, "probes-exhausted") != 0 || !give_back(pace, tag);
}

void
pace_never_sent(struct pace *pace)
{
    pace->probes--;
}

void
pace_settle(struct pace *pace)
{
    if (gate_widens(&pace->gate))
        burst(pace);
    end_if_over(pace);
}

void
pace_give_up(const struct pace *pace)
{
    struct instant now = clock_now();
    for (size_t number = 0; number < pace->next[0]; number++) {
        struct swept *swept = list_at(pace->list, number);
        if (is_silent(swept) && instant_since(now, sent_at(pace, number)) < pace->rules->timeout)
            swept->flags = SWEPT_UNWAITED;
    }
}

struct pace_state
pace_state(const struct pace *pace, size_t answered)
{
    struct pace_state state = { .first = pace->next[0], .probes = pace->probes };
    double silent = state.first ? 1 - (double)answered / (double)state.first : 1;
    for (unsigned try = 0; try < pace->rules->tries; try++)
        state.to_do += (int64_t)((double)(list_count(pace->list) - pace->next[try]) * (try ? silent : 1));
    state.left = (int64_t)((double)state.to_do * (double)NS_PER_S / (double)pace->rules->rate);
    int64_t wait = pace->rules->timeout;
    if (state.first && state.first == list_count(pace->list))
        wait -= instant_since(clock_now(), sent_at(pace, state.first - 1));
    if (state.left < wait)
        state.left = wait;
    return state;
}
