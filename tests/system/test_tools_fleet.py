# SPDX-License-Identifier: MIT
"""probe-fleet and probe-remote: three vantage points, each with its own sshd; mtr and mtrpacket from the desk."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from lab import venv
from lab.fleet import NOWHERE, TARGET, fleet
from lab.path import hop_address
from lab.tools import SCRIPTS, command

HERE = pathlib.Path(__file__).parent

pytestmark = pytest.mark.usefixtures("root")

every_shell_and_awk = pytest.mark.parametrize("shell, awk", [
    ("dash", "mawk"), ("busybox sh", "gawk"), ("busybox sh", "busybox awk")])


@pytest.fixture(scope="module")
def labs(binary):
    with fleet() as made:
        yield made


@pytest.fixture
def parallel():
    if not shutil.which("parallel"):
        pytest.skip("no parallel: install the Debian package parallel")


@pytest.fixture
def run_fleet(labs, parallel):
    """Runs probe-fleet at the desk: (status, its lines sorted, what it said)."""
    def run(*words, **env):
        result = labs.desk.run("probe-fleet", *words, env=labs.environment(**env), check=False, timeout=30)
        return result.returncode, sorted(result.stdout.splitlines()), result.stderr
    return run


def without_times(lines):
    """Reply lines to their tag, token, kind and address."""
    return [line.split(" round-trip-time")[0] for line in lines]


@every_shell_and_awk
def test_request_file_on_each_vantage_point(labs, parallel, tmp_path, shell, awk):
    """One request file on three vantage points: each line tagged with its own, and as the path from there has it."""
    requests = tmp_path / "requests"
    requests.write_text(f"1 send-probe ip-4 {TARGET.address[4]} ttl 3\n2 send-probe ip-4 {TARGET.address[4]}\n")
    argv, _ = command("probe-fleet", "--requests", requests, "-S", "lab1", "lab2,lab3", shell=shell, awk=awk)
    result = labs.desk.run(*argv, env=labs.environment(AWK=awk), check=False, timeout=30)
    expected = [f"lab{lab}\t{token} reply ip-4 {TARGET.address[4]}" for lab in (1, 2, 3) for token in (1, 2)]
    expected[4] = f"lab3\t1 ttl-expired ip-4 {hop_address(3)[4]}"
    assert (result.returncode, without_times(sorted(result.stdout.splitlines())), result.stderr) == (0, expected, "")


def test_tool_with_arguments(run_fleet):
    """Arguments reach the tool as they were written: blanks, quotes and parallel's own {} included."""
    words = "two  words", "it's", "{}", "$HOME", "*"
    assert run_fleet("-Slab1", "-S", "lab2", "--", "printf", "%s\\n", *words) == \
        (0, sorted(f"lab{lab}\t{word}" for lab in (1, 2) for word in words), "")


def test_last_line_without_its_end(run_fleet):
    """It stays a line of its own vantage point's."""
    expected = sorted(f"lab{lab}\t{word}" for lab in (1, 2, 3) for word in ("one", "two"))
    for _ in range(5):
        assert run_fleet("-S", "lab1", "lab2", "lab3", "--", "printf", "one\\ntwo") == (0, expected, "")


def test_probe_tool(run_fleet, tmp_path):
    """probe-ping on each vantage point of a file."""
    names = tmp_path / "names"
    names.write_text("# ours\nlab1\n\nlab2 # the second\nlab3")
    status, lines, said = run_fleet("--sshloginfile", names, "--", "probe-ping", "-n", "-c", "1", "-W", "0.5",
                                    TARGET.address[4])
    assert (status, said) == (0, "")
    assert [line for line in lines if "1 sent, 1 received" in line] == \
        [f"lab{lab}\t1 sent, 1 received, 0% lost" for lab in (1, 2, 3)]


@pytest.mark.parametrize("shell", ["dash", "busybox sh"])
def test_list_of_another_system(labs, parallel, tmp_path, shell):
    """A byte order mark, carriage returns, and a last line without its end."""
    names = tmp_path / "names"
    names.write_bytes(b"\xef\xbb\xbflab1\r\n\r\n# ours\r\nlab2 \r\nlab3\r")
    argv, _ = command("probe-fleet", "--sshloginfile", names, "--", "echo", "here", shell=shell)
    result = labs.desk.run(*argv, env=labs.environment(), check=False, timeout=30)
    assert (result.returncode, sorted(result.stdout.splitlines()), result.stderr) == \
        (0, [f"lab{lab}\there" for lab in (1, 2, 3)], "")


