# SPDX-License-Identifier: MIT
"""What the tools ask for beside an answer: services of real servers, clocks, interfaces, and the ECN that arrives."""

import contextlib
import re
import socket
import time

import pytest

from lab.chain import Chain, address
from lab.datagrams import answering
from lab.fake_daemon import fake_daemon
from lab.net import Namespace
from lab.pair import ANSWERS, CLIENT, SILENT
from lab.path import Clock, Path, hops, target, target_address
from lab.servers import SERVERS, serving
from lab.tools import run
from lab.transports import RAW

FAMILIES = 4, 6
TARGET = target_address(0)
HOPS = 3  # two routers, and the target
THERE = {family: address(HOPS, family) for family in FAMILIES}

pytestmark = pytest.mark.usefixtures("root")
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def chain():
    with Chain("services", HOPS) as routers:
        for node in routers.nodes:  # limits are not what is tried here, and cost seconds
            node.sysctl("net.ipv4.icmp_ratelimit", 0)
            node.sysctl("net.ipv6.icmp.ratelimit", 0)
        yield routers


@pytest.fixture(scope="module")
def path():
    with Namespace("kinds-tools") as namespace, Path(namespace) as played:
        yield played


# ---------------------------------------------------------------- services

@pytest.mark.parametrize("name", SERVERS)
def test_real_servers(chain, name):
    """Each answers what its service is asked: as often as it is asked, alone and by each query at the end of a path, over
    IPv6 too, where two bytes of what is asked are the flow's."""
    with serving(chain.nodes[-1], name, THERE) as server:
        for family in FAMILIES:
            said = run(chain.client, "probe-ping", "-n", "-c5", "-i0.05", "--service", server.service, THERE[family])
            assert said.status == 0 and "5 sent, 5 received, 0% lost" in said.lines, said.out
            assert sum(line.endswith(f" {server.service} answers") for line in said.lines) == 5, said.out
            said = run(chain.client, "probe-ping", "--json", "-c1", "--service", server.service, THERE[family])
            one = said.of_type("answer")[0]
            assert (one["service"], one["service_answers"], one["notes"]) == (server.service, True, f"{server.service} answers")
            assert len(one["reply_payload"]) > 20
            said = run(chain.client, "probe-trace", "-n", "-q2", "--service", server.service, THERE[family])
            assert said.status == 0 and len(said.lines) == 1 + HOPS, said.out
            assert re.fullmatch(rf" *{HOPS}  {THERE[family]}  \S+ ms  \S+ ms  {server.service} answers(, back .*)?",
                                said.lines[-1]), said.out
            said = run(chain.client, "probe-trace", "-n", "--json", "-q1", "--service", server.service, THERE[family])
            last = said.of_type("hop")[-1]
            assert (last["hop"], last["kind"], last["from"], last["service_answers"]) == (HOPS, "reply", THERE[family], True)
            assert all("service" not in one for one in said.of_type("hop")[:-1])


@every_family
def test_rounds(chain, family):
    """--mtr finds the end, and each round is answered there."""
    with serving(chain.nodes[-1], "snmpd", THERE):
        said = run(chain.client, "probe-trace", "-n", "--mtr", 5, "-i0.1", "--json", "--service", "snmp", THERE[family])
        assert said.status == 0
        assert [(one["hop"], one["from"], one["loss_percent"]) for one in said.of_type("hop")] == [
            (hop, address(hop, family), 0) for hop in range(1, HOPS + 1)]


@every_family
def test_sweep(pair, family):
    """Who answers as the service is listed, whoever answers otherwise is an error; by single requests."""
    with serving(pair.target, "unbound", ANSWERS):
        words = "--service", "dns", "-W1", "-r0", ANSWERS[family], CLIENT[family], SILENT[family]
        said = run(pair.client, "probe-sweep", *words)
        assert said.status == 0 and re.fullmatch(rf"{ANSWERS[family]} \S+ ms", said.lines[0])
        assert f"{CLIENT[family]} no dns: port unreachable from {CLIENT[family]}" in said.lines
        assert f"{SILENT[family]} silent" in said.lines
        assert said.lines[-1].startswith("3 targets: 1 answered, 1 silent, 1 with an error; ")
        said = run(pair.client, "probe-sweep", "--json", *words)
        answers = {one["address"]: one.get("service_answers") for one in said.objects[:-1]}
        assert answers == {ANSWERS[family]: True, CLIENT[family]: False, SILENT[family]: None}


