# SPDX-License-Identifier: MIT
"""Lines: what is a request, what it is answered with, and when."""

import ast
import os
import random
import re
import shutil
import statistics
import subprocess
import time

import pytest

from lab.daemon import Daemon, Reply, converse, target as to
from lab.pair import ANSWERS, CLIENT, SILENT

GOOD = b"1 check-support feature icmp"
YES = "1 feature-support support ok"
PARSE = "0 command-parse-error"
OVERFLOW = "0 command-buffer-overflow"
LIMIT = 32767
MIB = 1 << 20


@pytest.fixture
def talk(binary, pair):
    """talk(bytes, *args): the reply lines of a new daemon that was given these bytes and then end of input."""
    return lambda data, *args: converse(pair.client, data, args)


# ---------------------------------------------------------------- lines and tokens

INPUTS = {
    "nothing": (b"", []),
    "empty lines": (b"\n\n\n", []),
    "white space": (b" \n\t\n\r\n \t\r \n", []),
    "a request": (GOOD + b"\n", [YES]),
    "no newline at the end": (GOOD, [YES]),
    "no newline after the second": (b"2 nonsense\n" + GOOD, ["2 unknown-command", YES]),
    "bad last line without newline": (GOOD + b"\n2", [YES, PARSE]),
    "carriage return": (GOOD + b"\r\n" + GOOD + b" \r\r\n", [YES, YES]),
    "carriage return at the end": (GOOD + b"\r", [YES]),
    "tabs and many spaces": (b"\t 1\tcheck-support   feature\t\ticmp \t\n", [YES]),
    "any white space": (b"1\vcheck-support\ffeature\ricmp\n", [YES]),
    "same token twice": (GOOD + b"\n" + GOOD + b"\n", [YES, YES]),
    "one word": (b"1\n", [PARSE]),
    "one word, no number": (b"send-probe\n", [PARSE]),
    "no token": (b"check-support feature\n", [PARSE]),
    "name without value": (b"1 check-support feature\n", [PARSE]),
    "name without value, later": (b"1 send-probe ip-4 127.0.0.1 ttl\n", [PARSE]),
    "unknown command": (b"1 nonsense\n", ["1 unknown-command"]),
    "unknown command with arguments": (b"1 nonsense ip-4 127.0.0.1\n", ["1 unknown-command"]),
    "command in capitals": (b"1 CHECK-SUPPORT feature icmp\n", ["1 unknown-command"]),
    "half a command": (b"1 check feature icmp\n", ["1 unknown-command"]),
    "check-support of nothing": (b"1 check-support feature nonsense\n", ["1 feature-support support no"]),
    "bad lines do no harm": (b"1\nx y z\n" + GOOD + b"\n\0\n" + GOOD + b"\n", [PARSE, PARSE, YES, PARSE, YES]),
}


@pytest.mark.parametrize("name", INPUTS)
def test_input(talk, name):
    """"Lines": white space, carriage returns, empty lines, parse errors, the last line; one reply a request."""
    data, expected = INPUTS[name]
    assert sorted(talk(data)) == sorted(expected)


@pytest.mark.parametrize("token", ["0", "1", "-1", "2147483647", "-2147483648"])
def test_token(talk, token):
    """"TOKEN is a decimal signed 32-bit integer, echoed in the reply"."""
    assert talk(f"{token} nonsense\n".encode()) == [f"{token} unknown-command"]


@pytest.mark.parametrize("token", ["2147483648", "-2147483649", "4294967297", "99999999999999999999", "1.0", "1x", "x",
                                   "0x1", "-", "--1", "1-1", "1,"])
def test_bad_token(talk, token):
    """"a TOKEN that is no 32-bit integer: 0 command-parse-error"."""
    assert talk(f"{token} check-support feature icmp\n".encode()) == [PARSE]


