/* SPDX-License-Identifier: MIT */
/*
 * Socket options, all in one table: what each kind of socket is set up with, what it can't do without, and what is lost
 * where a host refuses what is only wished for (an old kernel, an emulator, a sandbox around us).
 */
#ifndef HOPLINE_SOCKOPT_H
#define HOPLINE_SOCKOPT_H

#include <linux/filter.h>
#include <sys/socket.h>

#include "packets/family.h"

/* Wishes: each costs what it gives, and no more. */
enum wish {
    NEEDED, /* no wish: without it the socket is of no use */
    WISH_ARRIVALS,
    WISH_DEPARTURES,
    WISH_ERRORS,
    WISH_EXTENSIONS,
    WISH_LOSSES,
    WISH_HEADERS,
    WISH_SIZES,
    WISH_BUFFERS,
    WISH_LARGE_BUFFERS,
    WISH_FRAGMENTS,
    WISH_PATHS,
    WISH_FILTERS,
    WISH_LOCKS,
    WISH_PARKING,
    WISH_SINGLE_SYNS,
    WISHES,
};

/* Which of them were refused: a bit each. */
struct refused {
    uint32_t wishes;
};

/* What sockets are for: a bit each, since options have several uses. */
enum socket_use {
    USE_SENDER = 1,   /* raw, probes leave by it */
    USE_RECEIVER = 2, /* raw, answers come in by it */
    USE_DETAIL = 4,   /* the same, once a client has asked for `detail` */
    USE_OUTLET = 8,   /* echo requests and udp, without privileges */
    USE_SYN = 16,     /* one tcp probe, without privileges */
    USE_KEEPER = 32,  /* has a port, and does nothing with it; */
    USE_CROWD = 64,   /* likewise, one of thousands; */
    USE_GUARD = 128,  /* likewise, of loopback; */
    USE_TRACE = 256,  /* likewise, and others may have it, too; */
    USE_LOOK = 512,   /* likewise a guard's, only to see whether it is to be had */
};

/* Sets all options for these uses. 0, or the errno value of one that is needed; REFUSED gets the others. */
int sockopt_set_up(int fd, unsigned uses, enum family_id family, struct refused *refused);

/* Sets one whose value is the caller's. True when it was set, or is only wished for, whatever became of it. */
bool sockopt_set(int fd, enum wish wish, int level, int name, const void *value, size_t size, struct refused *refused);

/* Puts a filter on a socket, LENGTH instructions of classic BPF, for good (SO_LOCK_FILTER); wished for, as all filters are. */
void sockopt_filter(int fd, struct sock_filter *code, size_t length, struct refused *refused);

/* Lets no packet in, for good: for sockets that only send, ask, or keep a port. Their error queue is not filtered. */
void sockopt_hear_nothing(int fd, struct refused *refused);

/* Notes that something else of the same kind was refused. */
void sockopt_refuse(enum wish wish, struct refused *refused);

/* What is lost without it, in words for people; NULL where nothing is that anybody would miss. */
const char *sockopt_loss(enum wish wish);

#endif
