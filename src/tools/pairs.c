/* SPDX-License-Identifier: MIT */
/* probe-pairs: which pairs of a local address and an address of a host work, best first. */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "tools/client.h"
#include "tools/host.h"
#include "tools/names.h"
#include "tools/options.h"
#include "tools/pairs_here.h"
#include "tools/pairs_try.h"
#include "tools/text.h"

#define PORT "443"
#define SCOUT_HOPS 8 /* how far routers are asked what they see of a probe */

/* Pairs are asked so many at a time: a host lets 1000 errors out in a second, and 50 at once (Linux: icmp_msgs_per_sec). */
#define AT_ONCE 10
#define APART (20 * NS_PER_MS)

struct pairs_options {
    struct probing probing;
    int64_t count, interval;
    bool status;
    const char *host; /* NULL: none, with --status */
    const char *only; /* the source, or its interface; NULL: all */
};

struct run {
    const struct pairs_options *options;
    struct events *events;
    struct names *names;
    struct client *client;
    struct here here;
    struct pairs pairs;
    char arguments[ARGUMENTS_MAX]; /* of the pairs with the host */
    size_t host_pairs;             /* those come first; the others, with the gateways, are asked by icmp */
    bool resolving, unresolved, died;
    int64_t rounds;
    size_t next_pair; /* of this round; 0: it has not begun */
    struct instant round_due;
    struct alarm next;
};

/* What a tag says: which pair, and of a probe that asks a router, how far it goes and by which of two protocols. */
struct asked {
    size_t pair;
    unsigned ttl; /* 0: it asks the other end */
    unsigned protocol;
};

static const char *const scout_protocols[] = { "icmp", "udp" };

static uint64_t
tag_of(struct asked asked)
{
    return (uint64_t)asked.pair << 8 | asked.protocol << 4 | asked.ttl;
}

static struct asked
asked_of(uint64_t tag)
{
    return (struct asked){ .pair = (size_t)(tag >> 8), .ttl = tag & 15, .protocol = tag >> 4 & 15 };
}

/* ---- which pairs */

static bool
is_confined(enum reach reach)
{
    return reach == REACH_LOOPBACK || reach == REACH_LINK;
}

/* Loopback addresses reach each other, and link local ones those of the same link. */
static bool
may_reach(const struct place *source, const struct place *to)
{
    if (source->family != to->family)
        return false;
    if ((is_confined(source->reach) || is_confined(to->reach)) && source->reach != to->reach)
        return false;
    return to->reach != REACH_LINK || !*to->interface || strcmp(to->interface, source->interface) == 0;
}

static bool
pair_up(struct run *run, const struct place *to)
{
    bool any = false;
    for (size_t i = 0; i < run->here.source_count; i++) {
        const struct place *source = &run->here.sources[i];
        if (!may_reach(source, to))
            continue;
        struct pair *pair = pairs_add(&run->pairs, source, to);
        if (to->reach == REACH_LINK)
            memcpy(pair->to.interface, source->interface, sizeof pair->to.interface);
        any = true;
    }
    return any;
}

static void
pair_up_host(struct run *run, const char *text)
{
    struct place to = { .family = strchr(text, ':') ? IPV6 : IPV4 };
    size_t bare = strcspn(text, "%");
    if (!address_parse(to.family, text, bare, &to.address))
        return;
    to.reach = reach_of(to.family, &to.address);
    if (to.reach == REACH_LINK && text[bare])
        snprintf(to.interface, sizeof to.interface, "%s", text + bare + 1);
    if (!pair_up(run, &to))
        warnx("no local address to reach %s from", text);
}

/* An IPv4 default route may be by an IPv6 next hop, and of that family there is perhaps to be nothing. */
static void
pair_up_gateways(struct run *run)
{
    for (enum family_id family = 0; family < FAMILIES; family++)
        for (size_t i = 0; i < run->here.gateway_count[family]; i++)
            (void)pair_up(run, &run->here.gateways[family][i]);
}

/* ---- sources */

static bool
is_wanted(const struct place *source, const struct pairs_options *options)
{
    const char *only = options->only, *percent = only ? strchr(only, '%') : NULL;
    struct address address;
    int family = options->probing.family;
    if (family && (source->family == IPV4) != (family == 4))
        return false;
    if (!only || strcmp(only, source->interface) == 0)
        return true;
    return address_parse(source->family, only, percent ? (size_t)(percent - only) : strlen(only), &address) &&
           address_same(&address, &source->address) && (!percent || strcmp(percent + 1, source->interface) == 0);
}

static bool
read_here(struct run *run)
{
    struct here *here = &run->here;
    const struct pairs_options *options = run->options;
    size_t kept = 0;
    if (!here_read_sources(here) || (options->status && !here_read_gateways(here))) {
        warn("the kernel does not tell its addresses");
        return false;
    }
    for (size_t i = 0; i < here->source_count; i++)
        if (is_wanted(&here->sources[i], options))
            here->sources[kept++] = here->sources[i];
    here->source_count = kept;
    if (options->probing.family)
        here->gateway_count[options->probing.family == 4 ? IPV6 : IPV4] = 0;
    if (!kept)
        warnx("no local address found%s%s", options->only ? " like " : "", options->only ? options->only : "");
    return true;
}

