/* SPDX-License-Identifier: MIT */
#include "raw/sender.h"

#include <errno.h>
#include <unistd.h>

#include "host/device.h"
#include "host/letter.h"
#include "host/refusal.h"
#include "packets/compat.h"
#include "packets/protocol.h"

#define TRIES 4                /* to send; nobody's messages come as fast as that */
#define DRAIN_BATCH 4          /* messages of the error queue: mostly there is one */
#define DRAIN_ROUNDS 64

/*
 * A raw socket of IPv6 takes headers of ours since Linux has such sockets, and says so since 4.17. A host that does not
 * say it (an emulator, gVisor) is tried: by a packet to this host itself that holds nothing (next header 59, RFC 8200).
 */
static bool
takes_headers(const struct sender *sender, enum family_id family)
{
    static const struct address self = { { [15] = 1 } };
    struct sockaddr_storage name;
    uint8_t packet[40] = { 0x60, [6] = IPPROTO_NONE, [7] = 1, [23] = 1, [39] = 1 };
    int on = 0;
    socklen_t length = sizeof on;
    if (family == IPV4 || getsockopt(sender->fd, IPPROTO_IPV6, IPV6_HDRINCL, &on, &length) == 0)
        return true;
    length = address_to_socket(IPV6, &self, 0, 0, &name);
    return sendto(sender->fd, packet, sizeof packet, MSG_DONTWAIT, (struct sockaddr *)&name, length) >= 0 ||
           errno != EINVAL;
}

