"""Chunks of records in a real worker: records that kill, hang or fill the memory, and stops."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore.wire.payloads import WorkbookFile
from longshore.wire.worker import Outcome, Report
from tests.unit.test_worker_services import errors_of
from tests.unit.workbook_files import quote
from tests.unit.worker_server import WorkerProcess, WorkerServer, poll
from tests.unit.worker_services import LIMIT_S

SERVICES = str(Path(__file__).with_name("worker_services.py"))
BEHAVE = "tests/behave"
StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def server() -> Iterator[WorkerServer]:
    served = WorkerServer()
    yield served
    served.stop()


@pytest.fixture
def start(server: WorkerServer, tmp_path: Path) -> Iterator[StartWorker]:
    """Start workers that are gone at the end of the test."""
    started: list[WorkerProcess] = []

    def start_worker(**options: Any) -> WorkerProcess:
        log = tmp_path / f"worker-{len(started)}.log"
        started.append(WorkerProcess(server.url, [SERVICES], log, **options))
        return started[-1]

    yield start_worker
    for worker in started:
        worker.close()


def result(report: Report) -> dict[str, Any]:
    assert report.outcome is Outcome.SUCCESS, report.error
    decoded: dict[str, Any] = json.loads(bytes(report.result))
    return decoded


def values(report: Report) -> list[int | None]:
    return [each and each["value"] for each in result(report)["outputs"]]


def test_services_are_offered_and_chunks_computed(server: WorkerServer, start: StartWorker) -> None:
    worker = start()
    work = server.submit_chunk(BEHAVE, [{"value": 1}, {"value": 2, "verb": "print"}])
    assert values(server.report(work)) == [1, 2]
    offered = {each.name: each for each in server.ledger.registrations[0].services}
    assert offered["tests/quote"].outputs == ["premium", "note"]
    assert not server.ledger.registrations[0].workbooks
    poll(lambda: ("stdout", "computing") in server.lines(work))
    assert "tests/behave[1.0.0]" in worker.text()


def test_poison_is_the_error_of_its_record_within_one_attempt(
    server: WorkerServer, start: StartWorker, tmp_path: Path
) -> None:
    start(memory_limit_bytes=1 << 30)
    begun = tmp_path / "begun"
    begun.mkdir()
    records: list[dict[str, Any]] = [
        {"value": place, "directory": str(begun)} for place in range(30)
    ]
    poison = {0: "segfault", 1: "raise", 7: "exit", 13: "hog", 29: "loop"}
    for place, verb in poison.items():
        records[place]["verb"] = verb
    work = server.submit_chunk(
        BEHAVE, records, record_timeout_s=LIMIT_S, unique_record_key=["value"]
    )
    report = server.report(work)
    assert values(report) == [None if place in poison else place for place in range(30)]
    errors = errors_of(result(report))
    assert {place: each["error_category"] for place, each in errors.items()} == {
        0: "process_ended",
        1: "execution",
        7: "process_ended",
        13: "execution",
        29: "time_limit",
    }
    assert errors[0]["message"].startswith("value=0: The process was killed by signal 11 (SIGSEGV)")
    assert "Segmentation fault" in errors[0]["additional_details"]
    assert "exited with code 7" in errors[7]["message"]
    assert "memory limit 1.0 GiB" in errors[13]["message"]
    assert f"time limit of {LIMIT_S} s" in errors[29]["message"]
    # What kills runs three times, and no more.
    assert [len((begun / str(place)).read_text()) for place in (0, 7, 29)] == [3, 3, 3]
    assert len(server.ledger.reports[work]) == 1
    # The slot goes on with the next chunk.
    assert values(server.report(server.submit_chunk(BEHAVE, [{"value": 5}]))) == [5]


def test_memory_that_other_records_hold_is_not_held_against_a_record(
    server: WorkerServer, start: StartWorker
) -> None:
    start(memory_limit_bytes=1 << 30)
    records = [{"value": place, "verb": "leak" if place < 3 else "need"} for place in range(9)]
    report = server.report(server.submit_chunk(BEHAVE, records))
    assert values(report) == list(range(9))


def test_a_chunk_of_nothing_but_poison_ends(server: WorkerServer, start: StartWorker) -> None:
    start()
    records = [{"value": place, "verb": "exit"} for place in range(13)]
    report = server.report(server.submit_chunk(BEHAVE, records))
    assert values(report) == [None] * 13
    assert result(report)["failed"] == 13


def test_lethal_columns_are_halved(server: WorkerServer, start: StartWorker) -> None:
    start()
    work = server.submit_chunk("tests/lethal-columns", [{"value": place} for place in range(64)])
    report = server.report(work)
    assert values(report) == [None if place == 37 else place for place in range(64)]
    assert "SIGKILL" in errors_of(result(report))[37]["message"]


def test_retry_later_gives_the_whole_chunk_back(server: WorkerServer, start: StartWorker) -> None:
    start()
    work = server.submit_chunk(BEHAVE, [{"value": 1}, {"value": 2, "verb": "later"}])
    report = server.report(work)
    assert (report.outcome, report.retry_delay_s) == (Outcome.FAILURE, 7)
    assert report.error is not None
    assert report.error.message == "not now"


def test_a_service_that_is_gone_fails_the_attempt(server: WorkerServer, start: StartWorker) -> None:
    start()
    report = server.report(server.submit_chunk("tests/gone", [{"value": 1}]))
    assert report.outcome is Outcome.FAILURE
    assert report.error is not None
    assert "tests/gone[1.0.0] is not registered" in report.error.message


@pytest.mark.parametrize("verb", ["loop", "exit"])
def test_a_chunk_can_be_cancelled_while_it_kills(
    server: WorkerServer, start: StartWorker, verb: str
) -> None:
    start()
    records = [{"value": place, "verb": verb} for place in range(500)]
    work = server.submit_chunk(BEHAVE, records, record_timeout_s=60.0)
    if verb == "exit":
        server.wait_for_line(work, "Record 3")
    server.cancel(work)
    assert server.report(work).outcome is Outcome.CANCELLED
    assert values(server.report(server.submit_chunk(BEHAVE, [{"value": 5}]))) == [5]


def test_a_chunk_has_a_time_limit_of_its_own(server: WorkerServer, start: StartWorker) -> None:
    start()
    work = server.submit_chunk(BEHAVE, [{"value": 1, "verb": "loop"}], timeout_s=LIMIT_S)
    assert server.report(work).outcome is Outcome.TIMED_OUT


def test_a_drain_hands_a_chunk_back(
    server: WorkerServer, start: StartWorker, tmp_path: Path
) -> None:
    worker = start(drain_s=0.2)
    marker = tmp_path / "marker"
    work = server.submit_chunk("tests/gate", [{"value": 1, "marker": str(marker)}])
    server.wait_for_line(work, "ready")
    worker.process.terminate()
    assert worker.wait() == 0
    assert server.report(work).outcome is Outcome.HANDED_BACK


def test_a_large_chunk_goes_through(server: WorkerServer, start: StartWorker) -> None:
    start()
    records = [{"value": f"{place}{'x' * 1000}"} for place in range(5000)]
    report = server.report(server.submit_chunk("tests/value", records))
    assert result(report)["outputs"] == [{"x": each["value"]} for each in records]


def test_a_thread_goes_on_after_a_record_that_takes_too_long(
    server: WorkerServer, start: StartWorker
) -> None:
    start(executor="thread")
    verbs = ["fine", "spin", "raise", "fine"]
    records = [{"value": place, "verb": verb} for place, verb in enumerate(verbs)]
    work = server.submit_chunk(BEHAVE, records, record_timeout_s=LIMIT_S)
    report = server.report(work)
    assert values(report) == [0, None, None, 3]
    assert errors_of(result(report))[1]["error_category"] == "time_limit"
    assert values(server.report(server.submit_chunk(BEHAVE, [{"value": 5}]))) == [5]


def test_a_workbook_is_fetched_and_computed(
    server: WorkerServer, start: StartWorker, tmp_path: Path
) -> None:
    content = quote(tmp_path / "quote.xlsx").read_bytes()
    server.ledger.blobs["bl_1"] = content
    book = WorkbookFile(
        blob_id="bl_1",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=["age", "level"],
        outputs=["premium", "note"],
    )
    start(workbooks=True)
    records = [{"age": 30}, {"age": "x"}, {"age": 40}]
    work = server.submit_chunk(
        "books/quote", records, kind="workbook", workbook=book, outputs=["premium"]
    )
    made = result(server.report(work))
    assert [list(each or {}) for each in made["outputs"]] == [["premium"], [], ["premium"]]
    assert errors_of(made)[1]["error_category"] == "input"
    assert server.ledger.registrations[0].workbooks