def test_same_token_in_flight(daemon):
    """"Two requests in flight with the same token are two requests: two replies"."""
    daemon.send(f"5 send-probe {to(SILENT[4])} timeout 1", f"5 send-probe {to(ANSWERS[4])}",
                f"5 send-probe {to(SILENT[6])} timeout 1", f"5 send-probe {to(ANSWERS[6])}")
    got = [(reply.token, reply.kind, reply.address) for reply in daemon.collect(4)]
    assert sorted(got[:2]) == [(5, "reply", ANSWERS[4]), (5, "reply", ANSWERS[6])], "results as they come"
    assert got[2:] == [(5, "no-reply", None)] * 2


def padded(length, start=b"1 send-probe ip-4 " + ANSWERS[4].encode() + b" x "):
    """A request of this length, which is no mistake but for its length."""
    return start + b"y" * (length - len(start))


@pytest.mark.parametrize("length", [4094, 4095, 4096, 8192, LIMIT - 1, LIMIT])
@pytest.mark.parametrize("end", [b"\n", b""], ids=["newline", "end"])
def test_long_line(talk, length, end):
    """"A line over 32,767 bytes: command-buffer-overflow": up to that it is a request like another."""
    (line,) = talk(padded(length) + end)
    assert line.startswith(f"1 reply ip-4 {ANSWERS[4]} "), line


@pytest.mark.parametrize("length", [LIMIT + 1, LIMIT + 2, 65536, 65537, 2 * LIMIT, 5 * MIB])
@pytest.mark.parametrize("end", [b"\n" + GOOD + b"\n", b""], ids=["more lines", "end"])
def test_too_long_line(talk, length, end):
    """"0 command-buffer-overflow, once for that line, and the next line is read as usual"."""
    assert sorted(talk(padded(length) + end)) == [OVERFLOW] + [YES] * bool(end)


def test_too_long_lines_in_a_row(talk):
    """The same, for each of many such lines between good ones."""
    lines = [padded(LIMIT + 1 + more) + b"\n" + GOOD + b"\n" for more in range(0, 3000, 100)]
    assert sorted(talk(b"".join(lines))) == [OVERFLOW] * 30 + [YES] * 30


def test_many_arguments(talk):
    """"Any number of NAME VALUE pairs": as many as a line holds, the one that counts at the end."""
    words = b"1 send-probe" + b" a b" * 8000 + b" ip-4 " + ANSWERS[4].encode() + b"\n"
    (line,) = talk(words)
    assert line.startswith(f"1 reply ip-4 {ANSWERS[4]} "), line


def test_garbage(talk):
    """Binary garbage, NUL bytes: one reply a line that holds a word, and the next good line works."""
    chance = random.Random(2)
    data = chance.randbytes(MIB) + b"\n" + bytes(chance.choice(b"\0\r\n 19-xend") for _ in range(100_000)) + b"\n"
    requests = sum(bool(line.split()) for line in data.split(b"\n"))
    lines = talk(data + b"77 check-support feature icmp\n")
    assert len(lines) == requests + 1
    assert [line for line in lines if line.startswith("77 ")][-1:] == ["77 feature-support support ok"]
    for line in lines:
        Reply.parse(line)


@pytest.mark.parametrize("line", [b"1 check-support\0 feature icmp", b"1\0 check-support feature icmp", b"\0", b"\0 \0",
                                  b"1 send-probe ip-4 127.0.0.1\0", b"1 send-probe ip-4\0 127.0.0.1",
                                  b"1 send-probe ip-4 127.0.0.1\0.1 ttl 1\0", b"1 send-probe ip-4 127.0.0.1 ttl 1\0"])
def test_nul(talk, line):
    """A NUL byte ends nothing: the line is one request, which is wrong, with one reply."""
    lines = talk(line + b"\n2 nonsense\n")
    assert len(lines) == 2 and "2 unknown-command" in lines, lines
    assert not any(" reply " in line or "support ok" in line for line in lines), lines


def test_a_million_bad_lines(talk):
    """A million bad lines: a million replies, and the next good line works."""
    lines = talk(b"x\n" * 1_000_000 + GOOD)
    assert len(lines) == 1_000_001 and lines.count(PARSE) == 1_000_000 and lines.count(YES) == 1


