/* SPDX-License-Identifier: MIT */
#include "plain/connect.h"

#include <errno.h>
#include <linux/in6.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "host/control.h"
#include "host/descriptors.h"
#include "packets/protocol.h"
#include "plain/errqueue.h"
#include "probes/index.h"

/*
 * The kernel sends a SYN again after a second, and can't be told not to. What answers only that is no answer: the probe
 * was lost. By timestamps (RFC 7323) the kernel knows which SYN a SYN-ACK answers, and we, which a router quotes. What came
 * before that second was over is about the first, however late we read it.
 */
#define RETRANSMITTED_AFTER (NS_PER_S / 2)
#define RETRANSMISSION NS_PER_S

struct connection {
    struct outlet outlet; /* the first member: what epoll gives back points to it, and so to the connection */
    struct identity identity;
    struct address target;
    struct instant departed;
    uint32_t device;      /* to which it is bound, or 0 */
    bool named;           /* its port was, by the client */
    uint32_t place;       /* its own */
    uint32_t next_free;   /* place + 1, or 0 */
};

struct connections {
    struct outlets *outlets;
    struct chunks places; /* struct connection; they never move */
    uint32_t count;       /* places ever used */
    uint32_t free;        /* place + 1 of the first that is free, or 0 */
    struct index by_port; /* places of those that are open and whose port was named */
    int descriptors;      /* that probes may have for which others are not to wait, by number */
};

struct connections *
connections_new(struct outlets *outlets)
{
    struct connections *connections = calloc(1, sizeof *connections);
    if (!connections)
        return NULL;
    connections->outlets = outlets;
    chunks_init(&connections->places, sizeof(struct connection));
    index_init(&connections->by_port);
    connections->descriptors = descriptors_to_use();
    return connections;
}

static struct connection *
connection_at(const struct connections *connections, uint32_t place)
{
    return chunks_at(&connections->places, place);
}

void
connections_free(struct connections *connections)
{
    if (!connections)
        return;
    for (uint32_t place = 0; place < connections->count; place++)
        outlet_close(&connection_at(connections, place)->outlet);
    chunks_free(&connections->places);
    index_free(&connections->by_port);
    free(connections);
}

/* ---- ports that clients named ---- */

static uint32_t
hash_ports(const struct connection *connection)
{
    uint32_t target;
    memcpy(&target, connection->target.bytes + (connection->outlet.family == IPV4 ? 0 : 12), sizeof target);
    return ((uint32_t)connection->identity.near << 16 ^ connection->identity.far ^ target) * UINT32_C(2654435761);
}

static bool
has_same_ports(const struct connection *a, const struct connection *b)
{
    return a->outlet.family == b->outlet.family && a->identity.near == b->identity.near &&
           a->identity.far == b->identity.far && address_same(&a->target, &b->target) &&
           address_same(&a->identity.source, &b->identity.source) && a->device == b->device;
}

/*
 * The kernel makes one connection at a time from one port to the same port of a target. So where the client names its port,
 * a probe that comes meanwhile waits until the one before has ended. This tells it without asking the kernel, which would
 * take a new socket for each time that it is tried.
 */
static bool
is_taken(const struct connections *connections, const struct connection *wanted)
{
    uint32_t place = index_first(&connections->by_port, hash_ports(wanted));
    while (place != INDEX_NONE && !has_same_ports(connection_at(connections, place), wanted))
        place = index_next(&connections->by_port, place);
    return place != INDEX_NONE;
}

static void
close_connection(struct connections *connections, struct connection *connection)
{
    if (connection->named && connection->outlet.fd >= 0)
        index_remove(&connections->by_port, connection->place);
    outlet_close(&connection->outlet);
}

