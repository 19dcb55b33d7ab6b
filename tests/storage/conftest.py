"""Fixtures of the suite for storage and engine."""

from __future__ import annotations

import pytest

from longshore.clock import ManualClock
from longshore.storage import Database
from tests.storage.driving import Engine


@pytest.fixture
def engine(database: Database, clock: ManualClock) -> Engine:
    """The engine on a fresh database of each kind."""
    return Engine(database, clock)
