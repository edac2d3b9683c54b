# SPDX-License-Identifier: MIT
"""probe-pairs: a host with addresses of every kind, behind a router that translates IPv4, and a host out there.

Out there has one address that answers and one that drops all, and no way back to unique local addresses.
"""

import ipaddress
import json
import os
import signal
import socket
import time

import pytest

from lab.asking import MTR_PACKET
from lab.chain import LIMITS
from lab.nameserver import nameserver
from lab.net import Namespace, join
from lab.path import LONG, OURS, Hop, Path, hop_address, hops, target
from lab.tools import Result, command, start

HERE = {4: "10.80.0.1", 6: "2001:db8:80::1", "unique": "fd80::1"}
GATE = {4: "10.80.0.254", 6: "fe80::fe"}
THERE = {4: "203.0.113.20", 6: "2001:db8:81::20"}
SILENT = "203.0.113.21"
NAME = "there.test"
OPEN = 443

RULES = f"""
table ip translate {{
    chain out {{
        type nat hook postrouting priority 100;
        oifname "outside" masquerade
    }}
}}
"""
DROP = f"""
table ip silent {{
    chain input {{
        type filter hook input priority 0;
        ip daddr {SILENT} drop
    }}
}}
"""

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(scope="module")
def here():
    """The host to run the tool on."""
    with Namespace("here") as host, Namespace("gate") as gate, Namespace("there") as there:
        join(host, "eth0", gate, "inside", [f"{HERE[4]}/24", f"{HERE[6]}/64", f"{HERE['unique']}/64"],
             [f"{GATE[4]}/24", "2001:db8:80::fe/64", f"{GATE[6]}/64"])
        join(gate, "outside", there, "eth0", ["203.0.113.1/24", "2001:db8:81::1/64"],
             [f"{THERE[4]}/24", f"{SILENT}/24", f"{THERE[6]}/64"])
        host.ip(f"route add default via {GATE[4]}", f"-6 route add default via {GATE[6]} dev eth0")
        there.ip("-6 route add 2001:db8:80::/64 via 2001:db8:81::1")
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            gate.sysctl(name, 1)
        gate.nft(RULES)
        there.nft(DROP)
        with there.socket(socket.AF_INET6, socket.SOCK_STREAM) as listener:
            listener.bind(("::", OPEN))
            listener.listen()
            yield host


@pytest.fixture(scope="module")
def run(here, tmp_path_factory):
    """Runs the tool, with a hosts file of its own: (status, lines, what it said)."""
    hosts = tmp_path_factory.mktemp("pairs") / "hosts"
    hosts.write_text("".join(f"{address} {NAME}\n" for address in (*THERE.values(), SILENT)))

    def run(*words, daemon=None):
        argv, env = command("probe-pairs", "-W", "0.3", "-i", "0.05", *words)
        env["MTR_PACKET"] = daemon or env["MTR_PACKET"]
        # ip netns exec gives it mounts of its own.
        result = here.run("sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh", *argv,
                          env=env, check=False, timeout=30)
        return result.returncode, result.stdout.splitlines(), result.stderr
    return run


def pairs(lines):
    """(source, destination, state) of each line of a table, in order."""
    words = [line.split() for line in lines]
    assert all(word[0] == ("IPv6" if ":" in word[1] else "IPv4") for word in words)
    return [(word[1], word[2], " ".join(word[5 if word[4] == "ms" else 4:])) for word in words]


def objects(lines):
    return Result(0, "\n".join(lines), "").objects  # each is held against the schema


WORKING = {(HERE[4], THERE[4]), (HERE[6], THERE[6])}
SILENCE = {(HERE[4], SILENT), (HERE["unique"], THERE[6])}


def expect(lines, state):
    """The pairs that work first, with that state, then those that don't."""
    found = pairs(lines)
    assert {(source, to) for source, to, _ in found[:2]} == WORKING
    assert {(source, to) for source, to, _ in found[2:]} == SILENCE
    assert [said for _, _, said in found] == [state] * 2 + ["no reply"] * 2
    times = [float(line.split()[3]) for line in lines[:2]]
    assert times == sorted(times) and 0 < times[0] < 500


