/* SPDX-License-Identifier: MIT */
#include "tools/options.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <locale.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "packets/instant.h"
#include "tools/text.h"

#define HELP_COLUMN 34
#define HELP_WIDTH 80
#define LONG_BASE 256 /* what getopt_long() returns for a row without a letter: this and its place */
#define VERSION (LONG_BASE + OPTIONS_MAX)
#define TABLE (VERSION + 1)

void
wrong(const char *format, ...)
{
    char text[1024], clean[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    errx(2, "%s", text_printable(text, clean, sizeof clean));
}

/* ---- the help */

/* From column AT on, in lines of 80 columns, each from INDENT on. */
static void
print_wrapped(const char *text, int at, int indent)
{
    while (*text) {
        int length = (int)strcspn(text, " \n");
        if (at > indent && at + 1 + length > HELP_WIDTH) {
            printf("\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            putchar(' ');
            at++;
        }
        printf("%.*s", length, text);
        at += length;
        text += length + (text[length] != 0);
    }
    putchar('\n');
}

static void
print_row(const struct option_row *row)
{
    char head[80];
    char letter[] = { '-', row->letter, ',', 0 };
    const char *before = !row->what ? "" : row->value == MAY_WORD ? "[=" : " ";
    int length = snprintf(head, sizeof head, "  %s --%s%s%s%s", row->letter ? letter : "   ", row->name, before,
                          row->what ? row->what : "", row->value == MAY_WORD ? "]" : "");
    printf("%-*s", HELP_COLUMN, head);
    if (length >= HELP_COLUMN)
        printf("\n%*s", HELP_COLUMN, "");
    print_wrapped(row->help, HELP_COLUMN, HELP_COLUMN);
}

static _Noreturn void
print_help(const struct command *command)
{
    printf("usage: %s\n", command->usage);
    print_wrapped(command->about, 0, 0);
    putchar('\n');
    for (const struct option_row *row = command->rows; row->name; row++)
        print_row(row);
    puts("  -h, --help                      print this and exit\n"
         "      --version                   print the version and exit\n\n"
         "The daemon is MTR_PACKET's if that is set, else the one installed with this\n"
         "program, else mtr-packet in PATH.");
    exit(0);
}

/* What scripts/completions reads, when the tools are built: see there. In no help, since it is for nobody else. */
static _Noreturn void
print_table(const struct command *command)
{
    printf("%s\n", command->usage);
    for (const struct option_row *row = command->rows; row->name; row++)
        printf("%c\t%s\t%s%s\t%s\n", row->letter ? row->letter : '-', row->name, row->value == MAY_WORD ? "=" : "",
               row->what ? row->what : "-", row->help);
    puts("h\thelp\t-\tprint this and exit\n-\tversion\t-\tprint the version and exit");
    exit(0);
}

/* ---- reading */

/* What mtr, traceroute and fping call otherwise: said where there is such a ROW. */
static const struct {
    const char *theirs, *row, *ours;
} elsewhere[] = {
    { "address", "source", "-I ADDRESS" },
    { "src", "source", "-I ADDRESS" },
    { "interface", "source", "-I INTERFACE" },
    { "iface", "source", "-I INTERFACE" },
    { "no-dns", "numeric", "-n" },
    { "psize", "size", "-s" },
    { "wait", "timeout", "-W" },
    { "gracetime", "timeout", "-W" },
    { "icmp", "protocol", "-p icmp, the default" },
    { "udp", "protocol", "-p udp:PORT" },
    { "tcp", "protocol", "-p tcp:PORT" },
    { "sctp", "protocol", "-p sctp:PORT" },
    { "port", "protocol", "-p PROTOCOL:PORT" },
    { "first-ttl", "first", "-f" },
    { "max-ttl", "last", "-m" },
    { "max-hops", "last", "-m" },
    { "report", "mtr", "--mtr ROUNDS" },
    { "report-wide", "mtr", "--mtr ROUNDS" },
    { "report-cycles", "mtr", "--mtr ROUNDS" },
    { "aslookup", "as", "--as" },
    { "ipinfo", "as", "--as" },
    { "as-path-lookups", "as", "--as" },
    { "vcount", "fping", "-c N --fping" },
    { "period", "interval", "-i" },
};

/* ": and a word about it", in BUFFER, where there is one; else "". */
static const char *
hint_of(const struct command *command, int letter, char buffer[200])
{
    const char *hint = command->hint && letter > 0 && letter < LONG_BASE ? command->hint((char)letter) : NULL;
    snprintf(buffer, 200, "%s%s", hint ? ": " : "", hint ? hint : "");
    return buffer;
}

static void
take_value(const struct command *command, const struct option_row *row, const char *text)
{
    int64_t number;
    char hint[200];
    switch (row->value) {
    case NO_VALUE:
        *(bool *)row->to = true;
        break;
    case WORD:
    case MAY_WORD:
        *(const char **)row->to = text ? text : "";
        break;
    case SECONDS:
        if (!text_seconds(text, row->to))
            wrong("--%s takes seconds, such as 0.5, not %s%s", row->name, text, hint_of(command, row->letter, hint));
        break;
    case WHOLE:
        if (!text_whole(text, &number))
            wrong("--%s takes a whole number, not %s%s", row->name, text, hint_of(command, row->letter, hint));
        if (number < row->low || number > row->high)
            wrong("--%s takes a number from %" PRId64 " to %" PRId64 ", not %s%s", row->name, row->low, row->high, text,
                  hint_of(command, row->letter, hint));
        *(int64_t *)row->to = number;
        break;
    }
}

/* What getopt_long() is told; returns how many rows there are. */
static int
describe(const struct command *command, char letters[3 * OPTIONS_MAX], struct option *names)
{
    int count = 0;
    char *at = letters;
    *at++ = ':';
    for (const struct option_row *row = command->rows; row->name; row++, count++) {
        int takes = !row->what ? no_argument : row->value == MAY_WORD ? optional_argument : required_argument;
        names[count] = (struct option){ row->name, takes, NULL, row->letter ? row->letter : LONG_BASE + count };
        if (!row->letter)
            continue;
        *at++ = row->letter;
        if (row->what)
            *at++ = ':';
    }
    *at++ = 'h';
    *at = 0;
    names[count] = (struct option){ "help", no_argument, NULL, 'h' };
    names[count + 1] = (struct option){ "version", no_argument, NULL, VERSION };
    names[count + 2] = (struct option){ "option-table", no_argument, NULL, TABLE };
    names[count + 3] = (struct option){ NULL, 0, NULL, 0 };
    return count;
}

static const struct option_row *
row_of(const struct command *command, int value)
{
    for (const struct option_row *row = command->rows; row->name; row++)
        if (value == (row->letter ? row->letter : LONG_BASE + (int)(row - command->rows)))
            return row;
    return NULL;
}

/* Among the first COUNT rows. */
static bool
has_row(const struct command *command, size_t count, const char *name)
{
    for (size_t i = 0; i < count && command->rows[i].name; i++)
        if (strcmp(command->rows[i].name, name) == 0)
            return true;
    return false;
}

/* optopt is a letter of ours where it was given a value that it does not take, as --name=value. */
static _Noreturn void
refuse(const struct command *command, char **argv)
{
    const char *word = argv[optind - 1];
    const struct option_row *row = row_of(command, optopt);
    char hint[200];
    if (row && strncmp(word, "--", 2) == 0)
        wrong("--%s takes no value", row->name);
    if (optopt && optopt < LONG_BASE)
        wrong("no option -%c%s; --help lists them", optopt, hint_of(command, optopt, hint));
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        size_t length = strlen(elsewhere[i].theirs);
        bool ends = strncmp(word, "--", 2) == 0 && strncmp(word + 2, elsewhere[i].theirs, length) == 0 &&
                    (!word[2 + length] || word[2 + length] == '=');
        if (ends && has_row(command, OPTIONS_MAX, elsewhere[i].row))
            wrong("no option %s: here it is %s", word, elsewhere[i].ours);
    }
    wrong("no option %s; --help lists them", word);
}

/* Whatever a host is, it is of these; other words may be a slip of the shell's. Names of any language may be given. */
static void
check_operand(const char *word)
{
    for (const char *at = word; *at; at++)
        if ((unsigned char)*at < 128 && !is_digit(*at) && !(*at >= 'a' && *at <= 'z') && !(*at >= 'A' && *at <= 'Z') &&
            !strchr(".:%/_-[]", *at))
            wrong("not a host: '%s'", word);
    if (!*word)
        wrong("not a host: ''");
}

/* At the end: results that could not be written are no success. Whoever closed a pipe wanted no more. */
static void
check_output(void)
{
    struct pollfd output = { .fd = STDOUT_FILENO };
    bool lost = fflush(stdout) == EOF || ferror(stdout);
    if (!lost || (poll(&output, 1, 0) == 1 && output.revents & (POLLERR | POLLHUP)))
        return;
    warnx("not all could be written to standard output");
    _exit(2);
}

int
command_read(struct command *command, int argc, char **argv)
{
    char letters[3 * OPTIONS_MAX];
    struct option names[OPTIONS_MAX + 4];
    bool help = false;
    setlocale(LC_CTYPE, ""); /* what a terminal shows; numbers stay with their points */
    atexit(check_output);
    describe(command, letters, names);
    opterr = 0;
    for (int value; (value = getopt_long(argc, argv, letters, names, NULL)) != -1;) {
        const struct option_row *row = row_of(command, value);
        if (value == ':') {
            row = row_of(command, optopt);
            wrong("--%s needs a value", row ? row->name : "?");
        } else if (value == '?') {
            refuse(command, argv);
        } else if (value == VERSION) {
            printf("%s (hopline) %s\n", program_invocation_short_name, HOPLINE_VERSION);
            exit(0);
        } else if (value == TABLE) {
            print_table(command);
        } else if (row) {
            take_value(command, row, optarg);
        } else {
            help = true;
        }
    }
    if (help)
        print_help(command);
    int count = argc - optind;
    for (int i = optind; i < argc; i++)
        check_operand(argv[i]);
    memmove(argv + 1, argv + optind, (size_t)count * sizeof *argv);
    return count;
}

/* ---- what all have in common */

struct probing
probing_default(int64_t timeout)
{
    return (struct probing){ .size = -1, .tos = -1, .ttl = -1, .timeout = timeout };
}

void
command_add_probing(struct command *command, struct probing *probing)
{
    const struct option_row common[] = {
        { '4', "ipv4", NULL, NO_VALUE, &probing->ipv4, "IPv4 only", 0, 0 },
        { '6', "ipv6", NULL, NO_VALUE, &probing->ipv6, "IPv6 only", 0, 0 },
        { 'p', "protocol", "PROTOCOL[:PORT]", WORD, &probing->protocol_word, "icmp (the default), udp, tcp or sctp", 0, 0 },
        { 'I', "source", "ADDRESS|INTERFACE", WORD, &probing->source_word,
          "probe from this address, or by this interface", 0, 0 },
        { 's', "size", "N", WHOLE, &probing->size, "bytes of the whole IP packet (icmp and udp; 64)", 1, 65535 },
        { 'Q', "tos", "N", WHOLE, &probing->tos, "IPv4 type of service, IPv6 traffic class (0; 0x for hex)", 0, 255 },
        { 't', "ttl", "N", WHOLE, &probing->ttl, "time to live, hop limit (255)", 1, 255 },
        { 'W', "timeout", "SECONDS", SECONDS, &probing->timeout, "how long an answer may take (4)", 0, 0 },
        { 'n', "numeric", NULL, NO_VALUE, &probing->numeric, "addresses only, no names", 0, 0 },
        { 0, "json", NULL, NO_VALUE, &probing->json, "for programs: one JSON object a line, see probe-json(5)", 0, 0 },
        { 0 },
    };
    size_t count = 0;
    while (command->rows[count].name)
        count++;
    size_t own = count;
    for (const struct option_row *row = common; row->name; row++)
        if (!has_row(command, own, row->name))
            command->rows[count++] = *row;
    command->rows[count] = (struct option_row){ 0 };
}

void
command_add_service(struct command *command, struct probing *probing)
{
    size_t count = 0;
    while (command->rows[count].name)
        count++;
    command->rows[count] = (struct option_row){ 0, "service", SERVICE_CHOICE, WORD, &probing->service_word,
                                                "ask as its clients do, by udp, and judge the answers", 0, 0 };
    command->rows[count + 1] = (struct option_row){ 0 };
}

static void
check_protocol(struct probing *probing)
{
    static const char *const known[] = { "icmp", "udp", "tcp", "sctp" };
    const char *word = probing->protocol_word ? probing->protocol_word : probing->service_word ? "udp" : "icmp";
    const char *colon = strchr(word, ':');
    size_t length = colon ? (size_t)(colon - word) : strlen(word);
    int64_t port;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i]) == length && strncmp(known[i], word, length) == 0)
            probing->protocol = known[i];
    if (!probing->protocol && text_whole(word, &port))
        wrong("a port stands behind its protocol, as -p tcp:%s", word);
    if (!probing->protocol)
        wrong("--protocol takes icmp, udp, tcp or sctp, not %.*s", (int)length, word);
    if (colon && strcmp(probing->protocol, "icmp") == 0)
        wrong("icmp has no ports");
    if (colon && (!text_whole(colon + 1, &probing->port) || probing->port < 1 || probing->port > 65535))
        wrong("a port is a number from 1 to 65535, not %s", colon + 1);
}

