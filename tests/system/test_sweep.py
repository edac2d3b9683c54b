# SPDX-License-Identifier: MIT
"""Sweeps: one request, a probe for each combination of what it names."""

import collections
import ipaddress
import itertools
import random
import signal
import time

import pytest

from lab import transports, twelve
from lab.daemon import Daemon, target as to
from lab.net import CommandError, Namespace
from lab.pair import ANSWERS, SILENT, Pair
from lab.path import OURS, OURS_TOO, Path, hop_address, target

PROTOCOLS = "icmp", "udp", "tcp", "sctp"
BLOCKS = {4: "10.60.0.0/16", 6: "fd60::/112"}  # each address of which answers
QUIET = {4: "10.61.0.0/16", 6: "fd61::/112"}  # and none of these
OVER = ("swept",)

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(scope="module")
def wide():
    """A client and a target that has whole blocks of addresses, by one neighbour entry."""
    with Pair("wide") as both:
        for family in (4, 6):
            both.target.ip(*(f"-{family} route add local {block[family]} dev lo" for block in (BLOCKS, QUIET)))
            both.client.ip(*(f"-{family} route add {block[family]} via {ANSWERS[family]}" for block in (BLOCKS, QUIET)))
        both.target.nft(f"""
            table inet quiet {{
                chain input {{
                    type filter hook input priority 0;
                    ip daddr {QUIET[4]} drop
                    ip6 daddr {QUIET[6]} drop
                }}
            }}""")
        yield both


@pytest.fixture
def swept(wide, binary):
    """A daemon on the client's side; it must end well, with nothing left to say."""
    with Daemon(wide.client, binary=binary) as daemon:
        yield daemon
        assert daemon.finish() == (0, "")


def sweep(family, targets, **arguments):
    return " ".join(["sweep", f"ip-{family}", targets,
                     *(f"{name.replace('_', '-')} {value}" for name, value in arguments.items())])


def hear(daemon, tokens=(1,), timeout=20):
    """What is said until all of these are swept: token -> its lines, the last of which is `swept`."""
    heard, left, end = collections.defaultdict(list), set(tokens), time.monotonic() + timeout
    while left:
        reply = daemon.collect(1, max(0.0, end - time.monotonic()))[0]
        assert reply.token not in tokens or reply.token in left, f"behind its end: {reply}"
        heard[reply.token].append(reply)
        if reply.kind in OVER:
            left.discard(reply.token)
    return heard


def numbers(reply):
    return {name: int(value) for name, value in reply.args.items() if name != "seconds"}


def check_sum(lines, combinations, start=0):
    """`swept` adds up, and to what its lines are."""
    *lines, last = lines
    tally = numbers(last)
    assert tally["answered"] + tally["silent"] + tally["refused"] == combinations, str(last)
    assert tally["next"] == start + combinations, str(last)
    assert tally["answered"] == sum("round-trip-time" in line.args for line in lines), str(last)
    return tally


def addresses(block):
    return set(map(str, ipaddress.ip_network(block)))


# ---- every combination once, and its answer

@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_once(swept, family, protocol):
    """A block, by every protocol in both families."""
    block = str(next(ipaddress.ip_network(BLOCKS[family]).subnets(new_prefix=24 if family == 4 else 120)))
    swept.send("1 " + sweep(family, block, protocol=protocol, rate=5000, timeout=2))
    lines = hear(swept)[1]
    assert check_sum(lines, 256) == {"sent": 256, "answered": 256, "silent": 0, "refused": 0, "next": 256}
    assert {line.args["target"] for line in lines[:-1]} == addresses(block)
    assert {line.kind for line in lines[:-1]} <= ({"reply", "no-route-host"} if protocol == "sctp" else {"reply"})
    if protocol in ("icmp", "tcp"):  # errors come from the address towards us
        assert all(line.args["target"] == line.address for line in lines[:-1])


