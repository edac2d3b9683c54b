/* SPDX-License-Identifier: MIT */
/*
 * Sockets that have a UDP port and receive nothing. While one is open, no other program can bind that port there, and
 * the kernel takes it for open: it does not answer datagrams to it with port unreachable. Each function returns a
 * descriptor, or -1 and errno (EADDRINUSE: another program has the port; EADDRNOTAVAIL: no such address here).
 */
#ifndef HOPLINE_KEEP_H
#define HOPLINE_KEEP_H

#include "packets/family.h"

/* The port of one address of ours, which is SOURCE, with the interface index SCOPE where it needs one. */
int keep_port(enum family_id family, const struct address *source, uint32_t scope, uint16_t port);

/* The port of all our addresses, in both families. */
int keep_port_everywhere(uint16_t port);

/*
 * What daemons like this one know of each other's ports, at an address of loopback that is nobody else's. A guard is held
 * by one of them alone; a trace by any number, but not while there is a guard. Neither keeps other programs from having
 * the same port of addresses that are really used.
 */
int keep_guard(uint16_t port);
int keep_trace(uint16_t port);

/* True when there is neither just now. */
bool keep_is_free(uint16_t port);

#endif
