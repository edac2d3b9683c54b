# SPDX-License-Identifier: MIT
"""What all probe tools have in common: the command line, the conversation with the daemon, the pure parts in awk."""

import os
import re
import statistics
import subprocess

import pytest

from lab.daemon import ROOT
from lab.tools import SCRIPTS, command, every_awk, every_shell, run

TOOLS = "probe-ping", "probe-sweep", "probe-trace", "probe-pairs"  # those that probe
ALL = (*TOOLS, "probe-fleet", "probe-remote")

every_tool = pytest.mark.parametrize("tool", TOOLS)

# A daemon that answers each probe with the next of these lines; $token is the request's token.
FAKE = """sh -c '
while read -r token command rest; do
    case $command in
    check-support)
        case $rest in *icmp|*udp|*tcp) rest=ok ;; *) rest=%s ;; esac
        echo $token feature-support support $rest ;;
    send-probe) echo "$token %s" ;;
    *) echo $token unknown-command ;;
    esac
done'"""


def fake(reply, support="ok"):
    return {"MTR_PACKET": FAKE % (support, reply)}


def options(tool, shell="dash"):
    """What --help lists: the long names."""
    said = run(None, tool, "--help", shell=shell)
    assert said.status == 0
    return set(re.findall(r"^  .*?--([a-z0-9-]+)", said.out, re.M))


@pytest.mark.parametrize("tool", ALL)
@every_shell
def test_help_is_complete(tool, shell):
    """--help lists every option that the manual page describes, and the page every one of the help."""
    listed = options(tool, shell)
    page = (ROOT / "man" / f"{tool}.1").read_text().replace("\\-", "-")
    assert listed == set(re.findall(r"Fl -([a-z0-9-]+)", page))


def test_readme_names_no_other_options():
    """Every option that a table of the README gives to a tool is one of it."""
    table = "\n".join(re.findall(r"^\|.*\|$", (ROOT / "README.md").read_text(), re.M))
    named = [(tool, option) for tool, words in re.findall(r"(probe-\w+)([^`|&<]*)", table)
             for option in re.findall(r" --([a-z-]+)|( -[a-zA-Z])", words.split(" -- ")[0])]
    assert len(named) > 15
    for tool, (long, short) in named:
        assert (f"--{long} " if long else f"{short}, ") in run(None, tool, "--help").out, f"{tool} has no {long or short}"


@every_tool
@every_shell
@pytest.mark.parametrize("args", [["--nonsense"], ["-W"], ["-W", "fast"], ["-s", "0", "::1"], ["-s", "070", "::1"],
                                  ["-p", "icmp:3", "::1"], ["-p", "gre", "::1"], ["-4", "-6", "::1"], ["--json=1", "::1"],
                                  ["-I", "127.0.0.1", "-6", "::1"], ["a;b"], ["$(date)"]])
def test_wrong_use(tool, shell, args):
    """Exit status 2 and one line on stderr."""
    said = run(None, tool, *args, shell=shell, quiet=False)
    assert said.status == 2 and said.out == ""
    assert said.err.startswith(f"{tool}: ") and said.err.count("\n") == 1


@every_tool
@every_awk
def test_no_daemon(tool, awk):
    said = run(None, tool, "127.0.0.1", awk=awk, env={"MTR_PACKET": "false"}, quiet=False)
    assert (said.status, said.out) == (2, "")
    assert said.err == f"{tool}: no daemon: false does not answer\n"


@every_awk
@every_shell
@pytest.mark.parametrize("tool, args", [("probe-ping", ["-i0.05"]), ("probe-sweep", ["-R1000000", "-q"])])
def test_daemon_that_dies(tool, args, awk, shell):
    """In the middle of a run: no hanging, what is known is printed, why it ends is said, status 2."""
    dying = {"MTR_PACKET": "timeout -s KILL 0.3 " + fake("reply ip-4 192.0.2.1 round-trip-time 1500")["MTR_PACKET"]}
    said = run(None, tool, "-n", *args, "192.0.0.0/16" if tool == "probe-sweep" else "192.0.2.1", awk=awk, shell=shell,
               env=dying, quiet=False)
    assert said.status == 2 and f"{tool}: the daemon ended before its time: timeout " in said.err
    assert " answered, " in said.out if tool == "probe-sweep" else " received, 0% lost" in said.out


