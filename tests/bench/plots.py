# SPDX-License-Identifier: MIT
"""Three plots by gnuplot, as SVG on a white ground of their own, so that any page shows them."""

import subprocess

from runs import NoFigure
from scenarios import FAMILIES, LOADS, PROTOCOLS, SILENT_COUNTS, closed_name

COLOURS = {"ours": "#0060a8", "peer": "#d1495b", "wire": "#222222", "fping": "#e09f3e", "floor": "#7a7a7a"}
NAMES = {"ours": "hopline", "peer": "mtr's mtr-packet", "fping": "fping", "floor": "floor (bare sockets)"}
SECONDS = 60

HEADER = """
set terminal svg size 800,440 dynamic font "sans-serif,14" background "#ffffff" name "NAME"
set border 3 lc rgb "#444444"
set tics nomirror textcolor rgb "#222222"
set grid lc rgb "#dddddd" lt 1
set key top left opaque
"""


def draw(results, directory):
    """Draws those for which there are figures."""
    for name, plot in PLOTS.items():
        script = plot(results)
        if script:
            header = HEADER.replace("NAME", name.replace("-", "_"))
            done = subprocess.run(["gnuplot"], input=header + script, capture_output=True, text=True, check=False,
                                  timeout=SECONDS)
            if done.returncode != 0:
                raise OSError(f"gnuplot: {done.stderr.strip()}")
            (directory / f"{name}.svg").write_text(done.stdout, encoding="utf-8")


def points(results, places, x, y):
    """Of (scenario, program) pairs those with figures, as lines "x y"; x is a number or the name of a value."""
    for scenario, program, across in places:
        try:
            across = results.median(scenario, program, x) if x else across
            yield f"{across} {results.median(scenario, program, y)}"
        except NoFigure:
            pass


def block(name, lines):
    return "\n".join([f"${name} << EOD", *lines, "EOD", ""])


def line(name, title, style):
    return f'${name} using 1:2 with {style} title "{title}"'


def marks(program):
    return f"linespoints lw 2.5 pt 7 ps 0.7 lc rgb '{COLOURS[program]}'"


def round_trips(results):
    """Reported round trip against load."""
    loads = ["rest-icmp", *(f"load-{load}" for load in LOADS), "flat-out"]
    if not all(results.have(load) for load in loads):
        return None
    blocks, lines = "", []
    for program in "ours", "peer":
        places = [(load, program, None) for load in loads]
        blocks += block(program, points(results, places, "per_second", "median"))
        blocks += block(f"{program}_wire", points(results, places, "per_second", "wire_median"))
        lines += [line(program, f"{NAMES[program]}, reported", marks(program)),
                  line(f"{program}_wire", f"{NAMES[program]}, on the wire",
                       f"lines lw 2 dt {2 if program == 'peer' else 1} lc rgb '{COLOURS['wire']}'")]
    return blocks + f"""
set logscale xy
set xlabel "probes a second"
set ylabel "round trip, median (us)"
set format x "%.0s%c"
set yrange [0.5:*]
plot {", ".join(lines)}
"""


def in_flight(results):
    """CPU against probes in flight."""
    places = {program: [(f"in-flight-{count}", program, count) for count in SILENT_COUNTS]
              for program in ("ours", "peer")}
    if not all(results.have(scenario) for scenario, _, _ in places["ours"]):
        return None
    blocks = "".join(block(program, points(results, those, None, "busy_us")) for program, those in places.items())
    return blocks + f"""
set logscale x
set xlabel "probes in flight"
set ylabel "CPU a probe (us)"
set format x "%.0s%c"
set xrange [1:1e6]
set yrange [0:*]
set key top right
plot {", ".join(line(program, NAMES[program], marks(program)) for program in places)}
"""


def protocols(results):
    """Probes a second by protocol."""
    programs = "ours", "peer", "fping", "floor"
    names = [(closed_name(protocol, family), f"{protocol} ip-{family}")
             for protocol in PROTOCOLS for family in FAMILIES]
    if not all(results.have(name) for name, _ in names):
        return None
    rows = [f'"{label}" ' + " ".join(_thousands(results, name, program) for program in programs)
            for name, label in names]
    bars = ", ".join(f"$rates using {place}{':xtic(1)' if place == 2 else ''} title \"{NAMES[program]}\" "
                     f"lc rgb '{COLOURS[program]}'" for place, program in enumerate(programs, 2))
    return block("rates", rows) + f"""
set style data histogram
set style histogram clustered gap 1
set style fill solid 1 noborder
set boxwidth 0.9
set grid noxtics
set datafile missing "-"
set ylabel "thousand probes a second"
set yrange [0:*]
set key outside top center horizontal
plot {bars}
"""


def _thousands(results, name, program):
    try:
        return f"{results.median(name, program, 'per_second') / 1e3:.1f}"
    except NoFigure:
        return "-"


PLOTS = {"round-trip": round_trips, "in-flight": in_flight, "protocols": protocols}
