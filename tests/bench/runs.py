# SPDX-License-Identifier: MIT
"""The runs that were made, and what they say together."""

import collections
import csv
import dataclasses
import statistics


class NoFigure(Exception):
    """Why there is no figure."""


@dataclasses.dataclass
class Run:
    """One run: its values by name, or why it failed."""

    scenario: str
    program: str
    round: int
    turn: int
    values: dict
    error: str = ""


class Results:
    """Figures are asked for by scenario, program and the name of a value. A failed run of ours spoils its figure;
    of the others' those count that did not fail."""

    def __init__(self, runs):
        self.runs = runs
        self._by_place = collections.defaultdict(list)
        for run in runs:
            self._by_place[run.scenario, run.program].append(run)

    def have(self, scenario):
        return any(run.scenario == scenario for run in self.runs)

    def values(self, scenario, program, name):
        """By round and turn."""
        runs = self._by_place[scenario, program]
        good = {(run.round, run.turn): run.values[name] for run in runs if not run.error}
        failed = [run for run in runs if run.error]
        if failed and (not good or program.startswith("ours")):
            raise NoFigure(f"{scenario}, {program}: {len(failed)} of {len(runs)} runs: {failed[0].error}")
        if not good:
            raise NoFigure(f"{scenario}, {program}: was not run")
        return good

    def median(self, scenario, program, name):
        return statistics.median(self.values(scenario, program, name).values())

    def worst(self, scenario, program, name):
        return max(self.values(scenario, program, name).values())

    def least(self, scenario, program, name):
        return min(self.values(scenario, program, name).values())

    def ratio(self, over, under):
        """Median of the rounds' own ratios; both are (scenario, program, name)."""
        return statistics.median(self.ratios(over, under))

    def ratios(self, over, under):
        tops, bottoms = self.values(*over), self.values(*under)
        both = sorted(set(tops) & set(bottoms))
        if not both:
            raise NoFigure(f"{over[0]}: no round in which both {over[1]} and {under[1]} ran")
        return [tops[when] / bottoms[when] for when in both]

    def failures(self):
        """(scenario, program, error, how often)"""
        counted = collections.Counter((run.scenario, run.program, run.error) for run in self.runs if run.error)
        return [(*what, times) for what, times in counted.items()]

    def write_csv(self, file):
        names = sorted({name for run in self.runs for name in run.values})
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["scenario", "program", "round", "turn", "failed", *names])
        for run in self.runs:
            writer.writerow([run.scenario, run.program, run.round, run.turn, run.error,
                             *(_plain(run.values.get(name)) for name in names)])


def _plain(value):
    return "" if value is None else f"{value:.6f}".rstrip("0").rstrip(".")
