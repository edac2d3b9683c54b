/* SPDX-License-Identifier: MIT */
#include "tools/sweep_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "packets/instant.h"
#include "tools/sweep_pace.h"
#include "tools/text.h"

#define SHARDS_MAX 1000000
#define TTL_MAX 255

static const char *
hint(char letter)
{
    switch (letter) {
    case 'g': return "a block or a range is a target as it is: 192.0.2.0/24, 192.0.2.1-192.0.2.99";
    case 'f': return "a list of targets is read from standard input";
    case 'a': return "those that answer are listed in any case, -q leaves out the others";
    case 'i': return "the pace is probes a second, -R";
    case 'c': case 'C': return "probe-ping sends more than one probe to a host that answers";
    case 'T': return "the timeout is -W";
    case 'P': return "the protocol and its port are -p tcp:80";
    default: return NULL;
    }
}

/* Two numbers with MARK between them, both from 1 to MOST. */
static bool
read_two(const char *word, char mark, int64_t most, int64_t *one, int64_t *other)
{
    char first[32];
    const char *second = strchr(word, mark);
    if (!second || (size_t)(second - word) >= sizeof first)
        return false;
    memcpy(first, word, (size_t)(second - word));
    first[second - word] = 0;
    return text_whole(first, one) && text_whole(second + 1, other) && *one >= 1 && *other >= 1 && *one <= most &&
           *other <= most;
}

static void
check_ttl(struct sweep_options *options)
{
    const char *word = options->ttl_word;
    int64_t low, high;
    if (!word)
        return;
    if (text_whole(word, &low) && low >= 1 && low <= TTL_MAX) {
        options->probing.ttl = low;
        return;
    }
    if (!read_two(word, '-', TTL_MAX, &low, &high) || low > high)
        wrong("--ttl takes a number from 1 to %d or a range such as 1-30, not %s", TTL_MAX, word);
    if (low == high) {
        options->probing.ttl = low;
        return;
    }
    options->ttl_low = low;
    options->ttl_high = high;
}

static void
check_shard(struct sweep_options *options)
{
    int64_t shard = 1, shards = 1;
    if (options->shard_word && (!read_two(options->shard_word, '/', SHARDS_MAX, &shard, &shards) || shard > shards))
        wrong("--shard takes a part and their number, such as 1/3, not %s", options->shard_word);
    options->shard = (uint64_t)shard;
    options->shards = (uint64_t)shards;
    if (shards > 1 && !options->seed_given)
        wrong("--shard needs a --seed, which is the same for all parts");
    if (options->shard_word)
        options->needs_sweep = "--shard";
}

static void
check_seed(struct sweep_options *options)
{
    const char *word = options->seed_word;
    char *end;
    if (!word)
        return;
    errno = 0;
    options->seed = strtoull(word, &end, 10);
    if (!is_digit(*word) || *end || errno)
        wrong("--seed takes a number from 0 to 18446744073709551615, not %s", word);
    options->seed_given = true;
    options->needs_sweep = "--seed";
}

size_t
sweep_read_options(int argc, char **argv, struct sweep_options *options)
{
    struct command command = {
        "probe-sweep [OPTION]... [TARGET...]",
        "Probes every TARGET, a name, an address, a block (192.0.2.0/24) or a range (192.0.2.1-192.0.2.99), or those on\n"
        "standard input, all at once. Prints those that answer as they do, then those that stay silent.",
        {
            { 'r', "retries", "N", WHOLE, &options->retries,
              "so many more probes to a silent target (2)", 0, TRIES_MAX - 1 },
            { 'R', "rate", "N", WHOLE, &options->rate, "probes a second (20000; of more than 1024 addresses 1000)", 1, 1000000 },
            { 'q', "quiet", NULL, NO_VALUE, &options->quiet, "do not list the silent ones", 0, 0 },
            { 0, "exclude", "FILE", WORD, &options->exclude, "never probe the blocks and ranges in FILE, one a line", 0, 0 },
            { 't', "ttl", "N[-N]", WORD, &options->ttl_word, "time to live, hop limit (255); 1-30: the way to all", 0, 0 },
            { 0, "limit", "N", WHOLE, &options->limit, "end when so many targets have answered", 1, UINT32_MAX },
            { 0, "seed", "N", WORD, &options->seed_word, "the random order: the same N, the same order", 0, 0 },
            { 0, "shard", "I/N", WORD, &options->shard_word, "only part I of N, which do not overlap; needs --seed", 0, 0 },
            { 0, "resume", "FILE", WORD, &options->resume, "keep in FILE how far it is, and go on from there", 0, 0 },
            { 0, "ignore-lookup-errors", NULL, NO_VALUE, &options->ignore_lookup_errors,
              "a name without an address counts as silent", 0, 0 },
            { 0, "list", NULL, NO_VALUE, &options->list, "print the targets and send nothing", 0, 0 },
        },
        hint,
    };
    *options = (struct sweep_options){ .probing = probing_default(4 * NS_PER_S), .retries = 2, .ttl_low = -1, .ttl_high = -1 };
    command_add_service(&command, &options->probing);
    command_add_probing(&command, &options->probing);
    int count = command_read(&command, argc, argv);
    probing_check(&options->probing);
    if (options->resume)
        options->needs_sweep = "--resume";
    check_seed(options);
    check_shard(options);
    check_ttl(options);
    if (options->list && options->probing.json)
        wrong("either --list or --json");
    if (options->list && (options->needs_sweep || options->ttl_low >= 0))
        wrong("either --list or %s", options->needs_sweep ? options->needs_sweep : "--ttl of more than one");
    return (size_t)count;
}
