/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that others share with us. Whether a call waits is a property of the open file (O_NONBLOCK), which belongs
 * to a shell or to another reader as well: it is left as it is.
 */
#ifndef HOPLINE_DESCRIPTOR_H
#define HOPLINE_DESCRIPTOR_H

#include <sys/types.h>

/*
 * A descriptor of the same pipe or terminal that never waits; ACCESS is O_RDONLY or O_WRONLY. -1: it can't be opened
 * again, as one of another user can't, or is of a kind that need not be.
 */
int descriptor_open_again(int fd, int access);

/*
 * read(2) and write(2) that do not wait, for what can't be opened again and has no other way: FD is made non-blocking for
 * the one call. FLAGS are those that it had at first (F_GETFL), so that two processes who do this leave it as it was.
 */
ssize_t descriptor_read_in_hurry(int fd, int flags, char *bytes, size_t length);
ssize_t descriptor_write_in_hurry(int fd, int flags, const char *bytes, size_t length);

#endif
