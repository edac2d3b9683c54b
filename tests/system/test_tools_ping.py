# SPDX-License-Identifier: MIT
"""probe-ping over a played path."""

import dataclasses
import json
import os
import pty
import re
import shutil
import signal
import statistics
import subprocess
import time

import pytest

from lab import twelve, venv
from lab.capture import Capture
from lab.daemon import Daemon
from lab.fake_daemon import fake_daemon
from lab.nameserver import nameserver
from lab.net import Namespace
from lab.pair import Pair
from lab.path import Path, hop_address, hops, target, target_address
from lab.tools import command, on_terminal, run, stand_still, start

TARGET, OTHER = target_address(0), target_address(1)

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(scope="module")
def path():
    with Namespace("ping") as namespace, Path(namespace) as played:
        yield played


@pytest.fixture
def additions(path, binary):
    """Skips where the daemon has neither collect nor detail."""
    with Daemon(path.namespace, binary=binary) as daemon:
        for feature in ("collect", "detail"):
            if daemon.ask(f"check-support feature {feature}").args["support"] != "ok":
                pytest.skip(f"the daemon has no {feature}")


def test_loss_and_a_second_host(path):
    """A line each answer, a word for each that is lost, a summary for each host, status 1; a name that has no address
    is told, and the rest goes on."""
    path.play(hops(2), [target(0, loses=3), target(1)])
    said = run(path.namespace, "probe-ping", "-c6", "-i0.05", "-W0.3", TARGET[4], "nosuch.invalid", OTHER[6], quiet=False)
    assert said.status == 1
    assert re.fullmatch("probe-ping: nosuch.invalid: no address found(: .*)?\n", said.err)
    answers = [line for line in said.lines if f"from {TARGET[4]}: seq=" in line and " time=" in line]
    assert [int(re.search("seq=([0-9]+)", line)[1]) for line in answers] == [1, 2, 4, 5]
    for seq in (3, 6):
        assert f"no answer from {TARGET[4]}: seq={seq}" in said.lines
    at = said.lines.index(f"--- {TARGET[4]} ---")
    assert said.lines[at + 1] == "6 sent, 4 received, 33.33% lost"
    assert said.lines[at + 3] == "--- nosuch.invalid ---" and said.lines[at + 4].startswith("no address found")
    assert said.lines[at + 5:at + 7] == [f"--- {OTHER[6]} ---", "6 sent, 6 received, 0% lost"]


def test_json_and_its_sums(path):
    """One object a line; the summary is what the answers make, jitter as icmplib has it."""
    path.play([], [target()])
    said = run(path.namespace, "probe-ping", "--json", "-c5", "-i", "0.02", TARGET[6])
    times = [one["ms"] for one in said.of_type("answer")]
    assert said.status == 0 and len(times) == 5
    assert [(one["seq"], one["kind"], one["from"]) for one in said.of_type("answer")] == [
        (seq, "reply", TARGET[6]) for seq in range(1, 6)]
    total = said.of_type("summary")[0]
    assert (total["sent"], total["received"], total["loss_percent"]) == (5, 5, 0)
    assert (total["min_ms"], total["max_ms"]) == (min(times), max(times))
    assert total["avg_ms"] == pytest.approx(statistics.mean(times), abs=0.001)
    assert total["stddev_ms"] == pytest.approx(statistics.pstdev(times), abs=0.001)
    assert total["jitter_ms"] == pytest.approx(statistics.mean(abs(a - b) for a, b in zip(times, times[1:])), abs=0.001)


def test_duplicates(path, additions):
    path.play([], [target(copies=2)])
    said = run(path.namespace, "probe-ping", "-c3", "-i0.1", TARGET[4])
    assert said.status == 0
    for line, end in zip(said.lines, ("", r" \(duplicate\)")):
        assert re.fullmatch(r"64 bytes from \S+: seq=1 ttl=64 time=\S+ ms" + end, line)
    assert re.search(r"^3 sent, 3 received, 0% lost, [23] duplicate answers$", said.out, re.M)


