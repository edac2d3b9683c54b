/* SPDX-License-Identifier: MIT */
/*
 * The command line of a tool, from a table of its options: the parser, its checks, the help and the completions of the
 * shells are all made from it. Wrong use is told in one line, with status 2.
 */
#ifndef HOPLINE_TOOLS_OPTIONS_H
#define HOPLINE_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/service.h"

enum value {
    NO_VALUE, /* `to` is a bool */
    WHOLE,    /* int64_t, from `low` to `high` */
    SECONDS,  /* int64_t, ns */
    WORD,     /* const char *, any word */
    MAY_WORD, /* const char *, behind = or "": --json, --json=atlas */
};

struct option_row {
    char letter;      /* 0: none */
    const char *name; /* NULL ends the table */
    const char *what; /* what the value is called in the help, "NUMBER"; NULL without one */
    enum value value;
    void *to;         /* keeps what it holds, the default, while the option is not given */
    const char *help;
    int64_t low, high;
};

#define OPTIONS_MAX 64

struct command {
    const char *usage;   /* "probe-ping [OPTION]... HOST..." */
    const char *about;   /* lines of what it does */
    struct option_row rows[OPTIONS_MAX]; /* its own, then the common ones */
    /*
     * A word about a letter that is none of ours but another tool's (traceroute's -z), or NULL. Of a letter that is
     * ours it is said where the value is not: traceroute's -p 53.
     */
    const char *(*hint)(char letter);
};

/* What all tools that probe have in common. */
struct probing {
    int family; /* 4, 6, or 0 for both */
    const char *protocol;
    int64_t port;        /* 0: none given */
    const char *source;  /* "local-ip-4", "local-ip-6" or "local-device"; NULL: none */
    const char *source_value;
    struct service_question question; /* of --service */
    int64_t size, tos, ttl; /* -1: not given */
    int64_t timeout;        /* ns */
    bool numeric, json;

    /* as they were given */
    bool ipv4, ipv6;
    const char *protocol_word, *source_word; /* protocol_word: NULL: not given */
    const char *service_word;
};

/* Its defaults. TIMEOUT in ns. */
struct probing probing_default(int64_t timeout);

/* Puts the rows of what is common behind COMMAND's own, but those that it has its own of. */
void command_add_probing(struct command *command, struct probing *probing);

/* Puts --service there, of the tools that have it. */
void command_add_service(struct command *command, struct probing *probing);

/*
 * Reads the words, and moves the operands to argv[1] and on; returns how many there are. --help and --version are
 * answered here. Ends the program on wrong use, and on an operand that can be no host by its characters.
 */
int command_read(struct command *command, int argc, char **argv);

/* Checks what was given of PROBING, and fills in what follows from it. Ends the program on wrong use. */
void probing_check(struct probing *probing);

/*
 * The arguments of send-probe that it stands for, but target, timeout and those of the service: " protocol icmp size
 * 64...", in BUFFER. Returns BUFFER.
 */
#define ARGUMENTS_MAX 512
const char *probing_arguments(const struct probing *probing, char buffer[ARGUMENTS_MAX]);

/* ", such as ..." said in one line on standard error; ends the program with status 2. */
_Noreturn __attribute__((format(printf, 1, 2))) void wrong(const char *format, ...);

#endif
