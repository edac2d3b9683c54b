#include "sender.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "protocol.h"

int
sender_open(enum family_id family)
{
    const struct family *of = &families[family];
    int on = 1;
    int fd = socket(of->domain, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
    /* RECVERR: else a full queue of the interface would drop packets in silence. */
    if (fd >= 0 && setsockopt(fd, of->level, of->recverr, &on, sizeof on) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int
sender_find_device(int fd, const struct request *request, uint32_t *device)
{
    struct ifreq interface = { 0 };
    *device = 0;
    if (!request->device[0])
        return 0;
    memcpy(interface.ifr_name, request->device, sizeof interface.ifr_name);
    if (ioctl(fd, SIOCGIFINDEX, &interface) < 0)
        return ENODEV;
    *device = (uint32_t)interface.ifr_ifindex;
    return 0;
}

/* Bytes; 0 when the interface is gone. */
static uint32_t
device_mtu(int fd, uint32_t device)
{
    struct ifreq interface = { .ifr_ifindex = (int)device };
    if (ioctl(fd, SIOCGIFNAME, &interface) < 0 || ioctl(fd, SIOCGIFMTU, &interface) < 0)
        return 0;
    return (uint32_t)interface.ifr_mtu;
}

static void
add_control(struct msghdr *message, int level, int type, const void *data, size_t size)
{
    struct cmsghdr *control = (struct cmsghdr *)(void *)((char *)message->msg_control + message->msg_controllen);
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

/* PRIVILEGES: NULL when none are needed. */
static int
send_bytes(int fd, struct letter *letter, struct privileges *privileges, uint8_t *bytes, size_t length)
{
    struct iovec vector = { bytes, length };
    letter->message.msg_iov = &vector;
    letter->message.msg_iovlen = 1;
    if (privileges)
        privileges_raise_for_mark(privileges);
    int error = sendmsg(fd, &letter->message, MSG_DONTWAIT) < 0 ? errno : 0;
    if (privileges)
        privileges_lower(privileges);
    return error;
}

static int
send_fragments(int fd, struct letter *letter, struct privileges *privileges, enum family_id family,
               struct send_buffers *buffers, size_t length, size_t mtu, uint16_t id)
{
    size_t offset = 0;
    size_t size;
    while ((size = packet_fragment(family, buffers->packet, length, mtu, id, &offset, buffers->fragment)) > 0) {
        int error = send_bytes(fd, letter, privileges, buffers->fragment, size);
        if (error)
            return error;
    }
    return offset ? 0 : EMSGSIZE;
}

/* Local refusals are queued as errors too: nobody reads them there, so they would fill the queue. */
static void
discard_errors(int fd)
{
    char byte;
    while (recv(fd, &byte, sizeof byte, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0)
        ;
}

int
sender_send(int fd, const struct request *request, struct identity *identity, uint32_t device, struct route *route,
            struct privileges *privileges, struct send_buffers *buffers, struct instant *departed)
{
    struct letter letter;
    struct privileges *needed = request->mark ? privileges : NULL;
    size_t length = packet_build(request, identity, buffers->packet, sizeof buffers->packet);
    address_letter(&letter, request, &identity->source, device);
    if (length > families[request->family].mtu_min && !route->mtu)
        route->mtu = device_mtu(fd, route->device);

    int error = EMSGSIZE;
    *departed = clock_now();
    if (!route->mtu || length <= route->mtu)
        error = send_bytes(fd, &letter, needed, buffers->packet, length);
    if (error == EMSGSIZE && protocols[request->protocol]->sized)
        error = send_fragments(fd, &letter, needed, request->family, buffers, length, route->mtu, identity->ip_id);
    if (error)
        discard_errors(fd);
    return error;
}
