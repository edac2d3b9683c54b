/* SPDX-License-Identifier: MIT */
/*
 * What the daemon's sandbox refuses, tried from inside: for test_sandbox.py, linked with the daemon's own code.
 *
 * usage: sandbox_probe available    prints yes or no
 *        sandbox_probe list         prints the names that `try` knows, one a line
 *        sandbox_probe try NAME     enters the sandbox and makes that call: the sandbox ends it with status 1; status
 *                                   42 when the call was let through to the kernel, whatever the kernel said
 *        sandbox_probe end HOW      enters the sandbox and ends: by abort, by a free of what was never allocated, or by
 *                                   the signal of this number
 *        sandbox_probe sweep        tries every system call number, with senseless arguments and each in a process of
 *                                   its own; prints the numbers that the sandbox lets through, one a line
 *        sandbox_probe other HOW    x32 or i386: enters the sandbox and asks for its process id by the numbers of these
 *                                   programs; status 42 when it was told
 *        sandbox_probe plain ...    the same in the sandbox of the transport without privileges
 *        sandbox_probe privileges   drops them, then prints NAME=VALUE lines of what /proc does not show
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/privileges.h"
#include "host/sandbox.h"
#include "packets/compat.h"

#define LET_THROUGH 42
#define REFUSED 1
#define CALLS 600 /* more than any architecture has, without the odd ones far above */

static char *nothing[] = { NULL };
static char page[4096] __attribute__((aligned(4096)));
static struct sockaddr_in nowhere;
static pid_t parent;
static bool plain;

