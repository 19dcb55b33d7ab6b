"""Fixtures for pytest: `pytest_plugins = ["longshore.testing.fixtures"]` in a conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from longshore.testing.server import RunningServer, running_server


@pytest.fixture
def longshore_server() -> Iterator[RunningServer]:
    """Run a real server on an empty store, with a clock that only the test moves."""
    with running_server() as server:
        yield server