@every_family
def test_sweep_by_ttls(pair, family):
    """Behind each hop that is the target stands what it is."""
    with serving(pair.target, "unbound", ANSWERS):
        words = {ANSWERS[family]: "dns answers", CLIENT[family]: "no dns: port unreachable"}
        for more in [], ["-q"]:
            said = run(pair.client, "probe-sweep", "-W1", "-r0", "--ttl", "1-2", "--service", "dns", *more, *words)
            for end, says in words.items():
                for ttl in 1, 2:
                    assert any(re.fullmatch(rf"{end} {ttl} {end} \S+ ms {says}", line) for line in said.lines), said.out


def test_large_sweep(pair):
    """By the daemon's own sweep, too: of 2048 addresses on which no server listens and one where one does."""
    pair.client.ip(f"route add 198.18.0.0/21 via {ANSWERS[4]}")
    pair.target.ip("route add local 198.18.0.0/21 dev lo")
    try:
        with serving(pair.target, "unbound", ANSWERS):
            words = "--service", "dns", "-W1", "-r0", "-R5000", "198.18.0.0/21", ANSWERS[4]
            said = run(pair.client, "probe-sweep", *words)
            assert said.status == 0 and re.fullmatch(rf"{ANSWERS[4]} \S+ ms", said.lines[0])
            assert sum(line.endswith(" no dns: port unreachable from " + line.split()[0]) for line in said.lines) == 2048
            assert said.lines[-1].startswith("2049 targets: 1 answered, 0 silent, 2048 with an error; ")
            said = run(pair.client, "probe-sweep", "-q", "--limit", 1, *words)
            assert len(said.lines) == 2 and " targets: 1 answered" in said.lines[-1]
            said = run(pair.client, "probe-sweep", "--json", "-q", *words)
            assert [(one["service"], one["service_answers"]) for one in said.of_type("answer")] == [("dns", True)]
            said = run(pair.client, "probe-sweep", "-q", "--service", "quic", *words[2:])  # the longest of requests
            assert said.status == 1 and " 0 answered" in said.lines[-1] and " 2049 probes" in said.lines[-1]
    finally:
        pair.client.ip("route del 198.18.0.0/21")
        pair.target.ip("route del local 198.18.0.0/21 dev lo")


@every_family
def test_nobody_serves(chain, family):
    """A closed port is an error in words, and ends the path."""
    said = run(chain.client, "probe-ping", "-n", "-c1", "--service", "dns", THERE[family])
    assert said.status == 1 and said.lines[0].endswith(" no dns: port unreachable") and "1 error" in said.out
    said = run(chain.client, "probe-trace", "-n", "-q1", "--service", "dns", THERE[family])
    assert said.status == 0 and said.lines[-1].endswith("no dns: port unreachable")


@pytest.mark.parametrize("answer", [lambda asked: asked, lambda asked: b"", lambda asked: b"\033[2Jevil\n" * 80,
                                    lambda asked: asked[:2] + b"\x81\x80"], ids=["itself", "nothing", "evil", "cut"])
def test_other_answers(pair, answer):
    """What is no answer of the service is told, and is an error; on a port of one's own choice."""
    with answering(pair.target, ANSWERS[4], 5353, answer):
        said = run(pair.client, "probe-ping", "-n", "-c2", "-i0.05", "--service", "dns", "-p", "udp:5353", ANSWERS[4])
        assert said.status == 1 and "\033" not in said.out
        assert said.lines[0].endswith(" not an answer of dns") and "2 sent, 0 received" in said.out and "2 errors" in said.out
        said = run(pair.client, "probe-ping", "--json", "-c1", "--service", "dns", "-p", "udp:5353", ANSWERS[4])
        assert said.of_type("answer")[0]["service_answers"] is False and said.of_type("summary")[0]["errors"] == 1


@pytest.mark.parametrize("args, words", [
    (["--service", "http"], "takes dns, ntp, quic, stun, sip, snmp or dtls, not http"),
    (["--service", "dns", "-p", "tcp"], "goes by udp, not by tcp"), (["--service", "dns", "-s", "100"], "size of its own"),
    (["--service", "dns", "--clock"], "one of --service, --interface, --clock and --ecn"),
    (["--clock", "-6"], "IPv4 alone"), (["--clock", "-p", "udp"], "goes by icmp, not by udp"),
    (["--interface", "eth 0"], "takes a name, an index from 1 on or an address"),
    (["--interface", "0"], "takes a name, an index from 1 on or an address"), (["--ecn", "-p", "icmp"], "goes by tcp")])