def test_open_port(run):
    """Every source with every address of its family; the two that work are connected and first."""
    status, lines, said = run(NAME)
    assert (status, said) == (0, "")
    expect(lines, "connected")


@pytest.mark.parametrize("words, state", [([80], "refused"), (["-p", "icmp"], "answered"), (["-p", "udp"], "refused")],
                         ids=str)
def test_states(run, words, state):
    """A closed port is refused, an echo answered."""
    status, lines, said = run(NAME, *words)
    assert (status, said) == (0, "")
    expect(lines, state)


def test_standstill(here):
    """Rounds that were missed meanwhile are not sent all at once: the rest keep to the interval."""
    tool = start(here, "probe-pairs", "-n", "-p", "icmp", "-W1", "-c20", "-i0.1", "-4", THERE[4])
    time.sleep(0.4)
    os.killpg(tool.pid, signal.SIGSTOP)
    time.sleep(2)
    began = time.monotonic()
    os.killpg(tool.pid, signal.SIGCONT)
    tool.communicate(timeout=10)
    assert time.monotonic() - began > 0.8


def test_one_family_and_one_source(run):
    """-4, -6 and -I leave out the other pairs."""
    assert pairs(run("-6", NAME)[1]) == [(HERE[6], THERE[6], "connected"), (HERE["unique"], THERE[6], "no reply")]
    assert pairs(run("-I", HERE[6], NAME)[1]) == [(HERE[6], THERE[6], "connected")]
    assert len(run("-4", "-I", "eth0", NAME)[1]) == 2


def test_json(run):
    """--json: an object for each pair."""
    status, lines, _ = run("--json", "-4", "-c", 4, NAME)
    first, second = objects(lines)
    assert status == 0
    assert 0 < first.pop("median_ms") < 500 and abs(first.pop("time") - time.time()) < 60
    assert first == {"type": "pair", "host": NAME, "address": THERE[4], "family": 4, "source": HERE[4], "interface": "eth0", "destination": THERE[4], "state": "connected",
                     "sent": 4, "received": 4}
    assert (second["destination"], second["state"], second["received"]) == (SILENT, "no reply", 0)


def test_nothing_answers(run):
    """Status 1 when no pair works, and when the name is unknown, which is said."""
    assert run(SILENT)[0] == 1
    status, lines, said = run("no-such-host.test")
    assert (status, lines) == (1, [])
    assert "no-such-host.test: no address found" in said


def test_link_local_by_interface(run):
    """A link local address is probed from link local addresses of its interface only."""
    (source, to, state), = pairs(run("-p", "icmp", f"{GATE[6]}%eth0")[1])
    assert source.startswith("fe80:") and (to, state) == (f"{GATE[6]}%eth0", "answered")


def test_status(run):
    """--status: the kinds of address, gateways, and the translation that lets a private source be answered."""
    status, lines, said = run("--status", NAME)
    assert (status, said) == (0, "")
    assert {line[:25].strip(): line[26:] for line in lines} == {
        "IPv6 global": "works", "IPv6 unique local": "present, not tried", "IPv6 link local": "works",
        "IPv4 global": "no address", "IPv4 private (RFC 1918)": "works",
        "IPv4 default gateway": GATE[4], "IPv6 default gateway": f"{GATE[6]}%eth0",
        "IPv4 translated (NAT44)": "yes", "IPv6 translated (NPTv6)": "no"}


