/* SPDX-License-Identifier: MIT */
/* The IP headers of a packet that an ICMP error quotes. Pure. */
#ifndef HOPLINE_QUOTE_H
#define HOPLINE_QUOTE_H

#include "packets/packet.h"

/*
 * Takes the headers off QUOTE, down to the probe's transport header, of which *NUMBER is the protocol, and fills in the
 * quoted fields of ANSWER, whose family is set. Where the probe was put into another packet on its way (a tunnel by
 * IP in IP or GRE, at most two of them), they are those of the probe itself. False when a header is malformed or cut
 * short, that of a later fragment, or the probe's is not of the answer's family.
 */
MUST_USE bool quote_read_headers(struct reader *quote, uint8_t *number, struct answer *answer);

#endif
