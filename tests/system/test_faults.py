# SPDX-License-Identifier: MIT
"""Faults: each passes, and then every request was answered once, the daemon lives, and its results are right again."""

import collections
import contextlib
import itertools
import os
import pty
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

import pytest

from lab import cc
from lab.capture import Capture
from lab.daemon import Daemon, target as to
from lab.expect import answered, by_token, said, send
from lab.net import CommandError, Namespace
from lab.pair import ANSWERS, CLIENT, SILENT, Pair
from lab.path import OURS, OURS_TOO, Path, target, target_address

PROTOCOLS = "icmp", "udp", "tcp", "sctp"
FAMILIES = 4, 6
OTHER = {4: "10.50.0.7", 6: "fd50::7"}  # one more address of the client
ABSENT = {4: "10.50.0.77", 6: "fd50::77"}  # of nobody, at first
LENGTH = {4: 24, 6: 64}
KILOBYTE, MEGABYTE = 1 << 10, 1 << 20

pytestmark = pytest.mark.usefixtures("root")
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture
def both():
    """A client and a target that a test may break."""
    with Pair("faults") as hosts:
        hosts.client.sysctl("net.ipv6.conf.all.keep_addr_on_down", 1)
        hosts.client.sysctl("net.ipv6.conf.wire.keep_addr_on_down", 1)
        yield hosts


@pytest.fixture
def daemon(binary, both):
    """A daemon that has done something already, so that all that it remembers is in place."""
    with Daemon(both.client) as running:
        recovered(running)
        yield running
        recovered(running)
        assert running.finish() == (0, "")


def everything(addresses, more="timeout 1"):
    """A probe of each protocol and family."""
    return [f"send-probe {to(addresses[family])} protocol {protocol} {more}"
            for family in FAMILIES for protocol in PROTOCOLS]


def exchange(daemon, requests, timeout=10, meanwhile=lambda: None, first=1):
    """The replies to these, one each and in their order. meanwhile() happens when all are sent."""
    send(daemon, requests, first)
    meanwhile()
    replies = by_token(daemon.collect(len(requests), timeout))
    assert sorted(replies) == list(range(first, first + len(requests)))
    assert daemon.process.poll() is None, f"it ended: {daemon.stderr()}"
    return [replies[token] for token in range(first, first + len(requests))]


def wait_for_sending(daemon):
    """Requests are taken in their order: with this reply, all before it have left."""
    daemon.ask("check-support feature version")


def kinds(replies):
    return dict(collections.Counter(reply.kind for reply in replies))


def only(replies, *allowed):
    wrong = [reply.line for reply in replies if reply.kind not in allowed]
    assert not wrong, f"{len(wrong)} of {len(replies)} are none of {allowed}: {wrong[:5]}"


def recovered(daemon, addresses=ANSWERS, within=5.0):
    """Every protocol is answered rightly; soon, if not at once, since hosts need some time to find each other again."""
    end = time.monotonic() + within
    expected = [answered("reply", addresses[family]) for family in FAMILIES for _ in PROTOCOLS]
    while True:
        came = [said(reply) for reply in exchange(daemon, everything(addresses))]
        if came == expected or time.monotonic() > end:
            break
    assert came == expected, f"not right {within} s after the fault"


# ---------------------------------------------------------------- the network changes

def test_interface_down_and_up(both, daemon):
    """Interface down and up, with probes in flight and probes asked for meanwhile."""

    def take_down():
        wait_for_sending(daemon)
        both.client.ip("link set wire down")

    only(exchange(daemon, everything(SILENT), meanwhile=take_down), "no-reply")
    during = exchange(daemon, everything(ANSWERS) * 10)
    only(during, "no-reply", "network-down", "no-route-network", "no-route-host")
    assert all(reply.address is None for reply in during), f"nobody can have answered: {kinds(during)}"
    both.client.ip("link set wire up")


