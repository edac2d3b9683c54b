# SPDX-License-Identifier: MIT
"""What bash, zsh and fish complete: by the files that `make` makes from the tools' own tables."""

import contextlib
import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import time

import pytest

from lab.daemon import built_binary
from lab.tools import run

FOLDER = pathlib.Path(built_binary()).parent / "completions"
TOOLS = "probe-ping", "probe-sweep", "probe-trace", "probe-pairs", "probe-remote", "probe-fleet"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the tools were not built")


def needs(shell):
    return pytest.mark.skipif(not shutil.which(shell), reason=f"no {shell} (Debian package {shell})")


def options(tool):
    """All words of --help that are options."""
    said = run(None, tool, "--help").out
    return set(re.findall(r"(?<![\w-])--[a-z0-9-]+", "\n".join(re.findall(r"^  (?:-.|   ),? --[a-z0-9-]+", said, re.M))))


# ---------------------------------------------------------------- bash

BASH = """
. {file}
COMP_WORDS=("${{@}}") COMP_CWORD=$(($# - 1))
_{function}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def bash(tool, *words):
    """What it offers for the last of the words."""
    script = BASH.format(file=FOLDER / "bash" / tool, function=tool.replace("-", "_"))
    return subprocess.run(["bash", "--norc", "-c", script, "bash", tool, *words], capture_output=True, text=True,
                          check=True).stdout.split()


# ---------------------------------------------------------------- fish

def fish(tool, *words, home="/nonexistent"):
    line = " ".join([tool, *words])
    said = subprocess.run(["fish", "--no-config", "-c", f"source {FOLDER}/fish/{tool}.fish; complete -C '{line}'"],
                          capture_output=True, text=True, check=True,
                          env={**os.environ, "HOME": home, "XDG_CONFIG_HOME": "/nonexistent"})
    return [line.split("\t")[0] for line in said.stdout.splitlines()]


# ---------------------------------------------------------------- zsh, which completes in its line editor alone

ZSHRC = """
unsetopt prompt_sp
unset zle_bracketed_paste
PS1='ready> ' LISTMAX=1000 fpath=({folder}/zsh $fpath)
autoload -Uz compinit && compinit -u -D
zstyle ':completion:*' hosts alpha.example
for tool in {tools}; do
    $tool() {{ print -r -- "<$*>" }}
done
"""


class Zsh:
    """An interactive zsh on a terminal of its own, in which the tools print what they are given."""

    def __init__(self, folder):
        (folder / ".zshrc").write_text(ZSHRC.format(folder=FOLDER, tools=" ".join(TOOLS)), encoding="ascii")
        self._terminal, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 200, 200, 0, 0))
        self._process = subprocess.Popen(["zsh", "-d", "-i"], stdin=theirs, stdout=theirs, stderr=theirs,
                                         start_new_session=True,
                                         env={"TERM": "dumb", "PATH": os.environ["PATH"], "ZDOTDIR": str(folder)})
        os.close(theirs)
        self._read("ready> ")

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def completed(self, line):
        """The words of the tool, when Tab was pressed behind this line, and then Enter."""
        os.write(self._terminal, f"{line}\t\n".encode())
        return re.findall(r"<(.*?)>", self._read("ready> "))[-1].split()

    def offered(self, line):
        """What is listed when Tab is pressed behind it."""
        os.write(self._terminal, f"{line}\t".encode())
        said = self._read(f"\nready> {line}")  # behind the list
        os.write(self._terminal, b"\x15\n")  # takes the line back
        self._read("ready> ")
        return set(re.findall(r"(?<![\w-])--[a-z0-9][a-z0-9-]*", said))

    def _read(self, until, timeout=10):
        text, end = "", time.monotonic() + timeout
        while until not in text:
            left = end - time.monotonic()
            assert left > 0 and select.select([self._terminal], [], [], left)[0], f"no {until!r} in {text!r}"
            text += os.read(self._terminal, 65536).decode(errors="replace")
        return text


@pytest.fixture(name="zsh", scope="module")
def fixture_zsh(tmp_path_factory):
    with contextlib.closing(Zsh(tmp_path_factory.mktemp("zsh"))) as one:
        yield one


@pytest.mark.parametrize("tool", TOOLS)
def test_bash_options(tool):
    assert {word for word in bash(tool, "-") if word.startswith("--")} >= options(tool)
    assert bash(tool, "--hel") == ["--help"]


def test_bash_values():
    assert bash("probe-ping", "-p", "") == bash("probe-ping", "--protocol", "=", "") == ["icmp", "udp", "tcp", "sctp"]
    assert bash("probe-ping", "--protocol", "=") == ["icmp", "udp", "tcp", "sctp"]
    assert bash("probe-ping", "--protocol", "=", "t") == ["tcp"]
    assert bash("probe-ping", "-M", "do") == ["do", "dont"]
    assert bash("probe-ping", "-c", "") == []
    assert "lo" in bash("probe-ping", "-I", "")
    assert bash("probe-trace", "--json", "=", "") == ["atlas"]
    assert "atlas" not in bash("probe-trace", "--json", "")
    assert bash("probe-ping", "localhos")[:1] == ["localhost"]
    assert "env" in bash("probe-fleet", "-S", "host", "--", "en")


@needs("fish")
@pytest.mark.parametrize("tool", TOOLS)
def test_fish_options(tool):
    assert set(fish(tool, "--")) >= options(tool)


@needs("fish")
def test_fish_values(tmp_path):
    assert set(fish("probe-ping", "-p", "")) == {"icmp", "udp", "tcp", "sctp"}
    assert fish("probe-ping", "--protocol=t") == ["--protocol=tcp"]
    assert set(fish("probe-ping", "-M", "do")) == {"do", "dont"}
    assert fish("probe-ping", "-c", "") == []
    assert fish("probe-trace", "--json=") == ["--json=atlas"]
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text("alpha.example ssh-ed25519 AAAA\n", encoding="ascii")
    assert fish("probe-ping", "alph", home=str(tmp_path)) == ["alpha.example"]
    assert "env" in fish("probe-fleet", "-S", "host", "--", "en")


@needs("zsh")
@pytest.mark.parametrize("tool", TOOLS)
def test_zsh_options(zsh, tool):
    assert zsh.offered(f"{tool} --") >= options(tool)


@needs("zsh")
def test_zsh_values(zsh):
    assert zsh.completed("probe-ping --cou") == ["--count"]  # its = goes again
    assert zsh.completed("probe-ping -p t") == ["-p", "tcp"]
    assert zsh.completed("probe-ping --protocol=s") == ["--protocol=sctp"]
    assert zsh.completed("probe-ping -M don") == ["-M", "dont"]
    assert zsh.completed("probe-ping -I l") == ["-I", "lo"]
    assert zsh.completed("probe-trace --json=a") == ["--json=atlas"]
    assert zsh.completed("probe-ping alph") == ["alpha.example"]
