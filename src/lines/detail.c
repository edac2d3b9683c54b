/* SPDX-License-Identifier: MIT */
#include "lines/detail.h"

#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>

#include "lines/text.h"
#include "packets/icmpext.h"

static void
put_pair(struct writer *line, const char *name, int64_t number)
{
    put_name(line, name);
    put_number(line, number);
}

/* Seconds since the epoch. */
static void
put_time(struct writer *line, const char *name, struct wall time)
{
    char text[40];
    put_name(line, name);
    snprintf(text, sizeof text, "%" PRId64 ".%09" PRId64, time.ns / NS_PER_S, time.ns % NS_PER_S);
    put_text(line, text);
}

static void
put_probe(struct writer *line, const struct detail *detail)
{
    put_name(line, families[detail->family].local_name);
    put_scoped(line, detail->family, &detail->local, detail->scope);
    if (detail->local_port)
        put_pair(line, "local-port", detail->local_port);
    put_time(line, "sent", detail->sent);
}

static void
put_answer(struct writer *line, const struct answer *answer)
{
    if (answer->is_error || answer->protocol == PROTOCOL_ICMP) {
        put_pair(line, "icmp-type", answer->icmp_type);
        put_pair(line, "icmp-code", answer->icmp_code);
    }
    if (answer->tcp_flags) {
        put_name(line, "tcp-flags");
        put_text(line, answer->tcp_flags & TH_SYN ? "syn-ack" : "rst");
    }
    if (answer->known & KNOWN_TTL)
        put_pair(line, "reply-ttl", answer->ttl);
    if (answer->known & KNOWN_TOS)
        put_pair(line, "reply-tos", answer->tos);
    if (answer->known & KNOWN_SIZE)
        put_pair(line, "reply-size", (int64_t)answer->size);
    if (answer->known & KNOWN_ID)
        put_pair(line, "reply-id", answer->id);
    if (answer->known & KNOWN_QUOTE) {
        put_pair(line, "quoted-ttl", answer->quoted_ttl);
        put_pair(line, "quoted-tos", answer->quoted_tos);
    }
    if (answer->quoted_mss && answer->quoted_mss != answer->sent_mss)
        put_pair(line, "quoted-mss", answer->quoted_mss);
}

/* ---- extension objects ---- */

/* The words for interface_info.role. */
static const char *const roles[] = { "incoming", "sub-ip", "outgoing", "next-hop" };

static void
put_interface(struct writer *line, const struct interface_info *info)
{
    put_name(line, "interface");
    put_text(line, roles[info->role]);
    if (info->has_index) {
        put_text(line, ",index=");
        put_number(line, info->index);
    }
    if (info->name.left) {
        put_text(line, ",name=");
        put_escaped(line, info->name);
    }
    if (info->has_address) {
        put_text(line, ",address=");
        put_address(line, info->family, &info->address);
    }
    if (info->has_mtu) {
        put_text(line, ",mtu=");
        put_number(line, info->mtu);
    }
}

static void
put_node(struct writer *line, const struct node_info *info)
{
    put_name(line, "node");
    if (info->has_address) {
        put_text(line, "address=");
        put_address(line, info->family, &info->address);
    }
    if (info->name.left) {
        put_text(line, info->has_address ? ",name=" : "name=");
        put_escaped(line, info->name);
    }
}

static void
put_extension(struct writer *line, const struct extension *extension)
{
    struct interface_info info;
    struct node_info node;
    struct reader stack = extension->payload;
    struct mpls_label label;
    if (extension_is_mpls(extension) && mpls_next(&stack, &label)) /* its labels stand in the line already: reply.c */
        return;
    if (extension_read_interface(extension, &info)) {
        put_interface(line, &info);
        return;
    }
    if (extension_read_node(extension, &node)) {
        put_node(line, &node);
        return;
    }
    put_pair(line, "extension", extension->class_number);
    write_u8(line, '/');
    put_number(line, extension->type);
    write_u8(line, '/');
    put_bytes(line, extension->payload);
}

void
detail_write(const struct detail *detail, struct writer *line)
{
    struct extension extension;
    const struct answer *answer = detail->answer;
    put_probe(line, detail);
    if (!answer)
        return;
    put_answer(line, answer);
    if (detail->translated)
        put_pair(line, "nat", 1);
    put_pair(line, "round-trip-ns", detail->received.ns - detail->sent.ns);
    put_time(line, "received", detail->received);

    struct reader objects = answer->extensions;
    while (extension_next(&objects, &extension)) {
        struct writer before = *line;
        put_extension(line, &extension);
        if (line->overflow) {
            *line = before;
            return;
        }
    }
}