static void
check_service(struct probing *probing)
{
    uint8_t random[SERVICE_RANDOM];
    if (!probing->service_word)
        return;
    if (getrandom(random, sizeof random, 0) != sizeof random)
        err(2, "getrandom");
    if (!service_ask(&probing->question, probing->service_word, random))
        wrong("--service takes " SERVICE_NAMES ", not %s", probing->service_word);
    if (strcmp(probing->protocol, "udp") != 0)
        wrong("--service goes by udp, not by %s", probing->protocol);
    if (probing->size >= 0)
        wrong("what --service sends has a size of its own");
    if (!probing->port)
        probing->port = probing->question.service->port;
}

static void
check_source(struct probing *probing)
{
    const char *word = probing->source_word;
    struct address address;
    if (!word)
        return;
    probing->source_value = word;
    if (address_parse(IPV4, word, strlen(word), &address))
        probing->source = "local-ip-4";
    else if (address_parse(IPV6, word, strcspn(word, "%"), &address))
        probing->source = "local-ip-6";
    else if (text_is_name(word) && word[strspn(word, "0123456789.")])
        probing->source = "local-device";
    else
        wrong("not an address or interface: '%s'", word);
    int family = strcmp(probing->source, "local-ip-4") == 0 ? 4 : strcmp(probing->source, "local-ip-6") == 0 ? 6 : 0;
    if (family && probing->family && family != probing->family)
        wrong("the source address is not of IPv%d", probing->family);
    if (family)
        probing->family = family;
}

