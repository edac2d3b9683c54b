/* SPDX-License-Identifier: MIT */
/*
 * What probe-ping asks for beside an answer: a service, the target's clock, one of its interfaces, or which ECN reaches it.
 * At most one of these, each a row of one table.
 */
#ifndef HOPLINE_TOOLS_ASKING_H
#define HOPLINE_TOOLS_ASKING_H

#include "tools/client.h"
#include "tools/ecn.h"
#include "tools/json.h"
#include "tools/options.h"
#include "tools/their_clock.h"

struct asking_row;

struct asking {
    bool clock, ecn;
    const char *interface; /* NULL: none */
    const struct probing *probing;
    const struct asking_row *row; /* NULL: nothing is asked for */
};

/* What a host has told of it until now. Starts out as zeros. */
struct told {
    struct their_clock clock;
    char ecn[ECN_CODEPOINTS][16]; /* the last word of each codepoint; "": none */
};

/* Sets what follows of PROBING, before that is checked; then the other checks. They end the program on wrong use. */
void asking_begin(struct asking *asking, struct probing *probing);
void asking_check(struct asking *asking);

/* False, and a line on standard error, when the daemon can't ask for it. */
MUST_USE bool asking_can(const struct asking *asking, const struct client *client);

/* True, and such a line, when REPLY says so of a probe. */
MUST_USE bool asking_is_refused(const struct asking *asking, const struct client *client, const struct reply *reply);

/* The arguments of a host's probe NUMBER, from 1, behind those of PROBING. Returns BUFFER. */
#define ASKING_ARGUMENTS_MAX SERVICE_ARGUMENTS_MAX
const char *asking_arguments(const struct asking *asking, int64_t number, char buffer[ASKING_ARGUMENTS_MAX]);

/* True when a reply of the target's is what was asked for: one of the service, of an interface that it knows. */
bool asking_is_met(const struct asking *asking, const struct reply *reply);

/* What a reply to probe NUMBER says of it, in BUFFER; "" for nothing. Where nothing is asked for, of which error it is. */
const char *asking_words(const struct asking *asking, int64_t number, const struct reply *reply, char *buffer, size_t size);
void asking_put_json(const struct asking *asking, int64_t number, const struct reply *reply, json_t *object);

/* Keeps what a reply tells for the sums, which are lines of text or members of an object. */
void asking_keep(const struct asking *asking, int64_t number, const struct reply *reply, struct told *told);
void asking_sum_up(const struct asking *asking, const struct told *told);
void asking_sum_up_json(const struct asking *asking, const struct told *told, json_t *object);
void told_free(struct told *told);

#endif
