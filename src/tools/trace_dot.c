/* SPDX-License-Identifier: MIT */
/* The ways of all flows to all hosts as a graph for Graphviz. */
#include <err.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/trace_show.h"

#define NODE_MAX 300

/* What was drawn already: sets of texts, by tsearch(3). */
struct drawing {
    struct trace *trace;
    void *shared; /* addresses that one flow meets twice: so several routers have them */
    void *nodes;
    void *edges;
};

static int
compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* True when TEXT was not in the set before. */
static bool
put(void **set, const char *text)
{
    if (tfind(text, set, compare))
        return false;
    char *copy = strdup(text);
    if (!copy || !tsearch(copy, set, compare))
        err(2, NULL);
    return true;
}

static const char *
who(const struct traced *host, int ttl, int flow)
{
    const struct reply *answer = path_answer(&host->path, ttl, flow);
    return answer ? answer->from : NULL;
}

/* A router that tells why it goes no further is where it was when it was asked itself. */
static bool
is_same_router(const struct traced *host, int ttl, int flow)
{
    const struct reply *answer = path_answer(&host->path, ttl, flow);
    const char *before = ttl > host->path.first ? who(host, ttl - 1, flow) : NULL;
    return answer && answer->kind != KIND_TTL_EXPIRED && answer->kind != KIND_REPLY && answer->from && before &&
           strcmp(answer->from, before) == 0;
}

/* 192.0.0.8, links without numbers, translators that answer for all behind them. */
static void
find_shared(struct drawing *drawing, const struct traced *host, int flow)
{
    for (int ttl = host->path.first; ttl <= path_length(&host->path, flow); ttl++)
        for (int before = host->path.first; before < ttl && !is_same_router(host, ttl, flow); before++)
            if (who(host, ttl, flow) && who(host, before, flow) &&
                strcmp(who(host, ttl, flow), who(host, before, flow)) == 0)
                put(&drawing->shared, who(host, ttl, flow));
}

static void
draw_node(struct drawing *drawing, const struct traced *host, const char *node, const char *address, bool open)
{
    const char *name, *system;
    if (!put(&drawing->nodes, node))
        return;
    if (!address) {
        printf("    \"%s\" [label=\"%s\", style=dashed];\n", node, open ? "?" : "*");
        return;
    }
    trace_facts(drawing->trace, address, &name, &system);
    printf("    \"%s\" [label=\"%s%s%s%s%s\"%s];\n", node, name, *name ? "\\n" : "", node, *system ? "\\nAS" : "",
           system, strcmp(address, host->address) == 0 ? ", style=bold" : "");
}

static void
draw_flow(struct drawing *drawing, const struct traced *host, int flow)
{
    char node[NODE_MAX], before[NODE_MAX] = "here", edge[2 * NODE_MAX + 16];
    for (int ttl = host->path.first; ttl <= path_length(&host->path, flow); ttl++) {
        const char *address = who(host, ttl, flow);
        if (path_cell(&host->path, ttl, flow, 0)->state == CELL_IDLE || is_same_router(host, ttl, flow))
            return;
        if (!address)
            snprintf(node, sizeof node, "* %d behind %.200s", ttl, before);
        else if (tfind(address, &drawing->shared, compare))
            snprintf(node, sizeof node, "%s (hop %d)", address, ttl);
        else
            snprintf(node, sizeof node, "%s", address);
        draw_node(drawing, host, node, address, show_is_open(host, path_cell(&host->path, ttl, flow, 0)));
        snprintf(edge, sizeof edge, "    \"%s\" -> \"%s\";", before, node);
        if (put(&drawing->edges, edge))
            puts(edge);
        strcpy(before, node);
    }
}

bool
dot_show(struct traced *host)
{
    bool known = host->stage == STAGE_TRACED;
    for (int ttl = host->path.first; known && *host->address && ttl <= path_end(&host->path); ttl++)
        known &= show_names_are_known(host, ttl);
    return known;
}

void
dot_draw(struct trace *trace)
{
    struct drawing drawing = { trace, NULL, NULL, NULL };
    puts("digraph path {\n    rankdir=LR; node [shape=box];\n    \"here\" [shape=plaintext];");
    for (size_t i = 0; i < trace->count; i++)
        for (int flow = 0; flow < trace->hosts[i].path.flow_count; flow++)
            find_shared(&drawing, &trace->hosts[i], flow);
    for (size_t i = 0; i < trace->count; i++)
        for (int flow = 0; flow < trace->hosts[i].path.flow_count; flow++)
            draw_flow(&drawing, &trace->hosts[i], flow);
    puts("}");
    tdestroy(drawing.shared, free);
    tdestroy(drawing.nodes, free);
    tdestroy(drawing.edges, free);
}
