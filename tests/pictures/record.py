# SPDX-License-Identifier: MIT
"""Records the README's terminal pictures: each runs a tool on a terminal, over a played path, and is drawn as SVG.

`make pictures` runs this, as root. A picture replays what came when, once, and stays at the end; who plays no
animations shows the end.
"""

import os
import pathlib
import pty
import subprocess
import sys
import time
from xml.sax.saxutils import escape

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))

# pylint: disable=wrong-import-position
from lab import tools, twelve, wire  # noqa: E402
from lab.net import Namespace  # noqa: E402
from lab.path import Hop, Path, hop_address, target  # noqa: E402

ERASE = "\0"  # stands for the control sequence
WIDE, HIGH, MARGIN = 8.4, 19, 16  # a character's width, a line's height, and the edge, in pixels
FIELDS = "src", "dst", "protocol", "icmp_id", "checksum"  # that the load-balanced hop looks at
LABELLED = {"extension": wire.extension(wire.mpls(*twelve.TWO)), "quote": 128}

ROUTERS = [Hop(hop_address(number), delay=number * 0.0013, **habits) for number, habits in enumerate(
    ({}, {"ways": FIELDS}, {"silent": True}, LABELLED, {"loses": 3}, {"mtu": 1400}, {}), 1)]
FAR = target(0, delay=0.0112)
HOSTS = [target(number, delay=0.002 + number % 5 * 0.0017) for number in (0, 1, 4, 5, 6, 8, 12)] + [
    target(9, loses=2, delay=0.004), target(10, icmp="error", error=(3, 1), sender=hop_address(7), delay=0.006)]

PICTURES = {
    "probe-trace": (ROUTERS, [FAR], [f"probe-trace {option}10.99.1.1" for option in ("", "--flows 6 ", "--mtu ")]),
    "probe-sweep": ([], HOSTS, ["probe-sweep --rate 8 10.99.1.0/28"]),
}


class Screen:
    """What the tools write to a terminal: text, new line, carriage return, and `erase to the end of the line`."""

    def __init__(self):
        self.rows, self.past = [""], []  # past: (row, text, from, to) of what was written over
        self.since, self.column, self.held = [0.0], 0, ""

    def feed(self, text, when):
        text = (self.held + text).replace("\033[K", ERASE)
        self.held = text[text.index("\033"):] if "\033" in text else ""  # the rest of a sequence is still to come
        for character in text.removesuffix(self.held):
            row = self.rows[-1]
            if character == "\n":
                self.rows.append("")
                self.since.append(when)
                self.column = 0
            elif character == "\r":
                self.column = 0
            elif character == ERASE:
                self.past.append((len(self.rows) - 1, row, self.since[-1], when))
                self.rows[-1] = row[:self.column]
            else:
                if not row:
                    self.since[-1] = when
                self.rows[-1] = row[:self.column] + character + row[self.column + 1:]
                self.column += 1


def run(screen, namespace, line, began):
    """One command on a terminal of its own, its output with the seconds at which it came."""
    screen.feed(f"$ {line}\n", time.monotonic() - began)
    argv, env = tools.command(*line.split())
    ours, theirs = pty.openpty()
    tool = namespace.popen(*argv, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        while True:
            screen.feed(os.read(ours, 1 << 16).decode(), time.monotonic() - began)
    except OSError:  # the terminal's last user is gone
        os.close(ours)
    if tool.wait() != 0:
        raise SystemExit(f"{line}: status {tool.returncode}")


def svg(screen):
    """The end of it, each line hidden until it came, and what it was before shown for as long."""
    def text(row, words, end, other, begin, duration):
        moment = f'<set attributeName="visibility" to="{other}" begin="{begin:.2f}s" dur="{duration:.2f}s"/>'
        place = f'x="{MARGIN}" y="{MARGIN + HIGH * row + 14}" textLength="{len(words) * WIDE:.1f}"'
        return f'<text {place} visibility="{end}">{escape(words)}{moment}</text>'

    lines = [text(row, words, "visible", "hidden", 0, since)
             for row, (words, since) in enumerate(zip(screen.rows, screen.since)) if words]
    lines += [text(row, words, "hidden", "visible", since, to - since)
              for row, words, since, to in screen.past if words]
    width = round(2 * MARGIN + WIDE * max(map(len, screen.rows + [past[1] for past in screen.past])))
    height = 2 * MARGIN + HIGH * (len(screen.rows) - (not screen.rows[-1]))
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size}>
<rect width="100%" height="100%" rx="8" fill="#16181d"/>
<g fill="#d8dee9" font-family="ui-monospace, monospace" font-size="14" xml:space="preserve">
{chr(10).join(lines)}
</g>
</svg>
"""


def main():
    for name, (path, targets, commands) in PICTURES.items():
        with Namespace("picture") as namespace, Path(namespace, path, targets):
            screen, began = Screen(), time.monotonic()
            for line in commands:
                run(screen, namespace, line, began)
        (HERE / f"{name}.svg").write_text(svg(screen), encoding="utf-8")


if __name__ == "__main__":
    main()
