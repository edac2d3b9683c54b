# SPDX-License-Identifier: MIT
"""probe-sweep: blocks and lists of targets, retries, and 65,536 addresses in one run."""

import contextlib
import ipaddress
import itertools
import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import time

import pytest

from lab.daemon import default_binary
from lab.nameserver import nameserver
from lab.net import Namespace, join
from lab.path import Path, hop_address, hops, target, target_address
from lab.tools import command, run, start

pytestmark = pytest.mark.usefixtures("root")

BLOCK = ipaddress.ip_network("10.60.0.0/16")
ANSWERING = ipaddress.ip_network("10.60.64.0/18")


@pytest.fixture(scope="module")
def path():
    with Namespace("sweep") as namespace, Path(namespace) as played:
        yield played


@pytest.fixture(scope="module")
def crowd():
    """A host behind which a quarter of BLOCK answers, and the rest is silent."""
    with Namespace("sweeper") as near, Namespace("crowd") as far:
        join(near, "wire", far, "wire", a_addrs=["10.50.0.1/24"], b_addrs=["10.50.0.2/24"])
        near.ip(f"route add {BLOCK} via 10.50.0.2")
        far.ip(f"route add local {ANSWERING} dev lo", f"route add blackhole {BLOCK}")
        yield near


# ---------------------------------------------------------------- which addresses

@pytest.mark.parametrize("block", ["192.0.2.77/32", "192.0.2.77/29", "255.255.255.255/30", "10.0.255.0/23", "0.0.0.0/31",
                                   "2001:db8::/122", "2001:DB8:0:0:1::ffff/124", "::/127", "1:2:3:4:5:6:7:8/126",
                                   "fd80::1:0:0:0/126", "1:0:0:2::ffff:ffff/127", "1::fffe:ffff/114"])
def test_blocks(block):
    """Every address of the block, in order, as RFC 5952 writes it."""
    said = run(None, "probe-sweep", "--list", block)
    assert said.lines == [str(address) for address in ipaddress.ip_network(block, strict=False)]


@pytest.mark.parametrize("block, why", [
    ("10.0.0.0/33", "from 0 to 32"), ("10.0.0.0/11", "more than 1048576"), ("10.0.0/24", "not a block"),
    ("10.0.0.256/30", "not a block"), ("::/100", "more than 1048576"), ("1::2::3/127", "not a block"), (":::/128", "not a block"),
    ("12345::/128", "not a block"), ("1:2:3/128", "not a block"), ("host/24", "not a host name"), ("10.0.0.0/", "not a block"),
    ("10.0.0.9-10.0.0.1", "ends before it begins"), ("10.0.0.1-::1", "not a range"), ("10.0.0.1-256", "not a range"),
    ("0.0.0.0-255.255.255.255", "more than 1048576"), ("010.0.0.1", "write 10.0.0.1"), ("8.8.8.8:80", "-p tcp:80"),
    ("fe80::1", "fe80::1%eth0"), ("http://host/", "without what stands before")])
def test_no_targets(block, why):
    """Refused once, with what is wrong; the others are taken."""
    said = run(None, "probe-sweep", "--list", block, "192.0.2.1", quiet=False)
    assert (said.status, said.out) == (1, "192.0.2.1\n")
    assert said.err.startswith(f"probe-sweep: {block}: ") and why in said.err and said.err.count("\n") == 1


@pytest.mark.parametrize("given, first, last", [
    ("10.0.0.250-10.0.1.5", "10.0.0.250", "10.0.1.5"), ("10.0.0.7-9", "10.0.0.7", "10.0.0.9"),
    ("10.0.0.7-10.0.0.7", "10.0.0.7", "10.0.0.7"), ("255.255.255.254-255.255.255.255", "255.255.255.254", "255.255.255.255"),
    ("2001:db8::fffe-2001:db8::1:1", "2001:db8::fffe", "2001:db8::1:1")])
def test_ranges(given, first, last):
    said = run(None, "probe-sweep", "--list", given)
    first, last = ipaddress.ip_address(first), ipaddress.ip_address(last)
    assert said.lines == [str(first + n) for n in range(int(last) - int(first) + 1)]


@pytest.mark.parametrize("text", [
    "192.0.2.1 192.0.2.2\n# nobody 192.0.2.3\n\n192.0.2.0/31 # two\n  ::1\n",
    "\ufeff192.0.2.1\r\n192.0.2.2\t192.0.2.0\r\n::1# mine\r\n",
    "192.0.2.1\n192.0.2.2 192.0.2.0\n\n\n::1 # without an end of line",
    "192.0.2.1 " * 9000 + "192.0.2.2\n192.0.2.0\v::1\n"])
def test_list_on_standard_input(text):
    """Comments, several on a line, the same address twice, as it comes from any system."""
    said = run(None, "probe-sweep", "--list", stdin=text)
    assert said.lines == ["192.0.2.1", "192.0.2.2", "192.0.2.0", "::1"]


def test_list_in_two_bytes_a_character():
    argv, env = command("probe-sweep", "--list")
    said = subprocess.run(argv, env=env, input="192.0.2.1\r\n".encode("utf-16"), capture_output=True, check=False)
    assert said.returncode == 2 and said.stdout == b"" and b"save it as UTF-8" in said.stderr


@pytest.mark.parametrize("option, why", [
    ("-g", "192.0.2.0/24"), ("-f", "standard input"), ("-a", "listed in any case"), ("-P", "-p tcp:80"), ("-i10", "-R")])
def test_options_of_others(option, why):
    """Of who knows fping or nmap."""
    said = run(None, "probe-sweep", option, "192.0.2.1", quiet=False)
    assert said.status == 2 and why in said.err and said.err.count("\n") == 1


def test_list_and_json():
    assert run(None, "probe-sweep", "--list", "--json", "::1", quiet=False).status == 2


# ---------------------------------------------------------------- names

NAMES = {"one.example": "10.99.1.1", "other.example": "10.99.1.1", "xn--bcher-kva.example": "10.99.1.2",
         "both.example": "10.99.1.3,fd99::1:2"}


def test_lookup_errors(path):
    """Told, and the rest goes on; or with an option, among the silent. They are in the sums."""
    path.play([], [target()])
    there = target_address(0)[4]
    with nameserver(path.namespace):
        said = run(path.namespace, "probe-sweep", "nosuch.example", there, quiet=False)
        assert (said.status, said.err) == (1, "probe-sweep: nosuch.example: no address found\n")
        assert said.lines[0].startswith(f"{there} ") and said.lines[1] == "nosuch.example no address"
        assert said.lines[2].startswith("2 targets: 1 answered, 0 silent, 1 without an address; 1 probes in 0.")
        said = run(path.namespace, "probe-sweep", "nosuch.example", there, "--ignore-lookup-errors", "--json")
        assert said.status == 0
        silent, = said.of_type("silent")
        assert (silent["host"], silent["target"], silent["kind"]) == ("nosuch.example", "nosuch.example", "no-address")
        total, = said.of_type("summary")
        assert (total["targets"], total["answered"], total["silent"], total["no_address"]) == (2, 1, 1, 0)
        said = run(path.namespace, "probe-sweep", "-4", "nosuch.example", quiet=False)
        assert said.err == "probe-sweep: nosuch.example: no IPv4 address found\n"


@pytest.mark.parametrize("locale, shown", [("C", "???[2J"), ("C.UTF-8", "ü?[2J")])
def test_words_that_are_no_targets(path, locale, shown):
    """Told as errors of their own, without their control characters, and the rest goes on."""
    path.play([], [target()])
    there = target_address(0)[4]
    said = run(path.namespace, "probe-sweep", "--json", "-W0.1", "-r0", quiet=False, env={"LC_ALL": locale},
               stdin=f'a\033[2J: b"c:1 -rf $(id) 1.2 10.99.1.256 \u00fc\033[2J {there}\n')
    assert said.status == 1 and [one["address"] for one in said.of_type("answer")] == [there]
    assert [one["target"] for one in said.of_type("silent")] == ["a?[2J:", 'b"c:1', "-rf", "$(id)", "1.2", "10.99.1.256",
                                                                  shown]
    assert len(said.err.splitlines()) == 7 and "\033" not in said.err
    assert said.of_type("summary")[0]["no_address"] == 7


def test_names_of_one_address(path):
    """It is probed once, and listed with all of its names."""
    path.play([], [target(0), target(1), target(2)])
    with nameserver(path.namespace, NAMES):
        before = path.count()
        said = run(path.namespace, "probe-sweep", "one.example", "other.example", "one.example")
        # On one line, or on two where the answer came in between.
        names = [name for line in said.lines[:-1] for name in line.split(" (10.99.1.1) ")[0].split()]
        assert sorted(names) == ["one.example", "other.example"] and path.count() - before == 1
        assert said.lines[-1].startswith("1 targets: 1 answered, 0 silent; 1 probes ")
        said = run(path.namespace, "probe-sweep", "--json", "bücher.example")
        answer, = said.of_type("answer")
        assert (answer["host"], answer["address"], answer["target"]) == ("bücher.example", "10.99.1.2", "bücher.example")
        assert run(path.namespace, "probe-sweep", "--list", "-6", "both.example").lines == ["fd99::1:2"]


def test_name_that_comes_later(path):
    """Than the answer of its address: it is listed by itself, and no probe is sent for it."""
    with nameserver(path.namespace, {"late.example": "127.0.0.1"}, delay=0.3):
        first, second, last = run(path.namespace, "probe-sweep", "-p", "tcp:9", "localhost", "late.example", "-4").lines
        answer = re.fullmatch(r"localhost \(127\.0\.0\.1\) (\S+ ms.*)", first)[1]
        assert second == f"late.example (127.0.0.1) {answer}" and last.startswith("1 targets: 1 answered, 0 silent; 1 probes ")
        said = run(path.namespace, "probe-sweep", "-4", "--json", "127.0.0.1", "late.example")
        first, second = said.of_type("answer")
        assert second["host"] == second["target"] == "late.example" and first["ms"] == second["ms"]