int
connections_check(enum family_id family)
{
    int fd = socket(families[family].domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

/* ip-sysctl of the kernel's documentation. Of what answers accurate ECN (3) the kernel tells next to nothing. */
enum tcp_ecn
connections_ecn(void)
{
    static const enum tcp_ecn outgoing[] = {
        TCP_ECN_OFF, TCP_ECN_CLASSIC, TCP_ECN_OFF, TCP_ECNS, TCP_ECN_CLASSIC, TCP_ECN_OFF,
    };
    unsigned setting;
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_ecn", "re");
    bool known = file && fscanf(file, "%u", &setting) == 1 && setting < sizeof outgoing / sizeof *outgoing;
    if (file)
        fclose(file);
    return known ? outgoing[setting] : TCP_ECNS;
}

/* ---- sending ---- */

static bool
set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

static int
set_options(int fd, const struct errand *errand, struct refused *refused)
{
    const struct request *request = errand->request;
    const struct family *family = &families[request->family];
    const struct linger reset = { .l_onoff = 1 };
    int error = sockopt_set_up(fd, USE_SYN, request->family, refused);
    if (error)
        return error;
    if (!set(fd, family->level, family->default_ttl, (int)request->ttl) ||
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) < 0 ||
        (request->tos && !set(fd, family->level, family->tos, (int)request->tos)) ||
        (errand->device && !set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, (int)errand->device)) ||
        (request_has(request, FEATURE_DONT_FRAGMENT) &&
         !set(fd, family->level, family->mtu_discover, request->dont_fragment ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT)) ||
        (errand->flow_label && !set(fd, IPPROTO_IPV6, IPV6_FLOWINFO_SEND, 1)))
        return errno;
    return 0;
}

/* Several probes may leave from one port, as long as their targets differ. */
static int
bind_local(int fd, const struct errand *errand)
{
    struct sockaddr_storage name;
    const struct request *request = errand->request;
    if (!request->local_port && address_is_unspecified(&request->local))
        return 0;
    if (request->local_port ? !set(fd, SOL_SOCKET, SO_REUSEADDR, 1)
                            : !set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1))
        return errno;
    socklen_t length = address_to_socket(request->family, outlet_binding(errand), errand->route->device,
                                         (uint16_t)request->local_port, &name);
    return bind(fd, (struct sockaddr *)&name, length) < 0 ? errno : 0;
}

/*
 * ENETUNREACH also says that nobody connects to a group. A SYN to a multicast address would stay unanswered; to a
 * broadcast address it is not let out. EADDRNOTAVAIL: all ports to this target are in use, or the one that the client named,
 * which passes; for that the address is the host's was seen before.
 */
static int
connect_refusal(int error, const struct errand *errand)
{
    if (error == EINPROGRESS)
        return 0;
    if (error == ENETUNREACH && errand->route->broadcast)
        return EACCES;
    if (error == ENETUNREACH && address_is_group(errand->request->family, &errand->request->target))
        return 0;
    if (error == EADDRNOTAVAIL)
        return errand->request->local_port ? EAGAIN : ENOSPC;
    return error;
}

static int
start(const struct connection *connection, const struct errand *errand, struct refused *refused,
      struct instant *departed)
{
    struct sockaddr_storage name;
    int fd = connection->outlet.fd;
    int error = set_options(fd, errand, refused);
    if (!error)
        error = bind_local(fd, errand);
    if (error)
        return error;
    socklen_t length = outlet_target(errand, connection->identity.far, &name);
    if (errand->flow_label)
        ((struct sockaddr_in6 *)(void *)&name)->sin6_flowinfo = htonl(errand->flow_label);
    *departed = clock_now();
    return connect(fd, (struct sockaddr *)&name, length) < 0 ? connect_refusal(errno, errand) : 0;
}

/* The port and the source that the kernel chose, as far as it says; for a group it chose none. */
static void
read_name(const struct connection *connection, struct identity *identity)
{
    struct sockaddr_in in; /* sin_port is where sin6_port is */
    struct sockaddr_storage name = { 0 };
    socklen_t length = sizeof name;
    struct address source;
    enum family_id family;
    if (getsockname(connection->outlet.fd, (struct sockaddr *)&name, &length) < 0 ||
        !address_from_socket(&name, &family, &source) || address_is_unspecified(&source))
        return;
    identity->source = source;
    memcpy(&in, &name, sizeof in);
    identity->near = ntohs(in.sin_port);
}

static int
open_connection(struct connections *connections, const struct connection *wanted, bool yields, uint32_t *lease)
{
    uint32_t place = connections->free ? connections->free - 1 : connections->count;
    if ((!connections->free && !chunks_reach(&connections->places, place)) ||
        (wanted->named && !index_reach(&connections->by_port, place)))
        return ENOMEM;
    struct connection *connection = connection_at(connections, place);
    int fd = socket(families[wanted->outlet.family].domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    if (yields && fd >= connections->descriptors) {
        close(fd);
        return EMFILE;
    }
    if (connections->free)
        connections->free = connection->next_free;
    else
        connections->count++;
    *connection = *wanted;
    connection->outlet.fd = fd;
    connection->place = place;
    if (wanted->named)
        index_add(&connections->by_port, place, hash_ports(wanted));
    *lease = place + 1;
    return 0;
}

static bool
read_info(int fd, struct tcp_info *info)
{
    socklen_t length = sizeof *info;
    *info = (struct tcp_info){ 0 };
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &length) == 0;
}

