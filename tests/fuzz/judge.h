/* A second opinion on what an answer proves, with nothing of decode.c and match.c but the views into the datagram. */
#ifndef HOPLINE_FUZZ_JUDGE_H
#define HOPLINE_FUZZ_JUDGE_H

#include "probe.h"

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

#endif