def test_wrong_use_of_them(args, words):
    said = run(None, "probe-ping", *args, "192.0.2.1", quiet=False)
    assert (said.status, said.out) == (2, "") and words in said.err and said.err.count("\n") == 1


# A daemon that has the protocols, and none of the additions.
OLDER = """sh -c 'while read -r token command word name; do
    case $name in icmp|udp|tcp|ip-4) support=ok ;; *) support=no ;; esac
    echo $token feature-support support $support
done'"""


@pytest.mark.parametrize("tool, args, feature", [
    ("probe-ping", ["--service", "dns"], "reply-payload"), ("probe-trace", ["--service", "dns"], "reply-payload"),
    ("probe-sweep", ["--service", "dns"], "reply-payload"), ("probe-ping", ["--clock"], "icmp-request"),
    ("probe-ping", ["--interface", "eth0"], "icmp-request"), ("probe-ping", ["--ecn"], "tcp-ecn"),
    ("probe-trace", ["--ecn"], "tcp-ecn")])
def test_daemon_that_cannot(tool, args, feature):
    said = run(None, tool, *args, "192.0.2.1", env={"MTR_PACKET": OLDER}, quiet=False)
    assert (said.status, said.out) == (2, "") and f"does not support {feature}" in said.err


# ---------------------------------------------------------------- the clock

def test_clock_of_this_host(pair):
    """Linux' own clock, that of the same machine here, is seen where it is."""
    said = run(pair.client, "probe-ping", "-c30", "-i0.03", "--clock", ANSWERS[4])
    assert said.status == 0 and re.search(r" clock [+-]\d\.\d ms$", said.lines[0])
    assert re.search(r"^its clock is \d\.\d ms (ahead|behind), within \d\.\d ms, no drift seen, within \d+(\.\d)? ppm$", said.out, re.M)
    assert re.search(r"^on average \d+\.\d ms there and \d+\.\d ms back, if the quickest \(\S+ ms\) is as long there as back$", said.out,
                     re.M)
    said = run(pair.client, "probe-ping", "-c30", "-i0.03", "--clock", "--json", ANSWERS[4])
    total = said.of_type("summary")[0]
    assert abs(total["clock_ms"]) <= total["clock_error_ms"] < 5 and abs(total["drift_ppm"]) <= total["drift_error_ppm"]
    assert total["there_ms"] + total["back_ms"] == pytest.approx(total["avg_ms"], abs=1.2)
    one = said.of_type("answer")[0]
    assert abs(one["clock_ms"]) < 50 and one["receive"] == pytest.approx(one["originate"], abs=50)


@pytest.mark.parametrize("ahead, ppm", [(0, 0), (5000, 0), (-3_600_000, 0), (42_000_000, 0), (1000, 20_000)])
def test_other_clocks(path, ahead, ppm):
    """Ahead, behind, past midnight; and one that is two per cent too fast, whose target is 20 ms away."""
    clock = Clock(time.time_ns(), ahead, ppm)
    path.play(hops(1), [target(0, clock=clock, delay=0.02)])
    said = run(path.namespace, "probe-ping", "-q", "-c60", "-i0.02", "--clock", "--json", TARGET[4])
    total = said.of_type("summary")[0]
    assert total["clock_ms"] == pytest.approx(clock.ahead_now(), abs=total["clock_error_ms"] + 3)
    assert total["drift_ppm"] == pytest.approx(ppm, abs=2 * total["drift_error_ppm"])


def test_clock_that_is_right():
    """It is neither ahead by -0.0 ms nor 0.0 ms behind."""
    reply = ("reply ip-4 192.0.2.1 round-trip-time 100 originate 0 receive 0 transmit 0 "
             "sent 1764374400.000460000 received 1764374400.000560000")
    said = run(None, "probe-ping", "-c2", "-i0.02", "--clock", "192.0.2.1", env=fake_daemon(repr(reply)))
    assert all(line.endswith(" clock +0.0 ms") for line in said.lines[:2]), said.out
    assert "its clock is 0.0 ms ahead, within 0.6 ms" in said.out