/* ---- probes */

static void
ask(struct run *run, struct asked asked, const char *arguments)
{
    const struct pair *pair = &run->pairs.all[asked.pair];
    struct place source = *pair->source;
    char to[PLACE_TEXT_MAX], from[PLACE_TEXT_MAX], seconds[SECONDS_MAX], ttl[16] = "";
    char version = pair->to.family == IPV4 ? '4' : '6';
    if (asked.ttl)
        snprintf(ttl, sizeof ttl, " ttl %u", asked.ttl);
    client_ask(run->client, tag_of(asked), ONE_ANSWER, "send-probe ip-%c %s%s local-ip-%c %s timeout %s%s%s", version,
               place_text(&pair->to, to), arguments, version, place_text(&source, from),
               client_seconds(run->client, run->options->probing.timeout, seconds),
               client_can(run->client, FEATURE_DETAIL) ? " detail 1" : "", ttl);
}

/*
 * What routers quote of a probe tells whether its addresses were translated before them. The daemon says so of a
 * checksum alone, too, which a box may have changed for other reasons; but not that of two protocols, of which icmp's
 * covers no addresses and no options.
 */
static void
send_scouts(struct run *run)
{
    if (!client_can(run->client, FEATURE_DETAIL))
        return;
    for (size_t i = 0; i < run->host_pairs; i++)
        for (unsigned ttl = 1; ttl <= SCOUT_HOPS && !is_confined(run->pairs.all[i].to.reach); ttl++)
            for (unsigned protocol = 0; protocol < 2; protocol++) {
                char arguments[40];
                snprintf(arguments, sizeof arguments, " protocol %s", scout_protocols[protocol]);
                if (client_can(run->client, protocol ? FEATURE_UDP : FEATURE_ICMP))
                    ask(run, (struct asked){ i, ttl, protocol }, arguments);
            }
}

static void
end_if_over(struct run *run)
{
    if (!run->resolving && (!run->pairs.count || (run->rounds == run->options->count && !run->next_pair && !client_open(run->client))))
        events_end(run->events);
}

static void
send_some(struct run *run)
{
    for (int i = 0; i < AT_ONCE && run->next_pair < run->pairs.count; i++) {
        size_t pair = run->next_pair++; /* first: the client may answer at once */
        pair_sent(&run->pairs.all[pair]);
        ask(run, (struct asked){ .pair = pair }, pair < run->host_pairs ? run->arguments : " protocol icmp");
    }
}

static void
send_round(void *owner)
{
    struct run *run = owner;
    run->rounds += !run->next_pair;
    send_some(run);
    if (run->next_pair < run->pairs.count) {
        events_set(run->events, &run->next, instant_after(events_now(run->events), APART));
        return;
    }
    run->next_pair = 0;
    if (run->options->status && run->rounds == 1)
        send_scouts(run);
    if (run->rounds == run->options->count)
        return;
    struct instant now = events_now(run->events);
    run->round_due = instant_after(run->round_due, run->options->interval);
    if (run->round_due.ns < now.ns - run->options->interval) /* rounds that a standstill kept back are not made up for at once */
        run->round_due = instant_after(now, run->options->interval);
    events_set(run->events, &run->next, run->round_due);
}

static void
heard(void *owner, uint64_t tag, const struct reply *reply, bool last)
{
    struct run *run = owner;
    struct asked asked = asked_of(tag);
    struct pair *pair = &run->pairs.all[asked.pair];
    (void)last;
    if (!asked.ttl)
        pair_judge(pair, reply);
    else if (reply->value[FIELD_NAT])
        pair->rewritten[asked.protocol] |= (uint8_t)(1 << (asked.ttl - 1));
    end_if_over(run);
}

static void
died(void *owner)
{
    struct run *run = owner;
    run->died = true;
    events_end(run->events);
}

/* ---- the host */

static void
begin_rounds(struct run *run)
{
    run->resolving = false;
    run->host_pairs = run->pairs.count;
    pair_up_gateways(run);
    run->round_due = clock_now();
    run->next = (struct alarm){ .rings = send_round, .owner = run };
    if (run->pairs.count)
        events_set(run->events, &run->next, run->round_due);
    end_if_over(run);
}

static void
complain(struct run *run, const char *why)
{
    char clean[300];
    run->unresolved = true;
    warnx("%s: %s", text_printable(run->options->host, clean, sizeof clean), why);
}

static void
found(void *owner, uint64_t tag, char (*addresses)[ADDRESS_TEXT_MAX], size_t count, const char *why)
{
    struct run *run = owner;
    (void)tag;
    for (size_t i = 0; i < count; i++)
        pair_up_host(run, addresses[i]);
    if (!count)
        complain(run, why);
    begin_rounds(run);
}

