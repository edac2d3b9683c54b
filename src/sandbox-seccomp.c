#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/net_tstamp.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <netinet/in.h>
#include <linux/in6.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ANY { 0, SCMP_CMP_EQ, 0, 0 }
#define IS(argument, value) { argument, SCMP_CMP_EQ, value, 0 }
#define MAY_SET(level, option) { SCMP_SYS(setsockopt), 2, { IS(1, level), IS(2, option) } }
#define BITS(argument, mask, value) { argument, SCMP_CMP_MASKED_EQ, mask, value }

/* A call that the loop makes, and, where `compared` is not 0, the arguments with which it does. */
struct allowed_call {
    int number;
    unsigned compared;
    struct scmp_arg_cmp arguments[2];
};

/* Flags of socket() that may come with its type. */
#define TYPE_MASK (~(scmp_datum_t)(SOCK_CLOEXEC | SOCK_NONBLOCK) & UINT32_MAX)

/*
 * Every call that is allowed, and why. What is neither here nor below ends the process. A name that this architecture
 * does not have allows nothing. The C library uses those in the last group for others above, on 32-bit machines.
 */
static const struct allowed_call allowed_calls[] = {
    /* waiting, and ending */
    { SCMP_SYS(ppoll), 0, { ANY } },
    { SCMP_SYS(poll), 0, { ANY } }, /* is a full output writable again? */
    { SCMP_SYS(exit_group), 0, { ANY } },
    { SCMP_SYS(rt_sigreturn), 0, { ANY } }, /* after SIGCONT, or a debugger */
    { SCMP_SYS(restart_syscall), 0, { ANY } }, /* poll() after SIGSTOP and SIGCONT */

    /* requests, replies and --verbose */
    { SCMP_SYS(read), 0, { ANY } },
    { SCMP_SYS(write), 0, { ANY } },
    { SCMP_SYS(sendto), 0, { ANY } }, /* an output that is a socket; rtnetlink */
    { SCMP_SYS(fcntl), 1, { IS(1, F_GETFL) } }, /* an output that is another user's terminal */
    { SCMP_SYS(fcntl), 1, { IS(1, F_SETFL) } },

    /* probes and answers */
    { SCMP_SYS(sendmsg), 0, { ANY } },
    { SCMP_SYS(recvmsg), 0, { ANY } },
    { SCMP_SYS(recvmmsg), 0, { ANY } },
    { SCMP_SYS(recvfrom), 0, { ANY } },
    { SCMP_SYS(bind), 0, { ANY } },  /* parks and wakes receivers, holds ports */
    { SCMP_SYS(close), 0, { ANY } }, /* ports that are given back */

    /* ports and local addresses are held and tried with datagram sockets, and no others are made */
    { SCMP_SYS(socket), 2, { IS(0, AF_INET), BITS(1, TYPE_MASK, SOCK_DGRAM) } },
    { SCMP_SYS(socket), 2, { IS(0, AF_INET6), BITS(1, TYPE_MASK, SOCK_DGRAM) } },
    MAY_SET(SOL_SOCKET, SO_ATTACH_FILTER),
    MAY_SET(SOL_SOCKET, SO_LOCK_FILTER),
    MAY_SET(IPPROTO_IP, IP_FREEBIND),
    MAY_SET(IPPROTO_IPV6, IPV6_FREEBIND),

    /* the TTL and TOS of answers, from the first probe with `detail` on */
    MAY_SET(IPPROTO_IPV6, IPV6_RECVHOPLIMIT),
    MAY_SET(IPPROTO_IPV6, IPV6_RECVTCLASS),

    /* set for one probe, and taken back after it */
    MAY_SET(SOL_SOCKET, SO_BROADCAST),
    MAY_SET(IPPROTO_IP, IP_MTU_DISCOVER),
    MAY_SET(IPPROTO_IPV6, IPV6_MTU_DISCOVER),

    /* interfaces by name, and what fits through them */
    { SCMP_SYS(ioctl), 1, { IS(1, SIOCGIFINDEX) } },
    { SCMP_SYS(ioctl), 1, { IS(1, SIOCGIFNAME) } },
    { SCMP_SYS(ioctl), 1, { IS(1, SIOCGIFMTU) } },

    /* CAP_NET_RAW up and down again, around a probe with a mark */
    { SCMP_SYS(capset), 0, { ANY } },

    /* time and chance, where the C library finds no faster way */
    { SCMP_SYS(clock_gettime), 0, { ANY } },
    { SCMP_SYS(getrandom), 0, { ANY } },

    /* memory, none of it executable */
    { SCMP_SYS(brk), 0, { ANY } },
    { SCMP_SYS(mmap), 1, { BITS(2, PROT_EXEC, 0) } },
    { SCMP_SYS(mremap), 0, { ANY } },
    { SCMP_SYS(munmap), 0, { ANY } },
    { SCMP_SYS(madvise), 0, { ANY } },

    /* the same again, with a time of 64 bits or without an address, where the calls above have it otherwise */
    { SCMP_SYS(ppoll_time64), 0, { ANY } },
    { SCMP_SYS(recvmmsg_time64), 0, { ANY } },
    { SCMP_SYS(clock_gettime64), 0, { ANY } },
    { SCMP_SYS(fcntl64), 1, { IS(1, F_GETFL) } },
    { SCMP_SYS(fcntl64), 1, { IS(1, F_SETFL) } },
    { SCMP_SYS(mmap2), 1, { BITS(2, PROT_EXEC, 0) } },
    { SCMP_SYS(send), 0, { ANY } },
    { SCMP_SYS(recv), 0, { ANY } },
};