def test_address_removed(both, daemon):
    """Address removed: probes that left from it end, others are refused, and it may come back."""
    for family in FAMILIES:
        both.client.ip(f"-{family} addr add {OTHER[family]}/{LENGTH[family]} dev wire"
                       f"{' nodad' if family == 6 else ''}")
    chosen = [f"send-probe {to(where[family])} protocol {protocol} local-ip-{family} {OTHER[family]} timeout 1"
              for where in (ANSWERS, SILENT) for family in FAMILIES for protocol in PROTOCOLS]
    # A kernel may take a moment to listen for who looks for its new address, and who is not heard asks again after 1 s.
    only(exchange(daemon, [line.replace("timeout 1", "timeout 4") for line in chosen[:8]]), "reply")
    replies = exchange(daemon, chosen)
    assert kinds(replies[:8]) == {"reply": 8} and kinds(replies[8:]) == {"no-reply": 8}, replies

    def remove():
        wait_for_sending(daemon)
        for family in FAMILIES:
            both.client.ip(f"-{family} addr del {OTHER[family]}/{LENGTH[family]} dev wire")

    only(exchange(daemon, chosen[8:], meanwhile=remove), "no-reply")
    only(exchange(daemon, chosen), "network-down")  # since it has been there, it may come back
    recovered(daemon, within=0)

    for family in FAMILIES:  # the last one goes too, and with it the way to the target
        both.client.ip(f"-{family} addr flush dev wire scope global")
    only(exchange(daemon, everything(ANSWERS)), "no-route-network", "no-route-host", "address-not-available", "network-down")
    for family in FAMILIES:
        both.client.ip(f"-{family} addr add {CLIENT[family]}/{LENGTH[family]} dev wire"
                       f"{' nodad' if family == 6 else ''}")


def test_route_changes_its_source(binary):
    """Route changed to another source address while probes are in flight: their answers still count, and what leaves
    afterwards leaves from the new one."""
    with Namespace("sources") as namespace, Path(namespace, [], [target(0, delay=0.4)]) as path, \
            Capture(namespace, path.ifname, "out") as capture, Daemon(namespace, binary=binary) as daemon:
        where = target_address(0)

        def use(source):
            for family in FAMILIES:
                length = {4: 32, 6: 128}[family]
                namespace.ip(f"-{family} route replace {where[family]}/{length} dev {path.ifname} src {source[family]}")

        def change():
            path.count()  # the player has seen them
            time.sleep(0.1)
            use(OURS_TOO)

        use(OURS)
        for source, then in ((OURS, change), (OURS_TOO, lambda: None)):
            capture.clear()
            replies = exchange(daemon, everything(where) * 20, meanwhile=then)
            only(replies, "reply")
            assert min(reply.rtt for reply in replies) >= 400_000
            left = {packet.src for packet in capture.packets() if packet.dst in where.values()
                    and not (packet.protocol == "tcp" and packet.flags != 2)}
            assert left == set(source.values()), f"probes left from {left}"
        assert daemon.finish() == (0, "")


def test_mtu_lowered(both, daemon):
    """MTU lowered: a probe that fitted leaves in fragments now, and whole again when it is raised."""
    large = [f"send-probe {to(ANSWERS[family])} protocol {protocol} size 1450 timeout 1"
             for family in FAMILIES for protocol in ("icmp", "udp")]
    for mtu in (1500, 1300, 1500, 1280):
        for namespace in (both.client, both.target):
            namespace.ip(f"link set wire mtu {mtu}")
        only(exchange(daemon, large * 5), "reply")


def test_neighbour_not_resolving(both, daemon):
    """Neighbour not resolving: hundreds of probes wait for it, each is answered once; it may appear at any time."""
    replies = exchange(daemon, everything(ABSENT, "timeout 5") * 40, timeout=15)
    only(replies, "no-route-host", "no-reply")
    for family in FAMILIES:
        both.target.ip(f"-{family} addr add {ABSENT[family]}/{LENGTH[family]} dev wire"
                       f"{' nodad' if family == 6 else ''}")
        both.client.ip(f"-{family} neigh flush dev wire")
    recovered(daemon, ABSENT)