def test_late(path, additions):
    """Lost by the timeout, and shown all the same."""
    path.play([], [target(delay=0.35)])
    said = run(path.namespace, "probe-ping", "-c4", "-i0.15", "-W0.2", TARGET[4])
    assert said.status == 1
    assert said.lines.index(f"no answer from {TARGET[4]}: seq=1") < \
        said.lines.index(next(line for line in said.lines if "seq=1 " in line and line.endswith("(late)")))
    assert re.search(r"^4 sent, 0 received, 100% lost, [123] late answers?$", said.out, re.M)


def test_a_router_answers(path):
    """The error in words, by whom, with the labels."""
    path.play(twelve.ROUTERS, [twelve.TARGET])
    said = run(path.namespace, "probe-ping", "-c1", "-t7", twelve.TARGET.address[6])
    assert said.status == 1
    assert re.fullmatch(f"from {twelve.address(7, 6)}: seq=1 (ttl=64 )?time=\\S+ ms time to live exceeded mpls "
                        "1048575 class 7 ttl 255, 0 class 0 ttl 0, 299776 class 5 ttl 2", said.lines[0])


@pytest.mark.parametrize("family, error, words", [
    (4, (3, 2), "protocol unreachable"), (4, (3, 3), "port unreachable"), (6, (1, 4), "port unreachable")])
def test_an_error_by_the_target(path, additions, family, error, words):
    """It is an answer, and is said to be what it is."""
    path.play([], [target(icmp="error", error=error)])
    said = run(path.namespace, "probe-ping", "-c1", "-n", TARGET[family])
    assert said.status == 0 and re.fullmatch(rf"\d+ bytes from {TARGET[family]}: seq=1 .*time=\S+ ms {words}", said.lines[0])
    answer, = run(path.namespace, "probe-ping", "--json", "-c1", TARGET[family]).of_type("answer")
    assert (answer["kind"], answer["notes"]) == ("reply", words) and "error" not in answer


def test_a_router_answers_about_several(path):
    """Of several hosts it is told which one the router's error is about."""
    path.play(hops(2), [target(0), target(1)])
    said = run(path.namespace, "probe-ping", "-c1", "-n", "-t1", TARGET[4], OTHER[4])
    told = [re.match(r"from (\S+) about (\S+): seq=1 .* time to live exceeded$", line).groups() for line in said.lines[:2]]
    assert sorted(told) == sorted((hop_address(1)[4], host[4]) for host in (TARGET, OTHER))


@pytest.mark.parametrize("protocol", ["udp", "tcp", "sctp"])
def test_protocols(path, protocol):
    path.play([], [target()])
    assert run(path.namespace, "probe-ping", "-q", "-c2", "-i0.05", "-p", f"{protocol}:443", TARGET[4]).status == 0


@pytest.mark.parametrize("to_all", [True, False])
def test_interrupt(path, to_all):
    """Answers show as they come; Ctrl-C, or a signal to the tool alone, prints the summary."""
    path.play([], [target()])
    began = time.monotonic()
    tool = start(path.namespace, "probe-ping", "-i0.2", TARGET[4])
    lines = [tool.stdout.readline() for _ in range(2)]
    assert all(" time=" in line for line in lines) and time.monotonic() - began < 0.9
    if to_all:
        os.killpg(tool.pid, signal.SIGINT)
    else:
        tool.send_signal(signal.SIGTERM)
    rest, _ = tool.communicate(timeout=5)
    assert tool.returncode == 0
    assert re.search(r"^(\d+) sent, \1 received, 0% lost\nmin/avg/max/stddev ", rest, re.M)


def test_interrupt_with_probes_under_way(path):
    """Of those nobody knows whether they are lost."""
    path.play([], [target(delay=0.5)])
    tool = start(path.namespace, "probe-ping", "-i0.1", TARGET[4])
    tool.stdout.readline()
    os.killpg(tool.pid, signal.SIGINT)
    rest, _ = tool.communicate(timeout=5)
    sent, received, open_ = map(int, re.search(r"^(\d+) sent, (\d+) received, 0% lost, (\d+) under way$", rest, re.M).groups())
    assert tool.returncode == 0 and sent == received + open_


def test_standstill(path):
    """What was answered while the tool and its daemon were stopped is not lost."""
    path.play([], [target(delay=0.5)])
    tool = start(path.namespace, "probe-ping", "-c5", "-i0.1", "-W1", TARGET[4])
    tool.stdout.readline()
    stand_still(tool)
    rest, _ = tool.communicate(timeout=5)
    assert "no answer" not in rest and "5 sent, 5 received, 0% lost\n" in rest