static bool
has_ecn(const struct tcp_info *info)
{
    return info->tcpi_options & TCPI_OPT_ECN;
}

/*
 * A route may ask for ECN, too (ip-route(8), features), or the host's setting be another by now. What is wanted and not
 * there may be gone because the target has answered already, and does not want it.
 */
static int
check_ecn(const struct connection *connection, const struct request *request)
{
    struct tcp_info info;
    if (!request_has(request, FEATURE_TCP_ECN) || !read_info(connection->outlet.fd, &info))
        return 0;
    bool wanted = request->tcp_ecn != TCP_ECN_OFF, waits = info.tcpi_state == TCP_SYN_SENT;
    return has_ecn(&info) == wanted || (wanted && !waits) ? 0 : EPROTONOSUPPORT;
}

int
connections_send(struct connections *connections, const struct errand *errand, struct probe *model)
{
    static const struct near_source kernel; /* which chooses the port, and keeps what it chose to itself */
    const struct request *request = errand->request;
    int error = identities_make(&connections->outlets->identities, &kernel, request, errand->in_flight, 0, model);
    const struct connection wanted = {
        .outlet = { .family = request->family, .protocol = PROTOCOL_TCP },
        .identity = model->identity,
        .target = model->target,
        .device = errand->device,
        .named = request->local_port != 0,
    };
    if (!error && wanted.named && is_taken(connections, &wanted))
        return EAGAIN;
    if (!error)
        error = open_connection(connections, &wanted, request->yields, &model->lease);
    if (error)
        return error;
    struct connection *connection = connection_at(connections, model->lease - 1);
    struct epoll_event event = { .events = EPOLLOUT, .data.ptr = connection };
    error = start(connection, errand, connections->outlets->refused, &model->departed);
    connection->departed = model->departed;
    if (!error)
        error = check_ecn(connection, request);
    if (!error && (request->detail || errand->route->by_ports)) {
        read_name(connection, &model->identity);
        connection->identity = model->identity;
    }
    if (!error && epoll_ctl(connections->outlets->epoll, EPOLL_CTL_ADD, connection->outlet.fd, &event) < 0)
        error = errno;
    return error;
}

void
connections_release(struct connections *connections, uint32_t lease)
{
    if (!lease)
        return;
    struct connection *connection = connection_at(connections, lease - 1);
    close_connection(connections, connection);
    connection->next_free = connections->free;
    connections->free = lease;
}

/* ---- answers ---- */

/*
 * True when the target has sent a SYN-ACK; what it may have sent behind that, before we looked, does not take it back.
 * A round trip is known of no other answer.
 */
static bool
was_accepted(int error, const struct tcp_info *info)
{
    bool open = info->tcpi_state == TCP_ESTABLISHED || info->tcpi_state == TCP_CLOSE_WAIT;
    bool reset = error == ECONNRESET || error == EPIPE;
    return info->tcpi_rtt != 0 && (reset || (open && !error));
}

/*
 * On this host itself the port that the kernel chose may be the one that is probed. Then the SYN comes to the socket that
 * sent it, which answers itself (RFC 9293, section 3.5), though nobody listens there.
 */
static bool
is_its_own_peer(const struct connection *connection)
{
    struct identity own = connection->identity;
    read_name(connection, &own);
    return own.near == own.far && address_same(&own.source, &connection->target);
}