# what an output filter does, by name
FILTERS = {
    "drop": "drop",
    "every other": "numgen inc mod 2 0 drop",
    "connections": "ct count over 3 drop",  # as a full table of connections does
}


@pytest.mark.parametrize("name", FILTERS)
def test_output_filter(binary, both, daemon, name):
    """Output filter refusing (EPERM), conntrack full: once probes have left it is loss, as what passes by itself."""
    try:
        both.client.nft(f"table inet fault {{ chain output {{ type filter hook output priority 0;\n"
                        f"meta l4proto {{ icmp, icmpv6, udp, tcp, 132 }} {FILTERS[name]}\n}}\n}}")
    except CommandError as error:
        pytest.skip(f"this kernel has no such rule: {error}")
    replies = exchange(daemon, everything(ANSWERS) * 10)
    only(replies, *{"drop": ["no-reply"], "every other": ["reply"]}.get(name, ["no-reply", "reply"]))
    if name == "drop":
        assert said(daemon.ask(f"send-probe {to(ANSWERS[4])} timeout 0.2 detail 1")) == "no-reply errno 1"
        with Daemon(both.client, binary=binary) as fresh:
            only(exchange(fresh, everything(ANSWERS)), "permission-denied")  # nothing has ever left
    both.client.nft("delete table inet fault")


def test_one_target_is_refused(binary, both):
    """Some targets are refused (EPERM) on an interface that all others leave by: these are neither lost nor late."""
    both.client.nft(f"table inet fault {{ chain output {{ type filter hook output priority 0;\n"
                    f"ip daddr {SILENT[4]} drop\nip6 daddr {SILENT[6]} drop\n}}\n}}")
    with Daemon(both.client, binary=binary) as daemon:
        recovered(daemon)
        started = time.monotonic()
        send(daemon, everything(SILENT, "timeout 4") * 250)
        refused = everything(SILENT, "timeout 1")
        others = everything(ANSWERS, "timeout 4")
        send(daemon, (others * 9 + refused) * 250, 2001)
        replies = by_token(daemon.collect(22_000, 10))
        lost = [token for token in replies if token <= 2000 or (token - 2001) % 80 >= 72]
        only([replies.pop(token) for token in lost], "no-reply")
        only(list(replies.values()), "reply")
        waited = max(reply.time for reply in replies.values()) - started
        assert waited < 2.5, f"others waited for {waited:.3f} s"
        assert daemon.finish() == (0, "")
    both.client.nft("delete table inet fault")


def test_refused_behind_a_route(binary, both, tmp_path):
    """Segment routing to where nothing goes: each packet is refused as if its route were gone, which it never is. What
    is known of the ways to others stays known."""
    if not shutil.which("strace") or cc.sanitized():
        pytest.skip("needs strace, and no sanitizers, which make calls of their own")
    gone, count, log = "fd77::2", 50, tmp_path / "log"
    try:
        both.client.ip("-6 route add unreachable fd78::/64",
                       f"-6 route add {gone} encap seg6 mode encap segs fd78::1 dev wire")
    except CommandError as error:
        pytest.skip(f"this kernel has no segment routing: {error}")
    wrapper = "strace", "-o", log, "-e", "trace=sendto"
    with Daemon(both.client, binary=binary, wrapper=wrapper) as daemon:
        recovered(daemon)
        before = log.read_text(encoding="latin-1").count("RTM_GETROUTE")
        requests = [f"send-probe {to(gone)} timeout 4", *everything(ANSWERS)] * count
        replies = exchange(daemon, requests)
        only(replies[::9], "no-route-host")
        only([reply for at, reply in enumerate(replies) if at % 9], "reply")
        asked = log.read_text(encoding="latin-1").count("RTM_GETROUTE") - before
        assert count <= asked < 4 * count, f"{asked} questions for {count} refusals"
        assert daemon.finish() == (0, "")


