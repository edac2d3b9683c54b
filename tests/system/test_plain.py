# SPDX-License-Identifier: MIT
"""What is special about the daemon without privileges: what it says that it can do, and where its sockets end."""

import contextlib
import errno
import os
import signal
import socket
import time

import pytest

from lab import cc, forge, transports, wire
from lab.daemon import Daemon
from lab.delay import delayed
from lab.expect import NO_REPLY, Case, answered, hold, said
from lab.net import Namespace, join
from lab.pair import ANSWERS, Pair
from lab.path import OURS, OURS_TOO, WHOLE, Path, Tun, hops, target, target_address

FAMILIES = 4, 6
TARGET = target_address(0)
FEATURES = {"ip-4": "ok", "ip-6": "ok", "icmp": "ok", "udp": "ok", "tcp": "ok", "local-device": "ok", "sctp": "no",
            "mark": "no", "flow": "ok"}

pytestmark = pytest.mark.usefixtures("root")
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module", autouse=True)
def _plain(binary):
    with transports.using(transports.PLAIN, binary):
        yield


@pytest.fixture(scope="module")
def path():
    with Namespace("plain") as namespace, Path(namespace, hops(3), [target(0), target(1, silent=True)]) as played:
        yield played


@pytest.fixture(scope="module")
def tun():
    with Namespace("plain-tun") as namespace, Tun(namespace) as device:
        yield device


def probe(family, protocol, words="", number=0):
    return f"send-probe ip-{family} {target_address(number)[family]} protocol {protocol} {words}"


def support(daemon):
    return {name: daemon.ask(f"check-support feature {name}").args["support"] for name in FEATURES}


def test_check_support(path):
    """check-support says what is true here: no sctp, no mark; and what it denies is refused."""
    with Daemon(path.namespace) as daemon:
        assert support(daemon) == FEATURES
        refused = "invalid-argument reason protocol-not-supported argument protocol"
        assert said(daemon.ask(probe(4, "sctp"))) == refused
        assert said(daemon.ask(probe(4, "udp", "flow 7"))) == "invalid-argument reason protocol-not-supported argument flow"
        assert said(daemon.ask(probe(4, "icmp", "mark 7"))) == "permission-denied"
        assert daemon.finish() == (0, "")


def test_no_ping_group():
    """Where net.ipv4.ping_group_range shuts us out: no icmp, all else, and --verbose tells the remedy."""
    with Namespace("no-group") as namespace, Path(namespace, hops(3), [target(0)]):
        namespace.sysctl("net.ipv4.ping_group_range", "1 0")
        with Daemon(namespace) as daemon:
            assert support(daemon) == {**FEATURES, "icmp": "no", "flow": "no"}
            assert daemon.ask(probe(4, "icmp")).kind == "invalid-argument"
            for family in FAMILIES:
                for protocol in ("udp", "tcp"):
                    reply = daemon.ask(probe(family, protocol))
                    assert said(reply) == answered("reply", TARGET[family]), f"{protocol}: {reply}"
            assert daemon.finish() == (0, "")
        with Daemon(namespace, args=["--verbose"]) as daemon:
            _, stderr = daemon.finish()
    assert "ping_group_range" in stderr, stderr


@every_family
def test_tcp_answer_to_a_retransmission(tun, family):
    """The kernel sends a SYN again after a second: what answers only that is no answer, of whatever kind."""
    names = ("silent", "SYN-ACK", "RST", "router", "router that quotes all")
    with Daemon(tun.namespace) as daemon:
        tun.drain()
        addresses = {name: target_address(number)[family] for number, name in enumerate(names)}
        daemon.send(*(f"{token} send-probe ip-{family} {address} protocol tcp timeout 3"
                      for token, address in enumerate(addresses.values())))
        tun.probes(addresses.values())
        again = tun.probes(addresses.values())  # a second later
        tun.inject(forge.direct(again[addresses["SYN-ACK"]]),
                   forge.packet(again[addresses["RST"]], forge.message(again[addresses["RST"]], flags=0x14)),
                   forge.time_exceeded(again[addresses["router"]]),
                   forge.time_exceeded(again[addresses["router that quotes all"]], quote=WHOLE))
        assert {reply.kind for reply in daemon.collect(len(names), 6)} == {NO_REPLY}
        assert daemon.finish() == (0, "")


