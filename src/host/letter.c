/* SPDX-License-Identifier: MIT */
#include "host/letter.h"

#include <errno.h>
#include <linux/net_tstamp.h>
#include <string.h>

void
letter_address(struct letter *letter, enum family_id family, const struct address *to, uint32_t scope, uint16_t port)
{
    letter->message = (struct msghdr){ .msg_name = &letter->target, .msg_control = letter->controls };
    letter->flags = 0;
    letter->message.msg_namelen = address_to_socket(family, to, scope, port, &letter->target);
}

void
letter_add(struct letter *letter, int level, int type, uint32_t value)
{
    control_add(&letter->message, level, type, &value, sizeof value);
}

void
letter_add_source(struct letter *letter, enum family_id family, const struct address *source, uint32_t device)
{
    if (family == IPV4) {
        struct in_pktinfo info = { .ipi_ifindex = (int)device };
        if (source)
            memcpy(&info.ipi_spec_dst, source->bytes, sizeof info.ipi_spec_dst);
        control_add(&letter->message, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else {
        struct in6_pktinfo info = { .ipi6_ifindex = device };
        if (source)
            memcpy(&info.ipi6_addr, source->bytes, sizeof info.ipi6_addr);
        control_add(&letter->message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
}

void
letter_ask_for_stamp(struct letter *letter)
{
    letter_add(letter, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE);
}

bool
letter_state_differs(const struct letter_state *state)
{
    return state->broadcast || state->discovery != state->usual;
}

int
letter_set_state(int fd, enum family_id family, const struct letter_state *state, bool on)
{
    int broadcast = on;
    int discovery = on ? state->discovery : state->usual;
    if (state->broadcast && setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &broadcast, sizeof broadcast) < 0)
        return errno;
    if (state->discovery != state->usual &&
        setsockopt(fd, families[family].level, families[family].mtu_discover, &discovery, sizeof discovery) < 0)
        return errno;
    return 0;
}
