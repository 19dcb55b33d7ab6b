"""Tasks of corpora on a real worker: what a program is given, and what becomes of what it leaves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import ids
from longshore.wire.tasks import TaskElement, TaskParent
from longshore.wire.worker import Outcome
from tests.unit.tasks_support import (
    TOKEN,
    described,
    files,
    model,
    parent,
    result,
    stored_file,
    submit_task,
)
from tests.unit.worker_server import WorkerProcess, WorkerServer, alive, poll

PROGRAMS = Path(__file__).with_name("worker_programs.py")
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

    def start_worker(modules: list[str] | None = None, **options: Any) -> WorkerProcess:
        log = tmp_path / f"worker-{len(started)}.log"
        modules = [str(PROGRAMS)] if modules is None else modules
        started.append(WorkerProcess(server.url, modules, log, **options))
        return started[-1]

    yield start_worker
    for worker in started:
        worker.close()


def test_classes_are_offered_with_what_their_decorator_says(
    server: WorkerServer, start: StartWorker
) -> None:
    start()
    registered = server.wait(lambda ledger: ledger.registrations, "registration")[0]
    offers = {offer.slug: offer for offer in registered.workers}
    offer = offers["describe"]
    assert (offer.version, offer.name, offer.kind) == ("2.1", "Describer", "elements")
    assert offer.description == "Write down what it is given."
    assert offer.configuration.configuration == {"threshold": 0.5}
    assert offer.configuration.user_configuration["language"]["default"] == "fr"
    assert offer.configuration.secrets == ["models/token"]
    assert offers["sets"].kind == "dataset"
    assert offers["killed"].version == "1"


def test_a_task_has_the_environment_of_the_protocol_and_nothing_of_the_worker(
    server: WorkerServer, start: StartWorker
) -> None:
    start()
    task_id = ids.uuid()
    elements = [TaskElement(id=ids.uuid(), type="page"), TaskElement(id=ids.uuid(), type="line")]
    before = parent(server, "before", note=b"from before")
    work = submit_task(
        server,
        "describe",
        version="2.1",
        task_id=task_id,
        elements=elements,
        chunk=2,
        parents=[before],
    )
    given = described(server, work)
    environment = given["environment"]
    root = environment.pop("PONOS_DATA")
    run_id = environment.pop("ARKINDEX_WORKER_RUN_ID")
    assert len(run_id) == 36
    assert environment == {
        "ARKINDEX_API_URL": server.url,
        "ARKINDEX_TASK_TOKEN": TOKEN,
        "ARKINDEX_TASK_CHUNK": "2",
        "PONOS_TASK": task_id,
        "TASK_ELEMENTS": f"{root}/elements.json",
        "TASK_PARENTS": f'{{"{before.id}":"before"}}',
    }
    assert given["arguments"] == ["describe"]
    assert given["current"] == task_id
    assert given["elements"] == [{"id": each.id, "type": each.type} for each in elements]
    assert given["tree"] == sorted(
        ["before@", "current@", "elements.json", f"{before.id}/note.txt"]
    )
    assert given["texts"] == {f"{before.id}/note.txt": "from before"}
    poll(lambda: not Path(root).exists())


def test_a_task_that_asks_for_its_elements_has_no_list_and_no_empty_variables(
    server: WorkerServer, start: StartWorker
) -> None:
    start()
    given = described(server, submit_task(server, "describe", version="2.1", queued=True))
    assert given["environment"]["SKIP_TASK_ELEMENTS"] == "true"
    assert {"TASK_ELEMENTS", "ARKINDEX_TASK_CHUNK", "ARKINDEX_MODEL_DIR"}.isdisjoint(
        given["environment"]
    )
    assert "" not in given["environment"].values()
    assert given["elements"] is None


def test_output_is_streamed_and_files_come_back(server: WorkerServer, start: StartWorker) -> None:
    start()
    work = submit_task(server, "describe", version="2.1")
    report = server.report(work)
    assert result(report).exit_code == 0
    left = files(server, report)
    assert sorted(left) == ["described.json", "parts/page 1.txt"]
    assert left["parts/page 1.txt"] == b"first page"
    types = {file.path: file.content_type for file in result(report).files}
    assert types["described.json"] == "application/json"
    assert ("stdout", "described") in server.lines(work)
    assert ("stderr", "to stderr") in server.lines(work)


def test_links_pipes_and_strange_names_are_left_behind(
    server: WorkerServer, start: StartWorker, tmp_path: Path
) -> None:
    worker = start()
    work = submit_task(server, "strange-files")
    report = server.report(work)
    assert files(server, report) == {"closed/inside.txt": b"closed", "kept.txt": b"kept"}
    notes = "\n".join(text for stream, text in server.lines(work) if stream == "worker")
    for name in ("'secret'", "'etc'", "'pipe'", "a\\\\b.txt", "\\udcff.txt"):
        assert name in notes
    poll(lambda: not list(worker.scratch.glob("*/task-*")))


@pytest.mark.parametrize("code", [1, 2, 77])
def test_a_program_that_exits_with_a_code_has_failed_for_good(
    server: WorkerServer, start: StartWorker, code: int
) -> None:
    start()
    before = parent(server, "before", code=str(code).encode())
    report = server.report(submit_task(server, "exit", parents=[before]))
    assert report.outcome is Outcome.REJECTED
    assert report.error is not None
    assert f"exited with code {code}" in report.error.message
    assert "about to exit" in report.error.message
    assert result(report).exit_code == code
    assert files(server, report) == {"left.txt": b"left"}


def test_an_exception_is_in_the_message_of_the_failure(
    server: WorkerServer, start: StartWorker
) -> None:
    start()
    report = server.report(submit_task(server, "raise"))
    assert report.outcome is Outcome.REJECTED
    assert report.error is not None
    assert "ValueError: no such element" in report.error.message


def test_a_program_that_is_killed_is_tried_again(server: WorkerServer, start: StartWorker) -> None:
    start()
    report = server.report(submit_task(server, "killed"))
    assert report.outcome is Outcome.FAILURE
    assert report.error is not None
    assert "SIGKILL" in report.error.message
    assert "going down" in report.error.message


@pytest.mark.parametrize("how", ["cancelled", "lost", "time limit"])
def test_a_stopped_task_takes_its_processes_and_its_directory_along(
    server: WorkerServer, start: StartWorker, how: str
) -> None:
    start()
    work = submit_task(server, "family", timeout_s=3.0 if how == "time limit" else None)
    child = int(server.wait_for_line(work, "child "))
    root = Path(server.wait_for_line(work, "directory "))
    assert alive(child)
    if how == "cancelled":
        server.cancel(work)
        assert server.report(work).outcome is Outcome.CANCELLED
    elif how == "lost":
        server.take_away(work)
    else:
        assert server.report(work).outcome is Outcome.TIMED_OUT
    poll(lambda: not alive(child) and not root.exists())
    if how == "lost":
        next_work = submit_task(server, "describe", version="2.1")
        assert server.report(next_work).outcome is Outcome.SUCCESS
        assert work not in server.ledger.reports


def test_a_worker_that_is_killed_leaves_no_process_and_no_directory(
    server: WorkerServer, start: StartWorker, tmp_path: Path
) -> None:
    worker = start(tasks_directory=str(tmp_path))
    work = submit_task(server, "family")
    child = int(server.wait_for_line(work, "child "))
    root = Path(server.wait_for_line(work, "directory "))
    assert tmp_path in root.parents
    worker.process.kill()
    poll(lambda: not alive(child) and not root.exists())


def test_a_worker_that_stops_hands_its_task_back(server: WorkerServer, start: StartWorker) -> None:
    worker = start(drain_s=0.2)
    work = submit_task(server, "family")
    child = int(server.wait_for_line(work, "child "))
    worker.process.terminate()
    assert server.report(work).outcome is Outcome.HANDED_BACK
    poll(lambda: not alive(child))
    assert worker.wait() == 0


def test_the_directory_stays_where_it_is_wanted(
    server: WorkerServer, start: StartWorker, tmp_path: Path
) -> None:
    kept = tmp_path / "tasks"
    kept.mkdir()
    worker = start(tasks_directory=str(kept), keep_tasks=True)
    task_id = ids.uuid()
    work = submit_task(server, "describe", version="2.1", task_id=task_id)
    target = Path(server.wait_for_line(work, "The directory of the task is kept: "))
    assert target.name.startswith(f"{task_id}-1-")
    worker.close()
    assert list(kept.iterdir()) == [target]
    assert (target / "current" / "parts" / "page 1.txt").read_text() == "first page"


def test_a_worker_with_a_command_only_needs_no_module(
    server: WorkerServer, start: StartWorker
) -> None:
    code = "import os; print(os.environ['PONOS_TASK'], os.environ.get('LONGSHORE_KEY'))"
    start([], tasks=[f'other:3={sys.executable} -c "{code}"'], task_kinds=["dataset"])
    registered = server.wait(lambda ledger: ledger.registrations, "registration")[0]
    [offer] = registered.workers
    assert (offer.slug, offer.version, offer.kind) == ("other", "3", "dataset")
    task_id = ids.uuid()
    work = submit_task(server, "other", version="3", task_id=task_id)
    assert server.report(work).outcome is Outcome.SUCCESS
    assert ("stdout", f"{task_id} None") in server.lines(work)


def test_a_task_of_a_worker_that_is_not_there_says_so(
    server: WorkerServer, start: StartWorker
) -> None:
    start()
    report = server.report(submit_task(server, "describe", version="9"))
    assert report.outcome is Outcome.FAILURE
    assert report.error is not None
    assert "describe 9 is not served here" in report.error.message


@pytest.mark.parametrize("path", ["../outside.txt", "/etc/outside.txt", "a//b.txt", "."])
def test_a_file_of_a_parent_with_a_name_that_leads_elsewhere_is_refused(
    server: WorkerServer, start: StartWorker, path: str
) -> None:
    start()
    before = TaskParent(id=ids.uuid(), slug="before", files=[stored_file(server, path, b"x")])
    report = server.report(submit_task(server, "describe", version="2.1", parents=[before]))
    assert report.outcome is Outcome.REJECTED
    assert report.error is not None
    assert "leads out of its directory" in report.error.message


@pytest.mark.parametrize("task_id", ["..", "../x", "current", "a/b", ""])
def test_an_id_that_is_no_name_of_a_directory_is_refused(
    server: WorkerServer, start: StartWorker, task_id: str
) -> None:
    start()
    before = TaskParent(id=task_id, slug="before")
    report = server.report(submit_task(server, "describe", version="2.1", parents=[before]))
    assert report.outcome is Outcome.REJECTED
    assert report.error is not None
    assert "cannot be the name of a directory" in report.error.message


def test_a_model_that_is_one_file_takes_the_place_of_the_directory(
    server: WorkerServer, start: StartWorker
) -> None:
    start()
    weights = model(server, b"plain", "application/octet-stream")
    given = described(server, submit_task(server, "describe", version="2.1", model=weights))
    assert given["environment"]["ARKINDEX_MODEL_DIR"].endswith("/extra_files")
    assert "extra_files" in given["tree"]


def test_a_command_and_a_class_for_one_version_end_the_worker(start: StartWorker) -> None:
    worker = start(tasks=[f"sets={sys.executable}"])
    assert worker.wait() == 2
    assert "Give one of them another version" in worker.text()


def test_threads_run_no_tasks_and_the_worker_says_so(
    server: WorkerServer, start: StartWorker, tmp_path: Path
) -> None:
    worker = start(executor="thread")
    assert worker.wait() == 2
    assert "Nothing to serve with --executor thread" in worker.text()
    app = tmp_path / "an_app.py"
    app.write_text("import longshore\n@longshore.app('Empty')\ndef read(file): return []\n")
    both = start([str(app), str(PROGRAMS)], executor="thread")
    [registered] = server.wait(lambda ledger: ledger.registrations, "registration")
    assert registered.workers == []
    assert [offer.name for offer in registered.apps] == ["Empty"]
    assert "describe 2.1" in both.text()
    assert "--executor process" in both.text()