/* Each row: its name, whose last word is the system call's own name, and the call itself. */
#define CALL(number, ...) syscall(SYS_##number, ##__VA_ARGS__)
#define ROWS                                                                                        \
    ROW("execve", CALL(execve, "/bin/true", nothing, nothing))                                      \
    ROW("uname", CALL(uname, page))                                                                 \
    ROW("execveat", CALL(execveat, AT_FDCWD, "/bin/true", nothing, nothing, 0))                     \
    ROW("a child by clone", CALL(clone, SIGCHLD, NULL, NULL, NULL, NULL))                           \
    ROW("clone3", CALL(clone3, page, sizeof(struct clone_args)))                                    \
    ROW("to read: openat", CALL(openat, AT_FDCWD, "/etc/passwd", O_RDONLY))                         \
    ROW("to write: openat", CALL(openat, AT_FDCWD, "/dev/null", O_WRONLY))                          \
    ROW("openat2", CALL(openat2, AT_FDCWD, "/etc/passwd", page, 24))                                \
    ROW("raw IPv4 socket", CALL(socket, AF_INET, SOCK_RAW, IPPROTO_RAW))                            \
    ROW("raw IPv4, close-on-exec socket", CALL(socket, AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1))        \
    ROW("raw IPv6 socket", CALL(socket, AF_INET6, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMPV6))        \
    ROW("packet socket", CALL(socket, AF_PACKET, SOCK_RAW, 0))                                      \
    ROW("packet, datagrams socket", CALL(socket, AF_PACKET, SOCK_DGRAM, 0))                         \
    ROW("stream IPv4 socket", CALL(socket, AF_INET, SOCK_STREAM, 0))                                \
    ROW("stream IPv6 socket", CALL(socket, AF_INET6, SOCK_STREAM, 0))                               \
    ROW("echo IPv4 socket", CALL(socket, AF_INET, SOCK_DGRAM, IPPROTO_ICMP))                        \
    ROW("echo IPv6 socket", CALL(socket, AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6))                     \
    ROW("another datagram socket", CALL(socket, AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE))              \
    ROW("sequenced socket", CALL(socket, AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP))                    \
    ROW("unix socket", CALL(socket, AF_UNIX, SOCK_DGRAM, 0))                                        \
    ROW("netlink socket", CALL(socket, AF_NETLINK, SOCK_RAW, 0))                                    \
    ROW("socketpair", CALL(socketpair, AF_UNIX, SOCK_STREAM, 0, page))                              \
    ROW("allowed: connect", CALL(connect, 0, &nowhere, sizeof nowhere))                                      \
    ROW("listen", CALL(listen, 0, 1))                                                               \
    ROW("accept4", CALL(accept4, 0, NULL, NULL, 0))                                                 \
    ROW("detaching a filter, setsockopt", CALL(setsockopt, 0, SOL_SOCKET, SO_DETACH_FILTER, page, 4)) \
    ROW("any source, setsockopt", CALL(setsockopt, 0, IPPROTO_IP, IP_TRANSPARENT, page, 4))         \
    ROW("an eBPF filter, setsockopt", CALL(setsockopt, 0, SOL_SOCKET, SO_ATTACH_BPF, page, 4))      \
    ROW("getsockopt", CALL(getsockopt, 0, SOL_SOCKET, SO_TYPE, page, page))                         \
    ROW("typing into a terminal, ioctl", CALL(ioctl, 0, TIOCSTI, page))                             \
    ROW("setting a flag, ioctl", CALL(ioctl, 0, FIONBIO, page))                                     \
    ROW("a copy, fcntl", CALL(fcntl, 0, F_DUPFD, 9))                                                \
    ROW("another owner, fcntl", CALL(fcntl, 0, F_SETOWN, 1))                                                  \
    ROW("dup3", CALL(dup3, 0, 9, 0))                                                                \
    ROW("ptrace", CALL(ptrace, PTRACE_ATTACH, parent, NULL, NULL))                               \
    ROW("process_vm_readv", CALL(process_vm_readv, parent, page, 1, page, 1, 0))                 \
    ROW("bpf", CALL(bpf, BPF_MAP_CREATE, page, sizeof page))                                        \
    ROW("io_uring_setup", CALL(io_uring_setup, 1, page))                                            \
    ROW("executable memory by mmap",                                                                \
        CALL(mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))          \
    ROW("mprotect", CALL(mprotect, page, sizeof page, PROT_READ | PROT_EXEC))                       \
    ROW("making memory executable too, mprotect",                                                   \
        CALL(mprotect, page, sizeof page, PROT_READ | PROT_WRITE | PROT_EXEC))                      \
    ROW("allowed: mprotect", CALL(mprotect, page, sizeof page, PROT_READ | PROT_WRITE))             \
    ROW("allowed: writev", CALL(writev, -1, page, 0))                                               \
    ROW("allowed: preadv2", CALL(preadv2, -1, page, 0, -1L, -1L, RWF_NOWAIT))                       \
    ROW("one that waits, preadv2", CALL(preadv2, 0, page, 0, -1L, -1L, 0))                          \
    ROW("memfd_create", CALL(memfd_create, "x", 0))                                                 \
    ROW("another process, tgkill", CALL(tgkill, parent, parent, 0))                                 \
    ROW("another thread, tkill", CALL(tkill, parent, 0))                                            \
    ROW("another signal, rt_sigaction", CALL(rt_sigaction, SIGSYS, NULL, NULL, 8))                  \
    ROW("kill", CALL(kill, parent, 0))                                                           \
    ROW("prctl", CALL(prctl, PR_SET_DUMPABLE, 1))                                                   \
    ROW("setuid", CALL(setuid, 0))                                                                  \
    ROW("setresuid", CALL(setresuid, 0, 0, 0))                                                      \
    ROW("prlimit64", CALL(prlimit64, 0, RLIMIT_NPROC, page, NULL))                                  \
    ROW("mount", CALL(mount, "x", "/", "tmpfs", 0, NULL))                                           \
    ROW("unshare", CALL(unshare, CLONE_NEWNET))                                                     \
    ROW("setns", CALL(setns, 0, 0))                                                                 \
    ROW("unlinkat", CALL(unlinkat, AT_FDCWD, "/nosuch/file", 0))                                    \
    OLD_ROWS

/* Calls that newer architectures do not have. */
#ifdef SYS_open
#define OLD_ROWS                                             \
    ROW("open", CALL(open, "/etc/passwd", O_RDONLY))         \
    ROW("creat", CALL(creat, "/nosuch/file", 0))             \
    ROW("fork", CALL(fork))                                  \
    ROW("a child that borrows memory, vfork", CALL(vfork))   \
    ROW("unlink", CALL(unlink, "/nosuch/file"))
