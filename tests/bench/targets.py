# SPDX-License-Identifier: MIT
"""The targets of the issue, each a row of the table: what is asked, what was measured, met or missed."""

import dataclasses
import statistics
import textwrap
import typing

from runs import NoFigure
from scenarios import (ALL_AT_ONCE, CLOSED_COUNTS, DEADLINES, FAMILIES, FAR_COUNT, FAR_DELAY, FAR_RATE, IDLE_SECONDS,
                       IN_FLIGHT, MESSAGES, NEIGHBOURS, PROTOCOLS, closed_name, routed_name)
from stage import FPING, MANY, PLAIN
from tools import NAMES, SPARSE, SWEPT, TRACES

COLUMNS = (3, 46, 64, 6)
CROWD = f"ours-{NEIGHBOURS}"
FPING_NOTE = f"fping: {' '.join(FPING)} -c {CLOSED_COUNTS['fping']}, {MANY} targets"


@dataclasses.dataclass(frozen=True)
class Row:
    """judge(results) returns the figure as text, and whether the target is met; it raises NoFigure."""

    number: int
    target: str
    needs: str  # a scenario; without it there is no row
    judge: typing.Callable

    def cells(self, results):
        try:
            figure, met = self.judge(results)
            return str(self.number), self.target, figure, "met" if met else "missed"
        except NoFigure as error:
            return str(self.number), self.target, str(error), "failed"


ROWS = []


def row(number, target, needs):
    def add(judge):
        ROWS.append(Row(number, target, needs, judge))
        return judge
    return add


def joined(parts):
    """Of (text, met) pairs: all texts, and whether all are met."""
    parts = list(parts)
    return "; ".join(text for text, _ in parts), all(met for _, met in parts)


def each_closed(judge, protocols=PROTOCOLS):
    """judge(scenario, label) for every protocol and family."""
    return joined(judge(closed_name(protocol, family), f"{protocol} ip-{family}")
                  for protocol in protocols for family in FAMILIES)


def compared(results, label, over, under, form, limit, most=True, factor=1.0):
    """"icmp: 3.3 / 2.9 = 1.14" of two (scenario, program, value), and whether the ratio keeps to the limit."""
    ratio = results.ratio(over, under)
    top, bottom = (form.format(results.median(*place) * factor) for place in (over, under))
    return f"{label} {top} / {bottom} = {ratio:.2f}", ratio <= limit if most else ratio >= limit


# ---- 1, 2

@row(1, "CPU a probe, icmp, 500 in flight: at most 1.15 x the floor (us, ours / floor)", "closed-icmp-4")
def _(results):
    return each_closed(lambda name, label: compared(
        results, label, (name, "ours", "cpu_us"), (name, "floor", "cpu_us"), "{:.2f}", 1.15), protocols=["icmp"])


@row(1, "CPU a probe, 500 in flight: the peer's at least 2.4 x ours (us, peer / ours)", "closed-icmp-4")
def _(results):
    return each_closed(lambda name, label: compared(
        results, label, (name, "peer", "cpu_us"), (name, "ours", "cpu_us"), "{:.2f}", 2.4, most=False))


@row(1, "Both, to a target behind a gateway (us)", "routed-icmp-4")
def _(results):
    def judge(family):
        name = routed_name(family)
        return joined([
            compared(results, f"icmp ip-{family}", (name, "ours", "cpu_us"), (name, "floor", "cpu_us"), "{:.2f}", 1.15),
            compared(results, "peer", (name, "peer", "cpu_us"), (name, "ours", "cpu_us"), "{:.2f}", 2.4, most=False)])
    return joined(judge(family) for family in FAMILIES)


@row(1, "The same without privileges: at most 1.3 x ours with raw sockets for icmp; udp and tcp are told (us)",
     "closed-icmp-4")
def _(results):
    def judge(name, label):
        text, met = compared(results, label, (name, PLAIN, "cpu_us"), (name, "ours", "cpu_us"), "{:.2f}", 1.3)
        return text, met or not label.startswith("icmp")
    return each_closed(judge)


@row(2, "Probes a second, 500 in flight: at least 2.4 x the peer's (thousands, ours / peer)", "closed-icmp-4")
def _(results):
    return each_closed(lambda name, label: compared(
        results, label, (name, "ours", "per_second"), (name, "peer", "per_second"), "{:.0f}", 2.4, most=False,
        factor=1e-3))


