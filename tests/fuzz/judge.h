/* SPDX-License-Identifier: MIT */
/* A second opinion on what an answer proves, with nothing of decode.c and match.c but the views into the datagram. */
#ifndef HOPLINE_FUZZ_JUDGE_H
#define HOPLINE_FUZZ_JUDGE_H

#include "probes/probe.h"

/* A probe, and how it went out. */
struct sent {
    struct request request;
    struct probe probe;
    uint8_t packet[256];
    size_t length;
    bool ended; /* without an answer, less than a minute ago */
};

/* The best counts, when no other probe has as good a one. */
enum verdict { WRONG, WEAK, LIKELY, PROOF };

/* ANSWER is what packet_decode() made of DATAGRAM. */
enum verdict judge(const struct sent *out, const struct datagram *datagram, const struct answer *answer);

/* True when an error quotes all that was sent, byte for byte, but for what every router changes in the IP header. */
bool judge_quotes_all(const struct sent *out, const struct datagram *datagram, const struct answer *answer);

/*
 * Of a judgement of OUT that is no PROOF: true when the answer may as well be of OTHER, so of neither. That is one with the
 * same ports and target that ended lately; where a checksum alone speaks for a probe, one with any port of ours; and of a WEAK
 * judgement one in flight, since ports may be all that is left, and what a NAT rewrote may by chance be what OUT has.
 */
bool judge_is_dubious(const struct sent *other, const struct sent *out, enum verdict verdict,
                      const struct datagram *datagram, const struct answer *answer);

#endif