@every_family
def test_tcp_error_slower_than_a_retransmission(tun, family):
    """An error about the first SYN that comes after the second has left is known by the timestamp that it quotes."""
    address = target_address(0)[family]
    with Daemon(tun.namespace) as daemon:
        tun.drain()
        daemon.send(f"1 send-probe ip-{family} {address} protocol tcp timeout 3")
        first = tun.probes([address])[address]
        tun.probes([address])
        tun.inject(forge.time_exceeded(first, quote=WHOLE))
        reply = daemon.collect(1)[0]
        assert reply.kind == "ttl-expired" and 1_000_000 < reply.rtt < 1_500_000, reply
        assert daemon.finish() == (0, "")


def test_udp_sockets_end(path):
    """udp to one port of one target: as many in flight as there are sockets, then probes-exhausted; and when these are
    over, all can be used again."""
    count = 1500
    with Daemon(path.namespace) as daemon:
        daemon.send(*(f"{token} {probe(4, 'udp', 'port 53 timeout 2', 1)}" for token in range(count)))
        kinds = [reply.kind for reply in daemon.collect(count, 10)]
        assert set(kinds) == {NO_REPLY, "probes-exhausted"}, set(kinds)
        assert kinds.count(NO_REPLY) >= 1000, kinds.count(NO_REPLY)
        hold(daemon, [Case("later", probe(4, "udp", "port 53"), answered("reply", TARGET[4]))] * 500)
        assert daemon.finish() == (0, "")


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_few_descriptors(path, protocol):
    """Beyond the descriptor limit: probes-exhausted, and what was sent is answered."""
    limit = "sh", "-c", 'ulimit -n 64 && exec "$0" "$@"'
    with Daemon(path.namespace, wrapper=limit) as daemon:
        daemon.send(*(f"{token} {probe(4, protocol, 'port 53 timeout 1', 1)}" for token in range(200)))
        kinds = [reply.kind for reply in daemon.collect(200)]
        assert set(kinds) == {NO_REPLY, "probes-exhausted"} and kinds.count(NO_REPLY) > 30, kinds
        assert daemon.ask(probe(4, protocol)).kind == "reply"
        assert daemon.finish() == (0, "")


@every_family
def test_a_sweep_waits_for_its_port(path, family):
    """Of a sweep by one port each probe leaves, as often as it is asked for, however long the one before it has the port; and
    then has all of its time to be answered."""
    line = f"1 sweep ip-{family} {target_address(1)[family]} protocol tcp local-port 4569 ttl 1-7 rate 1000 timeout 0.5"
    for words, sent in (" order sequential", 7), (" seed 5", 7), (" seed 5 retries 1", 7 + 4):
        with Daemon(path.namespace) as daemon:
            daemon.send(line + words)
            lines = daemon.collect(4, 10)
            assert sorted(reply.args["probe-ttl"] for reply in lines[:3]) == ["1", "2", "3"], lines
            assert lines[3].line.startswith(f"1 swept sent {sent} answered 3 silent 4 refused 0 next 7 "), lines[3]
            assert daemon.finish() == (0, "")


@every_family
def test_one_tcp_port_waits(path, family):
    """The kernel makes one connection at a time by the same ports: what comes meanwhile waits for it, and holds up nothing
    else; it is timed from when it leaves, and the time to answer it runs from when it was read."""
    named = probe(family, "tcp", "local-port 4568", 1)
    with Daemon(path.namespace) as daemon:
        start = time.monotonic()
        daemon.send(f"1 {named} timeout 0.7", f"2 {named} timeout 1", f"3 {named} ttl 1 timeout 5 detail 1",
                    f"4 {named} timeout 1.3", f"5 {probe(family, 'icmp')}", f"6 {probe(family, 'tcp', 'local-port 4568')}",
                    f"7 {named} timeout 0.5 detail 1")
        replies = {reply.token: reply for reply in daemon.collect(7, 6)}
        assert replies.pop(7).line == f"7 no-reply errno {errno.EAGAIN}"
        assert {token: reply.kind for token, reply in replies.items()} == {
            1: NO_REPLY, 2: NO_REPLY, 3: "ttl-expired", 4: NO_REPLY, 5: "reply", 6: "reply"}, replies
        waited = {token: reply.time - start for token, reply in replies.items()}
        assert waited[5] < 0.5 and waited[6] < 0.5 and 0.6 < waited[1] < 0.9 and 0.9 < waited[2] < 1.2, waited
        assert 0.9 < waited[3] < 1.3 and replies[3].rtt < 100_000, f"{replies[3]} after {waited[3]} s"
        assert daemon.finish() == (0, "")


