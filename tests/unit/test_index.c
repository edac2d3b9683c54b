/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "probes/index.h"
#include "suites.h"
#include "support.h"

#define SLOTS 20000u

/* A naive index: what is in it, and in which order it came. */
struct model {
    bool present[SLOTS];
    uint32_t hash[SLOTS];
    uint32_t age[SLOTS]; /* the higher, the newer */
    uint32_t clock;
};

static void
add(struct index *index, struct model *model, uint32_t slot, uint32_t hash)
{
    index_add(index, slot, hash);
    model->present[slot] = true;
    model->hash[slot] = hash;
    model->age[slot] = ++model->clock;
}

static void
take_out(struct index *index, struct model *model, uint32_t slot)
{
    index_remove(index, slot);
    model->present[slot] = false;
}

static struct index *
new_index(void)
{
    struct index *index = memory(sizeof *index);
    index_init(index);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        MUST(index_reach(index, slot));
    return index;
}

static void
delete_index(struct index *index)
{
    index_free(index);
    free(index);
}

/* All that the model has under HASH comes once, the newest first. */
static void
check_hash(const struct index *index, const struct model *model, uint32_t hash)
{
    uint32_t expected = 0, found = 0, newer = UINT32_MAX;
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        expected += model->present[slot] && model->hash[slot] == hash;
    for (uint32_t slot = index_first(index, hash); slot != INDEX_NONE; slot = index_next(index, slot)) {
        MUST(model->present[slot] && model->hash[slot] == hash);
        MUST(model->age[slot] < newer);
        newer = model->age[slot];
        found++;
    }
    MUST(found == expected);
}

START_TEST(empty)
{
    struct index index;
    index_init(&index);
    MUST(index_first(&index, 0) == INDEX_NONE);
    MUST(index_first(&index, UINT32_MAX) == INDEX_NONE);
    MUST(index_reach(&index, 5));
    MUST(index_first(&index, 77) == INDEX_NONE);
    MUST(!index_reach(&index, CHUNKS_ELEMENTS));
    index_free(&index);
}
END_TEST

/* Hashes that meet in one bucket until the table has grown: the order holds through every split. */
START_TEST(newest_first_through_growth)
{
    struct index *index = new_index();
    struct model *model = zeroed_memory(1, sizeof *model);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        add(index, model, slot, slot % 37 << 6 | 5);
        if ((slot & (slot - 1)) == 0 || slot % 5003 == 0)
            for (uint32_t key = 0; key < 37; key++)
                check_hash(index, model, key << 6 | 5);
    }
    MUST(index->slot_count == SLOTS);
    MUST(index->bucket_count >= SLOTS - 1);
    free(model);
    delete_index(index);
}
END_TEST

/* Hashes that are all different: each finds its slot and no other. */
START_TEST(one_slot_a_hash)
{
    struct index *index = new_index();
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        index_add(index, slot, slot * UINT32_C(2654435761));
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        MUST(index_first(index, slot * UINT32_C(2654435761)) == slot);
        MUST(index_next(index, slot) == INDEX_NONE);
    }
    delete_index(index);
}
END_TEST

START_TEST(random_against_model)
{
    struct index *index = new_index();
    struct model *model = zeroed_memory(1, sizeof *model);
    uint64_t state = 6;
    for (uint32_t round = 0; round < 200000; round++) {
        uint32_t slot = dice(&state) % SLOTS;
        uint32_t hash = dice(&state) % 3 ? dice(&state) : dice(&state) % 50 << 10;
        if (model->present[slot])
            take_out(index, model, slot);
        else
            add(index, model, slot, hash);
        if (round % 500 == 0)
            check_hash(index, model, round % 1000 ? hash : dice(&state) % 50 << 10);
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        if (!model->present[slot])
            continue;
        uint32_t found = index_first(index, model->hash[slot]);
        while (found != slot && found != INDEX_NONE)
            found = index_next(index, found);
        MUST(found == slot);
        take_out(index, model, slot);
    }
    MUST(index->slot_count == 0);
    for (uint32_t key = 0; key < 50; key++)
        MUST(index_first(index, key << 10) == INDEX_NONE);
    free(model);
    delete_index(index);
}
END_TEST

Suite *
index_suite(void)
{
    Suite *suite = suite_create("index");
    TCase *tests = tcase_create("index");
    tcase_add_test(tests, empty);
    tcase_add_test(tests, newest_first_through_growth);
    tcase_add_test(tests, one_slot_a_hash);
    tcase_add_test(tests, random_against_model);
    suite_add_tcase(suite, tests);
    return suite;
}
