# SPDX-License-Identifier: MIT
"""The smallest network that the tests need: a client and a target on one wire."""

from . import net

CLIENT = {4: "10.50.0.1", 6: "fd50::1"}
ANSWERS = {4: "10.50.0.2", 6: "fd50::2"}
SILENT = {4: "10.50.0.9", 6: "fd50::9"}  # an address of the target that drops all it gets

# Connections that are opened by the thousand and never go on.
BACKLOG = {
    "net.core.somaxconn": 65535,
    "net.ipv4.tcp_max_syn_backlog": 65535,
    "net.ipv4.tcp_syncookies": 1,
}

DROP = f"""
table inet silent {{
    chain input {{
        type filter hook input priority 0;
        ip daddr {SILENT[4]} drop
        ip6 daddr {SILENT[6]} drop
    }}
}}
"""


class Pair:
    """Two namespaces, `client` and `target`, joined by the interface `wire` of each."""

    def __init__(self, label, link=net.join, **link_kw):
        self.client = net.Namespace(label + "-client")
        self.target = net.Namespace(label + "-target")
        self._link = link(
            self.client, "wire", self.target, "wire", a_addrs=[CLIENT[4] + "/24", CLIENT[6] + "/64"],
            b_addrs=[ANSWERS[4] + "/24", ANSWERS[6] + "/64", SILENT[4] + "/24", SILENT[6] + "/64"], **link_kw)
        for name, value in BACKLOG.items():
            self.target.sysctl(name, value)
        self.target.nft(DROP)

    def close(self):
        if self._link:
            self._link.close()
        self.client.close()
        self.target.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