def test_one_byte_at_a_time(daemon):
    """A request may arrive in any pieces; there is no answer before its end."""
    for byte in b"\r\n " + GOOD + b"\r":
        daemon.write(bytes([byte]))
        time.sleep(0.001)
    assert daemon.replies == []
    daemon.write(b"\n2")
    assert daemon.collect(1)[0].line == YES
    daemon.write(b" nonsense\n" + b"x" * (LIMIT + 1))
    assert daemon.collect(1)[0].line == "2 unknown-command"
    daemon.write(b"\n" + GOOD + b"\n")
    assert sorted(reply.line for reply in daemon.collect(2)) == [OVERFLOW, YES]


# ---------------------------------------------------------------- arguments

OUT = "out-of-range"
BAD = "bad-value"
HUGE = "4294967297", "-4294967295", "99999999999999999999", "-99999999999999999999"
NO_NUMBERS = "x", "1x", "0x1", "1.5", "-", "1,", "1e1"

# name, protocol, values that are taken, values out of range, values that do not parse
NUMBERS = [
    ("ttl", "icmp", ["1", "2", "254", "255"], ["0", "-1", "256", *HUGE], NO_NUMBERS),
    ("port", "udp", ["0", "1", "65535"], ["-1", "65536", *HUGE], NO_NUMBERS),
    ("port", "tcp", ["0", "1", "65535"], ["-1", "65536", *HUGE], NO_NUMBERS),
    ("port", "sctp", ["0", "1", "65535"], ["-1", "65536", *HUGE], NO_NUMBERS),
    ("local-port", "udp", ["1024", "65535"], ["-1", "0", "1", "80", "1023", "65536", *HUGE], NO_NUMBERS),
    ("local-port", "tcp", ["1024", "65535"], ["-1", "0", "1", "80", "1023", "65536", *HUGE], NO_NUMBERS),
    ("size", "icmp", ["0", "1", "27", "28", "65534", "65535"], ["65536", *HUGE[::2]], NO_NUMBERS),
    ("tos", "icmp", ["0", "1", "255"], ["-1", "256", *HUGE], NO_NUMBERS),
    ("bit-pattern", "icmp", ["0", "255", "256", "-1", "-300", "2147483647", "-2147483648"],
     ["4294967296", "-2147483649", *HUGE], NO_NUMBERS),
    ("mark", "icmp", ["0", "1", "2147483647", "2147483648", "4294967295", "-1", "-2147483648"],
     ["4294967296", "-2147483649", *HUGE], NO_NUMBERS),
    ("timeout", "icmp", ["1", "10", "3600", "2147483"], ["-1"], ["x", "1x", "0x1", "-", "1,", "nan", "inf", "1e1"]),
]


def number_cases():
    for name, protocol, taken, out, bad in NUMBERS:
        start = f"send-probe {to(ANSWERS[4])} protocol {protocol} {name} "
        yield from ((start + value, "reply") for value in taken)
        for reason, values in ((OUT, out), (BAD, bad)):
            yield from ((start + value, f"invalid-argument reason {reason} argument {name}") for value in values)


def address_cases():
    wrong = {"ip-4": ["x", "1.2.3", "1.2.3.4.5", "256.0.0.1", "1.2.3.4x", "1.2.3.-4", "::1", "localhost", "1.2.3.4/32"],
             "ip-6": ["x", "1.2.3.4", "::1::2", "12345::1", "::1/128", "fd50:", "localhost", "1:2:3:4:5:6:7:8:9"]}
    for name, values in wrong.items():
        refused = f"invalid-argument reason {BAD} argument "
        answers = ANSWERS[int(name[-1])]
        for value in values:
            yield f"send-probe {name} {value}", refused + name
            yield f"send-probe {to(answers)} local-{name} {value}", refused + f"local-{name}"
    for family in (4, 6):
        start = f"send-probe {to(ANSWERS[family])} "
        other = 10 - family
        yield start, "reply"
        yield f"{start}local-ip-{family} {CLIENT[family]}", "reply"
        yield f"{start}local-address {CLIENT[family]}", "reply"
        yield f"{start}local-ip-{family} {'0.0.0.0' if family == 4 else '::'}", "reply"
        yield f"{start}local-address {'0.0.0.0' if family == 4 else '::'}", "reply"
        yield f"{start}local-address x", f"invalid-argument reason {BAD} argument local-address"
        yield (f"{start}local-ip-{other} {CLIENT[other]}",
               f"invalid-argument reason wrong-family argument local-ip-{other}")
    yield "send-probe ip-6 FD50:0:0::2", "reply"


