/* SPDX-License-Identifier: MIT */
#include "host/sockopt.h"

#include <errno.h>
#include <linux/in6.h>
#include <linux/net_tstamp.h>
#include <netinet/tcp.h>

#include "packets/compat.h"

#define BUFFER (16 << 20)        /* bytes: only what is queued takes memory, and the kernel gives what it allows */
#define SENDER_BUFFER (64 << 20) /* packets that wait for a neighbour's address count, and must not hold up all others */
#define STAMPS (SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY)
#define BOTH FAMILIES

static const struct {
    unsigned uses;
    enum family_id family; /* or BOTH */
    enum wish wish;
    int level, name, value;
} options[] = {
    { USE_RECEIVER | USE_OUTLET | USE_SYN, BOTH, WISH_ARRIVALS, SOL_SOCKET, SO_TIMESTAMPNS, 1 },
    { USE_SENDER | USE_OUTLET, BOTH, WISH_DEPARTURES, SOL_SOCKET, SO_TIMESTAMPING, STAMPS },
    { USE_RECEIVER | USE_OUTLET, BOTH, WISH_LOSSES, SOL_SOCKET, SO_RXQ_OVFL, 1 },

    /* In place of what the next probe's call would be told, and of silence, errors are queued (ip(7)). */
    { USE_SENDER | USE_OUTLET | USE_SYN, IPV4, WISH_ERRORS, IPPROTO_IP, IP_RECVERR, 1 },
    { USE_SENDER | USE_OUTLET | USE_SYN, IPV6, WISH_ERRORS, IPPROTO_IPV6, IPV6_RECVERR, 1 },
    { USE_OUTLET | USE_SYN, IPV4, WISH_EXTENSIONS, IPPROTO_IP, IP_RECVERR_RFC4884, 1 },
    { USE_OUTLET | USE_SYN, IPV6, WISH_EXTENSIONS, IPPROTO_IPV6, IPV6_RECVERR_RFC4884, 1 },

    /* To which of our addresses an answer came: it belongs to the probe that left from there. */
    { USE_OUTLET, IPV4, NEEDED, IPPROTO_IP, IP_PKTINFO, 1 },
    { USE_OUTLET | USE_RECEIVER, IPV6, NEEDED, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1 },
    { USE_OUTLET, IPV4, WISH_HEADERS, IPPROTO_IP, IP_RECVTTL, 1 },
    { USE_OUTLET, IPV4, WISH_HEADERS, IPPROTO_IP, IP_RECVTOS, 1 },
    { USE_OUTLET | USE_DETAIL, IPV6, WISH_HEADERS, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1 },
    { USE_OUTLET | USE_DETAIL, IPV6, WISH_HEADERS, IPPROTO_IPV6, IPV6_RECVTCLASS, 1 },

    /* What stood in front of what these sockets hand over: it counts in the size of the packet. */
    { USE_OUTLET, IPV4, WISH_SIZES, IPPROTO_IP, IP_RECVOPTS, 1 },
    { USE_OUTLET | USE_DETAIL, IPV6, WISH_SIZES, IPPROTO_IPV6, IPV6_RECVHOPOPTS, 1 },
    { USE_OUTLET | USE_DETAIL, IPV6, WISH_SIZES, IPPROTO_IPV6, IPV6_RECVDSTOPTS, 1 },
    { USE_OUTLET | USE_DETAIL, IPV6, WISH_SIZES, IPPROTO_IPV6, IPV6_RECVRTHDR, 1 },

    { USE_SENDER, BOTH, WISH_BUFFERS, SOL_SOCKET, SO_SNDBUF, SENDER_BUFFER },
    { USE_SENDER, BOTH, WISH_LARGE_BUFFERS, SOL_SOCKET, SO_SNDBUFFORCE, SENDER_BUFFER },
    { USE_OUTLET, BOTH, WISH_BUFFERS, SOL_SOCKET, SO_SNDBUF, BUFFER },
    { USE_OUTLET | USE_RECEIVER, BOTH, WISH_BUFFERS, SOL_SOCKET, SO_RCVBUF, BUFFER },
    { USE_RECEIVER, BOTH, WISH_LARGE_BUFFERS, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER },

    /* OMIT: without DF, in fragments where it must be, and yet we are told when a router finds it too big (ip(7)). */
    { USE_OUTLET, IPV4, WISH_FRAGMENTS, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT },
    { USE_OUTLET, IPV6, WISH_FRAGMENTS, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT },

    /* No flow label that the kernel makes up: probes to one target take one path. */
    { USE_OUTLET | USE_SYN, IPV6, WISH_PATHS, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0 },
    { USE_OUTLET | USE_SYN, IPV6, NEEDED, IPPROTO_IPV6, IPV6_V6ONLY, 1 },

    { USE_CROWD, IPV6, NEEDED, IPPROTO_IPV6, IPV6_V6ONLY, 0 }, /* a port of all addresses is one of IPv4's, too */
    { USE_CROWD, BOTH, WISH_FILTERS, SOL_SOCKET, SO_RCVBUF, 0 },
    { USE_TRACE, BOTH, NEEDED, SOL_SOCKET, SO_REUSEADDR, 1 },

    /* A receiver that rests, and a guard while its interface is down, are bound to an address that is not there. */
    { USE_RECEIVER | USE_GUARD | USE_TRACE | USE_LOOK, IPV4, WISH_PARKING, IPPROTO_IP, IP_FREEBIND, 1 },
    { USE_RECEIVER | USE_GUARD | USE_TRACE | USE_LOOK, IPV6, WISH_PARKING, IPPROTO_IPV6, IPV6_FREEBIND, 1 },

    { USE_SYN, BOTH, WISH_SINGLE_SYNS, IPPROTO_TCP, TCP_SYNCNT, 1 },
    /* Else the SYN-ACK would be acknowledged at once: so our RST comes first, as to a half-open probe. */
    { USE_SYN, BOTH, WISH_SINGLE_SYNS, IPPROTO_TCP, TCP_QUICKACK, 0 },
};

