# SPDX-License-Identifier: MIT
"""What all probe tools have in common: the command line, the conversation with the daemon, names."""

import json
import os
import pathlib
import re
import subprocess
import time

import pytest

from lab import cc
from lab.daemon import ROOT, built_binary
from lab.nameserver import nameserver
from lab.net import Namespace
from lab.tools import command, every_shell, run

TOOLS = "probe-ping", "probe-sweep", "probe-trace", "probe-pairs"  # those that probe
SCRIPTS = "probe-fleet", "probe-remote"

every_tool = pytest.mark.parametrize("tool", TOOLS)

# So that each ends soon.
SHORT = {"probe-ping": ["-c1", "-W0.2"], "probe-sweep": ["-W0.2", "-r0"], "probe-trace": ["-q1", "-m1", "-W0.2"],
         "probe-pairs": ["-c1", "-W0.2"]}

# A daemon that answers each probe with the next of these lines; $token is the request's token.
FAKE = """sh -c '
while read -r token command rest; do
    case $command in
    check-support)
        case $rest in *icmp|*udp|*tcp) rest=ok ;; *sweep) rest=no ;; *) rest=%s ;; esac
        echo $token feature-support support $rest ;;
    send-probe) echo "$token %s" ;;
    *) echo $token unknown-command ;;
    esac
done'"""


def fake(reply, support="ok"):
    return {"MTR_PACKET": FAKE % (support, reply)}


def listed(tool):
    """The long names in --help."""
    said = run(None, tool, "--help")
    assert said.status == 0
    return set(re.findall(r"^  .*?--([a-z0-9-]+)", said.out, re.M))


@pytest.mark.parametrize("tool", TOOLS + SCRIPTS)
def test_help_is_complete(tool):
    """--help lists every option that the manual page describes, and the page every one of the help."""
    page = (ROOT / "man" / f"{tool}.1").read_text().replace("\\-", "-")
    assert listed(tool) == set(re.findall(r"Fl -([a-z0-9-]+)", page))


@every_tool
def test_help_fits(tool):
    """A terminal of 80 columns."""
    lines = run(None, tool, "--help").lines
    assert max(map(len, lines[1:])) <= 80 and len(lines) > 20


@pytest.mark.parametrize("tool", SCRIPTS)
@every_shell
def test_help_of_scripts(tool, shell):
    assert run(None, tool, "--help", shell=shell).out.startswith(f"usage: {tool} ")


def test_overview_names_no_other_options():
    """Every option that hopline(7) gives to a tool in a quoted command is one of it."""
    commands = re.findall(r'^\.Ql "(probe-.*?)"', (ROOT / "man/hopline.7").read_text().replace("\\-", "-"), re.M)
    named = [(words.split()[0], option) for words in commands
             for option in re.findall(r" --([a-z-]+)|( -[a-zA-Z])", words.split(" -- ")[0])]
    assert len(named) > 15
    for tool, (long, short) in named:
        assert re.search(rf"--{long}\b" if long else f"{short}, ", run(None, tool, "--help").out), f"no {long or short}"


@every_tool
def test_version(tool):
    said = run(None, tool, "--version")
    assert said.status == 0 and re.fullmatch(rf"{tool} \(hopline\) \d+\.\d+\.\d+\n", said.out)


@every_tool
@pytest.mark.parametrize("args", [["--nonsense"], ["-W"], ["-W", "fast"], ["-W", "0,5"], ["-W", "0.0", "::1"],
                                  ["-s", "0", "::1"], ["-s", "070", "::1"], ["-p", "icmp:3", "::1"], ["-p", "gre", "::1"],
                                  ["-4", "-6", "::1"], ["--json=1", "::1"], ["-I", "127.0.0.1", "-6", "::1"], ["a;b"], ["$(date)"], [""],
                                  ["-Q", "0x100", "::1"], ["evil\033[2J"]])
