/* SPDX-License-Identifier: MIT */
/*
 * How probes leave and answers come in: one interface, so that nothing above it asks which body it has. A body makes a
 * probe's identity, since what can be chosen freely depends on the kind of socket.
 */
#ifndef HOPLINE_TRANSPORT_H
#define HOPLINE_TRANSPORT_H

#include <poll.h>

#include "host/clock.h"
#include "host/route.h"
#include "host/sockopt.h"
#include "packets/packet.h"

#define TRANSPORT_BATCH 32       /* answers that one receive() gives at most */
#define TRANSPORT_DESCRIPTORS 170 /* that watch() gives at most */
#define QUEUE_FOR_PORT UINT32_MAX /* no interface: the port that the client named, while another probe has it */

struct transport;
struct probe;  /* probe.h, as the next */
struct probes;

struct transport_body {
    /* True when the host has an address of this family, without which none of its probes would leave. */
    bool (*has_address)(struct transport *transport, enum family_id family);
    bool (*supports_mark)(const struct transport *transport);

    /* True when probes of this protocol can have a flow, where it can send them at all. */
    bool (*has_flows)(const struct transport *transport, enum protocol_id protocol);

    /* The name of an interface by its index; false when it is gone. */
    bool (*find_device_name)(const struct transport *transport, uint32_t device, char name[IFNAMSIZ]);

    /*
     * Sends a probe and fills in MODEL's identity, departure and lease; the rest of it is set before. IN_FLIGHT is what
     * the new identity must differ from. 0, and it had left by `sent`; EAGAIN: not now, try the same request again,
     * which may have left in part, or abandon it; then DETAIL is the errno value that the host said; else the errno
     * value with which it refused (ENODEV: no such device; EMSGSIZE: DETAIL bytes would fit, if not 0; ENOSPC: all that
     * would tell this probe from those in flight is in use; EOVERFLOW: the packet has no room for that;
     * EPROTONOSUPPORT: it left with other ECN bits than the request wants, and counts as not sent).
     */
    int (*send)(struct transport *transport, const struct request *request, const struct probes *in_flight,
                const struct clock *clock, struct probe *model, uint32_t *detail);

    /* What this request would wait for, where it can't leave at once: the interface, by its index, or 0; or QUEUE_FOR_PORT. */
    uint32_t (*find_queue)(struct transport *transport, const struct request *request);

    /* A request that send() gave EAGAIN for will not be tried again. */
    void (*abandon)(struct transport *transport, const struct request *request);

    /* A probe that was sent has ended; to be called once for each. */
    void (*release)(struct transport *transport, struct probe *probe);

    /* Descriptors to poll, at most TRANSPORT_DESCRIPTORS, and how they came back. Returns their number. */
    size_t (*watch)(struct transport *transport, struct pollfd *fds);
    void (*polled)(struct transport *transport, const struct pollfd *fds, size_t count, struct instant now);

    /* As if every descriptor had been polled ready, so that no probe expires whose answer came after the poll. */
    void (*expect_all)(struct transport *transport);

    /*
     * The next answers, at most TRANSPORT_BATCH; their views are good until the next call. Sets *COUNT. False when
     * nothing is left to be received.
     */
    bool (*receive)(struct transport *transport, const struct clock *clock, struct answer *answers, size_t *count);

    /* Every answer that had arrived by this instant has been received. */
    struct instant (*received_until)(const struct transport *transport, const struct clock *clock);

    /* Puts away what no probe needs any more, such as sockets that would go on receiving. True: call again by *WHEN. */
    bool (*rest)(struct transport *transport, struct instant now, struct instant *when);

    /* Answers that the kernel had to drop because we were slow. */
    uint64_t (*lost)(const struct transport *transport);

    void (*close)(struct transport *transport);
};

#define TRANSPORT_SOURCES 16 /* addresses that are remembered */

/* What has left so far, by which refusals are judged. */
struct departures {
    bool any[FAMILIES][PROTOCOLS];
    struct address sources[FAMILIES][TRANSPORT_SOURCES]; /* that clients named, the last of them */
    uint32_t source_count[FAMILIES];
};

/* What both bodies have; each begins with it. */
struct transport {
    const struct transport_body *body;
    int refusals[FAMILIES][PROTOCOLS]; /* errno values: why this process can't send such probes; 0: it can */
    bool icmp_requests[FAMILIES][ICMP_REQUESTS]; /* the kinds that it can send, where it can send icmp */
    bool tcp_ecn[TCP_ECNS];            /* what its SYNs can ask for */
    struct refused refused;            /* what was wished for of its sockets, and this host refused */
    struct routes *routes;
    struct departures departures;
    struct instant sent;               /* when the last probe had left */
};

/* The reason when no probe of any kind can be sent, else 0. */
int transport_refusal(const struct transport *transport);

/*
 * What became of a send, right behind it: of 0 is noted when that was (`sent`), and by what later refusals are judged. An
 * errno value becomes what send() says of it; EAGAIN: for now, then *REASON is the host's own.
 */
int transport_judge(struct transport *transport, const struct request *request, int error, int *reason);

/* has_address and find_device_name of both bodies, and find_queue where that is an interface: the routes know it. */
bool transport_has_address(struct transport *transport, enum family_id family);
uint32_t transport_find_device(struct transport *transport, const struct request *request);
bool transport_find_device_name(const struct transport *transport, uint32_t device, char name[IFNAMSIZ]);

#endif
