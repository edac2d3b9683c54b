/* SPDX-License-Identifier: MIT */
#include "tools/client.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/clock.h"
#include "tools/text.h"

#define DAEMON "mtr-packet"
#define INDEX_BITS 22 /* of a token: four million requests at once; the rest tells those of one slot apart */
#define INDEX_MASK ((UINT32_C(1) << INDEX_BITS) - 1)
#define ROUNDS_MAX (INT32_MAX >> INDEX_BITS)
#define BEHIND (64 * 1024)       /* bytes: as much as a pipe holds */
#define LINE_MAX_BYTES (64 * 1024) /* of a reply; what is longer is none */
#define READ_AT_ONCE (64 * 1024)
#define START_WAIT (10 * NS_PER_S) /* for the first words: it may have to be reached by ssh */

static const char *const feature_names[FEATURES] = {
    [FEATURE_ICMP] = "icmp",
    [FEATURE_UDP] = "udp",
    [FEATURE_TCP] = "tcp",
    [FEATURE_SCTP] = "sctp",
    [FEATURE_IP_4] = "ip-4",
    [FEATURE_IP_6] = "ip-6",
    [FEATURE_DETAIL] = "detail",
    [FEATURE_COLLECT] = "collect",
    [FEATURE_FLOW] = "flow",
    [FEATURE_DONT_FRAGMENT] = "dont-fragment",
    [FEATURE_FRACTION] = "timeout-fraction",
    [FEATURE_REPLY_PAYLOAD] = "reply-payload",
    [FEATURE_ICMP_REQUEST] = "icmp-request",
    [FEATURE_TCP_ECN] = "tcp-ecn",
    [FEATURE_SWEEP] = "sweep",
};

/* A request that waits for its answers, or a slot that is free. Packed: a sweep has three of them for each target. */
struct slot {
    uint64_t tag;        /* of a free one: index + 1 of the next that is free */
    uint16_t round : 13; /* from 1; how often the slot was used, so that no late reply is taken for another's */
    uint16_t used : 1;
    uint16_t answers : 2; /* enum answers */
} __attribute__((packed, aligned(2)));

_Static_assert(ROUNDS_MAX < 1 << 13, "the round of a slot");

struct client {
    struct events *events;
    struct client_user user;
    void (*room)(void *owner);
    const char *command; /* MTR_PACKET, or NULL */
    char name[300];
    char version[64];
    bool can[FEATURES];
    size_t asked; /* features whose answer is awaited, the version among them */
    pid_t process;
    bool gone;
    bool said_something;

    struct watch to;
    char *out; /* requests: out[out_start] to out[out_end] are not taken yet */
    size_t out_start, out_end, out_size;

    struct watch from;
    int64_t pause;     /* between readings */
    struct alarm again; /* to read */
    char *in; /* an incomplete line */
    size_t in_used, in_size;
    bool skipping; /* the rest of a line that was too long */

    struct slot *slots;
    size_t slot_count, slot_size;
    uint32_t first_free; /* index + 1; 0: none */
    size_t open;
};

/* ---- starting */

/* PATH: the mtr-packet in the folder of this program, or "" if that cannot be told. */
static void
find_beside(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    path[length < 0 ? 0 : length] = 0;
    char *name = strrchr(path, '/');
    if (name && (size_t)(name + 1 - path) + sizeof DAEMON <= size)
        strcpy(name + 1, DAEMON);
    else
        path[0] = 0;
}

/*
 * Becomes the daemon that was built or installed with this program; returns where there is none. An installed program
 * has it where `make install` puts it, and may have mtr's own beside itself; any other, as built or copied, beside
 * itself.
 */
static void
become_own(void)
{
    char beside[4096];
    find_beside(beside, sizeof beside);
    if (strcmp(beside, HOPLINE_BINDIR "/" DAEMON) != 0)
        execl(beside, DAEMON, (char *)NULL);
    execl(HOPLINE_DAEMON, DAEMON, (char *)NULL);
}

/* The child: Ctrl-C and Ctrl-\ are for us, who have a sum to print. It inherits no signal mask of ours. */
static _Noreturn void
become_daemon(const char *command, int input, int output)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0) {
        if (command)
            execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        if (!command) {
            become_own();
            execlp(DAEMON, DAEMON, (char *)NULL);
        }
    }
    _exit(127);
}