def test_one_tcp_port_at_length(path):
    """Thousands may wait; all are answered once, and the port serves again."""
    count = 3000
    with Daemon(path.namespace) as daemon:
        daemon.send(*(f"{token} {probe(4, 'tcp', 'local-port 4569 timeout 1', 1)}" for token in range(count)))
        assert {reply.kind for reply in daemon.collect(count, 5)} == {NO_REPLY}
        assert len({reply.token for reply in daemon.replies}) == count
        assert daemon.ask(probe(4, "tcp", "local-port 4569")).kind == "reply"
        daemon.send(*(f"{token} {probe(4, 'tcp', 'local-port 4569 timeout 3')}" for token in range(300)))
        assert {reply.kind for reply in daemon.collect(300, 5)} == {"reply"}
        assert daemon.finish() == (0, "")


@every_family
def test_named_port_rests(path, family):
    """A local-port is held while its probe waits and a little longer, then another program may have it."""
    with Daemon(path.namespace) as daemon:
        assert daemon.ask(probe(family, "udp", "local-port 4567")).kind == "reply"
        end = time.monotonic() + 5
        while True:
            with Daemon(path.namespace) as other:
                if other.ask(probe(family, "udp", "local-port 4567")).kind == "reply":
                    break
            assert time.monotonic() < end, "the port is still held"
            time.sleep(0.2)
        assert daemon.finish() == (0, "")


@pytest.fixture(scope="module")
def slow(root):
    """A target that answers after 1.4 seconds, when the kernel has sent its SYN again."""
    with Pair("slow", link=delayed, delay=0.7) as both:
        yield both


@every_family
def test_tcp_slower_than_a_retransmission(slow, family):
    """An answer to the first SYN that comes after the second has left: an open port has timestamps, by which it is known
    and timed; a closed one has none, and counts as lost."""
    listener = slow.target.socket({4: socket.AF_INET, 6: socket.AF_INET6}[family], socket.SOCK_STREAM)
    with listener, Daemon(slow.client) as daemon:
        listener.bind((ANSWERS[family], 80))
        listener.listen(10)
        daemon.send(*(f"{port} send-probe ip-{family} {ANSWERS[family]} protocol tcp port {port} timeout 4"
                      for port in (80, 81)))
        opened, closed = sorted(daemon.collect(2, 6), key=lambda reply: reply.token)
        assert (opened.kind, closed.kind) == ("reply", NO_REPLY), f"{opened}, {closed}"
        assert 1_390_000 <= opened.rtt < 1_600_000, opened
        assert daemon.finish() == (0, "")


BEYOND = {4: "10.78.0.9", 6: "fd78::9"}


@pytest.fixture(scope="module")
def routed(root):
    """A host without TCP timestamps, whose router answers before its connect() returns."""
    with Namespace("routed-host") as host, Namespace("router") as router:
        join(host, "eth0", router, "eth0", ["10.77.0.1/24", "fd77::1/64"], ["10.77.0.2/24", "fd77::2/64"])
        host.ip("route add default via 10.77.0.2", "-6 route add default via fd77::2")
        host.sysctl("net.ipv4.tcp_timestamps", 0)
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            router.sysctl(name, 1)
        router.ip("route add 10.78.0.0/24 dev eth0", "-6 route add fd78::/64 dev eth0")
        yield host


@pytest.fixture(scope="module")
def two_links(root):
    """A host with the same link-local address on two links, and a far one to which routing prefers the first: the host
    and what is at the other end of each."""
    with Namespace("two-links") as here, Namespace("first") as first, Namespace("second") as second:
        for number, there in enumerate((first, second), 1):
            join(here, f"wire{number}", there, "wire", ["fe80::1/64", f"fd5{number}::1/64"],
                 ["fe80::2/64", f"fd5{number}::2/64", f"{FAR}/128"])
        here.ip(f"-6 route add {FAR}/128 via fd51::2", "-6 route add default via fd52::2")
        second.ip("-6 route add default via fd52::1")
        first.nft(f"table inet silent {{\n chain input {{\n type filter hook input priority 0;\n ip6 daddr {FAR} drop\n"
                  "}\n}")
        yield here