/* What the transport without privileges needs as well: it opens sockets as it goes. */
static const struct allowed_call plain_calls[] = {
    /* a connection for each tcp probe */
    { SCMP_SYS(socket), 2, { IS(0, AF_INET), BITS(1, TYPE_MASK, SOCK_STREAM) } },
    { SCMP_SYS(socket), 2, { IS(0, AF_INET6), BITS(1, TYPE_MASK, SOCK_STREAM) } },
    { SCMP_SYS(connect), 0, { ANY } },
    { SCMP_SYS(getsockopt), 2, { IS(1, IPPROTO_TCP), IS(2, TCP_INFO) } },
    { SCMP_SYS(getsockopt), 2, { IS(1, IPPROTO_TCP), IS(2, TCP_TIMESTAMP) } },
    { SCMP_SYS(getsockopt), 2, { IS(1, SOL_SOCKET), IS(2, SO_ERROR) } },
    MAY_SET(IPPROTO_TCP, TCP_SYNCNT),
    MAY_SET(IPPROTO_TCP, TCP_QUICKACK),
    MAY_SET(SOL_SOCKET, SO_LINGER),
    MAY_SET(SOL_SOCKET, SO_BINDTOIFINDEX),
    MAY_SET(SOL_SOCKET, SO_REUSEADDR),

    /* the sockets of all protocols: their ports, buffers and stamps, and the events of all of them */
    { SCMP_SYS(epoll_ctl), 0, { ANY } },
    { SCMP_SYS(epoll_pwait), 0, { ANY } },
    { SCMP_SYS(getsockname), 0, { ANY } },
    MAY_SET(SOL_SOCKET, SO_TIMESTAMPNS),
    MAY_SET(SOL_SOCKET, SO_TIMESTAMPING),
    MAY_SET(SOL_SOCKET, SO_RXQ_OVFL),
    MAY_SET(SOL_SOCKET, SO_SNDBUF),
    MAY_SET(SOL_SOCKET, SO_RCVBUF),

    /* ICMP errors, what comes along with answers, and how packets leave */
    MAY_SET(IPPROTO_IP, IP_RECVERR),
    MAY_SET(IPPROTO_IP, IP_RECVERR_RFC4884),
    MAY_SET(IPPROTO_IP, IP_RECVTTL),
    MAY_SET(IPPROTO_IP, IP_RECVTOS),
    MAY_SET(IPPROTO_IP, IP_PKTINFO),
    MAY_SET(IPPROTO_IP, IP_TTL),
    MAY_SET(IPPROTO_IP, IP_TOS),
    MAY_SET(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
    MAY_SET(IPPROTO_IPV6, IPV6_V6ONLY),
    MAY_SET(IPPROTO_IPV6, IPV6_RECVERR),
    MAY_SET(IPPROTO_IPV6, IPV6_RECVERR_RFC4884),
    MAY_SET(IPPROTO_IPV6, IPV6_RECVPKTINFO),
    MAY_SET(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL),
    MAY_SET(IPPROTO_IPV6, IPV6_FLOWINFO_SEND),
    MAY_SET(IPPROTO_IPV6, IPV6_UNICAST_HOPS),
    MAY_SET(IPPROTO_IPV6, IPV6_TCLASS),
};

/*
 * The C library of these has one call for all that is done with sockets, and mmap() too takes its arguments from memory,
 * where no filter can look. A filter that let such calls through would promise what it does not keep.
 */
#if defined __i386__ || defined __s390__ || defined __sparc__ || defined __m68k__ || defined __sh__
#define FILTERABLE false
#else
#define FILTERABLE true
#endif

bool
sandbox_available(void)
{
    /* Without SECCOMP_MODE_FILTER in the kernel this is EINVAL; with it, a filter at address NULL is EFAULT. */
    return FILTERABLE && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) < 0 && errno == EFAULT;
}

