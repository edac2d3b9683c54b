/* SPDX-License-Identifier: MIT */
#include "tools/sweep_gate.h"

#include <err.h>
#include <stdlib.h>

#define CATCH_UP (NS_PER_S / 10) /* after a pause, no more than this is made up for */

struct gate
gate_of(struct client *client, const int64_t *rate)
{
    return (struct gate){ .client = client, .rate = rate, .window = SIZE_MAX };
}

void
gate_free(struct gate *gate)
{
    free(gate->again);
}

/* What the rate lets out in so much time, but one at least. */
static double
worth(const struct gate *gate, int64_t time)
{
    double probes = (double)*gate->rate * (double)time / (double)NS_PER_S;
    return probes > 1 ? probes : 1;
}

void
gate_open(struct gate *gate, struct instant now)
{
    gate->latest = now;
    gate->allowed = worth(gate, GATE_TICK);
}

void
gate_renew(struct gate *gate, struct instant now)
{
    double most = worth(gate, CATCH_UP);
    gate->allowed += (double)*gate->rate * (double)instant_since(now, gate->latest) / (double)NS_PER_S;
    if (gate->allowed > most)
        gate->allowed = most;
    gate->latest = now;
}

bool
gate_has_room(const struct gate *gate)
{
    return gate->allowed >= 1 && !client_is_behind(gate->client) && client_open(gate->client) < gate->window;
}

void
gate_pass(struct gate *gate)
{
    gate->allowed--;
}

int64_t
gate_wait(const struct gate *gate)
{
    return gate->allowed >= 1 ? 0 : (int64_t)((1 - gate->allowed) * (double)NS_PER_S / (double)*gate->rate);
}

void
gate_put_again(struct gate *gate, uint64_t tag)
{
    if (gate->again_count == gate->again_room) {
        gate->again_room = gate->again_room ? 2 * gate->again_room : 64;
        gate->again = realloc(gate->again, gate->again_room * sizeof *gate->again);
        if (!gate->again)
            err(2, NULL);
    }
    gate->again[gate->again_count++] = tag;
}

bool
gate_take_again(struct gate *gate, uint64_t *tag)
{
    if (gate->again_count == 0 || !gate_has_room(gate))
        return false;
    *tag = gate->again[--gate->again_count];
    return true;
}

bool
gate_give_back(struct gate *gate, uint64_t tag, size_t open)
{
    if (!open)
        return false;
    if (gate->window == SIZE_MAX)
        warnx("the daemon has no room for more probes: this is as fast as it can be");
    if (open < gate->window)
        gate->window = open;
    gate_put_again(gate, tag);
    return true;
}

bool
gate_widens(const struct gate *gate)
{
    return gate->window < SIZE_MAX && client_open(gate->client) < gate->window;
}
