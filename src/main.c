/* SPDX-License-Identifier: MIT */
/* The order of the start, which is the order of trust: sockets, then no privilege, then the first byte of a client. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "host/privileges.h"
#include "host/route.h"
#include "host/sandbox.h"
#include "loop.h"
#include "options.h"
#include "packets/compat.h"
#include "packets/protocol.h"
#include "plain/plain.h"
#include "raw/raw.h"

/* Descriptors 0 to 2 must exist, or a socket would become standard output. */
static bool
fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return false;
    return true;
}

/* Not those that whoever started us has us ignore: nohup(1), or a shell for what runs in its background. */
static sigset_t
ending_signals(void)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
    struct sigaction action;
    sigset_t ending;
    sigemptyset(&ending);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&ending, numbers[i]);
    return ending;
}

/* The signals that end us, as a descriptor: so what was answered is written first. */
static int
open_signals(const sigset_t *ending)
{
    sigprocmask(SIG_BLOCK, ending, NULL);
    return signalfd(-1, ending, SFD_CLOEXEC | SFD_NONBLOCK);
}

/*
 * A shell has to see that a signal ended us, or its loop would go on after Ctrl-C. Process 1 of a container is not ended
 * like this by its own signals: so it says by its exit status what a shell would make of it.
 */
static int
end_by(int number)
{
    raise(number);
    return 128 + number;
}

/* As many descriptors as the host allows us: each port that a probe keeps for itself is held by an open socket. */
static void
raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit); /* else it stays as it is */
    }
}

static void
tell_refused(const struct transport *transport)
{
    for (enum wish wish = NEEDED + 1; wish < WISHES; wish++)
        if ((transport->refused.wishes >> wish & 1) && sockopt_loss(wish))
            fprintf(stderr, "mtr-packet: this host refuses a socket option: %s\n", sockopt_loss(wish));
}

static const char *
why_no_mark(const struct privileges *privileges)
{
    if (!privileges_are_callers(privileges))
        return "CAP_NET_RAW is the file's; for marks it must be the caller's own (root, ambient or inheritable)";
    return sandbox_available() ? "CAP_NET_RAW is wanting, or not enough for this kernel" : "there is no sandbox";
}

static void
tell_support(const struct transport *transport, const struct privileges *privileges, const struct options *options,
             bool unprivileged)
{
    if (unprivileged && getuid() == 0)
        fputs("mtr-packet: no raw sockets, though this is root: the host does not have them, or refuses them here\n", stderr);
    else if (unprivileged)
        fputs("mtr-packet: no raw sockets; to have them, run it as root, or once: setcap cap_net_raw+p its file\n", stderr);
    if (!routes_have_netlink(transport->routes))
        fputs("mtr-packet: this host refuses netlink: sources and MTUs are asked of sockets, interfaces are not known, and "
              "changes of routes are seen a second late\n", stderr);
    for (enum family_id family = 0; family < FAMILIES; family++) {
        for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++) {
            int error = transport->refusals[family][protocol];
            if (error)
                fprintf(stderr, "mtr-packet: no %s with %s: %s\n", protocols[protocol]->name,
                        families[family].target_name, strerror(error));
        }
    }
    if (!transport->body->supports_mark(transport))
        fprintf(stderr, "mtr-packet: no mark: %s\n", options->no_mark ? "--no-mark" : why_no_mark(privileges));
    tell_refused(transport);
    if (transport->refusals[IPV4][PROTOCOL_ICMP] == EACCES)
        fputs("mtr-packet: to have icmp, run as root: sysctl net.ipv4.ping_group_range='0 2147483647'\n", stderr);
}

static int
fail(const char *what)
{
    fprintf(stderr, "mtr-packet: %s: %s\n", what, strerror(errno));
    return EXIT_FAILURE;
}

/* What can be done about sockets that could not be opened. */
static int
fail_to_open(void)
{
    if (errno == EMFILE || errno == ENFILE)
        return fail("can't open sockets; raise the limit (ulimit -n)");
    return fail("can't open sockets");
}

/* Raw sockets where we may have them, else what needs no privilege: no help if memory or descriptors ran out. */
static struct transport *
open_transport(struct privileges *privileges, bool *unprivileged)
{
    struct transport *transport = raw_open(privileges);
    *unprivileged = !transport && errno != ENOMEM && errno != EMFILE && errno != ENFILE;
    return *unprivileged ? plain_open() : transport;
}

/* To be done without privilege: opening the client's output again, which is right only if the user may. */
static bool
set_up(const struct options *options, struct loop *loop)
{
    loop->verbose = options->verbose;
    loop->input_fd = STDIN_FILENO;
    loop->input = input_new(STDIN_FILENO);
    loop->output = output_new(STDOUT_FILENO);
    if (loop->input && loop->output)
        loop->prober = prober_new(loop->transport, loop->output,
                                  (struct prober_options){
                                      .strict = options->strict,
                                      .old_words = options->old_words,
                                      .limit_rate = options->limit_rate,
                                      .limit_in_flight = options->limit_in_flight,
                                  });
    errno = ENOMEM; /* there is nothing else that can be wrong */
    return loop->prober != NULL;
}

static void
tear_down(struct loop *loop)
{
    prober_free(loop->prober);
    input_free(loop->input);
    output_free(loop->output);
    loop->transport->body->close(loop->transport);
}

/* With the sockets open: no privilege, then the rest, then the sandbox, then the first byte. */
static int
run(const struct options *options, struct privileges *privileges, bool unprivileged, struct loop *loop)
{
    if (!privileges_drop(privileges, sandbox_available() && !options->no_mark))
        return fail("can't drop privileges");
    if (!set_up(options, loop))
        return fail("can't start");
    if (options->verbose)
        tell_support(loop->transport, privileges, options, unprivileged);
    sigset_t ending = ending_signals(); /* from here on: who does not read what is told above can still end us */
    loop->signal_fd = open_signals(&ending);
    if (loop->signal_fd < 0)
        return fail("can't watch for signals");
    output_give_up_by(loop->output, loop->signal_fd);
    if (!privileges_seal() || !sandbox_enter(unprivileged))
        return fail("can't enter the sandbox");
    int number = loop_run(loop);
    sigprocmask(SIG_UNBLOCK, &ending, NULL);
    if (number > 0)
        return end_by(number);
    if (number < 0) {
        errno = -number;
        return fail("can't wait for packets");
    }
    errno = output_error(loop->output);
    return errno ? fail("can't write replies") : EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
    struct options options;
    if (!fill_standard_descriptors())
        return fail("can't open /dev/null");
    switch (options_read(argc, argv, &options)) {
    case OPTIONS_DONE:
        return EXIT_SUCCESS;
    case OPTIONS_WRONG:
        return EXIT_FAILURE;
    case OPTIONS_RUN:
        break;
    }

    raise_descriptor_limit();
    signal(SIGPIPE, SIG_IGN); /* a closed output is an error of write(), no reason to die; */
    signal(SIGXFSZ, SIG_IGN); /* nor is a file that may not grow */
    mallopt(M_MMAP_THRESHOLD, 16 * 1024); /* so tables are fresh pages, which cost nothing until touched */
    struct loop loop = { .signal_fd = -1 };
    struct privileges *privileges = privileges_raise_all();
    if (!privileges)
        return fail("can't read capabilities");
    bool unprivileged;
    int status;
    loop.transport = open_transport(privileges, &unprivileged);
    if (loop.transport) {
        status = run(&options, privileges, unprivileged, &loop);
        tear_down(&loop);
    } else {
        status = fail_to_open();
    }
    privileges_free(privileges);
    close(loop.signal_fd);
    return status;
}
