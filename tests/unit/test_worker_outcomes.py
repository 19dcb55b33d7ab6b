"""What becomes of each kind of user code, in one worker that survives all of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longshore.wire.payloads import AppResult
from longshore.wire.worker import Outcome, Report
from tests.unit.worker_server import WorkerProcess, WorkerServer, alive, poll

APPS = Path(__file__).with_name("worker_apps.py")
MEMORY_LIMIT_BYTES = 512 * 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerServer]:
    served = WorkerServer()
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    worker = WorkerProcess(
        served.url, [str(APPS)], log, slots=2, memory_limit_bytes=MEMORY_LIMIT_BYTES
    )
    yield served
    worker.close()
    served.stop()
    assert "secret-of-the-worker" not in worker.text()
    assert "Traceback" not in worker.text()


def result(report: Report) -> AppResult:
    assert report.outcome is Outcome.SUCCESS, report.error
    return msgspec.json.decode(report.result, type=AppResult)


def failure(report: Report, outcome: Outcome = Outcome.FAILURE) -> tuple[str, str]:
    assert report.outcome is outcome
    assert report.error is not None
    return report.error.type, report.error.message


def test_a_good_app_reports_its_documents(server: WorkerServer) -> None:
    report = server.report(server.submit("good", data="käse".encode()))
    [document] = result(report).documents
    assert document.class_name == "Note"
    assert document.pages[0].height == 20
    [field] = document.fields
    assert (field.name, field.value, field.confidence) == ("value", "käse", 0.5)
    assert (field.page, field.box, field.alerts) == (0, (1, 2, 3, 4), ["look"])


def test_a_generator_of_documents_is_a_result(server: WorkerServer) -> None:
    assert len(result(server.report(server.submit("Lazy"))).documents) == 2


def test_the_app_sees_a_private_file_and_not_the_workers_key(server: WorkerServer) -> None:
    work = server.submit("Describe", name="../../etc/pass wd.JPEG", keys={"client": 7})
    facts = {f.name: f.value for f in result(server.report(work)).documents[0].fields}
    assert facts["name"] == "../../etc/pass wd.JPEG"
    assert facts["suffix"] == ".JPEG"
    assert facts["mode"] == "0o700"
    assert facts["keys"] == "{'client': 7}"
    assert facts["secrets"] == "False"
    assert facts["leads_group"] == "True"
    assert facts["set_ups"] == "1"


def test_processes_are_used_again_and_set_up_once(server: WorkerServer) -> None:
    works = [server.submit("Describe") for _ in range(6)]
    facts = [
        {f.name: f.value for f in result(server.report(work)).documents[0].fields} for work in works
    ]
    assert len({each["pid"] for each in facts}) <= 2
    assert {each["set_ups"] for each in facts} == {"1"}


def test_all_that_is_printed_becomes_log_lines_of_the_work(server: WorkerServer) -> None:
    work = server.submit("Print")
    server.report(work)
    assert sorted(server.lines(work)) == [
        ("stderr", "to stderr"),
        ("stdout", "bar 100%"),
        ("stdout", "from a child"),
        ("stdout", "straight to the descriptor"),
        ("stdout", "to stdout"),
        ("stdout", "without an end"),
    ]


def test_lines_over_the_limit_are_counted_and_not_sent(server: WorkerServer) -> None:
    work = server.submit("Flood")
    assert result(server.report(work)).documents == []
    lines = server.lines(work)
    assert lines[-1] == ("worker", "50 more lines were not kept.")
    assert len(lines) == 10_001


def test_an_exception_is_a_failure_with_the_users_traceback(server: WorkerServer) -> None:
    report = server.report(server.submit("Raise", name="x.txt"))
    assert failure(report) == ("ValueError", "cannot read x.txt\ufffd?")
    assert report.error is not None
    assert "in raises" in report.error.traceback
    assert "longshore/worker" not in report.error.traceback


def test_user_code_can_ask_for_a_later_attempt(server: WorkerServer) -> None:
    report = server.report(server.submit("Retry Later"))
    assert failure(report) == ("RetryLater", "the other side is busy")
    assert report.retry_delay_s == 12.5


def test_user_code_can_reject_its_input(server: WorkerServer) -> None:
    report = server.report(server.submit("Reject"))
    assert failure(report, Outcome.REJECTED) == ("Reject", "this is not a receipt")


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("none", "returned None; expected an iterable of longshore.Document"),
        ("one", "returned one Document; return a list"),
        ("dict", "returned dict {'a': 1}; expected"),
        ("items", "returned str 'text' among its documents"),
        ("fields", "with dict {'name': 'x'} among its fields"),
        ("name", "$.documents[0].fields[0].name"),
    ],
)
def test_a_wrong_return_value_is_a_failure_that_says_so(
    server: WorkerServer, what: str, says: str
) -> None:
    kind, message = failure(server.report(server.submit("Return", data=what.encode())))
    assert kind == "TypeError"
    assert says in message


def test_a_result_over_the_limit_is_rejected(server: WorkerServer) -> None:
    report = server.report(server.submit("Return", data=b"large"))
    _, message = failure(report, Outcome.REJECTED)
    assert "at most 8388608 are kept" in message


def test_a_time_limit_kills_the_process_and_its_children(server: WorkerServer) -> None:
    work = server.submit("Family", timeout_s=0.6)
    child = int(server.wait_for_line(work, "child "))
    assert alive(child)
    kind, message = failure(server.report(work), Outcome.TIMED_OUT)
    assert kind == "TimeLimit"
    assert "time limit of 0.6 s" in message
    assert f"child {child}" in message
    poll(lambda: not alive(child))


@pytest.mark.parametrize(
    ("app", "says"),
    [
        ("Segfault", ["killed by signal 11 (SIGSEGV)", "about to read address zero"]),
        ("Exit", ["exited with code 3", "leaving"]),
        ("Kill Myself", ["killed by signal 9 (SIGKILL)", "peak resident memory", "limit 512 MiB"]),
        # Either the worker sees the closed pipe first and kills the process, or it ends by itself.
        ("Close Everything", ["The process ", "memory limit"]),
    ],
)
def test_a_process_that_dies_is_a_failure_with_its_end(
    server: WorkerServer, app: str, says: list[str]
) -> None:
    kind, message = failure(server.report(server.submit(app)))
    assert kind == "ProcessEnded"
    for text in says:
        assert text in message


def test_an_exit_by_exception_is_a_failure_and_spares_the_process(server: WorkerServer) -> None:
    kind, message = failure(server.report(server.submit("System Exit")))
    assert kind == "SystemExit"
    assert "sys.exit(3)" in message


def test_running_out_of_memory_names_the_limit_and_the_peak(server: WorkerServer) -> None:
    kind, message = failure(server.report(server.submit("Hog")))
    assert kind == "MemoryError"
    assert "memory limit 512 MiB (--memory-limit)" in message
    assert "peak resident memory" in message


def test_poison_among_good_works_stops_none_of_them(server: WorkerServer) -> None:
    good, bad = [], []
    for poison in ("Segfault", "Exit", "Hog", "Raise", "Kill Myself"):
        bad.append(server.submit(poison))
        good += [server.submit("Good") for _ in range(6)]
    bad.append(server.submit("Family", timeout_s=0.2))
    for work in good:
        result(server.report(work))
    for work in bad:
        assert server.report(work).outcome in (Outcome.FAILURE, Outcome.TIMED_OUT)
    with server.ledger.changed:
        assert all(len(server.ledger.reports[work]) == 1 for work in good + bad)


def test_a_damaged_download_is_a_failure_that_names_the_file(server: WorkerServer) -> None:
    kind, message = failure(server.report(server.submit("Good", sha256="0" * 64)))
    assert kind == "CorruptData"
    assert "Upload the file again" in message


def test_a_file_that_is_gone_is_a_failure(server: WorkerServer) -> None:
    with server.ledger.changed:
        work = server.submit("Good")
        server.ledger.blobs.clear()
    assert failure(server.report(work))[0] == "NotFound"


def test_an_app_that_is_not_registered_is_a_failure(server: WorkerServer) -> None:
    kind, message = failure(server.report(server.submit("Nobody")))
    assert kind == "ConfigurationError"
    assert "local/Nobody 1.0.0 is not registered" in message


def test_logs_that_the_server_refuses_do_not_fail_the_work(server: WorkerServer) -> None:
    server.ledger.refuse_logs = True
    try:
        assert result(server.report(server.submit("Print"))).documents == []
    finally:
        server.ledger.refuse_logs = False


def picture(path: Path) -> bytes:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (20, 10), "white").save(path, format="PNG")
    return path.read_bytes()


def uploaded(server: WorkerServer, work: str) -> tuple[AppResult, bytes]:
    made = result(server.report(work))
    assert made.pdf_blob_id is not None
    data = server.ledger.blobs[made.pdf_blob_id]
    assert made.pdf_size_bytes == len(data)
    return made, data


def test_an_image_becomes_a_pdf_where_the_run_asks_for_it(
    server: WorkerServer, tmp_path: Path
) -> None:
    data: Any = picture(tmp_path / "a.png")
    work = server.submit("Lazy", data=data, name="a.png", generate_pdf=True)
    _, pdf = uploaded(server, work)
    assert pdf.startswith(b"%PDF-")


def test_a_pdf_is_passed_through(server: WorkerServer) -> None:
    work = server.submit("Lazy", data=b"%PDF-1.7 rest", name="a.pdf", generate_pdf=True)
    assert uploaded(server, work)[1] == b"%PDF-1.7 rest"


def test_a_pdf_that_cannot_be_made_is_told_in_the_log(server: WorkerServer) -> None:
    work = server.submit("Lazy", data=b"no image", generate_pdf=True)
    assert result(server.report(work)).pdf_blob_id is None
    [(stream, text)] = server.lines(work)
    assert stream == "worker"
    assert "neither a PDF nor a readable image" in text
