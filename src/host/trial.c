/* SPDX-License-Identifier: MIT */
#include "host/trial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/in6.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/sockopt.h"

#define ANY_PORT 33434 /* nothing is sent to it */

static int
open_trial(const struct trial *trial)
{
    const struct family *family = &families[trial->family];
    int tos = trial->tos, device = (int)trial->device;
    int fd = socket(family->domain, SOCK_DGRAM | SOCK_CLOEXEC, trial->number);
    if (fd < 0)
        return -1;
    /* What is refused here is refused to the probe as well, or does not matter. */
    if (device)
        setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device, sizeof device);
    if (trial->mark)
        setsockopt(fd, SOL_SOCKET, SO_MARK, &trial->mark, sizeof trial->mark);
    if (tos)
        setsockopt(fd, family->level, family->tos, &tos, sizeof tos);
    return fd;
}

static int
bind_to(int fd, const struct trial *trial)
{
    struct sockaddr_storage name;
    if (address_is_unspecified(&trial->local))
        return 0;
    if (address_is_group(trial->family, &trial->local)) /* which a socket may be bound to, too */
        return EADDRNOTAVAIL;
    socklen_t length = address_to_socket(trial->family, &trial->local, trial->device, 0, &name);
    return bind(fd, (struct sockaddr *)&name, length) < 0 ? errno : 0;
}

static int
connect_to(int fd, const struct trial *trial, struct trial_outcome *outcome)
{
    struct sockaddr_storage name;
    int on = 1;
    socklen_t length = address_to_socket(trial->family, &trial->target, trial->device,
                                         trial->port ? trial->port : ANY_PORT, &name);
    if (trial->flow_label && setsockopt(fd, IPPROTO_IPV6, IPV6_FLOWINFO_SEND, &on, sizeof on) == 0) {
        uint32_t label = htonl(trial->flow_label);
        memcpy((uint8_t *)&name + offsetof(struct sockaddr_in6, sin6_flowinfo), &label, sizeof label);
    }
    if (connect(fd, (struct sockaddr *)&name, length) == 0)
        return 0;
    if (errno != EACCES || setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on) < 0)
        return errno;
    outcome->broadcast = true;
    return connect(fd, (struct sockaddr *)&name, length) < 0 ? errno : 0;
}

/* Connects it, and says what it has got. */
static int
try_target(int fd, const struct trial *trial, struct trial_outcome *outcome)
{
    const struct family *family = &families[trial->family];
    struct sockaddr_storage name = { 0 };
    socklen_t length = sizeof name;
    enum family_id family_id;
    int mtu = 0;
    int error = connect_to(fd, trial, outcome);
    if (!error && (getsockname(fd, (struct sockaddr *)&name, &length) < 0 ||
                   !address_from_socket(&name, &family_id, &outcome->source)))
        error = EADDRNOTAVAIL;
    length = sizeof mtu;
    if (!error && getsockopt(fd, family->level, family->mtu, &mtu, &length) == 0 && mtu > 0)
        outcome->mtu = (uint32_t)mtu;
    return error;
}

int
trial_run(const struct trial *trial, struct trial_outcome *outcome)
{
    *outcome = (struct trial_outcome){ .mtu = 0 };
    int fd = open_trial(trial);
    int error = fd < 0 ? errno : bind_to(fd, trial);
    if (!error)
        error = try_target(fd, trial, outcome);
    if (fd >= 0)
        close(fd);
    return error;
}

/*
 * Takes back what the last question has left there, or the socket would keep its source. And the kernel takes it off its list
 * of raw sockets (connect(2) with AF_UNSPEC, of one that is not bound), so it is handed no packets any more, which are copied
 * before a filter throws them away.
 */
static void
forget(int fd)
{
    static const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
    connect(fd, &nobody, sizeof nobody);
}

int
trial_run_raw(int fd, const struct trial *trial, struct trial_outcome *outcome)
{
    const struct family *family = &families[trial->family];
    int tos = trial->tos, off = 0;
    *outcome = (struct trial_outcome){ .mtu = 0 };
    forget(fd);
    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &off, sizeof off);
    setsockopt(fd, family->level, family->tos, &tos, sizeof tos);
    return try_target(fd, trial, outcome);
}

int
trial_open_raw(enum family_id family, uint8_t number)
{
    struct refused refused = { 0 }; /* not passed on: without a filter it only wastes time */
    int fd = socket(families[family].domain, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, number);
    if (fd < 0)
        return -1;
    sockopt_hear_nothing(fd, &refused);
    forget(fd);
    return fd;
}

int
trial_bind(const struct trial *trial)
{
    int fd = open_trial(trial);
    int error = fd < 0 ? errno : bind_to(fd, trial);
    if (fd >= 0)
        close(fd);
    return error;
}

static uint32_t
read_option(int fd, int option)
{
    uint32_t value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : 0;
}

void
trial_read_defaults(uint32_t *device, uint32_t *mark)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *device = *mark = 0;
    if (fd < 0)
        return;
    *device = read_option(fd, SO_BINDTOIFINDEX);
    *mark = read_option(fd, SO_MARK);
    close(fd);
}