FAR = "fd59::9"
SENDERS = ("icmp", "udp", "udp port 53", "udp local-port 4500", "udp local-port 4501 port 53", "tcp",
           "tcp local-port 4502")


def test_local_device_with_local_ip(two_links):
    """Over IPv6 the kernel takes a device that goes along with a packet for a wish, where its source is given too."""
    with Daemon(two_links) as daemon:
        for more in ("", " local-ip-6 fd52::1"):
            hold(daemon, [
                Case(sender, f"send-probe ip-6 {FAR} protocol {sender} local-device wire2{more} timeout 2",
                     answered("reply", FAR)) for sender in SENDERS])
        assert daemon.finish() == (0, "")


def test_one_local_address_on_two_links(two_links):
    """As VLANs of one card have it: probes from it leave by the link that they are for, and are answered there."""
    with Daemon(two_links) as daemon:
        for more in ("", " local-ip-6 fe80::1"):
            hold(daemon, [
                Case(sender, f"send-probe ip-6 fe80::2%wire{link} protocol {sender}{more} timeout 2",
                     answered("reply", f"fe80::2%wire{link}")) for sender in SENDERS for link in (1, 2)])
        assert daemon.finish() == (0, "")


def test_device_bound_sockets_end(two_links):
    """With device and source a udp probe to a given port has a socket of its own: to a bound, and given back."""
    words = f"send-probe ip-6 {FAR} protocol udp port 53 local-device wire2 local-ip-6 fd52::1 timeout "
    with Daemon(two_links) as daemon:
        daemon.send(*(f"{token} {words}0" for token in range(1500)))
        kinds = [reply.kind for reply in daemon.collect(1500, 10)]
        assert set(kinds) <= {NO_REPLY, "probes-exhausted", "reply"} and kinds.count("probes-exhausted") < 500, kinds
        time.sleep(2.5)
        for _ in range(4):  # as soon as probes are answered, their sockets can be used again
            hold(daemon, [Case("later", words + "2", answered("reply", FAR))] * 500)
        assert daemon.finish() == (0, "")


def test_named_port_with_and_without_device(two_links):
    """A port that rests, bound to a device, is not in use for the next probe without."""
    with Daemon(two_links) as daemon:
        for words in (f"ip-6 {FAR} local-device wire2", "ip-6 fd52::2") * 2:
            reply = daemon.ask(f"send-probe {words} protocol udp local-port 4504 local-ip-6 fd52::1 timeout 2")
            assert reply.kind == "reply", reply
        assert daemon.finish() == (0, "")


@pytest.mark.parametrize("action", ["unreachable", "blackhole", "prohibit"])
@every_family
def test_rule_for_a_protocol(path, family, action):
    """A rule that refuses a protocol is not seen when the route is asked for: the kernel says it when a probe leaves."""
    icmp = {4: "icmp", 6: "ipv6-icmp"}[family]
    rules = [f"pref {number} ipproto {protocol} {action}" for number, protocol in enumerate((icmp, "udp", "tcp"), 100)]
    expected = "permission-denied" if action == "prohibit" else "no-route-network"
    path.namespace.ip(*(f"-{family} rule add {rule}" for rule in rules))
    try:
        with Daemon(path.namespace) as daemon:
            hold(daemon, [Case(protocol, probe(family, protocol), expected) for protocol in ("icmp", "udp", "tcp")])
            assert daemon.finish() == (0, "")
    finally:
        path.namespace.ip(*(f"-{family} rule del {rule}" for rule in rules))


def test_mapped_target(path):
    """An IPv4-mapped address is no IPv6 target: least of all is the host behind it asked over IPv4."""
    path.namespace.ip(f"-6 route add ::ffff:0:0/96 dev {path.ifname}")
    with Daemon(path.namespace) as daemon:
        hold(daemon, [Case(protocol, f"send-probe ip-6 ::ffff:{TARGET[4]} protocol {protocol}", "no-route-network")
                      for protocol in ("icmp", "udp", "tcp")])
        assert daemon.finish() == (0, "")


