/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OLD_REPLIES "0.95"
#define NEW_REPLIES "0.96"

static const char help[] =
    "usage: mtr-packet [--strict] [--verbose] [--replies VERSION]\n"
    "\n"
    "Sends network probes as requests on standard input ask for, and replies on\n"
    "standard output. For example: echo '1 send-probe ip-4 127.0.0.1' | mtr-packet\n"
    "\n"
    "  --strict           refuse arguments that are unknown\n"
    "  --verbose          say on standard error what can't be done, and what was lost\n"
    "  --replies VERSION  use the reply words of mtr " OLD_REPLIES " or " NEW_REPLIES " (the default);\n"
    "                     also by the environment variable MTR_PACKET_REPLIES\n"
    "  --help             this text\n"
    "  --version          the version\n"
    "\n"
    "The manual page mtr-packet(8) has the protocol.\n";

static bool
read_replies(const char *version, struct options *options)
{
    options->old_words = strcmp(version, OLD_REPLIES) == 0;
    return options->old_words || strcmp(version, NEW_REPLIES) == 0;
}

static enum options_result
complain(const char *what, const char *about)
{
    fprintf(stderr, "mtr-packet: %s%s; see mtr-packet --help\n", what, about);
    return OPTIONS_WRONG;
}

/* The version that --replies is given, as the next word or behind an equals sign; NULL when there is none. */
static const char *
replies_of(char **argv, int *at)
{
    const char *equals = argv[*at] + strlen("--replies");
    if (*equals == '=')
        return equals + 1;
    return argv[*at + 1] ? argv[++*at] : NULL;
}

enum options_result
options_read(int argc, char **argv, struct options *options)
{
    const char *replies = getenv("MTR_PACKET_REPLIES");
    *options = (struct options){ .strict = false };
    if (replies)
        read_replies(replies, options); /* a value that we do not know may be meant for another program: no error */

    for (int at = 1; at < argc; at++) {
        const char *option = argv[at];
        if (strcmp(option, "--help") == 0) {
            fputs(help, stdout);
            return OPTIONS_DONE;
        }
        if (strcmp(option, "--version") == 0) {
            puts("mtr-packet (hopline) " HOPLINE_VERSION);
            return OPTIONS_DONE;
        }
        if (strcmp(option, "--strict") == 0) {
            options->strict = true;
        } else if (strcmp(option, "--verbose") == 0) {
            options->verbose = true;
        } else if (strcmp(option, "--replies") == 0 || strncmp(option, "--replies=", strlen("--replies=")) == 0) {
            replies = replies_of(argv, &at);
            if (!replies || !read_replies(replies, options))
                return complain("--replies takes " OLD_REPLIES " or " NEW_REPLIES ", not ", replies ? replies : "nothing");
        } else {
            return complain(option[0] == '-' ? "unknown option " : "unexpected argument ", option);
        }
    }
    return OPTIONS_RUN;
}
