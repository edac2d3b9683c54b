/* SPDX-License-Identifier: MIT */
/*
 * The name services of nsswitch.conf(5) besides /etc/hosts and DNS: neighbours by mDNS, the host's own name, a directory.
 * Only getaddrinfo(3) knows how to ask them, and it waits: so each question has a thread of its own, a few at once.
 */
#ifndef HOPLINE_TOOLS_NAME_SERVICES_H
#define HOPLINE_TOOLS_NAME_SERVICES_H

#include <netdb.h>

#include "tools/events.h"

struct name_services;

/* NULL: this host has none, or there is no memory or descriptor for them. */
struct name_services *name_services_new(struct events *events);

/* At the end of the program: who still waits is not told, and what threads are at work for is not freed. */
void name_services_free(struct name_services *services);

/*
 * Looks HOST up, in ASCII; DOMAIN is AF_INET, AF_INET6 or AF_UNSPEC. FOUND is called once, never from in here: with what
 * getaddrinfo() found, which it does not keep, or NULL. False when there is no memory.
 */
typedef void name_services_found(void *owner, const struct addrinfo *found);
bool name_services_ask(struct name_services *services, const char *host, int domain, name_services_found *found, void *owner);

#endif