def test_groups_have_ways_of_their_own(binary, both):
    """What is remembered of the way to all others, and its source, is not that to groups and to everyone on the link."""
    both.client.ip(f"addr add {OTHER[4]}/24 dev wire", f"route add default via {ANSWERS[4]} src {OTHER[4]}")
    with Daemon(both.client, binary=binary) as daemon:
        sources = {}
        for address in "198.51.100.1", "198.51.100.2", "224.5.5.5", "255.255.255.255":
            reply = daemon.ask(f"send-probe ip-4 {address} local-device wire broadcast 1 detail 1 timeout 0.1")
            sources[address] = reply.args["local-ip-4"]
        assert list(sources.values()) == [OTHER[4], OTHER[4], CLIENT[4], CLIENT[4]], sources
        assert daemon.finish() == (0, "")


def test_error_that_somebody_left(binary, both):
    """On kernels where anybody's ICMP message may leave an error on the socket that sends, the probe leaves all the same."""
    if cc.sanitized():
        pytest.skip("the sanitizers do not let another library come first")
    wrapper = "env", f"LD_PRELOAD={cc.preload('left_over_error.c')}"
    with Daemon(both.client, binary=binary, wrapper=wrapper) as daemon:
        recovered(daemon, within=0)
        only(exchange(daemon, everything(ANSWERS, "timeout 1 tos 4") * 20), "reply")
        assert daemon.finish() == (0, "")


def shape(namespace, verb, rate):
    """The client's queue: a token bucket that holds a few packets. (To take it away while packets come would lose them:
    the kernel puts a queue in its place that drops all, and says nothing.)"""
    namespace.run("tc", "qdisc", verb, "dev", "wire", "root", "tbf", "rate", rate, "burst", "1600", "limit", "1600")


