# SPDX-License-Identifier: MIT
"""Compares what the daemon does with what scripts/packaging lets it do: the AppArmor profile and the systemd unit.

    compare.py [--whole] [TEST.py]...

runs the system tests, all by default, with the daemon under strace, and prints what it did that is not allowed, and, of all
tests or with --whole, what is allowed that it did not do. That is: system calls; files that were opened, and how; kinds of sockets; and
capabilities, by the calls that need one and were not refused. Exit status 1 where there is such a thing.
"""

import argparse
import collections
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROFILE = ROOT / "scripts" / "packaging" / "apparmor" / "hopline"
UNIT = ROOT / "scripts" / "packaging" / "systemd" / "hopline@.service.in"

# What needs a capability, where it is not refused. The unit has no more than one: what needs others is refused there, and the
# daemon does without (SECURITY in mtr-packet(8)).
NEEDS = [
    (r"socket\(AF_INET6?, SOCK_RAW", "net_raw"),
    (r"setsockopt\(.*, SO_MARK,", "net_raw"),
    (r"setsockopt\(.*, SO_(RCV|SND)BUFFORCE,", "net_admin"),
    (r"prctl\(PR_CAPBSET_DROP", "setpcap"),
    (r"prctl\(PR_SET_SECUREBITS", "setpcap"),
]
# What strace hides: it opens /dev/null itself where a standard descriptor is closed.
HIDDEN = {("/dev/null", "r"): "fill_standard_descriptors()"}

ONLY_BY_ROOT = {"net_admin", "setpcap"}

# systemd lets these pass by itself: systemd.exec(5), SystemCallFilter=.
IMPLICIT = {"execve", "exit", "exit_group", "getrlimit", "rt_sigreturn", "sigreturn"}

FAMILIES = {"AF_INET": "inet", "AF_INET6": "inet6", "AF_NETLINK": "netlink", "AF_UNIX": "unix"}
CALL = re.compile(r"^(?:\d+ +)?([a-z_0-9]+)\((.*)")


@dataclasses.dataclass
class Done:
    """What was done, or what may be: each with an example, or the line that allows it."""

    calls: dict = dataclasses.field(default_factory=dict)
    files: dict = dataclasses.field(default_factory=dict)  # (path, "r" "w" or "m")
    sockets: dict = dataclasses.field(default_factory=dict)  # (family, type), in the words of AppArmor
    capabilities: dict = dataclasses.field(default_factory=dict)


def note_file(done, path, mode, line):
    """What tests have put somewhere (libraries that make calls fail, pipes with names) is none of the daemon's."""
    if not path.startswith(tempfile.gettempdir()) or path.endswith("/mtr-packet"):
        done.files.setdefault((path, mode), line)


def read_line(done, line):
    """One line of strace -yy."""
    call = CALL.match(line)
    if not call:
        return
    name, arguments = call.groups()
    done.calls.setdefault(name, line)
    failed = re.search(r"\) += -1 ", line) is not None
    if "<UNIX-STREAM:" in arguments:
        done.sockets.setdefault(("unix", "stream"), line)  # its client's
    if name in ("open", "openat") and (path := re.search(r'"(/[^"]*)".* = -1 ENOENT|= \d+<(/[^<>]*)', line)):
        for mode in "rw" if "O_RDWR" in line else "w" if "O_WRONLY" in line else "r":
            note_file(done, path.group(1) or path.group(2), mode, line)
    elif name == "mmap" and "PROT_EXEC" in arguments and (path := re.search(r"\d+<(/[^<>]*)", arguments)):
        note_file(done, path.group(1), "m", line)
    elif name == "execve" and not failed and (path := re.match(r'"(/[^"]*)"', arguments)):
        for mode in "rm":  # by the kernel, on behalf of what it starts
            note_file(done, path.group(1), mode, line)
    elif name == "socket" and not failed and (kind := re.match(r"(AF_\w+), SOCK_(\w+)", arguments)):
        family = FAMILIES.get(kind.group(1), kind.group(1))
        done.sockets.setdefault((family, kind.group(2).lower()), line)
    for pattern, capability in NEEDS:
        if not failed and re.match(pattern, f"{name}({arguments}"):
            done.capabilities.setdefault(capability, line)


