/* SPDX-License-Identifier: MIT */
/* A list of who is never probed, as zmap and masscan read it: a block, a range or an address a line, # comments. */
#ifndef HOPLINE_TOOLS_SWEEP_EXCLUDE_H
#define HOPLINE_TOOLS_SWEEP_EXCLUDE_H

#include "lines/ranges.h"

/*
 * Reads PATH into EXCLUDE, by family, and sorts it. Whoever can't be read might be somebody who must not be probed: so
 * that ends the program, with the line.
 */
void exclude_read(const char *path, struct ranges exclude[FAMILIES]);

#endif
