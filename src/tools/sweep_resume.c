/* SPDX-License-Identifier: MIT */
#include "tools/sweep_resume.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FORM "# Where a sweep was ended: probe-sweep --resume goes on from here.\n" \
             "sweep %" PRIx64 "\ndaemon %s\nseed %" PRIu64 "\npart %" PRIu64 "\nnext %" PRIu64 "\n"
#define HEAD_MAX 400
#define HEAD_LINES 6
#define LINE_MAX_BYTES 100

/* FNV-1a: it is to tell sweeps apart, not to withstand anybody. */
static uint64_t
hash(uint64_t before, const void *bytes, size_t size)
{
    for (const unsigned char *at = bytes; size-- > 0; at++)
        before = (before ^ *at) * UINT64_C(0x100000001b3);
    return before;
}

uint64_t
resume_identity(const struct run_rules *rules, const char *arguments)
{
    const uint64_t numbers[] = { rules->shard, rules->shards, (uint64_t)rules->ttl_low, (uint64_t)rules->ttl_high };
    uint64_t sum = hash(UINT64_C(0xcbf29ce484222325), arguments, strlen(arguments));
    sum = hash(sum, numbers, sizeof numbers);
    for (int family = 0; family < FAMILIES; family++) {
        const struct ranges *ranges = &rules->targets[family];
        sum = hash(sum, &ranges->count, sizeof ranges->count);
        for (size_t i = 0; i < ranges->count; i++) {
            sum = hash(sum, &ranges->all[i].first, sizeof ranges->all[i].first);
            sum = hash(sum, &ranges->all[i].last, sizeof ranges->all[i].last);
        }
    }
    return sum;
}

/* All up to the first of those that are to be probed again. The same words and numbers give the same text, so it is ours. */
static bool
read_head(const char *text, struct resume *resume)
{
    char again[HEAD_MAX];
    const char *at = strstr(text, "\nsweep ");
    if (!at || sscanf(at, "\nsweep %" SCNx64 "\ndaemon %63s\nseed %" SCNu64 "\npart %" SCNu64 "\nnext %" SCNu64,
                      &resume->identity, resume->version, &resume->seed, &resume->place.part, &resume->place.next) != 5)
        return false;
    snprintf(again, sizeof again, FORM, resume->identity, resume->version, resume->seed, resume->place.part,
             resume->place.next);
    return strcmp(again, text) == 0;
}

static bool
read_file(FILE *file, struct resume *resume)
{
    char head[HEAD_MAX] = "", line[LINE_MAX_BYTES];
    for (int lines = 0; lines < HEAD_LINES; lines++) {
        size_t used = strlen(head);
        if (!fgets(head + used, (int)(sizeof head - used), file))
            return false;
    }
    bool ours = read_head(head, resume);
    while (ours && fgets(line, sizeof line, file))
        ours = unfinished_read(&resume->unfinished, line);
    return ours && !ferror(file);
}

bool
resume_read(const char *path, struct resume *resume)
{
    *resume = (struct resume){ .seed = 0 };
    FILE *file = fopen(path, "re");
    if (!file && errno == ENOENT)
        return false;
    if (!file)
        err(2, "%s", path);
    if (!read_file(file, resume))
        errx(2, "%s: not a file that --resume wrote", path);
    fclose(file);
    return true;
}

bool
resume_write(const char *path, const struct resume *resume)
{
    char *fresh;
    if (asprintf(&fresh, "%s.new", path) < 0)
        err(2, NULL);
    FILE *file = fopen(fresh, "we");
    bool written = file && fprintf(file, FORM, resume->identity, resume->version, resume->seed, resume->place.part,
                                   resume->place.next) > 0;
    written = written && unfinished_write(&resume->unfinished, file);
    written = written && fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (file)
        written = fclose(file) == 0 && written;
    written = written && rename(fresh, path) == 0;
    if (!written) {
        warn("%s", path);
        unlink(fresh);
    }
    free(fresh);
    return written;
}
