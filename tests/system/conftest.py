"""Fixtures that every system test may use."""

import os

import pytest

from lab import net
from lab.daemon import Daemon, default_binary
from lab.pair import Pair


def pytest_sessionstart():
    net.sweep()


def pytest_sessionfinish():
    net.close_all()


@pytest.fixture(scope="session")
def binary():
    """Path of the daemon under test."""
    path = default_binary()
    if not os.access(path, os.X_OK):
        pytest.fail(f"no daemon at {path}: build it first, or name one in MTR_PACKET")
    return path


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
def daemon(binary, pair):
    """A daemon on the client's side of the pair."""
    with Daemon(pair.client) as running:
        yield running
