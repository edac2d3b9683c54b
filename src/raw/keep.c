/* SPDX-License-Identifier: MIT */
#include "raw/keep.h"

#include <errno.h>
#include <unistd.h>

#include "host/sockopt.h"

static int
keep(unsigned uses, enum family_id family, const struct address *source, uint32_t scope, uint16_t port)
{
    struct sockaddr_storage name;
    socklen_t length = address_to_socket(family, source, scope, port, &name);
    int fd = socket(families[family].domain, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    struct refused refused = { 0 }; /* not passed on: only what sockets of probes are refused is reported */
    if (!(uses & (USE_CROWD | USE_LOOK)))
        sockopt_hear_nothing(fd, &refused);
    int error = sockopt_set_up(fd, uses, family, &refused);
    if (!error && bind(fd, (struct sockaddr *)&name, length) < 0)
        error = errno;
    if (!error)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

/* In IPv6, too, where there is no IPv4. */
static int
keep_at(unsigned uses, const struct address addresses[FAMILIES], enum family_id first, uint16_t port)
{
    int fd = keep(uses, first, &addresses[first], 0, port);
    enum family_id other = first == IPV4 ? IPV6 : IPV4;
    return fd < 0 && errno == EAFNOSUPPORT ? keep(uses, other, &addresses[other], 0, port) : fd;
}

/* In IPv4 an address of loopback that spells "hop". It need not be there: `lo` may be down. */
static const struct address meeting_place[FAMILIES] = {
    [IPV4] = { { 127, 104, 111, 112 } },
    [IPV6] = { { [15] = 1 } },
};

int
keep_guard(uint16_t port)
{
    return keep_at(USE_GUARD, meeting_place, IPV4, port);
}

int
keep_trace(uint16_t port)
{
    return keep_at(USE_TRACE, meeting_place, IPV4, port);
}

/* Without a filter, which takes longer than all else about it. */
bool
keep_is_free(uint16_t port)
{
    int fd = keep_at(USE_LOOK, meeting_place, IPV4, port);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int
keep_port(enum family_id family, const struct address *source, uint32_t scope, uint16_t port)
{
    return keep(USE_KEEPER, family, source, scope, port);
}

/*
 * One socket of IPv6 has it in both families. There may be thousands, so they are without a filter, which would take two
 * thirds of their memory and half of the time: 6 of 8 kB, 7 of 15 us. Instead their buffers have room for one datagram.
 */
int
keep_port_everywhere(uint16_t port)
{
    static const struct address everywhere[FAMILIES];
    return keep_at(USE_CROWD, everywhere, IPV6, port);
}
