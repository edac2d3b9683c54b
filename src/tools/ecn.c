/* SPDX-License-Identifier: MIT */
#include "tools/ecn.h"

#include <stdio.h>
#include <string.h>

#define CE 3u

static const char *const names[ECN_CODEPOINTS] = { "not-ect", "ect-1", "ect-0", "ce" };

const char *
ecn_name(unsigned codepoint)
{
    return names[codepoint & ECN_MASK];
}

int
ecn_of_name(const char *name)
{
    for (int i = 0; i < ECN_CODEPOINTS; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

const char *
ecn_change(unsigned before, unsigned now)
{
    if (before == now)
        return "";
    if (now == 0)
        return "bleached";
    return now == CE && before != 0 ? "congested" : "mangled";
}

/* What a SYN-ACK says that tells no codepoint. */
static const struct {
    const char *word, *means;
} others[] = {
    { "none", "the target does no ECN" },
    { "classic", "the target does ECN by RFC 3168, which does not tell how it came" },
};

const char *
ecn_words(unsigned codepoint, const char *word, char *buffer, size_t size)
{
    int now = word ? ecn_of_name(word) : -1;
    const char *means = word;
    if (now >= 0) {
        const char *change = ecn_change(codepoint, (unsigned)now);
        snprintf(buffer, size, "%s came as %s%s%s", ecn_name(codepoint), word, *change ? ": " : "", change);
        return buffer;
    }
    for (size_t i = 0; word && i < sizeof others / sizeof *others; i++)
        if (strcmp(word, others[i].word) == 0)
            means = others[i].means;
    snprintf(buffer, size, "%s sent: %s", ecn_name(codepoint),
             means ? means : "a closed port does not tell how it came");
    return buffer;
}
