/* SPDX-License-Identifier: MIT */
/* One suite for each module, in test_<module>.c. */
#ifndef HOPLINE_SUITES_H
#define HOPLINE_SUITES_H

#include <check.h>

Suite *allot_suite(void);
Suite *asked_suite(void);
Suite *attribution_suite(void);
Suite *build_suite(void);
Suite *bytes_suite(void);
Suite *checksum_suite(void);
Suite *chunks_suite(void);
Suite *clock_suite(void);
Suite *datagram_suite(void);
Suite *decode_suite(void);
Suite *detail_suite(void);
Suite *errqueue_suite(void);
Suite *family_suite(void);
Suite *filter_suite(void);
Suite *flow_suite(void);
Suite *icmpext_suite(void);
Suite *index_suite(void);
Suite *input_suite(void);
Suite *late_suite(void);
Suite *leases_suite(void);
Suite *limits_suite(void);
Suite *match_suite(void);
Suite *output_suite(void);
Suite *plan_suite(void);
Suite *ports_suite(void);
Suite *probe_suite(void);
Suite *prober_suite(void);
Suite *random_suite(void);
Suite *ranges_suite(void);
Suite *reply_suite(void);
Suite *request_suite(void);
Suite *target_suite(void);
Suite *rtnetlink_suite(void);
Suite *service_suite(void);
Suite *sweep_suite(void);
Suite *timer_suite(void);
Suite *told_suite(void);
Suite *trace_suite(void);
Suite *turns_suite(void);

#endif
