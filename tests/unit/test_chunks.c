/* SPDX-License-Identifier: MIT */
#include "probes/chunks.h"
#include "suites.h"
#include "support.h"

START_TEST(new_elements_are_zero_and_stay_where_they_are)
{
    struct chunks chunks;
    chunks_init(&chunks, sizeof(uint64_t));
    ck_assert(chunks_reach(&chunks, 0));
    uint64_t *first = chunks_at(&chunks, 0);
    for (uint32_t i = 0; i < 3 * CHUNK_ELEMENTS; i++) {
        ck_assert(chunks_reach(&chunks, i));
        uint64_t *element = chunks_at(&chunks, i);
        ck_assert(*element == 0);
        *element = i + 1;
    }
    ck_assert_ptr_eq(chunks_at(&chunks, 0), first);
    for (uint32_t i = 0; i < 3 * CHUNK_ELEMENTS; i++) {
        ck_assert(chunks_reach(&chunks, i)); /* once more: nothing is lost */
        ck_assert_uint_eq(*(uint64_t *)chunks_at(&chunks, i), i + 1);
    }
    chunks_free(&chunks);
}
END_TEST

START_TEST(bounds)
{
    struct chunks chunks;
    chunks_init(&chunks, 3);
    ck_assert(!chunks_reach(&chunks, CHUNKS_ELEMENTS));
    ck_assert(!chunks_reach(&chunks, UINT32_MAX));
    ck_assert(chunks_reach(&chunks, CHUNKS_ELEMENTS - 1));
    uint8_t *last = chunks_at(&chunks, CHUNKS_ELEMENTS - 1);
    last[0] = last[1] = last[2] = 7;
    ck_assert_ptr_null(chunks.chunk[0]); /* what was not reached costs nothing */
    chunks_free(&chunks);
}
END_TEST

Suite *
chunks_suite(void)
{
    Suite *suite = suite_create("chunks");
    TCase *tests = tcase_create("chunks");
    tcase_add_test(tests, new_elements_are_zero_and_stay_where_they_are);
    tcase_add_test(tests, bounds);
    suite_add_tcase(suite, tests);
    return suite;
}