def other_cases():
    start = f"send-probe {to(ANSWERS[4])} "
    yield from ((f"{start}protocol {protocol}", "reply") for protocol in ("icmp", "udp", "tcp", "sctp"))
    yield start + "foo bar", "reply"
    yield start + "foo bar ttl 0", "invalid-argument reason out-of-range argument ttl"
    yield start + "FOO \x7f\x80 \x80\x81 bar", "reply"
    yield start + "ttl 1 ttl 255", "reply"
    yield f"send-probe {to(SILENT[4])} ip-4 {ANSWERS[4]}", "reply"
    yield start + "timeout 0", "no-reply|reply"
    yield "send-probe", "invalid-argument reason missing-address"
    yield "send-probe ttl 5", "invalid-argument reason missing-address"
    for protocol in ("x", "gre", "ICMP", "icmpv6", "1"):
        yield (f"{start}protocol {protocol}",
               f"invalid-argument reason ({BAD}|protocol-not-supported) argument protocol")
    yield f"{start}local-address {CLIENT[6]}", f"invalid-argument reason ({BAD}|wrong-family) argument local-address"
    yield "check-support", r"invalid-argument reason missing-feature( argument feature)?"


CASES = [*number_cases(), *address_cases(), *other_cases()]


@pytest.fixture(scope="module")
def answers(binary, pair):
    """The replies to CASES, asked at once of one daemon, by token."""
    lines = converse(pair.client, "".join(f"{n} {request}\n" for n, (request, _) in enumerate(CASES)).encode("latin-1"))
    found = {}
    for line in lines:
        token, rest = line.split(" ", 1)
        found.setdefault(int(token), []).append(rest)
    return found


@pytest.mark.parametrize("number", range(len(CASES)), ids=[ascii(request[11:]) for request, _ in CASES])
def test_argument(answers, number):
    """Every argument at, below and above its limits: "invalid-argument reason WORD argument NAME, never a guess"."""
    request, expected = CASES[number]
    got = answers.get(number, [])
    assert len(got) == 1, f"{request}: expected one reply ({expected}), got {got}"
    first = got[0].split(" ")[0]
    assert re.fullmatch(expected, got[0] if first == "invalid-argument" else first), \
        f"{request}\nexpected: {expected}\n     got: {got[0]}"


@pytest.mark.parametrize("words, expected", [
    ("foo bar", " argument foo"),
    ("ttl 5 timeout 3 foo-bar 1 ", " argument foo-bar"),
    ("TTL 5", " argument TTL"),
    ("f\x80o bar", ""),
    ("f\x01 bar", ""),
    ("\x7f bar", ""),
])
def test_strict(talk, words, expected):
    """"with --strict it is invalid-argument reason unknown-argument"; no argument "for a NAME that is not ASCII"."""
    request = f"1 send-probe {to(ANSWERS[4])} {words}\n".encode("latin-1")
    assert talk(request, "--strict") == ["1 invalid-argument reason unknown-argument" + expected]
    (line,) = talk(request)
    assert line.startswith("1 reply "), line


def test_strict_takes_what_is_known(talk):
    """--strict refuses nothing of the table."""
    words = "protocol udp port 81 local-port 40000 timeout 5 ttl 9 size 99 bit-pattern 7 tos 8 mark 0 local-device wire"
    for family in (4, 6):
        for local in (f"local-ip-{family}", "local-address"):
            request = f"1 send-probe {to(ANSWERS[family])} {words} {local} {CLIENT[family]}\n"
            (line,) = talk(request.encode(), "--strict")
            assert line.startswith("1 reply "), line


# ---------------------------------------------------------------- check-support and the command line

