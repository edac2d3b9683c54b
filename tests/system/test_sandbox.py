# SPDX-License-Identifier: MIT
"""What the running daemon may still do: its own state, what its filter refuses, and builds that have none."""

import ctypes
import functools
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from lab import cc, forge
from lab.daemon import ROOT, Daemon
from lab.expect import answered, said
from lab.net import Namespace
from lab.pair import ANSWERS, SILENT
from lab.path import Tun, target_address
from test_privileges import AS_NOBODY, NET_RAW, OWN_WAYS, WAYS, copies, started, status  # noqa: F401 (a fixture)

CALLS_AT_MOST = 50  # of all architectures and C libraries
PR_SET_SECUREBITS = 28
ALLOW_LIST = ROOT / "src" / "host" / "sandbox-seccomp.c"
PROBE = "sandbox_probe.c"

# SECBIT_NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, each on and locked; KEEP_CAPS off and locked
SECUREBITS, SECUREBITS_MASK = 0b11101111, 0b11111111

pytestmark = pytest.mark.usefixtures("root")
every_way = pytest.mark.parametrize("way", list({**WAYS, **OWN_WAYS}))
needs_sandbox = pytest.mark.skipif(not cc.has_seccomp(), reason="this build has no sandbox")
needs_none = pytest.mark.skipif(cc.has_seccomp(), reason="this build has a sandbox")


def in_probe(*arguments, **more):
    return subprocess.run([cc.with_library(PROBE), *arguments], check=False, capture_output=True, text=True, timeout=30,
                          **more)


@pytest.fixture(scope="module")
def sandbox():
    """Skips where the kernel has no seccomp filters."""
    if in_probe("available").stdout != "yes\n":
        pytest.skip("this kernel has no seccomp filters")


def limits(pid):
    """/proc/PID/limits: name -> (soft, hard)."""
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        return {line[:26].strip(): tuple(line[26:].split()[:2]) for line in file}


