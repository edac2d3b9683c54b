#include "sender.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "protocol.h"

/*
 * A probe that leaves so long after the one before is at rest: there is time to ask the kernel when exactly it left. That
 * is 2 us later than the clock says before the system call, but takes 1 us that a flood of probes has not got.
 */
#define REST_BETWEEN (50 * NS_PER_US)

#define SEND_BUFFER (64 << 20) /* bytes; only what is queued takes memory */

int
sender_open(struct sender *sender, enum family_id family, struct privileges *privileges, struct send_buffers *buffers)
{
    const struct family *of = &families[family];
    int on = 1;
    int size = SEND_BUFFER;
    int stamps = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY;
    int fd = socket(of->domain, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
    *sender = (struct sender){ .fd = fd, .privileges = privileges, .buffers = buffers };
    /* RECVERR: else a full queue of the interface would drop packets in silence. */
    socklen_t length = sizeof sender->discovery;
    if (fd < 0 || setsockopt(fd, of->level, of->recverr, &on, sizeof on) < 0 ||
        getsockopt(fd, of->level, of->mtu_discover, &sender->discovery, &length) < 0) {
        int error = errno;
        sender_close(sender);
        return error;
    }
    /* Packets that wait for a neighbour's address count: a few silent neighbours must not hold up all others. */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps); /* without it there are no stamps, no harm */
    return 0;
}

void
sender_close(struct sender *sender)
{
    if (sender->fd >= 0)
        close(sender->fd);
    sender->fd = -1;
}

/* 0 when there is none of this name. */
static uint32_t
find_index(const struct sender *sender, const char *name, size_t length)
{
    struct ifreq interface = { 0 };
    memcpy(interface.ifr_name, name, length);
    return ioctl(sender->fd, SIOCGIFINDEX, &interface) < 0 ? 0 : (uint32_t)interface.ifr_ifindex;
}

bool
sender_find_name(const struct sender *sender, uint32_t device, char name[IFNAMSIZ])
{
    struct ifreq interface = { .ifr_ifindex = (int)device };
    if (ioctl(sender->fd, SIOCGIFNAME, &interface) < 0)
        return false;
    memcpy(name, interface.ifr_name, IFNAMSIZ);
    return true;
}

/* A name is looked for first: an interface may be called 2. */
static uint32_t
find_scope(const struct sender *sender, struct word scope)
{
    char name[IFNAMSIZ];
    uint32_t found = find_index(sender, scope.at, scope.length);
    if (!found && word_is_number(scope, &found) && !sender_find_name(sender, found, name))
        return 0;
    return found;
}

/* All that name an interface must mean the same one. */
static int
agree(uint32_t *device, uint32_t found)
{
    if (!found)
        return ENODEV;
    if (*device && *device != found)
        return ENETUNREACH;
    *device = found;
    return 0;
}

int
sender_find_device(const struct sender *sender, const struct request *request, uint32_t *device)
{
    int error = 0;
    *device = 0;
    if (request->device[0])
        error = agree(device, find_index(sender, request->device, strlen(request->device)));
    if (!error && request->scope.length)
        error = agree(device, find_scope(sender, request->scope));
    if (!error && request->local_scope.length)
        error = agree(device, find_scope(sender, request->local_scope));
    return error;
}

/* Bytes; 0 when the interface is gone. */
static uint32_t
device_mtu(const struct sender *sender, uint32_t device)
{
    struct ifreq interface = { .ifr_ifindex = (int)device };
    if (ioctl(sender->fd, SIOCGIFNAME, &interface) < 0 || ioctl(sender->fd, SIOCGIFMTU, &interface) < 0)
        return 0;
    return (uint32_t)interface.ifr_mtu;
}

static void
add_control(struct msghdr *message, int level, int type, const void *data, size_t size)
{
    struct cmsghdr *control = (struct cmsghdr *)(void *)((char *)message->msg_control + message->msg_controllen);
    memset(control, 0, CMSG_SPACE(size)); /* the padding leaves with it */
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(control), data, size);
    message->msg_controllen += CMSG_SPACE(size);
}

/*
 * For the routing rules that look at the source, it goes along with the packet. Not with a device, though: IPv6 takes a
 * device for a wish only, once the source is given.
 */
