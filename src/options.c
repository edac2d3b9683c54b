#include "options.h"

#include <getopt.h>
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

enum { OPTION_STRICT = 1, OPTION_VERBOSE, OPTION_REPLIES, OPTION_HELP, OPTION_VERSION };

static const struct option known[] = {
    { "strict", no_argument, NULL, OPTION_STRICT },
    { "verbose", no_argument, NULL, OPTION_VERBOSE },
    { "replies", required_argument, NULL, OPTION_REPLIES },
    { "help", no_argument, NULL, OPTION_HELP },
    { "version", no_argument, NULL, OPTION_VERSION },
    { NULL, 0, NULL, 0 },
};

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

enum options_result
options_read(int argc, char **argv, struct options *options)
{
    const char *replies = getenv("MTR_PACKET_REPLIES");
    *options = (struct options){ .strict = false };
    if (replies)
        read_replies(replies, options); /* it may be meant for another program: what we do not know, we leave */

    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", known, NULL)) != -1) {
        switch (option) {
        case OPTION_STRICT:
            options->strict = true;
            break;
        case OPTION_VERBOSE:
            options->verbose = true;
            break;
        case OPTION_REPLIES:
            if (!read_replies(optarg, options))
                return complain("--replies takes " OLD_REPLIES " or " NEW_REPLIES ", not ", optarg);
            break;
        case OPTION_HELP:
            fputs(help, stdout);
            return OPTIONS_DONE;
        case OPTION_VERSION:
            puts("mtr-packet (hopline) " HOPLINE_VERSION);
            return OPTIONS_DONE;
        default:
            return complain("unknown or incomplete option ", argv[optind - 1]);
        }
    }
    return optind < argc ? complain("unexpected argument ", argv[optind]) : OPTIONS_RUN;
}