def test_loss_of_nothing(path):
    """Where no probe has had its time the loss is not known: a 0 would be a host that works."""
    path.play([], [target(silent=True)])
    few = ["-w0.3", "-i0.1", TARGET[4]]
    said = run(path.namespace, "probe-ping", "-q", *few)
    assert said.status == 1 and re.search(r"^(\d) sent, 0 received, loss not known, \1 under way$", said.out, re.M)
    said = run(path.namespace, "probe-ping", "--json", *few, "nosuch.invalid", quiet=False)
    assert [(one["received"], one["loss_percent"]) for one in said.of_type("summary")] == [(0, None)] * 2
    said = run(path.namespace, "probe-ping", "--openmetrics", *few, "nosuch.invalid", quiet=False)
    assert [line.split()[-1] for line in said.lines if line.startswith("probe_loss_ratio{")] == ["NaN"] * 2
    assert run(path.namespace, "probe-ping", "--fping", *few).out == f"{TARGET[4]} :\n"
    said = run(path.namespace, "probe-ping", "--live", "-n", *few)
    assert {line.split()[1] for line in said.lines if line.startswith(f"{TARGET[4]} ")} == {"-"}


def test_loss_of_nothing_until_now(path):
    """Ctrl-\\ before the first has had its time."""
    path.play([], [target(silent=True)])
    with start(path.namespace, "probe-ping", "-c1", "-W1", "-n", TARGET[4], stderr=subprocess.PIPE) as process:
        time.sleep(0.3)
        process.send_signal(signal.SIGQUIT)
        out, err = process.communicate(timeout=10)
    assert err == f"{TARGET[4]}: 0/1 answered, loss not known\n" and "1 sent, 0 received, 100% lost" in out


def test_fast(path):
    """An interval of a hundredth of a second, and a flood."""
    path.play([], [target()])
    began = time.monotonic()
    said = run(path.namespace, "probe-ping", "-i0.01", "-c50", "-q", TARGET[4])
    assert "50 sent, 50 received, 0% lost" in said.lines and 0.4 < time.monotonic() - began < 2
    said = run(path.namespace, "probe-ping", "-f", "-c1000", TARGET[4])
    assert said.lines[1].startswith("1000 sent, 1000 received") and len(said.lines) == 3


def test_no_probe_is_wrong_use():
    said = run(None, "probe-ping", "-c0", "127.0.0.1", quiet=False)
    assert (said.status, said.out) == (2, "") and "--count takes a number from 1 to " in said.err


def test_plot(path, tmp_path):
    path.play([], [target(loses=4)])
    drawn = tmp_path / "it's a plot.svg"
    run(path.namespace, "probe-ping", "-c8", "-i0.02", "-W0.2", "-q", "--plot", drawn, TARGET[4])
    text = drawn.read_text()
    assert text.startswith("<?xml") and "lost" in text and text.rstrip().endswith("</svg>")
    said = run(path.namespace, "probe-ping", "-c100", "--plot", tmp_path / "no" / "plot.svg", TARGET[4], quiet=False)
    assert (said.status, said.out) == (2, "") and "plot.svg: No such file" in said.err  # before anything is measured


def test_plot_of_probes_under_way(path, tmp_path):
    """They are neither answered nor lost: of an interrupted ping the picture has a curve of what is known, perhaps none."""
    path.play([], [target(), target(1, silent=True)])
    drawn = tmp_path / "plot.svg"
    for words, known in ([TARGET[4], OTHER[4]], True), ([OTHER[4]], False):
        tool = start(path.namespace, "probe-ping", "-q", "--plot", drawn, *words, stderr=subprocess.PIPE)
        time.sleep(0.4)
        os.killpg(tool.pid, signal.SIGINT)
        assert tool.communicate(timeout=10)[1] == ""
        text = drawn.read_text()
        assert text.rstrip().endswith("</svg>") and "lost" not in text and (TARGET[4] in text) == known


# ---------------------------------------------------------------- what it shows

