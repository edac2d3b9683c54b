# SPDX-License-Identifier: MIT
"""Real clients over the twelve-hop path: Debian's mtr, and the package mtrpacket."""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time

import pytest

from lab import twelve, venv
from lab.capture import Capture
from lab.net import Namespace
from lab.path import OURS_TOO, Path, hop_address, target
from lab.transports import AS_NOBODY, PLAIN, RAW, able

FAMILIES = 4, 6
HERE = pathlib.Path(__file__).parent
FIREWALL = hop_address(13)
PROHIBITED = {4: (3, 13), 6: (1, 1)}
DEAD_END = {family: target(100 + family, icmp="error", udp="error", error=kind, sender=FIREWALL)
            for family, kind in PROHIBITED.items()}
SILENT = target(200, silent=True)
EXTRAS = [target(number) for number in range(300, 330)]

pytestmark = pytest.mark.usefixtures("root")
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def path():
    with Namespace("clients") as namespace, \
            Path(namespace, twelve.ROUTERS, [twelve.TARGET, SILENT, *DEAD_END.values(), *EXTRAS]) as played:
        yield played


# ---------------------------------------------------------------- mtr

@pytest.fixture(scope="module")
def mtr():
    found = shutil.which("mtr")
    if not found:
        pytest.skip("no mtr here: install the Debian package mtr-tiny")
    return found


def version(mtr):
    """(0, 95) of "mtr 0.95"."""
    said = subprocess.run([mtr, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return tuple(map(int, re.search(r"(\d+)\.(\d+)", said).groups()))


def environment(binary, **more):
    usual = {name: value for name, value in os.environ.items() if name != "MTR_PACKET_REPLIES"}
    return {**usual, "MTR_PACKET": str(binary), **more}


def report(path, mtr, binary, family, *options, to=twelve.TARGET, **env):
    """mtr's report of two rounds: [(hop, host, loss in percent, sent)]."""
    result = path.namespace.run(mtr, "--report", "--json", "-n", f"-{family}", "-c", 2, "-i", 0.2, "-G", 0.3, *options,
                                to.address[family], env=environment(binary, **env), timeout=60, check=False,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (result.returncode, result.stderr) == (0, ""), f"mtr exited with {result.returncode}: {result.stderr}"
    hubs = json.loads(result.stdout)["report"]["hubs"]
    return [(hub["count"], hub["host"], hub["Loss%"], hub["Snt"]) for hub in hubs]


def whole_path(family, last=None):
    """The report of a path on which nothing is lost."""
    hosts = [twelve.address(number, family) for number in range(1, twelve.COUNT)]
    return [(number, host, 0.0, 2) for number, host in enumerate(hosts + [last or twelve.TARGET.address[family]], 1)]


@every_family
@pytest.mark.parametrize("protocol", ["icmp", "-u", "-T", "-S"])
def test_mtr_report(path, mtr, binary, protocol, family):
    """mtr's report over the twelve-hop path: twelve hops as the path has them at 0% loss, each protocol and family."""
    options = [] if protocol == "icmp" else ["--sctp" if protocol == "-S" else protocol]
    assert report(path, mtr, binary, family, *options) == whole_path(family)


@pytest.mark.parametrize("options", [
    ["-s", 1000, "-B", 85, "-Q", 184], ["-s", 28, "-B", 300], ["-M", 7, "-a", OURS_TOO[4]], ["-I", "tun0"],
    ["-u", "-P", 53], ["-u", "-L", 4000], ["-u", "-P", 53, "-L", 4000], ["-T", "-P", 443],
    ["-T", "-L", 4000], ["--sctp", "-P", 9899]],
    ids=lambda options: "".join(map(str, options)))
def test_mtr_options(path, mtr, binary, options):
    """What mtr asks for by its options (size, bit-pattern, tos, mark, local-ip, local-device, ports), as it words it,
    gives the same path."""
    assert report(path, mtr, binary, 4, *options) == whole_path(4)


@every_family
@pytest.mark.parametrize("options", [[], ["-P", 53]], ids=lambda options: "".join(map(str, options)))
def test_mtr_from_the_port_of_another(path, mtr, binary, family, options):
    """mtr -u -L 51820 on a host with WireGuard, the very reason to use -L, is no end of mtr."""
    with path.namespace.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as other:
        other.bind(("", 51820))
        assert report(path, mtr, binary, family, "-u", "-L", 51820, *options) == whole_path(family)


@every_family
def test_mtr_one_port_to_silence(path, mtr, binary, family):
    """mtr -T -L: probes to what stays silent share the port, and end nothing; those of the routers go on. On a busy machine
    one of two that waits for the port may not get it in time."""
    came = report(path, mtr, binary, family, "-T", "-L", 4000, "-Z", 1, "-G", 2, to=SILENT)
    assert [hop[:2] for hop in came[:twelve.COUNT - 1]] == [hop[:2] for hop in whole_path(family)[:-1]]
    assert all(hop[2] <= 50 for hop in came[:twelve.COUNT - 1])
    assert came[twelve.COUNT - 1][1:3] == ("???", 100.0)


@every_family
@pytest.mark.parametrize("protocol", ["icmp", "-u"])
def test_mtr_path_that_ends_unreachable(path, mtr, binary, protocol, family):
    """A path that ends in an unreachable shows the router that says so. Debian 12's mtr 0.95 knows only `no-route`, and
    needs MTR_PACKET_REPLIES=0.95, which it hands on; 0.96 knows all the words, and that one no more."""
    options = [] if protocol == "icmp" else [protocol]
    words = {"MTR_PACKET_REPLIES": "0.95"} if version(mtr) <= (0, 95) else {}
    came = report(path, mtr, binary, family, *options, to=DEAD_END[family], **words)
    assert came == whole_path(family, FIREWALL[family])


@contextlib.contextmanager
def screen(namespace, *argv, env):
    """A command on a terminal of its own: (process, function that reads for so many seconds, the terminal)."""
    master, slave = pty.openpty()
    try:
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 120, 0, 0))
        process = namespace.popen(*argv, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True)
        os.close(slave)
        yield process, lambda seconds: _read_for(master, seconds), master
    finally:
        os.close(master)
        if process.poll() is None:
            process.kill()
        process.wait()


def _read_for(fd, seconds):
    text, end = b"", time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([fd], [], [], left)[0]:
            try:
                text += os.read(fd, 1 << 16)
            except OSError:  # the other side is closed
                break
    return text.decode(errors="replace")


def shown(text):
    """What a full paint of mtr's screen shows: [(hop, host, [label, ...])]."""
    hops = []
    plain = re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|.)", " ", text)
    for number, host, *label in re.findall(
            r"\b(\d+)\. ([0-9a-f.:]+)|\[MPLS: Lbl (\d+) TC (\d+) S (\d+) TTL (\d+)\]", plain):
        if host:
            hops.append((int(number), host, []))
        elif hops:
            hops[-1][2].append(tuple(map(int, label)))
    return hops


