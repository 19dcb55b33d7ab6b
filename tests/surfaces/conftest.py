from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.clock import ManualClock
from longshore.storage import Database
from tests.surfaces.apps_rig import Platform, platform
from tests.surfaces.buckets_rig import Buckets, buckets_of
from tests.surfaces.corpus_rig import Corpora, corpora_of
from tests.surfaces.pipelines_rig import Pipelines, pipelines_of
from tests.surfaces.processes_rig import Processes, processes_of


@pytest.fixture
async def apps(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Platform]:
    """The apps surface on both databases, with one app on offer."""
    async with platform(database, clock, tmp_path) as made:
        made.offer("1.0.0")
        yield made


@pytest.fixture
async def buckets(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Buckets]:
    """The buckets surface on both databases."""
    async with buckets_of(database, clock, tmp_path) as made:
        yield made


@pytest.fixture
async def pipelines(
    database: Database, clock: ManualClock, tmp_path: Path
) -> AsyncIterator[Pipelines]:
    """The pipelines surface on both databases, with a worker for one service."""
    async with pipelines_of(database, clock, tmp_path) as made:
        yield made


@pytest.fixture
async def corpora(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Corpora]:
    """The corpus surface on both databases."""
    async with corpora_of(database, clock, tmp_path) as made:
        yield made


@pytest.fixture
async def processes(
    database: Database, clock: ManualClock, tmp_path: Path
) -> AsyncIterator[Processes]:
    """A corpus on both databases, and a worker for its processes."""
    async with processes_of(database, clock, tmp_path) as made:
        yield made