def test_stamps(path):
    """-D: seconds since the epoch before each line, as ping has them."""
    path.play([], [target(loses=2)])
    began = time.time()
    said = run(path.namespace, "probe-ping", "-D", "-c2", "-i0.1", "-W0.3", TARGET[4])
    stamps = [float(re.match(r"\[(\d+\.\d{6})\] (64 bytes|no answer) from ", line)[1]) for line in said.lines[:2]]
    assert began <= stamps[0] < stamps[1] <= time.time()


def test_dont_fragment(path):
    """-M do: a packet too big is told by the router, not cut."""
    path.play([dataclasses.replace(hop, mtu=1300) for hop in hops(1)], [target()])
    said = run(path.namespace, "probe-ping", "-M", "do", "-s", 1400, "-c1", TARGET[4])
    assert said.status == 1 and "packet too big, mtu 1300" in said.lines[0]
    assert run(path.namespace, "probe-ping", "-M", "often", "-c1", TARGET[4], quiet=False).status == 2


def test_tos_in_hex(path):
    path.play([], [target()])
    assert run(path.namespace, "probe-ping", "-Q", "0xb8", "-c1", TARGET[4]).status == 0
    assert run(path.namespace, "probe-ping", "-Q", "0x100", "-c1", TARGET[4], quiet=False).status == 2


def test_deadline(path):
    """-w ends it; with -c it goes on until so many were answered, and says with status 1 when they were not."""
    path.play([], [target(loses=2)])
    began = time.monotonic()
    assert run(path.namespace, "probe-ping", "-q", "-w0.7", "-i0.1", "-W0.2", TARGET[4]).status == 0
    assert 0.65 < time.monotonic() - began < 1.3
    said = run(path.namespace, "probe-ping", "-q", "-w5", "-c3", "-i0.05", "-W0.1", TARGET[4])
    assert said.status == 0 and re.match(r"[567] sent, 3 received", said.lines[1])
    assert run(path.namespace, "probe-ping", "-q", "-w0.5", "-c100", "-i0.1", TARGET[4]).status == 1


def test_fping_lines(path):
    """As fping -C: a line for each host, a round trip or a hyphen for each probe."""
    path.play([], [target(0, loses=2), target(1)])
    said = run(path.namespace, "probe-ping", "--fping", "-c4", "-i0.05", "-W0.2", TARGET[4], OTHER[6])
    number = r" \d+(\.\d+)?"
    assert re.fullmatch(rf"{TARGET[4]} +:{number} -{number} -", said.lines[0])
    assert re.fullmatch(rf"{OTHER[6]} +:({number}){{4}}", said.lines[1]) and len(said.lines) == 2


