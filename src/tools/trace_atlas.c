/* SPDX-License-Identifier: MIT */
/*
 * A traceroute as RIPE Atlas' probes report it, for programs that read those:
 * https://atlas.ripe.net/docs/apis/result-format/
 */
#include <err.h>
#include <string.h>

#include "host/clock.h"
#include "tools/trace_show.h"

#define FIRMWARE 5080 /* whose form this is */
#define NO_MEASUREMENT 0

static json_t *
need(json_t *value)
{
    if (!value)
        err(2, NULL);
    return value;
}

static json_t *
label_of(const struct label *label)
{
    return need(json_pack("{s:i, s:i, s:i, s:i}", "exp", (int)label->traffic_class, "label", (int)label->label, "s",
                          (int)label->bottom, "ttl", (int)label->ttl));
}

/* The extensions: labels, and the class and type of others. */
static json_t *
extensions_of(const struct reply *reply)
{
    struct label labels[LABELS_MAX];
    size_t count = reply_labels(reply, labels);
    json_t *objects = need(json_array()), *stack = need(json_array());
    for (size_t i = 0; i < count; i++)
        json_array_append_new(stack, label_of(&labels[i]));
    if (count)
        json_array_append_new(objects, need(json_pack("{s:i, s:i, s:O}", "class", 1, "type", 1, "mpls", stack)));
    json_decref(stack);
    for (size_t i = 0; i < EXTENSIONS_MAX && reply->extension[i]; i++) {
        int class, type;
        if (sscanf(reply->extension[i], "%d/%d/", &class, &type) == 2)
            json_array_append_new(objects, need(json_pack("{s:i, s:i}", "class", class, "type", type)));
    }
    if (json_array_size(objects))
        return need(json_pack("{s:i, s:i, s:o}", "version", 2, "rfc4884", 1, "obj", objects));
    json_decref(objects);
    return NULL;
}

/* The letter of an error, or the code where there is none. */
static void
put_error(json_t *packet, const struct reply *reply)
{
    static const struct {
        const char *mark, *letter;
    } letters[] = { { "!N", "N" }, { "!H", "H" }, { "!X", "A" }, { "!P", "P" }, { "!R", "p" } };
    char text[300];
    const char *mark = reply_mark(reply, text, sizeof text);
    if (reply->kind == KIND_REPLY || reply->kind == KIND_TTL_EXPIRED)
        return;
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (strcmp(mark, letters[i].mark) == 0) {
            json_put(packet, "err", letters[i].letter);
            return;
        }
    json_put_number(packet, "err", reply_number(reply, FIELD_ICMP_CODE));
}

static json_t *
packet_of(const struct reply *reply)
{
    json_t *packet = need(json_object()), *extensions;
    if (!reply) {
        json_put(packet, "x", "*");
        return packet;
    }
    json_put(packet, "from", reply->from);
    json_put_number(packet, "ttl", reply_number(reply, FIELD_REPLY_TTL));
    json_put_number(packet, "size", reply_number(reply, FIELD_REPLY_SIZE));
    if (reply->round_trip_us >= 0)
        json_put_ms(packet, "rtt", (double)reply->round_trip_us);
    put_error(packet, reply);
    json_put_number(packet, "mtu", reply_number(reply, FIELD_MTU));
    json_put(packet, "flags", reply->value[FIELD_TCP_FLAGS]);
    if (reply_number(reply, FIELD_QUOTED_TTL) != 1)
        json_put_number(packet, "ittl", reply_number(reply, FIELD_QUOTED_TTL));
    json_put_number(packet, "itos", reply_number(reply, FIELD_QUOTED_TOS));
    if ((extensions = extensions_of(reply)))
        json_object_set_new(packet, "icmpext", extensions);
    return packet;
}

/* One that is late has no round trip: so Atlas tells that it does not count. */
static json_t *
extra_of(const struct traced *host, const struct extra *extra)
{
    json_t *packet = packet_of(extra->reply);
    int64_t timeout = host->trace->options->probing.timeout;
    if (extra->late) {
        json_object_del(packet, "rtt");
        json_put_number(packet, "late", timeout ? extra->reply->round_trip_us * NS_PER_US / timeout : 1);
    } else {
        json_put_true(packet, "dup", true);
    }
    return packet;
}

static json_t *
hop_of(const struct traced *host, int ttl)
{
    json_t *packets = need(json_array());
    int flow = show_flow_instead(host, ttl);
    for (int query = 0; query < host->path.queries; query++) {
        const struct cell *cell = path_cell(&host->path, ttl, flow, query);
        if (cell->state != CELL_SPARED && !show_is_open(host, cell))
            json_array_append_new(packets, packet_of(cell->answer));
    }
    for (size_t i = 0; i < host->extra_count; i++)
        if (host->extras[i].ttl == ttl)
            json_array_append_new(packets, extra_of(host, &host->extras[i]));
    return need(json_pack("{s:i, s:o}", "hop", ttl, "result", packets));
}

/* The address from which the probes left, as the answers tell it. */
static const char *
source_of(const struct traced *host)
{
    for (int ttl = host->path.first; ttl <= path_end(&host->path); ttl++) {
        const struct reply *answer = path_answer(&host->path, ttl, 0);
        if (answer && answer->value[FIELD_LOCAL_IP_4])
            return answer->value[FIELD_LOCAL_IP_4];
        if (answer && answer->value[FIELD_LOCAL_IP_6])
            return answer->value[FIELD_LOCAL_IP_6];
    }
    return NULL;
}

static void
put_head(json_t *result, const struct traced *host)
{
    const struct probing *probing = &host->trace->options->probing;
    const char *protocol = strcmp(probing->protocol, "icmp") == 0  ? "ICMP"
                           : strcmp(probing->protocol, "udp") == 0 ? "UDP"
                                                                   : "TCP";
    json_put_number(result, "fw", FIRMWARE);
    json_put(result, "type", "traceroute");
    json_put(result, "msm_name", "Traceroute");
    json_put_number(result, "msm_id", NO_MEASUREMENT);
    json_put_number(result, "prb_id", NO_MEASUREMENT);
    json_put(result, "proto", protocol);
    json_put(result, "dst_name", host->host);
    json_put_number(result, "timestamp", host->begun / NS_PER_S);
    json_put_number(result, "endtime", host->ended / NS_PER_S);
    json_put_number(result, "paris_id", host->trace->use_flow);
    if (strcmp(probing->protocol, "tcp") != 0 && !probing->question.service) /* which have a size of their own */
        json_put_number(result, "size", probing->size < 0 ? 64 : probing->size);
    if (*host->address) {
        json_put_number(result, "af", strchr(host->address, ':') ? 6 : 4);
        json_put(result, "dst_addr", host->address);
        json_put(result, "src_addr", source_of(host));
        json_put(result, "from", source_of(host));
    }
}

bool
atlas_show(struct traced *host)
{
    if (host->stage != STAGE_TRACED)
        return false;
    json_t *result = need(json_object()), *hops = need(json_array());
    put_head(result, host);
    for (int ttl = host->path.first; *host->address && ttl <= show_end(host); ttl++) {
        json_t *hop = hop_of(host, ttl);
        if (json_array_size(json_object_get(hop, "result")))
            json_array_append_new(hops, hop);
        else
            json_decref(hop);
    }
    if (!*host->address)
        json_array_append_new(hops, need(json_pack("{s:s}", "error", host->why)));
    json_object_set_new(result, "result", hops);
    json_print(result);
    return true;
}
