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

static int
run(const struct options *options, struct transport *transport, int signal_fd)
{
    struct output *output = output_new(STDOUT_FILENO);
    struct input *input = input_new(STDIN_FILENO);
    struct prober *prober = NULL;
    if (output)
        prober = prober_new(transport, output, (struct prober_options){ options->strict, options->old_words });
    bool ready = input && prober;
    if (ready)
        loop_run(&(struct loop){
            .input = input,
            .input_fd = STDIN_FILENO,
            .output = output,
            .transport = transport,
            .prober = prober,
            .signal_fd = signal_fd,
            .verbose = options->verbose,
        });
    prober_free(prober);
    input_free(input);
    output_free(output);
    return ready ? EXIT_SUCCESS : fail("can't start");
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
    struct transport *transport = raw_open(privileges);
    int open_error = errno;
    if (!privileges_drop(privileges))
        return fail("can't drop privileges");
    if (!transport) {
        fprintf(stderr,
                "mtr-packet: can't open raw sockets: %s; run as root, or as root once: setcap cap_net_raw+p %s\n",
                strerror(open_error), argc ? argv[0] : "mtr-packet");
        privileges_free(privileges);
        return EXIT_FAILURE;
    }
    int signal_fd = open_signals();
    if (signal_fd < 0)
        return fail("can't watch for signals");
    if (options.verbose)
        tell_support(transport);

    int status = run(&options, transport, signal_fd);
    close(signal_fd);
    transport->body->close(transport);
    privileges_free(privileges);
    return status;
}