def glob_to_pattern(glob):
    """A path of AppArmor as a regular expression."""
    pattern = ""
    for part in re.findall(r"\*\*|\*|\{|\}|,|[^*{},]+", glob.replace("@{PROC}", "/proc")):
        pattern += {"**": ".*", "*": "[^/]*", "{": "(?:", "}": ")", ",": "|"}.get(part) or re.escape(part)
    return pattern


def read_profile(text):
    """What the profile allows; of files the patterns."""
    may = Done()
    for line in re.sub(r"#.*|^abi.*|^include.*", "", text, flags=re.M).splitlines():
        line = line.strip()
        if rule := re.fullmatch(r"capability (\w+),", line):
            may.capabilities[rule.group(1)] = line
        elif rule := re.fullmatch(r"network (\w+) (\w+),", line):
            may.sockets[rule.groups()] = line
        elif rule := re.fullmatch(r"(\S+) ([rwm]+),", line):
            for mode in rule.group(2):
                may.files[glob_to_pattern(rule.group(1)), mode] = line
        elif line and not re.fullmatch(r"profile hopline \{|\}", line):
            raise ValueError(f"not understood in the profile: {line}")
    return may


def read_unit(text):
    """What the unit allows, as settings."""
    settings = collections.defaultdict(list)
    for name, value in re.findall(r"^(\w+)=(.*)$", re.sub(r"\\\n", " ", text), re.M):
        settings[name] += value.split()
    return settings


# What is called on other machines, by other kernels or C libraries, in place of a call that is seen here.
ELSEWHERE = {
    "access": "faccessat faccessat2", "epoll_create1": "epoll_create", "epoll_pwait": "epoll_wait", "fchown": "fchown32",
    "fcntl": "fcntl64", "getgid": "getgid32", "getresgid": "getresgid32", "getresuid": "getresuid32", "getuid": "getuid32",
    "mmap": "mmap2", "newfstatat": "fstat fstat64 fstatat64 stat statx", "openat": "open", "poll": "ppoll",
    "ppoll": "ppoll_time64", "prctl": "seccomp", "pread64": "_llseek lseek", "prlimit64": "ugetrlimit",
    "read": "readv", "recvmmsg": "recvmmsg_time64", "setresgid": "setresgid32", "setresuid": "setresuid32",
    "signalfd4": "signalfd", "socket": "socketcall", "tgkill": "tkill", "write": "writev",
}


def compare_profile(done, profile, whole):
    for (path, mode), line in done.files.items():
        if not any(mode == allowed and re.fullmatch(pattern, path) for pattern, allowed in profile.files):
            yield f"the profile does not allow {mode} of {path}: {line}"
    for what in ("sockets", "capabilities"):
        did, may = getattr(done, what), getattr(profile, what)
        yield from (f"the profile does not allow {' '.join(key) if what == 'sockets' else key}: {did[key]}"
                    for key in did.keys() - may.keys())
        if whole:
            yield from (f"nothing needs of the profile: {may[key]}" for key in may.keys() - did.keys())
    if whole:
        for (pattern, mode), line in profile.files.items():
            if not any(mode == used and re.fullmatch(pattern, path) for path, used in done.files):
                yield f"nothing needs {mode} of the profile's: {line}"


