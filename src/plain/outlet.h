/* SPDX-License-Identifier: MIT */
/*
 * The sockets of the transport that needs no privilege: probes leave by them, and their answers come in by them alone.
 * What is set for one probe travels with its packet: nothing stays for the next.
 */
#ifndef HOPLINE_OUTLET_H
#define HOPLINE_OUTLET_H

#include "host/inbox.h"
#include "host/route.h"
#include "host/sockopt.h"
#include "packets/packet.h"
#include "probes/identity.h"

/* What all of them have in common. */
struct outlets {
    int epoll; /* watches them */
    struct refused *refused;
    struct identities identities;
};

struct outlet {
    int fd; /* -1: closed */
    enum family_id family;
    enum protocol_id protocol;
    uint16_t near;        /* its port; ICMP: the identifier of all that it sends */
    bool shared;          /* several probes whose client fixed both ports left by it: see errqueue.h */
    uint32_t lost;        /* answers that did not fit in its buffer */
    struct instant last;  /* when a probe left by it */
    struct send_report report; /* what the kernel said of the probe that left by it last */
    bool unread;          /* its error queue may have refusals of earlier ones */
    struct instant seen;  /* when the last message arrived that was received, of whatever kind */
};

/* Where errors are kept that were found on the way to a stamp, until they are asked for. */
struct stash {
    struct inbox *inbox; /* the views of the answers point into it */
    struct answer answers[INBOX_BATCH];
    size_t count;
    size_t used;         /* places of the inbox, by the messages that these came with */
    struct instant last; /* when a probe left by any socket */
    uint32_t mtu;        /* bytes that would have fit, of the probe that was refused last; 0: it was not said */
    bool no_stamps;      /* this host takes no message that asks for a stamp */
};

/* A probe that is to leave: what all kinds of sockets need to know of it. */
struct errand {
    const struct request *request;
    const struct probes *in_flight;
    const struct clock *clock;
    const struct route *route;
    uint32_t device; /* interface index, or 0 */
    bool astray;     /* where that is but a wish, the probe would leave by another */
    uint8_t *packet; /* PACKET_MAX bytes to build it in */
    struct stash *stash;
    uint32_t flow_label; /* IPv6 */
};

/*
 * Opens a datagram socket (or, for tcp, one to connect with) and watches it, with the outlet's address as its
 * data, so it must not move. SOURCE and NEAR are bound; unspecified and 0: the kernel's choice. DEVICE is an interface
 * index, to which it is bound as well, or 0. 0, or an errno value: then fd is -1.
 */
int outlet_open(struct outlet *outlet, struct outlets *outlets, const struct address *source, uint32_t device,
                uint16_t near);
void outlet_close(struct outlet *outlet);

/*
 * The interface to which a socket that is bound to this source must be bound too, or 0. In IPv6 the kernel takes the
 * interface that goes along with a packet for a wish, where the source is given; and link-local addresses are one link's.
 * Only where it must be, since a socket that is bound hears nothing of answers that come in by another.
 */
uint32_t outlet_device(const struct errand *errand, const struct address *source);

/*
 * The address to bind to for a port, or an interface, that the request names: the source, so that ports of other addresses
 * stay free. But any, where the source is not sure before the ports are known, or would itself decide the way.
 */
const struct address *outlet_binding(const struct errand *errand);

/* The socket address of the request's target, with the scope that it needs. Returns its length. */
socklen_t outlet_target(const struct errand *errand, uint16_t port, struct sockaddr_storage *to);

/*
 * Sends LENGTH bytes of a datagram's payload to that port (ICMP: 0), and notes in *DEPARTED when: by the kernel's
 * timestamp, unless packets leave one upon the other, or else by the clock just before. 0, or the errno value with which
 * the local host refused: never one that an earlier probe's answer left on the socket.
 */
int outlet_send(struct outlet *outlet, const struct errand *errand, uint16_t port, const uint8_t *bytes, size_t length,
                struct instant *departed);

/*
 * Receives answers into INBOX from its place FIRST on, and decodes them to ANSWERS. ERRORS: from the error queue.
 * Returns how many messages it took; *COUNT grows by the answers among them.
 */
size_t outlet_receive(struct outlet *outlet, struct inbox *inbox, size_t first, bool errors, const struct clock *clock,
                      struct answer *answers, size_t *count);

#endif