@every_family
@pytest.mark.parametrize("protocol", ["icmp", "-u", "-T"])
def test_mtr_labels(path, mtr, binary, transport, protocol, family):
    """mtr -e shows the labels of every hop (mtr 0.95 does so on its screen only, not in reports). Without privileges
    mtr itself is run by an ordinary user, whom it allows one round a second, with an ordinary copy of the program."""
    expected = [(number, twelve.address(number, family), list(twelve.LABELS.get(number, ())))
                for number in range(1, twelve.COUNT + 1)]
    command = [mtr, "-t", "-e", "-n", f"-{family}", "-c", 1000, *([] if protocol == "icmp" else [protocol])]
    if transport == PLAIN:
        command, binary = [*AS_NOBODY, *command, "-i", 1], pathlib.Path(binary).with_name("copy")
    else:
        command += ["-i", 0.3]
    command.append(twelve.TARGET.address[family])
    with screen(path.namespace, *command, env=environment(binary, TERM="vt100")) as (process, read, terminal):
        for rows in (70, 60, 70, 60, 70):  # a terminal of another size is painted afresh
            read(1.0)
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 120, 0, 0))
            process.send_signal(signal.SIGWINCH)
            came = shown(read(0.25))
            if came[:len(expected)] == expected:
                break
        os.write(terminal, b"q")
        read(0.2)
    assert came[:len(expected)] == expected


# ---------------------------------------------------------------- mtrpacket

