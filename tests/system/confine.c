/* SPDX-License-Identifier: MIT */
/*
 * confine MODE[,MODE]... PROGRAM [ARGUMENT]...: runs a program as hosts run it that confine it: with calls refused that it
 * may wish for. netlink: no sockets of that family (RestrictAddressFamilies= of systemd); seccomp: the process is killed for
 * seccomp(2) (SystemCallFilter=@system-service has all that the daemon calls but this one); limits: no limit can be set;
 * options: socket options that old kernels and emulators do not know are refused; groups: netlink tells of no changes;
 * waiting: of the calls that wait for several descriptors none is there.
 */
#include <errno.h>
#include <linux/in6.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_RECVERR_RFC4884
#define IP_RECVERR_RFC4884 26
#endif

static const struct {
    int level, option;
} unknown[] = {
    { SOL_SOCKET, SO_LOCK_FILTER },       { SOL_SOCKET, SO_ATTACH_FILTER },      { SOL_SOCKET, SO_TIMESTAMPNS },
    { SOL_SOCKET, SO_TIMESTAMPING },      { SOL_SOCKET, SO_RXQ_OVFL },           { SOL_SOCKET, SO_RCVBUFFORCE },
    { SOL_SOCKET, SO_SNDBUFFORCE },       { IPPROTO_IP, IP_RECVERR_RFC4884 },    { IPPROTO_IPV6, IPV6_RECVERR_RFC4884 },
    { IPPROTO_IP, IP_FREEBIND },          { IPPROTO_IPV6, IPV6_FREEBIND },       { IPPROTO_IP, IP_RECVTTL },
    { IPPROTO_IPV6, IPV6_RECVHOPLIMIT },  { IPPROTO_IPV6, IPV6_AUTOFLOWLABEL },
};

static int
refuse(scmp_filter_ctx filter, const char *mode)
{
    int error = -EINVAL;
    if (strcmp(mode, "netlink") == 0)
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                                 SCMP_A0(SCMP_CMP_EQ, AF_NETLINK));
    if (strcmp(mode, "seccomp") == 0)
        error = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(seccomp), 0);
    if (strcmp(mode, "limits") == 0) {
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setrlimit), 0);
        if (!error)
            error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_NE, 0));
    }
    if (strcmp(mode, "waiting") == 0) {
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(poll), 0);
        if (!error)
            error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(ppoll), 0);
    }
    if (strcmp(mode, "groups") == 0)
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setsockopt), 1,
                                 SCMP_A1(SCMP_CMP_EQ, SOL_NETLINK));
    for (size_t i = 0; strcmp(mode, "options") == 0 && i < sizeof unknown / sizeof *unknown; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOPROTOOPT), SCMP_SYS(setsockopt), 2,
                                 SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)unknown[i].level),
                                 SCMP_A2(SCMP_CMP_EQ, (scmp_datum_t)unknown[i].option));
    return error;
}

int
main(int argc, char **argv)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (argc < 3 || !filter) {
        fputs("usage: confine MODE[,MODE]... PROGRAM [ARGUMENT]...\n", stderr);
        return 2;
    }
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0); /* a set-uid program shall stay one; root needs no leave */
    for (char *mode = strtok(argv[1], ","); mode; mode = strtok(NULL, ",")) {
        if (refuse(filter, mode) != 0) {
            fprintf(stderr, "confine: can't refuse %s\n", mode);
            return 2;
        }
    }
    if (seccomp_load(filter) != 0) {
        fputs("confine: can't load the filter\n", stderr);
        return 2;
    }
    execv(argv[2], argv + 2);
    perror("confine");
    return 2;
}
