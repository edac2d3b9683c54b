# SPDX-License-Identifier: MIT
"""A segment with five hosts: broadcast, multicast, scopes, and every answer of each."""

import contextlib
import socket
import threading
import time

import pytest

from lab.capture import Capture
from lab.daemon import Daemon
from lab.net import Namespace, join
from lab.path import Path, hop_address, hops, target, target_address

HOSTS = 5
CLIENT = {4: "10.53.0.100", 6: "fd53::100"}
BROADCAST, EVERYONE = "10.53.0.255", "255.255.255.255"
LINK_LOCAL = "fe80::100"
ECHO = 7777
FAMILIES = 4, 6

pytestmark = pytest.mark.usefixtures("root")
every_family = pytest.mark.parametrize("family", FAMILIES)


def host(number):
    return {4: f"10.53.0.{number}", 6: f"fd53::{number:x}"}


def link_local(number):
    return f"fe80::{number:x}"


class Segment:
    """A client with the interface `wire`, and hosts that answer what is sent to all, on one bridge."""

    def __init__(self, stack):
        self.switch = stack.enter_context(Namespace("switch"))
        self.client = stack.enter_context(Namespace("segment"))
        self.hosts = [stack.enter_context(Namespace(f"host{number}")) for number in range(1, HOSTS + 1)]
        self.switch.sysctl("net.ipv6.conf.all.disable_ipv6", 1)  # it would be a sixth host
        self.switch.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.switch.ip("link add br0 type bridge mcast_snooping 0", "link set br0 up")
        self._attach(self.client, 0, "wire", CLIENT, LINK_LOCAL)
        for number, namespace in enumerate(self.hosts, 1):
            namespace.sysctl("net.ipv4.icmp_echo_ignore_broadcasts", 0)
            self._attach(namespace, number, "wire", host(number), link_local(number))
        self.client.ip("route add 255.255.255.255/32 dev wire")
        self.client.sysctl("net.ipv6.icmp.echo_ignore_multicast", 1)  # it would answer itself, too

    def _attach(self, namespace, number, ifname, addresses, local):
        join(namespace, ifname, self.switch, f"port{number}", a_addrs=[addresses[4] + "/24", addresses[6] + "/64"])
        self.switch.ip(f"link set port{number} master br0")
        namespace.ip(f"link set {ifname} addrgenmode none", f"-6 addr flush dev {ifname} scope link",
                     f"-6 addr add {local}/64 dev {ifname} nodad")  # in place of the kernel's own


@pytest.fixture(scope="module")
def segment(root):
    with contextlib.ExitStack() as stack:
        yield Segment(stack)


@pytest.fixture
def daemon(binary, segment):
    with Daemon(segment.client, binary=binary) as running:
        yield running
        assert running.finish() == (0, "")


def collected(daemon, words, timeout=0.3):
    """The replies to a probe with `collect 1`, the last of them `collected`."""
    daemon.send(f"5 send-probe {words} collect 1 timeout {timeout}")
    replies = daemon.collect(1)
    while replies[-1].kind == "reply":
        replies += daemon.collect(1)
    assert replies[-1].line == f"5 collected count {len(replies) - 1}", replies[-1].line
    return replies[:-1]


# ---------------------------------------------------------------- broadcast

@pytest.mark.parametrize("address", [BROADCAST, EVERYONE])
def test_five_hosts(daemon, address):
    """broadcast on a segment with five hosts gives five lines and `collected count 5`."""
    for _ in range(2):
        replies = collected(daemon, f"ip-4 {address} broadcast 1")
        assert sorted(reply.address for reply in replies) == [host(number)[4] for number in range(1, HOSTS + 1)]


@pytest.mark.parametrize("address", [BROADCAST, EVERYONE])
def test_permission(daemon, address):
    """Without the argument a broadcast target is permission-denied; what one probe may does not stick to the next."""
    for words in "", "broadcast 0", "collect 1", "protocol udp", "protocol udp broadcast 0 dont-fragment 1":
        assert daemon.ask(f"send-probe ip-4 {address} timeout 0.2 {words}").line.endswith(" permission-denied")
        reply = daemon.ask(f"send-probe ip-4 {address} timeout 0.2 broadcast 1")  # the first answer ends it, as always
        assert reply.kind == "reply" and reply.address in [host(number)[4] for number in range(1, HOSTS + 1)]
    assert daemon.ask(f"send-probe ip-4 {host(1)[4]} broadcast 1").kind == "reply"