def sets_of(state):
    return {name: int(state[name][0], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd")}


# ---------------------------------------------------------------- the state of the running daemon

@needs_sandbox
@every_way
def test_state(sandbox, pair, copies, way):  # noqa: F811
    """Sandbox: no effective capability, permitted CAP_NET_RAW alone, if it was the caller's; ambient set empty, bounding set empty where
    CAP_SETPCAP is held, no_new_privs, a filter, not dumpable, RLIMIT_NPROC and RLIMIT_CORE 0: before the first byte."""
    with started(pair.client, copies, way) as daemon:
        assert daemon.ask("check-support feature mark").args == {"support": "ok" if way in OWN_WAYS else "no"}
        state, limited = status(daemon.pid), limits(daemon.pid)
        owner = pathlib.Path(f"/proc/{daemon.pid}/environ").stat().st_uid
        assert daemon.finish() == (0, "")
    caps = sets_of(state)
    shown = {name: hex(value) for name, value in caps.items()}
    bounded = way in ("root", "set-uid")
    kept = NET_RAW if way in OWN_WAYS else 0
    assert caps | {"CapBnd": 0} == {"CapEff": 0, "CapPrm": kept, "CapInh": 0, "CapAmb": 0, "CapBnd": 0}, shown
    assert not bounded or caps["CapBnd"] == 0, shown
    assert (state["NoNewPrivs"], state["Seccomp"]) == (["1"], ["2"])
    assert state.get("Seccomp_filters", ["1"]) == ["1"], "one filter, its own"
    assert state["Threads"] == ["1"]
    assert owner == 0, f"the user that runs it owns its /proc entries, so it is dumpable: {owner}"
    assert (limited["Max processes"], limited["Max core file size"]) == (("0", "0"), ("0", "0"))


@pytest.mark.parametrize("wrapper, bits", [((), SECUREBITS), (AS_NOBODY, 0)], ids=["root", "nobody"])
def test_securebits_and_dumpable(wrapper, bits):
    """Securebits locked where CAP_SETPCAP is held; PR_GET_DUMPABLE is 0 for everyone."""
    result = subprocess.run([*wrapper, cc.with_library(PROBE), "privileges"], check=False, capture_output=True,
                            text=True, timeout=30)
    assert (result.returncode, result.stderr) == (0, "")
    values = {name: int(value) for name, value in (line.split("=") for line in result.stdout.splitlines())}
    assert values["securebits"] & SECUREBITS_MASK == bits, f"securebits {values['securebits']:#b}, expected {bits:#b}"
    assert values["dumpable"] == 0


def set_securebits(bits):
    """For preexec_fn: as who starts us may have set them."""
    assert ctypes.CDLL(None).prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) == 0


@pytest.mark.parametrize("before, expected", [(0x300, SECUREBITS), (0x2, SECUREBITS & ~1), (0x10, SECUREBITS)],
                         ids=["others", "one locked", "keep-caps"])
def test_securebits_of_others(before, expected):
    """Bits that were set and locked before stay as they are; all the others are set and locked."""
    result = subprocess.run([cc.with_library(PROBE), "privileges"], check=False, capture_output=True, text=True,
                            timeout=30, preexec_fn=lambda: set_securebits(before))
    assert (result.returncode, result.stderr) == (0, "")
    bits = int(re.search(r"securebits=(\d+)", result.stdout)[1])
    assert bits & SECUREBITS_MASK == expected, f"securebits {bits:#b}, expected {expected:#b}"
    assert bits & 0x300 == before & 0x300


@needs_sandbox
def test_setpcap_by_file(sandbox, pair, copies):  # noqa: F811
    """CAP_SETPCAP that is permitted and not effective is held, too: the bounding set is emptied with it."""
    program = copies / "bounded"
    shutil.copyfile(copies / "plain", program)
    program.chmod(0o755)
    subprocess.run(["setcap", "cap_net_raw,cap_setpcap+p", program], check=True)
    with Daemon(pair.client, binary=str(program), wrapper=AS_NOBODY) as daemon:
        assert daemon.ask("check-support feature send-probe").args == {"support": "ok"}
        caps = sets_of(status(daemon.pid))
        assert daemon.finish() == (0, "")
    assert caps == {"CapEff": 0, "CapPrm": 0, "CapInh": 0, "CapAmb": 0, "CapBnd": 0}, caps


# ---------------------------------------------------------------- its sockets

SO_GET_FILTER, SO_LOCK_FILTER = 26, 44  # asm-generic/socket.h
PIDFD_OPEN, PIDFD_GETFD = 434, 438      # the same on every architecture


def copy_of(pid, descriptor):
    """The descriptor of another process, as one of ours."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = libc.syscall(PIDFD_OPEN, pid, 0)
    copy = libc.syscall(PIDFD_GETFD, process, descriptor, 0)
    error = os.strerror(ctypes.get_errno())
    os.close(process)
    if copy < 0:
        pytest.skip(f"pidfd_getfd: {error}")
    return socket.socket(fileno=copy)


def filter_length(other):
    """Of the socket's filter, in instructions; 0: none."""
    libc, length = ctypes.CDLL(None, use_errno=True), ctypes.c_uint(0)
    assert libc.getsockopt(other.fileno(), socket.SOL_SOCKET, SO_GET_FILTER, None, ctypes.byref(length)) == 0
    return length.value


def test_filters(pair, binary):
    """Every raw socket has a filter, locked; and so has what only holds a port."""
    with Daemon(pair.client, binary=binary) as daemon:
        for protocol in ("udp local-port 7000", "tcp"):
            assert daemon.ask(f"send-probe ip-4 {ANSWERS[4]} protocol {protocol}").kind == "reply"
        daemon.send(f"1 send-probe ip-4 {SILENT[4]} protocol udp local-port 7000 timeout 1")
        time.sleep(0.2)
        seen = []
        for entry in pathlib.Path(f"/proc/{daemon.pid}/fd").iterdir():
            if not os.readlink(entry).startswith("socket:"):
                continue
            with copy_of(daemon.pid, int(entry.name)) as other:
                if other.family not in (socket.AF_INET, socket.AF_INET6):
                    continue
                locked = other.getsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER)
                seen.append((socket.SocketKind(other.type).name, other.proto, filter_length(other) > 0, locked))
        daemon.collect(1)
        assert daemon.finish() == (0, "")
    assert len([kind for kind, *_ in seen if kind == "SOCK_RAW"]) == 14, f"four that send and ten that receive: {seen}"
    assert any(kind == "SOCK_DGRAM" for kind, *_ in seen), seen
    open_ones = [row for row in seen if row[2:] != (True, 1)]
    assert not open_ones, f"without a filter, or with one that may be taken off: {open_ones}"


def waiting(namespace, protocol):
    """Bytes that wait in the raw sockets of this protocol number."""
    with namespace.enter(), open("/proc/self/net/raw", encoding="ascii") as file:
        rows = [line.split() for line in list(file)[1:]]
    return sum(int(row[4].split(":")[1], 16) for row in rows if int(row[1].split(":")[1], 16) == protocol)