def test_own_daemon_of_mtr(run):
    """With less, which is said once; it takes no scopes, so nothing is said of link local addresses."""
    if not os.access(MTR_PACKET, os.X_OK):
        pytest.skip("no mtr-packet of mtr here (Debian package mtr-tiny)")
    status, lines, said = run("--status", "-W", "1", NAME, daemon=MTR_PACKET)
    assert status == 0 and said.count("\n") == 1 and "tells less: no translation that routers see" in said
    words = {line[:25].strip(): line[26:] for line in lines}
    assert words["IPv6 global"] == words["IPv4 private (RFC 1918)"] == "works"
    assert words["IPv6 link local"] == "present, not tried"
    status, lines, said = run("-W", "1", "-p", "icmp", f"{GATE[6]}%eth0", daemon=MTR_PACKET)
    assert status == 1 and lines[0].endswith("no address with a scope is taken by this daemon")


@pytest.mark.parametrize("source", ["100.64.0.5", "100.127.255.254", "192.0.0.5"])
def test_status_behind_a_carriers_translator(source):
    """Addresses of RFC 6598 and RFC 7335 are global ones no more than private ones are, and translated if answered."""
    beside = str(ipaddress.ip_address(source) + (1 if source.endswith("5") else -1))
    with Namespace("ways") as one, Namespace("ways-end") as other:
        join(one, "eth0", other, "eth0", [f"{source}/30"], [f"{beside}/30", f"{THERE[4]}/32"])
        one.ip(f"route add {THERE[4]} via {beside}")
        argv, env = command("probe-pairs", "--status", "-c", 1, "-p", "icmp", THERE[4])
        lines = {line[:25].strip(): line[26:] for line in one.run(*argv, env=env).stdout.splitlines()}
    assert (lines["IPv4 global"], lines["IPv4 private (RFC 1918)"]) == ("no address", "no address")
    assert (lines["IPv4 shared (CGN, CLAT)"], lines["IPv4 translated (NAT44)"]) == ("works", "yes")


def test_status_json(run):
    """The same under the names that getapr's status() has."""
    status, (line,), _ = run("--status", "--json", NAME)
    assert status == 0
    found, = objects([line])
    assert abs(found.pop("time") - time.time()) < 60
    assert found == {
        "type": "status", "host": NAME, "GUA_present": True, "GUA_ok": True, "ULA_present": True, "ULA_ok": None, "LLA_present": True, "LLA_ok": True,
        "IPv4_ok": True, "RFC1918": True, "NAT44": True, "NPTv6": False,
        "def_gateway4": GATE[4], "def_gateway6": f"{GATE[6]}%eth0"}


def test_status_without_a_host(run):
    """Only the gateways are probed then; what can't be told from them is not known."""
    status, lines, _ = run("--status", "-4")
    assert status == 0
    assert {line[:25].strip(): line[26:] for line in lines}["IPv4 translated (NAT44)"] == "not known"


QUOTES = [  # what a router does to what it quotes, is it a translation, of which protocols
    ({}, None, ("tcp", "udp", "icmp")),
    ({"nat": {"src": {4: "198.51.100.7"}}}, True, ("tcp", "udp", "icmp")),
    ({"nat": {"src": {4: "198.51.100.7"}, "sport": 61000}}, True, ("tcp", "udp", "icmp")),
    ({"nat": {"checksum": 0x1234}}, None, ("tcp", "udp", "icmp")),
    ({"alter": "mss_clamped", "quote": LONG}, None, ("tcp",)),
    ({"alter": "ecn_asked_for", "quote": LONG}, None, ("tcp",)),
]


@pytest.mark.parametrize("rules, translated, protocol", [
    (rules, translated, protocol) for rules, translated, protocols in QUOTES for protocol in protocols], ids=str)
def test_translation_seen_in_quotes(rules, translated, protocol):
    """A router that quotes a probe with another source or port than it had tells of a translation before it, one that quotes
    another checksum does not."""
    with Namespace("quotes") as namespace, Path(namespace, [*hops(2), Hop(hop_address(3), **rules)], [target(0)]):
        argv, env = command("probe-pairs", "--status", "--json", "-4", "-W", "0.5", "-c", 1, "-p", protocol, "-I", OURS[4],
                            target(0).address[4])
        result = namespace.run(*argv, env=env)
    found, = objects(result.stdout.splitlines())
    assert found["NAT44"] is translated


