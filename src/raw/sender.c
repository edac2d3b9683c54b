/* SPDX-License-Identifier: MIT */
#include "raw/sender.h"

#include <errno.h>
#include <unistd.h>

#include "host/device.h"
#include "host/letter.h"
#include "host/refusal.h"
#include "packets/protocol.h"
#include "raw/filter.h"

#define TRIES 4                /* to send; nobody's messages come as fast as that */
#define DRAIN_BATCH 4          /* messages of the error queue: mostly there is one */
#define DRAIN_ROUNDS 64

static int
set_up(struct sender *sender, enum family_id family, struct refused *refused)
{
    socklen_t length = sizeof sender->discovery;
    filter_everything(sender->fd, refused); /* else packets of protocol 255 wait there; errors still come */
    sender->discovery = IP_PMTUDISC_WANT;   /* the kernel's default, if it does not say */
    getsockopt(sender->fd, families[family].level, families[family].mtu_discover, &sender->discovery, &length);
    return sockopt_set_up(sender->fd, USE_SENDER, family, refused);
}

int
sender_open(struct sender *sender, enum family_id family, struct privileges *privileges, struct send_buffers *buffers,
            struct inbox *inbox, struct refused *refused)
{
    *sender = (struct sender){ .privileges = privileges, .buffers = buffers, .inbox = inbox };
    sender->fd = socket(families[family].domain, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
    int error = sender->fd < 0 ? errno : set_up(sender, family, refused);
    if (error)
        sender_close(sender);
    return error;
}

void
sender_close(struct sender *sender)
{
    if (sender->fd >= 0)
        close(sender->fd);
    sender->fd = -1;
}

static void
write_letter(struct letter *letter, const struct request *request, const struct address *source, uint32_t device)
{
    letter_address(letter, request, device, 0);
    /*
     * For the routing rules that look at the source, it goes along with the packet, unless the routes chose it. Not with
     * a device, though: IPv6 takes a device for a wish only, once the source is given.
     */
    if (device || !address_is_unspecified(&request->local))
        letter_add_source(letter, request, request->family == IPV6 && device ? NULL : source, device);
    if (request->tos) /* the header has it already; this is for routing rules */
        letter_add(letter, families[request->family].level, families[request->family].tos, request->tos);
    if (request->mark)
        letter_add(letter, SOL_SOCKET, SO_MARK, request->mark);
}

/* `dont-fragment` looks past the path MTU that the kernel has learned (ip(7)). */
static struct letter_state
state_of(const struct sender *sender, const struct request *request)
{
    bool given = request_has(request, FEATURE_DONT_FRAGMENT);
    return (struct letter_state){
        .broadcast = request->broadcast,
        .discovery = given ? IP_PMTUDISC_PROBE : sender->discovery,
        .usual = sender->discovery,
    };
}

static int
send_once(const struct sender *sender, const struct request *request, struct letter *letter, uint8_t *bytes,
          size_t length)
{
    struct iovec vector = { bytes, length };
    struct msghdr *message = &letter->message;
    message->msg_iov = &vector;
    message->msg_iovlen = 1;
    struct letter_state state = state_of(sender, request);
    bool differs = letter_state_differs(&state);
    if (!message->msg_controllen && !differs) /* most are so, and the kernel has less to copy then */
        return sendto(sender->fd, bytes, length, MSG_DONTWAIT, message->msg_name, message->msg_namelen) < 0 ? errno : 0;
    if (request->mark)
        privileges_raise_for_mark(sender->privileges);
    int error = differs ? letter_set_state(sender->fd, request->family, &state, true) : 0;
    if (!error && sendmsg(sender->fd, message, MSG_DONTWAIT) < 0)
        error = errno;
    if (differs)
        letter_set_state(sender->fd, request->family, &state, false);
    if (request->mark)
        privileges_lower(sender->privileges);
    return error;
}

static int
send_bytes(const struct sender *sender, const struct request *request, struct letter *letter, uint8_t *bytes,
           size_t length)
{
    int error = send_once(sender, request, letter, bytes, length);
    for (int tries = 1; tries < TRIES && refusal_may_be_left_over(error); tries++)
        error = send_once(sender, request, letter, bytes, length);
    return error;
}

/* Sends what is unsent, as far as the interface takes it. */
static int
send_fragments(struct sender *sender, const struct request *request, struct letter *letter)
{
    struct unsent *unsent = &sender->unsent;
    struct send_buffers *buffers = sender->buffers;
    size_t next = unsent->offset;
    size_t size;
    while ((size = packet_fragment(request->family, buffers->packet, unsent->length, unsent->mtu, unsent->id, &next,
                                   buffers->fragment)) > 0) {
        int error = send_bytes(sender, request, letter, buffers->fragment, size);
        if (error)
            return error;
        unsent->left -= next - unsent->offset;
        unsent->offset = next;
    }
    return unsent->offset ? 0 : EMSGSIZE;
}

/* Only a packet that has left in part, and whose rest may follow, is kept for later. */
static int
start_fragments(struct sender *sender, const struct request *request, struct letter *letter,
                const struct identity *identity, size_t length, size_t mtu, uint32_t device)
{
    sender->unsent = (struct unsent){
        .left = length - families[request->family].header_size,
        .length = length,
        .mtu = mtu < PACKET_MAX ? mtu : PACKET_MAX, /* `lo` has more, and the buffer has not */
        .device = device,
        .source = identity->source,
        .id = identity->ip_id,
    };
    int error = send_fragments(sender, request, letter);
    if (sender->unsent.offset == 0 || !refusal_passes(error))
        sender->unsent.left = 0;
    return error;
}

int
sender_resume(struct sender *sender, const struct request *request)
{
    struct letter letter;
    write_letter(&letter, request, &sender->unsent.source, sender->unsent.device);
    int error = send_fragments(sender, request, &letter);
    if (!refusal_passes(error))
        sender->unsent.left = 0;
    return error;
}

/* Empties the error queue, where the kernel puts stamps, and local refusals too. */
static struct send_report
drain_errors(const struct sender *sender, const struct clock *clock)
{
    struct send_report report = { .departure = { 0 } };
    struct datagram datagram;
    struct controls controls;
    size_t got = DRAIN_BATCH;
    for (int round = 0; round < DRAIN_ROUNDS && got == DRAIN_BATCH; round++) {
        got = inbox_receive(sender->inbox, sender->fd, 0, DRAIN_BATCH, INBOX_ERRORS);
        for (size_t i = 0; i < got; i++)
            if (inbox_read(sender->inbox, i, clock, &datagram, &controls))
                controls_report(&controls, &report);
    }
    return report;
}

int
sender_send(struct sender *sender, const struct request *request, struct identity *identity, uint32_t device,
            struct route *route, const struct clock *clock, struct instant *departed)
{
    struct letter letter;
    size_t length = packet_build(request, identity, sender->buffers->packet, sizeof sender->buffers->packet);
    write_letter(&letter, request, &identity->source, device);
    if (request_has(request, FEATURE_DONT_FRAGMENT)) /* what the kernel has learned of the path does not count */
        route->mtu = 0;
    if (length > families[request->family].mtu_min && !route->mtu)
        route->mtu = device_mtu(sender->fd, route->device);

    bool whole = !route->mtu || length <= route->mtu;
    int error = EMSGSIZE;
    *departed = clock_now();
    /* To a group the host answers itself, before the interface stamps the packet. */
    bool group = route->broadcast || address_is_group(request->family, &request->target);
    bool at_rest = whole && !group && instant_since(*departed, sender->last) > LETTER_REST;
    sender->last = *departed;
    if (at_rest)
        letter_ask_for_stamp(&letter);
    if (whole)
        error = send_bytes(sender, request, &letter, sender->buffers->packet, length);
    if (error == EMSGSIZE && protocols[request->protocol]->sized && !request->dont_fragment)
        error = start_fragments(sender, request, &letter, identity, length, route->mtu, device);
    if (error || at_rest)
        clock_correct_departure(clock, drain_errors(sender, clock).departure, departed);
    return error;
}