def test_all_combinations(swept):
    """Targets, ports and ttls, each with each; what there is one of is not said."""
    swept.send("1 " + sweep(4, "10.60.0.1-10.60.0.3,10.60.9.9/32", protocol="udp", port="1000-1004", ttl="7-8", rate=2000),
               "2 " + sweep(4, "10.60.0.1", rate=2000))
    heard = hear(swept, (1, 2))
    check_sum(heard[1], 4 * 5 * 2)
    assert {(line.args["target"], line.args["probe-port"], line.args["probe-ttl"]) for line in heard[1][:-1]} == set(
        itertools.product(["10.60.0.1", "10.60.0.2", "10.60.0.3", "10.60.9.9"], map(str, range(1000, 1005)), "78"))
    assert list(heard[2][0].args) == ["ip-4", "round-trip-time"]


def test_exclusions(swept):
    swept.send("1 " + sweep(4, "10.60.0.0/24", exclude="10.60.0.128/25,10.60.0.3,10.0.0.0/16", rate=5000))
    lines = hear(swept)[1]
    check_sum(lines, 127)
    assert {line.address for line in lines[:-1]} == \
        {f"10.60.0.{last}" for last in range(128) if last != 3}


def test_routes_within_a_block(swept, wide):
    """Each target goes its own way, and a route that is new is taken at once."""
    blocks = {kind: ipaddress.ip_network(block) for kind, block in
              {"no-route-host": "10.60.7.64/28", "no-route-network": "10.60.7.128/26", "later": "10.60.7.0/27"}.items()}
    wide.client.ip(f"route add unreachable {blocks['no-route-host']}", f"route add throw {blocks['no-route-network']}")
    try:
        swept.send("1 " + sweep(4, "10.60.7.0/24", rate=20_000, timeout=1, report="all"))
        first = hear(swept)[1][:-1]
        wide.client.ip(f"route add unreachable {blocks['later']}")
        swept.send("1 " + sweep(4, "10.60.7.0/24", rate=20_000, timeout=1, report="all"))
        second = hear(swept)[1][:-1]
    finally:
        wide.client.run("ip", "route", "flush", "root", "10.60.7.0/24")
    for lines in first, second:
        for line in lines:
            address = ipaddress.ip_address(line.args["target"])
            found = [kind for kind, block in blocks.items() if address in block]
            if found == ["later"]:
                assert line.kind == ("reply" if lines is first else "no-route-host"), str(line)
            else:
                assert line.kind == (found or ["reply"])[0], str(line)


@pytest.fixture(scope="module")
def path(binary):
    with Namespace("sweep") as namespace, Path(namespace) as played:
        yield played


def test_topology(path, binary):
    """Every router on the way to every target, by one line."""
    path.play(twelve.ROUTERS, [target(number) for number in range(4)])
    with Daemon(path.namespace, binary=binary) as daemon:
        daemon.send("1 " + sweep(4, "10.99.1.1-10.99.1.4", ttl="1-14", rate=500, timeout=2))
        lines = hear(daemon)[1]
    check_sum(lines, 4 * 14)
    for line in lines[:-1]:
        ttl = int(line.args["probe-ttl"])
        expected = ("ttl-expired", twelve.address(ttl, 4)) if ttl <= len(twelve.ROUTERS) else ("reply", line.args["target"])
        assert (line.kind, line.address) == expected, str(line)
    assert any("mpls" in line.args for line in lines)


KINDS = {
    "reply": {},
    "duplicated": {"copies": 3},
    "late": {"delay": 2.5},
    "unreachable": {"icmp": "error", "error": (3, 1)},
    "elsewhere": {"icmp": "error", "error": (3, 0), "sender": hop_address(9)},
    "expired": {"icmp": "error", "error": (11, 0), "sender": hop_address(8)},
}
SAID = {
    "reply": "reply", "duplicated": "reply", "late": "no-reply", "unreachable": "no-route-host",
    "elsewhere": "no-route-network", "expired": "ttl-expired", "silent": "no-reply",
}