@pytest.mark.parametrize("routes, gateways", [
    (["default via inet6 fe80::2 dev eth0"], "fe80::2%eth0"),
    (["default nexthop via 10.81.0.2 dev eth0 nexthop via 10.81.0.3 dev eth0"], "10.81.0.2, 10.81.0.3"),
    (["default nexthop via inet6 fe80::2 dev eth0 nexthop via 10.81.0.3 dev eth0"], "fe80::2%eth0, 10.81.0.3"),
    (["default via 10.81.0.3 metric 100", "default via 10.81.0.2 metric 50", "10.0.0.0/8 via 10.81.0.4"], "10.81.0.2"),
    (["default via 10.81.0.2 table 100", "unreachable default metric 200"], "none"),
    (["default dev eth0 metric 50", "default via 10.81.0.2 metric 100"], "none"),
    (["unreachable default metric 50", "default via 10.81.0.2 metric 100"], "none"),
    (["unreachable default metric 200", "default via 10.81.0.2 metric 100"], "10.81.0.2"),
    (["default dev eth0"], "none"), ([], "none")], ids=str)
def test_gateways_of_ipv4(routes, gateways):
    """However the default route is written."""
    with Namespace("ways") as one, Namespace("ways-end") as other:
        join(one, "eth0", other, "eth0", ["10.81.0.1/24"], ["10.81.0.2/24"])
        one.ip(*(f"-4 route add {route}" for route in routes))
        argv, env = command("probe-pairs", "--status", "-4", "-W", "0.2", "-c", 1)
        said = one.run(*argv, env=env, check=False)
        assert said.stderr == "" and f"IPv4 default gateway      {gateways}" in said.stdout.splitlines()


def test_gateways_of_ipv6():
    with Namespace("ways") as one, Namespace("ways-end") as other:
        join(one, "eth0", other, "eth0", ["fd81::1/64"], ["fd81::2/64"])
        one.ip("-6 route add default nexthop via fd81::2 dev eth0 nexthop via fe80::9 dev eth0", "-6 route add fd82::/16 via fd81::7")
        argv, env = command("probe-pairs", "--status", "--json", "-W", "0.2", "-c", 1)
        found, = objects(one.run(*argv, env=env, check=False).stdout.splitlines())
        assert found["def_gateway6"] == "fd81::2" and "def_gateway4" not in found and found["ULA_ok"]
        one.ip("-6 route add default dev eth0 metric 5")
        found, = objects(one.run(*argv, env=env, check=False).stdout.splitlines())
        assert "def_gateway6" not in found


def test_sources():
    """An address is one of ours when the kernel knows that nobody else has it; of a link between two, our end."""
    with Namespace("ways") as one, Namespace("ways-end") as other:
        join(one, "eth0", other, "eth0", ["10.81.0.1/24", "fd81::1/64"], ["10.81.0.2/24", "fd81::2/64"])
        one.ip("addr add 10.82.0.1 peer 10.81.0.9 dev eth0", "addr add fd81::5/64 dev eth0 preferred_lft 0 nodad")
        one.sysctl("net.ipv6.conf.all.accept_dad", 1)
        one.sysctl("net.ipv6.conf.eth0.accept_dad", 1)
        one.sysctl("net.ipv6.conf.eth0.dad_transmits", 50)
        one.ip("addr add fd81::6/64 dev eth0")
        argv, env = command("probe-pairs", "-W", "0.5", "-c", 1, "-p", "icmp", "10.81.0.2")
        assert {(source, state) for source, _, state in pairs(one.run(*argv, env=env).stdout.splitlines())} == {
            ("10.81.0.1", "answered"), ("10.82.0.1", "no reply")}
        assert {(source, state) for source, _, state in pairs(one.run(*argv[:-1], "fd81::2", env=env).stdout.splitlines())} == {
            ("fd81::1", "answered"), ("fd81::5", "answered")}


