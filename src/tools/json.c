/* SPDX-License-Identifier: MIT */
#include "tools/json.h"

#include <err.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DIGITS 15 /* what a double holds of any decimal number */

static void
set(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        err(2, "out of memory");
}

json_t *
json_begin(const char *type, const char *host, const char *address)
{
    struct timespec now;
    json_t *object = json_object();
    clock_gettime(CLOCK_REALTIME, &now);
    json_put(object, "type", type);
    set(object, "time", json_real((double)now.tv_sec + (double)(now.tv_nsec / 1000000) / 1000));
    json_put(object, "host", host);
    json_put(object, "address", address);
    return object;
}

void
json_put(json_t *object, const char *key, const char *text)
{
    if (text && *text)
        set(object, key, json_string(text));
}

void
json_put_number(json_t *object, const char *key, int64_t number)
{
    if (number >= 0)
        set(object, key, json_integer(number));
}

void
json_put_ms(json_t *object, const char *key, double us)
{
    if (us >= 0)
        set(object, key, json_real((double)(int64_t)(us + 0.5) / 1000));
}

void
json_put_true(json_t *object, const char *key, bool value)
{
    if (value)
        set(object, key, json_true());
}

static void
put_labels(json_t *object, const struct reply *reply)
{
    struct label labels[LABELS_MAX];
    size_t count = reply_labels(reply, labels);
    json_t *list = count ? json_array() : NULL;
    for (size_t i = 0; i < count; i++) {
        json_t *one = json_object();
        json_put_number(one, "label", labels[i].label);
        json_put_number(one, "class", labels[i].traffic_class);
        json_put_number(one, "bottom", labels[i].bottom);
        json_put_number(one, "ttl", labels[i].ttl);
        json_array_append_new(list, one);
    }
    if (list)
        set(object, "mpls", list);
}

/* COUNT texts at most, up to the first that is NULL; nothing of fewer than LEAST. */
static void
put_texts(json_t *object, const char *key, const char *const *texts, size_t count, size_t least)
{
    json_t *list = texts[least - 1] ? json_array() : NULL;
    for (size_t i = 0; list && i < count && texts[i]; i++)
        json_array_append_new(list, json_string(texts[i]));
    if (list)
        set(object, key, list);
}

/* Facts by their names in JSON: numbers and texts as the daemon tells them, 0 and 1 as false and true. */
static const struct {
    enum field field;
    const char *key;
    enum { TEXT, NUMBER, TRUTH } form;
} facts[] = {
    { FIELD_REPLY_SIZE, "bytes", NUMBER },
    { FIELD_REPLY_TTL, "ttl", NUMBER },
    { FIELD_REPLY_TOS, "reply_tos", NUMBER },
    { FIELD_ICMP_TYPE, "icmp_type", NUMBER },
    { FIELD_ICMP_CODE, "icmp_code", NUMBER },
    { FIELD_TCP_FLAGS, "tcp_flags", TEXT },
    { FIELD_MTU, "mtu", NUMBER },
    { FIELD_QUOTED_TTL, "quoted_ttl", NUMBER },
    { FIELD_QUOTED_TOS, "quoted_tos", NUMBER },
    { FIELD_QUOTED_MSS, "quoted_mss", NUMBER },
    { FIELD_INTERFACE, "interface", TEXT },
    { FIELD_NODE, "node", TEXT },
    { FIELD_ERRNO, "errno", NUMBER },
    { FIELD_REASON, "reason", TEXT },
    { FIELD_ARGUMENT, "argument", TEXT },
    { FIELD_REPLY_ID, "reply_id", NUMBER },
    { FIELD_REPLY_PAYLOAD, "reply_payload", TEXT },
    { FIELD_TCP_ECN, "tcp_ecn", TEXT },
    { FIELD_ORIGINATE, "originate", NUMBER },
    { FIELD_RECEIVE, "receive", NUMBER },
    { FIELD_TRANSMIT, "transmit", NUMBER },
    { FIELD_EXTENDED_CODE, "extended_code", NUMBER },
    { FIELD_STATE, "neighbour_state", NUMBER },
    { FIELD_ACTIVE, "active", TRUTH },
    { FIELD_IP_4_ACTIVE, "ip_4_active", TRUTH },
    { FIELD_IP_6_ACTIVE, "ip_6_active", TRUTH },
};

static void
put_fact(json_t *object, const struct reply *reply, size_t i)
{
    const char *value = reply->value[facts[i].field];
    switch (facts[i].form) {
    case TEXT: json_put(object, facts[i].key, value); break;
    case NUMBER: json_put_number(object, facts[i].key, reply_number(reply, facts[i].field)); break;
    case TRUTH:
        if (value)
            set(object, facts[i].key, json_boolean(strcmp(value, "1") == 0));
        break;
    }
}

void
json_put_reply(json_t *object, const struct reply *reply)
{
    char error[200];
    json_put(object, "kind", reply->word);
    json_put(object, "from", reply->from);
    json_put(object, "error", reply_error(reply, error, sizeof error));
    if (reply->round_trip_us >= 0)
        json_put_ms(object, "ms", (double)reply->round_trip_us);
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        put_fact(object, reply, i);
    json_put_true(object, "nat", reply->value[FIELD_NAT] != NULL);
    put_labels(object, reply);
    put_texts(object, "interfaces", reply->interface, INTERFACES_MAX, 2);
    put_texts(object, "extensions", reply->extension, EXTENSIONS_MAX, 1);
}

void
json_put_service(json_t *object, const struct service_question *question, const struct reply *reply)
{
    enum service_verdict verdict = service_hear(question, reply);
    if (verdict == SERVICE_UNASKED)
        return;
    json_put(object, "service", question->service->name);
    set(object, "service_answers", json_boolean(verdict == SERVICE_ANSWERS));
}

void
json_print(json_t *object)
{
    char *text = json_dumps(object, JSON_REAL_PRECISION(DIGITS));
    if (!text)
        err(2, "out of memory");
    puts(text);
    free(text);
    json_decref(object);
}
