# SPDX-License-Identifier: MIT
"""A host with a VRF: up0 is in `red`, up1 is not; each has the target behind it, and routes to it of its own."""

import sys

from uml import inside

GROUPS = {
    "exec": inside.rows(["exec"]),
    **{f"device-{accept}": inside.rows([f"{device}-accept-{accept}" for device in ("red", "up0")]) for accept in (0, 1)},
}
MODULES = ("vrf",)
EXEC = ("ip", "vrf", "exec", "red")


def main(group):
    with inside.Host(uplinks=2) as hosts:
        hosts.host.ip("link add red type vrf table 10", "link set red up", "link set up0 master red",
                      f"-6 addr replace {inside.own(6)}/64 dev up0 nodad")  # a change of VRF takes IPv6 addresses away
        for family in (4, 6):
            for uplink, table in ((0, " table 10"), (1, "")):
                hosts.host.ip(f"-{family} route replace {inside.NETWORK[family]} via {inside.other(family, uplink)} "
                              f"dev up{uplink}{table}")
        hosts.watch("up0", "up1")
        if group != "exec":
            hosts.host.sysctl("net.ipv4.raw_l3mdev_accept", group[-1])
        for row in GROUPS[group]:
            how = {"wrapper": EXEC} if group == "exec" else {"device": row.situation.split("-")[0]}
            expected = hosts.socket(row, **how)
            inside.tell(row, hosts.probe(row, **how), expected)


if __name__ == "__main__":
    main(sys.argv[1])