def test_errors_of_others(binary):
    """The filter lets no error in that quotes another protocol than a probe may have; and those about probes it does."""
    with Namespace("errors") as namespace, Tun(namespace) as tun, Daemon(namespace, binary=binary) as daemon:
        address = target_address(0)[4]
        daemon.send(f"1 send-probe ip-4 {address} timeout 3")
        seen = tun.probes([address])[address]
        os.kill(daemon.pid, signal.SIGSTOP)
        for number in range(256):
            if number not in (1, 6, 17, 132, 4, 41, 47):  # those of probes, and of tunnels that may have one in them
                tun.inject(forge.time_exceeded(seen, forge.with_protocol(seen, number)))
        time.sleep(0.2)
        assert waiting(namespace, 1) == 0
        tun.inject(forge.time_exceeded(seen, forge.with_protocol(seen, 17)))
        time.sleep(0.2)
        assert waiting(namespace, 1) > 0
        tun.inject(forge.time_exceeded(seen))
        os.kill(daemon.pid, signal.SIGCONT)
        assert daemon.collect(1)[0].kind == "ttl-expired"
        assert daemon.finish() == (0, "")


# ---------------------------------------------------------------- what the filter refuses

@functools.lru_cache(maxsize=None)
def names():
    return in_probe("list").stdout.splitlines() if cc.has_seccomp() else ["none: this build has no sandbox"]


def refusals():
    return [name for name in names() if not name.startswith("allowed: ")]


# What the transport without privileges is allowed beyond the other.
PLAIN_MAY = "stream IPv4 socket", "stream IPv6 socket"
BOTH_MAY = "echo IPv4 socket", "echo IPv6 socket"


@needs_sandbox
@pytest.mark.parametrize("name", [name for name in refusals() if name not in PLAIN_MAY + BOTH_MAY])
def test_refused_without_privileges(sandbox, name):
    """The same in the sandbox of the transport that needs no privilege, but for what it connects with."""
    result = in_probe("plain", "try", name)
    assert result.returncode == 1, f"exit status {result.returncode} (42: let through), stderr: {result.stderr}"


@needs_sandbox
@pytest.mark.parametrize("name", PLAIN_MAY + BOTH_MAY)
def test_not_refused_without_privileges(sandbox, name):
    """tcp stream sockets are let through there."""
    result = in_probe("plain", "try", name)
    assert (result.returncode, result.stderr) == (42, "")


@needs_sandbox
@pytest.mark.parametrize("name", BOTH_MAY)
def test_not_refused(sandbox, name):
    """Echo sockets, which need no privilege, tell what fits."""
    result = in_probe("try", name)
    assert (result.returncode, result.stderr) == (42, "")


@needs_sandbox
@pytest.mark.parametrize("name", [name for name in refusals() if name not in BOTH_MAY])
def test_refused(sandbox, name):
    """Exec, fork, open, new raw or packet sockets, ptrace, bpf, io_uring: a violation ends the process, with one line
    on stderr that names the call."""
    result = in_probe("try", name)
    call = name.split()[-1]
    assert result.returncode == 1, f"exit status {result.returncode} (42: let through), stderr: {result.stderr}"
    assert re.fullmatch(rf"mtr-packet: refused system call \d+ {call}: [^\n]+\n", result.stderr), result.stderr


@needs_sandbox
def test_refused_with_the_signal_blocked(sandbox):
    """Who starts us may have blocked SIGSYS: the line on stderr is there all the same."""
    result = in_probe("try", "execve", preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGSYS]))
    assert result.returncode == 1 and "refused system call" in result.stderr, (result.returncode, result.stderr)


@needs_sandbox
@pytest.mark.parametrize("name", ["allowed: datagram IPv4", "allowed: datagram IPv6", "allowed: getrandom",
                                  "allowed: connect", "allowed: mprotect", "allowed: writev", "allowed: preadv2"])
def test_not_refused(sandbox, name):
    """What the loop needs goes through: so the tests above are refused by the sandbox and not by something else."""
    result = in_probe("try", name)
    assert (result.returncode, result.stderr) == (42, "")


@needs_sandbox
@pytest.mark.parametrize("how", [[], ["plain"]], ids=["raw", "plain"])
@pytest.mark.parametrize("way, number, words", [
    ("abort", signal.SIGABRT, ""), ("free", signal.SIGABRT, r"(munmap_chunk|free)\(\): invalid (pointer|size)\n"),
    (str(int(signal.SIGTERM)), signal.SIGTERM, "")], ids=["abort", "free", "raise"])
