/* SPDX-License-Identifier: MIT */
#include "plain/outlet.h"

#include <errno.h>
#include <linux/in6.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "host/letter.h"
#include "host/refusal.h"
#include "packets/protocol.h"
#include "plain/errqueue.h"

/*
 * A call that failed may have failed with the error that the answer to an earlier probe left on the socket, which takes
 * it away. So it is tried again; more answers may come meanwhile, but not as fast as this.
 */
#define TRIES 32

/* How they treat packets beyond an MTU, see sockopt.c. */
static const int discoveries[FAMILIES] = { [IPV4] = IP_PMTUDISC_OMIT, [IPV6] = IPV6_PMTUDISC_WANT };

/* Binds what is to be bound; *NEAR becomes what the kernel chose. */
static int
bind_outlet(struct outlet *outlet, const struct address *source, uint32_t device, uint16_t near)
{
    struct sockaddr_storage name;
    int index = (int)device;
    socklen_t length = address_to_socket(outlet->family, source, device, near, &name);
    if (index && setsockopt(outlet->fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof index) < 0)
        return errno;
    if (bind(outlet->fd, (struct sockaddr *)&name, length) < 0 ||
        getsockname(outlet->fd, (struct sockaddr *)&name, &length) < 0)
        return errno;
    struct sockaddr_in in; /* sin_port is where sin6_port is */
    memcpy(&in, &name, sizeof in);
    outlet->near = ntohs(in.sin_port);
    return 0;
}

uint32_t
outlet_device(const struct errand *errand, const struct address *source)
{
    if (errand->route->vrf) /* a socket that is not bound to it hears nothing of it */
        return errand->device;
    if (errand->request->family == IPV4)
        return 0;
    if (address_is_link_local(IPV6, source)) /* the route to ourselves is by `lo`, which does not have it */
        return errand->device ? errand->device : errand->route->device;
    return errand->astray ? errand->device : 0;
}

const struct address *
outlet_binding(const struct errand *errand)
{
    static const struct address any;
    bool sure = (!errand->route->by_ports && !errand->route->shared) || !address_is_unspecified(&errand->request->local);
    return sure ? &errand->route->source : &any;
}

int
outlet_open(struct outlet *outlet, struct outlets *outlets, const struct address *source, uint32_t device, uint16_t near)
{
    const struct family *family = &families[outlet->family];
    int number = outlet->protocol == PROTOCOL_ICMP ? family->icmp_protocol : 0;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = outlet };
    outlet->fd = socket(family->domain, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, number);
    if (outlet->fd < 0)
        return errno;
    outlet->lost = 0;
    outlet->shared = outlet->unread = false;
    int error = sockopt_set_up(outlet->fd, USE_OUTLET, outlet->family, outlets->refused);
    if (!error)
        error = bind_outlet(outlet, source, device, near);
    if (!error && epoll_ctl(outlets->epoll, EPOLL_CTL_ADD, outlet->fd, &event) < 0)
        error = errno;
    if (error)
        outlet_close(outlet);
    return error;
}

void
outlet_close(struct outlet *outlet)
{
    if (outlet->fd >= 0)
        close(outlet->fd);
    outlet->fd = -1;
}

/* ---- sending ---- */

/* The interface index that has to stand in the target's socket address, or 0. */
static uint32_t
outlet_scope(const struct errand *errand)
{
    bool local = address_is_link_local(errand->request->family, &errand->request->target);
    return !errand->device && local ? errand->route->device : errand->device;
}

socklen_t
outlet_target(const struct errand *errand, uint16_t port, struct sockaddr_storage *to)
{
    return address_to_socket(errand->request->family, &errand->request->target, outlet_scope(errand), port, to);
}

/*
 * How the socket is to treat packets beyond an MTU while this one leaves; IPv6's numbers for that are the same. PROBE sets
 * DF and looks past what the kernel has learned of the path. OMIT knows the interface's MTU only, so a packet over its
 * route's own leaves in fragments of that size by DONT (IPv4).
 */
