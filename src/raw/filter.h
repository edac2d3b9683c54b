/* SPDX-License-Identifier: MIT */
/* Kernel filters (classic BPF) that let in only what can answer us, so that other processes' packets never wake us. */
#ifndef HOPLINE_FILTER_H
#define HOPLINE_FILTER_H

#include "host/sockopt.h"
#include "packets/request.h"

/*
 * Puts a filter for this protocol on a raw socket of this family, for good (SO_LOCK_FILTER). ECHO_ID: the lowest of our
 * echo identifiers. Where the host refuses it we are woken more often, and matching sorts out what is ours.
 */
void filter_answers(int fd, enum family_id family, enum protocol_id protocol, uint16_t echo_id,
                    struct refused *refused);

/* Lets no packet in, for good: for sockets that only send or keep a port. Their error queue is not filtered. */
void filter_everything(int fd, struct refused *refused);

#endif