def test_a_network(path, binary):
    """65,536 addresses that answer, and don't, in every way: each lands in its count. Without privileges, a quarter of it."""
    block, count = ("10.99.0.0/16", 65536) if transports.current == transports.RAW else ("10.99.192.0/18", 16384)
    wanted = {address: "silent" for address in addresses(block)}
    targets = []
    for number, kind in zip(range(6000), itertools.cycle(KINDS)):
        targets.append(target(number * 10, **KINDS[kind]))
        wanted[targets[-1].address[4]] = kind
    for own in OURS[4], OURS_TOO[4]:
        wanted[own] = "reply"
    assert set(wanted) == addresses(block) or count < 65536
    path.play([], targets)
    with Daemon(path.namespace, binary=binary) as daemon:
        daemon.send("1 " + sweep(4, block, rate=18000, timeout=1.5, report="all", progress=0.5))
        lines = hear(daemon, timeout=30)[1]
        assert daemon.finish() == (0, "")
    told = [line for line in lines[:-1] if line.kind != "sweeping"]
    tally = check_sum([*told, lines[-1]], count)
    assert len(told) == len({line.args["target"] for line in told}) == count
    wrong = [str(line) for line in told
             if line.kind != SAID[wanted[line.args["target"]]] and line.kind != "permission-denied"]
    assert not wrong, wrong[:20]
    assert tally["silent"] == sum(line.kind == "no-reply" for line in told)
    assert tally["refused"] == sum(line.kind == "permission-denied" for line in told) <= 2, "the link's broadcast addresses"
    assert tally["sent"] == count - tally["refused"]
    progress = [line for line in lines if line.kind == "sweeping"]
    assert len(progress) >= count // 18000
    assert [numbers(line)["sent"] for line in progress] == sorted(numbers(line)["sent"] for line in progress)


@pytest.mark.parametrize("family", [4, 6])
def test_late_answers(path, binary, family):
    """One that comes when its probe is over is not taken for the answer to another to the same port of that target, however
    many have left by the same socket meanwhile."""
    path.play([], [target(number, delay=1.3) for number in range(200)])
    block = "-".join(target(number).address[family] for number in (0, 199))
    with Daemon(path.namespace, binary=binary) as daemon:
        daemon.send("1 " + sweep(family, block, protocol="udp", port=5000, ttl="21-30", rate=2000, timeout=1, retries=1))
        lines = hear(daemon)[1]
        assert daemon.finish() == (0, "")
    assert len(lines) == 1, f"{len(lines) - 1} of answers to others, such as {lines[0]}"
    assert numbers(lines[0])["sent"] == 4000


def test_probed_again(swept):
    """What is silent is probed again, as often as was asked for, and told once."""
    swept.send("1 " + sweep(4, "10.61.0.0/25,10.60.0.0/25", rate=5000, timeout=0.1, retries=3, report="all"))
    lines = hear(swept)[1]
    tally = check_sum(lines, 256)
    assert (tally["answered"], tally["silent"]) == (128, 128)
    assert tally["sent"] == 128 + 4 * 128
    assert collections.Counter(line.kind for line in lines) == {"reply": 128, "no-reply": 128, "swept": 1}


# ---- order, parts, stopping

def test_order(swept):
    """Sequential is in order; the same seed is the same order; another is another."""
    def order(**arguments):
        swept.send("1 " + sweep(4, "10.60.0.0/24", rate=2000, **arguments))
        return [line.args["target"] for line in hear(swept)[1][:-1]]
    assert order(order="sequential") == [f"10.60.0.{last}" for last in range(256)]
    first = order(seed=7)
    # Two that were under way at once may be answered in either order.
    assert sum(one != other for one, other in zip(first, order(seed=7))) <= 60
    assert sum(one != other for one, other in zip(first, order(seed=8))) > 200


def test_shards(swept):
    """Three daemons, or one, with a part each: everything once."""
    tokens = range(1, 4)
    swept.send(*(f"{shard} " + sweep(4, "10.60.0.0/22", rate=5000, seed=5, shard=f"{shard}/3") for shard in tokens))
    heard = hear(swept, tokens)
    found = [line.args["target"] for shard in tokens for line in heard[shard][:-1]]
    assert len(found) == 1024 and set(found) == addresses("10.60.0.0/22")


