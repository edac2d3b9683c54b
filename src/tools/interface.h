/* SPDX-License-Identifier: MIT */
/* An interface of the target, as an extended echo request names it (RFC 8335), and what is told of it. Pure. */
#ifndef HOPLINE_TOOLS_INTERFACE_H
#define HOPLINE_TOOLS_INTERFACE_H

#include "tools/reply.h"

#define INTERFACE_NAME_MAX 63 /* bytes */

/*
 * " interface-name eth0" or what else WORD is: digits are an index, what can be read as an address is one (without its
 * scope), all else is a name. NULL when it can be none.
 */
const char *interface_argument(const char *word, char *buffer, size_t size);

/* True when the target knows that interface. */
bool interface_is_known(const struct reply *reply);

/* "eth0 is up, runs IPv4 and IPv6", "no such interface", in BUFFER. */
const char *interface_words(const char *word, const struct reply *reply, char *buffer, size_t size);

#endif
