/* SPDX-License-Identifier: MIT */
/* How what was found is written. Each of these shows what is known and was not shown yet; true: all of it was. */
#ifndef HOPLINE_TOOLS_TRACE_SHOW_H
#define HOPLINE_TOOLS_TRACE_SHOW_H

#include "tools/json.h"
#include "tools/trace.h"

/* trace_text.c: lines for people. */
bool text_show(struct traced *host);

/* trace_rows.c: objects of probe-json(5), and comma separated values. */
bool json_show(struct traced *host);
bool csv_show(struct traced *host);

/* Puts a value behind a comma, quoted where RFC 4180 wants that; the first of a line has none before it. */
void csv_put(const char *value, bool first);
void csv_put_number(int64_t value, bool first);

/* The name of FROM and its system, as members of OBJECT. */
void json_put_names(json_t *object, struct trace *trace, const char *from);

/* trace_atlas.c: an object for each host, as RIPE Atlas' probes make it. */
bool atlas_show(struct traced *host);

/* trace_dot.c: nothing until the end, then one graph of all hosts. */
bool dot_show(struct traced *host);
void dot_draw(struct trace *trace);

/* True when nothing more will come to a hop, its size included. */
bool show_hop_is_known(const struct traced *host, int ttl);

/* True when the names of all who answered at a hop are known, or not waited for. */
bool show_names_are_known(struct traced *host, int ttl);

/* The last hop that is to be shown: where all flows end, or, in a hurry, the furthest that answered. */
int show_end(const struct traced *host);

/* What was said until now of a flow of HOST. */
struct said *show_said(struct traced *host, int flow);

/* True of a question to which an answer may have been under way when the trace was interrupted, or that was not asked yet. */
bool show_is_open(const struct traced *host, const struct cell *cell);

/*
 * The flow whose answers stand for a hop of which nothing is known: that of the scouts, which went ahead of all flows when
 * the trace was interrupted, if one of them was answered there; else 0.
 */
int show_flow_instead(const struct traced *host, int ttl);

#endif
