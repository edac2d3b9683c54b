# SPDX-License-Identifier: MIT
"""A host whose way to the target is a tunnel: GRE, IP in IP, or IPsec; probes of ordinary size and of up to 1500 bytes."""

import sys

from uml import inside, ipsec, sockets

LINKS = {  # name: type in IPv4 and in IPv6
    "gre": {4: "gre", 6: "ip6gre encaplimit none"},
    "ipip": {4: "ipip", 6: "ip6tnl mode ip6ip6 encaplimit none"},
    "narrow": {4: "gre", 6: "ip6gre encaplimit none"},  # and the way to its other end has another MTU than the device
    "mpls": {},  # no device: a label stands in the route
}
SECURE = {"esp-transport": "transport", "esp-tunnel": "tunnel"}
NARROW = 1420
OWN, OTHER = {4: "10.7.0.1", 6: "fd07::1"}, {4: "10.7.0.2", 6: "fd07::2"}
LABEL = {4: 104, 6: 106}

ORDINARY = ("gre", "ipip", "mpls")  # probes of ordinary size, too; ipsec.py has those of the others

GROUPS = {f"{kind}-{family}": [*(inside.rows([kind], families=[family]) if kind in ORDINARY else []),
                               *inside.rows([f"{kind}-fragment", f"{kind}-dont-fragment"], ("icmp", "udp"),
                                            families=[family])]
          for kind in [*LINKS, *SECURE] for family in (4, 6)}
MODULES = ("ip_gre", "ip6_gre", "ipip", "ip6_tunnel", "mpls_router", "mpls_iptunnel", *ipsec.MODULES)


def open_tunnel(hosts, kind, family):
    near, far = hosts.host, hosts.far[0]
    if kind in SECURE:
        hosts.route(families=[family])
    elif kind == "mpls":
        far.sysctl("net.mpls.platform_labels", 1000)
        far.sysctl("net.mpls.conf.far0.input", 1)
        far.run("ip", "-f", "mpls", "route", "add", LABEL[family], "dev", "lo")
        hosts.route("encap mpls %d via {via} dev up0" % LABEL[family], families=[family])
    else:
        open_link(near, LINKS[kind][family], family, inside.own(family), inside.other(family), OWN[family], OTHER[family],
                  inside.NETWORK[family])
        open_link(far, LINKS[kind][family], family, inside.other(family), inside.own(family), OTHER[family], OWN[family],
                  OWN[family])
        if kind == "narrow":
            near.ip(f"-{family} route add {inside.other(family)} dev up0 mtu {NARROW}")


def open_link(namespace, link, family, local, remote, address, peer, network):
    """A tunnel `tun` in a namespace, and a route into it."""
    kind, _, words = link.partition(" ")
    namespace.ip(f"link add tun type {kind} local {local} remote {remote} {words}", "link set tun up",
                 f"addr add {address} peer {peer} dev tun {'nodad' if family == 6 else ''}",
                 f"-{family} route replace {network} dev tun")


class Reference:
    """What a socket's or ping's packets of a size get, each asked once."""

    def __init__(self, hosts, protocol, family):
        self._hosts, self._protocol, self._family, self._known = hosts, protocol, family, {}
        hosts.host.ip(f"-{family} route flush cache")  # of an MTU that it has learned IPv4 takes off the label once more
        low, high = 1340, 1500  # fits, does not
        while high - low > 1:
            size = (low + high) // 2
            low, high = (size, high) if self._ask(size, False) == "yes" else (low, size)
        self.mtu = low

    def of(self, size, fragment):
        """Where no fragments are wanted: what the contract has, also where they see nothing but silence."""
        if fragment:
            return self._ask(size, True)
        return "yes" if size <= self.mtu else f"packet-too-big mtu {self.mtu}"

    def _ask(self, size, fragment):
        if (size, fragment) not in self._known:
            with self._hosts.host.enter():
                self._known[size, fragment] = sockets.ask(self._protocol, inside.TARGET[self._family], "", size,
                                                          fragment, 0.3)
        return self._known[size, fragment]


def by_size(hosts, row, reference, most):
    """(what becomes of probes of several sizes, what does of a socket's packets)."""
    fragment = not row.situation.endswith("dont-fragment")
    sizes = sorted({1400, reference.mtu, reference.mtu + 1, most})
    daemon = hosts.daemon(row.transport)
    daemon.send(*(f"{size} {hosts.line(row)} size {size} timeout {inside.TIMEOUT}{'' if fragment else ' dont-fragment 1'}"
                  for size in sizes))
    replies = sorted(daemon.collect(len(sizes)), key=lambda reply: reply.token)
    return (", ".join(f"{reply.token} {inside.word(reply)}" for reply in replies),
            ", ".join(f"{size} {reference.of(size, fragment)}" for size in sizes))


def main(group):
    kind, family = group.rsplit("-", 1)
    with inside.Host() as hosts:
        open_tunnel(hosts, kind, int(family))
        hosts.watch(*(["tun"] if LINKS.get(kind) else []), "up0")
        references, done = {}, None
        for row in sorted(GROUPS[group], key=lambda row: row.protocol):
            if kind in SECURE and row.protocol != done:
                ipsec.clear(hosts)
                ipsec.encrypt(hosts, SECURE[kind], row.family, row.protocol)
                done = row.protocol
            if row.situation == kind:
                expected = hosts.socket(row)
                inside.tell(row, hosts.probe(row), expected)
                continue
            if row.protocol not in references:
                references[row.protocol] = Reference(hosts, row.protocol, row.family)
            # Of a packet over the tunnel's own MTU the kernel does not say what fits the way beneath.
            inside.tell(row, *by_size(hosts, row, references[row.protocol], 1450 if kind == "narrow" else 1500))


if __name__ == "__main__":
    main(sys.argv[1])
