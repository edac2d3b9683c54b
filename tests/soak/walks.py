# SPDX-License-Identifier: MIT
"""mtr beside the load: walks to the places of the faults, in report mode, again and again; it may never end by itself.
"""

import dataclasses
import os
import random
import shutil
import subprocess
import tempfile
import typing

CYCLES, INTERVAL, GRACE = 40, 0.1, 1  # as mtr's -c, -i, -G
PATIENCE = 30  # seconds that it may take for longer
SETTLING = 1.5  # seconds in which its daemon has sent something of that kind: before that EPERM is no loss
LINES = 2  # of a report, before its hops


@dataclasses.dataclass
class Walk:
    """One run of mtr."""

    argv: typing.List[str]
    process: subprocess.Popen
    output: typing.BinaryIO
    started: float

    def complaint(self, now):
        """What is wrong with its end, or with that it has none."""
        if self.process.poll() is None:
            return f"it still runs after {now - self.started:.0f} s"
        self.output.seek(0)
        said = self.output.read().decode(errors="replace").strip()
        if self.process.returncode != 0:
            return f"exit status {self.process.returncode}: {said}"
        if now - self.started < (CYCLES - 1) * INTERVAL:
            return f"it ended after {now - self.started:.1f} s: {said}"
        if said.count("\n") < LINES:
            return f"its report has no hop: {said}"
        return None


class Walkers:
    """One mtr at a time for each of the programs, to a place that is not at fault when it begins."""

    def __init__(self, namespace, programs, faults, environment, seed):
        self.namespace, self.programs, self.faults, self.environment = namespace, programs, faults, environment
        self.chance = random.Random(seed)
        self.walks = {}  # by program
        self.done, self.wrong = 0, []
        self.mtr = shutil.which("mtr")
        if not self.mtr:
            print("soak: no mtr beside it: it is not installed", flush=True)

    def step(self, now, resting):
        """Ends those that are over, and begins new ones."""
        for program in self.programs if self.mtr else ():
            walk = self.walks.get(program)
            if walk and walk.process.poll() is None and now - walk.started < CYCLES * INTERVAL + GRACE + PATIENCE:
                continue
            if walk:
                self.end(program, now)
            calm = [played for played in self.faults if played.is_calm(now)]
            if calm and not resting:
                self.begin(program, self.chance.choice(calm), now)

    def begin(self, program, played, now):
        played.keep_off = now + SETTLING
        family = self.chance.choice((4, 6))
        argv = [self.mtr, f"-{family}", "-n", "-r", "-c", str(CYCLES), "-i", str(INTERVAL), "-G", str(GRACE),
                *self.chance.choice(([], ["-u"], ["-T"])), *played.fault.options(family)]
        output = tempfile.TemporaryFile()  # pylint: disable=consider-using-with
        process = self.namespace.popen(*argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                       env=os.environ | self.environment | {"MTR_PACKET": program})
        self.walks[program] = Walk(argv, process, output, now)

    def end(self, program, now):
        walk = self.walks.pop(program)
        complaint = walk.complaint(now)
        if complaint:
            self.wrong.append(f"{' '.join(walk.argv)} with {program}: {complaint}")
            walk.process.kill()
            walk.process.wait()
        walk.output.close()
        self.done += 1

    def stop(self):
        """Those that still walk are in their rights."""
        for walk in self.walks.values():
            walk.process.terminate()
            walk.process.wait()
            walk.output.close()
