# SPDX-License-Identifier: MIT
"""Hosts that confine or emulate the daemon: what is only wished for costs what it gives, and no more."""

import itertools
import platform
import shutil
import time

import pytest

from lab import cc, net, pair, transports
from lab.daemon import Daemon, built_binary

pytestmark = pytest.mark.skipif(net.why_no_namespaces() is not None, reason=str(net.why_no_namespaces()))

MODES = ("netlink", "seccomp", "limits", "groups", "options", "netlink,seccomp,limits,groups,options")
WHO = {"root": (), "nobody": transports.AS_NOBODY}
PROBES = [f"ip-{family} {pair.ANSWERS[family]} protocol {probe}"
          for family, probe in itertools.product((4, 6), ("icmp", "udp port 9", "tcp port 9", "icmp size 3000"))]
ROUTELESS = {4: "198.51.100.9", 6: "2001:db8:9::1"}
QEMU = {"x86_64": "qemu-x86_64-static", "aarch64": "qemu-aarch64-static"}.get(platform.machine(), "no such machine")


@pytest.fixture(scope="module", name="network")
def fixture_network():
    with pair.Pair("confined") as network:
        yield network


@pytest.fixture(scope="module", name="confine")
def fixture_confine():
    if not cc.has_seccomp() or cc.sanitized():
        pytest.skip("the launcher needs libseccomp, and the sanitizers make calls of their own")
    return cc.program("confine.c", "-lseccomp")


def ask_all(daemon):
    """Every kind of probe is answered by the target, and in a time that is one."""
    for number, probe in enumerate(PROBES, 1):
        daemon.send(f"{number} send-probe {probe} timeout 2")
    for reply in daemon.collect(len(PROBES), 10):
        assert reply.kind == "reply", f"{PROBES[reply.token - 1]}: {reply.line}"
        assert 0 < reply.rtt < 1_000_000
    assert daemon.ask("check-support feature ip-6").line.endswith("support ok")


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("mode", MODES)
def test_refused_calls(network, confine, mode, who):
    with Daemon(network.client, wrapper=[*WHO[who], confine, mode], args=["--verbose"]) as daemon:
        ask_all(daemon)
        status, said = daemon.finish()
    assert status == 0
    assert ("refuses netlink" in said) == ("netlink" in mode)
    assert ("refuses a socket option" in said) == ("options" in mode)


@pytest.mark.parametrize("routeless", [False, True], ids=["from-the-start", "no-route"])
def test_raw_sockets_are_handed_nothing(network, confine, routeless):
    """At rest each is parked, or off the kernel's list as those are that are asked in place of netlink, also when one found no
    route: so the kernel copies no packet of other programs for it. The ones to send by have a number that no packet has."""
    with Daemon(network.client, wrapper=[confine, "netlink"]) as daemon:
        for family, table in (4, "raw"), (6, "raw6"):
            if routeless:
                line = f"send-probe ip-{family} {ROUTELESS[family]} protocol tcp port 9 timeout 0.1"
                assert daemon.ask(line).kind == "no-route-network"
            else:
                daemon.ask("check-support feature tcp")
            sockets = [line.split()[1:3] for line in network.client.run("cat", f"/proc/net/{table}").stdout.splitlines()[1:]]
            ends = [(local.split(":"), remote.split(":")) for local, remote in sockets]
            assert {0x06, 0x84, 0xff} <= {int(local[1], 16) for local, _ in ends}
            assert {int(local[1], 16) for local, remote in ends if int(local[0] + remote[0], 16) == 0} == {0xff}


@pytest.mark.parametrize("who", WHO)
def test_no_way_to_wait(network, confine, who):
    """What is then left unanswered is told by the status, and why on standard error."""
    with Daemon(network.client, wrapper=[*WHO[who], confine, "waiting"]) as daemon:
        daemon.send(f"1 send-probe {PROBES[0]} timeout 20")
        status, said = daemon.finish()
    assert status == 1 and "can't wait" in said, said


@pytest.mark.parametrize("who", WHO)
def test_unknown_headers(network, confine, who):
    """Where the host keeps the TTL of answers to itself, `detail` has none, and not a made up one."""
    with Daemon(network.client, wrapper=[*WHO[who], confine, "options"]) as daemon:
        for probe in PROBES:
            reply = daemon.ask(f"send-probe {probe} timeout 2 detail 1")
            assert reply.kind == "reply" and reply.args.get("reply-ttl", "64") == "64", reply.line


@pytest.mark.parametrize("who", WHO)
def test_emulated(network, who):
    """As in a container for another machine: few socket options, and no sandbox."""
    if not shutil.which(QEMU) or cc.sanitized():
        pytest.skip("needs qemu-user-static, and no sanitizers")
    with Daemon(network.client, binary=shutil.which(QEMU), wrapper=WHO[who], args=[built_binary(), "--verbose"]) as daemon:
        ask_all(daemon)
        status, said = daemon.finish(20)
    assert status == 0
    assert "run it as root" not in said or who == "nobody"


def test_changes_are_seen_without_netlink(network, confine):
    """A second late: routes are asked again."""
    with Daemon(network.client, wrapper=[confine, "netlink"]) as daemon:
        line = "send-probe ip-4 198.51.100.9 timeout 0.1"
        assert daemon.ask(line).kind == "no-route-network"
        network.client.ip(f"route add 198.51.100.0/24 via {pair.ANSWERS[4]}")
        try:
            end = time.monotonic() + 3
            while (kind := daemon.ask(line).kind) == "no-route-network" and time.monotonic() < end:
                time.sleep(0.05)
        finally:
            network.client.ip("route del 198.51.100.0/24")
    assert kind == "no-reply"
