/* SPDX-License-Identifier: MIT */
/*
 * Names and addresses, by c-ares: /etc/hosts and DNS, as resolv.conf(5) and nsswitch.conf(5) say, hundreds at once in
 * the loop, so that nobody ever waits for a resolver. The addresses of a host that these do not know are asked of the
 * other services that nsswitch.conf names. What a resolver says is a stranger's: a name is letters, digits, dots,
 * hyphens and underscores, or it is none.
 */
#ifndef HOPLINE_TOOLS_NAMES_H
#define HOPLINE_TOOLS_NAMES_H

#include "tools/events.h"

#define ADDRESS_TEXT_MAX 64 /* bytes, with a scope */
#define NAME_TEXT_MAX 256
#define NAME_WHY_MAX 100

struct names;

/* Never NULL: ends the program without memory, and later, at the first question, when c-ares can't start. */
struct names *names_new(struct events *events);
void names_free(struct names *names);

/*
 * Looks up the addresses of HOST, in the order of RFC 6724; FAMILY is 4, 6 or 0 for both. FOUND is called once, perhaps
 * at once: COUNT addresses as text, or none and WHY. An international name is looked up by its IDNA2008 form.
 */
typedef void names_found(void *owner, uint64_t tag, char (*addresses)[ADDRESS_TEXT_MAX], size_t count, const char *why);
void names_addresses(struct names *names, const char *host, int family, names_found *found, void *owner, uint64_t tag);

/*
 * The name of ADDRESS: NULL while it is not known, "" when it has none. The first call asks for it. Names are asked for
 * once, and known for as long as this lives.
 */
const char *names_of(struct names *names, const char *address);

/*
 * The number and country of the autonomous system that announces ADDRESS ("64500 DE"), from Team Cymru's TXT records;
 * NULL and "" as in names_of().
 */
const char *names_system_of(struct names *names, const char *address);

/* CHANGED is called when answers came to names_of() and names_system_of(). */
void names_on_change(struct names *names, void (*changed)(void *owner), void *owner);

/* True while some of these are awaited, and no more than 2 s since the first of them was asked. */
bool names_awaited(const struct names *names);

#endif