static const char *const losses[WISHES] = {
    [WISH_ARRIVALS] = "the kernel does not say when packets came: round trips are longer by the time it takes to look",
    [WISH_DEPARTURES] = "the kernel does not say when probes left: round trips are up to 2 us longer",
    [WISH_ERRORS] = "local refusals, and without raw sockets routers, go unheard",
    [WISH_EXTENSIONS] = "no labels and other extensions of routers that say how much they quote",
    [WISH_LOSSES] = "answers that did not fit in a buffer are not counted",
    [WISH_HEADERS] = "no reply-ttl and reply-tos",
    [WISH_SIZES] = "reply-size lacks the options and extension headers of answers",
    [WISH_BUFFERS] = "small buffers: answers may be lost in floods",
    [WISH_FRAGMENTS] = "how packets beyond an MTU are treated is the host's choice",
    [WISH_PATHS] = "probes to one target may take several paths",
    [WISH_FILTERS] = "packets of other programs wake this one",
    [WISH_LOCKS] = "filters of sockets are not locked",
    [WISH_PARKING] = "sockets that wait for nothing do not rest",
    [WISH_SINGLE_SYNS] = "the kernel may send a SYN several times",
};

void
sockopt_refuse(enum wish wish, struct refused *refused)
{
    refused->wishes |= UINT32_C(1) << wish;
}

bool
sockopt_set(int fd, enum wish wish, int level, int name, const void *value, size_t size, struct refused *refused)
{
    if (setsockopt(fd, level, name, value, (socklen_t)size) == 0)
        return true;
    if (wish == NEEDED)
        return false;
    sockopt_refuse(wish, refused);
    return true;
}

void
sockopt_filter(int fd, struct sock_filter *code, size_t length, struct refused *refused)
{
    struct sock_fprog program = { .len = (unsigned short)length, .filter = code };
    int on = 1;
    sockopt_set(fd, WISH_FILTERS, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program, refused);
    sockopt_set(fd, WISH_LOCKS, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on, refused);
}

void
sockopt_hear_nothing(int fd, struct refused *refused)
{
    struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
    sockopt_filter(fd, code, 1, refused);
}

int
sockopt_set_up(int fd, unsigned uses, enum family_id family, struct refused *refused)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        bool applies = (options[i].uses & uses) && (options[i].family == BOTH || options[i].family == family);
        if (applies && !sockopt_set(fd, options[i].wish, options[i].level, options[i].name, &options[i].value,
                                    sizeof options[i].value, refused))
            return errno;
    }
    return 0;
}

const char *
sockopt_loss(enum wish wish)
{
    return losses[wish];
}
