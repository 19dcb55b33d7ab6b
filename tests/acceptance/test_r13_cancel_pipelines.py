"""R13: a pipeline is cancelled in each of its states, with one chunk at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server, WorkerProcess, eventually, marked, stays
from tests.acceptance.pipelines import GATE, SERVICES, SQUARE, Pipeline, Shipper, chunk

CANCELLED_WITHIN_S = 5.0
GRACE_S = 5.0
STATES = ("created", "queued", "running", "available", "full", "closed", "completed", "cancelled")


class Berth:
    """A server and a worker, which all tests here share."""

    def __init__(self, harbour: Harbour) -> None:
        self.harbour = harbour
        self.server: Server = harbour.server()
        self.server.start()
        self.user = Shipper(self.server)
        harbour.clients.append(self.user)
        self.worker: WorkerProcess = harbour.worker(self.server, slots=1, apps=SERVICES)
        self.worker.start()
        self.user.wait_for(GATE)


@pytest.fixture(scope="module")
def berth(module_harbour: Harbour) -> Berth:
    return Berth(module_harbour)


@pytest.fixture
def blocker(berth: Berth, tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline whose chunk has the only slot until the marker `go` appears."""
    log = tmp_path / "blocked"
    made = berth.user.pipeline(GATE)
    made.push(chunk(0, [1], marker=str(tmp_path / "go"), log=str(log)))
    eventually(log.exists, 15.0, "the slot is taken")
    yield made
    (tmp_path / "go").touch()
    made.drain(1, 15.0)


def _brought(berth: Berth, state: str, tmp_path: Path) -> Pipeline:
    """Return a pipeline in that state; one chunk of it may run at a time."""
    settings: dict[str, Any] = {"max_workers": 1}
    if state == "full":
        settings["max_output_size_in_mb"] = 0.0001
    pipeline = berth.user.pipeline(GATE if state in ("running", "closed") else SQUARE, **settings)
    if state == "created":
        return pipeline
    marker, log = tmp_path / "marker", tmp_path / "log"
    more = {"marker": str(marker), "log": str(log)} if state in ("running", "closed") else {}
    pipeline.push(*[chunk(number, range(10), **more) for number in range(3)])
    if state in ("running", "closed"):
        eventually(log.exists, 15.0, "it runs")
    elif state != "queued":
        wanted = 1 if state == "full" else 3
        eventually(lambda: pipeline.status()["chunks_available"] >= wanted, 15.0, state)
    if state in ("closed", "completed"):
        pipeline.end("closed")
    if state == "completed":
        pipeline.drain(3)
    if state == "cancelled":
        pipeline.end("cancelled")
    return pipeline


@pytest.mark.parametrize("state", STATES)
def test_a_cancelled_pipeline_is_over_and_leaves_nothing(
    berth: Berth, state: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if state == "queued":
        request.getfixturevalue("blocker")
    pipeline = _brought(berth, state, tmp_path)
    log = tmp_path / "log"
    children = [int(line) for line in log.read_text().split()] if log.exists() else []
    processes = {process.pid for process in marked(berth.harbour.mark)}
    pipeline.results.clear()

    begun = time.monotonic()
    answer = pipeline.end("cancelled")
    assert answer["batch_status"] == "cancelled"
    assert time.monotonic() - begun < CANCELLED_WITHIN_S
    stays(lambda: pipeline.pull(again=True) == pipeline.pull() == 0, 0.3, "nothing comes out")
    status = pipeline.status()
    assert status["records_available"] == status["chunks_available"] == 0
    assert status["input_buffer_used_bytes"] == status["output_buffer_used_bytes"] == 0
    assert pipeline.push(chunk(9, [1]), expect=(409,)).json()["code"] == "conflict"

    # What ran is stopped with all that it started, and the slot goes to the next.
    eventually(
        lambda: not any(psutil.pid_exists(child) for child in children),
        CANCELLED_WITHIN_S + GRACE_S,
        "the processes that computed it are gone",
    )
    if state == "running":
        eventually(
            lambda: len(marked(berth.harbour.mark)) < len(processes), 15.0, "so are their children"
        )
    if state != "queued":
        other = berth.user.pipeline(SQUARE, max_workers=1)
        other.push(chunk(0, range(10)))
        other.drain(1, 15.0)
        other.check_squares(10)
