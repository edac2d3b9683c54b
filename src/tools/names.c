/* SPDX-License-Identifier: MIT */
#include "tools/names.h"

/* What replaces ares_query() and ares_parse_txt_reply() is not in c-ares before 1.28: Debian 12 has 1.18. */
#define CARES_NO_DEPRECATED
#include <ares.h>
#include <arpa/inet.h>
#include <dlfcn.h>
#include <err.h>
#include <idn2.h>
#include <net/if.h>
#include <netdb.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "host/clock.h"
#include "tools/name_services.h"
#include "tools/text.h"

#define PATIENCE (2 * NS_PER_S) /* with names that are only shown */
#define TRY_MS 2000             /* of one question at one server */
#define TRIES 2
#define RECEIVE_BYTES (1 << 20) /* as much as the kernel gives: a name server may answer hundreds at once */

struct names {
    struct events *events;
    ares_channel channel;
    struct socket *sockets; /* those that c-ares has open, in a list */
    struct alarm alarm;
    struct name_services *services; /* NULL: there are none, */
    bool has_services;              /* or they were not needed yet */
    void *known; /* tsearch(3)'s tree of struct fact */
    size_t awaited;
    struct instant asked_first;
    void (*changed)(void *owner);
    void *owner;
};

struct socket {
    struct names *names;
    struct watch watch;
    struct socket *next;
};

/* ---- c-ares in the loop */

static void
go_on(struct names *names)
{
    if (!names->channel)
        return;
    struct timeval most = { 3600, 0 }, left;
    struct timeval *wait = ares_timeout(names->channel, &most, &left);
    events_set(names->events, &names->alarm,
               instant_after(clock_now(), wait->tv_sec * NS_PER_S + wait->tv_usec * NS_PER_US));
}

static void
process(struct names *names, ares_socket_t readable, ares_socket_t writable)
{
    ares_process_fd(names->channel, readable, writable);
    go_on(names);
}

static void
socket_ready(void *owner, short came)
{
    struct socket *socket = owner;
    int descriptor = socket->watch.descriptor;
    process(socket->names, came & ~POLLOUT ? descriptor : ARES_SOCKET_BAD,
            came & POLLOUT ? descriptor : ARES_SOCKET_BAD);
}

static void
time_passed(void *owner)
{
    process(owner, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* c-ares says what it waits for on a socket; nothing: the socket is about to be closed. */
static void
socket_changed(void *data, ares_socket_t descriptor, int readable, int writable)
{
    struct names *names = data;
    struct socket **at = &names->sockets;
    while (*at && (*at)->watch.descriptor != descriptor)
        at = &(*at)->next;
    struct socket *socket = *at;
    short wanted = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
    if (socket && wanted) {
        socket->watch.wanted = wanted;
    } else if (socket) {
        events_unwatch(names->events, &socket->watch);
        *at = socket->next;
        free(socket);
    } else if (wanted && (socket = calloc(1, sizeof *socket))) {
        *socket = (struct socket){ names, { descriptor, wanted, socket_ready, socket }, names->sockets };
        if (events_watch(names->events, &socket->watch))
            names->sockets = socket;
        else
            free(socket);
    }
}

struct names *
names_new(struct events *events)
{
    struct names *names = calloc(1, sizeof *names);
    if (!names)
        err(2, NULL);
    names->events = events;
    names->alarm = (struct alarm){ .rings = time_passed, .owner = names };
    return names;
}

/* c-ares reads its files at the first question: who asks nothing pays nothing. Without it there is no way on. */
static ares_channel
channel_of(struct names *names)
{
    struct ares_options options = { .sock_state_cb = socket_changed, .sock_state_cb_data = names, .timeout = TRY_MS,
                                    .tries = TRIES, .socket_receive_buffer_size = RECEIVE_BYTES };
    if (names->channel)
        return names->channel;
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status == ARES_SUCCESS)
        status = ares_init_options(&names->channel, &options,
                                   ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_RCVBUF);
    if (status != ARES_SUCCESS)
        errx(2, "no resolver: %s", ares_strerror(status));
    return names->channel;
}

/* ---- addresses of a host */

#define ADDRESSES_MAX 64 /* that are told of a host */

struct question {
    struct names *names;
    int family;
    names_found *found;
    void *owner;
    uint64_t tag;
    int status; /* c-ares', which found nothing */
    char name[];
};

struct addresses {
    char text[ADDRESSES_MAX][ADDRESS_TEXT_MAX];
    size_t count;
};

static bool
is_among(const struct addresses *addresses, const char *text)
{
    for (size_t i = 0; i < addresses->count; i++)
        if (strcmp(addresses->text[i], text) == 0)
            return true;
    return false;
}

/* Each once. An IPv4 address in the clothes of the other family is none. */
static void
add_address(struct addresses *addresses, const struct sockaddr *address, socklen_t length)
{
    const struct sockaddr_in6 *six = (const void *)address;
    if (addresses->count == ADDRESSES_MAX || (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)))
        return;
    char *text = addresses->text[addresses->count];
    if (getnameinfo(address, length, text, ADDRESS_TEXT_MAX, NULL, 0, NI_NUMERICHOST) == 0 && !is_among(addresses, text))
        addresses->count++;
}