@pytest.fixture(scope="module")
def client(path, binary):
    """Runs one job of lab/mtrpacket_client.py at the near end of the path."""
    venv.needs_mtrpacket()

    def run(do, mtr_packet=binary, **job):
        result = path.namespace.run(venv.PYTHON, HERE / "lab" / "mtrpacket_client.py", env=environment(mtr_packet),
                                    input=json.dumps({"do": do, **job}), timeout=60, check=False,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert result.returncode == 0, f"the client failed:\n{result.stderr}"
        return json.loads(result.stdout)
    return run


def outcome(result):
    """The parts of a ProbeResult that can be foretold."""
    return result["success"], result["result"], result["responder"], [tuple(map(int, one)) for one in result["mpls"]]


def foretold(ttl, family=4, to=twelve.TARGET):
    if ttl >= twelve.COUNT:
        return True, "reply", to.address[family], []
    return False, "ttl-expired", twelve.address(ttl, family), list(twelve.LABELS.get(ttl, ()))


def _holds(**fields):
    return lambda packet: all(getattr(packet, name) == value for name, value in fields.items())


# Arguments of probe(), and what they make of the packet.
KEYWORDS = [({}, _holds(protocol="icmp", total_length=64))]
KEYWORDS += [({"protocol": protocol}, _holds(protocol=protocol)) for protocol in ("icmp", "udp", "tcp", "sctp")]
KEYWORDS += [({"protocol": protocol, "port": 443}, _holds(protocol=protocol, dport=443))
             for protocol in ("udp", "tcp", "sctp")]
KEYWORDS += [({"protocol": protocol, "local_port": 4000}, _holds(sport=4000)) for protocol in ("udp", "tcp", "sctp")]
KEYWORDS += [
    ({"ttl": 200}, _holds(ttl=200)),
    ({"timeout": 3}, _holds(protocol="icmp")),
    ({"size": 200}, _holds(total_length=200)),
    ({"size": 200, "bit_pattern": 85}, _holds(payload=b"\x55" * 172)),
    ({"protocol": "udp", "size": 200, "bit_pattern": 85}, _holds(payload=b"\x55" * 172)),
    ({"tos": 184}, _holds(tos=184)),
    ({"mark": 7}, _holds(protocol="icmp")),
    ({"local_ip": OURS_TOO[4]}, _holds(src=OURS_TOO[4])),
    ({"ip_version": 4}, _holds(family=4)),
]


def test_mtrpacket_keywords(path, client):
    """The Python package's probe() with each keyword argument that it knows: answered, and on the wire as asked."""
    keywords = [row for row in KEYWORDS if able(f"keywords::{row[0]}")]
    with Capture(path.namespace, path.ifname, "out ip4") as capture:
        results = client("probes", probes=[[one.address[4], arguments]
                                           for one, (arguments, _) in zip(EXTRAS, keywords)])
        sent = {packet.dst: packet for packet in capture.packets()}
    for one, (arguments, holds), result in zip(EXTRAS, keywords, results):
        assert outcome(result) == foretold(64, to=one), f"{arguments}: {result}"
        assert result["time_ms"] > 0, f"{arguments}: {result}"
        assert holds(sent[one.address[4]]), f"{arguments} left as {sent[one.address[4]]}"


def test_mtrpacket_ipv6_and_failures(client):
    """The Python package: ip_version 6, a local address of IPv6, and results that are no success."""
    to = twelve.TARGET.address[6]
    results = client("probes", probes=[[to, {"ip_version": 6}], [to, {"ttl": 7, "local_ip": OURS_TOO[6]}],
                                       [SILENT.address[6], {"timeout": 0.25}], [DEAD_END[4].address[4], {}],
                                       [to, {"ttl": 3, "tos": 8, "size": 300, "protocol": "udp", "port": 99}]])
    assert [outcome(result) for result in results] == [
        foretold(64, 6), foretold(7, 6), (False, "no-reply", None, []),
        (False, "no-route-host", FIREWALL[4], []), foretold(3, 6)]


def test_mtrpacket_two_thousand_at_once(client):
    """2000 concurrent probes mixed over three protocols and both families over one path: each names the right hop."""
    asked = [(family, ttl, protocol) for number in range(2000)
             for family, ttl, protocol in [(FAMILIES[number % 2], 1 + number % 13, ("icmp", "udp", "tcp")[number % 3])]]
    results = client("probes", probes=[[twelve.TARGET.address[family], {"ttl": ttl, "protocol": protocol}]
                                       for family, ttl, protocol in asked])
    wrong = [f"{protocol}, IPv{family}, ttl {ttl}: expected {foretold(ttl, family)}, came {outcome(result)}"
             for (family, ttl, protocol), result in zip(asked, results) if outcome(result) != foretold(ttl, family)]
    assert not wrong, f"{len(wrong)} of {len(asked)} wrong:\n" + "\n".join(wrong[:10])


def test_mtrpacket_check_support(client, transport):
    """check-support, as the Python package asks: ok for what the daemon does, no for what it can't, or nobody does."""
    features = ["send-probe", "ip-4", "ip-6", "icmp", "udp", "tcp", "local-device", "timeout-fraction", "scope-id", "detail",
                "dont-fragment", "packet-too-big", "flow", "flow-label", "payload", "broadcast", "collect"]
    wanted = [True] * len(features) + [transport == RAW] * 2 + [False]
    assert client("support", features=[*features, "sctp", "mark", "time-travel"]) == wanted


def test_mtrpacket_cancellation(client):
    """A probe that the client gives up is cancelled there; the daemon's later reply to it disturbs nobody."""
    cancelled, after = client("cancel", silent=SILENT.address[4], host=twelve.TARGET.address[4])
    assert cancelled
    assert [outcome(result) for result in after] == [foretold(64)] * 2


def test_mtrpacket_process_error(client, binary):
    """When the daemon is killed, every waiting probe raises ProcessError, and so does the next."""
    assert client("killed", mtr_packet=f"exec {binary}", silent=SILENT.address[4]) == ["ProcessError"] * 11


def test_mtrpacket_daemon_that_cannot_start(client):
    """A daemon that can't run is a ProcessError at once, not a hang."""
    assert client("broken", mtr_packet="false") == "ProcessError"