static int
choose_discovery(const struct errand *errand)
{
    const struct request *request = errand->request;
    if (request_has(request, FEATURE_DONT_FRAGMENT))
        return request->dont_fragment ? IP_PMTUDISC_PROBE : IP_PMTUDISC_OMIT;
    bool narrow = request->family == IPV4 && errand->route->mtu && request->size > errand->route->mtu;
    return narrow ? IP_PMTUDISC_DONT : discoveries[request->family];
}

/*
 * Reads what the kernel says on the error queue of packets that left by this outlet. The answers to earlier probes that
 * come with it are kept; where there is no more room for these, the rest of it stays unread.
 */
static void
read_reports(struct outlet *outlet, const struct errand *errand)
{
    struct stash *stash = errand->stash;
    size_t room = INBOX_BATCH - stash->used, answers = stash->count;
    size_t got = room > 0 ? outlet_receive(outlet, stash->inbox, stash->used, true, errand->clock, stash->answers,
                                           &stash->count) : 0;
    if (stash->count > answers)
        stash->used += got;
}

/*
 * A refusal for its size may be left over, too: it is this packet's own, if the queue has a report of it. Without one it
 * is believed in the end.
 */
static int
send_patiently(struct outlet *outlet, const struct errand *errand, const struct msghdr *message,
               struct instant *departed)
{
    bool unread = outlet->unread; /* then a report may be another packet's */
    int error = 0;
    for (int tries = 0; tries == 0 || (tries < TRIES && refusal_may_be_left_over(error)); tries++) {
        *departed = clock_now();
        error = sendmsg(outlet->fd, message, MSG_DONTWAIT) < 0 ? errno : 0;
        if (error != EMSGSIZE)
            continue;
        outlet->unread = true;
        read_reports(outlet, errand);
        if (!unread && outlet->report.mtu)
            break;
    }
    return error;
}