def test_stopped_at_any_time(swept):
    """What was stopped is gone on with from `next`: nothing is probed twice, and nothing left out."""
    rng, start, found = random.Random(5), 0, []
    for token in range(1, 100):
        swept.send(f"{token} " + sweep(4, "10.60.0.0/20", rate=8000, seed=3, **{"from": start}))
        time.sleep(rng.random() * 0.1)
        asked = time.monotonic()
        swept.send(f"1000 stop token {token}")
        lines = hear(swept, [token])
        stopped = (lines[1000] or swept.collect(1))[0]
        assert stopped.line in ("1000 stopped count 1", "1000 stopped count 0") and stopped.time - asked < 0.5
        found += [line.args["target"] for line in lines[token][:-1]]
        begun = numbers(lines[token][-1])["next"] - start
        check_sum(lines[token], begun, start)
        start += begun
        if start == 4096:
            break
    assert len(found) == 4096 and set(found) == addresses("10.60.0.0/20")


def test_stop_waits_for_answers(swept):
    """No more are sent, but those in flight are waited for."""
    swept.send("1 " + sweep(4, QUIET[4], rate=1000, timeout=1), "2 " + sweep(4, QUIET[4], rate=1000, timeout=1),
               "3 stop token 5")
    assert swept.collect(1)[0].line == "3 stopped count 0"
    time.sleep(0.3)
    swept.send("4 stop token 1")
    stopped = swept.collect(1)[0]
    assert stopped.line == "4 stopped count 1"
    end = swept.collect(1)[0]
    assert (end.token, end.kind) == (1, "swept") and end.time - stopped.time > 0.7
    tally = numbers(end)
    assert tally["sent"] == tally["silent"] == tally["next"] < 65536
    swept.send("5 stop token 2")
    assert numbers(hear(swept, [2])[2][-1])["sent"] > tally["sent"]


def test_limit(swept):
    """It ends when so many different targets have replied, whatever their ttls."""
    swept.send("1 " + sweep(4, "10.60.0.0/20", ttl="3-5", rate=3000, limit=100))
    lines = hear(swept)[1]
    tally = check_sum(lines, numbers(lines[-1])["next"])
    different = len({line.args["target"] for line in lines[:-1]})
    assert 100 <= different < 200, f"{different}, with those that were in flight"
    assert tally["next"] < 500


# ---- with others

def test_four_and_single_ones(swept):
    """Four sweeps and single requests at once: each has what it would have alone."""
    swept.send("1 " + sweep(4, "10.60.0.0/22", rate=4000), "2 " + sweep(6, "fd60::/118", rate=2000),
               "3 " + sweep(4, "10.61.0.0/23", rate=2000, timeout=0.5),
               "4 " + sweep(4, "10.60.0.0/23", rate=2000, protocol="tcp"))
    asked = range(100, 300)
    for token in asked:
        swept.send(f"{token} send-probe {to(ANSWERS[4])} timeout 5")
        time.sleep(0.001)
    heard = hear(swept, (1, 2, 3, 4))
    assert check_sum(heard[1], 1024)["answered"] == 1024
    assert check_sum(heard[2], 1024)["answered"] == 1024
    assert check_sum(heard[3], 512)["silent"] == 512
    assert check_sum(heard[4], 512)["answered"] == 512
    assert [len(heard[token]) for token in asked] == [1] * len(asked)
    assert {heard[token][0].kind for token in asked} == {"reply"}


def test_single_ones_have_descriptors(wide, binary):
    """Where a sweep could take as many descriptors as there are, some are left for single requests: those go ahead."""
    few = "sh", "-c", 'ulimit -n 128 && exec "$0" "$@"'
    with Daemon(wide.client, binary=binary, wrapper=few) as daemon:
        daemon.send("1 " + sweep(4, QUIET[4], protocol="tcp", rate=2000, timeout=1))
        time.sleep(0.5)
        for protocol in ("icmp", "udp", "tcp"):
            for family in (4, 6):
                reply = daemon.ask(f"send-probe {to(ANSWERS[family])} protocol {protocol}")
                assert reply.kind == "reply", f"{protocol}: {reply}"
        daemon.send("2 stop token 1")
        tally = numbers(hear(daemon)[1][-1])
        assert tally["sent"] == tally["silent"] >= 90 and tally["refused"] == 0, tally
        assert daemon.finish() == (0, "")


