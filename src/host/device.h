/* SPDX-License-Identifier: MIT */
/* Network interfaces by name and by index, netdevice(7). FD is any socket. */
#ifndef HOPLINE_DEVICE_H
#define HOPLINE_DEVICE_H

#include "packets/request.h"

/*
 * Sets *DEVICE to the index of the interface that the request names, by local-device or a scope; 0 if it names none.
 * Returns 0, or an errno value: ENODEV: it is not there; ENETUNREACH: the request names two.
 */
int device_find(int fd, const struct request *request, uint32_t *device);

/* The name of an interface; false when it is gone. */
bool device_find_name(int fd, uint32_t device, char name[IFNAMSIZ]);

/* What fits through it, in bytes; 0 when it is gone. */
uint32_t device_mtu(int fd, uint32_t device);

#endif
