# SPDX-License-Identifier: MIT
"""Source ports on hosts where others have them: other programs, other daemons, and the kernel that hands them out."""

import collections
import contextlib
import os
import select
import socket
import subprocess
import sys
import time

import pytest

from lab import transports
from lab.capture import Capture
from lab.daemon import Daemon, target as to
from lab.pair import ANSWERS, CLIENT, SILENT, Pair
from test_scale import ask_all, kinds, requests

FAMILIES = 4, 6
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
ANY = {4: "0.0.0.0", 6: "::"}
PORT = 51820
TALK = 7777   # of the target: a server that answers but those who say "talk"
USUAL = "1024 65000"  # net.ipv4.ip_local_port_range as servers have it

every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def wires(root):
    with Pair("ports") as both:
        yield both


@contextlib.contextmanager
def bound(namespace, family, port, kind=socket.SOCK_DGRAM, address=None):
    """A program that has a port."""
    with namespace.socket(FAMILY[family], kind) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
        sock.bind((address or ANY[family], port))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        yield sock


# ---------------------------------------------------------------- a port that a client names

@every_family
@pytest.mark.parametrize("protocol", ["udp", "udp port 53", "udp port 53 size 28", "tcp port 81", "sctp port 81"])
@pytest.mark.parametrize("where", [None, CLIENT], ids=["every address", "the source"])
def test_port_of_another_program(binary, wires, family, protocol, where):
    """mtr -u -L 51820 on a WireGuard host: raw sockets need no bind to send, and the answers are told apart as ever. What
    the client lets leave as payload must not seem to be that program's."""
    address = where and where[family]
    request = f"send-probe {to(ANSWERS[family])} local-port {PORT} timeout 2 protocol {protocol}"
    with contextlib.ExitStack() as stack:
        for kind in socket.SOCK_DGRAM, socket.SOCK_STREAM:
            stack.enter_context(bound(wires.client, family, PORT, kind, address))
        daemon = stack.enter_context(Daemon(wires.client))
        for _ in range(2):
            assert daemon.ask(request).kind == "reply"
        if protocol == "udp":
            assert daemon.ask(request + " payload c0ffee").line.split(" ", 1)[1] == "address-in-use"
            assert daemon.ask(request + " flow 3").kind == "reply"
            assert daemon.ask(request + " payload c0ffee flow 3").line.split(" ", 1)[1] == "address-in-use"
        assert daemon.finish() == (0, "")
    with Daemon(wires.client) as daemon:  # and when that is gone
        assert daemon.ask(request + (" payload c0ffee" if "udp" == protocol else "")).kind == "reply"


@every_family
def test_port_that_is_needed(binary, wires, family):
    """Without privileges the port must be bound: what another program keeps is address-in-use."""
    with transports.using(transports.PLAIN, binary), Daemon(wires.client) as daemon, \
            bound(wires.client, family, PORT), bound(wires.client, family, PORT, socket.SOCK_STREAM):
        for protocol in "udp", "tcp":
            reply = daemon.ask(f"send-probe {to(ANSWERS[family])} local-port {PORT} protocol {protocol}")
            assert reply.line.split(" ", 1)[1] == "address-in-use", protocol
        assert daemon.finish() == (0, "")


