# SPDX-License-Identifier: MIT
"""What the daemon may do after its start, in each way to be started, and what it says when it can't start."""

import contextlib
import os
import pathlib
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time

import pytest

from lab import refuse
from lab.daemon import Daemon
from lab.expect import answered, said
from lab.net import Namespace
from lab.path import Path, hops, target, target_address

NOBODY = 65534
NET_RAW = 1 << 13
AS_NOBODY = "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"
MARK = 7
FAMILIES = 4, 6
REFUSE = pathlib.Path(refuse.__file__)
MARKED, OPEN = target_address(0), target_address(1)  # the targets: see path()

pytestmark = pytest.mark.usefixtures("root")
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def path():
    """Nothing but a mark leads to the first target; to the second leads the ordinary route."""
    with Namespace("privileges") as namespace, Path(namespace, hops(3), [target(0), target(1)]) as played:
        for family in FAMILIES:
            prefix = f"{MARKED[family]}/{32 if family == 4 else 128}"
            namespace.ip(f"-{family} route add unreachable {prefix} metric 1",
                         f"-{family} route add {prefix} dev {played.ifname} table {MARK}",
                         f"-{family} rule add fwmark {MARK} lookup {MARK}")
        yield played


@pytest.fixture(scope="module")
def copies(binary):
    """A directory where anybody may run copies of the daemon: plain, setuid, setcap."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="hopline-test-"))
    try:
        directory.chmod(0o755)
        if os.statvfs(directory).f_flag & os.ST_NOSUID:
            pytest.skip(f"{directory} is mounted nosuid")
        for name in ("plain", "setuid", "setcap"):
            shutil.copyfile(binary, directory / name)
            (directory / name).chmod(0o755)
        (directory / "setuid").chmod(0o6755)
        if subprocess.run(["setcap", "cap_net_raw+p", directory / "setcap"], check=False).returncode != 0:
            (directory / "setcap").unlink()
        yield directory
    finally:
        shutil.rmtree(directory)


# way to start -> copy, command before it, the user and group that it must end up with
WAYS = {
    "root": ("plain", (), 0),
    "set-uid": ("setuid", AS_NOBODY, NOBODY),
    "file capability": ("setcap", AS_NOBODY, NOBODY),
}
every_way = pytest.mark.parametrize("way", WAYS)

# Ways in which CAP_NET_RAW is the caller's own, for marks: as root; as service managers give it; and as pam_cap(8) does.
GIVEN = *AS_NOBODY, "--inh-caps=-all,+net_raw"
OWN_WAYS = {
    "root": WAYS["root"],
    "ambient capability": ("plain", (*GIVEN, "--ambient-caps=-all,+net_raw"), NOBODY),
    "inheritable capability": ("setcap", GIVEN, NOBODY),
}


@contextlib.contextmanager
def started(namespace, copies, way, **more):
    copy, wrapper, _ = {**WAYS, **OWN_WAYS}[way]
    if not (copies / copy).exists():
        pytest.skip(f"files in {copies} can't be given capabilities")
    with Daemon(namespace, binary=str(copies / copy), wrapper=wrapper, **more) as daemon:
        yield daemon


def status(pid):
    """/proc/PID/status: name -> words."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return {name: rest.split() for name, rest in (line.split(":", 1) for line in file)}


