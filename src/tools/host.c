/* SPDX-License-Identifier: MIT */
#include "tools/host.h"

#include <stddef.h>

#include "tools/target.h"

void
host_find(struct names *names, const char *host, int family, names_found *found, void *owner, uint64_t tag)
{
    struct target target = target_read(host, family);
    char address[1][ADDRESS_TEXT_MAX];
    switch (target.kind) {
    case TARGET_NAME:
        names_addresses(names, host, family, found, owner, tag);
        break;
    case TARGET_ADDRESS:
        target_address(&target, 0, address[0]);
        found(owner, tag, address, 1, NULL);
        break;
    case TARGET_BLOCK:
        found(owner, tag, NULL, 0, "a block of addresses is for probe-sweep");
        break;
    case TARGET_WRONG:
        found(owner, tag, NULL, 0, target.why);
        break;
    }
}