def test_nobody_reads(swept):
    """Output unread for five seconds: the sweep waits, and nothing is lost."""
    swept.pause()
    swept.send("1 " + sweep(4, BLOCKS[4], rate=60000, timeout=1))
    time.sleep(2)
    before = swept.cpu()
    pause = 5 if transports.current == transports.RAW else 2.5
    time.sleep(pause - 2)
    assert swept.cpu() - before < 0.2, "it goes on while nobody reads"
    swept.resume()
    lines = hear(swept, timeout=30)[1]
    assert check_sum(lines, 65536) == {"sent": 65536, "answered": 65536, "silent": 0, "refused": 0, "next": 65536}
    assert float(lines[-1].args["seconds"]) > pause


def test_end_of_input_and_of_the_process(wide, binary):
    """End of input ends no sweep; SIGTERM does."""
    for end in False, True:
        with Daemon(wide.client, binary=binary) as daemon:
            daemon.send("1 " + sweep(4, "10.60.0.0/23", rate=1000))
            daemon.close_stdin()
            time.sleep(0.2)
            if end:
                daemon.process.send_signal(signal.SIGTERM)
                assert daemon.wait(2)[0] == -signal.SIGTERM
            else:
                assert daemon.wait(10) == (0, "")
                check_sum(daemon.replies, 512)


@pytest.mark.parametrize("rate", [1000, 20_000])
def test_rate(swept, rate):
    """As fast as was asked for, and no faster; it sleeps between."""
    before = swept.cpu()
    swept.send("1 " + sweep(4, QUIET[4], rate=rate, timeout=0.1, shard=f"1/{65536 // rate}"))
    end = hear(swept)[1][-1]
    seconds = float(end.args["seconds"]) - 0.1
    count = numbers(end)["sent"]
    assert count / rate * 0.98 < seconds < count / rate * 1.25, f"{count} probes in {seconds} s"
    assert swept.cpu() - before < 0.6


def test_full_queue(binary):
    """A full queue passes by itself: faster than the wire takes them, none is lost."""
    with Pair("slow") as slow:
        try:
            slow.client.run("tc", "qdisc", "add", "dev", "wire", "root", "tbf",
                            "rate", "10mbit", "burst", "2000", "limit", "3000")
        except CommandError as error:
            pytest.skip(f"this kernel has no tbf: {error}")
        slow.target.ip(f"route add local {BLOCKS[4]} dev lo")
        slow.client.ip(f"route add {BLOCKS[4]} via {ANSWERS[4]}")
        with Daemon(slow.client, binary=binary) as daemon:
            daemon.send("1 " + sweep(4, "10.60.0.0/20", rate=1_000_000, timeout=3))
            time.sleep(0.05)
            daemon.send(f"2 send-probe {to(ANSWERS[4])}")
            heard = hear(daemon)
    assert check_sum(heard[1], 4096) == {"sent": 4096, "answered": 4096, "silent": 0, "refused": 0, "next": 4096}
    assert heard[2][0].kind == "reply"


def test_as_many_as_there_is_room_for(swept):
    """64 at once; the others are told so, and a sweep that ended makes room."""
    swept.send(*(f"{token} " + sweep(4, SILENT[4], timeout=0.5) for token in range(1, 67)))
    assert [reply.line for reply in swept.collect(2)] == ["65 probes-exhausted", "66 probes-exhausted"]
    heard = hear(swept, range(1, 65))
    assert {line.line.split(" ", 1)[1].split(" next")[0] for lines in heard.values() for line in lines} == \
        {"swept sent 1 answered 0 silent 1 refused 0"}
    assert swept.ask(sweep(4, ANSWERS[4])).kind == "reply"
    assert swept.collect(1)[0].kind == "swept"


