/* SPDX-License-Identifier: MIT */
/* What this process can do, by what its transport could get of the host: what `check-support` is told, and who is refused. */
#ifndef HOPLINE_SUPPORT_H
#define HOPLINE_SUPPORT_H

#include "lines/request.h"
#include "transport.h"

/* A feature of `check-support`, but for those that are numbers. Asks the kernel, where addresses come and go. */
bool support_has(struct transport *transport, struct word feature);

/* What can't be sent here, though the request is right, and in *ARGUMENT what asks for it. REASON_NONE: it can be sent. */
enum reason support_find_lack(const struct transport *transport, const struct request *request, const char **argument);

#endif