# ---- 3

@row(3, "Round trip at rest, 300 probes/s: error against the wire at most 1 us median, 15 us p99 (whole us are "
        "reported, so rounding adds up to 0.5)", "rest-icmp")
def _(results):
    def judge(protocol):
        def errors(program):
            return [results.median(f"rest-{protocol}", program, f"error_{what}") for what in ("median", "p99")]
        (median, p99), (peer_median, peer_p99) = errors("ours"), errors("peer")
        return f"{protocol} {median:.1f}, {p99:.0f} us (peer {peer_median:.1f}, {peer_p99:.0f})", \
            median <= 1 and p99 <= 15
    return joined(judge(protocol) for protocol in PROTOCOLS)


@row(3, "The same without privileges: at most 3 us median for icmp and udp; tcp to a closed port is told", "rest-icmp")
def _(results):
    def judge(protocol):
        median, p99 = (results.median(f"rest-{protocol}", PLAIN, f"error_{what}") for what in ("median", "p99"))
        return f"{protocol} {median:.1f}, {p99:.0f} us", median <= 3 or protocol == "tcp"
    return joined(judge(protocol) for protocol in PROTOCOLS)


def reported_against_wire(results, scenario):
    def part(program):
        reported, wire = (results.median(scenario, program, name) for name in ("median", "wire_median"))
        ratio = results.ratio((scenario, program, "median"), (scenario, program, "wire_median"))
        return f"{reported:.0f} / {wire:.1f} = {ratio:.2f}", ratio
    (ours, ratio), (peer, _) = part("ours"), part("peer")
    return f"{ours} (peer {peer})", ratio <= 2


@row(3, "Round trip flat out: median reported at most 2 x the wire's (us)", "flat-out")
def _(results):
    return reported_against_wire(results, "flat-out")


@row(3, "The same after 10,000 requests in one write", "burst")
def _(results):
    return reported_against_wire(results, "burst")


# ---- 4, 5

@row(4, "A million in flight: at most 160 MiB", "silent-1000000")
def _(results):
    rss = results.worst("silent-1000000", "ours", "rss") / 1024
    return f"{rss:.0f} MiB", rss <= 160


@row(4, "CPU a silent probe, a million at once: at most 1.3 x that a thousand at once (us)", "silent-1000000")
def _(results):
    return compared(results, "", ("silent-1000000", "ours", "silent_us"), ("silent-1000", "ours", "cpu_us"),
                    "{:.2f}", 1.3)


@row(4, "An answer while a million are in flight: as fast as with one (at most 1.1 x; us from request to reply, CPU "
        "us; client and daemon on one core)", "silent-1000000")
def _(results):
    many, one = "silent-1000000", "in-flight-1"
    return joined(compared(results, label, (many, "ours", name), (one, "ours", name), "{:.2f}", 1.1)
                  for label, name in (("time", "answer_median"), ("CPU", "busy_us")))


@row(4, "Resident at start: at most 2 MiB", "resident")
def _(results):
    ours, peer = (results.median("resident", program, "resident_kib") / 1024 for program in ("ours", "peer"))
    return f"{ours:.2f} MiB (peer {peer:.2f})", ours <= 2


@row(5, "no-reply after its timeout: p99 at most 2 ms, never before (ms: least, median, p99)", "deadlines-1000")
def _(results):
    def judge(label, scenario):
        least = results.least(scenario, "ours", "late_min")
        median, p99 = (results.median(scenario, "ours", name) for name in ("late_median", "late_p99"))
        return f"{label} {least:.3f}, {median:.2f}, {p99:.2f}", least >= 0 and p99 <= 2
    return joined([judge("a thousand in flight", "deadlines-1000"), judge("a million", "deadlines-1000000")])


# ---- 6

def losses(results, scenario, program="ours"):
    return [results.worst(scenario, program, name) for name in ("others", "overflow")]


def judge_losses(results, label, scenario, asked):
    others, overflow = losses(results, scenario)
    return f"{label} {asked - others:.0f}" + (f", {overflow:.0f} lost in buffers" if overflow else ""), \
        others == overflow == 0


@row(6, f"{ALL_AT_ONCE:,} requests as fast as the pipe takes them: every one is answered", "flood-icmp-4")
def _(results):
    kinds = [(protocol, 4) for protocol in PROTOCOLS] + [("icmp", 6)]
    return joined(judge_losses(results, f"{protocol} ip-{family}", f"flood-{protocol}-{family}", ALL_AT_ONCE)
                  for protocol, family in kinds)