@pytest.mark.parametrize("feature", ["send-probe", "ip-4", "ip-6", "icmp", "udp", "tcp", "sctp", "mark",
                                     "local-device"])
def test_feature(daemon, feature):
    """"check-support feature NAME answers feature-support support ok": as root each of part 1 can be had."""
    assert daemon.ask(f"7 check-support feature {feature}").line == "7 feature-support support ok"


@pytest.mark.parametrize("feature", ["timeout-fraction", "scope-id", "detail", "dont-fragment", "packet-too-big",
                                     "flow", "flow-label", "payload", "broadcast", "collect", "nonsense", "Icmp",
                                     "icm"])
def test_addition(daemon, feature):
    """"each addition of part 2" is ok or no; what nobody knows is no."""
    allowed = ["7 feature-support support no"]
    if feature not in ("nonsense", "Icmp", "icm"):
        allowed.append("7 feature-support support ok")
    assert daemon.ask(f"7 check-support feature {feature}").line in allowed


def test_version(daemon, binary):
    """"feature version answers the version string", which is that of --version."""
    version = daemon.ask("check-support feature version").args["support"]
    assert re.match(r"\d+\.\d+", version), version
    assert version in subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_information(binary, option):
    """--help and --version answer on stdout and exit with 0; stderr is the user's screen."""
    done = subprocess.run([binary, option], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mtr-packet" in done.stdout or option == "--version"
    assert done.stdout.endswith("\n")


@pytest.mark.parametrize("args", [["--nonsense"], ["-x"], ["extra"], ["--replies"], ["--replies", "nonsense"]], ids=str)
def test_bad_option(binary, args):
    """Nothing else on the command line: status 1 with a word on stderr, none on stdout."""
    done = subprocess.run([binary, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("\n") and len(done.stderr) > 1


# ---------------------------------------------------------------- time

def test_timeout_zero(daemon):
    """"timeout: 0 answers at once"."""
    for family in (4, 6):
        start = time.monotonic()
        reply = daemon.ask(f"send-probe {to(SILENT[family])} timeout 0")
        assert reply.kind == "no-reply"
        assert reply.time - start < 0.5


def test_order_of_deadlines(daemon):
    """Each probe has a deadline of its own: "in whatever order results come"."""
    timeouts = [2, 0, 1, 2, 1, 0]
    daemon.send(*(f"{token} send-probe {to(SILENT[4])} timeout {timeout}" for token, timeout in enumerate(timeouts)))
    got = [timeouts[reply.token] for reply in daemon.collect(len(timeouts))]
    assert got == sorted(timeouts)


def late(daemon, count, timeout):
    """By how many seconds each of so many deadlines was missed."""
    sent = {}
    for token in range(count):
        sent[token] = time.monotonic()
        daemon.send(f"{token} send-probe {to(SILENT[4 if token % 2 else 6])} timeout {timeout}")
        time.sleep(0.013)
    replies = daemon.collect(count, timeout=float(timeout) + 5)
    assert {reply.kind for reply in replies} == {"no-reply"}
    return sorted(reply.time - sent[reply.token] - float(timeout) for reply in replies)


@pytest.mark.parametrize("timeout", ["1", "0.25"])
def test_deadline(daemon, timeout):
    """Deadlines "kept to 5 ms" (the median of many), and never early."""
    if "." in timeout and daemon.ask("check-support feature timeout-fraction").args["support"] != "ok":
        pytest.skip("this daemon knows no fractions of a second yet: check-support says so")
    missed = late(daemon, 60, timeout)
    assert missed[0] >= 0, f"a deadline came {-missed[0] * 1000:.3f} ms early"
    assert statistics.median(missed) <= 0.005, f"late by (ms): {[round(seconds * 1000, 1) for seconds in missed]}"


def idle(daemon, seconds=1.0):
    """How often it woke up in this time, and the processor seconds it used."""
    def state():
        return (daemon.status("voluntary_ctxt_switches") + daemon.status("nonvoluntary_ctxt_switches"), daemon.cpu())

    before = state()
    time.sleep(seconds)
    return tuple(after - earlier for after, earlier in zip(state(), before))


def test_idle(daemon):
    """The loop sleeps: with nothing to do, with probes in flight, after the end of input. The default timeout is 10.

    "End of input: requests already read are finished, each is answered, then exit status 0."
    """
    probes = [f"{to(SILENT[family])} protocol {protocol}"
              for family in (4, 6) for protocol in ("icmp", "udp", "tcp", "sctp")]
    time.sleep(0.2)
    resting = idle(daemon)
    sent = time.monotonic()
    daemon.send(*(f"{token} send-probe {words}" for token, words in enumerate(probes)))
    time.sleep(1.5)  # neighbour discovery and the like are over
    in_flight = idle(daemon)
    daemon.close_stdin()
    time.sleep(0.2)
    after_the_end = idle(daemon)
    assert daemon.replies == [], f"no reply before 10 s, but {daemon.replies}"
    status, stderr = daemon.wait(15)
    assert (status, stderr) == (0, "")
    got = sorted((reply.token, reply.kind) for reply in daemon.replies)
    assert got == [(token, "no-reply") for token in range(len(probes))]
    took = [reply.time - sent for reply in daemon.replies]
    assert min(took) >= 10 and max(took) < 10.5, f"the default timeout is 10 s, and they took {took}"
    for name, (wakes, cpu) in dict(resting=resting, in_flight=in_flight, after_the_end=after_the_end).items():
        assert wakes <= 20 and cpu <= 0.05, f"{name}: woke {wakes} times in a second and used {cpu} s"


def test_end_of_input(daemon):
    """"End of input": what is under way is finished, then it exits at once."""
    daemon.send(f"1 send-probe {to(SILENT[4])} timeout 1", f"2 send-probe {to(ANSWERS[4])}", "3 nonsense")
    daemon.write(f"4 send-probe {to(ANSWERS[6])}".encode())
    start = time.monotonic()
    assert daemon.finish() == (0, "")
    took = time.monotonic() - start
    assert sorted((reply.token, reply.kind) for reply in daemon.replies) == \
        [(1, "no-reply"), (2, "reply"), (3, "unknown-command"), (4, "reply")]
    assert 0.9 < took < 1.5, f"it took {took} s"


# ---------------------------------------------------------------- writes

def written(log, pipe):
    """What each write to this pipe really took, from a log of strace -y."""
    pieces = []
    for line in log.splitlines():
        match = re.search(rf"\b(?:write|writev|sendto|sendmsg)\(\d+<pipe:\[{pipe}\]>, (.*)= (\d+)$", line)
        if match:
            strings = re.findall(r'(?<=iov_base=)"(?:[^"\\]|\\.)*"|^"(?:[^"\\]|\\.)*"', match[1])
            data = b"".join(ast.literal_eval("b" + string) for string in strings)
            pieces.append(data[:int(match[2])])
    return pieces


def test_a_line_leaves_in_one_write(binary, pair, tmp_path):
    """"Replies are whole lines ... a reply line leaves in one write()": also when the client reads slowly."""
    if not shutil.which("strace"):
        pytest.skip("needs strace")
    log, count = tmp_path / "log", 6000
    with Daemon(pair.client, wrapper=["strace", "-f", "-y", "-s", "1000000", "-o", log,
                                      "-e", "trace=write,writev,sendto,sendmsg"]) as daemon:
        pipe = os.fstat(daemon.process.stdout.fileno()).st_ino
        daemon.ask("check-support feature icmp", timeout=20)
        daemon.pause()
        writer = daemon.write_later(b"1 check-support feature icmp\n" * count)
        time.sleep(1)
        daemon.resume()
        daemon.collect(count, timeout=30)
        writer.join()
        assert daemon.finish() == (0, "")
    pieces = written(log.read_text(encoding="latin-1"), pipe)
    assert sum(piece.count(b"\n") for piece in pieces) == count + 1, f"the log holds {len(pieces)} writes to stdout"
    torn = [piece for piece in pieces if not piece.endswith(b"\n")]
    assert torn == [], f"{len(torn)} of {len(pieces)} writes end within a line, as {torn[0][-60:]!r}"
