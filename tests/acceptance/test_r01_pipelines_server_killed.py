"""R1 for pipelines: the server is killed at each of its writes, and at any moment of a loop."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from longshore.engine.states import Reason
from longshore.storage import faults
from longshore.surfaces.pipelines import chunks, ending, pulling, pushing
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import eventually
from tests.acceptance.pipelines import GATE, SERVICES, SQUARE, Pipeline, Shipper, chunk, chunks_of
from tests.acceptance.test_r01_buckets_server_killed import WHERE, Chain
from tests.conftest import KINDS, PostgreSQLServer

RECORDS = 3_000
CHUNK = 25
KILLS = 3
POINTS = [
    pushing.PUSHED,
    str(Reason.CLAIMED),
    chunks.RECORDED,
    pulling.PULLED,
    ending.CANCELLED,
    ending.DELETED,
]
"""Where the server dies, in the order in which a pipeline comes to it."""
SHORT = [("sqlite", faults.AFTER_COMMIT), ("postgresql", faults.BEFORE_COMMIT)]


def test_a_server_killed_again_and_again_loses_no_record(harbour: Harbour) -> None:
    server = harbour.server()
    server.start()
    user = Shipper(server)
    harbour.clients.append(user)
    harbour.worker(server, slots=2, apps=SERVICES).start()
    user.wait_for(SQUARE)
    pipeline = user.pipeline(SQUARE)
    fleet = chunks_of(RECORDS, CHUNK, nap_s=0.001)
    over = threading.Event()

    def kill() -> None:
        for number in range(1, KILLS + 1):
            while len(pipeline.results) < number * len(fleet) // (KILLS + 2):
                if over.wait(0.01):
                    return
            server.restart()

    def push() -> None:
        producer = Shipper(server)
        for each in fleet:
            Pipeline(producer, pipeline.id).push(each)
        producer.close()

    threads = [threading.Thread(target=each, name=each.__name__) for each in (kill, push)]
    for thread in threads:
        thread.start()
    try:
        pipeline.drain(len(fleet), 90.0, maximum=7)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert len(server.starts_s) == KILLS + 1, "it ended before all kills"
    print(f"{pipeline.doubles} chunks came again after a kill, and were known by their ids")
    pipeline.check_squares(RECORDS)


@pytest.fixture(params=itertools.product(KINDS, WHERE), ids="-".join)
def chain(request: pytest.FixtureRequest, harbour: Harbour) -> Iterator[Chain]:
    """A server on either database, to die at each write; all four combinations with --long."""
    kind, where = request.param
    if request.param not in SHORT and not request.config.getoption("--long", default=False):
        pytest.skip("dies on both sides of commits on each database with --long")
    postgresql: PostgreSQLServer | None = None
    database = None
    if kind == "postgresql":
        postgresql = request.getfixturevalue("postgresql_server")
        database = postgresql.new_database()
    made = Chain(harbour.server(database=database), where, POINTS)
    made.start()
    thread = threading.Thread(target=made.look_out, name="look-out")
    thread.start()
    yield made
    made.end()
    thread.join()
    if postgresql is not None and database is not None:
        harbour.close()
        postgresql.drop(database)


@pytest.mark.slow
def test_a_server_killed_at_each_write_of_pipelines_loses_and_doubles_nothing(
    harbour: Harbour, chain: Chain
) -> None:
    user = Shipper(chain.server)
    harbour.clients.append(user)
    harbour.worker(chain.server, slots=2, apps=SERVICES).start()
    user.wait_for(SQUARE)
    pipeline = user.pipeline(SQUARE)
    pipeline.push(*chunks_of(60, 10))
    pipeline.drain(6)
    pipeline.check_squares(60)
    assert pipeline.info()["summary"]["chunks_failed"] == 0

    never = str(harbour.directory / "never")
    dropped = user.pipeline(GATE)
    dropped.push(chunk(0, [1], marker=never), chunk(1, [2], marker=never))
    assert dropped.end("cancelled")["batch_status"] == "cancelled"
    assert dropped.pull() == 0

    user.ask("DELETE", pipeline.path, expect=(202,))
    eventually(
        lambda: user.ask("GET", pipeline.path, expect=(200, 404)).status_code == 404,
        30.0,
        "the pipeline is deleted",
    )
    assert chain.error is None, chain.error
    assert chain.deaths == len(POINTS), chain.server.tail()
