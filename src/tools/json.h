/* SPDX-License-Identifier: MIT */
/* Objects of probe-json(5), one a line, by jansson. */
#ifndef HOPLINE_TOOLS_JSON_H
#define HOPLINE_TOOLS_JSON_H

#include <jansson.h>
#include <stdint.h>

#include "tools/service.h"

/*
 * What each begins with: its type, the time now (seconds since the epoch, to the millisecond), the host as it was given
 * and its address; NULL: left out.
 */
json_t *json_begin(const char *type, const char *host, const char *address);

/* Adds a member. A string that is NULL or "", and a number below 0, is left out. */
void json_put(json_t *object, const char *key, const char *text);
void json_put_number(json_t *object, const char *key, int64_t number);
void json_put_ms(json_t *object, const char *key, double us);
void json_put_true(json_t *object, const char *key, bool value);

/* Round trips are told in ms. What there is to say of a reply: kind, error in words, facts of `detail`, labels. */
void json_put_reply(json_t *object, const struct reply *reply);

/* Whether it is an answer of the service that was asked for; nothing without one. */
void json_put_service(json_t *object, const struct service_question *question, const struct reply *reply);

/* Prints it, a line on standard output, and lets go of it. */
void json_print(json_t *object);

#endif