def test_vantage_point_that_fails(run_fleet, tmp_path):
    """One that can't be reached and one without the tool are told, the third's lines are there; all are in the log."""
    joblog = tmp_path / "joblog"
    command = ["--", "sh", "-c", 'test "$(cat /sys/class/net/desk/address 2>/dev/null)" && echo here']
    status, lines, said = run_fleet("-S", "lab1", NOWHERE, "--joblog", joblog, *command)
    assert (status, lines) == (1, ["lab1\there"])
    assert f"probe-fleet: {NOWHERE} could not be reached by ssh\n" in said
    assert sorted(line.split("\t")[6] for line in joblog.read_text().splitlines()[1:]) == ["0", "255"]
    status, lines, said = run_fleet("-S", "lab1", "--", "no-such-tool")
    assert (status, lines) == (2, [])
    assert "probe-fleet: lab1 has no such program\n" in said


def test_json(run_fleet):
    """--json: the vantage point in each object; lines that are none, and failures, are objects too."""
    status, lines, _ = run_fleet("--json", "-S", "lab1", NOWHERE, "--", "printf", "%s\\n", '{"a": 1}', 'say "x"\tnow')
    assert status == 1
    assert [json.loads(line) for line in lines] == [
        {"vantage": "lab1", "a": 1}, {"vantage": "lab1", "line": 'say "x"\tnow'},
        {"vantage": NOWHERE, "error": "could not be reached by ssh", "status": 255}]


def test_retries_and_time_limit(run_fleet, tmp_path):
    """--retries tries a vantage point again that failed; --timeout gives one up."""
    once = f"test -e {tmp_path}/tried && echo again; touch {tmp_path}/tried"
    status, lines, said = run_fleet("--retries", 2, "-S", "lab1", "--", "sh", "-c", f"{{ {once}; }} | grep again")
    assert (status, lines, said) == (0, ["lab1\tagain"], "")
    status, lines, said = run_fleet("--timeout", 1, "-S", "lab1", "--", "sleep", 20)
    assert (status, lines) == (2, [])
    assert "probe-fleet: lab1 was given up\n" in said


