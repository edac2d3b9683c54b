/* SPDX-License-Identifier: MIT */
#include "raw/sender.h"

#include <errno.h>
#include <linux/net_tstamp.h>
#include <string.h>
#include <unistd.h>

#include "host/control.h"
#include "host/device.h"
#include "packets/protocol.h"
#include "raw/filter.h"

#define SEND_BUFFER (64 << 20) /* bytes; only what is queued takes memory */
#define TRIES 4                /* to send; nobody's messages come as fast as that */

/* RECVERR: else a full queue of the interface would drop packets in silence. */
static int
set_up(struct sender *sender, const struct family *family)
{
    int on = 1;
    int size = SEND_BUFFER;
    int stamps = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY;
    socklen_t length = sizeof sender->discovery;
    int error = filter_everything(sender->fd); /* else packets of protocol 255 wait there; errors still come */
    if (error)
        return error;
    if (setsockopt(sender->fd, family->level, family->recverr, &on, sizeof on) < 0 ||
        getsockopt(sender->fd, family->level, family->mtu_discover, &sender->discovery, &length) < 0)
        return errno;
    /* Packets that wait for a neighbour's address count: a few silent neighbours must not hold up all others. */
    if (setsockopt(sender->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        setsockopt(sender->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(sender->fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps); /* without it no stamps, no harm */
    return 0;
}

int
sender_open(struct sender *sender, enum family_id family, struct privileges *privileges, struct send_buffers *buffers)
{
    *sender = (struct sender){ .privileges = privileges, .buffers = buffers };
    sender->fd = socket(families[family].domain, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
    int error = sender->fd < 0 ? errno : set_up(sender, &families[family]);
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

/* A message to the request's target with all that goes along with it. */
struct letter {
    struct msghdr message;
    struct sockaddr_storage target;
    _Alignas(struct cmsghdr) char controls[128];
};

static void
address_letter(struct letter *letter, const struct request *request, const struct address *source, uint32_t device)
{
    const struct family *family = &families[request->family];
    int tos = (int)request->tos;
    letter->message = (struct msghdr){ .msg_name = &letter->target, .msg_control = letter->controls };
    letter->message.msg_namelen = address_to_socket(request->family, &request->target, device, 0, &letter->target);
    /*
     * For the routing rules that look at the source, it goes along with the packet, unless the routes chose it. Not with
     * a device, though: IPv6 takes a device for a wish only, once the source is given.
     */
    if (device || !address_is_unspecified(&request->local))
        control_add_pktinfo(&letter->message, request->family, request->family == IPV6 && device ? NULL : source, device);
    if (request->tos) /* the header has it already; this is for routing rules */
        control_add(&letter->message, family->level, family->tos, &tos, sizeof tos);
    if (request->mark)
        control_add(&letter->message, SOL_SOCKET, SO_MARK, &request->mark, sizeof request->mark);
    if (letter->message.msg_controllen == 0)
        letter->message.msg_control = NULL;
}

/*
 * The little that can't go along with a packet, and is taken back right after it. To look past the path MTU that the
 * kernel has learned (ip(7)) is IP_PMTUDISC_PROBE, and IPv6's number for it is the same.
 */
static int
set_state(const struct sender *sender, const struct request *request, bool on)
{
    const struct family *family = &families[request->family];
    int broadcast = on;
    int discovery = on ? IP_PMTUDISC_PROBE : sender->discovery;
    if (request->broadcast && setsockopt(sender->fd, SOL_SOCKET, SO_BROADCAST, &broadcast, sizeof broadcast) < 0)
        return errno;
    if (request_has(request, FEATURE_DONT_FRAGMENT) &&
        setsockopt(sender->fd, family->level, family->mtu_discover, &discovery, sizeof discovery) < 0)
        return errno;
    return 0;
}

/*
 * Errors that an ICMP message may have left on the socket, if it quoted our address and the socket's own protocol, 255:
 * kernels before that was ended hand them to the next call, and anybody can send such messages. A call takes one away,
 * so it is tried again; what the host itself refuses with comes again.
 */
static bool
may_be_left_over(int error)
{
    return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EMSGSIZE ||
           error == ENOPROTOOPT || error == EOPNOTSUPP || error == EHOSTDOWN || error == ENONET || error == EACCES ||
           error == EPROTO;
}

static int
send_once(const struct sender *sender, const struct request *request, struct letter *letter, uint8_t *bytes,
          size_t length)
{
    struct iovec vector = { bytes, length };
    struct msghdr *message = &letter->message;
    message->msg_iov = &vector;
    message->msg_iovlen = 1;
    bool has_state = request->broadcast || request_has(request, FEATURE_DONT_FRAGMENT);
    if (!message->msg_control && !has_state) /* most are so, and the kernel has less to copy then */
        return sendto(sender->fd, bytes, length, MSG_DONTWAIT, message->msg_name, message->msg_namelen) < 0 ? errno : 0;
    if (request->mark)
        privileges_raise_for_mark(sender->privileges);
    int error = has_state ? set_state(sender, request, true) : 0;
    if (!error && sendmsg(sender->fd, message, MSG_DONTWAIT) < 0)
        error = errno;
    if (has_state)
        set_state(sender, request, false);
    if (request->mark)
        privileges_lower(sender->privileges);
    return error;
}

static int
send_bytes(const struct sender *sender, const struct request *request, struct letter *letter, uint8_t *bytes,
           size_t length)
{
    int error = send_once(sender, request, letter, bytes, length);
    for (int tries = 1; tries < TRIES && may_be_left_over(error); tries++)
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
    if (sender->unsent.offset == 0 || (error != EAGAIN && error != ENOBUFS))
        sender->unsent.left = 0;
    return error;
}

int
sender_resume(struct sender *sender, const struct request *request)
{
    struct letter letter;
    address_letter(&letter, request, &sender->unsent.source, sender->unsent.device);
    int error = send_fragments(sender, request, &letter);
    if (error != EAGAIN && error != ENOBUFS)
        sender->unsent.left = 0;
    return error;
}

/*
 * Empties the error queue, where the kernel puts stamps, and local refusals too, which nobody needs there. True when
 * the last stamp in it is of a packet that left between EARLIEST and now.
 */
static bool
drain_errors(const struct sender *sender, const struct clock *clock, struct instant earliest, struct instant *stamped)
{
    _Alignas(struct cmsghdr) char controls[256];
    struct controls read;
    struct wall stamp = { 0 };
    for (;;) {
        struct msghdr message = { .msg_control = controls, .msg_controllen = sizeof controls };
        if (recvmsg(sender->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            break;
        controls_read(&message, &read);
        if (read.has_departure)
            stamp = read.departure;
    }
    *stamped = (struct instant){ stamp.ns - clock->offset };
    return instant_since(*stamped, earliest) >= 0 && instant_since(clock_now(), *stamped) >= 0;
}

int
sender_send(struct sender *sender, const struct request *request, struct identity *identity, uint32_t device,
            struct route *route, const struct clock *clock, struct instant *departed)
{
    struct letter letter;
    struct instant stamped;
    size_t length = packet_build(request, identity, sender->buffers->packet, sizeof sender->buffers->packet);
    address_letter(&letter, request, &identity->source, device);
    if (request_has(request, FEATURE_DONT_FRAGMENT)) /* what the kernel has learned of the path does not count */
        route->mtu = 0;
    if (length > families[request->family].mtu_min && !route->mtu)
        route->mtu = device_mtu(sender->fd, route->device);

    bool whole = !route->mtu || length <= route->mtu;
    int error = EMSGSIZE;
    *departed = clock_now();
    /* To a group the host answers itself, before the interface stamps the packet. */
    bool group = route->broadcast || address_is_group(request->family, &request->target);
    bool at_rest = whole && !group && instant_since(*departed, sender->last) > CONTROL_REST;
    sender->last = *departed;
    if (at_rest) {
        letter.message.msg_control = letter.controls;
        control_ask_for_stamp(&letter.message);
    }
    if (whole)
        error = send_bytes(sender, request, &letter, sender->buffers->packet, length);
    if (error == EMSGSIZE && protocols[request->protocol]->sized && !request->dont_fragment)
        error = start_fragments(sender, request, &letter, identity, length, route->mtu, device);
    if ((error || at_rest) && drain_errors(sender, clock, *departed, &stamped))
        *departed = stamped;
    return error;
}
