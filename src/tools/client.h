/* SPDX-License-Identifier: MIT */
/*
 * The conversation with the daemon: it is started, asked what it can do, given requests, and its replies find those who
 * asked. Nothing here waits but client_start(). Requests that the daemon has not taken are kept.
 */
#ifndef HOPLINE_TOOLS_CLIENT_H
#define HOPLINE_TOOLS_CLIENT_H

#include "tools/events.h"
#include "tools/reply.h"

/* What is asked of it at the start. */
enum feature {
    FEATURE_ICMP,
    FEATURE_UDP,
    FEATURE_TCP,
    FEATURE_SCTP,
    FEATURE_IP_4,
    FEATURE_IP_6,
    FEATURE_DETAIL,
    FEATURE_COLLECT,
    FEATURE_FLOW,
    FEATURE_DONT_FRAGMENT,
    FEATURE_FRACTION, /* timeouts of less than a second */
    FEATURE_REPLY_PAYLOAD,
    FEATURE_ICMP_REQUEST,
    FEATURE_TCP_ECN,
    FEATURE_SWEEP,
    FEATURES,
};

struct client;

struct client_user {
    /* A reply to the request that was given TAG; LAST: no more will come for it. REPLY counts until this returns. */
    void (*heard)(void *owner, uint64_t tag, const struct reply *reply, bool last);
    /* The daemon ended, though it was not told to: nothing more will come. It is said on standard error thereafter. */
    void (*died)(void *owner);
    void *owner;
};

/*
 * Starts the daemon: by `sh -c "$MTR_PACKET"`, as other clients do; without that variable the one that was built or
 * installed with this program, or else the mtr-packet in PATH. Waits until it has said what it can do. NULL, and a line
 * on standard error, when there is none.
 */
struct client *client_start(struct events *events, struct client_user user);

/* Ends the daemon. */
void client_stop(struct client *client);

bool client_can(const struct client *client, enum feature feature);

/* "mtr-packet 0.95", and the command if it was MTR_PACKET's: for messages. */
const char *client_name(const struct client *client);

/* What it says of its version, or "unknown". */
const char *client_version(const struct client *client);

/* False, and a line on standard error, when it cannot do this. */
MUST_USE bool client_needs(const struct client *client, enum feature feature);

/* The same of a protocol by its word: icmp, udp, tcp or sctp. */
MUST_USE bool client_needs_protocol(const struct client *client, const char *protocol);

/*
 * True, and a line on standard error, when REPLY says that it cannot do what OPTION asks for: without privileges only some
 * values of a feature's argument can be sent, and which, it does not say before.
 */
MUST_USE bool client_refused(const struct client *client, const struct reply *reply, enum feature feature, const char *option);

/* What ends a request. */
enum answers {
    ONE_ANSWER,
    COLLECTED, /* asked with `collect 1`: all answers until `collected` */
    SWEPT,     /* a sweep: all its lines until `swept`, or the one that refuses it */
};

/*
 * Writes "TOKEN FORMAT...", a line without its newline. TAG comes back with its replies. A request that there is no
 * memory for is answered as probes-exhausted, at once. Returns TOKEN, by which another request may name this one, or 0.
 */
__attribute__((format(printf, 4, 5))) int64_t client_ask(struct client *client, uint64_t tag, enum answers answers,
                                                         const char *format, ...);

/*
 * From now on replies are read no more often than each PAUSE ns: where thousands come in a second, to wake for each of
 * them costs more than to read them.
 */
void client_gather(struct client *client, int64_t pause);

/*
 * Says, on standard error, WHAT is left out, since the daemon is an older one or another's, or lacks privileges. PROTOCOL: by
 * which times are told, or NULL where none are. A daemon without `detail` leaves tcp to the kernel (connect(2)), and takes
 * what answers a SYN that the kernel sent again, after a second, for an answer to the first.
 */
void client_says_less(const struct client *client, const char *protocol, const char *what);

/* NS as the value of `timeout`: whole seconds, rounded up, where it takes no others. */
#define SECONDS_MAX 32
const char *client_seconds(const struct client *client, int64_t ns, char buffer[SECONDS_MAX]);

/* Requests that are not answered yet. */
size_t client_open(const struct client *client);

/*
 * True while the daemon has not taken what it was asked lately: whoever asks for much waits for `false`
 * (client_on_room).
 */
bool client_is_behind(const struct client *client);

/* ROOM is called when client_is_behind() has ended. */
void client_on_room(struct client *client, void (*room)(void *owner));

#endif
