/* SPDX-License-Identifier: MIT */
/*
 * What the process may do. It starts with whatever it was given, opens its sockets, then drops all but CAP_NET_RAW,
 * which stays permitted but not effective: it is raised around the sending of a probe with a mark (SO_MARK), no longer.
 *
 * A mark may lead past what a host lets its users do (a VPN's kill switch), and raw sockets are handed out to everybody
 * by the program's file: so CAP_NET_RAW stays only if the caller had it before, and the file did not have to give it.
 */
#ifndef HOPLINE_PRIVILEGES_H
#define HOPLINE_PRIVILEGES_H

#include <stdbool.h>

struct privileges;

/* Makes the network capabilities effective that are permitted. NULL, with errno set: no memory. */
struct privileges *privileges_raise_all(void);
void privileges_free(struct privileges *privileges);

/*
 * Drops set-uid and set-gid identity and all capabilities, for good, and proves it. KEEP_MARK: CAP_NET_RAW stays
 * permitted, if it was, and is the caller's own. False, with errno set, when that failed: then the process must end.
 */
bool privileges_drop(struct privileges *privileges, bool keep_mark);

/*
 * No debugger of the same user, and where the host lets us no core dumps and no child processes: once everything is open.
 * False, with errno set.
 */
bool privileges_seal(void);

/* True when who started us had CAP_NET_RAW: as root, or by their ambient or inheritable set; see capabilities(7). */
bool privileges_are_callers(const struct privileges *privileges);

/* True when a mark can be sent: CAP_NET_RAW is the caller's, permitted, and enough for it (Linux 5.17). */
bool privileges_allow_mark(const struct privileges *privileges);

/* To be called in pairs, around one system call, when privileges_allow_mark(). */
void privileges_raise_for_mark(struct privileges *privileges);
void privileges_lower(struct privileges *privileges);

#endif
