"""What the tools say of themselves: help, manual page and README name the same options. Needs neither root nor daemon."""

import re
import subprocess

import pytest

from lab.daemon import ROOT

TOOLS = sorted(path.name for path in (ROOT / "scripts").glob("probe-*") if not path.suffix)
SHELLS = ["dash"], ["busybox", "sh"]
REFUSED = {"probe-trace": {"-t", "--ttl"}}  # common options that make no sense there


def help_of(tool, shell=()):
    return subprocess.run([*shell, ROOT / "scripts" / tool, "--help"], capture_output=True, text=True, check=True).stdout


def options(text):
    """Those that a help text lists."""
    return {option for line in text.splitlines() if line.startswith("  ") for option in
            re.findall(r"(?:^|\s)(--?[a-zA-Z0-9][a-z0-9-]*)", line[:34])}


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("tool", TOOLS)
def test_help(tool, shell):
    """--help says how the tool is used, in either shell."""
    text = help_of(tool, shell)
    assert text.startswith(f"usage: {tool} ")
    assert {"-h", "--help"} <= options(text)


@pytest.mark.parametrize("tool", TOOLS)
def test_manual_page(tool):
    """Each tool has a manual page, and each option is in it."""
    page = (ROOT / "man" / f"{tool}.1").read_text().replace("\\-", "-")
    told = {"-" + word for line in page.splitlines() if re.search(r"\bFl\b", line) for word in line.split()}
    assert options(help_of(tool)) - REFUSED.get(tool, set()) <= told


def test_options_in_the_readme():
    """Every option that the README's table gives to a tool is in the tool's help."""
    table = re.findall(r"^\|.*\|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    named = {(tool, option) for row in table for tool, words in re.findall(r"(probe-\w+)([^`|&<]*)", row)
             for option in re.findall(r" (--?[a-zA-Z][a-z-]*)", words.split(" -- ")[0])}
    assert len(named) > 15
    for tool in sorted({tool for tool, _ in named}):
        assert {option for one, option in named if one == tool} <= options(help_of(tool))