@row(6, f"A path with {FAR_DELAY} ms delay, {FAR_RATE:,} probes/s, {FAR_COUNT:,} probes: the same", "far-away")
def _(results):
    rate = results.median("far-away", "ours", "per_second")
    text, met = judge_losses(results, "icmp ip-4", "far-away", FAR_COUNT)
    return f"{text}, at {rate:,.0f} probes/s", met


# ---- 7

@row(7, f"Idle for {IDLE_SECONDS} s: no wake, one system call under way", "idle")
def _(results):
    wakes, calls = (results.worst("idle", "ours", name) for name in ("wakes", "calls"))
    return f"{wakes:.0f} wakes, {calls:.0f} call", wakes == 0 and calls == 1


@row(7, f"{DEADLINES} in flight: no wake before, at most one a deadline", "wakes")
def _(results):
    waiting, each = (results.worst("wakes", "ours", name) for name in ("wakes_waiting", "wakes_per_deadline"))
    return f"{waiting:.0f} before, {each:.3f} a deadline", waiting == 0 and each <= 1


@row(7, f"{MESSAGES:,} small messages over loopback beside ten idle daemons: cost what they cost beside none, within "
        "the spread of the runs beside none (us of CPU a message, ten / none)", "neighbours")
def _(results):
    def judge(protocol):
        name = f"{protocol}_us"
        alone = results.values("neighbours", "none", name).values()
        spread = (max(alone) - min(alone)) / statistics.median(alone)
        text, met = compared(results, protocol, ("neighbours", CROWD, name), ("neighbours", "none", name), "{:.3f}",
                             1 + spread)
        return f"{text}, spread {spread:.2f}", met
    return joined(judge(protocol) for protocol in ("tcp", "udp", "icmp"))


# ---- 8, 9

@row(8, "Start to first reply: at most 1.5 x the peer's (ms, ours / peer)", "start")
def _(results):
    return compared(results, "", ("start", "ours", "first"), ("start", "peer", "first"), "{:.2f}", 1.5, factor=1e3)


@row(9, "Two daemons on two cores: at least 1.7 x what one sends on one (thousand probes/s; each shares its core with "
        "its client)", "own-cores")
def _(results):
    return compared(results, "", ("own-cores", "ours-2", "per_second"), ("own-cores", "ours-1", "per_second"),
                    "{:.0f}", 1.7, most=False, factor=1e-3)


@row(9, "Ten busy daemons: CPU a probe at most 1.3 x that of one (us)", "crowd")
def _(results):
    return compared(results, "", ("crowd", CROWD, "cpu_us"), ("crowd", "ours-1", "cpu_us"), "{:.2f}", 1.3)


# ---- 10 to 13: the tools, all processes of a command

def compared_tools(results, scenario, peer, limits):
    """For each (value, unit, factor, limit): ours against the peer's."""
    return joined(compared(results, value, (scenario, "ours", value), (scenario, peer, value), "{:.2f} " + unit, limit,
                           factor=factor) for value, unit, factor, limit in limits)


@row(10, f"{TRACES} traces of 13 hops by one command: at most 2 x scamper's CPU and time (ours / scamper)", "tool-traces")
def _(results):
    return compared_tools(results, "tool-traces", "scamper", [("cpu", "s", 1, 2), ("wall", "s", 1, 2)])


@row(11, "One ping: at most 2 x ping's CPU (ours / ping)", "tool-ping")
def _(results):
    return compared_tools(results, "tool-ping", "ping", [("cpu_ms", "ms", 1, 2)])


@row(11, "Resident with one host: at most 4 MiB (KiB)", "tool-resident")
def _(results):
    most = results.worst("tool-resident", "ours", "resident")
    return f"{most:.0f}", most <= 4096


@row(12, f"{SWEPT} addresses that all answer: at most 0.95 of fping's CPU (ours / fping)", "tool-sweep")
def _(results):
    return compared_tools(results, "tool-sweep", "fping", [("cpu", "s", 1, 0.95)])


@row(12, f"{SWEPT} addresses of which one in {SPARSE} answers: at most 0.6 of fping's CPU, and done sooner (ours / fping)",
     "tool-sparse")
def _(results):
    return compared_tools(results, "tool-sparse", "fping", [("cpu", "s", 1, 0.6), ("wall", "s", 1, 1)])


