/* The order of the start, which is the order of trust: sockets, then no privilege, then the first byte of a client. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "loop.h"
#include "options.h"
#include "privileges.h"
#include "protocol.h"
#include "raw.h"
#include "sandbox.h"

/* Descriptors 0 to 2 must exist, or a socket would become standard output. */
static bool
fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    return fd < 0 || close(fd) == 0;
}

/* The signals that end us, as a descriptor: so what was answered is written first. */
static int
open_signals(void)
{
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGHUP);
    signal(SIGPIPE, SIG_IGN); /* a closed output is an error of write(), no reason to die */
    sigprocmask(SIG_BLOCK, &ending, NULL);
    return signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void
tell_support(const struct transport *transport)
{
    for (enum family_id family = 0; family < FAMILIES; family++)
        for (enum protocol_id protocol = 0; protocol < PROTOCOLS; protocol++)
            if (!transport->body->supports(transport, family, protocol))
                fprintf(stderr, "mtr-packet: no %s with %s\n", protocols[protocol]->name,
                        families[family].target_name);
    if (!transport->body->supports_mark(transport))
        fputs("mtr-packet: no mark, for want of CAP_NET_RAW\n", stderr);
}

static int
fail(const char *what)
{
    fprintf(stderr, "mtr-packet: %s: %s\n", what, strerror(errno));
    return EXIT_FAILURE;
}

/* Everything but the transport. Made before the sandbox, which lets nothing be opened any more. */
static bool
set_up(const struct options *options, struct loop *loop)
{
    loop->signal_fd = open_signals();
    loop->verbose = options->verbose;
    loop->input_fd = STDIN_FILENO;
    loop->input = input_new(STDIN_FILENO);
    loop->output = output_new(STDOUT_FILENO);
    if (loop->signal_fd >= 0 && loop->input && loop->output)
        loop->prober = prober_new(loop->transport, loop->output,
                                  (struct prober_options){ options->strict, options->old_words });
    return loop->prober != NULL;
}

static void
tear_down(struct loop *loop)
{
    prober_free(loop->prober);
    input_free(loop->input);
    output_free(loop->output);
    if (loop->signal_fd >= 0)
        close(loop->signal_fd);
    if (loop->transport)
        loop->transport->body->close(loop->transport);
}

/* From here on nothing can be opened, and nothing is permitted but, perhaps, to mark a packet. */
static int
run(const struct options *options, struct privileges *privileges, struct loop *loop)
{
    if (!privileges_drop(privileges, sandbox_available()))
        return fail("can't drop privileges");
    if (!sandbox_enter())
        return fail("can't enter the sandbox");
    if (options->verbose)
        tell_support(loop->transport);
    loop_run(loop);
    return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
    struct options options;
    if (!fill_standard_descriptors())
        return EXIT_FAILURE;
    switch (options_read(argc, argv, &options)) {
    case OPTIONS_DONE:
        return EXIT_SUCCESS;
    case OPTIONS_WRONG:
        return EXIT_FAILURE;
    case OPTIONS_RUN:
        break;
    }

    struct privileges *privileges = privileges_raise_all();
    if (!privileges)
        return fail("can't read capabilities");
    int status = EXIT_FAILURE;
    struct loop loop = { .transport = raw_open(privileges), .signal_fd = -1 };
    if (!loop.transport)
        fprintf(stderr,
                "mtr-packet: can't open raw sockets: %s; run as root, or as root once: setcap cap_net_raw+p %s\n",
                strerror(errno), argc ? argv[0] : "mtr-packet");
    else if (!set_up(&options, &loop))
        fail("can't start");
    else
        status = run(&options, privileges, &loop);
    tear_down(&loop);
    privileges_free(privileges);
    return status;
}
