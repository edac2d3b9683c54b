/* SPDX-License-Identifier: MIT */
#include "tools/trace_mtu.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MOST 65535 /* this host says itself what its own link takes */
#define SIZE_LEAST 68   /* RFC 791: what every link of IPv4 takes */
#define PATIENCE_LEAST (500 * NS_PER_MS)
#define PATIENCE_TRIPS 4
#define PACE (1100 * NS_PER_MS) /* one error a second is what the thriftiest router sends: then it would answer again */
#define TRIES 2
#define TRIES_AT_LIMITS 4 /* where other paths get a share of what the router says */

struct sizes {
    int ttl;         /* the hop that is measured; 0: none yet */
    int64_t before;  /* what the hops before have proved, or their link is said to take */
    bool vanishing;  /* of the hop before */
    int64_t passed, too_big;
    int64_t size;    /* that is asked now; 0: none */
    int tries;
    bool held;       /* it is not sent yet, */
    struct instant not_before; /* since it was sent a second ago, or it is another path's turn */
    bool silent;     /* of what was too big nobody said so */
    bool by_udp;     /* whether it was the packet or the answer to it that vanished */
    bool udp_answered;
    struct instant sent;
};

struct sizes *
sizes_new(void)
{
    struct sizes *sizes = calloc(1, sizeof *sizes);
    if (!sizes)
        err(2, NULL);
    sizes->before = SIZE_MOST;
    return sizes;
}

void
sizes_free(struct sizes *sizes)
{
    free(sizes);
}

/* The place that is asked, where paths share places; else NULL. */
static struct place *
place_of(const struct traced *host)
{
    return path_hop(&host->path, host->sizes->ttl)->place;
}

static void
send_size(struct traced *host)
{
    struct sizes *sizes = host->sizes;
    struct place *place = place_of(host);
    struct instant now = events_now(host->trace->events), again;
    char more[80];
    struct probe probe = { sizes->by_udp ? FOR_SIZE_BY_UDP : FOR_SIZE, trace_number(host), sizes->ttl,
                           sizes->by_udp ? SCOUT : 0, (int)sizes->size, false };
    if (now.ns < sizes->not_before.ns)
        again = sizes->not_before;
    else if (!place || place_admits(place, now, &again))
        again = now;
    sizes->held = again.ns > now.ns;
    if (sizes->held) {
        trace_step_at(host, again.ns + host->path.rank * NS_PER_US);
        return;
    }
    if (place)
        place_asked(place, now);
    sizes->sent = now;
    snprintf(more, sizeof more, "%s dont-fragment 1 size %d", sizes->by_udp ? " protocol udp" : "", (int)sizes->size);
    trace_ask(host, &probe, more);
}

static void
try_size(struct traced *host, int64_t size)
{
    struct sizes *sizes = host->sizes;
    bool again = size == sizes->size;
    sizes->tries = again ? sizes->tries + 1 : 1;
    sizes->not_before = again ? instant_after(sizes->sent, PACE) : (struct instant){ 0 };
    sizes->size = size;
    send_size(host);
}

static int64_t
patience(const struct traced *host)
{
    int64_t trips = PATIENCE_TRIPS * host->path.slowest;
    if (trips < PATIENCE_LEAST)
        trips = PATIENCE_LEAST;
    return trips < host->path.timeout ? trips : host->path.timeout;
}

/* ---- one hop */

static void
settle(struct traced *host, int64_t mtu)
{
    struct sizes *sizes = host->sizes;
    struct hop *hop = path_hop(&host->path, sizes->ttl);
    hop->mtu = mtu;
    hop->measured = true;
    hop->vanish = mtu && (sizes->silent || (sizes->vanishing && mtu == sizes->before));
    if (mtu) {
        sizes->before = mtu;
        sizes->vanishing = hop->vanish;
    }
    sizes->size = 0;
}

/*
 * An echo reply is as large as its request: what was lost of the two is not known. The error of a host without a
 * listener is small, and so udp tells. Where that is not answered either, both are possible.
 */
static bool
doubts_echo(const struct traced *host)
{
    const struct sizes *sizes = host->sizes;
    const struct reply *answer = path_answer(&host->path, sizes->ttl, 0);
    return !sizes->by_udp && sizes->silent && answer && answer->kind == KIND_REPLY && sizes->before < SIZE_MOST &&
           sizes->passed < sizes->before && strcmp(host->trace->options->probing.protocol, "icmp") == 0 &&
           client_can(host->trace->client, FEATURE_UDP);
}