def test_many_sources():
    """A host that lets 50 errors out at once, and 1000 in a second, answers them all."""
    with Namespace("ways") as one, Namespace("ways-end") as other:
        join(one, "eth0", other, "eth0", [f"10.81.0.{number}/24" for number in range(10, 130)], ["10.81.0.2/24"])
        for name, value in LIMITS.items():
            other.sysctl(name, value)
        argv, env = command("probe-pairs", "-W", "1", "-c", 1, "-p", "udp", "10.81.0.2")
        assert [state for _, _, state in pairs(one.run(*argv, env=env).stdout.splitlines())] == 120 * ["refused"]


def test_dead_resolver(here):
    """Ctrl-C is heard at once."""
    with nameserver(here, delay="silent"):
        process = start(here, "probe-pairs", "--status", NAME)
        time.sleep(0.5)
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=10)
    assert process.returncode == 1 and time.monotonic() - began < 0.5 and f"IPv4 default gateway      {GATE[4]}" in out


def test_median_and_interval(here):
    """The middle one, or the mean of the two in the middle; the interval does not drift."""
    daemon = """sh -c '
        set -- 9000 1000 2000 7000
        while read -r token command rest; do
            case $command in
            check-support) echo $token feature-support support ok ;;
            *) echo $token reply ip-4 127.0.0.1 round-trip-time $1; shift ;;
            esac
        done'"""
    argv, env = command("probe-pairs", "-c", 4, "-i", "0.1", "-I", "127.0.0.1", "127.0.0.1")
    began = time.monotonic()
    said = here.run(*argv, env={**env, "MTR_PACKET": daemon}, timeout=10)
    assert 0.3 <= time.monotonic() - began < 0.6
    assert said.stdout.split() == ["IPv4", "127.0.0.1", "127.0.0.1", "4.500", "ms", "answered"]


def test_interrupted(here):
    """Ctrl-C prints what is known so far."""
    process = start(here, "probe-pairs", "-c", 1000, "-I", HERE[4], THERE[4])
    time.sleep(0.7)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert (process.returncode, pairs(out.splitlines())) == (0, [(HERE[4], THERE[4], "connected")])


def interrupted(here, *words):
    """What is written at Ctrl-C, a while before the time of any probe is over."""
    process = start(here, "probe-pairs", "-W", 5, "-p", "icmp", "-I", HERE[4], *words)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=10)[0].splitlines()


def test_interrupted_before_an_answer(here):
    """A pair that was probed is not called otherwise, and nothing is said to be wrong with it."""
    assert pairs(interrupted(here, SILENT)) == [(HERE[4], SILENT, "not waited for")]
    one, = objects(interrupted(here, "--json", SILENT))
    assert one["state"] == "not waited for" and one["sent"] > 0 and one["received"] == 0
    found, = objects(interrupted(here, "--json", "--status", SILENT))
    assert found["NAT44"] is None


def test_status_interrupted_before_an_answer():
    """Where nothing has answered yet, it is not said that it does not work."""
    with Namespace("alone") as alone, Namespace("alone-end") as other:
        join(alone, "eth0", other, "eth0", ["10.83.0.1/24"], ["10.83.0.2/24"])
        other.nft(DROP.replace("ip daddr", "icmp type echo-request ip daddr").replace(SILENT, "10.83.0.2"))
        process = start(alone, "probe-pairs", "--status", "-W", 5, "-p", "icmp", "10.83.0.2")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=10)
    assert "IPv4 private (RFC 1918)   present, not waited for" in out.splitlines()


@pytest.mark.parametrize("words", [[], [NAME, 443, 80], [NAME, "http"], [NAME, "-p", "icmp", "80"]], ids=str)
def test_wrong_use(run, words):
    """Wrong use is status 2 and a word on stderr."""
    status, lines, said = run(*words)
    assert (status, lines) == (2, [])
    assert said.startswith("probe-pairs: ")
