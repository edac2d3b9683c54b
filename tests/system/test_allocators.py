# SPDX-License-Identifier: MIT
"""The daemon with another malloc() than the C library's, as LD_PRELOAD or ld.so.preload brings it, in its sandbox."""

import collections
import glob
import platform
import subprocess

import pytest

from lab import cc, transports
from lab.daemon import Daemon, target as to
from lab.pair import ANSWERS, SILENT

# name -> (where the library is, the Debian package that has it)
ALLOCATORS = {
    "tcmalloc": ("/usr/lib/*/libtcmalloc.so.4", "libgoogle-perftools-dev"),
    "tcmalloc-minimal": ("/usr/lib/*/libtcmalloc_minimal.so.4", "libgoogle-perftools-dev"),
    "mimalloc": ("/usr/lib/*/libmimalloc.so.?", "libmimalloc-dev"),
    "jemalloc": ("/usr/lib/*/libjemalloc.so.2", "libjemalloc-dev"),
    "tbbmalloc": ("/usr/lib/*/libtbbmalloc_proxy.so.2", "libtbb-dev"),
    "scudo": (f"/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.scudo_standalone-{platform.machine()}.so", "clang"),
}
IN_FLIGHT = 40_000
ROOM = 2 << 20  # bytes, not enough for so many

every_allocator = pytest.mark.parametrize("name", ALLOCATORS)


@pytest.fixture
def preloaded(binary, pair, name):
    """A daemon with this allocator; what starts it has it, too."""
    pattern, package = ALLOCATORS[name]
    found = sorted(glob.glob(pattern))
    if not found:
        pytest.skip(f"no {name} (Debian package {package})")
    if cc.sanitized():
        pytest.skip("the sanitizers allocate by themselves")
    with Daemon(pair.client, wrapper=("env", f"LD_PRELOAD={found[-1]}")) as daemon:
        daemon.ask("check-support feature icmp")
        with open(f"/proc/{daemon.pid}/maps", encoding="utf-8") as maps:
            assert found[-1].rsplit("/", 1)[1] in maps.read(), "it was not loaded"
        yield daemon


def probe_all(daemon, rounds=1):
    """So many silent probes at once, answered ones between them: how often each kind came."""
    kinds = collections.Counter()
    for _ in range(rounds):
        lines = [f"{token} send-probe {to(ANSWERS[4] if token % 8 == 0 else SILENT[4 + 2 * (token % 2)])} timeout 1 detail 1"
                 for token in range(IN_FLIGHT)]
        daemon.write_later("".join(line + "\n" for line in lines).encode())
        replies = daemon.collect(IN_FLIGHT, timeout=30)
        assert len({reply.token for reply in replies}) == IN_FLIGHT
        kinds.update(reply.kind for reply in replies)
    return kinds


@every_allocator
def test_load(preloaded, name):
    """Every probe of 40,000 in flight is answered, twice over: so what was freed is allocated again."""
    kinds = probe_all(preloaded, rounds=2)
    assert kinds == {"no-reply": 2 * IN_FLIGHT * 7 // 8, "reply": 2 * IN_FLIGHT // 8}, kinds
    assert preloaded.finish() == (0, "")


@every_allocator
def test_no_memory(preloaded, transport, name):
    """The same where memory ends in mid-run, of which some have something to say on stderr."""
    size = preloaded.status("VmSize") * 1024 + ROOM
    as_its_user = transports.AS_NOBODY if transport == transports.PLAIN else ()
    subprocess.run([*as_its_user, "prlimit", f"--pid={preloaded.pid}", f"--as={size}"], check=True)
    kinds = probe_all(preloaded)
    assert set(kinds) <= {"no-reply", "reply", "probes-exhausted"}, kinds
    assert preloaded.finish()[0] == 0