static void
add_pktinfo(struct msghdr *message, enum family_id family, const struct address *source, uint32_t device)
{
    if (family == IPV4) {
        struct in_pktinfo info = { .ipi_ifindex = (int)device };
        memcpy(&info.ipi_spec_dst, source->bytes, sizeof info.ipi_spec_dst);
        add_control(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else {
        struct in6_pktinfo info = { .ipi6_ifindex = device };
        if (!device)
            memcpy(&info.ipi6_addr, source->bytes, sizeof info.ipi6_addr);
        add_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
}

/* A message to the request's target with all that goes along with it. */
struct letter {
    struct msghdr message;
    struct sockaddr_storage target;
    _Alignas(struct cmsghdr) char controls[128];
};

static void
address_letter(struct letter *letter, const struct request *request, const struct address *source, uint32_t device)
{
    const struct family *family = &families[request->family];
    int tos = (int)request->tos;
    letter->message = (struct msghdr){ .msg_name = &letter->target, .msg_control = letter->controls };
    letter->message.msg_namelen = address_to_socket(request->family, &request->target, device, 0, &letter->target);
    if (device || !address_is_unspecified(&request->local)) /* else the routes chose the source, without one given */
        add_pktinfo(&letter->message, request->family, source, device);
    if (request->tos) /* the header has it already; this is for routing rules */
        add_control(&letter->message, family->level, family->tos, &tos, sizeof tos);
    if (request->mark)
        add_control(&letter->message, SOL_SOCKET, SO_MARK, &request->mark, sizeof request->mark);
    if (letter->message.msg_controllen == 0)
        letter->message.msg_control = NULL;
}

static void
ask_for_stamp(struct letter *letter)
{
    uint32_t stamp = SOF_TIMESTAMPING_TX_SOFTWARE;
    letter->message.msg_control = letter->controls;
    add_control(&letter->message, SOL_SOCKET, SO_TIMESTAMPING, &stamp, sizeof stamp);
}

/*
 * The little that can't go along with a packet, and is taken back right after it. To look past the path MTU that the
 * kernel has learned (ip(7)) is IP_PMTUDISC_PROBE, and IPv6's number for it is the same.
 */
static int
set_state(const struct sender *sender, const struct request *request, bool on)
{
    const struct family *family = &families[request->family];
    int broadcast = on;
    int discovery = on ? IP_PMTUDISC_PROBE : sender->discovery;
    if (request->broadcast && setsockopt(sender->fd, SOL_SOCKET, SO_BROADCAST, &broadcast, sizeof broadcast) < 0)
        return errno;
    if (request_has(request, FEATURE_DONT_FRAGMENT) &&
        setsockopt(sender->fd, family->level, family->mtu_discover, &discovery, sizeof discovery) < 0)
        return errno;
    return 0;
}

static int
send_bytes(const struct sender *sender, const struct request *request, struct letter *letter, uint8_t *bytes,
           size_t length)
{
    struct iovec vector = { bytes, length };
    struct msghdr *message = &letter->message;
    message->msg_iov = &vector;
    message->msg_iovlen = 1;
    bool has_state = request->broadcast || request_has(request, FEATURE_DONT_FRAGMENT);
    if (!message->msg_control && !has_state) /* most are so, and the kernel has less to copy then */
        return sendto(sender->fd, bytes, length, MSG_DONTWAIT, message->msg_name, message->msg_namelen) < 0 ? errno : 0;
    if (request->mark)
        privileges_raise_for_mark(sender->privileges);
    int error = has_state ? set_state(sender, request, true) : 0;
    if (!error && sendmsg(sender->fd, message, MSG_DONTWAIT) < 0)
        error = errno;
    if (has_state)
        set_state(sender, request, false);
    if (request->mark)
        privileges_lower(sender->privileges);
    return error;
}

/* Sends what is unsent, as far as the interface takes it. */
static int
send_fragments(struct sender *sender, const struct request *request, struct letter *letter)
{
    struct unsent *unsent = &sender->unsent;
    struct send_buffers *buffers = sender->buffers;
    size_t next = unsent->offset;
    size_t size;
    while ((size = packet_fragment(request->family, buffers->packet, unsent->length, unsent->mtu, unsent->id, &next,
                                   buffers->fragment)) > 0) {
        int error = send_bytes(sender, request, letter, buffers->fragment, size);
        if (error)
            return error;
        unsent->left -= next - unsent->offset;
        unsent->offset = next;
    }
    return unsent->offset ? 0 : EMSGSIZE;
}

/* Only a packet that has left in part, and whose rest may follow, is kept for later. */
static int
start_fragments(struct sender *sender, const struct request *request, struct letter *letter,
                const struct identity *identity, size_t length, size_t mtu, uint32_t device)
{
    sender->unsent = (struct unsent){
        .left = length - families[request->family].header_size,
        .length = length,
        .mtu = mtu < PACKET_MAX ? mtu : PACKET_MAX, /* `lo` has more, and the buffer has not */
        .device = device,
        .source = identity->source,
        .id = identity->ip_id,
    };
    int error = send_fragments(sender, request, letter);
    if (sender->unsent.offset == 0 || (error != EAGAIN && error != ENOBUFS))
        sender->unsent.left = 0;
    return error;
}

int
sender_resume(struct sender *sender, const struct request *request)
{
    struct letter letter;
    address_letter(&letter, request, &sender->unsent.source, sender->unsent.device);
    int error = send_fragments(sender, request, &letter);
    if (error != EAGAIN && error != ENOBUFS)
        sender->unsent.left = 0;
    return error;
}

/* The stamp in a message of the error queue; false when it tells of something else. */
static bool
read_stamp(struct msghdr *message, struct wall *stamp)
{
    for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control)) {
        struct scm_timestamping stamps;
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_TIMESTAMPING ||
            control->cmsg_len < CMSG_LEN(sizeof stamps))
            continue;
        memcpy(&stamps, CMSG_DATA(control), sizeof stamps);
        stamp->ns = stamps.ts[0].tv_sec * NS_PER_S + stamps.ts[0].tv_nsec;
        return true;
    }
    return false;
}

