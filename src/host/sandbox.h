/* SPDX-License-Identifier: MIT */
/*
 * The cage that the process locks itself into before it reads its first byte: only the system calls of the loop are
 * left to it. sandbox-seccomp.c does it with libseccomp; sandbox-null.c, in builds without, does nothing.
 */
#ifndef HOPLINE_SANDBOX_H
#define HOPLINE_SANDBOX_H

#include <stdbool.h>

/* True when this build and this kernel can do it. */
bool sandbox_available(void);

/*
 * Locks the process in, for good. A system call that is refused from then on ends the process, with a line on stderr
 * that names it. UNPRIVILEGED: the transport is that of plain.h, which opens its sockets as it goes, so more calls are
 * let through. False, with errno set, if the process could not be locked in. Without sandbox_available() it does
 * nothing, and succeeds.
 */
bool sandbox_enter(bool unprivileged);

#endif
