/* SPDX-License-Identifier: MIT */
/*
 * What a socket's error queue hands over: control messages, and what a router has quoted.
 * Input: options, the socket's port, the target and its port, up to seven control messages, then the quoted bytes.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "packets/icmpext.h"
#include "plain/errqueue.h"
#include "support.h"

#define CONTROL_SIZE 512

static void
read_messages(struct reader *input, uint8_t count, struct controls *controls)
{
    uint8_t *bytes = calloc(1, CONTROL_SIZE);
    struct msghdr message = { .msg_control = bytes, .msg_controllen = CONTROL_SIZE };
    size_t used = 0;
    for (; count > 0; count--)
        used += take_control(input, bytes + used, CONTROL_SIZE - used);
    fence_controls(&message, used);
    controls_read(&message, controls);
    message.msg_controllen = CONTROL_SIZE;
    fence_controls(&message, CONTROL_SIZE);
    free(bytes);
}

/* Every object and label is inside the quote. */
static void
walk(struct reader objects, const struct queued_error *queued)
{
    struct extension extension;
    struct mpls_label label;
    MUST(!objects.at || is_inside(objects, queued->quoted.at, queued->quoted.left));
    while (extension_next(&objects, &extension)) {
        MUST(is_inside(extension.payload, queued->quoted.at, queued->quoted.left));
        while (extension_is_mpls(&extension) && mpls_next(&extension.payload, &label))
            MUST(label.label < 1u << 20);
    }
}

static void
check(const struct queued_error *queued, const struct answer *answer)
{
    const struct controls *controls = queued->controls;
    MUST(controls->has_error && answer->is_error && answer->meaning != MEANS_NOTHING);
    MUST(answer->family == queued->family && answer->protocol == queued->protocol);
    MUST(address_same(&answer->from, &controls->offender) && address_same(&answer->target, &queued->target));
    MUST(answer->icmp_type == controls->error.ee_type && answer->icmp_code == controls->error.ee_code);
    MUST(answer->meaning == MEANS_TOO_BIG ? answer->mtu == controls->error.ee_info : answer->mtu == 0);
    if (answer->has_payload)
        MUST(is_inside(answer->payload, queued->quoted.at, queued->quoted.left));
    if (queued->protocol == PROTOCOL_UDP) {
        MUST(answer->near == queued->near && answer->far == queued->far);
        MUST(answer->ports_shared == queued->shared && !answer->has_ip_id);
    }
    walk(answer->extensions, queued);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader input = { data, size };
    struct controls controls;
    struct answer answer;
    uint8_t options = take_u8(&input);
    struct queued_error queued = {
        .family = options & 1 ? IPV6 : IPV4,
        .protocol = (options >> 1 & 3) % PROTOCOL_SCTP, /* which has no such socket */
        .shared = options & 8,
        .controls = &controls,
        .arrived = { 1 },
    };
    queued.near = take_u16(&input);
    queued.far = take_u16(&input);
    queued.target = take_address(&input, queued.family);
    read_messages(&input, options >> 4 & 7, &controls);
    uint8_t *quoted = copy_bytes(input.at, input.left);
    queued.quoted = (struct reader){ quoted, input.left };
    if (errqueue_decode(&queued, &answer))
        check(&queued, &answer);
    free(quoted);
    return 0;
}