/*
 * Empties the error queue, where the kernel puts stamps, and local refusals too, which nobody needs there. True when
 * the last stamp in it is of a packet that left between EARLIEST and now.
 */
static bool
drain_errors(const struct sender *sender, const struct clock *clock, struct instant earliest, struct instant *stamped)
{
    _Alignas(struct cmsghdr) char controls[256];
    struct wall stamp = { 0 };
    for (;;) {
        struct msghdr message = { .msg_control = controls, .msg_controllen = sizeof controls };
        if (recvmsg(sender->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            break;
        read_stamp(&message, &stamp);
    }
    *stamped = (struct instant){ stamp.ns - clock->offset };
    return instant_since(*stamped, earliest) >= 0 && instant_since(clock_now(), *stamped) >= 0;
}

int
sender_send(struct sender *sender, const struct request *request, struct identity *identity, uint32_t device,
            struct route *route, const struct clock *clock, struct instant *departed)
{
    struct letter letter;
    struct instant stamped;
    size_t length = packet_build(request, identity, sender->buffers->packet, sizeof sender->buffers->packet);
    address_letter(&letter, request, &identity->source, device);
    if (request_has(request, FEATURE_DONT_FRAGMENT)) /* what the kernel has learned of the path does not count */
        route->mtu = 0;
    if (length > families[request->family].mtu_min && !route->mtu)
        route->mtu = device_mtu(sender, route->device);

    bool whole = !route->mtu || length <= route->mtu;
    int error = EMSGSIZE;
    *departed = clock_now();
    /* To a group the host answers itself, before the interface stamps the packet. */
    bool group = route->broadcast || address_is_group(request->family, &request->target);
    bool at_rest = whole && !group && instant_since(*departed, sender->last) > REST_BETWEEN;
    sender->last = *departed;
    if (at_rest)
        ask_for_stamp(&letter);
    if (whole)
        error = send_bytes(sender, request, &letter, sender->buffers->packet, length);
    if (error == EMSGSIZE && protocols[request->protocol]->sized && !request->dont_fragment)
        error = start_fragments(sender, request, &letter, identity, length, route->mtu, device);
    if ((error || at_rest) && drain_errors(sender, clock, *departed, &stamped))
        *departed = stamped;
    return error;
}
