# SPDX-License-Identifier: MIT
"""groups.py MODULE GROUP...: runs those groups of a module of rows in turn, in the kernel that is tested.

Each in a process of its own, as they change the network's settings and one may hang. To import all that they need takes
an emulated processor ten seconds, and is done once.
"""

import importlib
import os
import pathlib
import signal
import sys
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from lab import net  # pylint: disable=wrong-import-position

LONGEST = 240  # seconds of a group


def in_child(module, group):
    signal.alarm(LONGEST)
    try:
        module.main(group)
    except Exception:  # pylint: disable=broad-except
        traceback.print_exc()
    finally:
        net.close_all()
        sys.stdout.flush()
        os._exit(0)


def main(name, *groups):
    module = importlib.import_module(name)
    for group in groups:
        print(f"group {name} {group}", flush=True)
        child = os.fork()
        if child == 0:
            in_child(module, group)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            print(f"group {name} {group} has ended with {status}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
