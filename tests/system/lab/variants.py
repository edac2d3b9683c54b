# SPDX-License-Identifier: MIT
"""A plugin for pytest, for tests/run: the tests for a build that is not the usual one. Without those that take long and
would find nothing there, and without those that send a mark, which only the sandboxed build can."""

import re

SLOW = "idle", "retransmitted", "deadline", "million"


def pytest_collection_modifyitems(config, items):
    out = [item for item in items if re.search(rf"\bmark -?\d|[\[-]mark[\]-]|{'|'.join(SLOW)}", item.name)]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in set(out)]