/* The target's own answer: an open port, or a closed one. */
static bool
read_outcome(const struct connection *connection, const struct tcp_info *info, struct answer *answer)
{
    int error = 0;
    socklen_t length = sizeof error;
    struct instant now = clock_now();
    struct instant arrived = instant_after(connection->departed, info->tcpi_rtt * NS_PER_US);
    struct instant retransmission = instant_after(connection->departed, RETRANSMISSION);
    *answer = (struct answer){
        .from = connection->target,
        .to = connection->identity.source,
        .source = connection->identity.source,
        .target = connection->target,
        .arrived = now,
    };
    if (getsockopt(connection->outlet.fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        return false;
    answer->tcp_flags = error == ECONNREFUSED ? TH_RST | TH_ACK
                                              : (uint16_t)(TH_SYN | TH_ACK | (has_ecn(info) ? TCP_ECE : 0));
    if (error == ECONNREFUSED) { /* no stamp says when; but it came before a second SYN was sent */
        answer->arrived = now.ns < retransmission.ns ? now : retransmission;
        answer->unstamped = true;
        return info->tcpi_total_retrans == 0;
    }
    if (!was_accepted(error, info))
        return false;
    if (is_its_own_peer(connection))
        answer->tcp_flags = TH_RST | TH_ACK;
    struct instant heard = instant_after(now, -(int64_t)info->tcpi_last_ack_recv * NS_PER_MS);
    answer->arrived = arrived.ns < now.ns ? arrived : now;
    return info->tcpi_total_retrans == 0 || llabs(instant_since(heard, arrived)) < RETRANSMITTED_AFTER;
}

/* The timestamp of a quoted SYN, where the router quoted as much. */
static bool
read_stamp(struct reader quoted, uint32_t *stamp)
{
    uint8_t kind, length;
    if (!read_skip(&quoted, sizeof(struct tcphdr)))
        return false;
    while (read_u8(&quoted, &kind) && kind != TCPOPT_EOL) {
        if (kind == TCPOPT_NOP)
            continue;
        if (!read_u8(&quoted, &length) || length < 2)
            return false;
        if (kind == TCPOPT_TIMESTAMP)
            return read_u32(&quoted, stamp);
        if (!read_skip(&quoted, length - 2u))
            return false;
    }
    return false;
}

/*
 * The kernel has sent the SYN again: true when this quotes the first one. Its timestamp (RFC 7323) says when that left,
 * and TCP_TIMESTAMP how the clock that it was taken from stands now.
 */
static bool
quotes_first(const struct connection *connection, struct reader quoted)
{
    uint32_t stamp, stamp_now;
    socklen_t length = sizeof stamp_now;
    if (!read_stamp(quoted, &stamp) ||
        getsockopt(connection->outlet.fd, IPPROTO_TCP, TCP_TIMESTAMP, &stamp_now, &length) < 0)
        return false;
    struct instant sent = instant_after(clock_now(), -(int64_t)(stamp_now - stamp) * NS_PER_MS);
    return llabs(instant_since(sent, connection->departed)) < RETRANSMITTED_AFTER;
}

/* What a router has said, if anything. *FIRST: about the first SYN. */
static bool
read_error(struct connection *connection, struct inbox *inbox, size_t place, const struct clock *clock,
           struct answer *answer, bool *first)
{
    struct controls controls;
    struct datagram datagram;
    if (inbox_receive(inbox, connection->outlet.fd, place, 1, INBOX_ERRORS) == 0)
        return false;
    struct clock renewed = clock_renew(clock); /* it may have come in the middle of this turn */
    if (!inbox_read(inbox, place, &renewed, &datagram, &controls))
        return false;
    const struct queued_error queued = {
        .family = connection->outlet.family,
        .protocol = PROTOCOL_TCP,
        .target = connection->target,
        .controls = &controls,
        .quoted = datagram.bytes,
        .arrived = datagram.arrived,
    };
    bool in_time = controls.has_stamp && instant_since(datagram.arrived, connection->departed) < RETRANSMISSION;
    *first = *first || in_time || quotes_first(connection, queued.quoted);
    return errqueue_decode(&queued, answer);
}

bool
connection_read(struct connections *connections, struct outlet *outlet, struct inbox *inbox, size_t place,
                const struct clock *clock, struct answer *answer)
{
    struct connection *connection = (struct connection *)(void *)outlet;
    struct tcp_info info;
    if (!read_info(outlet->fd, &info))
        info.tcpi_total_retrans = 1;
    bool answered = false, first = info.tcpi_total_retrans == 0;
    /* An error that comes while connect() is still at work does not end the connection: so this is looked at first. */
    if (read_error(connection, inbox, place, clock, answer, &first))
        answered = first;
    else if (info.tcpi_state == TCP_SYN_SENT) /* nothing yet */
        return false;
    else
        answered = read_outcome(connection, &info, answer);
    /* By its socket alone it is known whose answer this is; the kernel has compared ports and sequence number. */
    answer->family = outlet->family;
    answer->protocol = PROTOCOL_TCP;
    answer->source = connection->identity.source;
    answer->near = connection->identity.near;
    answer->far = connection->identity.far;
    answer->has_number = true;
    answer->number = connection->identity.number;
    answer->has_checksum = false; /* the kernel has built the SYN and does not tell its checksum */
    answer->sent_mss = (uint16_t)info.tcpi_advmss;
    close_connection(connections, connection); /* answered or not, nothing more will come, and epoll would say so again and again */
    return answered;
}