void
probing_check(struct probing *probing)
{
    if (probing->ipv4 && probing->ipv6)
        wrong("either -4 or -6");
    if (!probing->timeout)
        wrong("--timeout takes more than 0: no answer is as fast as that");
    probing->family = probing->ipv4 ? 4 : probing->ipv6 ? 6 : 0;
    check_protocol(probing);
    check_service(probing);
    check_source(probing);
}

const char *
probing_arguments(const struct probing *probing, char buffer[ARGUMENTS_MAX])
{
    struct {
        const char *name;
        int64_t value;
    } numbers[] = { { "size", probing->size }, { "tos", probing->tos }, { "ttl", probing->ttl } };
    int used = snprintf(buffer, ARGUMENTS_MAX, " protocol %s", probing->protocol);
    if (probing->port)
        used += snprintf(buffer + used, ARGUMENTS_MAX - (size_t)used, " port %" PRId64, probing->port);
    if (probing->source)
        used += snprintf(buffer + used, ARGUMENTS_MAX - (size_t)used, " %s %.100s", probing->source,
                         probing->source_value);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].value >= 0)
            used += snprintf(buffer + used, ARGUMENTS_MAX - (size_t)used, " %s %" PRId64, numbers[i].name,
                             numbers[i].value);
    return buffer;
}