def test_clocks_that_are_not_standard(path):
    """They are told as they come, and are in no sum."""
    path.play(hops(1), [target(0, clock=(0x80000005, 0xffffffff))])
    said = run(path.namespace, "probe-ping", "-c2", "-i0.02", "--clock", TARGET[4])
    assert said.status == 0 and said.lines[0].endswith(" its clock is not standard")
    assert "its clock is not standard (2 answers)" in said.lines and "there and" not in said.out
    said = run(path.namespace, "probe-ping", "-c2", "-i0.02", "--clock", "--json", TARGET[4])
    assert said.of_type("answer")[0]["receive"] == 0x80000005 and "clock_ms" not in said.of_type("answer")[0]
    assert said.of_type("summary")[0]["clock_not_standard"] == 2 and "clock_ms" not in said.of_type("summary")[0]


def test_clock_of_the_other_byte_order():
    """As of Windows: one number in 45 looks like a time of day."""
    said = run(None, "probe-ping", "-q", "-c9", "-i0.02", "--clock", "192.0.2.1", env=fake_daemon(
        "'reply ip-4 192.0.2.1 round-trip-time 100 originate 0 receive {0} transmit {0} sent 1764374400.000460000 '"
        "'received 1764374400.000560000'.format((0x80000005, 0x7f000005, 0x04000005)[count % 3])"))
    assert said.status == 0 and said.lines[-1] == "its clock is not standard (6 answers)", said.out


# ---------------------------------------------------------------- an interface

@every_family
def test_interfaces_of_linux(pair, family):
    """By name, index and address; one that is not there is an error."""
    pair.target.ip("link add idle type veth peer name bare", "addr add 10.54.0.1/24 dev idle")
    pair.target.sysctl("net.ipv4.icmp_echo_enable_probe", 1)
    try:
        with pair.target.enter():
            index = socket.if_nametoindex("wire")
        for word, says, status in [("wire", " is up, runs IPv4 and IPv6", 0), (index, " is up, runs IPv4 and IPv6", 0),
                                   (ANSWERS[6], " is up, runs IPv4 and IPv6", 0), ("bare", " is down", 0),
                                   ("nosuch", ": no such interface", 1), ("thirteen-long", ": malformed query", 1)]:
            said = run(pair.client, "probe-ping", "-n", "-c1", "--interface", word, ANSWERS[family])
            assert said.status == status and said.lines[0].endswith(f" ms {word}{says}"), said.out
        one = run(pair.client, "probe-ping", "-c1", "--json", "--interface", "wire", ANSWERS[family]).of_type("answer")[0]
        assert one["notes"] == "wire is up, runs IPv4 and IPv6" and one["extended_code"] == one["neighbour_state"] == 0
        assert one["active"] is one["ip_4_active"] is one["ip_6_active"] is True
    finally:
        pair.target.sysctl("net.ipv4.icmp_echo_enable_probe", 0)
        pair.target.ip("link del idle")


# ---------------------------------------------------------------- what a daemon without privileges can't ask for

@pytest.mark.parametrize("tool, option, classic", [
    ("probe-ping -c2 -i0.05", "--clock", 2), ("probe-ping -i0.05", "--ecn", 1), ("probe-trace -q1", "--ecn", 1)])
def test_asked_in_vain(pair, transport, tool, option, classic):
    """It has the feature, but not this of it: said once, and nothing else, as where it has nothing of it. Of ECN all that it
    can ask for is what its host's net.ipv4.tcp_ecn says, 1."""
    pair.client.sysctl("net.ipv4.tcp_ecn", classic)
    try:
        for more in [], ["--json"]:
            said = run(pair.client, *tool.split(), option, *more, ANSWERS[4], quiet=False)
            if transport == RAW:
                assert (said.status, said.err) == (0, "")
                continue
            assert said.status == 2 and said.err.count("\n") == 1, said.err
            assert f"does not support {option} here, as it has no privilege (CAP_NET_RAW)" in said.err
            assert not any(line for line in said.lines if not line.startswith("path to ")), said.out
    finally:
        pair.client.sysctl("net.ipv4.tcp_ecn", 2)


# ---------------------------------------------------------------- all of them

