/* SPDX-License-Identifier: MIT */
/* How a probe is asked, and what is known of an address. */
#include <stdio.h>

#include "tools/trace.h"

#define RECHECK (100 * NS_PER_MS)

/* ---- tags: purpose 4 bits, host 24, ttl 8, flow 11 (0: none), number 17 or, of rounds, 20 with 8 of flow */

uint64_t
trace_tag_of(const struct probe *probe)
{
    uint64_t tag = (uint64_t)probe->purpose << 60 | (uint64_t)probe->host << 36 | (uint64_t)probe->ttl << 28;
    if (probe->purpose == FOR_ROUND)
        return tag | (uint64_t)(probe->flow + 1) << 20 | (uint64_t)probe->number;
    return tag | (uint64_t)(probe->flow + 1) << 17 | (uint64_t)probe->number;
}

struct probe
trace_probe_of(uint64_t tag)
{
    struct probe probe = { (enum purpose)(tag >> 60), tag >> 36 & 0xffffff, (int)(tag >> 28 & 0xff), 0, 0, false };
    int bits = probe.purpose == FOR_ROUND ? 20 : 17;
    probe.flow = (int)((tag & ((UINT64_C(1) << 28) - 1)) >> bits) - 1;
    probe.number = (int)(tag & ((UINT64_C(1) << bits) - 1));
    return probe;
}

/* ---- asking */

uint32_t
trace_number(const struct traced *host)
{
    return (uint32_t)(host - host->trace->hosts);
}

void
trace_ask(struct traced *host, const struct probe *probe, const char *more)
{
    struct trace *trace = host->trace;
    char flow[24] = "";
    bool collect = trace->options->format == FORMAT_ATLAS && client_can(trace->client, FEATURE_COLLECT);
    if (trace->use_flow && probe->flow >= 0 && !probe->stray)
        snprintf(flow, sizeof flow, " flow %d", probe->flow);
    client_ask(trace->client, trace_tag_of(probe), collect ? COLLECTED : ONE_ANSWER, "%s ttl %d%s%s", host->request,
               probe->ttl, flow, more);
}

void
trace_step_at(struct traced *host, int64_t when)
{
    if (!host->alarm.place || when < host->alarm.due.ns)
        events_set(host->trace->events, &host->alarm, (struct instant){ when });
}

int64_t
trace_tos(const struct trace *trace)
{
    return trace->options->probing.tos < 0 ? 0 : trace->options->probing.tos;
}

/* ---- names */

bool
trace_facts(struct trace *trace, const char *address, const char **name, const char **system)
{
    const struct trace_options *options = trace->options;
    *name = options->probing.numeric ? "" : names_of(trace->names, address);
    *system = options->systems ? names_system_of(trace->names, address) : "";
    bool known = (*name && *system) || trace->hurry || !names_awaited(trace->names);
    *name = *name ? *name : "";
    *system = *system ? *system : "";
    if (!known && !trace->recheck.place)
        events_set(trace->events, &trace->recheck, instant_after(events_now(trace->events), RECHECK));
    return known;
}

const char *
trace_title(struct trace *trace, const char *address, char buffer[400])
{
    const char *name, *system;
    trace_facts(trace, address, &name, &system);
    snprintf(buffer, 400, "%s%s%s%s%s%s%s", name, *name ? " (" : "", address, *name ? ")" : "", *system ? " [AS" : "",
             system, *system ? "]" : "");
    return buffer;
}
