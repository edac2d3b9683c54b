/* SPDX-License-Identifier: MIT */
#include "tools/asking.h"

#include <err.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tools/interface.h"

struct asking_row {
    const char *option; /* its name without --, for messages */
    const char *protocol;
    enum feature feature;
    bool sized; /* the size of its packets may be chosen */
    bool ipv4;  /* alone */
    enum field told; /* an answer has it, an error of ICMP in its place has not; FIELDS: the row tells them apart */
    void (*arguments)(const struct asking *asking, int64_t number, char buffer[ASKING_ARGUMENTS_MAX]);
    /* NULL: any reply of the target's */
    bool (*is_met)(const struct asking *asking, const struct reply *reply);
    void (*words)(const struct asking *asking, int64_t number, const struct reply *reply, char *buffer, size_t size);
    /* These may be NULL. */
    void (*put_json)(const struct asking *asking, int64_t number, const struct reply *reply, json_t *object);
    void (*keep)(int64_t number, const struct reply *reply, struct told *told);
    void (*sum_up)(const struct told *told);
    void (*sum_up_json)(const struct told *told, json_t *object);
};

/* ---- a service */

static void
service_put(const struct asking *asking, int64_t number, char buffer[ASKING_ARGUMENTS_MAX])
{
    (void)number;
    service_arguments(&asking->probing->question, buffer);
}

static bool
service_meets(const struct asking *asking, const struct reply *reply)
{
    return service_is_met(&asking->probing->question, reply);
}

static void
service_say(const struct asking *asking, int64_t number, const struct reply *reply, char *buffer, size_t size)
{
    const struct service_question *question = &asking->probing->question;
    (void)number;
    service_words(question, service_hear(question, reply), buffer, size);
}

static void
service_put_json(const struct asking *asking, int64_t number, const struct reply *reply, json_t *object)
{
    (void)number;
    json_put_service(object, &asking->probing->question, reply);
}

/* ---- an interface */

static void
interface_put(const struct asking *asking, int64_t number, char buffer[ASKING_ARGUMENTS_MAX])
{
    char argument[100];
    (void)number;
    snprintf(buffer, ASKING_ARGUMENTS_MAX, " icmp-request extended-echo%s",
             interface_argument(asking->interface, argument, sizeof argument));
}

static bool
interface_is_met(const struct asking *asking, const struct reply *reply)
{
    (void)asking;
    return interface_is_known(reply);
}

static void
interface_say(const struct asking *asking, int64_t number, const struct reply *reply, char *buffer, size_t size)
{
    (void)number;
    interface_words(asking->interface, reply, buffer, size);
}

/* ---- the clock */

static void
clock_put(const struct asking *asking, int64_t number, char buffer[ASKING_ARGUMENTS_MAX])
{
    (void)asking;
    (void)number;
    snprintf(buffer, ASKING_ARGUMENTS_MAX, " icmp-request timestamp");
}

/* Tenths, and no minus before a zero. */
static double
tenths(double ms)
{
    return round(10 * ms) / 10 + 0.0;
}

static void
clock_say(const struct asking *asking, int64_t number, const struct reply *reply, char *buffer, size_t size)
{
    struct clock_sample sample;
    (void)asking;
    (void)number;
    switch (their_clock_hear(reply, &sample)) {
    case CLOCK_SILENT: *buffer = 0; break;
    case CLOCK_ODD: snprintf(buffer, size, "its clock is not standard"); break;
    case CLOCK_TOLD: snprintf(buffer, size, "clock %+.1f ms", tenths(their_clock_offset(&sample))); break;
    }
}

static void
put_signed(json_t *object, const char *key, double value)
{
    if (json_object_set_new(object, key, json_real(round(1000 * value) / 1000 + 0.0)) != 0)
        err(2, "out of memory");
}

static void
clock_put_json(const struct asking *asking, int64_t number, const struct reply *reply, json_t *object)
{
    struct clock_sample sample;
    (void)asking;
    (void)number;
    if (their_clock_hear(reply, &sample) == CLOCK_TOLD)
        put_signed(object, "clock_ms", their_clock_offset(&sample));
}

static void
clock_keep(int64_t number, const struct reply *reply, struct told *told)
{
    struct clock_sample sample;
    enum clock_word word = their_clock_hear(reply, &sample);
    (void)number;
    if (word == CLOCK_ODD)
        told->clock.odd++;
    else if (word == CLOCK_TOLD && !their_clock_add(&told->clock, &sample))
        err(2, NULL);
}

/* Parts per million, no finer than a clock of ms lets one see in an hour. */
static const char *
ppm_text(double ppm, char buffer[32])
{
    snprintf(buffer, 32, "%.*f", fabs(ppm) < 10 ? 1 : 0, fabs(ppm));
    return buffer;
}

