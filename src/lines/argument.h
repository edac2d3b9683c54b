/* SPDX-License-Identifier: MIT */
/* How the values of arguments are read: what the rows of the table in request.c refer to. */
#ifndef HOPLINE_ARGUMENT_H
#define HOPLINE_ARGUMENT_H

#include "lines/request.h"

struct argument {
    const char *name;
    size_t name_length;
    enum feature feature; /* FEATURE_NONE: every daemon knows it */
    unsigned commands;    /* that have it: a bit for each enum command */
    enum reason (*read)(const struct argument *argument, struct word value, struct request *request);
    int64_t low, high; /* of a number */
    size_t field;      /* offset in struct request */
};

static inline void *
field_of(const struct argument *argument, struct request *request)
{
    return (char *)request + argument->field;
}

/* A number from LOW to HIGH; the field is an uint32_t. */
enum reason read_number(const struct argument *argument, struct word value, struct request *request);

/* Seconds with up to six decimals; LOW and HIGH are in seconds, the field in microseconds. */
enum reason read_timeout(const struct argument *argument, struct word value, struct request *request);

/* Whether a probe of this kind can be of a flow; `protocol` and `icmp-request` are read. */
bool can_flow(const struct request *request);

/* ---- of sweeps: sweep_values.c ---- */

/* Lists, see blocks.h. LOW is the family of the first; all its targets are on one link, if they are on any. */
enum reason read_targets(const struct argument *argument, struct word value, struct request *request);
enum reason read_exclusions(const struct argument *argument, struct word value, struct request *request);

/* A number from LOW to HIGH, or two of them with a hyphen; the field is a struct span. */
enum reason read_span(const struct argument *argument, struct word value, struct request *request);
enum reason read_ports(const struct argument *argument, struct word value, struct request *request);
enum reason read_flows(const struct argument *argument, struct word value, struct request *request);

/* A number without sign up to HIGH, or of up to 64 bits if that is 0; the field is an uint64_t. */
enum reason read_long(const struct argument *argument, struct word value, struct request *request);
enum reason read_seed(const struct argument *argument, struct word value, struct request *request);

enum reason read_shard(const struct argument *argument, struct word value, struct request *request);
enum reason read_order(const struct argument *argument, struct word value, struct request *request);
enum reason read_report(const struct argument *argument, struct word value, struct request *request);
enum reason read_progress(const struct argument *argument, struct word value, struct request *request);

#endif
