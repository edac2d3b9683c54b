# SPDX-License-Identifier: MIT
"""Many requests at once, each with the reply that the contract demands."""

import dataclasses
import re
import time

import pytest

NO_REPLY = "no-reply"


@dataclasses.dataclass
class Case:
    """A request without its token, and its reply as said() gives it; or several replies of which each will do."""

    label: str
    request: str
    expected: object  # str or a collection of str


def answered(kind, address, mpls=None):
    """What said() makes of a reply that carries these."""
    ip = "ip-6" if ":" in address else "ip-4"
    return f"{kind} {ip} {address} round-trip-time T" + (f" mpls {mpls}" if mpls else "")


def said(reply):
    """The reply without its token, with T for the round trip time."""
    return re.sub(r"\bround-trip-time \d+", "round-trip-time T", reply.line.split(" ", 1)[1])


def send(daemon, requests, first=1):
    """Sends requests under the tokens from `first` up."""
    daemon.send(*(f"{token} {request}" for token, request in enumerate(requests, first)))


def by_token(replies):
    """One reply a token, or the test fails."""
    found = {}
    for reply in replies:
        assert reply.token not in found, f"two replies to one request: {found[reply.token]} and {reply}"
        found[reply.token] = reply
    return found


def compare(cases, replies, first=1, note=""):
    """Fails with a list of what was expected and what came, if anything differs."""
    replies = by_token(replies)
    wrong = []
    for token, case in enumerate(cases, first):
        came = said(replies.pop(token)) if token in replies else "nothing"
        if came != case.expected and (isinstance(case.expected, str) or came not in case.expected):
            wrong.append(f"{case.label} ({case.request})\n    expected: {case.expected}\n    came:     {came}")
    wrong += [f"nobody asked for: {reply}" for reply in replies.values()]
    if wrong:
        pytest.fail(f"{len(wrong)} of {len(cases)} wrong{note}:\n" + "\n".join(wrong[:20]), pytrace=False)


def gather(daemon, count, timeout=10):
    """So many replies, or fewer and why: (replies, reason)."""
    replies, end = [], time.monotonic() + timeout
    try:
        while len(replies) < count:
            replies += daemon.collect(1, max(0.0, end - time.monotonic()))
    except AssertionError as error:
        return replies, f"; {error}"
    return replies, ""


def hold(daemon, cases, timeout=10):
    """Sends all cases at once, and compares."""
    send(daemon, [case.request for case in cases])
    replies, note = gather(daemon, len(cases), timeout)
    compare(cases, replies, note=note)
    return replies