static void
clock_sum_up(const struct told *told)
{
    struct clock_sum sum;
    char drift[32], error[32];
    if (told->clock.odd)
        printf("its clock is not standard (%" PRId64 " answers)\n", told->clock.odd);
    if (!their_clock_sum_up(&told->clock, &sum))
        return;
    double offset = tenths(sum.offset);
    printf("its clock is %.1f ms %s, within %.1f ms", fabs(offset), offset < 0 ? "behind" : "ahead", sum.offset_error);
    if (sum.has_drift && fabs(sum.drift) > sum.drift_error)
        printf(", %s ppm too %s, within %s ppm", ppm_text(sum.drift, drift), sum.drift < 0 ? "slow" : "fast",
               ppm_text(sum.drift_error, error));
    else if (sum.has_drift)
        printf(", no drift seen, within %s ppm", ppm_text(sum.drift_error, error));
    printf("\non average %.1f ms there and %.1f ms back, if the quickest (%.3f ms) is as long there as back\n",
           tenths(sum.there), tenths(sum.back), sum.least);
}

static void
clock_sum_up_json(const struct told *told, json_t *object)
{
    struct clock_sum sum;
    json_put_number(object, "clock_not_standard", told->clock.odd ? told->clock.odd : -1);
    if (!their_clock_sum_up(&told->clock, &sum))
        return;
    put_signed(object, "clock_ms", sum.offset);
    put_signed(object, "clock_error_ms", sum.offset_error);
    if (sum.has_drift) {
        put_signed(object, "drift_ppm", sum.drift);
        put_signed(object, "drift_error_ppm", sum.drift_error);
    }
    put_signed(object, "there_ms", sum.there);
    put_signed(object, "back_ms", sum.back);
}

/* ---- ECN: the codepoints in turn */

static unsigned
codepoint_of(int64_t number)
{
    static const uint8_t order[ECN_CODEPOINTS] = { 0, 2, 1, 3 };
    return order[(number - 1) % ECN_CODEPOINTS];
}

static void
ecn_put(const struct asking *asking, int64_t number, char buffer[ASKING_ARGUMENTS_MAX])
{
    int64_t tos = asking->probing->tos < 0 ? 0 : asking->probing->tos;
    snprintf(buffer, ASKING_ARGUMENTS_MAX, " tcp-ecn accurate tos %d", (int)((unsigned)tos & ~ECN_MASK) | (int)codepoint_of(number));
}

static void
ecn_say(const struct asking *asking, int64_t number, const struct reply *reply, char *buffer, size_t size)
{
    (void)asking;
    ecn_words(codepoint_of(number), reply->value[FIELD_TCP_ECN], buffer, size);
}

static void
ecn_put_json(const struct asking *asking, int64_t number, const struct reply *reply, json_t *object)
{
    (void)asking;
    (void)reply;
    json_put(object, "sent_ecn", ecn_name(codepoint_of(number)));
}

static void
ecn_keep(int64_t number, const struct reply *reply, struct told *told)
{
    const char *word = reply->value[FIELD_TCP_ECN];
    if (word)
        snprintf(told->ecn[codepoint_of(number)], sizeof told->ecn[0], "%.15s", word);
}

static void
ecn_sum_up(const struct told *told)
{
    char words[200];
    for (int64_t number = 1; number <= ECN_CODEPOINTS; number++) {
        unsigned codepoint = codepoint_of(number);
        if (*told->ecn[codepoint])
            printf("ecn %s\n", ecn_words(codepoint, told->ecn[codepoint], words, sizeof words));
    }
}

static void
ecn_sum_up_json(const struct told *told, json_t *object)
{
    json_t *came = json_object();
    for (unsigned codepoint = 0; codepoint < ECN_CODEPOINTS; codepoint++)
        json_put(came, ecn_name(codepoint), told->ecn[codepoint]);
    if (json_object_set_new(object, "ecn", came) != 0)
        err(2, "out of memory");
}

/* ---- all of them */

static const struct asking_row service_row = {
    .option = "service", .protocol = "udp", .feature = FEATURE_REPLY_PAYLOAD, .told = FIELDS,
    .arguments = service_put, .is_met = service_meets, .words = service_say, .put_json = service_put_json,
};
static const struct asking_row interface_row = {
    .option = "interface", .protocol = "icmp", .feature = FEATURE_ICMP_REQUEST, .told = FIELD_EXTENDED_CODE,
    .arguments = interface_put, .is_met = interface_is_met, .words = interface_say,
};
static const struct asking_row clock_row = {
    .option = "clock", .protocol = "icmp", .feature = FEATURE_ICMP_REQUEST, .ipv4 = true, .told = FIELD_RECEIVE,
    .arguments = clock_put, .words = clock_say, .put_json = clock_put_json,
    .keep = clock_keep, .sum_up = clock_sum_up, .sum_up_json = clock_sum_up_json,
};
static const struct asking_row ecn_row = {
    .option = "ecn", .protocol = "tcp", .feature = FEATURE_TCP_ECN, .sized = true, .told = FIELD_TCP_ECN,
    .arguments = ecn_put, .words = ecn_say, .put_json = ecn_put_json,
    .keep = ecn_keep, .sum_up = ecn_sum_up, .sum_up_json = ecn_sum_up_json,
};

