/* SPDX-License-Identifier: MIT */
/* The command line of probe-trace. */
#include <inttypes.h>
#include <string.h>

#include "tools/trace.h"

#define ECT_0 2 /* the codepoint that senders of ECN use, RFC 3168 */

static const char *
hint(char letter)
{
    switch (letter) {
    case 'T': return "-p tcp:PORT";
    case 'U': case 'u': return "-p udp:53";
    case 'S': return "-p sctp:PORT; a source address is -I ADDRESS";
    case 'P': case 'D': return "-p PROTOCOL:PORT";
    case 'w': return "the time to wait is -W; columns are --wide";
    case 'Z': case 'G': return "-W SECONDS";
    case 'N': return "as many as is good for the path are sent at once";
    case 'z': return "the pace is chosen by itself, rounds have -i; numbers of systems are --as";
    case 'F': return "--mtu finds what needs no fragments";
    case 'e': return "ICMP extensions are always shown";
    case 'A': case 'y': return "--as";
    case 'i': return "an interface is -I INTERFACE";
    case 's': case 'a': return "a source address is -I ADDRESS";
    case 't': return "the class of service is -Q";
    case 'g': return "source routes are not offered";
    case 'r': case 'c': return "--mtr ROUNDS";
    case 'b': return "names and addresses are both shown; -n leaves the names out";
    case 'l': return "flows are --flows or --mda; for programs there are --json and --csv";
    case 'j': return "--json";
    case 'C': case 'x': return "--csv or --json";
    case 'o': return "a terminal shows as many columns as it has room for, a pipe all";
    case 'L': return "source ports follow from --flows";
    case 'M': return "the method is -p PROTOCOL; a mark is for requests of mtr-packet(8)";
    case 'B': return "bit patterns are for requests of mtr-packet(8)";
    case 'V': case 'v': return "--version";
    default: return NULL;
    }
}

static void
check(struct trace_options *options, bool queries_given, bool interval_given)
{
    struct probing *probing = &options->probing;
    const char *protocol = probing->protocol;
    bool few = options->flows > 1 || options->mtu || options->mtr || options->mda;
    if (probing->ttl >= 0)
        options->first = options->last = probing->ttl;
    probing->ttl = -1; /* it stands in each request */
    if (options->first > options->last)
        wrong("--first %" PRId64 " is behind --last %" PRId64, options->first, options->last);
    if (options->mtu && (strcmp(protocol, "tcp") == 0 || strcmp(protocol, "sctp") == 0))
        wrong("--mtu needs -p icmp or udp, whose size can be chosen");
    if (options->mtu && probing->service_word)
        wrong("--mtu chooses sizes, and what --service sends has its own");
    if (options->ecn && strcmp(protocol, "tcp") != 0)
        wrong("--ecn goes by tcp, not by %s", protocol);
    if (options->ecn && probing->tos < 0)
        probing->tos = ECT_0;
    if ((options->flows > 1 || options->mda) && strcmp(protocol, "sctp") == 0)
        wrong("%s needs -p icmp, udp or tcp", options->mda ? "--mda" : "--flows");
    if (options->json && *options->json && strcmp(options->json, "atlas") != 0)
        wrong("--json takes no value but atlas, as in --json=atlas");
    if ((options->json != NULL) + options->dot + options->csv + options->wide > 1)
        wrong("one of --json, --csv, --dot and --wide");
    if (options->mtr + options->mda + (options->flows > 1) > 1 || (options->mtr && (options->mtu || options->dot)) ||
        (options->mda && options->mtu))
        wrong("--mtr, --mda and --flows exclude each other, --mtr and --mda also --mtu, --mtr also --dot");
    if (options->json && *options->json && (options->mtr || options->mda || options->flows > 1 || options->mtu))
        wrong("--json=atlas is for one flow, without --mtr, --mda and --mtu");
    if (options->json && *options->json && strcmp(protocol, "sctp") == 0)
        wrong("--json=atlas is for -p icmp, udp or tcp: RIPE Atlas has no traceroute by sctp");
    if (options->mda && queries_given && options->queries != 1)
        wrong("--mda asks each hop of each flow once");
    if (options->mtr && queries_given && options->queries != 1)
        wrong("--mtr asks each hop once in a round; so many rounds are --mtr %" PRId64, options->queries);
    if (interval_given && !options->mtr)
        wrong("-i is from one round of --mtr to the next; a source address or interface is -I");
    options->spares = !queries_given;
    if (!queries_given)
        options->queries = few ? 1 : 3;
    options->format = options->json ? *options->json ? FORMAT_ATLAS : FORMAT_JSON
                      : options->csv ? FORMAT_CSV
                      : options->dot ? FORMAT_DOT
                                     : FORMAT_TEXT;
}

