# SPDX-License-Identifier: MIT
"""Faults of the network and of the host's routing: each passes, or is for some targets alone, and nobody else feels it."""

import shutil
import time

import pytest

from lab import cc, transports
from lab.capture import Capture
from lab.daemon import Daemon, target as to
from lab.expect import by_token, said, send
from lab.fault import FAMILIES, LENGTH, everything, exchange, kinds, only, protocols, recovered, tried, wait_for_sending
from lab.net import CommandError, Namespace
from lab.pair import ANSWERS, CLIENT, SILENT
from lab.path import OURS, OURS_TOO, Path, target, target_address

OTHER = {4: "10.50.0.7", 6: "fd50::7"}  # one more address of the client
ABSENT = {4: "10.50.0.77", 6: "fd50::77"}  # of nobody, at first

pytestmark = pytest.mark.usefixtures("root")
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture
def daemon(binary, both):
    with tried(both.client) as running:
        yield running


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
              for where in (ANSWERS, SILENT) for family in FAMILIES for protocol in protocols()]
    # A kernel may take a moment to listen for who looks for its new address, and who is not heard asks again after 1 s.
    half = len(chosen) // 2
    only(exchange(daemon, [line.replace("timeout 1", "timeout 4") for line in chosen[:half]]), "reply")
    replies = exchange(daemon, chosen)
    assert kinds(replies[:half]) == {"reply": half} and kinds(replies[half:]) == {"no-reply": half}, replies

    def remove():
        wait_for_sending(daemon)
        for family in FAMILIES:
            both.client.ip(f"-{family} addr del {OTHER[family]}/{LENGTH[family]} dev wire")

    only(exchange(daemon, chosen[half:], meanwhile=remove), "no-reply")
    only(exchange(daemon, chosen), "network-down")  # since it has been there, it may come back
    recovered(daemon, within=0)

    for family in FAMILIES:  # the last one goes too, and with it the way to the target
        both.client.ip(f"-{family} addr flush dev wire scope global")
    only(exchange(daemon, everything(ANSWERS)), "no-route-network", "no-route-host", "network-down")
    # By an interface alone IPv4 has a way all the same, but no source; and mtr -I ends itself on some words.
    by_interface = [f"{line} local-device wire" for line in everything(ANSWERS)]
    only(exchange(daemon, by_interface), "no-route-network", "no-route-host", "no-reply", "network-down")
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
def test_output_filter(transport, binary, both, daemon, name):
    """Output filter refusing (EPERM), conntrack full: once probes have left it is loss, as what passes by itself. Without
    privileges the kernel keeps some refusals to itself, and sends a SYN again when its answer does not count any more."""
    kept = ["no-reply"] if transport == transports.PLAIN else []
    try:
        both.client.nft(f"table inet fault {{ chain output {{ type filter hook output priority 0;\n"
                        f"meta l4proto {{ icmp, icmpv6, udp, tcp, 132 }} {FILTERS[name]}\n}}\n}}")
    except CommandError as error:
        pytest.skip(f"this kernel has no such rule: {error}")
    replies = exchange(daemon, everything(ANSWERS) * 10)
    only(replies, *{"drop": ["no-reply"], "every other": ["reply", *kept]}.get(name, ["no-reply", "reply"]))
    if name == "drop":
        assert said(daemon.ask(f"send-probe {to(ANSWERS[4])} timeout 0.2 detail 1")) == "no-reply errno 1"
        with Daemon(both.client, binary=binary) as fresh:
            first = exchange(fresh, everything(ANSWERS))  # nothing has ever left
            only(first, "permission-denied", *kept)
            assert {"permission-denied"} == {first[at].kind for at in (0, 1, len(first) // 2 + 1)}, "icmp, udp, udp"
    both.client.nft("delete table inet fault")


def test_one_target_is_refused(binary, both):
    """Some targets are refused (EPERM) on an interface that all others leave by: these are neither lost nor late."""
    both.client.nft(f"table inet fault {{ chain output {{ type filter hook output priority 0;\n"
                    f"ip daddr {SILENT[4]} drop\nip6 daddr {SILENT[6]} drop\n}}\n}}")
    with Daemon(both.client, binary=binary) as daemon:
        recovered(daemon)
        started = time.monotonic()
        refused = everything(SILENT, "timeout 1")
        others = everything(ANSWERS, "timeout 4")
        kinds_of, before = len(others), 250 * len(others)
        send(daemon, everything(SILENT, "timeout 4") * 250)
        send(daemon, (others * 9 + refused) * 250, before + 1)
        replies = by_token(daemon.collect(11 * before, 10))
        lost = [token for token in replies
                if token <= before or (token - before - 1) % (10 * kinds_of) >= 9 * kinds_of]
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
        each = [f"send-probe {to(gone)} timeout 4", *everything(ANSWERS)]
        replies = exchange(daemon, each * count)
        only(replies[::len(each)], "no-route-host")
        only([reply for at, reply in enumerate(replies) if at % len(each)], "reply")
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
    count = 204
    daemon.send(f"9999 send-probe {to(SILENT[family])} timeout 1")
    sent = time.monotonic()
    send(daemon, [f"send-probe {to(ANSWERS[family])} protocol {protocol} timeout 4"
                  for protocol in protocols() for _ in range(count // len(protocols()))])
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
        lost, others = everything(dead, "timeout 1 detail 1") * 100, everything(ANSWERS) * 10
        send(daemon, lost + others)
        replies = by_token(daemon.collect(len(lost) + len(others), 5))
        answered_last = max(reply.time for token, reply in replies.items() if token > len(lost)) - started
        lost_last = max(reply.time for token, reply in replies.items() if token <= len(lost)) - started
        only([reply for token, reply in replies.items() if token > len(lost)], "reply")
        only([reply for token, reply in replies.items() if token <= len(lost)], "no-reply")
        assert answered_last < 0.3, f"others waited for {answered_last:.3f} s"
        assert 0.9 < lost_last < 1.3, f"the lost ones ended after {lost_last:.3f} s"
        assert daemon.finish() == (0, "")


def test_silent_neighbours(transport, binary, both):
    """Packets to neighbours that do not answer fill the buffer of who has no CAP_NET_ADMIN, whatever wmem_max it has; others
    wait for 50 ms at most."""
    both.client.ip("addr add 10.67.0.1/20 dev wire")
    wrapper = ("setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw",
               "--bounding-set=-all,+net_raw") if transport == transports.RAW else ()
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