static void
tell(struct question *question, struct addresses *addresses)
{
    int status = question->status;
    bool absent = status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND || status == ARES_ENONAME;
    const char *which = question->family == 4 ? "IPv4 " : question->family == 6 ? "IPv6 " : "";
    char why[NAME_WHY_MAX];
    snprintf(why, sizeof why, "no %saddress found%s%s", which, absent ? "" : ": ", absent ? "" : ares_strerror(status));
    question->found(question->owner, question->tag, addresses->text, addresses->count, addresses->count ? NULL : why);
    free(question);
}

static void
services_came(void *owner, const struct addrinfo *found)
{
    struct addresses addresses = { .count = 0 };
    for (; found; found = found->ai_next)
        add_address(&addresses, found->ai_addr, found->ai_addrlen);
    tell(owner, &addresses);
}

static int
domain_of(int family)
{
    return family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC;
}

/* False: there are no others. */
static bool
ask_services(struct question *question)
{
    struct names *names = question->names;
    if (!names->has_services)
        names->services = name_services_new(names->events);
    names->has_services = true;
    return names->services &&
           name_services_ask(names->services, question->name, domain_of(question->family), services_came, question);
}

static void
addresses_came(void *data, int status, int timeouts, struct ares_addrinfo *result)
{
    struct question *question = data;
    struct addresses addresses = { .count = 0 };
    (void)timeouts;
    if (status == ARES_EDESTRUCTION) {
        free(question);
        return;
    }
    for (const struct ares_addrinfo_node *node = result ? result->nodes : NULL; node; node = node->ai_next)
        add_address(&addresses, node->ai_addr, node->ai_addrlen);
    ares_freeaddrinfo(result);
    question->status = status;
    if (addresses.count || !ask_services(question))
        tell(question, &addresses);
}

/*
 * The form in which DNS knows an international name (RFC 5891), NULL when there is none. Few names need libidn2, and
 * what it brings along would take a fifth of the time that a ping takes to start: so it is loaded when one comes, as
 * the C library itself does.
 */
static const char *
to_ascii(const char *host, char ascii[NAME_TEXT_MAX])
{
    int (*convert)(const char *, char **, int);
    char *converted = NULL;
    void *library = dlopen("libidn2.so.0", RTLD_NOW);
    void *symbol = library ? dlsym(library, "idn2_to_ascii_8z") : NULL;
    memcpy(&convert, &symbol, sizeof convert); /* ISO C knows no conversion from one to the other: dlsym(3) */
    bool done = symbol && convert(host, &converted, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) == IDN2_OK &&
                strlen(converted) < NAME_TEXT_MAX;
    if (done)
        strcpy(ascii, converted);
    free(converted); /* idn2_free() is free() */
    return done ? ascii : NULL;
}

void
names_addresses(struct names *names, const char *host, int family, names_found *found, void *owner, uint64_t tag)
{
    char ascii[NAME_TEXT_MAX];
    const char *name = text_is_ascii(host) ? host : to_ascii(host, ascii);
    if (!name) {
        found(owner, tag, NULL, 0, "no address found: not an international name, or no libidn2 here");
        return;
    }
    struct question *question = malloc(sizeof *question + strlen(name) + 1);
    if (!question)
        err(2, NULL);
    *question = (struct question){ .names = names, .family = family, .found = found, .owner = owner, .tag = tag };
    strcpy(question->name, name);
    struct ares_addrinfo_hints hints = { .ai_family = domain_of(family), .ai_socktype = SOCK_DGRAM };
    ares_getaddrinfo(channel_of(names), name, NULL, &hints, addresses_came, question);
    go_on(names);
}

/* ---- facts about an address: its name, its system */

struct fact {
    struct names *names;
    char kind; /* 'n' or 'a' */
    bool known;
    char address[ADDRESS_TEXT_MAX];
    char text[NAME_TEXT_MAX];
};

static int
compare(const void *a, const void *b)
{
    const struct fact *one = a, *other = b;
    return one->kind != other->kind ? one->kind - other->kind : strcmp(one->address, other->address);
}

static void
fact_came(struct fact *fact)
{
    struct names *names = fact->names;
    fact->known = true;
    names->awaited--;
    if (names->changed)
        names->changed(names->owner);
}

