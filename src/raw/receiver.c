/* SPDX-License-Identifier: MIT */
#include "raw/receiver.h"

#include <errno.h>
#include <unistd.h>

#include "packets/protocol.h"

#define PARK_AFTER (200 * NS_PER_MS) /* a bind takes 6 us, so not after each probe */

/*
 * Where sockets are parked: a raw socket that is bound is handed only packets to its address (raw(7)), and to these
 * none should ever come. IPv4: class E, which is reserved (RFC 1112, section 4); IPv6: the prefix of packets that are
 * to be discarded (RFC 6666).
 */
static const struct address nobody[FAMILIES] = {
    [IPV4] = { { 240, 0, 0, 1 } },
    [IPV6] = { { 0x01 } },
};

static int
bind_address(const struct receiver *receiver, const struct address *address)
{
    struct sockaddr_storage name;
    socklen_t length = address_to_socket(receiver->family, address, 0, 0, &name);
    return bind(receiver->fd, (struct sockaddr *)&name, length) < 0 ? errno : 0;
}

static int
set_up(struct receiver *receiver, const struct filter_terms *terms)
{
    filter_answers(receiver->fd, receiver->family, receiver->protocol, terms, receiver->refused);
    int error = sockopt_set_up(receiver->fd, USE_RECEIVER, receiver->family, receiver->refused);
    if (error)
        return error;
    receiver->awake = bind_address(receiver, &nobody[receiver->family]) != 0;
    if (receiver->awake)
        sockopt_refuse(WISH_PARKING, receiver->refused);
    return 0;
}

int
receiver_open(struct receiver *receiver, enum family_id family, enum protocol_id protocol,
              const struct filter_terms *terms, struct refused *refused)
{
    *receiver = (struct receiver){ .family = family, .protocol = protocol, .refused = refused };
    receiver->fd = socket(families[family].domain, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                          protocols[protocol]->number[family]);
    int error = receiver->fd < 0 ? errno : set_up(receiver, terms);
    if (error)
        receiver_close(receiver);
    return error;
}

bool
receiver_is_bound(const struct receiver *receiver)
{
    int device = 0;
    socklen_t length = sizeof device;
    return getsockopt(receiver->fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device, &length) == 0 && device != 0;
}

int
receiver_bind(struct receiver *receiver, uint32_t device)
{
    int index = (int)device;
    return setsockopt(receiver->fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof index) < 0 ? errno : 0;
}

void
receiver_close(struct receiver *receiver)
{
    if (receiver->fd >= 0)
        close(receiver->fd);
    receiver->fd = -1;
}

/* Takes what is queued away, so that nothing old is found when the socket is used again. */
static void
discard_queue(const struct receiver *receiver)
{
    char byte;
    while (recv(receiver->fd, &byte, sizeof byte, MSG_TRUNC) >= 0)
        ;
}

/* Listens to what comes to OURS alone, as long as nothing else is waited for. NULL: to whatever comes. */
static int
wake(struct receiver *receiver, const struct address *ours)
{
    static const struct address any;
    if (receiver->awake && (!receiver->picky || (ours && address_same(&receiver->heard, ours))))
        return 0;
    /* Without a scope no socket can be bound to a link-local address. */
    bool picky = ours && !receiver->waiting && !address_is_link_local(receiver->family, ours);
    int error = bind_address(receiver, picky ? ours : &any);
    if (error)
        return error;
    receiver->picky = picky;
    if (picky)
        receiver->heard = *ours;
    return 0;
}

int
receiver_expect(struct receiver *receiver, bool detail, const struct address *ours)
{
    int error = wake(receiver, ours);
    if (error)
        return error;
    if (detail && !receiver->detail) {
        sockopt_set_up(receiver->fd, USE_DETAIL, receiver->family, receiver->refused);
        receiver->detail = true;
    }
    receiver->awake = true;
    receiver->waiting++;
    return 0;
}

void
receiver_forgo(struct receiver *receiver)
{
    if (--receiver->waiting == 0)
        receiver->idle = clock_now();
}

bool
receiver_rest(struct receiver *receiver, struct instant now, struct instant *when)
{
    if (!receiver->awake || receiver->waiting)
        return false;
    *when = instant_after(receiver->idle, PARK_AFTER);
    if (instant_since(now, *when) < 0)
        return true;
    if (bind_address(receiver, &nobody[receiver->family]) == 0) {
        receiver->awake = false;
        receiver->ready = false;
        discard_queue(receiver);
    }
    return false;
}

static bool
read_packet(struct receiver *receiver, struct inbox *inbox, size_t place, const struct clock *clock,
            struct datagram *datagram)
{
    struct controls controls;
    if (!inbox_read(inbox, place, clock, datagram, &controls))
        return false;
    datagram->family = receiver->family;
    datagram->number = protocols[receiver->protocol]->number[receiver->family];
    if (controls.has_lost)
        receiver->lost = controls.lost;
    return !inbox_is_cut(inbox, place);
}

size_t
receiver_receive(struct receiver *receiver, struct inbox *inbox, const struct clock *clock,
                 struct datagram datagrams[INBOX_BATCH])
{
    unsigned flags = receiver->family == IPV6 ? INBOX_NAMED : 0; /* an IPv4 packet's own header has the sender */
    size_t got = inbox_receive(inbox, receiver->fd, 0, INBOX_BATCH, flags);
    if (got < INBOX_BATCH) {
        receiver->ready = false;
        receiver->complete = clock->now.instant;
    }
    if (got == 0)
        return 0;
    struct clock renewed = clock_renew(clock); /* they may have come after CLOCK was read */
    size_t count = 0;
    for (size_t i = 0; i < got; i++)
        if (read_packet(receiver, inbox, i, &renewed, &datagrams[count]))
            count++;
    if (receiver->ready && count > 0)
        receiver->complete = datagrams[count - 1].arrived;
    return count;
}