@every_family
def test_queue_full(both, daemon, family):
    """Qdisc full (ENOBUFS): requests wait; what is in flight meanwhile is answered in time. Then all go."""
    try:
        shape(both.client, "add", "40kbit")
    except CommandError as error:
        pytest.skip(f"this kernel has no tbf: {error}")
    count = 200
    daemon.send(f"9999 send-probe {to(SILENT[family])} timeout 1")
    sent = time.monotonic()
    send(daemon, [f"send-probe {to(ANSWERS[family])} protocol {protocol} timeout 4"
                  for protocol in PROTOCOLS for _ in range(count // 4)])
    time.sleep(1.3)
    waited = [reply.time - sent for reply in daemon.replies if reply.token == 9999]
    before = len(daemon.replies)
    shape(both.client, "change", "1gbit")
    replies = by_token(daemon.collect(count + 1))
    assert waited and 0.9 < waited[0] < 1.25, f"the deadline of the probe in flight: {waited}"
    assert before < count, "nothing was held back, so the queue was not full"
    assert replies.pop(9999).kind == "no-reply"
    only(list(replies.values()), "reply")


def test_one_interface_drops_everything(binary, both):
    """A policy on one interface (ENOBUFS for ever): its probes are lost, those by another and questions go on at once."""
    both.client.ip("link add dead0 type veth peer name dead1", "link set dead0 up", "link set dead1 up",
                   "addr add 10.66.0.1/24 dev dead0", "addr add fd66::1/64 dev dead0 nodad",
                   "neigh add 10.66.0.2 lladdr 02:00:00:00:00:02 dev dead0",
                   "neigh add fd66::2 lladdr 02:00:00:00:00:02 dev dead0")
    try:
        both.client.run("tc", "qdisc", "add", "dev", "dead0", "root", "handle", "1:", "tbf", "rate", "8bit", "burst", "1",
                        "limit", "1")
    except CommandError as error:
        pytest.skip(f"this kernel has no tbf: {error}")
    dead = {4: "10.66.0.2", 6: "fd66::2"}
    with Daemon(both.client, binary=binary) as daemon:
        recovered(daemon)
        started = time.monotonic()
        send(daemon, everything(dead, "timeout 1 detail 1") * 100 + everything(ANSWERS) * 10)
        replies = by_token(daemon.collect(880, 5))
        answered_last = max(reply.time for token, reply in replies.items() if token > 800) - started
        lost_last = max(reply.time for token, reply in replies.items() if token <= 800) - started
        only([reply for token, reply in replies.items() if token > 800], "reply")
        only([reply for token, reply in replies.items() if token <= 800], "no-reply")
        assert answered_last < 0.3, f"others waited for {answered_last:.3f} s"
        assert 0.9 < lost_last < 1.3, f"the lost ones ended after {lost_last:.3f} s"
        assert daemon.finish() == (0, "")


def test_silent_neighbours(binary, both):
    """Packets to neighbours that do not answer fill the buffer of who has no CAP_NET_ADMIN, whatever wmem_max it has; others
    wait for 50 ms at most."""
    both.client.ip("addr add 10.67.0.1/20 dev wire")
    wrapper = ("setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw",
               "--bounding-set=-all,+net_raw")
    with Daemon(both.client, binary=binary, wrapper=wrapper) as daemon:
        only([daemon.ask(f"send-probe {to(ANSWERS[4])}")], "reply")
        silent = [f"send-probe ip-4 10.67.1.{1 + number % 200} timeout 2" for number in range(15000)]
        started = time.monotonic()
        send(daemon, silent)
        send(daemon, [f"send-probe {to(ANSWERS[4])}"] * 10, 20001)
        replies = by_token(daemon.collect(15010, 8))
        waited = max(reply.time for token, reply in replies.items() if token > 20000) - started
        only([reply for token, reply in replies.items() if token > 20000], "reply")
        only([reply for token, reply in replies.items() if token <= 20000], "no-reply", "no-route-host")
        assert waited < 0.5, f"others waited for {waited:.3f} s"
        assert daemon.finish() == (0, "")


# ---------------------------------------------------------------- nothing left

@contextlib.contextmanager
def after(both, limit):
    """A daemon that is started by a shell under this limit."""
    with Daemon(both.client, wrapper=("sh", "-c", f'{limit} && exec "$0" "$@"')) as running:
        yield running


def serves_or_ends(daemon, served):
    """Either it does not start: status 1 and one line on stderr; or it does all that it says it supports."""
    with contextlib.suppress(BrokenPipeError):
        send(daemon, [f"check-support feature {name}" for name in (*PROTOCOLS, "ip-4", "ip-6")])
        send(daemon, everything(ANSWERS), 10)
    code, stderr = daemon.finish()
    if code != 0:
        assert code in (1, 127) and stderr.count("\n") == 1, f"exit status {code}, stderr: {stderr!r}"
        assert daemon.replies == []
        return
    assert stderr == ""
    replies = by_token(daemon.replies)
    assert len(replies) == 14, f"{len(replies)} replies to 14 requests"
    support = {name: replies[token].args["support"] == "ok"
               for token, name in enumerate((*PROTOCOLS, "ip-4", "ip-6"), 1)}
    for token, (family, protocol) in enumerate(itertools.product(FAMILIES, PROTOCOLS), 10):
        allowed = {"reply", "probes-exhausted"} if support[protocol] and support[f"ip-{family}"] else \
            {"invalid-argument"}
        if support[protocol] and protocol != "icmp":
            allowed.add("invalid-argument")  # it may be the other family's
        assert replies[token].kind in allowed, f"{support}, but: {replies[token]}"
    served.append(all(reply.kind == "reply" for token, reply in replies.items() if token >= 10))


def test_few_descriptors_at_start(both):
    """No descriptors left at start: it says so and ends, or serves what it has sockets for."""
    served = []
    for number in range(4, 26):
        with after(both, f"ulimit -n {number}") as daemon:
            serves_or_ends(daemon, served)
    assert served and served[-1], "with 25 descriptors everything is served"


def test_descriptors_run_out(both):
    """No descriptor left for this probe: probes-exhausted; the next one is served when others have ended."""
    with after(both, "ulimit -n 24") as daemon:
        recovered(daemon)
        requests = [f"send-probe {to(SILENT[family])} protocol udp local-port {port} timeout 1"
                    for port in range(20000, 20100) for family in FAMILIES]
        for _ in range(2):
            replies = exchange(daemon, requests)
            assert set(kinds(replies)) == {"no-reply", "probes-exhausted"}, kinds(replies)
            recovered(daemon)
        assert daemon.finish() == (0, "")


def test_little_memory_at_start(both):
    """RLIMIT_AS at start: it says so and ends, or serves."""
    served = []
    for size in (*range(2000, 12000, 500), 20000, 40000):
        with after(both, f"ulimit -v {size}") as daemon:
            serves_or_ends(daemon, served)
    assert served and served[-1], "with 40 MB of addresses everything is served"


@pytest.mark.parametrize("room", [0, 256 * KILOBYTE, MEGABYTE, 4 * MEGABYTE], ids=str)
def test_memory_limit(daemon, room):
    """Memory limit reached (RLIMIT_AS): probes-exhausted for those that have no place, and on it goes."""
    size = daemon.status("VmSize") * KILOBYTE
    unlimited = resource.prlimit(daemon.pid, resource.RLIMIT_AS, (size + room, resource.RLIM_INFINITY))
    count = 40_000
    silent = [f"send-probe {to(SILENT[4 + 2 * (number % 2)])} protocol {PROTOCOLS[number // 2 % 4]} timeout 1"
              for number in range(count)]
    replies = exchange(daemon, silent, timeout=20)
    only(replies, "no-reply", "probes-exhausted")
    assert "no-reply" in kinds(replies), "it had memory for some"
    assert room > MEGABYTE or "probes-exhausted" in kinds(replies), f"it had no memory for all: {kinds(replies)}"
    recovered(daemon, within=0)
    resource.prlimit(daemon.pid, resource.RLIMIT_AS, unlimited)
    only(exchange(daemon, silent, timeout=20), "no-reply")


class FailingMalloc:
    """The orders to failing_malloc.c."""

    def __init__(self, path):
        self.path = path
        self.order()

    def order(self, every=0, alone=0):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb", buffering=0) as file:
            file.write(struct.pack("II", every, alone))

    def environment(self):
        return {"LD_PRELOAD": str(cc.preload("failing_malloc.c")), "FAILING_MALLOC": str(self.path)}


@pytest.fixture
def malloc(tmp_path):
    if cc.sanitized():
        pytest.skip("the sanitizers allocate by themselves")
    return FailingMalloc(tmp_path / "orders")


@contextlib.contextmanager
def preloaded(both, malloc):
    """A daemon whose allocations fail by orders; not what starts it."""
    words = [f"{name}={value}" for name, value in malloc.environment().items()]
    with Daemon(both.client, wrapper=("env", *words)) as running:
        yield running


@pytest.mark.parametrize("every", [1, 2, 7])
def test_allocations_fail(both, malloc, every):
    """Allocation failing at any point: probes-exhausted, and on it goes."""
    with preloaded(both, malloc) as daemon:
        daemon.ask("check-support feature icmp")
        malloc.order(every=every)
        count = 30_000
        silent = [f"send-probe {to(SILENT[4 + 2 * (number % 2)])} protocol {PROTOCOLS[number // 2 % 4]} timeout 1"
                  for number in range(count)]
        only(exchange(daemon, everything(ANSWERS) * 5), "reply", "probes-exhausted")
        replies = exchange(daemon, silent, timeout=20)
        only(replies, "no-reply", "probes-exhausted")
        assert every > 1 or "probes-exhausted" in kinds(replies), kinds(replies)
        malloc.order()
        recovered(daemon)
        only(exchange(daemon, silent, timeout=20), "no-reply")
        assert daemon.finish() == (0, "")


def test_no_memory_for_the_first_reply(both, malloc):
    """Memory ends before anything was ever said: each request is answered all the same."""
    with preloaded(both, malloc) as daemon:
        time.sleep(0.5)
        malloc.order(every=1)
        only(exchange(daemon, [f"send-probe {to(SILENT[4])} timeout 1"] * 1000), "probes-exhausted")
        malloc.order()
        recovered(daemon)
        assert daemon.finish() == (0, "")


@pytest.mark.parametrize("again", [True, False], ids=["for a while", "for good"])
def test_no_memory_for_replies(both, malloc, again):
    """No memory for replies that nobody reads: it can be ended; when there is some again the daemon goes on."""
    with preloaded(both, malloc) as daemon:
        daemon.ask("check-support feature icmp")
        daemon.pause()
        send(daemon, [f"send-probe {to(SILENT[4])} timeout 1"] * 8000)
        malloc.order(every=1)
        time.sleep(2.5)
        if again:
            malloc.order()
        start = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(5) == -signal.SIGTERM
        assert time.monotonic() - start < 0.5


def test_one_allocation_fails(both, malloc):
    """The first, the second, the third... alone fails: at the start it says so and ends, later it serves on."""
    served = []
    for number in range(1, 60):
        malloc.order(alone=number)
        with preloaded(both, malloc) as daemon:
            serves_or_ends(daemon, served)
    assert served and served[-1]


# ---------------------------------------------------------------- clients of all kinds

def open_end(kind, directory, is_input):
    """(what the daemon gets, what the test keeps): descriptors."""
    if kind == "pipe":
        reader, writer = os.pipe()
        return (reader, writer) if is_input else (writer, reader)
    if kind == "socket":
        theirs, ours = socket.socketpair()
        return theirs.detach(), ours.detach()
    if kind == "terminal":
        ours, theirs = pty.openpty()
        modes = termios.tcgetattr(theirs)
        modes[1] &= ~termios.OPOST
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, modes)
        return theirs, ours
    path = directory / ("input" if is_input else "output")
    path.write_bytes(b"")
    return os.open(path, os.O_RDONLY if is_input else os.O_WRONLY), os.open(path, os.O_RDWR)


def end_of_input(kind, fd):
    if kind == "terminal":
        os.write(fd, b"\x04")
    elif kind == "socket":
        with socket.socket(fileno=os.dup(fd)) as sock:
            sock.shutdown(socket.SHUT_WR)
    elif kind == "pipe":
        os.close(fd)


def read_all(fd):
    data = b""
    with contextlib.suppress(OSError):  # a terminal whose other side is closed: EIO
        while piece := os.read(fd, 1 << 16):
            data += piece
    return data


KINDS = "pipe", "file", "socket", "terminal"


@pytest.mark.parametrize("output", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_input_and_output(binary, pair, tmp_path, source, output):
    """Stdin and stdout a pipe, a file, a socket, a terminal: each request is answered once, then status 0."""
    requests = everything(ANSWERS) + everything(SILENT, "timeout 0.2") + ["check-support feature icmp", "nonsense"] * 20
    text = "".join(f"{token} {request}\n" for token, request in enumerate(requests, 1)).encode()
    theirs_in, ours_in = open_end(source, tmp_path, True)
    theirs_out, ours_out = open_end(output, tmp_path, False)
    if source == "file":
        os.write(ours_in, text)
    process = pair.client.popen(binary, stdin=theirs_in, stdout=theirs_out, stderr=subprocess.PIPE)
    try:
        os.close(theirs_in)
        os.close(theirs_out)
        if source != "file":
            os.write(ours_in, text)
        end_of_input(source, ours_in)
        data = read_all(ours_out) if output != "file" else b""
        assert process.wait(10) == 0
        assert process.stderr.read() == b""
        data += read_all(ours_out) if output == "file" else b""
    finally:
        process.kill()
        process.wait()
    lines = data.decode("ascii").split("\n")
    assert lines.pop() == "", "the last line is whole"
    tokens = sorted(int(line.split(" ")[0]) for line in lines)
    assert tokens == list(range(1, len(requests) + 1)), lines
    found = collections.Counter(line.split(" ")[1] for line in lines)
    assert found == {"reply": 8, "no-reply": 8, "feature-support": 20, "unknown-command": 20}, found
    for fd in {ours_in, ours_out}:
        with contextlib.suppress(OSError):
            os.close(fd)


def test_output_to_who_sits_at_a_terminal(binary, pair, tmp_path):
    """Stdout is a terminal's other side, as who plays the terminal has it: replies come out of that terminal."""
    theirs, ours = open_end("terminal", tmp_path, False)
    with Daemon(pair.client, binary=binary, stdout=ours) as daemon:
        daemon.send("7 check-support feature icmp")
        assert select.select([theirs], [], [], 5)[0], "nothing came out of the terminal"
        assert os.read(theirs, 100).startswith(b"7 feature-support support ok")
        assert daemon.finish() == (0, "")
    os.close(theirs)
    os.close(ours)


def test_output_file_may_not_grow(binary, pair, tmp_path):
    """A file that has reached RLIMIT_FSIZE: exit status 1, and a word, as for a full disk."""
    with open(tmp_path / "replies", "wb") as stdout, \
            Daemon(pair.client, wrapper=("sh", "-c", 'ulimit -f 1 && exec "$0" "$@"'), stdout=stdout) as daemon:
        daemon.send(*(f"{token} check-support feature icmp" for token in range(200)))
        code, stderr = daemon.finish()
    assert code == 1 and re.fullmatch(r"mtr-packet: can't write replies: [^\n]+\n", stderr), (code, stderr)


CLIENT_PROGRAM = """
import subprocess, sys, time
daemon = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
daemon.stdin.write(sys.argv[2].encode() * 100 + b"7 check-support feature icmp\\n")
daemon.stdin.flush()
assert daemon.stdout.readline() == b"7 feature-support support ok\\n"
print(daemon.pid, flush=True)
time.sleep(60)
"""


def is_over(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_client_killed(binary, pair):
    """A client killed: its daemon goes, too, with probes in flight that would last."""
    request = f"1 send-probe {to(SILENT[4])} timeout 50\n"
    client = pair.client.popen(sys.executable, "-c", CLIENT_PROGRAM, binary, request, stdout=subprocess.PIPE)
    pid = int(client.stdout.readline())
    assert not is_over(pid)
    client.kill()
    client.wait()
    end = time.monotonic() + 2
    while not is_over(pid) and time.monotonic() < end:
        time.sleep(0.01)
    over = is_over(pid)
    if not over:
        os.kill(pid, signal.SIGKILL)  # it is ours: its client was
    assert over, "the daemon outlives its client"
    client.stdout.close()


# ---------------------------------------------------------------- time

def test_stopped(binary):
    """SIGSTOP for longer than the timeouts, then SIGCONT: answers that came in time count, with the time at which they
    came; those that came too late do not."""
    delays = {"in time": 0.4, "too late": 1.3}
    targets = {name: number for number, name in enumerate(delays)}
    silent = target_address(9)
    with Namespace("stopped") as namespace, \
            Path(namespace, [], [target(targets[name], delay=delay) for name, delay in delays.items()]) as path, \
            Daemon(namespace, binary=binary) as daemon:
        groups = [(name, everything(target_address(targets[name])) * 25) for name in delays]
        groups.append(("silent", everything(silent) * 25))
        requests = [request for _, group in groups for request in group]

        def stop():
            end = time.monotonic() + 5
            while path.count() < len(requests) - len(groups[-1][1]) and time.monotonic() < end:
                time.sleep(0.01)
            os.kill(daemon.pid, signal.SIGSTOP)
            time.sleep(2)
            assert daemon.replies == [], "it was stopped too late"
            os.kill(daemon.pid, signal.SIGCONT)

        for _ in range(2):
            daemon.replies.clear()
            path.play([], [target(targets[name], delay=delay) for name, delay in delays.items()])
            replies = exchange(daemon, requests, meanwhile=stop)
            size = len(groups[0][1])
            only(replies[:size], "reply")
            only(replies[size:], "no-reply")
            times = [reply.rtt / 1e6 for reply in replies[:size]]
            assert 0.4 <= min(times) and max(times) < 0.5, f"answered after 0.4 s, said: {min(times)} to {max(times)}"
        assert daemon.finish() == (0, "")