HOSTILE = r"""#!/bin/sh
case $1 in
hosts) printf '%s  evil\033[2J"name\n%s  "},{"x":"y\n' "$2" "$2" ;;
*) printf '192.0.2.1  STREAM evil\n\033]0;evil\007:1  STREAM evil\n1"2:3  DGRAM\n' ;;
esac
"""


@every_tool
@every_awk
def test_hostile_resolver(tool, awk, tmp_path):
    """What a name server says reaches neither the terminal nor JSON, unless it is a name or an address."""
    (tmp_path / "getent").write_text(HOSTILE, encoding="ascii")
    (tmp_path / "getent").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **fake("ttl-expired ip-4 192.0.2.7 round-trip-time 1500")}
    args = {"probe-ping": ["-c1", "-W0.1"], "probe-sweep": ["-W0.1"], "probe-trace": ["-q1", "-m1"], "probe-pairs": ["-c1"]}
    for json in [], ["--json"]:
        said = run(None, tool, *args[tool], *json, "some.name", awk=awk, env=env, quiet=False)
        assert "\033" not in said.out + said.err and "\007" not in said.out and "evil" not in said.out
        assert said.objects if json and tool != "probe-pairs" else said.lines or tool == "probe-pairs"


@every_awk
@every_shell
def test_options_reach_the_daemon(shell, awk, tmp_path):
    """Every common option, bundled and attached in every way, is an argument of the request."""
    log = tmp_path / "requests"
    env = {"MTR_PACKET": f"tee {log} | {fake('reply ip-4 192.0.2.1 round-trip-time 1500', 'no')['MTR_PACKET']}"}
    said = run(None, "probe-ping", "-4nc2", "192.0.2.1", "-i0.05", "-p", "udp:53", "-I", "192.0.2.9", "--size=900", "-Q184",
               "--ttl", "7", "-W", "0.5", shell=shell, awk=awk, env=env)
    assert said.lines[:2] == [f"answer from 192.0.2.1: seq={n} time=1.5 ms" for n in (1, 2)]
    probes = [line for line in log.read_text().splitlines() if "send-probe" in line]
    assert probes == [f"{n} send-probe ip-4 192.0.2.1 protocol udp port 53 local-ip-4 192.0.2.9 size 900 tos 184 ttl 7 "
                      "timeout 0.5" for n in (1, 2)]


@every_tool
@every_shell
@pytest.mark.parametrize("given, value", [(".5", "0.5"), ("2.", "2.0"), ("3", "3")])
def test_seconds_as_the_daemon_reads_them(tool, shell, given, value, tmp_path):
    log = tmp_path / "requests"
    env = {"MTR_PACKET": f"tee {log} | {fake('reply ip-4 192.0.2.1 round-trip-time 1500', 'no')['MTR_PACKET']}"}
    args = {"probe-ping": ["-c1"], "probe-pairs": ["-c1"], "probe-trace": ["-m1"], "probe-sweep": []}[tool]
    run(None, tool, "-n", *args, "-W", given, "127.0.0.1", shell=shell, env=env)
    assert float(re.search(r" timeout (\d+(?:\.\d+)?)(?: |$)", log.read_text(), re.M)[1]) == float(value)


@every_shell
@pytest.mark.parametrize("when", [0.02, 0.05, 0.1, 0.3])
def test_ctrl_c_leaves_no_files(shell, when, tmp_path):
    """Not even twice, at any time: timeout sends it to the tool, then to all of its group."""
    argv, env = command("probe-sweep", "-q", "-R100", "192.0.2.0/24", shell=shell)
    env.update(fake("no-reply"), TMPDIR=str(tmp_path))
    subprocess.run(["timeout", "-s", "INT", str(when), *argv], env=env, stdin=subprocess.DEVNULL, capture_output=True,
                   timeout=10, check=False)
    assert not list(tmp_path.iterdir())


