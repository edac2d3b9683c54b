# SPDX-License-Identifier: MIT
"""probe-sweep: blocks and lists of targets, retries, and 65,536 addresses in one run."""

import contextlib
import ipaddress
import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest

from lab.daemon import default_binary
from lab.nameserver import nameserver
from lab.net import Namespace, join
from lab.path import Path, hops, target, target_address
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
                                   "fe80::1:0:0:0/126", "1:0:0:2::ffff:ffff/127", "1::fffe:ffff/114"])
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


def test_words_that_are_no_targets(path):
    """Told as errors of their own, without their control characters, and the rest goes on."""
    path.play([], [target()])
    there = target_address(0)[4]
    said = run(path.namespace, "probe-sweep", "--json", "-W0.1", "-r0", quiet=False,
               stdin=f'a\033[2J: b"c:1 -rf $(id) 1.2 10.99.1.256 \u00fc\033[2J {there}\n')
    assert said.status == 1 and [one["address"] for one in said.of_type("answer")] == [there]
    assert [one["target"] for one in said.of_type("silent")] == ["a?[2J:", 'b"c:1', "-rf", "$(id)", "1.2", "10.99.1.256",
                                                                  "???[2J"]
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
    # Once to the plain one, twice to the lossy and to the slow one, thrice to the five others of the block.
    assert path.count() - before == total["probes"] == 1 + 2 * 2 + 3 * 5
    assert 0.55 < float(total["seconds"]) < 1.5


def test_errors(path):
    """Who sent one is told by it, in the words of all tools, and is not called silent."""
    path.play([], [target(0, icmp="error", error=(3, 13), sender={4: "10.99.0.7"}), target(1, icmp="error", error=(3, 1)),
                   target(2, silent=True), target(3)])
    first = target_address(0)[4]
    said = run(path.namespace, "probe-sweep", "-W0.3", "-r1", f"{first}-4")
    assert said.lines[0].startswith("10.99.1.4 ")
    assert said.lines[1:] == ["10.99.1.1 filtered from 10.99.0.7", "10.99.1.2 host unreachable from 10.99.1.2", "10.99.1.3 silent",
                              said.lines[-1]]
    assert said.lines[-1].startswith("4 targets: 1 answered, 1 silent, 2 with an error; 7 probes in 0.")
    one, other, dead = run(path.namespace, "probe-sweep", "-W0.3", "-r1", "--json", f"{first}-4").of_type("silent")
    assert (one["kind"], one["from"], one["error"], one["icmp_code"]) == ("no-route-host", "10.99.0.7", "filtered", 13)
    assert (other["kind"], other["from"], other["error"]) == ("no-route-host", "10.99.1.2", "host unreachable")
    assert dead["host"] == dead["address"] == "10.99.1.3" and "kind" not in dead


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
    """Those that were not probed yet are not called silent."""
    path.play([], [target()])
    first = target_address(0)[4]
    for more in [], ["--json"]:
        tool = start(path.namespace, "probe-sweep", "-R20", "-r0", "-W5", *more, first, f"{first}/24")
        lines = [tool.stdout.readline()]
        assert first in lines[0]
        os.killpg(tool.pid, signal.SIGINT)
        lines += tool.communicate(timeout=5)[0].splitlines()
        assert tool.returncode == 0 and len(lines) == 257
        if more:
            kinds = [json.loads(line).get("kind") for line in lines[1:-1]]
            total = json.loads(lines[-1])
            assert kinds == [None] * total["silent"] + ["not-probed"] * total["not_probed"]
        else:
            told = re.match(r"256 targets: 1 answered, (\d+) silent, (\d+) not probed; ", lines[-1])
            assert sum(line.endswith(" not probed") for line in lines[:-1]) == int(told[2]) == 255 - int(told[1]) > 200


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
    assert more / (many.num_addresses - few.num_addresses) <= 64 + 16


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