void
asking_begin(struct asking *asking, struct probing *probing)
{
    asking->probing = probing;
    asking->row = probing->service_word ? &service_row
                  : asking->interface   ? &interface_row
                  : asking->clock       ? &clock_row
                  : asking->ecn         ? &ecn_row
                                        : NULL;
    if ((probing->service_word != NULL) + (asking->interface != NULL) + asking->clock + asking->ecn > 1)
        wrong("one of --service, --interface, --clock and --ecn");
    if (!asking->row)
        return;
    if (!probing->protocol_word)
        probing->protocol_word = asking->row->protocol;
    if (asking->row->ipv4 && probing->ipv6)
        wrong("--%s is of IPv4 alone", asking->row->option);
    probing->ipv4 |= asking->row->ipv4;
}

void
asking_check(struct asking *asking)
{
    char argument[100];
    const struct asking_row *row = asking->row;
    if (!row)
        return;
    if (strcmp(asking->probing->protocol, row->protocol) != 0)
        wrong("--%s goes by %s, not by %s", row->option, row->protocol, asking->probing->protocol);
    if (!row->sized && asking->probing->size >= 0)
        wrong("what --%s sends has a size of its own", row->option);
    if (asking->interface && !interface_argument(asking->interface, argument, sizeof argument))
        wrong("--interface takes a name, an index from 1 on or an address, not '%s'", asking->interface);
}

bool
asking_can(const struct asking *asking, const struct client *client)
{
    return !asking->row || client_needs(client, asking->row->feature);
}

bool
asking_is_refused(const struct asking *asking, const struct client *client, const struct reply *reply)
{
    return asking->row && client_refused(client, reply, asking->row->feature, asking->row->option);
}

const char *
asking_arguments(const struct asking *asking, int64_t number, char buffer[ASKING_ARGUMENTS_MAX])
{
    *buffer = 0;
    if (asking->row)
        asking->row->arguments(asking, number, buffer);
    return buffer;
}

/* The target has answered with an error of ICMP instead: a filter of its own may do that. */
static bool
answers_by_error(const struct asking *asking, const struct reply *reply)
{
    enum field told = asking->row->told;
    return told < FIELDS && !reply->value[told] && reply->value[FIELD_ICMP_TYPE];
}

bool
asking_is_met(const struct asking *asking, const struct reply *reply)
{
    if (reply->kind != KIND_REPLY || !asking->row)
        return reply->kind == KIND_REPLY;
    return !answers_by_error(asking, reply) && (!asking->row->is_met || asking->row->is_met(asking, reply));
}

const char *
asking_words(const struct asking *asking, int64_t number, const struct reply *reply, char *buffer, size_t size)
{
    *buffer = 0;
    if (reply->kind != KIND_REPLY)
        return buffer;
    if (!asking->row)
        snprintf(buffer, size, "%s", reply_is_refusal(reply) ? reply_refusal(reply) : "");
    else if (answers_by_error(asking, reply))
        snprintf(buffer, size, "refused: %s", reply_refusal(reply));
    else
        asking->row->words(asking, number, reply, buffer, size);
    return buffer;
}

void
asking_put_json(const struct asking *asking, int64_t number, const struct reply *reply, json_t *object)
{
    char words[300];
    json_put(object, "notes", asking_words(asking, number, reply, words, sizeof words));
    if (asking->row && asking->row->put_json)
        asking->row->put_json(asking, number, reply, object);
}

void
asking_keep(const struct asking *asking, int64_t number, const struct reply *reply, struct told *told)
{
    if (asking->row && asking->row->keep && reply->kind == KIND_REPLY)
        asking->row->keep(number, reply, told);
}

void
asking_sum_up(const struct asking *asking, const struct told *told)
{
    if (asking->row && asking->row->sum_up)
        asking->row->sum_up(told);
}

void
asking_sum_up_json(const struct asking *asking, const struct told *told, json_t *object)
{
    if (asking->row && asking->row->sum_up_json)
        asking->row->sum_up_json(told, object);
}

void
told_free(struct told *told)
{
    their_clock_free(&told->clock);
}
