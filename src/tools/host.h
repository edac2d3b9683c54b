/* SPDX-License-Identifier: MIT */
/* A host as an operand names it: an address, or a name that is looked up. */
#ifndef HOPLINE_TOOLS_HOST_H
#define HOPLINE_TOOLS_HOST_H

#include "tools/names.h"

#define HOST_WHY_MAX 200 /* bytes: all that WHY below may be */

/*
 * Finds the addresses of HOST; FAMILY is 4, 6 or 0 for both. FOUND is called once, perhaps at once, as
 * names_addresses() does it: an address is its own; of what is neither address nor name WHY says what is wrong and what
 * to write.
 */
void host_find(struct names *names, const char *host, int family, names_found *found, void *owner, uint64_t tag);

#endif