static bool
start_process(struct client *client)
{
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0)
        return false;
    if (pipe2(out, O_CLOEXEC) != 0) {
        close(in[0]);
        close(in[1]);
        return false;
    }
    fflush(NULL);
    client->process = vfork(); /* fork() takes 0.3 ms to copy what exec() throws away */
    if (client->process == 0)
        become_daemon(client->command, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    client->to.descriptor = in[1];
    client->from.descriptor = out[0];
    if (client->process < 0)
        return false;
    return fcntl(in[1], F_SETFL, O_NONBLOCK) == 0 && fcntl(out[0], F_SETFL, O_NONBLOCK) == 0;
}

/* ---- requests */

static void
end_daemon(struct client *client)
{
    if (client->gone)
        return;
    client->gone = true;
    events_unwatch(client->events, &client->to);
    events_unwatch(client->events, &client->from);
    events_unset(client->events, &client->again);
}

static void
lost_daemon(struct client *client)
{
    if (client->gone)
        return;
    end_daemon(client);
    if (client->asked)
        return; /* client_start() says it */
    client->user.died(client->user.owner); /* first: it has a drawing to take away */
    warnx("the daemon ended before its time: %s", client->name);
}

static size_t
unsent(const struct client *client)
{
    return client->out_end - client->out_start;
}

static void
write_out(struct client *client)
{
    while (unsent(client)) {
        ssize_t count = write(client->to.descriptor, client->out + client->out_start, unsent(client));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno != EAGAIN)
            lost_daemon(client);
        if (count < 0)
            break;
        client->out_start += (size_t)count;
    }
    if (!unsent(client))
        client->out_start = client->out_end = 0;
    client->to.wanted = unsent(client) ? POLLOUT : 0;
}

/* Requests are written once a turn, all of it together. */
static void
take_room(void *owner, short came)
{
    struct client *client = owner;
    bool was_behind = client_is_behind(client);
    if (came & POLLERR) {
        lost_daemon(client);
        return;
    }
    write_out(client);
    if (was_behind && !client_is_behind(client) && client->room && !client->gone)
        client->room(client->user.owner);
}

/* Room for SIZE more bytes of requests, or NULL. */
static char *
out_room(struct client *client, size_t size)
{
    if (client->out_size - client->out_end < size && client->out_start) {
        memmove(client->out, client->out + client->out_start, unsent(client));
        client->out_end -= client->out_start;
        client->out_start = 0;
    }
    if (client->out_size - client->out_end < size) {
        size_t wanted = 2 * client->out_size + size;
        char *grown = realloc(client->out, wanted);
        if (!grown)
            return NULL;
        client->out = grown;
        client->out_size = wanted;
    }
    return client->out + client->out_end;
}

__attribute__((format(printf, 3, 0))) static bool
put_line(struct client *client, int64_t token, const char *format, va_list values)
{
    size_t guess = 256;
    for (int tries = 0; tries < 2; tries++) {
        va_list again;
        char *room = out_room(client, guess);
        if (!room)
            return false;
        int head = snprintf(room, guess, "%lld ", (long long)token);
        va_copy(again, values);
        int length = vsnprintf(room + head, guess - (size_t)head, format, again);
        va_end(again);
        if (length < 0)
            return false;
        size_t needed = (size_t)(head + length) + 1;
        if (needed < guess) {
            room[needed - 1] = '\n';
            client->out_end += needed;
            client->to.wanted = POLLOUT;
            return true;
        }
        guess = needed + 1;
    }
    return false;
}

__attribute__((format(printf, 3, 4))) static bool
ask_aside(struct client *client, int64_t token, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    bool put = put_line(client, token, format, values);
    va_end(values);
    return put;
}

/* ---- slots */

static struct slot *
take_slot(struct client *client, uint32_t *index)
{
    if (!client->first_free) {
        if (client->slot_count == client->slot_size) {
            size_t size = client->slot_size ? 2 * client->slot_size : 256;
            struct slot *slots = size > INDEX_MASK ? NULL : realloc(client->slots, size * sizeof *slots);
            if (!slots)
                return NULL;
            client->slots = slots;
            client->slot_size = size;
        }
        *index = (uint32_t)client->slot_count++;
        client->slots[*index] = (struct slot){ .round = 0 };
    } else {
        *index = client->first_free - 1;
        client->first_free = (uint32_t)client->slots[*index].tag;
    }
    struct slot *slot = &client->slots[*index];
    slot->used = true;
    slot->round = (slot->round % ROUNDS_MAX + 1u) & 0x1fffu;
    client->open++;
    return slot;
}

static void
free_slot(struct client *client, struct slot *slot)
{
    slot->used = false;
    slot->tag = client->first_free;
    client->first_free = (uint32_t)(slot - client->slots) + 1;
    client->open--;
}