def test_wrong_use(tool, args):
    """Exit status 2 and one line on stderr, of nothing that a terminal would act on."""
    said = run(None, tool, *args, quiet=False)
    assert said.status == 2 and said.out == ""
    assert said.err.startswith(f"{tool}: ") and said.err.count("\n") == 1 and "\033" not in said.err


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
@every_tool
def test_closed_descriptors(tool, closed):
    """Nothing that a tool opens takes the place of a standard descriptor that it was started without."""
    argv, env = command(tool, *SHORT[tool], "127.0.0.1")
    said = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *argv], env=env, capture_output=True, text=True, timeout=10, check=False)
    assert said.returncode in (0, 1) and "127.0.0.1" in said.stdout and said.stderr == ""


def test_closed_list():
    """A closed standard input is a list without targets: it was the descriptor of signals, and waited for for ever."""
    argv, env = command("probe-sweep", "-n")
    said = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *argv], env=env, capture_output=True, text=True, timeout=10, check=False)
    assert said.stdout.startswith("0 targets: ") and said.stderr == ""


@every_tool
@pytest.mark.parametrize("args", [["--help"], ["--version"], ["127.0.0.1"], ["--json", "127.0.0.1"]], ids=str)
def test_full_disk(tool, args):
    """What could not be written is no success, and nobody has to wait for more of it."""
    argv, env = command(tool, *(SHORT[tool] if "127.0.0.1" in args else []), *args)
    with open("/dev/full", "w", encoding="ascii") as full:
        said = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=10, check=False)
    assert (said.returncode, said.stderr) == (2, f"{tool}: not all could be written to standard output\n")


@every_tool
@pytest.mark.parametrize("args", [["--help"], ["127.0.0.1"], ["--json", "127.0.0.1"]], ids=str)
def test_closed_pipe(tool, args):
    """Whoever closed it wanted no more: that is no error to speak of."""
    argv, env = command(tool, *(SHORT[tool] if "127.0.0.1" in args else []), *args)
    ours, theirs = os.pipe()
    os.close(ours)
    said = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=10,
                          check=False)
    os.close(theirs)
    assert said.returncode in (0, 1, -13) and said.stderr == ""


@every_tool
def test_no_daemon(tool):
    said = run(None, tool, "127.0.0.1", env={"MTR_PACKET": "false"}, quiet=False)
    assert (said.status, said.out) == (2, "")
    assert said.err == f"{tool}: no daemon: false does not answer\n"