def test_interrupted(labs, parallel):
    """Ctrl-C ends what runs; what came so far is there, and who was not finished is told."""
    process = labs.desk.popen("probe-fleet", "-S", "lab1", "--", "sh", "-c", "echo begun; sleep 20", env=labs.environment(),
                              start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    begun = process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (begun, out, process.returncode) == ("lab1\tbegun\n", "", 2)
    assert "probe-fleet: lab1 was not finished\n" in err


@pytest.mark.parametrize("shell", ["dash", "busybox sh"])
def test_shards(labs, parallel, shell):
    """Every target is probed from one vantage point, and each of these has its part."""
    argv, _ = command("probe-fleet", "--shard", "-S", "lab1", "lab2,lab3", "--", "probe-sweep", "-r0", "-W0.5", "10.99.1.0-29",
                      shell=shell)
    result = labs.desk.run(*argv, env=labs.environment(), check=False, timeout=30)
    rows = [line.split("\t")[1].split() for line in result.stdout.splitlines()]
    assert sorted(words[0] for words in rows if words[0].startswith("10.")) == sorted(f"10.99.1.{n}" for n in range(30))
    assert [words[:2] for words in rows if words[1] == "targets:"] == [["10", "targets:"]] * 3
    assert [words[0] for words in rows if words[-1] == "ms"] == [TARGET.address[4]]


def test_shards_with_a_seed(run_fleet):
    """That is given to the tool: it is the last, so it counts; and the rest of the command is as it was."""
    status, lines, said = run_fleet("--shard", "-S", "lab1", "lab2", "--", "echo", "--seed", "7", "two  words")
    assert (status, said) == (0, "")
    assert [re.sub(r"(--seed) \d+ (--shard)", r"\1 N \2", line) for line in lines] == \
        [f"lab{lab}\t--seed N --shard {lab}/2 --seed 7 two  words" for lab in (1, 2)]
    assert len({line.split()[2] for line in lines}) == 1


@pytest.mark.parametrize("words", [
    ["--shard", "-S", "lab1", "-r", "/dev/null"], [], ["-S", "lab1"], ["-S", "lab1", "--"], ["--", "true"], ["--no-such-option", "-S", "lab1", "--", "true"],
    ["-S", "lab1;reboot", "--", "true"], ["-S", "lab1", "--requests", "/no/such/file"]], ids=" ".join)
def test_wrong_use(run_fleet, words):
    """Wrong use is status 2 and a word on stderr."""
    status, lines, said = run_fleet(*words)
    assert (status, lines) == (2, [])
    assert said.startswith("probe-fleet: ")


# ---------------------------------------------------------------- probe-remote

@pytest.mark.parametrize("lab", [1, 3])
def test_mtr_from_a_vantage_point(labs, lab):
    """mtr at the desk with MTR_PACKET=probe-remote reports the path from the vantage point, though it fills in the
    desk's own address and device."""
    if not shutil.which("mtr"):
        pytest.skip("no mtr here: install the Debian package mtr-tiny")
    options = ["-a", "10.70.1.1"] if lab == 1 else ["-I", "lab3"]
    environment = labs.environment(MTR_PACKET=str(SCRIPTS / "probe-remote"), PROBE_REMOTE=f"lab{lab}")
    result = labs.desk.run("mtr", "--report", "--json", "-n", "-4", "-c", 2, "-i", 0.2, "-G", 0.3, *options,
                           TARGET.address[4], env=environment, check=False, timeout=30)
    assert (result.returncode, result.stderr) == (0, "")
    hubs = [(hub["host"], hub["Loss%"]) for hub in json.loads(result.stdout)["report"]["hubs"]]
    assert hubs == [(hop_address(number)[4], 0.0) for number in range(1, lab + 1)] + [(TARGET.address[4], 0.0)]


def test_mtrpacket_from_a_vantage_point(labs):
    """The Python package at the desk, with MTR_PACKET='probe-remote lab2' and a local address of the desk: 60 probes
    at once, each names the hop that the path from there has."""
    venv.needs_mtrpacket()
    probes = [[TARGET.address[4], {"ttl": 1 + number % 3, "local_ip": "10.70.2.1"}] for number in range(60)]
    result = labs.desk.run(venv.PYTHON, HERE / "lab" / "mtrpacket_client.py", check=False, timeout=30,
                           input=json.dumps({"do": "probes", "probes": probes}),
                           env=labs.environment(MTR_PACKET="probe-remote lab2"), capture_output=True)
    assert result.returncode == 0, result.stderr
    assert [one["responder"] for one in json.loads(result.stdout)] == \
        [hop_address(1)[4], hop_address(2)[4], TARGET.address[4]] * 20


def test_example_in_python(labs):
    """scripts/examples/fleet.py: the round trip and the hops from each vantage point, and the one out of reach."""
    venv.needs_mtrpacket()
    result = labs.desk.run(venv.PYTHON, SCRIPTS / "examples" / "fleet.py", TARGET.address[4], "lab1", NOWHERE, "lab3",
                           env=labs.environment(), check=False, timeout=30)
    rows = [re.sub(r"^(\w+\t)[\d.]+ ms", r"\1TIME", line) for line in result.stdout.splitlines()]
    assert rows == ["lab1\tTIME, 2 hops", f"{NOWHERE}\tcould not be reached", "lab3\tTIME, 4 hops"]
    assert result.returncode == 1


@every_shell_and_awk
def test_replies_come_while_requests_go_on(labs, shell, awk):
    """Each reply is there before the next request, whichever awk; then the end of input ends it with status 0."""
    argv, _ = command("probe-remote", "lab1", shell=shell, awk=awk)
    process = labs.desk.popen(*argv, env=labs.environment(AWK=awk), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for token in range(3):
        process.stdin.write(f"{token} send-probe ip-4 {TARGET.address[4]} ttl 1 local-ip-4 10.70.1.1 local-device lab1\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line.startswith(f"{token} ttl-expired ip-4 {hop_address(1)[4]} "), line
    process.stdin.write("7 check-support\n\n8 send-probe ip-4\n9 nonsense")
    assert process.communicate(timeout=10)[0].splitlines() == \
        ["7 invalid-argument reason missing-feature", "0 command-parse-error", "9 unknown-command"]
    assert process.returncode == 0


def test_no_connection_is_noticed(labs):
    """When ssh ends, so do its output and probe-remote, though the client has not closed its own side."""
    process = labs.desk.popen("probe-remote", NOWHERE, env=labs.environment(), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout.read() == b""
    assert process.wait(5) == 255


def test_probe_remote_needs_a_host(labs):
    """Without a host there is nothing to do: status 2."""
    result = labs.desk.run("probe-remote", env=labs.environment(), check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("probe-remote: no host")