@every_family
def test_no_socket_where_probes_go(family):
    """No udp socket has a port that probes without `port` are sent to: on this host itself they would come to it, unanswered."""
    own = {4: "127.0.0.1", 6: "::1"}[family]
    with Namespace("plain-own") as namespace:
        namespace.sysctl("net.ipv4.ip_local_port_range", "33000 34000")  # a tenth of them are such ports
        with Daemon(namespace) as daemon:
            daemon.send(*(f"{number} send-probe ip-{family} {own} protocol udp port 9 timeout 1 detail 1" for number in range(200)))
            replies = daemon.collect(200)
            assert daemon.finish() == (0, "")
    assert {reply.kind for reply in replies} == {"reply"}
    ports = {int(reply.args["local-port"]) for reply in replies}
    assert len(ports) == 200 and not ports & set(range(33434, 33534))


@every_family
def test_tcp_to_itself(family):
    """A SYN that comes to the socket that has sent it finds no open port, whether a client or the kernel chose its own port."""
    own = {4: "127.0.0.1", 6: "::1"}[family]
    with Namespace("plain-itself") as namespace:
        namespace.sysctl("net.ipv4.ip_local_port_range", "40000 40007")
        with Daemon(namespace) as daemon:
            asked = [f"send-probe ip-{family} {own} protocol tcp port 20000 local-port 20000 detail 1"]
            asked += [f"send-probe ip-{family} {own} protocol tcp port {port} detail 1" for port in range(40000, 40008)] * 8
            replies = [daemon.ask(line) for line in asked]
            assert daemon.finish() == (0, "")
    assert {(reply.kind, reply.args["tcp-flags"]) for reply in replies} == {("reply", "rst")}


@every_family
def test_tcp_to_a_group(path, family):
    """Nobody connects to a group, so nothing is known of a port; but by which source it would have left."""
    group = {4: "224.0.0.1", 6: "ff0e::1"}[family]
    if family == 4:
        path.namespace.ip(f"route add {group} dev {path.ifname}")
    with Daemon(path.namespace) as daemon:
        reply = daemon.ask(f"send-probe ip-{family} {group} protocol tcp timeout 0.1 detail 1")
        assert daemon.finish() == (0, "")
    assert reply.kind == "no-reply" and "local-port" not in reply.args
    assert reply.args[f"local-ip-{family}"] in {OURS[family], OURS_TOO[family]}


@contextlib.contextmanager
def stopped(daemon):
    os.kill(daemon.pid, signal.SIGSTOP)
    yield
    os.kill(daemon.pid, signal.SIGCONT)


@every_family
def test_tcp_answer_and_reset_at_once(tun, family):
    """What comes behind a SYN-ACK before the daemon has seen that does not take it back."""
    target_ip = target_address(0)[family]
    with Daemon(tun.namespace) as daemon:
        tun.drain()
        daemon.send(f"1 send-probe ip-{family} {target_ip} protocol tcp timeout 1")
        asked = tun.probes([target_ip])[target_ip]
        reset = wire.tcp(asked.dst, asked.src, asked.dport, asked.sport, wire.RST, seq=8)  # behind forge.message()'s
        with stopped(daemon):
            tun.inject(forge.direct(asked), forge.packet(asked, reset))
            time.sleep(0.05)
        assert said(daemon.collect(1)[0]) == answered("reply", target_ip)
        assert daemon.finish() == (0, "")


@every_family
def test_stopped_longer_than_timeouts(tun, family):
    """Answers that came in time count, however late the daemon gets to see them; a RST has no stamp, but came before
    the SYN was sent again."""
    sent = {"open": "tcp", "closed": "tcp", "router": "tcp", "udp": "udp port 53", "icmp": "icmp"}
    with Daemon(tun.namespace) as daemon:
        tun.drain()
        addresses = {name: target_address(number)[family] for number, name in enumerate(sent)}
        daemon.send(*(f"{token} send-probe ip-{family} {addresses[name]} protocol {protocol} timeout 2"
                      for token, (name, protocol) in enumerate(sent.items())))
        asked = {name: tun.probes([address])[address] for name, address in addresses.items()}
        with stopped(daemon):
            tun.inject(forge.packet(asked["closed"], forge.message(asked["closed"], flags=wire.RST | wire.ACK)),
                       forge.time_exceeded(asked["router"]), forge.time_exceeded(asked["udp"]),
                       forge.direct(asked["open"]), forge.direct(asked["icmp"]))
            time.sleep(2.5)
        kinds = {list(sent)[reply.token]: reply.kind for reply in daemon.collect(len(sent))}
        assert kinds == {"open": "reply", "closed": "reply", "router": "ttl-expired", "udp": "ttl-expired",
                         "icmp": "reply"}
        assert daemon.finish() == (0, "")