static void
say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

/* Names the refused call with nothing but what a signal handler may use. The names are the C library's, see Makefile. */
static void
tell_violation(int signal_number, siginfo_t *info, void *context)
{
#define NAMED(call) { __NR_##call, #call }
    static const struct {
        int number;
        char name[36]; /* no pointer, which would have to be relocated at each start */
    } calls[] = {
#include "syscalls.inc"
    };
#undef NAMED
    (void)signal_number;
    (void)context;
    char digits[12];
    char *number = digits + sizeof digits;
    *--number = '\0';
    for (unsigned left = (unsigned)info->si_syscall; left || !*number; left /= 10)
        *--number = (char)('0' + left % 10);

    say("mtr-packet: refused system call ");
    say(number);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (calls[i].number == info->si_syscall) {
            say(" ");
            say(calls[i].name);
        }
    }
    say(": this is a bug, please report it\n");
    _exit(1);
}

/* Who started us may have blocked the signal: then it would end us without a word. */
static bool
catch_violations(void)
{
    sigset_t violation;
    struct sigaction action = { .sa_sigaction = tell_violation, .sa_flags = SA_SIGINFO };
    sigemptyset(&violation);
    sigaddset(&violation, SIGSYS);
    return sigaction(SIGSYS, &action, NULL) == 0 && sigprocmask(SIG_UNBLOCK, &violation, NULL) == 0;
}

static int
allow(scmp_filter_ctx filter, const struct allowed_call *calls, size_t count)
{
    int error = 0;
    for (size_t i = 0; i < count && !error; i++)
        error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, calls[i].number, calls[i].compared, calls[i].arguments);
    return -error;
}

static int
load_filter(scmp_filter_ctx filter, bool plain)
{
    int error = allow(filter, allowed_calls, sizeof allowed_calls / sizeof *allowed_calls);
    if (!error && plain)
        error = allow(filter, plain_calls, sizeof plain_calls / sizeof *plain_calls);
    return error ? error : -seccomp_load(filter);
}

bool
sandbox_enter(bool plain)
{
    if (!sandbox_available())
        return true;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
    if (!filter || !catch_violations()) {
        errno = ENOMEM;
        return false;
    }
    int error = load_filter(filter, plain);
    seccomp_release(filter);
    malloc_trim(0); /* the filter took more memory to make than all else so far */
    errno = error;
    return error == 0;
}
