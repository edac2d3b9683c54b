# SPDX-License-Identifier: MIT
"""A server with each net.ipv4.tcp_ecn, which is the prober's, too: what its SYN-ACK says to each kind of SYN.

From Linux 7.0 on, 3 to 5 are accurate ECN (RFC 9768): then it says which codepoint the SYN came with.
"""

import contextlib
import socket
import sys

from uml import inside, sockets

WORDS = "off", "classic", "accurate"
CODEPOINTS = "not-ect", "ect-1", "ect-0", "ce"

# What the kernel's own SYN asks for, by the setting; with 3 it does not tell what came of it.
ASKS = {0: "off", 1: "classic", 2: "off", 3: None, 4: "classic", 5: "off"}

GROUPS = {
    "classic": inside.rows([f"serves-{setting}" for setting in (0, 1, 2)], protocols=("tcp",)),
    "accurate": inside.rows([f"serves-{setting}" for setting in (3, 4, 5)], protocols=("tcp",)),
}
MODULES = ()


def expected(setting, word, transport):
    """For each codepoint of the SYN. By RFC 3168 a SYN has none: Linux takes a classic one that has for one without ECN."""
    if transport == "plain" and word != ASKS[setting]:
        return ["protocol-not-supported"]
    if word == "accurate" and setting >= 3:
        return list(CODEPOINTS)
    said = "none" if word == "off" or setting == 0 else "classic"
    return [said, *["none" if word == "classic" else said] * 3] if transport == "raw" else [said]


def seen(hosts, row, word):
    found = []
    for tos in range(4 if row.transport == "raw" else 1):
        line = f"{hosts.line(row)} tcp-ecn {word} tos {tos} timeout 2"
        reply = hosts.daemon(row.transport).ask(line)
        found.append(reply.args.get("tcp-ecn") or reply.args.get("reason") or reply.kind)
        if found[-1] == "protocol-not-supported":
            break
    return found


def main(group):
    with inside.Host() as hosts, contextlib.ExitStack() as stack:
        hosts.route()
        for family in (4, 6):
            server = stack.enter_context(hosts.far[0].socket(sockets.FAMILIES[family], socket.SOCK_STREAM))
            server.bind((inside.TARGET[family], sockets.PORTS["tcp"]))
            server.listen(64)
        for row in GROUPS[group]:
            setting = int(row.situation[-1])
            hosts.forget()  # one that starts now reads the setting
            for namespace in hosts.host, hosts.far[0]:
                namespace.sysctl("net.ipv4.tcp_ecn", setting)
            inside.tell(row, {word: seen(hosts, row, word) for word in WORDS},
                        {word: expected(setting, word, row.transport) for word in WORDS})


if __name__ == "__main__":
    main(sys.argv[1])
