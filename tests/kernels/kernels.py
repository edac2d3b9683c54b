# SPDX-License-Identifier: MIT
"""make kernels: rows of tests/system/test_uml.py, and others that make check has no kernel for, in Debian's, under qemu.

By default in sid's newest; and those with Jool in trixie's, as no later one has what its modules need. The daemon is
the one that was built here. Of each kernel BUILD/kernels/VERSION.txt has every row, and VERSION.log what the programs
and the kernel wrote. Exit status 1 when a row fails.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/system"))

# pylint: disable=wrong-import-position
from lab import emulated, guest  # noqa: E402
from lab.daemon import built_binary  # noqa: E402
from uml import ecn, ipsec, links, tunnels, vrf  # noqa: E402

import extensions  # noqa: E402
import jool  # noqa: E402

MODULES = {"vrf": vrf, "ipsec": ipsec, "tunnels": tunnels, "links": links, "ecn": ecn, "extensions": extensions,
           "jool": jool}
SUITES = {"sid": [name for name in MODULES if name != "jool"], "trixie": ["jool"]}  # where none is named
# (since which kernel, pattern of a row's name, why the program can't do it before)
OLDER = [((5, 18), "-ip6-icmp-plain", "without privileges icmp over IPv6 needs Linux 5.18"),
         ((6, 19), "^interface-", "Linux tells of its interfaces since 6.19"),
         ((7, 0), "serves-[345]", "accurate ECN came with Linux 7.0")]
PER_GROUP = 120  # seconds, on average
NEEDED = {"qemu-system-x86_64": "qemu-system-x86", "modprobe": "kmod", "cpio": "cpio", "apt-get": "apt",
          "debootstrap": "debootstrap", "mtr-packet": "mtr-tiny", "traceroute": "traceroute"}


def names(module):
    """A module's rows, in the order of the tests."""
    return [str(row) for group in module.GROUPS.values() for row in group]


def rows_of(kernel, name, log):
    """(verdict, row, what there is to say of it) of each row of a module; it has one boot for all of its groups."""
    module = MODULES[name]
    lacking = kernel.lacks(module.MODULES)
    if lacking:
        return [("skipped", row, f"the kernel has no module {', '.join(lacking)}") for row in names(module)]
    ran = guest.run(kernel, [sys.executable, TOP / "tests/kernels/groups.py", module.__name__, *module.GROUPS],
                    module.MODULES, PER_GROUP * len(module.GROUPS), {"JOOL": kernel.folder / "bin"}.items())
    log.write(f"== {name}\n{ran.output}\n== {name}: the kernel\n{ran.console}\n")
    known = {}
    for line in ran.output.splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            told = json.loads(line)
            known[told["row"]] = told["seen"], told["socket"]
    return [too_old(kernel, row) or verdict(row, known.get(row), ran) for row in names(module)]


def too_old(kernel, row):
    number = tuple(map(int, re.match(r"(\d+)\.(\d+)", kernel.version).groups()))
    return next((("skipped", row, why) for since, pattern, why in OLDER
                 if number < since and re.search(pattern, row)), None)


def verdict(row, result, ran):
    if result is None:
        return "FAILS", row, "no result" + ("" if ran.status is not None else ", and the kernel did not end by itself")
    seen, expected = result
    return ("ok", row, seen) if seen == expected else ("FAILS", row, f"expected: {expected}; seen: {seen}")


def test(suite, only, results):
    """Fetches a suite's kernel and tests in it; returns whether no row has failed."""
    with tempfile.TemporaryDirectory(prefix="files-", dir=results) as folder:
        os.chmod(folder, 0o755)
        image = fetch("kernel", suite, folder)
        if image is None:
            return False
        made = ", jool-dkms " + (fetch("jool", suite, folder) or "none") if "jool" in only else ""
        kernel = emulated.Emulated(folder)
        lines, counts = [], {"ok": 0, "FAILS": 0, "skipped": 0}
        with open(results / f"{kernel.version}.log", "w", encoding="utf-8") as log:
            for name in only:
                print(f"== {kernel.version}: {name}", flush=True)
                for word, row, text in rows_of(kernel, name, log):
                    counts[word] += 1
                    lines.append(f"{word:7} {name} {row}: {text}")
    total = f"{counts['ok']} passed, {counts['FAILS']} failed, {counts['skipped']} skipped"
    head = [f"kernel: {kernel.version}, Debian {suite}, linux-image-amd64 {image}{made}",
            f"machine: qemu-system-x86_64 -accel tcg, rows of {', '.join(only)}",
            f"date: {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC",
            f"daemon: {version()}"]
    (results / f"{kernel.version}.txt").write_text("\n".join([*head, "", *lines, "", total, ""]), encoding="utf-8")
    for line in lines:
        if line.startswith("FAILS"):
            print(line)
    print(f"{kernel.version}: {total}; {os.path.relpath(results)}/{kernel.version}.txt", flush=True)
    return not counts["FAILS"]


def fetch(what, suite, folder):
    """By scripts/WHAT; which version it has fetched, or None."""
    print(f"== {suite}: {what}", flush=True)
    done = subprocess.run([TOP / "scripts" / what, suite, folder], check=False, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "TMPDIR": folder})
    if done.returncode:
        print(f"{suite}: scripts/{what} has failed", flush=True)
    return None if done.returncode else done.stdout.strip()


def version():
    """As the daemon tells it."""
    done = subprocess.run([built_binary()], input="1 check-support feature version\n", check=True, capture_output=True,
                          text=True)
    return done.stdout.strip().rpartition(" ")[2]


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an exit takes qemu and the files along
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MODULES, default=list(MODULES))
    parser.add_argument("suites", nargs="*")
    args = parser.parse_args()
    if os.uname().machine != "x86_64" or os.geteuid() != 0:
        sys.exit("kernels: needs root, and a host whose programs an amd64 kernel runs")
    for program, package in NEEDED.items():
        if not shutil.which(program, path=emulated.PATH):
            sys.exit(f"kernels: needs {program}, package {package}")
    results = TOP / os.environ.get("BUILD", "build") / "kernels"
    results.mkdir(parents=True, exist_ok=True)
    wanted = {suite: args.only for suite in args.suites} or {
        suite: [name for name in args.only if name in names_of] for suite, names_of in SUITES.items()}
    return 0 if all([test(suite, only, results) for suite, only in wanted.items() if only]) else 1


if __name__ == "__main__":
    sys.exit(main())
