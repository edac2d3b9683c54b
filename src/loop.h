/* SPDX-License-Identifier: MIT */
/* The one poll() loop: requests in, answers in, replies out, and the time. */
#ifndef HOPLINE_LOOP_H
#define HOPLINE_LOOP_H

#include "lines/input.h"
#include "probes/prober.h"

struct loop {
    struct input *input;
    int input_fd;
    struct output *output;
    struct transport *transport;
    struct prober *prober;
    int signal_fd; /* signalfd(2) of the signals that end the process */
    bool verbose;  /* says on stderr what was lost */
};

/*
 * Runs until all requests are answered and the input has ended, until nobody can read the replies any more, or until a
 * signal comes. Returns the number of that signal, or -errno where the host does not let it wait; else 0.
 */
int loop_run(const struct loop *loop);

#endif