/* The slot of a token; NULL: of no request that is open. */
static struct slot *
find_slot(const struct client *client, int64_t token)
{
    if (token <= 0 || token > INT32_MAX)
        return NULL;
    uint32_t index = (uint32_t)token & INDEX_MASK;
    if (index >= client->slot_count)
        return NULL;
    struct slot *slot = &client->slots[index];
    return slot->used && slot->round == token >> INDEX_BITS ? slot : NULL;
}

int64_t
client_ask(struct client *client, uint64_t tag, enum answers answers, const char *format, ...)
{
    uint32_t index = 0;
    va_list values;
    struct slot *slot = client->gone ? NULL : take_slot(client, &index);
    if (client->gone)
        return 0;
    int64_t token = slot ? (int64_t)slot->round << INDEX_BITS | index : 0;
    va_start(values, format);
    bool put = slot && put_line(client, token, format, values);
    va_end(values);
    if (put) {
        slot->tag = tag;
        slot->answers = answers & 3;
        return token;
    }
    if (slot)
        free_slot(client, slot);
    char line[] = "1 probes-exhausted";
    struct reply reply;
    if (reply_read(line, &reply))
        client->user.heard(client->user.owner, tag, &reply, true);
    return 0;
}

/* ---- replies */

/* Features are asked with the tokens below 0: -1 is the version. */
static void
learn(struct client *client, const struct reply *reply)
{
    const char *support = reply->value[FIELD_SUPPORT];
    if (reply->token < -1 - FEATURES || !client->asked)
        return;
    client->asked--;
    if (reply->token == -1)
        snprintf(client->version, sizeof client->version, "%s", support ? support : "");
    else
        client->can[-2 - reply->token] = support && strcmp(support, "ok") == 0;
}

/*
 * With `collect`, what names nobody (this host's own refusal) is the end, and so is `collected`. Of a sweep it is a
 * line that tells of none of its probes.
 */
static bool
is_last(enum answers answers, const struct reply *reply)
{
    if (answers == COLLECTED)
        return reply->kind == KIND_COLLECTED || !reply->from;
    if (answers == SWEPT)
        return reply->kind == KIND_SWEPT ||
               (!reply->from && !reply->value[FIELD_TARGET] && !reply->value[FIELD_PROBE_TTL] &&
                reply->kind != KIND_SWEEPING && reply->kind != KIND_NO_REPLY);
    return true;
}

static void
hear(struct client *client, char *line)
{
    struct reply reply;
    if (!reply_read(line, &reply))
        return;
    client->said_something = true;
    if (reply.token < 0) {
        learn(client, &reply);
        return;
    }
    struct slot *slot = find_slot(client, reply.token);
    if (!slot)
        return;
    bool last = is_last((enum answers)slot->answers, &reply);
    uint64_t tag = slot->tag;
    if (last)
        free_slot(client, slot);
    client->user.heard(client->user.owner, tag, &reply, last);
}

static void
hear_lines(struct client *client)
{
    char *start = client->in, *end = client->in + client->in_used, *newline;
    while (!client->gone && (newline = memchr(start, '\n', (size_t)(end - start)))) {
        *newline = 0;
        if (!client->skipping && !memchr(start, 0, (size_t)(newline - start)))
            hear(client, start);
        client->skipping = false;
        start = newline + 1;
    }
    client->in_used = (size_t)(end - start);
    if (client->in_used > LINE_MAX_BYTES) {
        client->skipping = true;
        client->in_used = 0;
    }
    memmove(client->in, start, client->in_used);
}

