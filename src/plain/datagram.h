/* SPDX-License-Identifier: MIT */
/*
 * udp without privilege. A datagram that comes back, or an error that quotes little, tells no more of its probe than
 * the ports: so of all probes to one port of a target each has a socket of its own. Where the client fixed both ports
 * the payload's first two bytes tell the probes apart, see errqueue.h.
 */
#ifndef HOPLINE_DATAGRAM_H
#define HOPLINE_DATAGRAM_H

#include "plain/outlet.h"

struct datagrams;

/* OUTLETS must outlive it. NULL: no memory. */
struct datagrams *datagrams_new(struct outlets *outlets);
void datagrams_free(struct datagrams *datagrams);

/* Whether a socket of this family can be had: 0, or an errno value. */
int datagrams_check(const struct datagrams *datagrams, enum family_id family);

/* Sends a datagram and fills in the identity, departure and lease of MODEL. 0, or an errno value. */
int datagrams_send(struct datagrams *datagrams, const struct errand *errand, struct probe *model);

/* An answer came: no other is waited for where it came from. Corrects whether it may be another's by its ports. */
void datagrams_heard(struct datagrams *datagrams, struct answer *answer);

/* The probe with this lease has ended. */
void datagrams_release(struct datagrams *datagrams, uint32_t lease, struct instant now);

/* Closes the sockets of named ports that no probe uses any more. True, and *WHEN: to be called again by then. */
bool datagrams_rest(struct datagrams *datagrams, struct instant now, struct instant *when);

/* Answers that did not fit in the sockets' buffers. */
uint64_t datagrams_lost(const struct datagrams *datagrams);

#endif