@contextlib.contextmanager
def talker(pair, family):
    """A server on the target that answers "talk", and probes of 100 bytes and more, and nothing else."""
    code = f"""
import socket
s = socket.socket({int(FAMILY[family])}, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE: thousands may wait
s.bind(({ANSWERS[family]!r}, {TALK}))
print(flush=True)
while True:
    data, who = s.recvfrom(2000)
    if data == b"talk" or len(data) > 40:
        s.sendto(b"yes", who)
"""
    process = pair.target.popen(sys.executable, "-c", code, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@every_family
def test_datagrams_of_another_program(binary, wires, family):
    """What comes to a port that a local program has may be for that: no datagram there is an answer to a probe."""
    request = f"send-probe {to(ANSWERS[family])} local-port {PORT} protocol udp port {TALK} timeout 0.6"
    with talker(wires, family), bound(wires.client, family, PORT) as program, Daemon(wires.client) as daemon:
        daemon.send(f"1 {request} size 60")
        time.sleep(0.2)
        program.sendto(b"talk", (ANSWERS[family], TALK))
        assert select.select([program], [], [], 2)[0] and program.recv(99) == b"yes"
        assert daemon.collect(1)[0].kind == "no-reply"
        assert daemon.finish() == (0, "")


@every_family
def test_two_daemons_with_one_port(binary, wires, family):
    """Each is served, and none takes the other's answers for its own, whatever a datagram says."""
    with talker(wires, family), Daemon(wires.client) as one, Daemon(wires.client) as other:
        words = f"send-probe {to(ANSWERS[family])} local-port {PORT} protocol"
        assert one.ask(f"{words} udp port {TALK} size 100").kind == "reply"
        for _ in range(2):
            for protocol in "udp", "udp port 53", "tcp", "sctp":
                for daemon in one, other:
                    assert daemon.ask(f"{words} {protocol}").kind == "reply", protocol
        for first, second in ((one, other), (other, one)):
            first.send(f"1 {words} udp port {TALK} size 60 timeout 0.8")  # not answered
            time.sleep(0.1)
            second.send(f"2 {words} udp port {TALK} size 100 timeout 0.8")  # answered
            assert (first.collect(1)[0].kind, second.collect(1)[0].kind) == ("no-reply", "no-reply")
        assert one.finish() == other.finish() == (0, "")


# ---------------------------------------------------------------- ports of ours

def ports_seen(capture, family):
    """Source ports of udp to port 9 of the silent target."""
    return {packet.sport for packet in capture.packets() if packet.dst == SILENT[family] and packet.dport == 9}


@every_family
def test_payload_from_nobodys_port(binary, wires, family):
    """Of the ports that are ours to choose, too, none that another program has bears a payload; nor does one of a flow."""
    wires.client.sysctl("net.ipv4.ip_local_port_range", "1024 65023")  # leaves one block outside
    try:
        theirs = [port for port in range(65024, 65536) if port % 8 > 1]
        with contextlib.ExitStack() as stack:
            for port in theirs:
                stack.enter_context(bound(wires.client, family, port))
            daemon = stack.enter_context(Daemon(wires.client))
            capture = stack.enter_context(Capture(wires.client, "wire"))
            daemon.write(requests(400, f"{to(SILENT[family])} protocol udp port 9 payload c0ffee timeout 0.5"))
            assert kinds(daemon.collect(400))[0] == {"no-reply": 400}
            time.sleep(0.1)
            seen = ports_seen(capture, family)
            assert len(seen) > 100 and not seen & set(theirs), seen & set(theirs)
            assert daemon.finish() == (0, "")
    finally:
        wires.client.sysctl("net.ipv4.ip_local_port_range", "32768 60999")


@pytest.fixture(scope="module")
def server(root):
    """A host whose kernel hands out nearly all ports: each test says which."""
    with Pair("server") as both:
        yield both


@every_family
@pytest.mark.parametrize("protocol", ["udp", "tcp", "sctp"])
def test_wide_range(binary, server, family, protocol):
    """20,000 in flight to one target and port, whatever the range says: 512 before."""
    count = 20_000
    server.client.sysctl("net.ipv4.ip_local_port_range", USUAL)
    with Daemon(server.client) as daemon:
        replies, _ = ask_all(daemon, count, f"{to(SILENT[family])} protocol {protocol} port 53 timeout 5", 15)
        assert kinds(replies)[0] == {"no-reply": count}, kinds(replies)
        time.sleep(0.1)
        held = len(os.listdir(f"/proc/{daemon.pid}/fd"))
        assert held < 100, f"{held} descriptors are held with nothing in flight"
        assert daemon.ask(f"send-probe {to(ANSWERS[family])} protocol {protocol} port 53").kind == "reply"
        assert daemon.finish() == (0, "")


@pytest.mark.parametrize("ports", [USUAL, "1024 65535"])
@every_family
def test_answers_in_a_wide_range(binary, server, family, ports):
    """More in flight than ports outside the range, each answered: by datagrams, too, since each port is held."""
    count = 3000
    server.client.sysctl("net.ipv4.ip_local_port_range", ports)
    with talker(server, family), Daemon(server.client) as daemon:
        for words in f"udp port {TALK} size 100", "udp port 53", "udp", "tcp port 81", "sctp port 81":
            daemon.write_later(requests(count, f"{to(ANSWERS[family])} protocol {words} timeout 8"))
            replies = daemon.collect(count, 15)
            assert kinds(replies)[0] == {"reply": count}, (words, kinds(replies))
        assert daemon.finish() == (0, "")


@every_family
def test_flows_in_a_wide_range(binary, server, family):
    """Flows always; also where other daemons are."""
    server.client.sysctl("net.ipv4.ip_local_port_range", USUAL)
    with contextlib.ExitStack() as stack:
        daemons = [stack.enter_context(Daemon(server.client)) for _ in range(3)]
        for protocol in "udp", "tcp":
            for daemon in daemons:
                daemon.send(*(f"{flow} send-probe {to(ANSWERS[family])} protocol {protocol} port 81 flow {flow}"
                              for flow in range(512)))
            for daemon in daemons:
                assert kinds(daemon.collect(512))[0] == {"reply": 512}
        for daemon in daemons:
            assert daemon.finish() == (0, "")


@every_family
def test_ports_that_the_kernel_hands_out(binary, server, family):
    """Inside the range a program's port is left to it, and while a probe has one, the kernel gives it to nobody."""
    server.client.sysctl("net.ipv4.ip_local_port_range", "1024 65535")
    theirs = range(20000, 20000 + 8000)
    with contextlib.ExitStack() as stack:
        for port in theirs:
            stack.enter_context(bound(server.client, family, port))
        daemon = stack.enter_context(Daemon(server.client))
        capture = stack.enter_context(Capture(server.client, "wire"))
        daemon.write(requests(10_000, f"{to(SILENT[family])} protocol udp port 9 timeout 4"))
        assert daemon.ask("check-support feature udp").args == {"support": "ok"}
        time.sleep(0.2)
        seen = ports_seen(capture, family)
        assert len(seen) > 5000 and not seen & set(theirs)
        given = collections.Counter()
        for _ in range(2000):
            with bound(server.client, family, 0) as sock:
                given[sock.getsockname()[1] in seen] += 1
        assert given[True] == 0, f"{given[True]} of 2000 ports were those of probes"


# ---------------------------------------------------------------- datagrams that are others'

@contextlib.contextmanager
def datagrams(pair, family, port, client=CLIENT):
    """Datagrams from the target's answering address to the client, as fast as one can send them."""
    code = f"""
import socket, itertools
s = socket.socket({int(FAMILY[family])}, socket.SOCK_DGRAM)
s.bind(({ANSWERS[family]!r}, 0))
s.connect(({client[family]!r}, {port}))
for number in itertools.count():
    if number == 1000:
        print(flush=True)
    try:
        s.send(b"x" * 40)
    except OSError:
        pass
"""
    process = pair.target.popen(sys.executable, "-c", code, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def wake(pair, family, words, client):
    """How often datagrams to another's port wake a daemon with waiting probes, and its processor time."""
    with bound(pair.client, family, 5353) as server, Daemon(pair.client) as daemon:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        daemon.write(requests(9, f"{to(SILENT[family])} protocol udp {words} timeout 3"))
        daemon.ask("check-support feature udp")
        with datagrams(pair, family, 5353, client):
            before, used = daemon.status("voluntary_ctxt_switches"), daemon.cpu()
            time.sleep(1)
            woken, used = daemon.status("voluntary_ctxt_switches") - before, daemon.cpu() - used
        assert kinds(daemon.collect(9))[0] == {"no-reply": 9}
        assert daemon.finish() == (0, "")
    return woken, used


def check_quiet(pair, family, words, client=CLIENT):
    """Where all blocks of ports that a daemon expects to use lie above the kernel's range; see LIMITS in the manual."""
    pair.client.sysctl("net.ipv4.ip_local_port_range", "32768 58000")
    woken, used = wake(pair, family, words, client)
    pair.client.sysctl("net.ipv4.ip_local_port_range", "32768 60999")
    assert woken < 20 and used < 0.05, f"woken {woken} times, {used:.2f} s of processor time"


@every_family
@pytest.mark.parametrize("words", ["", "port 53", "flow 3", "payload c0ffee", "local-port 5353"])
def test_datagrams_of_others_wake_nobody(binary, wires, family, words):
    """A waiting udp probe costs a busy DNS server nothing: 0.24 of a core at 88,000/s before."""
    check_quiet(wires, family, words)


@every_family
def test_datagrams_to_another_address(binary, wires, family):
    """While a port waits that the client named, and that is in no block that the filter knows, other addresses' datagrams
    are not heard."""
    served = {4: "10.50.0.77", 6: "fd50::77"}
    wires.client.ip(f"addr add {served[family]}/{32 if family == 4 else 128} dev wire{' nodad' if family == 6 else ''}")
    check_quiet(wires, family, f"local-port 4000 local-ip-{family} {CLIENT[family]}", served)


@every_family
def test_named_ports_to_several_targets(binary, wires, family):
    """However the socket for named ports is narrowed down, none of their answers is lost."""
    with talker(wires, family), Daemon(wires.client) as daemon:
        for turn in range(3):
            first, second = (ANSWERS, SILENT) if turn % 2 else (SILENT, ANSWERS)
            for number, address in enumerate((first, second, first)):
                daemon.send(f"{number} send-probe {to(address[family])} local-port {4100 + number} protocol udp "
                            f"port {TALK} size 100 timeout 0.7")
            replies = {reply.token: reply.kind for reply in daemon.collect(3)}
            answered = {0: "no-reply", 1: "reply", 2: "no-reply"}
            assert replies == ({token: "reply" if answered[token] == "no-reply" else "no-reply" for token in replies}
                               if turn % 2 else answered)
            if turn == 1:
                time.sleep(0.5)  # it is parked
        for port in range(20):  # an error of the target, and then an answer, from a socket that is connected
            assert daemon.ask(f"send-probe {to(ANSWERS[family])} local-port 4200 protocol udp port {9 + port}").kind == "reply"
            assert daemon.ask(f"send-probe {to(ANSWERS[family])} local-port 4200 protocol udp port {TALK} size 100").kind == "reply"
        assert daemon.finish() == (0, "")
