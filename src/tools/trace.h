/* SPDX-License-Identifier: MIT */
/*
 * What the parts of probe-trace share: the options, the hosts, and how a probe is asked. The parts are
 *     trace_options, trace_ask the command line, requests and names
 *     trace_hops, trace_plan   what is known of a path, and what is asked next
 *     trace_places             what is known of the places that paths share
 *     trace_mtu, trace_mtr, trace_mda   sizes, rounds, and flows until no next hop is missed
 *     trace_rounds, trace_report   what rounds have shown, and how that is told
 *     trace_words, trace_text, trace_rows, trace_atlas, trace_dot   what is shown of it, in which form
 */
#ifndef HOPLINE_TOOLS_TRACE_H
#define HOPLINE_TOOLS_TRACE_H

#include "tools/client.h"
#include "tools/host.h"
#include "tools/names.h"
#include "tools/options.h"
#include "tools/screen.h"
#include "tools/trace_hops.h"
#include "tools/trace_words.h"

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_ATLAS, FORMAT_CSV, FORMAT_DOT };

struct trace_options {
    struct probing probing;
    int64_t queries, first, last, flows, rounds, interval;
    bool dot, mtu, mtr, mda, systems, csv, wide, ecn;
    bool spares; /* later queries, where many paths share a router that rations its errors: -q was not given */
    const char *json; /* NULL, "" or "atlas" */
    enum format format;
};

/*
 * Reads the command line (trace_options.c) and returns how many hosts are in argv[1] and on; ends the program on wrong
 * use.
 */
size_t trace_read_options(int argc, char **argv, struct trace_options *options);

/* Why a probe is sent, which is in the tag of its request. */
enum purpose {
    FOR_HOP,     /* `number` is the query */
    FOR_VERDICT, /* whether the target answers behind an unreachable */
    FOR_SIZE,    /* `number` is the size */
    FOR_SIZE_BY_UDP,
    FOR_ROUND,   /* `number` is the round */
    FOR_FLOWS,   /* whether the daemon has flows of this protocol here */
};

struct probe {
    enum purpose purpose;
    uint32_t host;
    int ttl, flow;  /* flow: SCOUT for none */
    int number;
    bool stray;     /* not in the tag: it is sent without a flow all the same */
};

enum stage {
    STAGE_WAITING, /* others are traced before */
    STAGE_NAMING,  /* its address is looked up */
    STAGE_TRACING,
    STAGE_TRACED,
    STAGE_SHOWN,
};

/* An answer that came after the first one, for Atlas. */
struct extra {
    struct reply *reply;
    int ttl;
    bool late; /* else a duplicate */
};

struct sizes;
struct rounds;

struct traced {
    struct trace *trace;
    const char *host;                /* as it was given */
    char address[ADDRESS_TEXT_MAX];  /* "": none was found, and `why` tells why */
    char why[HOST_WHY_MAX];
    char *request;                   /* what all its requests begin with */
    enum stage stage;
    struct path path;
    struct alarm alarm;              /* its next step */
    int64_t begun, ended;            /* ns since the epoch */
    bool reached;                    /* the target answered; of a host that has been traced */
    struct said *said;               /* of each flow: what was said of it until now */
    int said_count;
    bool headed;                     /* its first line is written */
    int shown;                       /* the last hop that was */
    int silent_from;                 /* hop from which on all that was shown are stars; 0: none */
    char *stars;                     /* their lines, shown when somebody behind them answers; NULL: none */
    char *differs;                   /* hops that differ between flows, " 2 7"; NULL: none */
    struct extra *extras;
    size_t extra_count;
    struct sizes *sizes;
    struct rounds *rounds;
};

struct trace {
    const struct trace_options *options;
    struct events *events;
    struct client *client;
    struct names *names;
    struct screen *screen; /* of --mtr on a terminal */
    struct traced *hosts;
    struct places *places; /* that these have in common; NULL with one host */
    size_t count;
    size_t begun;     /* hosts whose turn it was */
    size_t under_way; /* of these */
    size_t turn;      /* the first that is not shown */
    bool use_flow, died, hurry; /* hurry: what is not known is not waited for */
    bool refused;     /* the daemon can't do what is asked for */
    bool headed;      /* something is written */
    char arguments[ARGUMENTS_MAX];
    struct alarm recheck; /* names are no longer waited for */
    struct alarm redraw;
};

/* What the tag of a request holds of a probe: all but `stray`. */
uint64_t trace_tag_of(const struct probe *probe);
struct probe trace_probe_of(uint64_t tag);

/* Asks for one probe of HOST. MORE: arguments behind the others, "" for none. */
void trace_ask(struct traced *host, const struct probe *probe, const char *more);

/* The number of HOST among all. */
uint32_t trace_number(const struct traced *host);

/* HOST takes its next step at WHEN (ns), or at the next turn when that has passed. */
void trace_step_at(struct traced *host, int64_t when);

/* HOST has been traced; shows what is left. */
void trace_done(struct traced *host);

/*
 * True when what is to be shown of ADDRESS beside itself is known, or is not waited for any longer; then *NAME and
 * *SYSTEM are that, or "".
 */
bool trace_facts(struct trace *trace, const char *address, const char **name, const char **system);

/* "name (address)", or the address, and the system where --as is given. BUFFER holds 400 bytes. */
const char *trace_title(struct trace *trace, const char *address, char buffer[400]);

/* The type of service that is sent. */
int64_t trace_tos(const struct trace *trace);

#endif
