/* SPDX-License-Identifier: MIT */
#include "host/control.h"

#include <errno.h>
#include <string.h>

void
control_add(struct msghdr *message, int level, int type, const void *data, size_t size)
{
    struct cmsghdr *control = (struct cmsghdr *)(void *)((char *)message->msg_control + message->msg_controllen);
    memset(control, 0, CMSG_SPACE(size)); /* the kernel is given the padding too */
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(control), data, size);
    message->msg_controllen += CMSG_SPACE(size);
}

static bool
is_control(const struct cmsghdr *control, int level, int type, size_t size)
{
    return control->cmsg_level == level && control->cmsg_type == type && control->cmsg_len >= CMSG_LEN(size);
}

static int
int_in(const struct cmsghdr *control)
{
    int value;
    memcpy(&value, CMSG_DATA(control), sizeof value);
    return value;
}

static struct wall
wall_of(struct timespec time)
{
    return (struct wall){ time.tv_sec * NS_PER_S + time.tv_nsec };
}

static void
read_socket_control(const struct cmsghdr *control, struct controls *controls)
{
    struct timespec time;
    struct scm_timestamping stamps;
    if (is_control(control, SOL_SOCKET, SCM_TIMESTAMPNS, sizeof time)) {
        memcpy(&time, CMSG_DATA(control), sizeof time);
        controls->has_stamp = true;
        controls->stamp = wall_of(time);
    } else if (is_control(control, SOL_SOCKET, SCM_TIMESTAMPING, sizeof stamps)) {
        memcpy(&stamps, CMSG_DATA(control), sizeof stamps);
        controls->has_departure = true;
        controls->departure = wall_of(stamps.ts[0]);
    } else if (is_control(control, SOL_SOCKET, SO_RXQ_OVFL, sizeof(uint32_t))) {
        controls->has_lost = true;
        controls->lost = (uint32_t)int_in(control);
    }
}

static void
read_error(const struct cmsghdr *control, struct controls *controls)
{
    struct sockaddr_storage offender = { 0 };
    enum family_id family;
    size_t size = control->cmsg_len - CMSG_LEN(0);
    const unsigned char *data = CMSG_DATA(control);
    memcpy(&controls->error, data, sizeof controls->error);
    size -= sizeof controls->error;
    memcpy(&offender, data + sizeof controls->error, size < sizeof offender ? size : sizeof offender);
    controls->has_error = address_from_socket(&offender, &family, &controls->offender);
}

static void
read_ip_control(const struct cmsghdr *control, struct controls *controls)
{
    struct in_pktinfo info;
    if (is_control(control, IPPROTO_IP, IP_RECVERR, sizeof controls->error)) {
        read_error(control, controls);
    } else if (is_control(control, IPPROTO_IP, IP_TTL, sizeof(int))) {
        controls->ttl = (uint8_t)int_in(control);
    } else if (is_control(control, IPPROTO_IP, IP_TOS, 1)) { /* the kernel gives it as one byte, not as an int */
        controls->tos = *CMSG_DATA(control);
    } else if (control->cmsg_type == IP_RECVOPTS) {
        controls->options = control->cmsg_len - CMSG_LEN(0);
    } else if (is_control(control, IPPROTO_IP, IP_PKTINFO, sizeof info)) {
        memcpy(&info, CMSG_DATA(control), sizeof info);
        memcpy(controls->to.bytes, &info.ipi_addr, sizeof info.ipi_addr);
    }
}

/* These come as they stood in the packet, each with its length in units of eight bytes, less one (RFC 8200, section 4). */
static bool
is_extension_header(const struct cmsghdr *control)
{
    int type = control->cmsg_type;
    return (type == IPV6_HOPOPTS || type == IPV6_DSTOPTS || type == IPV6_RTHDR) && control->cmsg_len >= CMSG_LEN(2);
}

static void
read_ipv6_control(const struct cmsghdr *control, struct controls *controls)
{
    struct in6_pktinfo info;
    if (is_control(control, IPPROTO_IPV6, IPV6_RECVERR, sizeof controls->error)) {
        read_error(control, controls);
    } else if (is_control(control, IPPROTO_IPV6, IPV6_HOPLIMIT, sizeof(int))) {
        controls->ttl = (uint8_t)int_in(control);
    } else if (is_control(control, IPPROTO_IPV6, IPV6_TCLASS, sizeof(int))) {
        controls->tos = (uint8_t)int_in(control);
    } else if (is_extension_header(control)) {
        controls->options += (CMSG_DATA(control)[1] + 1u) * 8;
    } else if (is_control(control, IPPROTO_IPV6, IPV6_PKTINFO, sizeof info)) {
        memcpy(&info, CMSG_DATA(control), sizeof info);
        memcpy(controls->to.bytes, &info.ipi6_addr, sizeof info.ipi6_addr);
    }
}

void
controls_read(struct msghdr *message, struct controls *controls)
{
    *controls = (struct controls){ .cut = message->msg_flags & MSG_CTRUNC };
    for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control)) {
        if (control->cmsg_level == SOL_SOCKET)
            read_socket_control(control, controls);
        else if (control->cmsg_level == IPPROTO_IP)
            read_ip_control(control, controls);
        else if (control->cmsg_level == IPPROTO_IPV6)
            read_ipv6_control(control, controls);
    }
}

void
controls_report(const struct controls *controls, struct send_report *report)
{
    if (controls->has_departure && controls->error.ee_origin == SO_EE_ORIGIN_TIMESTAMPING)
        report->departure = controls->departure;
    if (controls->error.ee_origin == SO_EE_ORIGIN_LOCAL && controls->error.ee_errno == EMSGSIZE)
        report->mtu = controls->error.ee_info;
}
