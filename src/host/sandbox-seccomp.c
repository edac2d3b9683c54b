/* SPDX-License-Identifier: MIT */
#include "host/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/net_tstamp.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
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

#include "packets/compat.h"

/* Which transport needs a call; see plain.h. */
enum needed_by { BOTH, RAW, PLAIN };

/* A call that the loop makes, and, where `compared` is not 0, the arguments with which it does. */
struct allowed_call {
    enum needed_by needed_by;
    int number;
    unsigned compared;
    struct scmp_arg_cmp arguments[3];
};

/* Stands for the number of our own process, and of its only thread. */
#define OURSELVES UINT64_MAX

#define IS(argument, value) { argument, SCMP_CMP_EQ, value, 0 }
#define BITS(argument, mask, value) { argument, SCMP_CMP_MASKED_EQ, mask, value }
#define ANY(who, call) { who, SCMP_SYS(call), 0, { IS(0, 0) } }
#define ONE(who, call, compared) { who, SCMP_SYS(call), 1, { compared } }
#define SET(who, level, option) { who, SCMP_SYS(setsockopt), 2, { IS(1, level), IS(2, option) } }
#define GET(who, level, option) { who, SCMP_SYS(getsockopt), 2, { IS(1, level), IS(2, option) } }

/* The type of socket(2) may bear two flags, which are not compared. */
#define TYPE_MASK (~(scmp_datum_t)(SOCK_CLOEXEC | SOCK_NONBLOCK) & UINT32_MAX)
#define OPEN(who, domain, type, protocol) \
    { who, SCMP_SYS(socket), 3, { IS(0, domain), BITS(1, TYPE_MASK, type), IS(2, protocol) } }

/*
 * Every call that is allowed, and why; what is not here ends the process. A name that this architecture does not have
 * allows nothing.
 */