def test_ends_by_a_signal(sandbox, how, way, number, words):
    """What ends a program that is wrong ends it here too, and says its own words: no refusal of the sandbox's."""
    if way == "free" and cc.is_musl():
        pytest.skip("musl says nothing, and ends by an instruction that is none")
    result = in_probe(*how, "end", way)
    assert result.returncode == -number, (result.returncode, result.stderr)
    assert re.fullmatch(words, result.stderr), result.stderr


@needs_sandbox
def test_abort_where_it_is_ignored(sandbox):
    """abort() takes SIGABRT from who ignores it."""
    result = in_probe("end", "abort", preexec_fn=lambda: signal.signal(signal.SIGABRT, signal.SIG_IGN))
    assert (result.returncode, result.stderr) == (-signal.SIGABRT, "")


def listed(transport):
    """The calls in the table of the sources that this transport needs."""
    text = ALLOW_LIST.read_text(encoding="utf-8")
    table = re.search(r"allowed_calls\[\] = \{\n(.*?)\n\};", text, re.S)
    assert table, f"no table in {ALLOW_LIST.name}"
    named = {"SET": "setsockopt", "GET": "getsockopt", "OPEN": "socket"}
    return {named.get(form, call) for form, who, call in re.findall(r"(\w+)\((BOTH|RAW|PLAIN), (\w+)", table[1])
            if who in ("BOTH", transport)}


@needs_sandbox
@pytest.mark.parametrize("transport, how", [("RAW", []), ("PLAIN", ["plain"])])
def test_few_calls(sandbox, transport, how):
    """A short allow-list; what the running filter lets through, by number, is no more than that. Calls
    that are let through with some arguments alone are refused here: all of theirs are -1."""
    table = listed(transport)
    assert len(table) <= CALLS_AT_MOST, f"{len(table)} calls: {sorted(table)}"
    result = in_probe(*how, "sweep")
    assert (result.returncode, result.stderr) == (0, "")
    through = [int(word) for word in result.stdout.split()]
    assert 10 <= len(through) <= len(table), f"{len(table)} are listed, let through are {through}"


@needs_sandbox
@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86-64 has other sets of numbers")
@pytest.mark.parametrize("how", ["x32", "i386"])
def test_other_numbers(sandbox, how):
    """The numbers of 32-bit programs are no way around the filter (a kernel may not know them anyway)."""
    assert in_probe("other", how).returncode not in (2, 3, 42)


@needs_sandbox
def test_under_valgrind(sandbox, pair, binary):
    """valgrind maps all of its own memory executable, so there is no sandbox under it, and `mark` says so."""
    if not shutil.which("valgrind"):
        pytest.skip("no valgrind (Debian package valgrind)")
    if not pathlib.Path("/usr/include/valgrind/valgrind.h").exists():
        pytest.skip("a build that does not know valgrind: its header is not here")
    valgrind = "valgrind", "-q", "--vgdb=no", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=all"
    with Daemon(pair.client, wrapper=valgrind) as daemon:
        assert daemon.ask("check-support feature mark", timeout=20).args == {"support": "no"}
        for protocol in ("icmp", "udp", "tcp", "sctp"):
            for family in (4, 6):
                reply = daemon.ask(f"send-probe ip-{family} {ANSWERS[family]} protocol {protocol}", timeout=20)
                assert said(reply) == answered("reply", ANSWERS[family])
        assert daemon.finish(30) == (0, "")


# ---------------------------------------------------------------- builds without

@needs_none
@every_way
def test_without_a_sandbox(pair, copies, way):  # noqa: F811
    """Built without libseccomp: CAP_NET_RAW goes too, `mark` says no, and a marked probe is refused; the rest holds."""
    if cc.sanitized() and way != "root":
        pytest.skip("the sanitizers do not start set-uid")
    with started(pair.client, copies, way) as daemon:
        assert daemon.ask("check-support feature mark").args == {"support": "no"}
        refused = daemon.ask(f"send-probe ip-4 {ANSWERS[4]} mark 7")
        state, limited = status(daemon.pid), limits(daemon.pid)
        assert refused.kind in ("permission-denied", "invalid-argument"), refused
        for protocol in ("icmp", "udp", "tcp", "sctp"):
            reply = daemon.ask(f"send-probe ip-4 {ANSWERS[4]} protocol {protocol}")
            assert said(reply) == answered("reply", ANSWERS[4])
        assert daemon.finish() == (0, "")
    caps = sets_of(state)
    assert [caps[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == [0, 0, 0, 0], caps
    assert way not in ("root", "set-uid") or caps["CapBnd"] == 0, caps
    assert (state["NoNewPrivs"], state["Seccomp"]) == (["1"], ["0"])
    assert (limited["Max processes"], limited["Max core file size"]) == (("0", "0"), ("0", "0"))
