/* SPDX-License-Identifier: MIT */
#include "tools/trace_mda.h"

#include <math.h>
#include <string.h>

#define CHANCE 0.05 /* that a next hop is missed */
#define ROUTERS_MAX 128 /* at one hop */

/*
 * The chance that N flows, each by one of K next hops at random, leave out one of them at least: by inclusion and
 * exclusion, the sum of (-1)^(i+1) C(K, i) ((K - i) / K)^N.
 */
static double
chance_of_missing(int k, int n)
{
    double sum = 0, choose = 1;
    for (int i = 1; i <= k; i++) {
        choose *= (double)(k - i + 1) / i;
        double term = choose * pow((double)(k - i) / k, n);
        sum += i % 2 ? term : -term;
    }
    return sum;
}

int
mda_enough(int known)
{
    int k = known + 1, n = k;
    if (k > ROUTERS_MAX)
        k = ROUTERS_MAX;
    while (n < FLOWS_MAX && chance_of_missing(k, n) > CHANCE)
        n++;
    return n;
}

/*
 * Who answered a flow at a hop: NULL not known yet, "" for nobody. In front of the first hop all flows are at one
 * place.
 */
static const char *
router(const struct path *path, int ttl, int flow)
{
    if (ttl < path->first)
        return "here";
    const struct cell *cell = path_cell(path, ttl, flow, 0);
    if (cell->state == CELL_SILENT)
        return "";
    return cell->state == CELL_ANSWERED ? cell->answer->from ? cell->answer->from : "" : NULL;
}

static bool
has_ended(const struct path *path, int ttl, int flow)
{
    return path->flows[flow].end && ttl >= path->flows[flow].end;
}

struct search {
    struct path *path;
    bool more; /* something is wanted that was not before */
};

/* The first flow goes all the way by itself (trace_plan.h). */
static bool
is_asked(const struct path *path, int ttl, int flow)
{
    const struct cell *cell = path_cell(path, ttl, flow, 0);
    return cell->wanted || cell->state != CELL_IDLE;
}

static bool
want(struct search *search, int ttl, int flow)
{
    if (is_asked(search->path, ttl, flow))
        return false;
    path_cell(search->path, ttl, flow, 0)->wanted = search->more = true;
    return true;
}

/* Distinct routers among those that flows behind WHO at TTL met at the next hop. */
static int
count_next(const struct path *path, int ttl, const char *who)
{
    const char *seen[ROUTERS_MAX];
    int count = 0;
    for (int flow = 0; flow < path->flow_count && count < ROUTERS_MAX; flow++) {
        const char *here = router(path, ttl, flow), *next = here ? router(path, ttl + 1, flow) : NULL;
        if (!next || strcmp(here, who) != 0)
            continue;
        int i = 0;
        while (i < count && strcmp(seen[i], next) != 0)
            i++;
        if (i == count)
            seen[count++] = next;
    }
    return count;
}

/* True while it is not known yet whom a flow meets at a hop, and it will be. */
static bool
is_on_its_way(const struct path *path, int ttl, int flow)
{
    for (int at = path->first; at <= ttl; at++) {
        int state = path_cell(path, at, flow, 0)->state;
        if (is_asked(path, at, flow) && (state == CELL_IDLE || state == CELL_ASKED))
            return true;
    }
    return false;
}

/* More flows that may meet a router at TTL: those that are known to come there first, then new ones. */
static void
want_flows(struct search *search, int ttl, int missing)
{
    struct path *path = search->path;
    for (int flow = 0; flow < path->flow_count && missing > 0; flow++) {
        if (is_on_its_way(path, ttl, flow))
            missing--;
        else if (!is_asked(path, ttl, flow) && !has_ended(path, ttl - 1, flow) &&
                 (ttl == path->first || router(path, ttl - 1, flow)))
            missing -= want(search, ttl, flow);
    }
    while (missing-- > 0) {
        if (path->flow_count == FLOWS_MAX) {
            path->short_of_flows = true;
            return;
        }
        path_grow(path, path->flow_count + 1);
        for (int at = path->first; at <= ttl; at++)
            want(search, at, path->flow_count - 1);
    }
}

/* Behind one router: enough flows for its next hops. */
static void
search_behind(struct search *search, int ttl, const char *who)
{
    struct path *path = search->path;
    int enough = mda_enough(count_next(path, ttl, who)), asked = 0;
    if (count_next(path, ttl, who) == 0)
        enough = mda_enough(1);
    for (int flow = 0; flow < path->flow_count; flow++) {
        const char *here = router(path, ttl, flow);
        asked += here && strcmp(here, who) == 0 && is_asked(path, ttl + 1, flow);
    }
    for (int flow = 0; flow < path->flow_count && asked < enough; flow++) {
        const char *here = router(path, ttl, flow);
        if (here && strcmp(here, who) == 0)
            asked += want(search, ttl + 1, flow);
    }
    if (asked < enough && ttl >= path->first)
        want_flows(search, ttl, enough - asked);
    else if (asked < enough)
        want_flows(search, path->first, enough - asked);
}

/* A router that was seen at this hop before; and one where flows end has nothing behind it. */
static bool
is_repeated(const struct path *path, int ttl, int flow)
{
    const char *who = router(path, ttl, flow);
    for (int before = 0; before < flow; before++) {
        const char *other = router(path, ttl, before);
        if (other && !has_ended(path, ttl, before) && strcmp(who, other) == 0)
            return true;
    }
    return false;
}

bool
mda_choose(struct path *path)
{
    struct search search = { path, false };
    search_behind(&search, path->first - 1, "here");
    for (int ttl = path->first; ttl < path->last; ttl++) {
        int flows = path->flow_count;
        for (int flow = 0; flow < flows; flow++) {
            const char *who = router(path, ttl, flow);
            if (!who || has_ended(path, ttl, flow) || is_repeated(path, ttl, flow))
                continue;
            if (!*who && ttl >= path->front)
                continue; /* what is silent to the end is not searched for ways */
            search_behind(&search, ttl, who);
        }
    }
    return search.more;
}