size_t
trace_read_options(int argc, char **argv, struct trace_options *options)
{
    struct command command = {
        "probe-trace [OPTION]... HOST...",
        "Shows the path to each HOST, hop by hop, with round trips, MPLS labels and unreachables (!H host, !N network,\n"
        "!X prohibited, !R refused, !P protocol, !F too big). Ends at the target; what is silent is a star.",
        {
            { 'q', "queries", "N", WHOLE, &options->queries, "probes to each hop (3; 1 with --flows, --mtu, --mda)", 1, 1000 },
            { 'f', "first", "N", WHOLE, &options->first, "hop to begin with (1)", 1, 255 },
            { 'm', "last", "N", WHOLE, &options->last, "hop to end with (30)", 1, 255 },
            { 0, "flows", "N", WHOLE, &options->flows, "follow so many constant flows, and tell which hops differ", 1, FLOWS_MAX },
            { 0, "mda", NULL, NO_VALUE, &options->mda, "add flows until no next hop is missed, with 95% certainty", 0, 0 },
            { 0, "dot", NULL, NO_VALUE, &options->dot, "print the paths as a graph for Graphviz", 0, 0 },
            { 0, "mtu", NULL, NO_VALUE, &options->mtu, "find the path MTU at each hop", 0, 0 },
            { 0, "mtr", "N", WHOLE, &options->rounds,
              "so many rounds, then loss, round trips and percentiles of each hop", 1, 999999 },
            { 'i', "interval", "SECONDS", SECONDS, &options->interval, "from one round of --mtr to the next (1)", 0, 0 },
            { 0, "ecn", NULL, NO_VALUE, &options->ecn,
              "by tcp: ask the target how the ECN of -Q (ect-0) has reached it", 0, 0 },
            { 0, "as", NULL, NO_VALUE, &options->systems, "numbers of autonomous systems, by DNS (Team Cymru)", 0, 0 },
            { 0, "wide", NULL, NO_VALUE, &options->wide, "columns of all that is known, for wide screens", 0, 0 },
            { 0, "csv", NULL, NO_VALUE, &options->csv, "comma separated values", 0, 0 },
            { 0, "json", "atlas", MAY_WORD, &options->json,
              "one JSON object a line, see probe-json(5); or a result as of RIPE Atlas", 0, 0 },
        },
        hint,
    };
    options->queries = options->interval = 0; /* not given */
    command_add_service(&command, &options->probing);
    command_add_probing(&command, &options->probing);
    size_t hosts = (size_t)command_read(&command, argc, argv);
    if (!hosts && options->probing.source_word)
        wrong("no host behind -I %s: it takes an address or interface; icmp is the default",
              options->probing.source_word);
    if (!hosts)
        wrong("no host; usage: %s", command.usage);
    if (options->ecn && !options->probing.protocol_word)
        options->probing.protocol_word = "tcp";
    probing_check(&options->probing);
    options->mtr = options->rounds > 0;
    check(options, options->queries > 0, options->interval > 0);
    if (!options->interval)
        options->interval = NS_PER_S;
    return hosts;
}
