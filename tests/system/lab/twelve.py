# SPDX-License-Identifier: MIT
"""The twelve-hop path: eleven routers of different habits, then a target. Every one answers every probe."""

from . import wire
from .path import LONG, WHOLE, Hop, hop_address, target

COUNT = 12
ONE = ((16, 0, 1, 1),)
THREE = ((1048575, 7, 0, 255), (0, 0, 0, 0), (299776, 5, 1, 2))
TWO = ((17, 1, 0, 3), (18, 2, 1, 4))
OTHER = wire.extension_object(3, 1, b"\0\0\0\1")  # an object of another class


def stack(*groups):
    """An extension with an MPLS object for each group of labels; bytes are put in as they are."""
    return wire.extension(*(group if isinstance(group, bytes) else wire.mpls(*group) for group in groups))


# number -> what is special about it
_HABITS = {
    2: {"quote": LONG},
    3: {"quote": WHOLE},
    4: {"extension": stack(ONE), "quote": LONG},
    5: {"extension": stack(ONE), "form": "old", "quote": WHOLE},
    7: {"extension": stack(THREE), "quote": WHOLE},
    8: {"extension": stack(TWO, OTHER, ONE), "form": "old", "quote": LONG},
    10: {"delay": 0.005},
    11: {"copies": 2},
}
LABELS = {4: ONE, 5: ONE, 7: THREE, 8: TWO + ONE}  # number -> all labels of the hop

ROUTERS = [Hop(hop_address(number), **_HABITS.get(number, {})) for number in range(1, COUNT)]
TARGET = target(0)


def mpls(labels):
    """The labels as the value of `mpls` in a reply."""
    return ",".join(str(part) for label in labels for part in label) or None


def address(number, family):
    """Who answers a probe with this ttl."""
    return (TARGET if number >= COUNT else ROUTERS[number - 1]).address[family]
