/* SPDX-License-Identifier: MIT */
/*
 * What a hostile daemon's line becomes in the tools: words, marks, labels, JSON. All of it is printable, and JSON that can
 * be read again. Input: the line, without its end; a list of targets, too; and what answers a service.
 */
#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "tools/ecn.h"
#include "tools/interface.h"
#include "tools/json.h"
#include "tools/reply.h"
#include "tools/service.h"
#include "tools/target.h"
#include "tools/their_clock.h"

#define LINE_MAX_BYTES 65536

static void
must_be_printable(const char *text)
{
    for (; *text; text++)
        MUST(*text >= ' ' && *text <= '~');
}

static const char *const services[] = { "dns", "ntp", "quic", "stun", "sip", "snmp", "dtls" };

/* Of the bytes themselves, and of a reply that has them in hex. Chance is as in the unit tests, whose answers are seeds. */
static void
check_services(const uint8_t *data, size_t size, const struct reply *reply)
{
    uint8_t random[SERVICE_RANDOM];
    struct service_question question;
    char buffer[200];
    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)(0x80 + i);
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        MUST(service_ask(&question, services[i], random));
        if (data && service_judges(&question, (struct reader){ data, size }))
            MUST(size >= 12);
        if (reply)
            must_be_printable(service_words(&question, service_hear(&question, reply), buffer, sizeof buffer));
    }
}

/* What was asked for beside an answer. */
static void
check_told(const struct reply *reply)
{
    char buffer[200];
    struct clock_sample sample;
    check_services(NULL, 0, reply);
    must_be_printable(interface_words("eth0", reply, buffer, sizeof buffer));
    must_be_printable(ecn_words(2, reply->value[FIELD_TCP_ECN], buffer, sizeof buffer));
    if (their_clock_hear(reply, &sample) == CLOCK_TOLD) {
        double offset = their_clock_offset(&sample);
        MUST(offset >= -43200000 && offset <= 43200000);
    }
}

static void
check_line(char *line)
{
    struct reply reply;
    struct label labels[LABELS_MAX];
    char buffer[200];
    if (!reply_read(line, &reply))
        return;
    must_be_printable(reply.word);
    must_be_printable(reply_error(&reply, buffer, sizeof buffer));
    must_be_printable(reply_mark(&reply, buffer, 8));
    must_be_printable(reply_mark(&reply, buffer, sizeof buffer));
    MUST(reply_labels(&reply, labels) <= LABELS_MAX);
    for (int field = 0; field < FIELDS; field++)
        MUST(reply_number(&reply, (enum field)field) >= -1);
    check_told(&reply);
    json_t *object = json_begin("answer", "host", reply.from);
    json_put_reply(object, &reply);
    char *text = json_dumps(object, JSON_REAL_PRECISION(15));
    MUST(text);
    json_t *again = json_loads(text, 0, NULL);
    MUST(again);
    json_decref(again);
    json_decref(object);
    free(text);
}

/* Each word is a target or says why it is none; the last address of a block is an address. */
static void
check_list(char *line)
{
    char text[64];
    char *rest = line;
    for (const char *word; (word = target_next_word(&rest));) {
        struct target target = target_read(word, 0);
        if (target.kind == TARGET_WRONG) {
            MUST(*target.why);
            must_be_printable(target.why);
        } else if (target.kind != TARGET_NAME) {
            MUST(target.count >= 1 && target.count <= BLOCK_MAX);
            MUST(target_address(&target, target.count - 1, text));
            struct target again = target_read(text, 0);
            MUST(again.kind == TARGET_ADDRESS || again.kind == TARGET_WRONG); /* a link-local one without its scope */
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char line[LINE_MAX_BYTES + 1];
    check_services(data, size, NULL);
    size = size < LINE_MAX_BYTES ? size : LINE_MAX_BYTES;
    for (int list = 0; list < 2; list++) {
        memcpy(line, data, size);
        line[size] = 0;
        if (list)
            check_list(line);
        else
            check_line(line);
    }
    return 0;
}
