/* SPDX-License-Identifier: MIT */
#include "packets/protocol.h"

const struct protocol *const protocols[PROTOCOLS] = {
    [PROTOCOL_ICMP] = &protocol_icmp,
    [PROTOCOL_UDP] = &protocol_udp,
    [PROTOCOL_TCP] = &protocol_tcp,
    [PROTOCOL_SCTP] = &protocol_sctp,
};

bool
protocol_by_number(enum family_id family, uint8_t number, enum protocol_id *id)
{
    for (*id = 0; *id < PROTOCOLS; ++*id)
        if (protocols[*id]->number[family] == number)
            return true;
    return false;
}

size_t
protocol_headers_size(enum family_id family, enum protocol_id protocol)
{
    return families[family].header_size + protocols[protocol]->header_size;
}