static const struct allowed_call allowed_calls[] = {
    ANY(BOTH, ppoll),           /* the loop waits, */
    ANY(BOTH, poll),            /* for longer; and is a full output writable again? */
    ANY(PLAIN, epoll_pwait),    /* and asks which of thousands of sockets it was */
    ANY(PLAIN, epoll_ctl),      /* one more of them */
    ANY(BOTH, exit_group),      /* the end */
    ANY(BOTH, rt_sigreturn),    /* after SIGCONT, or a debugger */
    ANY(BOTH, rt_sigprocmask),  /* the end by a signal: by the one that came, or by abort(3), */
    ONE(BOTH, rt_sigaction, IS(0, SIGABRT)),
    ONE(BOTH, tgkill, IS(0, OURSELVES)), /* of which the C library makes one of these, */
    ONE(BOTH, tkill, IS(0, OURSELVES)),
    ANY(BOTH, getpid),          /* and asks by which number */
    ANY(BOTH, gettid),
    ANY(BOTH, restart_syscall), /* poll() after SIGSTOP and SIGCONT */

    ANY(BOTH, read),                      /* requests, */
    ONE(BOTH, preadv2, IS(5, RWF_NOWAIT)), /* where somebody else may take them first */
    ANY(BOTH, write),                     /* replies, and --verbose; */
    ANY(BOTH, writev),                    /* the last words of glibc's malloc(), and musl's stdio */
    ONE(BOTH, fcntl, IS(1, F_SETFL)),     /* another user's terminal: non-blocking for the one call */

    ANY(BOTH, sendto),      /* probes; replies to a socket; questions to rtnetlink */
    ANY(BOTH, sendmsg),     /* probes with control messages */
    ANY(BOTH, recvmmsg),    /* answers, */
    ANY(BOTH, recvmsg),     /* errors and stamps, */
    ANY(BOTH, recvfrom),    /* what rtnetlink says */
    ANY(BOTH, bind),        /* parks and wakes receivers (raw/receiver.h), holds ports, tries local addresses */
    ANY(BOTH, close),       /* what was opened for one probe */
    ANY(BOTH, connect),     /* a tcp probe; a socket that sends nothing and tells how it would, see trial.h */
    ANY(BOTH, getsockname), /* which port the kernel chose */

    OPEN(BOTH, AF_INET, SOCK_DGRAM, 0),   /* a port that is held, a local address that is tried; plain udp */
    OPEN(BOTH, AF_INET6, SOCK_DGRAM, 0),
    OPEN(BOTH, AF_INET, SOCK_DGRAM, IPPROTO_ICMP), /* the next of the sixteen for echo requests; what fits, see trial.h */
    OPEN(BOTH, AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6),
    OPEN(PLAIN, AF_INET, SOCK_STREAM, 0), /* one for each tcp probe */
    OPEN(PLAIN, AF_INET6, SOCK_STREAM, 0),

    SET(BOTH, SOL_SOCKET, SO_ATTACH_FILTER),   /* what holds a port receives nothing, */
    SET(BOTH, SOL_SOCKET, SO_LOCK_FILTER),     /* for good, */
    SET(BOTH, IPPROTO_IP, IP_FREEBIND),        /* and may do so while its interface is down */
    SET(BOTH, IPPROTO_IPV6, IPV6_FREEBIND),
    SET(BOTH, IPPROTO_IPV6, IPV6_RECVHOPLIMIT), /* the TTL of answers, from the first probe with `detail` on, */
    SET(BOTH, IPPROTO_IPV6, IPV6_RECVTCLASS),  /* and their TOS */
    SET(BOTH, IPPROTO_IPV6, IPV6_RECVHOPOPTS), /* and how long their headers are */
    SET(BOTH, IPPROTO_IPV6, IPV6_RECVDSTOPTS),
    SET(BOTH, IPPROTO_IPV6, IPV6_RECVRTHDR),
    SET(BOTH, SOL_SOCKET, SO_BROADCAST),       /* for one probe, and taken back after it, */
    SET(BOTH, IPPROTO_IP, IP_MTU_DISCOVER),    /* as is this */
    SET(BOTH, IPPROTO_IPV6, IPV6_MTU_DISCOVER),

    SET(PLAIN, SOL_SOCKET, SO_TIMESTAMPNS),    /* when answers came, */
    SET(PLAIN, SOL_SOCKET, SO_TIMESTAMPING),   /* when probes left, */
    SET(PLAIN, SOL_SOCKET, SO_RXQ_OVFL),       /* how many answers were lost, */
    SET(BOTH, SOL_SOCKET, SO_RCVBUF),          /* room for them, or none, */
    SET(PLAIN, SOL_SOCKET, SO_SNDBUF),         /* and for probes */
    SET(PLAIN, IPPROTO_IP, IP_RECVERR),        /* ICMP errors, */
    SET(PLAIN, IPPROTO_IPV6, IPV6_RECVERR),
    SET(PLAIN, IPPROTO_IP, IP_RECVERR_RFC4884), /* with their extensions */
    SET(PLAIN, IPPROTO_IPV6, IPV6_RECVERR_RFC4884),
    SET(PLAIN, IPPROTO_IP, IP_RECVTTL),        /* the same of IPv4 answers as above of IPv6 */
    SET(PLAIN, IPPROTO_IP, IP_RECVTOS),
    SET(PLAIN, IPPROTO_IP, IP_RECVOPTS),
    SET(PLAIN, IPPROTO_IP, IP_PKTINFO),        /* to which of our addresses they came */
    SET(PLAIN, IPPROTO_IPV6, IPV6_RECVPKTINFO),
    SET(PLAIN, IPPROTO_IP, IP_TTL),            /* what a SYN bears, which takes no control messages: its TTL, */
    SET(PLAIN, IPPROTO_IPV6, IPV6_UNICAST_HOPS),
    SET(BOTH, IPPROTO_IP, IP_TOS),            /* its TOS, */
    SET(BOTH, IPPROTO_IPV6, IPV6_TCLASS),
    SET(PLAIN, IPPROTO_IPV6, IPV6_FLOWINFO_SEND), /* its flow label */
    SET(PLAIN, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL), /* none that the kernel makes up: all take one path */
    SET(BOTH, IPPROTO_IPV6, IPV6_V6ONLY),      /* no IPv4 by an IPv6 socket; or, to hold a port, both */
    SET(BOTH, SOL_SOCKET, SO_BINDTOIFINDEX),  /* by which interface it leaves */
    SET(PLAIN, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), /* a source address, and no port before connect() */
    SET(BOTH, SOL_SOCKET, SO_REUSEADDR),       /* one source port to several targets, or of several daemons */
    SET(PLAIN, IPPROTO_TCP, TCP_SYNCNT),       /* as few SYNs as the kernel will, */
    SET(PLAIN, IPPROTO_TCP, TCP_QUICKACK),     /* no ACK before the RST */
    SET(PLAIN, SOL_SOCKET, SO_LINGER),         /* with which a connection is ended */
    SET(BOTH, SOL_SOCKET, SO_MARK),            /* asks for the route of a probe with a mark; a socket takes none here */
    GET(BOTH, IPPROTO_IP, IP_MTU),             /* what fits through it, */
    GET(BOTH, IPPROTO_IPV6, IPV6_MTU),
    GET(PLAIN, IPPROTO_TCP, TCP_INFO),         /* its round trip, */
    GET(PLAIN, IPPROTO_TCP, TCP_TIMESTAMP),    /* which SYN was answered, */
    GET(PLAIN, SOL_SOCKET, SO_ERROR),          /* and how */

    ONE(BOTH, ioctl, IS(1, SIOCGIFINDEX)), /* interfaces by name, */
    ONE(BOTH, ioctl, IS(1, SIOCGIFNAME)),  /* by number, */
    ONE(BOTH, ioctl, IS(1, SIOCGIFMTU)),   /* and what fits through them */

    ANY(RAW, capset), /* CAP_NET_RAW up and down again, around a probe with a mark */

    ANY(BOTH, clock_gettime), /* the time, where the C library finds no faster way, */
    ANY(BOTH, getrandom),     /* and chance */

    ANY(BOTH, brk),                         /* memory in small pieces, */
    ONE(BOTH, mmap, BITS(2, PROT_EXEC, 0)), /* and for tables: none of it executable, */
    ONE(BOTH, mprotect, BITS(2, PROT_EXEC, 0)), /* nor made so */
    ANY(BOTH, mremap),                      /* an output that grows */
    ANY(BOTH, munmap),                      /* what is given back, */
    ANY(BOTH, madvise),                     /* whole or in part; */
    ANY(BOTH, mincore),                     /* which of the stack tcmalloc may look at, to say where it had none */

    /* the same again, with a time of 64 bits or without an address, as C libraries of 32-bit machines have it */
    ANY(BOTH, ppoll_time64),
    ANY(BOTH, recvmmsg_time64),
    ANY(BOTH, clock_gettime64),
    ONE(BOTH, fcntl64, IS(1, F_SETFL)),
    ONE(BOTH, mmap2, BITS(2, PROT_EXEC, 0)),
    ANY(BOTH, send),
    ANY(BOTH, recv),
};

