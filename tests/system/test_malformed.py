# SPDX-License-Identifier: MIT
"""Malformed answers, at full speed: none crashes the daemon, hangs it, leaks, or completes a probe that it does not
prove; and good probes between them are served."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from lab import cc, forge, mutate
from lab.daemon import ROOT, Daemon
from lab.expect import NO_REPLY, Case, answered, compare, gather, said, send
from lab.net import Namespace
from lab.path import Tun, target_address
from test_path import FAMILIES, PROTOCOLS, every_family, every_protocol, honest_answers, probe

HONEST = 5000  # number of the target whose answers are good, and of its first token

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(scope="module")
def tun():
    with Namespace("malformed") as namespace, Tun(namespace) as device:
        yield device


@pytest.fixture
def prey(tun, binary):
    tun.drain()
    with Daemon(tun.namespace, binary=binary) as running:
        yield running
        assert running.finish() == (0, "")


def spray(tun, packets):
    """What the kernel refuses to take from the device is broken enough."""
    taken = 0
    for packet in packets:
        try:
            os.write(tun.fd, packet)
            taken += 1
        except OSError:
            pass
    return taken


def right(family, address, labels=True):
    """What may be said when a broken answer is believed after all."""
    expired = answered("ttl-expired", forge.ROUTER[family])
    return {NO_REPLY, answered("reply", address), expired} | ({f"{expired} mpls 16,0,1,1"} if labels else set())


@every_protocol
def test_each(tun, prey, protocol):
    """One probe for each broken answer, which gets that answer alone."""
    cases, builds = [], []
    for family in FAMILIES:
        for name, build in mutate.believable(protocol, family):
            address = target_address(len(cases))[family]
            cases.append(Case(f"{name}, IPv{family}", address, right(family, address)))
            builds.append(build)
        for name, build in mutate.unbelievable(protocol, family):
            address = target_address(len(cases))[family]
            cases.append(Case(f"{name}, IPv{family}", address, NO_REPLY))
            builds.append(build)
    assert len(cases) < HONEST
    send(prey, [probe(6 if ":" in case.request else 4, case.request, protocol, timeout=2) for case in cases])
    probes = tun.probes([case.request for case in cases])
    spray(tun, [build(probes[case.request]) for build, case in zip(builds, cases)])
    replies, note = honest_answers(tun, prey, protocol, len(cases))
    silent = [reply.time for reply in replies if reply.kind == NO_REPLY]
    assert max(reply.time for reply in replies if reply.token >= HONEST) < min(silent), "this machine is too slow"
    compare(cases, [reply for reply in replies if reply.token < HONEST], note=note)


def silent_probes(tun, daemon, each, timeout):
    """So many of every protocol and family: [(protocol, family, packet)]"""
    rows = [(protocol, family) for family in FAMILIES for protocol in PROTOCOLS for _ in range(each)]
    addresses = [target_address(number)[family] for number, (_, family) in enumerate(rows)]
    send(daemon, [probe(family, address, protocol, timeout=timeout)
                  for (protocol, family), address in zip(rows, addresses)])
    found = tun.probes(addresses)
    return [(protocol, family, found[address]) for (protocol, family), address in zip(rows, addresses)]


def flood(tun, daemon, each, seconds, timeout, patience=5):
    """Silent probes under a flood of what must not be believed, with good probes in between, each answered three
    times. Returns how many packets were sprayed."""
    silent = silent_probes(tun, daemon, each, timeout)
    packets = [build(packet) for number, (protocol, family, packet) in enumerate(silent)
               for _, build in mutate.unbelievable(protocol, family)[number % each::each]]
    end, sprayed, good = time.monotonic() + seconds, 0, []
    while time.monotonic() < end:
        for at in range(0, len(packets), 2000):
            family, protocol = FAMILIES[len(good) % 2], PROTOCOLS[len(good) // 2 % 4]
            address = target_address(HONEST + len(good))[family]
            daemon.send(f"{HONEST + len(good)} {probe(family, address, protocol)}")
            good.append(Case(f"a good probe, {protocol}", f"IPv{family}", answered("reply", address)))
            sprayed += spray(tun, packets[at:at + 2000])
            spray(tun, [forge.direct(tun.probes([address], patience)[address])] * 3)
            if time.monotonic() > end:
                break
    replies, note = gather(daemon, len(silent) + len(good), timeout + patience)
    compare([Case(f"silent, {protocol}", f"IPv{family}", NO_REPLY) for protocol, family, _ in silent],
            [reply for reply in replies if reply.token < HONEST], note=note)
    compare(good, [reply for reply in replies if reply.token >= HONEST], HONEST, note)
    return sprayed


def test_full_speed(tun, prey):
    """The same for seconds, as fast as a packet can be written, and the memory does not grow."""
    flood(tun, prey, 5, seconds=1, timeout=2)
    before = prey.status("VmRSS")
    sprayed = flood(tun, prey, 5, seconds=3, timeout=4)
    assert sprayed > 50_000, f"{sprayed} packets in 3 s are no flood"
    assert prey.status("VmRSS") - before < 512, f"it grew from {before} kB to {prey.status('VmRSS')} kB"


@pytest.fixture(scope="module")
def unsandboxed():
    """A daemon without the sandbox, which valgrind's own calls would trip over."""
    if not shutil.which("valgrind"):
        pytest.skip("no valgrind (Debian package valgrind)")
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    subprocess.run([environment.get("MAKE", "make"), "--no-print-directory", "-s", "-j2", "BUILD=build/no-seccomp",
                    "HAVE_LIBSECCOMP=", "all"], cwd=ROOT, env=environment, check=True)
    return str(ROOT / "build" / "no-seccomp" / "mtr-packet")