/* A link local address without its link is tried by each. */
static void
find_host(struct run *run)
{
    const char *host = run->options->host;
    int family = run->options->probing.family;
    struct address address;
    bool is_link_local = address_parse(IPV6, host, strlen(host), &address) && reach_of(IPV6, &address) == REACH_LINK;
    if (!is_link_local || family == 4) {
        host_find(run->names, host, family, found, run, 0);
        return;
    }
    pair_up_host(run, host);
    begin_rounds(run);
}

/* ---- all of it */

static int
tell(struct run *run)
{
    const struct pairs_options *options = run->options;
    bool any = false;
    for (size_t i = 0; i < run->pairs.count; i++)
        any = any || run->pairs.all[i].received;
    if (options->status)
        pairs_show_status(&run->pairs, &run->here, options->host, options->probing.json);
    else
        pairs_show(&run->pairs, options->host, options->probing.json);
    return run->died ? 2 : !any || run->unresolved;
}

static void
say_what_less(struct run *run)
{
    const struct pairs_options *options = run->options;
    if (client_can(run->client, FEATURE_DETAIL))
        return;
    if (options->status)
        client_says_less(run->client, NULL, "no translation that routers see");
    else if (strcmp(options->probing.protocol, "tcp") == 0)
        client_says_less(run->client, options->probing.protocol, "not whether a port is open, no errors by their codes");
    else
        client_says_less(run->client, options->probing.protocol, "no errors by their codes");
}

static int
run_all(struct run *run)
{
    struct probing probing = run->options->probing;
    run->client = client_start(run->events, (struct client_user){ heard, died, run });
    if (!run->client)
        return events_signal(run->events) ? 1 : 2;
    if (!client_needs_protocol(run->client, probing.protocol) || !read_here(run))
        return 2;
    say_what_less(run);
    probing.source = NULL; /* each request names its own */
    probing_arguments(&probing, run->arguments);
    run->resolving = true;
    if (run->options->host)
        find_host(run);
    else
        begin_rounds(run);
    events_run(run->events);
    return tell(run);
}

/* PORT goes behind the protocol. */
static void
read_operands(struct pairs_options *options, char **words, int count, const char *usage)
{
    static const char *const protocols[] = { "tcp", "udp", "sctp" };
    struct probing *probing = &options->probing;
    if (count > 2)
        wrong("one HOST and one PORT only; usage: %s", usage);
    if (!count && !options->status)
        wrong("no host; usage: %s", usage);
    options->host = count ? words[0] : NULL;
    if (count == 2 && strchr(probing->protocol_word, ':'))
        wrong("one port only, behind the protocol or behind the host");
    if (count == 2 && strcmp(probing->protocol_word, "icmp") == 0)
        wrong("icmp has no ports");
    probing_check(probing);
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (strcmp(probing->protocol, protocols[i]) == 0 && !probing->port &&
            (!text_whole(count == 2 ? words[1] : PORT, &probing->port) || probing->port < 1 || probing->port > 65535))
            wrong("a port is a number from 1 to 65535, not %s", words[1]);
    options->only = probing->source_word;
}

static const char *
hint(char letter)
{
    switch (letter) {
    case 'w': return "the timeout is -W";
    case 'P': return "the protocol and its port are -p tcp:443";
    case 'V': return "--version";
    default: return NULL;
    }
}

static void
read_options(int argc, char **argv, struct pairs_options *options)
{
    struct command command = {
        "probe-pairs [OPTION]... HOST [PORT], or probe-pairs --status [OPTION]... [HOST [PORT]]",
        "Probes every address of HOST from every local address of its family, and prints the pairs, best first: family,\n"
        "source, destination, median round trip, and what came of it. The default is tcp to PORT 443.",
        {
            { 'c', "count", "N", WHOLE, &options->count, "so many probes to each pair (3)", 1, 1000 },
            { 'i', "interval", "SECONDS", SECONDS, &options->interval, "from one to the next (0.2)", 0, 0 },
            { 0, "status", NULL, NO_VALUE, &options->status,
              "which kinds of address work here, default gateways, address translation", 0, 0 },
        },
        hint,
    };
    options->probing.protocol_word = "tcp";
    command_add_probing(&command, &options->probing);
    int count = command_read(&command, argc, argv);
    read_operands(options, argv + 1, count, command.usage);
}

int
main(int argc, char **argv)
{
    struct pairs_options options = { .probing = probing_default(4 * NS_PER_S), .count = 3, .interval = NS_PER_S / 5 };
    struct run run = { .options = &options };
    read_options(argc, argv, &options);
    run.events = events_new();
    if (!run.events)
        err(2, NULL);
    run.names = names_new(run.events);
    int status = run_all(&run);
    client_stop(run.client);
    names_free(run.names);
    pairs_free(&run.pairs);
    here_free(&run.here);
    events_free(run.events);
    return status;
}