static void
narrow(struct traced *host)
{
    struct sizes *sizes = host->sizes;
    if (sizes->too_big - sizes->passed > 1) {
        try_size(host, (sizes->passed + sizes->too_big) / 2);
    } else if (doubts_echo(host)) {
        sizes->by_udp = true;
        sizes->size = 0;
        try_size(host, sizes->passed);
    } else {
        settle(host, sizes->passed);
    }
}

/* By udp: first a size that is known to pass, which shows whether the target answers at all; then the largest. */
static void
udp_passed(struct traced *host)
{
    struct sizes *sizes = host->sizes;
    sizes->passed = sizes->size;
    if (!sizes->udp_answered) {
        sizes->udp_answered = true;
        sizes->too_big = sizes->before + 1;
        sizes->silent = false;
        try_size(host, sizes->before);
        return;
    }
    narrow(host);
}

static void
gave_no_answer(struct traced *host)
{
    struct sizes *sizes = host->sizes;
    if (sizes->tries < (place_is_rationed(place_of(host)) ? TRIES_AT_LIMITS : TRIES)) {
        try_size(host, sizes->size); /* it may just have been lost, or its router rations what it says */
        return;
    }
    if (sizes->by_udp && !sizes->udp_answered) {
        path_hop(&host->path, sizes->ttl)->vanish_either = true;
        settle(host, sizes->passed);
        return;
    }
    sizes->too_big = sizes->size;
    sizes->silent = true;
    narrow(host);
}

static bool
is_of_now(const struct sizes *sizes, const struct probe *probe)
{
    return sizes->size == probe->number && sizes->ttl == probe->ttl &&
           sizes->by_udp == (probe->purpose == FOR_SIZE_BY_UDP);
}

void
sizes_heard(struct traced *host, const struct probe *probe, const struct reply *reply)
{
    struct sizes *sizes = host->sizes;
    int64_t mtu = reply_number(reply, FIELD_MTU);
    if (!is_of_now(sizes, probe) || reply->kind == KIND_NO_REPLY) /* which patience() foresaw */
        return;
    if (reply->from && place_of(host))
        place_heard(place_of(host), sizes->sent, reply->from);
    if (reply->kind == KIND_TOO_BIG && mtu >= SIZE_LEAST && mtu < sizes->size) {
        sizes->too_big = mtu + 1;
        sizes->silent = false;
        if (mtu > sizes->passed)
            try_size(host, mtu);
        else
            narrow(host);
    } else if (reply->kind == KIND_TOO_BIG) { /* from a router that does not say what it would take */
        sizes->too_big = sizes->size;
        narrow(host);
    } else if (sizes->by_udp && reply->from) {
        udp_passed(host);
    } else if (reply->kind == KIND_TTL_EXPIRED || reply->kind == KIND_REPLY) {
        sizes->passed = sizes->size;
        narrow(host);
    } else {
        settle(host, 0);
    }
}

/* ---- all hops */

/* One that answers nothing tells no size. */
static bool
is_measurable(const struct traced *host, int ttl)
{
    const struct reply *answer = path_answer(&host->path, ttl, 0);
    return answer && (answer->kind == KIND_TTL_EXPIRED || answer->kind == KIND_REPLY);
}

static void
begin_hop(struct traced *host)
{
    struct sizes *sizes = host->sizes;
    sizes->passed = SIZE_LEAST;
    sizes->too_big = sizes->before + 1;
    sizes->silent = sizes->by_udp = sizes->udp_answered = false;
    try_size(host, sizes->before);
}

bool
sizes_step(struct traced *host)
{
    struct sizes *sizes = host->sizes;
    int64_t now = events_now(host->trace->events).ns;
    if (sizes->size && sizes->held && now >= host->path.begun.ns + TURNS_MOST)
        settle(host, 0);
    else if (sizes->size && sizes->held)
        send_size(host);
    else if (sizes->size && now >= sizes->sent.ns + patience(host))
        gave_no_answer(host);
    while (!sizes->size) {
        sizes->ttl = sizes->ttl ? sizes->ttl + 1 : host->path.first;
        sizes->held = false;
        if (sizes->ttl > path_end(&host->path))
            return true;
        path_hop(&host->path, sizes->ttl)->measured = !is_measurable(host, sizes->ttl);
        if (is_measurable(host, sizes->ttl))
            begin_hop(host);
    }
    if (!sizes->held)
        trace_step_at(host, sizes->sent.ns + patience(host));
    return false;
}