@row(13, f"{NAMES} names, the name server answers after 20 ms: at most nmap's time (ours / nmap)", "tool-names")
def _(results):
    return compared_tools(results, "tool-names", "nmap", [("wall", "s", 1, 1)])


# ---- 14 to 17: sweeps

@row(14, "A sweep of 65,536 addresses that answer, replies to a file: at most 0.75 of fping's CPU, and of zmap's (us an "
         "address)", "sweep-network")
def _(results):
    return joined(compared(results, program, ("sweep-network", "ours", "cpu_us"), ("sweep-network", program, "cpu_us"),
                           "{:.2f}", 0.75) for program in ("fping", "zmap"))


@row(15, "A sweep of 2^20 silent addresses at 300,000/s: CPU a probe at most 1.15 x sendto() alone (us), at most 90 MiB",
     "sweep-quiet")
def _(results):
    text, met = compared(results, "", ("sweep-quiet", "ours", "cpu_us"), ("sweep-quiet", "floor", "cpu_us"), "{:.2f}", 1.15)
    rss, rate = results.worst("sweep-quiet", "ours", "rss") / 1024, results.median("sweep-quiet", "ours", "per_second")
    return f"{text}; {rss:.0f} MiB; {rate / 1000:.1f} thousand a second", met and rss <= 90 and abs(rate / 300e3 - 1) < 0.01


@row(16, "A /8 by 32 ttls: started and stopped within 10 ms (ms; MiB while 100,000 are in flight)", "sweep-huge")
def _(results):
    start, stop = (results.worst("sweep-huge", "ours", name) for name in ("start_ms", "stop_ms"))
    # progress is told each 10 ms, so the start is seen up to so much later
    return f"{start:.1f}, {stop:.1f}; {results.worst('sweep-huge', 'ours', 'rss') / 1024:.0f} MiB", start <= 20 and stop <= 10


@row(17, "A single request beside a sweep at 100,000/s: at most 100 us later than on an idle daemon, p99 1 ms (us)",
     "sweep-singles")
def _(results):
    busy, idle = (results.median("sweep-singles", program, "median") for program in ("ours", "ours-idle"))
    p99 = results.median("sweep-singles", "ours", "p99")
    return f"{busy:.0f}, idle {idle:.0f}; p99 {p99:.0f}", busy - idle <= 100 and p99 <= 1000


# ---- the table

def table(results):
    """The rows of what was run, what a probe costs by protocol, and each failure."""
    parts = [_targets(results), _closed_loops(results), _failures(results)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _targets(results):
    rows = [("", "target", "figure (medians of the rounds, and of the rounds' ratios)", "")]
    rows += [row.cells(results) for row in ROWS if results.have(row.needs)]
    lines = [line for cells in rows for line in _lines(cells)]
    lines.insert(1, "  ".join("-" * width for width in COLUMNS))
    return lines


def _closed_loops(results):
    def cell(name, program):
        try:
            cpu, rate = (results.median(name, program, value) for value in ("cpu_us", "per_second"))
            return f"{cpu:.2f} ({rate / 1e3:.0f})"
        except NoFigure:
            return "-"
    programs = "ours", PLAIN, "peer", "fping", "floor"
    names = [(closed_name(protocol, family), f"{protocol} ip-{family}")
             for protocol in PROTOCOLS for family in FAMILIES if results.have(closed_name(protocol, family))]
    return [f"{f'{label:12}' + ''.join(f'{text:>14}' for text in texts)}".rstrip()
            for label, *texts in [["", *programs], *([label, *(cell(name, program) for program in programs)]
                                                     for name, label in names)]] \
        + [f"us of CPU a probe (thousand probes a second), {IN_FLIGHT} in flight; {FPING_NOTE}"] if names else []


def _failures(results):
    failures = [f"  {scenario}, {program}: {error} ({times} x)"
                for scenario, program, error, times in results.failures()]
    return ["Runs that failed, and are in no figure:", *failures] if failures else []


def _lines(cells):
    wrapped = [textwrap.wrap(cell.strip(), width) or [""] for cell, width in zip(cells, COLUMNS)]
    for place in range(max(map(len, wrapped))):
        yield "  ".join((lines[place] if place < len(lines) else "").ljust(width)
                        for lines, width in zip(wrapped, COLUMNS)).rstrip()