#else
#define OLD_ROWS
#endif

static const char *const refused[] = {
#define ROW(name, call) name,
    ROWS
#undef ROW
};

/* What must go through, or the tests above would prove nothing. */
static const char *const allowed[] = { "allowed: datagram IPv4", "allowed: datagram IPv6", "allowed: getrandom" };

static int
enter(void)
{
    if (sandbox_enter(plain))
        return 0;
    perror("sandbox_probe: can't enter the sandbox");
    return 3;
}

static int
try_call(const char *name)
{
    int known = 0;
    if (enter() != 0)
        return 3;
#define ROW(row, call)            \
    if (strcmp(name, row) == 0) { \
        known = 1;                \
        (void)call;               \
    }
    ROWS
#undef ROW
    if (strcmp(name, allowed[0]) == 0)
        known = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) >= 0;
    if (strcmp(name, allowed[1]) == 0)
        known = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0 || errno == EAFNOSUPPORT;
    if (strcmp(name, allowed[2]) == 0)
        known = CALL(getrandom, page, 8, 0) == 8;
    syscall(SYS_exit_group, known ? LET_THROUGH : 2);
    return 2;
}

static void
end(const char *how)
{
    if (enter() != 0)
        exit(3);
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "free") == 0) {
        void *volatile wild = page + 8;
        free(wild);
    }
    raise(atoi(how));
}

/* 1: refused by the sandbox. */
static int
is_refused(long number)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL || enter() != 0)
            _exit(3);
        syscall(number, -1L, -1L, -1L, -1L, -1L, -1L);
        syscall(SYS_exit_group, LET_THROUGH);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        perror("sandbox_probe");
        exit(3);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == REFUSED;
}

static void
sweep(void)
{
    for (long number = 0; number < CALLS; number++)
        if (!is_refused(number))
            printf("%ld\n", number);
}

/* x86-64 kernels may serve two more sets of numbers. */
static int
try_other_numbers(const char *how)
{
    long pid = -1;
    if (enter() != 0)
        return 3;
#ifdef __x86_64__
    if (strcmp(how, "x32") == 0)
        pid = syscall(0x40000000 | SYS_getpid);
    else
        __asm__ volatile("int $0x80" : "=a"(pid) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
#else
    (void)how;
#endif
    syscall(SYS_exit_group, pid > 0 ? LET_THROUGH : REFUSED);
    return REFUSED;
}

static int
drop_privileges(void)
{
    struct privileges *privileges = privileges_raise_all();
    if (!privileges || !privileges_drop(privileges, true) || !privileges_seal()) {
        perror("sandbox_probe: can't drop privileges");
        return 3;
    }
    printf("securebits=%d\ndumpable=%d\n", prctl(PR_GET_SECUREBITS), prctl(PR_GET_DUMPABLE));
    privileges_free(privileges);
    return 0;
}

static void
list(void)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        puts(refused[i]);
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        puts(allowed[i]);
}

int
main(int argc, char **argv)
{
    plain = argc > 1 && strcmp(argv[1], "plain") == 0;
    argv += plain;
    argc -= plain;
    const char *command = argc > 1 ? argv[1] : "";
    parent = getppid(); /* asked for here: inside, this is refused too */
    if (strcmp(command, "try") == 0 && argc == 3)
        return try_call(argv[2]);
    if (strcmp(command, "end") == 0 && argc == 3)
        end(argv[2]);
    if (strcmp(command, "other") == 0 && argc == 3)
        return try_other_numbers(argv[2]);
    if (strcmp(command, "privileges") == 0)
        return drop_privileges();
    if (strcmp(command, "available") == 0)
        puts(sandbox_available() ? "yes" : "no");
    else if (strcmp(command, "list") == 0)
        list();
    else if (strcmp(command, "sweep") == 0)
        sweep();
    else
        return 2;
    return 0;
}
