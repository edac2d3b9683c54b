/* SPDX-License-Identifier: MIT */
/* The command line. */
#ifndef HOPLINE_OPTIONS_H
#define HOPLINE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
    bool strict;
    bool verbose;
    bool old_words; /* --replies 0.95, or the environment's MTR_PACKET_REPLIES */
    bool no_mark;
    uint32_t limit_rate, limit_in_flight; /* 0: none */
};

enum options_result { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_WRONG };

/* Prints what --help and --version ask for (DONE), or one line on stderr about what is wrong. */
enum options_result options_read(int argc, char **argv, struct options *options);

#endif
