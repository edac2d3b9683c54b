/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probes/limits.h"
#include "probes/probe.h"

#define OLD_REPLIES "0.95"
#define NEW_REPLIES "0.96"

/* Each of the rows below; the parser and the help are made from them. */
struct option_row {
    const char *name;
    const char *value;  /* what it is called in the help; NULL: there is none, and the field is a bool */
    bool (*read)(const struct option_row *row, const char *value, void *field);
    uint32_t high;      /* of a number, which is 1 at least */
    size_t field;       /* offset in struct options */
    const char *help;
};

static bool
read_number(const struct option_row *row, const char *value, void *field)
{
    char *end;
    unsigned long long number = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || number < 1 || number > row->high)
        return false;
    *(uint32_t *)field = (uint32_t)number;
    return true;
}

static bool
read_replies(const struct option_row *row, const char *value, void *field)
{
    (void)row;
    bool old = strcmp(value, OLD_REPLIES) == 0;
    *(bool *)field = old;
    return old || strcmp(value, NEW_REPLIES) == 0;
}

#define FIELD(name) offsetof(struct options, name)

static const struct option_row rows[] = {
    { "--strict", NULL, NULL, 0, FIELD(strict), "refuse arguments that are unknown" },
    { "--verbose", NULL, NULL, 0, FIELD(verbose), "say on standard error what can't be done, and what was lost" },
    { "--replies", "VERSION", read_replies, 0, FIELD(old_words),
      "use the reply words of mtr " OLD_REPLIES " or " NEW_REPLIES " (the default);\n"
      "also by the environment variable MTR_PACKET_REPLIES" },
    { "--limit-rate", "N", read_number, LIMIT_RATE_MAX, FIELD(limit_rate),
      "so many probes a second; requests beyond them wait" },
    { "--limit-in-flight", "N", read_number, PROBES_MAX, FIELD(limit_in_flight),
      "so many probes at once; requests beyond them wait" },
    { "--no-mark", NULL, NULL, 0, FIELD(no_mark), "give up what marks need, even if it is the caller's own" },
    { "--help", NULL, NULL, 0, 0, "this text" },
    { "--version", NULL, NULL, 0, 0, "the version" },
};

#define ROWS (sizeof rows / sizeof *rows)
#define HELP_COLUMN 24

/* Its lines, one under the other. */
static void
print_help_of(const struct option_row *row)
{
    char head[64];
    const char *text = row->help, *end;
    snprintf(head, sizeof head, "  %s %s", row->name, row->value ? row->value : "");
    printf("%-*s", HELP_COLUMN, head);
    for (; (end = strchr(text, '\n')); text = end + 1)
        printf("%.*s%*s", (int)(end + 1 - text), text, HELP_COLUMN, "");
    puts(text);
}

static void
print_help(void)
{
    puts("usage: mtr-packet [OPTION]...\n"
         "\n"
         "Sends network probes as requests on standard input ask for, and replies on\n"
         "standard output. For example: echo '1 send-probe ip-4 127.0.0.1' | mtr-packet\n");
    for (size_t i = 0; i < ROWS; i++)
        print_help_of(&rows[i]);
    puts("\nThe manual page mtr-packet(8) has the protocol.");
}

static enum options_result
complain(const char *what, const char *about)
{
    fprintf(stderr, "mtr-packet: %s%s; see mtr-packet --help\n", what, about);
    return OPTIONS_WRONG;
}

static enum options_result
complain_of_value(const struct option_row *row, const char *value)
{
    char what[128];
    if (row->high)
        snprintf(what, sizeof what, "%s takes a number from 1 to %" PRIu32 ", not ", row->name, row->high);
    else
        snprintf(what, sizeof what, "%s takes " OLD_REPLIES " or " NEW_REPLIES ", not ", row->name);
    return complain(what, value ? value : "nothing");
}

/* The row of a word, which may bear its value behind an equals sign: then *VALUE is that, else NULL. */
static const struct option_row *
find_row(const char *word, const char **value)
{
    size_t length = strcspn(word, "=");
    *value = word[length] ? word + length + 1 : NULL;
    for (size_t i = 0; i < ROWS; i++)
        if (strlen(rows[i].name) == length && strncmp(rows[i].name, word, length) == 0 && (!*value || rows[i].value))
            return &rows[i];
    return NULL;
}

/* False when the value of an option is none. */
static bool
take_option(const struct option_row *row, const char *value, struct options *options)
{
    void *field = (char *)options + row->field;
    if (row->value)
        return value && row->read(row, value, field);
    *(bool *)field = true;
    return true;
}

enum options_result
options_read(int argc, char **argv, struct options *options)
{
    const char *value = getenv("MTR_PACKET_REPLIES");
    *options = (struct options){ .strict = false };
    if (value)
        read_replies(NULL, value, &options->old_words); /* one that we do not know may be meant for another program */

    for (int at = 1; at < argc; at++) {
        const struct option_row *row = find_row(argv[at], &value);
        if (!row)
            return complain(argv[at][0] == '-' ? "unknown option " : "unexpected argument ", argv[at]);
        if (strcmp(row->name, "--help") == 0) {
            print_help();
            return OPTIONS_DONE;
        }
        if (strcmp(row->name, "--version") == 0) {
            puts("mtr-packet (hopline) " HOPLINE_VERSION);
            return OPTIONS_DONE;
        }
        if (row->value && !value && at + 1 < argc)
            value = argv[++at];
        if (!take_option(row, value, options))
            return complain_of_value(row, value);
    }
    return OPTIONS_RUN;
}
