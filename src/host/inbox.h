/* SPDX-License-Identifier: MIT */
/*
 * What sockets receive, a batch of messages at a time: packets, and what stands in error queues (recvmmsg(2), ip(7)).
 * The memory is one for all sockets, so what was received is good until the next batch.
 */
#ifndef HOPLINE_INBOX_H
#define HOPLINE_INBOX_H

#include "host/clock.h"
#include "host/control.h"
#include "packets/packet.h"

#define INBOX_BATCH 32    /* messages */

/*
 * Bytes of control messages that may come along with one: room for all extension headers that fit into an ICMPv6 error, of
 * 1280 bytes, since what the error is stands behind them.
 */
#define INBOX_CONTROL (2048 + 192)

/* Not a multiple of the page size, so that the packets' first lines do not compete for the same places in the cache. */
#define INBOX_SLOT (65536 + 320)

struct inbox {
    struct mmsghdr messages[INBOX_BATCH];
    struct iovec vectors[INBOX_BATCH];
    struct sockaddr_storage names[INBOX_BATCH];
    _Alignas(struct cmsghdr) uint8_t controls[INBOX_BATCH][INBOX_CONTROL];
    uint8_t bytes[INBOX_BATCH][INBOX_SLOT];
};

/* NULL: no memory. */
struct inbox *inbox_new(void);
void inbox_free(struct inbox *inbox);

/* What else recvmmsg(2) is told. */
enum inbox_flags {
    INBOX_NAMED = 1,  /* the sender's address is wanted */
    INBOX_ERRORS = 2, /* from the error queue */
};

/*
 * Receives up to COUNT messages into the places from FIRST on, without waiting: FIRST + COUNT is at most INBOX_BATCH.
 * Returns how many there were.
 */
size_t inbox_receive(struct inbox *inbox, int fd, size_t first, size_t count, unsigned flags);

/*
 * Reads the message at PLACE, which came before CLOCK was read: its bytes, its sender, and what its control messages
 * say, of which *CONTROLS has all. Family and protocol number are the caller's to set. False when it has no sender
 * though one was wanted; *CONTROLS is set all the same.
 */
MUST_USE bool inbox_read(struct inbox *inbox, size_t place, const struct clock *clock, struct datagram *datagram,
                         struct controls *controls);

/* True when the message at PLACE was longer than its slot. */
bool inbox_is_cut(const struct inbox *inbox, size_t place);

/* The port of its sender, or, in the error queue, of whom the quoted packet was sent to; host order. */
uint16_t inbox_port(const struct inbox *inbox, size_t place);

#endif
