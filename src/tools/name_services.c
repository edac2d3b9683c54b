/* SPDX-License-Identifier: MIT */
#include "tools/name_services.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONFIGURATION "/etc/nsswitch.conf"
#define THREADS 8

/* A thread has it from its start on until it writes its address into the pipe. */
struct asked {
    struct asked *next;
    int domain, pipe;
    name_services_found *found;
    void *owner;
    struct addrinfo *result;
    char host[];
};

struct name_services {
    struct events *events;
    struct watch watch;
    int pipe[2];
    struct asked *waiting, **last; /* for a thread */
    unsigned running;
};

/* What stands in brackets says when to go on with the next service, and # begins a comment. */
static void
blank_what_is_no_service(char *line)
{
    char *at;
    line[strcspn(line, "#")] = 0;
    while ((at = strchr(line, '[')))
        memset(at, ' ', strcspn(at, "]") + (strchr(at, ']') != NULL));
}

/* True for a line such as "hosts: files mdns4_minimal [NOTFOUND=return] dns". */
static bool
names_others(char *line)
{
    char *rest, *word;
    blank_what_is_no_service(line);
    word = strtok_r(line, " \t\n", &rest);
    if (!word || strcmp(word, "hosts:") != 0)
        return false;
    while ((word = strtok_r(NULL, " \t\n", &rest)))
        if (strcmp(word, "files") != 0 && strcmp(word, "dns") != 0)
            return true;
    return false;
}

static bool
host_has_others(void)
{
    char *line = NULL;
    size_t size = 0;
    bool has = false;
    FILE *file = fopen(CONFIGURATION, "re");
    while (file && !has && getline(&line, &size, file) >= 0)
        has = names_others(line);
    free(line);
    if (file)
        fclose(file);
    return has;
}

static void *
ask(void *data)
{
    struct asked *asked = data;
    struct addrinfo hints = { .ai_family = asked->domain, .ai_socktype = SOCK_DGRAM };
    if (getaddrinfo(asked->host, NULL, &hints, &asked->result) != 0)
        asked->result = NULL;
    ssize_t ignored = write(asked->pipe, &asked, sizeof asked); /* a pointer leaves whole: PIPE_BUF of pipe(7) */
    (void)ignored;
    return NULL;
}

/* False: the system has no room for another thread. */
static bool
start(struct asked *asked)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, ask, asked) != 0)
        return false;
    pthread_detach(thread);
    return true;
}

static void
start_more(struct name_services *services)
{
    while (services->waiting && services->running < THREADS) {
        struct asked *asked = services->waiting;
        services->waiting = asked->next;
        if (!services->waiting)
            services->last = &services->waiting;
        services->running++;
        if (!start(asked)) {
            ssize_t ignored = write(asked->pipe, &asked, sizeof asked); /* as if nothing was found */
            (void)ignored;
        }
    }
}

static void
came(void *owner, short what)
{
    struct name_services *services = owner;
    struct asked *asked;
    (void)what;
    while (read(services->pipe[0], &asked, sizeof asked) == (ssize_t)sizeof asked) {
        services->running--;
        asked->found(asked->owner, asked->result);
        if (asked->result)
            freeaddrinfo(asked->result);
        free(asked);
    }
    start_more(services);
}

struct name_services *
name_services_new(struct events *events)
{
    struct name_services *services = host_has_others() ? calloc(1, sizeof *services) : NULL;
    if (!services || pipe2(services->pipe, O_CLOEXEC) != 0) {
        free(services);
        return NULL;
    }
    services->events = events;
    services->last = &services->waiting;
    services->watch = (struct watch){ services->pipe[0], POLLIN, came, services };
    if (fcntl(services->pipe[0], F_SETFL, O_NONBLOCK) == 0 && events_watch(events, &services->watch))
        return services;
    close(services->pipe[0]);
    close(services->pipe[1]);
    free(services);
    return NULL;
}

bool
name_services_ask(struct name_services *services, const char *host, int domain, name_services_found *found, void *owner)
{
    struct asked *asked = calloc(1, sizeof *asked + strlen(host) + 1);
    if (!asked)
        return false;
    *asked = (struct asked){ .domain = domain, .pipe = services->pipe[1], .found = found, .owner = owner };
    strcpy(asked->host, host);
    *services->last = asked;
    services->last = &asked->next;
    start_more(services);
    return true;
}

void
name_services_free(struct name_services *services)
{
    if (!services)
        return;
    events_unwatch(services->events, &services->watch);
    for (struct asked *asked = services->waiting, *next; asked; asked = next) {
        next = asked->next;
        free(asked);
    }
    /* A thread that still waits will write there: while there is one, nobody else may get this descriptor. */
    if (!services->running) {
        close(services->pipe[0]);
        close(services->pipe[1]);
    }
    free(services);
}