def test_udp_to_all(segment, daemon):
    """Datagrams come back from others than the target; to a subnet's broadcast address as well."""
    with contextlib.ExitStack() as stack:
        for number, namespace in enumerate(segment.hosts[:3], 1):
            stack.enter_context(_echoing(namespace))
        replies = collected(daemon, f"ip-4 {BROADCAST} protocol udp port {ECHO} broadcast 1")
        assert sorted(reply.address for reply in replies) == [host(number)[4] for number in (1, 2, 3)]
        replies = collected(daemon, f"ip-6 ff02::1%wire protocol udp port {ECHO}")
        answered = [reply.address for reply in replies]
        assert sorted(answered) == [f"{link_local(number)}%wire" for number in (1, 2, 3)]


@contextlib.contextmanager
def _echoing(namespace):
    """A udp service that answers everybody, by its own address."""
    sock = namespace.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.bind(("::", ECHO))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                data, peer = sock.recvfrom(2048)
                if data == b"stop":
                    return
                sock.sendto(data, peer)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with namespace.socket(socket.AF_INET6, socket.SOCK_DGRAM) as stopper:
            stopper.sendto(b"stop", ("::1", ECHO))
        thread.join()
        sock.close()


# ---------------------------------------------------------------- collect

def test_multicast(segment, daemon):
    """IPv6 multicast ff02::1 with a scope, by name and by number: every host, each with the scope as it was asked."""
    index = index_of(segment, "wire")
    for scope in "wire", str(index):
        replies = collected(daemon, f"ip-6 ff02::1%{scope}")
        assert sorted(reply.address for reply in replies) == \
            sorted(f"{link_local(number)}%{scope}" for number in range(1, HOSTS + 1))


def index_of(segment, ifname):
    lines = segment.client.run("cat", "/proc/net/if_inet6").stdout.splitlines()
    return int(next(line.split()[1] for line in lines if line.endswith(f" {ifname}")), 16)


@pytest.fixture(scope="module")
def path(root):
    with Namespace("copies") as namespace, Path(namespace) as played:
        yield played


@pytest.mark.parametrize("protocol", ["icmp", "udp", "tcp", "sctp"])
@every_family
def test_duplicates(path, binary, protocol, family):
    """Duplicates are lines, errors too; without collect the first answer ends the probe as always."""
    path.play(hops(1, copies=3), [target(0, copies=4)])
    with Daemon(path.namespace, binary=binary) as daemon:
        to = f"send-probe ip-{family} {target_address(0)[family]} protocol {protocol} timeout 0.3"
        daemon.send(f"1 {to} collect 1", f"2 {to} collect 1 ttl 1", f"3 {to}", f"4 {to} ttl 1", f"5 {to} collect 0")
        daemon.close_stdin()  # the end of input waits for it
        replies = daemon.collect(4 + 1 + 3 + 1 + 3)
        assert daemon.wait() == (0, "")
    lines = {token: [reply.line for reply in replies if reply.token == token] for token in range(1, 6)}
    assert [len(lines[token]) for token in range(1, 6)] == [5, 4, 1, 1, 1]
    assert lines[1][-1] == "1 collected count 4" and lines[2][-1] == "2 collected count 3"
    assert all(line.startswith("1 reply ip-") for line in lines[1][:-1])
    assert all(line.startswith(f"2 ttl-expired ip-{family} {hop_address(1)[family]} ") for line in lines[2][:-1])