def test_valgrind(tun, unsandboxed):
    """No byte read that was not received, and none leaked: valgrind says so, of everything that is sprayed above."""
    if cc.sanitized():
        pytest.skip("the sanitizers look for the same")
    tun.drain()
    wrapper = "valgrind", "-q", "--vgdb=no", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=all"
    with Daemon(tun.namespace, binary=unsandboxed, wrapper=wrapper) as daemon:
        daemon.ask("check-support feature icmp", timeout=20)
        flood(tun, daemon, 1, seconds=2, timeout=5, patience=10)
        code, stderr = daemon.finish(30)
        assert code == 0 and stderr == "", f"exit status {code}\n{stderr}"


# ---------------------------------------------------------------- at the wrong time, or to the wrong one

@every_protocol
def test_after_expiry(tun, prey, protocol):
    """Answers to probes that are over find nobody, though others are in flight to the same targets."""
    rows = [(family, number) for family in FAMILIES for number in range(100)]
    requests = [probe(family, target_address(number)[family], protocol, timeout=0.3, **more)
                for family, number in rows for more in ({},)]
    packets = []
    for _ in range(3):
        send(prey, requests)
        found = tun.probes([target_address(number)[family] for family, number in rows])
        spray(tun, packets)
        packets = [build(packet) for packet in found.values() for build in (forge.direct, forge.time_exceeded)]
        compare([Case("after expiry", protocol, NO_REPLY)] * len(requests), prey.collect(len(requests)))
    spray(tun, packets)


@every_family
@pytest.mark.parametrize("protocol", ["icmp", "udp"])
def test_before_sending(tun, prey, protocol, family):
    """An answer that lies there before its probe leaves: with the next numbers, which a forger may guess who has seen
    one probe, and with a pattern in place of a nonce."""
    address = target_address(1)[family]
    request = probe(family, address, protocol, timeout=0.5, bit_pattern=0)
    send(prey, [request])
    seen = tun.probes([address])[address]
    assert prey.collect(1)[0].kind == NO_REPLY
    send(prey, [probe(family, target_address(2)[family], protocol, timeout=1)])  # so that the daemon listens
    following = [forge.direct(seen)]
    for step in range(1, 20):
        if protocol == "icmp":
            changes = {"dport": seen.seq + step & 0xffff}
        else:
            changes = {"sport": seen.dport + step & 0xffff}
        following.append(forge.packet(seen, forge.message(seen, **changes)))
    os.kill(prey.pid, signal.SIGSTOP)
    spray(tun, following)
    prey.send(f"77 {request}")
    time.sleep(0.05)
    os.kill(prey.pid, signal.SIGCONT)
    replies = {reply.token: said(reply) for reply in prey.collect(2)}
    assert replies == {77: NO_REPLY, 1: NO_REPLY}, replies
    later = tun.probes([address])[address]
    number = "seq" if protocol == "icmp" else "dport"
    assert 0 < (getattr(later, number) - getattr(seen, number)) % 65536 < 20, "the guess was wrong: no test"


@every_protocol
def test_another_daemon(tun, binary, prey, protocol):
    """Answers to another daemon's probes, to the same targets at the same time, are its own: it believes them all, and
    this one none."""
    rows = [(family, target_address(number)[family]) for family in FAMILIES for number in range(100)]
    for more in ({}, {"bit_pattern": 0}):
        tun.drain()
        requests = [probe(family, address, protocol, timeout=1, **more) for family, address in rows]
        with Daemon(tun.namespace, binary=binary) as other:
            send(other, requests)
            found = tun.probes([address for _, address in rows])
            send(prey, requests)
            tun.probes([address for _, address in rows])
            for number, (_, address) in enumerate(rows):
                spray(tun, [(forge.direct, forge.time_exceeded)[number % 2](found[address])])
            compare([Case("the other's", protocol, answered("ttl-expired", forge.ROUTER[family]) if number % 2 else
                          answered("reply", address)) for number, (family, address) in enumerate(rows)],
                    gather(other, len(rows))[0])
            assert other.finish() == (0, "")
        compare([Case("ours", protocol, NO_REPLY)] * len(rows), gather(prey, len(rows))[0])