static int
set_up(struct sender *sender, enum family_id family, struct refused *refused)
{
    if (!takes_headers(sender, family))
        return EPROTONOSUPPORT;
    struct refused mine = { 0 };
    socklen_t length = sizeof sender->discovery;
    sockopt_hear_nothing(sender->fd, refused); /* else packets of protocol 255 wait there; errors still come */
    sender->discovery = IP_PMTUDISC_WANT;   /* the kernel's default, if it does not say */
    getsockopt(sender->fd, families[family].level, families[family].mtu_discover, &sender->discovery, &length);
    int error = sockopt_set_up(sender->fd, USE_SENDER, family, &mine);
    refused->wishes |= mine.wishes;
    sender->roomy = !(mine.wishes >> WISH_LARGE_BUFFERS & 1);
    sender->stamps = !(mine.wishes >> WISH_DEPARTURES & 1);
    sender->names_protocol = true;
    /* Routing rules by user go by the owner of the socket, which of a set-uid program is root. */
    int unowned = fchown(sender->fd, getuid(), (gid_t)-1);
    (void)unowned; /* then root's rules count */
    return error;
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

/*
 * Addresses the letter with the keys by which the kernel routes it, see route.h; without them it would be routed as a
 * packet of protocol 255. ASKED is the interface that the request names, or 0. For rules that look at the source, that goes
 * along where the client named it, or nothing else finds the route. But not with an interface in IPv6, which takes that
 * for a wish only, once the source is given.
 */
static void
write_letter(struct letter *letter, const struct sender *sender, const struct request *request,
             const struct route *route, uint32_t asked)
{
    const struct family *family = &families[request->family];
    bool to_router = route->way == WAY_NEXT_HOP;
    /* To the router it goes by no rule that is meant for the target. */
    bool names_protocol = sender->names_protocol && !to_router;
    uint8_t number = names_protocol ? protocols[request->protocol]->number[request->family] : 0;
    uint32_t device = route->way == WAY_PLAIN ? asked : route->device;
    bool has_source = !to_router && (route->by_source || !address_is_unspecified(&request->local));
    if (request->family == IPV6 && asked && !route->by_source)
        has_source = false;
    /* In IPv6 the protocol stands where other sockets have a port (ipv6(7)). */
    letter_address(letter, request->family, to_router ? &route->next_hop : &request->target, device,
                   request->family == IPV6 ? number : 0);
    if (device || has_source)
        letter_add_source(letter, request->family, has_source ? &route->source : NULL, device);
    if (number && request->family == IPV4)
        letter_add(letter, IPPROTO_IP, IP_PROTOCOL, number);
    if (request->tos && !to_router) /* the header has it already; this is for routing rules */
        letter_add(letter, family->level, family->tos, request->tos);
    if (request->mark)
        letter_add(letter, SOL_SOCKET, SO_MARK, request->mark);
    letter->flags = to_router ? MSG_DONTROUTE : 0;
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
    if (!error && sendmsg(sender->fd, message, MSG_DONTWAIT | letter->flags) < 0)
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
                const struct identity *identity, size_t length, const struct route *route, uint32_t device)
{
    sender->unsent = (struct unsent){
        .left = length - families[request->family].header_size,
        .length = length,
        .mtu = route->mtu < PACKET_MAX ? route->mtu : PACKET_MAX, /* `lo` has more, and the buffer has not */
        .route = *route,
        .device = device,
        .id = identity->ip_id,
    };
    int error = send_fragments(sender, request, letter);
    if (sender->unsent.offset == 0 || !refusal_passes(error))
        sender->unsent.left = 0;
    return error;
}

int
sender_resume(struct sender *sender, const struct request *request, struct identity *identity)
{
    struct letter letter;
    packet_build(request, identity, sender->buffers->packet, sizeof sender->buffers->packet); /* others have been there */
    write_letter(&letter, sender, request, &sender->unsent.route, sender->unsent.device);
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

static int
send_with_extras(struct sender *sender, const struct request *request, const struct route *route, uint32_t asked,
                 bool at_rest, size_t length)
{
    struct letter letter;
    write_letter(&letter, sender, request, route, asked);
    if (at_rest && sender->stamps)
        letter_ask_for_stamp(&letter);
    return send_bytes(sender, request, &letter, sender->buffers->packet, length);
}

/*
 * Old kernels and emulators refuse a message for what they do not know of what goes along with it, with EINVAL; which is
 * then left out for good. What is at fault itself is refused without it, too.
 */
static int
send_whole(struct sender *sender, const struct request *request, const struct route *route, uint32_t asked,
           bool at_rest, size_t length)
{
    bool *const extras[] = { &sender->names_protocol, &sender->stamps };
    const bool before[] = { sender->names_protocol, sender->stamps };
    int error = send_with_extras(sender, request, route, asked, at_rest, length);
    for (size_t i = 0; i < sizeof extras / sizeof *extras && error == EINVAL; i++) {
        if (!*extras[i])
            continue;
        *extras[i] = false;
        error = send_with_extras(sender, request, route, asked, at_rest, length);
    }
    for (size_t i = 0; i < sizeof extras / sizeof *extras && error == EINVAL; i++)
        *extras[i] = before[i];
    return error;
}

/* What is refused: *MTU becomes what the host says that fits (ee_info, ip(7)), or 0. */
static void
read_reports(const struct sender *sender, const struct clock *clock, int error, uint32_t *mtu, struct instant *departed)
{
    struct send_report report = drain_errors(sender, clock);
    clock_correct_departure(clock, report.departure, departed);
    if (error == EMSGSIZE)
        *mtu = report.mtu;
}

int
sender_send_fragments(struct sender *sender, const struct request *request, struct identity *identity, uint32_t device,
                      struct route *route, const struct clock *clock, struct instant *departed)
{
    struct letter letter;
    size_t length = packet_build(request, identity, sender->buffers->packet, sizeof sender->buffers->packet);
    sender->unsent.offset = 0;
    if (!protocols[request->protocol]->sized || request->dont_fragment)
        return EMSGSIZE;
    sender->last = *departed = clock_now();
    write_letter(&letter, sender, request, route, device);
    int error = start_fragments(sender, request, &letter, identity, length, route, device);
    if (error)
        read_reports(sender, clock, error, &route->mtu, departed);
    return error;
}

int
sender_send(struct sender *sender, const struct request *request, struct identity *identity, uint32_t device,
            struct route *route, const struct clock *clock, struct instant *departed)
{
    size_t length = packet_build(request, identity, sender->buffers->packet, sizeof sender->buffers->packet);
    if (request_has(request, FEATURE_DONT_FRAGMENT)) /* what the kernel has learned of the path does not count */
        route->mtu = 0;
    if (length > families[request->family].mtu_min && !route->mtu)
        route->mtu = device_mtu(sender->fd, route->device);
    if (route->mtu && length > route->mtu)
        return sender_send_fragments(sender, request, identity, device, route, clock, departed);

    *departed = clock_now();
    /* To a group the host answers itself, before the interface stamps the packet. */
    bool group = route->broadcast || address_is_group(request->family, &request->target);
    bool at_rest = !group && instant_since(*departed, sender->last) > LETTER_REST;
    sender->unsent.offset = 0;
    sender->last = *departed;
    int error = send_whole(sender, request, route, device, at_rest, length);
    if (error || at_rest)
        read_reports(sender, clock, error, &route->mtu, departed);
    return error;
}