@every_family
def test_late_look_at_an_open_port(slow, family):
    """An answer to the first SYN that comes when the second has left, and is read only a while later."""
    listener = slow.target.socket({4: socket.AF_INET, 6: socket.AF_INET6}[family], socket.SOCK_STREAM)
    with listener, Daemon(slow.client) as daemon:
        listener.bind((ANSWERS[family], 80))
        listener.listen(10)
        daemon.send(f"1 send-probe ip-{family} {ANSWERS[family]} protocol tcp timeout 4")
        time.sleep(0.2)
        with stopped(daemon):
            time.sleep(2.4)
        [reply] = daemon.collect(1)
        assert reply.kind == "reply" and 1_390_000 <= reply.rtt < 1_900_000, reply
        assert daemon.finish() == (0, "")


@every_family
def test_reset_read_after_the_deadline(tun, family):
    """Nothing says when a RST came; but nothing had come when the deadline had not yet passed and we were stopped."""
    target_ip = target_address(0)[family]
    with Daemon(tun.namespace) as daemon:
        tun.drain()
        daemon.send(f"1 send-probe ip-{family} {target_ip} protocol tcp timeout 0.6")
        asked = tun.probes([target_ip])[target_ip]
        time.sleep(0.1)  # it is stopped when it waits, not on the way there
        with stopped(daemon):
            tun.inject(forge.packet(asked, forge.message(asked, flags=wire.RST | wire.ACK)))
            time.sleep(1.2)
        [reply] = daemon.collect(1)
        assert reply.kind == "reply" and reply.rtt < 900_000, reply
        assert daemon.finish() == (0, "")


@every_family
def test_error_read_after_a_retransmission(routed, family):
    """Of a router that quotes no timestamps, while connect() was still at work: by its own stamp it is about the first
    SYN, though the second has left since then."""
    if cc.sanitized():
        pytest.skip("the sanitizers do not let another library come first")
    slow_connect = "env", f"LD_PRELOAD={cc.preload('slow_connect.c')}"
    with Daemon(routed, wrapper=slow_connect) as daemon:
        daemon.send(f"1 send-probe ip-{family} {BEYOND[family]} protocol tcp ttl 1 timeout 5")
        [reply] = daemon.collect(1)
        assert reply.kind == "ttl-expired" and reply.rtt < 1_000_000, reply
        assert daemon.finish() == (0, "")


@every_family
def test_late_udp_answers(slow, family):
    """Where the client gave port and bit-pattern, as mtr does, ports alone tell probes apart: a socket does not serve
    the same port of a target again while the answer to a probe that has ended may be under way."""
    count = 600
    request = f"send-probe ip-{family} {ANSWERS[family]} protocol udp port 53 bit-pattern 1 timeout 1"
    with Daemon(slow.client) as daemon:
        for _ in range(2):
            daemon.send(*(f"{token} {request}" for token in range(count)))
            kinds = [reply.kind for reply in daemon.collect(count)]
            assert set(kinds) <= {NO_REPLY, "probes-exhausted"}, f"{kinds.count('reply')} of answers to others"
        assert daemon.finish() == (0, "")


@every_family
def test_both_ports_of_many_targets(path, family):
    """Where the client fixed both ports, and routers quote no more than these: they tell targets apart, but not two probes to
    one."""
    first, second = ([f"{token + number} send-probe ip-{family} {target_address(number)[family]} protocol udp port 53 "
                      f"local-port 20053 ttl 2 timeout {timeout}" for number in range(200)]
                     for token, timeout in ((0, 2), (1000, 0.5)))
    with Daemon(path.namespace) as daemon:
        daemon.send(*first)
        assert {reply.kind for reply in daemon.collect(200)} == {"ttl-expired"}
        daemon.send(*second)
        assert {reply.kind for reply in daemon.collect(200)} == {NO_REPLY}
        assert daemon.finish() == (0, "")
