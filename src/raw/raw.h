/* SPDX-License-Identifier: MIT */
/*
 * The privileged body of the transport: one socket for each family that sends packets with headers of our own, and one
 * for each family and protocol that receives.
 */
#ifndef HOPLINE_RAW_H
#define HOPLINE_RAW_H

#include "host/privileges.h"
#include "transport.h"

/*
 * Opens whatever can be had; the process may drop its privileges afterwards. PRIVILEGES must outlive the transport.
 * NULL, with errno set, when no probe could be sent at all.
 */
struct transport *raw_open(struct privileges *privileges);

#endif
