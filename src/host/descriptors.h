/* SPDX-License-Identifier: MIT */
/* How many descriptors this process may have, and how many of them are left for what is more urgent. */
#ifndef HOPLINE_DESCRIPTORS_H
#define HOPLINE_DESCRIPTORS_H

/*
 * What can take as many as there are, and need not, leaves alone those from this number on: an eighth of them, 256 at most.
 * The kernel gives the lowest number that is free.
 */
int descriptors_to_use(void);

#endif
