/* SPDX-License-Identifier: MIT */
/* What the kernel says of routes and addresses over rtnetlink(7). Pure: bytes, in host order, to values. */
#ifndef HOPLINE_RTNETLINK_H
#define HOPLINE_RTNETLINK_H

#include "host/route.h"

/*
 * The answer to an RTM_GETROUTE of this family, or the kernel's refusal, which is route->error. False when MESSAGE is
 * not the answer to the question with this number.
 */
MUST_USE bool rtnetlink_read_route(struct reader message, uint32_t sequence, enum family_id family,
                                   struct route *route);

/* One datagram of a dump of addresses; sets *ANY when there is one in it. False: no more datagrams follow. */
MUST_USE bool rtnetlink_read_addresses(struct reader messages, bool *any);

#endif
