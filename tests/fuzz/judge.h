/* SPDX-License-Identifier: MIT */
/* A second opinion on what an answer proves, with nothing of decode.c and match.c but the views into the datagram. */
#ifndef HOPLINE_FUZZ_JUDGE_H
#define HOPLINE_FUZZ_JUDGE_H

#include "probes/probe.h"

/* A probe in flight, and how it went out. */
struct sent {
    struct request request;
    struct probe probe;
    uint8_t packet[256];
};

/* The best counts, when no other probe has as good a one. */
enum verdict { WRONG, WEAK, LIKELY, PROOF };

/* ANSWER is what packet_decode() made of DATAGRAM. */
enum verdict judge(const struct sent *out, const struct datagram *datagram, const struct answer *answer);

/* True when an error quotes all that was sent, byte for byte, but for what every router changes in the IP header. */
bool judge_quotes_all(const struct sent *out, const struct datagram *datagram, const struct answer *answer);

/*
 * What is WEAK in a quote from behind a NAT can be by chance what it was rewritten to. True when the quote may then be
 * of OTHER as well as of OUT, which was judged so.
 */
bool judge_may_be_of(const struct sent *other, const struct sent *out, const struct datagram *datagram,
                     const struct answer *answer);

#endif
