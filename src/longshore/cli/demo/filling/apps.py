"""Runs of an app over receipts: one that is done, with doubtful ones, and one that goes on."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

from longshore.cli.demo import paper
from longshore.cli.demo.filling.reaching import Made, Reach
from longshore.cli.demo.names import (
    DEMO_APP,
    DEMO_APP_BEFORE,
    DEMO_APP_VERSION,
    DEMO_BATCH,
    DEMO_OWNER,
    DEMO_TAG,
    DEMO_TAG_LONG,
)
from longshore.sdk import Run

RECEIPTS = 12
_LONG_FILES = 40
_TORN = ("torn-13.png", b"\x89PNG\r\n\x1a\nthis receipt was torn in two")


def drawable() -> bool:
    """Return whether pictures can be drawn here."""
    return importlib.util.find_spec("PIL") is not None


def fill(reach: Reach, made: Made, *, long_s: float) -> None:
    """Start the runs; the app must be in the catalogue."""
    done = start(reach, RECEIPTS, torn=True, tags=[DEMO_TAG])
    made.runs["done"] = done.id
    slow = start(
        reach,
        _LONG_FILES,
        seed=7,
        version=DEMO_APP_BEFORE,
        pause_s=long_s / _LONG_FILES * 2,
        tags=[DEMO_TAG, DEMO_TAG_LONG],
    )
    made.runs["slow"] = slow.id


def start(
    reach: Reach,
    count: int,
    *,
    seed: int = 0,
    version: str = DEMO_APP_VERSION,
    torn: bool = False,
    pause_s: float = 0.0,
    tags: list[str] | None = None,
) -> Run:
    """Upload receipts and start a run over them."""
    draw = paper.as_pictures if drawable() else paper.as_text
    batch = reach.client.batches.create(DEMO_BATCH)
    with tempfile.TemporaryDirectory(prefix="longshore-demo-") as directory:
        paper.written(draw(count, seed=seed), Path(directory))
        if torn:
            (Path(directory) / _TORN[0]).write_bytes(_TORN[1])
        batch.add_files([directory], progress=False)
    return reach.client.runs.create(
        DEMO_APP,
        batch=batch,
        owner=DEMO_OWNER,
        version=version,
        tags=tags,
        keys={"pause_s": pause_s},
    )


def wait_until_offered(reach: Reach, *, timeout_s: float) -> None:
    """Wait until both versions of the app are served."""

    def look() -> bool:
        online = {
            version.version
            for app in reach.client.apps.list()
            if app.name == DEMO_APP
            for version in app.versions
            if version.workers_online
        }
        return {DEMO_APP_VERSION, DEMO_APP_BEFORE} <= online

    reach.until(look, f"a worker serves {DEMO_APP!r}", timeout_s=timeout_s)
