/* SPDX-License-Identifier: MIT */
/* The file by which a sweep that was ended goes on: which sweep it is, and how far it is. */
#ifndef HOPLINE_TOOLS_SWEEP_RESUME_H
#define HOPLINE_TOOLS_SWEEP_RESUME_H

#include "tools/sweep_run.h"
#include "tools/sweep_unfinished.h"

#define RESUME_VERSION_MAX 64

struct resume {
    uint64_t identity; /* of the sweep: resume_identity() */
    uint64_t seed;
    struct run_place place;
    char version[RESUME_VERSION_MAX]; /* of the daemon, whose order it is */
    struct unfinished unfinished;     /* before that place, with nothing known of it; to be freed */
};

/* What makes a sweep the same one: who is probed, how, and which shard of it. ARGUMENTS: of send-probe. */
uint64_t resume_identity(const struct run_rules *rules, const char *arguments);

/* *RESUME is set. False when there is no such file. Ends the program when it is not of a sweep. */
bool resume_read(const char *path, struct resume *resume);

/* Puts it in the place of what stood there, all or nothing. False, and a line on standard error, when that is impossible. */
bool resume_write(const char *path, const struct resume *resume);

#endif