def test_none(path, binary):
    """The deadline says `collected`, also with count 0, and not before."""
    path.play(hops(1, silent=True), [])
    with Daemon(path.namespace, binary=binary) as daemon:
        for timeout in 0, 0.2:
            start = time.monotonic()
            reply = daemon.ask(f"send-probe ip-4 {target_address(0)[4]} ttl 1 collect 1 detail 1 timeout {timeout}")
            assert reply.line.split(" ", 1)[1] == "collected count 0"
            assert timeout <= time.monotonic() - start < timeout + 0.2
        assert daemon.ask("send-probe ip-4 192.0.2.1 collect 1").kind == "no-route-network"  # a refusal is all there is
        assert daemon.finish() == (0, "")


def test_late_answers(path, binary):
    """An answer after the deadline is none."""
    path.play([], [target(0, delay=0.3, copies=2)])
    with Daemon(path.namespace, binary=binary) as daemon:
        assert collected(daemon, f"ip-4 {target_address(0)[4]}", 0.1) == []
        assert len(collected(daemon, f"ip-4 {target_address(0)[4]}", 0.6)) == 2


# ---------------------------------------------------------------- scopes

def test_scope_of_the_target(segment, daemon):
    """A scope by name or number; replies carry a scope only when the request did."""
    index = index_of(segment, "wire")
    for protocol in "icmp", "udp", "tcp":
        for scope in "wire", str(index):
            reply = daemon.ask(f"send-probe ip-6 {link_local(2)}%{scope} protocol {protocol} detail 1")
            assert (reply.kind, reply.address) == ("reply", f"{link_local(2)}%{scope}"), reply.line
            assert reply.args["local-ip-6"] == f"{LINK_LOCAL}%{scope}"
    reply = daemon.ask(f"send-probe ip-6 {link_local(2)} local-device wire detail 1")
    assert (reply.kind, reply.address, reply.args["local-ip-6"]) == ("reply", link_local(2), LINK_LOCAL)


@pytest.mark.parametrize("protocol, words", [("icmp", ""), ("udp", ""), ("udp", "local-port 5555"), ("tcp", "")])
def test_scope_of_ourselves(segment, daemon, protocol, words):
    """A packet to one's own address goes by `lo`; the scope is still the one that was asked for."""
    for scope in "wire", str(index_of(segment, "wire")):
        reply = daemon.ask(f"send-probe ip-6 {LINK_LOCAL}%{scope} protocol {protocol} timeout 2 detail 1 {words}")
        assert (reply.kind, reply.address) == ("reply", f"{LINK_LOCAL}%{scope}"), reply.line
        assert reply.args["local-ip-6"] == f"{LINK_LOCAL}%{scope}"


def test_scope_of_the_source(segment, daemon):
    for words in f"ip-6 {link_local(3)}%wire", f"ip-6 {link_local(3)}", f"ip-6 {host(3)[6]}":
        reply = daemon.ask(f"send-probe {words} local-ip-6 {LINK_LOCAL}%wire detail 1")
        assert reply.kind == "reply" and reply.args["local-ip-6"] == f"{LINK_LOCAL}%wire", reply.line
    assert reply.address == host(3)[6], "a global address has no scope"
    assert daemon.ask(f"send-probe ip-6 {link_local(3)}%wire local-ip-6 {LINK_LOCAL}").kind == "reply"


