/* SPDX-License-Identifier: MIT */
#include "host/device.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lines/word.h"

/* 0 when there is none of this name. */
static uint32_t
find_index(int fd, const char *name, size_t length)
{
    struct ifreq interface = { 0 };
    memcpy(interface.ifr_name, name, length);
    return ioctl(fd, SIOCGIFINDEX, &interface) < 0 ? 0 : (uint32_t)interface.ifr_ifindex;
}

bool
device_find_name(int fd, uint32_t device, char name[IFNAMSIZ])
{
    struct ifreq interface = { .ifr_ifindex = (int)device };
    if (ioctl(fd, SIOCGIFNAME, &interface) < 0)
        return false;
    memcpy(name, interface.ifr_name, IFNAMSIZ);
    return true;
}

/* A name is looked for first: an interface may be called 2. */
static uint32_t
find_scope(int fd, struct word scope)
{
    char name[IFNAMSIZ];
    uint32_t found = find_index(fd, scope.at, scope.length);
    if (!found && word_is_number(scope, &found) && !device_find_name(fd, found, name))
        return 0;
    return found;
}

/* All that name an interface must mean the same one. */
static int
agree(uint32_t *device, uint32_t found)
{
    if (!found)
        return ENODEV;
    if (*device && *device != found)
        return ENETUNREACH;
    *device = found;
    return 0;
}

int
device_find(int fd, const struct request *request, uint32_t *device)
{
    int error = 0;
    *device = 0;
    if (request->device[0])
        error = agree(device, find_index(fd, request->device, strlen(request->device)));
    if (!error && request->scope.length)
        error = agree(device, find_scope(fd, request->scope));
    if (!error && request->local_scope.length)
        error = agree(device, find_scope(fd, request->local_scope));
    return error;
}

uint32_t
device_mtu(int fd, uint32_t device)
{
    struct ifreq interface = { 0 };
    if (!device_find_name(fd, device, interface.ifr_name) || ioctl(fd, SIOCGIFMTU, &interface) < 0)
        return 0;
    return (uint32_t)interface.ifr_mtu;
}
