"""Pipelines on Dask and on Ray: processes of the cluster are killed, and each record comes out once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server, WorkerProcess, eventually, marked
from tests.acceptance.pipelines import BEHAVE, SERVICES, SQUARE, Pipeline, Shipper, chunk, chunks_of
from tests.unit.clusters import (
    ClusterProcess,
    DaskProcess,
    RayProcess,
    environment,
    free_port,
    kill,
)

RECORDS = 2_000
CHUNK = 20
NAP_S = 0.002
KILLS = 3


@pytest.fixture(params=[DaskProcess, RayProcess], ids=["dask", "ray"])
def cluster(request: pytest.FixtureRequest) -> Iterator[ClusterProcess]:
    # Ray keeps sockets there, whose paths must be short.
    started: ClusterProcess = request.param(
        Path(tempfile.mkdtemp(prefix="ls-", dir="/tmp")), free_port()
    )
    try:
        started.start()
        yield started
    finally:
        started.close()


def wait_for_chunks(pipeline: Pipeline, chunks: int) -> None:
    def came() -> bool:
        pipeline.pull()
        return len(pipeline.results) >= chunks

    eventually(came, 60.0, f"{chunks} chunks come out")


def start_worker(harbour: Harbour, server: Server, cluster: ClusterProcess) -> WorkerProcess:
    worker = harbour.worker(
        server,
        slots=4,
        apps=SERVICES,
        options=["--executor", cluster.engine, "--address", cluster.address],
        environment=environment(cluster.directory),
    )
    worker.start()
    return worker


def test_processes_of_a_cluster_are_killed_and_each_record_comes_out_once(
    harbour: Harbour, cluster: ClusterProcess
) -> None:
    server = harbour.server()
    server.start()
    user = Shipper(server)
    harbour.clients.append(user)
    worker = start_worker(harbour, server, cluster)
    user.wait_for(SQUARE)
    pipeline = user.pipeline(SQUARE)
    pipeline.push(*chunks_of(RECORDS, CHUNK, nap_s=NAP_S))
    for strike in range(1, KILLS + 1):
        due = strike * RECORDS // CHUNK // (KILLS + 1)
        wait_for_chunks(pipeline, due)
        kill(eventually(cluster.workers, 30.0, "a process of the cluster runs")[0])
    assert len(pipeline.results) < RECORDS // CHUNK, "the kills were to come in the middle"
    pipeline.drain(RECORDS // CHUNK)
    assert pipeline.doubles == 0
    pipeline.check_squares(RECORDS)
    summary = pipeline.info()["summary"]
    assert summary["chunks_failed"] == summary["records_failed"] == 0

    # A record that kills what runs it is an error of its own, here as anywhere.
    poisoned = user.pipeline(BEHAVE)
    good, bad = chunk(1, range(10)), chunk(2, range(10))
    bad["data"]["inputs"][4]["verb"] = "segfault"
    poisoned.push(good, bad)
    poisoned.drain(2)
    outputs = {name: result["outputs"] for name, result in poisoned.results.items()}
    assert [each["value"] for each in outputs[good["id"]]] == list(range(10))
    assert [each and each["value"] for each in outputs[bad["id"]]] == [
        0,
        1,
        2,
        3,
        None,
        *range(5, 10),
    ]
    [error] = poisoned.results[bad["id"]]["errors"][4]
    assert "SIGSEGV" in error["message"]

    assert worker.stop() == 0
    server.stop()
    assert f"connected to {cluster.engine}" in worker.log
    assert "Traceback" not in worker.log
    eventually(lambda: not marked(harbour.mark), 10.0, "no process is left behind")


def test_a_cluster_that_goes_away_costs_no_record(
    harbour: Harbour, cluster: ClusterProcess
) -> None:
    server = harbour.server()
    server.start()
    user = Shipper(server)
    harbour.clients.append(user)
    worker = start_worker(harbour, server, cluster)
    user.wait_for(SQUARE)
    pipeline = user.pipeline(SQUARE)
    pipeline.push(*chunks_of(RECORDS // 4, CHUNK, nap_s=NAP_S))
    wait_for_chunks(pipeline, 3)
    cluster.kill()
    eventually(lambda: "waiting for the cluster" in worker.log, 30.0, "the worker says so")
    cluster.start()
    pipeline.drain(RECORDS // 4 // CHUNK)
    assert pipeline.doubles == 0
    pipeline.check_squares(RECORDS // 4)
    assert "the cluster is lost" in worker.log
    assert worker.stop() == 0
    server.stop()
    eventually(lambda: not marked(harbour.mark), 10.0, "no process is left behind")
