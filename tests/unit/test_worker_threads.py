"""The thread executor: the same outcomes, but code that does not end cannot be stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from longshore.wire.payloads import AppResult
from longshore.wire.worker import Outcome
from tests.unit.worker_server import WorkerProcess, WorkerServer

APPS = Path(__file__).with_name("worker_apps.py")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerServer]:
    served = WorkerServer()
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    worker = WorkerProcess(served.url, [str(APPS)], log, slots=2, executor="thread")
    yield served
    worker.close()
    served.stop()
    assert "Traceback" not in worker.text()


def test_a_good_app_reports_its_documents(server: WorkerServer) -> None:
    report = server.report(server.submit("Good", data=b"text"))
    assert report.outcome is Outcome.SUCCESS
    [document] = msgspec.json.decode(report.result, type=AppResult).documents
    assert document.fields[0].value == "text"


def test_prints_of_two_threads_go_to_their_own_works(server: WorkerServer, tmp_path: Path) -> None:
    gate = str(tmp_path / "gate").encode()
    works = [server.submit("Gate", data=gate) for _ in range(2)]
    for work in works:
        server.wait_for_line(work, "ready")
    (tmp_path / "gate").touch()
    for work in works:
        assert server.report(work).outcome is Outcome.SUCCESS
        assert server.lines(work) == [("stdout", "ready")]


def test_an_exception_is_a_failure(server: WorkerServer) -> None:
    report = server.report(server.submit("Raise"))
    assert report.outcome is Outcome.FAILURE
    assert report.error is not None
    assert report.error.type == "ValueError"


def test_code_that_does_not_end_does_not_keep_the_worker(tmp_path: Path) -> None:
    served = WorkerServer()
    worker = WorkerProcess(
        served.url, [str(APPS)], tmp_path / "worker.log", executor="thread", drain_s=0.1
    )
    work = served.submit("Gate", data=str(tmp_path / "never").encode())
    served.wait_for_line(work, "ready")
    worker.process.terminate()
    assert served.report(work).outcome is Outcome.HANDED_BACK
    assert worker.wait() == 0
    served.stop()


def test_a_time_limit_is_reported_and_the_late_result_dropped(
    server: WorkerServer, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    late = server.submit("Gate", data=str(gate).encode(), timeout_s=0.2)
    report = server.report(late)
    assert report.outcome is Outcome.TIMED_OUT
    assert report.error is not None
    assert "time limit of 0.2 s" in report.error.message
    gate.touch()
    for _ in range(4):
        assert server.report(server.submit("Good")).outcome is Outcome.SUCCESS
    assert len(server.ledger.reports[late]) == 1
