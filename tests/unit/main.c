/* SPDX-License-Identifier: MIT */
/*
 * unit [PART PARTS]: runs every suite, or the PART-th of PARTS parts of them. libcheck reads its own environment:
 * CK_TAP_LOG_FILE_NAME, CK_RUN_SUITE, CK_FORK, CK_VERBOSITY.
 */
#include <stdlib.h>

#include "suites.h"

/* Seconds that a test may take, with a million of anything, under valgrind or a sanitizer, on a busy machine. */
#define TIMEOUT "120"

int
main(int argc, char **argv)
{
    size_t part = argc == 3 ? strtoul(argv[1], NULL, 10) : 1, parts = argc == 3 ? strtoul(argv[2], NULL, 10) : 1;
    static Suite *(*const suites[])(void) = {
        bytes_suite,   checksum_suite, chunks_suite, index_suite, timer_suite, clock_suite, random_suite,
        family_suite,  request_suite,  reply_suite,  build_suite, icmpext_suite, decode_suite, probe_suite,
        errqueue_suite, match_suite,   input_suite,  output_suite, ports_suite, flow_suite,  allot_suite,
        leases_suite, filter_suite, detail_suite, datagram_suite, prober_suite, attribution_suite,
        target_suite, plan_suite, sweep_suite, rtnetlink_suite, asked_suite, turns_suite, trace_suite,
        limits_suite, service_suite, told_suite, ranges_suite, late_suite,
    };
    setenv("CK_DEFAULT_TIMEOUT", TIMEOUT, 0);
    SRunner *runner = srunner_create(NULL);
    for (size_t i = part - 1; i < sizeof suites / sizeof *suites; i += parts)
        srunner_add_suite(runner, suites[i]());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