@every_way
def test_capabilities_after_start(path, copies, way):
    """Privileges, step 2: no capability effective, inheritable or ambient, CAP_NET_RAW at most permitted, and only where it
    was the caller's; no_new_privs, and the real user and group in place of a set-uid copy's; where CAP_SETPCAP was held, the bounding set shrinks."""
    with started(path.namespace, copies, way) as daemon:
        assert daemon.ask("check-support feature send-probe").args == {"support": "ok"}
        state = status(daemon.pid)
        assert daemon.finish() == (0, "")
    capabilities = {name: int(state[name][0], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd")}
    came = {name: hex(value) for name, value in capabilities.items()}
    assert [capabilities[name] for name in ("CapEff", "CapInh", "CapAmb")] == [0, 0, 0], came
    assert capabilities["CapPrm"] & ~(NET_RAW if way in OWN_WAYS else 0) == 0, f"permitted beyond the caller's own: {came}"
    assert state["NoNewPrivs"] == ["1"]
    user = str(WAYS[way][2])
    assert (state["Uid"], state["Gid"]) == ([user] * 4, [user] * 4), f"real, effective, saved, file system: {state}"
    if way != "file capability":
        assert capabilities["CapBnd"] & ~NET_RAW == 0, f"bounding set: {came}"


@every_way
def test_every_protocol_with_each_privilege(path, copies, way):
    """It runs set-uid, with file capabilities and as root, and serves every protocol and family; stderr stays empty."""
    with started(path.namespace, copies, way) as daemon:
        for family in FAMILIES:
            for protocol in ("icmp", "udp", "tcp", "sctp"):
                reply = daemon.ask(f"send-probe ip-{family} {OPEN[family]} protocol {protocol} timeout 3")
                assert said(reply) == answered("reply", OPEN[family]), f"{protocol}: {reply}"
        assert daemon.finish() == (0, "")


@every_family
@pytest.mark.parametrize("way", OWN_WAYS)
def test_mark(path, copies, way, family):
    """mark, where the caller had CAP_NET_RAW: the routing mark of this probe alone steers it; check-support says so by what this process can do."""
    request = f"send-probe ip-{family} {MARKED[family]} timeout 2"
    with started(path.namespace, copies, way) as daemon:
        assert said(daemon.ask("check-support feature mark")) == "feature-support support ok"
        for protocol in ("icmp", "udp", "tcp", "sctp"):
            marked = daemon.ask(f"{request} protocol {protocol} mark {MARK}")
            assert said(marked) == answered("reply", MARKED[family]), f"{protocol} with the mark: {marked}"
            other = daemon.ask(f"{request} protocol {protocol} mark {MARK + 1}")
            plain = daemon.ask(f"{request} protocol {protocol}")
            for reply in (other, plain):
                assert re.fullmatch(r"no-route-(host|network)", said(reply)), \
                    f"{protocol}: the local host has no route without the mark, but: {reply}"
        state = status(daemon.pid)
        assert int(state["CapEff"][0], 16) == 0, f"after a marked probe CapEff is {state['CapEff']}"
        assert daemon.finish() == (0, "")


@every_family
@pytest.mark.parametrize("way", [way for way in WAYS if way not in OWN_WAYS])
def test_mark_is_the_callers(path, copies, way, family):
    """The capability of the file is for everybody: no mark that leads past the host's rules by it, and none is kept."""
    request = f"send-probe ip-{family} {MARKED[family]} timeout 1 mark {MARK}"
    with started(path.namespace, copies, way, args=("--verbose",)) as daemon:
        assert said(daemon.ask("check-support feature mark")) == "feature-support support no"
        for protocol in ("icmp", "udp", "tcp", "sctp"):
            assert said(daemon.ask(f"{request} protocol {protocol}")) == "permission-denied", protocol
        state = status(daemon.pid)
        code, stderr = daemon.finish()
    assert (int(state["CapPrm"][0], 16), code) == (0, 0)
    assert "no mark: CAP_NET_RAW is the file's" in stderr, stderr


def test_no_privilege_at_all(copies):
    """It runs with no privilege at all, and says nothing on stderr: udp and tcp are for anybody."""
    with Namespace("nothing") as namespace, Path(namespace, hops(3), [target(1)]):
        namespace.sysctl("net.ipv4.ping_group_range", "1 0")
        with Daemon(namespace, binary=str(copies / "plain"), wrapper=AS_NOBODY) as daemon:
            assert (support(daemon, "icmp"), support(daemon, "udp"), support(daemon, "tcp")) == ("no", "ok", "ok")
            assert said(daemon.ask(f"send-probe ip-4 {OPEN[4]} protocol udp")) == answered("reply", OPEN[4])
            state = status(daemon.pid)
            assert daemon.finish() == (0, "")
    assert [int(state[name][0], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == [0, 0, 0, 0]
    assert state["NoNewPrivs"] == ["1"]


# ---------------------------------------------------------------- a host that lacks something

def support(daemon, feature):
    return daemon.ask(f"check-support feature {feature}").args["support"]


def test_ipv6_switched_off(copies):
    """IPv6 off by sysctl: IPv4 is served, a probe to IPv6 gets its one reply, stderr stays empty."""
    with Namespace("no-ipv6") as namespace:
        with Path(namespace, [], [target(1)]) as played:
            for scope in ("all", "default", "lo", played.ifname):
                namespace.sysctl(f"net.ipv6.conf.{scope}.disable_ipv6", 1)
            with started(namespace, copies, "root") as daemon:
                assert said(daemon.ask(f"send-probe ip-4 {OPEN[4]} timeout 2")) == answered("reply", OPEN[4])
                reply = daemon.ask(f"send-probe ip-6 {OPEN[6]} timeout 1")
                assert reply.address is None and reply.kind != "reply", f"there is no IPv6, but: {reply}"
                assert daemon.finish() == (0, "")


needs_seccomp = pytest.mark.skipif(platform.machine() not in refuse.SOCKET_CALL,
                                   reason=f"lab/refuse.py knows no system calls of {platform.machine()}")


def refused(copies, rules):
    return {"binary": sys.executable, "args": (REFUSE, rules, copies / "plain")}


@needs_seccomp
@every_family
def test_one_family_absent(path, copies, family):
    """A host without one family: the other is served, check-support tells the truth, and stderr stays empty."""
    absent = 10 - family
    with Daemon(path.namespace, **refused(copies, {4: "10:*:*", 6: "2:*:*"}[family])) as daemon:
        for protocol in ("icmp", "udp", "tcp", "sctp"):
            reply = daemon.ask(f"send-probe ip-{family} {OPEN[family]} protocol {protocol} timeout 2")
            assert said(reply) == answered("reply", OPEN[family]), f"{protocol}: {reply}"
        assert (support(daemon, f"ip-{family}"), support(daemon, f"ip-{absent}")) == ("ok", "no")
        reply = daemon.ask(f"send-probe ip-{absent} {OPEN[absent]} timeout 1")
        assert said(reply).startswith("invalid-argument reason ip-version-not-supported"), reply
        assert daemon.finish() == (0, "")


@needs_seccomp
@pytest.mark.parametrize("protocol, number", [("udp", 17), ("tcp", 6), ("sctp", 132)])
def test_one_protocol_refused(path, copies, protocol, number):
    """One protocol refused: every other is served, check-support tells the truth, and stderr stays empty."""
    address = OPEN[4]
    with Daemon(path.namespace, **refused(copies, f"*:3:{number}")) as daemon:
        for other in ("icmp", "udp", "tcp", "sctp"):
            reply = daemon.ask(f"send-probe ip-4 {address} protocol {other} timeout 2")
            served = said(reply) == answered("reply", address)
            assert support(daemon, other) == ("ok" if served else "no"), f"check-support {other}, but: {reply}"
            if not served:
                assert other == protocol, f"{protocol} was refused, but {other}: {reply}"
                assert said(reply).startswith("invalid-argument reason protocol-not-supported"), reply
        assert daemon.finish() == (0, "")


@needs_seccomp
def test_no_raw_socket_for_root(path, copies):
    """No socket at all can be had, whoever runs it: exit status 1 and one line."""
    with Daemon(path.namespace, **refused(copies, "2:*:*,10:*:*")) as daemon:
        code, stderr = daemon.wait(5)
    assert (code, stderr.count("\n")) == (1, 1), f"exit status {code}, stderr: {stderr}"


# ---------------------------------------------------------------- closed descriptors

def standard_descriptors(pid):
    """What descriptors 0 to 2 are; None for a closed one."""
    found = {}
    for number in range(3):
        try:
            found[number] = "socket" if stat.S_ISSOCK(os.stat(f"/proc/{pid}/fd/{number}").st_mode) else \
                os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            found[number] = None
    return found


def at_rest(process, timeout=5):
    """Waits until the process is over, or has opened its sockets and sleeps; False when it is over."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if process.poll() is not None:
            return False
        if "sleeping" in status(process.pid)["State"][1] and int(status(process.pid)["NoNewPrivs"][0]):
            return True
        time.sleep(0.01)
    raise AssertionError("neither over nor asleep")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)], ids=str)
def test_closed_descriptors(path, copies, closed):
    """A daemon that is started with standard descriptors closed opens no socket in their place: nothing that it reads,
    writes or complains goes to a socket. It serves when it can, and ends with status 0 otherwise."""
    redirect = " ".join(f"{number}{'<' if number == 0 else '>'}&-" for number in closed)
    process = path.namespace.popen("sh", "-c", f'exec "$0" {redirect}', copies / "plain", stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        if at_rest(process):
            descriptors = standard_descriptors(process.pid)
            assert "socket" not in descriptors.values(), descriptors
        output, errors = process.communicate(b"1 check-support feature icmp\n", timeout=5)
        if closed == (2,):
            assert output == b"1 feature-support support ok\n", output
        assert errors == b"", errors
        assert process.returncode == 0, f"exit status {process.returncode}"
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