# ---- lines that are wrong

def bad_lines():
    """(words behind `sweep`, what is said of them)"""
    def says(reason, argument):
        return f"invalid-argument reason {reason}" + (f" argument {argument}" if argument else "")
    bad, beyond = "bad-value", "out-of-range"
    good = {4: "10.0.0.0/30", 6: "fd00::/126"}
    wrong_lists = {
        4: [",", "10.0.0.1,", ",10.0.0.1", "10.0.0.1,,10.0.0.2", "10.0.0", "10.0.0.1/", "10.0.0.1/x", "10.0.0.1/8/8",
            "10.0.0.1-", "-10.0.0.1", "10.0.0.1-10.0.0.2-10.0.0.3", "10.0.0.1-10.0.0.2/31", "10.0.0.1/31-10.0.0.9",
            "10.0.0.1%eth0", "fd00::1", "10.0.0.1;10.0.0.2", "10.0.0.256", "name", "10.0.0.1/+8", "10.0.0.1/8."],
        6: [",", "fd00::1,", "fd00::1,,fd00::2", "fd00::g", "fd00::1/", "fd00::1/x", "fd00::1-", "-fd00::1", "10.0.0.1",
            "fd00::1%eth0", "fe80::1%", "fe80::1%eth0,fe80::2", "fe80::1,fe80::2%eth0", "fe80::1%eth0,fe80::2%eth1",
            "fe80::%eth0/64", "fe80::1%a-very-long-name-it-is", "fd00::1-fd00::2/126", "name", "fd00::1/64/64"],
    }
    beyond_lists = {
        4: ["10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1/4294967296", "10.0.0.9-10.0.0.1", "10.0.0.1,10.0.0.9-10.0.0.1"],
        6: ["fd00::1/129", "fd00::1/-1", "fd00::9-fd00::1", "fd00::1,fd00::/999"],
    }
    for family, ip in (4, "ip-4"), (6, "ip-6"):
        for text in wrong_lists[family]:
            yield f"{ip} {text}", says(bad, ip)
            if "%" not in text:
                yield f"{ip} {good[family]} exclude {text}", says(bad, "exclude")
        for text in beyond_lists[family]:
            yield f"{ip} {text}", says(beyond, ip)
            yield f"{ip} {good[family]} exclude {text}", says(beyond, "exclude")
    yield "ip-6 fe80::/64%eth0 exclude fe80::1%eth0", says(bad, "exclude")
    numbers_of = {  # argument -> (too small or too great; no number)
        "ttl": (["0", "256", "1-256", "0-5", "9-3", "99999999999999999999"], ["", "-1", "1-", "1-2-3", "x", "1.5", "1-x", "+1"]),
        "port": (["65536", "1-65536", "0-5", "9-3", "99999999999999999999"], ["-1", "1-", "1-2-3", "x", "1.5", "80,81"]),
        "flow": (["65536", "0-65536", "9-3", "99999999999999999999"], ["-1", "1-", "1-2-3", "x", "1.5"]),
        "rate": (["0", "-1", "10000001", "99999999999999999999"], ["x", "1.5", "1k", "--1", "1-2"]),
        "retries": (["-1", "21", "4294967296"], ["x", "1.5", "1-2"]),
        "seed": (["18446744073709551616", "99999999999999999999999"], ["-1", "x", "0x10", "1.5"]),
        "shard": (["0/2", "3/2", "0/0", "1/0", "1/1000001", "2/99999999999999999999"],
                  ["1", "1/", "/2", "1/2/3", "x", "-1/2", "1/-2", "1,2"]),
        "from": (["5", "1099511627777", "18446744073709551616"], ["-1", "x", "1.5"]),
        "limit": (["0", "-1", "4294967296"], ["x", "1.5"]),
        "progress": (["0", "0.001", "-1", "2147483648"], ["x", ".5", "1.", "1s"]),
        "timeout": (["-1", "2147483648"], ["x", ".5", "1."]),
        "collect": (["1", "2", "-1"], ["x"]),
        "detail": (["2", "-1"], ["x"]), "tos": (["256", "-1"], ["x"]), "size": (["65536", "-1"], ["x"]),
        "local-port": (["80", "65536"], ["x"]), "mark": (["4294967296"], ["x"]), "dont-fragment": (["2"], ["x"]),
        "broadcast": (["2"], ["x"]), "bit-pattern": (["4294967296"], ["x"]),
    }
    for family, ip in (4, "ip-4"), (6, "ip-6"):
        for name, (great, none) in numbers_of.items():
            protocol = " protocol udp" if name in ("port", "flow", "local-port") else ""
            for value, reason in [*((value, beyond) for value in great), *((value, bad) for value in none if value)]:
                yield f"{ip} {good[family]}{protocol} {name} {value}", says(reason, name)
        for name, value in itertools.product(("order", "report"), ("x", "random,sequential", "1", "RANDOM")):
            yield f"{ip} {good[family]} {name} {value}", says(bad, name)
        yield f"{ip} {good[family]} payload 0", says(bad, "payload")
        yield f"{ip} {good[family]} payload xy", says(bad, "payload")
        yield f"{ip} {good[family]} payload 0011 size 29", says(beyond, "payload")
        yield f"{ip} {good[family]} protocol igmp", says("protocol-not-supported", "protocol")
        yield f"{ip} {good[family]} unknown 1", says("unknown-argument", "unknown")
    yield "ip-4 10.0.0.1 local-ip-4 fd00::1", says(bad, "local-ip-4")
    yield "ip-4 10.0.0.1 local-ip-6 fd00::1", says("wrong-family", "local-ip-6")
    yield "ip-4 10.0.0.1 flow-label 5", says("wrong-family", "flow-label")
    yield "ip-4 10.0.0.1 flow 1-2 protocol sctp", says("protocol-not-supported", "flow")
    yield "ip-4 10.0.0.1 flow 1-2 icmp-request timestamp", says("protocol-not-supported", "flow")
    yield "ip-6 fd00::1 flow 1 icmp-request extended-echo interface-index 1", says("protocol-not-supported", "flow")
    yield "rate 5", says("missing-address", None)
    yield "", says("missing-address", None)
    yield "exclude 10.0.0.1", says("missing-address", None)
    for words in ("ip-6 ::/87", "ip-6 ::/0", "ip-6 fd00::/88,fe00::", "ip-6 ::/88 ttl 1-2",
                  "ip-6 ::/88 protocol udp port 1-2", "ip-6 ::/0 exclude ::/1"):
        yield words, says(beyond, "ip-6")
    for words in ("ip-4 0.0.0.0/0 protocol udp port 1-257", "ip-4 10.0.0.0/8 ttl 1-255 protocol udp port 1-65535",
                  "ip-4 0.0.0.0/0 ttl 1-255 flow 0-1"):
        yield words, says(beyond, "ip-4")


def test_bad_lines(swept, wide, binary):
    """Each has its reason, and none sends anything."""
    rows = list(bad_lines())
    assert len(rows) >= 300
    with Daemon(wide.client, args=["--strict"], binary=binary) as daemon:
        daemon.send(*(f"{token} sweep {words}" for token, (words, _) in enumerate(rows)))
        replies = daemon.collect(len(rows), 10)
        assert daemon.finish() == (0, "")
    said = {reply.token: reply.line.split(" ", 1)[1] for reply in replies}
    wrong = [f"{words}: {said[token]}, not {wanted}" for token, (words, wanted) in enumerate(rows)
             if said[token] != wanted and not (transports.current == transports.PLAIN and "flow" in words)]
    assert not wrong, "\n".join(wrong)
    swept.send("1 sweep ip-4", "2 stop", "3 stop token x", "4 stop token 2147483648", "5 check-support feature sweep")
    assert [reply.line for reply in swept.collect(5)] == [
        "0 command-parse-error", "2 invalid-argument reason bad-value argument token",
        "3 invalid-argument reason bad-value argument token", "4 invalid-argument reason out-of-range argument token",
        "5 feature-support support ok"]
