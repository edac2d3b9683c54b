/* SPDX-License-Identifier: MIT */
/*
 * Other traffic of a host: small messages over loopback, there and back, both ends in this one process, so that the
 * kernel's work on the way is in the figures and the scheduler's is not.
 *
 * usage: chatter tcp|udp COUNT
 * Prints count, wall, cpu, user and system as driver does.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SIZE 64

static double
now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double
seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void
check(int result, const char *what)
{
    if (result >= 0)
        return;
    perror(what);
    exit(1);
}

static int
open_bound(int type, struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;
    *address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, type, 0);
    check(fd, "socket");
    check(bind(fd, (const struct sockaddr *)address, length), "bind");
    check(getsockname(fd, (struct sockaddr *)address, &length), "getsockname");
    return fd;
}

static void
connect_to(int fd, const struct sockaddr_in *address)
{
    check(connect(fd, (const struct sockaddr *)address, sizeof *address), "connect");
}

static void
open_udp(int ends[2])
{
    struct sockaddr_in addresses[2];
    for (int i = 0; i < 2; i++)
        ends[i] = open_bound(SOCK_DGRAM, &addresses[i]);
    for (int i = 0; i < 2; i++)
        connect_to(ends[i], &addresses[1 - i]);
}

static void
open_tcp(int ends[2])
{
    struct sockaddr_in there, here;
    int one = 1, listener = open_bound(SOCK_STREAM, &there);
    check(listen(listener, 1), "listen");
    ends[0] = open_bound(SOCK_STREAM, &here);
    connect_to(ends[0], &there);
    ends[1] = accept(listener, NULL, NULL);
    check(ends[1], "accept");
    close(listener);
    for (int i = 0; i < 2; i++)
        check(setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "TCP_NODELAY");
}

int
main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    int ends[2];
    char message[SIZE] = { 0 };
    size_t count = strtoul(argv[2], NULL, 10);
    (strcmp(argv[1], "tcp") == 0 ? open_tcp : open_udp)(ends);

    double start = now();
    for (size_t i = 0; i < count; i++) {
        if (send(ends[i % 2], message, SIZE, 0) != SIZE || recv(ends[1 - i % 2], message, SIZE, MSG_WAITALL) != SIZE)
            check(-1, "message");
    }
    double wall = now() - start;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double user = seconds(usage.ru_utime), system = seconds(usage.ru_stime);
    printf("count=%zu wall=%.6f cpu=%.6f user=%.6f system=%.6f\n", count, wall, user + system, user, system);
    return 0;
}
