/* SPDX-License-Identifier: MIT */
#include "tools/sweep_unfinished.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "lines/text.h"

#define MOST ((size_t)1 << 20) /* as many as the daemon has in flight */
#define AT_FIRST 64
#define TTL_MAX 255
#define TEXT_MAX 46 /* bytes of an address, and the end */

void
unfinished_free(struct unfinished *unfinished)
{
    free(unfinished->all);
    *unfinished = (struct unfinished){ 0 };
}

/* Those that can be asked for together, next to each other. */
static int
compare(const void *one, const void *other)
{
    const struct unfinished_probe *a = one, *b = other;
    if (a->ttl != b->ttl)
        return (int)a->ttl - (int)b->ttl;
    if (a->family != b->family)
        return (int)a->family - (int)b->family;
    return memcmp(&a->address, &b->address, sizeof a->address);
}

/* Of those from an earlier run, or NULL. */
static struct unfinished_probe *
find_known(const struct unfinished *unfinished, const struct unfinished_probe *wanted)
{
    return unfinished->known ? bsearch(wanted, unfinished->all, unfinished->known, sizeof *wanted, compare) : NULL;
}

void
unfinished_add(struct unfinished *unfinished, enum family_id family, const struct address *address, unsigned ttl)
{
    const struct unfinished_probe fresh = { .address = *address, .family = (uint8_t)family, .ttl = (uint8_t)ttl };
    struct unfinished_probe *known = find_known(unfinished, &fresh);
    if (known) {
        known->ended = false;
        return;
    }
    if (unfinished->count == MOST) {
        unfinished->is_full = true;
        return;
    }
    if (unfinished->count == unfinished->room) {
        unfinished->room = unfinished->room ? 2 * unfinished->room : AT_FIRST;
        unfinished->all = realloc(unfinished->all, unfinished->room * sizeof *unfinished->all);
        if (!unfinished->all)
            err(2, NULL);
    }
    unfinished->all[unfinished->count++] = fresh;
}

void
unfinished_end(struct unfinished *unfinished, enum family_id family, const struct address *address, unsigned ttl)
{
    const struct unfinished_probe wanted = { .address = *address, .family = (uint8_t)family, .ttl = (uint8_t)ttl };
    struct unfinished_probe *known = find_known(unfinished, &wanted);
    if (known)
        known->ended = true;
}

bool
unfinished_write(const struct unfinished *unfinished, FILE *file)
{
    bool written = true;
    for (size_t i = 0; i < unfinished->count && written; i++) {
        const struct unfinished_probe *probe = &unfinished->all[i];
        char text[TEXT_MAX];
        struct writer writer = { .start = (uint8_t *)text, .size = sizeof text };
        if (probe->ended)
            continue;
        put_address(&writer, (enum family_id)probe->family, &probe->address);
        written = fprintf(file, "again %.*s ttl %u\n", (int)writer.used, text, probe->ttl) > 0;
    }
    return written;
}

bool
unfinished_read(struct unfinished *unfinished, const char *line)
{
    char text[TEXT_MAX], end;
    unsigned ttl;
    struct address address;
    if (sscanf(line, "again %45s ttl %3u%c", text, &ttl, &end) != 3 || end != '\n' || ttl > TTL_MAX)
        return false;
    enum family_id family = strchr(text, ':') ? IPV6 : IPV4;
    if (!address_parse(family, text, strlen(text), &address))
        return false;
    unfinished_add(unfinished, family, &address, ttl);
    return true;
}

static void
drop_repeated(struct unfinished *unfinished)
{
    size_t kept = 0;
    for (size_t i = 0; i < unfinished->count; i++)
        if (i == 0 || compare(&unfinished->all[i], &unfinished->all[kept - 1]) != 0)
            unfinished->all[kept++] = unfinished->all[i];
    unfinished->count = kept;
}

struct run_set *
unfinished_sets(struct unfinished *unfinished, size_t *count)
{
    struct run_set *sets = NULL;
    *count = 0;
    if (unfinished->count)
        qsort(unfinished->all, unfinished->count, sizeof *unfinished->all, compare);
    drop_repeated(unfinished);
    unfinished->known = unfinished->count;
    for (size_t i = 0; i < unfinished->count; i++) {
        const struct unfinished_probe *probe = &unfinished->all[i];
        struct run_set *set = *count ? &sets[*count - 1] : NULL;
        if (!set || set->ttl != probe->ttl || set->ranges.family != (enum family_id)probe->family) {
            sets = realloc(sets, (*count + 1) * sizeof *sets);
            if (!sets)
                err(2, NULL);
            set = &sets[(*count)++];
            *set = (struct run_set){ .ttl = probe->ttl, .ranges = { .family = (enum family_id)probe->family } };
        }
        if (!ranges_add(&set->ranges, &probe->address, &probe->address))
            err(2, NULL);
    }
    for (size_t i = 0; i < *count; i++)
        ranges_sort(&sets[i].ranges);
    return sets;
}

void
unfinished_free_sets(struct run_set *sets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ranges_free(&sets[i].ranges);
    free(sets);
}
