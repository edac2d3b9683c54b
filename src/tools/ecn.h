/* SPDX-License-Identifier: MIT */
/* The codepoints of ECN in IP headers (RFC 3168, section 5), and what a way makes of them. Pure. */
#ifndef HOPLINE_TOOLS_ECN_H
#define HOPLINE_TOOLS_ECN_H

#include <stdbool.h>
#include <stddef.h>

#define ECN_MASK 3u /* of a type of service */
#define ECN_CODEPOINTS 4

/* not-ect, ect-1, ect-0 and ce. */
const char *ecn_name(unsigned codepoint);

/* The codepoint of that name; -1: it is none. */
int ecn_of_name(const char *name);

/* What became of BEFORE, which came as NOW: "bleached", "congested" or "mangled"; "" when they are the same. */
const char *ecn_change(unsigned before, unsigned now);

/*
 * What a target's tcp-ecn WORD, or NULL, says of a SYN that left with CODEPOINT: "ect-0 came as not-ect: bleached", in
 * BUFFER. NULL is of a RST.
 */
const char *ecn_words(unsigned codepoint, const char *word, char *buffer, size_t size);

#endif
