"""What goes wrong between the client `cspark` and the server, and what its users still get."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Server, WorkerProcess, eventually, kill_marked
from tests.clients.spark_client import EARLY, PRESENT, finish, run_program
from tests.clients.spark_rig import FINISH_S, SERVICES, SETTINGS, Spark, SparkServer, offers

CHUNKS = 150
CHUNK = 150
ENDURED = 30
KILLS = 3


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that may be killed, with a worker that outlives it."""
    own_mark = secrets.token_hex(12)
    server = Server(tmp_path / "data", own_mark, settings=SETTINGS)
    server.start()
    worker = WorkerProcess(tmp_path, "one", own_mark, server, apps=SERVICES)
    worker.start()
    yield server
    worker.close()
    server.close()
    kill_marked(own_mark)
    assert not server.unforeseen()


@pytest.mark.slow
def test_a_loop_that_outlives_its_server_gets_each_record_once(
    own_server: Server, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    eventually(lambda: offers(own_server, "seed/slow"), FINISH_S, "the worker offers its services")
    program = run_program(
        PRESENT,
        home,
        "spark_enduring.py",
        CHUNKS=str(ENDURED),
        SERVICE="seed/slow",
        SPARK_URL=own_server.url,
        SPARK_TENANT=str(own_server.credentials["organisation_id"]),
        CSPARK_API_KEY=own_server.key,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "begun\n"
    for _ in range(KILLS):
        own_server.restart()
    printed = finish(program, FINISH_S)
    assert json.loads(printed.splitlines()[-1]) == list(range(ENDURED * 10))
    assert len(own_server.starts_s) == KILLS + 1


@pytest.mark.slow
def test_what_the_example_leaves_behind_can_be_pulled_after_it(
    spark_server: SparkServer, tmp_path: Path
) -> None:
    # Its loop ends when everything is computed, and it pulls a hundred chunks at a time.
    spark = Spark.of(spark_server, "early", tmp_path / "other")
    home = tmp_path / "home"
    home.mkdir()
    records = CHUNKS * CHUNK
    (home / "inputs.json").write_text(json.dumps([{"value": each} for each in range(records)]))
    program = run_program(
        EARLY,
        home,
        "spark_create_and_run.py",
        INPUTS=str(home / "inputs.json"),
        OUTPUTS=str(home / "outputs.json"),
        SERVICE="seed/fast",
        SPARK_URL=spark_server.url,
        SPARK_TENANT=spark_server.tenant,
        CSPARK_API_KEY=spark_server.key,
    )
    printed = finish(program, FINISH_S)
    outputs = json.loads((home / "outputs.json").read_text())
    assert len(outputs) >= 100 * CHUNK, printed
    found = re.search(r"'id': '([^']+)'", printed)
    assert found is not None, printed
    missing = CHUNKS - len(outputs) // CHUNK
    rest = spark.pull(spark.batches.of(found[1]), missing)
    outputs += [output for each in rest.values() for output in each["outputs"]]
    assert sorted(each["value"] for each in outputs) == list(range(records))