def test_two_links(segment, daemon, binary):
    """One address on two links: the scope decides which; two scopes that differ can't be had."""
    with Namespace("beside") as other:
        join(segment.client, "aside", other, "wire", b_addrs=[link_local(2) + "/64", "fe80::77/64"],
             a_addrs=["fe80::200/64"])
        try:
            with Capture(segment.client, "aside", "out request") as aside, \
                    Capture(segment.client, "wire", "out request") as wire:
                for scope, here, there in ("aside", aside, wire), ("wire", wire, aside):
                    here.clear()
                    there.clear()
                    reply = daemon.ask(f"send-probe ip-6 {link_local(2)}%{scope}")
                    assert (reply.kind, reply.address) == ("reply", f"{link_local(2)}%{scope}")
                    assert here.packets(1) and not there.packets()
            for words in (f"{link_local(2)}%wire local-device aside", f"{link_local(2)}%wire local-ip-6 fe80::200%aside",
                          f"{link_local(2)}%wire local-device lo"):
                assert daemon.ask(f"send-probe ip-6 {words}").line.endswith(" no-route-network")
            assert daemon.ask(f"send-probe ip-6 {link_local(2)}%wire local-ip-6 fe80::200").kind == "address-not-available"

            # renamed: its number stays, its old name is gone; then gone
            index = index_of(segment, "aside")
            segment.client.ip("link set aside down", "link set aside name anew", "link set anew up",
                              "addr add fe80::200/64 dev anew nodad")
            time.sleep(0.05)
            reply = daemon.ask(f"send-probe ip-6 {link_local(2)}%aside")
            assert reply.line.endswith(" network-down reason no-such-device")
            for scope in "anew", str(index):
                reply = daemon.ask(f"send-probe ip-6 fe80::77%{scope}")
                assert (reply.kind, reply.address) == ("reply", f"fe80::77%{scope}")
            segment.client.ip("link del anew")
            for scope in "anew", str(index), "2000000000":
                for words in f"{link_local(2)}%{scope}", f"{link_local(2)} local-ip-6 fe80::200%{scope}":
                    reply = daemon.ask(f"send-probe ip-6 {words}")
                    assert reply.line.endswith(" network-down reason no-such-device"), reply.line
        finally:
            segment.client.run("ip", "link", "del", "aside", check=False)
            segment.client.run("ip", "link", "del", "anew", check=False)


# ---------------------------------------------------------------- payload

@every_family
@pytest.mark.parametrize("protocol", ["icmp", "udp"])
def test_payload(segment, daemon, protocol, family):
    """payload HEX: what was sent is what arrives, byte for byte; bit-pattern fills the rest."""
    header = {4: 28, 6: 48}[family]
    everything = bytes(range(256)).hex()
    rows = [("00", "", b"\0" + bytes(64 - header - 1)), ("ff", "bit-pattern 7", b"\xff" + b"\7" * (64 - header - 1)),
            ("a1B2c3", f"size {header + 3}", b"\xa1\xb2\xc3"), (everything, "", bytes(range(256))),
            (everything * 63, "bit-pattern 9", bytes(range(256)) * 63)]  # as many as a line holds
    for payload, words, expected in rows:
        with Capture(segment.hosts[3], "wire", f"in ip{family} {protocol}") as capture:
            reply = daemon.ask(f"send-probe ip-{family} {host(4)[family]} protocol {protocol} payload {payload} {words}")
            assert reply.kind == "reply", reply.line
            seen = [packet for packet in capture.packets(1)
                    if packet.dst == host(4)[family] and packet.icmp_type not in (135, 136)]
        got = b"".join(packet.transport for packet in sorted(seen, key=lambda one: one.fragment_offset))
        assert got[8:] == expected


@pytest.mark.parametrize("words, said", [
    ("payload 001", "bad-value argument payload"),
    ("payload 0x11", "bad-value argument payload"),
    ("payload zz", "bad-value argument payload"),
    ("payload 0011 size 29", "out-of-range argument payload"),
    ("protocol tcp payload 00", "protocol-not-supported argument payload"),
])
def test_wrong_payload(daemon, words, said):
    reply = daemon.ask(f"send-probe ip-4 {host(1)[4]} {words}")
    assert reply.line.split(" ", 1)[1] == f"invalid-argument reason {said}"


def test_payload_over_a_line(daemon):
    """Over-long hex, and none at all: clear errors."""
    daemon.send(f"1 send-probe ip-4 {host(1)[4]} payload {'00' * 16400}", f"2 send-probe ip-4 {host(1)[4]} payload ",
                f"3 send-probe ip-4 {host(1)[4]}")
    lines = [reply.line for reply in daemon.collect(3)]
    assert lines[:2] == ["0 command-buffer-overflow", "0 command-parse-error"] and lines[2].startswith("3 reply ")


# ---------------------------------------------------------------- check-support

def test_features(daemon):
    for feature in ("timeout-fraction", "scope-id", "detail", "dont-fragment", "packet-too-big", "flow", "flow-label",
                    "payload", "broadcast", "collect"):
        assert daemon.ask(f"check-support feature {feature}").line.endswith(" feature-support support ok")
