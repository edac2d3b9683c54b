/* SPDX-License-Identifier: MIT */
#include "host/inbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * An ICMP error that has just come makes the next call on its socket fail, whatever that is for. The call takes it
 * away, and messages may wait behind it, so it is tried again. More errors may come meanwhile, but not as fast as this.
 */
#define RECEIVE_TRIES 32

struct inbox *
inbox_new(void)
{
    struct inbox *inbox = calloc(1, sizeof *inbox); /* 2 MiB that stay untouched until packets come */
    for (size_t i = 0; inbox && i < INBOX_BATCH; i++) {
        inbox->vectors[i] = (struct iovec){ inbox->bytes[i], PACKET_MAX };
        inbox->messages[i].msg_hdr = (struct msghdr){
            .msg_iov = &inbox->vectors[i],
            .msg_iovlen = 1,
            .msg_control = inbox->controls[i],
        };
    }
    return inbox;
}

void
inbox_free(struct inbox *inbox)
{
    free(inbox);
}

/* Makes room for a message: recvmmsg(2) wrote over the lengths with those of what it received last. */
static void
prepare(struct inbox *inbox, size_t place, bool named)
{
    static const sa_family_t none = AF_UNSPEC;
    struct msghdr *message = &inbox->messages[place].msg_hdr;
    memcpy(&inbox->names[place], &none, sizeof none); /* a departure's stamp has no name, and leaves it so */
    message->msg_name = named ? &inbox->names[place] : NULL;
    message->msg_namelen = named ? sizeof inbox->names[place] : 0;
    message->msg_controllen = INBOX_CONTROL;
}

size_t
inbox_receive(struct inbox *inbox, int fd, size_t first, size_t count, unsigned flags)
{
    for (size_t i = first; i < first + count; i++)
        prepare(inbox, i, flags & INBOX_NAMED);
    int how = MSG_DONTWAIT | (flags & INBOX_ERRORS ? MSG_ERRQUEUE : 0);
    int got = recvmmsg(fd, inbox->messages + first, (unsigned)count, how, NULL);
    for (int tries = 1; tries < RECEIVE_TRIES && got < 0 && errno != EAGAIN; tries++)
        got = recvmmsg(fd, inbox->messages + first, (unsigned)count, how, NULL);
    return got < 0 ? 0 : (size_t)got;
}

bool
inbox_read(struct inbox *inbox, size_t place, const struct clock *clock, struct datagram *datagram,
           struct controls *controls)
{
    struct mmsghdr *received = &inbox->messages[place];
    enum family_id family;
    *datagram = (struct datagram){ .bytes = { inbox->bytes[place], received->msg_len } };
    controls_read(&received->msg_hdr, controls);
    if (received->msg_hdr.msg_name && !address_from_socket(&inbox->names[place], &family, &datagram->from))
        return false;
    datagram->to = controls->to;
    datagram->ttl = controls->ttl;
    datagram->tos = controls->tos;
    datagram->options = controls->options;
    datagram->options_cut = controls->cut;
    datagram->arrived = clock_of_stamp(clock, controls->has_stamp ? controls->stamp : clock->now.wall);
    return true;
}

bool
inbox_is_cut(const struct inbox *inbox, size_t place)
{
    return inbox->messages[place].msg_hdr.msg_flags & MSG_TRUNC;
}

uint16_t
inbox_port(const struct inbox *inbox, size_t place)
{
    struct sockaddr_in in; /* the port is at the same place in both families */
    memcpy(&in, &inbox->names[place], sizeof in);
    return ntohs(in.sin_port);
}