static void
take_replies(void *owner, short came)
{
    (void)came;
    struct client *client = owner;
    ssize_t count = read(client->from.descriptor, client->in + client->in_used, READ_AT_ONCE);
    if (count < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (count <= 0) {
        lost_daemon(client);
        return;
    }
    client->in_used += (size_t)count;
    if (client->pause) {
        client->from.wanted = 0;
        events_set(client->events, &client->again, instant_after(events_now(client->events), client->pause));
    }
    hear_lines(client);
}

static void
read_again(void *owner)
{
    ((struct client *)owner)->from.wanted = POLLIN;
}

/* ---- what others call */

static bool
ask_features(struct client *client)
{
    bool put = ask_aside(client, -1, "check-support feature version");
    for (int i = 0; put && i < FEATURES; i++)
        put = ask_aside(client, -2 - i, "check-support feature %s", feature_names[i]);
    client->asked = 1 + FEATURES;
    return put;
}

static bool
begin(struct client *client)
{
    client->in = malloc(LINE_MAX_BYTES + READ_AT_ONCE + 1);
    if (!client->in || !start_process(client))
        return false;
    client->to.ready = take_room;
    client->from.ready = take_replies;
    client->from.wanted = POLLIN;
    client->to.owner = client->from.owner = client;
    client->again = (struct alarm){ .rings = read_again, .owner = client };
    return events_watch(client->events, &client->to) && events_watch(client->events, &client->from) &&
           ask_features(client);
}

struct client *
client_start(struct events *events, struct client_user user)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        err(2, NULL);
    *client = (struct client){ .events = events, .user = user, .command = getenv("MTR_PACKET"), .to.descriptor = -1,
                               .from.descriptor = -1 };
    if (client->command && !*client->command)
        client->command = NULL;
    text_printable(client->command ? client->command : DAEMON, client->name, sizeof client->name);
    signal(SIGPIPE, SIG_IGN);
    if (!begin(client)) {
        warn("no daemon: %s", client->name);
        client_stop(client);
        return NULL;
    }
    struct instant give_up = instant_after(clock_now(), START_WAIT);
    while (client->asked && !client->gone && !events_signal(events) && clock_now().ns < give_up.ns)
        events_turn(events, NS_PER_S);
    if (client->asked) {
        if (!events_signal(events))
            warnx("no daemon: %s does not answer", client->name);
        client_stop(client);
        return NULL;
    }
    return client;
}

void
client_stop(struct client *client)
{
    if (!client)
        return;
    end_daemon(client);
    if (client->to.descriptor >= 0)
        close(client->to.descriptor);
    if (client->from.descriptor >= 0)
        close(client->from.descriptor);
    if (client->process > 0)
        kill(client->process, SIGTERM); /* not waited for: it may be an ssh that lingers */
    free(client->out);
    free(client->in);
    free(client->slots);
    free(client);
}

bool
client_can(const struct client *client, enum feature feature)
{
    return client->can[feature];
}

void
client_gather(struct client *client, int64_t pause)
{
    client->pause = pause;
}

const char *
client_version(const struct client *client)
{
    return *client->version ? client->version : "unknown";
}

const char *
client_name(const struct client *client)
{
    return client->name;
}

bool
client_needs(const struct client *client, enum feature feature)
{
    if (client->can[feature])
        return true;
    warnx("this daemon does not support %s here: %s, version %s; see check-support in mtr-packet(8)",
          feature_names[feature], client->name, client_version(client));
    return false;
}

bool
client_refused(const struct client *client, const struct reply *reply, enum feature feature, const char *option)
{
    const char *reason = reply->value[FIELD_REASON], *argument = reply->value[FIELD_ARGUMENT];
    if (!reason || !argument || strcmp(reason, "protocol-not-supported") != 0 || strcmp(argument, feature_names[feature]) != 0)
        return false;
    warnx("this daemon does not support --%s here, as it has no privilege (CAP_NET_RAW): %s, version %s", option,
          client->name, client_version(client));
    return true;
}

void
client_says_less(const struct client *client, const char *protocol, const char *what)
{
    bool any_syn = protocol && strcmp(protocol, "tcp") == 0 && !client_can(client, FEATURE_DETAIL);
    warnx("the daemon %s, version %s, tells less: %s%s", client->name, client_version(client), what,
          any_syn ? ", not whether a tcp time of a second and more is that of a SYN sent again" : "");
}

bool
client_needs_protocol(const struct client *client, const char *protocol)
{
    int feature = FEATURE_ICMP;
    while (feature < FEATURE_SCTP && strcmp(feature_names[feature], protocol) != 0)
        feature++;
    return client_needs(client, (enum feature)feature);
}

const char *
client_seconds(const struct client *client, int64_t ns, char buffer[SECONDS_MAX])
{
    long long us = (ns + NS_PER_US - 1) / NS_PER_US;
    if (us % 1000000 == 0 || !client_can(client, FEATURE_FRACTION))
        snprintf(buffer, SECONDS_MAX, "%lld", (us + 999999) / 1000000);
    else
        snprintf(buffer, SECONDS_MAX, "%lld.%06lld", us / 1000000, us % 1000000);
    return buffer;
}

size_t
client_open(const struct client *client)
{
    return client->open;
}

bool
client_is_behind(const struct client *client)
{
    return unsent(client) > BEHIND;
}

void
client_on_room(struct client *client, void (*room)(void *owner))
{
    client->room = room;
}