def test_installed(tmp_path):
    """`make install` writes into each tool where its library is; `make uninstall` takes all of it back."""
    make = ["make", "-s", "-C", str(ROOT), f"prefix={tmp_path}", "BUILD=" + os.environ.get("BUILD", "build")]
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    subprocess.run([*make, "install"], check=True, capture_output=True, env=env)
    for tool in TOOLS:
        said = subprocess.run([tool, "--help"], cwd="/", check=True, capture_output=True, text=True,
                              env={**env, "PATH": f"{tmp_path}/bin:{env['PATH']}"})
        assert said.stdout.startswith(f"usage: {tool} ")
        assert (tmp_path / "share" / "man" / "man1" / f"{tool}.1").exists()
    subprocess.run([*make, "uninstall"], check=True, capture_output=True, env=env)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


@pytest.mark.parametrize("reply, words", [
    ("no-route-host", "to 192.0.2.1: seq=1 host unreachable"),
    ("no-route-network ip-4 192.0.2.7 round-trip-time 2000", "from 192.0.2.7: seq=1 time=2 ms network unreachable"),
    ("permission-denied", "to 192.0.2.1: seq=1 permission denied"),
    ("invalid-argument reason bad-value argument size", "to 192.0.2.1: seq=1 invalid argument: bad value size"),
    ("network-down reason no-such-device", "to 192.0.2.1: seq=1 network down: no such device"),
    ("unexpected-error errno 71", "to 192.0.2.1: seq=1 unexpected error: errno 71"),
    ("packet-too-big mtu 1400", "to 192.0.2.1: seq=1 packet too big, mtu 1400"),
    ("no-reply", "no answer from 192.0.2.1: seq=1"),
])
def test_errors_in_words(reply, words):
    said = run(None, "probe-ping", "-n", "-c1", "192.0.2.1", env=fake(reply, "no"))
    assert (said.status, said.lines[0]) == (1, words)


def test_much_at_once_is_no_deadlock():
    """More requests at once than pipes hold, from a daemon that reads none while its answers are not read."""
    said = run(None, "probe-trace", "--flows", 100, "--json", "-n", "192.0.2.1", timeout=60,
               env=fake("ttl-expired ip-4 192.0.2.7 round-trip-time 1" + " filler word" * 30))
    assert len(said.of_type("hop")) == 3000


# ---------------------------------------------------------------- pure parts of probe-lib.awk

def awk_program(text, awk):
    """Runs functions of the library, without a daemon."""
    _, env = command("probe-ping", awk=awk)
    # Before the library's own BEGIN, which would look for a daemon.
    return subprocess.run([*awk.split(), "-f", "-", "-f", str(SCRIPTS / "probe-lib.awk")], text=True, capture_output=True,
                          env=env, check=True, input=f"""
        BEGIN {{ {text}; failed = "0"; exit }}
        function begin() {{}} function heard() {{}} function tick() {{}} function finish() {{}}""").stdout.splitlines()


@every_awk
def test_statistics(awk):
    """Mean, standard deviation, and jitter as icmplib has it: the mean of the differences of consecutive round trips."""
    times = [12.5, 10.25, 0.004, 300.0, 11.125, 11.125]
    text = "".join(f'add("x", {ms});' for ms in times)
    mean, deviation, jitter = map(float, awk_program(
        text + 'printf "%.6f %.6f %.6f", mean("x"), deviation("x"), jitter("x")', awk)[0].split())
    steps = [abs(a - b) for a, b in zip(times, times[1:])]
    assert mean == pytest.approx(statistics.mean(times))
    assert deviation == pytest.approx(statistics.pstdev(times), abs=1e-5)
    assert jitter == pytest.approx(statistics.mean(steps))


@every_awk
def test_json_strings(awk):
    assert awk_program(r'print_json(string("a", "x\"y\\z") string("b", "") number("c", 0) mpls_json("16,1,1,9"))', awk) == [
        r'{"a": "x\"y\\z", "c": 0, "mpls": [{"label": 16, "class": 1, "bottom": 1, "ttl": 9}]}']
