"""R2: workers of pipelines are killed again and again; each record comes out once."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass

import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import eventually, marked
from tests.acceptance.pipelines import SERVICES, SQUARE, Shipper, chunks_of
from tests.acceptance.test_r02_worker_killed import Killer

SLOTS = 2


@dataclass(frozen=True, slots=True)
class Size:
    records: int
    chunk: int
    kills: int
    within_s: float

    @property
    def chunks_per_kill(self) -> float:
        """After so many chunks there is another kill, so that all of them hit running work."""
        return self.records / self.chunk / (self.kills + 1)


SHORT = Size(records=2_000, chunk=20, kills=10, within_s=100.0)
LONG = Size(records=10_000, chunk=10, kills=500, within_s=3_400.0)


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    return LONG if request.config.getoption("--long", default=False) else SHORT


@pytest.mark.timeout(3_600)
def test_workers_killed_again_and_again_cost_no_record_and_double_none(
    harbour: Harbour, size: Size
) -> None:
    server = harbour.server()
    server.start()
    user = Shipper(server)
    harbour.clients.append(user)
    workers = [harbour.worker(server, name, slots=SLOTS, apps=SERVICES) for name in ("one", "two")]
    for worker in workers:
        worker.start()
    user.wait_for(SQUARE)
    pipeline = user.pipeline(SQUARE)
    pipeline.push(*chunks_of(size.records, size.chunk, nap_s=0.002))

    killer = Killer(workers, random.Random(20_264))
    pause = threading.Event()
    deadline = time.monotonic() + size.within_s
    chunks = size.records // size.chunk
    while len(pipeline.results) < chunks:
        assert time.monotonic() < deadline, f"{len(pipeline.results)} chunks, {killer.kills} kills"
        pipeline.pull()
        if pipeline.status()["chunks_completed"] >= (killer.kills + 1) * size.chunks_per_kill:
            killer.strike()
        pause.wait(killer.chance.uniform(0.0, 0.05))

    assert pipeline.doubles == 0
    pipeline.check_squares(size.records)
    summary = pipeline.info()["summary"]
    print(f"{killer.kills} kills, {summary['chunks_retried']} chunks retried")
    assert killer.kills >= size.kills * 0.8
    assert summary["chunks_failed"] == summary["records_failed"] == 0
    assert summary["chunks_retried"] <= killer.kills * SLOTS
    for worker in workers:
        worker.stop()
    server.stop()
    eventually(lambda: not marked(harbour.mark), 10.0, "no process is left behind")