static void
write_letter(struct letter *letter, const struct errand *errand, uint16_t port)
{
    const struct request *request = errand->request;
    const struct family *family = &families[request->family];
    bool has_local = !address_is_unspecified(&request->local);
    letter_address(letter, request->family, &request->target, outlet_scope(errand), port);
    letter_add(letter, family->level, family->ttl, request->ttl);
    if (request->tos)
        letter_add(letter, family->level, family->tos, request->tos);
    /* Which of several next hops IPv4 takes for an echo request can't be asked: so the source is told to it. */
    bool tells_source = has_local || (request->family == IPV4 && request->protocol == PROTOCOL_ICMP &&
                                      errand->route->by_ports);
    if (errand->device || tells_source)
        letter_add_source(letter, request->family, tells_source ? &errand->route->source : NULL, errand->device);
    if (errand->flow_label)
        letter_add(letter, IPPROTO_IPV6, IPV6_FLOWINFO, htonl(errand->flow_label));
    if (request->family == IPV6 && request->dont_fragment)
        letter_add(letter, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
}

int
outlet_send(struct outlet *outlet, const struct errand *errand, uint16_t port, const uint8_t *bytes, size_t length,
            struct instant *departed)
{
    const struct request *request = errand->request;
    struct iovec vector = { (void *)(uintptr_t)bytes, length };
    struct letter letter;
    write_letter(&letter, errand, port);
    letter.message.msg_iov = &vector;
    letter.message.msg_iovlen = 1;
    /* A member of the group on this host may answer before the interface has stamped the packet: the stamp is too late. */
    bool group = errand->route->broadcast || address_is_group(request->family, &request->target);
    bool at_rest = !group && !errand->stash->no_stamps && !errand->stash->count &&
                   instant_since(clock_now(), errand->stash->last) > LETTER_REST;
    if (at_rest)
        letter_ask_for_stamp(&letter);
    const struct letter_state state = {
        .broadcast = request->broadcast,
        .discovery = choose_discovery(errand),
        .usual = discoveries[request->family],
    };
    if (outlet->unread)
        read_reports(outlet, errand);
    const bool unread = outlet->unread; /* there is still what was said of other packets */
    outlet->report = (struct send_report){ .mtu = 0 };
    int error = letter_set_state(outlet->fd, request->family, &state, true);
    if (!error)
        error = send_patiently(outlet, errand, &letter.message, departed);
    if (error == EINVAL && at_rest) { /* a host that does not know stamps: see no_stamps */
        at_rest = false;
        write_letter(&letter, errand, port);
        letter.message.msg_iov = &vector;
        letter.message.msg_iovlen = 1;
        error = send_patiently(outlet, errand, &letter.message, departed);
        errand->stash->no_stamps = error != EINVAL;
    }
    letter_set_state(outlet->fd, request->family, &state, false);
    outlet->last = errand->stash->last = *departed;
    if (!error && at_rest)
        read_reports(outlet, errand);
    clock_correct_departure(errand->clock, outlet->report.departure, departed);
    errand->stash->mtu = unread ? 0 : outlet->report.mtu;
    return error;
}

/* ---- receiving ---- */

static bool
decode_error(const struct outlet *outlet, const struct datagram *datagram, uint16_t port,
             const struct controls *controls, struct answer *answer)
{
    const struct queued_error queued = {
        .family = outlet->family,
        .protocol = outlet->protocol,
        .near = outlet->near,
        .shared = outlet->shared,
        .target = datagram->from,
        .far = port,
        .controls = controls,
        .quoted = datagram->bytes,
        .arrived = datagram->arrived,
    };
    return errqueue_decode(&queued, answer);
}

/* Of a UDP datagram the kernel has taken off the header, after it had checked ports and checksum. */
static bool
decode_datagram(const struct outlet *outlet, const struct datagram *datagram, uint16_t port, struct answer *answer)
{
    if (outlet->protocol != PROTOCOL_UDP)
        return packet_decode(datagram, answer);
    *answer = (struct answer){
        .family = outlet->family,
        .protocol = outlet->protocol,
        .from = datagram->from,
        .to = datagram->to,
        .arrived = datagram->arrived,
        .known = datagram->ttl ? KNOWN_TTL | KNOWN_TOS : 0,
        .ttl = datagram->ttl,
        .tos = datagram->tos,
        .source = datagram->to,
        .target = datagram->from,
        .near = outlet->near,
        .far = port,
        .content = datagram->bytes,
    };
    return true;
}

static bool
read_message(struct outlet *outlet, struct inbox *inbox, size_t place, bool errors, const struct clock *clock,
             struct answer *answer)
{
    struct controls controls;
    struct datagram datagram;
    bool named = inbox_read(inbox, place, clock, &datagram, &controls);
    controls_report(&controls, &outlet->report);
    if (!named)
        return false;
    datagram.family = outlet->family;
    datagram.number = protocols[outlet->protocol]->number[outlet->family];
    datagram.bare = true;
    if (controls.has_lost)
        outlet->lost = controls.lost;
    outlet->seen = datagram.arrived;
    if (errors)
        return decode_error(outlet, &datagram, inbox_port(inbox, place), &controls, answer);
    return !inbox_is_cut(inbox, place) && decode_datagram(outlet, &datagram, inbox_port(inbox, place), answer);
}

size_t
outlet_receive(struct outlet *outlet, struct inbox *inbox, size_t first, bool errors, const struct clock *clock,
               struct answer *answers, size_t *count)
{
    unsigned flags = INBOX_NAMED | (errors ? INBOX_ERRORS : 0);
    size_t got = inbox_receive(inbox, outlet->fd, first, INBOX_BATCH - first, flags);
    if (errors && got < INBOX_BATCH - first)
        outlet->unread = false;
    if (got == 0)
        return 0;
    struct clock renewed = clock_renew(clock); /* they may have come in the middle of this turn */
    for (size_t i = first; i < first + got; i++)
        if (read_message(outlet, inbox, i, errors, &renewed, &answers[*count]))
            ++*count;
    return got;
}
