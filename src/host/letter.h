/* SPDX-License-Identifier: MIT */
/*
 * A message that carries a probe: to whom, and all that goes along with it (sendmsg(2), cmsg(3)). What is set for one
 * probe travels with its message; the little that can't is set on the socket and taken back right after it.
 */
#ifndef HOPLINE_LETTER_H
#define HOPLINE_LETTER_H

#include "host/control.h"
#include "packets/request.h"

#define LETTER_CONTROLS 256 /* bytes: TTL, TOS, source and interface, flow label, no fragments, mark, a stamp */

struct letter {
    struct msghdr message;
    int flags; /* what sendmsg() is told beside MSG_DONTWAIT */
    struct sockaddr_storage target;
    _Alignas(struct cmsghdr) char controls[LETTER_CONTROLS];
};

/* SCOPE is an interface index or 0, PORT in host order. */
void letter_address(struct letter *letter, enum family_id family, const struct address *to, uint32_t scope,
                    uint16_t port);

/* Adds a number as a control message: it holds for this message alone. */
void letter_add(struct letter *letter, int level, int type, uint32_t value);

/* Likewise the source address, unless it is NULL, and the interface by which it is to leave, unless DEVICE is 0. */
void letter_add_source(struct letter *letter, enum family_id family, const struct address *source, uint32_t device);

/*
 * When this much time has passed since the last probe, there is time to ask the kernel when exactly the next one left.
 * Its stamp is 2 us later than the clock before the system call, and nearer the truth, but it takes 1 us to get, which
 * a flood of probes has not got.
 */
#define LETTER_REST (50 * NS_PER_US)

/* Asks for a software timestamp of this packet's departure, in the socket's error queue. */
void letter_ask_for_stamp(struct letter *letter);

/*
 * What a request wants of the socket while its message leaves, since no control message can say it: that a broadcast
 * address is allowed, and how packets beyond an MTU are treated (IP_MTU_DISCOVER, ip(7); IPv6's numbers are the same).
 * USUAL is how they are treated otherwise.
 */
struct letter_state {
    bool broadcast;
    int discovery, usual;
};

/* True when the socket must be set for this message, and set back. */
bool letter_state_differs(const struct letter_state *state);

/* Sets it, or takes it back. 0, or an errno value. */
int letter_set_state(int fd, enum family_id family, const struct letter_state *state, bool on);

#endif
