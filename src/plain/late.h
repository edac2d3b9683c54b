/* SPDX-License-Identifier: MIT */
/*
 * Which probes have left lately that were not answered: by a port of ours, to a port of a target. The answer to one of them,
 * that is still under way, would pass for the answer to the next one with the same three.
 *
 * In constant memory: of each hash of the three the number of those that nothing came back to is kept, and the time of the
 * last, so those whose hashes are equal pass for each other. Then a port is thought to wait for an answer that it does not,
 * and another one is as good.
 */
#ifndef HOPLINE_LATE_H
#define HOPLINE_LATE_H

#include <stdbool.h>

#include "host/clock.h"
#include "packets/family.h"

struct late;

/* NULL: no memory. */
struct late *late_new(void);
void late_free(struct late *late);

/* A probe leaves by the port NEAR for port FAR of TARGET; and something came back from there. */
void late_sent(struct late *late, uint16_t near, uint16_t far, const struct address *target, struct instant now);
void late_heard(struct late *late, uint16_t near, uint16_t far, const struct address *target);

/* True when such a probe left not long before NOW, and nothing came back since. */
bool late_awaits(const struct late *late, uint16_t near, uint16_t far, const struct address *target, struct instant now);

/* True when the last one had left soon after another with the same three, so that these do not tell which is answered. */
bool late_is_shared(const struct late *late, uint16_t near, uint16_t far, const struct address *target);

#endif
