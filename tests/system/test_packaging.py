# SPDX-License-Identifier: MIT
"""What a distribution does with the program: the archive, a build from it, installing and removing.

The packages themselves are for `make packages`.
"""

import fnmatch
import hashlib
import os
import re
import shutil
import subprocess

import pytest

from lab.daemon import ROOT

SPEC = ROOT / "scripts/packaging/hopline.spec"
MACROS = {"_bindir": "/usr/bin", "_datadir": "/usr/share", "_docdir": "/usr/share/doc", "_libexecdir": "/usr/libexec",
          "_mandir": "/usr/share/man", "_prefix": "/usr", "_sysconfdir": "/etc"}
FORBIDDEN = "autoconf", "git"  # programs that a build from the archive does without


def run(*argv, cwd=ROOT, **env):
    """Without the flags of the make that runs the tests."""
    keep = {name: value for name, value in os.environ.items()
            if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "BUILD", "MTR_PACKET", "SOURCE_DATE_EPOCH")}
    done = subprocess.run([str(word) for word in argv], cwd=cwd, env={**keep, **env}, check=False, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return done.stdout


def make(*words, cwd=ROOT, **env):
    return run("make", "-s", *words, cwd=cwd, **env)


def build():
    return "BUILD=" + os.environ.get("BUILD", "build")


def files(folder):
    return {"/" + str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def own_folders(folder):
    """What is there of folders that are nobody else's."""
    return {path for path in folder.rglob("*hopline*") if path.is_dir()}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """(the archive of `make dist`, its content)"""
    if not shutil.which("xz"):
        pytest.skip("no xz here: install the Debian package xz-utils")
    folder = tmp_path_factory.mktemp("archive")
    run("scripts/packaging/build", "dist", folder)
    made, = folder.iterdir()
    run("tar", "xf", made, cwd=folder)
    return made, folder / made.name.removesuffix(".tar.xz")


@pytest.fixture(scope="module")
def built(archive, tmp_path_factory):
    """(the tree, the prefix) of a build from the archive, which is installed as hop-*."""
    tree = archive[1]
    prefix = tmp_path_factory.mktemp("prefix")
    barred = tmp_path_factory.mktemp("barred")
    for name in FORBIDDEN:
        (barred / name).write_text(f"#!/bin/sh\necho {name} was called >&2\nexit 99\n")
        (barred / name).chmod(0o755)
    path = f"{barred}:{os.environ['PATH']}"
    run("./configure", "-q", f"--prefix={prefix}", "--program-prefix=hop-", "--with-daemon-dir=${libexecdir}/hopline",
        "CFLAGS=-O0", cwd=tree, PATH=path)
    make("-j2", cwd=tree, PATH=path)
    make("install", cwd=tree, PATH=path)
    return tree, prefix


def test_archive_is_the_same_twice(archive, tmp_path):
    """Also from what was in it, by another user's settings, elsewhere."""
    again = tmp_path / "again"
    run("sh", "-c", f"umask 077; TZ=Asia/Tokyo LC_ALL=C.UTF-8 scripts/packaging/build dist {again}", cwd=archive[1])
    made, = again.iterdir()
    assert made.name == archive[0].name
    assert hashlib.sha256(made.read_bytes()).digest() == hashlib.sha256(archive[0].read_bytes()).digest()


def test_archive_is_of_the_version_in_news(archive):
    first = (ROOT / "scripts/packaging/NEWS").read_text().splitlines()[0]
    assert archive[0].name == first.replace(" ", "-") + ".tar.xz"


def test_names_and_places(built):
    """--program-prefix is in the names of programs and pages, --with-daemon-dir has the daemon."""
    names = files(built[1])
    assert {"/bin/hop-probe-ping", "/bin/hop-probe-fleet", "/libexec/hopline/hop-mtr-packet",
            "/share/man/man1/hop-probe-ping.1", "/share/man/man8/hop-mtr-packet.8hopline",
            "/share/doc/hopline/README.md", "/share/doc/hopline/LICENSE", "/share/doc/hopline/NEWS",
            "/share/doc/hopline/examples/ping.py"} <= names
    assert not [name for name in names if name.startswith("/bin/") and not name.startswith("/bin/hop-")]


@pytest.mark.parametrize("place, line", [
    ("bash-completion/completions/hop-probe-ping", "complete -F _hop_probe_ping hop-probe-ping"),
    ("zsh/site-functions/_hop-probe-trace", "#compdef hop-probe-trace"),
    ("fish/vendor_completions.d/hop-probe-fleet.fish", "complete -c hop-probe-fleet -f -a '(__fish_print_hostnames)'")])
def test_completions_are_for_the_installed_names(built, place, line):
    """And not for those of another hopline beside it."""
    file = built[1] / "share" / place
    assert line in file.read_text().splitlines()
    assert [other.name for other in file.parent.iterdir() if "hop-probe-" not in other.name] == []


def test_installed_tool_finds_its_daemon(built, tmp_path):
    """Not the mtr-packet beside it, nor the one in PATH: these may be mtr's."""
    _, prefix = built
    beside = prefix / "bin/mtr-packet"
    beside.write_text(f"#!/bin/sh\ntouch {tmp_path}/wrong\n")
    beside.chmod(0o755)
    said = run(prefix / "bin/hop-probe-ping", "-n", "-c1", "127.0.0.1", PATH=f"{prefix}/bin:{os.environ['PATH']}")
    beside.unlink()
    assert "1 received" in said and not (tmp_path / "wrong").exists()


def test_uninstall_of_a_prefix(built):
    tree, prefix = built
    make("uninstall", cwd=tree)
    assert not files(prefix) and not own_folders(prefix)
    make("install", cwd=tree)


def test_same_objects_in_two_places(built, tmp_path):
    """With all that debuggers are told of where a file was."""
    tree = built[0]
    other = tmp_path / "a" / "deeper" / "place"
    shutil.copytree(tree, other)
    objects = [f"again/obj/src/{name}.o" for name in ("loop", "packets/build", "tools/client", "host/sandbox-seccomp")]
    for folder in tree, other:
        make("-j2", "BUILD=again", "CFLAGS=-O2 -g", *objects, cwd=folder)
    for name in objects:
        assert (tree / name).read_bytes() == (other / name).read_bytes(), name
        assert str(tree).encode() not in (tree / name).read_bytes()


@pytest.mark.parametrize("given, expected", [({}, "3"), ({"CPPFLAGS": "-D_FORTIFY_SOURCE=2"}, "2"),
                                             ({"CFLAGS": "-O2 -U_FORTIFY_SOURCE"}, None),
                                             ({"CFLAGS": "-O0"}, None), ({"CFLAGS": "-O1 -fsanitize=address"}, None)])
def test_fortify_is_as_it_was_named(given, expected):
    words = make("-n", "-W", "src/loop.c", "V=1", build(), "CFLAGS=-O2", *(f"{n}={v}" for n, v in given.items()),
                 f"{build().removeprefix('BUILD=')}/obj/src/loop.o")
    levels = re.findall(r"-D_FORTIFY_SOURCE=(\d)", words)
    assert levels == ([expected] if expected else [])


def test_rpm_has_what_is_installed(tmp_path):
    """The files of the spec are those of `make install DESTDIR=`, and `make uninstall` leaves none of them."""
    words = [build(), f"DESTDIR={tmp_path}", "prefix=/usr", "sysconfdir=/etc", "daemondir=/usr/libexec/hopline"]
    make("install", *words)
    listed = SPEC.read_text().split("\n%files\n")[1].split("\n\n")[0].splitlines()
    listed = [re.sub(r"%{(\w+)}", lambda macro: MACROS[macro[1]], line.split()[-1])
              for line in listed if line and not line.startswith(("#", "%dir "))]
    found = files(tmp_path)
    assert [path for path in found if not any(fnmatch.fnmatch(path, pattern) for pattern in listed)] == []
    assert [pattern for pattern in listed if not fnmatch.filter(found, pattern)] == []
    make("uninstall", *words)
    assert not files(tmp_path) and not own_folders(tmp_path)