@every_tool
def test_daemon_beside(tool, tmp_path):
    """Without MTR_PACKET the daemon that was built or installed with the tool comes first, then the one in PATH."""
    (tmp_path / tool).write_bytes((pathlib.Path(built_binary()).parent / tool).read_bytes())
    (tmp_path / "elsewhere").mkdir()
    for folder, kind in (tmp_path / "elsewhere", "elsewhere"), (tmp_path, "beside"):
        (folder / "mtr-packet").write_text(f"#!/bin/sh\necho {kind} >>{tmp_path}/log\n")
        (folder / "mtr-packet").chmod(0o755)
        (tmp_path / tool).chmod(0o755)
        env = {name: value for name, value in os.environ.items() if name != "MTR_PACKET"}
        env["PATH"] = f"{tmp_path / 'elsewhere'}:{env['PATH']}"
        done = subprocess.run([tmp_path / tool, "127.0.0.1"], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and done.stderr == f"{tool}: no daemon: mtr-packet does not answer\n"
        assert (tmp_path / "log").read_text().splitlines()[-1] == kind


@every_tool
def test_daemon_that_cannot_names_itself(tool):
    said = run(None, tool, "-p", "sctp", "127.0.0.1", env=fake("no-reply", "no"), quiet=False)
    assert said.status == 2 and "does not support sctp" in said.err and "version no" in said.err


@pytest.mark.parametrize("tool, args", [("probe-ping", ["-i0.05", "192.0.2.1"]),
                                        ("probe-sweep", ["-R1000000", "-q", "192.0.0.0/12"])])
def test_daemon_that_dies(tool, args):
    """In the middle of a run: no hanging, what is known is printed, why it ends is said, status 2."""
    dying = {"MTR_PACKET": "timeout -s KILL 0.3 " + fake("reply ip-4 192.0.2.1 round-trip-time 1500")["MTR_PACKET"]}
    said = run(None, tool, "-n", *args, env=dying, quiet=False)
    assert said.status == 2 and f"{tool}: the daemon ended before its time: timeout " in said.err
    assert " answered, " in said.out if tool == "probe-sweep" else " received, 0% lost" in said.out


HOSTILE = {
    "some.name": "192.0.2.1",
    "192.0.2.7": 'evil\033[2J"name',
    "192.0.2.1": '"},{"x":"y',
}


@pytest.mark.usefixtures("root")
@every_tool
def test_hostile_resolver(tool):
    """What a name server says reaches neither the terminal nor JSON, unless it is a name or an address."""
    env = fake("ttl-expired ip-4 192.0.2.7 round-trip-time 1500")
    with Namespace("hostile") as namespace, nameserver(namespace, HOSTILE):
        namespace.ip("addr add 192.0.2.9/24 dev lo")
        for as_json in [], ["--json"]:
            said = run(namespace, tool, *SHORT[tool], *as_json, "some.name", env=env, quiet=False)
            assert "\033" not in said.out + said.err and "evil" not in said.out and '"x"' not in said.out
            assert (said.objects if as_json else said.lines)


@every_tool
def test_hostile_daemon(tool):
    """Lines that are none, tokens of nobody, control characters, a line without end: passed over."""
    hostile = ("sh -c 'while read -r token command rest; do case $command in check-support) "
               "printf \"%s feature-support support ok\\n\" $token ;; send-probe) "
               "printf \"\\n \\n$token\\n99999 reply ip-4 1.2.3.4 round-trip-time 1\\n$token reply ip-4 evil\\033[2J\\n-7 x\\n"
               "$token reply ip-4 1.2.3.4.5\\n9999999999999999999 reply\\n$token ttl-expired ip-4 192.0.2.7 round-trip-time 5 "
               "mpls 1,2 x\\n\"; head -c 200000 /dev/zero | tr \"\\\\000\" a; echo ;; esac; done'")
    said = run(None, tool, "-n", *SHORT[tool], "127.0.0.1", env={"MTR_PACKET": hostile}, quiet=False)
    assert said.status == 1 and "\033" not in said.out + said.err


def test_options_reach_the_daemon(tmp_path):
    """Every common option, bundled and attached in every way, is an argument of the request."""
    log = tmp_path / "requests"
    env = {"MTR_PACKET": f"tee {log} | {fake('reply ip-4 192.0.2.1 round-trip-time 1500')['MTR_PACKET']}"}
    run(None, "probe-ping", "-4nc2", "192.0.2.1", "-i0.05", "-p", "udp:53", "-I", "192.0.2.9", "--size=900", "-Q184",
        "--ttl", "7", "-W", "0.5", env=env)
    probes = [line.split(" ", 1)[1] for line in log.read_text().splitlines() if "send-probe" in line]
    assert probes == ["send-probe ip-4 192.0.2.1 protocol udp port 53 local-ip-4 192.0.2.9 size 900 tos 184 ttl 7 "
                      "collect 1 detail 1 timeout 1.500000"] * 2


@every_tool
@pytest.mark.parametrize("support", ["ok", "no"])
@pytest.mark.parametrize("given, value", [(".5", "0.5"), ("2.", "2.0"), ("3", "3")])
def test_seconds_as_the_daemon_reads_them(tool, given, value, support, tmp_path):
    """Whole ones, rounded up, to a daemon that knows no fractions."""
    log = tmp_path / "requests"
    env = {"MTR_PACKET": f"tee {log} | {fake('reply ip-4 127.0.0.1 round-trip-time 1500', support)['MTR_PACKET']}"}
    args = {"probe-ping": ["-c1"], "probe-pairs": ["-c1"], "probe-trace": ["-m1", "-q1"], "probe-sweep": []}[tool]
    run(None, tool, "-n", *args, "-W", given, "127.0.0.1", env=env, quiet=False)
    expected = float(value) * (3 if tool == "probe-ping" and support == "ok" else 1)
    if support == "no":
        expected = -(-expected // 1)
    assert float(re.search(r" timeout (\d+(?:\.\d+)?)(?: |$)", log.read_text(), re.M)[1]) == expected


@every_tool
def test_less_is_said_once(tool):
    """On mtr's own daemon they work, and say in a line what is left out."""
    said = run(None, tool, "-n", "-picmp", *SHORT[tool], "127.0.0.1", env=fake("reply ip-4 127.0.0.1 round-trip-time 15", "no"),
               quiet=False)
    assert said.status == 0 and said.err.count("\n") == 1 and "tells less" in said.err and "SYN" not in said.err


@every_tool
def test_less_of_tcp(tool):
    """That daemon takes what answers a SYN which its host sent again for an answer to the first."""
    said = run(None, tool, "-n", "-ptcp:80", *SHORT[tool], "127.0.0.1", env=fake("reply ip-4 127.0.0.1 round-trip-time 15", "no"),
               quiet=False)
    assert said.err.count("\n") == 1
    assert "tells less: " in said.err and said.err.endswith(
        ", not whether a tcp time of a second and more is that of a SYN sent again\n")


@every_tool
def test_waits_for_no_resolver(tool):
    """One that never answers: Ctrl-C is heard at once, in a namespace where nothing answers."""
    with Namespace("waits") as namespace, nameserver(namespace, delay="silent"):
        argv, env = command(tool, "some.name")
        process = namespace.popen(*argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.5)
        assert process.poll() is None
        began = time.monotonic()
        process.terminate()
        process.communicate(timeout=5)
        assert time.monotonic() - began < 0.5


@pytest.fixture
def lab_service(tmp_path):
    """A namespace in which nsswitch.conf names a service that c-ares does not know, see nss_lab.c; and an environment."""
    if cc.is_musl():
        pytest.skip("musl knows no other name services")
    (tmp_path / "libnss_lab.so.2").symlink_to(cc.preload("nss_lab.c"))
    with Namespace("services") as namespace, nameserver(namespace):
        (pathlib.Path("/etc/netns") / namespace.name / "nsswitch.conf").write_text(
            "# of the lab\nhosts: files lab [ NOTFOUND = return ] dns # no more\n", encoding="ascii")
        yield namespace, {"LD_LIBRARY_PATH": str(tmp_path)}


@every_tool
@pytest.mark.parametrize("family", [[], ["-4"], ["-6"]], ids=str)
def test_other_name_services(lab_service, tool, family):
    """Those that ping asks, by the C library: neighbours by mDNS, a directory."""
    namespace, env = lab_service
    said = run(namespace, tool, *SHORT[tool], *family, "neighbour.lab", env=env)
    assert said.status == 0 and ("::1" if family == ["-6"] else "127.0.0.1" if family else "1") in said.out


def test_other_name_services_are_not_waited_for(lab_service):
    """Meanwhile others answer; who is not found is told; who never answers is left at Ctrl-C."""
    namespace, env = lab_service
    said = run(namespace, "probe-sweep", "-4", "slow.lab", "no.lab", "127.0.0.2", "neighbour.lab", env=env, quiet=False)
    assert [line.split(" 0.")[0] for line in said.lines[:4]] == ["127.0.0.2", "neighbour.lab (127.0.0.1)", "slow.lab (127.0.0.1)",
                                                              "no.lab no address"]
    assert said.err == "probe-sweep: no.lab: no IPv4 address found\n" and said.status == 1
    argv, environ = command("probe-sweep", "-4", *["stuck.lab"] * 20, "127.0.0.2")
    tool = namespace.popen(*argv, env={**environ, **env}, stdout=subprocess.PIPE, text=True)
    assert tool.stdout.readline().startswith("127.0.0.2 ")
    time.sleep(0.3)
    began = time.monotonic()
    tool.terminate()
    out = tool.communicate(timeout=5)[0]
    assert time.monotonic() - began < 0.5 and out.count("stuck.lab not probed") == 20


@every_tool
@pytest.mark.parametrize("when", [0.02, 0.05, 0.1, 0.3])
def test_ctrl_c_leaves_nothing(tool, when, tmp_path):
    """Neither files nor a daemon, not even when it comes twice: timeout sends it to the tool, then to all of its group."""
    argv, env = command(tool, "192.0.2.1")
    env.update(fake("no-reply"), TMPDIR=str(tmp_path))
    subprocess.run(["timeout", "-s", "INT", str(when), *argv], env=env, stdin=subprocess.DEVNULL, capture_output=True,
                   timeout=10, check=False)
    assert not list(tmp_path.iterdir())


def test_installed(tmp_path):
    """`make install` writes into each script where its library is; `make uninstall` takes all of it back."""
    make = ["make", "-s", "-C", str(ROOT), f"prefix={tmp_path}", "BUILD=" + os.environ.get("BUILD", "build")]
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    subprocess.run([*make, "install"], check=True, capture_output=True, env=env)
    for tool in TOOLS + SCRIPTS:
        said = subprocess.run([tool, "--help"], cwd="/", check=True, capture_output=True, text=True,
                              env={**env, "PATH": f"{tmp_path}/bin:{env['PATH']}"})
        assert said.stdout.startswith(f"usage: {tool} ")
        assert (tmp_path / "share" / "man" / "man1" / f"{tool}.1").exists()
    json.loads((tmp_path / "share" / "doc" / "hopline" / "probe-json.schema.json").read_text())
    subprocess.run([*make, "uninstall"], check=True, capture_output=True, env=env)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


@pytest.mark.parametrize("reply, words", [
    ("no-route-host", "to 192.0.2.1: seq=1 host unreachable"),
    ("no-route-network ip-4 192.0.2.7 round-trip-time 2000", "from 192.0.2.7: seq=1 time=2 ms network unreachable"),
    ("no-route-host ip-4 192.0.2.7 round-trip-time 2000 icmp-type 3 icmp-code 13", "from 192.0.2.7: seq=1 time=2 ms filtered"),
    ("no-route-host ip-4 192.0.2.7 round-trip-time 2000 icmp-type 3 icmp-code 3",
     "from 192.0.2.7: seq=1 time=2 ms port unreachable"),
    ("permission-denied", "to 192.0.2.1: seq=1 permission denied"),
    ("invalid-argument reason bad-value argument size", "to 192.0.2.1: seq=1 invalid argument: bad value size"),
    ("network-down reason no-such-device", "to 192.0.2.1: seq=1 network down: no such device"),
    ("unexpected-error errno 71", "to 192.0.2.1: seq=1 unexpected error: errno 71"),
    ("packet-too-big mtu 1400", "to 192.0.2.1: seq=1 packet too big, mtu 1400"),
    ("no-reply", "no answer from 192.0.2.1: seq=1"),
])
def test_errors_in_words(reply, words):
    said = run(None, "probe-ping", "-n", "-c1", "192.0.2.1", env=fake(reply, "no"), quiet=False)
    assert (said.status, said.lines[0]) == (1, words)


KEPT_BACK = "not let out by this host: errno 1"


@pytest.mark.parametrize("tool, words, line", [
    ("probe-trace", ["-q1", "-m1"], "192.0.2.1,192.0.2.1,1,0,1,no-reply,,,,,,%s,,,,,,,"),
    ("probe-sweep", ["-r0"], "192.0.2.1 %s")])
def test_kept_back(tool, words, line):
    """A probe that this host has not let out was not lost on its way."""
    env = fake("no-reply errno 1")
    said = run(None, tool, "-n", *words, *(["--csv"] if tool == "probe-trace" else []), "192.0.2.1", env=env)
    assert said.status == 1 and line % KEPT_BACK in said.lines
    one = run(None, tool, "-n", *words, "--json", "192.0.2.1", env=env).objects[0]
    assert (one["kind"], one["error"], one["errno"]) == ("no-reply", KEPT_BACK, 1)


def test_much_at_once_is_no_deadlock():
    """More requests at once than pipes hold, from a daemon that reads none while its answers are not read."""
    said = run(None, "probe-trace", "--flows", 100, "--json", "-n", "192.0.2.1", timeout=60,
               env=fake("ttl-expired ip-4 192.0.2.7 round-trip-time 1" + " filler word" * 30))
    assert len(said.of_type("hop")) == 3000
