/* SPDX-License-Identifier: MIT */
/*
 * The words of a sweep, and what they become: whatever a client writes, a plan is a permutation of what it names, each of its
 * combinations is one that was asked for, and none is excluded.
 * Input: a seed, then the line behind `sweep`.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lines/blocks.h"
#include "probes/plan.h"
#include "support.h"

#define LOOKED_AT 300 /* positions, from the start and before the end */

static bool
is_in(struct word list, enum family_id family, const struct address *address)
{
    struct block block;
    bool found = false;
    while (list.length > 0 && !found) {
        MUST(blocks_next(&list, family, &block) == REASON_NONE);
        found = memcmp(block.first.bytes, address->bytes, sizeof address->bytes) <= 0 &&
                memcmp(block.last.bytes, address->bytes, sizeof address->bytes) >= 0;
    }
    return found;
}

static void
check_one(const struct plan *plan, const struct request *request, uint64_t number)
{
    struct combination one;
    const struct sweep_request *sweep = &request->sweep;
    MUST(number < plan->total && plan_target(plan, number) < plan->targets);
    plan_combination(plan, number, &one);
    MUST(is_in(sweep->targets, request->family, &one.target) && !is_in(sweep->exclude, request->family, &one.target));
    MUST(one.ttl >= sweep->ttl.low && one.ttl <= sweep->ttl.high && one.port >= sweep->port.low &&
         one.port <= sweep->port.high && one.flow >= sweep->flow.low && one.flow <= sweep->flow.high);
}

static void
check_plan(const struct plan *plan, const struct request *request)
{
    static uint64_t numbers[2 * LOOKED_AT];
    size_t count = 0;
    MUST(plan->start <= plan->end && plan->end <= plan->total && plan->total <= COMBINATIONS_MAX);
    for (uint64_t position = plan->start; position < plan->end; position++) {
        if (position == plan->start + LOOKED_AT && plan->end - position > LOOKED_AT)
            position = plan->end - LOOKED_AT;
        numbers[count] = plan_at(plan, position);
        check_one(plan, request, numbers[count++]);
    }
    for (size_t i = 0; i < count && i < 40; i++) /* each once */
        for (size_t j = i + 1; j < count; j++)
            MUST(numbers[i] != numbers[j]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader input = { data, size };
    uint64_t seed = take_u64(&input);
    struct request request;
    struct complaint complaint;
    struct plan plan;
    char *line = malloc(input.left + 8);
    MUST(line);
    memcpy(line, "1 sweep ", 8);
    memcpy(line + 8, input.at, input.left);
    char *exact = (char *)copy_bytes(line, input.left + 8);
    if (request_parse(exact, input.left + 8, false, &request, &complaint) == LINE_REQUEST &&
        request.command == COMMAND_SWEEP) {
        int error = plan_make(&plan, &request, seed);
        MUST(error == 0 || error == E2BIG || error == ERANGE);
        if (!error) {
            check_plan(&plan, &request);
            plan_free(&plan);
        }
    }
    free(exact);
    free(line);
    return 0;
}
