# SPDX-License-Identifier: MIT
"""Small C programs that tests need: compiled when first asked for, into a directory that goes with the test run."""

import atexit
import functools
import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile

import pytest

from .daemon import ROOT, built_binary

SOURCES = pathlib.Path(__file__).resolve().parents[1]
FLAGS = "-std=c11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-pthread", f"-I{ROOT / 'src'}"


@functools.lru_cache(maxsize=None)
def _directory():
    made = pathlib.Path(tempfile.mkdtemp(prefix="hopline-test-"))
    made.chmod(0o755)  # some run as nobody
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def link_words():
    """How the build that is tested was linked: the compiler, then its flags; the libraries are the last of them."""
    flags = pathlib.Path(built_binary()).with_name("link.flags")
    return shlex.split(flags.read_text(encoding="utf-8")) if flags.exists() else []


def has_seccomp():
    """Whether the build that is tested has a sandbox."""
    return "-lseccomp" in link_words()


def is_musl():
    """Whether the build that is tested has musl for its C library."""
    return "musl" in "".join(link_words()[:1])


def sanitized():
    return any(word.startswith("-fsanitize") for word in link_words())


def _run(words):
    if not shutil.which(words[0]):
        pytest.skip(f"needs the C compiler {words[0]}")
    result = subprocess.run([str(word) for word in words], check=False, capture_output=True, text=True)
    assert result.returncode == 0, f"{shlex.join(map(str, words))}\n{result.stderr}"


@functools.lru_cache(maxsize=None)
def program(source, *flags):
    """The path of a program made of one file that stands alone; relative paths start at tests/system."""
    made = _directory() / pathlib.Path(source).stem
    _run([os.environ.get("CC", "cc"), *FLAGS, "-o", made, SOURCES / source, *flags])
    return made


@functools.lru_cache(maxsize=None)
def preload(source):
    """The path of a library for LD_PRELOAD made of one file."""
    made = _directory() / (pathlib.Path(source).stem + ".so")
    _run([os.environ.get("CC", "cc"), *FLAGS, "-shared", "-fPIC", "-o", made, SOURCES / source, "-ldl"])
    return made


@functools.lru_cache(maxsize=None)
def with_library(source):
    """The path of a program that uses the daemon's own code: one file linked with the library of the build that is
    tested."""
    words, library = link_words(), pathlib.Path(built_binary()).with_name("libhopline.a")
    if not words or not library.exists():
        pytest.skip(f"{built_binary()} has no library beside it")
    made = _directory() / pathlib.Path(source).stem
    libraries = [word for word in words if word.startswith("-l")]
    rest = [word for word in words if word not in libraries]
    _run([*rest, *FLAGS, "-fPIE", "-o", made, SOURCES / source, library, *libraries])
    return made