def test_silent_with_all_of_its_names(path):
    path.play([], [])
    with nameserver(path.namespace, NAMES, delay=0.05):
        said = run(path.namespace, "probe-sweep", "-W0.3", "-r0", "one.example", "other.example")
        assert said.lines[0] == "one.example other.example (10.99.1.1) silent"


def test_list_keeps_the_order(path):
    """Of the words, whatever is known first."""
    with nameserver(path.namespace, NAMES, delay=0.1):
        said = run(path.namespace, "probe-sweep", "--list", "10.99.1.9", "one.example", "::1", "xn--bcher-kva.example", "10.99.1.8")
        assert said.lines == ["10.99.1.9", "10.99.1.1", "::1", "10.99.1.2", "10.99.1.8"]


def test_names_are_not_waited_for(path):
    """Addresses answer while a resolver thinks; hundreds of names are asked for at once; that time is told."""
    path.play([], [target()])
    many = {f"n{n}.example": f"10.99.2.{n}" for n in range(200)}
    with nameserver(path.namespace, many, delay=1):
        tool = start(path.namespace, "probe-sweep", "-q", "-W0.2", "-r0", *many, target_address(0)[4])
        began = time.monotonic()
        assert tool.stdout.readline().startswith(target_address(0)[4]) and time.monotonic() - began < 0.7
        last = tool.communicate(timeout=10)[0].splitlines()[-1]
        told = re.fullmatch(r"201 targets: 1 answered, 200 silent; 201 probes in (\d\.\d) s", last)
        assert 1.1 < float(told[1]) < 3


@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_dead_resolver(path, ends):
    """Ctrl-C is heard at once, and what is known is shown: names that nobody knows yet are not called silent."""
    path.play([], [target()])
    with nameserver(path.namespace, delay="silent"):
        tool = start(path.namespace, "probe-sweep", "-r0", target_address(0)[4], *(f"n{n}.example" for n in range(600)))
        lines = [tool.stdout.readline()]
        began = time.monotonic()
        tool.send_signal(ends)
        lines += tool.communicate(timeout=5)[0].splitlines()
        assert time.monotonic() - began < 0.5 and tool.returncode == 0
        assert lines[1:-1] == [f"n{n}.example not probed" for n in range(600)]
        assert lines[-1].startswith("601 targets: 1 answered, 0 silent, 600 not probed; 1 probes ")


