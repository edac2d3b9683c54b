# SPDX-License-Identifier: MIT
"""Fixtures that every system test may use."""

import os

import pytest

from lab import net, transports
from lab.daemon import Daemon, built_binary, default_binary
from lab.pair import Pair


def pytest_sessionstart():
    net.sweep()


def pytest_sessionfinish():
    net.close_all()


def pytest_generate_tests(metafunc):
    if metafunc.module.__name__ in transports.TWICE:
        metafunc.parametrize("transport", [transports.RAW, transports.PLAIN], indirect=True, scope="session")


def pytest_collection_modifyitems(config, items):
    items[:], out = transports.leave_out(items)
    config.hook.pytest_deselected(items=out)


def pytest_terminal_summary(terminalreporter):
    for reason in transports.reasons():
        terminalreporter.write_line(reason)


@pytest.fixture(scope="session")
def transport(request):
    """How the daemon under test sends: see lab/transports.py."""
    path = built_binary()
    if not os.access(path, os.X_OK):
        pytest.fail(f"no daemon at {path}: build it first, or name one in MTR_PACKET")
    name = getattr(request, "param", transports.RAW)
    with transports.using(name, path):
        yield name


@pytest.fixture(autouse=True)
def _transport(transport):
    """Every test of a module that runs twice does."""


@pytest.fixture(scope="session")
def binary(transport):
    """Path of what starts the daemon under test."""
    return default_binary()


@pytest.fixture(scope="session")
def root():
    """Skips where namespaces can't be made."""
    net.needs_root()


@pytest.fixture(scope="session")
def pair(root):
    """A client and a target on one wire."""
    with Pair("wire") as both:
        yield both


@pytest.fixture
def both(root):
    """A client and a target that a test may break."""
    with Pair("faults") as hosts:
        hosts.client.sysctl("net.ipv6.conf.all.keep_addr_on_down", 1)
        hosts.client.sysctl("net.ipv6.conf.wire.keep_addr_on_down", 1)
        yield hosts


@pytest.fixture
def daemon(binary, pair):
    """A daemon on the client's side of the pair."""
    with Daemon(pair.client) as running:
        yield running