def compare_unit(done, unit, whole):
    allowed = set(unit["SystemCallFilter"])
    yield from (f"the unit does not allow {call}: {line}" for call, line in sorted(done.calls.items())
                if call not in allowed | IMPLICIT)
    families = {FAMILIES[name] for name in unit["RestrictAddressFamilies"]}
    used = {family for family, _ in done.sockets}
    if "--no-mark" in unit["ExecStart"]:
        used.discard("unix")  # it is for a question about marks
    yield from (f"the unit does not allow sockets of {family}" for family in used - families)
    capabilities = {name.removeprefix("CAP_").lower() for name in unit["CapabilityBoundingSet"]}
    yield from (f"the unit does not allow {name}: {done.capabilities[name]}"
                for name in done.capabilities.keys() - ONLY_BY_ROOT - capabilities)
    if whole:
        twins = {twin for call in done.calls for twin in ELSEWHERE.get(call, "").split()}
        yield from (f"nothing needs of the unit: {call}" for call in sorted(allowed - done.calls.keys() - twins))
        yield from (f"nothing needs of the unit: {name}" for name in families - used)
        yield from (f"nothing needs of the unit: {name}" for name in capabilities - done.capabilities.keys())


# ---- running the tests

# Keeps one line of each kind: of most calls the name is enough. (strace writes into it: a storm is millions of lines.)
FILTER = r"""{ key = $0; sub(/\(.*/, "", key); if (/UNIX-STREAM/) key = key " unix" }
key ~ /^(execve|open|openat|socket|prctl|setsockopt)$/ || /^mmap.*PROT_EXEC/ {
    key = $0; sub(/^setsockopt\([^,]*,/, "setsockopt(", key); gsub(/0x[0-9a-f]+|\[[0-9]+\]|= [0-9]+/, "N", key)
}
!seen[key]++ { print; fflush() }"""

WRAPPER = """#!/bin/sh
exec strace -D -qqq -yy -s 200 -o '|awk -f {folder}/filter >{folder}/logs/$$' {folder}/daemon/mtr-packet "$@"
"""


def trace(tests):
    """The lines of strace of all daemons that these tests have started, and the verdict of pytest."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hopline-confinement-"))
    try:
        folder.chmod(0o755)
        for name, mode in ("logs", 0o1777), ("daemon", 0o755):
            (folder / name).mkdir()
            (folder / name).chmod(mode)
        binary = pathlib.Path(os.environ.get("MTR_PACKET") or ROOT / "build" / "mtr-packet")
        shutil.copy(binary, folder / "daemon" / "mtr-packet")
        (folder / "filter").write_text(FILTER, encoding="ascii")
        wrapper = folder / "mtr-packet"
        wrapper.write_text(WRAPPER.format(folder=folder), encoding="ascii")
        for beside in binary.resolve().parent.iterdir():  # the tools, and what tests compile with
            if not (folder / beside.name).exists():
                (folder / beside.name).symlink_to(beside)
        wrapper.chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", "-ra", *map(str, tests)],
            cwd=ROOT, env={**os.environ, "MTR_PACKET": str(wrapper), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        lines = [line for log in sorted((folder / "logs").iterdir())
                 for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
        said = done.stdout.splitlines() or ["nothing"]
        return lines, " ".join([line for line in said[:-1] if line.startswith("ERROR")] + said[-1:])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("test", nargs="*", help="files of tests/system (all of them)")
    parser.add_argument("--whole", action="store_true", help="take these for all that the daemon does")
    parser.add_argument("--calls", action="store_true", help="also list the system calls that were seen")
    arguments = parser.parse_args()
    lines, verdict = trace(arguments.test or [ROOT / "tests" / "system"])
    done = Done(files=dict(HIDDEN))
    for line in lines:
        read_line(done, line)
    if arguments.calls:
        print(*sorted(done.calls))
    whole = arguments.whole or not arguments.test
    faults = [*compare_profile(done, read_profile(PROFILE.read_text(encoding="utf-8")), whole),
              *compare_unit(done, read_unit(UNIT.read_text(encoding="utf-8")), whole)]
    print(*faults, f"{len(done.calls)} system calls, {len(done.files)} ways to open files, {len(faults)} differences "
          f"(the tests, under strace: {verdict})", sep="\n")
    return 1 if faults or not done.calls else 0


if __name__ == "__main__":
    sys.exit(main())