def test_open_metrics(path):
    """For node_exporter; promtool finds nothing to say against it, and the histogram adds up."""
    if not shutil.which("promtool"):
        pytest.skip("no promtool (Debian package prometheus)")
    path.play([], [target(0, delay=0.003, loses=4)])
    said = run(path.namespace, "probe-ping", "--openmetrics", "-c8", "-i0.02", "-W0.2", TARGET[4])
    checked = subprocess.run(["promtool", "check", "metrics"], input=said.out, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    label = f'{{host="{TARGET[4]}",address="{TARGET[4]}"'
    assert f"probe_sent_total{label}}} 8" in said.lines and f"probe_received_total{label}}} 6" in said.lines
    assert f"probe_loss_ratio{label}}} 0.25" in said.lines and said.lines[-1] == "# EOF"
    assert f'probe_round_trip_seconds_bucket{label},le="0.0025"}} 0' in said.lines
    assert f'probe_round_trip_seconds_bucket{label},le="+Inf"}} 6' in said.lines


def test_open_metrics_of_a_host_given_twice():
    """Its samples would be there twice, for which node_exporter tells nothing of anything."""
    said = run(None, "probe-ping", "--openmetrics", "-c1", "127.0.0.1", "::1", "127.0.0.1", quiet=False)
    assert (said.status, said.out) == (2, "") and "127.0.0.1 twice" in said.err


READ = """
import json, sys
from prometheus_client import parser
from prometheus_client.openmetrics import parser as newer
text = sys.stdin.read()
print(json.dumps([[[family.name, family.type, [(one.name, one.labels, str(float(one.value))) for one in family.samples]]
                   for family in read(text)] for read in (newer.text_string_to_metric_families,
                                                          parser.text_string_to_metric_families)]))
"""


def test_open_metrics_by_both_formats(path):
    """Prometheus' own parsers of OpenMetrics and of the format before it find the same in it."""
    if not os.access(venv.PYTHON, os.X_OK) or \
            subprocess.run([venv.PYTHON, "-c", "import prometheus_client"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no package prometheus_client: `make check` gets it when PyPI can be reached")
    path.play([], [target()])
    said = run(path.namespace, "probe-ping", "--openmetrics", "-c3", "-i0.02", TARGET[4], "nosuch.invalid", quiet=False)
    read = subprocess.run([venv.PYTHON, "-c", READ], input=said.out, text=True, capture_output=True, check=False)
    assert read.returncode == 0, read.stderr
    new, old = json.loads(read.stdout)
    assert new == old and [family[:2] for family in new[-2:]] == [
        ["probe_loss_ratio", "gauge"], ["probe_round_trip_seconds", "histogram"]]
    values = {(name, labels["host"]): value for _, _, samples in new for name, labels, value in samples}
    assert values["probe_received_total", TARGET[4]] == "3.0" and values["probe_loss_ratio", "nosuch.invalid"] == "nan"


def test_live_table(path):
    """A table that is drawn anew in its place on a terminal of 80 columns, each line of it within these."""
    path.play([], [target(0, loses=3), target(1)])
    out = on_terminal(path.namespace, "probe-ping", "--live", "-c12", "-i0.05", "-W0.2", TARGET[4], OTHER[6])
    drawings = out.split("\033[3A")
    assert len(drawings) > 2
    last = [re.sub("\033\\[[KJ]", "", line).rstrip("\r") for line in drawings[-1].split("\n")[:3]]
    assert re.match(r"\r?host +loss +sent +last +avg$", last[0]) and re.match(rf"{TARGET[4]} +33.3% +12 .*x", last[1])
    assert re.match(rf"{OTHER[6]} +0.0% +12 +\d", last[2]) and all(len(line) <= 80 for line in last)


MORTAL = """sh -c '
left=6
while read -r token command rest; do
    case $command in
    check-support) echo $token feature-support support ok ;;
    *) [ $((left -= 1)) -gt 0 ] || exit 0; echo $token reply ip-4 192.0.2.1 round-trip-time 1000 ;;
    esac
done'"""


@pytest.mark.parametrize("words, lines", [(["probe-ping", "--live", "-i0.3"], 2), (["probe-trace", "--mtr", "90", "-m1", "-i0.3"], 3)])
def test_words_beside_a_table(path, words, lines):
    """The daemon's end is told above the table, which is taken away first and drawn anew below."""
    out = on_terminal(path.namespace, *words, "-n", "192.0.2.1", env={"MTR_PACKET": MORTAL})
    before, after = out.split(f"{words[0]}: the daemon ended before its time")
    up = f"\033[{lines}A\r"
    assert before.endswith(up + "\033[J") and "loss" in after and up not in after.split("loss")[0]


def test_live_table_after_a_standstill(path):
    """The shell writes below it at Ctrl-Z and fg: the table is drawn anew below that, and covers nothing."""
    path.play([], [target()])
    ours, theirs = pty.openpty()
    argv, env = command("probe-ping", "--live", "-n", "-c9", "-i0.1", TARGET[4])
    tool = path.namespace.popen(*argv, env={**env, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs)
    time.sleep(0.6)
    tool.send_signal(signal.SIGSTOP)
    os.write(theirs, b"stopped\n")
    tool.send_signal(signal.SIGCONT)
    tool.wait(timeout=5)
    before, after = os.read(ours, 65536).decode().split("stopped\r\n")
    os.close(ours)
    os.close(theirs)
    assert "\033[2A" in before and after.startswith("host ") and "\033[2A" in after


def test_live_table_on_a_low_terminal(path):
    """For how many hosts there is no room is told, in the last line."""
    path.play([], [target(number) for number in range(12)])
    hosts = [target_address(number)[4] for number in range(12)]
    out = on_terminal(path.namespace, "probe-ping", "--live", "-n", "-c2", "-i0.1", *hosts, rows=8)
    last = re.split("\033\\[7A", out)[-1].split("--- ")[0]
    assert [line.split()[0] for line in last.strip().splitlines()[:6]] == ["host", *hosts[:5]]
    assert "(and 7 more, for which there is no room)" in last


@pytest.mark.parametrize("rows, shown, more", [(1, [], 4), (2, [], 4), (3, ["host"], 4), (4, ["host", "10.99.1.1"], 3)])
def test_live_table_on_the_lowest_terminal(path, rows, shown, more):
    """The heading is none of the hosts for which there is no room."""
    path.play([], [target(number) for number in range(4)])
    hosts = [target_address(number)[4] for number in range(4)]
    out = on_terminal(path.namespace, "probe-ping", "--live", "-n", "-c1", *hosts, rows=rows)
    last = re.split(f"\033\\[{len(shown) + 1}A", out)[-1].split("--- ")[0]
    last = re.sub("\033\\[[KJ]", "", last).strip().splitlines()
    assert [line.split()[0] for line in last[:-1]] == shown
    assert f"(and {more} more, for which there is no room)" in last[-1]


def test_quit_tells_so_far(path):
    """Ctrl-\\ ends nothing: a line about each host on standard error, and on it goes."""
    path.play([], [target()])
    with start(path.namespace, "probe-ping", "-n", "-c6", "-i0.2", TARGET[4], OTHER[4], stderr=subprocess.PIPE) as process:
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGQUIT)  # the daemon, too, as from a terminal
        out, err = process.communicate(timeout=10)
    first, second = err.splitlines()
    assert re.fullmatch(rf"{TARGET[4]}: 3/3 answered, 0% lost, min/avg/max [\d./]+ ms", first) and second.startswith(OTHER[4])
    assert process.returncode in (0, 1) and "6 sent, 6 received" in out


def test_live_table_without_an_answer(path):
    """Where nothing was measured the table shows no round trip, not one of 0.000 ms."""
    path.play([], [target(0, silent=True)])
    out = run(path.namespace, "probe-ping", "--live", "-c3", "-i0.05", "-W0.2", "-n", TARGET[4]).out
    lines = [line.split() for line in out.splitlines() if line.startswith(f"{TARGET[4]} ")]
    assert lines[-1] == [TARGET[4], "100.0%", "3", "-", "-", "xxx"] and all(line[3:5] == ["-", "-"] for line in lines)


def test_from_another_address():
    """An answer that is not by the host itself says by whom it is: here to the anycast address of a subnet's routers."""
    with Pair("anycast") as hosts:
        hosts.target.sysctl("net.ipv6.conf.all.forwarding", 1)
        said = run(hosts.client, "probe-ping", "-c1", "-n", "fd50::")
        assert said.status == 0 and re.search(" from fd50:: by fd50::[29], another address: seq=1 ", said.lines[0])
        one = run(hosts.client, "probe-ping", "--json", "-c1", "fd50::").of_type("answer")[0]
        assert one["address"] == "fd50::" and one["from"] in ("fd50::2", "fd50::9")


ERROR_FIRST = """sh -c '
    while read -r token command rest; do
        case $command in
        check-support) echo $token feature-support support ok ;;
        *)  echo $token no-route-host ip-4 192.0.2.9 round-trip-time 400
            sleep 0.02
            echo $token reply ip-4 192.0.2.1 round-trip-time 20400 ;;
        esac
    done'"""


@pytest.mark.parametrize("form", [[], ["--json"], ["--fping"], ["--openmetrics"]], ids=str)
def test_answer_behind_an_error(form):
    """The target's own answer counts, whatever a router said of the probe before; that of the last probe, too."""
    said = run(None, "probe-ping", "-n", "-c3", "-i0.1", *form, "192.0.2.1", env={"MTR_PACKET": ERROR_FIRST})
    assert said.status == 0 and "(duplicate)" not in said.out
    if "--json" in form:
        total, = said.of_type("summary")
        assert [total[key] for key in ("sent", "received", "loss_percent", "duplicates", "errors")] == [3, 3, 0, 0, 3]
        assert [one["kind"] for one in said.of_type("answer")] == ["no-route-host", "reply"] * 3
    elif form:
        label = '{host="192.0.2.1",address="192.0.2.1"} '
        assert said.out == "192.0.2.1 : 20.4 20.4 20.4\n" or {
            f"probe_received_total{label}3", f"probe_errors_total{label}3", f"probe_loss_ratio{label}0"} <= set(said.lines)
    else:
        assert "3 sent, 3 received, 0% lost, 3 errors" in said.lines


def test_error_behind_which_nothing_comes(path):
    """The last probe that has one is waited for no longer than another would have been, and not the timeout."""
    path.play(hops(2), [target()])
    began = time.monotonic()
    assert run(path.namespace, "probe-ping", "-n", "-c3", "-i0.2", "-t1", TARGET[4]).status == 1
    assert 0.55 < time.monotonic() - began < 1.5


# ---------------------------------------------------------------- faults of the tool that it replaces

def test_flood_is_one_chain(path):
    """What answers late or twice does not multiply: with 40 ms to the target, at most 100 a second and no more."""
    path.play([], [target(delay=0.04, copies=2)])
    said = run(path.namespace, "probe-ping", "-f", "-w2", TARGET[4])
    sent = int(re.match(r"(\d+) sent", said.lines[1])[1])
    assert 150 <= sent <= 210


def test_interval_does_not_drift(path):
    path.play([], [target()])
    began = time.monotonic()
    run(path.namespace, "probe-ping", "-q", "-i0.01", "-c200", TARGET[4])
    assert 1.98 < time.monotonic() - began < 2.2


def test_new_flow_after_three_unanswered(path):
    """A translator may hold on to a way that is dead for as long as the identifier is the same."""
    path.play([], [target(silent=True)])
    with Capture(path.namespace, path.ifname, "out") as capture:
        run(path.namespace, "probe-ping", "-q", "-c14", "-i0.1", "-W0.05", TARGET[4])
        packets = [packet for packet in capture.packets() if packet.dst == TARGET[4]]
    identifiers = [packet.icmp_id for packet in packets]    # a machine that stands still sends some at once, in one flow
    assert len(packets) == 14 and len(set(identifiers[:3])) == 1 and len(set(identifiers)) >= 3


def test_a_flow_that_is_answered_is_kept():
    """The way of the one before stays dead for as long as it is asked."""
    network = fake_daemon('None if flow == 0 and count > 4 else "reply ip-4 192.0.2.99 round-trip-time 1000"')
    said = run(None, "probe-ping", "--json", "-c", 30, "-i0.1", "-W0.25", "192.0.2.99", env=network)
    lost = [one["seq"] for one in said.of_type("lost")]
    assert lost[:3] == [6, 7, 8] and 3 <= len(lost) <= 6 and lost == list(range(6, 6 + len(lost)))
    assert said.objects[-1]["received"] == 30 - len(lost)


def test_names_that_do_not_resolve(path):
    """They are told, and are in the JSON and in its sums; so is what could be meant."""
    path.play([], [target()])
    with nameserver(path.namespace, {"target.example": TARGET[4], "xn--bcher-kva.example": TARGET[4]}):
        said = run(path.namespace, "probe-ping", "--json", "-c1", "nosuch.example", "target.example", "bücher.example",
                   quiet=False)
    assert said.status == 1 and said.err == "probe-ping: nosuch.example: no address found\n"
    sums = {one["host"]: one for one in said.of_type("summary")}
    assert sums["nosuch.example"]["error"] == "no address found" and sums["nosuch.example"]["sent"] == 0
    assert sums["target.example"]["received"] == sums["bücher.example"]["received"] == 1


@pytest.mark.parametrize("word, hint", [
    ("010.0.0.1", "write 10.0.0.1"), ("8.8.8.8:80", "-p tcp:80"), ("fe80::1", "fe80::1%eth0"), ("[::1]", "without brackets"),
    ("http://example.net/", "without what stands before"), ("1.2.3", "not a whole address; some take it for 1.2.0.3"), ("10.0.0.0/30", "probe-sweep")])
def test_words_that_are_no_hosts(word, hint):
    said = run(None, "probe-ping", "-c1", word, quiet=False)
    assert said.status == 1 and hint in said.err and said.err.count("\n") == 1


def test_dead_resolver(path):
    """Answers come first, a router's name 2 s behind at most; Ctrl-C is heard at once."""
    path.play(twelve.ROUTERS, [twelve.TARGET])
    with nameserver(path.namespace, delay="silent"):
        began = time.monotonic()
        said = run(path.namespace, "probe-ping", "-c1", "-t3", twelve.TARGET.address[4])
        assert "time to live exceeded" in said.lines[0] and 1.5 < time.monotonic() - began < 2.6
        tool = start(path.namespace, "probe-ping", "some.name", TARGET[4])
        assert " time=" in tool.stdout.readline() or True
        began = time.monotonic()
        tool.send_signal(signal.SIGINT)
        tool.communicate(timeout=5)
        assert time.monotonic() - began < 0.5


@pytest.mark.parametrize("flood", [[], ["-f"]])
def test_who_has_answered_enough_is_asked_no_more(path, flood):
    """By the deadline, which another one uses up."""
    path.play([], [target(), target(1, silent=True)])
    said = run(path.namespace, "probe-ping", "--json", "-q", "-c3", "-w1", "-i0.05", *flood, TARGET[4], OTHER[4])
    sums = {one["host"]: one for one in said.of_type("summary")}
    assert (sums[TARGET[4]]["sent"], sums[TARGET[4]]["received"]) == (3, 3) and said.status == 1
    assert sums[OTHER[4]]["sent"] > 10


def test_stopped_before_the_deadline(path):
    """SIGSTOP and SIGCONT, as Ctrl-Z and fg do: the standstill does not come on top of -w."""
    path.play([], [target(loses=1)])
    began = time.monotonic()
    tool = start(path.namespace, "probe-ping", "-i10", "-W10", "-w2", TARGET[4])
    time.sleep(0.4)
    os.killpg(tool.pid, signal.SIGSTOP)
    time.sleep(1.4)
    os.killpg(tool.pid, signal.SIGCONT)
    tool.communicate(timeout=10)
    assert 1.9 < time.monotonic() - began < 2.8


def test_name_of_a_router(path):
    path.play(twelve.ROUTERS, [twelve.TARGET])
    router = twelve.address(3, 4)
    with nameserver(path.namespace, {router: "router-3.example"}, delay=0.1):
        said = run(path.namespace, "probe-ping", "-c1", "-t3", twelve.TARGET.address[4])
        assert said.lines[0].startswith(f"from router-3.example ({router}): seq=1 ")
        said = run(path.namespace, "probe-ping", "-n", "-c1", "-t3", twelve.TARGET.address[4])
        assert said.lines[0].startswith(f"from {router}: seq=1 ")
    with nameserver(path.namespace, {router: "evil name\033[2J.example"}):
        said = run(path.namespace, "probe-ping", "-c1", "-t3", twelve.TARGET.address[4])
        assert said.lines[0].startswith(f"from {router}: seq=1 ")


def test_reader_that_goes_away(path):
    """probe-ping | head -1 ends."""
    path.play([], [target()])
    tool = start(path.namespace, "probe-ping", "-i0.05", TARGET[4])
    tool.stdout.readline()
    tool.stdout.close()
    assert tool.wait(timeout=5) == 0


@pytest.mark.parametrize("locale", ["C", "de_DE.UTF-8"])
def test_locale(path, locale):
    """A decimal point is a point."""
    path.play([], [target()])
    said = run(path.namespace, "probe-ping", "-c1", "-i0.5", "-W1.5", TARGET[4], env={"LC_ALL": locale})
    assert said.status == 0 and re.search(r"time=\d+(\.\d+)? ms", said.lines[0])


@pytest.mark.parametrize("locale, shown", [("C", "b??cher"), ("C.UTF-8", "bücher")])
def test_a_name_in_the_locale(path, locale, shown):
    """A name is shown as it was given where the terminal can show it."""
    path.play([], [target()])
    with nameserver(path.namespace, {"xn--bcher-kva.example": TARGET[4]}):
        said = run(path.namespace, "probe-ping", "-c1", "bücher.example", env={"LC_ALL": locale})
    assert f"--- {shown}.example ({TARGET[4]}) ---" in said.lines


@pytest.mark.parametrize("letter, hint", [("-O", "always told"), ("-A", "-f"), ("-C", "--fping"), ("-V", "--version"),
                                          ("--vcount=3", "--fping"), ("--src=192.0.2.1", "-I ADDRESS")])
def test_letters_of_ping_and_fping(letter, hint):
    said = run(None, "probe-ping", letter, "127.0.0.1", quiet=False)
    assert said.status == 2 and hint in said.err and said.err.count("\n") == 1
