# SPDX-License-Identifier: MIT
"""A host that has to encrypt one protocol only: ESP with fixed keys, in transport and in tunnel mode."""

import sys

from uml import inside

SELECTORS = {"icmp": "proto icmp", "udp": "proto udp", "udp9": "proto udp {port} 9", "tcp": "proto tcp",
             "tcp80": "proto tcp {port} 80"}
GROUPS = {f"{mode}-{family}": inside.rows([f"{mode}-{wanted}" for wanted in SELECTORS], families=[family])
          for mode in ("transport", "tunnel") for family in (4, 6)}
MODULES = ("xfrm_user", "esp4", "esp6", "xfrm4_tunnel", "xfrm6_tunnel")
KEYS = f"auth hmac(sha256) 0x{'11' * 32} enc cbc(aes) 0x{'22' * 16}"


def encrypt(hosts, mode, family, wanted):
    """From now on the host encrypts this to the target's network, and the far side takes it no other way."""
    near, far, network = inside.own(family), inside.other(family), inside.NETWORK[family]
    ends = (near, far) if mode == "tunnel" else (near, inside.TARGET[family])
    selector = SELECTORS[wanted].replace("icmp", "icmp" if family == 4 else "ipv6-icmp")
    for namespace, out in ((hosts.host, "out"), (hosts.far[0], "in")):
        states, policies = [], []
        for spi, source, target in ((1, *ends), (2, *reversed(ends))):
            states.append(f"state add src {source} dst {target} proto esp spi {spi} reqid 1 mode {mode} {KEYS}")
        for spi, source, target, port in ((1, near, network, "dport"), (2, network, near, "sport")):
            direction = out if spi == 1 else {"out": "in", "in": "out"}[out]
            template = f"src {ends[0]} dst {ends[1]}" if spi == 1 else f"src {ends[1]} dst {ends[0]}"
            policies.append(f"policy add src {source} dst {target} {selector.format(port=port)} dir {direction} "
                            f"tmpl {template} proto esp reqid 1 mode {mode}")
        namespace.ip(*(f"-{family} xfrm {line}" for line in states + policies))


def clear(hosts):
    for namespace in (hosts.host, *hosts.far):
        namespace.run("ip", "xfrm", "policy", "flush")
        namespace.run("ip", "xfrm", "state", "flush")


def main(group):
    mode, family = group.split("-")
    with inside.Host() as hosts:
        hosts.route()
        hosts.watch("up0")
        done = None
        for row in GROUPS[group]:
            wanted = row.situation.split("-")[1]
            if wanted != done:
                clear(hosts)
                encrypt(hosts, mode, int(family), wanted)
                done = wanted
            expected = hosts.socket(row)
            inside.tell(row, hosts.probe(row), expected)


if __name__ == "__main__":
    main(sys.argv[1])
