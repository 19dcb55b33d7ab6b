"""R2: workers and their programs are killed while they work on elements; so is the server, once."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.corpora import WORKERS, Archivist
from tests.acceptance.harness import Server, eventually, marked
from tests.acceptance.test_r02_worker_killed import Killer
from tests.conftest import PostgreSQLServer

SLOTS = 2
WORKER = "namer"
DATABASES = ("sqlite", "postgresql")
WAYS = ("lists", "queue")
QUICK = (("sqlite", "lists"), ("postgresql", "queue"))


@dataclass(frozen=True, slots=True)
class Size:
    elements: int
    chunks: int
    kills: int
    within_s: float


SHORT = Size(elements=240, chunks=6, kills=4, within_s=90.0)
LONG = Size(elements=20_000, chunks=100, kills=300, within_s=3_400.0)


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    return LONG if request.config.getoption("--long", default=False) else SHORT


@pytest.fixture(params=itertools.product(DATABASES, WAYS), ids="-".join)
def chosen(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A database and how tasks get their elements; all four combinations with --long."""
    if request.param not in QUICK and not request.config.getoption("--long", default=False):
        pytest.skip("lists and queues run on each database with --long")
    database, way = request.param
    return database, way


@pytest.fixture
def server(
    chosen: tuple[str, str], request: pytest.FixtureRequest, harbour: Harbour
) -> Iterator[Server]:
    if chosen[0] == "sqlite":
        yield harbour.server()
        return
    postgresql: PostgreSQLServer = request.getfixturevalue("postgresql_server")
    database = postgresql.new_database()
    yield harbour.server(database=database)
    harbour.close()
    postgresql.drop(database)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_workers_killed_again_and_again_process_each_element_once(
    harbour: Harbour, server: Server, size: Size, chosen: tuple[str, str]
) -> None:
    server.start()
    user = Archivist(server)
    harbour.clients.append(user)
    workers = [harbour.worker(server, name, slots=SLOTS, apps=WORKERS) for name in ("one", "two")]
    for worker in workers:
        worker.start()
    user.wait_for(WORKER)
    corpus_id, page_ids = user.corpus_of(size.elements)
    process_id = user.start(corpus_id, WORKER, chunks=size.chunks, queue=chosen[1] == "queue")

    killer = Killer(workers, random.Random(20_265))
    pause = threading.Event()
    deadline = time.monotonic() + size.within_s
    per_kill = size.elements / (size.kills + 1)
    while (done := user.processed(process_id)) < size.elements:
        assert time.monotonic() < deadline, f"{done} elements, {killer.kills} kills"
        if done >= (killer.kills + 1) * per_kill:
            killer.strike()
            if len(server.starts_s) == 1 and killer.kills >= size.kills // 2:
                server.restart()
        pause.wait(killer.chance.uniform(0.0, 0.05))

    process = user.finish(process_id)
    assert process["state"] == "completed", process["tasks"]
    assert len(server.starts_s) == 2
    user.check_all_once(process_id, page_ids)
    attempts = sum(task["attempt"] for task in process["tasks"])
    print(f"{killer.kills} kills, {attempts} attempts of {size.chunks} tasks")
    assert killer.kills >= size.kills * 0.8
    for worker in workers:
        worker.stop()
    server.stop()
    eventually(lambda: not marked(harbour.mark), 10.0, "no process is left behind")