/*
 * The C library of these has one call for all that is done with sockets (socketcall(2)), and mmap() too has its
 * arguments in memory, where no filter can look. A filter that let such calls through would promise what it does not
 * keep.
 */
#if defined __i386__ || defined __s390__ || defined __sparc__ || defined __m68k__ || defined __sh__
#define FILTERABLE false
#else
#define FILTERABLE true
#endif

bool
sandbox_available(void)
{
    if (RUNNING_ON_VALGRIND) /* all of its own memory is executable, which it asks for as it goes */
        return false;
    /* Without SECCOMP_MODE_FILTER in the kernel this is EINVAL; with it, a filter at address NULL is EFAULT. */
    return FILTERABLE && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) < 0 && errno == EFAULT;
}

static void
say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

/* Names the refused call, with nothing but what a signal handler may use. The Makefile makes the table of names. */
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
add_rule(scmp_filter_ctx filter, const struct allowed_call *call)
{
    struct scmp_arg_cmp arguments[sizeof call->arguments / sizeof *call->arguments];
    memcpy(arguments, call->arguments, sizeof arguments);
    for (unsigned i = 0; i < call->compared; i++)
        if (arguments[i].datum_a == OURSELVES)
            arguments[i].datum_a = (scmp_datum_t)getpid();
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call->number, call->compared, arguments);
}

static int
load_filter(scmp_filter_ctx filter, bool unprivileged)
{
    int error = 0;
    for (size_t i = 0; i < sizeof allowed_calls / sizeof *allowed_calls && !error; i++) {
        const struct allowed_call *call = &allowed_calls[i];
        if (call->needed_by == BOTH || call->needed_by == (unprivileged ? PLAIN : RAW))
            error = add_rule(filter, call);
    }
    return -(error ? error : seccomp_load(filter));
}

bool
sandbox_enter(bool unprivileged)
{
    if (!sandbox_available())
        return true;
    /* By prctl(2), as ever: the library would try seccomp(2), for which profiles around us may end the process. */
    seccomp_api_set(1);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
    if (!filter || !catch_violations()) {
        errno = ENOMEM;
        return false;
    }
    int error = load_filter(filter, unprivileged);
    seccomp_release(filter);
    malloc_trim(0); /* the filter took more memory to make than all else so far */
    errno = error;
    return error == 0;
}
