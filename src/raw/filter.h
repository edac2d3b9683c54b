/* SPDX-License-Identifier: MIT */
/* Kernel filters (classic BPF) that let in only what can be an answer to us, so other processes' packets never wake us. */
#ifndef HOPLINE_FILTER_H
#define HOPLINE_FILTER_H

#include "packets/request.h"

/*
 * Puts a filter for this protocol on a raw socket of this family, for good (SO_LOCK_FILTER). ECHO_ID: the lowest of our
 * echo identifiers. 0, or an errno value.
 */
int filter_answers(int fd, enum family_id family, enum protocol_id protocol, uint16_t echo_id);

/* Lets nothing in but errors, for good, for sockets that only send or hold a port. 0, or an errno value. */
int filter_everything(int fd);

#endif