def test_list_that_comes_slowly(path):
    """What is read is probed, though more may come."""
    path.play([], [target(0), target(1)])
    argv, env = command("probe-sweep", "-q")
    tool = path.namespace.popen(*argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for number in (0, 1):
        tool.stdin.write(f"{target_address(number)[4]}\n")
        tool.stdin.flush()
        assert tool.stdout.readline().startswith(target_address(number)[4])
    out, _ = tool.communicate(timeout=5)
    assert out.startswith("2 targets: 2 answered, 0 silent; 2 probes ")


# ---------------------------------------------------------------- who answers

def test_retries(path):
    """Again only to those silent; a late answer to an early try counts; an unreachable is told."""
    lossy, slow, plain = target(0, loses=2), target(1, delay=0.3), target(2)
    gone = target(3, icmp="error", error=(3, 1))
    dead = target(4, silent=True)
    path.play([], [lossy, slow, plain, gone, dead])
    run(path.namespace, "probe-sweep", lossy.address[4])  # its next answer is lost
    before = path.count()
    said = run(path.namespace, "probe-sweep", "--json", "-W0.6", "-r2", f"{lossy.address[4]}/29")
    answers = {one["address"]: one for one in said.of_type("answer")}
    assert set(answers) == {one.address[4] for one in (lossy, slow, plain)}
    assert [answers[one.address[4]]["try"] for one in (lossy, slow, plain)] == [2, 1, 1]
    assert 300 <= answers[slow.address[4]]["ms"] < 390
    silent = {one["address"]: one.get("kind") for one in said.of_type("silent")}
    assert silent[gone.address[4]] == "no-route-host" and silent[dead.address[4]] is None
    total = said.of_type("summary")[0]
    assert (total["answered"], total["errors"], total["silent"]) == (3, 1, 4)
    # Once to the plain one and to the one with an error, twice to the lossy and to the slow one, thrice to the four others.
    assert path.count() - before == total["probes"] == 2 * 1 + 2 * 2 + 3 * 4
    assert 0.55 < float(total["seconds"]) < 1.5


@pytest.mark.parametrize("block", ["10.60.64.0/28", "10.60.64.0/20"], ids=["few", "many"])
def test_facts(crowd, block):
    """With --json all that is known of an answer."""
    said = run(crowd, "probe-sweep", "-q", "-r0", "-R20000", "--json", block)
    one = said.of_type("answer")[0]
    assert (one["bytes"], one["ttl"], one["reply_tos"], one["icmp_type"]) == (64, 64, 0, 0) and "reply_id" in one


def test_kept_back_of_many(crowd):
    """What an output filter drops once others have left is an error of this host, and not called silent."""
    crowd.nft("table inet kept {\nchain out {\ntype filter hook output priority 0\nip daddr 10.60.64.0/24 drop\n}\n}")
    try:
        said = run(crowd, "probe-sweep", "-r0", "-W1", "-R20000", "--json", "10.60.64.0/21")
    finally:
        crowd.nft("delete table inet kept")
    silent, total = said.of_type("silent"), said.of_type("summary")[0]
    assert (total["answered"], total["silent"], total["errors"]) == (2048 - 256, 0, 256)
    assert len(silent) == 256 and "no-reply" in {one["kind"] for one in silent} <= {"no-reply", "permission-denied"}
    assert all(one["errno"] == 1 for one in silent if one["kind"] == "no-reply")


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("large", [[], ["--seed", "1"]], ids=["single", "sweep"])
def test_errors(path, retries, large):
    """Who sent one is told by it, in the words of all tools, is not called silent, and not probed again."""
    path.play([], [target(0, icmp="error", error=(3, 13), sender={4: "10.99.0.7"}), target(1, icmp="error", error=(3, 1)),
                   target(2, silent=True), target(3)])
    first = target_address(0)[4]
    said = run(path.namespace, "probe-sweep", "-W0.3", f"-r{retries}", *large, f"{first}-4")
    assert said.lines[0].startswith("10.99.1.4 ")
    assert said.lines[1:] == ["10.99.1.1 filtered from 10.99.0.7", "10.99.1.2 host unreachable from 10.99.1.2", "10.99.1.3 silent",
                              said.lines[-1]]
    assert said.lines[-1].startswith("4 targets: 1 answered, 1 silent, 2 with an error; "
                                     f"{4 + retries} probes in 0.")
    one, other, dead = run(path.namespace, "probe-sweep", "-W0.3", "-r1", "--json", f"{first}-4").of_type("silent")
    assert (one["kind"], one["from"], one["error"], one["icmp_code"]) == ("no-route-host", "10.99.0.7", "filtered", 13)
    assert (other["kind"], other["from"], other["error"]) == ("no-route-host", "10.99.1.2", "host unreachable")
    assert dead["host"] == dead["address"] == "10.99.1.3" and "kind" not in dead


@pytest.mark.parametrize("large", [[], ["--seed", "1"]], ids=["single", "sweep"])
@pytest.mark.parametrize("route, words", [(None, "network unreachable"), ("unreachable", "host unreachable")])
def test_refused_by_this_host(crowd, large, route, words):
    """What has not left is no probe."""
    if route:
        crowd.ip(f"route add {route} 10.99.8.0/24")
    said = run(crowd, "probe-sweep", "-r2", "-W0.3", *large, "10.99.8.0-3")
    if route:
        crowd.ip("route del 10.99.8.0/24")
    assert said.lines[:-1] == [f"10.99.8.{n} {words}" for n in range(4)]
    assert said.lines[-1].startswith("4 targets: 0 answered, 0 silent, 4 with an error; 0 probes in ")


@pytest.mark.parametrize("has_sweep", [True, False])
def test_ways_refused_by_this_host(crowd, has_sweep):
    """The same with several ttls, by the daemon's sweep and by single requests."""
    said = run(crowd, "probe-sweep", "-r2", "-W0.3", "-t2-3", "10.99.8.0-3", env={} if has_sweep else without_sweep())
    assert sorted(said.lines[:-1]) == [f"10.99.8.{n} {ttl} (this host: network unreachable)" for n in range(4) for ttl in (2, 3)]
    assert said.lines[-1].startswith("4 targets by 2 hops: 0 answered, 0 silent, 8 with an error; 0 probes in ")


def test_from_another_address(path):
    """Who answers in place of the target is named."""
    path.play([], [target(0, udp="error", error=(3, 3), sender={4: "10.99.0.9"})])
    said = run(path.namespace, "probe-sweep", "-p", "udp", target_address(0)[4])
    assert re.fullmatch(r"10\.99\.1\.1 \S+ ms by 10\.99\.0\.9, another address", said.lines[0])


def test_ports(path):
    path.play([], [target(0, tcp="open"), target(1, tcp="closed"), target(2, tcp="silent")])
    first = target_address(0)[4]
    said = run(path.namespace, "probe-sweep", "-q", "-p", "tcp:22", "-W0.3", f"{first}/30")
    assert said.status == 0
    assert {line.split()[0] for line in said.lines[:-1]} <= {target_address(0)[4], target_address(1)[4]}


def test_nobody(path):
    path.play([], [])
    said = run(path.namespace, "probe-sweep", "-W0.1", "-r0", target_address(0)[6])
    assert said.status == 1
    assert said.lines[0] == f"{target_address(0)[6]} silent"
    assert re.fullmatch(r"1 targets: 0 answered, 1 silent; 1 probes in \S+ s", said.lines[1])


def test_nothing_to_probe(path):
    said = run(path.namespace, "probe-sweep", stdin="# nobody\n")
    assert (said.status, said.out) == (1, "0 targets: 0 answered, 0 silent; 0 probes in 0.0 s\n")


def test_interrupt(path):
    """Those that were not probed yet, or not waited for in all of their time, are not called silent."""
    path.play([], [target()])
    first = target_address(0)[4]
    for more in [], ["--json"]:
        tool = start(path.namespace, "probe-sweep", "-R20", "-r0", "-W5", *more, first, f"{first}/24")
        lines = [tool.stdout.readline()]
        assert first in lines[0]
        time.sleep(0.2)  # for some more to be asked
        os.killpg(tool.pid, signal.SIGINT)
        lines += tool.communicate(timeout=5)[0].splitlines()
        assert tool.returncode == 0 and len(lines) == 257
        if more:
            kinds = [json.loads(line).get("kind") for line in lines[1:-1]]
            total = json.loads(lines[-1])
            assert total["silent"] == 0 and total["not_waited_for"] > 0
            assert kinds == ["not-waited-for"] * total["not_waited_for"] + ["not-probed"] * total["not_probed"]
        else:
            told = re.match(r"256 targets: 1 answered, 0 silent, (\d+) not waited for, (\d+) not probed; ", lines[-1])
            assert sum(line.endswith(" not waited for") for line in lines[:-1]) == int(told[1]) > 0
            assert sum(line.endswith(" not probed") for line in lines[:-1]) == int(told[2]) == 255 - int(told[1]) > 200


def test_limit_of_few(path):
    """Who was asked a moment before the end is not called silent."""
    path.play([], [target(), target(delay=0.3)])
    first, second = (target_address(number)[4] for number in (0, 1))
    said = run(path.namespace, "probe-sweep", "--limit", 1, first, second)
    assert said.lines[1:] == [f"{second} not waited for", said.lines[-1]]
    assert said.lines[-1].startswith("2 targets: 1 answered, 0 silent, 1 not waited for; 2 probes in ")


# ---------------------------------------------------------------- answers that wait

def test_no_retry_while_answers_wait(crowd):
    """A daemon whose words come late (over ssh, say) has answers of all: nobody is probed again."""
    late = {"MTR_PACKET": f"{default_binary()} | /usr/bin/python3 -uc 'import os, time\n"
                          "while d := os.read(0, 65536):\n if b\"reply\" in d: time.sleep(1)\n os.write(1, d)' 2>/dev/null"}
    said = run(crowd, "probe-sweep", "-W1.5", "10.60.64.0/24", env=late)
    assert said.lines[-1].startswith("256 targets: 256 answered, 0 silent; 256 probes in ")


def test_no_retry_after_a_pause(crowd):
    """Nor of who was stopped for longer than the time between tries."""
    tool = start(crowd, "probe-sweep", "-q", "-W1.5", "-R2000", "10.60.64.0/21")
    tool.stdout.readline()
    tool.send_signal(signal.SIGSTOP)
    time.sleep(1)
    tool.send_signal(signal.SIGCONT)
    assert tool.communicate(timeout=20)[0].splitlines()[-1].startswith("2048 targets: 2048 answered, 0 silent; 2048 probes ")


def test_all_tries_after_a_pause(path):
    """Of a silent target all are due at once then."""
    path.play([], [target(0, silent=True)])
    tool = start(path.namespace, "probe-sweep", "-W0.9", "-r2", target_address(0)[4])
    time.sleep(0.2)
    os.killpg(tool.pid, signal.SIGSTOP)
    time.sleep(1)
    os.killpg(tool.pid, signal.SIGCONT)
    assert tool.communicate(timeout=5)[0].splitlines()[-1].startswith("1 targets: 0 answered, 1 silent; 3 probes in ")


def test_no_retry_when_it_is_behind(crowd):
    """At a pace that no machine keeps."""
    said = run(crowd, "probe-sweep", "-q", "-R1000000", ANSWERING)
    count = ANSWERING.num_addresses
    assert said.lines[-1].startswith(f"{count} targets: {count} answered, 0 silent; {count} probes ")


def test_daemon_that_takes_few(tmp_path):
    """What it has no room for is asked again, when it has; that is said once."""
    few = tmp_path / "few"
    few.write_text(FEW, encoding="ascii")
    said = run(None, "probe-sweep", "-W9", "-r0", "192.0.2.0/26", env={"MTR_PACKET": f"/usr/bin/python3 -u {few}"}, quiet=False)
    assert said.lines[-1].startswith("64 targets: 64 answered, 0 silent; 64 probes ")
    assert said.err == "probe-sweep: the daemon has no room for more probes: this is as fast as it can be\n"


FEW = """
import os, select, time
held, text, open_ = [], b"", True
while open_ or held:
    if select.select([0], [], [], 0.01)[0]:
        text += (data := os.read(0, 65536))
        open_ = bool(data)
    *lines, text = text.split(b"\\n")
    for token, command, *words in (line.decode().split() for line in lines):
        if command == "check-support":
            print(token, "feature-support support", "ok" if words[1] in ("icmp", "detail") else "no")
        elif len(held) == 8:
            print(token, "probes-exhausted")
        else:
            held.append((time.monotonic() + 0.02, token, words[1]))
    while held and held[0][0] <= time.monotonic():
        print(held[0][1], "reply ip-4", held.pop(0)[2], "round-trip-time 20000")
""".replace("\\\\n", "\\n")


# ---------------------------------------------------------------- large sweeps

ANSWERS = {str(address) for address in ANSWERING}
LOGGED = "tee -a {log} | {binary}"


def logged(tmp_path):
    """The daemon, and what it is asked is written down."""
    return {"MTR_PACKET": LOGGED.format(log=tmp_path / "log", binary=default_binary())}


def requests(tmp_path):
    """What was asked of it, but for what it can."""
    return [line for line in (tmp_path / "log").read_text().splitlines() if "check-support" not in line]


def without_sweep():
    """A daemon that has none, as mtr's own."""
    return {"MTR_PACKET": f"sed -u 's/feature sweep$/feature none/' | {default_binary()}"}


def answered(said):
    return [line.split()[0] for line in said.lines if line.endswith(" ms")]


def test_one_request(crowd, tmp_path):
    """For 65,536 addresses, of which the answers alone are heard; each is listed once."""
    said = run(crowd, "probe-sweep", "-q", "-R60000", "-r0", "-W1", BLOCK, env=logged(tmp_path))
    assert len(answered(said)) == len(ANSWERS) and set(answered(said)) == ANSWERS
    assert said.lines[-1].startswith("65536 targets: 16384 answered, 49152 silent; 65536 probes in ")
    assert len(requests(tmp_path)) == 1 and " sweep ip-4 10.60.0.0-10.60.255.255 " in requests(tmp_path)[0]


def test_few_by_single_requests(crowd, tmp_path):
    """As names, and lists that are read."""
    for args, stdin in (["10.60.64.0/24"], ""), ([], "10.60.64.0/24"):
        run(crowd, "probe-sweep", "-q", *args, stdin=stdin, env=logged(tmp_path))
    assert len(requests(tmp_path)) == 512 and all(" send-probe " in line for line in requests(tmp_path))


def test_silent_ones_of_many(crowd):
    """In the order of their addresses, whatever the order of the words; those that overlap once."""
    said = run(crowd, "probe-sweep", "-R60000", "-r0", "-W1", "10.60.63.0-10.60.64.9", "10.60.0.0/20", "10.60.15.0/24")
    assert set(answered(said)) == {f"10.60.64.{n}" for n in range(10)}
    silent = [line for line in said.lines if line.endswith(" silent")]
    assert silent == [f"{one} silent" for block in ("10.60.0.0/20", "10.60.63.0/24") for one in ipaddress.ip_network(block)]
    assert said.lines[-1].startswith("4362 targets: 10 answered, 4352 silent; 4362 probes in ")


def test_errors_of_many(path):
    """Who sent one is told by it; a refusal of this host is one, too; -q counts them."""
    path.play([], [target(0, icmp="error", error=(3, 13), sender={4: "10.99.0.7"}), target(1, silent=True), target(2)])
    for quiet in [], ["-q"]:
        said = run(path.namespace, "probe-sweep", "-R20000", "-W0.3", "-r1", "10.99.0.0/21", "203.0.113.1", *quiet)
        assert answered(said) == ["10.99.1.3"]
        assert re.match(r"2049 targets: 1 answered, 2046 silent, 2 with an error; 4094 probes in ", said.lines[-1]), said.lines[-1]
        assert ("10.99.1.1 filtered from 10.99.0.7" in said.lines) != bool(quiet)
        assert ("203.0.113.1 network unreachable" in said.lines) != bool(quiet)


def test_retries_of_many(path):
    """The daemon sends them again, after the timeout of the first."""
    path.play([], [target(0, loses=2)])
    run(path.namespace, "probe-sweep", target_address(0)[4])
    said = run(path.namespace, "probe-sweep", "-q", "--json", "-R20000", "-W0.3", "-r2", "10.99.0.0/21")
    answer, = said.of_type("answer")
    assert answer["address"] == target_address(0)[4] and "try" not in answer
    total, = said.of_type("summary")
    assert (total["targets"], total["answered"], total["silent"], total["probes"]) == (2048, 1, 2047, 2 + 3 * 2047)


def test_both_families(crowd):
    """In turn; IPv6 has loopback's alone here."""
    said = run(crowd, "probe-sweep", "-q", "-R60000", "-r0", "-W0.5", "10.60.64.0/21", "::1")
    assert set(answered(said)) == {*map(str, ipaddress.ip_network("10.60.64.0/21")), "::1"}


def test_more_than_a_line_holds(crowd, tmp_path):
    """Every other address of 8192: in several requests, at one rate."""
    exclude = tmp_path / "exclude"
    exclude.write_text("".join(f"{address}\n" for address in ipaddress.ip_network("10.60.64.0/19") if int(address) % 2))
    said = run(crowd, "probe-sweep", "-q", "-R4000", "-r0", "-W0.5", "--exclude", exclude, "10.60.64.0/19", env=logged(tmp_path))
    assert sorted(answered(said)) == sorted(str(one) for one in ipaddress.ip_network("10.60.64.0/19") if not int(one) % 2)
    assert 2 <= len(requests(tmp_path)) <= 4
    assert 1 <= float(re.search(r"in (\S+) s", said.lines[-1])[1]) < 3


def packets_sent(namespace):
    line, = (line for line in namespace.run("cat", "/proc/net/dev").stdout.splitlines() if line.strip().startswith("wire:"))
    return int(line.split(":")[1].split()[9])


@pytest.mark.parametrize("rate, timeout, block", [(3000, 0.6, "10.60.0.0/19"), (9000, 0.95, "10.60.128.0/17")])
def test_rate_of_several_requests(crowd, tmp_path, rate, timeout, block):
    """Of all together: the retries of one do not come on top of another's first probes."""
    exclude = tmp_path / "exclude"
    exclude.write_text("".join(f"{address}\n" for address in ipaddress.ip_network(block) if int(address) % 2))
    tool = start(crowd, "probe-sweep", "-q", "-R", rate, "-r2", "-W", timeout, "--exclude", exclude, block)
    seen = [(time.monotonic(), packets_sent(crowd))]
    while tool.poll() is None:
        time.sleep(0.3)
        seen.append((time.monotonic(), packets_sent(crowd)))
    targets = ipaddress.ip_network(block).num_addresses // 2
    assert tool.communicate()[0].startswith(f"{targets} targets: 0 answered, {targets} silent; {3 * targets} probes in ")
    rates = [(after - before) / (end - begin) for (begin, before), (end, after) in itertools.pairwise(seen)]
    assert max(rates) < rate * 1.15, rates
    assert seen[-1][0] - seen[0][0] < 12


@pytest.mark.parametrize("args, why", [
    (["0.0.0.0/0", "::/96", "-q"], None), (["::/80", "-q"], "more than 1099511627776 probes"),
    (["::/88", "-t1-2", "-q"], "more than 1099511627776 probes"), (["10.0.0.0/7"], "with -q")])
def test_how_many(crowd, args, why):
    """Up to 2^40, and without -q 2^24."""
    if why:
        said = run(crowd, "probe-sweep", *args, quiet=False)
        assert said.status == 2 and why in said.err and said.out == ""
        return
    tool = start(crowd, "probe-sweep", "-R10", *args)
    time.sleep(0.5)
    tool.send_signal(signal.SIGINT)
    assert tool.communicate(timeout=5)[0].splitlines()[-1].startswith(f"{2 << 32} targets: ")


def test_memory_of_many(crowd):
    """None for those that are probed: 2^32 of them, at a rate at which hundreds of thousands are."""
    tool = start(crowd, "probe-sweep", "-q", "-R200000", "-W0.5", "-r1", "0.0.0.0/0")
    time.sleep(2)
    with open(f"/proc/{tool.pid}/status", encoding="ascii") as status:
        most = int(re.search(r"^VmHWM:\s+(\d+) kB", status.read(), re.M)[1])
    tool.send_signal(signal.SIGINT)
    tool.communicate(timeout=5)
    assert most <= 4 << 10


def test_interrupt_of_many(crowd):
    """The sums add up; those of which it is known are listed."""
    for quiet in [], ["-q"]:
        tool = start(crowd, "probe-sweep", "-R2000", "-r0", "-W0.4", BLOCK, *quiet)
        lines = [tool.stdout.readline()]
        time.sleep(1)
        began = time.monotonic()
        os.killpg(tool.pid, signal.SIGINT)
        lines += tool.stdout.read().splitlines()  # not communicate(): it passes over what readline() has in store
        assert tool.wait(timeout=5) == 0 and time.monotonic() - began < 1
        told = [int(number) for number in re.match(
            r"65536 targets: (\d+) answered, (\d+) silent, (\d+) not waited for, (\d+) not probed; (\d+) probes ",
            lines[-1]).groups()]
        assert sum(told[:4]) == 65536 and sum(told[:3]) == told[4] and 1500 < told[4] < 4000
        assert told[0] == sum(line.rstrip().endswith(" ms") for line in lines)
        listed = sum(line.endswith(" silent") for line in lines)
        assert listed == 0 if quiet else 0.2 * told[1] < listed <= told[1]


@pytest.mark.parametrize("args", [["-q"], [], ["-t2-3"]], ids=str)
def test_interrupt_of_what_is_refused(crowd, args):
    """What this host has no route to was refused and not silent, also where some are under way, so that the end is not known."""
    tool = start(crowd, "probe-sweep", "-R1000", "-r0", "-W4", *args, "10.99.0.0/20", "10.60.128.0/20")
    time.sleep(1.2)
    tool.send_signal(signal.SIGINT)
    *lines, last = tool.communicate(timeout=5)[0].splitlines()
    sums = sums_of(last)
    refused, under_way = (int(re.search(rf"(\d+) {word}", last)[1]) for word in ("with an error", "not waited for"))
    assert sums["answered"] == sums["silent"] == 0 and 300 < refused and 300 < under_way == sums["probes"], last
    assert refused + under_way + sums["not probed"] == 8192 * (2 if "-t2-3" in args else 1), last
    assert len(lines) == (0 if "-q" in args else refused)


def sums_of(line):
    """The number before each of its words."""
    return {word: int(number) for number, word in
            re.findall(r"(\d+) (answered|silent|not waited for|not probed|probes)", line)}


@pytest.mark.parametrize("args", [["-q"], [], ["-t2-3"]], ids=str)
def test_interrupt_before_the_retries(crowd, args):
    """Nobody is silent who did not get all probes."""
    tool = start(crowd, "probe-sweep", "-R1000", "-W0.5", "-r3", *args, "10.60.128.0/20")
    time.sleep(1.2)
    tool.send_signal(signal.SIGINT)
    *lines, last = tool.communicate(timeout=5)[0].splitlines()
    assert not lines
    sums = sums_of(last)
    assert (sums["answered"], sums["silent"]) == (0, 0)
    assert sums["not waited for"] + sums["not probed"] == 4096 * (2 if "-t2-3" in args else 1)


@pytest.mark.parametrize("args", [["-q"], [], ["-t2-3"]], ids=str)
def test_silent_before_a_limit(crowd, args):
    """Those that were to be probed again when it was reached are not silent, and those behind it are not answered."""
    said = run(crowd, "probe-sweep", "-R3000", "-W0.5", "-r3", "--limit", 100, *args, "10.60.63.0-10.60.71.255")
    assert not [line for line in said.lines if line.endswith(("silent", "*"))]
    sums = sums_of(said.lines[-1])
    assert sums["answered"] >= 100 and sums["silent"] == 0 and sums["not waited for"] > 0
    assert sums["answered"] + sums["not waited for"] + sums["not probed"] == 2304 * (2 if "-t2-3" in args else 1)


@pytest.mark.parametrize("args", [["-t2-3"], []], ids=str)
def test_silent_before_an_interrupt(crowd, args):
    """As many are counted as are told: those, too, that ended since the daemon last said how far it is."""
    for after in 0.8, 0.9, 1.0:  # it says so five times a second
        tool = start(crowd, "probe-sweep", "-R400", "-W0.2", "-r1", *args, "10.60.128.0/22")
        time.sleep(after)
        tool.send_signal(signal.SIGINT)
        *lines, last = tool.communicate(timeout=5)[0].splitlines()
        assert sums_of(last)["silent"] == sum(line.endswith(("silent", "*")) for line in lines) > 0, last


@pytest.mark.parametrize("hops", [[], ["-t2-3"]], ids=str)
def test_daemon_that_dies_in_the_middle(crowd, tmp_path, hops):
    """The sums add up, and all answers that came are among them."""
    pid = tmp_path / "pid"
    env = {"MTR_PACKET": f"echo $$ > {pid}; exec {default_binary()}"}
    argv, given = command("probe-sweep", "-q", "-R1000", "-r0", "-W0.3", *hops, "10.60.64.0/20")
    tool = crowd.popen(*argv, env={**given, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(0.75)
    os.kill(int(pid.read_text()), signal.SIGKILL)
    *lines, last = tool.communicate(timeout=5)[0].splitlines()
    sums = sums_of(last)
    assert tool.returncode == 2 and len(lines) == sums["answered"] <= sums["probes"]
    assert sums["answered"] + sums["silent"] + sums.get("not waited for", 0) + sums["not probed"] == 4096 * (2 if hops else 1)


@pytest.mark.parametrize("hops", [[], ["-t2-3"]], ids=str)
def test_sums_of_a_daemon_that_dies(crowd, tmp_path, hops):
    """Silent ones and those refused here, too, are counted as they were told, though the daemon last counted before that."""
    pid = tmp_path / "pid"
    argv, given = command("probe-sweep", "-R2000", "-r0", "-W0.02", *hops, "10.60.120.0-10.60.135.255", "10.99.0.0/20")
    tool = crowd.popen(*argv, env={**given, "MTR_PACKET": f"echo $$ > {pid}; exec {default_binary()}"}, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True)
    time.sleep(0.75)  # the last count was at 0.6
    os.kill(int(pid.read_text()), signal.SIGKILL)
    *lines, last = tool.communicate(timeout=5)[0].splitlines()
    silent, refused = (sum(line.endswith(words) for line in lines) for words in ((" silent", "*"), ("unreachable", "unreachable)")))
    sums, failed = sums_of(last), int(re.search(r"(\d+) with an error", last)[1])
    assert silent > 50 < refused and (sums["silent"], failed) == (silent, refused) and len(lines) == sums["answered"] + silent + refused
    assert len(lines) + sums.get("not waited for", 0) + sums["not probed"] == 8192 * (2 if hops else 1)


def test_rate_of_many(crowd):
    """1000 a second unless it is given, which is said; also of a block in a list, and without the daemon's own sweep."""
    for args, stdin, env in (["10.60.64.0/21"], "", {}), ([], "10.60.64.0/21", {}), (["10.60.64.0/21"], "", without_sweep()):
        said = run(crowd, "probe-sweep", "-q", *args, stdin=stdin, env=env, quiet=False)
        assert said.err == "probe-sweep: 2048 probes, up to 6144 with those sent again, so 1000 a second, which takes 3 to 19 s; " \
            "-R sets another rate\n"
        told = re.fullmatch(r"2048 targets: 2048 answered, 0 silent; 2048 probes in (\S+) s", said.lines[-1])
        assert 1.8 <= float(told[1]) < 3.5


def test_rate_of_a_part(crowd):
    """A network that is large is probed no faster for being shared out."""
    said = run(crowd, "probe-sweep", "-q", "--seed", 1, "--shard", "2/4", "10.60.64.0/21", quiet=False)
    assert said.err == "probe-sweep: 512 of 2048 probes, up to 1536 with those sent again, so 1000 a second, which takes 1 to 14 s; " \
        "-R sets another rate\n"
    told = re.fullmatch(r"512 targets: 512 answered, 0 silent; 512 probes in (\S+) s", said.lines[-1])
    assert 0.4 <= float(told[1]) < 1.5


def test_rate_of_the_rest(crowd, tmp_path):
    """Of a sweep that goes on, what is left counts."""
    file, args = tmp_path / "place", ("--seed", 3, "10.60.64.0/21")
    sweep_until(crowd, file, signal.SIGINT, *map(str, args))
    said = run(crowd, "probe-sweep", "-q", "-r0", "-W0.2", "--resume", file, *args, quiet=False)
    told = re.fullmatch(r"probe-sweep: (\d+) of 2048 probes, so 1000 a second, which takes (\d+) s; -R sets another rate\n", said.err)
    left = int(told[1])
    assert 900 < left < 1900 and int(told[2]) == (left + 999) // 1000
    assert re.match(rf"{left} targets: ", said.lines[-1])


def test_daemon_without_sweep(crowd, tmp_path):
    """Is asked for one after the other, as ever."""
    env = {"MTR_PACKET": "tee -a " + str(tmp_path / "log") + " | " + without_sweep()["MTR_PACKET"]}
    said = run(crowd, "probe-sweep", "-q", "-R40000", "-r0", "-W1", "10.60.60.0-10.60.67.255", env=env)
    assert said.lines[-1].startswith("2048 targets: 1024 answered, 1024 silent; 2048 probes in ")
    assert len(requests(tmp_path)) == 2048


@pytest.mark.parametrize("args", [["--seed", 3], ["--shard", "1/1"], ["--resume", "place"]], ids=str)
def test_what_needs_a_sweep(crowd, tmp_path, args):
    """Which daemon has none is said."""
    said = run(crowd, "probe-sweep", *args, "10.60.64.0/30", env=without_sweep(), quiet=False)
    assert said.status == 2 and said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith(f"probe-sweep: {args[0]} is of sweeps, which this daemon does not have: ")
    assert "sed -u" in said.err and re.search(r", version \d+\.\d+", said.err)


def test_names_in_a_sweep(path):
    """They are looked up before the daemon sweeps; what is no target is told, and the rest goes on."""
    path.play([], [target(number) for number in range(3)])
    with nameserver(path.namespace, NAMES, delay=0.3):
        said = run(path.namespace, "probe-sweep", "--seed", 1, "-W0.3", "-r0", "one.example", "nosuch.example", "fe80::1%eth0", "10.0.0.300",
                   "other.example", "10.99.1.2-10.99.1.4", quiet=False)
        assert said.status == 1 and sorted(line.split(": ")[1] for line in said.err.splitlines()) == [
            "10.0.0.300", "fe80::1%eth0", "nosuch.example"]
        targets = {frozenset(line.split(" (")[0].split() if " (" in line else line.split()[:1]) for line in said.lines[:3]}
        assert targets == {frozenset(names) for names in (["10.99.1.2"], ["10.99.1.3"], ["one.example", "other.example"])}
        assert said.lines[3:7] == ["10.99.1.4 silent", "nosuch.example no address", "fe80::1%eth0 no address", "10.0.0.300 no address"]
        told = re.fullmatch(r"7 targets: 3 answered, 1 silent, 3 without an address; 4 probes in (\d\.\d) s", said.lines[7])
        assert 0.6 <= float(told[1]) < 3
        said = run(path.namespace, "probe-sweep", "--seed", 1, "--ignore-lookup-errors", "--json", "nosuch.example", "xn--bcher-kva.example")
        assert said.status == 0 and [row["host"] for row in said.of_type("answer")] == ["xn--bcher-kva.example"]
        assert [row["kind"] for row in said.of_type("silent")] == ["no-address"]
        total, = said.of_type("summary")
        assert [total[name] for name in ("targets", "answered", "silent", "no_address")] == [2, 1, 1, 0]


def test_names_are_no_targets_of_a_shard(path):
    """Elsewhere they may have other addresses: together the parts would not be all."""
    with nameserver(path.namespace, NAMES):
        said = run(path.namespace, "probe-sweep", "--seed", 1, "--shard", "1/2", "-W0.1", "-r0", "one.example", quiet=False)
        assert said.status == 1 and said.err.startswith("probe-sweep: one.example: a name is no target with --shard")
        assert said.lines[-1].startswith("1 targets: 0 answered, 0 silent, 1 without an address; 0 probes ")


def test_names_whose_addresses_are_excluded(path, tmp_path):
    file = tmp_path / "exclude"
    file.write_text("10.99.1.1")
    with nameserver(path.namespace, NAMES):
        said = run(path.namespace, "probe-sweep", "--seed", 1, "--exclude", file, "-W0.1", "-r0", "one.example", quiet=False)
        assert (said.status, said.err) == (1, "probe-sweep: one.example: its address is excluded\n")


@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_sweep_of_names_behind_a_dead_resolver(path, ends):
    """Ends at once."""
    with nameserver(path.namespace, delay="silent"):
        tool = start(path.namespace, "probe-sweep", "--seed", 1, "one.example", "10.99.1.1")
        time.sleep(0.5)
        began = time.monotonic()
        tool.send_signal(ends)
        tool.communicate(timeout=5)
        assert time.monotonic() - began < 0.5 and tool.returncode == 1


def test_nothing_left(crowd, tmp_path):
    file = tmp_path / "exclude"
    file.write_text("0.0.0.0/0")
    said = run(crowd, "probe-sweep", "--exclude", file, "--seed", "1", BLOCK)
    assert (said.status, said.out) == (1, "0 targets: 0 answered, 0 silent; 0 probes in 0.0 s\n")


@pytest.mark.parametrize("args, why", [(["203.0.113.1"], "network unreachable"), (["10.60.64.1", "-I", "nosuch"], "no such device")])
def test_refusal_of_the_only_probe(crowd, args, why):
    """It is told of the target, and no refusal of the sweep."""
    said = run(crowd, "probe-sweep", "--seed", "1", *args)
    assert said.status == 1 and said.lines[0].startswith(args[0]) and said.lines[0].endswith(why)
    assert said.lines[1].startswith("1 targets: 0 answered, 0 silent, 1 with an error; 0 probes ")


@pytest.mark.parametrize("rate, tries, left", [(1000, 1, 2), (1500, 4, 6), (8000, 4, 4)])
def test_progress_of_many(crowd, rate, tries, left):
    """The bar knows the time that is left, and that silent ones are probed again: by the rate, and each in its timeout."""
    argv, env = command("probe-sweep", "10.60.0.0/21", "-W1", "-r", str(tries - 1), "-q", "-R", str(rate))
    ours, theirs = pty.openpty()
    tool = crowd.popen(*argv, env=env, stderr=theirs, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    tool.communicate(timeout=20)
    os.close(theirs)
    shown = all_of(ours).decode()
    os.close(ours)
    assert re.search(rf"\[#+\.+\] +\d+%  \d{{1,4}}/s  0 answered  {left} s left", shown) and shown.endswith("\r\033[K")


def test_daemon_that_dies_while_it_sweeps(crowd, tmp_path):
    """What is known is told, and it can go on from where it was."""
    file = tmp_path / "place"
    env = {"MTR_PACKET": f"timeout -s KILL 1 {default_binary()}"}
    args = ["-q", "-R2000", "-r0", "-W0.2", "--resume", file, "10.60.64.0/20"]
    said = run(crowd, "probe-sweep", *args, env=env, quiet=False)
    assert said.status == 2 and "the daemon ended before its time: timeout " in said.err
    assert 1000 < len(answered(said)) < 4096 and "not probed" in said.lines[-1]
    rest = run(crowd, "probe-sweep", *args)
    assert {*answered(said), *answered(rest)} == {str(one) for one in ipaddress.ip_network("10.60.64.0/20")}
    assert len(answered(rest)) < 4096


# What a daemon says to a sweep, whose token is T.
LIES = {
    "nothing but refusals": (["T invalid-argument reason out-of-range argument ip-4"], 2, 0),
    "no sweep after all": (["T unknown-command"], 2, 0),
    "of others": (["T reply ip-4 10.0.0.1 round-trip-time 5 target 192.0.2.1", "T reply ip-4 10.0.0.1 target x",
                   "T reply ip-4 10.0.0.1 round-trip-time 5 target 10.0.0.1", "T swept sent 9 answered 1 silent 2047 next 2048"], 0, 1),
    "more than there are": (["T sweeping sent 5 answered 9999 in-flight 7 left 99999",
                             "T swept sent -1 answered 99999999999999999999 silent 5 refused 7 next 9999"], 1, 0),
    "no numbers": (["T sweeping", "T sweeping sent answered", "T swept"], 1, 0),
    "the end twice": (["T swept sent 2048 answered 0 silent 2048 next 2048"] * 2, 1, 0),
}

LIAR = """
import sys
for line in sys.stdin:
    token, command, *words = line.split()
    if command == "check-support":
        print(token, "feature-support support ok", flush=True)
    elif command == "sweep":
        print(LINES.replace("T ", token + " "), flush=True)
    elif command == "stop":
        print(token, "stopped count 1", flush=True)
"""


@pytest.mark.parametrize("name", LIES)
def test_what_a_daemon_may_say(tmp_path, name):
    """Whatever it is, the tool comes to its end, and believes of a target only what is one."""
    lines, status, count = LIES[name]
    (tmp_path / "liar.py").write_text(f"LINES = {chr(10).join(lines)!r}\n{LIAR}")
    said = run(None, "probe-sweep", "-q", "-R10000", "--resume", tmp_path / "place", "--json", "10.0.0.0/21", quiet=False, timeout=10,
               env={"MTR_PACKET": f"/usr/bin/python3 {tmp_path}/liar.py"})
    assert said.status == status and len(said.of_type("answer")) == count and len(said.of_type("summary")) == 1
    assert ("probe-sweep: " in said.err) == (status == 2)


# ---------------------------------------------------------------- exclusions

EXCLUDED = "\ufeff# nobody's\r\n10.60.64.0/25\r\n  10.60.64.200-10.60.64.255 # a range\r\n\r\n10.60.64.130\n10.60.64.140-141\n2001:db8::/32\n"
EXCLUDED += "fe80::/10 ff02::1 fe80::1 # of any link"
LEFT = [f"10.60.64.{n}" for n in range(128, 200) if n not in (130, 140, 141)]


@pytest.fixture
def exclude(tmp_path):
    file = tmp_path / "exclude"
    file.write_text(EXCLUDED, encoding="utf-8", newline="")
    return file


def test_exclude(crowd, exclude):
    """As zmap and masscan write them, from any system: not listed, not probed, by either way."""
    assert run(None, "probe-sweep", "--list", "--exclude", exclude, "10.60.64.0/24", "2001:db8::/126").lines == LEFT
    for more in [], ["10.60.65.0/21"]:
        said = run(crowd, "probe-sweep", "-R50000", "-W0.5", "-r0", "--exclude", exclude, "10.60.64.0/24", "2001:db8::/126", *more)
        others = {str(one) for block in more for one in ipaddress.ip_network(block, strict=False)}
        assert set(answered(said)) == set(LEFT) | {one for one in others if not one.startswith("10.60.64.")}
        assert said.lines[-1].startswith(f"{len(answered(said))} targets: {len(answered(said))} answered, 0 silent; ")


def test_exclude_nearly_all(crowd, tmp_path):
    """Of a block of any size; what few are left are swept."""
    file = tmp_path / "exclude"
    file.write_text("0.0.0.0-10.60.63.253\n10.60.64.2-255.255.255.255\n")
    said = run(crowd, "probe-sweep", "-r0", "-W0.3", "--exclude", file, "0.0.0.0/0")
    assert sorted(answered(said)) == ["10.60.64.0", "10.60.64.1"]
    assert sorted(said.lines[2:-1]) == ["10.60.63.254 silent", "10.60.63.255 silent"]
    assert said.lines[-1].startswith("4 targets: 2 answered, 2 silent; 4 probes in ")


def test_exclude_a_name(path, exclude):
    """Whose address is in the list."""
    with nameserver(path.namespace, {"one.example": "10.60.64.1"}):
        said = run(path.namespace, "probe-sweep", "--exclude", exclude, "one.example", quiet=False)
    assert (said.status, said.err) == (1, "probe-sweep: one.example: its address is excluded\n")
    assert said.lines[-1].startswith("1 targets: 0 answered, 0 silent, 1 without an address; 0 probes ")


@pytest.mark.parametrize("text, why", [
    ("10.0.0.0/8\nhost.example\n", "line 2: host.example: not an address, block or range"),
    ("10.0.0.0/33", "line 1: 10.0.0.0/33: not a block"), ("# a\n\n10.0.0.9-10.0.0.1", "line 3: 10.0.0.9-10.0.0.1: the range ends"),
    ("10.0.0.0/8\0", "line 1: not a text"), (None, "No such file")])
def test_exclude_that_can_not_be_read(tmp_path, text, why):
    """Nobody is probed."""
    file = tmp_path / "exclude"
    if text is not None:
        file.write_text(text)
    said = run(None, "probe-sweep", "--exclude", file, "127.0.0.1", quiet=False)
    assert (said.status, said.out) == (2, "") and str(file) in said.err and why in said.err and said.err.count("\n") == 1


# ---------------------------------------------------------------- order, shards, limit

def test_seed(crowd):
    """The same one is the same order, another one another."""
    orders = [answered(run(crowd, "probe-sweep", "-R400", "-r0", "--seed", seed, "10.60.64.0/26")) for seed in (7, 7, 8)]
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) == sorted(orders[2]) and len(orders[0]) == 64


def test_shards(crowd):
    """Do not overlap, and are everything together."""
    parts = [run(crowd, "probe-sweep", "-R20000", "-r0", "-W0.3", "--seed", 5, "--shard", f"{part}/3", "10.60.63.0-10.60.64.255")
             for part in (1, 2, 3)]
    probed = [line.split()[0] for said in parts for line in said.lines[:-1]]
    assert sorted(probed) == sorted(f"10.60.{block}.{n}" for block in (63, 64) for n in range(256))
    assert [int(said.lines[-1].split()[0]) for said in parts] == [171, 171, 170]


def test_limit(crowd):
    """Exactly so many answers, by either way."""
    for block in "10.60.0.0/16", "10.60.63.0-10.60.64.200":
        said = run(crowd, "probe-sweep", "-q", "-R3000", "--limit", 20, block)
        assert said.status == 0 and len(answered(said)) == 20
        assert re.match(r"\d+ targets: 20 answered, \d+ silent, \d+ not waited for, \d+ not probed; ", said.lines[-1])


def test_list_on_standard_input_at_once(crowd):
    """With what needs a sweep it is read to its end."""
    said = run(crowd, "probe-sweep", "--seed", 3, "-R9000", stdin="\ufeff10.60.64.0/30 # four\r\n10.60.64.9\r\n")
    assert sorted(answered(said)) == [f"10.60.64.{n}" for n in (0, 1, 2, 3, 9)]


@pytest.mark.parametrize("args, why", [
    (["--shard", "0/3", "--seed", "1"], "such as 1/3"), (["--shard", "4/3", "--seed", "1"], "such as 1/3"),
    (["--shard", "2", "--seed", "1"], "such as 1/3"), (["--shard", "1/2"], "needs a --seed"), (["--seed", "-1"], "from 0 to"),
    (["--seed", "18446744073709551616"], "from 0 to"), (["--seed", "x"], "from 0 to"), (["-t", "0"], "1-30"), (["-t", "3-2"], "1-30"),
    (["-t", "1-256"], "1-30"), (["-t", "1-2-3"], "1-30"), (["--limit", "0"], "from 1 to"), (["--limit", "4294967296"], "from 1 to 4294967295"), (["--list", "-t1-3"], "either --list or --ttl")])
def test_wrong_use_of_a_sweep(args, why):
    said = run(None, "probe-sweep", *args, "127.0.0.1", quiet=False)
    assert (said.status, said.out) == (2, "") and why in said.err and said.err.count("\n") == 1


# ---------------------------------------------------------------- every router on the way

@pytest.mark.parametrize("has_sweep", [True, False])
@pytest.mark.parametrize("quiet", [[], ["-q"]])
def test_ways(path, quiet, has_sweep):
    """To every target; silence is told, but not with -q; IPv6 the same; also of a daemon that has no sweep of its own."""
    path.play(hops(3), [target(0), target(1, silent=True)])
    for family in 4, 6:
        first, second = (target_address(number)[family] for number in (0, 1))
        said = run(path.namespace, "probe-sweep", "-t", "2-5", "-R2000", "-W0.3", "-r0", *quiet, first, second,
                   env={} if has_sweep else without_sweep())
        rows = sorted(re.sub(r" [\d.]+ ms$", "", line).split() for line in said.lines[:-1])
        routers = [hop_address(number)[family] for number in (2, 3)]
        expected = [[one, str(ttl), routers[ttl - 2]] for one in (first, second) for ttl in (2, 3)]
        expected += [[first, ttl, first] for ttl in "45"] + [[second, ttl, "*"] for ttl in "45" if not quiet]
        assert rows == sorted(expected)
        assert said.lines[-1].startswith("2 targets by 4 hops: 6 answered, 2 silent; 8 probes in ")


@pytest.mark.parametrize("has_sweep", [True, False])
def test_status_of_ways(path, has_sweep):
    """Whether a target answered: routers on the way are none."""
    path.play(hops(3), [target(0), target(1, silent=True)])
    for number, ttls, status in (0, "1-4", 0), (0, "1-3", 1), (1, "1-4", 1):
        said = run(path.namespace, "probe-sweep", "-q", "-t", ttls, "-R2000", "-W0.3", "-r0", target_address(number)[4],
                   env={} if has_sweep else without_sweep())
        assert re.search(r"by \d hops: [34] answered", said.lines[-1]) and said.status == status, said


def test_ways_by_single_requests(crowd):
    """At the rate, silent ones again, ended by a limit or a signal; the sums add up."""
    def sums(*args, **popen):
        said = run(crowd, "probe-sweep", "-q", "--json", "-t1-3", *args, env=without_sweep(), **popen)
        return said, said.of_type("summary")[0]
    said, total = sums("-R6000", "-W0.3", "-r1", "10.60.63.0-10.60.64.255")
    assert [total[name] for name in ("targets", "answered", "silent", "probes")] == [512, 768, 768, 768 * 3]
    assert {(row["host"], row["hop"]) for row in said.of_type("hop")} == {(f"10.60.64.{n}", ttl) for n in range(256) for ttl in (1, 2, 3)}
    assert 0.25 + 2304 / 6000 < total["seconds"] < 2
    said, total = sums("-R2000", "-W0.3", "-r1", "--limit", "9", BLOCK)
    assert 9 <= len({row["host"] for row in said.of_type("hop")}) < 100 and total["not_probed"] > 190_000
    tool = start_without_sweep(crowd, "-q", "-t1-3", "-R2000", "-W0.3", BLOCK)
    time.sleep(1)
    tool.send_signal(signal.SIGINT)
    told = [int(number) for number in re.match(
        r"65536 targets by 3 hops: (\d+) answered, (\d+) silent, (\d+) not waited for, (\d+) not probed; (\d+) probes ",
        tool.communicate(timeout=5)[0].splitlines()[-1]).groups()]
    assert sum(told[:4]) == 3 * 65536 and told[0] + told[1] <= told[4] < 3000


def start_without_sweep(namespace, *args):
    argv, env = command("probe-sweep", *args)
    return namespace.popen(*argv, env={**env, **without_sweep()}, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)


def test_ways_of_a_daemon_that_takes_few(tmp_path):
    few = tmp_path / "few"
    few.write_text(FEW, encoding="ascii")
    said = run(None, "probe-sweep", "-W9", "-r0", "-t1-2", "192.0.2.0/27", env={"MTR_PACKET": f"/usr/bin/python3 -u {few}"}, quiet=False)
    assert said.lines[-1].startswith("32 targets by 2 hops: 64 answered, 0 silent; 64 probes ")
    assert said.err == "probe-sweep: the daemon has no room for more probes: this is as fast as it can be\n"


def test_ways_by_the_daemon_of_mtr(path):
    """Whose timeouts are whole seconds, and which tells less."""
    peer = shutil.which("mtr-packet", path="/usr/bin:/usr/sbin")
    if not peer:
        pytest.skip("no mtr-packet of mtr here: install the Debian package mtr-tiny")
    path.play(hops(2), [target(0)])
    said = run(path.namespace, "probe-sweep", "-q", "-t1-3", "-W1", "-r0", target_address(0)[4], env={"MTR_PACKET": peer}, quiet=False)
    assert sorted(line.split()[:3] for line in said.lines[:-1]) == [
        [target_address(0)[4], str(ttl), place] for ttl, place in ((1, hop_address(1)[4]), (2, hop_address(2)[4]), (3, target_address(0)[4]))]
    assert "tells less: no errors by their codes" in said.err


@pytest.mark.parametrize("has_sweep", [True, False])
def test_ways_to_names(path, has_sweep):
    """Their targets are told by them."""
    path.play(hops(1), [target(0)])
    with nameserver(path.namespace, NAMES):
        args = ("-t1-2", "-r0", "one.example", "other.example")
        said = run(path.namespace, "probe-sweep", *args, env={} if has_sweep else without_sweep())
        assert sorted(re.sub(r" [\d.]+ ms$", "", line).split()[-3:] for line in said.lines[:-1]) == [
            ["(10.99.1.1)", "1", hop_address(1)[4]], ["(10.99.1.1)", "2", "10.99.1.1"]]
        assert {frozenset(line.split(" (")[0].split()) for line in said.lines[:-1]} == {frozenset(("one.example", "other.example"))}
        said = run(path.namespace, "probe-sweep", "--json", *args, env={} if has_sweep else without_sweep())
        assert {(row["address"], row["host"] in NAMES, len(row["target"].split())) for row in said.of_type("hop")} == {("10.99.1.1", True, 2)}


def test_ways_for_programs(path):
    """As objects of their own type."""
    path.play(hops(2), [target(0), target(1, icmp="error", error=(3, 13), sender={4: "10.99.0.9"})])
    said = run(path.namespace, "probe-sweep", "--json", "-t", "1-4", "-R2000", "-W0.3", "-r0", "10.99.1.1-3")
    rows = {(row["host"], row["hop"]): row for row in said.of_type("hop")}
    assert len(rows) == 12 and all(row["address"] == row["host"] for row in rows.values())
    assert {row["kind"] for (host, hop), row in rows.items() if hop < 3} == {"ttl-expired"}
    assert [rows["10.99.1.1", hop]["from"] for hop in (1, 2, 3)] == [hop_address(1)[4], hop_address(2)[4], "10.99.1.1"]
    assert (rows["10.99.1.2", 4]["kind"], rows["10.99.1.2", 4]["error"]) == ("no-route-host", "filtered")
    assert rows["10.99.1.3", 3]["kind"] == "no-reply" and "from" not in rows["10.99.1.3", 3]
    total, = said.of_type("summary")
    assert [total[name] for name in ("targets", "hops", "answered", "silent", "probes")] == [3, 4, 10, 2, 12]


def test_limit_of_ways(path):
    """Targets of both families together, each once; routers do not count."""
    path.play(hops(2), [target(number) for number in range(3)])
    targets = [target_address(number)[family] for family in (4, 6) for number in range(3)]
    said = run(path.namespace, "probe-sweep", "-t1-6", "-R500", "-W0.3", "-r0", "--limit", 5, *targets)
    found = {line.split()[0] for line in said.lines[:-1] if int(line.split()[1]) > 2}
    assert len(found) == 5 and found > set(targets[:3])
    assert re.search(r", \d+ not probed; ", said.lines[-1])


@pytest.mark.parametrize("args, probes", [(["-t2-4"], 6), (["--seed", "1"], 2)], ids=str)
def test_interrupt_before_the_first_probe(path, args, probes):
    """While names are looked up: the sums are told, and what was not probed."""
    with nameserver(path.namespace, delay="silent"):
        for form in [], ["--json"]:
            tool = start(path.namespace, "probe-sweep", *args, *form, "one.example", "10.99.1.1")
            time.sleep(0.5)
            tool.send_signal(signal.SIGINT)
            lines = tool.communicate(timeout=5)[0].splitlines()
            assert tool.returncode == 1 and len(lines) == 2, lines
            if form:
                waiting, sums = map(json.loads, lines)
                assert (waiting["kind"], sums["targets"], sums["not_probed"], sums["probes"]) == ("not-probed", 2, probes, 0)
            else:
                assert lines[0] == "one.example not probed" and f" 0 answered, 0 silent, {probes} not probed; 0 probes in " in lines[1]


def test_quiet_ways_to_go_on_from(path, tmp_path):
    """The file needs to know of the silent ones and of those refused here; nobody else does."""
    path.play(hops(2), [target(0), target(1, silent=True)])
    args = ["-t2-3", "-R2000", "-W0.3", "-r0", "-q", target_address(0)[4], target_address(1)[4]]
    said = run(path.namespace, "probe-sweep", *args, "--resume", tmp_path / "place")
    assert len(said.lines) == 4 and said.lines[-1].startswith("2 targets by 2 hops: 3 answered, 1 silent; ")
    said = run(path.namespace, "probe-sweep", *args, "--resume", tmp_path / "place", "-I", "nowhere0")
    assert len(said.lines) == 1 and said.lines[-1].startswith("2 targets by 2 hops: 0 answered, 0 silent, 4 with an error; ")


# ---------------------------------------------------------------- going on

def sweep_until(namespace, file, ends, *args, after=0.8):
    """Its answers until it is ended, and the last line."""
    tool = start(namespace, "probe-sweep", "-q", "-R1000", "-r0", "-W0.2", "--resume", file, *args)
    time.sleep(after)
    tool.send_signal(ends)
    *lines, last = tool.communicate(timeout=5)[0].splitlines()
    return [line.split()[0] for line in lines], last


@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_resume(crowd, tmp_path, ends):
    """Nobody is left out, and few are probed twice; at the end the file is gone."""
    file, args = tmp_path / "place", ("10.60.63.0-10.60.73.255",)
    parts = [sweep_until(crowd, file, ends, *args)[0] for _ in range(2)]
    assert file.exists() and not parts[0] == parts[1]
    said = run(crowd, "probe-sweep", "-q", "-R4000", "-r0", "-W0.2", "--resume", file, *args)
    parts.append(answered(said))
    assert set().union(*parts) == {f"10.60.{block}.{n}" for block in range(64, 74) for n in range(256)}
    assert sum(map(len, parts)) < 2560 + 2 * 600 and all(len(part) == len(set(part)) for part in parts)
    assert not file.exists()


def test_resume_of_a_shard_and_a_limit(crowd, tmp_path):
    file, args = tmp_path / "place", ("--seed", "9", "--shard", "2/2", "10.60.64.0/21")
    first, _ = sweep_until(crowd, file, signal.SIGINT, *args)
    more = answered(run(crowd, "probe-sweep", "-q", "-R500", "-r0", "-W0.1", "--resume", file, "--limit", "100", *args))
    rest = answered(run(crowd, "probe-sweep", "-q", "-R4000", "-r0", "-W0.2", "--resume", file, *args))
    other = answered(run(crowd, "probe-sweep", "-q", "-R4000", "-r0", "-W0.2", "--seed", "9", "--shard", "1/2", "10.60.64.0/21"))
    assert len(more) == 100 and not file.exists()
    assert {*first, *more, *rest} | {*other} == {str(one) for one in ipaddress.ip_network("10.60.64.0/21")}
    assert not {*first, *more, *rest} & {*other}


def rest_of(place):
    """Of how many targets it says that they are to be probed again."""
    return place.read_text().count("again ")


def test_resume_with_a_limit_gets_on(crowd, tmp_path):
    """However soon it is reached: each answer is listed once, and nobody is left out."""
    file, args, found = tmp_path / "place", ("--seed", 5, "10.60.63.192-10.60.64.255"), []
    for _ in range(20):
        said = run(crowd, "probe-sweep", "-q", "-R2000", "-W0.3", "-r2", "--limit", 60, "--resume", file, *args)
        found += answered(said)
        if not file.exists():
            break
    assert sorted(found) == sorted(f"10.60.64.{n}" for n in range(256))


@pytest.mark.parametrize("args", [["-t2-3"], []], ids=str)
def test_silent_behind_a_limit(crowd, tmp_path, args):
    """Who is waited for to the end of his time, and has no more probes to come, is silent: told, counted, and not probed again."""
    place = tmp_path / "place"
    said = run(crowd, "probe-sweep", "-R1000", "-W0.3", "-r0", "--limit", 20, "--seed", 5, "--resume", place, *args, "10.60.63.0-10.60.64.255")
    sums = sums_of(said.lines[-1])
    assert sums["silent"] == sum(line.endswith(("silent", "*")) for line in said.lines) > 0
    late = sums.get("not waited for", 0)  # answers in the same moment as the last one that was wanted
    assert sums["answered"] + sums["silent"] + late == sums["probes"] and rest_of(place) == late


@pytest.mark.parametrize("stand_still", [0, 1], ids=["at-once", "behind-a-standstill"])
@pytest.mark.parametrize("hops", [[], ["-t2-3"]], ids=str)
def test_resume_of_unfinished(crowd, tmp_path, hops, stand_still):
    """Those that had not all of their probes are probed again, and no others, though all stood still meanwhile."""
    file, args = tmp_path / "place", ["-q", "-R500", "-r2", "-W0.4", *hops, "--resume", tmp_path / "place", "10.60.128.0/22"]
    tool = start(crowd, "probe-sweep", *args)
    time.sleep(0.7)
    if stand_still:
        os.killpg(tool.pid, signal.SIGSTOP)
        time.sleep(stand_still)
        os.killpg(tool.pid, signal.SIGCONT)
        time.sleep(0.2)
    os.killpg(tool.pid, signal.SIGINT)
    first = sums_of(tool.communicate(timeout=5)[0])
    count = 1024 * (2 if hops else 1)
    assert first["silent"] == 0 and first["not waited for"] + first["not probed"] == count
    assert rest_of(file) == first["not waited for"] > 100
    last = sums_of(run(crowd, "probe-sweep", "-R9000", *args[2:], "-q").lines[-1])
    assert last["silent"] == count and last["probes"] == 3 * count
    assert not file.exists()


def test_resume_where_nobody_waits(crowd, tmp_path):
    """The daemon is killed: it goes on from a place before which all had their time."""
    file, args = tmp_path / "place", ["-q", "-R500", "-r1", "-W0.2", "--resume", tmp_path / "place", "10.60.60.0/22"]
    pid = tmp_path / "pid"
    argv, given = command("probe-sweep", *args)
    env = {"MTR_PACKET": f"echo $$ > {pid}; exec {default_binary()}"}
    tool = crowd.popen(*argv, env={**given, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(2.2)
    os.kill(int(pid.read_text()), signal.SIGKILL)
    sums = sums_of(tool.communicate(timeout=5)[0])
    place = int(re.search(r"^next (\d+)$", file.read_text(), re.M)[1])
    assert 0 <= place <= sums["silent"] and rest_of(file) == 0
    assert sums_of(run(crowd, "probe-sweep", "-R9000", *args[2:], "-q").lines[-1])["silent"] == 1024 - place


@pytest.mark.parametrize("args", [["10.60.64.0/22"], ["-p", "udp", "10.60.64.0/21"], ["--seed", "4", "10.60.64.0/21"],
                                  ["--seed", "3", "--shard", "1/2", "10.60.64.0/21"], ["-t1-2", "10.60.64.0/21"],
                                  ["--exclude", "EXCLUDE", "10.60.64.0/21"]], ids=str)
def test_resume_of_another_sweep(crowd, tmp_path, exclude, args):
    """Is refused, and the file is left as it is."""
    file = tmp_path / "place"
    sweep_until(crowd, file, signal.SIGINT, "--seed", "3", "10.60.64.0/21", after=0.4)
    before = file.read_text()
    said = run(crowd, "probe-sweep", "-q", "--resume", file, *(str(exclude) if word == "EXCLUDE" else word for word in args), quiet=False)
    assert said.status == 2 and said.out == "" and f"{file} is of another sweep" in said.err.splitlines()[-1]
    assert file.read_text() == before


@pytest.mark.parametrize("text", ["", "hello\n", "# x\nsweep 1\ndaemon 1\nseed 1\npart 0\nnext -1\n", "\0" * 300, "x" * 1000])
def test_resume_of_no_sweep(tmp_path, text):
    file = tmp_path / "place"
    file.write_text(text)
    said = run(None, "probe-sweep", "--resume", file, "127.0.0.1", quiet=False)
    assert said.status == 2 and said.err == f"probe-sweep: {file}: not a file that --resume wrote\n" and file.read_text() == text


@pytest.mark.parametrize("place, why", [("nowhere/place", "No such file or directory"), ("full/place", "No space left on device")])
def test_resume_that_can_not_be_written(tmp_path, place, why):
    """Is told before anything is probed, and nothing is left of the try."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "place.new").symlink_to("/dev/full")
    said = run(None, "probe-sweep", "--resume", tmp_path / place, "127.0.0.1", quiet=False)
    assert (said.status, said.out, said.err) == (2, "", f"probe-sweep: {tmp_path / place}: {why}\n")
    assert place.startswith("nowhere") or not list((tmp_path / "full").iterdir())


def test_resume_behind_a_full_disk(crowd, tmp_path):
    """Of a sweep whose answers could not be written it is kept, and it ends soon."""
    file = tmp_path / "place"
    argv, env = command("probe-sweep", "-q", "-R1000", "-r0", "-W0.2", "--seed", 3, "--resume", file, "10.60.64.0/19")
    with open("/dev/full", "w", encoding="ascii") as full:
        tool = crowd.popen(*argv, env=env, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True)
    assert tool.communicate(timeout=4)[1] == "probe-sweep: not all could be written to standard output\n"
    assert tool.returncode == 2 and file.read_text().endswith("\nnext 0\n")


def test_resume_is_written_meanwhile(crowd, tmp_path):
    """Every ten seconds: one that is killed goes on as well."""
    file, args = tmp_path / "place", ("-q", "-r0", "-W0.2", "--seed", "3", "10.60.63.0-10.60.103.255")
    argv, env = command("probe-sweep", "-R500", "--resume", file, *args)
    with open(tmp_path / "first", "w", encoding="ascii") as out:
        tool = crowd.popen(*argv, env=env, stdout=out, stdin=subprocess.DEVNULL, start_new_session=True)
        time.sleep(10.7)
        os.killpg(tool.pid, signal.SIGKILL)
        tool.wait()
    first = [line.split()[0] for line in (tmp_path / "first").read_text().splitlines()]
    rest = answered(run(crowd, "probe-sweep", "-R9000", "--resume", file, *args))
    assert {*first, *rest} == {f"10.60.{block}.{n}" for block in range(64, 104) for n in range(256)}
    assert 4500 < len(first) and len(first) + len(rest) < 10240 + 1000


# ---------------------------------------------------------------- at size

def test_sixteen_bits(crowd):
    """65,536 addresses in one run at 20,000 a second and more, every answering one listed."""
    began = time.monotonic()
    said = run(crowd, "probe-sweep", BLOCK, "-R40000", "-r0", "-W1")
    took = time.monotonic() - began
    answers = [line.split()[0] for line in said.lines if line.endswith(" ms")]
    assert len(answers) == len(set(answers)) and set(answers) == {str(address) for address in ANSWERING}
    assert sum(line.endswith(" silent") for line in said.lines) == BLOCK.num_addresses - ANSWERING.num_addresses
    assert took < 1 + BLOCK.num_addresses / 20_000, f"{took} s"


def resident(namespace, block, *args, after):
    """The most that the tool itself had, in bytes, some seconds after it was given a block."""
    argv, env = command("probe-sweep", "-q", *args)
    tool = namespace.popen(*argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    tool.stdin.write(f"{block}\n")
    tool.stdin.flush()
    time.sleep(after)
    with open(f"/proc/{tool.pid}/status", encoding="ascii") as status:
        most = int(re.search(r"^VmHWM:\s+(\d+) kB", status.read(), re.M)[1])
    tool.send_signal(signal.SIGINT)
    tool.communicate(timeout=5)
    return most * 1024


def test_memory(crowd):
    """4 MiB with one host; 64 bytes a target beyond its address, though each is silent and asked three times."""
    assert resident(crowd, "10.60.64.1", after=0.3) <= 4 << 20
    few, many = ipaddress.ip_network("10.60.128.0/19"), ipaddress.ip_network("10.60.128.0/17")
    more = resident(crowd, many, "-R200000", after=5) - resident(crowd, few, "-R200000", after=5)
    pages = 8 * resource.getpagesize()  # a heap ends at a page, and has some to spare
    assert more - pages <= (many.num_addresses - few.num_addresses) * (64 + 16)


def test_low_rate_of_single_requests(crowd):
    """Two a second: the eighth leaves after three and a half."""
    began = time.monotonic()
    said = run(crowd, "probe-sweep", "-R2", "-r0", "-W1", "-t254-255", "10.60.64.0/30", env=without_sweep())
    assert 3.3 < time.monotonic() - began < 5 and "8 probes" in said.lines[-1]


def test_rate(path):
    """No faster than told."""
    path.play([], [])
    began = time.monotonic()
    run(path.namespace, "probe-sweep", f"{target_address(0)[4]}/25", "-R200", "-r0", "-W0.1")
    assert 0.55 < time.monotonic() - began < 1.5


def all_of(terminal):
    """What was written to a terminal that nobody has open any more; one read gives a part of it."""
    text = b""
    with contextlib.suppress(OSError):  # EIO: that was all
        while more := os.read(terminal, 1 << 16):
            text += more
    return text


def test_progress(path):
    """A bar on a terminal, with rate and time left, that is gone at the end; none elsewhere (the other tests)."""
    path.play([], [])
    argv, env = command("probe-sweep", f"{target_address(0)[4]}/28", "-W1", "-q")
    ours, theirs = pty.openpty()
    tool = path.namespace.popen(*argv, env=env, stderr=theirs, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    tool.communicate(timeout=10)
    os.close(theirs)
    shown = all_of(ours).decode()
    os.close(ours)
    assert re.search(r"\[#+\.+\] +\d+%  \d+/s  0 answered  \d s left", shown)
    assert shown.endswith("\r\033[K")