@pytest.mark.parametrize("option, family", [("--interface=wire", 6), ("--clock", 4), ("--ecn", 4), ("--ecn", 6)])
def test_error_in_its_place(pair, option, family):
    """A filter of the target's own answers with port unreachable, which counts as its reply, but tells nothing."""
    what = "meta l4proto tcp, meta l4proto icmp, icmpv6 type 160".split(", ")
    rules = "\n".join(f"{one} reject with icmp{'v6' if 'v6' in one else 'x'} port-unreachable" for one in what)
    pair.target.nft("table inet kinds {\nchain in {\ntype filter hook input priority 0\n%s\n}\n}" % rules)
    try:
        said = run(pair.client, "probe-ping", "-n", "-c1", option, ANSWERS[family])
        assert said.status == 1 and said.lines[0].endswith(" ms refused: port unreachable"), said.out
        assert "1 sent, 0 received, 100% lost, 1 error" in said.lines
    finally:
        pair.target.nft("delete table inet kinds")


def test_closed_port(pair):
    said = run(pair.client, "probe-ping", "-n", "-c1", "--ecn", "-p", "tcp:81", ANSWERS[4])
    assert said.status == 0 and said.lines[0].endswith(" rst not-ect sent: a closed port does not tell how it came")
    said = run(pair.client, "probe-trace", "-n", "-q1", "--ecn", "-p", "tcp:81", ANSWERS[4])
    assert said.status == 0 and "ecn ect-0 sent: a closed port does not tell how it came" in said.lines[-1]


# ---------------------------------------------------------------- ECN

@contextlib.contextmanager
def on_the_way(namespace, rule):
    """What a router does, done where the packets leave."""
    namespace.nft("table inet kinds {\nchain out {\ntype filter hook output priority 0;\n%s\n}\n}" % rule.replace(";", "\n"))
    try:
        yield
    finally:
        namespace.nft("delete table inet kinds")


SENT = "not-ect", "ect-0", "ect-1", "ce"


@every_family
@pytest.mark.parametrize("rule, came", [
    ("", ("not-ect", "ect-0", "ect-1", "ce")),
    ("ip ecn set not-ect; ip6 ecn set not-ect;", ("not-ect", "not-ect: bleached", "not-ect: bleached", "not-ect: bleached")),
    ("ip ecn set ce; ip6 ecn set ce;", ("ce: mangled", "ce: congested", "ce: congested", "ce")),
    ("ip ecn ect1 ip ecn set ect0; ip6 ecn ect1 ip6 ecn set ect0;", ("not-ect", "ect-0", "ect-0: mangled", "ce")),
], ids=["as it is", "bleached", "congested", "mangled"])
def test_ecn_that_arrives(path, family, rule, came):
    """A probe for each codepoint; the target tells how it came."""
    path.play(hops(1), [target(0, tcp="accurate")])
    with on_the_way(path.namespace, rule):
        said = run(path.namespace, "probe-ping", "-n", "-i0.02", "--ecn", TARGET[family])
        assert said.status == 0 and "4 sent, 4 received, 0% lost" in said.lines
        told = [f"{sent} came as {word}" for sent, word in zip(SENT, came)]
        assert all(line.endswith(" " + words) for line, words in zip(said.lines, told)), said.out
        assert [line[4:] for line in said.lines if line.startswith("ecn ")] == told
        said = run(path.namespace, "probe-ping", "--json", "-i0.02", "--ecn", TARGET[family])
        expected = {sent: word.split(":")[0] for sent, word in zip(SENT, came)}
        assert {one["sent_ecn"]: one["tcp_ecn"] for one in said.of_type("answer")} == expected
        assert said.of_type("summary")[0]["ecn"] == expected
        said = run(path.namespace, "probe-trace", "-n", "-q1", "--ecn", TARGET[family])
        assert said.status == 0 and f"ecn ect-0 came as {came[1]}" in said.lines[-1], said.out


def test_ecn_of_linux(pair):
    """Before Linux 7 it tells nothing of the codepoint, which is said in words."""
    with pair.target.socket(socket.AF_INET) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((ANSWERS[4], 80))
        sock.listen(16)
        said = run(pair.client, "probe-ping", "-n", "-c1", "--ecn", ANSWERS[4])
        assert said.status == 0 and " not-ect sent: the target does ECN by RFC 3168, which does not tell how it came" in said.out