/* The fact, NULL when it is new: then *FRESH is to be asked for. */
static struct fact *
look_up(struct names *names, char kind, const char *address, struct fact **fresh)
{
    struct fact key = { .kind = kind };
    snprintf(key.address, sizeof key.address, "%s", address);
    struct fact **place = tfind(&key, &names->known, compare);
    *fresh = NULL;
    if (place)
        return *place;
    *fresh = malloc(sizeof **fresh);
    if (!*fresh)
        err(2, NULL);
    **fresh = key;
    (*fresh)->names = names;
    if (!tsearch(*fresh, &names->known, compare))
        err(2, NULL);
    if (names->awaited++ == 0)
        names->asked_first = clock_now();
    return *fresh;
}

static void
name_came(void *data, int status, int timeouts, struct hostent *host)
{
    struct fact *fact = data;
    (void)timeouts;
    if (status == ARES_EDESTRUCTION)
        return;
    if (status == ARES_SUCCESS && host && host->h_name && text_is_name(host->h_name))
        snprintf(fact->text, sizeof fact->text, "%s", host->h_name);
    fact_came(fact);
}

/* The address in network order, without its scope; returns its length, 0 when it is none. */
static int
to_binary(const char *address, unsigned char binary[16], int *domain)
{
    char bare[ADDRESS_TEXT_MAX];
    snprintf(bare, sizeof bare, "%.*s", (int)strcspn(address, "%"), address);
    *domain = strchr(bare, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(*domain, bare, binary) != 1)
        return 0;
    return *domain == AF_INET6 ? 16 : 4;
}

const char *
names_of(struct names *names, const char *address)
{
    struct fact *fresh, *fact = look_up(names, 'n', address, &fresh);
    if (fresh) {
        unsigned char binary[16];
        int domain, length = to_binary(address, binary, &domain);
        if (length)
            ares_gethostbyaddr(channel_of(names), binary, length, domain, name_came, fresh);
        else
            fact_came(fresh);
        go_on(names);
    }
    return fact->known ? fact->text : NULL;
}

/* "64500 | 192.0.2.0/24 | DE | ripencc | 2005-04-13", of which the first and the third are told. */
static void
system_came(void *data, int status, int timeouts, unsigned char *answer, int length)
{
    struct fact *fact = data;
    struct ares_txt_reply *texts = NULL;
    unsigned number;
    char country[3] = "";
    (void)timeouts;
    if (status == ARES_EDESTRUCTION)
        return;
    if (status == ARES_SUCCESS && ares_parse_txt_reply(answer, length, &texts) == ARES_SUCCESS && texts &&
        sscanf((const char *)texts->txt, "%u%*[0-9 ]| %*[0-9a-fA-F:./] | %2[A-Za-z]", &number, country) >= 1)
        snprintf(fact->text, sizeof fact->text, "%u%s%s", number, *country ? " " : "", country);
    ares_free_data(texts);
    fact_came(fact);
}

/* 1.2.0.192.origin.asn.cymru.com; of IPv6 a label for each half byte. */
static void
system_question(const unsigned char *binary, int length, char *name, size_t size)
{
    size_t used = 0;
    for (int i = length - 1; i >= 0; i--)
        used += (size_t)(length == 4 ? snprintf(name + used, size - used, "%d.", binary[i])
                                     : snprintf(name + used, size - used, "%x.%x.", binary[i] & 15u, binary[i] >> 4));
    snprintf(name + used, size - used, "origin%s.asn.cymru.com", length == 4 ? "" : "6");
}

const char *
names_system_of(struct names *names, const char *address)
{
    struct fact *fresh, *fact = look_up(names, 'a', address, &fresh);
    if (fresh) {
        unsigned char binary[16];
        char question[128];
        int domain, length = to_binary(address, binary, &domain);
        if (length) {
            system_question(binary, length, question, sizeof question);
            ares_query(channel_of(names), question, 1 /* IN */, 16 /* TXT */, system_came, fresh);
        } else {
            fact_came(fresh);
        }
        go_on(names);
    }
    return fact->known ? fact->text : NULL;
}

void
names_on_change(struct names *names, void (*changed)(void *owner), void *owner)
{
    names->changed = changed;
    names->owner = owner;
}

bool
names_awaited(const struct names *names)
{
    return names->awaited && instant_since(clock_now(), names->asked_first) < PATIENCE;
}

void
names_free(struct names *names)
{
    if (!names)
        return;
    if (names->channel) {
        ares_destroy(names->channel);
        ares_library_cleanup();
    }
    name_services_free(names->services);
    events_unset(names->events, &names->alarm);
    tdestroy(names->known, free);
    free(names);
}
